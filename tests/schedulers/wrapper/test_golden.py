"""The wrapper's bytes, which queued jobs and wrappers that are already written depend on."""

from pathlib import Path

import pytest

from watchkeeper.schedulers.wrapper import render

GOLDEN = Path(__file__).parent / "golden"
ATTEMPT = Path("/data/exp/.watchkeeper/runs/r8/1")

HEADS = {
    # One job on this machine, with nothing to wait for.
    "plain": (
        b"#!/bin/bash\n#SBATCH --time=10\n\npython train.py\n",
        {"attempt_folder": ATTEMPT, "script": ATTEMPT / "script", "scheduler": "local"},
    ),
    # A retry on a cluster: every place is filled in.
    "full": (
        b"#!/usr/bin/env bash\n# Fine-tune\n#SBATCH --job-name=r8\n#SBATCH --array=0-3%2\n"
        b"\x0cset -e\npython train.py\n",
        {
            "attempt_folder": ATTEMPT,
            "script": ATTEMPT / "script",
            "scheduler": "slurm@two",
            "needs": [ATTEMPT.parent / "base" / "1", Path("/data/it's here/2")],
            "promises": [["/data/exp/r8/epoch_*", "/data/exp/r8/a\\b"], ["/data/exp/r8/result"]],
            "checkpoints": [["/data/exp/r8/epoch_*", "/data/exp/r8/a\\b"]],
            "lag_s": 120.0,
            "starts": Path("/data/exp/.watchkeeper/starts"),
            "gap_s": 1.5,
            "variables": {
                render.BATCH_VARIABLE: "4",
                render.RESUME_VARIABLE: "/data/exp/r8/epoch 0",
            },
        },
    ),
    # Names that the shell would read otherwise, bytes that are not UTF-8, and no interpreter.
    "odd": (
        b"#SBATCH --comment=\xff\n   # said $(date)\n# @TOKEN@ __TOKEN__\necho\n",
        {
            "attempt_folder": Path("/data/$HOME `x`/it's \udcff/1"),
            "script": Path("/data/$HOME `x`/it's \udcff/1/script"),
            "scheduler": "slurm",
            "lag_s": 1.0,
            "gap_s": 0.2,
            "variables": {"ODD": "@RUN@ __RUN__ \\1 $x"},
        },
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_rendered_wrapper_is_the_same_to_the_byte(name):
    """Whatever is filled into it, the wrapper is byte for byte the one that was written before."""
    head, options = HEADS[name]
    rendered = render.render(head, token=f"token-{name}", **options)
    assert rendered == (GOLDEN / f"{name}.sh").read_bytes()
