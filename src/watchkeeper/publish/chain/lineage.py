"""Evaluations followed back: by the passport that each names, to the first event of a journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.errors import Problem
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt, RunState, State
from watchkeeper.core.text.odd_bytes import as_path
from watchkeeper.publish.chain.naming import follow_back
from watchkeeper.publish.checks import Check
from watchkeeper.runfolder.link import read_link
from watchkeeper.tools.promise import Finding


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """How many evaluations lead back to the first event, how many name no passport, and what is
    wrong with the others, or cannot be followed.
    """

    whole: int = 0
    nameless: int = 0
    problems: tuple[Problem, ...] = ()


def evaluations(root: Path, state: State, findings: Mapping[str, Finding]) -> Lineage:
    """Follow each evaluation that ended well. `findings`: what lies where, by subject."""
    journals = [root / layout.JOURNAL, *_recorded(root, state)]
    whole = nameless = 0
    problems: list[Problem] = []
    for run in state.runs.values():
        attempt = _evaluated(run)
        if attempt is None:
            continue
        named = _passports(attempt)
        nameless += not named
        checks: list[Check] = []
        for subject, sha256 in named.items():
            place = _place(root, findings, subject)
            checks += follow_back(place, sha256, journals, root / layout.OBJECTS)
        statuses = {check.status for check in checks}
        whole += bool(named) and statuses <= {"pass", "soft_signal"}
        problems += [_problem(run.key, check) for check in checks if check.status != "pass"]
    return Lineage(whole=whole, nameless=nameless, problems=tuple(problems))


def _evaluated(run: RunState) -> Attempt | None:
    """The newest attempt at an evaluation, if it ended well and had a checkpoint."""
    attempt = run.latest
    if attempt is None or attempt.phase != "evaluation" or attempt.judged is None:
        return None
    inputs = attempt.judged.inputs or (attempt.intended.inputs if attempt.intended else {})
    is_good = attempt.judged.outcome in ("done", "failed but good")
    return attempt if is_good and inputs else None


def _passports(attempt: Attempt) -> dict[str, str]:
    named = dict(attempt.intended.passports) if attempt.intended else {}
    return named | (attempt.judged.passports if attempt.judged else {})


def _place(root: Path, findings: Mapping[str, Finding], subject: str) -> Path:
    finding = findings.get(subject)
    return root / as_path(finding.path if finding is not None else subject)


def _recorded(root: Path, state: State) -> Iterator[Path]:
    """The journals of the recorded runs of all attempts."""
    for run in state.runs.values():
        for number in run.attempts:
            folder = read_link(attempt_folder(root, run.key, number))
            if folder is not None:
                yield folder / layout.JOURNAL


def _problem(key: str, check: Check) -> Problem:
    failed = check.status == "fail"
    return Problem(
        where=key,
        message=f"{check.where}: {check.message}",
        hint=check.hint,
        severity="error" if failed else "note",
        code="not-as-recorded",
    )
