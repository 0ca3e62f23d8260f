"""What all plots share: the style, the figure with its words, and files that are the same byte for byte."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from sslbench.records import Record
from sslbench.report.palette import FURTHER, KNOWN, Look

DPI = 150
NARROW = (5.4, 3.9)
"""Inches of a plot that a telephone still shows legibly."""

Arrays = Callable[[Record], Mapping[str, np.ndarray]]
"""Gives the arrays of a record, as `Store.arrays` does."""

_LOCK = threading.RLock()  # matplotlib's settings are global: one thread at a time draws under ours


@dataclass(frozen=True)
class Plot:
    """How a figure is drawn, and the words that go with it."""

    name: str
    """Name of its files, without ending."""
    section: str
    """Which part of the page it belongs to."""
    title: str
    caption: str
    alt: str
    """What it shows, for those who cannot see it."""
    figure: Callable[[], Figure]
    """Draws it, inside `style()`."""
    scenario: str = ""
    """The scenario it is about, if it is about one alone."""
    wide: bool = False
    """Too wide to stand beside another."""
    moving: Callable[[], bytes] | None = None
    """Draws it over training, as a GIF."""


@contextmanager
def style() -> Iterator[None]:
    """Our settings whatever the user's matplotlibrc says. Figures must be drawn and saved inside."""
    with _LOCK, mpl.rc_context():
        settings: Any = mpl.rcParams
        settings.update({k: v for k, v in mpl.rcParamsDefault.items() if not k.startswith(("backend", "date."))})
        settings.update(_settings())
        yield


def figure(width: float, height: float) -> Figure:
    """An empty figure in inches, with a canvas of its own and nothing of pyplot's global state."""
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def panels(count: int, size: tuple[float, float] | None = None, *, shared: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, at most four beside each other, and places that stay empty bare.

    Args:
        size: inches of each; small ones, if not given.
        shared: all have the same axes.
    """
    columns = beside(count, small=size is None)
    lines = math.ceil(count / columns)
    width, height = size or (2.6 if columns == 4 else 3.1, 2.4)
    drawn = figure(max(width * columns, 5), height * lines + 0.4)
    axes = list(np.ravel(drawn.subplots(lines, columns, squeeze=False, sharex=shared, sharey=shared)))
    for empty in axes[count:]:
        bare(empty)
    return drawn, axes


def beside(count: int, *, small: bool) -> int:
    """How many of so many panels stand beside each other."""
    return min(count, 3 if small and count <= 9 else 4)


def settle(drawn: Figure) -> None:
    """Lay the figure out now and for good, with letters as wide as the PNG has them. Else each save does so again."""
    drawn.set_dpi(DPI)
    engine = drawn.get_layout_engine()
    if engine is not None:
        engine.execute(drawn)
    drawn.set_layout_engine("none")


def png(drawn: Figure) -> bytes:
    """The figure as PNG, the same bytes for the same drawing.

    In 256 colours, which make it a third of its size.
    """
    few = few_colours(_picture(drawn, DPI))
    stream = io.BytesIO()
    few.save(stream, format="PNG", compress_level=8, dpi=(DPI, DPI))  # 9 takes three times as long for 3 % less
    return stream.getvalue()


def few_colours(picture: Image.Image) -> Image.Image:
    """The picture (RGB) in 256 colours: those of the methods, which must stay what they are, and the rest chosen for it.

    Chosen from a quarter of its pixels, which show nearly all of its colours.
    """
    pinned = [round(255 * part) for look in (*KNOWN.values(), *FURTHER) for part in mpl.colors.to_rgb(look.colour)]
    rest = 256 - len(pinned) // 3
    some = picture.resize((-(-picture.width // 2), -(-picture.height // 2)), Image.Resampling.NEAREST)
    chosen = some.quantize(colors=rest, dither=Image.Dither.NONE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette((pinned + chosen[: 3 * rest] + 768 * [0])[:768])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def svg(drawn: Figure) -> bytes:
    """The figure as SVG, without a date and with ids that do not change."""
    buffer = io.BytesIO()
    drawn.set_dpi(100)  # of pictures within it
    # `savefig` draws twice, to lay out what is laid out.
    FigureCanvasSVG(drawn).print_svg(buffer, metadata={"Date": None})
    return buffer.getvalue()


def gif(drawn: Figure, show: Callable[[int], None], frames: int, *, seconds: float = 0.12, hold: float = 2.0) -> bytes:
    """An animation that runs for ever: `show(i)` draws frame i into the figure; the first and the last stay for `hold`."""
    pictures = []
    for frame in range(frames):
        show(frame)
        pictures.append(_picture(drawn, 80).quantize(colors=64, dither=Image.Dither.NONE))
    durations = [round(1000 * (hold if i in (0, frames - 1) else seconds)) for i in range(frames)]
    stream = io.BytesIO()
    pictures[0].save(
        stream, format="GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True
    )
    return stream.getvalue()


def legend(drawn: Figure, looks: Mapping[str, Look], *, above: bool = False) -> None:
    """One legend of the methods below (or above) all the axes. The figure grows by it, so that no axes shrink."""
    longest = max(map(len, looks), default=0)
    columns = max(1, int(drawn.get_figwidth() / (0.45 + 0.08 * longest)))  # inches a column needs at this type size
    drawn.set_figheight(drawn.get_figheight() + 0.2 * math.ceil(len(looks) / columns))
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, linestyle=as_given(look.dashes), label=name, markersize=5)
        for name, look in looks.items()
    ]
    place = "outside upper center" if above else "outside lower center"
    drawn.legend(handles=handles, loc=as_given(place), ncols=min(columns, len(handles)), frameon=False)


def as_given(value: object) -> Any:
    """The value, past matplotlib's types, which know fewer line styles than matplotlib."""
    return value


def slug(name: object) -> str:
    """A file name of letters, digits, dots, dashes and underscores."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in str(name)) or "unnamed"


def bare(axes: Axes) -> None:
    """Hide axes that hold nothing."""
    axes.set_axis_off()


def _picture(drawn: Figure, dpi: int) -> Image.Image:
    """The pixels in RGB, without the packing and unpacking that saving a PNG would be."""
    drawn.set_dpi(dpi)
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _settings() -> dict[str, Any]:
    return {
        **sns.axes_style("whitegrid"),
        "text.parse_math": False,  # a name with dollars is a name; so a log axis needs a formatter of its own
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib, so it looks the same everywhere
        "font.size": 10,
        "axes.titlesize": 10.5,
        "axes.labelsize": 10,
        "axes.edgecolor": "#999999",
        "grid.color": "#e6e6e6",
        "legend.fontsize": 9.5,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "svg.hashsalt": "sslbench",
        "figure.facecolor": "white",
        "figure.constrained_layout.h_pad": 0.08,
    }
