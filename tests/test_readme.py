"""What README and CONTRIBUTING show works: the Python runs, the suite files are suites, the commands are commands."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer.main

from sslbench.cli import app
from sslbench.registry import load_plugin
from sslbench.suite import Overrides, make_suite, read_suite
from tests.test_cli import sslbench
from tests.test_registry import clean_registry  # noqa: F401 (a fixture)

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
COMMAND = typer.main.get_command(app)


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    fenced = rf"^```{language}\n(.*?)^```$"
    return [found for text in TEXTS.values() for found in re.findall(fenced, text, re.MULTILINE | re.DOTALL)]


def lines(program: str) -> list[str]:
    """What a user may type: the indented lines that begin with a program, without their comments."""
    typed = rf"^    ({program} [^\n#]*)"
    return sorted({found.strip() for text in TEXTS.values() for found in re.findall(typed, text, re.MULTILINE)})


def parsed(line: str) -> tuple[str, dict[str, object]]:
    """The command of a line and its parameters, as the command line reads them, without running anything."""
    command, (_, *words), parent = COMMAND, shlex.split(line), None
    name = "sslbench"
    while True:
        parent = command.make_context(name, list(words), parent=parent)
        if not hasattr(command, "resolve_command"):
            return name, parent.params
        name, command, words = command.resolve_command(parent, [*parent._protected_args, *parent.args])


@pytest.mark.slow
def test_the_python_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys, clean_registry):  # noqa: F811
    """A block that begins with the name of a file is that file: a plugin, which is loaded, checked for life and run."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    plugins = []
    for block in blocks("python"):
        if file := re.match(r"# (\w+\.py)\n", block):
            plugins.append(Path(file[1]))
            plugins[-1].write_text(block)
            load_plugin(plugins[-1])
        else:
            exec(compile(block, "README.md", "exec"), names)
    assert set(names["frame"]["status"]) == {"ok"}
    assert capsys.readouterr().out.startswith("method\n")
    for plugin in plugins:
        few = ["--scenarios", "two-moons-6", "--seeds", "1", "--set", "*.steps=4", "--no-mlflow", "--workers", "0"]
        words = ["run", "quick", "--plugin", plugin, "--methods", f"supervised,{plugin.stem}", "--out", plugin.stem]
        code, out, err = sslbench(*words, *few, capsys=capsys)
        assert code == 0, err
        assert plugin.stem in out
        assert (
            len(plugin.read_text().splitlines()) <= 25
        )  # the README says 20 lines, and nothing between them is needed


@pytest.mark.parametrize("text", blocks("toml"))
def test_the_suite_files_are_suites(text):
    suite = make_suite(tomllib.loads(text))
    assert {"vat-strong", "mnist5k-100"} <= {*suite.methods, *suite.scenarios}


@pytest.mark.parametrize("line", lines("sslbench"))
def test_a_command_line_is_one(line):
    name, given = parsed(line)
    for word in shlex.split(line):
        if word.startswith(("benchmarks/", "baselines/")):
            assert (ROOT / word).is_file(), f"{word} is not there"
    if name in ("run", "tune") and str(given["suite"]).startswith("benchmarks/") and not given["plugin"]:
        chosen = [given[what].split(",") if given[what] else None for what in ("methods", "scenarios")]
        seeds = given["seeds"] if name == "run" else None
        read_suite(ROOT / given["suite"], Overrides(*chosen, seeds, tuple(given["set_"] or ())))


@pytest.mark.parametrize(
    "line", sorted({found for text in TEXTS.values() for found in re.findall(r"`(sslbench [^`…]+)`", text)})
)
def test_a_command_that_is_spoken_of_is_one(line):
    try:
        parsed(line)
    except Exception as error:  # of click, which typer has a copy of
        if "Missing" not in str(error):  # it may be named without what it takes
            raise


@pytest.mark.parametrize("line", lines("make"))
def test_a_make_target_is_one(line):
    target = line.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", ["sslbench run", "sslbench run a.toml --no-such-option", "sslbench nothing"])
def test_a_line_that_is_none_is_found_out(line):
    with pytest.raises(Exception, match="Missing|No such"):
        parsed(line)
