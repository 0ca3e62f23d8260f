"""A method that goes wrong at one seed, in any way it is told, and trains as `supervised` does at every other."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sslbench.methods.base import Batch, Loss, LossMethod, Model, Step, cross_entropy, method
from sslbench.rng import Rng
from sslbench.suite import seed_rng

CULPRIT = 1
"""The seed at which it goes wrong."""


def strike(what: str, seeds: int) -> None:
    """Go wrong. `seeds` train together."""
    match what:
        case "raise":
            raise ArithmeticError("[bold]no such thing[/]\nand more")
        case "leave":
            sys.exit("enough")
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            if sign := os.environ.get("SSLBENCH_FAULTS_SIGN"):
                Path(sign).touch()
            while True:
                time.sleep(60)
        case "too much":
            torch.empty(1 << 50)
        case "too wide" if seeds > 1:
            torch.empty(1 << 50)


# Under vmap a method sees no seed of its own; the rule by which an operation is stacked sees them all.
@torch.library.custom_op("sslbench_faults::strike", mutates_args=())
def _strike(key: Tensor, what: str) -> Tensor:
    return _struck(key.unsqueeze(0), what)[0]


@_strike.register_fake
def _(key: Tensor, what: str) -> Tensor:
    return key.new_empty((), dtype=torch.float32)


@_strike.register_vmap
def _(info, in_dims, key, what):
    return _struck(key.movedim(in_dims[0], 0), what), 0


def _struck(keys: Tensor, what: str) -> Tensor:
    """What is added to the loss of each seed, given the keys of their draws in a step: (stack, 2) -> (stack,)."""
    culprit = seed_rng(0, CULPRIT).child("train").key
    guilty = (keys == culprit).all(dim=-1)
    if bool(guilty.any()):
        strike(what, len(keys))
    return torch.where(guilty & (what == "nan"), torch.nan, 0.0)


@method("faulty")
@dataclass(frozen=True)
class Faulty(LossMethod):
    """Goes wrong at the culprit's seed."""

    what: str = "nothing"

    def loss(self, model: Model, batch: Batch, step: Step, rng: Rng) -> Loss:
        struck = _strike(rng.key, self.what)
        loss = cross_entropy(model, batch, rng)
        return Loss(loss + struck)
