"""TRAINING_LOG.md, from run logs of the machine and of people."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.text import WouldEmptyError, find_private
from watchkeeper.publish.sanitize.training_log import training_log

LOGS = sorted((Path(__file__).parents[2] / "report/runlogs").rglob("*.md"))
PUBLIC = "https://wandb.ai/team/project/runs/abc123"
PRIVATE = "https://wandb.ai/team/inner/runs/def456"
LOG = f"""# train — front camera

## Mode
- run_type: experiment

## Config
- script: `slurm/train.sh`
- config: `configs/front.yaml`
- dataset: `demo.hdf5` at `/data/demo`
- key settings: learning rate 1e-3, batch size 64

## Job 123456
- execution_id: 123456
- **Node:** `gpu-07`
- account: proj_77
- submitted/start: 2026-03-11 15:00 UTC
- runtime: `12:00:00`
- synced: {PRIVATE}

## Job (resumed)
- job_id: `123999` (second submission)
- resumed from: `/scratch/demo/60000`

## Status
- 2026-03-11 15:20 UTC — running on gpu-07, step 2400, train_loss 0.085
- 2026-03-12 03:01 UTC — cancelled by ann42 (job 123456)

## Training Dynamics
| step | loss |
|------|------|
| 5000 | 0.0215 |

## Results
- checkpoint: `/scratch/demo/100000`
- end_train_loss: `0.021`

## W&B
- local: `wandb/offline-run-20260311_150000-abc123`
- synced: {PUBLIC}
- id: wandb_id.txt

## Debug commands used
```
ssh ann42@login01
squeue -u ann42
```
"""
EXPECTED = f"""# train — front camera

## Mode
- run_type: experiment

## Config
- script: `slurm/train.sh`
- config: `configs/front.yaml`
- dataset: `demo.hdf5` at `<path-1>`
- key settings: learning rate 1e-3, batch size 64

## Job
- submitted/start: 2026-03-11 15:00 UTC
- runtime: `12:00:00`

## Job (resumed)
- job_id: `<job-2>` (second submission)

## Status
- 2026-03-11 15:20 UTC — running on `<host-1>`, step 2400, train_loss 0.085
- 2026-03-12 03:01 UTC — cancelled by `<user-1>` (job `<job-1>`)

## Training Dynamics
| step | loss |
|------|------|
| 5000 | 0.0215 |

## Results
- end_train_loss: `0.021`

## W&B
- synced: {PUBLIC}

## Debug commands used
```
ssh <address-1>
squeue -u <user-1>
```
"""


def test_a_run_log_keeps_its_training_and_loses_its_cluster():
    """Configuration, status, losses and the public link stay; jobs, nodes, paths and people go."""
    assert training_log(LOG, Known(), public_links=[PUBLIC]).text == EXPECTED


def test_a_training_log_of_a_training_log_is_itself():
    """What was made once is not changed by making it again."""
    known = Known()
    once = training_log(LOG, known, public_links=[PUBLIC]).text
    assert training_log(once, known, public_links=[PUBLIC]).text == once


def test_a_log_of_nothing_but_the_cluster_is_refused():
    """A log that would be empty is no training log."""
    with pytest.raises(WouldEmptyError):
        training_log("# Job\n- node: gpu-07\n- job_id: 123456\n", Known())


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_a_run_log_in_any_dialect_becomes_a_training_log(path):
    """Nothing private is left of it, and every status line without private details is."""
    text = path.read_text(errors="replace")
    known = Known()
    shown = training_log(text, known).text
    assert find_private(shown, known) == []
    lines = set(shown.splitlines())
    for line in text.splitlines():
        if "loss" in line and not find_private(line, known):
            assert line in lines
