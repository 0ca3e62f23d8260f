"""`sslbench check` as its user meets it."""

from __future__ import annotations

import json

import pytest

from tests.test_cli import sslbench
from tests.test_registry import clean_registry  # noqa: F401 (a fixture)

PLUGIN = '''
"""Two methods of somebody's own (unpublished)."""

from dataclasses import dataclass

from sslbench import FitMethod, LossMethod, method


@method("theirs")
@dataclass(frozen=True)
class Theirs(FitMethod):
    """Wants an estimator, and fits it on the labelled examples."""

    {field}

    needs_estimator = True
    unlabelled = False

    def fit(self, task, rng, watch):
        estimator = task.estimator(int(rng.integers(1 << 31, 1))).fit(task.x, task.y)
        import torch

        def predict(x):
            found = torch.zeros(len(x), task.classes)
            found[:, estimator.classes_] = torch.from_numpy(estimator.predict_proba(x.numpy())).float()
            return found

        return predict
'''
GOOD = 'power: float = 1.0\n    """What it is."""'
BAD = "power: float = 1.0"


@pytest.fixture
def plugin(tmp_path, monkeypatch, clean_registry):  # noqa: F811
    """Writes the plugin, in the working folder."""
    monkeypatch.chdir(tmp_path)

    def write(field):
        path = tmp_path / "theirs.py"
        path.write_text(PLUGIN.replace("{field}", field))
        return path

    return write


def test_a_good_plugin_is_told_so(plugin, capsys):
    code, out, _ = sslbench("check", "--plugin", plugin(GOOD), capsys=capsys)
    assert code == 0
    assert "theirs: kept:" in out
    assert "✓" in out
    assert "✗" not in out
    assert "– points, features, images: skipped: it needs a scenario with a scikit-learn estimator" in out
    assert "– alive on estimator: skipped: it uses no unlabelled examples" in out


def test_what_is_broken_is_told_with_its_place(plugin, capsys):
    code, out, _ = sslbench("check", "theirs", "--plugin", plugin(BAD), capsys=capsys)
    assert code == 1
    assert "✗ docstrings\n    expected  a docstring under `power`" in out
    assert "    seen      none\n    where     theirs.py:14\n" in out
    assert "theirs: broken:" in out


def test_the_json_has_every_case(plugin, capsys):
    code, out, _ = sslbench("check", "theirs", "--plugin", plugin(BAD), "--json", capsys=capsys)
    assert code == 1
    (found,) = json.loads(out)["methods"]
    assert (found["method"], found["passed"]) == ("theirs", False)
    by_place = {(c["check"], c["on"]): c for c in found["checks"]}
    assert by_place["docstrings", "class"]["status"] == "failed"
    assert by_place["blind", "estimator"]["status"] == "passed"
    assert by_place["runs", "images"]["reason"]
    assert all(c["promise"] for c in found["checks"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check"], "none is named: give its name, --plugin FILE.py, or --all"),
        (["check", "vta"], "Did you mean 'vat'"),
        (["check", "vat", "--set", "vat.radius=-1"], "radius = -1"),
        (["check", "vat", "--set", "pi-model.weight=1"], "--set names 'pi-model', which is not checked"),
        (["check", "vat", "--plugin", "none.py"], "No plugin file"),
    ],
)
def test_bad_input_is_one_line(words, message, capsys):
    code, _, err = sslbench(*words, capsys=capsys)
    assert code == 2
    assert message in " ".join(err.split())
