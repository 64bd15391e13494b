"""The pictures of `ls` and `status` in a terminal."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.show.screens.lines import live, picture, plain
from tests.show.screens.night import NOW, experiment, overview
from watchkeeper.query.views.pages import Experiment, Overview, Reading
from watchkeeper.query.views.shared import Need, Watcher
from watchkeeper.show.listing.screen import Screen
from watchkeeper.show.screens.experiment import experiment_lines
from watchkeeper.show.screens.overview import overview_lines
from watchkeeper.show.text import width

CURVES = {
    80: ("█▆▄▃▂▁▁▁", "█▆▄▃▂▁▁▁"),
    120: ("█▇▆▅▄▄▃▂▂▂▁▁▁▁▁▁", "█▇▆▅▄▄▃▃▂▂▁▁▁▁▁▁"),
}
# Names as people and jobs may write them: wide, without width, right to left, and with orders to
# the terminal.
NASTY = ("ra\u0301n", "学習率", "🚀run", "\x1b[31mred\x1b[0m", "\u202eabc", "a\nb\tc", "x" * 90)
names = st.sampled_from(NASTY) | st.text(max_size=120)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_overview_is_drawn_as_its_picture(columns):
    """Counts, needs with their causes once, and a line for each place, to the character."""
    lines = overview_lines(overview(), live(columns), NOW)
    assert plain(lines) == picture(f"ls-{columns}")


@pytest.mark.parametrize("columns", [80, 120])
def test_an_experiment_is_drawn_as_its_picture(columns):
    """Counts, needs, the matrix of evaluations and what runs, to the character."""
    lines = experiment_lines(experiment(CURVES[columns]), live(columns), NOW)
    assert plain(lines) == picture(f"status-{columns}")


def test_a_phone_gets_everything_that_matters():
    """At 40 columns nothing is cut: text continues on the next line, tasks in a further table."""
    lines = plain(experiment_lines(experiment(), live(40), NOW))
    text = " ".join(" ".join(lines).split())
    assert "ModuleNotFoundError: No module named 'safetensors'" in text
    assert "wk run cap_rank goes on from here" in text
    assert "…" not in text
    assert lines.count("r4_lr2e-4   ✓          0.70  0.71") == 1
    assert lines.count("r4_lr2e-4   0.37  0.37  ✗     ✗") == 1
    assert max(map(len, lines)) <= 40


def test_what_is_not_a_terminal_gets_whole_lines_of_ascii():
    """No bar, no sparkline, no colour, and the glyphs of ASCII."""
    lines = [
        *overview_lines(overview(), Screen(), NOW),
        *experiment_lines(experiment(), Screen(), NOW),
    ]
    text = "\n".join(lines)
    assert text.isascii()
    assert "x 6 evaluations failed" in text
    assert "v 6 min" in text and "> 12 %, 129 min" in text and "- control run" in text
    assert "\x1b" not in text


def test_columns_go_in_a_fixed_order_where_there_is_no_room():
    """Sparkline, bar, then rate: step, loss and end stay."""
    headers = {}
    for columns in (80, 70, 60, 40):
        lines = plain(experiment_lines(experiment(CURVES[80]), live(columns), NOW))
        headers[columns] = next(line for line in lines if line.startswith("running ")).split()
    whole = ["running", "health", "step", "loss", "rate", "ends", "in"]
    assert headers[80] == headers[70] == headers[60] == whole
    assert headers[40] == ["running", "step", "loss", "ends", "in"]


def test_a_count_that_may_grow_says_so():
    """While journals are still read, the counts are a lower bound."""
    half = msgspec.structs.replace(overview(), reading=Reading(done=20, total=53))
    assert overview_lines(half, Screen(), NOW)[0].endswith("110 done (20 of 53 read)")
    assert "at least" in overview_lines(half, Screen(), NOW)[0]


def test_too_much_is_counted_and_not_shown():
    """Of 25 needs and 300 places 20 and 200 are shown, and the rest is a number."""
    night = overview()
    many = msgspec.structs.replace(night, needs=night.needs[:1] * 25, places=night.places[:1] * 300)
    lines = overview_lines(many, Screen(), NOW)
    assert "and 5 more: add --json --limit 0" in lines
    assert "and 100 more: add --json --limit 0" in lines


@given(name=names, columns=st.integers(20, 130))
def test_no_line_of_the_overview_is_wider_than_the_terminal(name, columns):
    """Whatever a place, a cause or a note is called."""
    lines = overview_lines(_renamed_overview(name), live(columns), NOW)
    assert all(width(line) <= columns for line in plain(lines))


@given(name=names, columns=st.integers(20, 130))
def test_no_line_of_an_experiment_is_wider_than_the_terminal(name, columns):
    """Whatever a run, a setting, a task or an error is called."""
    lines = experiment_lines(_renamed_experiment(name), live(columns), NOW)
    assert all(width(line) <= columns for line in plain(lines))


def _renamed_overview(name: str) -> Overview:
    night = overview()
    replace = msgspec.structs.replace
    needs = [replace(need, line=name, cause=name, experiment=name) for need in night.needs]
    places = [replace(place, name=name, note=name, tags=(name,)) for place in night.places]
    return replace(night, name=name, needs=needs, places=places)


def _renamed_experiment(name: str) -> Experiment:
    whole = experiment()
    replace = msgspec.structs.replace
    needs = [replace(need, line=name, cause=name, why=name) for need in whole.needs]
    tasks = [replace(task, name=name + task.name) for task in whole.tasks]
    runs = [replace(run, name=name + run.name, settings={name: name}) for run in whole.runs]
    rows = [
        replace(row, run=name + row.run, task=row.task and name + row.task) for row in whole.rows
    ]
    running = [replace(row, key=name) for row in whole.running]
    return replace(
        whole, name=name, needs=needs, tasks=tasks, runs=runs, rows=rows, running=running,
        settings=[name], watcher=Watcher(process=1, host=name, alive=True),
    )  # fmt: skip


def test_an_order_to_the_terminal_is_shown_and_not_given():
    """Text from a job reaches the terminal as escapes."""
    need = Need(kind="failed", count=1, line="1 run failed", cause="\x1b[2Jboom", experiment="e")
    night = msgspec.structs.replace(overview(), needs=[need])
    assert "\\x1b[2Jboom" in "\n".join(overview_lines(night, Screen(), NOW))


def test_of_a_large_array_the_tasks_that_are_not_done_are_shown():
    """The table is bounded: tasks that are done make way, and a line says how many."""
    whole = experiment()
    (array,) = [row for row in whole.rows if row.key == "r4_lr2e-4"]
    tasks = [
        msgspec.structs.replace(array, key=f"{array.key}[{number}]", standing="done")
        for number in range(1001)
    ]
    tasks[990] = msgspec.structs.replace(tasks[990], standing="failed")
    alone = msgspec.structs.replace(whole, tasks=[], rows=[array], array_tasks=tasks, running=[])
    text = "\n".join(experiment_lines(alone, Screen(), NOW))
    assert f"{array.key}[990]" in text and f"{array.key}[18]" in text
    assert f"{array.key}[19]" not in text
    assert "and 981 more jobs" in text


def test_why_the_scheduler_lets_jobs_wait_is_said_once():
    """Jobs with one reason are one line."""
    whole = experiment()
    rows = [
        msgspec.structs.replace(row, standing="to do", state="PENDING", why="held by its user")
        for row in whole.rows
    ]
    lines = experiment_lines(msgspec.structs.replace(whole, rows=rows), Screen(), NOW)
    waits = [line for line in lines if "held by its user" in line]
    assert waits == [f"o r4_lr2e-4 and {len(rows) - 1} more: PENDING: held by its user"]
