"""Where commands run: here, or on another machine by ssh. What runs one takes a `Shell`, so that a
test can stand in.
"""

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
# Where the cluster is, and which one a person chose: what says of this process's own job goes, and
# these stay.
_PASSED = frozenset({"SLURM_CONF", "SLURM_CLUSTERS"})
# Where one of these is, the variables with SLURM_ are a job's: that of this process, or one long
# ago.
_OF_A_JOB = frozenset(
    {"SLURM_JOB_ID", "SLURM_JOBID", "SLURM_RESTART_COUNT", "SLURM_ARRAY_TASK_ID", "SLURM_PROCID"}
)
# With it sbatch would return only when the job has ended, and its waiting is done here.
_NEVER_PASSED = frozenset({"SBATCH_WAIT"})
# Slurm's commands that ask, or act on a job by its id: a person's own filters and formats must not
# reach them.
_ASK = frozenset({"squeue", "sacct", "sinfo", "scancel", "scontrol", "sacctmgr"})
_FILTERS = (
    "SLURM_",
    "SBATCH_",
    "SQUEUE_",
    "SACCT_",
    "SINFO_",
    "SCANCEL_",
    "SCONTROL_",
    "SACCTMGR_",
)
_KEPT_BY_QUESTIONS = "SLURM_CONF"
# The same on another machine, whose variables are not known here.
_UNSET = (
    f"for v in $(env | sed -nE 's/^(({'|'.join(_FILTERS)})[A-Za-z0-9_]*)=.*/\\1/p'); do "
    f'[ "$v" = {_KEPT_BY_QUESTIONS} ] || unset "$v"; done; exec "$@"'
)


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a command left. `code` is -n where signal n ended it, NOT_THERE where there is no such
    command. Bytes that are no UTF-8 are kept as surrogates.
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
        """Run a command to its end, or for `timeout_s` seconds; it is then killed, with what it
        started.

        `folder` is where it runs, "" for anywhere; `env` is added to the environment; `input` is
        its standard input. Never raises for what the command does.
        """
        ...


def clean_environment(
    environment: Mapping[str, str], *, own_venv: str | None = None
) -> dict[str, str]:
    """The environment of a job that is submitted here: without Watchkeeper's own settings, without
    its own virtual environment, if activating it put that there, and without what Slurm says of the
    job that this process runs in, if any. sbatch hands all of it on to the job.

    `own_venv` is that environment's folder, "" for none, None for this interpreter's.
    """
    if own_venv is None:
        own_venv = sys.prefix if sys.prefix != sys.base_prefix else ""
    dropped: tuple[str, ...] = ("WATCHKEEPER_",)
    if _OF_A_JOB & environment.keys():
        dropped = ("WATCHKEEPER_", "SLURM_")
    kept = {
        name: value
        for name, value in environment.items()
        if name in _PASSED or not name.startswith(dropped)
    }
    for name in _NEVER_PASSED:
        kept.pop(name, None)
    active = kept.get("VIRTUAL_ENV", "")
    if own_venv and active and os.path.realpath(active) == os.path.realpath(own_venv):
        _deactivate(active, kept)
    return kept


def _deactivate(venv: str, environment: dict[str, str]) -> None:
    """Take out what activating the virtual environment has put in."""
    for name in ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT"):
        environment.pop(name, None)
    programs = os.path.realpath(os.path.join(venv, "bin"))
    parts = environment.get("PATH", "").split(os.pathsep)
    environment["PATH"] = os.pathsep.join(
        part for part in parts if not part or os.path.realpath(part) != programs
    )


def _for_question(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command that asks Slurm something."""
    return {
        name: value
        for name, value in environment.items()
        if name == _KEPT_BY_QUESTIONS or not name.startswith(_FILTERS)
    }


class Here:
    """This machine. `prefix` goes before every command, as in `setpriv --reuid …`; `environment` is
    what commands get (None: this process's own, cleaned).
    """

    def __init__(
        self, *, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self._prefix = tuple(prefix)
        self._environment = (
            clean_environment(os.environ) if environment is None else dict(environment)
        )

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        folder: str = "",
        env: Mapping[str, str] | None = None,
        input: str = "",
    ) -> Done:
        """Run a command here; see `Shell.run`. It leads a session of its own: an interrupt from the
        terminal ends the caller, never half a submission.
        """
        if argv[0] in _ASK:
            environment = _for_question(self._environment)
        else:
            environment = self._environment
        try:
            process = subprocess.Popen(
                [*self._prefix, *argv],
                cwd=folder or None,
                env=environment | dict(env or {}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="surrogateescape",
                start_new_session=True,
            )
        except FileNotFoundError as error:
            if error.filename == folder and folder:
                missing = folder
            else:
                missing = argv[0]
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
    """Another machine, reached as `ssh DESTINATION` without a question: keys, hosts and jumps are
    for ~/.ssh/config to say. `prefix` goes before every command there.
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
        """Run a command there; see `Shell.run`. A lost connection counts as a time-out: what became
        of it is not known.
        """
        if env:
            set_first = ["env", *(f"{name}={value}" for name, value in env.items())]
        else:
            set_first = []
        if argv[0] in _ASK:
            unset_first = ["sh", "-c", _UNSET, "sh"]
        else:
            unset_first = []
        words = [*self._prefix, *unset_first, *set_first, *argv]
        line = shlex.join(words)
        if folder:
            line = f"cd {shlex.quote(folder)} && {line}"
        done = self._here.run([line], timeout_s=timeout_s, input=input)
        if done.code == _SSH_FAILED:
            return msgspec.structs.replace(done, timed_out=True)
        return done


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
