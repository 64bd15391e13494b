"""A sparkline's values, read at places that lie evenly in a file of rows: a file of any length
costs the same.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from watchkeeper.core.disk.files import open_regular
from watchkeeper.query.catalogue.entry import SPARK_VALUES, medians
from watchkeeper.runfolder.losses import TRAIN_LOSS, loss_of
from watchkeeper.runfolder.rows import decode_fields, files_of

_BLOCK_BYTES = 8_192
_DIGITS = 4
_WHOLE_BYTES = SPARK_VALUES * _BLOCK_BYTES


def spark_of(run_folder: Path) -> tuple[float, ...]:
    """Up to 48 medians of the training loss of the newest execution, in order; () where it has
    fewer than two rows with one.

    Each is rounded to four digits: more would not be seen.
    """
    for path in sorted(files_of(run_folder), reverse=True):
        values = _values(path)
        if len(values) > 1:
            shown = medians(values, SPARK_VALUES)
            return tuple(float(f"{value:.{_DIGITS}g}") for value in shown)
    return ()


def _values(path: Path) -> Sequence[float]:
    """The losses in a file of rows, or the median of each of 48 blocks of a large one.

    Blocks of 8 KiB lie evenly from the begin of the file to its end. () where it cannot be read.
    """
    try:
        with open_regular(path) as file:
            size = file.seek(0, os.SEEK_END)
            if size <= _WHOLE_BYTES:
                file.seek(0)
                return list(_losses(file.read(_WHOLE_BYTES)))
            blocks = []
            for number in range(SPARK_VALUES):
                # The first block begins with the file, and the last ends with it.
                file.seek((size - _BLOCK_BYTES) * number // (SPARK_VALUES - 1))
                blocks.append(list(_losses(file.read(_BLOCK_BYTES))))
    except OSError:
        return ()
    # A block may hold no whole row with a loss.
    return [median(block) for block in blocks if block]


def _losses(data: bytes) -> Iterator[float]:
    """The finite losses in whole lines; what a block cuts off is no row."""
    for line in data.split(b"\n"):
        fields = decode_fields(line)
        if not fields:
            continue
        loss = loss_of(fields, TRAIN_LOSS)
        if isinstance(loss, int | float) and math.isfinite(loss):
            yield float(loss)
