"""Over a sequence and over time: first weights, optimisers, streams, long sequences, generation, diagnosis.

init           random weights; optim: steps of optimisers
states         a system as a start and a step; streaming: one step at a time
recomputation  gradients of long sequences in little memory (`uf.checkpoint`: states, not files)
generate       sequences from a model; diagnose: how gradients grow and vanish over time
"""
