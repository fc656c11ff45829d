"""For tests of systems and operations: hypothesis strategies, and mutants to test checks with.

    strategies.py   plain-data specs that print and shrink, and `build(spec)`
    mutants.py      wrong rules and a wrong engine, on purpose

The strategies need hypothesis (`pip install hypothesis`); mutants need nothing.
"""
