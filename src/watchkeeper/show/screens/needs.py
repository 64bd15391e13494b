"""What needs a person, as lines: one each in an overview, two where there is an experiment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec

from watchkeeper.core.text import lazy
from watchkeeper.query.views.pages import Experiment, Overview, RunningRow, WorkRow
from watchkeeper.query.views.shared import Need
from watchkeeper.show.listing.grid import one_line
from watchkeeper.show.listing.screen import Screen
from watchkeeper.show.screens import words
from watchkeeper.show.text import width
from watchkeeper.watch.tally import NOT_SUBMITTED

MOST = 20
_MOST_LINES = 3
_MOST_NARROW_LINES = 6
_NARROW = 80
_GAP = 3
_LEAST_CAUSE = 24
_MOST_NAMES = 6
_WIDE_PLACE = 10
# State of a job → what is said of it in the place of "failed".
_VERBS = {NOT_SUBMITTED: NOT_SUBMITTED, "CANCELLED": "cancelled", "TIMEOUT": "timed out"}
_NOT_RETRIED = "not tried again by itself: "
_EXCEPTION = lazy.pattern(r"[\w.]*(?:Error|Exception|Interrupt|Exit): (?=\S)")
_PARENTHESIS = lazy.pattern(r" \([^()]*\)")
_KINDS = {"failed": "failed", "invalid": "failed", "lost": "failed", "unknown": "unknown"}
_ALONE = (*_KINDS, "unhealthy")
_AT_STEP = lazy.pattern(r"(?:^|, )at step ([\d,]+)(?: of ([\d,]+))?$")


def kind_of(need: Need) -> str:
    """The kind by which a need has its glyph and colour."""
    return _KINDS.get(need.kind, "warning")


def wrapped(text: str, screen: Screen) -> list[str]:
    """The text on as many lines as it takes, up to three; six on a narrow screen."""
    return screen.wrap(text, screen.room, _most_lines(screen))


def _most_lines(screen: Screen) -> int:
    """How many lines a text may take."""
    if screen.room < _NARROW:
        return _MOST_NARROW_LINES
    return _MOST_LINES


def indented(text: str, screen: Screen) -> list[str]:
    """The text behind two blanks, on as many lines as it takes, up to a few; none for ""."""
    if not text:
        return []
    lines = screen.wrap(one_line(text), screen.room - 2, _most_lines(screen))
    return list(map("  {}".format, lines))


def _glyph(kind: str, screen: Screen) -> str:
    """The glyph of a kind in its colour."""
    return screen.paint(screen.glyph(kind), kind)


# ── an overview: one line each


class _Line(msgspec.Struct, frozen=True):
    """The parts of one line. `causes`: ways to say why, the longest first."""

    kind: str
    what: str
    causes: list[str]
    place: str
    time: str


class _Widths(msgspec.Struct, frozen=True):
    """The columns of the lines, in columns of the terminal."""

    what: int
    place: int
    time: int

    @property
    def fixed(self) -> int:
        """All that is not the cause."""
        return 2 + self.what + _GAP + _GAP + self.place + _GAP + self.time


def overview_needs(overview: Overview, screen: Screen, now: datetime) -> list[str]:
    """A line for each need: what, why, where and when; two where there is little room.

        ✗ 3 evaluations failed   CUDA out of memory at step 40/120   night   05:53 to 06:05

    Of more than 20 the worst are shown, and the last line says how many are left.
    """
    shown = overview.needs[:MOST]
    if not shown:
        return []
    make = partial(_line, overview=overview, screen=screen, now=now)
    lines = list(map(make, shown))
    widths = _Widths(
        what=_widest([line.what for line in lines]),
        place=_widest([line.place for line in lines]),
        time=_widest([line.time for line in lines]),
    )
    if screen.is_wide:
        place = max(widths.place, _WIDE_PLACE)
        widths = msgspec.structs.replace(widths, place=place)
    if screen.room - widths.fixed < _LEAST_CAUSE:
        laid = list(_on_two_lines(lines, screen))
    else:
        laid = list(_on_one_line(lines, widths, screen))
    left_out = len(overview.needs) - len(shown)
    return laid + words.more(left_out)


def _line(need: Need, *, overview: Overview, screen: Screen, now: datetime) -> _Line:
    """The parts of a need's line, harmless to a terminal."""
    rows = [row for row in overview.running if row.experiment == need.experiment]
    running = {row.key: row for row in rows}
    return _Line(
        kind=kind_of(need),
        what=one_line(need.line),
        causes=list(map(one_line, _causes(need, overview, running))),
        place=one_line(need.experiment),
        time=_time(need, running, now, is_wide=screen.is_wide),
    )


def _on_one_line(lines: Sequence[_Line], widths: _Widths, screen: Screen) -> Iterator[str]:
    """The lines in columns, each cause in the longest way that has room."""
    room = screen.room - widths.fixed
    causes = []
    for line in lines:
        cause = _one_of(line.causes, room)
        causes.append(screen.cut(cause, room))
    cause_width = _widest(causes)
    for line, cause in zip(lines, causes, strict=True):
        cells = [
            _ljust(line.what, widths.what + _GAP),
            _ljust(cause, cause_width + _GAP),
            _ljust(line.place, widths.place + _GAP),
            line.time.rjust(widths.time),
        ]
        text = "".join(cells)
        yield f"{_glyph(line.kind, screen)} {text}".rstrip()


def _on_two_lines(lines: Sequence[_Line], screen: Screen) -> Iterator[str]:
    """What and when, and below it the cause, with its place where there is room.

        ✗ 3 evaluations failed                    06:05
          CUDA out of memory at step 40/120, in night

    So it is on a narrow terminal.
    """
    for line in lines:
        room = max(1, screen.room - 2 - 1 - width(line.time))
        what = _ljust(screen.cut(line.what, room), room)
        yield f"{_glyph(line.kind, screen)} {what} {line.time}".rstrip()
        placed = [f"{cause}, in {line.place}" for cause in line.causes]
        cause = _one_of([*placed, *line.causes], screen.room - 2)
        yield from indented(cause, screen)


def _causes(need: Need, overview: Overview, running: Mapping[str, RunningRow]) -> list[str]:
    """Ways to say why, the longest first. `running` are what runs in the same place, by key."""
    if need.kind == "unwatched":
        return list(_unwatched(need, overview))
    if need.kind == "late":
        return _late(need, running)
    reason, step, _ = _parts(need)
    cause = words.joined(" ", _last_line(need.cause), step)
    blocks = _blocks(need)
    explained = words.joined(", ", cause, _new_words(reason, cause))
    ways = [
        words.joined("; ", explained, blocks),
        words.joined("; ", cause, blocks),
        words.joined("", cause) or explained,
        _EXCEPTION.sub("", cause, count=1),
    ]
    return list(filter(None, dict.fromkeys(ways)))


def _parts(need: Need) -> tuple[str, str, str]:
    """What is said beside the line that it wrote: why; `at step 40/120`; what was decided on a
    retry. Each is "" where nothing is known.

    `out of memory, at step 40 of 120; not tried again by itself: …` is taken apart.
    """
    reason, _, advice = need.why.partition("; ")
    match = _AT_STEP.search(reason)
    if match is None:
        return reason, "", advice
    step, total = match.groups()
    place = words.joined("/", step, total or "")
    return reason[: match.start()], f"at step {place}", advice


def _blocks(need: Need) -> str:
    """How many others it blocks; "" for none."""
    if not need.blocks:
        return ""
    return f"blocks {words.counted(need.blocks, 'job')}"


def _new_words(reason: str, cause: str) -> str:
    """The reason, where it says more than the cause; else "".

    One often holds the other: the cause is the line, and the reason quotes it.
    """
    if reason in cause or (cause and cause in reason):
        return ""
    return reason


def _unwatched(need: Need, overview: Overview) -> Iterator[str]:
    """What runs and waits unwatched, with the command that helps; and shorter.

    `2 jobs go on, 5 are not submitted: wk run night`.
    """
    counts: Mapping[str, int] = {}
    for place in overview.places:
        if place.name == need.experiment:
            counts = place.counts
    running = counts.get("running", 0)
    waiting = counts.get("waiting", 0)
    goes = "goes" if running == 1 else "go"
    are = "is" if waiting == 1 else "are"
    left = f"{waiting} {are} not submitted"
    yield f"{words.counted(running, 'job')} {goes} on, {left}: {_command(need)}"
    yield f"{running} run, {left}"


def _late(need: Need, running: Mapping[str, RunningRow], limit: str = "limit") -> list[str]:
    """By how much they come after their limits; in short, by how much the first of them does.

    `r8 ends 6:14 h after its limit, r16 ends 4 min after its limit`, and `r8: 6:14 h past its
    limit`. What the watcher said, where no end is known. `limit` is the word for it.
    """
    why, _, remark = need.why.partition("; ")
    late: list[tuple[str, str]] = []
    for row in _rows_of(need, running):
        eta_s, limit_s = row.progress.eta_s, row.progress.limit_s
        if eta_s is not None and limit_s is not None:
            late.append((row.key, words.span(eta_s - limit_s)))
    if not late:
        return [words.joined(": ", need.subject, why) or need.line]
    ends = [f"{key} ends {span} after its {limit}" for key, span in late]
    first, first_span = late[0]
    return [words.joined("; ", ", ".join(ends), remark), f"{first}: {first_span} past its limit"]


def _rows_of(need: Need, running: Mapping[str, RunningRow]) -> list[RunningRow]:
    """The running rows of the work that a need is about, in the need's order."""
    return [running[key] for key in need.keys if key in running]


def _time(need: Need, running: Mapping[str, RunningRow], now: datetime, *, is_wide: bool) -> str:
    """When it happened, since when it lasts, or when the limit comes; "" where nobody says.

    `05:53 to 06:05`, `for 28 min`, `limit 07:30`; where there is little room how long ago: `44
    min`.
    """
    if need.kind == "late":
        return _limit(need, running, now, is_wide=is_wide)
    last = need.last or need.first
    if last is None:
        return ""
    first = need.first or last
    if not is_wide:
        return words.age(last, now)
    if need.kind in ("unwatched", "unhealthy"):
        return f"for {words.span(_passed_s(first, now))}"
    return _period(first, last, now)


def _passed_s(since: datetime, now: datetime) -> float:
    """Seconds since then; 0 where the clock of another host is ahead."""
    return max(0.0, (now - since).total_seconds())


def _period(first: datetime, last: datetime, now: datetime) -> str:
    """`05:53 to 06:05`; of one moment `05:33`. Of another day than today's it names the day."""
    begin, end = words.clock(first, now), words.clock(last, now)
    if begin == end:
        return end
    return f"{begin} to {end}"


def _limit(need: Need, running: Mapping[str, RunningRow], now: datetime, *, is_wide: bool) -> str:
    """When the first of them meets its time limit; "" where that is not known."""
    for row in _rows_of(need, running):
        limit_s = row.progress.limit_s
        if limit_s is None:
            continue
        at = words.clock(now + timedelta(seconds=limit_s), now)
        if is_wide:
            return f"limit {at}"
        return at
    return ""


def _last_line(text: str) -> str:
    """The last line that is not blank."""
    return text.strip().rpartition("\n")[2].strip()


def _widest(texts: Sequence[str]) -> int:
    """How wide the widest of them is."""
    return max(map(width, texts), default=0)


def _ljust(text: str, wide: int) -> str:
    """The text, padded to this many columns."""
    return text + " " * (wide - width(text))


def _one_of(ways: Sequence[str], room: int) -> str:
    """The first way that fits into `room` columns; else the last; "" for no way."""
    for way in ways:
        if width(one_line(way)) <= room:
            return way
    return "".join(ways[-1:])


# ── an experiment: what and why; which, when and what to type


class _About(msgspec.Struct, frozen=True):
    """What the texts on needs are made from. `rows` and `running` by key."""

    experiment: Experiment
    rows: Mapping[str, WorkRow]
    running: Mapping[str, RunningRow]
    room: int
    now: datetime


def experiment_needs(experiment: Experiment, screen: Screen, now: datetime) -> list[str]:
    """What and why; and below it which, when, and what to type, where that is more."""
    about = _About(
        experiment=experiment,
        rows={row.key: row for row in experiment.rows},
        running={row.key: row for row in experiment.running},
        room=screen.room - 2,
        now=now,
    )
    lines: list[str] = []
    for need in experiment.needs[:MOST]:
        write = _WRITERS.get(need.kind, _several)
        if need.kind in _ALONE and need.count == 1 and need.keys:
            write = _one_alone
        first, second = write(need, about)
        head, *rest = indented(first or need.kind, screen)
        lines.append(_glyph(kind_of(need), screen) + head[1:])
        lines += rest
        lines += indented(second, screen)
    return lines + words.more(len(experiment.needs) - MOST)


def _command(need: Need) -> str:
    """What to type next; "" where that is what shows this."""
    command = words.short_command(need.command)
    if command.startswith("wk status "):
        return ""
    return command


def _nobody_watches(need: Need, about: _About) -> tuple[str, str]:
    """Since when nobody does, and what to type."""
    since = about.experiment.watcher.since or need.first
    text = "nobody watches"
    if since is not None:
        passed = words.coarse_span(_passed_s(since, about.now))
        text += f" since {words.clock(since, about.now)} ({passed})"
    if need.command:
        text += f": {_command(need)} goes on from here"
    return text, ""


def _too_late(need: Need, about: _About) -> tuple[str, str]:
    """By how much it is too late."""
    return _one_of(_late(need, about.running, "time limit"), about.room), ""


def _one_alone(need: Need, about: _About) -> tuple[str, str]:
    """Of one job: where it stopped and why; what it blocks, and why it is not tried again.

    `r32 failed at step 40/120: CUDA out of memory (…); blocks 4 evaluations` and `not tried again
    by itself: …`. The state of its job may be a better verb than `failed`.
    """
    (key,) = need.keys[:1]
    row = about.rows.get(key)
    reason, step, advice = _parts(need)
    _, _, verb = need.line.partition(" ")[2].partition(" ")
    command = _command(need)
    if row is not None:
        verb = _VERBS.get(row.state, verb)
    if verb == NOT_SUBMITTED:
        command = command.removesuffix(" --retry-failed")
    what = words.joined(" ", key, verb, step)
    cause = _last_line(need.cause)
    if not reason:
        reason = cause
    elif cause not in reason:
        reason += f" ({cause})"
    blocks = _blocks(need)
    if row is not None and row.phase == "preparation":
        blocks = blocks.replace("job", "evaluation")
    first = words.joined(": ", what, reason)
    whole = words.joined("; ", first, blocks)
    if width(one_line(whole)) <= about.room:
        first, blocks = whole, ""
    ways = _advice_ways(blocks, advice, command)
    return first, _one_of(ways, about.room)


def _advice_ways(blocks: str, advice: str, command: str) -> list[str]:
    """Ways to say what is blocked and why nothing is tried again; else what to type."""
    if not advice:
        return [words.joined("; ", blocks, command)]
    clause = advice.removeprefix(_NOT_RETRIED)
    brief = _PARENTHESIS.sub("", clause)
    return [
        words.joined("; ", blocks, f"{_NOT_RETRIED}{clause}"),
        words.joined("; ", blocks, f"{brief}, so it is not retried"),
    ]


def _several(need: Need, about: _About) -> tuple[str, str]:
    """Of several jobs: what and why; which, when, and what to type.

    `3 evaluations failed: CUDA out of memory; blocks 2 jobs`, and `r4, r8: reversal, 05:53 to
    06:05; then: wk run night --retry-failed`.
    """
    head = words.joined(": ", need.line, _last_line(need.cause) or need.why)
    head = words.joined("; ", head, _blocks(need))
    return head, _one_of(_which_ways(need, about), about.room)


def _which_ways(need: Need, about: _About) -> list[str]:
    """Ways to say which they are, when it was, and what to type, the longest first."""
    long, short = _subjects(need, about.rows)
    last = need.last or need.first
    period = ""
    if last is not None:
        period = _period(need.first or last, last, about.now)
    which = words.joined(", ", long, period)
    command = _command(need)
    if not command:
        return [which]
    return [f"{which}; then: {command}", words.joined("    ", short, command), command]


def _subjects(need: Need, rows: Mapping[str, WorkRow]) -> tuple[str, str]:
    """Which they are: `r4, r8: reversal, epochs 0 and 1`; in full, and with names shortened.

    Of more than six runs the need's own words stand for both.
    """
    known = [rows[key] for key in need.keys if key in rows]
    runs = _values(known, _run_of)
    is_too_much = need.count > len(known) or len(runs) > _MOST_NAMES
    if not known or is_too_much:
        return need.subject, need.subject
    what = words.joined(
        ", ",
        ", ".join(filter(None, _values(known, _task_of))),
        _epochs(_values(known, _epoch_of)),
    )
    long = words.joined(": ", ", ".join(runs), what)
    short = words.joined(": ", words.short_names(runs), what)
    return long, short


def _values(rows: Sequence[WorkRow], value_of: Callable[[WorkRow], str]) -> list[str]:
    """The different values of the rows, in their order."""
    return list(dict.fromkeys(map(value_of, rows)))


def _run_of(row: WorkRow) -> str:
    """The run's name."""
    return row.run


def _task_of(row: WorkRow) -> str:
    """The task's name; "" of a training."""
    return row.task


def _epoch_of(row: WorkRow) -> str:
    """The epoch's number; "" for none."""
    if row.epoch is None:
        return ""
    return str(row.epoch)


def _epochs(values: Sequence[str]) -> str:
    """`epoch 0`, `epochs 0, 1 and 2`; "" for none. The values are as `_epoch_of` gives them."""
    numbers = list(filter(None, values))
    if len(numbers) < 2:
        return "".join(map("epoch {}".format, numbers))
    *first, last = numbers
    return f"epochs {', '.join(first)} and {last}"


_WRITERS: dict[str, Callable[[Need, _About], tuple[str, str]]] = {
    "unwatched": _nobody_watches,
    "late": _too_late,
}
