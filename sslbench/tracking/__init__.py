"""Records → MLflow.

One experiment a suite, one parent run a sweep (a results folder), one child run a cell. The store stays the truth: what
is written here can be written again, and writing it again changes nothing.
"""

from sslbench.tracking.background import Background
from sslbench.tracking.client import require_mlflow
from sslbench.tracking.metrics import Point, points
from sslbench.tracking.parameters import varying
from sslbench.tracking.stored import track
from sslbench.tracking.stores import checked, default_uri, shown
from sslbench.tracking.sweep import SWEEP_FILE, Sweep, sweep_of
from sslbench.tracking.tracker import REPORT_FOLDER, Tracker, TrackingError

__all__ = [
    "REPORT_FOLDER",
    "SWEEP_FILE",
    "Background",
    "Point",
    "Sweep",
    "Tracker",
    "TrackingError",
    "checked",
    "default_uri",
    "points",
    "require_mlflow",
    "shown",
    "sweep_of",
    "track",
    "varying",
]
