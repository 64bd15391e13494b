"""The rules by their codes, and what a rule finds.

Codes: WK10x the file, WK11x its name and place, WK2xx what was run, WK3xx job blocks, WK4xx times
and dates, WK5xx status, WK6xx results, WK7xx W&B, WK8xx publication, WK9xx timeline and summary.
A code never changes its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from watchkeeper.core.errors import Problem, Severity
from watchkeeper.report.runlog.document import Edit
from watchkeeper.report.runlog.file import SECRET


class Rule(msgspec.Struct, frozen=True):
    """One rule: what it finds in a few words, how grave that is, and what to do."""

    about: str
    hint: str
    severity: Severity = "warning"


RULES = {
    "WK101": Rule("a file that cannot be read", "check its owner and mode", "error"),
    "WK102": Rule("a file that is not UTF-8 text", "save it as UTF-8", "error"),
    "WK103": Rule(
        "a file too large for a run log",
        "move the output to a file beside it, and give its path",
        "error",
    ),
    "WK104": Rule("something named like a log that is not a file", "move or rename it", "error"),
    "WK105": Rule(
        "a broken or circular symbolic link",
        "point it at the log, or remove it",
        "error",
    ),
    "WK106": Rule(
        "an unclosed code block or comment",
        "close it; everything after it is ignored",
    ),
    "WK107": Rule(
        "a dated file without any run-log section", "add `## Mode`, `## Config`, `## Job`, …"
    ),
    "WK111": Rule(
        "a name that is not `<date>_<task>.md`", "put the date first, so that names sort by time"
    ),
    "WK112": Rule(
        "a job id in the name",
        "the id changes with each resubmission; record it in the job block",
        "note",
    ),
    "WK113": Rule(
        "a name with a date that does not exist", "use the day of submission in the name", "error"
    ),
    "WK114": Rule(
        "more than ten ungrouped logs in run_logs/",
        "group them in folders by component, task or stage",
    ),
    "WK115": Rule(
        "a log whose first job is a resumption",
        "record a resumption in the log of the run that it resumes",
    ),
    "WK116": Rule(
        "a log with the task and config of an older one",
        "record a resumption in the log of the run that it resumes",
    ),
    "WK201": Rule("no title", "start with `# <task> — <short description>`"),
    "WK202": Rule("a missing section", "add the heading; the section can stay empty for now"),
    "WK203": Rule(
        "no run_type", "add `- run_type:` replication, experiment, or pipeline (what kind)", "error"
    ),
    "WK204": Rule("an unknown run_type", "use replication, experiment, or pipeline (what kind)"),
    "WK205": Rule("no objective", "state in one line what the run tests or verifies"),
    "WK206": Rule("no script, config or dataset", "record it, or `n/a`"),
    "WK207": Rule("template text left in a field", "fill it in, or write `n/a`"),
    "WK208": Rule(
        "an experiment whose code version is not recorded",
        "record its commit, branch or tag",
        "error",
    ),
    "WK209": Rule(
        "a possible secret",
        "remove it and rotate the secret: anyone who could read the log has it",
        "error",
    ),
    "WK301": Rule(
        "a job block without execution_id", "record the job id, or the instance and zone", "error"
    ),
    "WK302": Rule("two job blocks with the same id", "remove the copy, or correct its id", "error"),
    "WK303": Rule("job blocks out of order", "add one block per submission, newest last", "error"),
    "WK304": Rule("a job block without a submission time", "record `submitted/start`"),
    "WK305": Rule(
        "a resumption without its checkpoint",
        "record `resumed from: <path to checkpoint>`",
        "error",
    ),
    "WK306": Rule(
        "a runtime longer than the time from start to end",
        "correct the runtime, the start or the end",
        "error",
    ),
    "WK307": Rule("a job that ends before it starts", "correct the start or the end", "error"),
    "WK308": Rule("an ended job without a runtime", "record `runtime: HH:MM:SS`"),
    "WK309": Rule("a further job block without a label", "label it, e.g. `## Job (resumed)`"),
    "WK310": Rule("a submission without a job block", "add one block per submission, with its id"),
    "WK401": Rule(
        "a timestamp without a human-readable date", "add it: `Wednesday, Feb 25th, 2026`"
    ),
    "WK402": Rule("a wrong weekday", "correct the weekday, or the date", "error"),
    "WK403": Rule("a date or time that does not exist", "correct it", "error"),
    "WK404": Rule("two dates that contradict each other", "correct the wrong one", "error"),
    "WK405": Rule("a wrong ordinal", "use 1st, 2nd, 3rd, 4th, 11th"),
    "WK406": Rule(
        "a file whose date differs from its first job's", "use the day of submission in the name"
    ),
    "WK407": Rule(
        "a time that cannot be read", "write `2026-03-11 15:00 UTC`, or `2026-03-11T15:00:00Z`"
    ),
    "WK501": Rule("a status entry without a time", "start it with `2026-03-11 15:00 — `"),
    "WK502": Rule(
        "a status entry without a step or loss",
        "a timestamp alone proves nothing: add the step, the loss, or both",
        "error",
    ),
    "WK503": Rule("status entries out of order", "append new entries at the end", "note"),
    "WK504": Rule(
        "an ended job with an empty Status",
        "record how it ended: `2026-03-12 14:30 — completed, exit code 0`",
    ),
    "WK601": Rule(
        "no checkpoint path in Results", "record `checkpoint:` with its path, or `n/a`", "error"
    ),
    "WK602": Rule(
        "no loss or loss_one_liner in Results",
        "record the first and last loss, and a sentence about the curve",
    ),
    "WK603": Rule("a loss_one_liner with nothing but numbers", "explain what the numbers mean"),
    "WK604": Rule(
        "no config_snapshot",
        "record the path of the resolved config in the run's output; "
        "the repository's config may change",
    ),
    "WK701": Rule(
        "a W&B run that is not synced",
        "run `watchkeeper wandb sync --entity E --project P LOCAL`, which records the URL",
        "error",
    ),
    "WK702": Rule(
        "a W&B URL that is in no job block",
        "add it to the job's block",
        "error",
    ),
    "WK703": Rule(
        "a W&B run logged by a version that loses rows",
        "hold its rows against what the job printed, or `watchkeeper check RUN --wandb`; "
        "for the next run: pip install 'wandb>=0.31'",
    ),
    "WK704": Rule(
        "a W&B version whose sync may hang",
        "sync with `watchkeeper wandb sync` and wandb 0.31, which ends within a time",
    ),
    "WK801": Rule(
        "an upload without a passport or sign-off",
        "create MODEL_PASSPORT.json and SIGNOFF.json, and upload them as well",
        "error",
    ),
    "WK802": Rule(
        "no sign-off verdict", "record `signoff verdict:` with pass or soft_signal", "error"
    ),
    "WK803": Rule(
        "a soft_signal without a reason", "copy verdict_reason from SIGNOFF.json", "error"
    ),
    "WK804": Rule(
        "a next step that skips the passport",
        "make the passport and the sign-off before evaluating, uploading or handing over",
        "error",
    ),
    "WK805": Rule("an upload without a repository", "record `repo:` with its URL"),
    "WK806": Rule(
        "hand-made checksums instead of a sign-off",
        "create a sign-off: it contains the hashes and a verdict",
        "error",
    ),
    "WK901": Rule(
        "a folder of logs without a timeline.md",
        "list its logs in timeline.md, oldest first",
        "error",
    ),
    "WK902": Rule("a log missing from its timeline", "add it to the timeline", "error"),
    "WK903": Rule(
        "a timeline entry whose log does not exist",
        "correct the name, or remove the entry",
        "error",
    ),
    "WK904": Rule("a timeline out of order", "sort the entries by time"),
    "WK905": Rule("wrong numbers in a timeline", "number the entries from 1"),
    "WK906": Rule("a log listed twice in its timeline", "remove one of the entries"),
    "WK907": Rule(
        "a timeline line that is not an entry",
        "write it as ``1. `2026-02-20_train.md` — Friday, Feb 20th``",
    ),
    "WK908": Rule(
        "a timeline's title that does not match its folder",
        "e.g. `# ARX5 Multitask Timeline` in arx5_multitask/",
    ),
    "WK911": Rule(
        "an experiment missing from experiments.md",
        "add a row: run, description, val_loss, status, notes",
        "error",
    ),
    "WK912": Rule(
        "an experiments.md row without a log", "correct the run's name, or restore its log"
    ),
}

FIXABLE = ("WK401", "WK402", "WK405", "WK905")
"""The codes of which some findings can be fixed without asking."""


class Finding(Problem, frozen=True, kw_only=True, omit_defaults=True):
    """A problem with the code of its rule. `edits` put it right, where that is safe."""

    code: str
    path: str
    line: int
    edits: tuple[Edit, ...] = ()

    @property
    def open(self) -> bool:
        """Whether something is to be done; a note is information."""
        return self.severity != "note"

    def __str__(self) -> str:
        text = f"{self.path}:{self.line}: {self.code} {self.message}"
        if self.hint:
            text += f" ({self.hint})"
        return text


def finding(code: str, path: str, line: int, message: str, edits: Iterable[Edit] = ()) -> Finding:
    """Make a finding of a rule. Whatever text it quotes, it can be encoded."""
    rule = RULES[code]
    message, path = (text.encode("utf-8", "backslashreplace").decode() for text in (message, path))
    return Finding(
        where=f"{path}:{line}",
        message=message,
        hint=rule.hint,
        severity=rule.severity,
        code=code,
        path=path,
        line=line,
        edits=tuple(edits),
    )


def quoted(text: str) -> str:
    """Show a piece of a file in a message: short, in quotes, without what looks like a secret."""
    text = SECRET.sub("(hidden)", text.strip())
    if len(text) > 60:
        return f"'{text[:57]}…'"
    return f"'{text}'"
