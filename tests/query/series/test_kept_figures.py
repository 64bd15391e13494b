"""The last figures of recorded runs are read once, and kept in the user's cache folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.core.disk import user_cache
from watchkeeper.query import compare
from watchkeeper.query.catalogue.places import Identity, place_at
from watchkeeper.query.compare import compared
from watchkeeper.query.series import kept_figures
from watchkeeper.query.series.kept_figures import FiguresMemory


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two recorded runs below one folder."""
    folder = tmp_path / "runs"
    for name in ("one", "two"):
        record(folder / name, loss=0.5, accuracy=float("nan"))
    return folder


def record(folder: Path, **metrics: float) -> None:
    with wk.start_run(folder=folder, pipeline="p", console=False, sidecar=False) as run:
        run.log(1, **metrics)
        run.totals(examples=12)


def identity(runs: Path) -> Identity:
    place = place_at(str(runs / "one"))
    assert place is not None
    return place.identity


def figures(folder: Path) -> dict[str, dict[str, object]]:
    return {side.name: dict(side.metrics) for side in compared([folder]).runs}


def test_what_is_kept_is_what_is_read(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comparison reads no row, and is the first one's to the byte."""
    first = compared([runs])
    monkeypatch.setattr(compare, "load", None)
    again = compared([runs])
    assert again == first
    assert figures(runs)["one"]["end_train_loss"] == 0.5


def test_a_run_that_goes_on_is_read_again(runs: Path) -> None:
    """Figures count only while the files are the very ones that they were read from."""
    figures(runs)
    record(runs / "one", loss=0.25)
    assert figures(runs)["one"]["end_train_loss"] == 0.25
    assert figures(runs)["two"]["end_train_loss"] == 0.5


@pytest.mark.parametrize("change", ["damage", "format", "version"])
def test_a_cache_that_cannot_be_trusted_is_ignored(
    change: str, runs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is damaged, or of another version, costs time and nothing else."""
    before = figures(runs)
    (kept,) = cache.rglob("*.figures")
    if change == "damage":
        kept.write_bytes(kept.read_bytes()[:-1])
    if change == "format":
        monkeypatch.setattr(kept_figures._drawer, "_form", 0)
    if change == "version":
        monkeypatch.setattr(user_cache, "SOFTWARE", "other")
    assert FiguresMemory(runs).recall(runs / "one", identity(runs)) is None
    assert figures(runs) == before


def test_the_cache_of_another_folder_is_none_of_ours(runs: Path, tmp_path: Path) -> None:
    """Two folders whose names meet in one file would share figures, so the file names its own."""
    figures(runs)
    kept = user_cache.folder() / "figures"
    (file,) = kept.iterdir()
    file.rename(kept / f"{user_cache.name_of(str(tmp_path.resolve()))}.figures")
    assert FiguresMemory(tmp_path).recall(runs / "one", identity(runs)) is None


def test_no_place_to_keep_it_is_no_fault(runs: Path, cache: Path) -> None:
    """A cache folder that is a file leaves the answer as it is."""
    cache.write_text("mine")
    assert figures(runs)["one"]["end_train_loss"] == 0.5
    assert cache.read_text() == "mine"


def test_figures_of_files_that_are_not_known_are_not_kept(runs: Path) -> None:
    """Without an identity nothing could say whether they still hold."""
    memory = FiguresMemory(runs)
    memory.put(runs / "one", (), {"loss": 0.5})
    memory.save()
    assert FiguresMemory(runs).recall(runs / "one", ()) is None
