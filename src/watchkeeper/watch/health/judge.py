"""How a job is while it runs: from dated readings of what it leaves to one of six words, with why.
Pure.

Only a training step, or bytes where no step is reported, is progress: a busy GPU is not. What is
usual is learned from the job itself, with a floor below which no pause is called a stall. Times in
readings are seconds of the watcher's monotonic clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

import msgspec

from watchkeeper.core.events import Health
from watchkeeper.core.text.figures import clock
from watchkeeper.runfolder.printed import Position

STALL_FLOOR_S = 600.0  # no pause shorter than this is a stall, unless a limit was set
PAUSES = 10  # times the usual pause between two advances
# times the limit, before the first step and between two loops: compiling, loading, saving
START = 3
SLOW_SHARE = 0.5  # of the job's own usual rate
SAMPLE_S = 10.0  # one sample of the rate, at least
RECENT = 3  # samples that all have to be slow
USUAL = 5  # samples at least before anything is called slow
KEPT = 60  # pauses and samples
CHOKED_LOOKS = 2  # looks in a row without an advance, its disk being full,
CHOKED_PAUSES = 3  # and this many times the usual pause
FITS_SAMPLES = 2  # samples of the rate in a row that say that the time limit comes first
ALARMS: frozenset[Health] = frozenset({"stalled", "silent", "failing"})
# What a job does not recover from by itself; an import that fails is often only tried.
FATAL = frozenset({"out of memory", "disk full", "NCCL", "driver", "checkpoint I/O"})


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The settings. `stall_s` None: from the job's own history."""

    silent_s: float = 600.0
    stall_s: float | None = None


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A new error in the output: its class and its line. `overcome`: steps follow it."""

    kind: str
    line: str
    overcome: bool = False


class Stall(msgspec.Struct, frozen=True, kw_only=True):
    """What the sidecar says of a stall that lasts; `report` is its file, "" for none."""

    words: str
    report: str = ""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One look at one job.

    `ran_s`: since its start. `quiet_s`: since its files last grew, by their own times (None: there
    is none). `size`: bytes of all it printed and recorded; `work`: bytes of tables, examples and
    events, of which each is an advance. `advances`: how often the position changed in what is new.
    `rate`, `eta_s`: as the job itself tells. `checkpoints`: how many new ones. `ends_in_s`: to its
    time limit, None where nobody said. `full`: its disk is full, in words; "" where it is not.
    """

    at: float
    ran_s: float = 0.0
    quiet_s: float | None = None
    size: int = 0
    work: int = 0
    position: Position = Position()
    advances: int = 0
    rate: float | None = None
    eta_s: float | None = None
    checkpoints: int = 0
    faults: tuple[Fault, ...] = ()
    stall: Stall | None = None
    ends_in_s: float | None = None
    full: str = ""


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a job's readings. `since`: the last advance; `pauses`: between
    advances; `usual` and `recent`: samples of its rate; `mark`: where the present sample began;
    `faults`: those not gone on from, `suspected`: others that may be. `misfits`: samples in a row
    at which the time limit came first; `choked`: looks at which it stood still, its disk being
    full.
    """

    last: Reading | None = None
    since: float = 0.0
    advances: int = 0
    pauses: tuple[float, ...] = ()
    usual: tuple[float, ...] = ()
    recent: tuple[float, ...] = ()
    mark: tuple[float, Position] | None = None
    faults: tuple[Fault, ...] = ()
    suspected: tuple[Fault, ...] = ()
    checkpoints: tuple[float, ...] = ()
    misfits: int = 0
    choked: int = 0


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The word, and why. `rate` in steps a second; `fits` as in `Assessed`."""

    health: Health
    why: str
    rate: float | None = None
    eta_s: float | None = None
    fits: bool | None = None
    note: str = ""


def after(course: Course, reading: Reading) -> Course:
    """The course with one more reading.

    An advance clears the faults that were known. A fault and an advance in one reading leave the
    fault suspected: the next reading clears it, if it shows an advance, or makes it one that the
    job is failing by. Faults outside FATAL, and those that steps followed, are left out. `misfits`
    and `choked` count readings in a row, and begin again at 0.
    """
    before = course.last
    advances = course.advances
    fresh = tuple(fault for fault in reading.faults if fault.kind in FATAL and not fault.overcome)
    if before is None:
        course = _begun(course, reading, fresh)
    elif _is_beyond(reading, before):
        # An error and a step in one look: which came first, the next look tells.
        course = _advanced(course, reading, before)
        course = msgspec.structs.replace(course, faults=(), suspected=fresh)
    else:
        faults = _unique(course.faults + course.suspected + fresh)
        course = msgspec.structs.replace(course, faults=faults, suspected=())
    if reading.checkpoints:
        checkpoints = (*course.checkpoints, reading.at)[-KEPT:]
        course = msgspec.structs.replace(course, checkpoints=checkpoints)
    course = msgspec.structs.replace(course, last=reading)
    misfits = choked = 0
    if _fits(course) is False:
        misfits = course.misfits + _is_sample(course, reading)
    if reading.full and before is not None and course.advances == advances:
        choked = course.choked + 1
    return msgspec.structs.replace(course, misfits=misfits, choked=choked)


def _begun(course: Course, reading: Reading, faults: tuple[Fault, ...]) -> Course:
    """The course with its first reading, as if the last advance were when the job's files last
    grew; where it has left nothing yet, when it started. Rates are measured from here on.
    """
    ago = reading.ran_s
    if reading.quiet_s is not None and reading.size:
        ago = min(reading.quiet_s, reading.ran_s)
    return msgspec.structs.replace(
        course,
        since=reading.at - ago,
        mark=(reading.at, reading.position),
        faults=_unique(faults),
    )


def _advanced(course: Course, reading: Reading, before: Reading) -> Course:
    """The course with an advance. Where each look shows some, the pause between two is what fits as
    often between looks: 30 steps in a look of 60 s are a pause of 2 s.
    """
    between = reading.at - before.at
    pause = max(between / max(1, reading.advances), before.at - course.since)
    # The first one's pause was the start.
    pauses: tuple[float, ...] = ()
    if course.advances:
        pauses = (*course.pauses, pause)[-KEPT:]
    # When it was, the file says, as far as the looks leave room.
    ago = min(reading.quiet_s or 0.0, between)
    advanced = msgspec.structs.replace(
        course,
        since=reading.at - ago,
        advances=course.advances + 1,
        pauses=pauses,
    )
    return _sampled(advanced, reading)


def judge(course: Course, limits: Limits) -> Verdict:
    """The verdict after the last reading, of which there is one at least.

    `fits` is None until FITS_SAMPLES samples in a row agree that the time limit comes first: one
    slow sample is no alarm. `note` says by how much it will not fit, and whether a checkpoint comes
    before the limit; "" where it fits or that is not known.
    """
    assert course.last is not None
    health, why = _word(course, course.last, limits)
    fits = _fits(course)
    if fits is False and course.misfits < FITS_SAMPLES:
        fits = None
    note = ""
    if fits is False:
        note = _misfit_words(course, course.last)
    return Verdict(
        health=health, why=why, rate=rate_of(course), eta_s=eta_of(course), fits=fits, note=note
    )


def rate_of(course: Course) -> float | None:
    """Steps per second: as measured lately, else as the job reports; None: not known."""
    if course.recent:
        return sum(course.recent) / len(course.recent)
    if course.last is not None:
        return course.last.rate
    return None


def eta_of(course: Course) -> float | None:
    """Seconds to the last step; None: unknown, for example where only the epoch's last step is
    known. By the measured rate where there is one, else as the job itself reports it.

    At step 30 of 40 and 2 steps a second: 5.0.
    """
    last = course.last
    if last is None:
        return None
    step, total = last.position.step, last.position.total
    # With an epoch, the total is that of the epoch alone.
    if step is None or total is None or last.position.epoch is not None:
        return None
    rate = rate_of(course)
    left = total - step
    if rate and left >= 0:
        return left / rate
    return last.eta_s


def stall_limit(course: Course, limits: Limits) -> tuple[float, str]:
    """A pause longer than this is a stall; and why, in words.

    The limit is the one that was set, else PAUSES times the usual pause, and STALL_FLOOR_S at
    least. It is START times as long before the first step and at a loop's end, where jobs compile,
    load or save: `(1800.0, "3 times 600 s, the least, before its first step")`.
    """
    usual = _median(course.pauses or (0.0,))
    if limits.stall_s is not None:
        limit, words = limits.stall_s, f"{limits.stall_s:g} s, as set"
    elif PAUSES * usual > STALL_FLOOR_S:
        limit = PAUSES * usual
        words = f"{PAUSES} times the usual {clock(usual)} between two advances"
    else:
        limit, words = STALL_FLOOR_S, f"{STALL_FLOOR_S:g} s, the least"
    if _is_under_way(course):
        return limit, words
    words = f"{START} times {words}"
    if _is_new(course):
        words += ", before its first step"
    return START * limit, words


def _word(course: Course, last: Reading, limits: Limits) -> tuple[Health, str]:
    """The word and why: what is wrong first, then whether it advances."""
    pause = max(0.0, last.at - course.since)
    wrong = _wrong(course, last, pause)
    if wrong is not None:
        return wrong
    if not last.size:
        return _of_nothing(last, limits)
    where = _where(last.position)
    limit, words = stall_limit(course, limits)
    if pause >= limit:
        what = "nothing printed or recorded"
        if where:
            what = f"no step since {where}"
        return "stalled", f"{what} for {clock(pause)} (limit {words})"
    if _is_slow(course):
        now, usual = _median(course.recent), _median(course.usual)
        bound = f"limit {SLOW_SHARE:.0%} of its usual rate"
        return "slow", f"{now:.3g} steps/s, usually {usual:.3g} ({bound}){_at(where)}"
    last_step = ""
    if where:
        last_step = f"{where}, "
    return "advancing", f"{last_step}{clock(pause)} ago (a stall after {words})"


def _wrong(course: Course, last: Reading, pause: float) -> tuple[Health, str] | None:
    """What is known to be wrong, the surest first; None: nothing. `pause`: seconds since the last
    advance.
    """
    where = _where(last.position)
    if last.stall is not None:
        return "stalled", f"its sidecar says: {last.stall.words}{_at(where, '; last at')}"
    if course.faults:
        fault = course.faults[-1]
        return "failing", f"{fault.kind}: {fault.line}; no step since{_at(where, '')}"
    if _is_no_number(last.position.loss):
        return "failing", f"its loss is {last.position.loss}{_at(where, ' at')}"
    # A full disk alone is no failure: a job that writes elsewhere advances all the same.
    if course.choked < CHOKED_LOOKS:
        return None
    usual = _median(course.pauses or (0.0,))
    if pause > CHOKED_PAUSES * usual:
        return "failing", f"disk full: {last.full}; nothing new for {clock(pause)}{_at(where)}"
    return None


def _of_nothing(last: Reading, limits: Limits) -> tuple[Health, str]:
    """The word on a job that has left nothing yet: `unknown` at first, `silent` after `silent_s`
    seconds.
    """
    ran, limit = clock(last.ran_s), f"limit {limits.silent_s:g} s"
    if last.ran_s >= limits.silent_s:
        return "silent", f"it has run for {ran} and printed and recorded nothing ({limit})"
    return "unknown", f"nothing printed or recorded yet, after {ran} ({limit})"


def _at(where: str, words: str = "; at") -> str:
    """The place behind these words; "" where none is known. `_at("step 3")` is `; at step 3`."""
    if where:
        return f"{words} {where}"
    return ""


def _where(position: Position) -> str:
    """`epoch 2, step 30/40`; "" where no step is known."""
    if position.step is None:
        return ""
    where = f"step {position.step:,}"
    if position.epoch is not None:
        where = f"epoch {position.epoch}, {where}"
    if position.total is not None:
        where += f"/{position.total:,}"
    return where


def _is_beyond(now: Reading, before: Reading) -> bool:
    """Whether the work has advanced. Output that repeats the same step is no advance."""
    if now.work != before.work or now.checkpoints:
        return True
    here, there = now.position, before.position
    if here.step is not None and there.step is not None:
        is_elsewhere = (here.step, here.epoch) != (there.step, there.epoch)
        is_another_loop = here.total != there.total
        return is_elsewhere or is_another_loop or now.advances > 0
    # An error's own words are none either.
    has_printed = now.size != before.size and not now.faults
    return here.step is not None or has_printed


def _is_new(course: Course) -> bool:
    """Whether no step has been seen to follow another yet: the job may still be loading or
    compiling.
    """
    return course.last is None or course.last.position.step is None or course.advances == 0


def _is_under_way(course: Course) -> bool:
    """Whether it is in the middle of a loop whose pace has been seen: not before its first step,
    nor at a loop's end.
    """
    if _is_new(course):
        return False
    assert course.last is not None
    position = course.last.position
    return position.total is None or position.step is None or position.step < position.total


def _sampled(course: Course, reading: Reading) -> Course:
    """The course with a sample of the rate, where one is whole: it takes SAMPLE_S seconds and one
    step at least. In another loop, or behind a step that came before, a new sample begins.

    The last RECENT samples are `recent`, which show whether the job is slow; those before become
    `usual`.
    """
    here = reading.position
    if course.mark is None or not _is_same_loop(course.mark[1], here):
        return msgspec.structs.replace(course, mark=(reading.at, here))
    began, mark = course.mark
    assert here.step is not None and mark.step is not None
    if reading.at - began < SAMPLE_S or here.step == mark.step:
        return course
    recent = (*course.recent, (here.step - mark.step) / (reading.at - began))
    usual = course.usual
    while len(recent) > RECENT:
        oldest, recent = recent[0], recent[1:]
        # What is slow does not become usual: the alarm would end by itself.
        if len(usual) < USUAL or oldest >= SLOW_SHARE * _median(usual):
            usual = (*usual, oldest)[-KEPT:]
    return msgspec.structs.replace(course, recent=recent, usual=usual, mark=(reading.at, here))


def _is_same_loop(mark: Position, here: Position) -> bool:
    """Whether the steps from one position to the other can be counted. They cannot where the step
    went back, or belongs to another epoch or to a loop of another length.
    """
    if here.step is None or mark.step is None or here.step < mark.step:
        return False
    return here.total == mark.total and here.epoch == mark.epoch


def _is_sample(course: Course, reading: Reading) -> bool:
    """Whether this reading ended a sample of the rate."""
    return course.mark is not None and course.mark[0] == reading.at


def _is_slow(course: Course) -> bool:
    """Whether each of the last RECENT samples is under SLOW_SHARE of the median of what is usual.
    False while there are too few samples of either.
    """
    if len(course.usual) < USUAL or len(course.recent) < RECENT:
        return False
    return all(rate < SLOW_SHARE * _median(course.usual) for rate in course.recent)


def _is_no_number(loss: str | None) -> bool:
    """Whether a loss, as it was printed, is NaN or infinite: `nan`, `-inf`. No loss (None), and a
    text that is no number at all, are not.
    """
    try:
        return loss is not None and not math.isfinite(float(loss))
    except ValueError:
        return False


def _unique(faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """Each fault once, in the order in which they came; the last KEPT of them."""
    return tuple(dict.fromkeys(faults))[-KEPT:]


def _fits(course: Course) -> bool | None:
    """Whether its last step comes before its time limit, at its pace as measured; None where either
    is unknown.
    """
    last, eta = course.last, eta_of(course)
    if last is None or last.ends_in_s is None:
        return None
    # A rate that the job reports itself is no measurement.
    if eta is None or not course.recent:
        return None
    return eta <= last.ends_in_s


def next_checkpoint_s(course: Course) -> float | None:
    """Seconds to the next checkpoint at the pace so far; None before there are two. Checkpoints
    every 600 s, the last of them 200 s ago: 400.0. 0.0: one is overdue.
    """
    if len(course.checkpoints) < 2 or course.last is None:
        return None
    times = course.checkpoints
    between = _median(later - earlier for earlier, later in pairwise(times))
    return max(0.0, times[-1] + between - course.last.at)


def _misfit_words(course: Course, last: Reading) -> str:
    """Why it will not fit: how far its last step is, how far its time limit, and whether the next
    checkpoint comes before that. Its end and its limit must be known.
    """
    assert last.ends_in_s is not None
    left, limit = clock(eta_of(course) or 0), clock(max(0.0, last.ends_in_s))
    words = f"its last step is {left} away, and its time limit {limit}: it will not fit"
    after_s = next_checkpoint_s(course)
    if after_s is None:
        return f"{words}; when the next checkpoint comes is not known"
    fits = "does not"
    if after_s <= last.ends_in_s:
        fits = "does"
    return f"{words}; the next checkpoint, in about {clock(after_s)}, {fits}"


def _median(figures: Iterable[float]) -> float:
    """The median of at least one figure."""
    from statistics import median  # only where a job runs

    middle: float = median(figures)
    return middle
