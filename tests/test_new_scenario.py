"""From somebody's data to a report, as they meet it: `sslbench new scenario`, `sslbench run`."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from sklearn.datasets import load_wine

import sslbench
from sslbench.errors import BadInput
from sslbench.new.scenario import write_suite
from sslbench.records import Store
from sslbench.suite import read_suite
from tests.data.test_files import image_folder, write_csv, write_image
from tests.test_cli import refused
from tests.test_cli import sslbench as cli

RNG = np.random.default_rng(0)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSLBENCH_DATA", raising=False)
    return tmp_path


def wine(path, share_known=1.0):
    data = load_wine()
    known = RNG.random(len(data.target)) < share_known
    kinds = np.where(known, data.target_names[data.target], "-1")
    rows = [[*map(repr, x.tolist()), kind] for x, kind in zip(data.data, kinds, strict=True)]
    return write_csv(path, [[*data.feature_names, "kind"], *rows])


def shots(root, unlabelled=30, each=12):
    image_folder(root, side=20, each=each, channels=(3,))
    for i in range(unlabelled):
        write_image(root / "unlabelled" / f"{i}.png", RNG.integers(0, 200, (20, 20, 3)))
    return root


def test_a_csv_file_becomes_a_report_in_two_commands(here, capsys):
    wine(here / "wine.csv", share_known=0.4)
    words = ["new", "scenario", "mine", "--data", "wine.csv", "--label-column", "kind", "--out", "suites"]
    code, out, _ = cli(*words, capsys=capsys)
    assert code == 0
    assert "wine.csv: 178 rows, 13 features, 3 classes" in out
    assert "class_1" in out
    assert "no label" in out
    assert "next    sslbench run suites/mine.toml --dry-run" in out
    assert cli("run", "suites/mine.toml", "--dry-run", capsys=capsys)[0] == 0

    quick = ["--set", "*.points=2", "--seeds", "1", "--workers", "0", "--no-mlflow"]
    content = (here / "suites" / "mine.toml").read_text()
    (here / "suites" / "mine.toml").write_text(content.replace("steps = 500", "steps = 4"))
    code, out, err = cli("run", "suites/mine.toml", *quick, capsys=capsys)
    assert (code, "Traceback" in err) == (0, False)
    folder = here / "results" / "local" / "mine"
    page = (folder / "report" / "report.html").read_text()
    assert "wine.csv" in page
    for text in (page, (folder / "records.jsonl").read_text()):
        assert str(here) not in text
    records = Store(folder).load()
    assert {r.method["name"] for r in records} == {"supervised", "pseudo-label", "pi-model", "vat"}
    assert {r.series for r in records} == {"mine"}

    code, out, _ = cli("rerun", folder, records[0].id, capsys=capsys)  # here the file is where the record's name leads
    assert code == 0
    assert "Every metric and every point of the curves is the same." in out
    (here / "wine.csv").rename(here / "suites" / "wine.csv")
    assert "--data-dir" in refused(capsys, "rerun", folder, records[0].id)


def test_an_image_folder_becomes_a_report_with_a_map(here, capsys):
    shots(here / "shots")
    code, out, _ = cli("new", "scenario", "shots", "--data", "shots", capsys=capsys)
    assert code == 0
    assert "images of 20 × 20, 3 channels, 2 classes" in out
    name = next(iter(read_suite(here / "shots.toml").scenarios))
    quick = [f"{name}.steps=4", f"{name}.points=2", f"{name}.tsne=true", f"{name}.labels=16", f"{name}.validation=0"]
    words = ["--methods", "supervised,vat", "--scenarios", name, "--seeds", "1", "--workers", "0", "--no-mlflow"]
    code, _, err = cli("run", "shots.toml", *words, *(w for q in quick for w in ("--set", q)), capsys=capsys)
    assert code == 0, err
    folder = here / "results" / "local" / "shots"
    record = next(r for r in Store(folder).load() if r.method["name"] == "vat")
    arrays = Store(folder).arrays(record)
    assert set(arrays["watched_y"].tolist()) == {-1}
    assert record.curves["pseudo_label_accuracy"] == [None, None]
    page = (folder / "report" / "report.html").read_text()
    assert "Nobody knows their labels." in page
    assert list((folder / "report" / "plots").glob("map-*.gif"))


@pytest.mark.parametrize(("share", "balanced"), [(1.0, True), (0.8, True), (0.3, False)])
def test_label_counts_suit_how_much_is_known(here, share, balanced):
    """Where most labels are known, few are given, evenly; where not, as many as there are, but for tests and validation."""
    suite = read_suite(write_suite(wine(here / "wine.csv", share), "mine", here, "kind").path)
    problems = [s.problem(sslbench.Rng.root(0)) for _, s in suite.scenarios.values()]
    if balanced:
        counts = [np.bincount(p.y[p.labelled], minlength=3).tolist() for p in problems]
        assert counts[:2] == [[2] * 3, [10] * 3][: len(counts)]
        assert all(int((p.y[p.unlabelled] >= 0).sum()) > 40 for p in problems)
    else:
        last = problems[-1]
        known = int((last.y >= 0).sum())
        assert len(last.labelled) + len(last.validation) + len(last.test) == known
        assert set(last.y[last.unlabelled].tolist()) == {-1}


def tables(path):
    return next(iter(tomllib.loads(path.read_text())["scenario"].values()))


def test_what_is_peculiar_is_told_and_written_down(here):
    x = RNG.normal(size=(1000, 2))
    np.savez(here / "d.npz", x=x, y=[0] * 980 + [1] * 10 + [-1] * 10)
    written = write_suite(here / "d.npz", "rare", here)
    assert any("very different sizes" in line for line in written.lines)
    assert tables(written.path)["draw"] == "balanced"
    np.savez(here / "d.npz", x=x, y=[0] * 997 + [1] * 3)
    assert tables(write_suite(here / "d.npz", "rarer", here).path)["draw"] == "stratified"

    image_folder(here / "big", side=70, each=8)
    write_image(here / "big" / "cat" / "odd.png", np.zeros((90, 80)))
    written = write_suite(here / "big", "big", here)
    assert tables(written.path)["size"] == 32
    assert any("resized to 32 × 32" in line for line in written.lines)

    np.savez(here / "small.npz", x=np.zeros((40, 8, 8)), y=np.arange(40) % 2)
    assert tables(write_suite(here / "small.npz", "small", here).path)["size"] == 32


def test_a_test_set_and_odd_names_are_written_so_that_they_are_read_again(here):
    rows = [[f"{i}", str(i), "a" if i % 2 else 'b"\\', "x"] for i in range(60)]
    header = ["who", 'a "b"', "la bel, é", "note"]
    train = write_csv(here / 'd "1".csv', [header, *rows])
    test = write_csv(here / "t.csv", [header, *rows[:10]])
    written = write_suite(train, "odd", here / "deep" / "er", "la bel, é", ignore=["who", "note"], test=test)
    scenario = next(iter(read_suite(written.path).scenarios.values()))[1]
    assert scenario.dataset(sslbench.Rng.root(0)).x_test.shape == (10, 1)
    assert set(scenario.class_names()) == {"a", 'b"\\'}
    assert "test_fraction" not in written.path.read_text()


def test_what_cannot_be_written_is_refused_and_nothing_is_left(here, capsys):
    wine(here / "wine.csv")
    words = ["new", "scenario", "mine", "--data", "wine.csv"]
    assert "Which column of wine.csv has the labels?" in refused(capsys, *words)
    assert "has no column 'kinds'" in refused(capsys, *words, "--label-column", "kinds")
    assert "No data file or folder none.csv" in refused(capsys, "new", "scenario", "mine", "--data", "none.csv")
    named = ["--data", "wine.csv", "--label-column", "kind"]
    assert "cannot name a scenario" in refused(capsys, "new", "scenario", "a/b", *named)
    assert "cannot be ignored" in refused(capsys, "new", "scenario", "mine", *named, "--ignore", "kind")
    assert not list(here.glob("*.toml"))
    assert cli("new", "scenario", "mine", *named, capsys=capsys)[0] == 0
    before = (here / "mine.toml").read_text()
    assert "mine.toml is there already" in refused(capsys, "new", "scenario", "mine", *named)
    assert cli("new", "scenario", "mine", *named, "--force", capsys=capsys)[0] == 0
    assert (here / "mine.toml").read_text() == before
    (here / "taken").write_text("")
    assert "cannot be written" in refused(capsys, "new", "scenario", "mine", *named, "--out", "taken/deeper")


def test_too_few_labels_are_refused(here):
    rows = [[str(i), "a" if i < 9 else "b" if i < 10 else "-1"] for i in range(30)]
    path = write_csv(here / "d.csv", [["x", "y"], *rows])
    with pytest.raises(BadInput, match="Class b has 1 row with a label: at least 2"):
        write_suite(path, "few", here, "y")
