"""A restart by the scheduler is the attempt's next execution, unless the first has done its work
(law 5).
"""

import os
import signal

import pytest

from tests.schedulers.wrapper.test_render import Attempt, wait_for
from watchkeeper.schedulers.wrapper.claims import (
    FINISHED,
    TWIN,
    close_attempt,
    last_end,
    read_exit_records,
)

RAN = "#!/bin/bash\necho ran >> ran\n"


def runs(folder):
    """How often the script ran."""
    return (folder / "ran").read_text().count("ran")


@pytest.mark.parametrize("code", [1, 85, 143])
def test_a_script_that_failed_and_is_started_again_runs_again(tmp_path, code):
    """RequeueExit and the like: the same job with a higher restart count has its next turn, another
    job has none.
    """
    made = Attempt(tmp_path / "attempt", f"{RAN}exit {code}\n")
    assert made.run(job_id="5")[0] == code
    assert made.run(job_id="6", restart=1)[0] == FINISHED
    assert made.run(job_id="5", restart=0)[0] == FINISHED
    assert made.run(job_id="5", restart=1)[0] == code
    assert made.run(job_id="5", restart=1)[0] == TWIN, "each restart is one turn"
    assert [record.execution for record in read_exit_records(made.folder)] == [1, 2]
    assert runs(tmp_path) == 2


def test_a_closed_attempt_has_no_further_turn(tmp_path):
    """An attempt that another one follows has been closed: its job's restart runs nothing, whatever
    its code was.
    """
    made = Attempt(tmp_path / "attempt", f"{RAN}exit 85\n")
    made.run(job_id="5")
    assert close_attempt(made.folder)
    code, _, err = made.run(job_id="5", restart=1)
    assert code == TWIN and "closed" in err
    assert runs(tmp_path) == 1
    assert last_end(made.folder).exit_code == 85, "closing it takes nothing from its end"


PLACES = [
    ("epoch_0", "mkdir -p epoch_0/deep; echo w > epoch_0/deep/model.bin"),
    ("epoch_[*]", "mkdir 'epoch_*'; echo w > 'epoch_*/model.bin'"),
    ("logs/*.eval", "mkdir -p logs; echo w > logs/a.eval"),
    ("a b;$(touch x)'\\\\", 'echo w > "a b;\\$(touch x)\'\\\\\\\\"'),
]


@pytest.mark.parametrize(("pattern", "command"), PLACES)
def test_what_was_promised_decides_on_a_restart(tmp_path, pattern, command):
    """After an end with 0 a restarted job runs while what it promised is missing or empty, and
    never once that is there.
    """
    promises = [[f"{tmp_path}/nowhere", f"{tmp_path}/{pattern}"]]
    made = Attempt(
        tmp_path / "attempt", f"{RAN}[[ ! -e go ]] || {{ {command}; }}\n", promises=promises
    )
    assert made.run(job_id="5")[0] == 0
    (tmp_path / "go").touch()
    assert made.run(job_id="5", restart=1)[0] == 0
    code, _, err = made.run(job_id="5", restart=2)
    assert code == FINISHED
    assert "watchkeeper run" in err
    assert runs(tmp_path) == 2


def test_each_promise_counts(tmp_path):
    """One of two promised checkpoints is not the end; an empty folder is no checkpoint."""
    promises = [[f"{tmp_path}/epoch_0"], [f"{tmp_path}/epoch_1"]]
    source = (
        f"{RAN}mkdir -p epoch_0 epoch_1; echo w > epoch_0/w; [[ ! -e go ]] || echo w > epoch_1/w\n"
    )
    made = Attempt(tmp_path / "attempt", source, promises=promises)
    made.run(job_id="5")
    (tmp_path / "go").touch()
    assert made.run(job_id="5", restart=1)[0] == 0
    assert made.run(job_id="5", restart=2)[0] == FINISHED


def test_an_older_result_keeps_no_promise(tmp_path):
    """A file from before the attempt began is not its result: a requested restart runs."""
    (tmp_path / "result").write_text("old")
    os.utime(tmp_path / "result", (1, 1))
    source = f"{RAN}trap 'exit 0' TERM\ntouch ready\nuntil [[ -e go ]]; do sleep 0.05; done\n"
    made = Attempt(tmp_path / "attempt", source, promises=[[f"{tmp_path}/result"]])
    process = made.start(job_id="5")
    wait_for((tmp_path / "ready").exists)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=300) and process.returncode == 0
    (tmp_path / "go").touch()
    assert made.run(job_id="5", restart=1)[0] == 0
    assert made.run(job_id="5", restart=2)[0] == FINISHED, "nobody asked for a third"
    assert runs(tmp_path) == 2


def test_a_task_of_an_array_promises_nothing_alone(tmp_path):
    """What an array promises is of all tasks together: a task that ended with 0 is finished."""
    made = Attempt(tmp_path / "attempt", RAN, scheduler="slurm", promises=[[f"{tmp_path}/missing"]])
    env = {
        "SLURM_ARRAY_JOB_ID": "5",
        "SLURM_ARRAY_TASK_ID": "2",
        "SLURM_JOB_ID": "7",
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }
    assert made.run(env=env)[0] == 0
    assert made.run(env=env, restart=1)[0] == FINISHED
    assert runs(tmp_path) == 1


def scontrol(folder, said):
    """A scontrol that says this; the environment in which it is found first."""
    program = folder / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text(f'#!/bin/bash\necho "$*|${{SLURM_CLUSTERS-}}" >> "{folder}/asked"\n{said}\n')
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}", "SLURM_CLUSTERS": "elsewhere"}


def test_a_requeue_from_inside_and_an_end_with_0(tmp_path):
    """A script that puts its own job back and ends with 0 before the TERM comes is started again,
    and runs.
    """
    made = Attempt(tmp_path / "attempt", RAN, scheduler="slurm")
    env = scontrol(
        tmp_path,
        "echo 'JobId=5 JobName=x JobState=COMPLETING Reason=None Requeue=1 Restarts=1 BatchFlag=1'",
    )
    assert made.run(job_id="5", env=env)[0] == 0
    assert (tmp_path / "asked").read_text() == "--oneliner show job 5|\n"
    (record,) = read_exit_records(made.folder)
    assert record.interrupted and record.exit_code == 0
    assert made.run(job_id="5", restart=1, env=env)[0] == 0
    assert made.run(job_id="5", restart=2, env=env)[0] == FINISHED, (
        "its second turn was not put back"
    )


LOST_NODE = "echo 'JobId=5 JobState=PENDING Reason=BeginTime Requeue=1 Restarts=1 BatchFlag=1'"
CANCELLED = "echo 'JobId=5 JobState=COMPLETING Reason=None Requeue=1 Restarts=0 BatchFlag=1'"


@pytest.mark.parametrize(
    "said", [LOST_NODE, CANCELLED, "echo slow >&2; exit 1", "echo ' JobState=COMPLETING Restarts='"]
)
def test_without_a_requeue_an_end_with_0_is_one(tmp_path, said):
    """A script that promises nothing, ended with 0 and asked for no restart is finished: a lost
    node runs it no second time, and the refusal says how to run it again.
    """
    made = Attempt(tmp_path / "attempt", RAN, scheduler="slurm")
    env = scontrol(tmp_path, said)
    assert made.run(job_id="5", env=env)[0] == 0
    code, _, err = made.run(job_id="5", restart=1, env=env)
    assert code == FINISHED
    assert "to run it again, submit the script itself" in err
    assert runs(tmp_path) == 1


def test_the_controller_is_asked_only_where_it_decides(tmp_path):
    """A script that fails, or that promises a file, costs the controller no question at its end."""
    env = scontrol(tmp_path, "echo ' JobState=COMPLETING Restarts=1 '")
    for name, source, options in (
        ("a", "exit 3", {}),
        ("b", "exit 0", {"promises": [[f"{tmp_path}/x"]]}),
    ):
        Attempt(tmp_path / name, f"#!/bin/bash\n{source}\n", scheduler="slurm", **options).run(
            job_id="5", env=env
        )
    assert not (tmp_path / "asked").exists()
