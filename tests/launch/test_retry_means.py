"""What a script allows, and what an attempt's copy of it is given: never in the user's own file."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from watchkeeper.core.events import RunItem
from watchkeeper.launch import retry_means
from watchkeeper.launch.retries import Rules
from watchkeeper.reading import tool_calls
from watchkeeper.reading.shell import with_overrides
from watchkeeper.reading.tool_calls import Batch

ITEM = RunItem(key="one", phase="preparation", run="one", script="one/finetune.slurm")
RULES = Rules(limit=2, resume_variable="LOAD_CKPT_PATH")
CHANGE = {"batch_size": "2", "gradient_accumulation_steps": "4"}
ADDED = "batch_size=2 gradient_accumulation_steps=4"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("tune run r --config c.yaml\n", "tune run r --config c.yaml @\n"),
        ("tune run r --config c.yaml", "tune run r --config c.yaml @"),
        (
            "tune run r \\\n  --config c.yaml \\\n  epochs=1\necho\n",
            "tune run r \\\n  --config c.yaml \\\n  epochs=1 @\necho\n",
        ),
        (
            "srun tune run r --config c.yaml > o 2>&1\n",
            "srun tune run r --config c.yaml @ > o 2>&1\n",
        ),
        (
            "tune run r --config c.yaml 2>&1 | tee o\n",
            "tune run r --config c.yaml @ 2>&1 | tee o\n",
        ),
        (
            "cd x && tune run r --config c.yaml && echo\n",
            "cd x && tune run r --config c.yaml @ && echo\n",
        ),
        ("if tune run r --config c.yaml; then\n", "if tune run r --config c.yaml @; then\n"),
        ("(tune run r --config c.yaml)\n", "(tune run r --config c.yaml @)\n"),
        (
            "tune run r --config 'a b.yaml' x=\"$Y\"  # why\n",
            "tune run r --config 'a b.yaml' x=\"$Y\" @  # why\n",
        ),
        (
            "/opt/bin/tune run r --config c.yaml epochs=2&\n",
            "/opt/bin/tune run r --config c.yaml epochs=2 @&\n",
        ),
    ],
)
def test_overrides_go_behind_the_calls_last_word(before: str, after: str) -> None:
    """What follows the call (pipes, redirections, comments, continuations) stays where it was."""
    assert with_overrides(before, ADDED.split()) == after.replace("@", ADDED)


@pytest.mark.parametrize(
    "text",
    [
        "echo\n",
        "tune run a --config b\ntune run a --config c\n",
        "tune run a 'open\n",
        "fine-tune run x\n",
    ],
)
def test_a_script_without_exactly_one_call_is_not_changed(text: str) -> None:
    """No call, two, or one whose end cannot be told: nothing is guessed."""
    assert with_overrides(text, ADDED.split()) is None


def experiment(
    folder: Path, script: str, config: str = "batch_size: 4\ngradient_accumulation_steps: 2\n"
) -> Path:
    """An experiment with one run's script and configuration."""
    (folder / "one").mkdir(parents=True)
    (folder / ITEM.script).write_text(script)
    (folder / "one/finetune.yaml").write_text(config)
    return folder


@pytest.mark.parametrize(
    ("script", "batch", "no_batch"),
    [
        ("tune run r --config finetune.yaml\n", Batch(size=4, accumulation=2), ""),
        ("tune run r --config finetune.yaml batch_size=8\n", Batch(size=8, accumulation=2), ""),
        ("tune run r --config finetune.yaml batch_size=$B\n", None, "plain numbers"),
        (
            "python train.py\n",
            Batch(size=4, accumulation=2),
            "not read WATCHKEEPER_BATCH_SIZE",
        ),
        (
            "a ${WATCHKEEPER_BATCH_SIZE:-32} ${WATCHKEEPER_GRADIENT_ACCUMULATION_STEPS:-1}\n",
            Batch(size=32),
            "",
        ),
        (
            "a $WATCHKEEPER_BATCH_SIZE $WATCHKEEPER_GRADIENT_ACCUMULATION_STEPS\n",
            Batch(size=4, accumulation=2),
            "",
        ),
        (
            "a ${WATCHKEEPER_BATCH_SIZE:-32}\n",
            Batch(size=4, accumulation=2),
            "the effective batch would change",
        ),
        (
            "# $WATCHKEEPER_BATCH_SIZE $WATCHKEEPER_GRADIENT_ACCUMULATION_STEPS\n",
            Batch(size=4, accumulation=2),
            "does not read",
        ),
    ],
)
def test_the_batch_is_what_script_and_configuration_say(
    tmp_path: Path, script: str, batch: Batch | None, no_batch: str
) -> None:
    """Overrides outweigh the configuration, a script's own default both; what is not plain is not
    known.
    """
    found = retry_means.means_of(experiment(tmp_path / "e", script), ITEM, [], [], RULES)
    assert found.batch == batch and (no_batch in found.no_batch if no_batch else not found.no_batch)


def test_a_program_that_reads_the_variables_itself_follows(tmp_path: Path) -> None:
    """The script may leave the reading to the program that it calls from its folder."""
    folder = experiment(tmp_path / "e", "python train.py\n")
    (folder / "one/train.py").write_text(
        "WATCHKEEPER_BATCH_SIZE, WATCHKEEPER_GRADIENT_ACCUMULATION_STEPS\n"
    )
    assert retry_means.means_of(folder, ITEM, [], [], RULES).no_batch == ""


@pytest.mark.parametrize("name", ["one/finetune.slurm", "one/train.py", "one/finetune.yaml"])
def test_what_the_disk_refuses_leaves_the_means_unknown(
    tmp_path: Path, refused_files: set[Path], name: str
) -> None:
    """A script, a program that it calls or a configuration that cannot be read twice is named; that
    it does not follow a change is not assumed.
    """
    folder = experiment(tmp_path / "e", "python train.py\n")
    (folder / "one/train.py").write_text("LOAD_CKPT_PATH\n")
    assert retry_means.means_of(folder, ITEM, [], [], RULES).unreadable == ""
    refused_files.add(folder / name)
    unreadable = retry_means.means_of(folder, ITEM, [], [], RULES).unreadable
    assert name in unreadable and "Input/output error" in unreadable


def test_no_copy_is_made_where_the_disk_refuses_a_called_program(
    tmp_path: Path, refused_files: set[Path]
) -> None:
    """Whether it reads a checkpoint's path is not known: the attempt is refused, and names it."""
    folder = experiment(tmp_path / "e", "python train.py\n")
    program = folder / "one/train.py"
    program.write_text("LOAD_CKPT_PATH\n")
    refused_files.add(program)
    with pytest.raises(retry_means.CannotChangeError, match=f"could not read {program}"):
        retry_means.prepare(
            b"python train.py\n",
            folder / ITEM.script,
            folder,
            change={},
            resume_from="one/artifacts/epoch_0",
            rules=RULES,
        )


def test_the_copy_has_overrides_and_the_environment_has_variables(tmp_path: Path) -> None:
    """torchtune's call is given the batch; a script that reads the variables is left as it is; both
    have the variables.
    """
    folder = experiment(tmp_path / "e", "")
    script = folder / ITEM.script
    tune, reads = (
        b"#!/bin/bash\ntune run r --config finetune.yaml\n",
        b"x $WATCHKEEPER_BATCH_SIZE $WATCHKEEPER_GRADIENT_ACCUMULATION_STEPS\n",
    )

    def prepared(source: bytes, resume_from: str = "") -> retry_means.Prepared:
        return retry_means.prepare(
            source, script, folder, change=CHANGE, resume_from=resume_from, rules=RULES
        )

    piped = b"tune run r --config finetune.yaml 2>&1 | tee o\n"
    assert prepared(piped).source == piped.replace(
        b"finetune.yaml", b"finetune.yaml " + ADDED.encode()
    )
    first = prepared(tune, "one/artifacts/epoch_0")
    assert first.source == tune.replace(b"finetune.yaml", b"finetune.yaml " + ADDED.encode())
    assert first.variables == {
        "WATCHKEEPER_BATCH_SIZE": "2",
        "WATCHKEEPER_GRADIENT_ACCUMULATION_STEPS": "4",
        "WATCHKEEPER_RESUME_FROM": str(folder / "one/artifacts/epoch_0"),
        "LOAD_CKPT_PATH": str(folder / "one/artifacts/epoch_0"),
    }
    assert prepared(reads).source == reads
    with pytest.raises(retry_means.CannotChangeError):
        prepared(b"python train.py\n")
    assert script.read_bytes() == b""


def saved(folder: Path, epoch: int, at: float) -> Path:
    """An epoch as torchtune leaves it, written at one time."""
    place = folder / f"epoch_{epoch}"
    place.mkdir(parents=True)
    with zipfile.ZipFile(place / "adapter_model.pt", "w") as file:
        file.writestr("data", "x")
    os.utime(place / "adapter_model.pt", (at, at))
    return place


def test_torchtune_goes_on_only_where_its_own_state_is_the_epochs(tmp_path: Path) -> None:
    """The state must be whole, written after the epoch and before a later one; else the training
    begins anew.
    """
    text = "tune run r --config finetune.yaml\n"
    epoch = saved(tmp_path / "out", 0, at=1000)
    state = tmp_path / "out/recipe_state/recipe_state.pt"
    assert retry_means.tune_resumption(epoch, text) == ()
    state.parent.mkdir()
    state.write_bytes(b"torn")
    assert retry_means.tune_resumption(epoch, text) == ()
    with zipfile.ZipFile(state, "w") as file:
        file.writestr("data", "x")
    os.utime(state, (1001, 1001))
    found = retry_means.tune_resumption(epoch, text)
    assert (
        found[0] == "resume_from_checkpoint=True"
        and f"checkpointer.recipe_checkpoint={state}" in found
    )
    assert tool_calls.tune_calls(with_overrides(text, found) or "")[0][-3:] == list(found)
    begun = saved(tmp_path / "out", 1, at=1002)
    assert retry_means.tune_resumption(epoch, text) == found, (
        "epoch 1 was begun after the state was written"
    )
    os.utime(begun / "adapter_model.pt", (1000.5, 1000.5))
    assert retry_means.tune_resumption(epoch, text) == ()
    os.utime(state, (999, 999))
    assert retry_means.tune_resumption(epoch, text) == ()
    assert retry_means.tune_resumption(epoch, "python train.py\n") == ()
