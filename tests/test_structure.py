"""The house: each room imports only what the design allows, and nothing heavy where it must be quick."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "sslbench"

# room -> rooms of sslbench that it may import, beside itself. `errors` and `atomic` are open to all.
MAY_IMPORT = {
    "errors": set(),
    "atomic": set(),
    "rng": set(),
    "registry": set(),
    "shipped": {"registry"},
    "views": {"rng"},
    "metrics": set(),
    "stats": set(),
    "toml": set(),
    "data": {"rng", "registry"},
    "networks": {"rng"},
    "methods": {"rng", "registry", "networks"},
    "scenarios": {"data", "networks", "views", "registry", "rng", "methods.base"},
    "engine": {"methods.base", "scenarios.base", "networks", "metrics", "rng"},
    "conformance": {"data", "engine", "methods.base", "networks", "rng", "scenarios.base", "suite"},
    "testing": {"conformance", "registry"},
    "suite": {"registry", "shipped", "engine", "methods.base", "scenarios.base", "rng", "records"},
    "locks": set(),
    "forks": set(),
    "preloading": {"registry", "shipped"},
    "records": {"locks"},
    "merging": {"records"},
    "executors": {"data.base", "engine", "preloading", "records", "suite", "registry"},
    "runner": {"engine", "executors", "forks", "records", "suite", "methods.base", "scenarios.base"},
    "estimates": {"engine", "executors", "records", "runner"},
    "tuning": {"__version__", "executors", "methods.base", "records", "runner", "stats", "suite", "toml"},
    "tracking": {"records"},
    "report": {"forks", "records", "stats", "metrics"},
    "live": {"executors", "records", "runner", "report", "suite"},
    "new": {"data", "registry", "runner", "shipped", "suite", "toml"},
    "api": {"data", "runner", "executors", "records", "registry", "suite"},
    "commands": None,  # everything
    "cli": None,
    "__init__": None,
    "__main__": {"cli"},
}
FILES = sorted(ROOT.rglob("*.py"))


def room(module: str) -> str:
    """sslbench.data.splits -> data."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imported(path: Path) -> set[str]:
    """What a file imports of sslbench, anywhere in it: modules, and the names that it takes from them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: name the package"
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "sslbench":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "sslbench"}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    here = room(".".join(["sslbench", *path.relative_to(ROOT).with_suffix("").parts]))
    allowed = MAY_IMPORT[here]
    if allowed is None:
        return
    for module in imported(path):
        there = room(module)
        inside = module.removeprefix("sslbench.")
        fine = there in (here, "errors", "atomic") or any(inside == a or inside.startswith(f"{a}.") for a in allowed)
        assert fine, f"{path.name} ({here}) imports {module}"


def test_no_files_import_one_another_in_a_circle():
    """Inside a room, too, there is one way through it. A package's `__init__` stands for all that it hands on."""
    home = {
        ".".join(["sslbench", *p.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__"): p for p in FILES
    }
    graph = {name: {m if m in home else m.rpartition(".")[0] for m in imported(path)} for name, path in home.items()}
    graph["sslbench"] = set()  # what it hands on, it imports when it is asked for
    TopologicalSorter(graph).prepare()  # a CycleError names the circle


NO_RESULT = {"sslbench.data.base", "sslbench.registry", "sslbench.errors", "sslbench.engine.checkpoints"}
NO_RESULT |= {"sslbench.engine.outcome"}
"""Names, errors, forms of what is stored: no number follows from them (the data's own digest is in a key)."""


def test_what_computes_a_result_is_in_the_keys_with_all_that_it_imports():
    from sslbench.suite.code import _CORE

    for name in _CORE:
        for module in imported(ROOT.parent / f"{name.replace('.', '/')}.py"):
            assert home(module) in {*_CORE, *NO_RESULT}, f"{name} imports {module}, which no key has"


def home(name: str) -> str:
    """The module that a name of sslbench comes from, and not the package that hands it on."""
    if importlib.util.find_spec(name.rpartition(".")[0]).submodule_search_locations and importlib.util.find_spec(name):
        return name
    package, _, thing = name.rpartition(".")
    defined = getattr(getattr(importlib.import_module(package), thing), "__module__", None) or ""
    return defined if defined.startswith("sslbench.") else package


def test_every_room_is_in_the_table():
    rooms = {p.relative_to(ROOT).parts[0].removesuffix(".py") for p in FILES}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize(("library", "only"), [("mlflow", "tracking/client.py"), ("ray", "executors/link.py")])
def test_one_file_alone_imports(library, only):
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_bytes())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert path == ROOT / only or not any(n.split(".")[0] == library for n in names), path


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["list"],
        ["run", "--help"],
        ["tune", "--help"],
        ["check", "--help"],
        ["new", "--help"],
        ["--version"],
    ],
)
def test_help_and_lists_load_nothing_heavy(words):
    code = (
        "import sys\nfrom sslbench.cli import main\nsys.argv = ['sslbench', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'mlflow', 'pandas', 'sklearn', 'matplotlib', 'scipy', 'optuna', 'ray'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True)


def test_what_workers_import_can_be_started_before_torch_is_imported():
    code = "import sys, sslbench.preloading; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_can_be_used_without_mlflow():
    code = "import sys; sys.modules['mlflow'] = None; import sslbench.runner, sslbench.report, sslbench.tracking, sslbench.cli"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_ray_is_loaded_by_who_talks_to_a_cluster_alone():
    code = "import sys; sys.modules['ray'] = None; import sslbench.runner, sslbench.executors.node, sslbench.cli"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_absolute_path_of_a_machine_is_in_the_package():
    for path in FILES:
        text = path.read_text()
        assert "/home/" not in text
        assert "/tmp/" not in text


def test_the_baselines_stand_alone():
    """They are what the engine is held against, so they may share nothing with it."""
    files = sorted((ROOT.parent / "baselines").rglob("*.py"))
    assert {"losses.py", "loops.py", "networks.py", "logistic.py"} <= {p.name for p in files}
    for path in files:
        assert imported(path) == set(), path.name


def test_nothing_that_is_read_can_run_code():
    """No pickle, no YAML, no eval: a results folder or a suite file of somebody else's is data.

    Ray's nodes are no strangers: they run our code, and what goes between them and the driver is pickled in any case.
    """
    for path in FILES:
        if path.parent.name == "executors" and path.name in ("ray.py", "link.py", "node.py"):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                assert not {m.split(".")[0] for m in modules} & {
                    "pickle",
                    "marshal",
                    "shelve",
                    "dill",
                    "joblib",
                    "yaml",
                }, path
            if isinstance(node, ast.Call):
                called, given = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert called not in ("eval", "exec"), path
                if called in ("np.load", "np.lib.format.read_array"):
                    assert given.get("allow_pickle") == "False", path
                if called == "torch.load":
                    assert given.get("weights_only") == "True", path
