"""The public API as a program uses it, for mypy: no line of this file runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import assert_type

import watchkeeper as wk

run = wk.start_run("artifacts", pipeline="training", config={"seed": 1}, run_id=None)
assert_type(run, wk.Run)
assert_type(run.folder, Path)
assert_type(run.time_left_s, float | None)
assert_type(wk.current_run(), wk.Run | None)
assert_type(wk.__version__, str)

with wk.start_run(folder=Path("artifacts/r8"), pipeline="training") as training:
    with training.step("00_ingest", inputs=["data.csv"], items_shown=3) as stage:
        assert_type(stage, wk.Step)
        stage.rows(read=1000, kept=980)
        stage.metrics(share=0.98)
        stage.item("read %s", "data.csv")
        assert_type(stage.save("rows.txt", lambda path: path.write_text("1")), Path | None)

    cadence = training.cadence(log_every=10, eval_every=100, total=1000)
    assert_type(cadence, wk.Cadence)
    loop = training.track(range(10), "train", total=10)
    assert_type(loop, wk.Progress[int])
    for batch in loop:
        assert_type(batch, int)
        training.log(batch, loss=0.5)
        training.log({"loss": 0.5}, step=batch)
        if training.stop_requested:
            break
        training.stop_if_requested()
    training.example(5, prompt="2 + 2", golden="4", output="4", val_loss=0.5)

    with training.table("results", key=["model"]) as table:
        assert_type(table, wk.Table)
        table.append({"model": "a", "accuracy": 0.5})

    limit = training.limit(60)
    assert_type(limit, wk.Limit)
    training.checkpoint("checkpoints/step_5", training_step=5)
    training.output(Path("report.md"), what="the report")
    training.totals(tokens=1_000)
    training.request_stop("the budget is spent")


@run.on_stop
def save() -> None:
    """Save the last checkpoint."""


rows, problems = wk.read_rows("artifacts/r8")
assert_type(rows, Sequence[wk.Row])
assert_type(problems, list[wk.Problem])

recording = wk.load("artifacts/r8", "artifacts/r16", all_rows=True)
assert_type(recording, wk.Recording)
assert_type(recording["r8"].rows, list[wk.Row])
for one in recording:
    assert_type(one.state, str)
assert_type(recording.problems, list[wk.Problem])

passport = wk.load_passport("artifacts/epoch_1")
assert_type(passport, wk.Passport)
assert_type(passport.input_contract, wk.InputContract)
assert_type(passport.path, Path)

try:
    wk.start_run(pipeline="")
except (wk.UsageError, wk.StorageError) as error:
    assert_type(error.hint, str)
except wk.WatchkeeperError:
    raise
except wk.Interrupted as stop:
    raise SystemExit(stop.code) from None
