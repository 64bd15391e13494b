"""Figures as people read them, for logs and terminals alike."""

from __future__ import annotations


def clock(seconds: float) -> str:
    """`0:09`, `12:05`, `1:02:33`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
