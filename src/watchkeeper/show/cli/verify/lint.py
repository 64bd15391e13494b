"""`watchkeeper lint`: run logs against the rules."""

from __future__ import annotations

from pathlib import Path

import click

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK
from watchkeeper.report.lint.rules import Finding
from watchkeeper.show.cli.common import command_errors, echo_json, json_option
from watchkeeper.show.text import printable
from watchkeeper.watch.logs import run_log_folder


@click.command("lint")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option(
    "--fix",
    "fixing",
    is_flag=True,
    help="Write what is safe to put right: weekdays, ordinals, numbers, dates for people.",
)
@json_option
@command_errors
def command(path: Path, fixing: bool, as_json: bool) -> int:
    """Read run logs (run_logs/[group/]DATE_TASK.md), timelines and the summary of experiments, and
    name each thing that they lack or say wrongly, by line and code. docs/run-records.md explains
    the codes.

    PATH is a log, run_logs/, or a folder above or below it. Default: here. The exit code is 1 while
    a finding is open.

    Example: watchkeeper lint run_logs --fix
    """
    found: list[Finding] = []
    fixed: list[Finding] = []
    left: dict[str, str] = {}
    read = 0
    where = run_log_folder.roots(path)
    for root in where:
        loaded = run_log_folder.load(root)
        here = run_log_folder.check(path, loaded)
        if fixing and any(one.edits for one in here):
            result = run_log_folder.fix(loaded, here)
            fixed += result.done
            left |= result.left
            loaded = run_log_folder.load(root)
            here = run_log_folder.check(path, loaded)
        read += len(loaded.files)
        found += here
    still = sum(one.open for one in found)
    if as_json:
        echo_json(
            {
                "roots": [printable(str(root)) for root in where],
                "files": read,
                "findings": [_plain(one) for one in found],
                "fixed": [_plain(one) for one in fixed],
                "left": {printable(name): printable(reason) for name, reason in left.items()},
            }
        )
        if still:
            return EXIT_FAILED
        return EXIT_OK
    for one in fixed:
        click.echo(_line(f"fixed: {one.path}:{one.line}: {one.code} {one.message}"))
    for name, reason in left.items():
        click.echo(_line(f"not fixed: {name}: {reason}"), err=True)
    for one in found:
        click.echo(_line(str(one)))
    click.echo(_summary(found, read, fixing))
    if still:
        return EXIT_FAILED
    return EXIT_OK


def _line(text: str) -> str:
    return printable(text).replace("\n", "\\n")


def _plain(one: Finding) -> dict[str, object]:
    return {
        "code": one.code,
        "path": printable(one.path),
        "line": one.line,
        "severity": one.severity,
        "message": printable(one.message),
        "hint": one.hint,
        "fixable": bool(one.edits),
    }


def _summary(found: list[Finding], read: int, fixing: bool) -> str:
    still = sum(one.open for one in found)
    if read == 1:
        files = "1 file"
    else:
        files = f"{read} files"
    if not still:
        return f"Nothing open in {files}."
    text = f"{still} {'finding' if still == 1 else 'findings'} open in {files}."
    fixable = sum(bool(one.edits) for one in found)
    if fixing or not fixable:
        return text
    return f"{text} `--fix` puts {fixable} right."
