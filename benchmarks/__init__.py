"""Speed, side by side in one process: `python -m benchmarks --help`.

models.py     the models, sizes and data, once for every peer
peers/        one file per group of peers
measure.py    gradients compared, then interleaved timing
report.py     Markdown, JSON and the plot
machine.py    what it ran on; threads
extras.py     graph building, memory, time to first gradient, growth with T
results/      what was measured, committed
"""
