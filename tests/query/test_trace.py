"""Where a figure comes from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.launch.test_kept_code import repository
from tests.launch.test_reproduce import experiment, git, ran
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core.errors import UsageError
from watchkeeper.query.trace.of_experiment import attempt_of, trace
from watchkeeper.schedulers.fake.scheduler import FakeScheduler

CELL = "one/clean/epoch0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An experiment in a repository with uncommitted changes, run to its end."""
    repo = experiment(tmp_path / "repo")
    repository(repo)
    (repo / "model.py").write_text("layers = 4\n")
    return ran(repo)


def holds(folder: Path, key: str = CELL) -> dict[str, str]:
    """Each kind of link → how it holds; of several the last."""
    return {link.what: link.holds for link in trace(folder, key).links}


def test_every_link_of_a_figure_holds_while_nothing_was_touched(folder: Path) -> None:
    """From the result back to the commit each link is there, in its order, with the figures and the
    job; the data alone cannot be told.
    """
    found = trace(folder, CELL)
    assert found.sound
    attempt = ["script", "environment", "code", "changes"]
    assert [link.what for link in found.links] == [
        *("result", "evaluation", *attempt),
        *("checkpoint", "training", "script", "config", *attempt[1:], "data"),
    ]
    assert {link.holds for link in found.links if link.what != "data"} == {"holds"}
    assert found.links[0].metrics == {"accuracy": 0.5} and found.links[0].facts["fingerprint"]
    assert found.links[1].facts["job"].endswith("(fake)")
    assert next(link.name for link in found.links if link.what == "code") == git(
        folder, "rev-parse", "HEAD"
    )


def test_a_run_is_traced_from_its_checkpoints(folder: Path) -> None:
    """A training's own chain begins with each checkpoint that it promised."""
    assert [link.what for link in trace(folder, "one").links][:2] == ["checkpoint", "training"]
    assert trace(folder, "one/").sound


@pytest.mark.parametrize(
    ("what", "becomes"),
    [
        ("result", "changed"),
        ("checkpoint", "changed"),
        ("code", "missing"),
        ("changes", "missing"),
        ("script", "changed"),
    ],
)
def test_a_broken_link_is_named(folder: Path, what: str, becomes: str) -> None:
    """A result or checkpoint with other bytes, a commit that is gone, a kept object that is gone or
    damaged: each breaks its own link, and the chain.
    """
    objects = folder / ".watchkeeper" / "objects"
    named = {link.what: link.facts.get("sha256", "") for link in trace(folder, CELL).links}
    if what == "result":
        (folder / "one/eval/clean_epoch0/result.json").write_text('{"accuracy": 0.9}\n')
    elif what == "checkpoint":
        (folder / "one/artifacts/epoch_0/model.bin").write_bytes(b"other weights")
    elif what == "code":
        (folder / ".git").rename(folder / "git-away")
        git(folder, "init", "-q")
    elif what == "changes":
        (objects / named["changes"]).unlink()
    else:
        (objects / named["script"]).chmod(0o644)
        (objects / named["script"]).write_bytes(b"x")
    assert holds(folder)[what] == becomes and not trace(folder, CELL).sound


def test_what_is_gone_is_missing(folder: Path) -> None:
    """A checkpoint that was deleted is missing, and the rest of the chain is still told."""
    shutil.rmtree(folder / "one/artifacts/epoch_0")
    assert holds(folder)["checkpoint"] == "missing" and holds(folder)["training"] == "holds"


def test_an_edited_script_breaks_nothing_while_the_kept_one_is_whole(folder: Path) -> None:
    """What was submitted is what is kept: a later edit of the file is said, and no link is broken
    by it.
    """
    (folder / "one/finetune.slurm").write_text("#!/bin/bash\n")
    found = trace(folder, "one")
    assert found.sound and any(
        link.why == "kept; the file itself is another today" for link in found.links
    )


def test_a_figure_is_traced_to_the_training_whose_checkpoint_it_was_given(folder: Path) -> None:
    """After the checkpoint was made again, the chain names the attempt whose checkpoint was
    evaluated last.
    """
    (folder / "one/artifacts/epoch_0/model.bin").unlink()
    (folder / "one/finetune.slurm").write_text(
        (folder / "one/finetune.slurm").read_text().replace("weights of", "others of")
    )
    assert keep(folder, FakeScheduler())
    found = trace(folder, CELL)
    training = next(link for link in found.links if link.what == "training")
    assert found.sound and training.facts["attempt"] == "2"


def test_untrained_models_and_no_repository_are_told(tmp_path: Path) -> None:
    """Without a checkpoint or a commit the chain ends there, and says so."""
    from tests.experiments import write_experiment

    folder = ran(write_experiment(tmp_path / "exp", control=True))
    links = trace(folder, "untrained/clean/base").links
    assert [link.holds for link in links if link.what in ("code", "data")] == ["unknown", "unknown"]


def test_what_was_never_submitted_is_named_with_what_was(folder: Path, tmp_path: Path) -> None:
    """A wrong key, attempt or folder is told with those that there are."""
    with pytest.raises(UsageError) as error:
        trace(folder, "two")
    assert "one/clean/epoch0" in error.value.hint
    with pytest.raises(UsageError, match="no attempt 7"):
        attempt_of(folder, "one", 7)
    with pytest.raises(UsageError, match="no journal"):
        attempt_of(tmp_path, "one", None)
