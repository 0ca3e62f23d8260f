"""Data sets as whole arrays, and the splits of them."""

from sslbench.data.base import Dataset, dataset, load
from sslbench.data.splits import Split, balanced_split, stratified_split

__all__ = ["Dataset", "Split", "balanced_split", "dataset", "load", "stratified_split"]
