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
    "WK102": Rule("a file that is no UTF-8 text", "a run log is Markdown in UTF-8", "error"),
    "WK103": Rule(
        "a file too large for a run log", "keep output in its own file, and name that", "error"
    ),
    "WK104": Rule(
        "something with a log's name that is no file", "move it away, or rename it", "error"
    ),
    "WK105": Rule(
        "a symbolic link that leads nowhere, or in a circle",
        "point it to the log, or remove it",
        "error",
    ),
    "WK106": Rule(
        "a code block or comment that never ends",
        "close it: what follows is not read as part of the log",
    ),
    "WK107": Rule(
        "a dated file without any section of a run log", "write `## Mode`, `## Config`, `## Job`, …"
    ),
    "WK111": Rule("a name that is not `<date>_<task>.md`", "date first: names then sort by time"),
    "WK112": Rule(
        "a job id in the name",
        "it changes at each resubmission; it belongs into the job block",
        "note",
    ),
    "WK113": Rule(
        "a name with a date that does not exist", "name it after the day of submission", "error"
    ),
    "WK114": Rule(
        "more than ten logs side by side in run_logs/",
        "group them in folders: by component, task or stage",
    ),
    "WK115": Rule(
        "a log that begins with a resumption",
        "a resumption belongs into the log of the run it resumes",
    ),
    "WK116": Rule(
        "a log with the task and config of an older one",
        "a resumption belongs into the log of the run it resumes",
    ),
    "WK201": Rule("no title", "begin with `# <task> — <short description>`"),
    "WK202": Rule(
        "a section that is missing", "add its heading, empty until there is something to say"
    ),
    "WK203": Rule(
        "no run_type", "say `- run_type:` replication, experiment, or pipeline (what kind)", "error"
    ),
    "WK204": Rule(
        "a run_type that is none of the three", "replication, experiment, or pipeline (what kind)"
    ),
    "WK205": Rule("no objective", "say in one line what the run tries or verifies"),
    "WK206": Rule("no script, config or dataset", "record it, or `n/a`"),
    "WK207": Rule("text of the template left in a field", "fill it in, or write `n/a`"),
    "WK208": Rule(
        "an experiment without its code",
        "record a commit, branch or tag, so that the code can be found again",
        "error",
    ),
    "WK209": Rule(
        "what looks like a secret",
        "take it out, and replace the secret: whoever could read the log has it",
        "error",
    ),
    "WK301": Rule(
        "a job block without execution_id", "record the job id, or instance/zone", "error"
    ),
    "WK302": Rule(
        "two job blocks with one id", "one of them is a copy, or has the id of another", "error"
    ),
    "WK303": Rule(
        "job blocks out of order", "append a block for each submission, the newest last", "error"
    ),
    "WK304": Rule(
        "a job block that does not say when it was submitted", "record `submitted/start`"
    ),
    "WK305": Rule(
        "a resumption that does not say from where",
        "record `resumed from: <path to checkpoint>`",
        "error",
    ),
    "WK306": Rule(
        "a runtime longer than from start to end",
        "correct the runtime, the start or the end",
        "error",
    ),
    "WK307": Rule("a job that ends before it starts", "correct the start or the end", "error"),
    "WK308": Rule("a job that has ended, and no runtime", "record `runtime: HH:MM:SS`"),
    "WK309": Rule("a further job block that does not say what it is", "e.g. `## Job (resumed)`"),
    "WK310": Rule(
        "a submission that no job block records", "append a block for each submission, with its id"
    ),
    "WK401": Rule("a timestamp without a date for people", "add it: `Wednesday, Feb 25th, 2026`"),
    "WK402": Rule("a wrong weekday", "correct the weekday, or the date", "error"),
    "WK403": Rule("a date or time that does not exist", "correct it", "error"),
    "WK404": Rule("two dates that disagree", "correct the one that is wrong", "error"),
    "WK405": Rule("a wrong ordinal", "1st, 2nd, 3rd, 4th, 11th"),
    "WK406": Rule(
        "a file dated otherwise than its first job", "name it after the day of submission"
    ),
    "WK407": Rule(
        "a time that cannot be read", "write `2026-03-11 15:00 UTC`, or `2026-03-11T15:00:00Z`"
    ),
    "WK501": Rule("a status entry without a time", "begin it with `2026-03-11 15:00 — `"),
    "WK502": Rule(
        "a status without step or loss",
        "a timestamp alone is no evidence: say step, loss, or both",
        "error",
    ),
    "WK503": Rule("status entries out of order", "append: the newest last", "note"),
    "WK504": Rule(
        "a job that has ended, and an empty Status",
        "say how it ended: `2026-03-12 14:30 — completed, exit code 0`",
    ),
    "WK601": Rule(
        "no checkpoint path in Results", "record `checkpoint:` with its path, or `n/a`", "error"
    ),
    "WK602": Rule(
        "no loss, or no loss_one_liner, in Results",
        "record first and last loss, and a sentence on the curve",
    ),
    "WK603": Rule("a loss_one_liner of figures alone", "say what the figures mean"),
    "WK604": Rule(
        "no config_snapshot",
        "record the resolved config of the run's output: the repository's may change",
    ),
    "WK701": Rule(
        "a W&B run that is not synced",
        "`wandb sync --entity E --project P LOCAL`, then record the URL",
        "error",
    ),
    "WK702": Rule(
        "a W&B URL that no job block has",
        "record it in the block of the job it belongs to as well",
        "error",
    ),
    "WK801": Rule(
        "an upload without passport or sign-off",
        "make MODEL_PASSPORT.json and SIGNOFF.json, and upload them too",
        "error",
    ),
    "WK802": Rule(
        "no verdict of the sign-off", "record `signoff verdict:` pass or soft_signal", "error"
    ),
    "WK803": Rule(
        "a soft_signal without its reason", "copy verdict_reason from SIGNOFF.json", "error"
    ),
    "WK804": Rule(
        "a next step that skips the passport",
        "passport and sign-off come before eval, upload and hand-over",
        "error",
    ),
    "WK805": Rule("an upload without its repository", "record `repo:` with the URL"),
    "WK806": Rule(
        "checksums of one's own in place of a sign-off",
        "sign: a sign-off holds the hashes, and a verdict",
        "error",
    ),
    "WK901": Rule(
        "a folder of logs without timeline.md",
        "list its logs in timeline.md, in order of time",
        "error",
    ),
    "WK902": Rule("a log that its timeline does not name", "add it to the timeline", "error"),
    "WK903": Rule(
        "a timeline that names a log that is not there",
        "correct the name, or take the entry out",
        "error",
    ),
    "WK904": Rule("a timeline out of order", "sort its entries by time"),
    "WK905": Rule("a timeline with wrong numbers", "number its entries from 1"),
    "WK906": Rule("a log twice in its timeline", "take one entry out"),
    "WK907": Rule(
        "a line of a timeline that is no entry",
        "write ``1. `2026-02-20_train.md` — Friday, Feb 20th``",
    ),
    "WK908": Rule(
        "a timeline's title that does not match its folder",
        "e.g. `# ARX5 Multitask Timeline` in arx5_multitask/",
    ),
    "WK911": Rule(
        "an experiment that experiments.md does not name",
        "add its row: run, description, val_loss, status, notes",
        "error",
    ),
    "WK912": Rule(
        "a row of experiments.md without a log", "correct the run's name, or restore its log"
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
