"""Runs of W&B beside ours: whose they are, and whether they say the same."""
