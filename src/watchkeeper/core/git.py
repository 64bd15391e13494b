"""What git knows of the code in a folder. Nothing is written, and no lock of the repository is taken."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

LIMIT_S = 2.0
DIFF_LIMIT_S = 20.0
DIFF_LIMIT_BYTES = 20_000_000


class Git(NamedTuple):
    """A repository's state; `sha` is "" where there is none, `dirty` is None where it could not be told."""

    sha: str = ""
    branch: str = ""
    dirty: bool | None = None


def state(folder: Path) -> Git:
    """The commit of the folder's repository, and whether tracked files differ from it. Source of the format:
    git-status(1), porcelain 2.
    """
    output = _ask(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no", limit_s=LIMIT_S)
    if output is None:
        return Git()
    lines = output.decode("utf-8", "replace").splitlines()
    head = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# ") and " " in line[2:])
    sha = head.get("branch.oid", "")
    dirty = any(not line.startswith("#") for line in lines)
    return Git(sha if sha != "(initial)" else "", head.get("branch.head", ""), dirty)


def top(folder: Path) -> Path | None:
    """The top of the working tree that the folder lies in, a submodule's own included; None where there is none."""
    output = _ask(folder, "rev-parse", "--show-toplevel", limit_s=LIMIT_S)
    return Path(output.decode("utf-8", "surrogateescape").rstrip("\n")) if output and output.strip() else None


def diff(folder: Path) -> bytes | None:
    """How the whole repository's tracked files differ from its commit, as `git apply` takes it; None where it cannot be
    told in time, or is larger than DIFF_LIMIT_BYTES.
    """
    output = _ask(folder, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", limit_s=DIFF_LIMIT_S)
    return output if output is not None and len(output) <= DIFF_LIMIT_BYTES else None


def _ask(folder: Path, *words: str, limit_s: float) -> bytes | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            timeout=limit_s,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return None if done.returncode else done.stdout
