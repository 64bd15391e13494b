"""A small recorded program whose disk fails: python -m tests.iofaults.victim RUN_FOLDER
ACKNOWLEDGED WEIGHTS.

It appends a line to ACKNOWLEDGED, which lies elsewhere, for each row that it was told is kept, and
ends with CODE.
"""

from __future__ import annotations

import os
import sys

import watchkeeper as wk

CODE = 7
ROWS = 8


def main() -> int:
    """Record a step, metric rows, rows of a table and a checkpoint."""
    folder, acknowledged, weights = sys.argv[1:]
    heard = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with wk.start_run(folder=folder, pipeline="failing-disk", config={"seed": 1}) as run:
        table = run.table("raw_metrics", key="number")
        with run.step("00_train"):
            for step in range(1, ROWS + 1):
                run.log(step, loss=1 / step)
                os.write(heard, b"metric %d\n" % step)
                table.append({"number": step, "accuracy": step / 10})
                os.write(heard, b"table %d\n" % step)
            run.checkpoint(weights, training_step=ROWS)
        with run.step("01_evaluate") as stage:
            stage.rows(read=ROWS, kept=ROWS)
    return CODE


if __name__ == "__main__":
    sys.exit(main())
