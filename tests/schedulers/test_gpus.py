"""GPUs on this machine, with pretend devices: each job gets its own; no device has two jobs."""

from __future__ import annotations

import pytest

from watchkeeper.core.errors import RefusedError
from watchkeeper.schedulers.local.spool import gpu_names, usable_gpus
from watchkeeper.schedulers.sbatch_head import gpus_of, read_head

HOLDS = "echo $CUDA_VISIBLE_DEVICES > has.$SLURM_JOB_ID\nuntil [[ -e gate ]]; do sleep 0.02; done\n"
ASKED = [
    ({}, 0),
    ({"gpus": "2"}, 2),
    ({"gpus": "a100:2,v100:1"}, 3),
    ({"gres": "gpu"}, 1),
    ({"gres": "gpu:2"}, 2),
    ({"gres": "gpu:a100"}, 1),
    ({"gres": "gpu:a100:4,shard:2,craynetwork:1"}, 4),
    ({"gpus-per-node": "3"}, 3),
    ({"gpus-per-task": "1", "ntasks": "4"}, 4),
    ({"gres": "shard:1"}, 0),
]


@pytest.mark.parametrize(("options", "count"), ASKED, ids=lambda value: str(value))
def test_what_a_script_asks_for_is_read_as_sbatch_reads_it(options, count):
    """Each of sbatch's ways to ask for GPUs gives their number, whatever their type."""
    assert gpus_of(options) == count


def test_what_is_no_number_of_gpus_is_a_fault_of_the_script():
    """A directive that sbatch would refuse is named, with what to write."""
    head = read_head(b"#!/bin/bash\n#SBATCH -G many\ntrue\n")
    assert head.gpus == 0 and "--gpus=many is no number of GPUs" in head.problems[0].message


@pytest.mark.parametrize(
    "options",
    [{"gpus": "9" * 5000}, {"gres": "gpu:" + "9" * 5000}, {"gpus-per-node": "a100:" + "9" * 5000}],
    ids=lambda options: next(iter(options)),
)
def test_a_number_of_thousands_of_digits_is_no_number_of_gpus(options):
    """It is a fault of the script, in our words and not in Python's."""
    with pytest.raises(ValueError, match="9 is no number of GPUs"):
        gpus_of(options)


def test_the_devices_are_those_that_can_be_used(monkeypatch):
    """CUDA_VISIBLE_DEVICES wins over what the machine has, also where it hides all."""
    assert usable_gpus({"CUDA_VISIBLE_DEVICES": "2,GPU-8932f937"}) == ("2", "GPU-8932f937")
    assert usable_gpus({"CUDA_VISIBLE_DEVICES": ""}) == ()
    assert gpu_names("0, 1,,1") == ("0", "1")


def has(harness, job_id):
    """The devices of a job that runs."""
    path = harness.root / "exp" / f"has.{job_id}"
    return harness.until(
        lambda: path.exists() and path.read_text().endswith("\n") and path.read_text().strip()
    )


def test_no_device_has_two_jobs_and_all_are_used(harness):
    """Three jobs on two devices: two run, on a device each, and the third gets the one that comes
    free.
    """
    local = harness.scheduler(slots=8, gpus=("4", "7"))
    ids = [local.submit(harness.job(f"#SBATCH --gpus=1\n{HOLDS}")).job_id for _ in range(3)]
    assert {has(harness, ids[0]), has(harness, ids[1])} == {"4", "7"}
    waits = harness.look(ids[2], local)
    assert (waits.state, waits.reason) == ("PENDING", "Resources")
    local.cancel(ids[0])
    assert has(harness, ids[2]) == has(harness, ids[0])
    (harness.root / "exp" / "gate").touch()
    assert [harness.end(job_id, local).state for job_id in ids] == [
        "CANCELLED",
        "COMPLETED",
        "COMPLETED",
    ]


def test_a_job_that_waits_for_devices_is_not_overtaken_by_one_that_needs_fewer(harness):
    """Two devices wanted, one free: a later job for one device waits behind, and a job without any
    passes.
    """
    local = harness.scheduler(slots=8, gpus=("0", "1"))
    first = local.submit(harness.job(f"#SBATCH --gres=gpu:1\n{HOLDS}")).job_id
    has(harness, first)
    both = local.submit(harness.job(f"#SBATCH --gres=gpu:2\n{HOLDS}")).job_id
    one = local.submit(harness.job(f"#SBATCH --gres=gpu:1\n{HOLDS}")).job_id
    assert harness.end(local.submit(harness.job("true\n")).job_id, local).state == "COMPLETED"
    assert [harness.look(job_id, local).state for job_id in (both, one)] == ["PENDING", "PENDING"]
    (harness.root / "exp" / "gate").touch()
    assert {harness.end(job_id, local).state for job_id in (first, both, one)} == {"COMPLETED"}
    assert has(harness, both) == "0,1"


def test_devices_stay_with_a_job_whose_supervisor_was_killed(harness):
    """While the job itself goes on, nobody else gets its device."""
    local = harness.scheduler(slots=8, gpus=("0",))
    first = local.submit(harness.job(f"#SBATCH --gpus=1\n{HOLDS}")).job_id
    assert has(harness, first) == "0"
    harness.kill_supervisor(first)
    second = local.submit(harness.job(f"#SBATCH --gpus=1\n{HOLDS}")).job_id
    assert [harness.look(job_id, local).state for job_id in (first, second)] == [
        "RUNNING",
        "PENDING",
    ]
    (harness.root / "exp" / "gate").touch()
    harness.end(first, local)
    assert harness.end(second, local).state == "COMPLETED" and has(harness, second) == "0"


def test_more_devices_than_there_are_is_refused(harness):
    """A job that could never start is refused at once, and the message names what there is."""
    local = harness.scheduler(gpus=("0", "1"))
    with pytest.raises(RefusedError, match=r"asks for 3 GPUs, and this machine has 2 \(0, 1\)"):
        local.submit(harness.job("#SBATCH --gpus=3\ntrue\n"))


def test_without_devices_the_directive_means_nothing(harness, monkeypatch):
    """A script written for a cluster still runs on a machine that has no GPU, with the environment
    as it is.
    """
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    local = harness.scheduler(gpus=())
    job = harness.job("#SBATCH --gres=gpu:8\necho ${CUDA_VISIBLE_DEVICES-unset} > seen\n")
    assert harness.end(local.submit(job).job_id, local).state == "COMPLETED"
    assert (job.folder / "seen").read_text() == "unset\n"
