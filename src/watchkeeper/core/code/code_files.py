"""Which code a run is of, by hash: the script that it begins with, and the `.py` and `.sh` files
that this names in turn.

Nothing is run or imported for it. A shell script names files by the words of its commands
(`core/code/named_files.py`) and modules by `-m`. A Python file names those of its imports that lie
beside it, beside the script, or at the top of its package, and the plain strings that end in `.py`
or `.sh`. What is installed is not looked at, and there are limits: `MOST_FILES`, `MOST_BYTES`,
`MOST_BYTES_IN_ALL`.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from watchkeeper.core.code import git, named_files
from watchkeeper.core.code.git_index import Index
from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.text import lazy

MOST_FILES = 50
MOST_BYTES = 2**20
"""Of one file: a larger one is hardly code that a person wrote."""
MOST_BYTES_IN_ALL = 8 * 2**20
PYTHON, SHELL = ".py", ".sh"
_IMPORT = lazy.pattern(
    r"^[ \t]*(?:from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^#\n]+)|import[ \t]+([^#\n]+))",
    re.MULTILINE,
)
_STRING = lazy.pattern(r"""['"]([\w./+@-]+\.(?:py|sh))['"]""")
_NAME = lazy.pattern(r"[A-Za-z_]\w*(?:\.\w+)*")
_INSTALLED = frozenset({"site-packages", "dist-packages"})


class Code(NamedTuple):
    """The files of a run's code, each with its hash, and what git says of them; `folder` is where
    they begin, `fault` why git does not answer for a repository that is there.

    `uncommitted` are those that the commit does not hold: new or ignored files, and files outside
    the repository. Without a commit there are none.
    """

    git: git.Git
    fault: str
    folder: Path
    files: dict[Path, str]
    uncommitted: tuple[Path, ...] = ()

    def named(self) -> dict[str, str]:
        """The files by their names from the folder: `train.py` → the sha256 of its bytes."""
        return {self.name(path): sha256 for path, sha256 in self.files.items()}

    def uncommitted_names(self) -> tuple[str, ...]:
        """The names of those that the commit does not hold."""
        return tuple(map(self.name, self.uncommitted))

    def name(self, path: Path) -> str:
        """A file's name: relative to the folder where it lies in it, else whole."""
        if path.is_relative_to(self.folder):
            return str(path.relative_to(self.folder))
        return str(path)


def of(place: Path) -> Code:
    """The code of a run that begins with the script `place`; of a folder, only the commit. Asks
    git, which may take seconds on a slow filesystem; where git gives no answer, `fault` says why.
    """
    folder, files = begin(place)
    state = git.state(folder)
    if state.sha:
        fault = ""
    else:
        fault = git.refusal(folder)
    return Code(state, fault, folder, files, uncommitted(folder, files))


def begin(place: Path) -> tuple[Path, dict[Path, str]]:
    """The folder of a script `place`, and the code's files with their hashes; of a folder, itself
    and no file. A command that is installed (`…/bin/torchrun`) has no file either: it is not the
    user's code. Of a place that does not exist, the folder is the one it would lie in.
    """
    place = Path(os.path.abspath(place))  # noqa: PTH100 - links stay
    folder = next(folder for folder in (place, *place.parents) if folder.is_dir())
    if folder == place:
        return place, {}
    if is_installed(place):
        return place.parent, {}
    return place.parent, hashes(place)


def hashes(entry: Path) -> dict[Path, str]:
    """Each file of the code → the sha256 of its bytes, the entry first. What cannot be read is left
    out.
    """
    hashes: dict[Path, str] = {}
    for path, data in contents(entry):
        hashes[path] = hashlib.sha256(data).hexdigest()
    return hashes


def contents(entry: Path, workdir: Path | None = None) -> Iterator[tuple[Path, bytes]]:
    """Each file of the code with its bytes, the entry first, then in the order met. `workdir` is
    the folder in which the entry begins, None: its own.

    A file that cannot be read, or would pass one of the limits, is left out, with what it alone
    names.
    """
    waiting = [Path(os.path.abspath(entry))]  # noqa: PTH100 - a link stays: its name is the one that is typed
    met = set(waiting)
    left = MOST_BYTES_IN_ALL
    count = 0
    while waiting and count < MOST_FILES:
        path = waiting.pop(0)
        data = _bytes_of(path, min(left, MOST_BYTES))
        if data is None:
            continue
        count += 1
        left -= len(data)
        yield path, data
        for named in _named(path, data, entry, workdir):
            if named not in met and not is_installed(named):
                met.add(named)
                waiting.append(named)


def uncommitted(folder: Path, files: Iterable[Path]) -> tuple[Path, ...]:
    """Those of the files that the repository of `folder` does not track, nor a submodule of it;
    none without one. Where git does not answer, a file that its index may hold is taken for
    tracked.
    """
    sorted_files = sort_out(folder, files)
    if sorted_files is None:
        return ()
    strangers, unsure = sorted_files
    for top, places in unsure.items():
        tracked = git.tracked(top, list(places.values()))
        if tracked is not None:
            strangers |= {path for path, real in places.items() if real not in tracked}
    return tuple(path for path in files if path in strangers)


def sort_out(
    folder: Path, files: Iterable[Path]
) -> tuple[set[Path], dict[Path, dict[Path, Path]]] | None:
    """The files outside the repository of `folder`, and those that git is to be asked about: top of
    the repository → file → where it really is. None where `folder` lies in no repository.
    """
    top = git.holder_of(folder)
    if top is None:
        return None
    places = _RealPlaces()
    own = top.resolve()
    strangers: set[Path] = set()
    by_top: dict[Path, dict[Path, Path]] = {}
    for path in files:
        real, holder = places.of(path)
        if holder is None or not holder.is_relative_to(own):
            strangers.add(path)
        else:
            by_top.setdefault(holder, {})[path] = real
    to_ask: dict[Path, dict[Path, Path]] = {}
    for holder, inside in by_top.items():
        unsure = _unsure(holder, inside)
        if unsure:
            to_ask[holder] = unsure
    return strangers, to_ask


def _unsure(top: Path, places: Mapping[Path, Path]) -> dict[Path, Path]:
    """Those of the files that the index of the repository at `top` does not name for certain.
    `places` and the result map a file to where it really is.
    """
    index = Index(top)
    return {path: real for path, real in places.items() if not index.names(real)}


def is_installed(path: Path) -> bool:
    """Whether it is part of a package, or a command of one, and so not the user's own code:
    `…/site-packages/tqdm/std.py`, or a file beside this Python.
    """
    is_in_package = bool(_INSTALLED & set(path.parts))
    return is_in_package or path.parent == Path(sys.executable).parent


class _RealPlaces:
    """Where files really lie, and the top of the repository there. Looks at each folder once."""

    def __init__(self) -> None:
        self._folders: dict[Path, tuple[Path, Path | None]] = {}

    def of(self, path: Path) -> tuple[Path, Path | None]:
        """The file without links in its path, and the top of its repository (None: it lies in
        none).
        """
        if path.is_symlink():
            path = path.resolve()
        if path.parent not in self._folders:
            folder = path.parent.resolve()
            self._folders[path.parent] = folder, git.holder_of(folder)
        folder, top = self._folders[path.parent]
        return folder / path.name, top


def _bytes_of(path: Path, most: int) -> bytes | None:
    """The bytes of a file; None where it cannot be read, or holds more than `most`."""
    try:
        return read_whole(path, most)
    except OSError:
        return None


def _named(path: Path, data: bytes, entry: Path, workdir: Path | None) -> Iterator[Path]:
    """The files that a file names: a Python file by its imports and strings, any other as a shell
    script. A binary, which has a zero byte, names none. `entry` and `workdir` are as in `contents`.
    """
    first = data[: data.find(b"\n")]
    if b"\0" in data:
        return
    runs_python = first.startswith(b"#!") and b"python" in first
    if path.suffix == PYTHON or runs_python:
        yield from _named_in_python(path, data.decode("utf-8", "replace"), entry)
    else:
        yield from named_files.files_of(path, (PYTHON, SHELL), workdir)
        yield from named_files.modules_of(path, workdir)


def _named_in_python(path: Path, text: str, entry: Path) -> Iterator[Path]:
    """The files that a Python file names. An import without dots, and a string such as
    `"lib/eval.sh"`, may be meant from the file's folder, from above its package, or from the
    entry's folder: the first place that has the file counts.
    """
    folder = Path(os.path.abspath(entry)).parent  # noqa: PTH100
    roots = list(dict.fromkeys([path.parent, _above_package(path), folder]))
    for match in _IMPORT.finditer(text):
        for module, base in _modules(match, path):
            places = roots
            if base is not None:
                places = [base]
            for root in places:
                file = _file_of(root, module)
                if file is not None:
                    yield file
                    break
    for name in _STRING.findall(text):
        for root in roots:
            place = Path(os.path.normpath(root / name))
            if place.is_file():
                yield place
                break


def _modules(match: re.Match[str], path: Path) -> Iterator[tuple[str, Path | None]]:
    """The modules that an import may mean, each with the folder that it is taken from (None: any
    root).

        import a.b, c as d          a.b; c
        from a.b import c           a.b.c, in case c is a module; a.b
        from ..x import y           x.y; x, both from the folder above the file's
    """
    if match[3] is not None:
        for part in match[3].split(","):
            name = _NAME.match(part.strip())
            if name:
                yield name[0], None
        return
    module = match[1].lstrip(".")
    dots = len(match[1]) - len(module)
    base = None
    if dots:
        base = path.parent
        for _ in range(dots - 1):
            base = base.parent
    for part in match[2].strip("() \t\n").split(","):
        name = _NAME.match(part.strip())
        if name and module:
            yield f"{module}.{name[0]}", base
        elif name:
            yield name[0], base
    if module:
        yield module, base


def _file_of(root: Path, module: str) -> Path | None:
    """The file of a module below a root, `a.b` as `a/b.py` or `a/b/__init__.py`; None where neither
    is there.
    """
    inside = module.replace(".", "/")
    for name in (f"{inside}.py", f"{inside}/__init__.py"):
        path = root / name
        if path.is_file():
            return Path(os.path.normpath(path))
    return None


def _above_package(path: Path) -> Path:
    """The folder above the package that a file is part of; its own folder if it is part of none."""
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        folder = folder.parent
    return folder
