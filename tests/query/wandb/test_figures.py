"""What W&B alone kept of the runs that are compared."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import watchkeeper as wk
from tests.publish.wandb.files import begin, end, machine, row, write_run
from watchkeeper.core import processes
from watchkeeper.core.errors import UsageError
from watchkeeper.query.compare import compared
from watchkeeper.report.compare.sides import Side


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A recorded run that logged a loss."""
    with wk.start_run(tmp_path / "artifacts" / "training", pipeline="training") as recorded:
        recorded.log(1, loss=0.5)
        yield recorded.folder


def beside(folder: Path, run_id: str = "abc", late_s: int = 1, **values: float) -> None:
    """A run of W&B on this machine that begins some seconds from now and logs once."""
    now_s = int(datetime.now(UTC).timestamp())
    records = (
        begin(run_id, started_s=now_s + late_s),
        machine(host=processes.host()),
        row(1, {"old": 1}, now_s + late_s + 1),
        row(2, values, now_s + late_s + 2),
        end(),
    )
    write_run(folder, *records, run_id=run_id, name=run_id)


def only(path: Path) -> Side:
    """The one run at a path."""
    (side,) = compared([path]).runs
    return side


def test_what_only_wandb_kept_is_compared_under_its_name(tmp_path: Path, run: Path) -> None:
    """A figure that both have is ours alone; the others say where they are from."""
    beside(tmp_path, **{"train/loss": 0.5, "eval/acc": 0.9})
    side = only(run)
    assert side.metrics == {"end_train_loss": 0.5, "W&B old": 1, "W&B eval/acc": 0.9}
    assert only(run.parent).metrics == side.metrics


@pytest.mark.parametrize(("second", "late_s"), [("other", 1), ("abc", 2)])
def test_where_several_ran_beside_it_none_is_taken(
    tmp_path: Path, run: Path, second: str, late_s: int
) -> None:
    """Figures that may be another attempt's are not shown as this one's: two ids, or two runs of
    one id at the same time.
    """
    beside(tmp_path, acc=0.9)
    beside(tmp_path / "artifacts", second, late_s, acc=0.1)
    assert only(run).metrics == {"end_train_loss": 0.5}


def test_another_executions_figures_are_not_taken(tmp_path: Path, run: Path) -> None:
    """W&B's run of an earlier execution belongs to that one."""
    beside(tmp_path, late_s=-3600, acc=0.9)
    assert only(run).metrics == {"end_train_loss": 0.5}


def test_offline_runs_are_compared_as_they_lie(tmp_path: Path) -> None:
    """Without a recorded run each run of W&B is one side, with its settings and its end; two of one
    id are two.
    """
    settings = {"lr": 0.1, "api_key": "sk-12345678901234567890"}
    first_run = begin("a", config=settings, display_name="first")
    write_run(tmp_path, first_run, row(0, {"acc": 1}), run_id="a")
    write_run(tmp_path, begin("b", config={"lr": 0.2}), row(0, {"acc": 2}), end(), name="2")
    again = begin("b", started_s=1_770_000_100, config={"lr": 0.3})
    write_run(tmp_path, again, row(0, {"acc": 3}), end(1), name="3")
    found = compared([tmp_path / "wandb"])
    first, second, third = found.runs
    assert first.name == "first" and found.varying == ["lr", "api_key"]
    assert [side.state for side in found.runs] == ["not ended", "finished", "failed"]
    assert [side.metrics for side in found.runs] == [{"W&B acc": n} for n in (1, 2, 3)]
    assert "sk-1" not in str(first.settings)
    assert second.where != third.where


def test_a_folder_without_any_run_is_no_comparison(tmp_path: Path) -> None:
    """What is looked for is said."""
    with pytest.raises(UsageError, match="no experiment, no recorded run"):
        compared([tmp_path])
