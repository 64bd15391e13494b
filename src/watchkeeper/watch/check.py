"""Verifying what is there: the journal, its seals, the views, the attempts, and the evidence that verdicts rest on."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from watchkeeper.core import journal, objects, processes
from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.core.events import Judged
from watchkeeper.core.journal import Journal
from watchkeeper.core.state import State, fold
from watchkeeper.launch import experiment as experiments
from watchkeeper.launch.submit import FOLDER
from watchkeeper.watch import logs
from watchkeeper.watch.evidence import EvidenceBook
from watchkeeper.watch.lease import Holder, Lease


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was verified, in words, and what is wrong. A `note` or `warning` among the problems is no failure."""

    verified: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not any(problem.severity == "error" for problem in self.problems)


def journal_folder(path: Path) -> Path:
    """The journal of an experiment's or a run's folder.

    Raises:
        UsageError: there is none.
    """
    folder = path.resolve() / FOLDER / "journal"
    if not folder.is_dir():
        hint = "give an experiment's folder after its first `watchkeeper run`, or a recorded run's folder"
        raise UsageError(f"{path} has no journal", hint=hint)
    return folder


def check(path: Path) -> Report:
    """Verify the journal in `path`, and what it speaks of.

    Raises:
        UsageError: there is no journal.
    """
    folder = journal_folder(path)
    read = journal.read(folder)
    problems = list(read.problems)
    for torn, size in read.torn_tails.items():
        message = f"it ends in the middle of a line ({size} bytes)"
        hint = "its writer died there, or is writing now; nothing acknowledged is in it"
        problems.append(Problem(where=str(torn), message=message, hint=hint, severity="note"))
    events = sum(map(len, read.events.values()))
    held, broken = journal.verify_seals(folder)
    problems += broken
    verified = [f"{events} events of {len(read.events)} writers", f"{held} seals"]
    state = fold(read.events)
    for kind, number in state.unknown_kinds.items():
        message = f"{number} events of the kind {kind!r}, which this version does not know"
        problems.append(Problem(where=str(folder), message=message, hint="they are kept", severity="note"))
    if state.runs or state.planned is not None:
        root = path.resolve()
        problems += _check_views(root, read)
        problems += [
            Problem(
                where=f"{key}, attempt {number}",
                message="somebody meant to submit it, and the journal does not say what came of that",
                hint=f"`watchkeeper run {path}` finds out",
                severity="warning",
            )
            for key, run in state.runs.items()
            for number, attempt in run.attempts.items()
            if attempt.unresolved
        ]
        looked, wrong = _check_evidence(root, state)
        verified += [f"{len(logs.expected(read.events))} logs", f"{looked} findings that verdicts rest on"]
        problems += wrong
        kept, wrong = _check_objects(root)
        verified.append(f"{kept} kept scripts and changes")
        problems += wrong
    return Report(verified=tuple(verified), problems=tuple(problems))


def _check_objects(root: Path) -> tuple[int, list[Problem]]:
    """Whether the scripts as submitted, and uncommitted changes, are what their names say."""
    folder = root / FOLDER / "objects"
    paths = sorted(folder.glob("[0-9a-f]*")) if folder.is_dir() else []
    problems = []
    for path in paths:
        try:
            message = "" if objects.is_whole(path) else "its bytes are not those it was named after"
        except OSError as error:
            message = f"it cannot be read: {error.strerror}"
        if message:
            problems.append(Problem(where=str(path), message=message, hint="what was submitted cannot be shown from it"))
    return len(paths), problems


def watched_by(root: Path) -> Holder | None:
    """The living process on this host that keeps the logs of an experiment; None if there is none that is known to live."""
    holder = Lease(root / FOLDER / "lease", "", time.monotonic).holder()
    return holder if holder is not None and processes.is_alive(holder.process) else None


def _check_views(root: Path, read: Journal) -> list[Problem]:
    problems = []
    live = watched_by(root) is not None
    for name, text in logs.expected(read.events).items():
        path = root / name
        found = path.read_bytes() if path.exists() else b""
        if found == text or (live and text.startswith(found)):
            continue
        what = "it lacks what the journal holds" if text.startswith(found) else "it is not what the journal holds"
        problems.append(Problem(where=str(path), message=what, hint=f"`watchkeeper rebuild {root}` makes it again"))
    return problems


def _check_evidence(root: Path, state: State) -> tuple[int, list[Problem]]:
    """Whether what the last verdict on each run rests on still lies there unchanged."""
    experiment = experiments.read(root)
    book = EvidenceBook(experiment)
    book.look_at_all(state)
    looked, problems = 0, list(experiment.problems)
    for key, run in state.runs.items():
        judged = run.latest.judged if run.latest else None
        if not isinstance(judged, Judged):
            continue
        for subject, fingerprint in judged.fingerprints.items():
            finding = book.findings.get(subject)
            looked += 1
            if finding is None or finding.state != "good":
                what = finding.why or finding.state if finding else "the experiment no longer promises it"
            elif finding.fingerprint != fingerprint:
                what = "it is not what was judged: its files have changed"
            else:
                continue
            hint = f"`watchkeeper run {root}` makes it again" if finding is None or finding.state != "good" else ""
            where = subject if subject == key else f"{key}: {subject}"
            problems.append(
                Problem(
                    where=where, message=f"attempt {judged.attempt} was judged {judged.outcome} by it: {what}", hint=hint
                )
            )
    return looked, problems
