"""Scenarios: one file a family. What is labelled, what is not, which network, which budget."""
