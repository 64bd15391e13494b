"""The manifest in the form that `sha256sum -c` reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from watchkeeper.core.disk import files
from watchkeeper.publish import names
from watchkeeper.publish.documents import ForeignDocumentError
from watchkeeper.publish.manifest.files import FileRecord

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r"})


def sums_text(records: Iterable[FileRecord]) -> str:
    """A line for each record: digits, two spaces, path. A path with a line end or a backslash is
    escaped, and its line begins with a backslash, as GNU's sha256sum writes it.
    """
    return "".join(_line(record) for record in records)


def _line(record: FileRecord) -> str:
    """A line as `sha256sum -c` reads it: `3f2a…  model.safetensors`. A backslash or a line break in
    a name is escaped, and a backslash before the hash says so.
    """
    escaped = record.path.translate(_ESCAPES)
    mark = ""
    if escaped != record.path:
        mark = "\\"
    return f"{mark}{record.sha256}  {escaped}\n"


def refuse_other_sums(root: Path, path: Path) -> None:
    """Refuse a place for the sums that would be a file of the checkpoint.

    Raises:
        ForeignDocumentError: it lies inside the root, and is not `SHA256SUMS` there.
    """
    top, place = root.resolve(), path.resolve()
    if place.is_relative_to(top) and place != top / names.SUMS:
        raise ForeignDocumentError(
            f"{path} would be a file of the checkpoint that no manifest lists",
            hint=f"name it {root / names.SUMS}, or put it outside of the checkpoint",
        )


def write_sums(path: Path, records: Iterable[FileRecord]) -> None:
    """Write the sums into a new file. One that holds just these already is left as it is.

    Raises:
        ForeignDocumentError: there is another file of this name; it is kept.
        StorageError: it could not be written.
    """
    data = sums_text(records).encode()
    if files.put_new(path, data) or files.read_if_any(path, len(data)) == data:
        return
    raise ForeignDocumentError(
        f"{path} exists, and is kept",
        hint="move it away or name another file, then type the same command again",
    )
