"""What is installed where a run records itself: kept beside it, for later comparison."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

import watchkeeper as wk
from watchkeeper.core import journal, layout
from watchkeeper.core.code import environment
from watchkeeper.core.code.environment import Environment
from watchkeeper.core.disk import objects
from watchkeeper.core.events import RunStarted
from watchkeeper.core.events.choose import of_kind
from watchkeeper.query.compare import Chosen
from watchkeeper.query.views.compare import compare
from watchkeeper.query.views.origin import origin
from watchkeeper.record import exec as exec_


@pytest.fixture(autouse=True)
def looked_anew():
    """Nothing is remembered from another test."""
    environment._known_packages.cache_clear()
    yield
    environment._known_packages.cache_clear()


def install(folder: Path, **packages: str) -> Path:
    """A folder of packages, as pip leaves it."""
    for name, version in packages.items():
        (folder / f"{name}-{version}.dist-info").mkdir(parents=True)
    return folder


def record(folder: Path) -> Path:
    with wk.start_run(folder=folder, pipeline="train", console=False):
        pass
    return folder


def started_in(folder: Path) -> RunStarted:
    (started,) = of_kind(journal.read(folder / layout.JOURNAL).events, RunStarted)
    return started


def kept_in(folder: Path) -> Environment:
    data = objects.read_kept(folder / layout.OBJECTS, started_in(folder).environment_sha256)
    return msgspec.json.decode(data, type=Environment)


def test_two_recorded_runs_say_which_packages_differ(tmp_path, monkeypatch):
    """A run outside of any job keeps its packages, and a comparison names those that changed."""
    for name, version in (("one", "1.0"), ("two", "2.0")):
        site = install(tmp_path / f"site-{name}", learner=version, same="3")
        monkeypatch.setattr(sys, "path", [str(site), *sys.path])
        record(tmp_path / name)
        monkeypatch.undo()
    page = compare([Chosen(tmp_path / "one", id="1"), Chosen(tmp_path / "two", id="2")])
    (row,) = [row for row in page.differs if row.key == "environment"]
    assert row.values[1].endswith("1 changed")
    assert row.details[1] == ["learner 1.0 → 2.0"]
    assert kept_in(tmp_path / "two").submitter.packages["learner"] == "2.0"
    assert origin(tmp_path / "two").packages == len(kept_in(tmp_path / "two").submitter.packages)


def test_a_process_looks_once_at_what_is_installed(tmp_path, monkeypatch):
    """The second run of a process pays nothing for it, and has the same packages."""
    looks = []
    packages = environment._packages
    monkeypatch.setattr(environment, "_packages", lambda f: looks.append(1) or packages(f))
    assert kept_in(record(tmp_path / "one")) == kept_in(record(tmp_path / "two"))
    assert len(looks) == 1


def test_what_cannot_be_looked_at_stops_no_run(tmp_path, monkeypatch):
    """A run whose packages cannot be kept is recorded all the same, and says so once."""

    def fail(folders):
        raise OSError("no such device")

    monkeypatch.setattr(environment, "_packages", fail)
    record(tmp_path / "run")
    assert started_in(tmp_path / "run").environment_sha256 == ""
    log = (tmp_path / "run/logs/run.log").read_text()
    assert log.count("what is installed could not be kept: no such device") == 1


def test_a_command_keeps_the_python_that_it_finds(tmp_path, monkeypatch):
    """`exec` starts another program: the first Python of the PATH counts, beside its own."""
    install(tmp_path / "env/lib/python3.11/site-packages", learner="7")
    python = tmp_path / "env/bin/python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{python.parent}:/usr/bin:/bin")
    ended = exec_.record(["/bin/true"], folder=tmp_path / "run", show=False)
    assert ended.code == 0
    assert kept_in(tmp_path / "run").on_path.packages == {"learner": "7"}
