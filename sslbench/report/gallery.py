"""The plots of a report as files, drawn by several processes at a time: matplotlib takes a second or two for each."""

from __future__ import annotations

import itertools
import warnings
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sslbench.errors import Damage
from sslbench.forks import cores, in_turns
from sslbench.records import DamagedArrays, Record, Store
from sslbench.report import canvas, plots
from sslbench.report.canvas import Plot
from sslbench.report.evidence import Evidence
from sslbench.report.page import Picture
from sslbench.report.tables import Comparison, plural

PROCESSES = 4
"""At most; they share as many cores as there are."""


@dataclass(frozen=True)
class Gallery:
    pictures: list[Picture]
    files: tuple[Path, ...]
    damage: list[str]
    """What could not be read, in a line."""


def draw_all(
    records: Sequence[Record], comparison: Comparison, evidence: Evidence, store: Store, folder: Path
) -> Gallery:
    """Draw all plots that apply into the folder.

    Raises:
        OSError: a file cannot be written.
    """
    arrays = _Arrays(store)
    offered = list(plots.draw(records, comparison, evidence, arrays))

    def draw(places: Iterator[int]) -> dict[int, tuple[int, int]]:
        """The plots at these places. Returns the width and the height of each."""
        own = itertools.takewhile(lambda place: place < len(offered), places)
        return {place: _draw(offered[place], folder) for place in own}

    with canvas.style():
        sizes = dict(ChainMap(*in_turns(draw, min(cores(), PROCESSES))))
        # What a process has lost is drawn here.
        sizes |= {place: _draw(plot, folder) for place, plot in enumerate(offered) if place not in sizes}
    files = [_files(plot, folder) for plot in offered]
    pictures = [
        Picture(plot, own[0].read_bytes(), *sizes[i]) for i, (plot, own) in enumerate(zip(offered, files, strict=True))
    ]
    return Gallery(pictures, tuple(itertools.chain(*files)), _told(arrays.damaged))


class _Arrays:
    """The arrays of a record, none where they are gone or damaged."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.damaged: dict[str, str] = {}
        """What is wrong, by the record's key."""

    def __call__(self, record: Record) -> Mapping[str, np.ndarray]:
        try:
            return self._store.arrays(record)
        except FileNotFoundError:  # records that were copied without their arrays still make a report
            return {}
        except DamagedArrays as error:
            self.damaged[record.key] = str(error)
            return {}


def _files(plot: Plot, folder: Path) -> list[Path]:
    return [folder / f"{plot.name}.{ending}" for ending in ("png", "svg", *(("gif",) if plot.moving else ()))]


def _draw(plot: Plot, folder: Path) -> tuple[int, int]:
    """Write the files of a plot. Returns its width and height on a page."""
    figure = plot.figure()
    canvas.settle(figure)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    png, svg, *gif = _files(plot, folder)
    png.write_bytes(canvas.png(figure))
    svg.write_bytes(canvas.svg(figure))
    if plot.moving:
        gif[0].write_bytes(plot.moving())
    return width, height


def _told(damaged: Mapping[str, str]) -> list[str]:
    """One line of all that is damaged, warned of."""
    if not damaged:
        return []
    more = f" and {plural(len(damaged) - 1, 'more such file')}" if len(damaged) > 1 else ""
    line = f"{next(iter(damaged.values()))}{more}: left out of the plots."
    warnings.warn(line, Damage, stacklevel=1)
    return [line]
