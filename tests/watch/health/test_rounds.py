"""The rounds of the watch: what is recorded of a job that is not well, how often, by whom."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from tests.experiments import blocks_of, state_of, wk, write_experiment
from tests.watch.test_keeper import Time, keeper
from watchkeeper.core import journal
from watchkeeper.core.events import Assessed
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.watch.health.judge import ALARMS, Limits
from watchkeeper.watch.health.rounds import Rounds

WAITS = "until [ -e {go} ]; do sleep 0.02; done"


def assessed(folder: Path) -> list[Assessed]:
    """All that was written down of health, in order of time."""
    events = [
        e for found in journal.read(folder / ".watchkeeper/journal").events.values() for e in found
    ]
    return sorted(
        (event for event in events if isinstance(event, Assessed)), key=lambda event: event.time
    )


def test_an_alarm_is_raised_once_whoever_watches(tmp_path: Path) -> None:
    """A job that prints nothing is silent once, however often it is looked at, also by the next
    watcher.
    """
    go = tmp_path / "go"
    folder = write_experiment(tmp_path / "exp", tasks=(), body=WAITS.format(go=go))
    fake, time, turns = FakeScheduler(), Time(), iter(range(1000))

    def turned(one) -> None:
        turn = next(turns)
        if turn == 0:
            fake.start("1")
        time.now += 700.0 if turn == 3 else 1.0
        if turn == 10:
            one.ask_to_leave("the test")

    assert not keeper(folder, fake, turned, time).keep()
    (alarm,) = assessed(folder)
    assert (alarm.health, alarm.alarm, alarm.step, alarm.errors) == ("silent", "raised", None, ())
    assert "printed and recorded nothing (limit 600 s)" in alarm.why
    assert [Path(one.source).name for one in alarm.evidence] == ["slurm-1.out", "one"]
    assert state_of(folder).run("one").attempts[1].assessed == alarm
    told = [block for block in blocks_of(folder, "run-training.log") if block.action == "HEALTH"]
    assert [(block.subject, block.result.partition(":")[0]) for block in told] == [
        ("one", "SILENT")
    ]

    later = iter(range(1000))

    def turned_again(one) -> None:
        if next(later) == 5:
            go.touch()

    assert keeper(folder, fake, turned_again).keep()
    assert assessed(folder) == [alarm]


def test_only_what_matters_is_written_down(tmp_path: Path) -> None:
    """Of a hundred looks at a job that advances, those at its start and after each tenth of its
    steps; and one an hour.
    """
    folder = write_experiment(tmp_path / "exp", tasks=(), body=WAITS.format(go=tmp_path / "go"))
    fake, time, written, looks = FakeScheduler(), Time(), [], iter(range(1000))
    one = keeper(
        folder,
        fake,
        lambda one: fake.start("1") if next(looks) == 0 else one.ask_to_leave("the test"),
    )
    assert not one.keep()
    output = next((folder / "one").glob("slurm-1.out"))
    rounds = Rounds(folder, Limits(), lambda **fields: written.append(fields), monotonic=time)
    for step in range(100):
        with output.open("a") as file:
            file.write(f"step {step}/200 loss 2.5\n")
        time.now += 1.0
        rounds.make(state_of(folder))
    assert [fields["step"] for fields in written] == [0, 20, 40, 60, 80]
    assert {fields["health"] for fields in written} == {"advancing"} and not any(
        fields["alarm"] for fields in written
    )
    time.now += 599.0
    rounds.make(state_of(folder))
    assert len(written) == 5
    time.now += 10.0
    rounds.make(state_of(folder))
    rounds.make(state_of(folder))
    assert [(fields["health"], fields["alarm"]) for fields in written[5:]] == [
        ("stalled", "raised")
    ]
    with output.open("a") as file:
        file.write("step 100/200 loss 2.5\n")
    rounds.make(state_of(folder))
    assert [(fields["health"], fields["alarm"]) for fields in written[6:]] == [
        ("advancing", "over")
    ]
    (tmp_path / "go").touch()
    fake.wait("1")


# It goes on only when it has been told of its own stall.
STALLS = """printf 'step %d/10 loss 2.5\\n' 1 2 3 4 5
until [ -e {go} ]; do sleep 0.05; done"""
NOTIFY = """#!/bin/bash
cat >> {root}/told.jsonl && echo >> {root}/told.jsonl
echo "$WATCHKEEPER_NOTIFICATION|$1" >> {root}/lines
touch {root}/go
"""


def test_a_real_job_that_stalls_is_told_on_the_terminal_and_by_the_command(tmp_path: Path) -> None:
    """The alarm reaches terminal and the command of `notify`, which here lets the job go on; then
    the end is notified.
    """
    folder = write_experiment(tmp_path / "exp", tasks=(), body=STALLS.format(go=tmp_path / "go"))
    notify = tmp_path / "notify"
    notify.write_text(NOTIFY.format(root=tmp_path))
    notify.chmod(0o755)
    (folder / "watchkeeper.toml").write_text(
        f'stall_s = 1\nsilent_s = 60\npoll_s = 0.2\nnotify = "{notify}"\n'
    )
    done = wk("run", folder, state=tmp_path / "state")
    assert done.returncode == 0, done.stderr
    (alarm,) = [event for event in assessed(folder) if event.health in ALARMS]
    assert (alarm.health, alarm.alarm, alarm.step, alarm.total, alarm.loss) == (
        "stalled",
        "raised",
        5,
        10,
        2.5,
    )
    assert "no step since step 5/10" in alarm.why and "1 s, as set" in alarm.why
    assert "HEALTH" in done.stderr and "STALLED: no step since step 5/10" in done.stderr
    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert [one["what"] for one in told] == ["alarm", "complete"]
    assert told[0]["event"]["health"] == "stalled" and told[0]["experiment"] == "exp"
    first = (tmp_path / "lines").read_text().splitlines()[0]
    assert first == f"{told[0]['line']}|{told[0]['line']}" and first.startswith(
        "exp: one: STALLED: no step since step 5/10"
    )
    assert (
        msgspec.json.decode(wk("status", folder, "--json", state=tmp_path / "state").stdout)[
            "data"
        ]["rows"][0]["health"]
        is None
    )


def test_status_shows_the_last_word_on_a_job_that_runs(tmp_path: Path) -> None:
    """`status` and `status --json` say how a running job is, and why an ill one is, without asking
    any scheduler.
    """
    go = tmp_path / "go"
    folder = write_experiment(tmp_path / "exp", tasks=(), body=WAITS.format(go=go))
    fake, time, turns = FakeScheduler(), Time(), iter(range(1000))

    def turned(one) -> None:
        turn = next(turns)
        if turn == 0:
            fake.start("1")
        time.now += 700.0
        if turn == 3:
            one.ask_to_leave("the test")

    keeper(folder, fake, turned, time).keep()
    (row,) = json.loads(wk("status", folder, "--json", state=tmp_path / "state").stdout)["data"][
        "rows"
    ]
    assert row["health"] == "silent" and "printed and recorded nothing" in row["health_why"]
    text = wk("status", folder, state=tmp_path / "state").stdout
    assert "! silent" in text and "! one silent: it has run for" in text
    go.touch()
    fake.wait("1")
