"""The sentences of the report: only what the numbers support."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sslbench.report.evidence import ALPHA, Evidence
from sslbench.report.tables import Comparison, Entry, number, plural
from sslbench.stats import seeds_to_tell, smallest_p


def verdict(comparison: Comparison) -> str:
    """Who is ahead, in one sentence; no more than a count of means."""
    tried = [m for m in comparison.methods if any(comparison.entries[m, s].n for s in comparison.scenarios)]
    if not tried:
        return "No cell has a result yet."
    if len(tried) == 1:
        return f"Only {tried[0]} has results, so there is nothing to compare it with."
    rows = [comparison.row(s) for s in comparison.scenarios]
    judged = [row for row in rows if any(e.best for e in row)]
    if not judged:
        return "On no scenario do two methods have a result on every seed, so none is called the best."
    firsts = Counter(e.method for row in judged for e in row if e.best)
    top = max(firsts.values())
    leaders = [m for m in comparison.methods if firsts[m] == top]
    return f"{_ahead(leaders, top, len(judged), _shared(judged))} ({_seeds(comparison)})."


def cautions(comparison: Comparison, evidence: Evidence) -> list[str]:
    """What keeps the verdict modest: how each stands against the baseline, and how little few seeds can show."""
    return [*against_baseline(comparison, evidence), *power(evidence)]


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"


def _ahead(leaders: list[str], top: int, of: int, shared: bool) -> str:
    each = " each" if len(leaders) > 1 else ""
    verb = "has" if len(leaders) == 1 else "have"
    ties = ", ties included," if shared else ""
    return f"{listed(leaders)} {verb} the highest mean accuracy{ties} on {top} of {plural(of, 'scenario')}{each}"


def _shared(rows: list[list[Entry]]) -> bool:
    return any(sum(e.best for e in row) > 1 for row in rows)


def _seeds(comparison: Comparison) -> str:
    counts = sorted({len(seeds) for seeds in comparison.seeds.values()})
    if len(counts) == 1:
        return "one seed each" if counts == [1] else f"{counts[0]} seeds each"
    return f"{counts[0]} to {counts[-1]} seeds"


def against_baseline(comparison: Comparison, evidence: Evidence) -> list[str]:
    """How each method stands against the baseline, a sentence a method."""
    return [_record_of(comparison, evidence, m) for m in evidence.improvements]


def _record_of(comparison: Comparison, evidence: Evidence, method: str) -> str:
    """How a method stands against the baseline, what would settle it, and how often it does harm."""
    found = evidence.verdicts(method)
    parts = [
        f"{method} against {comparison.baseline}: better on {_which(found['better'])}, worse on {_which(found['worse'])}, "
        f"undecided on {len(found['undecided'])} of {plural(sum(map(len, found.values())), 'scenario')}"
    ]
    if nearest := evidence.nearest(method):
        scenario, decision = nearest
        parts.append(f"{decision.needed} would settle {scenario}, if its difference is what it seems")
    harms = [h for (m, _), h in evidence.harms.items() if m == method]
    pairs, harmed = sum(h.pairs for h in harms), sum(round(h.share * h.pairs) for h in harms)
    worst = max(h.worst for h in harms)
    lost = f"{harmed} of {pairs} runs end below it" + (f", by up to {number(worst)} points" if harmed else "")
    return "; ".join([*parts, lost]) + "."


def _which(scenarios: list[str]) -> str:
    """ "none", the names of a few, or the number of many."""
    return "none" if not scenarios else listed(scenarios) if len(scenarios) < 4 else str(len(scenarios))


def power(evidence: Evidence) -> list[str]:
    """Whether the seeds are too few to tell any difference from chance, or too few on some of the scenarios."""
    most = max((c.pairs for c in evidence.comparisons.values()), default=0)
    if told := too_few(most, len(evidence.comparisons)):
        return [told]
    fewest = min((c.pairs for c in evidence.comparisons.values()), default=0)
    return [told] if (told := too_few(fewest, 1, " on the scenarios with fewest seeds")) else []


def too_few(seeds: int, comparisons: int, where: str = "") -> str:
    """That so many seeds cannot tell anything from chance, and how many could; empty where they can, or nothing is compared."""
    if seeds == 0 or comparisons == 0 or seeds >= (needed := seeds_to_tell(comparisons, ALPHA)):
        return ""
    smallest = f"in an exact paired test of {plural(seeds, 'pair')} the smallest possible p is {smallest_p(seeds):.3g}"
    adjusted = (
        f", {min(1.0, comparisons * smallest_p(seeds)):.3g} after Holm's adjustment over {comparisons} comparisons"
    )
    return (
        f"With {plural(seeds, 'seed')} no difference{where} can be told from chance: {smallest}"
        f"{adjusted if comparisons > 1 else ''}; {needed} seeds are the fewest that can."
    )
