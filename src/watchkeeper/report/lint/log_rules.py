"""The rules that one run log can break by itself: its name, its sections, what was run."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from watchkeeper.report.lint import job_rules, outcome_rules, publish_rules, status_rules
from watchkeeper.report.lint.rules import Finding, finding, quoted
from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.code_state import names_code
from watchkeeper.report.runlog.document import Document, Verbatim
from watchkeeper.report.runlog.file import SECRET
from watchkeeper.report.runlog.read import (
    DATED,
    JOB_ID,
    OBJECTIVE,
    PLACEHOLDER,
    Log,
    day_of,
    filled,
    is_placeholder,
    place,
)
from watchkeeper.report.runlog.standing import Standing, standing, submitted
from watchkeeper.report.runlog.states import ABANDONED, CANCELLED

SECTIONS = {
    "mode": "Mode",
    "config": "Config",
    "job": "Job",
    "status": "Status",
    "results": "Results",
    "wandb": "W&B",
    "next": "Next",
}

_LEFT_OUT = {"wandb", "results", "next"}
"""What nobody asks of a run that was given up."""


def check(log: Log) -> Iterator[Finding]:
    """What is wrong with one log."""
    yield from _name(log)
    if not any(section.kind for section in log.document.walk()):
        yield finding("WK107", log.file.path, 1, "it has no section of a run log")
        return
    stands = standing(log)
    found = [
        *_mode_and_config(log),
        *job_rules.jobs(log, stands),
        *job_rules.dates(log),
        *status_rules.status(log, stands),
    ]
    found += [
        *outcome_rules.results(log, stands),
        *outcome_rules.wandb(log, stands),
        *publish_rules.published(log, stands),
    ]
    found += _whole(log, stands, {one.code for one in found})
    yield from found
    told = {one.line for one in found}
    for node in facts.every_field(log.document):
        if is_placeholder(node.value) and node.span.line not in told:
            yield finding(
                "WK207",
                log.file.path,
                node.span.line,
                f"{node.key} still holds the template's {quoted(node.value)}",
            )


def _name(log: Log) -> Iterator[Finding]:
    path, name = log.file.path, log.file.name
    if not DATED.fullmatch(name):
        if log.day:
            better = f"{log.day}_{log.task}.md"
        else:
            better = "<date>_" + name
        yield finding("WK111", path, 1, f"the name is not <date>_<task>.md, e.g. {better}")
    if job := JOB_ID.search(name):
        yield finding("WK112", path, 1, f"the name holds a job id, {quoted(job[0].strip('_-'))}")
    if log.day:
        day = day_of(log)
        if day is None:
            yield finding("WK113", path, 1, f"there is no day {log.day}")
        days = [
            at.day
            for job in log.jobs
            if (at := submitted(log, job)) is not None and at.day is not None
        ]
        if day and days and abs((min(days) - day).days) > 1:
            yield finding("WK406", path, 1, f"the name says {log.day}, the first job {min(days)}")


def _whole(log: Log, stands: Standing, told: set[str]) -> Iterator[Finding]:
    document, path = log.document, log.file.path
    for node in document.all_nodes():
        if isinstance(node, Verbatim) and not node.closed:
            yield finding(
                "WK106",
                path,
                node.span.line,
                (
                    f"a {'code block' if node.kind == 'code' else node.kind} begins here and "
                    "never ends"
                ),
            )
    if not _has_title(document):
        yield finding(
            "WK201",
            path,
            1 if document.title is None else document.title.span.line,
            "there is no title",
        )
    missing = [
        name
        for kind, name in SECTIONS.items()
        if kind not in _not_asked(log, stands, told) and not log.sections(kind)
    ]
    if missing:
        if document.title:
            line = document.title.span.line
        else:
            line = 1
        yield finding("WK202", path, line, f"no section {', '.join(missing)}")
    starts: list[int] = []
    for secret in SECRET.finditer(document.text):
        starts = starts or [0, *(match.end() for match in re.finditer("\n", document.text))]
        line = bisect_right(starts, secret.start())
        yield finding("WK209", path, line, "this looks like a secret (not shown)")


def _has_title(document: Document) -> bool:
    """Whether the page has a title, underlined ones too."""
    if document.title is not None:
        return bool(document.title.text) and not PLACEHOLDER.search(document.title.text)
    return re.match(r"\ufeff?\s{0,20}\S[^\n]*\n={3,}[ \t]*\r?(?:\n|$)", document.text) is not None


def _not_asked(log: Log, stands: Standing, told: set[str]) -> set[str]:
    """The sections that are not asked for: another finding names what they lack, or such a run
    leaves nothing there.
    """
    given_up = stands.state in (ABANDONED, CANCELLED)
    if given_up:
        known = _LEFT_OUT
    elif log.trains:
        known = set()
    else:
        known = {"wandb"}
    known = known | ({"mode"} if log.run_type or "WK203" in told else set())
    known |= {"results"} if told & {"WK601", "WK602", "WK604"} else set()
    known |= {"wandb"} if "WK701" in told else set()
    return known


def _mode_and_config(log: Log) -> Iterator[Finding]:
    path = log.file.path
    mode, config = (next(iter(log.sections(kind)), None) for kind in ("mode", "config"))
    if not filled(log.run_type):
        yield finding("WK203", path, place(mode, log.run_type), "run_type is not recorded")
    elif not log.kind and log.run_type:
        yield finding(
            "WK204", path, log.run_type.span.line, f"run_type is {quoted(log.run_type.value)}"
        )
    objective = log.fact(mode, *OBJECTIVE) or facts.first(facts.header(log.document), *OBJECTIVE)
    if mode and not filled(objective) and not _says_why(log):
        yield finding("WK205", path, place(mode, objective), "the objective is not recorded")
    if config and (missing := list(_missing(log))):
        field = next((field for name in missing for field in log.configs(name)), None)
        yield finding("WK206", path, place(config, field), f"no {', no '.join(missing)} in Config")
    if log.kind == "experiment" and not names_code(log):
        yield finding(
            "WK208", path, place(config), "no commit, branch or tag of the experiment's code"
        )


def _says_why(log: Log) -> bool:
    """Whether a section of its own, or a line of Mode, says what the run is for."""
    own = (section for section in log.document.walk() if facts.head_of(section) in OBJECTIVE)
    if any(facts.prose(log.document, section).strip() for section in own):
        return True
    lines = [
        line
        for mode in log.sections("mode")
        for line in facts.prose(log.document, mode).splitlines()
    ]
    return any(len(line.split()) > 4 and ":" not in line.split("—")[0] for line in lines)


def _missing(log: Log) -> Iterator[str]:
    """What Config does not name of script, config and dataset, as far as such a job has one."""
    script = log.config("script")
    if script is not None:
        command = script.value
    else:
        command = ""
    text = " ".join(
        facts.prose(log.document, section) for section in log.sections("config")
    ).casefold()
    if script is None and not re.search(
        r"\b(?:sbatch|srun|torchrun|python3?|accelerate|docker|bash|watchkeeper"
        r"|wk) \S",
        text,
    ):
        yield "script"
    named = (
        re.search(r"--?config\S*[ =]\S|\.(?:ya?ml|toml|json|gin|cfg|ini)\b", command)
        or "command line" in text
    )
    if log.trains and log.config("config") is None and not named:
        yield "config"
    if log.config("dataset") is None and not (not log.trains and _works_on(log)):
        yield "dataset"


def _works_on(log: Log) -> bool:
    """Whether an evaluation or a data job says what it works on, where it names no dataset."""
    names = re.compile(
        r"(?:.*_)?(?:checkpoint|ckpt|model|task|tasks|suite|suites|scenes?|env|environment|episodes|split"
        r"|output|url|weights)"
    )
    sections = log.sections("config")
    fields = (field for section in sections for field in log.facts(section))
    return any(names.fullmatch(field.name) and filled(field) for field in fields)
