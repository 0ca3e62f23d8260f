"""The command line: the commands put together, and what becomes of their errors.

Heavy libraries are imported by the command that needs them, so that help and lists come at once.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import sys
import warnings
from collections.abc import Callable, Generator
from typing import Annotated, Any, NoReturn

import typer

from sslbench import __version__
from sslbench.commands.check import check
from sslbench.commands.compare import compare
from sslbench.commands.console import BAD_INPUT, INTERRUPTED, tell_error, warn
from sslbench.commands.list import list_
from sslbench.commands.merge import merge
from sslbench.commands.new import new_app
from sslbench.commands.report import report
from sslbench.commands.rerun import rerun
from sslbench.commands.run import run
from sslbench.commands.splits import splits
from sslbench.commands.track import track
from sslbench.commands.tune import tune
from sslbench.errors import BadInput, Damage

app = typer.Typer(
    name="sslbench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compare semi-supervised learning methods: methods × scenarios × seeds, on the same splits.",
    epilog="Start with `sslbench run quick`, minutes on two CPU cores; `sslbench new suite mine` and `sslbench new method mine` "
    "write something of your own to start from. Exit codes: 0 done, 1 cells failed, 2 bad input, 3 stopped by --stop-after.",
)


def main() -> NoReturn:
    """Run the command line: a user's mistake is one line and exit code 2."""
    atexit.register(_end_quickly)
    try:
        with _damage_in_a_line():
            code = app(standalone_mode=False)
    except BadInput as error:
        tell_error(error)
        code = BAD_INPUT
    except KeyboardInterrupt:
        code = INTERRUPTED
    except typer.Abort:
        code = INTERRUPTED
    except Exception as error:
        code = _usage_error(error)
    sys.exit(code)


def _end_quickly() -> None:
    """Have the interpreter end without a last look for garbage: with all that torch and MLflow have made, it takes a second.

    Triton's bindings say on stderr what they were not asked to free; with them the second is spent.
    """
    if "triton" not in sys.modules:
        gc.freeze()


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"sslbench {__version__}")
        raise typer.Exit


COMMANDS: dict[Callable[..., None], tuple[str, ...]] = {
    list_: ("sslbench list", "sslbench list methods --json", "sslbench list --plugin mine.py"),
    run: (
        "sslbench run quick",
        "sslbench run quick --methods supervised,vat --scenarios mnist5k-50 --seeds 10 --set vat.radius=2.0",
        "sslbench run mine.toml --dry-run",
    ),
    tune: (
        "sslbench tune quick --scenarios two-moons-6",
        "sslbench tune mine.toml --methods supervised,vat --trials 40 --out mine-tuned.toml",
    ),
    report: ("sslbench report results/local/quick", "sslbench report results/local/quick --watch"),
    compare: ("sslbench compare results/local/quick vat supervised",),
    rerun: ("sslbench rerun results/quick-cpu vat/mnist5k-50/seed1",),
    merge: ("sslbench merge node1/quick node2/quick --out results/local/quick",),
    track: ("sslbench track results/local/quick --tracking-uri http://127.0.0.1:5000",),
    splits: ("sslbench splits quick --scenarios mnist5k-50 --seeds 3 --out splits",),
    check: ("sslbench check vat", "sslbench check --plugin mine.py", "sslbench check --all"),
}
"""The commands in the order of the help, with examples."""
for command, examples in COMMANDS.items():
    epilog = f"Example{'s' if len(examples) > 1 else ''}: {', '.join(f'`{example}`' for example in examples)}"
    app.command(command.__name__.removesuffix("_"), epilog=epilog)(command)
app.add_typer(new_app, name="new")


@contextlib.contextmanager
def _damage_in_a_line() -> Generator[None, None, None]:
    """Print each warning of damage once, as a line."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, Damage):
                warn(str(message))
            else:
                others(message, category, *where, **more)

        warnings.simplefilter("default", Damage)
        warnings.showwarning = show
        yield


def _usage_error(error: Exception) -> int:
    """The parser's own errors (an unknown option, a missing argument) as one line; anything else is a bug."""
    show: Callable[[], None] | None = getattr(error, "show", None)
    if show is None:
        raise error
    show()
    return int(getattr(error, "exit_code", BAD_INPUT))
