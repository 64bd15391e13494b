"""How far a training says it is, from what it prints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.runfolder.printed import Position, advances, bar_rate, losses, position, val_losses

PRINTED = {
    "tqdm": (
        "train:  12%|█▏        | 34/300 [00:05<00:40,  6.60it/s]",
        Position(step=34, total=300),
    ),
    "tqdm, redrawn": (
        "\r  0%| | 0/20 [00:00<?, ?it/s]\r 50%|██ | 10/20 [00:01<00:01, 8.1it/s]",
        Position(step=10, total=20),
    ),
    "tqdm, in hours": (
        "42%|██ | 1234/2937 [1:02:33<1:20:01,  3.1s/it]",
        Position(step=1234, total=2937),
    ),
    "torchtune's bar": (
        "1|20|Loss: 5.66: 100%|██████████| 20/20 [00:00<00:00, 78.33it/s]",
        Position(epoch=1, step=20, total=20, loss="5.66"),
    ),
    "torchtune's bar in its second epoch": (
        "2|35|Loss: 4.5:  75%|███████▌  | 15/20 [00:00<00:00, 78.33it/s]",
        Position(epoch=2, step=35, total=40, loss="4.5"),
    ),
    "validation beside it": (
        "step 3 train/loss: 0.5 val/loss: 9.5 eval_loss=8",
        Position(step=3, loss="0.5"),
    ),
    "torchtune's log": (
        "Step 20 | loss:6.05 lr:0.0005 tokens_per_second_per_gpu:1629.28",
        Position(step=20, loss="6.05"),
    ),
    "the Trainer": (
        (
            "{'loss': 0.5, 'grad_norm': 1.2, 'learning_rate': 5e-05, 'epoch': 0.1}\n 10%|█ | "
            "10/100 [00:01<00:09, 9.9it/s]"
        ),
        Position(step=10, total=100, loss="0.5"),
    ),
    "Lightning": (
        "Epoch 0:  50%|█████ | 10/20 [00:01<00:01,  8.1it/s, v_num=0, train_loss=1.25]",
        Position(epoch=0, step=10, total=20, loss="1.25"),
    ),
    "plain": ("step 2,710 loss: 0.3245", Position(step=2710, loss="0.3245")),
    "with its total": (
        "global_step: 12 / 300, loss=1e-3",
        Position(step=12, total=300, loss="1e-3"),
    ),
    "not a number": ("step=7 loss=nan", Position(step=7, loss="nan")),
    "a warning after it": (
        "step 7 loss 0.5\nUserWarning: something is deprecated\n",
        Position(step=7, loss="0.5"),
    ),
    "only a loss": ("loss: 2.5", Position(loss="2.5")),
}


@pytest.mark.parametrize(("text", "expected"), PRINTED.values(), ids=PRINTED)
def test_the_forms_that_trainings_print_are_read(text, expected):
    """Each tool's own line gives its step, total, loss and epoch, and nothing else."""
    assert position(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "\n\r\n", "loading 3/4 shards", "stepping stones", "lossless", "12:05:33 hello", "step"],
)
def test_what_names_no_step_is_none(text):
    """Words and figures that only look like a position are not taken for one."""
    assert position(text) is None


@given(st.text())
def test_any_text_is_read(text):
    """Whatever a job prints, reading it raises nothing."""
    position(text)


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_the_last_one_counts(first, last):
    """Of several positions the last one is told."""
    found = position(f"step {first}\nstep {last}\n")
    assert found is not None and found.step == last


def test_a_bars_own_rate_is_read():
    """The last bar's rate is steps a second, whichever way round it is written; none is None."""
    assert (
        bar_rate(" 5%|# | 1/20 [00:01<00:19, 4.0it/s]\r10%|# | 2/20 [00:02<00:18, 8.1it/s, loss=2]")
        == 8.1
    )
    assert bar_rate("42%|██ | 1234/2937 [1:02:33<1:20:01,  4.0s/it]") == 0.25
    assert bar_rate(" 0%| | 0/20 [00:00<?, ?it/s]") is None
    assert bar_rate("step 7 at 12 it/s") is None


def test_how_often_the_position_changes_is_counted():
    """A repeated line is no advance; each new step or epoch is one."""
    assert advances("step 1\nstep 1\nwarning\nstep 2\rstep 3\n") == 2
    assert advances("step 1") == 0 and advances("") == 0


@pytest.mark.parametrize(
    ("line", "train", "val"),
    [
        ("step 10 loss 1.5 val_loss 2.5", [(10, 1.5)], [(10, 2.5)]),
        ("step 10: validation loss: 2.5", [], [(10, 2.5)]),
        ("step 10 | Val Loss 2.5 | train_loss 1.5", [(10, 1.5)], [(10, 2.5)]),
        ("step 10 {'eval_loss': 2.5, 'eval_accuracy': 0.5}", [], [(10, 2.5)]),
        ("step 10 eval/loss=nan", [], "nan"),
        ("step 10 test loss 0.25", [], []),
        ("step 10 loss 1.5", [(10, 1.5)], []),
    ],
)
def test_a_validation_loss_is_none_of_the_training(line, train, val):
    """What a line says of validation, or of a test, is never taken for the training's loss."""
    assert losses(line) == train
    found = val_losses(line)
    assert [str(loss) for _, loss in found] == ["nan"] if val == "nan" else found == val


def test_the_label_of_a_stage_is_no_training_step():
    """`step 00_ingest` names a stage of a pipeline, and tells no position."""
    assert position("INFO [p x 00_ingest] Starting step 00_ingest") is None
    assert position("step 00/10 loss 0.5").step == 0
