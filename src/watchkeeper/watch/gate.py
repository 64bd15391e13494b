"""What is looked at before evaluations may start, and at the end: fields of `verified` events. Pure."""

from __future__ import annotations

from typing import Any

from watchkeeper.core.events import RunItem
from watchkeeper.core.state import State
from watchkeeper.launch.experiment import Experiment
from watchkeeper.tools.look import looked_at
from watchkeeper.watch.evidence import EvidenceBook


def verification(experiment: Experiment, state: State, book: EvidenceBook, scheduler: str) -> list[dict[str, Any]]:
    """Of the fine-tuning jobs (where there were any), then of the checkpoints."""
    trained = [item for item in experiment.items if item.phase == "preparation" and not item.control]
    verified = []
    labels = {item.key: _label(item, state) for item in trained}
    ran = [label for label in labels.values() if label]
    if ran:
        verified.append(
            {
                "what": "finetuning",
                "looked_at": f"Checking fine-tuning jobs via the {scheduler} scheduler and their exit records",
                "expected": len(ran),
                "found": ran.count("COMPLETED"),
                "counts": {label: ran.count(label) for label in dict.fromkeys(ran)},
                "missing": tuple(f"{key} {label}" for key, label in labels.items() if label not in ("", "COMPLETED")),
            }
        )
    findings = [book.findings[promise.subject] for item in trained for promise in book.promises(item)]
    if findings:
        epochs = sorted({int(finding.subject.rpartition("epoch_")[2]) for finding in findings})
        named = ", ".join(f"epoch_{epoch}" for epoch in epochs)
        how = looked_at(experiment.tools.preparation)
        verified.append(
            {
                "what": "checkpoints",
                "looked_at": f"Checking {named} for {len(trained)} run" + ("" if len(trained) == 1 else "s") + f" ({how})",
                "expected": len(findings),
                "found": sum(finding.state == "good" for finding in findings),
                "missing": tuple(f"{one.subject} ({one.why or one.state})" for one in findings if one.state != "good"),
                "evidence": tuple(evidence for finding in findings for evidence in finding.evidence[:1]),
                "cautions": tuple(one.caution for one in findings if one.caution),
            }
        )
    return verified


def validation(experiment: Experiment, book: EvidenceBook, state: State) -> dict[str, Any]:
    """Of everything that the experiment promises, at the end."""
    findings = list(book.findings.values())
    unpromised = [item for item in experiment.items if not _untrained(item) and not book.promises(item)]
    how = looked_at(experiment.tools.evaluation)
    finished = [item for item in unpromised if _label(item, state) == "COMPLETED"]
    kinds = [f"{len(experiment.checkpoints)} checkpoints"]
    kinds.append(f"{len(experiment.results)} results" + (f" ({how})" if experiment.results else ""))
    if unpromised:
        kinds.append(f"the exit codes of {len(unpromised)} jobs that promise no file")
    bad = [f"{finding.subject} ({finding.why or finding.state})" for finding in findings if finding.state != "good"]
    bad += [f"{item.key} ({_label(item, state) or 'not run'})" for item in unpromised if item not in finished]
    return {
        "what": "results",
        "looked_at": "Checking " + ", ".join(kinds),
        "expected": len(findings) + len(unpromised),
        "found": sum(finding.state == "good" for finding in findings) + len(finished),
        "missing": tuple(bad),
        "cautions": tuple(one.caution for one in findings if one.caution and one.subject in experiment.results),
    }


def _untrained(item: RunItem) -> bool:
    return item.phase == "preparation" and item.control


def _label(item: RunItem, state: State) -> str:
    """How the run's last attempt ended, in the words of the logs; "" if there was none."""
    latest = state.run(item.key).latest
    if latest is None:
        return ""
    if latest.judged is not None and latest.judged.outcome == "invalid":
        return "INVALID"
    return latest.state
