"""The parts of a run's page: examples, strips, marks, texts and attempts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import watchkeeper as wk
from tests.experiments import write_experiment
from tests.query.series.recorded import BEGIN, rows_file, write_rows
from tests.query.test_recording import record
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core import layout
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Advanced, Intended, Stalled, Vanished
from watchkeeper.core.journal import Writer
from watchkeeper.core.state import Attempt, RunState
from watchkeeper.query.views import run as pages
from watchkeeper.query.views.run_page.machine import MOST_VALUES
from watchkeeper.query.views.run_page.subject import first_that_counts
from watchkeeper.runfolder.telemetry import Gpu, Sample, encode_row
from watchkeeper.schedulers.fake.scheduler import FakeScheduler


def examples(folder: Path, count: int) -> None:
    """A run with examples, of which every third is wrong."""
    with wk.start_run(folder=folder, pipeline="t", console=False, sidecar=False) as run:
        for step in range(count):
            answer = "wrong" if step % 3 == 0 else "Blue"
            run.example(step, prompt=f"colour {step}?", golden="blue", output=answer, loss=0.5)


def test_examples_come_newest_first_a_page_at_a_time(tmp_path):
    """Each page continues where the one before ended, and no example is left out or repeated."""
    examples(tmp_path, 10)
    steps = []
    before = None
    while True:
        page = pages.examples(tmp_path, before=before, limit=4)
        steps += [row.step for row in page.rows]
        before = page.before
        if before is None:
            break
    assert steps == list(reversed(range(10)))


def test_examples_without_a_match_are_found_alone(tmp_path):
    """The filter counts and pages what it lets through, and nothing else."""
    examples(tmp_path, 10)
    page = pages.examples(tmp_path, match=False, limit=2)
    assert (page.total, [row.step for row in page.rows]) == (4, [9, 6])
    more = pages.examples(tmp_path, match=False, limit=2, before=page.before)
    assert ([row.step for row in more.rows], more.before) == ([3, 0], None)
    whole = pages.run(tmp_path)
    assert (whole.examples, whole.examples_matching) == (10, 6)


def test_too_many_examples_at_once_are_refused(tmp_path):
    """The size of a page has a bound, and the error says which."""
    examples(tmp_path, 1)
    for limit in (0, 201):
        with pytest.raises(UsageError) as error:
            pages.examples(tmp_path, limit=limit)
        assert "200" in error.value.hint


def test_a_damaged_example_costs_that_example(tmp_path):
    """What is no example is passed over, and a torn last line as well."""
    examples(tmp_path, 3)
    path = next((tmp_path / layout.EXAMPLES).iterdir())
    with path.open("ab") as file:
        file.write(b"{broken\n" + b'{"time":"2026-')
    assert pages.examples(tmp_path).total == 3


def sample(second: float, busy: float | None) -> Sample:
    """A sample of a machine with one GPU, or without."""
    gpus: tuple[Gpu, ...] = ()
    if busy is not None:
        gpus = (
            Gpu(index=0, name="H", busy=busy, used_bytes=2**30, total_bytes=2**34, ours_bytes=0),
        )
    return Sample(time=BEGIN + timedelta(seconds=second), cpus=2.0, gpus=gpus)


def test_strips_have_what_was_measured_and_the_step_then(tmp_path):
    """Each figure that was measured is a strip over time, with the training step at each sample;
    what was never measured has none.
    """
    write_rows(rows_file(tmp_path), [(step * 10, step, {"loss": 1.0}) for step in range(1, 5)])
    folder = tmp_path / layout.TELEMETRY
    folder.mkdir(parents=True)
    rows = [encode_row(sample(0, 0.94)), encode_row(sample(25, 0.0)), encode_row(sample(45, None))]
    (folder / "w.jsonl").write_bytes(b"".join(rows))
    strips = {strip.name: strip for strip in pages.telemetry(tmp_path)}
    assert sorted(strips) == ["CPU", "GPU 0 busy", "GPU 0 memory"]
    busy = strips["GPU 0 busy"]
    assert (busy.unit, busy.value, busy.last) == ("%", [94.0, 0.0], 0.0)
    assert strips["CPU"].step[0] is None
    assert strips["CPU"].step[2] == 4
    assert strips["GPU 0 memory"].value == [1.0, 1.0]


def test_what_was_measured_later_is_asked_for_by_itself(tmp_path):
    """After the second of a sample come those behind it; the last value stays."""
    write_rows(rows_file(tmp_path), [(0, 0, {"loss": 1.0})])
    folder = tmp_path / layout.TELEMETRY
    folder.mkdir(parents=True)
    rows = [encode_row(sample(second, 0.5)) for second in (0, 30, 60)]
    (folder / "w.jsonl").write_bytes(b"".join(rows))
    (whole,) = (one for one in pages.telemetry(tmp_path) if one.name == "CPU")
    (later,) = (one for one in pages.telemetry(tmp_path, after=whole.x[1]) if one.name == "CPU")
    assert (later.x, later.value, later.last) == (whole.x[2:], [2.0], 2.0)
    (none,) = (one for one in pages.telemetry(tmp_path, after=whole.x[2]) if one.name == "CPU")
    assert (none.x, none.step, none.value, none.last) == ([], [], [], 2.0)


def test_a_long_strip_keeps_each_stop(tmp_path):
    """Of more samples than there is room for, the least of each column stays."""
    write_rows(rows_file(tmp_path), [(0, 0, {"loss": 1.0})])
    folder = tmp_path / layout.TELEMETRY
    folder.mkdir(parents=True)
    count = 3 * MOST_VALUES
    values = [0.9] * count
    values[1234] = 0.0
    rows = [encode_row(sample(second, busy)) for second, busy in enumerate(values)]
    (folder / "w.jsonl").write_bytes(b"".join(rows))
    busy = next(strip for strip in pages.telemetry(tmp_path) if strip.name == "GPU 0 busy")
    assert len(busy.value) <= MOST_VALUES
    assert busy.value.count(0.0) == 1


def test_a_stall_is_marked_with_its_length_and_its_stacks(tmp_path):
    """A stall that is over has a length, one that is not has none, and a death names its report."""
    record(tmp_path, [(1, {"loss": 1.0})])
    writer = Writer(tmp_path / layout.JOURNAL, purpose="sidecar")
    since = datetime.now(UTC)
    report = "logs/stall-1.txt"
    writer.write(
        Stalled, since=since, limit_s=60.0, cause="it sleeps", training_step=1, report=report
    )
    writer.write(Advanced, stalled_s=90.0, training_step=2)
    writer.write(Stalled, since=since, limit_s=60.0, cause="it waits", training_step=2)
    page = pages.run(tmp_path)
    stalls = [mark for mark in page.marks if mark.kind == "stall"]
    assert [(mark.duration_s, mark.text, mark.file) for mark in stalls] == [
        (90.0, "it sleeps", report),
        (None, "it waits", ""),
    ]
    sources = [one.source for one in page.evidence if one.what == "stall"]
    assert sources == [report, ""]
    cause = "gone without a word: killed by a signal"
    writer.write(Vanished, pid=1, cause=cause, report="logs/death-1.txt")
    writer.close()
    page = pages.run(tmp_path)
    death = next(mark for mark in page.marks if mark.kind == "death")
    assert (death.text, death.file) == ("gone without a word", "logs/death-1.txt")
    assert all(mark.duration_s is not None for mark in page.marks if mark.kind == "stall")


def test_a_run_that_stalls_is_stalled(tmp_path):
    """While its sidecar sees no advance, a run under way is not called advancing."""
    with wk.start_run(folder=tmp_path, pipeline="t", console=False, sidecar=False) as run:
        run.log(1, loss=1.0)
        writer = Writer(tmp_path / layout.JOURNAL, purpose="sidecar")
        writer.write(Stalled, since=datetime.now(UTC), limit_s=60.0, cause="it sleeps")
        assert pages.run(tmp_path).health == "stalled"
        writer.write(Advanced, stalled_s=90.0)
        assert pages.run(tmp_path).health == "advancing"
        writer.close()


def intended(number: int, resume_from: str = "") -> Attempt:
    """An attempt with what it was given."""
    return Attempt(
        key="one",
        number=number,
        phase="preparation",
        intended=Intended(
            time=datetime.now(UTC),
            writer="w",
            seq=number,
            key="one",
            phase="preparation",
            attempt=number,
            token="t",
            script="s",
            script_sha256="",
            resume_from=resume_from,
        ),
    )


@pytest.mark.parametrize(
    ("resumed", "first"),
    [([""], 1), (["", "ckpt"], 1), (["", "", "ckpt"], 2), (["", "ckpt", ""], 3), ([], 1)],
)
def test_only_attempts_that_the_newest_continues_count(resumed, first):
    """An attempt that resumed nothing began the work: what came before is not its own."""
    attempts = {number: intended(number, path) for number, path in enumerate(resumed, 1)}
    run = RunState(key="one", attempts=attempts)
    assert first_that_counts(run) == first


def test_a_failed_job_shows_its_traceback_and_what_to_type(tmp_path):
    """The end of its error output, its cause, how many jobs wait in vain, and the command."""
    body = "python3 -c 'raise MemoryError' || exit 1"
    folder = write_experiment(tmp_path / "exp", body=body, epochs=(0, 1))
    keep(folder, FakeScheduler())
    page = pages.run(folder, "one", "exp/one")
    assert (page.standing, page.attempts[-1].standing) == ("failed", "failed")
    failure = page.failure
    assert failure is not None
    assert failure.traceback[-1] == "MemoryError"
    assert failure.cause == "MemoryError"
    assert failure.blocks == 2
    assert failure.command == f"watchkeeper run {folder} --retry-failed"


def test_a_persons_lines_of_a_run_log_are_marked(tmp_path):
    """The lines of a run log that a person wrote are marked, and no others."""
    folder = write_experiment(tmp_path / "exp")
    keep(folder, FakeScheduler())
    before = pages.text(folder, "one", "run-log", tail=500)
    assert not any(line.is_person for line in before.lines)
    log = next((folder / "run_logs").glob("*_one.md"))
    with log.open("a") as file:
        file.write("The spike at 5,200 is the bad shard again.\n")
    after = pages.text(folder, "one", "run-log", tail=500)
    assert [line.text for line in after.lines if line.is_person] == [
        "The spike at 5,200 is the bad shard again."
    ]


def test_a_value_that_a_person_changed_is_the_persons(tmp_path):
    """A field of a run log with another value than the machine wrote is marked."""
    folder = write_experiment(tmp_path / "exp")
    keep(folder, FakeScheduler())
    log = next((folder / "run_logs").glob("*_one.md"))
    log.write_text(log.read_text().replace("- notes: n/a", "- notes: see the other run"))
    lines = pages.text(folder, "one", "run-log", tail=500).lines
    assert [line.text for line in lines if line.is_person] == ["- notes: see the other run"]
