"""What a user sees when the input is wrong: one clear line, never a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BadInput(ValueError):
    """Something the user gave cannot be used.

    The message says what was given, what is valid and what to do. The command line prints it as one line and
    exits with code 2, before any training starts.
    """


class Damage(UserWarning):
    """Something stored is not what was written. It is left out, and everything else is used.

    The message says what and where. The command line prints it as one line.
    """


def unknown(kind: str, given: str, known: Iterable[str]) -> BadInput:
    """The error for a name that is not known: names the nearest known one and lists them all."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return BadInput(f"Unknown {kind} '{given}'.{hint} Known: {', '.join(names) or 'none'}.")
