"""The metrics of a printed line: all of them, each under its name, and no other figures."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.runfolder.printed_metrics import HINT, Printed, read_line

LINES = {
    "plain": ("step 1/10 loss: 0.19", Printed(step=1, total=10, metrics={"loss": 0.19})),
    "torchtune's log": (
        "Step 20 | loss:6.05 lr:0.0005 tokens_per_second_per_gpu:1629.28",
        Printed(
            step=20,
            metrics={"loss": 6.05, "lr": 0.0005, "tokens_per_second_per_gpu": 1629.28},
        ),
    ),
    "torchtune's bar": (
        "1|20|Loss: 5.66: 100%|█| 20/20 [00:00<00:00, 78.33it/s]",
        Printed(step=20, total=20, bar=True, metrics={"loss": 5.66, "epoch": 1}),
    ),
    "the Trainer's": (
        "{'loss': 0.5, 'grad_norm': 1.2, 'learning_rate': 5e-05, 'epoch': 0.1}",
        Printed(metrics={"loss": 0.5, "grad_norm": 1.2, "learning_rate": 5e-05, "epoch": 0.1}),
    ),
    ("the Trainer's, as "
        "text"): ("{'loss': '0.5', 'epoch': '0.1'}", Printed(metrics={"loss": 0.5, "epoch": 0.1})),
    "the Trainer's evaluation": (
        "{'eval_loss': 0.4, 'eval_accuracy': 0.9, 'epoch': 1.0}",
        Printed(metrics={"val_loss": 0.4, "eval_accuracy": 0.9, "epoch": 1.0}),
    ),
    ("the Trainer's "
        "accuracy alone"): (("{'eval_f1': 0.9, "
            "'epoch': 1.0}"), Printed(metrics={"eval_f1": 0.9, "epoch": 1.0})),
    "the Trainer's mean loss": (
        "{'train_runtime': 1.2, 'train_loss': 0.4}",
        Printed(metrics={"train_runtime": 1.2, "train_loss": 0.4}),
    ),
    "Lightning's bar": (
        "Epoch 0:  50%|█| 10/20 [00:01<00:01,  8.1it/s, v_num=0, train_loss=1.25, val_acc=0.5]",
        Printed(step=10, total=20, bar=True, metrics={"loss": 1.25, "val_acc": 0.5, "epoch": 0}),
    ),
    "nanoGPT's": (("iter 100: loss 2.5, time "
        "30.2ms, mfu 1.20%"), Printed(step=100, metrics={"loss": 2.5})),
    "two words": (("step 250: train loss "
        "2.1, val loss 2.2"), Printed(step=250, metrics={"loss": 2.1, "val_loss": 2.2})),
    "Megatron's": (
        (" iteration       10/     100 | consumed samples:          160 | learning rate: "
            "1.0E-04 | lm loss: 6.5E+00 |"),
        Printed(
            step=10,
            total=100,
            metrics={"samples": 160, "learning_rate": 0.0001, "loss": 6.5},
        ),
    ),
    "JSON": (
        '{"step": 3, "loss": 0.5, "acc": 0.25, "time": "12:05:33"}',
        Printed(step=3, metrics={"loss": 0.5, "acc": 0.25}),
    ),
    "Keras's": (
        "10/10 [====] - 1s 3ms/step - loss: 0.5 - accuracy: 0.8 - val_loss: 0.6",
        Printed(step=10, total=10, metrics={"loss": 0.5, "accuracy": 0.8, "val_loss": 0.6}),
    ),
    "by a logger": (
        ("2026-01-01 12:05:33 INFO step "
            "5: loss=0.5. lr=1e-4."), Printed(step=5, metrics={"loss": 0.5, "lr": 1e-4}),
    ),
    "percent and thousands": (
        "epoch=3 step=10 acc=81.2% tokens: 1,234,567",
        Printed(step=10, metrics={"epoch": 3, "acc": 81.2, "tokens": 1_234_567}),
    ),
    "no figures": (("version: 1.2.3 step 4 date: "
        "2026-01-01 x=0x10 y=5k eta: 0:05:00"), Printed(step=4)),
    "negative": (("step 3 reward: "
        "-1.5 loss: -2"), Printed(step=3, metrics={"reward": -1.5, "loss": -2})),
    "a name twice": (("step 3 loss: 0.5 "
        "loss: 0.6"), Printed(step=3, metrics={"loss": 0.5, "loss_": 0.6})),
    "both names of a loss": (
        ("step 3 loss: 0.5 "
            "train_loss: 0.6"), Printed(step=3, metrics={"loss": 0.5, "train_loss": 0.6}),
    ),
    "only a loss": ("loss: 2.5", Printed(metrics={"loss": 2.5})),
    "capitals": ("Train Loss: 0.5 | Step: 9", Printed(step=9, metrics={"loss": 0.5})),
    "settings": ("seed: 42, lr: 0.1", None),
    "no training": ("loading 3/4 shards", None),
}  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), LINES.values(), ids=LINES)
def test_each_form_gives_its_step_and_all_its_metrics(line, expected):
    """What trainings print is read whole; times, dates, units and settings are no metrics."""
    assert read_line(line) == expected
    assert expected is None or HINT.search(line.encode())


@pytest.mark.parametrize(
    ("word", "value"), [("nan", math.nan), ("inf", math.inf), ("-inf", -math.inf)]
)
def test_losses_that_are_no_numbers_are_kept(word, value):
    """A loss that has gone wrong is what one wants to see."""
    found = read_line(f"step=7 loss={word}")
    assert found is not None and repr(found.metrics["loss"]) == repr(value)
    bar = read_line(f"1|20|Loss: {word}: 100%|█| 20/20 [00:00<00:00, 78.33it/s]")
    assert bar is not None and repr(bar.metrics["loss"]) == repr(value)


@given(st.text(st.sampled_from("step los:=0123456789.,e-+{}'\"[]/| n\t")) | st.text())
def test_any_line_is_read(line):
    """Whatever is printed, reading it raises nothing, and gives finite text no figure that it does
    not have.
    """
    found = read_line(line)
    assert found is None or all(isinstance(value, int | float) for value in found.metrics.values())
