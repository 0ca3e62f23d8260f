"""The sign-flip permutation test of paired differences."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sslbench.stats._inputs import DECIMALS, Array, generator, present

EXACT_UP_TO = 20
"""So many untied pairs are enumerated (2²⁰ sign patterns, 8 MB); beyond, patterns are drawn."""

DRAWS = 99_999
"""Sign patterns drawn where they are too many to enumerate."""

_CHUNK = 10_000  # patterns drawn at a time: bounds the memory, and is fixed so that a seed fixes the result


@dataclass(frozen=True)
class SignFlip:
    """Result of a two-sided sign-flip test."""

    p: float
    """Two-sided p-value, in (0, 1]."""
    smallest: float
    """The smallest p that these untied pairs can reach, whatever their values."""
    pairs: int
    """Pairs compared, ties included."""
    ties: int
    """Pairs whose difference is zero: they bring no evidence either way."""
    exact: bool
    """Every sign pattern was counted; else they were drawn, and p is a Monte Carlo estimate."""


def sign_flip(differences: ArrayLike, *, seed: int, draws: int = DRAWS) -> SignFlip:
    """Two-sided test that paired `differences`, shape (n,), are symmetric around zero (NaN left out).

    Under that hypothesis every difference could as well have had the other sign (Fisher 1935, The Design of
    Experiments, section 21):

        p = #{s ∈ {-1, 1}ⁿ : |Σ sᵢ dᵢ| ≥ |Σ dᵢ|} / 2ⁿ.

    Exact by enumeration up to 20 untied pairs. Beyond, `draws` patterns are drawn from `seed` and
    p = (b + 1) / (draws + 1), which is never zero and never too small on average (Phipson and Smyth 2010).

    Raises:
        ValueError: no difference.
    """
    d = np.round(present(differences, "differences"), DECIMALS)
    observed = abs(d.sum())
    untied = np.abs(d[d != 0])  # a zero adds nothing under either sign
    least = observed - 1e-12 * untied.sum()  # sums taken in another order differ by rounding
    ties = d.size - untied.size
    if untied.size <= EXACT_UP_TO:
        p = float(np.mean(np.abs(_all_sums(untied)) >= least))
        return SignFlip(p, smallest_p(untied.size), d.size, ties, exact=True)
    reached = sum(int((np.abs(sums) >= least).sum()) for sums in _drawn_sums(untied, seed, draws))
    return SignFlip((reached + 1) / (draws + 1), 1 / (draws + 1), d.size, ties, exact=False)


def smallest_p(pairs: int) -> float:
    """The smallest two-sided exact p that n untied pairs can reach: 2 / 2ⁿ, when all differences have one sign.

    Five pairs reach 0.0625 at best, so five seeds can never show anything at 0.05.
    """
    return min(1.0, 2.0 ** (1 - pairs))


def pairs_to_reach(alpha: float) -> int:
    """The smallest number of untied pairs whose exact sign-flip p can be at most `alpha` > 0.

    Raises:
        ValueError: alpha is not above 0.
    """
    if not alpha > 0:
        raise ValueError(f"alpha is {alpha}: no number of pairs reaches it, give one above 0.")
    return next(n for n in itertools.count() if smallest_p(n) <= alpha)


def _all_sums(d: Array) -> Array:
    """Σ sᵢ dᵢ for the sign patterns with s₁ = 1, shape (2ⁿ⁻¹,); the other half are their mirror images."""
    sums = d[:1] if d.size else np.zeros(1)
    for x in d[1:]:
        sums = np.concatenate((sums + x, sums - x))
    return sums


def _drawn_sums(d: Array, seed: int, draws: int) -> Iterator[Array]:
    rng = generator(seed)
    sizes = [_CHUNK] * (draws // _CHUNK) + [draws % _CHUNK]
    for size in sizes:
        yield (2.0 * rng.integers(0, 2, (size, d.size), dtype=np.int8) - 1) @ d
