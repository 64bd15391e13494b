"""The texts of a run, read by byte offsets: its text log, what it printed, and its run log.

Only files that lie below the run's own folder or its experiment's, links resolved, are read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Documented
from watchkeeper.core.events.choose import of_kind
from watchkeeper.core.text import lazy
from watchkeeper.query.views.pages import Text, TextFile, TextLine
from watchkeeper.query.views.run_page.failure import outputs_of
from watchkeeper.query.views.run_page.files import shown_path
from watchkeeper.query.views.run_page.subject import RecordedFolder, Subject
from watchkeeper.runfolder.places import home

MOST_CHARACTERS = 4_000
"""Of one line."""
MOST_BYTES = 256 * 1024
"""Of one answer."""
MOST_LINES = 2_000
"""Of one answer."""
_LINE = lazy.pattern(
    r"(?P<at>\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2},\d{3}) (?P<level>[A-Z]\w*) "
    r"\[[^\]\n]* (?P<step>[^\]\s]+)\] (?P<text>.*)",
    re.DOTALL,
)
_FILES = {"run.log": "logs/run.log", "stdout": "logs/stdout.log", "stderr": "logs/stderr.log"}
# A field, and the note that the machine may put behind its value.
_FIELD = lazy.pattern(r"\s*[-*]\s+[^:]{1,80}:\s*(?P<value>`[^`]*`(?= \(.*\)$)|.*)(?: \(.*\))?")


_BULLET = "-* \t"


class _Source(NamedTuple):
    name: str
    path: Path


def texts_of(subject: Subject) -> list[TextFile]:
    """The texts that can be read, each with its size in bytes and when it was written to last."""
    texts = []
    for name, path in _sources(subject).items():
        status = path.stat()
        changed = datetime.fromtimestamp(status.st_mtime).astimezone()
        shown = shown_path(path, subject.folder)
        texts.append(TextFile(name=name, path=shown, size=status.st_size, changed=changed))
    return texts


def read_text(
    subject: Subject, name: str, *, after: int | None = None, tail: int | None = None
) -> Text:
    """Lines of a text: those behind byte `after`, else the last `tail`, by default 200. A line
    without an end is left for the next time.

    Whoever follows a text asks for what lies behind the `next` of the last answer. A text that is
    shorter than `after` was begun anew: its last lines are returned.

    Raises:
        UsageError: the run has no such text, or the place is no number of bytes or lines.
        OSError: it cannot be read.
    """
    sources = _sources(subject)
    path = sources.get(name)
    if path is None:
        known = ", ".join(sources) or "no text"
        raise UsageError(f"the run has no text {name!r}", hint=f"it has {known}")
    is_place = after is None or after >= 0
    is_count = tail is None or 0 < tail <= MOST_LINES
    if not is_place or not is_count:
        raise UsageError(
            "there is no such part of the text",
            hint=f"`after` is a number of bytes from 0, `tail` 1 to {MOST_LINES} lines",
        )
    begin, data, dropped = _read(path, after, tail or 200)
    lines = data.decode("utf-8", "replace").split("\n")[:-1]
    parse = _parser(subject, name)
    return Text(
        offset=begin,
        next=begin + len(data),
        lines=[parse(line.rstrip("\r")[:MOST_CHARACTERS]) for line in lines],
        dropped=dropped,
    )


def _sources(subject: Subject) -> dict[str, Path]:
    """The texts by name, those that are there: `run.log`, `stdout`, `stderr`, `run-log`. Of two
    with one name, what the run recorded itself comes before what its scheduler says.
    """
    places = [*_recorded_texts(subject), *_printed(subject), *_run_log(subject)]
    roots = [os.path.realpath(subject.folder), *map(_real, subject.folders)]
    texts: dict[str, Path] = {}
    for name, path in places:
        if name not in texts and path.is_file() and _lies_below(path, roots):
            texts[name] = path
    return texts


def _real(recorded: RecordedFolder) -> str:
    """The path of a recorded folder without links."""
    return os.path.realpath(recorded.folder)


def _lies_below(path: Path, roots: list[str]) -> bool:
    """Whether a file lies below one of these folders, links resolved: a link in the run's folder
    does not open what lies elsewhere.
    """
    real = os.path.realpath(path)
    return any(real.startswith(f"{root.rstrip('/')}/") for root in roots)


def _recorded_texts(subject: Subject) -> Iterator[_Source]:
    """The texts that the newest recorded execution may have, where its journal says they lie."""
    newest = subject.newest
    if newest is None:
        return
    for name, file in _FILES.items():
        yield _Source(name, newest.folder / home(newest.read.events, file))


def _printed(subject: Subject) -> Iterator[_Source]:
    """The files into which the scheduler writes what the newest attempt prints."""
    for name, path in outputs_of(subject).items():
        yield _Source(name, path)


def _run_log(subject: Subject) -> Iterator[_Source]:
    """The run log of a job: the one that was written to last, of its own and of its run's. Nothing
    of a recorded run, and where no run log is kept.
    """
    if subject.job is None:
        return
    run = subject.job.item.run
    events = of_kind(subject.read.events, Documented)
    own = [event for event in events if event.key in (subject.key, run)]
    if own:
        last = max(own, key=lambda event: event.time)
        yield _Source("run-log", subject.folder / last.path)


def _read(path: Path, after: int | None, tail: int) -> tuple[int, bytes, int]:
    """Where the lines begin, whole lines, and how many bytes before them were left out.

        200 lines of a text of 1 MB → (980_000, b"…", 980_000)
        what lies behind byte 980_000 → (980_000, b"…", 0)

    Raises:
        OSError: the file cannot be read.
    """
    with open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        begin = after
        if begin is None or begin > size:
            begin = max(0, size - MOST_BYTES)
        file.seek(begin)
        data = file.read(MOST_BYTES)
        if len(data) == MOST_BYTES and b"\n" not in data:
            data += b"\n"  # a line longer than an answer is cut
    if after is not None and after <= size:
        return _first_lines(begin, data)
    return _last_lines(begin, data, tail)


def _first_lines(begin: int, data: bytes) -> tuple[int, bytes, int]:
    """The first whole lines, at most 2,000; nothing before them is left out."""
    whole = data[: data.rfind(b"\n") + 1]
    lines = whole.splitlines(keepends=True)
    return begin, b"".join(lines[:MOST_LINES]), 0


def _last_lines(begin: int, data: bytes, count: int) -> tuple[int, bytes, int]:
    """The last whole lines; the first of a file's end is most likely half a line."""
    lines = data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]
    if begin and lines:
        begin += len(lines[0]) + 1
        del lines[0]
    for line in lines[:-count]:
        begin += len(line) + 1
    kept = lines[-count:]
    return begin, b"".join(line + b"\n" for line in kept), begin


def _parser(subject: Subject, name: str) -> Callable[[str], TextLine]:
    """What makes the line of a text out of its words, by the name of the text: only our own log and
    a run log have parts.
    """
    if name == "run.log":
        return partial(_log_line, ZoneInfo(subject.zone))
    if name == "run-log":
        return partial(_run_log_line, _machine_words(subject))
    return _plain_line


def _plain_line(line: str) -> TextLine:
    """A line of what a program printed, which may be anything."""
    return TextLine(text=line)


def _run_log_line(machine: _Machine, line: str) -> TextLine:
    """A line of a run log, with whether a person wrote it."""
    return TextLine(text=line, is_person=_is_persons(line, machine))


def _log_line(zone: tzinfo, line: str) -> TextLine:
    """A line of run.log with its parts; the run's id is left out. Any other line, as one of a
    traceback, is a text without parts. Its time is that of `zone`, in which the run was recorded.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        return TextLine(text=line)
    try:
        at = datetime.strptime(match["at"], "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=zone)
    except ValueError:
        return TextLine(text=line)
    return TextLine(text=match["text"], at=at, step=match["step"], level=match["level"])


class _Machine(NamedTuple):
    """What the machine wrote into a run log: whole lines without their bullets, and values of
    fields; the empty ones as well.
    """

    lines: set[str]
    values: set[str]


def _machine_words(subject: Subject) -> _Machine:
    """What the machine wrote into the run logs, by the journal's `documented` events. The values in
    `kept` are those that it left as a person had them.
    """
    machine = _Machine({""}, {""})
    for event in of_kind(subject.read.events, Documented):
        for line in "\n".join(event.lines).splitlines():
            machine.lines.add(line.strip(_BULLET))
        for value in event.fields.values():
            machine.values.add(value.strip(" `"))
        for value in event.kept.values():
            machine.values.discard(value.strip(" `"))
    return machine


def _is_persons(line: str, machine: _Machine) -> bool:
    """Whether a person wrote this line of a run log: prose that the machine did not write, or a
    field with a value of other words.

        - runtime: `6 h 14 min`       the machine wrote this value: no
        - verdict: keep               a field with a person's value: yes
        The loss spikes at 400.       prose: yes

    Headings and the rows of tables do not count as a person's.
    """
    words = line.strip(_BULLET)
    if words in machine.lines:
        return False
    if words.startswith(("#", "|")):
        return False
    field = _FIELD.fullmatch(line)
    if field is None:
        return True
    return field["value"].strip(" `") not in machine.values
