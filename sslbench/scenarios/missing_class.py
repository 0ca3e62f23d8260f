"""A class without labels: its examples are in the unlabelled pool and in the test set all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sslbench.scenarios.base import scenario
from sslbench.scenarios.label_count import LabelCount


@scenario("mnist5k-1000-no7", data="mnist5k", labels=1000)
@scenario("mnist-1000-no7", data="mnist", labels=1000)
@dataclass(frozen=True, kw_only=True)
class MissingClass(LabelCount):
    """Few labels, and none of some classes. `labels` counts those of the same split without the gap."""

    family: ClassVar[str] = "missing-class"

    missing: tuple[int, ...] = (7,)
    """Classes, from 0, whose labels are taken away."""

    def missing_classes(self) -> tuple[int, ...]:
        return self.missing
