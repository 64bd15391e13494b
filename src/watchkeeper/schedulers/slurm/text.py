"""What Slurm's commands say, read: pure functions from their text to rows, and from sbatch's answer
to a verdict.

Sources: squeue(1), sacct(1), sbatch(1); slurm_errno.c for the messages; and the outputs of a real
Slurm 22.05 in tests/schedulers/samples. Columns are parted by the unit separator, since names and
folders may hold any other sign.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from watchkeeper.core.errors import (
    BusyError,
    DoubtError,
    RefusedError,
    SchedulerError,
    UnavailableError,
    UnreachedError,
)
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.core.text import lazy
from watchkeeper.core.text.odd_bytes import as_text
from watchkeeper.schedulers import arrays
from watchkeeper.schedulers.base import TERMINAL, UNKNOWN
from watchkeeper.schedulers.shell import NOT_THERE, Done
from watchkeeper.schedulers.wrapper.names import token_of

SEPARATOR = "\x1f"
_SQUEUE_FIELDS = (
    "JobArrayID", "JobID", "State", "Reason", "SubmitTime", "StartTime", "EndTime", "NodeList",
    "exit_code", "Name", "WorkDir", "Command",
)  # fmt: skip
# For --Format, Slurm 20.11 and later: a suffix without a width, and values are whole.
SQUEUE_FORMAT = ",".join(f"{field}:{SEPARATOR}" for field in _SQUEUE_FIELDS)
SACCT_FIELDS = (
    "JobID", "JobIDRaw", "State", "ExitCode", "Reason", "Submit", "Start", "End", "NodeList",
    "MaxRSS", "TimelimitRaw", "ReqMem", "JobName", "WorkDir", "SubmitLine",
)  # fmt: skip
NO_LOCAL = "is this a Slurm cluster? without --cluster, jobs run on this machine"

# Slurm's words for what is one of a few states here. Flags and states of newer versions included.
_STATES = {
    "PENDING": "PENDING", "CONFIGURING": "PENDING", "POWER_UP_NODE": "PENDING",
    "REQUEUED": "PENDING", "REQUEUE_FED": "PENDING", "REQUEUE_HOLD": "PENDING",
    "SPECIAL_EXIT": "PENDING", "RESV_DEL_HOLD": "PENDING", "EXPEDITING": "PENDING",
    "RUNNING": "RUNNING", "SIGNALING": "RUNNING", "RESIZING": "RUNNING", "SUSPENDED": "SUSPENDED",
    "STOPPED": "SUSPENDED", "COMPLETING": "COMPLETING", "STAGE_OUT": "COMPLETING",
    "UPDATE_DB": "COMPLETING",
}  # fmt: skip
_NOTHING = frozenset({"", "None", "(null)", "N/A", "n/a", "Unknown", "None assigned", "none"})
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4, "P": 1024**5}
# `17`, `27_3`, `27_[2-5%2]`; `17+1` is a component of a heterogeneous job.
_ID = lazy.pattern(r"([0-9]{1,10})([_+]\S+)?")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One job, or one task of an array, as one source tells it.

    `job_id` is `17` or `27_3`, `raw_id` the number behind it; `raw_state` is Slurm's own word for
    the state. Times that are only expected are None. `token` is None where the source names no
    command, "" where the command is no wrapper; `command` is the wrapper's path, or from sacct the
    line that was typed; `tasks`, `ends_by`, `expected`, `limit_s` and `asked_bytes` as in
    `SchedulerFacts`.
    """

    job_id: str
    raw_id: str
    state: str
    raw_state: str
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    submitted: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    max_rss_bytes: int | None = None
    node: str = ""
    name: str = ""
    folder: str = ""
    command: str = ""
    token: str | None = None
    tasks: Mapping[str, str] = {}
    ends_by: datetime | None = None
    expected: datetime | None = None
    limit_s: int | None = None
    asked_bytes: int | None = None

    def facts(self) -> SchedulerFacts:
        """The row as facts, without the output's place. A state of no fixed meaning here is told in
        the reason.
        """
        reason = self.reason
        if (
            self.raw_state.split()
            and self.state in (UNKNOWN, "PENDING")
            and self.raw_state != self.state
        ):
            if reason:
                reason = f"{self.raw_state}: {reason}"
            else:
                reason = self.raw_state
        return SchedulerFacts(
            state=self.state,
            reason=reason,
            exit_code=self.exit_code,
            signal=self.signal,
            submitted=self.submitted,
            started=self.started,
            ended=self.ended,
            max_rss_bytes=self.max_rss_bytes,
            node=self.node,
            tasks=dict(self.tasks),
            ends_by=self.ends_by,
            expected=self.expected,
            limit_s=self.limit_s,
            asked_bytes=self.asked_bytes,
        )


def state_of(state: str) -> str:
    """Slurm's word → the state here: `CANCELLED by 0` and `CANCELLED+` are CANCELLED, REQUEUED is
    PENDING. What is not known, and REVOKED (another cluster has the job), is UNKNOWN.
    """
    word = (state.split() or [""])[0].rstrip("+").upper()
    if word in TERMINAL:
        return word
    return _STATES.get(word, UNKNOWN)


def time_of(text: str) -> datetime | None:
    """Seconds since 1970, as SLURM_TIME_FORMAT=%s gives them; or a time without a zone, read in
    this machine's.
    """
    if text in _NOTHING:
        return None
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def bytes_of(text: str) -> int | None:
    """sacct's `3248K` or `1.5G` in bytes; None for nothing said."""
    match = re.fullmatch(r"([0-9]{1,20}(?:\.[0-9]+)?)([KMGTP]?)", text)
    if match:
        return int(float(match.group(1)) * _UNITS[match.group(2)])
    return None


def limit_of(text: str) -> int | None:
    """sacct's TimelimitRaw, minutes, in seconds; None for no limit (`UNLIMITED`), for a partition's
    (`Partition_Limit`) and for nothing said.
    """
    if re.fullmatch(r"[0-9]{1,9}", text):
        return 60 * int(text) or None
    return None


def exit_of(text: str) -> tuple[int | None, int | None]:
    """`3:0` → code 3, no signal; `0:11` → code 0, signal 11."""
    match = re.fullmatch(r"([0-9]{1,10}):([0-9]{1,10})", text)
    if match:
        return (int(match.group(1)), int(match.group(2)) or None)
    return (None, None)


def status_of(text: str) -> tuple[int | None, int | None]:
    """squeue's exit code, a wait status: 768 → code 3, no signal; 139 → code 0, signal 11."""
    if not re.fullmatch(r"[0-9]{1,10}", text):
        return exit_of(text)
    status = int(text)
    if status & 0x7F:
        return (0, status & 0x7F)
    return (status >> 8, None)


def base_of(job_id: str) -> str:
    """The id that sbatch gave: `27` of `27_3`."""
    match = _ID.fullmatch(job_id)
    if match:
        return match.group(1)
    return job_id


def task_ids(job_id: str) -> list[str]:
    """The tasks behind a collapsed id: `27_[2-5%2]` → 27_2 … 27_5. Any other id is itself."""
    base, bracket, inside = job_id.partition("_[")
    if not bracket:
        return [job_id]
    tasks: list[str] = []
    for part in inside.rstrip("]").partition("%")[0].split(","):
        with contextlib.suppress(ValueError):  # squeue shortens long lists by `...`
            tasks += (f"{base}_{number}" for number in arrays.numbers_of(part))
    return tasks or [base]


def read_squeue(text: str, separator: str = SEPARATOR) -> list[Row]:
    """The rows of `squeue --noheader --Format=SQUEUE_FORMAT`. Other lines are left out."""
    rows: list[Row] = []
    most = len(_SQUEUE_FIELDS) - 1
    for line in text.split("\n"):
        values = line.removesuffix(separator).split(separator, most)
        if len(values) != len(_SQUEUE_FIELDS) or not _ID.fullmatch(values[0]):
            continue
        cells = dict(zip(_SQUEUE_FIELDS, values, strict=True))
        rows.extend(_shown(cells, task) for task in task_ids(values[0]))
    return rows


def _shown(cells: Mapping[str, str], job_id: str) -> Row:
    """squeue's row of a job or task. A pending job has no node yet, and its start is a forecast;
    the end of a running one is its start and its limit together.
    """
    state = state_of(cells["State"])
    start, end = time_of(cells["StartTime"]), time_of(cells["EndTime"])
    is_pending, has_ended = state == "PENDING", state in TERMINAL
    node = "" if is_pending else _value(cells["NodeList"])
    exit_code, signal = status_of(cells["exit_code"]) if has_ended else (None, None)
    return Row(
        job_id=job_id,
        raw_id=cells["JobID"],
        state=state,
        raw_state=cells["State"],
        reason=_value(cells["Reason"]),
        exit_code=exit_code,
        signal=signal,
        submitted=time_of(cells["SubmitTime"]),
        started=start if node else None,
        expected=start if is_pending else None,
        ended=end if has_ended else None,
        ends_by=end if state == "RUNNING" else None,
        node=node,
        name=cells["Name"],
        folder=cells["WorkDir"],
        command=cells["Command"],
        token=token_of(cells["Command"]) or "",
    )


def read_sacct(text: str, separator: str = SEPARATOR) -> list[Row]:
    """The rows of `sacct --parsable2 --duplicates`, header included; the last column may hold the
    separator.

    One row for each execution, oldest first. Steps (`.batch`, `.extern`, `.0`) give the peak memory
    of the one before them, and nothing else: their states are not the job's. sacct takes 128 off a
    code above 127.
    """
    names: list[str] = []
    rows: list[Row] = []
    for line in text.split("\n"):
        if not names:
            names = _header(line, separator)
            continue
        values = line.split(separator, len(names) - 1)
        if len(values) != len(names):
            continue
        cells = dict(zip(names, values, strict=True))
        if "." in cells["JobIDRaw"]:
            _add_step(cells, rows)
        elif _ID.fullmatch(cells["JobID"]):
            rows.extend(_booked(cells, task) for task in task_ids(cells["JobID"]))
    return rows


def _header(line: str, separator: str) -> list[str]:
    """The names of the columns; empty for another line, which a site's own script may print."""
    names = line.split(separator)
    if {"JobID", "JobIDRaw", "State"} <= set(names):
        return names
    return []


def _add_step(cells: Mapping[str, str], rows: list[Row]) -> None:
    """Add the peak memory of a step to its job, the last of these rows."""
    if not rows or cells["JobIDRaw"].partition(".")[0] != rows[-1].raw_id:
        return
    peak = max(bytes_of(cells.get("MaxRSS", "")) or 0, rows[-1].max_rss_bytes or 0)
    rows[-1] = msgspec.structs.replace(rows[-1], max_rss_bytes=peak or None)


def _booked(cells: Mapping[str, str], job_id: str) -> Row:
    """sacct's row of a job or task."""
    state = state_of(cells["State"])
    node = _value(cells.get("NodeList", ""))
    line = cells.get("SubmitLine", "")
    ended = None
    if state in TERMINAL:
        ended = time_of(cells.get("End", ""))
    exit_code, signal = None, None
    if ended:
        exit_code, signal = exit_of(cells.get("ExitCode", ""))
    return Row(
        job_id=job_id,
        raw_id=cells["JobIDRaw"],
        state=state,
        raw_state=cells["State"],
        reason=_value(cells.get("Reason", "")),
        exit_code=exit_code,
        signal=signal,
        submitted=time_of(cells.get("Submit", "")),
        started=time_of(cells.get("Start", "")) if node else None,
        ended=ended,
        max_rss_bytes=bytes_of(cells.get("MaxRSS", "")) or None,
        limit_s=limit_of(cells.get("TimelimitRaw", "")),
        asked_bytes=bytes_of(cells.get("ReqMem", "")) or None,
        node=node,
        name=cells.get("JobName", ""),
        folder=cells.get("WorkDir", ""),
        command=line,
        token=(token_of(line) or "") if line else None,
    )


def by_id(rows: Iterable[Row]) -> dict[str, Row]:
    """Job id → its last execution; the id of an array, or of a heterogeneous job → what says most
    about the whole.
    """
    last: dict[str, Row] = {}
    for row in rows:
        before = last.get(row.job_id)
        if before is None or _age(before) <= _age(row):
            last[row.job_id] = row
    parts: dict[str, list[Row]] = {}
    for job_id, row in last.items():
        if (base := base_of(job_id)) != job_id:
            parts.setdefault(base, []).append(row)
    return last | {base: _whole(rows) for base, rows in parts.items()}


def is_settled(row: Row) -> bool:
    """Whether accounting has the whole end of a job: its rows are partial at first, and a failure
    may show 0:0.
    """
    if row.state not in TERMINAL or row.ended is None:
        return False
    return row.state != "FAILED" or bool(row.exit_code or row.signal)


def first_error(done: Done, command: str) -> str:
    """Why a command failed, in one line."""
    if done.timed_out:
        return f"{command} gave no answer in time"
    lines = [line.strip() for line in as_text(done.err).splitlines() if line.strip()]
    for line in reversed(lines):
        if "error" in line or "fatal" in line or "Unable" in line:
            return line[:400]
    if lines:
        return f"{command}: {lines[-1][:400]}"
    return f"{command} ended with code {done.code} and said nothing"


# ── sbatch's answer

# Messages as in slurm_errno.c.
_DOUBT = lazy.pattern(
    r"timed out|timeout|Zero Bytes|Unexpected message|Connection reset|Broken pipe"
    r"|\((?:send|receive|shutdown) failure\)|Communication (?:connection|shutdown)|Insane "
    r"message|Transport endpoint",
    re.IGNORECASE,
)
_UNREACHED = lazy.pattern(
    (
        r"connect failure|Connection refused|No route to host|Network is unreachable|Unable to "
        r"(?:establish|open) .*connection"
    ),
    re.IGNORECASE,
)
_UNASKED = lazy.pattern(
    (
        r"Munge encode failed|authentication (?:error|credential)|configuration "
        r"(?:file|source)|standby mode"
    ),
    re.IGNORECASE,
)
_BUSY = lazy.pattern(
    r"temporarily un(?:able|available)|I/O error writing script|No space left on device|Disk quota "
    r"exceeded"
    r"|Required (?:partition|node) not available|[Dd]atabase is busy"
    r"|(?:QOS|Assoc)\w*Max\w*(?:Submit|Jobs)\w*|(?:QOS|Assoc)Grp(?:Submit)?Jobs\w*"
    r"|job queue full|Too many (?:jobs|requests)|Job creation delayed",
)
_POLICY = lazy.pattern(r"violates accounting/QOS policy")
_LIMIT = lazy.pattern(r"\b(?:QOS|Assoc)[A-Z]\w+")
_REFUSED = lazy.pattern(
    r"^sbatch: (?:error:|fatal:|unrecognized option|invalid option|option )", re.MULTILINE
)


def job_of(out: str) -> tuple[str, str] | None:
    """The id on the last line of `sbatch --parsable`'s output, which sites' own scripts may
    precede, and the cluster that is named with it, "" for none; None if there is no id.
    """
    lines = [line.strip() for line in out.splitlines() if line.strip()]
    if not lines:
        return None
    match = re.fullmatch(r"([0-9]{1,10})(?:;(\S+))?", lines[-1])
    if match is None:
        return None
    return match[1], match[2] or ""


def no_of(done: Done) -> SchedulerError | None:
    """The error that sbatch's answer stands for; None: it took the job.

    Only a message of the controller, or one of sbatch before it asked the controller, is certain.
    Everything else is doubt.
    """
    has_id = job_of(done.out) is not None
    if done.code == 0 and has_id:
        return None
    message = _words(done)
    if done.timed_out or done.code <= 0:
        return DoubtError(f"sbatch did not say whether it took the job: {message}")
    if done.code == NOT_THERE and not done.out.strip():
        return UnavailableError("there is no sbatch here", hint=NO_LOCAL)
    if has_id:
        return DoubtError(message)
    for speaks_of, kind in _ERRORS:
        if speaks_of(done.err):
            return kind(message)
    return DoubtError(f"sbatch ended with code {done.code} and did not say why: {message}")


def _is_busy(message: str) -> bool:
    """Whether a later submission may succeed. A policy that names no limit, or one on the number of
    jobs, means later; one on the job's size means never.
    """
    if _BUSY.search(message):
        return True
    return bool(_POLICY.search(message)) and not _LIMIT.search(message)


# In this order: what leaves doubt outweighs the rest.
_ERRORS: tuple[tuple[Callable[[str], object], type[SchedulerError]], ...] = (
    (_DOUBT.search, DoubtError),
    (_UNREACHED.search, UnreachedError),
    (_UNASKED.search, UnavailableError),
    (_is_busy, BusyError),
    (_REFUSED.search, RefusedError),
)


def _words(done: Done) -> str:
    """sbatch's own words, without what it puts before each line."""
    if done.timed_out:
        return first_error(done, "sbatch")
    said = as_text(done.err)
    lines = [
        re.sub(r"^sbatch: (?:error|fatal): ", "", line.strip())
        for line in said.splitlines()
        if line.strip()
    ]
    return "; ".join(dict.fromkeys(lines))[:1000] or f"code {done.code}, no message"


def _value(text: str) -> str:
    """A column's text, "" where Slurm writes one of its words for nothing."""
    if text in _NOTHING:
        return ""
    return text


def _age(row: Row) -> datetime:
    return row.submitted or datetime.min.replace(tzinfo=UTC)


def _whole(rows: Sequence[Row]) -> Row:
    """An array, or a job of several components, as one: it is what says most about it, from its
    first start to its last end.
    """
    whole = arrays.whole(rows)
    return msgspec.structs.replace(
        rows[whole.first],
        submitted=whole.submitted,
        started=whole.started,
        ended=whole.ended,
        max_rss_bytes=whole.max_rss_bytes,
        tasks=_tasks(rows),
    )


def _tasks(rows: Sequence[Row]) -> dict[str, str]:
    """State → the numbers of the tasks in that state."""
    states: dict[int, str] = {}
    for row in rows:
        number = row.job_id.partition("_")[2]
        if number.isdigit():
            states[int(number)] = row.state
    return arrays.by_state(states)


def batches(job_ids: Iterable[str], limit_bytes: int = 100_000) -> Iterator[str]:
    """The ids, joined by commas, in as few texts of at most `limit_bytes` as they need."""
    batch: list[str] = []
    size = 0
    for job_id in job_ids:
        if batch and size + len(job_id) + 1 > limit_bytes:
            yield ",".join(batch)
            batch, size = [], 0
        batch.append(job_id)
        size += len(job_id) + 1
    if batch:
        yield ",".join(batch)
