"""Which examples are labelled, which are not, which are for validation: drawn once, hashed, the same for every method."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sslbench.errors import BadInput
from sslbench.rng import Rng


@dataclass(frozen=True, eq=False)
class Split:
    """Disjoint sets of indices into a data set's training pool, each sorted, int64."""

    labelled: Tensor
    unlabelled: Tensor
    validation: Tensor
    test: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    """Rows of the pool that are for testing, where the data set has no test set of its own."""

    @property
    def sha256(self) -> str:
        """Hash of the sets."""
        digest = hashlib.sha256()
        for part in (self.labelled, self.unlabelled, self.validation, *([self.test] if len(self.test) else [])):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part.numpy().astype("<i8").tobytes())
        return digest.hexdigest()


def balanced_split(
    y: Tensor,
    classes: int,
    labels: int,
    validation: int,
    rng: Rng,
    missing: Collection[int] = (),
    *,
    test: float = 0.0,
    names: Sequence[str] = (),
) -> Split:
    """A split with the same number of labels in each class.

    At one key, the labelled set of a smaller count lies within that of a larger one, and the labels that are left
    when a class is missing are those of the same split without the gap.

    Args:
        y: labels of the training pool (n,); -1 where a row has none, which is then unlabelled.
        classes: their number.
        labels: size of the labelled set, a multiple of `classes`.
        validation: wanted size of the validation set; rounded down to a multiple of `classes`.
        missing: classes whose labels are taken away, those of the validation set too; their examples go into the
            unlabelled pool.
        test: share of each class that is for testing.
        names: of the classes, for errors; their numbers if not given.

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
    tested = _tested(y, classes, test, names)
    for c, count in enumerate(label_counts(y, classes)):
        if each + held_out >= count - tested[c]:
            pool = f"the pool has {count}" + (f", of which {tested[c]} are for testing" if tested[c] else "")
            raise BadInput(
                f"labels = {labels} and validation = {validation} need {each + held_out} examples of class "
                f"{names[c] if names else c}, and more to leave unlabelled, but {pool}: ask for fewer."
            )
    return _divided(y, [each] * classes, [held_out] * classes, tested, rng, missing)


def stratified_split(
    y: Tensor, classes: int, labels: int, validation: int, rng: Rng, *, test: float = 0.0, names: Sequence[str] = ()
) -> Split:
    """A split whose labelled set has the classes in the shares in which the known labels have them, and each at least once.

    At one key, the labelled set of a smaller count lies within that of a larger one. Arguments as of `balanced_split`;
    `labels` need be no multiple of `classes`.

    Raises:
        BadInput: fewer labels than classes, or more than there are.
    """
    if labels < classes:
        raise BadInput(f"labels = {labels} are fewer than the {classes} classes: give at least one each.")
    counts, tested = label_counts(y, classes), _tested(y, classes, test, names)
    left = [count - apart for count, apart in zip(counts, tested, strict=True)]
    if labels + validation > sum(left):
        parts = [f"{sum(tested)} are for testing"] * bool(sum(tested)) + [f"{validation} for validation"] * bool(
            validation
        )
        raise BadInput(
            f"labels = {labels} cannot be had: of {sum(counts)} rows with a label {' and '.join(parts) or 'all are taken'}. "
            f"Give at most {sum(left) - validation}."
        )
    chosen = _shares(labels, left, least=1)
    held_out = _shares(validation, [a - b for a, b in zip(left, chosen, strict=True)])
    return _divided(y, chosen, held_out, tested, rng)


def tested_of(counts: Sequence[int], share: float) -> list[int]:
    """Test examples of each class, of so many: its share, rounded, at least one, and never all."""
    return [min(max(round(share * count), 1), count - 1) if share else 0 for count in counts]


def _tested(y: Tensor, classes: int, share: float, names: Sequence[str]) -> list[int]:
    counts = label_counts(y, classes)
    if share and (scarce := [c for c in range(classes) if counts[c] < 2]):
        raise BadInput(
            f"Class {names[scarce[0]] if names else scarce[0]} has {counts[scarce[0]]} row with a label: at least 2 are needed, "
            "one to learn from and one to test on. Label more, or leave the class out."
        )
    return tested_of(counts, share)


def label_counts(y: Tensor, classes: int) -> list[int]:
    """Rows of each class, those without a label aside."""
    counts: list[int] = torch.bincount(y[y >= 0], minlength=classes).tolist()
    return counts


def _shares(total: int, counts: Sequence[int], least: int = 0) -> list[int]:
    """`total` shared out in proportion to the counts (Sainte-Laguë), none above its count: no share falls as the total rises."""
    given = [min(least, count) for count in counts]
    queue = [(-(n / (2 * g + 1)), c) for c, (n, g) in enumerate(zip(counts, given, strict=True)) if g < n]
    heapq.heapify(queue)
    for _ in range(total - sum(given)):
        _, c = heapq.heappop(queue)
        given[c] += 1
        if given[c] < counts[c]:
            heapq.heappush(queue, (-(counts[c] / (2 * given[c] + 1)), c))
    return given


def _divided(
    y: Tensor,
    labelled: Sequence[int],
    validation: Sequence[int],
    test: Sequence[int],
    rng: Rng,
    missing: Collection[int] = (),
) -> Split:
    """So many rows of each class for each part, drawn by the class; the rest, and rows without a label, are unlabelled."""
    parts: dict[str, list[Tensor]] = {"labelled": [], "unlabelled": [(y < 0).nonzero().flatten()], "validation": []}
    parts["test"] = []
    for c, (each, held_out, tested) in enumerate(zip(labelled, validation, test, strict=True)):
        members = (y == c).nonzero().flatten()
        members = members[rng.child("class", c).permutation(len(members))]
        parts["test"].append(members[:tested])
        members = members[tested:]
        parts["unlabelled" if c in missing else "labelled"].append(members[:each])
        parts["unlabelled"].append(members[each : len(members) - held_out])
        parts["unlabelled" if c in missing else "validation"].append(members[len(members) - held_out :])
    return Split(**{name: torch.cat(indices).sort().values for name, indices in parts.items()})
