"""What is looked at before evaluations may start, and at the end: fields of `verified` events.
Pure.

Only what was selected is looked at; the rest is counted as `unselected`.
"""

from __future__ import annotations

from typing import Any

from watchkeeper.core.events import RunItem
from watchkeeper.core.state import State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch.plan import UNSELECTED, Plan
from watchkeeper.tools.look import looked_at
from watchkeeper.tools.promise import Finding
from watchkeeper.watch.tally import BLOCKED, DONE_BEFORE, NOT_SUBMITTED, label
from watchkeeper.watch.verdict.evidence import EvidenceBook

_WAITS = "not submitted yet"


class _Asked:
    """What was asked for: the selected work, and how each piece of it stands."""

    def __init__(self, experiment: Experiment, state: State, plan: Plan) -> None:
        decisions = {decision.key: decision for decision in plan.decisions}
        left_out = {key for key, decision in decisions.items() if decision.reason == UNSELECTED}
        work = [item for item in experiment.items if not _untrained(item)]
        self.items = [item for item in work if item.key not in left_out]
        self.left_out = [item for item in work if item.key in left_out]
        self.labels = {item.key: label(item, decisions.get(item.key), state) for item in self.items}

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
    """Of the fine-tuning jobs (where there were any), then of the checkpoints."""
    asked = _Asked(experiment, state, plan)
    trained = [item for item in asked.items if item.phase == "preparation"]
    left_out = sum(item.phase == "preparation" for item in asked.left_out)
    verified = []
    labels = {item.key: (asked.labels[item.key][0] or _WAITS) for item in trained}
    if any(state.run(key).latest is not None for key in labels):
        ran = list(labels.values())
        missing = {
            key: words for key, words in labels.items() if words not in ("COMPLETED", DONE_BEFORE)
        }
        verified.append(
            {
                "what": "finetuning",
                "looked_at": (
                    f"Checking fine-tuning jobs via the {scheduler} scheduler and their exit "
                    "records"
                ),
                "expected": len(ran),
                "found": ran.count("COMPLETED"),
                "counts": {words: ran.count(words) for words in dict.fromkeys(ran)},
                "missing": tuple(
                    f"{key} {asked.why(key, words)}" for key, words in missing.items()
                ),
                "unselected": left_out,
            }
        )
    findings = [
        (item.key, book.findings[one.subject]) for item in trained for one in book.promises(item)
    ]
    if findings:
        epochs = sorted({int(finding.subject.rpartition("epoch_")[2]) for _, finding in findings})
        named = ", ".join(f"epoch_{epoch}" for epoch in epochs)
        how = looked_at(experiment.tools.preparation)
        verified.append(
            {
                "what": "checkpoints",
                "looked_at": f"Checking {named} for {len(trained)} run"
                + ("" if len(trained) == 1 else "s")
                + f" ({how})",
                "expected": len(findings),
                "found": sum(finding.state == "good" for _, finding in findings),
                "missing": tuple(
                    _lacking(asked, key, one) for key, one in findings if one.state != "good"
                ),
                "evidence": tuple(
                    evidence for _, finding in findings for evidence in finding.evidence[:1]
                ),
                "cautions": tuple(one.caution for _, one in findings if one.caution),
                "unselected": left_out,
            }
        )
    return verified


def validation(
    experiment: Experiment, book: EvidenceBook, state: State, plan: Plan
) -> dict[str, Any]:
    """Of everything that the selected work promises, at the end."""
    asked = _Asked(experiment, state, plan)
    findings: dict[str, tuple[str, Finding]] = {}
    for item in asked.items:
        for promise in book.promises(item):
            findings[promise.subject] = (item.key, book.findings[promise.subject])
    for item in asked.items:
        needs = experiment.checkpoint_for(item)
        if needs is not None and needs in book.findings:
            findings.setdefault(needs, (item.run, book.findings[needs]))
    unpromised = [item for item in asked.items if not book.promises(item)]
    how = looked_at(experiment.tools.evaluation)
    finished = [
        item for item in unpromised if asked.labels[item.key][0] in ("COMPLETED", DONE_BEFORE)
    ]
    results = sum(subject in experiment.results for subject in findings)
    kinds = [
        f"{len(findings) - results} checkpoints",
        f"{results} results" + (f" ({how})" if results else ""),
    ]
    if unpromised:
        kinds.append(f"the exit codes of {len(unpromised)} jobs that promise no file")
    bad = [
        _lacking(asked, key, finding)
        for key, finding in findings.values()
        if finding.state != "good"
    ]
    bad += [
        f"{item.key} ({asked.why(item.key, asked.labels[item.key][0] or 'not run')})"
        for item in unpromised
        if item not in finished
    ]
    return {
        "what": "results",
        "looked_at": "Checking " + ", ".join(kinds),
        "expected": len(findings) + len(unpromised),
        "found": sum(finding.state == "good" for _, finding in findings.values()) + len(finished),
        "missing": tuple(bad),
        "cautions": tuple(
            one.caution
            for subject, (_, one) in findings.items()
            if one.caution and subject in experiment.results
        ),
        "unselected": len(asked.left_out),
    }


def _lacking(asked: _Asked, key: str, finding: Finding) -> str:
    return f"{finding.subject} ({asked.why(key, finding.why or finding.state)})"


def _untrained(item: RunItem) -> bool:
    return item.phase == "preparation" and item.control
