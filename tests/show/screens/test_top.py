"""The picture of `top`, and a run that was opened in it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.show.screens.lines import live, picture, plain
from tests.show.screens.night import NOW, happened, losses, opened_run, overview
from tests.show.screens.test_pictures import names
from watchkeeper.query.views.pages import Reading
from watchkeeper.query.views.recent import Happened
from watchkeeper.query.views.shared import Progress
from watchkeeper.show.listing.screen import Screen
from watchkeeper.show.screens.braille import Canvas, Scale
from watchkeeper.show.screens.opened import opened_lines
from watchkeeper.show.screens.top import TopPicture, top_lines
from watchkeeper.show.text import width

CURVES = {
    80: ("█▇▅▄▃▃▂▁▁▁", "█▇▅▄▃▂▁▁▁▁", "█▆▅▄▃▂▁▁▁▁"),
    120: ("██▇▆▆▅▄▄▄▃▃▂▂▂▂▁▁▁▁▁", "█▇▇▆▅▄▄▃▃▂▂▂▂▁▁▁▁▁▁▁", "██▆▆▅▄▄▃▃▂▂▂▂▁▁▁▁▁▁▁"),
}


def top(columns: int, **changes) -> list[str]:
    """The picture at a width, without colours."""
    night = overview(CURVES.get(columns, CURVES[80]))
    shown = TopPicture(overview=night, rows=night.running, happened=happened())
    return plain(top_lines(msgspec.structs.replace(shown, **changes), live(columns), NOW))


@pytest.mark.parametrize("columns", [80, 120])
def test_top_is_drawn_as_its_picture(columns):
    """Counts and time, what runs, what happened, and the keys, to the character."""
    assert top(columns) == picture(f"top-{columns}")


def test_top_on_a_phone_keeps_name_step_loss_and_end():
    """Sparkline, bar, experiment and rate are gone, and a late end is still marked."""
    lines = top(40)
    assert lines[2].split() == ["run", "step", "loss", "left"]
    assert lines[4].split() == ["r16_lr1e-3", "1,072/9,000", "0.560", "!16h"]
    assert "06:05  ✗ …_lr2e-4/reversal/epoch1 failed" in lines
    assert lines[-1] == "↑↓ choose  ⏎ open  ? keys  q quit"
    assert max(map(width, lines)) <= 40


def test_top_says_how_much_has_been_read():
    """What is shown before everything was read is not taken for all there is."""
    night = msgspec.structs.replace(overview(), reading=Reading(done=1_234, total=5_000))
    assert "1,234 of 5,000 read" in top(80, overview=night)[0]
    assert "read" not in top(80)[0]


@pytest.mark.parametrize("height", [8, 10, 14, 30])
def test_top_fits_into_the_height_of_the_window(height):
    """Of many runs those around the chosen one are shown, and the keys stay below them."""
    night = overview()
    rows = [msgspec.structs.replace(night.running[0], key=f"run{number}") for number in range(50)]
    lines = top(80, rows=rows, height=height, chosen=30)
    assert len(lines) <= height
    assert any(line.startswith("run30 ") for line in lines)
    assert lines[-1].endswith("q quit")


def test_a_run_that_is_not_well_says_so_in_the_place_of_its_end():
    """An end that was computed before it stalled is not shown."""
    (row, *_) = overview().running
    lines = top(80, rows=[msgspec.structs.replace(row, health="stalled")])
    assert lines[3].endswith("!stalled")


def test_the_chosen_run_is_marked_without_a_colour():
    """It stands in reverse."""
    night = overview()
    shown = TopPicture(overview=night, rows=night.running, chosen=1)
    lines = top_lines(shown, Screen(width=80, is_utf8=True), NOW)
    assert lines[4].startswith("\x1b[7mr16_lr1e-3") and lines[4].endswith("\x1b[27m")


@given(name=names, columns=st.integers(20, 130), height=st.integers(4, 40))
def test_no_line_of_top_is_wider_or_lower_than_the_window(name, columns, height):
    """Whatever a run or an error is called."""
    night = overview()
    replace = msgspec.structs.replace
    rows = [replace(row, key=name, experiment=name) for row in night.running]
    events = [Happened(name, one.event) for one in happened()]
    shown = TopPicture(
        overview=replace(night, name=name), rows=rows, happened=events, height=height, filter=name
    )
    lines = plain(top_lines(shown, live(columns), NOW))
    assert all(width(line) <= columns for line in lines)


def test_an_opened_run_shows_its_curve_and_its_marks():
    """The loss from its greatest to its least value, the axis to the last step that is planned, and
    below it where an attempt began and how long it stalled.
    """
    assert plain(opened_lines(opened_run(), losses(), live(80), NOW)) == picture("opened-80")


def test_an_opened_run_fits_a_phone():
    """At 40 columns and 24 lines nothing is wider, and the newest figures are there."""
    lines = plain(opened_lines(opened_run(), losses(), live(40), NOW, 24))
    assert max(map(width, lines)) <= 40 and len(lines) <= 24
    assert "train 0.468" in " ".join(lines)


def test_an_opened_run_without_figures_says_what_it_is():
    """Nothing is drawn of what was not recorded, and no step is shown as 0."""
    bare = opened_run(
        progress=Progress(), metrics=[], checkpoints=[], examples=0, best=None, marks=[]
    )
    empty = msgspec.structs.replace(losses(), lines=[])
    lines = plain(opened_lines(bare, empty, live(80), NOW))
    assert lines[0].startswith("sft_r16   running   attempt 2 of 2")
    assert not any("step" in line or "⠉" in line for line in lines)


def test_a_line_is_drawn_without_holes():
    """Between two neighbours each row of dots is set."""
    canvas = Canvas(1, 2)
    canvas.line([(0, 0), (0, 7)])
    assert [canvas.pieces(row) for row in (0, 1)] == [[("⡇", "")], [("⡇", "")]]


def test_a_line_breaks_where_a_value_is_missing():
    """Nothing is drawn across a gap."""
    canvas = Canvas(3, 1)
    canvas.line([(0, 0), None, (5, 0)])
    assert canvas.pieces(0) == [("⠁ ⠈", "")]


@given(
    least=st.floats(allow_nan=False, allow_infinity=False),
    most=st.floats(allow_nan=False, allow_infinity=False),
    rows=st.integers(4, 20),
)
def test_any_two_values_make_a_scale(least, most, rows):
    """Each value has a row of dots within the chart, and each label a row of characters."""
    least, most = sorted((least, most))
    scale = Scale(least, most, rows)
    assert all(0 <= scale.dot(value) < 4 * rows for value in (least, most))
    assert all(0 <= row < rows for row in scale.labels())
