"""A package's checkpoint leads to its run, and to the evaluations of this very checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.publish.vouched import checkpoint
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Intended, Judged, Learned
from watchkeeper.core.journal import Writer
from watchkeeper.show.cli.publish.sources import source_of

TRAINED = {"r8/epoch_0": "a" * 64, "r8/epoch_1": "b" * 64}


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """An experiment of which a run left two checkpoints, and another run one."""
    folder = tmp_path / "exp"
    writer = Writer(folder / ".watchkeeper/journal", "run", zone="UTC")
    kept = ("r8/artifacts/epoch_0", "r8/artifacts/epoch_1")
    learned = Learned(final_step=200, checkpoint=kept[1], kept=kept)
    _judge(writer, "r8", fingerprints=TRAINED, learned=learned)
    one = Learned(final_step=7, checkpoint="r2/artifacts/epoch_0", kept=("r2/artifacts/epoch_0",))
    _judge(writer, "r2", fingerprints={"r2/epoch_0": "c" * 64}, learned=one)
    _judge(writer, "bad", outcome="failed")
    for key, inputs in (
        ("r8/caps/epoch1", {"r8/epoch_1": "b" * 64}),
        ("r8/caps/epoch0", {"r8/epoch_0": "a" * 64}),
        ("r8/old/epoch1", {"r8/epoch_1": "e" * 64}),
        ("r2/caps/epoch0", {"r2/epoch_0": "c" * 64}),
    ):
        _judge(writer, key, phase="evaluation", inputs=inputs)
    _judge(writer, "r8/copy/epoch1", phase="evaluation", inputs={"r8/epoch_1": "b" * 64},
           outcome="failed")  # fmt: skip
    writer.close()
    for path in (*kept, "r2/artifacts/epoch_0"):
        checkpoint(folder / path)
    return folder


def _judge(writer: Writer, key: str, *, phase: str = "preparation", outcome: str = "done",
           inputs: dict[str, str] | None = None, **fields: object) -> None:  # fmt: skip
    common = {"key": key, "phase": phase, "attempt": 1}
    writer.write(Intended, **common, token="t", script="x", script_sha256="0", inputs=inputs or {})
    writer.write(Judged, **common, outcome=outcome, state="COMPLETED", **fields)


def test_a_checkpoints_folder_leads_to_its_run_and_its_own_evaluations(experiment: Path) -> None:
    """An evaluation of another epoch, of other weights under the same name, of another run, or one
    that failed, is not among them.
    """
    source = source_of(experiment / "r8/artifacts/epoch_1", None, "")
    assert (source.folder, source.key) == (experiment, "r8")
    assert source.evaluations == ("r8/caps/epoch1",)
    assert source.keys == ("r8", "r8/caps/epoch1")
    assert (source.path, source.training_step) == ("r8/artifacts/epoch_1", 200)


def test_the_step_of_an_older_checkpoint_is_not_that_of_the_last(experiment: Path) -> None:
    """Where nothing recorded it, it is not known."""
    source = source_of(experiment / "r8/artifacts/epoch_0", None, "")
    assert source.training_step is None and source.evaluations == ("r8/caps/epoch0",)


def test_a_run_leads_to_its_one_checkpoint(experiment: Path) -> None:
    """The experiment and the run's key are enough."""
    source = source_of(experiment, None, "r2")
    assert source.root == experiment / "r2/artifacts/epoch_0"
    assert source.evaluations == ("r2/caps/epoch0",)


def test_a_checkpoint_elsewhere_is_of_the_run_that_is_named(
    experiment: Path, tmp_path: Path
) -> None:
    """A copy has no run above it; whoever stages it names the run."""
    copy = checkpoint(tmp_path / "copies/epoch_1")
    source = source_of(copy, experiment, "r8")
    assert (source.root, source.key, source.evaluations) == (copy, "r8", ("r8/caps/epoch1",))
    with pytest.raises(UsageError, match="is an experiment"):
        source_of(copy, experiment, "")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("r8", "left 2 checkpoints"),
        ("none", "has no run 'none'"),
        ("bad", "ended well"),
        ("", "left no checkpoint"),
    ],
)
def test_nothing_is_chosen_for_the_user(experiment: Path, key: str, message: str) -> None:
    """Of several checkpoints, an unknown run or a failed one, the refusal says what there is."""
    with pytest.raises(UsageError, match=message):
        source_of(experiment, None, key)
