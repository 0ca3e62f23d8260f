"""What can be seen without training: the class, its hyperparameters and what is written about them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

from sslbench.conformance.subject import Subject
from sslbench.conformance.verdict import PASSED, Verdict, failed, place, skipped
from sslbench.errors import BadInput
from sslbench.methods.base import FitMethod, LossMethod
from sslbench.suite import changed

_SOURCE = re.compile(r"\b(19|20)\d\d\b|arxiv|doi\b|https?://|unpublished", re.IGNORECASE)


def form(subject: Subject) -> Verdict:
    """A frozen dataclass with valid defaults, derived from LossMethod or FitMethod, with fields for all it lets be tuned."""
    cls: Any = subject.cls
    if not _is_method(cls):
        return failed("a class derived from LossMethod or FitMethod", f"{cls!r}", place(cls))
    if "__dataclass_params__" not in vars(cls):
        return failed("a class decorated with @dataclass(frozen=True)", f"a plain class {cls.__name__}", place(cls))
    if not getattr(cls, "__dataclass_params__").frozen:  # noqa: B009
        return failed("@dataclass(frozen=True)", "a dataclass whose fields can be assigned", place(cls))
    for field in dataclasses.fields(cls):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            return failed(f"a default for {field.name}", "none", _field(cls, field.name))
    if odd := [key for key in cls.search if key not in {f.name for f in dataclasses.fields(cls)}]:
        return failed("hyperparameters in `search`", f"{odd[0]}, which is no field", place(cls))
    if odd := [key for key in cls.exempt if key != "weight zero"]:
        return failed("only 'weight zero' in `exempt`", f"{odd[0]!r}, from which nobody is exempt", place(cls))
    try:
        typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        named = next((n for n, (_, _, type_) in _annotated(cls).items() if str(error.name) in type_), "")
        return failed("types that the module knows", f"{error}: import it", _field(cls, named))
    instance: Any = cls()
    try:
        again = changed(instance, subject.settings)
    except BadInput as error:
        return failed("default values that a suite file could give, too", str(error), place(cls))
    if not subject.settings and again != instance:
        return failed("the same method after a way through a suite file", f"{again}", place(cls))
    return PASSED


def docstrings(subject: Subject) -> Verdict:
    """A docstring for the class and one under each hyperparameter."""
    cls = subject.cls
    if not (cls.__dict__.get("__doc__") or "").strip() or _generated(cls):
        return failed("a docstring that says what the method does, with its equation", "none", place(cls))
    for owner, name, doc in _fields(cls):
        if not doc:
            return failed(f'a docstring under `{name}`: """what it is, in which unit"""', "none", _field(owner, name))
    return PASSED


def source(subject: Subject) -> Verdict:
    """The paper by year, arXiv number, DOI or link, in the docstring of the class or of its module; or `unpublished`."""
    cls = subject.cls
    if not getattr(cls, "unlabelled", True):
        return skipped("it uses no unlabelled examples: a baseline has no source")
    texts = cls.__dict__.get("__doc__") or "", inspect.getdoc(sys.modules.get(cls.__module__)) or ""
    if any(_SOURCE.search(text) for text in texts):
        return PASSED
    return failed("the source in the docstring: authors and year, arXiv, DOI, or `unpublished`", "none", place(cls))


def _is_method(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, LossMethod | FitMethod)


def _generated(cls: type) -> bool:
    """Whether the docstring is the signature that @dataclass writes where there is none."""
    return (cls.__doc__ or "").startswith(f"{cls.__name__}(")


def _fields(cls: Any) -> Iterator[tuple[type, str, str]]:
    """(class that defines it, name, docstring under it) of each field of a dataclass."""
    wanted = {field.name for field in dataclasses.fields(cls)}
    for owner in cls.__mro__:
        for name, (_, doc, _) in _annotated(owner).items():
            if name in wanted:
                wanted.remove(name)
                yield owner, name, doc


def _annotated(cls: type) -> dict[str, tuple[int, str, str]]:
    """name -> (line in the file, docstring under it, type) of each annotated assignment in a class's own source."""
    try:
        lines, start = inspect.getsourcelines(cls)
    except (OSError, TypeError):
        return {}
    (node,) = ast.parse(textwrap.dedent("".join(lines))).body
    found = {}
    if isinstance(node, ast.ClassDef):
        for this, below in zip(node.body, [*node.body[1:], None], strict=True):
            if isinstance(this, ast.AnnAssign) and isinstance(this.target, ast.Name):
                text = (
                    below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
                )
                doc = text.strip() if isinstance(text, str) else ""
                found[this.target.id] = start + this.lineno - 1, doc, ast.unparse(this.annotation)
    return found


def _field(cls: type, name: str) -> str:
    line = _annotated(cls).get(name, (None, "", ""))[0]
    return place(cls, line)
