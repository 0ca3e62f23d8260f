"""Registry: discovery, plugins, entry points, names."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from sslbench.errors import BadInput
from sslbench.methods.base import method
from sslbench.registry import METHODS, Registry, load_plugin, source_digest
from sslbench.scenarios.base import scenario


def write_plugin(path, name="mine", body="return Loss(labelled=cross_entropy(model, batch, rng))"):
    path.write_text(
        textwrap.dedent(f'''
        """A plugin."""
        from dataclasses import dataclass
        from sslbench.methods.base import Loss, LossMethod, cross_entropy, method

        @method("{name}")
        @dataclass(frozen=True)
        class Mine(LossMethod):
            """My own method."""
            weight: float = 1.0

            def loss(self, model, batch, step, rng):
                {body}
        ''')
    )
    return path


@pytest.fixture
def clean_registry(monkeypatch):
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    monkeypatch.setattr(METHODS, "_origins", dict(METHODS._origins))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("sslbench_plugin"):
            del sys.modules[name]


def test_the_built_ins_are_found_in_their_files():
    assert {"supervised", "pseudo-label", "pseudo-label-interleaved", "pi-model", "vat"} <= set(method.names())
    assert {"mnist-10", "mnist5k-1000-no7", "two-moons-6", "mnist5k-1000-logreg"} <= set(scenario.names())


def test_listing_loads_nothing_heavy():
    code = "import sys; from sslbench.registry import METHODS as m; assert [*m.listings()]; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_listing_says_what_it_is():
    for registry in (method, scenario):
        built_in = [listing for listing in registry.listings() if listing.name in registry._built_in]
        assert len(built_in) > 4
        assert all(listing.summary and listing.origin == "built-in" for listing in built_in)


def test_an_unknown_name_tells_the_nearest_and_the_known():
    with pytest.raises(BadInput, match=r"Unknown method 'vta'. Did you mean 'vat'\? Known: .*pi-model"):
        method.get("vta")


def test_a_duplicate_name_raises():
    registry = Registry("thing", "sslbench.stats")
    registry("a")(int)
    with pytest.raises(BadInput, match="'a'.*already taken"):
        registry("a")(float)


def test_a_plugin_file_registers_its_method(tmp_path, clean_registry):
    path = write_plugin(tmp_path / "mine.py")
    module = load_plugin(path)
    assert load_plugin(path) is module
    assert method.get("mine").thing is module.Mine
    listing = next(entry for entry in method.listings() if entry.name == "mine")
    assert listing.summary == "My own method."


def test_a_plugin_may_not_take_a_built_in_name(tmp_path, clean_registry):
    with pytest.raises(BadInput, match=r"'vat'.*already taken"):
        load_plugin(write_plugin(tmp_path / "mine.py", name="vat"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("def broken(:\n", "SyntaxError"), ("x = 1\nraise RuntimeError('boom')\n", r"RuntimeError: boom \(line 2\)")],
)
def test_a_plugin_that_cannot_be_loaded_is_one_line(tmp_path, clean_registry, text, message):
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(BadInput, match=message):
        load_plugin(tmp_path / "bad.py")


def test_a_missing_plugin_file_is_named(tmp_path):
    with pytest.raises(BadInput, match="No plugin file"):
        load_plugin(tmp_path / "none.py")


def test_an_entry_point_is_found_and_loaded(tmp_path, monkeypatch, clean_registry):
    write_plugin(tmp_path / "their_module.py", name="theirs")
    info = tmp_path / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[sslbench.methods]\ntheirs = their_module:Mine\nempty = their_module:dataclass\ngone = no_such_module:X\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(METHODS.__dict__, "_external", raising=False)  # found once a process
    registry = METHODS
    assert "theirs" in registry
    assert next(entry.origin for entry in registry.listings() if entry.name == "theirs") == "their-package"
    with pytest.raises(BadInput, match="gone.*cannot be loaded.*no_such_module"):
        registry.get("gone")
    with pytest.raises(BadInput, match="registers no method 'empty'"):
        registry.get("empty")
    assert registry.get("theirs").name == "theirs"
    del registry.__dict__["_external"]


def test_the_source_digest_sees_code_and_not_layout(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    texts = {
        "digest_a": '"""Doc."""\nx = 1\n',
        "digest_b": "# a comment\nx   =  1\n",
        "digest_c": "x = 2\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    a, b, c = (source_digest(name) for name in texts)
    assert a == b
    assert a != c


def test_a_search_space_is_no_part_of_what_a_method_computes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    texts = {
        "space_a": "class A:\n    weight: float = 1.0\n",
        "space_b": "class A:\n    search: dict = {'weight': (1, 2)}\n    weight: float = 1.0\n",
        "space_c": "class A:\n    search = {'weight': (1, 3)}\n    weight: float = 1.0\n",
        "space_d": "class A:\n    weight: float = 2.0\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    a, b, c, d = (source_digest(name) for name in texts)
    assert a == b == c
    assert a != d
