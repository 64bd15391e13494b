"""What `watchkeeper exec` reads of the lines that public training scripts print."""

from __future__ import annotations

import pytest

from watchkeeper.record.printout import PrintedRows

# Of each script the line that it prints while it trains, imitated; then its step and its loss.
STYLES = {
    "nanoGPT": ("iter 100: loss 4.2874, time 12.34ms, mfu -100.00%", 100, 4.2874),
    "build-nanogpt": ("step    50 | loss: 6.123456 | lr 1.20e-04 | dt: 123.45ms", 50, 6.123456),
    "llm.c": ("step    1/20 | train loss 4.367857 | norm 12.3 | lr 0.00e+00", 1, 4.367857),
    "PyTorch MNIST": ("Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.123456", 640, 2.123456),
    "PyTorch ImageNet": ("Epoch: [0][  10/5005]\tTime  0.5 ( 1.2)\tLoss 6.9 (7.0)", 10, 6.9),
    "PyTorch language model": (
        "| epoch   1 |   200/ 2983 batches | lr 20.00 | ms/batch 12.34 | loss  7.63",
        200,
        7.63,
    ),
    "PyTorch tutorial": ("loss: 2.303494  [  640/60000]", 640, 2.303494),
    "Keras 2": (" 45/938 [>......] - ETA: 5s - loss: 0.5 - accuracy: 0.85", 45, 0.5),
    "Keras 3": (
        "\x1b[1m45/938\x1b[0m \x1b[32m━━━━\x1b[0m \x1b[1m3s\x1b[0m 2ms/step - loss: 0.3",
        45,
        0.3,
    ),
    "Lightning": ("Epoch 0:  50%|█| 469/938 [00:05<00:05, 90it/s, train_loss=0.5]", 469, 0.5),
    "fairseq": ("| epoch 001:    100 / 1234 loss=12.3, ppl=5012, num_updates=100", 100, 12.3),
    "Megatron-LM": (
        " iteration      100/  500000 | learning rate: 1.500E-06 | lm loss: 9.12E+00 |",
        100,
        9.12,
    ),
    "DeepSpeed examples": ("steps: 10 loss: 3.1234 iter time (s): 0.5", 10, 3.1234),
    "Detectron2": ("eta: 1:00:00  iter: 19  total_loss: 2.123  loss_cls: 1.2", 19, 2.123),
    "mmengine": ("Epoch(train)  [1][  50/7330]  lr: 1.98e-03  loss: 1.23  loss_cls: 0.5", 50, 1.23),
    "timm": ("Train: 0 [  50/1251 (  4%)]  Loss: 6.94 (6.95)  Time: 0.5s", 50, 6.94),
    "MAE": ("Epoch: [0]  [  20/1251]  eta: 0:10:00  lr: 0.000001  loss: 1.9 (2.0)", 20, 1.9),
    "open_clip": ("Train Epoch: 0 [  256/1000000 (0%)] Data (t): 1.2 Loss: 5.5 (5.5)", 256, 5.5),
    "torchtune": ("1|20|Loss: 5.66: 100%|█| 20/20 [00:10<00:00,  1.9it/s]", 20, 5.66),
    "torchtitan": ("[rank0]:… - INFO - step: 10  loss:  8.1234  memory: 10.50GiB", 10, 8.1234),
    "litgpt": ("Epoch 1 | iter 100 step 25 | loss train: 1.234, val: n/a", 25, 1.234),
    "diffusers": ("Steps:   1%| | 10/1000 [00:05<08:15,  2.0it/s, step_loss=0.123]", 10, 0.123),
    "MaxText": ("completed step: 10, seconds: 1.234, loss: 10.123", 10, 10.123),
    "OLMo": ("INFO\t[step=10/1000,epoch=0] train/CrossEntropyLoss=10.5", 10, 10.5),
    "Composer": (
        "train  Epoch 0:  1%|| 10/2000 [00:05<10:00, 2ba/s, loss/train/total=2.3]",
        10,
        2.3,
    ),
    "icefall": ("Epoch 1, batch 50, loss[loss=1.2, over 1000 frames.], batch size: 20", 50, 1.2),
    "ESPnet": ("1epoch:train:1-100batch: iter_time=0.01, loss_ctc=100.1, loss=80.5", 100, 80.5),
    "Flax": ("Step... (100/1000 | Loss: 1.234, Learning Rate: 1e-4)", 100, 1.234),
    "PyTorch Geometric": ("Epoch: 010, Loss: 1.2345, Train: 0.5, Val: 0.4", 10, 1.2345),
    "DGL": ("Epoch 00010 | Loss 1.2345 | Accuracy 0.5", 10, 1.2345),
    "scikit-learn": ("Iteration 10, loss = 0.32009978", 10, 0.32009978),
    "Caffe": ("solver.cpp:239] Iteration 100 (10 iter/s), loss = 0.5", 100, 0.5),
}


def rows_of(text: str) -> list[tuple[object, dict[str, object]]]:
    """The rows that are kept of a command that prints this."""
    kept: list[tuple[object, dict[str, object]]] = []
    rows = PrintedRows(1, lambda row: kept.append((row.step, row.metrics)), lambda: None, lambda: 0)
    rows.add(0, text.encode() + b"\n")
    rows.finish()
    return kept


@pytest.mark.parametrize("style", STYLES)
def test_step_and_loss_of_a_public_script_are_read(style):
    """Its line is one row, under its step, with its loss as `loss`."""
    line, step, loss = STYLES[style]
    ((row_step, metrics),) = rows_of(line)
    assert (row_step, metrics["loss"]) == (step, loss)


def test_boosting_rounds_are_steps():
    """XGBoost and LightGBM count rounds, and name their figures themselves."""
    ((step, metrics),) = rows_of("[10]\ttrain-logloss:0.5\teval-logloss:0.6")
    assert (step, metrics) == (10, {"train-logloss": 0.5, "eval-logloss": 0.6})


@pytest.mark.parametrize(
    "line",
    [
        "Downloading shards [3/10]",
        "[5/20] Compiling loss.cpp",
        "Epoch 3/10",
        "collected 12 items / 3 batches",
    ],
)
def test_counters_of_other_things_are_no_steps(line):
    """Without a figure of a loss beside it a counter is no row with one."""
    assert rows_of(line) == []


def test_an_epoch_is_no_step_where_steps_are_counted():
    """A summary of an epoch stands at the last step before it."""
    kept = rows_of("step 500 loss: 0.5\nEpoch 1, Loss: 0.6")
    assert [step for step, _ in kept] == [500, 500]
