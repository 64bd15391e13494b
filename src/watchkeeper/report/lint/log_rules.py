"""The rules that one run log can break by itself: its name, its sections, what was run."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import date

from watchkeeper.core.text import lazy
from watchkeeper.report.lint import job_rules, outcome_rules, publish_rules, status_rules
from watchkeeper.report.lint.rules import Finding, finding, quoted
from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.code_state import names_code
from watchkeeper.report.runlog.dates import day_in
from watchkeeper.report.runlog.document import Document, Section, Verbatim
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

_NOT_OF_A_GIVEN_UP_RUN = {"wandb", "results", "next"}
"""The sections that a run that was given up need not have."""
_COMMAND = lazy.pattern(
    r"\b(?:sbatch|srun|torchrun|python3?|accelerate|docker|bash|watchkeeper|wk) \S"
)
_CONFIG_IN_COMMAND = lazy.pattern(r"--?config\S*[ =]\S|\.(?:ya?ml|toml|json|gin|cfg|ini)\b")
_WORKS_ON = lazy.pattern(
    r"(?:.*_)?(?:checkpoint|ckpt|model|task|tasks|suite|suites|scenes?|env|environment|episodes|split"
    r"|output|url|weights)"
)


def check(log: Log) -> Iterator[Finding]:
    """Check one log by itself, against every rule that needs no other file.

    A page without any known section breaks WK107 alone: the other rules would only repeat it. What
    one log is against the others is checked in `folder_rules`.
    """
    yield from _name(log)
    has_section = any(section.kind for section in log.document.walk())
    if not has_section:
        yield finding("WK107", log.file.path, 1, "it has no run-log section")
        return
    stands = standing(log)
    findings = [
        *_mode_and_config(log),
        *job_rules.jobs(log),
        *job_rules.dates(log),
        *status_rules.status(log, stands),
        *outcome_rules.results(log, stands),
        *outcome_rules.wandb(log, stands),
        *publish_rules.published(log, stands),
    ]
    codes = {finding.code for finding in findings}
    findings += _whole(log, stands, codes)
    yield from findings
    # A line that another rule reports needs no second finding for its template's text.
    yield from _placeholders(log, {finding.line for finding in findings})


def _placeholders(log: Log, reported: set[int]) -> Iterator[Finding]:
    """Find the template's text in fields (WK207), on lines that no other finding reports.

    `- dataset: <path to the data>` is the template's; `<https://example.org>` is an address.
    `reported` are the lines of the findings so far.
    """
    for node in facts.every_field(log.document):
        if is_placeholder(node.value) and node.span.line not in reported:
            what = f"{node.key} still has the template text {quoted(node.value)}"
            yield finding("WK207", log.file.path, node.span.line, what)


def _name(log: Log) -> Iterator[Finding]:
    """Check the file's name, and its date against the first job's: WK111 to WK113, WK406.

    `2026-03-11_train.md` is a good name. One day's difference is no finding: the day in the name
    and the timestamp may be of different zones.
    """
    path, name = log.file.path, log.file.name
    if not DATED.fullmatch(name):
        better = f"<date>_{name}"
        if log.day:  # the name has its date last: `train_2026-03-11.md`
            better = f"{log.day}_{log.task}.md"
        what = f"the file name is not <date>_<task>.md; rename it to {better}"
        yield finding("WK111", path, 1, what)
    job_id = JOB_ID.search(name)
    if job_id:
        what = f"the file name contains a job id: {quoted(job_id[0].strip('_-'))}"
        yield finding("WK112", path, 1, what)
    if not log.day:
        return
    day = day_of(log)
    if day is None:
        yield finding("WK113", path, 1, f"no such day: {log.day}")
        return
    first = _first_day(log)
    if first is None:
        return
    if abs((first - day).days) > 1:
        what = f"the file name says {log.day}, but the first job was submitted on {first}"
        yield finding("WK406", path, 1, what)


def _first_day(log: Log) -> date | None:
    """Return the day of the first submission. None: no job block has one.

    The first is the oldest one, wherever its block stands.
    """
    days = (day_in(submitted(log, job)) for job in log.jobs)
    return min(filter(None, days), default=None)


def _whole(log: Log, stands: Standing, codes: set[str]) -> Iterator[Finding]:
    """Check the page as a whole: its title (WK201), its sections (WK202), unclosed blocks (WK106)
    and secrets (WK209).

    `codes` are those of the findings so far: a section is not reported as missing where they say
    what it lacks. `stands` is how the run's last job stands.
    """
    document, path = log.document, log.file.path
    top = document.title.span.line if document.title else 1
    yield from _unclosed(log)
    if not _has_title(document):
        yield finding("WK201", path, top, "no title")
    optional = _optional_sections(log, stands, codes)
    missing = []
    for kind, heading in SECTIONS.items():
        if kind not in optional and not log.sections(kind):
            missing.append(heading)
    if missing:
        yield finding("WK202", path, top, f"missing: {', '.join(missing)}")
    yield from _secrets(log)


def _unclosed(log: Log) -> Iterator[Finding]:
    """Find code blocks and comments without an end (WK106): all below them is read as code or
    comment.

    An unclosed code block begins with three backticks, an unclosed comment with `<!--`. What a
    person wrote below is no part of the log then, and other rules find it missing.
    """
    for node in log.document.all_nodes():
        if not isinstance(node, Verbatim) or node.closed:
            continue
        what = "code block" if node.kind == "code" else node.kind
        yield finding("WK106", log.file.path, node.span.line, f"unclosed {what}")


def _secrets(log: Log) -> Iterator[Finding]:
    """Find what looks like a secret, anywhere on the page, code and comments included.

    Messages name the line alone: whoever reads the finding must not learn the secret.
    """
    text = log.document.text
    secrets = list(SECRET.finditer(text))
    if not secrets:
        return
    line_starts = [0]
    for match in re.finditer("\n", text):
        line_starts.append(match.end())
    for secret in secrets:
        line = bisect_right(line_starts, secret.start())
        yield finding("WK209", log.file.path, line, "possible secret (not shown)")


def _optional_sections(log: Log, stands: Standing, codes: set[str]) -> set[str]:
    """Return the sections that this log need not have, as keys of `SECTIONS`.

    A section may be missing where another finding names what it lacks, or where such a run leaves
    nothing there: an abandoned run has no results.
    """
    optional: set[str] = set()
    if stands.state in (ABANDONED, CANCELLED):
        optional |= _NOT_OF_A_GIVEN_UP_RUN
    elif not log.trains:
        optional.add("wandb")
    # The run type is in a field elsewhere, or reported as missing.
    if log.run_type or "WK203" in codes:
        optional.add("mode")
    if codes & {"WK601", "WK602", "WK604"}:
        optional.add("results")
    if "WK701" in codes:
        optional.add("wandb")
    return optional


def _has_title(document: Document) -> bool:
    """Whether the page has a title: `# train_front_cam`, or words underlined with `===`.

    The template's own title, `# <task> — <short description>`, is none.
    """
    title = document.title
    if title is not None:
        return bool(title.text) and not PLACEHOLDER.search(title.text)
    underlined = re.match(r"\ufeff?\s{0,20}\S[^\n]*\n={3,}[ \t]*\r?(?:\n|$)", document.text)
    return underlined is not None


def _mode_and_config(log: Log) -> Iterator[Finding]:
    """Check what was run, and what for: WK203 to WK206 and WK208.

    Without a finding:

        ## Mode
        - run_type: experiment
        - objective: does a higher learning rate reach the same loss?
        ## Config
        - script: `slurm/train.sh`
        - config: `configurations/front_cam.yaml`
        - dataset: `/data/demo.hdf5`
        - commit: `4f2c1aa`
    """
    path = log.file.path
    mode, config = log.section("mode"), log.section("config")
    run_type = log.run_type
    if run_type is None or not filled(run_type):
        yield finding("WK203", path, place(mode, run_type), "run_type is not recorded")
    elif not log.kind:
        what = f"unknown run_type {quoted(run_type.value)}"
        yield finding("WK204", path, run_type.span.line, what)
    objective = log.fact(mode, *OBJECTIVE) or facts.first(facts.header(log.document), *OBJECTIVE)
    if mode and not filled(objective) and not _says_why(log):
        yield finding("WK205", path, place(mode, objective), "the objective is not recorded")
    if config:
        yield from _config(log, config)
    if log.kind == "experiment" and not names_code(log):
        what = "no commit, branch or tag is recorded for the experiment's code"
        yield finding("WK208", path, place(config), what)


def _config(log: Log, config: Section) -> Iterator[Finding]:
    """Check that Config names what was run (WK206): one finding for all that it lacks, on the line
    of an empty field if there is one.

    `no script, no dataset in Config` is such a finding.
    """
    missing = list(_missing(log))
    if not missing:
        return
    fields = (field for name in missing for field in log.configs(name))
    line = place(config, next(fields, None))
    yield finding("WK206", log.file.path, line, f"no {', no '.join(missing)} in Config")


def _says_why(log: Log) -> bool:
    """Whether a section of its own, or a line of Mode, says what the run is for.

        ## Hypothesis
        A higher learning rate reaches the same loss.

    or, below `## Mode`, a line with more than four words that is no field: `Does a higher learning
    rate reach the same loss?`
    """
    for section in log.document.walk():
        if facts.head_of(section) not in OBJECTIVE:
            continue
        if facts.prose(log.document, section).strip():
            return True
    for text in log.prose_of("mode"):
        for line in text.splitlines():
            is_field = ":" in line.split("—")[0]
            if not is_field and len(line.split()) > 4:
                return True
    return False


def _missing(log: Log) -> Iterator[str]:
    """Yield what Config lacks of script, config and dataset, as far as such a job has one.

        - script: torchrun train.py --config front_cam.yaml

    names a config as well: an option or a file in the script's command stands for it, and so do the
    words `command line`. A command in the text stands for the script. An evaluation needs no
    config, and no dataset where it names its task or its model.
    """
    text = " ".join(log.prose_of("config")).casefold()
    script = log.config("script")
    if script is None and not _COMMAND.search(text):
        yield "script"
    command = script.value if script else ""
    is_in_command = _CONFIG_IN_COMMAND.search(command) or "command line" in text
    if log.trains and not is_in_command and log.config("config") is None:
        yield "config"
    if log.config("dataset") is not None:
        return
    if log.trains or not _works_on(log):
        yield "dataset"


def _works_on(log: Log) -> bool:
    """Whether an evaluation or a data job says what it works on, where it names no dataset.

        - task: lift
        - checkpoint: /ckpt/60000
        - input_url: https://example.org/raw.tar

    Any of these in Config does.
    """
    fields = log.fields_of("config")
    return any(_WORKS_ON.fullmatch(field.name) and filled(field) for field in fields)
