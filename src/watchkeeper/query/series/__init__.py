"""Curves of recorded runs: metric rows as columns of a chart, and what the cache keeps of them."""
