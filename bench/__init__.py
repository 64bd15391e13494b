"""Benchmarks: each prints its figures beside a peer or a physical baseline measured in the same run, as medians of ratios."""
