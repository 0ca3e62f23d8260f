"""What sslbench is held against: plain reference code that imports nothing of sslbench.

`networks`, `losses`, `augmentations` and `loops` are each method on each network, written the obvious way (nn.Module, DataLoader,
`.item()` logging, one seed at a time), as a person who follows the article would write it. `logistic` is the article's
logistic pseudo-labelling in scikit-learn. The tests hold the engine's losses against theirs on the same draws; `make perf` times
the engine against them.
"""
