"""Watching by evidence until everything has ended."""
