"""MLflow itself: imported when it is needed, and kept calm."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
from collections.abc import Iterable, Iterator
from types import ModuleType

from sslbench.errors import BadInput

CALM = {
    # A dead server must cost the training seconds: MLflow's own 7 tries of 120 s can take a quarter of an hour.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
CHATTER = ("mlflow", "alembic", "urllib3.connectionpool")


def require_mlflow() -> None:
    """See that mlflow is installed, without the seconds that importing it takes. Raises BadInput if not."""
    if importlib.util.find_spec("mlflow") is None:
        import_mlflow()


def import_mlflow() -> ModuleType:
    """The module. Raises BadInput if it is not installed."""
    try:
        import mlflow
    except ModuleNotFoundError as error:
        if error.name != "mlflow":
            raise
        raise BadInput("mlflow is not installed: pip install mlflow, or pass --no-mlflow.") from error
    return mlflow


@contextlib.contextmanager
def calm(loggers: Iterable[str] = CHATTER) -> Iterator[None]:
    """MLflow quiet, quick to give up and not phoning home, for the length of a call; what the user set stays."""
    ours = {name: value for name, value in CALM.items() if name not in os.environ}
    levels = {logger: logger.level for logger in map(logging.getLogger, loggers)}
    os.environ.update(ours)
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
        for logger, level in levels.items():
            logger.setLevel(level)
