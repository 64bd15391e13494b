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
    """Follow each evaluation that ended well back to the first event of a journal.

    `root` is the experiment's folder. `findings`: what lies where, by subject.
    """
    attempts = list(filter(None, map(_evaluated, state.runs.values())))
    named_by = {attempt.key: _passports(attempt) for attempt in attempts}
    journals = [root / layout.JOURNAL]
    if any(named_by.values()):
        journals += _recorded(root, state)
    whole = nameless = 0
    problems: list[Problem] = []
    for key, named in named_by.items():
        if not named:
            nameless += 1
            continue
        checks: list[Check] = []
        for subject, sha256 in named.items():
            place = _place(root, findings, subject)
            checks += follow_back(place, sha256, journals, root / layout.OBJECTS)
        if all(check.status in ("pass", "soft_signal") for check in checks):
            whole += 1
        problems += [_problem(key, check) for check in checks if check.status != "pass"]
    return Lineage(whole=whole, nameless=nameless, problems=tuple(problems))


def _evaluated(run: RunState) -> Attempt | None:
    """The newest attempt at an evaluation, if it ended well and had a checkpoint."""
    attempt = run.latest
    if attempt is None or attempt.phase != "evaluation" or attempt.judged is None:
        return None
    if attempt.judged.outcome not in ("done", "failed but good"):
        return None
    inputs = attempt.judged.inputs
    if not inputs and attempt.intended:
        inputs = attempt.intended.inputs
    if not inputs:
        return None
    return attempt


def _passports(attempt: Attempt) -> dict[str, str]:
    """The passports that an evaluation named: checkpoint → hash. What the verdict says outweighs
    what was there at submission.
    """
    named: dict[str, str] = {}
    if attempt.intended:
        named |= attempt.intended.passports
    if attempt.judged:
        named |= attempt.judged.passports
    return named


def _place(root: Path, findings: Mapping[str, Finding], subject: str) -> Path:
    """Where a checkpoint lies; by its own name where it was not found."""
    finding = findings.get(subject)
    path = subject if finding is None else finding.path
    return root / as_path(path)


def _recorded(root: Path, state: State) -> Iterator[Path]:
    """The journals of the recorded runs of all attempts."""
    for run in state.runs.values():
        for number in run.attempts:
            folder = read_link(attempt_folder(root, run.key, number))
            if folder is not None:
                yield folder / layout.JOURNAL


def _problem(key: str, check: Check) -> Problem:
    """What is said of an evaluation that could not be followed back: an error where something does
    not fit, a note where it could not be looked at.
    """
    failed = check.status == "fail"
    return Problem(
        where=key,
        message=f"{check.where}: {check.message}",
        hint=check.hint,
        severity="error" if failed else "note",
        code="not-as-recorded",
    )
