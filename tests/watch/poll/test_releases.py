"""When the watch lets a scheduler forget its jobs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from tests.experiments import state_of, write_experiment
from tests.watch.test_keeper import Time, keeper, run_pending
from watchkeeper.core.disk.files import AppendFile
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.watch.keeper import Keeper


class Recording(FakeScheduler):
    """A scheduler that keeps records. `released`: the tokens that it was to forget, in order."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.released: list[str] = []
        self.kept: set[str] = set()
        self._folder = folder

    def release(self, tokens: Collection[str]) -> Collection[str]:
        """Forget them, if their ends are in the journal."""
        judged = {
            attempt.intended.token
            for attempt in state_of(self._folder).attempts()
            if attempt.intended is not None and attempt.judged is not None
        }
        assert set(tokens) <= judged
        self.released += sorted(tokens)
        return self.kept.intersection(tokens)


def tokens_of(folder: Path, *keys: str) -> set[str]:
    """The tokens of the first attempts of these runs."""
    firsts = [state_of(folder).run(key).attempts[1] for key in keys]
    return {attempt.intended.token for attempt in firsts if attempt.intended is not None}


def test_each_job_is_released_once_when_its_end_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that the journal holds of an end is unsynced when its job's records may go."""
    folder = write_experiment(tmp_path / "exp", runs=("one", "two"))
    fake = Recording(folder)
    unsynced: list[int] = []

    release = fake.release

    def released(tokens: Collection[str]) -> Collection[str]:
        file = one.logbook.writer._file
        unsynced.append(file.size_bytes - file._synced_bytes)
        return release(tokens)

    monkeypatch.setattr(fake, "release", released)
    one = keeper(folder, fake, run_pending(fake))
    assert one.keep()
    assert unsynced and set(unsynced) == {0}
    keys = ("one", "two", "one/clean/epoch0", "two/clean/epoch0")
    assert set(fake.released) == tokens_of(folder, *keys)
    assert len(fake.released) == len(set(fake.released))
    assert isinstance(one.logbook.writer._file, AppendFile)


def test_what_the_watcher_before_did_not_release_the_next_one_does(tmp_path: Path) -> None:
    """A watcher that died between a verdict and the release leaves it to the next; what is kept is
    asked for again.
    """
    folder = write_experiment(tmp_path / "exp")
    dead = FakeScheduler()
    assert keeper(folder, dead, run_pending(dead)).keep()
    fake = Recording(folder)
    assert keeper(folder, fake).keep()
    assert set(fake.released) == tokens_of(folder, "one", "one/clean/epoch0")
    fake.kept = tokens_of(folder, "one")
    assert keeper(folder, fake).keep()
    assert keeper(folder, fake).keep()
    assert fake.released.count(*fake.kept) == 3


def test_a_job_whose_end_nobody_saw_is_not_released(tmp_path: Path) -> None:
    """Its verdict yields to what its scheduler may say later."""
    folder, time = write_experiment(tmp_path / "exp"), Time()
    fake = Recording(folder)

    def turned(one: Keeper) -> None:
        if fake.jobs and not fake.jobs["1"].forgotten:
            fake.forget("1")
        time.now += 100

    assert keeper(folder, fake, turned, time).keep()
    assert state_of(folder).run("one").attempts[1].yields
    assert fake.released == []
