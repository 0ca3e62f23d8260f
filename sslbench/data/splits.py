"""Which examples are labelled, which are not, which are for validation: drawn once, hashed, the same for every method."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from sslbench.errors import BadInput
from sslbench.rng import Rng


@dataclass(frozen=True, eq=False)
class Split:
    """Disjoint sets of indices into a data set's training pool, each sorted, int64. The test set is apart."""

    labelled: Tensor
    unlabelled: Tensor
    validation: Tensor

    @property
    def sha256(self) -> str:
        """Hash of the three sets."""
        digest = hashlib.sha256()
        for part in (self.labelled, self.unlabelled, self.validation):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part.numpy().astype("<i8").tobytes())
        return digest.hexdigest()


def balanced_split(
    y: Tensor, classes: int, labels: int, validation: int, rng: Rng, missing: Collection[int] = ()
) -> Split:
    """A split with the same number of labels in each class.

    At one key, the labelled set of a smaller count lies within that of a larger one, and the labels that are left
    when a class is missing are those of the same split without the gap.

    Args:
        y: labels of the training pool (n,).
        classes: their number.
        labels: size of the labelled set, a multiple of `classes`.
        validation: wanted size of the validation set; rounded down to a multiple of `classes`.
        missing: classes whose labels are taken away, those of the validation set too; their examples go into the
            unlabelled pool.

    Raises:
        BadInput: a count that is not divisible or not available, a class out of range.
    """
    if labels < classes or labels % classes:
        raise BadInput(
            f"labels = {labels} cannot be shared out evenly over {classes} classes: give a positive multiple of {classes}."
        )
    if wrong := [c for c in missing if not 0 <= c < classes]:
        raise BadInput(f"missing = {wrong[0]} is no class of this data set: valid are 0 to {classes - 1}.")
    if len(set(missing)) >= classes:
        raise BadInput("missing names every class: at least one must keep its labels.")
    each, held_out = labels // classes, validation // classes
    parts: dict[str, list[Tensor]] = {"labelled": [], "unlabelled": [], "validation": []}
    for c in range(classes):
        members = (y == c).nonzero().flatten()
        if each + held_out >= len(members):
            raise BadInput(
                f"labels = {labels} and validation = {validation} need {each + held_out} examples of class {c}, and more "
                f"to leave unlabelled, but the pool has {len(members)}: ask for fewer."
            )
        members = members[rng.child("class", c).permutation(len(members))]
        parts["unlabelled" if c in missing else "labelled"].append(members[:each])
        parts["unlabelled"].append(members[each : len(members) - held_out])
        parts["unlabelled" if c in missing else "validation"].append(members[len(members) - held_out :])
    return Split(**{name: torch.cat(indices).sort().values for name, indices in parts.items()})
