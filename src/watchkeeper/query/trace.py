"""Where a figure comes from: its result, the evaluation, the checkpoint, the training, code, data;
link by link, and whether each still holds today. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.code import git
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Number, RunItem
from watchkeeper.core.state import Attempt, RunState, State, fold
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch.reproduce import part_fault, today
from watchkeeper.report.compose import lineage
from watchkeeper.tools.look import look
from watchkeeper.tools.promise import Finding, Promise
from watchkeeper.watch.verdict.evidence import printed

Holds = Literal["holds", "changed", "missing", "unknown"]


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One link. `what`: result, evaluation, checkpoint, training, script, config, file (of the
    code), code (the commit), changes, environment, data. `holds`: whether it is today what it was;
    `unknown` where nothing recorded could tell. `facts` are in words, by name.
    """

    what: str
    name: str
    holds: Holds
    why: str = ""
    facts: Mapping[str, str] = {}
    metrics: Mapping[str, Number] = {}


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The chain, from the figure back. `sound`: no link is broken."""

    experiment: str
    key: str
    links: list[Link]

    @property
    def sound(self) -> bool:
        """Whether no link has changed or is missing."""
        return not any(link.holds in ("changed", "missing") for link in self.links)


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
    return Trace(
        experiment=str(experiment.folder),
        key=key,
        links=list(_Tracer(experiment, state).follow(item)),
    )


def _state(folder: Path) -> State:
    if not (folder / layout.JOURNAL).is_dir():
        raise UsageError(
            f"{folder} has no journal",
            hint="give an experiment's folder in which something was submitted",
        )
    return fold(journal.read(folder / layout.JOURNAL).events)


def _known(state: State) -> str:
    names = sorted(key for key, run in state.runs.items() if run.attempts)
    return f"submitted were: {', '.join(names[:8])}" + (
        f", … ({len(names)} in all)" if len(names) > 8 else ""
    )


class _Tracer:
    def __init__(self, experiment: Experiment, state: State) -> None:
        self.experiment = experiment
        self.state = state

    def follow(self, item: RunItem) -> Iterator[Link]:
        run = self.state.run(item.key)
        attempt = _best(run)
        if item.phase == "evaluation":
            result = self.experiment.results.get(item.key)
            if result is not None:
                yield self.evidence("result", result, attempt)
            yield from self.attempt("evaluation", attempt)
            needs = self.experiment.checkpoint_for(item)
            if needs is None:
                yield Link(
                    what="data",
                    name=item.task,
                    holds="unknown",
                    why="an untrained model: no checkpoint stands behind it",
                )
                return
            used = self.used(attempt, needs)
            maker = self.maker(item.run, needs, used)
            yield self.checkpoint(self.experiment.checkpoints[needs], used, maker)
            if maker is None:
                why = "no attempt of the journal made this checkpoint"
                yield Link(
                    what="training", name=item.run, holds="missing" if used else "unknown", why=why
                )
                return
            yield from self.attempt("training", maker)
        else:
            for promise in self.experiment.checkpoints_of(item.run):
                yield self.evidence("checkpoint", promise, attempt)
            yield from self.attempt("training", attempt)
        data = self.experiment.dataset
        if data:
            why = "as the summary names it; its bytes are not looked at"
        else:
            why = "the summary names none"
        yield Link(what="data", name=data or "not named", holds="unknown", why=why)

    # ── what lies on the disk

    def find(self, promise: Promise) -> Finding:
        return look(
            self.experiment.folder, promise, printed(self.state, promise.subject.rpartition("/")[0])
        )

    def evidence(self, what: str, promise: Promise, attempt: Attempt) -> Link:
        """A result, or a checkpoint, beside what the verdict on its attempt rests on."""
        finding = self.find(promise)
        judged = attempt.judged
        if judged:
            recorded = judged.fingerprints.get(promise.subject, "")
        else:
            recorded = ""
        holds, why = _compared(finding, recorded, "when it was judged")
        if judged and what == "result":
            figures = judged.metrics
        else:
            figures = {}
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
        if attempt.intended:
            inputs = dict(attempt.intended.inputs)
        else:
            inputs = {}
        inputs |= attempt.judged.inputs if attempt.judged else {}
        return inputs.get(subject, "")

    def maker(self, run: str, subject: str, used: str) -> Attempt | None:
        """The attempt that made this checkpoint with that fingerprint; without one to go by the
        newest that ended.
        """
        attempts = self.state.run(run).attempts
        judged = {
            number: attempt.judged
            for number, attempt in attempts.items()
            if attempt.judged is not None
        }
        intended = {
            number: attempt.intended
            for number, attempt in attempts.items()
            if attempt.intended is not None
        }
        if used:
            number = lineage.maker(intended, judged, subject, used)
        else:
            number = max(judged, default=None)
        if number is not None:
            return attempts[number]
        return None

    def checkpoint(self, promise: Promise, used: str, maker: Attempt | None) -> Link:
        finding = self.find(promise)
        holds, why = _compared(finding, used, "when it was evaluated")
        if (
            not used
            and maker is not None
            and maker.judged
            and maker.judged.fingerprints.get(promise.subject)
        ):
            holds, why = _compared(
                finding, maker.judged.fingerprints[promise.subject], "when its training was judged"
            )
        return Link(
            what="checkpoint", name=finding.path, holds=holds, why=why, facts=_facts(finding)
        )

    # ── an attempt

    def attempt(self, what: str, attempt: Attempt) -> Iterator[Link]:
        """An attempt, with what it was submitted with: script, configurations, environment, code."""
        submission = attempt.submissions.get(attempt.job_id)
        facts = {
            "attempt": str(attempt.number),
            "job": f"{attempt.job_id} ({submission.scheduler})" if submission else "",
            "submitted": submission.time.isoformat(timespec="seconds") if submission else "",
            "command": submission.command if submission else "",
            "state": attempt.state,
        }
        yield Link(
            what=what,
            name=attempt.key,
            holds="holds",
            facts={name: text for name, text in facts.items() if text},
        )
        intended = attempt.intended
        if intended is None:
            yield Link(
                what="script",
                name=attempt.key,
                holds="unknown",
                why="the journal does not say what was submitted",
            )
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
        if not intended.git_sha:
            why = intended.git_fault or "no Git repository was there at the time"
            yield Link(what="code", name="no commit", holds="unknown", why=why)
            return
        folder = (self.experiment.folder / intended.script).parent
        there = git.has_commit(
            folder if folder.is_dir() else self.experiment.folder, intended.git_sha
        )
        facts = {"branch": intended.git_branch, "not in it": ", ".join(intended.uncommitted)}
        holds: Holds
        if there is None:
            holds = "unknown"
        elif there:
            holds = "holds"
        else:
            holds = "missing"
        why = {
            None: "no repository is here that could say",
            True: "",
            False: "the repository has it no more",
        }[there]
        yield Link(
            what="code",
            name=intended.git_sha,
            holds=holds,
            why=why,
            facts={name: text for name, text in facts.items() if text},
        )
        if intended.diff_sha256:
            yield self.kept("changes", "uncommitted, kept", intended.diff_sha256, placed=False)
        elif intended.git_dirty:
            yield Link(
                what="changes", name="uncommitted", holds="missing", why="they were not kept"
            )

    def code_file(self, name: str, sha256: str, *, committed: bool) -> Link:
        """A file of the code: it holds while it is there as it ran. It is kept all the same."""
        link = self.kept("file", name, sha256)
        here = today(self.experiment.folder / name, sha256)
        if committed:
            where = ""
        else:
            where = "; no commit holds it"
        if link.holds == "holds" and here in ("changed", "gone"):
            holds: Holds
            if here == "gone":
                holds = "missing"
            else:
                holds = "changed"
            if here == "gone":
                words = "is gone"
            else:
                words = "has changed since"
            return msgspec.structs.replace(
                link, holds=holds, why=f"the file {words}; what ran is kept{where}"
            )
        return msgspec.structs.replace(link, why=(link.why + where).removeprefix("; "))

    def kept(self, what: str, name: str, sha256: str, *, placed: bool = True) -> Link:
        """A kept object: it holds while its bytes are those it was named after, whatever became of
        the file itself.
        """
        fault = part_fault(self.experiment.folder / layout.OBJECTS / sha256)
        holds: Holds
        if not fault:
            holds = "holds"
        elif fault.startswith("missing"):
            holds = "missing"
        else:
            holds = "changed"
        if placed:
            here = today(self.experiment.folder / name, sha256)
        else:
            here = "as kept"
        why = fault or {
            "changed": "kept; the file itself is another today",
            "gone": "kept; the file itself is gone",
        }.get(here, "")
        return Link(what=what, name=name, holds=holds, why=why, facts={"sha256": sha256})


def _best(run: RunState) -> Attempt:
    """The attempt that what is there comes from: the newest that ended well, else the newest."""
    for _, attempt in sorted(run.attempts.items(), reverse=True):
        if attempt.judged is not None and attempt.judged.outcome in ("done", "failed but good"):
            return attempt
    return run.attempts[max(run.attempts)]


def _compared(finding: Finding, recorded: str, when: str) -> tuple[Holds, str]:
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
    sizes = [
        one.size_bytes for one in finding.evidence if getattr(one, "size_bytes", None) is not None
    ]
    facts = {
        "fingerprint": finding.fingerprint,
        "size": f"{sum(filter(None, sizes)):,} bytes" if sizes else "",
    }
    return {name: text for name, text in facts.items() if text}
