"""A small signed checkpoint of a recorded run, and the package of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.publish.vouched import SIGNED, at, checkpoint
from watchkeeper.core.events import Checkpoint, RunStarted, Submitted
from watchkeeper.core.journal import Writer
from watchkeeper.publish.package.staging import Plan, Request, Staged, make_plan, stage
from watchkeeper.publish.package.story import Loss, Result, Source, Story
from watchkeeper.publish.signing.keys import Key
from watchkeeper.publish.signoff.sign import sign

JOB = "48151623"
HOST = "gpu-node17"
STORY = Story(
    name="r8",
    description="Does rank matter?",
    settings={"lr": "0.01", "data": "/scratch/ada/train.json"},
    losses=(Loss(1, 6.1), Loss(200, 0.12, 0.3)),
    best="Least train loss 0.12 at step 200",
    rows=200,
    results=(Result(task="capitalization", metrics={"accuracy": 0.92, "stderr": 0.03}, samples=9),),
    plot='<svg xmlns="http://www.w3.org/2000/svg"></svg>\n',
    config="lr: 0.01\ndata: /scratch/ada/train.json\n",
    run_log=f"# r8\n\n## Job\n- execution_id: {JOB}\n- node: {HOST}\n\n## Results\n- loss: 0.12\n",
)


def make_source(
    folder: Path, *, soft: bool = False, is_signed: bool = True, is_alone: bool = False
) -> Source:
    """A run in `folder`, and its checkpoint with the files that trainers leave beside weights.
    `is_alone`: it is a recorded run, and no run of an experiment.
    """
    writer = Writer(folder / ".watchkeeper" / "journal", "run", zone="UTC")
    writer.write(RunStarted, run_id="r", pipeline="training", folder=str(folder), job_id=JOB)
    if not is_alone:
        writer.write(Submitted, key="r8", phase="preparation", attempt=1, job_id=JOB,
                     scheduler="slurm", command="sbatch x")  # fmt: skip
    writer.write(Checkpoint, path="step_200", files=(), training_step=200)
    writer.close()
    root = checkpoint(folder / "step_200", soft=soft)
    (root / "config.json").write_text('{"model_type": "tiny", "note": "/scratch/ada/base"}\n')
    (root / "optimizer.pt").write_bytes(b"state")
    (root / "tokenizer.model").write_bytes(b"\0tokens")
    if is_signed:
        sign(root, reason="the log is short" if soft else "", clock=at(SIGNED))
    key = "" if is_alone else "r8"
    return Source(root=root, folder=folder, key=key, path="step_200", training_step=200)


def first_writer(source: Source) -> str:
    """The writer of the run's journal."""
    (journal,) = (source.folder / ".watchkeeper" / "journal").glob("*.jsonl")
    return journal.stem


def plan_of(source: Source, target: Path, request: Request | None = None) -> Plan:
    """The plan of a package."""
    return make_plan(source, target, request or Request())


def make_package(
    source: Source,
    target: Path,
    *,
    story: Story = STORY,
    request: Request | None = None,
    key: Key | None = None,
) -> Staged:
    """A package that was staged."""
    asked = request or Request()
    return stage(plan_of(source, target, asked), story, asked, key=key)


def copied(package: Path, target: Path) -> Path:
    """A copy of a package, to be damaged."""
    return shutil.copytree(package, target)
