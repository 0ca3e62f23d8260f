"""Suite files: TOML to a frozen `Suite`, and the suite to cells with their keys.

name = "quick"
seed = 0                       # keys every draw
precision = "float32"          # or "tf32", on CUDA: coarse for VAT's small probe
cuda_graphs = false            # on CUDA: replay training steps as graphs
timeout = 30                   # minutes that a cell may take; as long as it takes, if left out
checkpoint_every = 5           # minutes of training that a kill may cost a cell, at most; 0: no checkpoints
folder = "."                   # where relative paths of data start; "." is the folder of this file
seeds = 3                      # 0, 1, 2;  or [3, 7];  or "3,7,1000-1009"
methods = ["supervised", "vat", "vat-small"]
scenarios = ["mnist5k-50"]

[method.vat]                   # a method's hyperparameters, on every scenario
radius = 2.0
[method.vat.on.mnist5k-50]     # … and on one
radius = 1.5
[method.vat-small]             # a variant under a name of its own
base = "vat"                    # a registered name, or another variant
radius = 0.5
[scenario.mnist5k-50]          # a scenario's parameters
steps = 800
[scenario."*"]                 # … of all scenarios that have them
points = 10

A suite that is not one whole crossing lists its parts; what a part leaves out is taken from the top:

[[grid]]
methods = ["supervised"]
scenarios = ["mnist5k-20"]
seeds = 10
training_seeds = 5             # each split is trained on five times, with weights, batches and noise of its own
"""

from sslbench.suite.cells import Cell, Grid, Suite, data_digests, seed_rng
from sslbench.suite.code import Source, source_of
from sslbench.suite.document import read_content
from sslbench.suite.forms import changed
from sslbench.suite.making import make_suite, read_suite, relocated
from sslbench.suite.overrides import Overrides, with_settings
from sslbench.suite.parameters import Method, Params, params
from sslbench.suite.seeds import parse_seeds

__all__ = [
    "Cell",
    "Grid",
    "Method",
    "Overrides",
    "Params",
    "Source",
    "Suite",
    "changed",
    "data_digests",
    "make_suite",
    "params",
    "parse_seeds",
    "read_content",
    "read_suite",
    "relocated",
    "seed_rng",
    "source_of",
    "with_settings",
]
