"""Filesystems of the tests' own, that can be filled and frozen. They need root."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def _cannot(why: str) -> None:
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
        f"no filesystem of our own here: {why}"
    )


@contextlib.contextmanager
def mounted(folder: Path, *how: str) -> Iterator[Path]:
    """Mount something at `folder`, and unmount it at the end."""
    if os.geteuid() != 0:
        _cannot("only root can mount; run these tests as root: sudo make test")
    folder.mkdir()
    done = subprocess.run(["mount", *how, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        _cannot(done.stderr.strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A filesystem in memory that holds `size` bytes."""
    with mounted(folder, "-t", "tmpfs", "-o", f"size={size}", "tmpfs") as place:
        yield place


class Frozen:
    """A filesystem on a loop device, that hangs between `freeze` and `thaw`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._frozen = False

    def freeze(self) -> None:
        """From now on every write to it waits."""
        subprocess.run(["fsfreeze", "--freeze", self.folder], check=True)
        self._frozen = True

    def thaw(self) -> None:
        """What waited goes on."""
        if self._frozen:
            subprocess.run(["fsfreeze", "--unfreeze", self.folder], check=True)
            self._frozen = False


@contextlib.contextmanager
def freezing_disk(folder: Path) -> Iterator[Frozen]:
    """A small ext4 that can be frozen."""
    image = folder.with_suffix(".img")
    image.write_bytes(b"")
    os.truncate(image, 32 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    with mounted(folder, "-o", "loop", image) as place:
        disk = Frozen(place)
        try:
            yield disk
        finally:
            disk.thaw()
