"""Where a run was started: in a notebook a cell that is run again starts another one in the first
one's place.
"""

from __future__ import annotations

import threading
from types import FrameType
from typing import NamedTuple

_CELLS = (
    "<ipython-input",
    "<stdin>",
    "<console>",
    "<python-input",
    "ipykernel",
    "<marimo",
    "__marimo__",
)


class Place(NamedTuple):
    """The thread, the program's names that the start could reach, the line, and what was started
    there.
    """

    thread: int
    namespace: int
    code: tuple[str, int, str]
    line: int
    pipeline: str
    where: str


def place_of(frame: FrameType, pipeline: str, where: str) -> Place:
    """The place of the start that this frame makes. A cell is the same place when its text has been
    edited.
    """
    code = frame.f_code
    is_cell = any(mark in code.co_filename for mark in _CELLS)
    if is_cell:
        line = 0
    else:
        line = frame.f_lineno
    if is_cell:
        name = ("cell", 0, "")
    else:
        name = (code.co_filename, code.co_firstlineno, code.co_name)
    return Place(threading.get_ident(), id(frame.f_globals), name, line, pipeline, where)


def is_nested(frame: FrameType) -> bool:
    """Whether the same code is at work further out: a function that calls itself, and starts a run
    each time on purpose.
    """
    outer = frame.f_back
    while outer is not None:
        if outer.f_code is frame.f_code:
            return True
        outer = outer.f_back
    return False
