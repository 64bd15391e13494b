"""One mutant against its tests, in a forked process of its own."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.mutants.changes import Mutant

KILLED, SURVIVED, TIMED_OUT = "killed", "survived", "timed out"
POLL_S = 0.01


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from its mutant; nothing is written beside the source."""

    def __init__(self, name: str, mutant: Mutant) -> None:
        super().__init__(name, str(mutant.path))
        self._tree = mutant.tree()

    def get_code(self, fullname: str) -> object:
        """The mutant's code, under the source's name."""
        del fullname
        return compile(self._tree, self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the mutant in the place of its module."""

    def __init__(self, name: str, mutant: Mutant) -> None:
        self._name, self._mutant = name, mutant

    def find_spec(self, fullname: str, path: object, target: object = None) -> object:
        """The mutant, where its module is asked for."""
        del path, target
        if fullname != self._name:
            return None
        return importlib.util.spec_from_loader(fullname, _Loader(fullname, self._mutant))


def module_name(path: Path) -> str:
    """What the module of this file is imported as."""
    parts = path.with_suffix("").parts
    return ".".join(parts[len(parts) - parts[::-1].index("watchkeeper") - 1 :])


def preload() -> None:
    """Import what all tests import from outside, once: each mutant is tried in a fork."""
    import hypothesis
    import hypothesis.strategies
    import markdown_it
    import msgspec
    import ruamel.yaml
    import yaml

    del hypothesis, markdown_it, msgspec, ruamel, yaml
    for name in [name for name in sys.modules if name.partition(".")[0] == "watchkeeper"]:
        raise RuntimeError(f"{name} is loaded already: no mutant could take its place")


def try_mutant(mutant: Mutant | None, tests: tuple[str, ...], limit_s: float) -> str:
    """Whether the tests notice it; None: the code as it is."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        _run(mutant, tests)
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    deadline = time.monotonic() + limit_s
    try:
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return SURVIVED if os.waitstatus_to_exitcode(status) == 0 else KILLED
            if time.monotonic() > deadline:
                return TIMED_OUT
            time.sleep(POLL_S)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _run(mutant: Mutant | None, tests: tuple[str, ...]) -> None:
    """In the child: the exit code is pytest's, and nothing is printed."""
    code = 1
    try:
        silent = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silent, stream)
        if mutant is not None:
            sys.meta_path.insert(0, _Finder(module_name(mutant.path), mutant))
        options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile", "fast"]
        code = int(pytest.main([*options, "--hypothesis-seed", "0", *tests]))
    finally:
        os._exit(code)
