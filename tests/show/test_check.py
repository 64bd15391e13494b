"""`watchkeeper check` and `rebuild`: the truth about journals that are missing, shortened or
changed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal

import pytest
from click.testing import CliRunner

import watchkeeper as wk_api
from tests.experiments import wk, write_experiment
from watchkeeper.core import journal
from watchkeeper.core.version import SOFTWARE
from watchkeeper.query import check as query_check
from watchkeeper.show.cli import main
from watchkeeper.watch.logs import action_logs

FAST = ("--poll", "0.05")
JOURNAL = ".watchkeeper/journal"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An experiment that ran, in two commands, and is whole."""
    root = tmp_path_factory.mktemp("finished")
    folder, state = write_experiment(root / "exp"), root / "state"
    for _ in (1, 2):
        assert wk("run", folder, *FAST, state=state).returncode == 0
    assert wk("check", folder, state=state).returncode == 0
    return folder, state


@pytest.fixture
def experiment(finished, tmp_path):
    """A copy of it, to be damaged."""
    folder, state = finished
    return shutil.copytree(folder, tmp_path / "exp", symlinks=True), state


def recorded(folder):
    with wk_api.start_run(folder=folder, pipeline="p", console=False, sidecar=False) as run:
        for step in range(1, 4):
            run.log(step, loss=1.0 / step)
    return run


def views(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("run*")) if path.is_file()}


def journals(folder):
    """The journal's files, the largest first."""
    return sorted((folder / JOURNAL).iterdir(), key=lambda path: path.stat().st_size, reverse=True)


def refused(folder, state):
    """Neither `check` nor `rebuild` answers with a rebuild, and no view is touched; what `check`
    says.
    """
    before = views(folder)
    check = wk("check", folder, state=state)
    rebuild = wk("rebuild", folder, state=state)
    assert (check.returncode, rebuild.returncode) == (1, 1), check.stdout + rebuild.stderr
    assert "rebuild" not in check.stdout and "Sound" not in check.stdout
    assert (
        "is not whole, and nothing was made again from it" in rebuild.stderr
        and "backup" in rebuild.stderr
    )
    assert views(folder) == before
    return check.stdout


def test_a_recorded_run_without_its_journal(tmp_path):
    """The journal's file, its folder, and all of `.watchkeeper`: each time it is said that the
    journal is gone.
    """
    state = tmp_path / "state"
    for number, remove in enumerate((JOURNAL + "/*", JOURNAL, ".watchkeeper")):
        folder = tmp_path / f"run{number}"
        recorded(folder)
        for path in folder.glob(remove):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert "the journal is gone, and" in refused(folder, state)


def test_an_experiment_without_its_journal(experiment):
    """What lies there says that there was one."""
    folder, state = experiment
    for path in journals(folder):
        path.write_bytes(b"")
    assert "the journal is gone, and .watchkeeper/runs" in refused(folder, state)
    for path in journals(folder):
        path.unlink()
    assert "the journal is gone, and .watchkeeper/runs" in refused(folder, state)


def test_an_experiment_without_one_of_its_journals(experiment):
    """The second command had read the first one's file."""
    folder, state = experiment
    journals(folder)[0].unlink()
    assert "events of this writer, and the file is gone" in refused(folder, state)


def test_an_experiment_whose_journal_was_shortened_at_a_line(experiment):
    """Half of the first command's lines are cut off: the second one had read more."""
    folder, state = experiment
    path = journals(folder)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))
    assert f"of this writer, and only {len(lines) // 2} are there" in refused(folder, state)


def test_an_experiment_whose_last_journal_was_shortened(experiment):
    """No other command has read the last one: the logs tell of more than is left."""
    folder, state = experiment
    for path in journals(folder)[1:]:
        path.unlink()
    (path,) = journals(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0])
    assert "was run, and the journal holds nothing of it" in refused(folder, state)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))
    assert "tells of more than the journal holds" in refused(folder, state)


def test_a_line_out_of_the_middle_of_a_journal(experiment):
    """The numbers of the events have a hole, and the seal does not hold."""
    folder, state = experiment
    path = journals(folder)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[4:]))
    assert "event 3 was expected and 4 found" in refused(folder, state)


def test_events_added_behind_the_seal(tmp_path):
    """What was appended to a sealed file is told."""
    recorded(tmp_path / "run")
    (path,) = journals(tmp_path / "run")
    lines = path.read_bytes().splitlines()
    with path.open("ab") as file:
        file.write(json.dumps(json.loads(lines[1]) | {"seq": len(lines)}).encode() + b"\n")
    assert "1 events stand behind the last seal" in refused(tmp_path / "run", tmp_path / "state")


@pytest.mark.parametrize("kind", ["folder", "dangling", "pipe"])
def test_a_journal_that_is_no_file(tmp_path, kind):
    """A folder, a link that leads nowhere or a pipe in a journal's place is told, and nothing waits
    for it.
    """
    recorded(tmp_path / "run")
    (path,) = journals(tmp_path / "run")
    path.unlink()
    {
        "folder": path.mkdir,
        "dangling": lambda: path.symlink_to("nowhere"),
        "pipe": lambda: os.mkfifo(path),
    }[kind]()
    refused(tmp_path / "run", tmp_path / "state")


def test_a_run_that_died_is_not_sound(tmp_path):
    """Code 4, and the word unverified, with what is there; `--json` says the same, and a rebuild is
    possible.
    """
    folder, state = tmp_path / "run", tmp_path / "state"
    child = os.fork()
    if not child:
        run = wk_api.start_run(folder=folder, pipeline="p", console=False, sidecar=False)
        run.log(1, loss=1.0)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    # Beside its begin, it may have had the time to say how its code compares with the commit.
    (journal,) = (folder / ".watchkeeper/journal").glob("*.jsonl")
    events = len(journal.read_text().splitlines())
    check = wk("check", folder, state=state)
    assert check.returncode == 4 and "Sound" not in check.stdout
    assert (
        "unverified: " in check.stdout
        and f"its process died. {events} events and 1 metric rows are there" in check.stdout
    )
    told = json.loads(wk("check", folder, "--json", state=state).stdout)
    assert (
        told["data"]["sound"],
        told["data"]["verdict"],
        len(told["data"]["unverified"]),
        told["problems"],
    ) == (
        False,
        "unverified",
        1,
        [],
    )
    assert wk("rebuild", folder, state=state).returncode == 0


def test_removed_rows_are_told_in_json_too(tmp_path):
    """`check --json` has each finding with its place, and the verdict."""
    recorded(tmp_path / "run")
    (rows,) = (tmp_path / "run/.watchkeeper/metrics").iterdir()
    rows.unlink()
    done = wk("check", tmp_path / "run", "--json", state=tmp_path / "state")
    told = json.loads(done.stdout)
    assert (done.returncode, told["data"]["sound"], told["data"]["verdict"]) == (
        1,
        False,
        "unsound",
    )
    assert [(p["where"], p["message"]) for p in told["problems"]] == [
        (str(rows), "it is gone; 3 rows were written to it")
    ]


LOG = "run-training.log"


def reworded(folder):
    """The log as another version would have rendered it: one sentence reads otherwise."""
    path = folder / LOG
    old = path.read_bytes().replace(b"Training finished", b"The training has finished")
    assert old != path.read_bytes()
    path.write_bytes(old)
    return path


def checked(folder):
    """What `check` says in this process, and its exit code."""
    result = CliRunner().invoke(main, ["check", str(folder)])
    return result.exit_code, result.output


def test_a_log_that_another_version_rendered_is_sound(experiment, monkeypatch):
    """A log that reads otherwise because another version rendered it is no damage: `check` names
    that version and `rebuild`.
    """
    folder, _ = experiment
    path = reworded(folder)
    monkeypatch.setattr(query_check, "SOFTWARE", "watchkeeper 99.0")
    code, output = checked(folder)
    assert code == 0 and output.endswith("Sound.\n")
    assert (
        f"note: {path}: rendered by {SOFTWARE}; watchkeeper 99.0 renders it differently "
        f"(`watchkeeper rebuild {folder}` renders it again)" in output.splitlines()
    )


def test_a_log_that_this_version_rendered_is_unsound_once_changed(experiment):
    """The same difference is a change by hand where this version itself rendered the log."""
    folder, _ = experiment
    path = reworded(folder)
    code, output = checked(folder)
    assert code == 1 and "rendered by" not in output
    assert f"error: {path}: it is not what the journal holds" in output


def test_a_log_that_is_gone_is_an_error_whatever_the_version(experiment, monkeypatch):
    """No version leaves out a whole log: one that is not there was removed."""
    folder, _ = experiment
    (folder / LOG).unlink()
    monkeypatch.setattr(query_check, "SOFTWARE", "watchkeeper 99.0")
    code, output = checked(folder)
    assert code == 1 and "it lacks what the journal holds" in output


def test_rebuild_renders_a_log_of_another_version_again(experiment, monkeypatch):
    """What `rebuild` does renders the log as now, keeps the old one, and ends the note."""
    folder, _ = experiment
    path = folder / LOG
    now = path.read_bytes()
    old = reworded(folder).read_bytes()
    monkeypatch.setattr(query_check, "SOFTWARE", "watchkeeper 99.0")
    action_logs.rebuild(folder, journal.read(folder / JOURNAL).events)
    assert path.read_bytes() == now
    assert path.with_name(f"{LOG}.kept-1").read_bytes() == old
    assert "rendered by" not in checked(folder)[1]
