"""What is looked at before evaluations may start, and at the end: fields of `verified` events.
Pure.

Only what was selected is looked at; the rest is counted as `unselected`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from watchkeeper.core.criteria import Standing
from watchkeeper.core.events import Evidence, RunItem
from watchkeeper.core.state import State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch.plan import UNSELECTED, Plan
from watchkeeper.tools.look import looked_at
from watchkeeper.tools.promise import Finding
from watchkeeper.watch.tally import BLOCKED, DONE_BEFORE, NOT_SUBMITTED, label
from watchkeeper.watch.verdict.evidence import EvidenceBook

_WAITS = "not submitted yet"
_FINISHED = ("COMPLETED", DONE_BEFORE)


class _Selection:
    """The selected work, and how each piece of it stands; `left_out`: the work that was not
    selected.
    """

    def __init__(self, experiment: Experiment, state: State, plan: Plan) -> None:
        self.items: list[RunItem] = []
        self.left_out: list[RunItem] = []
        self.labels: dict[str, tuple[str, str]] = {}
        decisions = {decision.key: decision for decision in plan.decisions}
        for item in experiment.items:
            decision = decisions.get(item.key)
            if _untrained(item):
                continue
            if decision is not None and decision.reason == UNSELECTED:
                self.left_out.append(item)
                continue
            self.items.append(item)
            self.labels[item.key] = label(item, decision, state)

    def why(self, key: str, otherwise: str) -> str:
        """Why what this piece of work promises is not there, where it never had a job; else
        `otherwise`.
        """
        state, reason = self.labels.get(key, ("", ""))
        if state in (NOT_SUBMITTED, BLOCKED):
            return f"{state}: {reason}"
        return otherwise


def verification(
    experiment: Experiment, state: State, book: EvidenceBook, scheduler: str, plan: Plan
) -> list[dict[str, Any]]:
    """Of the fine-tuning jobs (where there were any), then of the checkpoints: the fields of a
    `verified` event each.

        VERIFY_FINETUNING      All fine-tuning jobs COMPLETED
        VERIFY_CHECKPOINTS     7 of 8 checkpoints exist; missing: r8/artifacts/epoch_1 (missing)

    These are the lines of the action log that they become. Empty: there is nothing of either.
    `scheduler` is its name, for the words on what was looked at.
    """
    selection = _Selection(experiment, state, plan)
    trained = [item for item in selection.items if item.phase == "preparation"]
    left_out = sum(item.phase == "preparation" for item in selection.left_out)
    verified = []
    if any(state.run(item.key).latest is not None for item in trained):
        verified.append(_of_jobs(selection, trained, scheduler) | {"unselected": left_out})
    findings: list[tuple[str, Finding]] = []
    for item in trained:
        findings += [(item.key, book.findings[one.subject]) for one in book.promises(item)]
    if findings:
        how = looked_at(experiment.tools.preparation)
        fields = _of_checkpoints(selection, findings, runs=len(trained), how=how)
        verified.append(fields | {"unselected": left_out})
    return verified


def _of_jobs(selection: _Selection, trained: list[RunItem], scheduler: str) -> dict[str, Any]:
    """The fields on the fine-tuning jobs: how many of the selected ones have ended well, and which
    have not, each with why.
    """
    labels = {item.key: (selection.labels[item.key][0] or _WAITS) for item in trained}
    states = list(labels.values())
    missing: list[str] = []
    for key, state in labels.items():
        if state not in _FINISHED:
            missing.append(f"{key} {selection.why(key, state)}")
    return {
        "what": "finetuning",
        "looked_at": (
            f"Checking fine-tuning jobs via the {scheduler} scheduler and their exit records"
        ),
        "expected": len(states),
        "found": states.count("COMPLETED"),
        "counts": {state: states.count(state) for state in dict.fromkeys(states)},
        "missing": tuple(missing),
    }


def _of_checkpoints(
    selection: _Selection, findings: list[tuple[str, Finding]], *, runs: int, how: str
) -> dict[str, Any]:
    """The fields on the checkpoints: how many of those that were promised are good, and which are
    not.

    `findings` are (key of the run, what was found), `runs` how many runs promised them, and `how`
    what looking at one means, in the words of its tool.
    """
    named = _names_of([finding.subject for _, finding in findings])
    promised_by = f"{runs} runs"
    if runs == 1:
        promised_by = "1 run"
    missing: list[str] = []
    evidence: list[Evidence] = []
    for key, finding in findings:
        if finding.state != "good":
            missing.append(_lacking(selection, key, finding))
        evidence += finding.evidence[:1]
    return {
        "what": "checkpoints",
        "looked_at": f"Checking {named} for {promised_by} ({how})",
        "expected": len(findings),
        "found": len(findings) - len(missing),
        "missing": tuple(missing),
        "evidence": tuple(evidence),
        "cautions": tuple(finding.caution for _, finding in findings if finding.caution),
    }


def _names_of(subjects: Sequence[str]) -> str:
    """`epoch_0, epoch_1`, and how many outputs there are beside checkpoints: `epoch_0, 2 outputs`.

    Subjects are paths such as `r8/artifacts/epoch_0`; each epoch is named once.
    """
    epochs: set[int] = set()
    outputs = 0
    for subject in subjects:
        end = subject.rpartition("/epoch_")[2]
        if end.isdecimal():
            epochs.add(int(end))
        else:
            outputs += 1
    names = [f"epoch_{epoch}" for epoch in sorted(epochs)]
    if outputs == 1:
        names.append("1 output")
    elif outputs:
        names.append(f"{outputs} outputs")
    return ", ".join(names)


def validation(
    experiment: Experiment,
    book: EvidenceBook,
    state: State,
    plan: Plan,
    expected_of_it: Sequence[Standing] = (),
) -> dict[str, Any]:
    """Of everything that the selected work promises, at the end; and what came of the criteria in
    `expected_of_it`: the fields of a `verified` event.

    Work that promises no file counts as one thing that is expected: a job that ended well.
    """
    selection = _Selection(experiment, state, plan)
    findings = _promised(selection, experiment, book)
    # Work that promises no file is judged by its exit code.
    unpromised = [item for item in selection.items if not book.promises(item)]
    missing: list[str] = []
    cautions: list[str] = []
    for subject, (key, finding) in findings.items():
        if finding.state != "good":
            missing.append(_lacking(selection, key, finding))
        if finding.caution and subject in experiment.results:
            cautions.append(finding.caution)
    missing += _unfinished(selection, unpromised)
    expected = len(findings) + len(unpromised)
    results = sum(subject in experiment.results for subject in findings)
    outputs = sum(subject in _outputs(experiment) for subject in findings)
    how = looked_at(experiment.tools.evaluation)
    kinds = [f"{len(findings) - results - outputs} checkpoints"]
    if results:
        kinds.append(f"{results} results ({how})")
    else:
        kinds.append("0 results")
    if outputs:
        kinds.append(f"{outputs} outputs")
    if unpromised:
        kinds.append(f"the exit codes of {len(unpromised)} jobs that promise no file")
    kinds += [f"what was expected: {standing.words}" for standing in expected_of_it]
    return {
        "what": "results",
        "looked_at": "Checking " + ", ".join(kinds),
        "expected": expected,
        "found": expected - len(missing),
        "missing": tuple(missing),
        "cautions": tuple(cautions),
        "unselected": len(selection.left_out),
    }


def _outputs(experiment: Experiment) -> frozenset[str]:
    """The subjects of all outputs that scripts promise."""
    promises = itertools.chain.from_iterable(experiment.outputs.values())
    return frozenset(promise.subject for promise in promises)


def _unfinished(selection: _Selection, items: list[RunItem]) -> Iterator[str]:
    """Those of these pieces of work whose job has not ended well, each with why: `prep (not run)`,
    `r8 (FAILED)`. Their promises are none, and so their ends are all there is.
    """
    for item in items:
        state, _ = selection.labels[item.key]
        if state not in _FINISHED:
            yield f"{item.key} ({selection.why(item.key, state or 'not run')})"


def _promised(
    selection: _Selection, experiment: Experiment, book: EvidenceBook
) -> dict[str, tuple[str, Finding]]:
    """What the selected work promises, and the checkpoints that it needs: subject → the key that
    makes it, and what was found.
    """
    findings: dict[str, tuple[str, Finding]] = {}
    for item in selection.items:
        for promise in book.promises(item):
            findings[promise.subject] = (item.key, book.findings[promise.subject])
    for item in selection.items:
        needs = experiment.checkpoint_for(item)
        if needs is not None and needs in book.findings:
            findings.setdefault(needs, (item.run, book.findings[needs]))
    return findings


def _lacking(selection: _Selection, key: str, finding: Finding) -> str:
    """What is not good, and why: `r8/artifacts/epoch_1 (missing)`, or that its job never ran."""
    return f"{finding.subject} ({selection.why(key, finding.why or finding.state)})"


def _untrained(item: RunItem) -> bool:
    """Whether it is a control run, which is evaluated as it is and trains nothing."""
    return item.phase == "preparation" and item.control
