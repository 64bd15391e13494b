"""Asking the scheduler: when, and what changed."""
