"""Benchmarks: measurements side by side, in one run, by ratios."""
