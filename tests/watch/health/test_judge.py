"""From readings to one of six words: pure, on a clock that the test moves."""

from __future__ import annotations

import pytest

from watchkeeper.runfolder.printed import Position
from watchkeeper.watch.health.judge import (
    PAUSES,
    STALL_FLOOR_S,
    START,
    USUAL,
    Course,
    Fault,
    Limits,
    Reading,
    Stall,
    after,
    judge,
    rate_of,
    stall_limit,
)

LIMITS = Limits()
DISK = Fault(kind="disk full", line="OSError: [Errno 28] No space left on device")


class Job:
    """Readings of one job, a look each; what is not given stays as it was."""

    def __init__(self, **first):
        self.course = Course()
        self.fields = {"ran_s": 0.0, "at": 0.0}
        self.look(0.0, **first)

    def look(self, seconds, **fields):
        """Look again after so many seconds; the verdict."""
        passing = {"advances": 0, "faults": (), "checkpoints": 0}
        self.fields |= passing | fields
        self.fields["at"] += seconds
        self.fields["ran_s"] += seconds
        if self.fields.get("quiet_s") is not None and "quiet_s" not in fields:
            self.fields["quiet_s"] += seconds
        self.course = after(self.course, Reading(**self.fields))
        return judge(self.course, LIMITS)

    def step(self, seconds, step, **fields):
        """Look again after so many seconds, and find this step."""
        total = fields.pop("total", 1000)
        position = Position(
            step=step, total=total, loss=fields.pop("loss", None), epoch=fields.pop("epoch", None)
        )
        return self.look(seconds, position=position, size=1000 + step, **{"quiet_s": 0.0} | fields)


def test_nothing_is_known_before_the_floor_and_silence_is_told_after_it():
    """A job without a byte is unknown until `silent_s`, then silent; the first byte ends that."""
    job = Job()
    assert job.look(599).health == "unknown"
    found = job.look(1)
    assert (found.health, found.why) == (
        "silent",
        "it has run for 10:00 and printed and recorded nothing (limit 600 s)",
    )
    assert job.look(60, size=10, quiet_s=0.0).health == "advancing"


def test_a_step_or_bytes_are_progress_and_a_repeated_step_is_not():
    """Bytes count where no step is told; beside a step that stands still they do not."""
    job = Job(size=10, quiet_s=0.0)
    for number in range(60):
        assert job.look(60, size=20 + number, quiet_s=0.0).health == "advancing"
    job = Job()
    for number in range(5):
        job.step(60, number, advances=10)
    for _ in range(9):
        assert job.look(60, size=job.fields["size"] + 100, quiet_s=0.0).health == "advancing"
    assert job.look(60, size=job.fields["size"] + 100, quiet_s=0.0).health == "stalled"


def test_a_stall_is_measured_by_the_jobs_own_history_with_a_floor():
    """Ten times the usual pause, 600 s at least; both are named in the words, with the step it
    stands at.
    """
    quick = Job()
    for number in range(1, 30):
        quick.step(60, number * 100, advances=100, total=10_000)
    assert stall_limit(quick.course, LIMITS) == (STALL_FLOOR_S, "600 s, the least")
    assert quick.look(599).health == "advancing"
    found = quick.look(1)
    assert (
        found.health == "stalled"
        and found.why == "no step since step 2,900/10,000 for 10:00 (limit 600 s, the least)"
    )
    slow = Job()
    for number in range(1, 30):
        slow.step(300, number)
    assert stall_limit(slow.course, LIMITS)[0] == PAUSES * 300
    assert slow.look(PAUSES * 300 - 1).health == "advancing" and slow.look(1).health == "stalled"
    assert slow.step(1, 31).health == "advancing"


def test_seldom_looks_do_not_make_a_job_slow_to_be_judged():
    """Where each look shows many advances, the usual pause is what lies between two of them, not
    between two looks.
    """
    job = Job()
    for number in range(1, 10):
        job.step(300, number * 300, advances=300, total=100_000)
    assert stall_limit(job.course, LIMITS)[0] == STALL_FLOOR_S


def test_the_first_step_and_the_end_of_a_loop_have_three_times_as_long():
    """Compiling, loading data, saving: neither before the first step nor between two loops is a
    pause soon a stall.
    """
    job = Job(size=10, quiet_s=0.0)
    assert job.look(START * STALL_FLOOR_S - 1).health == "advancing"
    found = job.look(1)
    assert found.health == "stalled" and "before its first step" in found.why
    job = Job()
    for number in (1, 2, 3):
        job.step(10, number, total=3)
    assert (
        job.look(STALL_FLOOR_S * 2).health == "advancing"
        and job.look(STALL_FLOOR_S).health == "stalled"
    )


def test_a_limit_that_was_set_is_the_limit():
    """`stall_s` replaces history and floor."""
    job = Job()
    for number in range(1, 5):
        job.step(60, number)
    job.look(29)
    assert judge(job.course, Limits(stall_s=30)).health == "advancing"
    job.look(1)
    found = judge(job.course, Limits(stall_s=30))
    assert found.health == "stalled" and "limit 30 s, as set" in found.why


def test_what_the_sidecar_says_counts_at_once():
    """Its stall is a stall, with its words, until it takes it back."""
    job = Job()
    job.step(10, 1)
    found = job.step(
        10,
        2,
        stall=Stall(
            words="no advance since 15:00: waiting for a lock", report="/run/logs/stall.txt"
        ),
    )
    assert found.health == "stalled" and found.why.startswith(
        "its sidecar says: no advance since 15:00: waiting for a lock"
    )
    assert job.step(10, 3, stall=None).health == "advancing"


def test_an_error_is_failing_until_a_step_comes_after_it():
    """A fatal error with no step after it is failing, at the second look at most; a job that goes
    on has overcome it.
    """
    job = Job()
    job.step(10, 1)
    found = job.look(10, faults=(DISK,), size=5000)
    assert found.health == "failing" and found.why.startswith(
        "disk full: OSError: [Errno 28] No space left"
    )
    assert job.step(10, 2).health == "advancing"
    # In one look with a step: which came first is told by the next.
    assert job.step(10, 3, faults=(DISK,)).health == "advancing"
    assert job.look(10).health == "failing"
    assert job.step(10, 4).health == "advancing"
    assert (
        job.look(
            10, faults=(Fault(kind="out of memory", line="CUDA out of memory", overcome=True),)
        ).health
        == "advancing"
    )
    assert (
        job.look(10, faults=(Fault(kind="import", line="ImportError: no flash_attn"),)).health
        == "advancing"
    )


def test_an_errors_own_words_are_no_progress():
    """Of a job that tells no step, printing the error is none; printing on is."""
    job = Job(size=10, quiet_s=0.0)
    assert job.look(10, size=200, quiet_s=0.0, faults=(DISK,)).health == "failing"
    assert job.look(10).health == "failing"
    assert job.look(10, size=300, quiet_s=0.0).health == "advancing"


@pytest.mark.parametrize("loss", ["nan", "NaN", "inf", "-Infinity"])
def test_a_loss_that_is_no_number_is_failing(loss):
    """It trains on, and learns nothing; a finite loss ends that."""
    job = Job()
    job.step(10, 1, loss="2.5")
    found = job.step(10, 2, loss=loss)
    assert found.health == "failing" and found.why == f"its loss is {loss} at step 2/1,000"
    assert job.step(10, 3, loss="2.4").health == "advancing"


def test_slow_is_against_the_jobs_own_rate_and_does_not_become_usual():
    """Three samples under half of the usual rate; it stays slow however long that lasts, and ends
    with the slowness.
    """
    job, step = Job(), 0
    for _ in range(10):
        step += 100
        assert job.step(10, step, total=10**6).health == "advancing"
    for _ in range(2):
        step += 40
        assert job.step(10, step, total=10**6).health == "advancing"
    for _ in range(200):
        step += 40
        found = job.step(10, step, total=10**6)
        assert found.health == "slow" and found.why.startswith(
            "4 steps/s, usually 10 (limit 50% of its usual rate)"
        )
    for _ in range(3):
        step += 100
        found = job.step(10, step, total=10**6)
    assert found.health == "advancing"


def test_the_rate_and_the_time_left_are_measured_and_an_epochs_end_is_not_the_runs():
    """Steps a second over the last samples; where only the epoch's last step is known, nobody can
    tell the end.
    """
    job = Job()
    for number in range(1, 6):
        found = job.step(10, number * 20)
    assert rate_of(job.course) == 2.0 and found.rate == 2.0 and found.eta_s == 450.0
    job = Job()
    for number in range(1, 6):
        found = job.step(10, number * 20, epoch=1)
    assert found.rate == 2.0 and found.eta_s is None


def test_a_time_limit_that_comes_first_is_told_with_the_next_checkpoint():
    """Two samples in a row: the last step will not fit; and whether the next checkpoint does, from
    the interval seen.
    """
    job = Job()
    for number in range(1, 6):
        found = job.step(
            10, number * 20, ends_in_s=1000.0 - number * 10, checkpoints=int(number in (2, 4))
        )
    assert found.fits is True and found.note == ""
    assert job.step(10, 120, ends_in_s=30.0).fits is None
    assert job.step(5, 130, ends_in_s=25.0).fits is None  # the same sample still
    found = job.step(5, 140, ends_in_s=20.0)
    assert found.fits is False
    assert found.note == (
        "its last step is 7:10 away, and its time limit 0:20: it will not fit; the next "
        "checkpoint, in about 0:00, does"
    )


def test_a_watcher_that_comes_later_counts_from_the_files_own_times():
    """The first look takes the files' age for the pause, not the moment at which somebody began to
    look.
    """
    job = Job(
        ran_s=7200.0, quiet_s=STALL_FLOOR_S * START, size=100, position=Position(step=7, total=10)
    )
    assert judge(job.course, LIMITS).health == "stalled"


def test_a_full_disk_that_keeps_the_error_out_of_the_log_is_told_all_the_same():
    """Nothing can be written there, not even why: two looks without an advance on a full disk are
    failing.
    """
    job = Job()
    for number in range(1, 5):
        job.step(10, number)
    full = "the disk of /data is full: 0.0 MiB free of 4.0 MiB"
    assert job.step(10, 5, full=full).health == "advancing"  # it still goes on, somewhere
    assert job.look(20).health == "advancing"
    found = job.look(20)
    assert found.health == "failing" and found.why.startswith(
        f"disk full: {full}; nothing new for 0:40"
    )
    assert job.look(10, full="").health == "advancing"


def test_a_pause_is_counted_from_the_files_own_time_within_the_looks():
    """Seen at a late look, an advance was when the file says; but not before the look that did not
    see it yet.
    """
    job = Job()
    job.step(100, 1)
    assert job.step(100, 2, quiet_s=90.0).why.startswith("step 2/1,000, 1:30 ago")
    assert job.step(100, 3, quiet_s=500.0).why.startswith("step 3/1,000, 1:40 ago")


def test_a_position_without_a_total_is_named_without_one():
    """Where the last step is not known, the words name the step alone."""
    job = Job()
    assert job.step(10, 7, total=None).why.startswith("step 7, ")


def test_the_first_step_after_none_and_bytes_beside_a_lost_step_are_judged_alone():
    """A step where none was known is an advance; a reading that has lost the step is judged by its
    bytes.
    """
    job = Job(size=10, quiet_s=0.0)
    assert job.step(60, 1).health == "advancing" and job.course.advances == 1
    job.look(60, position=Position(), size=job.fields["size"])
    assert job.course.advances == 1
    job.look(60, position=Position(), size=job.fields["size"] + 1)
    assert job.course.advances == 2


def test_one_advance_within_a_look_counts_at_the_same_step():
    """A position that changed once and came back is an advance; output that repeats it is not."""
    job = Job()
    job.step(60, 1)
    job.step(60, 1)
    assert job.course.advances == 1
    job.step(60, 1, advances=1)
    assert job.course.advances == 2


def test_one_advance_in_a_look_takes_the_whole_pause():
    """The pause of a look with one advance is the time between the two looks, not half of it."""
    job = Job()
    job.step(100, 1, advances=1)
    job.step(100, 2, advances=1)
    assert job.course.pauses == (100.0,)


def test_a_sample_takes_ten_seconds():
    """Steps nine seconds apart are no sample of the rate yet; at ten they are."""
    job = Job()
    job.step(10, 1)
    job.step(9, 2)
    assert job.course.recent == ()
    job.step(1, 3)
    assert job.course.recent == (0.2,)


def test_the_end_of_a_loop_is_not_called_before_its_first_step():
    """Between two loops the limit is three times as long, and the words do not speak of a start."""
    job = Job()
    for number in (1, 2, 3):
        job.step(10, number, total=3)
    assert stall_limit(job.course, LIMITS) == (
        START * STALL_FLOOR_S,
        f"{START} times 600 s, the least",
    )


def test_a_loss_that_is_no_word_of_a_number_is_no_failure():
    """A loss that cannot be read as a number says nothing."""
    job = Job()
    assert job.step(10, 1, loss="n/a").health == "advancing"


def test_a_checkpoint_at_the_very_limit_fits():
    """A checkpoint that comes when the time limit does still comes."""
    job = Job()
    for number in range(1, 6):
        job.step(10, number * 20, checkpoints=int(number in (3, 5)))
    job.step(10, 120, ends_in_s=30.0)
    found = job.step(10, 140, ends_in_s=0.0)
    assert found.fits is False and found.note.endswith("in about 0:00, does")


def test_usual_is_learned_as_long_as_the_job_keeps_its_rate():
    """Samples at the usual rate are kept beyond the first few."""
    job = Job()
    for number in range(1, 14):
        job.step(10, number * 10)
    assert len(job.course.usual) > USUAL and set(job.course.usual) == {1.0}
