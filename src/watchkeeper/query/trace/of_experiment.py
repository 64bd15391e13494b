"""Where a figure of an experiment comes from: its result, the evaluation, the checkpoint, the
training, code, data. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from watchkeeper.core import criteria, journal, layout
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Intended, Judged, Number, RunItem
from watchkeeper.core.state import Attempt, RunState, State, fold
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch.reproduce import today
from watchkeeper.query.trace.links import Holds, Link, Trace, commit_link, kept_link, not_empty
from watchkeeper.report.compose import lineage
from watchkeeper.tools.look import look
from watchkeeper.tools.promise import Finding, Promise
from watchkeeper.watch.verdict.evidence import printed


def attempt_of(folder: Path, key: str, number: int | None) -> tuple[Path, Attempt]:
    """The experiment's folder, and one attempt at a run or an evaluation: the last one submitted,
    where none is named.

    Raises:
        UsageError: there is no such run or attempt; those that there are follow.
    """
    if ".." in folder.parts:
        folder = folder.resolve()
    else:
        folder = folder.absolute()
    state = _state(folder)
    run = state.runs.get(key.strip("/"))
    if run is None or not run.attempts:
        raise UsageError(f"{key!r} was never submitted in {folder}", hint=_known(state))
    submitted = [one for one, attempt in sorted(run.attempts.items()) if attempt.submissions]
    if number is not None:
        chosen = number
    else:
        chosen = (submitted or sorted(run.attempts))[-1]
    if chosen not in run.attempts:
        raise UsageError(
            f"{key} has no attempt {chosen}",
            hint=f"it has {', '.join(map(str, sorted(run.attempts)))}",
        )
    return folder, run.attempts[chosen]


def trace(folder: Path, key: str) -> Trace:
    """Follow a run's or an evaluation's figure back.

    Raises:
        UsageError: there is no such run or evaluation, or nothing was ever submitted for it.
    """
    experiment = experiments.read(folder)
    state = _state(experiment.folder)
    key = key.strip("/")
    item = next((one for one in experiment.items if one.key == key), None)
    if item is None or not state.run(key).attempts:
        if item is None:
            what = "is no run or evaluation of"
        else:
            what = "was never submitted in"
        raise UsageError(f"{key!r} {what} {experiment.name}", hint=_known(state))
    expected: list[criteria.Standing] = []
    if item.phase == "evaluation":
        events = journal.read(experiment.folder / layout.JOURNAL).events
        expected = criteria.standings(events)
    return Trace(
        experiment=str(experiment.folder),
        key=key,
        links=list(_Tracer(experiment, state).follow(item)),
        expected=expected,
    )


def has_run(folder: Path, key: str) -> bool:
    """Whether something was submitted under this key in the experiment."""
    read = journal.read(folder / layout.JOURNAL)
    return bool(fold(read.events).run(key).attempts)


def _state(folder: Path) -> State:
    """The state of the experiment in a folder.

    Raises:
        UsageError: it has no journal.
    """
    if not (folder / layout.JOURNAL).is_dir():
        raise UsageError(
            f"{folder} has no journal",
            hint="give an experiment's folder in which something was submitted",
        )
    return fold(journal.read(folder / layout.JOURNAL).events)


def _known(state: State) -> str:
    """The keys that something was submitted under: `submitted were: r8, r8/clean/epoch0`."""
    names = sorted(key for key, run in state.runs.items() if run.attempts)
    words = f"submitted were: {', '.join(names[:8])}"
    if len(names) > 8:
        words += f", … ({len(names)} in all)"
    return words


# What became of a file of the code → what that means for its link.
_FILE: Mapping[str, tuple[Holds, str]] = {
    "gone": ("missing", "is gone"),
    "changed": ("changed", "has changed since"),
}


# What became of the file whose bytes are kept → what is said of it.
_KEPT: Mapping[str, str] = {
    "changed": "kept; the file itself is another today",
    "gone": "kept; the file itself is gone",
}


class _Tracer:
    def __init__(self, experiment: Experiment, state: State) -> None:
        self.experiment = experiment
        self.state = state

    def follow(self, item: RunItem) -> Iterator[Link]:
        """The chain of a run or an evaluation, from its figure back to its data."""
        attempt = _best(self.state.run(item.key))
        if item.phase != "evaluation":
            for promise in self.experiment.checkpoints_of(item.run):
                yield self.evidence("checkpoint", promise, attempt)
            yield from self.attempt("training", attempt)
            yield self.data()
            return
        result = self.experiment.results.get(item.key)
        if result is not None:
            yield self.evidence("result", result, attempt)
        yield from self.attempt("evaluation", attempt)
        needs = self.experiment.checkpoint_for(item)
        if needs is None:
            why = "an untrained model: no checkpoint stands behind it"
            yield Link(what="data", name=item.task, holds="unknown", why=why)
            return
        yield from self.evaluated(item, needs, self.used(attempt, needs))

    def evaluated(self, item: RunItem, needs: str, used: str) -> Iterator[Link]:
        """The checkpoint behind an evaluation, and the training that made it. `used`: the
        fingerprint that the checkpoint had, "" if it was not recorded.
        """
        maker = self.maker(item.run, needs, used)
        yield self.checkpoint(self.experiment.checkpoints[needs], used, maker)
        if maker is not None:
            yield from self.attempt("training", maker)
            yield self.data()
            return
        holds: Holds = "unknown"
        if used:
            holds = "missing"
        why = "no attempt of the journal made this checkpoint"
        yield Link(what="training", name=item.run, holds=holds, why=why)

    def data(self) -> Link:
        """The data set, by the name that the summary gives it."""
        if not self.experiment.dataset:
            why = "the summary names none"
            return Link(what="data", name="not named", holds="unknown", why=why)
        why = "as the summary names it; its bytes are not looked at"
        return Link(what="data", name=self.experiment.dataset, holds="unknown", why=why)

    # ── what lies on the disk

    def find(self, promise: Promise) -> Finding:
        """What was found of a promise: on the disk, and in what the jobs of its run printed."""
        run = promise.subject.rpartition("/")[0]
        return look(self.experiment.folder, promise, printed(self.state, run))

    def evidence(self, what: str, promise: Promise, attempt: Attempt) -> Link:
        """A result, or a checkpoint, beside what the verdict on its attempt rests on."""
        finding = self.find(promise)
        judged = attempt.judged
        recorded = ""
        figures: Mapping[str, Number] = {}
        if judged is not None:
            recorded = judged.fingerprints.get(promise.subject, "")
            if what == "result":
                figures = judged.metrics
        holds, why = _compared(finding, recorded, "when it was judged")
        return Link(
            what=what,
            name=finding.path,
            holds=holds,
            why=why,
            facts=_facts(finding),
            metrics=figures,
        )

    def used(self, attempt: Attempt, subject: str) -> str:
        """The fingerprint that a checkpoint had when its evaluation was given it; "" where nobody
        wrote it down.
        """
        inputs: dict[str, str] = {}
        if attempt.intended is not None:
            inputs |= attempt.intended.inputs
        if attempt.judged is not None:
            # Those that were not there yet when it was submitted.
            inputs |= attempt.judged.inputs
        return inputs.get(subject, "")

    def maker(self, run: str, subject: str, used: str) -> Attempt | None:
        """The attempt that made this checkpoint with that fingerprint; without one to go by the
        newest that ended.
        """
        attempts = self.state.run(run).attempts
        judged: dict[int, Judged] = {}
        intended: dict[int, Intended] = {}
        for number, attempt in attempts.items():
            if attempt.judged is not None:
                judged[number] = attempt.judged
            if attempt.intended is not None:
                intended[number] = attempt.intended
        found = max(judged, default=None)
        if used:
            found = lineage.maker(intended, judged, subject, used)
        if found is None:
            return None
        return attempts[found]

    def checkpoint(self, promise: Promise, used: str, maker: Attempt | None) -> Link:
        """The checkpoint behind an evaluation: it holds while it is what the evaluation was given.
        Where that was not recorded (`used` ""), it is compared with what its `maker` left.
        """
        finding = self.find(promise)
        holds, why = _compared(finding, used, "when it was evaluated")
        made = ""
        if maker is not None and maker.judged is not None:
            made = maker.judged.fingerprints.get(promise.subject, "")
        if made and not used:
            holds, why = _compared(finding, made, "when its training was judged")
        return Link(
            what="checkpoint", name=finding.path, holds=holds, why=why, facts=_facts(finding)
        )

    # ── an attempt

    def attempt(self, what: str, attempt: Attempt) -> Iterator[Link]:
        """An attempt with what it was submitted with: script, configurations, environment, code."""
        yield Link(what=what, name=attempt.key, holds="holds", facts=_submission_facts(attempt))
        intended = attempt.intended
        if intended is None:
            why = "the journal does not say what was submitted"
            yield Link(what="script", name=attempt.key, holds="unknown", why=why)
            return
        yield self.kept("script", intended.script, intended.script_sha256)
        for name, sha256 in intended.configs.items():
            yield self.kept("config", name, sha256)
        for name, sha256 in intended.code.items():
            yield self.code_file(name, sha256, committed=name not in intended.uncommitted)
        if intended.environment_sha256:
            yield self.kept(
                "environment", "the submitter's", intended.environment_sha256, placed=False
            )
        yield self.commit(intended)
        if intended.git_sha:
            yield from self.changes(intended)

    def commit(self, intended: Intended) -> Link:
        """The commit that was checked out."""
        folder = (self.experiment.folder / intended.script).parent
        if not folder.is_dir():
            folder = self.experiment.folder
        return commit_link(intended, folder)

    def changes(self, intended: Intended) -> Iterator[Link]:
        """The uncommitted changes, if there were any."""
        if intended.diff_sha256:
            yield self.kept("changes", "uncommitted, kept", intended.diff_sha256, placed=False)
        elif intended.git_dirty:
            why = "they were not kept"
            yield Link(what="changes", name="uncommitted", holds="missing", why=why)

    def code_file(self, name: str, sha256: str, *, committed: bool) -> Link:
        """A file of the code: it holds while it is there as it ran. It is kept all the same."""
        link = self.kept("file", name, sha256)
        where = ""
        if not committed:
            where = "; no commit holds it"
        here = today(self.experiment.folder / name, sha256)
        if link.holds == "holds" and here in _FILE:
            holds, words = _FILE[here]
            why = f"the file {words}; what ran is kept{where}"
            return msgspec.structs.replace(link, holds=holds, why=why)
        return msgspec.structs.replace(link, why=(link.why + where).removeprefix("; "))

    def kept(self, what: str, name: str, sha256: str, *, placed: bool = True) -> Link:
        """A kept object: it holds while its bytes are those it was named after, whatever became of
        the file itself.
        """
        link = kept_link(what, name, sha256, self.experiment.folder / layout.OBJECTS)
        if link.why or not placed:
            return link
        here = today(self.experiment.folder / name, sha256)
        return msgspec.structs.replace(link, why=_KEPT.get(here, ""))


def _best(run: RunState) -> Attempt:
    """The attempt that what is there comes from: the newest that ended well, else the newest."""
    for _, attempt in sorted(run.attempts.items(), reverse=True):
        if attempt.judged is not None and attempt.judged.outcome in ("done", "failed but good"):
            return attempt
    return run.attempts[max(run.attempts)]


def _submission_facts(attempt: Attempt) -> dict[str, str]:
    """An attempt in words: its number, its job, when and by which command that was submitted, and
    its state.
    """
    facts = {"attempt": str(attempt.number)}
    submission = attempt.submissions.get(attempt.job_id)
    if submission is not None:
        facts |= {
            "job": f"{attempt.job_id} ({submission.scheduler})",
            "submitted": submission.time.isoformat(timespec="seconds"),
            "command": submission.command,
        }
    return not_empty(facts | {"state": attempt.state})


def _compared(finding: Finding, recorded: str, when: str) -> tuple[Holds, str]:
    """Whether what lies on the disk has the fingerprint that was recorded ("": none was), and why
    not. `when` says at which time that was: `when it was judged`.
    """
    if finding.state == "missing":
        return "missing", finding.why
    if finding.state != "good":
        return "changed", finding.why
    if not recorded:
        return "unknown", f"its fingerprint was not recorded {when}"
    if finding.fingerprint == recorded:
        return ("holds", "")
    return ("changed", f"it is not what it was {when}")


def _facts(finding: Finding) -> dict[str, str]:
    """What was found, in words: its fingerprint, and the size of its files together."""
    sizes = [
        one.size_bytes for one in finding.evidence if getattr(one, "size_bytes", None) is not None
    ]
    facts = {"fingerprint": finding.fingerprint}
    if sizes:
        facts["size"] = f"{sum(filter(None, sizes)):,} bytes"
    return not_empty(facts)
