"""What every worker needs, imported once by the process of which they are forks; this module is for that process alone."""

import atexit
import gc
import importlib
import os

import sslbench.executors.local  # noqa: F401

importlib.import_module("torch._dynamo")  # which the gradient within a loss imports
gc.freeze()  # a search for garbage in a fork would write into all pages that it shares
atexit.register(os._exit, 0)  # without tidying up, for seconds in which it would hold the driver's output open
