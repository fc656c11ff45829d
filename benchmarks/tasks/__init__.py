"""What the systems learn: `python -m benchmarks.tasks [NAME ...]` runs the scripts, writes results/.

loss_curve.py   a character model beside the same one in PyTorch, step by step
adding.py       the adding problem and the copy task: vanilla against LSTM against GRU
sequences.py    reversing and sorting, encoder-decoder with and without attention
digits.py       handwritten digits, read row by row and as a grid
stories.py      a memory network on small stories with a question
labelling.py    labels that need the future: where only the bidirectional network succeeds
common.py       the training loop, and where results go
"""
