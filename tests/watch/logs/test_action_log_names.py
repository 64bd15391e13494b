"""Action logs and what is not ours under their names: it is moved aside whole, and never written
through.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from tests.experiments import blocks_of, state_of, wk, write_experiment
from watchkeeper.core.events import Leased, Opened, Planned
from watchkeeper.report.actionlog.render import log_names
from watchkeeper.watch.logs.action_logs import LiveLogs, choose_name, rebuild

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
NAME = "run-experiment.log"


def journal(more=0):
    """The events of a watcher that has said so many times what it found."""
    head = {"time": NOW, "writer": "w"}
    planned = [
        Planned(**head, seq=2 + number, phase=None, experiment="e", folder="/e", summary="")
        for number in range(1 + more)
    ]
    return {
        "w": [
            Opened(**head, seq=0, schema=1, software="s", purpose="run", zone="UTC"),
            Leased(**head, seq=1, lease=1),
            *planned,
        ]
    }


def obstruct(folder, kind):
    """Put something under the log's name; what must still be there afterwards."""
    path, outside = folder / NAME, folder / "outside"
    if kind == "folder":
        path.mkdir()
    elif kind == "null":
        path.symlink_to("/dev/null")
    elif kind == "dangling":
        path.symlink_to(outside)
    else:
        outside.write_bytes(b"" if kind == "empty link" else b"theirs\n")
        path.symlink_to(outside)
    return outside.read_bytes() if outside.exists() else None


@pytest.mark.parametrize("kind", ["link", "empty link", "dangling", "null", "folder"])
@pytest.mark.parametrize("by", ["watch", "rebuild"])
def test_nothing_is_written_through_a_link(tmp_path, kind, by):
    """A link or a folder under a log's name is moved aside itself; what a link leads to has the
    bytes that it had.
    """
    outside = obstruct(tmp_path, kind)
    if by == "watch":
        assert [path.name for path in LiveLogs(tmp_path).take_over(journal())] == [f"{NAME}.kept-1"]
    else:
        rebuild(tmp_path, journal())
    kept, ours = tmp_path / f"{NAME}.kept-1", tmp_path / NAME
    assert kept.is_symlink() or kept.is_dir()
    assert not ours.is_symlink() and b"DISCOVER_EXPERIMENT" in ours.read_bytes()
    assert (
        (tmp_path / "outside").read_bytes() if (tmp_path / "outside").exists() else None
    ) == outside


def test_a_link_that_appears_while_we_watch_is_moved_aside(tmp_path):
    """The log is replaced by a link in the middle of a watch: the next block goes into a file of
    ours.
    """
    logs = LiveLogs(tmp_path)
    logs.take_over(journal())
    (tmp_path / NAME).rename(tmp_path / "outside")
    (tmp_path / NAME).symlink_to("outside")
    before = (tmp_path / "outside").read_bytes()
    assert [path.name for path in logs.extend(journal(more=1)["w"][-1:], journal(more=1))] == [
        f"{NAME}.kept-1"
    ]
    assert (tmp_path / "outside").read_bytes() == before
    assert (tmp_path / NAME).read_bytes().count(b"DISCOVER_EXPERIMENT") == 2


def named(*logs):
    """The events of a watcher whose executions chose these names."""
    events = journal(more=len(logs) - 1)["w"]
    planned = [
        msgspec.structs.replace(event, logs=chosen, phase="preparation")
        for event, chosen in zip(events[2:], logs, strict=True)
    ]
    return {"w": [*events[:2], *planned]}


OLDER = {}
OTHERS = {"preparation": "run-training.log"}
TORCHTUNE = {"preparation": "run-torchtune.log"}


@pytest.mark.parametrize(
    ("logs", "expected"),
    [
        ([OLDER, OTHERS], "run-torchtune.log"),
        ([OTHERS, TORCHTUNE], "run-training.log"),
        ([TORCHTUNE, OTHERS], "run-torchtune.log"),
        ([{"preparation": "../run-training.log"}, OTHERS], "run-torchtune.log"),
    ],
)
def test_the_first_name_counts(tmp_path, logs, expected):
    """A log keeps the name that the journal gave it first, an older journal's the name that all
    had, and a watch and a rebuild write the same file.
    """
    events = named(*logs)
    assert log_names(events)["preparation"] == expected
    LiveLogs(tmp_path).take_over(events)
    live = (tmp_path / expected).read_bytes()
    rebuild(tmp_path, events)
    assert (tmp_path / expected).read_bytes() == live != b""
    assert [path.name for path in tmp_path.glob("run-t*")] == [expected]


@pytest.mark.parametrize(
    ("tool", "there", "expected"),
    [
        ("script", [], "run-training.log"),
        ("torchtune", [], "run-torchtune.log"),
        ("script", ["run-torchtune.log"], "run-torchtune.log"),
        ("torchtune", ["run-training.log"], "run-training.log"),
        ("script", ["run-torchtune.log", "run-training.log"], "run-training.log"),
    ],
)
def test_what_lies_there_outweighs_the_tool(tmp_path, tool, there, expected):
    """A new experiment's log is named after its tool; one that was begun keeps its name."""
    for name in there:
        (tmp_path / name).touch()
    assert choose_name("preparation", tool, tmp_path) == expected


def test_an_experiment_keeps_its_names_when_its_tools_change(tmp_path):
    """A script experiment logs under the names for other tools, and still does when its summary
    names torchtune later; `rebuild` and `check` agree.
    """
    folder, state = write_experiment(tmp_path / "exp"), tmp_path / "state"
    assert wk("run", folder, "--poll", "0.05", state=state).returncode == 0
    summary = folder / "experiment_summary.yaml"
    text = summary.read_text()
    assert '"script"' in text
    summary.write_text(text.replace('"evaluation": "script"', '"evaluation": "inspect-ai"'))
    wk("run", folder, "--poll", "0.05", state=state)
    assert state_of(folder).planned.logs["evaluation"] == "run-evaluation.log"
    assert len(blocks_of(folder, "run-evaluation.log")) > 3
    assert not (folder / "run-inspect.log").exists()
    before = {path.name: path.read_bytes() for path in folder.glob("run-*.log")}
    assert set(before) == {"run-training.log", "run-evaluation.log", "run-experiment.log"}
    for name in before:
        (folder / name).unlink()
    assert wk("rebuild", folder, state=state).returncode == 0
    assert {path.name: path.read_bytes() for path in folder.glob("run-*.log")} == before
    assert wk("check", folder, state=state).returncode == 0
