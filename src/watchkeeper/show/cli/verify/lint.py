"""`watchkeeper lint`: run logs against the rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, Problem, Severity
from watchkeeper.report.lint.rules import Finding
from watchkeeper.show.cli.answering import answer, say
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import page_options
from watchkeeper.show.envelope import PROGRAM
from watchkeeper.show.text import printable
from watchkeeper.watch.logs import run_log_folder


@click.command("lint")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option(
    "--fix",
    "fixing",
    is_flag=True,
    help="Fix what is safe to fix: weekdays, ordinals, numbers, readable dates.",
)
@page_options
@command_errors
def command(path: Path, fixing: bool, as_json: bool) -> int:
    """Check run logs (run_logs/[group/]DATE_TASK.md), timelines and experiments.md against the
    rules, and report each finding with its line and code. docs/run-records.md explains the codes.

    PATH is a log, run_logs/, or a folder above or below it. Default: here. Exit code: 1 while a
    finding is open.

    Example: watchkeeper lint run_logs --fix
    """
    result = _lint(path, fixing=fixing)
    code = EXIT_OK
    if any(finding.open for finding in result.findings):
        code = EXIT_FAILED
    if as_json:
        return _answer(path, result, code, fixing=fixing)
    _show(result, fixing=fixing)
    return code


class PlainFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding: its rule's code, its place, and whether `--fix` puts it right."""

    code: str
    path: str
    line: int
    severity: Severity
    message: str
    hint: str
    fixable: bool


class NotFixed(msgspec.Struct, frozen=True, kw_only=True):
    """A file that `--fix` left as it is, and why."""

    path: str
    why: str


class LintData(msgspec.Struct, frozen=True, kw_only=True):
    """The run logs' folders, how many files were read, and what was found. `findings` are those
    that are there now: open ones first. `fixed` and `left` are of `--fix`.
    """

    findings: list[PlainFinding]
    fixed: list[PlainFinding]
    left: list[NotFixed]
    roots: list[str]
    files: int


ANSWERS = (LintData,)


@dataclass
class _Result:
    """What was found below the roots, what was fixed, and what could not be (path → why)."""

    roots: list[Path]
    files: int = 0
    findings: list[Finding] = field(default_factory=list)
    fixed: list[Finding] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def _lint(path: Path, *, fixing: bool) -> _Result:
    """Hold the run logs of each root to the rules; with `fixing`, fix what is safe first."""
    result = _Result(roots=run_log_folder.roots(path))
    for root in result.roots:
        loaded = run_log_folder.load(root)
        findings = run_log_folder.check(path, loaded)
        if fixing and any(finding.edits for finding in findings):
            fixes = run_log_folder.fix(loaded, findings)
            result.fixed += fixes.done
            result.left |= fixes.left
            loaded = run_log_folder.load(root)
            findings = run_log_folder.check(path, loaded)
        result.files += len(loaded.files)
        result.findings += findings
    return result


def _answer(path: Path, result: _Result, code: int, *, fixing: bool) -> int:
    """Print the answer for programs; `code` is its exit code. Where `--fix` would help, the next
    command is named.
    """
    summary = _summary(result.findings, result.files, fixing)
    still_open = sum(finding.open for finding in result.findings)
    fixable = sum(bool(finding.edits) for finding in result.findings)
    problems = [
        Problem(where=name, message=f"not fixed: {reason}", severity="warning", code="not-fixed")
        for name, reason in result.left.items()
    ]
    if still_open:
        fix = (PROGRAM, "lint", str(path), "--fix") if fixable and not fixing else None
        problems.append(Problem(where=str(path), message=summary, code="findings-open", next=fix))
    return answer(
        code,
        summary=summary,
        counts={"open": still_open, "findings": len(result.findings), "fixable": fixable},
        problems=problems,
        data=_data(result),
        more_from=("lint", str(path), "--json"),
        beside=("findings",),
    )


def _data(result: _Result) -> LintData:
    """The findings for programs, the open ones first."""
    open_first = sorted(result.findings, key=lambda finding: not finding.open)
    left = [
        NotFixed(path=printable(name), why=printable(reason))
        for name, reason in result.left.items()
    ]
    return LintData(
        findings=[_plain(finding) for finding in open_first],
        fixed=[_plain(finding) for finding in result.fixed],
        left=left,
        roots=[printable(str(root)) for root in result.roots],
        files=result.files,
    )


def _show(result: _Result, *, fixing: bool) -> None:
    """Print what was fixed and what was not, then what is still open."""
    for fixed in result.fixed:
        click.echo(_line(f"fixed: {fixed.path}:{fixed.line}: {fixed.code} {fixed.message}"))
    for name, reason in result.left.items():
        click.echo(_line(f"not fixed: {name}: {reason}"), err=True)
    for finding in result.findings:
        click.echo(_line(str(finding)))
    say(_summary(result.findings, result.files, fixing))


def _line(text: str) -> str:
    """A text on one line, whatever a file's name holds."""
    return printable(text).replace("\n", "\\n")


def _plain(finding: Finding) -> PlainFinding:
    """A finding for programs."""
    return PlainFinding(
        code=finding.code,
        path=printable(finding.path),
        line=finding.line,
        severity=finding.severity,
        message=printable(finding.message),
        hint=finding.hint,
        fixable=bool(finding.edits),
    )


def _summary(findings: list[Finding], read: int, fixing: bool) -> str:
    """In one line: `2 findings open in 5 files.`, and how many of them `--fix` would put right.
    `read`: how many files were read.
    """
    still = sum(finding.open for finding in findings)
    if read == 1:
        files = "1 file"
    else:
        files = f"{read} files"
    if not still:
        return f"Nothing open in {files}."
    noun = "finding" if still == 1 else "findings"
    text = f"{still} {noun} open in {files}."
    fixable = sum(bool(finding.edits) for finding in findings)
    if fixing or not fixable:
        return text
    return f"{text} `--fix` puts {fixable} right."
