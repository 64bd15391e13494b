"""The rules that one run log can break by itself: its name, its sections, what was run."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from watchkeeper.report import lint_jobs, lint_outcome
from watchkeeper.report.dates import stamp
from watchkeeper.report.lint import SECRET, Finding, finding, quoted
from watchkeeper.report.lint_read import CONFIG, DATED, JOB_ID, PLACEHOLDER, START, Log, day_of, filled, place, says_none
from watchkeeper.report.runlog import Field, Verbatim

SECTIONS = {
    "mode": "Mode",
    "config": "Config",
    "job": "Job",
    "status": "Status",
    "results": "Results",
    "wandb": "W&B",
    "next": "Next",
}

_CODE = re.compile(r"(?:^|_)(?:commit|branch|tag|git|revision|sha|worktree|code|code_state)(?:_|$)")


def check(log: Log) -> Iterator[Finding]:
    """What is wrong with one log."""
    yield from _name(log)
    if not any(section.kind for section in log.document.walk()):
        yield finding("WK107", log.file.path, 1, "it has no section of a run log")
        return
    found = [*_whole(log), *_mode_and_config(log), *lint_jobs.jobs(log), *lint_jobs.dates(log)]
    for rules in (lint_outcome.status, lint_outcome.results, lint_outcome.wandb, lint_outcome.published):
        found += rules(log)
    yield from found
    told = {one.line for one in found}
    for node in log.document.all_nodes():
        if isinstance(node, Field) and PLACEHOLDER.fullmatch(node.value) and node.span.line not in told:
            yield finding(
                "WK207", log.file.path, node.span.line, f"{node.key} still holds the template's {quoted(node.value)}"
            )


def _name(log: Log) -> Iterator[Finding]:
    path, name = log.file.path, log.file.name
    if not DATED.fullmatch(name):
        better = f"{log.day}_{log.task}.md" if log.day else "<date>_" + name
        yield finding("WK111", path, 1, f"the name is not <date>_<task>.md, e.g. {better}")
    if job := JOB_ID.search(name):
        yield finding("WK112", path, 1, f"the name holds a job id, {quoted(job[0].strip('_-'))}")
    if log.day:
        day = day_of(log)
        if day is None:
            yield finding("WK113", path, 1, f"there is no day {log.day}")
        jobs = log.document.of("job")
        first = stamp(field.value) if jobs and (field := jobs[0].field(*START)) else None
        if day and first and first.day and abs((first.day - day).days) > 1:
            yield finding("WK406", path, 1, f"the name says {log.day}, the first job {first.day}")


def _whole(log: Log) -> Iterator[Finding]:
    document, path = log.document, log.file.path
    for node in document.all_nodes():
        if isinstance(node, Verbatim) and not node.closed:
            yield finding(
                "WK106",
                path,
                node.span.line,
                f"a {'code block' if node.kind == 'code' else node.kind} begins here and never ends",
            )
    if document.title is None or not document.title.text or PLACEHOLDER.search(document.title.text):
        yield finding("WK201", path, 1 if document.title is None else document.title.span.line, "there is no title")
    missing = [name for kind, name in SECTIONS.items() if not document.of(kind) and not (kind == "mode" and log.run_type)]
    if missing:
        line = document.title.span.line if document.title else 1
        yield finding("WK202", path, line, f"no section {', '.join(missing)}")
    starts: list[int] = []
    for secret in SECRET.finditer(document.text):
        starts = starts or [0, *(match.end() for match in re.finditer("\n", document.text))]
        line = bisect_right(starts, secret.start())
        yield finding("WK209", path, line, "this looks like a secret (not shown)")


def _mode_and_config(log: Log) -> Iterator[Finding]:
    document, path = log.document, log.file.path
    mode = next(iter(document.of("mode")), None)
    if not filled(log.run_type):
        yield finding("WK203", path, place(mode, log.run_type), "run_type is not recorded")
    elif not log.kind and log.run_type:
        yield finding("WK204", path, log.run_type.span.line, f"run_type is {quoted(log.run_type.value)}")
    if mode:
        objective = mode.field("objective", "goal", "purpose")
        if not filled(objective):
            yield finding("WK205", path, place(mode, objective), "the objective is not recorded")
    config = next(iter(document.of("config")), None)
    if config:
        found = {name: config.field(*names) for name, names in CONFIG.items()}
        for name, field in found.items():
            if not filled(field):
                yield finding("WK206", path, place(config, field), f"no {name} in Config")
    if log.kind == "experiment":
        fields = (node for node in document.all_nodes() if isinstance(node, Field))
        if not any(_CODE.search(field.name) and filled(field) and not says_none(field) for field in fields):
            yield finding("WK208", path, place(config), "no commit, branch or tag of the experiment's code")
