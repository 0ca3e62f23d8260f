"""What the commands share: the two consoles, common options, and what they are read with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

out = Console()
err = Console(stderr=True)
PLAIN: dict[str, Any] = {"soft_wrap": True, "highlight": False}
"""Of paths and messages: never broken, never coloured."""

PluginOption = Annotated[
    list[Path] | None, typer.Option("--plugin", help="Python file that registers methods or scenarios. Repeatable.")
]


def names(given: str | None) -> list[str] | None:
    """A comma-separated list."""
    return None if given is None else [name.strip() for name in given.split(",") if name.strip()]


def load_plugins(given: list[Path] | None) -> tuple[Path, ...]:
    """Load plugin files; where they are, absolutely."""
    if given:
        from sslbench.registry import load_plugin

        for path in given:
            load_plugin(path)
    return tuple(path.resolve() for path in given or ())


def escaped(text: str) -> str:
    """Text in which rich sees no markup."""
    from rich.markup import escape

    plain = "".join(c if c.isprintable() or c == "\n" else "�" for c in text)  # a stored text commands no terminal
    return escape(plain)
