"""Ids are looked up, never joined to a path; a look sees what has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import watchkeeper as wk
from tests.experiments import write_experiment
from watchkeeper.core.errors import UsageError
from watchkeeper.show.web.served import Served

HOSTILE = [
    "..",
    "../secret",
    "night/..",
    "night/../../secret",
    "night/./one",
    "night//one",
    "/etc",
    "night/one/../../../etc/passwd",
    "%2e%2e/secret",
    "night/%2e%2e",
    "night\\..\\secret",
    "night/link",
    "night/link/inner",
    "",
    "/",
    "Night/one",
    "night/one/",
    "night/\udcff",
]


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def night(tmp_path: Path, log: Callable[..., wk.Run]) -> Path:
    """Two recorded runs, an experiment, and a link to a run outside of all that."""
    folder = tmp_path / "night"
    log(folder / "one")
    log(folder / "deep" / "two")
    write_experiment(folder / "exp", runs=("r8",))
    log(tmp_path / "secret" / "inner")
    (folder / "link").symlink_to(tmp_path / "secret")
    return folder


def test_places_have_ids_below_their_root(night: Path) -> None:
    """A run's id is its path below the root, a job's is its experiment's with its key."""
    served = Served([night])
    assert served.run("night/one")[1:3] == (night / "one", "")
    assert served.run("night/deep/two").folder == night / "deep" / "two"
    assert served.experiment("night/exp").folder == night / "exp"
    assert served.run("night/exp/r8/clean/epoch0")[1:3] == (night / "exp", "r8/clean/epoch0")


@pytest.mark.parametrize("id", HOSTILE)
def test_nothing_else_has_an_id(night: Path, id: str) -> None:
    """No spelling of a path, and no link, leads to what lies outside or to a place twice."""
    served = Served([night])
    for find in (served.run, served.experiment):
        with pytest.raises(UsageError):
            find(id)


def test_a_key_is_no_path(night: Path) -> None:
    """What follows an experiment's id is a key, whatever it looks like: the reader knows whether
    there is one.
    """
    located = Served([night]).run("night/exp/../../secret/inner")
    assert (located.folder, located.key) == (night / "exp", "../../secret/inner")


def test_two_roots_of_one_name_have_two_names(tmp_path: Path, log: Callable[..., wk.Run]) -> None:
    """Each run has one id, and it leads to that run."""
    for name in ("a", "b"):
        log(tmp_path / name / "night" / "one")
    served = Served([tmp_path / "a" / "night", tmp_path / "b" / "night"])
    assert served.run("night/one").folder == tmp_path / "a" / "night" / "one"
    assert served.run("night-2/one").folder == tmp_path / "b" / "night" / "one"


def test_a_look_sees_a_row_and_where_it_was_written(
    night: Path, log: Callable[..., wk.Run], clock: Clock
) -> None:
    """A row changes the version of its run and of everything, and of nothing else."""
    run = log(night / "three")
    served = Served([night], clock)
    served.look()
    before = [served.version(id) for id in ("", "night/three", "night/one")]
    clock.now += 2
    served.look()
    assert [served.version(id) for id in ("", "night/three", "night/one")] == before
    run.log(2, loss=0.4)
    clock.now += 2
    served.look()
    after = [served.version(id) for id in ("", "night/three", "night/one")]
    assert [a != b for a, b in zip(after, before, strict=True)] == [True, True, False]


def test_a_new_run_and_a_run_that_is_gone_are_seen(
    night: Path, log: Callable[..., wk.Run], clock: Clock
) -> None:
    """What appears beside known runs is there with the next look, and what has gone is not."""
    served = Served([night], clock)
    served.look()
    version = served.version("")
    log(night / "four")
    (night / "one").rename(night.parent / "elsewhere")
    clock.now += 30
    served.look()
    clock.now += 30
    served.look()
    assert served.version("") != version
    assert served.run("night/four").key == ""
    with pytest.raises(UsageError):
        served.run("night/one")


def test_an_id_that_is_not_known_is_looked_for(
    night: Path, log: Callable[..., wk.Run], clock: Clock
) -> None:
    """A run that began a moment ago has its page."""
    served = Served([night], clock)
    served.look()
    log(night / "new" / "five")
    clock.now += 30
    assert served.run("night/new/five").folder == night / "new" / "five"


def test_looks_that_come_fast_cost_nothing(
    night: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many clients ask, the files are looked at once a second."""
    served = Served([night], clock)
    served.look()
    calls: list[str] = []
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **more: calls.append(path) or real(path, **more))
    for _ in range(100):
        served.look()
    assert calls == []


def test_a_folder_without_anything_is_served(tmp_path: Path) -> None:
    """There need not be a run yet; but the folder must be one."""
    served = Served([tmp_path])
    served.look()
    assert served.count == 0
    with pytest.raises(UsageError, match="is no folder"):
        Served([tmp_path / "nothing"])


def test_a_folder_below_the_one_of_the_server_has_a_short_path(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command on a page is as short as one types it there; elsewhere it is as it was typed."""
    monkeypatch.chdir(night.parent)
    served = Served([night])
    served.look()
    assert served.paths == [Path("night")]
    assert served.experiment("night/exp").folder == Path("night/exp")
    monkeypatch.chdir(night)
    assert Served([night]).paths == [Path()]
    monkeypatch.chdir(night / "deep")
    assert Served([night]).paths == [night]
