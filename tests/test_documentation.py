"""Everything public says what it is, and examples run."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import unfold
import viz

PACKAGES = (unfold, viz)
MODULES = sorted(
    m.name
    for package in PACKAGES
    for m in [*pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
    if not m.name.endswith("__main__")
) + [p.__name__ for p in PACKAGES]

OPTIONAL = {"unfold.engine.numba.native": "numba"}  # what a module needs beside NumPy

FACING = {"Graph", "Node", "Axis", "Index", "Var", "Op", "Table", "Result", "Run", "Drawing", "Report"}


def load(module):
    if module in OPTIONAL:
        pytest.importorskip(OPTIONAL[module])
    return importlib.import_module(module)


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_says_what_it_is(module):
    loaded = load(module)
    assert loaded.__doc__, module
    own = {n: v for n, v in vars(loaded).items() if getattr(v, "__module__", None) == module and n[0] != "_"}
    silent = []
    for name, value in own.items():
        if inspect.isfunction(value) and not value.__doc__:
            silent.append(name)
        elif inspect.isclass(value):
            if not value.__dict__.get("__doc__"):
                silent.append(name)
            if name in FACING:
                silent += [
                    f"{name}.{n}"
                    for n, f in vars(value).items()
                    if n[0] != "_" and inspect.isfunction(f) and not inspect.getdoc(getattr(value, n))
                ]
    assert silent == []


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_run(module):
    loaded = load(module)
    failed, _ = doctest.testmod(loaded, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
