"""Slurm's words, read from the outputs of a real one."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import (
    BusyError,
    DoubtError,
    RefusedError,
    UnavailableError,
    UnreachedError,
)
from watchkeeper.schedulers.base import TERMINAL
from watchkeeper.schedulers.shell import Done
from watchkeeper.schedulers.slurm import text

SAMPLES = Path(__file__).parents[1] / "samples"
SQUEUE = text.read_squeue((SAMPLES / "squeue.txt").read_text())
SACCT = text.read_sacct((SAMPLES / "sacct.txt").read_text())


def sample(name):
    """The rows of a sample of sacct, as text with bars."""
    return text.read_sacct((SAMPLES / f"sacct-{name}.txt").read_text(), "|")


# ── rows


def test_squeue_rows():
    """Each squeue line is a row with its state, code, signal and token; names may hold any sign."""
    rows = text.by_id(SQUEUE)
    assert {job_id: (row.state, row.exit_code, row.signal) for job_id, row in rows.items()} == {
        "1": ("COMPLETED", 0, None),
        "2": ("FAILED", 3, None),
        "3": ("FAILED", 211, None),
        "4": ("FAILED", 0, 11),
        "5": ("RUNNING", None, None),
        "6": ("PENDING", None, None),
        "7": ("RUNNING", None, None),
        "7_0": ("RUNNING", None, None),
        "7_1": ("RUNNING", None, None),
        **{f"7_{task}": ("PENDING", None, None) for task in range(2, 6)},
        "8": ("FAILED", 0, 53),
        "9": ("CANCELLED", 0, None),
        "10": ("CANCELLED", 0, None),
        "11": ("RUNNING", None, None),
        "12": ("COMPLETED", 0, None),
    }
    assert (rows["2"].name, rows["2"].token) == ("a | b", "three")
    assert rows["12"].token == ""


def test_a_heterogeneous_job():
    """A heterogeneous job's components have ids; the job's own id stands for the whole."""
    line = (SAMPLES / "squeue.txt").read_text().splitlines()[-1]
    first, second = (line.replace("11\x1f11", f"11+{n}\x1f{11 + n}") for n in range(2))
    rows = text.by_id(text.read_squeue(f"{first}\n{second.replace('RUNNING', 'COMPLETED')}\n"))
    assert {job_id: row.state for job_id, row in rows.items()} == {
        "11+0": "RUNNING",
        "11+1": "COMPLETED",
        "11": "RUNNING",
    }


def test_expected_times_are_no_facts():
    """The start that Slurm expects of a waiting job, and the end of a running one, are not told as
    if they had happened; nor is the start of a job that was cancelled before it had a node.
    """
    rows = text.by_id(SQUEUE)
    assert (rows["6"].started, rows["6"].ended) == (None, None)
    assert (rows["5"].started, rows["5"].ended) == (datetime.fromtimestamp(1795392139, UTC), None)
    assert rows["10"].started is None
    assert rows["10"].ended is not None
    (cancelled,) = sample("CANCELLED_pending")
    assert (cancelled.started, cancelled.node) == (None, "")


def test_both_sources_tell_one_end():
    """What squeue and accounting say of an ended job agrees, but that sacct takes 128 off a code
    above 127.
    """
    live, booked = text.by_id(SQUEUE), text.by_id(SACCT)
    for job_id in ("1", "2", "4", "8", "9", "12"):
        one, other = live[job_id], booked[job_id]
        assert one.state == other.state
        assert (one.exit_code, one.signal) == (other.exit_code, other.signal)
        assert (one.submitted, one.started, one.ended) == (
            other.submitted,
            other.started,
            other.ended,
        )
        assert (one.node, one.token) == (other.node, other.token)
    assert (live["3"].exit_code, booked["3"].exit_code) == (211, 83)


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("NODE_FAIL", ["NODE_FAIL"]),
        ("NODE_FAIL_requeued", ["NODE_FAIL", "CANCELLED"]),
        ("PREEMPTED_requeue", ["PREEMPTED", "CANCELLED"]),
        ("TIMEOUT_by_EndTime", ["TIMEOUT"]),
        ("OUT_OF_MEMORY_cgroup", ["OUT_OF_MEMORY"]),
        ("OUT_OF_MEMORY_srun", ["FAILED"]),
        ("CANCELLED_invalid_dep", ["CANCELLED"]),
        ("CANCELLED_pending", ["CANCELLED"]),
    ],
)
def test_sacct_rows(name, states):
    """Each execution of a job is one row, whatever its steps say; `CANCELLED by 0` is CANCELLED;
    the last one counts.
    """
    rows = sample(name)
    assert [row.state for row in rows] == states
    assert text.by_id(rows)[rows[0].job_id] == rows[-1]


def test_peak_memory_is_the_steps():
    """Peak memory is the largest of a job's steps, and no other fact is taken from them."""
    (row,) = sample("OUT_OF_MEMORY_srun")
    assert row.max_rss_bytes == 423096 * 1024
    assert (row.state, row.exit_code) == ("FAILED", 9)


def test_a_partial_row_is_not_settled():
    """Accounting's rows are partial at first: without an end, or FAILED with 0:0, the end is not
    known yet.
    """
    row = text.by_id(SACCT)["2"]
    assert text.is_settled(row)
    header, first, *_ = (SAMPLES / "sacct.txt").read_text().split("\n")

    def read(**changed):
        cells = (
            dict(zip(header.split(text.SEPARATOR), first.split(text.SEPARATOR), strict=True))
            | changed
        )
        return text.read_sacct(f"{header}\n{text.SEPARATOR.join(cells.values())}")[0]

    assert text.is_settled(read())
    assert not text.is_settled(read(End="Unknown"))
    assert not text.is_settled(read(State="FAILED", ExitCode="0:0"))
    assert not text.is_settled(read(State="PENDING", JobName="allocation", SubmitLine=""))
    assert read(SubmitLine="").token is None


WORDS = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(["\n", "\x1f", "1", "²", "9" * 5000, "JobID", "JobIDRaw", "State", "7_["]),
    )
)


@given(WORDS.map("".join))
def test_no_text_is_a_traceback(garbage):
    """Any output can be read; what is no row is left out, and what a site says before and after
    hides none.
    """
    assert all(row.state for row in text.read_squeue(garbage) + text.read_sacct(garbage))
    banner = garbage.replace("\x1f", "")
    for read, name, rows in (
        (text.read_squeue, "squeue", SQUEUE),
        (text.read_sacct, "sacct", SACCT),
    ):
        assert read(f"{banner}\n{(SAMPLES / f'{name}.txt').read_text()}{banner}") == rows


@pytest.mark.parametrize(
    ("told", "state"),
    [
        *((name, name) for name in sorted(TERMINAL)),
        ("CANCELLED by 1234", "CANCELLED"),
        ("CANCELLED+", "CANCELLED"),
        ("OUT_OF_ME+", "UNKNOWN"),
        ("COMPLETING", "COMPLETING"),
        ("CONFIGURING", "PENDING"),
        ("REQUEUED", "PENDING"),
        ("REQUEUE_HOLD", "PENDING"),
        ("SPECIAL_EXIT", "PENDING"),
        ("RESIZING", "RUNNING"),
        ("SUSPENDED", "SUSPENDED"),
        ("REVOKED", "UNKNOWN"),
        ("SOMETHING_NEW", "UNKNOWN"),
        ("", "UNKNOWN"),
    ],
)
def test_states(told, state):
    """Every state of Slurm is one of a few here, and one that nobody knows is UNKNOWN, never an
    end.
    """
    assert text.state_of(told) == state


@pytest.mark.parametrize(
    ("job_id", "tasks"),
    [
        ("17", ["17"]),
        ("27_3", ["27_3"]),
        ("27_[2-5%2]", ["27_2", "27_3", "27_4", "27_5"]),
        ("27_[1,4-8:2]", ["27_1", "27_4", "27_6", "27_8"]),
        ("27_[1,3,...]", ["27_1", "27_3"]),
        ("27_[nonsense]", ["27"]),
    ],
)
def test_tasks(job_id, tasks):
    """The collapsed id of an array's pending tasks is all of them."""
    assert text.task_ids(job_id) == tasks


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ("3248K", 3248 * 1024),
        ("1.5G", 1536 * 1024**2),
        ("0", 0),
        ("17", 17),
        ("", None),
        ("?", None),
    ],
)
def test_sizes(said, size):
    """sacct's sizes are in bytes here."""
    assert text.bytes_of(said) == size


def test_times():
    """Times are aware and UTC, whether Slurm gave seconds or words; what is none is None."""
    assert text.time_of("1795392139") == datetime(2026, 11, 23, 0, 2, 19, tzinfo=UTC)
    local = text.time_of("2026-11-22T20:12:07")
    assert local == datetime(2026, 11, 22, 20, 12, 7).astimezone()
    assert local.tzinfo is UTC
    assert [
        text.time_of(word) for word in ("Unknown", "N/A", "None", "", "yesterday", "9" * 30)
    ] == [None] * 6


@given(st.lists(st.integers(1, 10**9).map(str), max_size=300), st.integers(1, 400))
def test_batches(job_ids, limit):
    """Ids are queried in batches, none lost, each within the limit unless one id is longer."""
    found = list(text.batches(job_ids, limit))
    assert [job_id for batch in found for job_id in batch.split(",")] == job_ids
    assert all(len(batch) <= limit or "," not in batch for batch in found)


# ── sbatch's answer

FAILED = "sbatch: error: Batch job submission failed: "
POLICY = (
    f"{FAILED}Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
)


@pytest.mark.parametrize(
    ("out", "job_id"),
    [
        ("17\n", "17"),
        ("17;cluster\n", "17"),
        ("Welcome to our site!\nYour quota is fine.\n17\n\n", "17"),
        ("Submitted batch job 17\n", None),
        ("17\nbye\n", None),
        ("-1\n", None),
        ("", None),
    ],
)
def test_the_id(out, job_id):
    """The job's id is the last line of --parsable, whatever a site's script prints before it."""
    assert (text.job_of(out) or (None,))[0] == job_id


def test_yes():
    """Code 0 with an id is yes."""
    assert text.no_of(Done(code=0, out="17\n", err="sbatch: warning: something\n")) is None


@pytest.mark.parametrize(
    ("done", "kind"),
    [
        (Done(code=1, err=FAILED + "Invalid partition name specified"), RefusedError),
        (
            Done(code=1, err=FAILED + "Invalid account or account/partition combination specified"),
            RefusedError,
        ),
        (
            Done(
                code=1,
                err=FAILED + "Requested time limit is invalid (missing or exceeds some limit)",
            ),
            RefusedError,
        ),
        (Done(code=1, err="sbatch: error: Unable to open file x"), RefusedError),
        (
            Done(code=255, err="sbatch: unrecognized option '--nope'\nTry \"sbatch --help\""),
            RefusedError,
        ),
        (Done(code=1, err=f"sbatch: error: QOSMaxWallDurationPerJobLimit\n{POLICY}"), RefusedError),
        (Done(code=1, err=f"sbatch: error: AssocMaxSubmitJobLimit\n{POLICY}"), BusyError),
        (Done(code=1, err=f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{POLICY}"), BusyError),
        (Done(code=1, err=f"sbatch: error: AssocGrpSubmitJobsLimit\n{POLICY}"), BusyError),
        (Done(code=1, err=POLICY), BusyError),
        (Done(code=1, err=FAILED + "Resource temporarily unavailable"), BusyError),
        (Done(code=1, err=FAILED + "I/O error writing script/environment to file"), BusyError),
        (
            Done(code=1, err=FAILED + "Required partition not available (inactive or drain)"),
            BusyError,
        ),
        (
            Done(code=1, err=FAILED + "Required node not available (down, drained or reserved)"),
            BusyError,
        ),
        (Done(code=1, err=FAILED + "No space left on device"), BusyError),
        (
            Done(code=1, err=FAILED + "Unable to contact slurm controller (connect failure)"),
            UnreachedError,
        ),
        (Done(code=1, err=FAILED + "Connection refused"), UnreachedError),
        (Done(code=1, err=FAILED + "No route to host"), UnreachedError),
        (
            Done(code=1, err="sbatch: error: Munge encode failed: No such file\n" + FAILED),
            UnavailableError,
        ),
        (Done(code=127, err="sbatch: not found"), UnavailableError),
        (Done(code=1, err=FAILED + "Socket timed out on send/recv operation"), DoubtError),
        (
            Done(code=1, err=FAILED + "Unable to contact slurm controller (receive failure)"),
            DoubtError,
        ),
        (Done(code=1, err=FAILED + "Zero Bytes were transmitted or received"), DoubtError),
        (
            Done(code=-9, timed_out=True, err=FAILED + "Invalid partition name specified"),
            DoubtError,
        ),
        (Done(code=-15), DoubtError),
        (Done(code=0), DoubtError),
        (Done(code=0, out="hello\n"), DoubtError),
        (Done(code=1, out="17\n", err="sbatch: error: the site's epilogue failed"), DoubtError),
        (Done(code=1), DoubtError),
        (Done(code=3, err="our wrapper says no"), DoubtError),
        (
            Done(
                code=1,
                err=f"{FAILED}Connection refused\n{FAILED}Socket timed out on send/recv operation",
            ),
            DoubtError,
        ),
    ],
)
def test_no(done, kind):
    """Refused, later and not asked need an explicit statement; everything else is doubt."""
    error = text.no_of(done)
    assert type(error) is kind
    assert str(error)
    assert "sbatch: error" not in str(error)
