"""Suite files: what they mean, what they refuse, and what a cell's key depends on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslbench import suite
from sslbench.errors import BadInput
from sslbench.runner import resolve_device
from sslbench.scenarios.two_moons import TwoMoons
from sslbench.suite import Overrides, data_digests, make_suite, params, parse_seeds, read_content, read_suite, relocated

BASE = {"name": "x", "methods": ["supervised", "vat"], "scenarios": ["mnist5k-50", "two-moons-6"]}
SUITES = sorted(Path(__file__).parent.parent.glob("benchmarks/*.toml"))


def only(suite, method="vat", scenario="mnist5k-50"):
    return suite.methods[method][1][scenario]


def keys(suite):
    return {cell.id: cell.key("data") for cell in suite.cells()}


@pytest.mark.parametrize("path", SUITES, ids=lambda p: p.stem)
def test_the_suite_files_here_are_valid(path):
    assert list(read_suite(path).cells())


def test_the_quick_suite_is_84_cells():
    suite = read_suite(next(p for p in SUITES if p.stem == "quick"))
    assert len({cell.id for cell in suite.cells()}) == 84
    assert "vat/mnist5k-50/seed2" in {cell.id for cell in suite.cells()}


def test_parameters_are_settled_from_the_general_to_the_particular():
    suite = make_suite(
        BASE
        | {
            "method": {"vat": {"xi": 0.5, "on": {"mnist5k-50": {"xi": 0.7}}}},
            "scenario": {"*": {"steps": 9, "shift": 1}, "mnist5k-50": {"steps": 8}},
        }
    )
    assert only(suite).xi == 0.7
    assert only(suite, scenario="two-moons-6").xi == 0.5
    assert only(suite, scenario="two-moons-6").radius == 0.3  # what the scenario recommends
    assert suite.scenarios["mnist5k-50"][1].steps == 8
    assert suite.scenarios["mnist5k-50"][1].shift == 1
    assert suite.scenarios["two-moons-6"][1].steps == 9


def test_a_variant_has_a_name_of_its_own():
    suite = make_suite(
        BASE
        | {
            "methods": ["vat", "wide"],
            "scenarios": ["mnist5k-100"],
            "method": {"wide": {"base": "vat", "radius": 9.0}},
            "scenario": {"mnist5k-100": {"base": "mnist5k-50", "labels": 100}},
        }
    )
    assert suite.methods["wide"][0] == "vat"
    assert only(suite, "wide", "mnist5k-100").radius == 9
    assert suite.scenarios["mnist5k-100"][1].labels == 100


def test_overrides_win():
    overrides = Overrides(
        ["vat"],
        ["mnist5k-50"],
        "3,7,10-12",
        ["vat.radius=2.5", "mnist5k-50.steps=7", "mnist5k-50.optimizer=sgd", "*.points=3"],
    )
    suite = make_suite(BASE, overrides)
    scenario = suite.scenarios["mnist5k-50"][1]
    assert suite.seeds("mnist5k-50") == (3, 7, 10, 11, 12)
    assert (only(suite).radius, scenario.steps, scenario.optimizer, scenario.points) == (2.5, 7, "sgd", 3)
    assert list(suite.methods) == ["vat"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ["vta"]}, "Unknown method 'vta'. Did you mean 'vat'"),
        ({"scenarios": ["mnist5k-5"]}, "Unknown scenario 'mnist5k-5'. Did you mean 'mnist5k-50'"),
        ({"seedz": 3}, "Unknown key of the suite 'seedz'. Did you mean 'seed"),
        ({"methods": []}, "methods is empty"),
        ({"methods": ["vat", "vat"]}, "names 'vat' twice"),
        ({"methods": "vat"}, "methods = 'vat' is not valid"),
        ({"seeds": 0}, "seeds = 0 names no seeds"),
        ({"seeds": []}, "names no seeds"),
        ({"seeds": "5-x"}, "seeds = '5-x' names no seeds"),
        ({"seeds": [1, 1]}, "names a seed twice"),
        ({"seeds": [-1]}, "names no seeds"),
        ({"seeds": 1.5}, "seeds = 1.5 is not valid"),
        ({"seed": -1}, "seed = -1"),
        ({"method": {"vat": {"radios": 1.0}}}, "Unknown key of method 'vat' 'radios'. Did you mean 'radius'"),
        ({"method": {"vat": {"radius": "2"}}}, "method 'vat': radius = '2' is not valid"),
        ({"method": {"vat": {"radius": 0.0}}}, "radius = 0.0 is not valid: input should be greater than 0"),
        ({"method": {"vat": {"iterations": 1.5}}}, "iterations = 1.5 is not valid"),
        ({"method": {"vat": {"on": {"mnist5k-5": {}}}}}, "Unknown scenario in .method.vat.on.mnist5k-5."),
        ({"method": {"vta": {"radius": 1.0}}}, "Unknown method in .method.vta. 'vta'"),
        ({"method": {"v": {"base": "vta"}}}, "Unknown method 'vta'"),
        ({"method": {"vat": {"base": "vat"}}}, "'vat' is a registered method: choose another name"),
        ({"method": {"vat": 3}}, "holds tables"),
        (
            {"scenario": {"mnist5k-50": {"optimizer": "adamw"}}},
            "optimizer = 'adamw' is not valid: input should be 'adam' or 'sgd'",
        ),
        ({"scenario": {"mnist5k-50": {"steps": True}}}, "steps = True is not valid"),
        ({"method": {"pi-model": {"wieght": 3}}}, "Unknown key of method 'pi-model' 'wieght'. Did you mean 'weight'"),
        ({"method": {"vat": {"radius": float("inf")}}}, "radius = inf is not valid: give a finite number"),
        ({"name": "../x"}, "cannot name a folder"),
        ({"seeds": 10**12}, "too many"),
        ({"seeds": "²"}, "names no seeds"),
        ({"scenario": {"*": {"stepz": 3}}}, "Unknown key of .*stepz.*Did you mean 'steps'"),
        ({"methods": ["pseudo-label"], "method": {"pseudo-label": {"ramp_end": 0.0}}}, "ramp_end must be at least"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(changes, message):
    with pytest.raises(BadInput, match=message) as caught:
        make_suite(BASE | changes)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named():
    with pytest.raises(BadInput, match="the suite has no scenarios"):
        make_suite({"name": "x", "methods": ["vat"]})


@pytest.mark.parametrize("setting", ["vat", "vat.radius", "radius=1", "=1", ".radius=1"])
def test_a_setting_of_another_form_is_refused(setting):
    with pytest.raises(BadInput, match="NAME.PARAMETER=VALUE"):
        make_suite(BASE, Overrides(settings=[setting]))


def test_a_setting_that_touches_nothing_is_refused():
    with pytest.raises(BadInput, match="'pi-model' is not in this run, which has supervised, vat"):
        make_suite(BASE, Overrides(settings=["pi-model.weight=1.0"]))
    with pytest.raises(BadInput, match="methods is empty"):
        make_suite(BASE, Overrides(methods=[]))


def test_the_file_is_named(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text("methods = [\n")
    with pytest.raises(BadInput, match=r"s\.toml cannot be read"):
        read_suite(path)
    path.write_text('methods = ["vat"]\nscenarios = ["two-moons-6"]\nseeds = 0\n')
    with pytest.raises(BadInput, match=r"s\.toml: seeds = 0"):
        read_suite(path)
    with pytest.raises(BadInput, match="No suite file"):
        read_suite(tmp_path / "none.toml")
    path.write_text('methods = ["vat"]\nscenarios = ["two-moons-6"]\n')
    assert read_suite(path).name == "s"


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8, unique=True))
def test_seeds_may_be_named_in_a_list_or_in_words(seeds):
    words = ",".join(map(str, seeds)) if len(seeds) > 1 else f"{seeds[0]}-{seeds[0]}"  # a lone number is a count
    assert parse_seeds(words) == parse_seeds(seeds) == tuple(seeds)


def test_seeds_in_words():
    assert parse_seeds("3") == (0, 1, 2)
    assert parse_seeds("3,7,1000-1002") == (3, 7, 1000, 1001, 1002)
    assert parse_seeds("7-7") == (7,)


# Keys -----------------------------------------------------------------------------------------------------------------


def changed(one, other):
    before, after = keys(one), keys(other)
    return {name for name in before if before[name] != after.get(name)}


def test_a_parameter_changes_the_keys_of_what_it_touches_only():
    base = make_suite(BASE)
    assert keys(base) == keys(make_suite(BASE))
    radius = make_suite(BASE, Overrides(settings=["vat.radius=3.0"]))
    assert changed(base, radius) == {k for k in keys(base) if k.startswith("vat/")}
    one = make_suite(BASE | {"method": {"vat": {"on": {"mnist5k-50": {"xi": 0.5}}}}})
    assert changed(base, one) == {k for k in keys(base) if k.startswith("vat/mnist5k-50")}
    steps = make_suite(BASE, Overrides(settings=["two-moons-6.steps=3"]))
    assert changed(base, steps) == {k for k in keys(base) if "/two-moons-6/" in k}
    assert changed(base, make_suite(BASE | {"seed": 1})) == set(keys(base))


def test_more_seeds_or_methods_leave_the_keys_as_they_are():
    base, more = make_suite(BASE), make_suite(BASE | {"seeds": 5, "methods": [*BASE["methods"], "pi-model"]})
    assert keys(base).items() <= keys(more).items()


def test_the_source_of_a_method_is_all_that_it_takes_from_its_kind(monkeypatch):
    """The interleaved loop takes its ramp from pseudo_label.py."""
    seen = []
    monkeypatch.setattr("sslbench.suite.code.source_digest", lambda *modules: seen.append(modules) or "x")
    list(make_suite(BASE | {"methods": ["pseudo-label-interleaved", "vat"], "scenarios": ["mnist5k-1000-no7"]}).cells())
    modules = [set(m) for m in seen]
    assert any({"sslbench.methods.pseudo_label_interleaved", "sslbench.methods.pseudo_label"} <= m for m in modules)
    assert any("sslbench.methods.vat" in m and "sslbench.methods.pseudo_label" not in m for m in modules)
    assert any({"sslbench.scenarios.missing_class", "sslbench.scenarios.label_count"} <= m for m in modules)


def test_data_and_code_change_the_key():
    cell = next(make_suite(BASE).cells())
    assert cell.key("a") != cell.key("b")
    assert dataclasses.replace(cell, source=dataclasses.replace(cell.source, method="other")).key("a") != cell.key("a")


GRIDS = {
    "name": "g",
    "seeds": 2,
    "scenarios": ["two-moons-6"],
    "grid": [
        {"methods": ["supervised", "vat"]},
        {"methods": ["supervised"], "scenarios": ["mnist5k-50"], "seeds": [5], "training_seeds": 3},
        {"methods": ["vat"], "scenarios": ["two-moons-6"], "seeds": "1-2"},
    ],
}


def test_a_suite_of_several_grids_has_each_cell_once():
    suite = make_suite(GRIDS)
    assert [c.id for c in suite.cells()] == [
        *(f"{m}/two-moons-6/seed{s}" for m in ("supervised", "vat") for s in (0, 1)),
        *(f"supervised/mnist5k-50/seed5-training{t}" for t in range(3)),
        "vat/two-moons-6/seed2",
    ]
    assert suite.seeds("two-moons-6") == (0, 1, 2)
    assert suite.methods_on("mnist5k-50") == ("supervised",)
    assert len(set(keys(suite).values())) == 8


def test_the_command_line_picks_from_the_grids():
    chosen = make_suite(GRIDS, Overrides(methods=["vat"], seeds="9-9"))
    assert [c.id for c in chosen.cells()] == ["vat/two-moons-6/seed9"]
    with pytest.raises(BadInput, match="Unknown method of this suite 'pi-model'. Known: supervised, vat"):
        make_suite(GRIDS, Overrides(methods=["pi-model"]))
    with pytest.raises(BadInput, match="No grid of this suite"):
        make_suite(GRIDS, Overrides(methods=["vat"], scenarios=["mnist5k-50"]))
    with pytest.raises(BadInput, match="methods is empty"):
        make_suite(GRIDS, Overrides(methods=[]))


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        ([{"methods": ["vat"], "colour": 3}], r"Unknown key of \[\[grid\]\] 1 'colour'"),
        ([{"scenarios": ["two-moons-6"]}], r"\[\[grid\]\] 1 has no methods: add it"),
        ([{"methods": ["vat"], "scenarios": []}], r"scenarios of \[\[grid\]\] 1 is empty"),
        ([{"methods": ["vat", "vat"]}], "names 'vat' twice"),
        ([{"methods": ["vta"]}], "Unknown method 'vta'"),
        ([{"methods": ["vat"], "seeds": 0}], "seeds = 0 names no seeds"),
        ([{"methods": ["vat"], "training_seeds": 0}], "training_seeds = 0 names no seeds"),
        ({"methods": ["vat"]}, r"write \[\[grid\]\]"),
    ],
)
def test_a_wrong_grid_is_told(grids, message):
    with pytest.raises(BadInput, match=message):
        make_suite({"name": "g", "scenarios": ["two-moons-6"], "grid": grids})


def test_a_variant_may_be_the_base_of_another():
    suite = make_suite(
        BASE
        | {
            "methods": ["wide", "wider"],
            "scenarios": ["short", "shorter"],
            "method": {
                "wide": {"base": "vat", "radius": 9.0, "xi": 0.5, "on": {"short": {"xi": 0.6}}},
                "wider": {"base": "wide", "radius": 10.0, "on": {"shorter": {"xi": 0.7}}},
            },
            "scenario": {
                "short": {"base": "mnist5k-50", "steps": 9, "lr": 0.5},
                "shorter": {"base": "short", "steps": 8},
            },
        }
    )
    assert suite.methods["wider"][0] == "vat"
    assert (only(suite, "wider", "shorter").radius, only(suite, "wider", "shorter").xi) == (10, 0.7)
    assert only(suite, "wider", "short").xi == 0.6
    assert suite.scenarios["shorter"][0] == "mnist5k-50"
    assert (suite.scenarios["shorter"][1].steps, suite.scenarios["shorter"][1].lr) == (8, 0.5)
    assert suite.origins["wider", "short"] == {
        "weight": "default", "radius": "suite", "xi": "suite", "iterations": "default", "entropy": "default",
    }  # fmt: skip


def test_bases_that_lead_in_a_circle_are_refused():
    circle = {"a": {"base": "b"}, "b": {"base": "a"}}
    with pytest.raises(BadInput, match="leads back to"):
        make_suite(BASE | {"methods": ["a"], "method": circle})


def test_it_is_known_where_a_parameter_was_set():
    suite = make_suite(BASE | {"method": {"vat": {"xi": 0.5}}}, Overrides(settings=["vat.weight=2.0"]))
    assert suite.origins["vat", "two-moons-6"] == {
        "weight": "--set", "radius": "scenario", "xi": "suite", "iterations": "default", "entropy": "scenario",
    }  # fmt: skip


def test_precision_is_part_of_the_key_and_of_cuda():
    assert set(keys(make_suite(BASE)).values()).isdisjoint(keys(make_suite(BASE | {"precision": "tf32"})).values())
    with pytest.raises(BadInput, match="precision = 'half' is not valid"):
        make_suite(BASE | {"precision": "half"})
    with pytest.raises(BadInput, match="arithmetic of CUDA devices"):
        resolve_device("cpu", "tf32")


def test_cuda_graphs_change_no_key():
    assert keys(make_suite(BASE)) == keys(make_suite(BASE | {"cuda_graphs": True}))
    assert make_suite(BASE | {"cuda_graphs": True}).cuda_graphs
    with pytest.raises(BadInput, match="cuda_graphs = 'yes' is not valid"):
        make_suite(BASE | {"cuda_graphs": "yes"})


@pytest.mark.parametrize("drawn", [True, False])
def test_planning_draws_no_data_of_which_it_is_told_that_they_are_drawn(drawn):
    asked = []

    class Data(TwoMoons):
        def dataset(self, rng):
            asked.append(rng.key.tolist())
            return dataclasses.replace(super().dataset(rng), drawn=drawn)

    digests = data_digests(Data(labels=6), 0, [5, 6, 7])
    assert len(asked) == (1 if drawn else 4)
    assert len(set(digests.values())) == (1 if drawn else 3)
    others = data_digests(Data(labels=6, noise=0.2), 0, [5, 6, 7])
    assert set(others.values()).isdisjoint(digests.values())


# Paths of data


def own_suite(tmp_path, path="data/d.csv", top=""):
    (tmp_path / "data").mkdir(exist_ok=True)
    rows = "".join(f"{i},{i % 2}\n" for i in range(40))
    (tmp_path / "data" / "d.csv").write_text("a,y\n" + rows)
    file = tmp_path / "s.toml"
    table = f'base = "own-features"\npath = "{path}"\nlabel_column = "y"\nlabels = 4\n'
    file.write_text(f'{top}\nmethods = ["supervised"]\nscenarios = ["mine"]\n[scenario.mine]\n{table}')
    return file


@pytest.mark.parametrize(("path", "top"), [("data/d.csv", ""), ("d.csv", 'folder = "data"')])
def test_a_relative_path_starts_at_the_folder_of_the_suite_file(tmp_path, monkeypatch, path, top):
    file = own_suite(tmp_path, path, top)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for named in (file, Path("../s.toml")):
        scenario = read_suite(named).scenarios["mine"][1]
        assert scenario.path == str(tmp_path / "data" / "d.csv")


def test_no_folder_is_in_a_key_or_a_record(tmp_path):
    """The same data give the same key wherever they lie."""
    suites = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        suites.append(read_suite(own_suite(tmp_path / name)))
    cells = [next(suite.cells()) for suite in suites]
    assert cells[0].scenario.path != cells[1].scenario.path
    assert cells[0].key("data") == cells[1].key("data")
    assert params(cells[0].scenario)["path"] == "d.csv"
    assert suite.changed(cells[0].scenario, {"labels": 6}).path == cells[0].scenario.path


def test_a_suite_that_moves_leads_to_the_same_data(tmp_path):
    content = read_content(own_suite(tmp_path))
    moved = relocated(content, tmp_path / "results" / "local" / "tuned.toml")
    assert moved["folder"] == "../.."
    assert "folder" not in relocated(read_content(SUITES[0]), tmp_path / "q.toml")


# Time limits


def test_a_time_limit_is_no_part_of_a_cell_and_the_command_line_goes_before():
    limited = make_suite(BASE | {"timeout": 30})
    assert limited.timeout == 30.0
    assert make_suite(BASE | {"timeout": 30}, Overrides(timeout=0.5)).timeout == 0.5
    assert make_suite(BASE).timeout is None
    assert keys(limited) == keys(make_suite(BASE))


@pytest.mark.parametrize("timeout", [0, -1, "30 min", float("inf"), True])
def test_a_time_limit_is_a_positive_number_of_minutes(timeout):
    with pytest.raises(BadInput, match="timeout = "):
        make_suite(BASE | {"timeout": timeout})
