"""Writes an attempt's wrapper: the batch script around the user's, which runs an attempt at most
once (law 5) and records how it ended.

The wrapper is the user's head, so that every directive keeps its meaning, and then `wrapper.sh`,
which needs only bash and coreutils: a compute node needs no Python for it. It claims the attempt by
a hard link of a complete file and reads the file back to judge the claim; runs the frozen copy of
the script as a child; passes signals on; writes the exit record; and ends with the child's code.

The claim relies on hard links that are atomic within one folder and look the same from every node.
Where the wrapper cannot judge its claim, it runs nothing and ends with CANNOT_TELL.

`wrapper.sh` is filled in at the places `__NAME__`. ShellCheck accepts these anywhere, and its
settings are in `.shellcheckrc`: a comment for it would be copied into every wrapper.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from watchkeeper.core.text import lazy, redaction
from watchkeeper.schedulers.sbatch_head import Head, read_head
from watchkeeper.schedulers.wrapper.claims import CANNOT_TELL, FINISHED, NOT_READY, TWIN
from watchkeeper.schedulers.wrapper.heartbeat import beat_s, stale_s

# As many jobs as are queued at most by default, at the gap that clusters have by default.
LONGEST_GAPS_S = 120
# Set for the script of a retry: the batch to use, and the checkpoint to resume from.
BATCH_VARIABLE = "WATCHKEEPER_BATCH_SIZE"
ACCUMULATION_VARIABLE = "WATCHKEEPER_GRADIENT_ACCUMULATION_STEPS"
RESUME_VARIABLE = "WATCHKEEPER_RESUME_FROM"

# Read once, so that a package updated under a running program cannot mix two versions.
_TEMPLATE = Path(__file__).with_name("wrapper.sh").read_bytes()
_PLACE = lazy.pattern(rb"__([A-Z]+(?:_[A-Z]+)*)__")
_NO_VARIABLES: Mapping[str, str] = {}


def render(
    head: Head | bytes,
    *,
    attempt_folder: Path,
    script: Path,
    token: str,
    scheduler: str,
    needs: Sequence[Path] = (),
    promises: Sequence[Sequence[str]] = (),
    checkpoints: Sequence[Sequence[str]] = (),
    lag_s: float = 0.0,
    starts: Path | None = None,
    gap_s: float = 0.0,
    variables: Mapping[str, str] = _NO_VARIABLES,
    arguments: Path | None = None,
) -> bytes:
    """The text of an attempt's wrapper.

    `head` is what precedes the user's first command; one without an interpreter is run by /bin/sh,
    as a shell does. `script` is the frozen copy. `needs` are the folders of attempts that this one
    was queued behind: unless they have ended with code 0, the wrapper closes its own attempt and
    runs nothing. `variables` are set for the script. `arguments` is a file with its arguments, each
    ended by NUL; None: it has none. They stay out of the wrapper, which others may read.

    `promises` are the files that the script must leave, each as alternative absolute patterns
    (`tools.base`). A job that its scheduler starts again after exit code 0 runs only if one of them
    is missing. A script without promises runs again only if the scheduler had asked for the restart
    before the script ended. `checkpoints` are places of weights: after an end with code 0, and
    after its record, their files are hashed (`hashes.py`). The tasks of an array promise nothing
    each, and hash all the same.

    `lag_s`: how many seconds a file written on one node may stay invisible on another. If above 0,
    jobs may be started again on another node: the wrapper then leaves a heartbeat, and waits until
    that of an earlier execution is stale.

    `gap_s`: the seconds between two starts of jobs that share the folder `starts`, so that they do
    not race to build one cache. A job waits at most `LONGEST_GAPS_S`, and never for another job to
    end. 0, or no `starts`: no job waits.
    """
    if isinstance(head, bytes):
        head = read_head(head)
    gap_ms = 0
    if starts is not None:
        gap_ms = round(gap_s * 1000)
    values: dict[str, str | int] = {
        "TOKEN": token,
        "ATTEMPT": shlex.quote(str(attempt_folder)),
        "SCRIPT": shlex.quote(str(script)),
        "SCHEDULER": shlex.quote(scheduler),
        "RUN": shlex.join([*(head.interpreter or ("/bin/sh",)), str(script)]),
        "BEAT": beat_s(lag_s),
        "STALE": stale_s(lag_s),
        "STARTS": shlex.quote(str(starts or "")),
        "GAP_MS": gap_ms,
        "LOOK": f"{min(1.0, max(0.1, gap_s / 4)):.2f}",
        "LONGEST": LONGEST_GAPS_S,
        "UNSET": " ".join((BATCH_VARIABLE, ACCUMULATION_VARIABLE, RESUME_VARIABLE)),
        "EXPORT": _export(variables) + _read_arguments(arguments),
        "NEEDS": shlex.join(map(str, needs)),
        "PROMISES": _patterns(promises),
        "CHECKPOINTS": _patterns(checkpoints),
        "SECRET_NAMES": shlex.quote(redaction.VARIABLES),
        "SECRET_VALUES": shlex.quote(redaction.VALUES),
        "NO_SECRETS": shlex.quote(redaction.NO_VARIABLES),
        "TWIN": TWIN,
        "FINISHED": FINISHED,
        "CANNOT_TELL": CANNOT_TELL,
        "NOT_READY": NOT_READY,
    }
    places = {name.encode(): os.fsencode(str(value)) for name, value in values.items()}
    places[b"HEAD"] = _comments_only(head.data)
    return _PLACE.sub(lambda place: places[place.group(1)], _TEMPLATE)


def _export(variables: Mapping[str, str]) -> str:
    """The command that sets the variables; bash's no-op where there are none."""
    if not variables:
        return ":"
    settings = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    return " ".join(["export", *settings])


def _read_arguments(path: Path | None) -> str:
    """The commands that make the lines of the file the script's arguments; "" without a file."""
    if path is None:
        return ""
    file = shlex.quote(str(path))
    return (
        f"\n    mapfile -d '' -t wk_arguments <{file} ||\n"
        f'        wk_refuse {CANNOT_TELL} "cannot read the arguments in $wk_attempt"\n'
        '    set -- "${wk_arguments[@]}"'
    )


def _patterns(promises: Sequence[Sequence[str]]) -> str:
    """The words of a bash array, one for each promise: its patterns, a line each."""
    return shlex.join("\n".join(map(_shell_pattern, patterns)) for patterns in promises)


def _shell_pattern(pattern: str) -> str:
    """A pattern for bash's `compgen -G`, which would take a backslash for an escape."""
    return pattern.replace("\\", "\\\\")


def _comments_only(data: bytes) -> bytes:
    """The head without its `#!` line. A line that sbatch takes for blank or a comment and bash for
    a command (it begins with a form feed or the like) holds no directive, and becomes an empty
    comment.
    """
    lines = data.split(b"\n")
    if lines[0].startswith(b"#!"):
        del lines[0]
    comments = [line if re.match(rb"[ \t]*(#|$)", line) else b"#" for line in lines]
    text = b"\n".join(comments)
    if not text or text.endswith(b"\n"):
        return text
    return text + b"\n"
