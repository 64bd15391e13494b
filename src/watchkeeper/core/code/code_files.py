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
        """The files by their names from the folder."""
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
    """The code of a run that begins with the script `place`; of a folder, only the commit."""
    folder, files = begin(place)
    state = git.state(folder)
    if state.sha:
        fault = ""
    else:
        fault = git.refusal(folder)
    return Code(state, fault, folder, files, uncommitted(folder, files))


def begin(place: Path) -> tuple[Path, dict[Path, str]]:
    """The folder of a script `place`, and the code's files with their hashes; of a folder, itself
    and no file.
    """
    place = Path(os.path.abspath(place))  # noqa: PTH100 - links stay
    folder = next(folder for folder in (place, *place.parents) if folder.is_dir())
    if folder == place:
        return place, {}
    return place.parent, {} if is_installed(place) else hashes(place)


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
    none without one.
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
    unsure = {holder: _unsure(holder, inside) for holder, inside in by_top.items()}
    return strangers, {holder: inside for holder, inside in unsure.items() if inside}


def _unsure(top: Path, places: Mapping[Path, Path]) -> dict[Path, Path]:
    """Those of the files that the index of the repository at `top` does not name for certain."""
    index = Index(top)
    return {path: real for path, real in places.items() if not index.names(real)}


def is_installed(path: Path) -> bool:
    """Whether it is part of a package, or a command of one: nobody's own code."""
    return bool(_INSTALLED & set(path.parts)) or path.parent == Path(sys.executable).parent


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
    try:
        return read_whole(path, most)
    except OSError:
        return None


def _named(path: Path, data: bytes, entry: Path, workdir: Path | None) -> Iterator[Path]:
    first = data[: data.find(b"\n")]
    if b"\0" in data:
        return
    if path.suffix == PYTHON or (first.startswith(b"#!") and b"python" in first):
        yield from _named_in_python(path, data.decode("utf-8", "replace"), entry)
    else:
        yield from named_files.files_of(path, (PYTHON, SHELL), workdir)
        yield from named_files.modules_of(path, workdir)


def _named_in_python(path: Path, text: str, entry: Path) -> Iterator[Path]:
    folder = Path(os.path.abspath(entry)).parent  # noqa: PTH100
    roots = list(dict.fromkeys([path.parent, _above_package(path), folder]))
    for match in _IMPORT.finditer(text):
        for module, base in _modules(match, path):
            for root in [base] if base is not None else roots:
                if (file := _file_of(root, module)) is not None:
                    yield file
                    break
    for name in _STRING.findall(text):
        for root in roots:
            if (place := Path(os.path.normpath(root / name))).is_file():
                yield place
                break


def _modules(match: re.Match[str], path: Path) -> Iterator[tuple[str, Path | None]]:
    """The modules that an import may mean, each with the folder that it is taken from (None: any
    root).
    """
    if match[3] is not None:
        for part in match[3].split(","):
            if name := _NAME.match(part.strip()):
                yield name[0], None
        return
    dots = len(match[1]) - len(match[1].lstrip("."))
    base = path.parent
    for _ in range(dots - 1):
        base = base.parent
    module = match[1].lstrip(".")
    for part in match[2].strip("() \t\n").split(","):
        if name := _NAME.match(part.strip()):
            yield ".".join(filter(None, [module, name[0]])), base if dots else None
    if module:
        yield module, base if dots else None


def _file_of(root: Path, module: str) -> Path | None:
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
