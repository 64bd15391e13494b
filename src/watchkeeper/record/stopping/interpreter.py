"""The Python that may be started beside the program: never the program itself once more.

`sys.executable` is no answer. In a frozen application (PyInstaller, Nuitka, cx_Freeze, PyOxidizer)
and in a program that embeds Python it is the program, and anybody may have set it to something
else. The file that this process runs, as the kernel names it, is one.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import msgspec

from watchkeeper.core.version import PACKAGE

# python3, python3.13t, python3-dbg, pypy3.10: what an interpreter is called, and nothing else.
_NAME = re.compile(r"(python|pypy|graalpy)[0-9.]*(t|d|td|dm|m|-dbg|-intel64)?")
_FROZEN = (
    "frozen",
    "_MEIPASS",
    "oxidized",
    "__compiled__",
)  # attributes of sys or of the main module
_RUNS = Path("/proc/self/exe")


def find() -> tuple[str, str]:
    """The path of a Python like this one, and ""; or "" and why none may be started."""
    if word := _frozen():
        return "", f"this is a frozen application ({word})"
    try:
        runs = _RUNS.readlink()
    except OSError as error:
        return "", f"the system does not say which Python runs ({error.strerror})"
    if _NAME.fullmatch(runs.name):
        return (sys.executable if _is_same(sys.executable, runs) else str(runs)), ""
    beside = f"{sys.base_exec_prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    if os.access(beside, os.X_OK):
        return beside, ""
    return "", f"Python runs within {runs}, which is another program"


def _is_same(executable: object, runs: Path) -> bool:
    """Whether it is another name of the file that runs: that of a virtual environment, whose
    packages come with it.
    """
    try:
        return isinstance(executable, str) and runs.samefile(executable)
    except OSError:
        return False


def _frozen() -> str:
    main = sys.modules.get("__main__")
    for name in _FROZEN:
        if getattr(sys, name, None) or hasattr(main, name):
            return f"{'sys.' if hasattr(sys, name) else ''}{name}"
    return ""


def places() -> list[str]:
    """Where that Python finds what the sidecar imports, behind its own standard library: packages,
    and no module of the program's.
    """
    folders = [str(Path(PACKAGE).parent), str(Path(msgspec.__file__).parents[1])]
    folders += [
        place for place in sys.path if Path(place).name in ("site-packages", "dist-packages")
    ]
    return list(dict.fromkeys(folders))


def environment() -> dict[str, str]:
    """This process's environment without what makes a Python behave otherwise: PYTHONPATH,
    PYTHONSTARTUP and the like.
    """
    kept = ("PYTHONHOME", "PYTHONPLATLIBDIR")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") or name in kept
    }
