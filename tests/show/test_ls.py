"""`watchkeeper ls`."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest
from click.testing import CliRunner

import watchkeeper as wk
from watchkeeper.core import layout
from watchkeeper.core.errors import EXIT_OK, EXIT_USAGE
from watchkeeper.show.cli import main


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def ls(*words):
    """The command's result."""
    return CliRunner().invoke(main, ["ls", *(str(word) for word in words)])


def record(folder, rows=({"loss": 0.5},), **options):
    """A recorded run with these rows, from step 1 on."""
    options = {"pipeline": "training", "console": False, "sidecar": False} | options
    with wk.start_run(folder=folder, **options) as run:
        for step, metrics in enumerate(rows, 1):
            run.log(step, **metrics)


@pytest.fixture
def sweep(tmp_path):
    """Three runs, the oldest first: `a`, `b` and `c`, and beside them a run elsewhere."""
    losses = {"a": [3.0, 0.5, 0.75], "b": [2.0, 0.25], "c": [4.0, 1.5]}
    for number, (name, values) in enumerate(losses.items()):
        rows = [{"loss": value, "reward_scale": number} for value in values]
        config = {"lr": 10.0**-number, "opt": "adam", "model": {"rank": 8 * number}}
        tags = ["sweep", *(["best"] if name == "b" else [])]
        record(tmp_path / "sweep" / name, rows, config=config, tags=tags)
    return tmp_path / "sweep"


def names(*words):
    """The names of the runs that are listed, in their order."""
    result = ls(*words, "--json", "--limit", 0)
    assert result.exit_code == EXIT_OK, result.output
    return [run["run"] for run in json.loads(result.stdout)["data"]["runs"]]


def test_runs_are_listed_newest_first_with_what_differs(sweep):
    """A line each: state, the settings that are not the same, last and best of a metric whose name
    says which is better, and tags.
    """
    noted = CliRunner().invoke(main, ["note", str(sweep / "b"), "the good one"])
    assert noted.exit_code == EXIT_OK
    result = ls(sweep)
    assert result.exit_code == EXIT_OK and "3 runs, newest first: 3 finished" in result.stdout
    header, _, *lines = result.stdout.splitlines()[2:]
    assert header.split() == [
        *("run", "state", "started", "lr", "model.rank"),
        *("loss", "best", "reward_scale", "tags", "note"),
    ]
    assert [line.split()[0] for line in lines] == ["c", "b", "a"]
    assert lines[1].split()[:2] == ["b", "finished"]
    assert lines[1].endswith("  best, sweep  the good one")
    assert lines[1].split()[-8:-5] == ["0.25", "0.25", "1"]
    assert lines[2].split()[-4:] == ["0.75", "0.50", "0", "sweep"]


def test_a_metric_of_unknown_direction_has_no_best(sweep):
    """Nobody is told that more of it is better."""
    run = json.loads(ls(sweep, "--json", "--limit", 0).stdout)["data"]["runs"][-1]
    assert run["metrics"]["reward_scale"]["best"] is None
    loss = run["metrics"]["loss"]
    assert (loss["last"], loss["last_step"], loss["best"], loss["best_step"]) == (0.75, 3, 0.5, 2)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--where", "lr<0.5"], ["c", "b"]),
        (["--where", "lr<=0.1", "--where", "model.rank!=16"], ["b"]),
        (["--where", "opt=adam"], ["c", "b", "a"]),
        (["--where", "opt!=adam"], []),
        (["--where", "lr=1e-1"], ["b"]),
        (["--where", "loss>1"], ["c"]),
        (["--where", "best loss<=0.5"], ["b", "a"]),
        (["--where", "config:lr>=0.1"], ["b", "a"]),
        (["--tag", "best"], ["b"]),
        (["--tag", "best", "--tag", "none"], []),
        (["--state", "failed"], []),
        (["--state", "failed", "--state", "finished"], ["c", "b", "a"]),
        (["--user", "nobody-here"], []),
        (["--since", "1h"], ["c", "b", "a"]),
        (["--since", "2999-01-01"], []),
        (["--sort", "loss"], ["b", "a", "c"]),
        (["--sort", "-loss"], ["c", "a", "b"]),
        (["--sort", "loss", "--reverse"], ["c", "a", "b"]),
        (["--sort", "reward_scale"], ["c", "b", "a"]),
        (["--sort", "lr"], ["c", "b", "a"]),
        (["--reverse"], ["a", "b", "c"]),
    ],
)
def test_filters_and_orders_find_what_was_asked_for(sweep, words, found):
    """Conditions are on settings and last or best figures; the best comes first where the name of
    the metric says which is better.
    """
    assert names(sweep, *words) == found


def test_an_order_says_what_it_is(sweep):
    """Which figure, and which end comes first."""
    assert "sorted by loss, smallest first, by the best value" in ls(sweep, "--sort", "loss").stdout
    assert "not known" in ls(sweep, "--sort", "reward_scale").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--where", "rank=8"], "did you mean model.rank"),
        (["--where", "los<1"], "did you mean loss"),
        (["--sort", "los"], "did you mean loss"),
        (["--where", "lr"], "no condition"),
        (["--where", "lr<high"], "no number"),
        (["--since", "yesterday"], "no time"),
        (["--state", "good"], "not one of"),
        (["--sort", "-"], "no name"),
    ],
)
def test_what_cannot_be_meant_is_an_error_that_helps(sweep, words, said):
    """An unknown name is never taken for a run without it."""
    result = ls(sweep, *words)
    assert result.exit_code == EXIT_USAGE and said in result.stderr


def test_a_name_that_is_a_setting_and_a_metric_must_be_said_exactly(tmp_path):
    """Which of the two is meant is not guessed."""
    record(tmp_path / "a", [{"scale": 1.0}], config={"scale": 2})
    assert "config:scale" in ls(tmp_path, "--where", "scale=1").stderr
    assert names(tmp_path, "--where", "config:scale=2") == ["a"]
    assert names(tmp_path, "--where", "metric:scale=1") == ["a"]
    assert names(tmp_path, "--where", "metric:scale=2") == []


def test_a_loss_that_is_no_number_can_be_found(tmp_path):
    """`=nan` means it, and no comparison does; in an order it comes last."""
    record(tmp_path / "runs" / "a", [{"loss": 0.5}])
    record(tmp_path / "runs" / "b", [{"loss": 0.25}, {"loss": float("nan")}])
    assert names(tmp_path / "runs", "--where", "loss=nan") == ["b"]
    assert names(tmp_path / "runs", "--where", "loss<1") == ["a"]
    assert names(tmp_path / "runs", "--where", "best loss<0.3") == ["b"]


def test_a_folder_within_a_run_names_the_run(sweep):
    """Nothing lies below it: the run that it lies in is said."""
    result = ls(sweep / "a" / "logs")
    assert result.exit_code == EXIT_USAGE and f"it lies in {sweep}/a" in result.stderr


def test_quiet_prints_the_folders_alone(sweep):
    """One a line, as another command takes them."""
    assert ls(sweep, "-q", "--sort", "loss").stdout.split() == [f"{sweep}/{one}" for one in "bac"]


def test_nothing_recorded_is_an_error_with_what_to_type(tmp_path):
    """A folder without runs, and one that is not there."""
    result = ls(tmp_path)
    assert result.exit_code == EXIT_USAGE and "watchkeeper exec" in result.stderr
    assert ls(tmp_path / "none").exit_code == EXIT_USAGE


def test_several_folders_give_each_run_once_as_a_command_takes_it(sweep):
    """A run below two of the paths is one line, under a path that can be pasted."""
    listed = names(sweep, sweep / "a")
    assert sorted(listed) == [f"{sweep}/{name}" for name in "abc"]


def test_an_unreadable_folder_is_named_and_the_others_are_listed(sweep, monkeypatch):
    """One problem for all of them, and no failure."""
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith(("a", "c")):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = ls(sweep)
    assert result.exit_code == EXIT_OK
    assert result.stderr.count("cannot be read") == 1 and f"{sweep}/c" in result.stderr
    assert "1 run," in result.stdout


def test_a_run_whose_state_cannot_be_read_is_named(sweep, monkeypatch):
    """A journal without permission is no run that is not there."""
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith(("a/.watchkeeper/journal", "a/.watchkeeper/metrics")):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = ls(sweep)
    assert result.exit_code == EXIT_OK and f"{sweep}/a/.watchkeeper/journal" in result.stderr
    assert ls(sweep / "a").exit_code == EXIT_USAGE
    assert "cannot be read" in ls(sweep / "a").stderr


def test_many_problems_are_counted(tmp_path):
    """The first ones are printed, and a program gets all."""
    for number in range(12):
        record(tmp_path / "runs" / f"r{number}")
        (path,) = (tmp_path / "runs" / f"r{number}" / layout.JOURNAL).iterdir()
        path.write_bytes(path.read_bytes() + b"damage\n")
    result = ls(tmp_path / "runs")
    assert "and 2 more problems" in result.stderr and "12 runs" in result.stdout
    told = json.loads(ls(tmp_path / "runs", "--json", "--limit", 0).stdout)
    assert len(told["problems"]) == 12


def test_a_folder_whose_name_is_no_utf8_is_listed_like_any_other(tmp_path):
    """It is read each time, and the others come from the index."""
    record(tmp_path / "runs" / "a")
    record(tmp_path / "runs" / os.fsdecode(b"odd\xff"))
    first = facts(tmp_path / "runs")
    assert len(first["runs"]) == 2 and facts(tmp_path / "runs") == first
    assert index_file(tmp_path).is_file()


# ── the index


def index_file(tmp_path):
    """The one index that was left."""
    (path,) = (tmp_path / "cache" / "watchkeeper" / "runs").iterdir()
    return path


def facts(folder):
    """All that is said of the runs."""
    return json.loads(ls(folder, "--json", "--limit", 0).stdout)["data"]


def test_the_index_says_what_the_files_say(sweep, tmp_path):
    """The same answer with it as without, and it is not written again where nothing changed."""
    first = facts(sweep)
    path = index_file(tmp_path)
    before = path.stat().st_mtime_ns
    assert facts(sweep) == first
    assert path.stat().st_mtime_ns == before
    path.unlink()
    assert facts(sweep) == first


def test_a_changed_run_is_read_again(sweep):
    """A row, a tag or a removed run shows at once."""
    facts(sweep)
    record(sweep / "a", [{"loss": 9.0}], config={"lr": 5})
    assert CliRunner().invoke(main, ["tag", str(sweep / "b"), "new"]).exit_code == EXIT_OK
    by_name = {run["run"]: run for run in facts(sweep)["runs"]}
    assert by_name["a"]["metrics"]["loss"]["last"] == 9.0
    assert by_name["b"]["tags"] == ["best", "new", "sweep"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"x" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:-7]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"finished", b"fanished")),
        lambda path: path.chmod(0o666),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
        lambda path: (path.unlink(), os.mkfifo(path)),
    ],
    ids=["empty", "junk", "cut", "flipped", "open to all", "folder", "device", "pipe"],
)
def test_a_bad_index_costs_time_and_nothing_else(sweep, tmp_path, damage):
    """Whatever lies in its place, the answer is that of the files."""
    first = facts(sweep)
    damage(index_file(tmp_path))
    assert facts(sweep) == first


def test_a_cache_folder_that_cannot_be_written_changes_nothing(sweep, tmp_path, monkeypatch):
    """A file in its place, as on a read-only or a full disk."""
    first = facts(sweep)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert facts(sweep) == first


def test_an_index_of_another_folder_is_not_used(sweep, tmp_path):
    """One that was copied from elsewhere says nothing of these runs."""
    facts(sweep)
    path = index_file(tmp_path)
    data = path.read_bytes()
    record(tmp_path / "other" / "a", [{"loss": 7.0}])
    facts(tmp_path / "other")
    for other in path.parent.iterdir():
        other.write_bytes(data)
    assert facts(tmp_path / "other")["runs"][0]["metrics"]["loss"]["last"] == 7.0


def test_whether_a_process_lives_is_never_remembered(tmp_path):
    """A run that was listed while it ran is `died` as soon as its process is gone."""
    code = (
        "import sys, watchkeeper as wk\n"
        "run = wk.start_run(folder=sys.argv[1], pipeline='p', console=False, sidecar=False)\n"
        "run.log(1, loss=0.5)\nprint('ready', flush=True)\nsys.stdin.readline()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "runs" / "a")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        assert [run["state"] for run in facts(tmp_path / "runs")["runs"]] == ["running"]
    finally:
        process.kill()
        process.communicate()
    assert [run["state"] for run in facts(tmp_path / "runs")["runs"]] == ["died"]


# ── on a terminal


def on_terminal(columns, *words, **environment):
    """What the command writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    values = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "LANG": "C.UTF-8"}
    values.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "watchkeeper", "ls", *map(str, words)],
        stdout=theirs,
        stdin=subprocess.DEVNULL,
        env={**values, "PYTHONUTF8": "1", **environment},
    )
    os.close(theirs)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    assert process.wait() == EXIT_OK
    return b"".join(pieces).decode().replace("\r\n", "\n")


def test_a_terminal_has_glyphs_colours_and_sparklines(sweep):
    """State by glyph, word and colour; a line of bars for the loss."""
    shown = on_terminal(120, sweep)
    assert "✓ finished" in shown and "\x1b[32m" in shown and "█▁" in shown


def test_no_color_has_neither_colours_nor_sparklines(sweep):
    """The words and glyphs stay."""
    shown = on_terminal(120, sweep, NO_COLOR="1")
    assert "✓ finished" in shown and "\x1b" not in shown and "█" not in shown


def test_a_terminal_without_utf8_gets_ascii(sweep):
    """Nothing but ASCII is written, and no escapes of characters that it lacks."""
    shown = on_terminal(120, sweep, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert shown.isascii() and "\\u" not in shown and "finished" in shown


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_lines_fit_the_terminal(sweep, columns):
    """Columns go in their order until the rest fits; run and state always stay."""
    shown = on_terminal(columns, sweep, NO_COLOR="1").splitlines()
    table = shown[shown.index("") + 1 :]
    assert max(map(len, table)) <= columns
    assert table[0].split()[:2] == ["run", "state"]


def test_text_from_jobs_obeys_nobody(tmp_path):
    """Escape codes in settings and notes are shown, not sent."""
    record(tmp_path / "a", config={"lr": "\x1b[31mred"})
    record(tmp_path / "b", config={"lr": "plain"})
    result = ls(tmp_path)
    assert "\x1b" not in result.stdout and "\\x1b[31mred" in result.stdout
    assert (tmp_path / "a" / layout.JOURNAL).is_dir()


def test_a_rule_for_a_metric_counts_at_once_for_runs_listed_before(sweep):
    """The index keeps both ends: a rule that is written later gives a best, and turns the order."""
    assert names(sweep, "--sort", "reward_scale") == ["c", "b", "a"]
    rules = sweep / "watchkeeper.toml"
    rules.write_text("[metrics]\n'reward_*' = 'min'\n")
    assert names(sweep, "--sort", "reward_scale") == ["a", "b", "c"]
    run = json.loads(ls(sweep, "--json", "--limit", 0).stdout)["data"]["runs"][0]
    assert (run["metrics"]["reward_scale"]["best"], run["run"]) == (2, "c")
    rules.write_text("[metrics]\nloss = 'largest'\n")
    wrong = ls(sweep)
    assert wrong.exit_code == EXIT_OK and "it must be 'max' or 'min'" in wrong.stderr
