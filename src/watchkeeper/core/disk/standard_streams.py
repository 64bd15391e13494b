"""Standard input, output and error, which whoever starts a program may have closed."""

from __future__ import annotations

import os
import sys

STDERR = 2


def fill() -> None:
    """Open the null device in the place of a closed stdin, stdout or stderr, for a program of ours:
    no file that it or a child of its opens takes their place.
    """
    for fd in range(STDERR + 1):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free: this one
            os.set_inheritable(fd, True)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - for the life of the program
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
