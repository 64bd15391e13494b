"""Schedulers for faults that real ones cannot be made to show."""
