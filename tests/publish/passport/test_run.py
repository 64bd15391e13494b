"""What the journal of the run that made a checkpoint says of it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

import watchkeeper as wk
from tests.checkpoints import write_llama
from watchkeeper.core import layout
from watchkeeper.core.disk import objects
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Documented, Intended, Judged, Learned, RunStarted
from watchkeeper.core.journal import Writer
from watchkeeper.publish.passport.document import Facts
from watchkeeper.publish.passport.run import facts_of_run

COMMIT = "c" * 40
ENVIRONMENT: dict[str, Any] = {
    "submitter": {
        "executable": "p",
        "version": "3.11.9",
        "packages": {"torch": "2.13.0", "x": "1"},
    },
    "on_path": None,
    "system": "Linux",
    "variables": {},
}


def attempt(writer: Writer, number: int, outcome: str, kept: str = "", **fields: Any) -> None:
    """One attempt at the run r8, from its intent to its verdict."""
    writer.write(
        Intended, key="r8", phase="preparation", attempt=number, token=f"t{number}", script="s.sh",
        script_sha256="a" * 64, **{"git_sha": COMMIT, "git_dirty": False} | fields,
    )  # fmt: skip
    learned = Learned(kept=(kept,) if kept else (), config=fields.get("resolved", ""))
    writer.write(
        Judged, key="r8", phase="preparation", attempt=number, outcome=outcome, state="COMPLETED",
        learned=learned,
    )  # fmt: skip


@pytest.fixture
def exp(tmp_path: Path) -> Path:
    """An experiment's folder with a checkpoint in it, and no journal yet."""
    write_llama(tmp_path / "exp" / "r8" / "epoch_1")
    return tmp_path / "exp"


def said(exp: Path, key: str = "r8") -> dict[str, tuple[Any, str]]:
    """What the experiment says of its checkpoint, path → (value, source)."""
    facts: Facts = facts_of_run(exp / "r8" / "epoch_1", exp, key)
    return {path: tuple(fact) for path, fact in facts.items()}


def test_an_experiment_names_commit_script_log_and_versions(exp: Path) -> None:
    """Of an attempt whose verdict names the checkpoint all is observed; versions are those at
    submission, and so inferred.
    """
    kept = objects.keep(exp / layout.OBJECTS, json.dumps(ENVIRONMENT).encode())
    config = b"dataset: ours/words\n"
    name = objects.keep(exp / layout.OBJECTS, config)
    writer = Writer(exp / layout.JOURNAL, "run")
    attempt(writer, 1, "done", "r8/epoch_1", environment_sha256=kept, configs={"c.yaml": name})
    writer.write(Documented, key="r8", attempt=1, path="../../run_logs/2026-03-11_train.md")
    facts = said(exp)
    assert facts["provenance.training_repo_commit"] == (COMMIT, "observed")
    assert facts["provenance.training_code_dirty"] == (False, "observed")
    assert facts["provenance.attempt"] == (1, "observed")
    assert facts["provenance.run_log_path"] == ("run_logs/2026-03-11_train.md", "observed")
    assert facts["provenance.config_snapshot_path"] == ("c.yaml", "observed")
    assert facts["provenance.merged_config_sha256"][0] == hashlib.sha256(config).hexdigest()
    assert facts["input_contract.training_datasets"][0] == [{"repo": "ours/words", "commit": None}]
    assert facts["model_identity.python_version"] == ("3.11.9", "inferred")
    assert facts["model_identity.library_versions.torch"] == ("2.13.0", "inferred")
    assert "model_identity.library_versions.x" not in facts


def test_the_newest_attempt_that_names_the_checkpoint_counts(exp: Path) -> None:
    """Attempts that failed, and those that made other checkpoints, say nothing of this one."""
    writer = Writer(exp / layout.JOURNAL, "run")
    attempt(writer, 1, "done", "r8/epoch_1", git_sha="1" * 40)
    attempt(writer, 2, "failed but good", "r8/epoch_1", git_sha="2" * 40)
    attempt(writer, 3, "failed", "r8/epoch_1", git_sha="3" * 40)
    attempt(writer, 4, "done", "r8/epoch_9", git_sha="4" * 40)
    assert said(exp)["provenance.training_repo_commit"] == ("2" * 40, "observed")


def test_a_run_that_does_not_name_the_checkpoint_is_not_observed(exp: Path) -> None:
    """Where no verdict names the folder, that the run made it is only concluded."""
    attempt(Writer(exp / layout.JOURNAL, "run"), 1, "done", "r8/epoch_9")
    assert said(exp)["provenance.training_repo_commit"] == (COMMIT, "inferred")


def test_a_run_without_a_good_end_has_no_checkpoint(exp: Path) -> None:
    """A failed run, a run that is not there, and an experiment without a key are refused, each with
    what to type.
    """
    attempt(Writer(exp / layout.JOURNAL, "run"), 1, "failed")
    with pytest.raises(UsageError, match="good end"):
        said(exp)
    with pytest.raises(UsageError, match="no run 'r9'") as caught:
        said(exp, "r9")
    assert "r8" in caught.value.hint
    with pytest.raises(UsageError, match="which of its runs") as caught:
        said(exp, "")
    assert "--key RUN" in caught.value.hint
    with pytest.raises(UsageError, match="no journal"):
        facts_of_run(exp, exp / "r8")


def test_a_recorded_run_that_wrote_the_checkpoint_is_observed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorder's own word on its checkpoint makes commit, configuration and data observed."""
    monkeypatch.chdir(tmp_path)
    config = {"dataset": "ours/words", "lr": 0.1}
    with wk.start_run(folder="run", pipeline="training", config=config, sidecar=False) as run:
        write_llama(tmp_path / "run" / "epoch_1")
        run.checkpoint(tmp_path / "run" / "epoch_1", training_step=3)
    facts = facts_of_run(tmp_path / "run" / "epoch_1", tmp_path / "run")
    assert facts["provenance.run_id"].source == "observed"
    assert facts["model_identity.python_version"].source == "observed"
    assert facts["provenance.merged_config_sha256"].value
    assert facts["input_contract.training_datasets"].value[0]["repo"] == "ours/words"
    other = facts_of_run(tmp_path, tmp_path / "run")
    assert other["provenance.run_id"].source == "inferred"


def test_a_recipes_configuration_says_more(tmp_path: Path) -> None:
    """Of a torchtune recipe's configuration, stack and parent are inferred as well."""
    config = {"checkpointer": {"_component_": "torchtune.training.X", "checkpoint_dir": "base"}}
    Writer(tmp_path / layout.JOURNAL, "training").write(
        RunStarted, run_id="r", pipeline="training", folder=str(tmp_path), config=config
    )
    facts = facts_of_run(tmp_path, tmp_path)
    assert facts["stack"].value == "torchtune"
    assert facts["provenance.parent_checkpoint"].value == "base"


@pytest.mark.parametrize(("is_later", "is_pinned"), [(False, True), (True, False)])
def test_a_data_file_is_pinned_by_its_hash_unless_it_is_newer(
    exp: Path, is_later: bool, is_pinned: bool
) -> None:
    """The training data of a recipe is one file here, and has the hash that it had when the run was
    submitted; one that was written to since then is not the run's.
    """
    config = (
        "checkpointer: {_component_: torchtune.training.X}\n"
        "dataset: {source: json, data_files: words.json}\n"
    )
    name = objects.keep(exp / layout.OBJECTS, config.encode())
    (exp / "words.json").write_text("[]")
    attempt(Writer(exp / layout.JOURNAL, "run"), 1, "done", "r8/epoch_1", configs={"c.yaml": name})
    if is_later:
        os.utime(exp / "words.json", (4e9, 4e9))
    ((dataset,), source) = said(exp)["input_contract.training_datasets"]
    assert (dataset["repo"], source) == ("words.json", "inferred")
    expected = hashlib.sha256(b"[]").hexdigest() if is_pinned else None
    assert dataset.get("sha256") == expected


def test_the_recorded_run_of_an_attempt_is_as_sure_as_the_attempt(exp: Path) -> None:
    """What the job itself recorded counts like the attempt's own verdict, and its versions before
    those of the machine that submitted it.
    """
    kept = objects.keep(exp / layout.OBJECTS, json.dumps(ENVIRONMENT).encode())
    attempt(Writer(exp / layout.JOURNAL, "run"), 1, "done", "r8/epoch_1", environment_sha256=kept)
    recorded = exp / "r8" / "recorded"
    inner = {**ENVIRONMENT, "submitter": {**ENVIRONMENT["submitter"], "version": "3.12.1"}}
    name = objects.keep(recorded / layout.OBJECTS, json.dumps(inner).encode())
    Writer(recorded / layout.JOURNAL, "training").write(
        RunStarted, run_id="r", pipeline="training", folder=str(recorded), environment_sha256=name
    )
    place = layout.attempt_folder(exp, "r8", 1)
    place.mkdir(parents=True)
    (place / "recorder.json").write_text(json.dumps({"folder": str(recorded)}))
    facts = said(exp)
    assert facts["provenance.run_id"] == ("r", "observed")
    assert facts["model_identity.python_version"] == ("3.12.1", "observed")


def test_a_python_without_the_libraries_did_not_train(exp: Path) -> None:
    """The first Python on the path counts if it has a library that trains; else the submitter's."""
    bare = {"executable": "/usr/bin/python", "version": "3.13", "packages": {"six": "1"}}
    kept = objects.keep(exp / layout.OBJECTS, json.dumps({**ENVIRONMENT, "on_path": bare}).encode())
    attempt(Writer(exp / layout.JOURNAL, "run"), 1, "done", "r8/epoch_1", environment_sha256=kept)
    assert said(exp)["model_identity.python_version"][0] == "3.11.9"
