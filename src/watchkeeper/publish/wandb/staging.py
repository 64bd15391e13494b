"""What W&B leaves beside an offline run and nobody needs once the run is on the server: copies of
artifacts that wait to be uploaded. They can be many times as large as the run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

# Below this a file is a copy that W&B made itself. Nothing else is ever listed.
_PLACE = Path("wandb_data", "artifacts", "staging")


class Staging(msgspec.Struct, frozen=True, kw_only=True):
    """The staged copies in one folder: how many files, and their bytes."""

    folder: Path
    files: tuple[Path, ...]
    bytes: int


def staging_of(run_folder: Path) -> list[Staging]:
    """The staged copies of an offline run: in its folder, in the folder `wandb` that it is in, and
    beside that.
    """
    roots = (run_folder, run_folder.parent, run_folder.parent.parent)
    folders = [root / _PLACE for root in roots]
    return [_staging(folder) for folder in folders if folder.is_dir() and not folder.is_symlink()]


def _staging(folder: Path) -> Staging:
    sizes = dict(_files(folder))
    return Staging(folder=folder, files=tuple(sorted(sizes)), bytes=sum(sizes.values()))


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """The regular files below a folder, without what links lead to, and their sizes."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if not path.is_symlink() and path.is_file():
                yield path, path.stat().st_size


def remove(staging: Staging) -> int:
    """Remove the files that were listed, and no others; returns the bytes that this freed. Folders
    stay. A file that is gone already, or was changed into something else, is passed over.
    """
    freed = 0
    for path in staging.files:
        if path.is_symlink() or not path.is_file() or staging.folder not in path.parents:
            continue
        size = path.stat().st_size
        path.unlink()
        freed += size
    return freed
