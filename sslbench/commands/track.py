"""`sslbench track`: the stored records to MLflow."""

from __future__ import annotations

from typing import Annotated

import typer

from sslbench.commands.console import PLAIN, escaped, out
from sslbench.commands.options import FolderArgument
from sslbench.errors import BadInput


def track(
    folder: FolderArgument,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow store. Default: SQLite beside the folder.")] = None,
) -> None:
    """Write the stored records to MLflow. What is there already is left as it is."""
    from sslbench import tracking

    uri = tracking_uri or tracking.default_uri(folder)
    try:
        count = tracking.track(folder, tracking_uri)
    except tracking.TrackingError as error:
        raise BadInput(str(error)) from error
    out.print(f"{count} cells written to {escaped(tracking.shown(uri))}", **PLAIN)
