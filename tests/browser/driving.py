"""Chromium and an MLflow server, for the tests of what a browser shows and for the pictures of the README."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

SERVER = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONWARNINGS": "ignore",
}
"""As `make ui` sets them."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 300
"""Seconds that a server or a page may take on a busy machine."""


def obstacle() -> str:
    """Why no browser can be driven here; empty if one can."""
    try:
        import playwright.sync_api  # noqa: F401
    except ModuleNotFoundError:
        return "playwright is not installed: pip install 'sslbench[browser]'"
    return "" if chromium() else f"no Chromium on the path ({', '.join(CHROMIUM)})"


def chromium() -> str | None:
    """Where Chromium is."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def mlflow_server(database: Path) -> Iterator[str]:
    """The MLflow UI on a database and the artifacts beside it, at a free port of this machine: its address."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{database}"]
    command += ["--artifacts-destination", str(database.parent / "mlartifacts"), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    server = subprocess.Popen(
        command, env=os.environ | SERVER, cwd=database.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError(f"The MLflow server did not answer at {address}.")


@contextmanager
def window(opened: Any, width: int, height: int = 1000, **options: Any) -> Iterator[Any]:
    """A window of that browser with nothing remembered; MLflow's own assistant does not open itself in it."""
    context = opened.new_context(viewport={"width": width, "height": height}, bypass_csp=True, **options)
    context.add_init_script('localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true")')
    context.set_default_timeout(1000 * PATIENCE)
    try:
        yield context.new_page()
    finally:
        context.close()


def runs_page(address: str, experiment: str) -> str:
    """The page that MLflow's UI opens for an experiment."""
    return f"{address}/#/experiments/{experiment}/runs?workflowType=machine_learning"


def follow(page: Any, link: str) -> Any:
    """The page that a link of this text opens beside this one."""
    with page.context.expect_page() as beside:
        page.get_by_text(link).first.click()
    return beside.value
