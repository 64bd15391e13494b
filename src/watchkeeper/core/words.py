"""Figures as people read them, for logs and terminals alike."""

from __future__ import annotations


def clock(seconds: float) -> str:
    """`0:09`, `12:05`, `1:02:33`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def runtime(seconds: float) -> str:
    """`00:12:05`, `1-02:00:29`: Slurm's form of a job's elapsed time."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (f"{days}-" if days else "") + f"{hours:02d}:{minutes:02d}:{rest:02d}"
