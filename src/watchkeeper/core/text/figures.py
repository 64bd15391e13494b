"""Figures as people read them, for logs and terminals alike."""

from __future__ import annotations

from watchkeeper.core.text import lazy

_NUMBER = lazy.pattern(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_CONSTANTS = {"true": "true", "false": "false", "null": "null", "~": "null", "": "null"}


def clock(seconds: float) -> str:
    """`0:09`, `12:05`, `1:02:33`."""
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
    return (f"{days}-" if days else "") + f"{hours:02d}:{minutes:02d}:{rest:02d}"


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
    """A value in one spelling: `1.0e-2` and `0.010` are `0.01`, `True` is `true`, `~` is `null`;
    other text is itself.
    """
    text = text.strip()
    if text.casefold() in _CONSTANTS:
        return _CONSTANTS[text.casefold()]
    if _NUMBER.fullmatch(text):
        if text.lstrip("+-").isdigit() and len(text) < 400:
            if not text.lstrip("+-").startswith("0") or text.lstrip("+-0") == "":
                return str(int(text))
            return text
        try:
            return f"{float(text):.12g}"
        except ValueError:
            return text
    return text
