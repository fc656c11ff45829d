"""Character models on one's own text.

corpus.py      a UTF-8 file of any size as numbers; batches of windows with carried state
models.py      the networks, in the language: vanilla, LSTM, GRU, stacked
loop.py        truncated backpropagation through time, validation, early stop, resume
checkpoint.py  weights, optimiser and graph in one `.npz`, written at once or not at all
sampling.py    text from a model, one step at a time
command.py     `unfold train` and `unfold sample`
"""
