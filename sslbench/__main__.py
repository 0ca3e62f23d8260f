"""`python -m sslbench` is `sslbench`."""

from sslbench.cli import main

main()
