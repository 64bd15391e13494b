"""Where commands run: here, or on another machine by ssh. What runs one takes a `Shell`, so that a test can stand in."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

# ssh's own: the connection failed, or was lost; what the command did is not known.
_SSH_FAILED = 255
_SSH = ("ssh", "-oBatchMode=yes", "-oConnectTimeout=10", "-oServerAliveInterval=10")
# As a shell says it: there is no such command.
NOT_THERE = 127
_NOT_PASSED = ("SLURM_", "SBATCH_", "WATCHKEEPER_")
# Where the cluster is: without it the clients find none, and neither would a job's own srun.
_PASSED = frozenset({"SLURM_CONF"})


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a command left. `code` is -n where signal n ended it, NOT_THERE where there is no such command. Bytes that are
    no UTF-8 are kept as surrogates.
    """

    code: int
    out: str = ""
    err: str = ""
    timed_out: bool = False


class Shell(Protocol):
    """Runs commands, without any interpretation of their arguments."""

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        folder: str = "",
        env: Mapping[str, str] | None = None,
        input: str = "",
    ) -> Done:
        """Run a command to its end, or for `timeout_s` seconds; it is then killed, with what it started.

        `folder` is where it runs, "" for anywhere; `env` is added to the environment; `input` is its standard input.
        Never raises for what the command does.
        """
        ...


def clean_environment(environment: Mapping[str, str], *, own_venv: str | None = None) -> dict[str, str]:
    """The environment without what says of this process only: the job it runs in, if any, Watchkeeper's own settings,
    and Watchkeeper's own virtual environment, if activating it put that there. sbatch hands all of it on to the job.

    `own_venv` is that environment's folder, "" for none, None for this interpreter's.
    """
    if own_venv is None:
        own_venv = sys.prefix if sys.prefix != sys.base_prefix else ""
    kept = {name: value for name, value in environment.items() if name in _PASSED or not name.startswith(_NOT_PASSED)}
    active = kept.get("VIRTUAL_ENV", "")
    if own_venv and active and os.path.realpath(active) == os.path.realpath(own_venv):
        for name in ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT"):
            kept.pop(name, None)
        ours = os.path.realpath(os.path.join(active, "bin"))
        parts = kept.get("PATH", "").split(os.pathsep)
        kept["PATH"] = os.pathsep.join(part for part in parts if not part or os.path.realpath(part) != ours)
    return kept


class Here:
    """This machine. `prefix` goes before every command, as in `setpriv --reuid …`; `environment` is what commands get
    (None: this process's own, cleaned).
    """

    def __init__(self, *, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        self._prefix = tuple(prefix)
        self._environment = clean_environment(os.environ) if environment is None else dict(environment)

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        folder: str = "",
        env: Mapping[str, str] | None = None,
        input: str = "",
    ) -> Done:
        """Run a command here; see `Shell.run`. It leads a session of its own: an interrupt from the terminal ends the
        caller, never half a submission.
        """
        try:
            process = subprocess.Popen(
                [*self._prefix, *argv],
                cwd=folder or None,
                env=self._environment | dict(env or {}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="surrogateescape",
                start_new_session=True,
            )
        except FileNotFoundError as error:
            missing = folder if error.filename == folder and folder else argv[0]
            return Done(code=NOT_THERE, err=f"{missing}: not found")
        except OSError as error:
            return Done(code=126, err=f"{argv[0]}: {error.strerror}")
        try:
            out, err = process.communicate(input, timeout=timeout_s)
            return Done(code=process.returncode, out=out, err=err)
        except subprocess.TimeoutExpired:
            _kill(process)
            out, err = process.communicate()
            return Done(code=-signal.SIGKILL, out=out, err=err, timed_out=True)
        except BaseException:
            _kill(process)
            process.wait()
            raise


class Ssh:
    """Another machine, reached as `ssh DESTINATION` without a question: keys, hosts and jumps are for ~/.ssh/config to say.
    `prefix` goes before every command there.
    """

    def __init__(self, destination: str, *, prefix: Sequence[str] = ()) -> None:
        self._here = Here(prefix=(*_SSH, "--", destination))
        self._prefix = tuple(prefix)

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        folder: str = "",
        env: Mapping[str, str] | None = None,
        input: str = "",
    ) -> Done:
        """Run a command there; see `Shell.run`. A lost connection counts as a time-out: what became of it is not known."""
        words = [*self._prefix, *(["env", *(f"{name}={value}" for name, value in env.items())] if env else []), *argv]
        line = shlex.join(words)
        if folder:
            line = f"cd {shlex.quote(folder)} && {line}"
        done = self._here.run([line], timeout_s=timeout_s, input=input)
        return msgspec.structs.replace(done, timed_out=True) if done.code == _SSH_FAILED else done


def as_user(user: str) -> tuple[str, ...]:
    """The prefix by which root runs a command as another user, environment unchanged.

    Raises:
        KeyError: there is no such user.
    """
    entry = pwd.getpwnam(user)
    return ("setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups", "--")


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
