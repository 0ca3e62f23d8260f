"""How fast sslbench is, held against the plain loops of `baselines/`: `make perf`."""
