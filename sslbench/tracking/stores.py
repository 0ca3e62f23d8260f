"""Where MLflow writes: a tracking URI, and the SQLite database behind one."""

from __future__ import annotations

import fcntl
import glob
import re
import uuid
from pathlib import Path
from types import ModuleType
from urllib.parse import quote, unquote, urlsplit

from sslbench.errors import BadInput

SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")


def default_uri(results_folder: Path) -> str:
    """The MLflow database of a results folder: beside it, so that all suites run on this machine share one."""
    return sqlite_uri(results_folder.resolve().parent / "mlflow.db")


def checked(uri: str) -> str:
    """The URI as MLflow gets it, a database's path absolute.

    Raises:
        BadInput: no such kind of store, or a database file that cannot be written or is none.
    """
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme not in SCHEMES:
        raise BadInput(
            f"'{shown(uri)}' is no tracking URI that works here: give sqlite:////ABSOLUTE/PATH/mlflow.db or "
            "http://HOST:PORT of an MLflow server (MLflow's store of plain files is no longer kept up)."
        )
    path = sqlite_path(uri)
    if path is None:
        return uri
    _check_database(path)
    return sqlite_uri(path) + "".join(uri.partition("?")[1:])


def sqlite_uri(path: Path) -> str:
    # SQLAlchemy decodes the path, and takes what follows a question mark for options.
    return "sqlite:///" + path.as_posix().replace("%", "%25").replace("?", "%3F")


def sqlite_path(uri: str) -> Path | None:
    """The absolute path of an SQLite database; None for another store, or one in memory."""
    found = re.fullmatch(r"sqlite(?:\+\w+)?:///(?!:memory:)([^?]+)(?:\?.*)?", uri)
    return Path(unquote(found[1])).absolute() if found else None


def _check_database(path: Path) -> None:
    """Refuse at once what MLflow would try again and again for a minute and a half."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            file.seek(0)
            head = file.read(16)
    except OSError as error:
        raise BadInput(
            f"The MLflow database {path} cannot be written: {error.strerror}. "
            "Give another with --tracking-uri, or pass --no-mlflow."
        ) from error
    if head not in (b"", b"SQLite format 3\0"):
        raise BadInput(f"{path} is no SQLite database: give another with --tracking-uri, or pass --no-mlflow.")


def create_database(path: Path, mlflow: ModuleType) -> None:
    """Make an empty database whole before it is there: a kill among MLflow's migrations leaves one that it refuses ever after."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # of several that find it empty, one makes it
        if path.stat().st_size:
            return
        for remains in path.parent.glob(f"{glob.escape(path.name)}.*.part*"):  # of a process that was killed at this
            remains.unlink()
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        uri = sqlite_uri(partial)
        mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
        partial.replace(path)


def artifacts_of(uri: str) -> str | None:
    """Where an experiment's artifacts go, absolute: MLflow's own choice would be relative to the working directory.

    A server decides itself.
    """
    if uri.startswith(("http", "databricks")):
        return None
    database = sqlite_path(uri)
    return ((database.parent if database else Path.cwd()) / "mlartifacts").as_uri()


def shown(uri: str) -> str:
    """The URI without a password."""
    try:
        secret = urlsplit(uri).password
    except ValueError:
        return uri
    return (
        uri.replace(f":{quote(unquote(secret), safe='')}@", ":***@").replace(f":{secret}@", ":***@") if secret else uri
    )
