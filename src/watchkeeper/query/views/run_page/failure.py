"""Why a run failed: the cause, the end of its traceback, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from watchkeeper.core.disk.tails import end_as_text
from watchkeeper.core.events import Judged, RunEnded
from watchkeeper.query.views.pages import Failure
from watchkeeper.query.views.run_page.subject import Subject

TRACEBACK_LINES = 10
_TAIL_BYTES = 65_536
_MOST_LINE = 4_000
_LAST_LINE = "last line: "
_TRACEBACK = "Traceback (most recent call last):"


class Next(NamedTuple):
    """What comes after a failure: what was decided about a retry, how many jobs wait in vain, and
    what to type.
    """

    retry: str = ""
    blocks: int = 0
    command: str = ""


def failure_of(subject: Subject, state: str, after: Next) -> Failure:
    """What is known of why a run failed, which is `state`.

    A job's verdict explains it, with the end of what was printed; of a recorded run, the exception
    with which it ended. Else the state is all that is known, as of a process that died.
    """
    if subject.judged is not None:
        return _judged(subject, subject.judged, after)
    ends = [event for event in subject.newest_events if isinstance(event, RunEnded)]
    if ends and subject.job is None:
        return _recorded(subject, ends[-1])
    return Failure(
        why=state,
        cause="",
        traceback=[],
        retry=after.retry,
        blocks=after.blocks,
        command=after.command,
    )


def _judged(subject: Subject, judged: Judged, after: Next) -> Failure:
    """The failure of a job, by its verdict. Where nothing it printed is a traceback, the last lines
    stand in its place.
    """
    outputs = list(outputs_of(subject).values())
    return Failure(
        why=_clause_of(judged.why),
        cause=_last_line(judged.why),
        traceback=traceback_of(outputs) or last_lines_of(outputs),
        retry=after.retry,
        blocks=after.blocks,
        command=after.command,
    )


def outputs_of(subject: Subject) -> dict[str, Path]:
    """The files into which the newest attempt of a job prints: "stdout", "stderr". Where both are
    one, it is "stdout". {}: the scheduler does not say.
    """
    facts = subject.facts
    if facts is None:
        return {}
    named = {"stdout": facts.output, "stderr": facts.error_output}
    if facts.error_output == facts.output:
        del named["stderr"]
    return {name: subject.folder / path for name, path in named.items() if path}


def traceback_of(paths: list[Path]) -> list[str]:
    """The last lines of the last traceback in these files, of which the last is looked at first;
    [] where there is none.
    """
    for path in reversed(paths):
        _, mark, rest = end_as_text(path, _TAIL_BYTES).rpartition(_TRACEBACK)
        if mark:
            return _ends(_of_traceback(rest))
    return []


def last_lines_of(paths: list[Path]) -> list[str]:
    """The last ten lines of the last of these files that has any; [] where none has."""
    for path in reversed(paths):
        lines = list(filter(str.strip, end_as_text(path, _TAIL_BYTES).splitlines()))
        if lines:
            return _ends(lines)
    return []


def _of_traceback(text: str) -> list[str]:
    """The lines of a traceback: up to the first that is not indented, which names the error, and
    what follows of it.
    """
    lines = list(filter(str.strip, text.splitlines()))
    for place, line in enumerate(lines):
        if not line[0].isspace():
            return lines[: place + 1]
    return lines


def _ends(lines: list[str]) -> list[str]:
    """The last ten lines, each of at most 4,000 characters."""
    return [line.rstrip()[:_MOST_LINE] for line in lines[-TRACEBACK_LINES:]]


def _clause_of(why: str) -> str:
    """The clause of a verdict that explains: the second, where the first is the exit code.

        exit code 1; out of memory on the GPU (…); last line: Aborted → `out of memory on the GPU …`

    "": the verdict gives no reason.
    """
    first, _, rest = why.partition("; ")
    if rest and first.startswith("exit code"):
        return rest.partition("; ")[0]
    return first


def _last_line(why: str) -> str:
    """The job's last line of output, as its verdict has it; "" for none."""
    _, mark, line = why.partition(_LAST_LINE)
    if mark:
        return line.partition("; nothing at ")[0]
    return ""


def _recorded(subject: Subject, end: RunEnded) -> Failure:
    """The failure of a recorded run: its program's exception, and where that was raised."""
    lines = list(filter(str.strip, end.error.splitlines())) or [end.status]
    logs = subject.folder / "logs"
    traceback = _ends(lines)
    if len(lines) == 1:
        traceback = traceback_of([logs / "run.log", logs / "stdout.log", logs / "stderr.log"])
    last = lines[-1].strip()[:_MOST_LINE]
    return Failure(why=last, cause=last, traceback=traceback)
