"""Runs side by side, and work that was done before."""
