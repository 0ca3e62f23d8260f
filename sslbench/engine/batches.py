"""Which examples make the batch of each step."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from sslbench.rng import Rng


class Stream:
    """An endless sequence of examples: one random permutation of them after the other, cut into batches.

    A batch of all examples is all of them in their own order. Batches are numbered, and any of them can be asked for.
    """

    def __init__(self, examples: Tensor, batch: int, rng: Rng) -> None:
        """
        Args:
            examples: (n,) int64 indices.
            batch: examples in a batch, at most n.
        """
        self._examples, self._batch, self._rng = examples, batch, rng
        self._epoch = functools.lru_cache(maxsize=4)(self._permuted)

    def batches(self, start: int, stop: int) -> Tensor:
        """Batches start to stop - 1: (stop - start, batch) int64."""
        n, size = len(self._examples), self._batch
        if size == n:
            return self._examples.expand(stop - start, n)
        first, last = start * size, stop * size
        epochs = torch.cat([self._epoch(e) for e in range(first // n, -(-last // n))] or [self._examples[:0]])
        offset = first // n * n
        return epochs[first - offset : last - offset].view(stop - start, size)

    def _permuted(self, epoch: int) -> Tensor:
        return self._examples[self._rng.at(epoch).permutation(len(self._examples))]
