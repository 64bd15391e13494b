"""What a person says of the runs on the command line, and whether it can hold."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.core.text import lazy
from watchkeeper.report.runlog import read
from watchkeeper.report.runlog.document import decode
from watchkeeper.report.runlog.file import File
from watchkeeper.watch.logs.run_log_folder import HINT, read_log

MODE = lazy.pattern(r"replication|experiment|pipeline(?: \([^()\n]+\))?")
MODES = "replication, experiment, pipeline (kind)"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said of the runs on the command line; "": nothing."""

    mode: str = ""
    objective: str = ""
    task: str = ""
    group: str = ""
    dataset: str = ""
    settings: tuple[str, ...] = ()
    log: Path | None = None
    """A run log to continue, whoever began it."""
    runs: str | None = None
    """The glob that selects the runs; None: all of them."""


def check_said(said: Said, chosen: Collection[str]) -> None:
    """Refuse what cannot hold of the runs that were chosen, by name.

    Raises:
        UsageError: an unknown mode, one task's name or one log for several runs, a text of several
            lines, or a file that is not a run log.
    """
    if said.mode and not MODE.fullmatch(said.mode):
        raise UsageError(f"--mode {said.mode!r} is none of: {MODES}")
    if said.task and len(chosen) > 1:
        raise UsageError(
            f"--task names the log of one run, and {len(chosen)} are selected",
            hint="choose one with --runs",
        )
    if said.log is not None:
        _check_continued(said, said.log, len(chosen))
    _check_texts(said)


def _check_texts(said: Said) -> None:
    """Refuse texts of several lines: each becomes a field of one line.

    Raises:
        UsageError: one holds a line end or another control character.
    """
    texts = [("--objective", said.objective), ("--dataset", said.dataset)]
    texts += [("--set", setting) for setting in said.settings]
    for option, text in texts:
        if any(ord(letter) < 32 for letter in text):
            raise UsageError(f"{option} must be one line of text")


def _check_continued(said: Said, path: Path, chosen: int) -> None:
    """Refuse a log to continue that is not a run log, or not the log of one run. `chosen`: how many
    runs are.

    Raises:
        UsageError: it cannot be continued, or an option contradicts it.
    """
    if chosen > 1:
        raise UsageError(
            f"--continue names the log of one run, and {chosen} are selected",
            hint="choose one with --runs",
        )
    for option, text in (("--group", said.group), ("--task", said.task)):
        if text:
            raise UsageError(
                f"{option} is for a log that is begun, and --continue for one that is there",
                hint="leave one out",
            )
    data, faults = read_log(path)
    if data is None or faults:
        why = "it cannot be read"
        if faults:
            why = faults[0][2]
        raise UsageError(
            f"--continue {path}: {why}", hint="name a run log: run_logs/[group/]<date>_<task>.md"
        )
    log = read.read(File(str(path), (path.name,), decode(data)))
    if log is None or not (log.document.of("job") or log.document.of("config")):
        raise UsageError(
            f"--continue {path}: it is no run log: it has neither a Job nor a Config section",
            hint=HINT,
        )
