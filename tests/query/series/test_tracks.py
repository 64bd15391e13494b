"""What is kept of a file of rows: blocks against its values, and the cache against the file."""

from __future__ import annotations

import math
import os
import random
import shutil
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.query.series.recorded import line_of, losses, read, rows_file, write_rows
from watchkeeper.query.series import line, shelf, track, tracks
from watchkeeper.query.series.figures import figure_of
from watchkeeper.query.series.shelf import Shelf
from watchkeeper.query.series.track import At
from watchkeeper.query.series.tracks import FileTracks, load, place_of, read_tracks
from watchkeeper.query.views.charts import Chart, series_of

FIGURES = st.lists(
    st.floats(-1000, 1000) | st.sampled_from([math.nan, math.inf, "a word", None]), max_size=80
)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """A cache of its own, which keeps short files too."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setattr(tracks, "KEPT_BYTES", 1)
    return folder


@pytest.fixture
def blocks_only(monkeypatch):
    """Blocks of four values, of which no other copy is kept: as of a run of a million rows."""
    monkeypatch.setattr(track, "BLOCK_ROWS", 4)
    monkeypatch.setattr(track, "MOST_RAW", 0)
    monkeypatch.setattr(line, "MOST_READ", 0)


def figures_of(file: FileTracks) -> dict[str, list[list[str]]]:
    """All blocks, so that NaN equals NaN."""
    return {
        metric: [list(map(repr, one.block(number))) for number in range(len(one))]
        for metric, one in file.tracks.items()
    }


@given(figures=FIGURES, cuts=st.lists(st.integers(0, 80), max_size=3))
def test_a_file_that_grew_is_as_one_that_was_read_at_once(figures, cuts):
    """Whatever the looks at a growing file were, its blocks count every number once, and hold the
    extremes of exactly these.
    """
    rows = losses(figures)
    with TemporaryDirectory() as folder:
        path = rows_file(Path(folder))
        path.touch()
        known = None
        begin = 0
        for end in [*sorted(cuts), len(rows)]:
            write_rows(path, rows[begin:end])
            begin = max(begin, end)
            known = read_tracks(path, known)
        whole = read_tracks(path)
    assert known is not None
    assert known.rows == whole.rows == len(rows)
    numbers = [figure for figure in figures if isinstance(figure, float)]
    finite = [figure for figure in numbers if math.isfinite(figure)]
    for one in (known.tracks.get("loss"), whole.tracks.get("loss")):
        assert (one.rows if one else 0) == len(numbers)
        if finite:
            assert one is not None
            lows = [low for low in one.column(At.LOW) if not math.isnan(low)]
            highs = [high for high in one.column(At.HIGH) if not math.isnan(high)]
            assert (min(lows), max(highs)) == (min(finite), max(finite))
            assert sum(one.column(At.BAD)) == len(numbers) - len(finite)


def test_what_the_cache_has_is_what_was_read(tmp_path):
    """Another process that finds the cache sees the same blocks, and reads only what was added."""
    path = rows_file(tmp_path)
    write_rows(path, losses([float(step % 9) for step in range(600)]))
    first = read_tracks(path)
    kept = load(path)
    assert kept is not None
    assert figures_of(kept) == figures_of(first)
    assert (kept.rows, kept.offset) == (600, path.stat().st_size)
    write_rows(path, losses([5.0] * 10))
    assert read_tracks(path, kept).rows == 610


def damage(path: Path, cache: Path) -> None:
    cache.write_bytes(cache.read_bytes()[:-1] + b"?")


def cut_short(path: Path, cache: Path) -> None:
    cache.write_bytes(cache.read_bytes()[:40])


def replace_file(path: Path, cache: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.replace(path)


def rewrite_first_line(path: Path, cache: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"loss":0.0', b'"loss":7.0', 1))


def rewrite_end(path: Path, cache: Path) -> None:
    data = path.read_bytes()
    at = data.rindex(b'"loss":') + 7
    path.write_bytes(data[:at] + b"8" + data[at + 1 :])


def truncate(path: Path, cache: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\n", 300) + 1])


def open_to_others(path: Path, cache: Path) -> None:
    cache.chmod(0o666)


@pytest.mark.parametrize(
    "change",
    [
        damage,
        cut_short,
        replace_file,
        rewrite_first_line,
        rewrite_end,
        truncate,
        open_to_others,
    ],
)
def test_in_doubt_a_file_is_read_again(tmp_path, change):
    """A cache that is damaged, may be another's, or is of other bytes than lie there counts for
    nothing.
    """
    path = rows_file(tmp_path)
    write_rows(path, losses([float(step % 9) for step in range(100)]))
    before = read_tracks(path)
    assert load(path) is not None
    change(path, place_of(path))
    assert load(path) is None
    if path.read_bytes() == b"":
        return
    fresh = FileTracks(path)
    fresh.grow()
    assert figures_of(read_tracks(path, before)) == figures_of(fresh)


def test_without_a_place_for_the_cache_nothing_is_lost(tmp_path, monkeypatch):
    """Where the cache folder cannot be written, curves are the same."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "below"))
    write_rows(rows_file(tmp_path), losses([1.0, 2.0, 3.0]))
    assert line_of(tmp_path).min == [1.0, 2.0, 3.0]


def test_a_torn_last_line_waits_for_its_end(tmp_path):
    """Half a row is no row and no damage; when the rest comes it counts once."""
    path = rows_file(tmp_path)
    write_rows(path, losses([1.0, 2.0]))
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    known = read_tracks(path)
    assert (known.rows, known.is_damaged) == (1, False)
    with path.open("ab") as file:
        file.write(data[-10:])
    again = read_tracks(path, known)
    assert (again.rows, again.is_damaged) == (2, False)


def test_a_hole_is_read_over_and_never_kept(tmp_path):
    """A row behind a hole of NULs counts; a file with a hole, which may still be filled, is read
    anew when it changes.
    """
    path = rows_file(tmp_path)
    write_rows(path, losses([1.0]))
    first = path.read_bytes()
    with path.open("ab") as file:
        file.write(b"\0" * len(first))
    write_rows(path, losses([3.0]))
    known = read_tracks(path)
    assert (known.rows, known.is_damaged) == (2, True)
    assert load(path) is None
    with path.open("r+b") as file:
        file.seek(len(first))
        file.write(first.replace(b"1.0", b"2.0"))
    os.utime(path, ns=(1, 1))
    assert read_tracks(path, known).rows == 3


def test_a_number_beyond_all_floats_costs_no_row(tmp_path):
    """An integer of a thousand digits is infinite in a curve, and its row is read."""
    path = rows_file(tmp_path)
    write_rows(path, losses([1.0]))
    with path.open("ab") as file:
        file.write(b'{"time":"2026-11-27T04:20:02Z","step":1,"loss":1' + b"0" * 400 + b"}\n")
    assert line_of(tmp_path).bad == [1]


@pytest.mark.usefixtures("blocks_only")
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 200), width=st.sampled_from([2, 10, 25, 50]))
def test_no_outlier_is_lost_in_blocks(seed, rows, width):
    """Of a run of which only blocks are known, the column over each planted outlier reaches as far
    as that.
    """
    source = random.Random(seed)
    figures = [source.random() for _ in range(rows)]
    planted = source.sample(range(rows), min(rows, 5))
    for place in planted:
        figures[place] = source.choice([-1, 1]) * (10.0 + place)
    with TemporaryDirectory() as folder:
        write_rows(rows_file(Path(folder)), losses(figures))
        shown = line_of(Path(folder), width=width, smoothing=0)
    assert sum(shown.n) == rows
    for place in planted:
        column = next(number for number, x in enumerate(shown.x) if x >= place)
        assert shown.min[column] <= figures[place] <= shown.max[column]


@pytest.mark.usefixtures("blocks_only")
@given(
    figures=st.lists(st.floats(-100, 100).map(lambda value: round(value, 2)), max_size=60),
    smoothing=st.sampled_from([0.0, 0.5, 0.9]),
    cut=st.integers(0, 60),
)
def test_a_zoom_into_blocks_is_a_zoom_into_values(figures, smoothing, cut):
    """Blocks that a range cuts through are read again, and continue the same smoothed line."""
    with TemporaryDirectory() as folder:
        run = Path(folder)
        write_rows(rows_file(run), losses([0.0, *figures, 0.0]))
        shelf_of_blocks = Shelf()
        rows = read(run, shelf_of_blocks)
        asked = {"begin": cut, "end": cut + 7, "width": 2000, "smoothing": smoothing}
        by_blocks = series_of(rows, Chart(metrics=["loss"], **asked))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(track, "MOST_RAW", 10**6)
            patch.setenv("XDG_CACHE_HOME", str(run / "empty"))
            by_values = series_of(read(run), Chart(metrics=["loss"], **asked))
    for one, other in zip(by_blocks.lines, by_values.lines, strict=True):
        assert (one.x, one.min, one.n) == (other.x, other.min, other.n)
        assert one.smooth == pytest.approx(other.smooth, rel=1e-6, abs=1e-6)


@pytest.mark.usefixtures("blocks_only")
def test_figures_of_blocks_are_those_of_the_values(tmp_path):
    """The last value may be NaN; the least and the greatest are finite, each with its step."""
    write_rows(rows_file(tmp_path), losses([3.0, math.inf, -1.0, 9.0, 4.0, math.nan]))
    figure = figure_of(read(tmp_path), "loss")
    assert (figure.rows, figure.low, figure.high) == (6, (2, -1.0), (3, 9.0))
    assert figure.last is not None
    assert figure.last[0] == 5 and math.isnan(figure.last[1])


def test_ten_thousand_metrics_are_read(tmp_path):
    """A row with ten thousand metrics has a track for each."""
    metrics = {f"layer{number}/norm": float(number) for number in range(10_000)}
    write_rows(rows_file(tmp_path), [(0, 0, metrics), (1, 1, metrics)])
    run = read(tmp_path)
    assert len(run.metrics) == 10_000
    assert figure_of(run, "layer777/norm").last == (1, 777.0)


def test_names_that_json_escapes_are_read(tmp_path):
    """A metric may be called anything, also with quotes, and zooms read it as well."""
    name = 'a "quoted"\\name\n'
    rows = [(step, step, {name: float(step), "loss": 0.0}) for step in range(3)]
    write_rows(rows_file(tmp_path), rows)
    lines = series_of(read(tmp_path), Chart(metrics=[name])).lines
    assert [line.min for line in lines] == [[0.0, 1.0, 2.0]]


def test_of_a_long_file_the_end_is_shown_until_it_is_read(tmp_path, monkeypatch):
    """Who does not wait sees the last rows, marked as not whole; once it was read, all of them."""
    monkeypatch.setattr(shelf, "QUICK_BYTES", 1_000)
    monkeypatch.setattr(shelf, "LAST_ROWS", 50)
    monkeypatch.setattr(track, "MOST_RAW", 0)
    monkeypatch.setattr(line, "MOST_READ", 0)
    write_rows(rows_file(tmp_path), losses([float(step) for step in range(5_000)]))
    one = Shelf()
    soon = read(tmp_path, one, waits=False)
    assert not soon.is_whole
    shown = series_of(soon, Chart(metrics=["loss"])).lines[0]
    assert shown.x[-1] == 4_999
    assert 25 <= sum(shown.n) <= 100
    smooth = series_of(soon, Chart(metrics=["loss"], smoothing=0.5)).lines[0].smooth
    assert smooth[-1] == pytest.approx(4_998, abs=0.01)
    assert read(tmp_path, one, waits=True).rows == 5_000
    later = read(tmp_path, one, waits=False)
    assert (later.is_whole, later.rows) == (True, 5_000)


def test_a_file_that_another_thread_reads_is_not_waited_for(tmp_path):
    """While one thread reads a file, another gets its end at once."""
    path = rows_file(tmp_path)
    write_rows(path, losses([1.0, 2.0]))
    one = Shelf()
    with one._lock_of(path):
        seen: list[bool] = []
        asking = threading.Thread(target=lambda: seen.append(one.look(path, waits=False).is_whole))
        asking.start()
        asking.join()
    assert seen == [False]


def test_a_shelf_keeps_no_more_than_it_may(tmp_path):
    """What was used longest ago leaves a full shelf; what is asked for again is read again."""
    small = Shelf(most_figures=100)
    for number in range(3):
        path = rows_file(tmp_path / str(number))
        write_rows(path, losses([float(number)] * 20))
        assert small.look(path, waits=True).file.rows == 20
    assert len(small._files) == 1
    assert read(tmp_path / "0", small).rows == 20
