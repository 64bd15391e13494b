"""What an experiment's jobs asked for against what they used, and the `#SBATCH` lines that would
have been enough. Pure.

Attempts with equal requests are one group. A line is never below what a successful attempt of its
group used, and there is none where that was not measured, or where a job of the same work was ended
for that very resource.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec

from watchkeeper.core.events import Phase
from watchkeeper.core.state import Attempt, State
from watchkeeper.core.text.figures import runtime
from watchkeeper.schedulers.resources import GPU_OPTIONS, MEMORY_OPTIONS, Request, request_of
from watchkeeper.watch.outcome.compute import ComputeRow

TIME_MARGIN = 1.25
MEMORY_MARGIN = 1.2
LEAST_TIME_S = 300
LEAST_MEMORY_BYTES = 512 * 2**20
WORTH_IT = 0.8
"""A line is given where what it asks for is at most this share of what was asked for."""
_MINUTE_S = 60
_SMALL_STEP_BYTES = 128 * 2**20
_LARGE_STEP_BYTES = 2**30
_LARGE_BYTES = 4 * 2**30
LOCAL = "local"
Resource = Literal["time", "memory", "GPUs"]
_ENDED_BY: dict[Resource, tuple[frozenset[str], frozenset[str]]] = {
    "time": (frozenset({"TIMEOUT", "DEADLINE"}), frozenset({"walltime", "deadline"})),
    "memory": (frozenset({"OUT_OF_MEMORY"}), frozenset({"memory host"})),
    "GPUs": (frozenset(), frozenset({"memory gpu"})),
}


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of the attempts that asked for the same. `key` is the first of the `runs` pieces
    of work, and `attempts` counts those that were done and measured. `asked` and `used` are seconds
    (time), bytes of one node (memory) or devices of one node (GPUs), `asked_as` the option as it
    was written ("": the cluster's default), `asked_from` and `used_from` who says so; null: not
    known. `scheduler` is that of their jobs (`local`, `slurm`, …). `most_by` is the attempt that
    used the most, `KEY attempt N`. `line` would have been enough; where it is "", `why` says why
    there is none.
    """

    phase: Phase
    scheduler: str
    key: str
    runs: int
    attempts: int
    resource: Resource
    asked: float
    asked_as: str
    asked_from: str
    used: float | None = None
    most_by: str = ""
    used_from: str = ""
    line: str = ""
    why: str = ""


class _Member(NamedTuple):
    """One attempt of a group, and what it took."""

    attempt: Attempt
    row: ComputeRow


class _Figure(NamedTuple):
    """What one attempt used of a resource, and who says so."""

    value: float
    source: str


class _Group(NamedTuple):
    """Attempts of one phase with equal requests. `ended_for` has the resources that ended a job of
    the same work.
    """

    phase: Phase
    request: Request
    options: dict[str, str]
    members: list[_Member]
    ended_for: frozenset[Resource]


def sizings(state: State, rows: Iterable[ComputeRow]) -> list[Sizing]:
    """What each group of equal requests asked for and used: time, memory and GPUs, where they were
    asked for. `rows` are those of the attempts that count; each must be of an attempt in `state`.

        train/a, train/b: --time=04:00:00 --mem=64G → a `Sizing` of time, and one of memory
        train/c:          --time=08:00:00           → a `Sizing` of time

    Empty: there are no rows, or their jobs asked for nothing that can be sized.
    """
    found: list[Sizing] = []
    for group in _groups(state, rows):
        found += filter(None, (_time(group), _memory(group), _gpus(group)))
    return found


def _groups(state: State, rows: Iterable[ComputeRow]) -> Iterator[_Group]:
    """The groups, in the order of their first attempts."""
    members: dict[tuple[object, ...], list[_Member]] = {}
    for row in rows:
        attempt = state.run(row.key).attempts[row.attempt]
        options = _options(attempt)
        # The limit and the memory too: a cluster's defaults may differ from one job to the next.
        name = (
            attempt.phase,
            _scheduler(attempt),
            *sorted(options.items()),
            row.limit_s,
            row.asked_bytes,
        )
        members.setdefault(name, []).append(_Member(attempt, row))
    for group in members.values():
        first = group[0].attempt
        options = _options(first)
        keys = dict.fromkeys(member.attempt.key for member in group)
        yield _Group(
            phase=first.phase,
            request=request_of(options),
            options=options,
            members=group,
            ended_for=_ended_for(state, list(keys)),
        )


def _options(attempt: Attempt) -> dict[str, str]:
    """The sbatch options that an attempt was submitted with, by their long names: `{"time":
    "04:00:00", "mem": "64G"}`. {}: it asked for nothing, or the journal has no intent of it.
    """
    if attempt.intended is None:
        return {}
    return dict(attempt.intended.asked)


def _ended_for(state: State, keys: Sequence[str]) -> frozenset[Resource]:
    """The resources that ended one of all the attempts at this work, with whatever request: an
    attempt that ran out of memory with 32G warns of less memory for one that had 64G.
    """
    found: set[Resource] = set()
    for key in keys:
        for attempt in state.run(key).attempts.values():
            found |= set(_ended_by(attempt))
    return frozenset(found)


def _ended_by(attempt: Attempt) -> Iterator[Resource]:
    """The resources that an attempt ran out of, by Slurm's state (`OUT_OF_MEMORY`) or by the cause
    in its verdict (`memory host`); nothing of one that has no verdict.
    """
    judged = attempt.judged
    if judged is None:
        return
    for resource, (states, causes) in _ENDED_BY.items():
        if judged.state in states or judged.cause in causes:
            yield resource


def _time(group: _Group) -> Sizing | None:
    """The longest attempt, where each did all of its work: one that continued another did not.

        --time=04:00:00, the longest took 3,000 s → `#SBATCH --time=` for 63 minutes

    That is a quarter more, rounded up to the minute. None: the jobs had no time limit.
    """
    row = group.members[0].row
    if row.limit_s is None:
        return None
    sizing = _begun(group, "time", row.limit_s, ("time",), row.limit_from)
    has_parts = any(_continued(member.attempt) for member in group.members)
    if has_parts and not sizing.why:
        why = "an attempt continued another: how long all of the work takes was not measured"
        sizing = msgspec.structs.replace(sizing, why=why)
    figures = ((member, _seconds(member)) for member in group.members)
    sizing = _with_most(sizing, figures)
    if sizing.used is None or sizing.why:
        return sizing
    enough = max(LEAST_TIME_S, _rounded_up(sizing.used * TIME_MARGIN, _MINUTE_S))
    return _with_line(sizing, enough, f"--time={runtime(enough)}")


def _seconds(member: _Member) -> _Figure | None:
    """How long a successful attempt took, of an array its longest task; None: unknown."""
    attempt, row = member
    if not _is_done(attempt):
        return None
    seconds, source = row.elapsed_s, "scheduler"
    if attempt.array:
        seconds, source = row.task_s, "wrapper"
    if seconds is None or seconds < 0:  # a clock was set back while it ran
        return None
    return _Figure(seconds, source)


def _memory(group: _Group) -> Sizing | None:
    """The most that an attempt held on its node.

        --mem=64G, the most held is 9 GiB → `#SBATCH --mem=11G`

    That is a fifth more, rounded up to the GiB. None: nobody says how much the jobs asked for. No
    figure is given of jobs with several tasks: what is measured is one task's.
    """
    row = group.members[0].row
    if row.asked_bytes is None:
        return None
    sizing = _begun(group, "memory", row.asked_bytes, MEMORY_OPTIONS, row.asked_from)
    if not group.request.is_of_one_task:
        why = "what several tasks or nodes held together was not measured"
        return msgspec.structs.replace(sizing, why=why)
    figures = ((member, _bytes(member)) for member in group.members)
    sizing = _with_most(sizing, figures)
    if sizing.used is None or sizing.why:
        return sizing
    enough = _memory_enough(sizing.used)
    return _with_line(sizing, enough, f"--mem={_memory_words(enough)}")


def _bytes(member: _Member) -> _Figure | None:
    """The most that an attempt held; None: unknown. The local scheduler knows the largest process
    alone, so that there the recorder must have seen all of them.
    """
    attempt, row = member
    if row.peak_bytes is None or not _is_done(attempt):
        return None
    if _scheduler(attempt) == LOCAL and "telemetry" not in row.peak_from:
        return None
    return _Figure(row.peak_bytes, row.peak_from)


def _gpus(group: _Group) -> Sizing | None:
    """The most devices on which an attempt's processes held memory.

        --gres=gpu:a100:4, memory held on 2 devices → `#SBATCH --gres=gpu:a100:2`

    None: the jobs asked for no GPU. No figure is given of jobs with several tasks.
    """
    asked = group.request.gpus
    if not asked:
        return None
    sizing = _begun(group, "GPUs", asked, GPU_OPTIONS, "script")
    if not group.request.is_of_one_task:
        why = "which devices several tasks or nodes used together was not measured"
        return msgspec.structs.replace(sizing, why=why)
    figures = ((member, _devices(member)) for member in group.members)
    sizing = _with_most(sizing, figures)
    if sizing.used is None or sizing.why:
        return sizing
    option, _, value = sizing.asked_as.partition("=")
    number = int(sizing.used)
    return _with_line(sizing, number, f"{option}={_with_number(value, number)}")


def _devices(member: _Member) -> _Figure | None:
    """On how many devices a successful attempt held memory. None: it has not succeeded, or no
    telemetry was recorded.
    """
    attempt, row = member
    if row.gpus_used is None or not _is_done(attempt):
        return None
    return _Figure(row.gpus_used, "telemetry")


def _begun(
    group: _Group, resource: Resource, asked: float, options: Sequence[str], source: str
) -> Sizing:
    """What was asked for; nothing yet of what was used.

    `asked` is in the unit of the resource. `options` are the long names of the sbatch options that
    ask for it, and `source` says who names the amount (`scheduler`, `script`).
    """
    written: list[str] = []
    for name in options:
        if name in group.options:
            written.append(f"--{name}={group.options[name]}")
    asked_as = ""
    if written:
        asked_as = written[0]
    return Sizing(
        phase=group.phase,
        scheduler=_scheduler(group.members[0].attempt),
        key=group.members[0].attempt.key,
        runs=len({member.attempt.key for member in group.members}),
        attempts=0,
        resource=resource,
        asked=asked,
        asked_as=asked_as,
        asked_from=source,
        why=_why_kept(group, resource, written),
    )


def _why_kept(group: _Group, resource: Resource, written: Sequence[str]) -> str:
    """Why no less may be asked for, whatever was used; "": less may. `written` are the options that
    ask for the resource: two of them, or `--gres=gpu:2,nvme:1`, cannot be replaced by one line.
    """
    if resource in group.ended_for:
        words = {"time": "its time limit", "memory": "its memory", "GPUs": "a GPU's memory"}
        return f"a job of the same work was ended for {words[resource]}"
    is_list = any("," in option for option in written)
    if is_list or len(written) > 1:
        return "it is asked for in several ways"
    return ""


def _with_most(sizing: Sizing, figures: Iterable[tuple[_Member, _Figure | None]]) -> Sizing:
    """Add the largest of the figures that are known, with how many there are and whose it is.

    An attempt without a figure (None) is passed over where it did not succeed. Where it did, `why`
    says that it was not measured, so that no line is given: it may have used more than the others.
    """
    known: list[tuple[float, str, str]] = []
    unmeasured = 0
    for member, figure in figures:
        if figure is not None:
            name = f"{member.attempt.key} attempt {member.attempt.number}"
            known.append((figure.value, name, figure.source))
        elif _is_done(member.attempt):
            unmeasured += 1
    if not known:
        why = sizing.why or "no successful attempt was measured"
        return msgspec.structs.replace(sizing, why=why)
    used, most_by, source = max(known)
    why = sizing.why
    if unmeasured and not why:
        why = f"{unmeasured} of {unmeasured + len(known)} successful attempts were not measured"
    return msgspec.structs.replace(
        sizing, attempts=len(known), used=used, most_by=most_by, used_from=source, why=why
    )


def _with_line(sizing: Sizing, enough: float, option: str) -> Sizing:
    """Add the `#SBATCH` line of an option (`--time=01:03:00`), or why it is not worth a change.
    `enough` is what the option asks for, in the unit of `sizing.asked`.
    """
    if enough > WORTH_IT * sizing.asked:
        return msgspec.structs.replace(sizing, why="less would save less than a fifth")
    return msgspec.structs.replace(sizing, line=f"#SBATCH {option}")


def _scheduler(attempt: Attempt) -> str:
    """The scheduler that has its job; "" for none."""
    return next((one.scheduler for one in attempt.submissions.values()), "")


def _is_done(attempt: Attempt) -> bool:
    """Whether an attempt did its work; one that is `failed but good` does not count here."""
    return attempt.judged is not None and attempt.judged.outcome == "done"


def _continued(attempt: Attempt) -> bool:
    """Whether it succeeded, and may have done a part of the work only: it found checkpoints when it
    began, or it is a further execution of the same job.
    """
    if not _is_done(attempt):
        return False
    intended = attempt.intended
    if intended is not None and (intended.resume_from or intended.found):
        return True
    record = attempt.exit_record
    return record is not None and record.execution > 1


def _rounded_up(value: float, step: int) -> int:
    """The least multiple of `step` that is not below a value: 3,750 with steps of 60 is 3,780."""
    return math.ceil(value / step) * step


def _memory_enough(used: float) -> int:
    """How many bytes to ask for where `used` bytes were held: a fifth more, in steps of 128 MiB
    below 4 GiB and of 1 GiB from there on. 9 GiB held: 11 GiB.
    """
    wanted = max(LEAST_MEMORY_BYTES, used * MEMORY_MARGIN)
    step = _LARGE_STEP_BYTES
    if wanted < _LARGE_BYTES:
        step = _SMALL_STEP_BYTES
    return _rounded_up(wanted, step)


def _memory_words(size: int) -> str:
    """`640M` or `12G`, as sbatch reads it."""
    if size % _LARGE_STEP_BYTES:
        return f"{size // 2**20}M"
    return f"{size // 2**30}G"


def _with_number(value: str, number: int) -> str:
    """The value of a GPU option with another number: of `a100:4` and 2 `a100:2`, of `4` and 2 `2`.
    A value without a number means one device, and gets one: `a100` becomes `a100:1`.
    """
    kind, colon, count = value.rpartition(":")
    if count.isdigit():
        return f"{kind}{colon}{number}"
    return f"{value}:{number}"
