"""Which paths a document may name: those inside the checkpoint, in one spelling each."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from watchkeeper.core.errors import UsageError
from watchkeeper.tools.file_formats import short

_MODELS = "models--"
_SNAPSHOTS = "snapshots"


class UnsafePathError(UsageError):
    """A path that a document names, or a link, leads out of the checkpoint."""

    code = "outside"


def inside(root: Path, relative: str) -> Path:
    """The file that a path names, with every link on the way followed. It need not exist.

    In a snapshot of the Hugging Face cache (`models--…/snapshots/…`) a link may lead to any place
    in the same `models--…` folder, where its blobs lie.

    Raises:
        UnsafePathError: the path is not plain and relative (absolute, `..`, `.`, NUL, a Windows
            drive), or a link leads out.
    """
    fault = fault_of(relative)
    if fault:
        raise UnsafePathError(f"the path {short(relative)!r} {fault}")
    top = os.path.realpath(root)
    place = os.path.realpath(os.path.join(top, relative))
    if not is_below(place, top) and not is_below(place, _cache_of(top)):
        raise UnsafePathError(f"{short(relative)} leads out of the checkpoint, to {short(place)}")
    return Path(place)


def is_below(place: str, folder: str) -> bool:
    """Whether a real path lies in a real folder; never in the folder ""."""
    if not folder:
        return False
    return place.startswith(folder.rstrip("/") + "/")


def fault_of(relative: str) -> str:
    """What is wrong with the spelling of a path; "": nothing."""
    if not relative:
        return "is empty"
    if "\0" in relative:
        return "holds a NUL"
    if relative.startswith("/"):
        return "is absolute"
    windows = PureWindowsPath(relative)
    if windows.anchor:
        return "names a drive of Windows"
    if ".." in windows.parts:
        return "leads upwards with .."
    if str(PurePosixPath(relative)) != relative or relative == ".":
        return "is not in its plain form"
    return ""


def _cache_of(top: str) -> str:
    """The `models--…` folder of a snapshot in the Hugging Face cache; "" elsewhere."""
    parts = Path(top).parts
    for at in range(len(parts) - 2):
        if parts[at].startswith(_MODELS) and parts[at + 1] == _SNAPSHOTS:
            return str(Path(*parts[: at + 1]))
    return ""
