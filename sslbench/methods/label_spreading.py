"""Label spreading (Zhou, Bousquet, Lal, Weston, Schölkopf 2004, "Learning with Local and Global Consistency", NeurIPS)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt, Lt
from sklearn import semi_supervised

from sslbench.methods.base import Count, FitMethod, Predictor, Range, Search, Task, method
from sslbench.methods.label_propagation import fitted_on_graph
from sslbench.rng import Rng


@method("label-spreading")
@dataclass(frozen=True)
class LabelSpreading(FitMethod):
    """scikit-learn's LabelSpreading: labels spread over the normalised graph, and even the given ones may yield.

        F ← α S F + (1 − α) Y,   S = D^−½ W D^−½                                          (Zhou et al. 2004, section 2)

    W has a 1 from each example to its k nearest ones, the flattened inputs' L2 distance apart, where the paper has a Gaussian of
    the distance between all pairs: memory then grows with the examples, not with their square. A new example is predicted by its
    k nearest ones in the graph; where no label has reached them, each class is as probable. α is the paper's (scikit-learn's
    default is 0.2, at which labels hardly leave their neighbours).
    """

    search: ClassVar[Search] = {"neighbors": Range(3, 30, log=True), "alpha": (0.2, 0.5, 0.8, 0.95, 0.99)}

    neighbors: Count = 7
    """k: edges from each example, one of them to itself."""
    alpha: Annotated[float, Gt(0), Lt(1)] = 0.99
    """α: how much of an example's label comes from its neighbours."""
    pool: Count = 10_000
    """Unlabelled examples in the graph, at most, drawn at random: the search for neighbours takes time with their square."""
    iterations: Count = 1000
    """Iterations, at most."""

    def fit(self, task: Task, rng: Rng, watch: Callable[[Predictor], None]) -> Predictor:
        del watch
        settings = {"kernel": "knn", "n_neighbors": self.neighbors, "max_iter": self.iterations, "alpha": self.alpha}
        return fitted_on_graph(semi_supervised.LabelSpreading(**settings), task, self.pool, rng)
