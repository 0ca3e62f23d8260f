"""Names and texts in the form that MLflow takes."""

from __future__ import annotations

import json
import re
from typing import Any


def text_of(value: Any) -> str:
    """A value as a parameter or tag has it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def clip(text: str, length: int) -> str:
    """The text, cut to a length that MLflow takes."""
    return text if len(text) <= length else text[: length - 1] + "…"


def safe(name: str) -> str:
    """A metric's or parameter's name out of any text: MLflow takes few characters, and a slash would make a group."""
    return re.sub(r"[^\w.\- ]", "-", name)
