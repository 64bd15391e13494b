"""An overview keeps few figures of each run, and says the same as with all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.query.catalogue.listing import list_runs
from watchkeeper.query.views.overview import overview, overview_of


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken from, or left in, the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three runs of very many metrics, the losses last."""
    folder = tmp_path / "runs"
    for number in range(3):
        place = folder / f"run-{number}"
        with wk.start_run(folder=place, pipeline="p", console=False, sidecar=False) as run:
            metrics = {f"layer_{n}/error_rate": 0.5 + n for n in range(200)}
            run.log(1, {**metrics, "val_loss": 0.5 - number / 10, "loss": 0.25})
    return folder


def test_a_brief_listing_keeps_losses_and_few_others(runs: Path) -> None:
    """Of two hundred metrics few are kept, and a second look, from the index, keeps the same."""
    for _ in range(2):
        kept = [run.figures for run in list_runs([runs], is_brief=True).runs]
        assert all({"loss", "val_loss"} <= figures.keys() for figures in kept)
        assert all(len(figures) < 40 for figures in kept)
    assert all(len(run.figures) == 202 for run in list_runs([runs]).runs)


def test_the_overview_says_what_it_says_of_all_figures(runs: Path) -> None:
    """The best figure and its run do not depend on what was left out."""
    brief, whole = overview([runs]), overview_of(list_runs([runs]), [runs])
    assert [place.best for place in brief.places] == [place.best for place in whole.places]
    assert brief.places[0].best is not None
    assert (brief.places[0].best.metric, brief.places[0].best.run) == ("val_loss", "run-2")
