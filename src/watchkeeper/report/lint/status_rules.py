"""The rules of Status: entries with a time, evidence of progress, one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from watchkeeper.report.lint.rules import Finding, finding, quoted
from watchkeeper.report.runlog.document import Field, Item, StatusLine
from watchkeeper.report.runlog.read import Log, filled, is_none, place
from watchkeeper.report.runlog.standing import Entry, Standing, entries_of
from watchkeeper.report.runlog.states import ENDED, RUNNING

_EVIDENCE = re.compile(
    r"\b(?:steps?|loss|epochs?|iter\w{0,9}|samples?|episodes?|batch(?:es)?|acc\w{0,9}|it/s|s/it|eta|reward|return"
    r"|success|tokens?"
    r"|frames?|rows?|files?|shards?|scenes?|tasks?|trials?|records?|images?|clips?|docs?|documents?|bleu|wer|f1"
    r"|ppl)\b[^\n]{0,20}?\d"
    r"|\d[.,]?[km]? {0,3}(?:/ {0,3}\d|of "
    r"\d|%|it/s|s/it|steps?\b|epochs?\b|samples?\b|episodes?\b|tokens?\b|frames?\b"
    r"|rows?\b|files?\b|shards?\b"
    r"|scenes?\b|tasks?\b|trials?\b|records?\b|images?\b|clips?\b|docs?\b|documents?\b)|loss\S{0,9}? {0,3}[=:]? {0,3}\d",
    re.IGNORECASE,
)
_MACHINE = re.compile(
    r"\b(?:gpus?|cpu|vram|memory|mem|utili[sz]ation|util|disk)\b[^,;\n]{0,40}", re.IGNORECASE
)
_EXCEPTION = re.compile(
    r"\b[A-Z]\w{1,60}(?:Error|Exception)\b"
)  # an error that the job printed is evidence too
_NOTICE = re.compile(
    r"\b(?:re-?)?(?:started|starting|launched|resumed|submitted|queued|pending|waiting)\b",
    re.IGNORECASE,
)
_FIELDS = re.compile(
    r"(?:.*_)?(?:state|status|exit_code|exit|outcome|progress|last_\w+|current\w*|latest\w*|checked"
    r"|updated|eta|result|n_a)"
)


def status(log: Log, stands: Standing) -> Iterator[Finding]:
    """What is wrong with the entries of Status."""
    path, sections, found = log.file.path, log.sections("status"), entries_of(log)
    yield from _untimed(log)
    for entry in found:
        if (
            entry.claim is not None
            and entry.claim.state == RUNNING
            and not entry.claim.again
            and entry.own
        ):
            words = _with_below(entry, found)
            evidence = _EVIDENCE.search(_MACHINE.sub("", words)) or _EXCEPTION.search(words)
            if not _NOTICE.search(words) and not evidence:
                yield finding(
                    "WK502", path, entry.line, f"neither step nor loss: {quoted(entry.text)}"
                )
    yield from _order(
        path,
        [
            entry
            for entry in found
            if entry.own and entry.at is not None and entry.at.day is not None
        ],
    )
    if sections and stands.over and not found and stands.state == ENDED:
        yield finding("WK504", path, place(sections[0]), "the job has ended, and Status is empty")


def _with_below(entry: Entry, found: list[Entry]) -> str:
    """An entry's words with those of the undated lines below it."""
    at = found.index(entry)
    words = [entry.text]
    for below in found[at + 1 :]:
        if below.own:
            break
        words.append(below.text)
    return " ".join(words)


def _untimed(log: Log) -> Iterator[Finding]:
    """The entries without a time that stand below none with a time: one finding for all."""
    timed = {entry.line for entry in entries_of(log) if entry.own}
    lines = []
    for section in log.sections("status"):
        for bullet in section.bullets():
            if isinstance(bullet, StatusLine) or bullet.span.line in timed:
                continue
            if isinstance(bullet, Field) and (
                _FIELDS.fullmatch(bullet.name) or not filled(bullet) or is_none(bullet.value)
            ):
                continue
            if isinstance(bullet, Item) and (
                not bullet.text or is_none(bullet.text) or bullet.text.casefold() == "pending"
            ):
                continue
            lines.append(bullet.span.line)
    if lines:
        if len(lines) == 1:
            what = "this entry has no time"
        else:
            what = f"{len(lines)} entries have no time"
        yield finding("WK501", log.file.path, lines[0], what)


def _order(path: str, dated: list[Entry]) -> Iterator[Finding]:
    """Entries out of order: one finding where all of them stand newest first."""
    pairs = [
        other
        for one, other in pairwise(dated)
        if one.at is not None
        and other.at is not None
        and (gap := one.at.seconds_until(other.at)) is not None
        and gap < 0
    ]
    turned = len(pairs) > 1 and len(pairs) == len(dated) - 1
    for entry in pairs[:1] if turned else pairs:
        if turned:
            what = "the entries stand newest first"
        else:
            what = "this entry is older than the one above"
        yield finding("WK503", path, entry.line, what)
