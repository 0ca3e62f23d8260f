"""Examples on a plane, so that pseudo-labels can be drawn as they move."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sslbench.rng import Rng
from sslbench.scenarios.base import Problem


def tsne_map(problem: Problem, watched: Tensor, rng: Rng) -> dict[str, np.ndarray]:
    """t-SNE (van der Maaten and Hinton 2008) of the labelled and the watched unlabelled inputs, by scikit-learn.

    Args:
        watched: indices into the problem's inputs (watched,).

    Returns:
        `map_labelled` (labelled, 2), `map_watched` (watched, 2), both float32, and the labels `labelled_y` (labelled,).
    """
    from sklearn.manifold import TSNE  # a second that every process would pay

    rows = torch.cat([problem.labelled, watched])
    state = int(rng.child("t-SNE").integers(1 << 31, 1))
    perplexity = min(30.0, (len(rows) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=state, n_jobs=1)
    places = tsne.fit_transform(problem.x[rows].flatten(1).numpy()).astype(np.float32)
    labelled = len(problem.labelled)
    return {
        "map_labelled": places[:labelled],
        "map_watched": places[labelled:],
        "labelled_y": problem.y[problem.labelled].numpy(),
    }
