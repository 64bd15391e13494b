"""Done means evidence: the verdict on an ended attempt, from its end and what it left. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import msgspec

from watchkeeper.core.events import Cause, Evidence, Judged, Number, Outcome
from watchkeeper.core.text import lazy
from watchkeeper.tools.promise import Finding
from watchkeeper.watch.verdict.causes import PROGRAM_ERROR, Named
from watchkeeper.watch.verdict.endings import End

_FAILED_OUTCOMES: dict[str, Outcome] = {
    "CANCELLED": "cancelled",
    "NODE_FAIL": "lost",
    "BOOT_FAIL": "lost",
    "UNKNOWN": "unknown",
}
LAST_LINE = "last line: "
"""What stands before a job's last line of output, among the reasons of a verdict."""
_CODE = "exit code "
# The line that names a cause, behind the cause in words.
_IN_BRACKETS = lazy.pattern(r" \((.+)\)$")
_UNNAMED = Named()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a `judged` event that evidence decides."""

    outcome: Outcome
    why: str = ""
    fingerprints: dict[str, str] = {}
    metrics: dict[str, Number] = {}
    evidence: tuple[Evidence, ...] = ()
    cause: Cause = ""
    error: str = ""


def judge(
    end: End,
    findings: Sequence[Finding],
    last_line: str = "",
    unchanged: Sequence[str] = (),
    *,
    array: bool = False,
    cause: Named = _UNNAMED,
) -> Verdict:
    """The verdict.

        end          what was promised      outcome
        COMPLETED    all of it is good      `done`, with its cautions
        COMPLETED    something is not       `invalid`, with what
        FAILED       all of it is good      `failed but good`
        FAILED       something is not       `failed`; `cancelled`, `lost` or `unknown` by its state

    `findings` are of everything the run promised (none: it promised nothing, and its exit code is
    all there is); `unchanged` names subjects whose files are the same as before the attempt began:
    not this attempt's work. `cause` is why it ended badly. Of an `array`, what the other tasks left
    says nothing for one that failed.
    """
    good, bad = _part(findings, unchanged)
    advice = dict.fromkeys(finding.advice for finding in bad)
    faults = _joined(*(_fault(finding, unchanged) for finding in bad), *advice)
    cautions = _joined(*(finding.caution for finding in good))
    end_words = _end_words(end, cause.words, last_line)
    outcome: Outcome
    if end.state == "COMPLETED" and not end.exit_code:
        outcome = "invalid" if bad else "done"
        why = faults or cautions
    elif findings and not bad and not array:
        outcome = "failed but good"
        why = _joined(end_words, cautions)
    else:
        outcome = _FAILED_OUTCOMES.get(end.state, "failed")
        why = _joined(end_words, faults)
    error = ""
    if outcome not in ("done", "invalid"):
        error = _error(cause, last_line)
    metrics: dict[str, Number] = {}
    for finding in good:
        metrics |= finding.metrics
    return Verdict(
        outcome=outcome,
        why=why,
        fingerprints={finding.subject: finding.fingerprint for finding in good},
        metrics=metrics,
        evidence=tuple(chain.from_iterable(finding.evidence for finding in findings)),
        cause=cause.cause,
        error=error,
    )


def _error(cause: Named, last_line: str) -> str:
    """The line that says what went wrong: the one that names the cause; where nothing names one,
    the last. What a job printed before its time limit came is no error.
    """
    if cause.line or cause.words:
        return cause.line
    return last_line


def error_of(judged: Judged) -> str:
    """The line of output that says what went wrong; "" where none does. Of a verdict from before
    it was kept, by its reasons.
    """
    if judged.error:
        return judged.error
    return error_in(judged.why)


def error_in(why: str) -> str:
    """The same, by the reasons of a verdict: of `exit code 1; out of memory on the GPU (CUDA out of
    memory); last line: Aborted` that is `CUDA out of memory`. "": none of them is a line.
    """
    reasons, _, rest = why.partition(LAST_LINE)
    line = rest.partition("; ")[0]
    cause = cause_in(reasons)
    if line and (not cause or line in cause):
        return line
    if cause.startswith(PROGRAM_ERROR):
        return cause.removeprefix(PROGRAM_ERROR)
    named = _IN_BRACKETS.search(cause)
    if named is None:
        return ""
    return named.group(1)


def cause_in(why: str) -> str:
    """Of the reasons of a verdict, the one that names the cause; "" for none. A single word is the
    scheduler's, and names none.
    """
    reasons = why.partition(LAST_LINE)[0].split("; ")
    for reason in reasons:
        is_code = reason.startswith(_CODE)
        if " " in reason and not is_code:
            return reason
    return ""


def _part(
    findings: Sequence[Finding], unchanged: Sequence[str]
) -> tuple[list[Finding], list[Finding]]:
    """The attempt's own good work, and all else: what is bad or missing, and what is good and was
    there before the attempt began.
    """
    good: list[Finding] = []
    bad: list[Finding] = []
    for finding in findings:
        if finding.state == "good" and finding.subject not in unchanged:
            good.append(finding)
        else:
            bad.append(finding)
    return good, bad


def _fault(finding: Finding, unchanged: Sequence[str]) -> str:
    """What is wrong with something that was promised, in words."""
    if finding.subject in unchanged and finding.state == "good":
        return f"{finding.path} is older than the attempt"
    return finding.why or f"{finding.subject} is {finding.state}"


def _end_words(end: End, cause: str, last_line: str) -> str:
    """How a job ended, in words: `exit code 1; out of memory on the GPU (…); last line: Aborted`.

    What is not known is left out.
    """
    code = ""
    if end.exit_code is not None:
        code = f"{_CODE}{end.exit_code}"
    last = ""
    if last_line:
        last = f"{LAST_LINE}{last_line}"
    return _joined(code, cause, end.why, last)


def _joined(*reasons: str) -> str:
    """These reasons, without the empty ones."""
    return "; ".join(filter(None, reasons))
