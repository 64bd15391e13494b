"""Run logs against the rules: files in, findings out. Nothing is read or written here."""

from __future__ import annotations

from collections.abc import Iterable

from watchkeeper.report.lint import folder_rules, log_rules
from watchkeeper.report.lint.rules import Finding, finding
from watchkeeper.report.runlog.file import File
from watchkeeper.report.runlog.read import Log, read


def lint(root: str, files: Iterable[File]) -> list[Finding]:
    """Return what is wrong with the run logs below a root, in order of place, each finding once.

    `root` is the folder as shown.
    """
    files = list(files)
    findings: list[Finding] = []
    logs: list[Log] = []
    for file in files:
        findings += [
            finding(fault.code, file.path, fault.line, fault.message) for fault in file.faults
        ]
        log = read(file)
        if log is not None:
            logs.append(log)
    for log in logs:
        findings += log_rules.check(log)
    findings += folder_rules.check(root, files, logs)
    findings.sort(key=lambda each: (each.path, each.line, each.code, each.message))
    return _without_repetition(findings)


def _without_repetition(findings: list[Finding]) -> list[Finding]:
    """Drop each finding that equals the one before it. `findings` are sorted, so that equal ones
    are neighbours.
    """
    kept: list[Finding] = []
    for current in findings:
        if not kept or current != kept[-1]:
            kept.append(current)
    return kept
