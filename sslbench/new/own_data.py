"""What a user's data are like, and which comparisons they allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sslbench.data import Dataset
from sslbench.data.files import image_sizes, load_own
from sslbench.data.splits import label_counts, tested_of

PER_CLASS = (2, 10, 50)
"""Labels of each class, of the scenarios of data whose labels are known."""
TEST_FRACTION = 0.3
SIDES = range(16, 65)
"""Heights and widths of images that are left as they are."""
SIZE = 32
"""What others are resized to."""


@dataclass(frozen=True)
class Found:
    """What the data are like."""

    dataset: Dataset
    size: int | None
    counts: list[int]
    """Rows of each class with a label, the test set's own aside."""

    @property
    def known(self) -> int:
        return sum(self.counts)

    @property
    def gaps(self) -> int:
        return len(self.dataset.y) - self.known

    @property
    def hides(self) -> bool:
        """Whether so many labels are known that most of them are hidden, to compare the methods with few."""
        return self.known > self.gaps

    @property
    def tested(self) -> list[int]:
        return tested_of(self.counts, 0.0 if len(self.dataset.y_test) else TEST_FRACTION)

    @property
    def left(self) -> list[int]:
        """Of each class: labelled rows that are not for testing."""
        return [count - apart for count, apart in zip(self.counts, self.tested, strict=True)]

    @property
    def balanced(self) -> bool:
        """Whether each class gets as many labels: where labels are hidden, and each class has enough."""
        return self.hides and min(self.left) > 2

    @property
    def labels(self) -> list[int]:
        """Label counts worth comparing."""
        classes = len(self.counts)
        if self.balanced:
            return [classes * each for each in PER_CLASS if 2 * each < min(self.left)] or [classes]
        if self.hides:
            return sorted({max(classes, sum(self.left) // part) for part in (20, 5)})
        most = max(sum(self.left) - sum(self.left) // 10, classes)
        return [most // 4, most] if most // 4 >= 2 * classes else [most]


def look(data: Path, label_column: str | None, test: Path | None, ignore: Sequence[str]) -> Found:
    """Load the data, images all of one size."""
    size = None
    if data.is_dir():
        sizes = image_sizes(data) | (image_sizes(test) if test is not None and test.is_dir() else set())
        size = SIZE if len(sizes) > 1 or any(side not in SIDES for sides in sizes for side in sides) else None
    dataset = load_own(data, label_column, test, size, ignore)
    if size is None and any(side not in SIDES for side in dataset.x.shape[2:]):
        size = SIZE
        dataset = load_own(data, label_column, test, size, ignore)
    return Found(dataset, size, label_counts(dataset.y, dataset.classes))
