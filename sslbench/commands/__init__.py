"""The commands, a file each, and what they share (console.py, options.py). `sslbench.cli` puts them together."""
