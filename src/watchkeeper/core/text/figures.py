"""Figures as people read them, for logs and terminals alike."""

from __future__ import annotations

from watchkeeper.core.text import lazy

_NUMBER = lazy.pattern(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_CONSTANTS = {"true": "true", "false": "false", "null": "null", "~": "null", "": "null"}


def clock(seconds: float) -> str:
    """A span of time for people: `0:09`, `12:05`, `1:02:33`, `26:00:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}"


def runtime(seconds: float) -> str:
    """`00:12:05`, `1-02:00:29`: Slurm's form of a job's elapsed time."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    of_day = f"{hours:02d}:{minutes:02d}:{rest:02d}"
    if days:
        return f"{days}-{of_day}"
    return of_day


def size(count: int) -> str:
    """`1.50 GiB`, `12.0 MiB`, `820 bytes`."""
    if count < 2**20:
        if count >= 2**10:
            return f"{count / 2**10:.1f} KiB"
        return f"{count} bytes"
    if count >= 2**30:
        return f"{count / 2**30:.2f} GiB"
    return f"{count / 2**20:.1f} MiB"


def gib(count: int) -> str:
    """`1.50 GiB`, `12.0 MiB`, `0.0 MiB`: for figures that stand beside one another."""
    if count >= 2**30:
        return f"{count / 2**30:.2f} GiB"
    return f"{count / 2**20:.1f} MiB"


def canonical(text: str) -> str:
    """A value in one spelling, so that equal settings are equal texts.

        1.0e-2, 0.010, +0.01    `0.01`
        True                    `true`
        ~, null, nothing        `null`
        007, 12 layers          as they are: an id and words
        8, 8.0                  `8`

    A text with space around it loses that.
    """
    text = text.strip()
    if text.casefold() in _CONSTANTS:
        return _CONSTANTS[text.casefold()]
    if not _NUMBER.fullmatch(text):
        return text
    digits = text.lstrip("+-")
    if digits.isdigit() and len(text) < 400:
        # a leading zero is that of an id, unless there are only zeros
        is_number = not digits.startswith("0") or text.lstrip("+-0") == ""
        return str(int(text)) if is_number else text
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text
