"""Statistics on plain arrays: what a comparison of methods supports saying, and how surely.

Scores are higher-is-better; NaN stands for a run without one. Every resampling takes an integer seed, which fixes its
result. Nothing here knows of records or files.
"""

from sslbench.stats.multiplicity import holm
from sslbench.stats.summary import Summary, summarise

__all__ = [
    "Summary",
    "holm",
    "summarise",
]
