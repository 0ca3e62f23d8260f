"""Seeds, as a suite file or the command line gives them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sslbench.errors import BadInput

MOST_SEEDS = 100_000


def parse_seeds(given: int | str | Sequence[int], what: str = "seeds") -> tuple[int, ...]:
    """`10` counts 0 to 9, `"3,7,1000-1009"` and `[3, 7]` name them.

    Raises:
        BadInput: no seed, a repeated one, or something else than such a number, list or range.
    """
    if isinstance(given, str) and given.strip().isdecimal():
        given = int(given)
    if isinstance(given, int):
        seeds: list[int] = list(range(min(given, MOST_SEEDS + 1)))
    elif isinstance(given, str):
        seeds = [seed for part in given.split(",") for seed in _range(part, given, what)]
    else:
        seeds = list(given)
    if not seeds or min(seeds) < 0:
        raise _bad_seeds(given, what)
    if len(seeds) > MOST_SEEDS:
        raise BadInput(f"{what} = {given!r} are too many: give at most {MOST_SEEDS}.")
    if len(set(seeds)) < len(seeds):
        raise BadInput(f"{what} = {given!r} names a seed twice: name each once.")
    return tuple(seeds)


def _range(part: str, given: str, what: str) -> Iterable[int]:
    first, dash, last = part.strip().partition("-")
    try:
        return range(int(first), min(int(last), int(first) + MOST_SEEDS) + 1) if dash else [int(first)]
    except ValueError:
        raise _bad_seeds(given, what) from None


def _bad_seeds(given: object, what: str) -> BadInput:
    return BadInput(f'{what} = {given!r} names no seeds: give a count of at least 1, a list, or "3,7,1000-1009".')
