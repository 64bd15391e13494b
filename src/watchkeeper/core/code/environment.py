"""What is installed where jobs are submitted from, and where runs record themselves: Pythons and
their packages, by the names of folders alone.

A job inherits the submitter's PATH, so that `python` in its script is the first one there, unless
the script activates another: what a job itself ran in only its own record can say. No package is
imported and no program is run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

from watchkeeper.core.text import lazy

VARIABLES = ("VIRTUAL_ENV", "CONDA_DEFAULT_ENV", "CONDA_PREFIX", "LOADEDMODULES", "WANDB_DIR")
_INSTALLED = lazy.pattern(r"(?P<name>.+?)-(?P<version>[^-]+)\.(?:dist-info|egg-info)")
_VERSION = lazy.pattern(r"python(3\.\d+)")


class Python(msgspec.Struct, frozen=True, kw_only=True):
    """One Python: the program, its version ("" where its folders do not say), and package →
    version.
    """

    executable: str
    version: str
    packages: dict[str, str]


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """`submitter` is the process that submitted, or that recorded itself; `on_path` the first
    `python` of its PATH (None: there is none, it is the same, or no other program was started).
    `variables` are those of VARIABLES that are set.
    """

    submitter: Python
    on_path: Python | None
    system: str
    variables: dict[str, str]


def of_submitter(variables: Mapping[str, str] = os.environ) -> Environment:
    """This process's, and that of the first `python` on its PATH, without what cannot be read."""
    return msgspec.structs.replace(of_process(variables), on_path=_on_path(variables))


def of_process(variables: Mapping[str, str] = os.environ) -> Environment:
    """This process's environment, without what cannot be read. `on_path` is None: no other program
    is started.
    """
    here = Python(
        executable=sys.executable,
        version=sys.version.split()[0],
        packages=_known_packages(tuple(sys.path)),
    )
    system = os.uname()  # `platform` says the same, and takes longer to import than all of this
    return Environment(
        submitter=here,
        on_path=None,
        system=f"{system.sysname} {system.release} {system.machine}",
        variables={name: variables[name] for name in VARIABLES if variables.get(name)},
    )


@lru_cache(maxsize=1)
def _known_packages(folders: tuple[str, ...]) -> dict[str, str]:
    """The packages in these folders, looked for once: a process that records many runs imports
    what it found first.
    """
    return _packages(map(Path, folders))


def _on_path(variables: Mapping[str, str]) -> Python | None:
    """The first Python of the PATH; None: there is none, or it is this process's own. Its packages
    are those of the folders beside it. Its version is "" where these do not agree on one.
    """
    import shutil

    path = variables.get("PATH", "")
    python = shutil.which("python", path=path) or shutil.which("python3", path=path)
    if python is None or Path(python).parent == Path(sys.executable).parent:
        return None
    # Not resolved: the python of a virtual environment is a link out of it.
    prefix = Path(python).parent.parent
    folders = [*prefix.glob("lib/python3*/site-packages")]
    folders += prefix.glob("lib/python3*/dist-packages")
    folders.sort()
    versions: set[str] = set()
    for folder in folders:
        match = _VERSION.search(str(folder))
        if match is not None:
            versions.add(match[1])
    version = ""
    if len(versions) == 1:
        version = versions.pop()
    return Python(executable=python, version=version, packages=_packages(folders))


def _packages(folders: Iterable[Path]) -> dict[str, str]:
    """The packages in these folders, name → version, by name; `ruamel_yaml` is `ruamel-yaml`. Of
    two folders that have one the first counts, as for Python itself.
    """
    packages: dict[str, str] = {}
    for folder in folders:
        for name in _names(folder):
            match = _INSTALLED.fullmatch(name)
            if match is not None:
                packages.setdefault(match["name"].casefold().replace("_", "-"), match["version"])
    return dict(sorted(packages.items()))


def _names(folder: Path) -> Iterator[str]:
    """The names of the folders that describe a package; none where the folder cannot be read."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith("-info"):
                    yield entry.name
    except OSError:
        return
