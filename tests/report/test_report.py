"""The report as a whole: the files, the page, and that the same records give the same bytes."""

from __future__ import annotations

import hashlib
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from sslbench.errors import BadInput
from sslbench.report import Report, gallery, write_report
from sslbench.report.palette import KNOWN
from tests.report.factory import METHODS, SCENARIOS, TWENTY, lost, record, whole, write

VOID = {"meta", "img", "br", "link", "input", "hr"}
HOSTILE = "<script>alert('x')</script>"


class Page(HTMLParser):
    """Collects what the tests ask about and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def classed(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.tags if name in (attrs.get("class") or "").split()]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return write_report(write(tmp_path_factory.mktemp("results"), whole(seeds=2, points=8)))


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return report.html.read_text(encoding="utf-8")


def test_every_file_is_written(report: Report) -> None:
    assert report.folder.name == "report"
    assert {p.name for p in report.paths[:4]} == {"report.html", "comparison.md", "comparison.csv", "comparison.tex"}
    assert all(path.stat().st_size > 0 for path in report.paths)
    assert {p.suffix for p in report.plots} == {".png", ".svg"}
    assert set(report.plots) == set((report.folder / "plots").iterdir())


def test_the_same_records_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of processes, and even if what they drew was lost."""
    kinds = ("mnist5k-10", "mnist5k-20", "mnist5k-1000-no7", "two-moons-6")  # between them every kind of plot
    cells = [c for c in whole(seeds=2, points=6) if c[0].scenario["name"] in kinds]
    digests = []
    for name, processes in (("one", 1), ("two", 2), ("one", 3)):
        monkeypatch.setattr(gallery, "cores", lambda count=processes: count)
        digests.append(_digests(write_report(write(tmp_path / name, cells)).folder))
    monkeypatch.setattr(gallery, "in_turns", lambda draw, processes: [])
    digests.append(_digests(write_report(tmp_path / "one").folder))
    assert digests[1:] == digests[:1] * 3


def test_the_page_loads_nothing_from_anywhere(html: str) -> None:
    page = Page(html)
    sources = [attrs[name] for _, attrs in page.tags for name in ("src", "href", "srcset", "action") if attrs.get(name)]
    assert sources
    assert all(str(source).startswith(("data:image/png;base64,", "#")) for source in sources)
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    assert "url(" not in html


def test_the_page_is_well_formed(html: str) -> None:
    page = Page(html)
    assert html.startswith("<!doctype html>")
    assert page.open == []
    assert page.all("html") == [{"lang": "en"}]
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
    assert all(attrs.get("alt") for attrs in page.all("img"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for a in page.all("a")} <= set(ids)


def test_every_accuracy_can_be_asked_about(report: Report, html: str) -> None:
    page, entries = Page(html), [e for e in report.comparison.entries.values() if e.n]
    asked = {attrs["id"]: attrs for attrs in page.classed("asked")}
    assert [b["popovertarget"] for b in page.classed("ask")] == list(asked)
    assert len(asked) == len(entries)
    assert all("popover" in attrs for attrs in asked.values())
    assert "sslbench rerun DIR vat/two-moons-6/seed0" in html


def test_every_scenario_has_its_part_with_its_plots(html: str) -> None:
    parts = Page(html).classed("scenario")
    assert [part["id"] for part in parts] == [f"scenario-{n + 1}" for n in range(len(SCENARIOS))]
    assert [("open" in part) for part in parts] == [True] + [False] * (len(SCENARIOS) - 1)  # of so many only the first
    order = [html.index(text) for text in ('id="scenario-6"', "the boundaries that were learned", 'id="scenario-7"')]
    assert order == sorted(order)


def test_a_method_has_the_colour_of_its_plots_in_the_tables(html: str) -> None:
    colours = {str(attrs["style"]).removeprefix("background:") for attrs in Page(html).classed("chip")}
    assert colours == {KNOWN[name].colour for name in METHODS}


def test_the_page_loads_itself_again_only_if_asked(tmp_path: Path, html: str) -> None:
    folder = write(tmp_path, [(record(), {})])
    assert "location.reload" not in html
    assert "location.reload" in write_report(folder, reload=True).html.read_text(encoding="utf-8")


def test_headings_leave_out_no_level(html: str) -> None:
    levels = [int(tag[1]) for tag, _ in Page(html).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_page_tells_what_its_reader_asks(html: str) -> None:
    assert "vat has the highest mean accuracy on" in html
    assert "the loss is not finite at step 431" in html
    assert "a consistency loss has no scikit-learn form" in html
    assert "radius = 1.5 (0.3 on two-moons-6" in html
    assert "6d20d38a9f1c" in html
    assert "Only to compare" in html or "only to compare" in html


@pytest.mark.slow
def test_ten_methods_on_twenty_scenarios_stay_small(tmp_path: Path) -> None:
    """Of four seeds, to be quick: the pictures, which are most of the page, do not grow with the seeds."""
    cells = whole(4, tuple(KNOWN)[:10], points=20, scenarios=TWENTY)
    made = write_report(write(tmp_path, cells))
    assert made.html.stat().st_size < 6e6
    assert len(Page(made.html.read_text(encoding="utf-8")).classed("scenario")) == len(TWENTY) == 20


def test_markup_in_names_and_reasons_is_text(tmp_path: Path) -> None:
    cells = [record("supervised"), record(HOSTILE, accuracy=0.95), lost("vat", "mnist5k-50", 0, "failed", HOSTILE)]
    made = write_report(write(tmp_path, [(r, {}) for r in cells]))
    html = made.html.read_text(encoding="utf-8")
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html
    assert len(Page(html).all("script")) == 1
    assert HOSTILE not in made.markdown.read_text(encoding="utf-8")


def test_csv_holds_the_comparison(report: Report) -> None:
    read = pd.read_csv(report.csv).set_index(["method", "scenario"])
    for (method, scenario), entry in report.comparison.entries.items():
        assert read.loc[(method, scenario), "n"] == entry.n
        assert read.loc[(method, scenario), "mean"] == pytest.approx(entry.mean, abs=1e-6, nan_ok=True)


def test_markdown_and_latex_show_the_same_numbers(report: Report) -> None:
    text, tex = report.markdown.read_text(encoding="utf-8"), report.latex.read_text(encoding="utf-8")
    for entry in report.comparison.entries.values():
        if entry.n:
            assert entry.text in text
            assert entry.text.replace("±", r"$\pm$") in tex


def test_a_folder_without_records_is_told_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"No records in .*sslbench run SUITE\.toml"):
        write_report(tmp_path / "empty")


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    folder = write(tmp_path / "results", [(record(), {})])
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput, match="cannot be written"):
        write_report(folder, out=tmp_path / "file" / "report")


def test_plots_of_an_earlier_report_are_removed_only_from_its_own_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "results", [(record(), {})])
    for plots in (folder / "report" / "plots", tmp_path / "out" / "plots"):
        plots.mkdir(parents=True)
        (plots / "old.png").write_bytes(b"old")
    write_report(folder)
    write_report(folder, out=tmp_path / "out")
    assert not (folder / "report" / "plots" / "old.png").exists()
    assert (tmp_path / "out" / "plots" / "old.png").exists()


def test_records_copied_without_their_arrays_still_make_a_report(tmp_path: Path) -> None:
    cells = [(made, {}) for made, _ in whole(seeds=1, points=6) if made.scenario["family"] == "two-moons"]
    assert not [p for p in write_report(write(tmp_path, cells)).plots if p.name.startswith("boundary")]


def test_bare_records_make_a_report(tmp_path: Path) -> None:
    bare = record(provenance={}, timing={}, metrics={"accuracy": {"final": 0.5}}, peak_memory_bytes=0)
    lonely = [(bare, {}), (lost("vat", "mnist5k-20", 0, "failed", ""), {})]
    html = write_report(write(tmp_path, lonely)).html.read_text(encoding="utf-8")
    assert "no reason was recorded" in html
    assert ">nan<" not in html.lower()


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
