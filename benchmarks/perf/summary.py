"""The measurements of `make perf` as a page.

python -m benchmarks.perf.summary results/perf-cpu    writes README.md from what is measured there, and notes.md if there is one
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.perf.parts import PARTS

Info = Mapping[str, Any]

TITLES = {
    "step": "Training steps",
    "cell": "Whole cells",
    "suite": "A whole suite",
    "logistic": "The article's logistic pseudo-labelling",
    "evaluation": "Evaluation",
    "append": "Store: append",
    "load": "Store: load",
    "plan": "A finished suite is recognised",
    "report": "Report",
    "mlflow": "MLflow",
    "start": "Start-up",
}
"""Groups of pairs, in the order of the page."""


def write(folder: Path) -> Path:
    """Write the page of the measurements in a folder, and say where it is."""
    measured = {part: folder / f"perf-{part}.json" for part in PARTS}
    found = {part: json.loads(file.read_text()) for part, file in measured.items() if file.exists()}
    notes = folder / "notes.md"
    path = folder / "README.md"
    path.write_text(page(folder.name, found, notes.read_text() if notes.exists() else ""), encoding="utf-8")
    return path


def page(title: str, measured: Mapping[str, Mapping[str, Any]], notes: str = "") -> str:
    """The page of what pytest-benchmark wrote, by part; `notes` come first."""
    abouts = [part["machine_info"] for part in measured.values()]
    groups: dict[str, list[Info]] = {}
    for part in measured.values():
        for benchmark in part["benchmarks"]:
            groups.setdefault(benchmark["group"], []).append(benchmark["extra_info"])
    quick = any(about["quick"] for about in abouts)
    cuda = any(about["device"] != "cpu" for about in abouts)
    parts = [
        f"# {title}",
        f"    make perf{' DEVICE=cuda' if cuda else ''}{' QUICK=1' if quick else ''}",
        *dict.fromkeys(_machine(about) for about in abouts),
        *(["**A quick look, not a measurement.**"] if quick else []),
        *([notes.strip()] if notes.strip() else []),
        "A ratio is the plain reference's time over sslbench's: above 1, sslbench is faster. The two take turns, each in a "
        "process of its own and on one thread; a ratio is the median over the rounds, with an interval that holds the median "
        "with 95 % (with fewer than six rounds: the whole range). The process of the engine keeps freed memory as the engine's "
        "workers do. Both sides are checked to compute the same before they are timed: same losses and weights, in "
        "float64, on the same draws. Memory is what the side needed beyond what it held with all libraries imported.",
        "Each part is measured by itself (`make perf PARTS=NAME`):",
        table(("part", "what is in it", "commit", "day", "load before"), [_row(*each) for each in measured.items()], 2),
    ]
    for group, heading in TITLES.items():
        if group in groups:
            parts += [f"## {heading}", *_notes(group, groups[group]), table(PAIRS, map(_pair, groups[group]))]
    for group, section in SECTIONS.items():
        if group in groups:
            parts += section(groups)
    return "\n\n".join(parts) + "\n"


def _machine(about: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"{about['machine']}; device: {about['device']}; {versions}."


def _row(part: str, measured: Mapping[str, Any]) -> list[str]:
    about = measured["machine_info"]
    commit = about.get("commit") or (measured.get("commit_info") or {}).get("id") or "unknown"
    changed = " and changes" if about["dirty"] else ""
    return [part, PARTS[part], f"{commit[:12]}{changed}", about["started"], f"{about['load']:.1f}"]


def table(header: Iterable[str], rows: Iterable[Iterable[str]], texts: int = 1) -> str:
    """A table in Markdown: the first columns are texts, the others are numbers."""
    header = list(header)
    lines = [header, [*["---"] * texts, *["---:"] * (len(header) - texts)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


PAIRS = ("", "ratio", "interval", "rounds", "sslbench", "reference", "sslbench, memory", "reference, memory")


def _pair(info: Info) -> list[str]:
    def seconds(side: str) -> str:
        return duration(statistics.median(info[f"{side}_s"]) / info.get("steps", 1))

    def memory(side: str) -> str:
        return f"{info[f'{side}_bytes'] / 2**20:.0f} MiB" if f"{side}_bytes" in info else ""

    sides = ("engine", "reference")
    interval = f"{info['low']:.2f} to {info['high']:.2f}"
    return [
        info["name"],
        f"{info['ratio']:.2f}",
        interval,
        str(info["rounds"]),
        *map(seconds, sides),
        *map(memory, sides),
    ]


def duration(seconds: float) -> str:
    """Three digits with a unit that suits them."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def _notes(group: str, infos: list[Info]) -> list[str]:
    if group == "step":
        return ["Times are those of one step of all seeds; the reference trains ten seeds one after the other."]
    if group == "suite":
        rates = " and ".join("{:.1f} against {:.1f}".format(*info["cells_per_minute"]) for info in infos)
        return [
            "`sslbench run` with its default workers, records, MLflow and report, against a script of plain loops in one "
            f"process with torch's default threads: {rates} cells a minute."
        ]
    if group == "plan":
        return [f"Wanted: at most {infos[0]['wanted_s']:.0f} s. The reference is `json.loads` of each line."]
    if group == "load":
        return ["The reference is `json.loads` of each line."]
    if group == "report":
        return ["The reference is the table of means alone, by pandas: what the plots and the page cost is the rest."]
    if group == "start":
        return ["The reference is the help of a typer program with two empty commands."]
    if group == "mlflow":
        cells = infos[0]["cells"]
        ours = statistics.median(infos[0]["engine_s"]) / cells
        return [f"The same values by mlflow's own functions, a call a point of the curves. {duration(ours)} a cell."]
    return []


# What is no pair ----------------------------------------------------------------------------------------------------


def shares(groups: Mapping[str, list[Info]]) -> list[str]:
    """Floating-point operations a second of the engine's steps, as shares of the machine's peaks."""
    peaks = {info["name"]: info["flops"] for info in groups["peak"]}
    rows = [
        [
            info["name"],
            f"{(rate := info['flops'] * info['steps'] / statistics.median(info['engine_s'])) / 1e9:.2f}",
            *(f"{100 * rate / top:.1f} %" for top in peaks.values()),
        ]
        for info in groups.get("step", [])
        if "flops" in info
    ]
    tops = ", ".join(f"{top / 1e9:.1f} of the {name}" for name, top in peaks.items())
    return [
        "## Share of the machine's peak",
        f"Measured peaks in 10⁹ operations a second, float32, one thread: {tops}. The operations of a step are those of its "
        "matrix products and convolutions, by torch's counter; the article's second convolution counts with those that "
        "minimal filtering leaves of it, 37 % for 64 images, so that a faster step may have a smaller share.",
        table(["step", "10⁹/s", *(f"of the {name}" for name in peaks)], rows),
    ]


def multiple(groups: Mapping[str, list[Info]]) -> list[str]:
    """What VAT costs over a supervised step, and what it must."""
    info = groups["multiple"][0]
    pairs = zip(info["engine_s"], info["reference_s"], strict=True)
    times = sorted(vat / supervised for vat, supervised in pairs)
    return [
        "## VAT over supervised",
        f"A VAT step on 32 labelled + 256 unlabelled rows takes {statistics.median(times):.2f} times a supervised step on 288 "
        f"labelled rows ({1 / info['high']:.2f} to {1 / info['low']:.2f}, {info['rounds']} rounds).",
        "Passes: a supervised row goes forward once, and back to the input and to the weights (3). An unlabelled row of VAT goes "
        "forward three times (target, direction, loss), back to the input twice and back to the weights once (6). So 288 rows "
        f"would cost (32 · 3 + 256 · 6) / (288 · 3) = 1.89 times as much; counted in floating-point operations "
        f"it is {info['floor']:.2f}, for the first layer of a supervised step has no way back to the input.",
    ]


def parts(groups: Mapping[str, list[Info]]) -> list[str]:
    """Where the time of suites goes."""
    rows = []
    for info in groups["shares"]:
        seconds = dict(info["parts"])
        whole, cells = seconds.pop("whole"), seconds.pop("cells")
        around = whole - seconds["data"] - seconds["training"]
        measured = {"suite": f"{info['name']}: {cells:,} cells", "all": f"{whole:.0f} s"}
        measured |= {name: f"{100 * value / whole:.1f} %" for name, value in seconds.items()}
        rows.append(measured | {"all but data and training": f"{100 * around / whole:.1f} %"})
    return [
        "## Where the time of a suite goes",
        "In one process. Wanted: at most 5 % for all but data and training. The report is made once, however many cells there "
        "are, and a cell is evaluated at each point of its curve, however long its training.",
        table(list(rows[0]), [list(row.values()) for row in rows]),
    ]


def memory(groups: Mapping[str, list[Info]]) -> list[str]:
    """Whether memory grows with the cells."""
    info = groups["memory"][0]
    most, in_use = ([value / 2**20 for value in info["tenths"][what]] for what in ("most", "in_use"))
    return [
        "## Memory over many cells",
        f"{info['name']} in one process. In use after each tenth of them, when malloc has given back what is free: "
        f"{', '.join(f'{m:.0f}' for m in in_use)} MiB, from the second tenth to the "
        f"last {100 * (in_use[-1] / in_use[1] - 1):+.1f} %; a method's first stack adds its program. The most within each tenth, "
        f"which wanders with what malloc keeps for the next step: {', '.join(f'{m:.0f}' for m in most)} MiB.",
    ]


SECTIONS = {"peak": shares, "multiple": multiple, "shares": parts, "memory": memory}


if __name__ == "__main__":
    write(Path(sys.argv[1]))
