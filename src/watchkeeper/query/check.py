"""Verifying what is there: the journal, its seals, the views, the attempts, and the evidence that
verdicts rest on.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

import msgspec

from watchkeeper.core import ids, journal, layout, processes
from watchkeeper.core.chain.follow import Followed, follow_all
from watchkeeper.core.disk import files, objects
from watchkeeper.core.disk.records import UnreadableRecordError, read_record
from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.core.events import Judged, RunStarted
from watchkeeper.core.journal import Journal
from watchkeeper.core.state import State, fold
from watchkeeper.core.text import lazy
from watchkeeper.core.version import SOFTWARE
from watchkeeper.experiment import experiment as experiments
from watchkeeper.publish.chain import lineage
from watchkeeper.report.actionlog.render import NAMES, last_software
from watchkeeper.tools.promise import Finding
from watchkeeper.watch.logs import action_logs
from watchkeeper.watch.logs.lease import RELEASED, Holder, Lease
from watchkeeper.watch.verdict.evidence import EvidenceBook

MOST_TRACES = 6  # that are named
RESTORE_WHOLE = (
    "restore .watchkeeper/journal from a backup; what lies here is all that is left of it: keep it"
)

_BLOCK = lazy.pattern(rb"\s*\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] [A-Z_]+\n")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was verified, in words, and what is wrong. A `note` or `warning` among the problems is
    no failure. `incomplete` are problems of the journal itself, from which nothing may be made
    again; `unverified` is what cannot be determined.
    """

    verified: tuple[str, ...]
    problems: tuple[Problem, ...]
    incomplete: tuple[Problem, ...] = ()
    unverified: tuple[Problem, ...] = ()

    @property
    def errors(self) -> int:
        """How many findings there are."""
        return len(self.incomplete) + sum(problem.severity == "error" for problem in self.problems)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong, and nothing is left in doubt."""
        return not self.errors and not self.unverified


def journal_folder(path: Path) -> Path:
    """The journal of an experiment's or a run's folder.

    Raises:
        UsageError: there is none.
    """
    folder = path.resolve() / layout.JOURNAL
    if not folder.is_dir():
        raise no_journal(path)
    return folder


def no_journal(path: Path) -> UsageError:
    """The error where there is nothing to verify."""
    hint = (
        "give an experiment's folder after its first `watchkeeper run`, or a recorded run's folder"
    )
    return UsageError(f"{path} has no journal", hint=hint)


def gone(root: Path, left: Sequence[str]) -> Problem:
    """A journal that is not there, though something speaks of it."""
    shown = ", ".join(left[:MOST_TRACES])
    if len(left) > MOST_TRACES:
        shown += f" and {len(left) - MOST_TRACES} more"
    return Problem(
        where=str(root / layout.JOURNAL),
        message=f"the journal is gone, and {shown} lie here",
        hint=RESTORE_WHOLE,
        code="not-as-recorded",
    )


def traces(root: Path) -> list[str]:
    """What lies in a folder that only an experiment's journal explains, in words."""
    state = root / layout.OURS
    if not state.is_dir():
        return []
    found: list[str] = []
    for name in ("runs", "lease", "starts", "objects"):
        if _holds_something(state / name):
            found.append(f"{layout.OURS}/{name}")
    if not found:
        # A file that is called like an action log may be anyone's.
        return []
    return found + [name for name in NAMES if (root / name).is_file()]


def _holds_something(folder: Path) -> bool:
    """Whether a folder is there, and not empty."""
    return folder.is_dir() and any(folder.iterdir())


class _Meaning:
    """What a journal says, each part worked out once."""

    def __init__(self, read: Journal) -> None:
        self.read = read

    @cached_property
    def state(self) -> State:
        """The state of the experiment."""
        return fold(self.read.events)

    @cached_property
    def logs(self) -> dict[str, bytes]:
        """The action logs, by name."""
        return action_logs.expected(self.read.events)


def incomplete(root: Path, read: Journal) -> list[Problem]:
    """What the journal of an experiment lacks: by its own word, by the attempts and the logs that
    lie there.
    """
    return _incomplete(root, _Meaning(read))


def _incomplete(root: Path, meaning: _Meaning) -> list[Problem]:
    """See `incomplete`. A journal of no experiment is judged by its own word alone; the logs of one
    that is being watched grow just now, and are not compared.
    """
    read = meaning.read
    state = meaning.state
    problems = journal.losses(read)
    is_experiment = bool(state.runs) or state.planned is not None
    if not is_experiment and not traces(root):
        return problems
    problems += _lost_attempts(root, read, state)
    problems += _lost_writers(root, read)
    if watched_by(root) is None:
        problems += _longer_logs(root, meaning)
    return problems


def _lost_attempts(root: Path, read: Journal, state: State) -> Iterator[Problem]:
    """The attempts that a job has claimed, and of which the journal knows nothing."""
    for key, number in _claimed(root):
        if key not in state.runs or number not in state.runs[key].attempts:
            message = f"attempt {number} of {key} was run, and the journal holds nothing of it"
            yield Problem(
                where=str(read.folder),
                message=message,
                hint=journal.RESTORE,
                code="not-as-recorded",
            )


def _lost_writers(root: Path, read: Journal) -> Iterator[Problem]:
    """The writers that kept the logs of the experiment, by its lease, and left no file."""
    for writer in _released(root):
        if writer not in read.saw:
            where = f"{read.folder}/{writer}{journal.SUFFIX}"
            message = "this process kept the logs of the experiment, and its file is gone"
            yield Problem(
                where=where, message=message, hint=journal.RESTORE, code="not-as-recorded"
            )


def _longer_logs(root: Path, meaning: _Meaning) -> Iterator[Problem]:
    """The action logs that continue after what the journal holds, in whole blocks."""
    for name, text in meaning.logs.items():
        data = _bytes_of(root / name)
        if data.startswith(text) and _BLOCK.match(data[len(text) :]):
            message = f"{name} tells of more than the journal holds"
            yield Problem(
                where=str(meaning.read.folder),
                message=message,
                hint=journal.RESTORE,
                code="not-as-recorded",
            )


def _claimed(root: Path) -> list[tuple[str, int]]:
    """The attempts that a job has claimed, each by its run's key and its number. The claim of
    attempt 2 of `r8/clean/epoch0` lies in its folder, `.watchkeeper/runs/…/2/claim.1`.
    """
    runs = root / layout.RUNS
    if not runs.is_dir():
        return []
    folders = {path.parent for path in runs.rglob("claim.1")}
    claimed: list[tuple[str, int]] = []
    for folder in sorted(folders):
        if folder.name.isdigit():
            place = PurePosixPath(folder.parent.relative_to(runs))
            claimed.append((ids.folder_key(place), int(folder.name)))
    return claimed


def _released(root: Path) -> list[str]:
    """The writers that held the lease and gave it back."""
    problems = []
    for path in sorted((root / layout.LEASE).glob("*.json")):
        if files.read_fixed(path.with_suffix(".beat")) == RELEASED:
            with contextlib.suppress(OSError, UnreadableRecordError):
                problems.append(read_record(path, Holder).writer)
    return problems


def _bytes_of(path: Path) -> bytes:
    """A file's bytes; b"" where it is not there or cannot be read."""
    try:
        return files.read_whole(path)
    except OSError:
        return b""


def check(path: Path, read: Journal) -> Report:
    """Verify a journal, and what it speaks of."""
    root = path.resolve()
    meaning = _Meaning(read)
    state = meaning.state
    is_experiment = bool(state.runs) or state.planned is not None
    events = sum(map(len, read.events.values()))
    held, _ = journal.verify_seals(read)
    followed = list(follow_all(read.folder))
    chained = sum(bool(one.seals) for one in followed)
    verified = [
        f"{events} events of {len(read.events)} writers",
        f"{held} seals",
        f"{chained} chains of events",
    ]
    problems = [*_torn_tails(read), *_unknown_kinds(read, state)]
    problems += _unchained(read.folder, followed)
    lacks = [*_incomplete(root, meaning), *broken_chains(read.folder, followed)]
    if is_experiment:
        if not lacks:
            problems += _check_views(root, meaning)
        problems += _unresolved(path, state)
        experiment = experiments.read(root)
        book = EvidenceBook(experiment)
        book.look_at_all(state)
        looked, changed = _check_evidence(root, state, book.findings)
        back = lineage.evaluations(root, state, book.findings)
        kept, damaged = _check_objects(root)
        problems += [*experiment.problems, *changed, *damaged, *back.problems]
        problems += _nameless(read.folder, back.nameless)
        verified += [
            f"{len(meaning.logs)} logs",
            f"{looked} findings that verdicts rest on",
            f"{kept} kept scripts and changes",
            f"{back.whole} evaluations back to the first event",
        ]
    unverified: list[Problem] = []
    if is_experiment or traces(root):
        unverified = _open_ends(read)
    return Report(
        verified=tuple(verified),
        problems=tuple(problems),
        incomplete=tuple(lacks),
        unverified=tuple(unverified),
    )


def _torn_tails(read: Journal) -> Iterator[Problem]:
    """The files that end in the middle of a line, which is no loss."""
    for path, size in read.torn_tails.items():
        message = f"it ends in the middle of a line ({size} bytes)"
        hint = "its writer died there, or is writing now; nothing acknowledged is in it"
        yield Problem(
            where=str(path), message=message, hint=hint, severity="note", code="not-as-recorded"
        )


def _unknown_kinds(read: Journal, state: State) -> Iterator[Problem]:
    """The kinds of events that a later version wrote, with how many there are of each."""
    for kind, number in state.unknown_kinds.items():
        message = f"{number} events of the kind {kind!r}, which this version does not know"
        yield Problem(
            where=str(read.folder),
            message=message,
            hint="they are kept",
            severity="note",
            code="not-as-recorded",
        )


def broken_chains(folder: Path, followed: Sequence[Followed]) -> Iterator[Problem]:
    """Where the events of a file are not those that were hashed when it was sealed."""
    for one in followed:
        for place in one.breaks:
            yield Problem(
                where=f"{folder / one.writer}{journal.SUFFIX}:{place.line}",
                message=(
                    f"the chain breaks: the seal on this line is not of the events {place.first} "
                    f"to {place.last} that stand before it"
                ),
                hint=journal.RESTORE,
                code="journal-damaged",
            )


def _unchained(folder: Path, followed: Sequence[Followed]) -> Iterator[Problem]:
    """The files that no chain was ever made of."""
    for one in followed:
        if one.chain or one.breaks or not one.events:
            continue
        version = one.software or "an older version"
        yield Problem(
            where=f"{folder / one.writer}{journal.SUFFIX}",
            message=f"written by {version}, before journals were chained",
            hint="it has its seals, and no chain",
            severity="note",
            code="not-as-recorded",
        )


def _unresolved(path: Path, state: State) -> Iterator[Problem]:
    """The attempts whose submission was begun, and whose answer the journal lacks."""
    message = "somebody meant to submit it, and the journal does not say what came of that"
    hint = f"`watchkeeper run {path}` finds out"
    for key, run in state.runs.items():
        for number, attempt in run.attempts.items():
            if attempt.unresolved:
                where = f"{key}, attempt {number}"
                yield Problem(
                    where=where,
                    message=message,
                    hint=hint,
                    severity="warning",
                    code="not-as-recorded",
                )


def _open_ends(read: Journal) -> list[Problem]:
    """The commands that died: what they wrote last has no seal, and no other command has read it
    since.
    """
    return [
        Problem(
            where=str(read.folder / f"{writer}{journal.SUFFIX}"),
            message=(
                "its process died: whether it wrote more than these "
                f"{len(read.events[writer])} events cannot be determined"
            ),
            hint="the next `watchkeeper run` reads them, and says how many there were",
            severity="warning",
            code="not-as-recorded",
        )
        for writer, alive in journal.unsealed(read).items()
        if not alive and not any(isinstance(event, RunStarted) for event in read.events[writer])
    ]


def _check_objects(root: Path) -> tuple[int, list[Problem]]:
    """Whether the scripts as submitted, and uncommitted changes, are what their names say."""
    folder = root / layout.OBJECTS
    if folder.is_dir():
        paths = sorted(folder.glob("[0-9a-f]*"))
    else:
        paths = []
    problems = []
    for path in paths:
        try:
            if objects.is_whole(path):
                message = ""
            else:
                message = "its bytes are not those it was named after"
        except OSError as error:
            message = f"it cannot be read: {error.strerror}"
        if message:
            problems.append(
                Problem(
                    where=str(path),
                    message=message,
                    hint="what was submitted cannot be shown from it",
                    code="not-as-recorded",
                )
            )
    return len(paths), problems


def watched_by(root: Path) -> Holder | None:
    """The living process on this host that keeps the logs of an experiment; None if there is none
    that is known to live.
    """
    holder = Lease(root / layout.LEASE, "", time.monotonic).holder()
    if holder is not None and processes.is_alive(holder.process):
        return holder
    return None


def _check_views(root: Path, meaning: _Meaning) -> list[Problem]:
    """Compare each action log with what this version renders from the journal."""
    problems = []
    live = watched_by(root) is not None
    renderer = last_software(meaning.read.events)
    for name, text in meaning.logs.items():
        path = root / name
        held = _bytes_of(path)
        if held == text or (live and text.startswith(held)):
            continue
        if held and renderer not in ("", SOFTWARE):
            problems.append(_rendered_otherwise(path, root, renderer))
            continue
        if text.startswith(held):
            what = "it lacks what the journal holds"
        else:
            what = "it is not what the journal holds"
        problems.append(
            Problem(
                where=str(path),
                message=what,
                hint=f"`watchkeeper rebuild {root}` makes it again",
                code="not-as-recorded",
            )
        )
    return problems


def _rendered_otherwise(path: Path, root: Path, renderer: str) -> Problem:
    """An action log that another version rendered: a difference is no sign of a change by hand."""
    return Problem(
        where=str(path),
        message=f"rendered by {renderer}; {SOFTWARE} renders it differently",
        hint=f"`watchkeeper rebuild {root}` renders it again",
        severity="note",
        code="not-as-recorded",
    )


def _nameless(folder: Path, evaluations: int) -> list[Problem]:
    """That evaluations name no passport, so that nothing leads from them to a journal's head."""
    if not evaluations:
        return []
    return [
        Problem(
            where=str(folder),
            message=f"{evaluations} evaluations name no passport of their checkpoint",
            hint="their figures do not lead back to the first event",
            severity="note",
            code="not-as-recorded",
        )
    ]


def _check_evidence(
    root: Path, state: State, findings: Mapping[str, Finding]
) -> tuple[int, list[Problem]]:
    """Compare what the last verdict on each run rests on with what is there: how many findings, and
    those that no longer hold.
    """
    looked = 0
    problems: list[Problem] = []
    for key, run in state.runs.items():
        if run.latest is None or not isinstance(run.latest.judged, Judged):
            continue
        judged = run.latest.judged
        looked += len(judged.fingerprints)
        problems += _other_figures(judged, findings)
        for subject, fingerprint in judged.fingerprints.items():
            what, hint = _evidence_fault(root, findings.get(subject), fingerprint)
            if not what:
                continue
            where = subject
            if subject != key:
                where = f"{key}: {subject}"
            message = f"attempt {judged.attempt} was judged {judged.outcome} by it: {what}"
            problems.append(
                Problem(where=where, message=message, hint=hint, code="not-as-recorded")
            )
    return looked, problems


def _other_figures(judged: Judged, findings: Mapping[str, Finding]) -> Iterator[Problem]:
    """The figures of a verdict that are others in the very file that it was taken from."""
    for subject, fingerprint in judged.fingerprints.items():
        finding = findings.get(subject)
        if finding is None or finding.fingerprint != fingerprint:
            continue
        for name in sorted(judged.metrics.keys() & finding.metrics.keys()):
            here, there = judged.metrics[name], finding.metrics[name]
            if here == there:
                continue
            yield Problem(
                where=judged.key,
                message=f"{name} is {here} in the journal, and {there} in {finding.path}",
                hint=journal.RESTORE,
                code="not-as-recorded",
            )


def _evidence_fault(root: Path, finding: Finding | None, fingerprint: str) -> tuple[str, str]:
    """What has become of a finding, and what to do; "" and "" if it is what was judged."""
    again = f"`watchkeeper run {root}` makes it again"
    if finding is None:
        return "the experiment no longer promises it", again
    if finding.state != "good":
        return finding.why or finding.state, again
    if finding.fingerprint != fingerprint:
        return "it is not what was judged: its files have changed", ""
    return "", ""
