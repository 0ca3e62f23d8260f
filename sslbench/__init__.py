"""sslbench: a benchmark suite that compares semi-supervised learning methods."""

__version__ = "0.1.0"
