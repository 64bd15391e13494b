"""`wandb` as a program, here or on a cluster: within a time, with its key where only this user can
read it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, Protocol

from watchkeeper.core.code.wandb_versions import spelled, version_of
from watchkeeper.core.errors import UsageError
from watchkeeper.core.text import redaction
from watchkeeper.schedulers.shell import NOT_THERE, Shell

OLDEST = (0, 30, 0)
_GRACE_S = 5.0
_LOOK_S = 60.0
_LINE_S = 30.0
_TIMED_OUT = (124, 137)
_MOST_OUTPUT_BYTES = 64 * 1024
# The key comes on standard input: what stands on a command line everybody on the machine can read.
# `wandb` writes its own logs into the folder that it is started in.
_THERE = (
    "IFS= read -r WANDB_API_KEY; export WANDB_API_KEY; "
    'place=$(mktemp -d) && cd "$place" || exit 1; '
    'timeout -k 5 "$@" </dev/null 2>&1; code=$?; cd /; rm -rf "$place"; exit "$code"'
)


class Wandb(Protocol):
    """The program `wandb`."""

    @property
    def version(self) -> str:
        """Its version, as `0.31.0`."""
        ...

    def run(
        self, words: Sequence[str], *, url: str, key: str, timeout_s: float
    ) -> tuple[bool, str]:
        """Run a command of it against the server at `url`; whether it ended by itself, and the end
        of what it printed, without the key.
        """
        ...


class LocalWandb:
    """`wandb` of this version on this machine, called by `command`."""

    def __init__(self, command: Sequence[str], version: str) -> None:
        self._command = command
        self.version = version

    def run(
        self, words: Sequence[str], *, url: str, key: str, timeout_s: float
    ) -> tuple[bool, str]:
        """Run it in a group of its own, with the key in its environment; see `Wandb.run`."""
        environment = os.environ | _variables(url) | {"WANDB_API_KEY": key}
        # wandb writes its own logs into the folder that it is started in.
        with tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                [*self._command, *words],
                cwd=place,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            try:
                process.wait(timeout_s)
                ended = True
            except subprocess.TimeoutExpired:
                ended = False
            finally:
                _end_group(process)
            return ended, _tail(output).replace(key, redaction.REDACTED)


class RemoteWandb:
    """`wandb` of this version on a machine that `shell` reaches, which sees the runs under the same
    paths.
    """

    def __init__(self, shell: Shell, version: str) -> None:
        self._shell = shell
        self.version = version

    def run(
        self, words: Sequence[str], *, url: str, key: str, timeout_s: float
    ) -> tuple[bool, str]:
        """Run it there, where it is ended after its time; see `Wandb.run`."""
        done = self._shell.run(
            ["sh", "-c", _THERE, "sh", f"{timeout_s:.0f}", "wandb", *words],
            timeout_s=timeout_s + _LINE_S,
            env=_variables(url),
            input=f"{key}\n",
        )
        ended = not done.timed_out and done.code not in _TIMED_OUT
        output = f"{done.out}\n{done.err}".strip()[-_MOST_OUTPUT_BYTES:]
        return ended, output.replace(key, redaction.REDACTED)


def _variables(url: str) -> dict[str, str]:
    """What `wandb` is to be set to: one server, and few tries of each request."""
    return {
        "WANDB_BASE_URL": url,
        "WANDB_MODE": "online",
        "WANDB_X_GRAPHQL_RETRY_MAX": "3",
        "WANDB_X_FILE_STREAM_RETRY_MAX": "3",
        "WANDB_X_FILE_TRANSFER_RETRY_MAX": "3",
    }


def local_wandb() -> LocalWandb:
    """`wandb` as it is installed here.

    Raises:
        UsageError: it is not installed, or too old.
    """
    if importlib.util.find_spec("wandb") is not None:
        command = [sys.executable, "-m", "wandb"]
    elif program := shutil.which("wandb"):
        command = [program]
    else:
        raise UsageError("wandb is not installed here", hint="pip install 'wandb>=0.31'")
    words = [*command, "--version"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_LOOK_S)
    except subprocess.TimeoutExpired:
        raise UsageError(f"`{' '.join(words)}` does not end", hint="try it by hand") from None
    return LocalWandb(command, _version(command, done.stdout, done.stderr))


def remote_wandb(shell: Shell, name: str) -> RemoteWandb:
    """`wandb` as it is installed on the cluster `name`, which `shell` reaches.

    Raises:
        UsageError: it is not reached, or `wandb` is not installed there, or too old.
    """
    done = shell.run(["wandb", "--version"], timeout_s=_LOOK_S)
    if done.timed_out:
        raise UsageError(
            f"{name} is not reached: {done.err.strip()[-300:] or 'no answer'}",
            hint=f"try `ssh` to it by hand; watchkeeper.toml says how under [clusters.{name}]",
        )
    if done.code == NOT_THERE:
        hint = "install it there, or put it on the PATH that a command gets by ssh"
        raise UsageError(f"wandb is not installed on {name}", hint=hint)
    return RemoteWandb(shell, _version(["wandb"], done.out, done.err))


def _version(command: Sequence[str], output: str, errors: str) -> str:
    """The version that the program says it is.

    Raises:
        UsageError: it says none, or one that is too old.
    """
    version = version_of(output)
    if version is None:
        raise UsageError(f"`{' '.join(command)} --version` gives no version: {errors[-300:]}")
    if version < OLDEST:
        message = f"wandb {spelled(version)} is installed; its sync can lose data or hang"
        raise UsageError(message, hint="pip install 'wandb>=0.31'")
    return spelled(version)


def _tail(output: IO[bytes]) -> str:
    output.seek(0, os.SEEK_END)
    output.seek(max(0, output.tell() - _MOST_OUTPUT_BYTES))
    return output.read().decode("utf-8", "replace")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the process's group: W&B's service outlives a killed command."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
            if number == signal.SIGTERM and _group_is_gone(process.pid):
                return


def _group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
