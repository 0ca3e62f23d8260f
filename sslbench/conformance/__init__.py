"""What every method promises, and how it is checked: built-ins in the tests, anybody's by `sslbench check`.

A promise is a pure function of a method and a kind of input that returns a `Verdict`. Trainings go through the engine, on
small problems on the CPU; they need no network. The audit for leaks sees labels that come by the problem, the engine or
`sslbench.data`; it cannot see what a method reads from a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sslbench.conformance import behaviour, form
from sslbench.conformance.settings import KINDS
from sslbench.conformance.subject import Subject
from sslbench.conformance.verdict import Verdict, failed, raised_at, skipped
from sslbench.engine.seeds import single_thread
from sslbench.suite import changed

__all__ = ["CHECKS", "KINDS", "Case", "Check", "Subject", "Verdict", "cases"]


@dataclass(frozen=True)
class Check:
    """A promise of every method."""

    name: str
    look: Callable[..., Verdict]
    """Of a subject, or of a subject and a kind of input."""
    each: bool = True
    """Once for each kind of input, or once for the class."""
    first: bool = False
    """Whether it is worth a look even where the training ends with an error."""
    of_loss: bool = False
    """Whether it makes sense only where a loss is descended."""

    @property
    def promise(self) -> str:
        """What is promised, in a sentence."""
        return (self.look.__doc__ or "").split("\n")[0]


CHECKS = (
    Check("form", form.form, each=False),
    Check("docstrings", form.docstrings, each=False),
    Check("source", form.source, each=False),
    Check("runs", behaviour.runs, first=True),
    Check("own draws", behaviour.own_draws, first=True),
    Check("repeatable", behaviour.repeatable),
    Check("alive", behaviour.alive),
    Check("blind", behaviour.blind),
    Check("missing class", behaviour.missing_class),
    Check("stacked", behaviour.stacked, of_loss=True),
    Check("replayed", behaviour.replayed, of_loss=True),
    Check("gradients", behaviour.gradients, of_loss=True),
    Check("weight zero", behaviour.weight_zero, of_loss=True),
)
"""In the order in which they run: what the later ones take for granted comes first."""


@dataclass(frozen=True)
class Case:
    """One check of one method on one kind of input; of the class, if `kind` is empty."""

    subject: Subject
    check: Check
    kind: str = ""

    def __str__(self) -> str:
        return "-".join(part for part in (self.check.name.replace(" ", "-"), self.kind) if part)

    def impossible(self) -> str:
        """Why there is nothing to look at, as far as that can be said before any training; empty if there is."""
        if not self.kind:
            return ""
        if form.form(self.subject).status == "failed":
            return "its form is not right, so that it cannot be trained"
        if reason := self.subject.obstacle(self.kind):
            return reason
        if self.check.of_loss and not self.subject.descends(self.kind):
            return "it is fitted there, and has no loss"
        return ""

    def verdict(self) -> Verdict:
        """Look. What the method raises is a failure, too: of the first check that meets it."""
        if reason := self.impossible():
            return skipped(reason)
        with single_thread():
            if self.kind and not self.check.first and not self.subject.trains(self.kind):
                return skipped(behaviour.NO_END)
            try:
                return self.check.look(self.subject, self.kind) if self.kind else self.check.look(self.subject)
            except Exception as error:
                return failed("no error", _first_sentence(error), raised_at(error, self.subject.cls))


def _first_sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text.split('. ')[0][:300]}".rstrip(": ")


def cases(name: str, settings: Mapping[str, Any] | None = None, kinds: Sequence[str] = KINDS) -> Iterator[Case]:
    """All cases of a registered method, the quick ones first. Nothing is trained until a verdict is asked for.

    Args:
        settings: hyperparameters other than the defaults, by name.

    Raises:
        BadInput: no such method, or a setting that it does not take.
    """
    subject = Subject(name, settings or {})
    if form.form(Subject(name)).status == "passed":
        changed(subject.cls(), subject.settings)
    for check in CHECKS:
        for kind in kinds if check.each else ("",):
            yield Case(subject, check, kind)
