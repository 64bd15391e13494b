"""The rules of Status: entries with a time, evidence of progress, one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator

from watchkeeper.core.text import lazy
from watchkeeper.report.lint.order import is_reversed, misplaced
from watchkeeper.report.lint.rules import Finding, finding, quoted
from watchkeeper.report.runlog.dates import has_day
from watchkeeper.report.runlog.document import Bullet, Field, StatusLine
from watchkeeper.report.runlog.read import Log, answers, is_none, place
from watchkeeper.report.runlog.standing import Entry, Standing, entries_of
from watchkeeper.report.runlog.states import ENDED, RUNNING

_EVIDENCE = lazy.pattern(
    r"\b(?:steps?|loss|epochs?|iter\w{0,9}|samples?|episodes?|batch(?:es)?|acc\w{0,9}|it/s|s/it|eta|reward|return"
    r"|success|tokens?"
    r"|frames?|rows?|files?|shards?|scenes?|tasks?|trials?|records?|images?|clips?|docs?|documents?|bleu|wer|f1"
    r"|ppl)\b[^\n]{0,20}?\d"
    r"|\d[.,]?[km]? {0,3}(?:/ {0,3}\d|of "
    r"\d|%|it/s|s/it|steps?\b|epochs?\b|samples?\b|episodes?\b|tokens?\b|frames?\b"
    r"|rows?\b|files?\b|shards?\b"
    r"|scenes?\b|tasks?\b|trials?\b|records?\b|images?\b|clips?\b|docs?\b|documents?\b)"
    r"|loss\S{0,9}? {0,3}[=:]? {0,3}\d",
    re.IGNORECASE,
)
_MACHINE = lazy.pattern(
    r"\b(?:gpus?|cpu|vram|memory|mem|utili[sz]ation|util|disk)\b[^,;\n]{0,40}", re.IGNORECASE
)
# An error that the job printed is evidence too.
_EXCEPTION = lazy.pattern(r"\b[A-Z]\w{1,60}(?:Error|Exception)\b")
_NOTICE = lazy.pattern(
    r"\b(?:re-?)?(?:started|starting|launched|resumed|submitted|queued|pending|waiting)\b",
    re.IGNORECASE,
)
_FIELDS = lazy.pattern(
    r"(?:.*_)?(?:state|status|exit_code|exit|outcome|progress|last_\w+|current\w*|latest\w*|checked"
    r"|updated|eta|result|n_a)"
)


def status(log: Log, stands: Standing) -> Iterator[Finding]:
    """Check the entries of Status: WK501 to WK504.

    Without a finding:

        ## Status
        - 2026-03-11 15:00 UTC — submitted as job 12345
        - 2026-03-11 15:20 UTC — running, step 2400, train_loss 0.085
        - 2026-03-12 03:00 UTC — completed, exit code 0
    """
    path, entries = log.file.path, entries_of(log)
    yield from _untimed(log)
    for entry in entries:
        if not _says_running(entry):
            continue
        if not _has_evidence(_with_below(entry, entries)):
            what = f"neither a step nor a loss: {quoted(entry.text)}"
            yield finding("WK502", path, entry.line, what)
    yield from _order(path, entries)
    sections = log.sections("status")
    if not sections or entries:
        return
    has_ended = stands.over and stands.state == ENDED
    if has_ended:
        yield finding("WK504", path, place(sections[0]), "the job has ended, but Status is empty")


def _says_running(entry: Entry) -> bool:
    """Whether an entry says that the job runs, without having been started again.

    `running since this morning` does; `resubmitted, running again` is a notice of a start, and
    needs no evidence. An undated line below an entry belongs to that one.
    """
    if entry.claim is None or not entry.own:
        return False
    return entry.claim.state == RUNNING and not entry.claim.again


def _has_evidence(text: str) -> bool:
    """Whether an entry shows progress or an error, or is only a notice of a start.

    `step 2400`, `loss 0.085`, `40 %`, `RuntimeError` and `started on gpu-07` do; `still running`
    and `GPU at 98 %` do not.
    """
    if _NOTICE.search(text) or _EXCEPTION.search(text):
        return True
    # The load of a machine is no progress of the job.
    without_load = _MACHINE.sub("", text)
    return _EVIDENCE.search(without_load) is not None


def _with_below(entry: Entry, entries: list[Entry]) -> str:
    """Return an entry's text with that of the undated lines below it.

        - 2026-03-11 15:20 — running
          - step 2400, loss 0.085

    is one entry, `running step 2400, loss 0.085`. `entries` are all of the log, this one among
    them.
    """
    at = entries.index(entry)
    texts = [entry.text]
    for below in entries[at + 1 :]:
        if below.own:
            break
        texts.append(below.text)
    return " ".join(texts)


def _untimed(log: Log) -> Iterator[Finding]:
    """Find the entries without a time, and without a dated entry above: one finding for all
    (WK501).

        - running fine                       no: a reader cannot tell when
        - 2026-03-11 15:20 — running
          - loss 0.085                       yes: it belongs to the line above

    A field of the job's state, `- state: running`, and an empty bullet need none.
    """
    timed = {entry.line for entry in entries_of(log) if entry.own}
    lines = []
    for section in log.sections("status"):
        for bullet in section.bullets():
            if bullet.span.line not in timed and _needs_time(bullet):
                lines.append(bullet.span.line)
    if not lines:
        return
    what = "this entry has no timestamp"
    if len(lines) > 1:
        what = f"{len(lines)} entries have no timestamp"
    yield finding("WK501", log.file.path, lines[0], what)


def _needs_time(bullet: Bullet) -> bool:
    """Whether a bullet is an entry of its own: not empty, and not a field of the job's state.

    - loss went down            yes
    - note: restarted it        yes: a field with an answer
    - last_checked: today       no: a field of the job's state
    - pending, - n/a            no
    """
    if isinstance(bullet, StatusLine):
        return False
    if isinstance(bullet, Field):
        if _FIELDS.fullmatch(bullet.name):
            return False
        return answers(bullet)
    if not bullet.text or is_none(bullet.text):
        return False
    return bullet.text.casefold() != "pending"


def _order(path: str, entries: list[Entry]) -> Iterator[Finding]:
    """Find entries out of order (WK503): one finding where all of them stand newest first.

    Only entries with a day of their own are compared. Of a log with the newest on top there is
    one finding; single entries that stand in the wrong place have one each.
    """
    dated = []
    for entry in entries:
        if entry.own and has_day(entry.at):
            dated.append((entry.at, entry))
    older = [entry for _, entry in misplaced(dated)]
    if is_reversed(dated, older):
        what = "the entries are in reverse order, newest first"
        yield finding("WK503", path, older[0].line, what)
        return
    for entry in older:
        yield finding("WK503", path, entry.line, "this entry is older than the one above")
