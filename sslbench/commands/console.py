"""What the commands share of the terminal: the two consoles, how text is printed on them, and the exit codes."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape

FAILED, BAD_INPUT, TIME_UP, INTERRUPTED = 1, 2, 3, 130
"""Exit codes."""

out = Console()
err = Console(stderr=True)
PLAIN: dict[str, Any] = {"soft_wrap": True, "highlight": False}
"""Of paths and messages: never broken, never coloured."""


def escaped(text: str) -> str:
    """Text in which rich sees no markup."""
    plain = "".join(c if c.isprintable() or c == "\n" else "�" for c in text)  # a stored text commands no terminal
    return escape(plain)


def warn(line: str) -> None:
    """A warning, as a line."""
    err.print(f"[yellow]Warning:[/] {escaped(line)}", **PLAIN)


def tell_error(error: Exception) -> None:
    """What ends a command, as a line."""
    err.print(f"[bold red]Error:[/] {escaped(str(error))}", **PLAIN)
