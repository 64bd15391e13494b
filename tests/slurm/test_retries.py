"""What is tried again by itself, on a real Slurm."""

import pytest

from tests.slurm.trial import Trial

OUT_OF_MEMORY = """#!/bin/bash
#SBATCH --job-name=one
#SBATCH --output=slurm-%j.out
#SBATCH --time=00:05:00
echo "${WATCHKEEPER_BATCH_SIZE:-16} ${WATCHKEEPER_GRADIENT_ACCUMULATION_STEPS:-2}" >> batches.txt
if [ "${WATCHKEEPER_BATCH_SIZE:-16}" -gt 4 ]; then
    echo "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB." >&2
    exit 1
fi
mkdir -p artifacts/epoch_0 && echo weights > artifacts/epoch_0/model.bin
"""


@pytest.fixture
def trial(slurm_lab):
    """An experiment of one fine-tune on a cluster that is up."""
    slurm_lab.up()
    try:
        with Trial(slurm_lab) as made:
            yield made
    finally:
        slurm_lab.cancel_all()


def test_a_job_out_of_the_gpus_memory_is_tried_again_with_half_the_batch(trial):
    """Slurm says only FAILED, the output names the memory: the batch is halved twice, the effective
    batch stays 32, and each try is an attempt of the same run, in its log as well.
    """
    (trial.folder / "one" / "finetune.slurm").write_text(OUT_OF_MEMORY)
    config = trial.folder / "one" / "finetune.yaml"
    config.write_text("batch_size: 16\ngradient_accumulation_steps: 2\n")
    config.chmod(0o666)
    printed = trial.run(WATCHKEEPER_RETRIES="2")
    assert (trial.folder / "one" / "batches.txt").read_text() == "16 2\n8 4\n4 8\n"
    assert [
        (a.judged.state, a.judged.outcome, a.judged.cause) for a in trial.attempts.values()
    ] == [
        ("FAILED", "failed", "memory gpu"),
        ("FAILED", "failed", "memory gpu"),
        ("COMPLETED", "done", ""),
    ]
    assert printed.count("RETRY ") == 2
    (log,) = (trial.folder / "run_logs").glob("*_one.md")
    assert log.read_text().count("## Job (resumed)") == 2
