"""A table of values made an instance of a dataclass, every value checked."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from sslbench.errors import BadInput, unknown
from sslbench.methods.base import FitMethod, LossMethod
from sslbench.scenarios.base import Scenario

Thing = TypeVar("Thing", bound=LossMethod | FitMethod | Scenario)


class Form:
    """Validates a table against the fields of a dataclass."""

    def __init__(self, form: type[Any]) -> None:
        if not dataclasses.is_dataclass(form):
            raise BadInput(f"{form.__name__} is not a dataclass: decorate it with @dataclass(frozen=True).")
        self.form = form

    def validated(self, what: str, values: Mapping[str, Any]) -> Any:
        """An instance.

        Raises:
            BadInput: an unknown or missing key, a wrong type, a value out of range.
        """
        known = [f.name for f in dataclasses.fields(self.form)]
        for key in values:
            if key not in known:
                raise unknown(f"key of {what}", key, known)
        if odd := next((k for k, v in values.items() if isinstance(v, float) and not math.isfinite(v)), None):
            raise BadInput(f"{what}: {odd} = {values[odd]} is not valid: give a finite number.")
        try:
            # Through JSON, strict, so that a list may be a tuple but a string is never a number.
            return TypeAdapter(self.form).validate_json(json.dumps(values, default=str), strict=True)
        except ValidationError as error:
            raise BadInput(_one_line(what, error.errors()[0], values)) from error
        except (PydanticUserError, NameError) as error:
            line = str(error).splitlines()[0]
            raise BadInput(f"{what}: the types of {self.form.__name__}'s fields cannot be read: {line}") from error
        except BadInput as error:  # raised by the class itself, of fields that do not go together
            raise BadInput(f"{what}: {error}") from error


def changed(thing: Thing, values: Mapping[str, Any]) -> Thing:
    """A method or scenario with other values, checked as those of a suite file are.

    Raises:
        BadInput: an unknown key, or a value that the class does not take.
    """
    assert dataclasses.is_dataclass(thing)
    given: Thing = Form(type(thing)).validated(type(thing).__name__, {**dataclasses.asdict(thing), **values})
    return given


def _one_line(what: str, error: Any, values: Mapping[str, Any]) -> str:
    key = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{what} has no {key}: add it."
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error" and not key:
        return f"{what}: {message}"
    given = values.get(key, error["input"])
    return f"{what}: {key} = {given!r} is not valid: {message[0].lower()}{message[1:]}."
