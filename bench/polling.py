"""What one look at N jobs costs a cluster: scheduler commands, and CPU seconds here, beside
submitit's look at the same jobs. Needs the real Slurm that scripts/slurm/up.sh starts (root), and
submitit: `pip install submitit`.

Both look from a process of an ordinary user, since a look by root asks the controller for something
else.
"""

from __future__ import annotations

import json
import os
import pwd
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.measure import show
from tests.slurm.lab import USER, Lab
from watchkeeper.schedulers.shell import Here
from watchkeeper.schedulers.slurm.scheduler import SlurmScheduler

JOBS = (1, 100, 1000)
ROUNDS = 7
_COMMANDS = ("squeue", "sacct", "scontrol", "sinfo")


def main() -> None:
    """Start a cluster, hold N jobs in it, and look at them by turns."""
    lab = Lab()
    try:
        lab.up()
        folder = lab.workspace()
        tally = _count_commands(folder, lab.environment["PATH"])
        environment = lab.environment | {"PATH": f"{folder / 'bin'}:{lab.environment['PATH']}"}
        figures: dict[str, Any] = {}
        job_ids: list[str] = []
        for number in JOBS:
            job_ids += [_held_job(lab, folder) for _ in range(number - len(job_ids))]
            figures |= _as_user(lambda ids=job_ids: _compare(ids, environment, tally), environment)
    finally:
        lab.down()
    show(
        (
            "One look at jobs on a real Slurm: commands, and CPU seconds of the looking "
            "process and its children"
        ),
        figures,
    )


def _held_job(lab: Lab, folder: Path) -> str:
    argv = ["sbatch", "--parsable", "--hold", "--time=1", "--output=/dev/null", "--wrap=true"]
    done = lab.shell.run(argv, timeout_s=60, folder=str(folder))
    assert done.code == 0, done.err
    return done.out.strip()


def _count_commands(folder: Path, path: str) -> Path:
    """Put a shim before each command, which writes down its name and becomes the command. Returns
    where it writes.
    """
    tally = folder / "tally"
    tally.touch()
    tally.chmod(0o666)
    (folder / "bin").mkdir(mode=0o755)
    for name in _COMMANDS:
        real = shutil.which(name, path=path)
        shim = folder / "bin" / name
        shim.write_text(f'#!/bin/sh\necho {name} >>{tally}\nexec {real} "$@"\n')
        shim.chmod(0o755)
    return tally


def _as_user(work: Callable[[], dict[str, Any]], environment: dict[str, str]) -> dict[str, Any]:
    """What the work returns, done in a process of the ordinary user."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            entry = pwd.getpwnam(USER)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            os.environ.clear()
            os.environ.update(environment)
            os.write(writer, json.dumps(work()).encode())
            os._exit(0)
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, "the looking process failed"
    return json.loads(answer)


def _compare(job_ids: list[str], environment: dict[str, str], tally: Path) -> dict[str, Any]:
    from submitit.slurm.slurm import SlurmInfoWatcher

    ours = SlurmScheduler(Here(environment=environment), user=USER)
    theirs = SlurmInfoWatcher()
    for job_id in job_ids:
        theirs.register_job(job_id)
    assert len(ours.poll(job_ids).facts) == len(job_ids)
    deadline = time.monotonic() + 60  # accounting hears of a job some seconds later
    while theirs.update() or len(theirs._info_dict) < len(job_ids):
        assert time.monotonic() < deadline, "accounting does not show all jobs"
        time.sleep(1)
    pairs = [
        (_cost(lambda: ours.poll(job_ids), tally), _cost(theirs.update, tally))
        for _ in range(ROUNDS)
    ]
    return {
        f"{len(job_ids)} jobs": {
            "watchkeeper": _median([one for one, _ in pairs]),
            "submitit": _median([other for _, other in pairs]),
            "cpu_ratio": round(
                statistics.median(one["cpu_s"] / other["cpu_s"] for one, other in pairs), 2
            ),
        }
    }


def _cost(look: Callable[[], Any], tally: Path) -> dict[str, float]:
    tally.write_text("")
    cpu, began = _cpu_s(), time.perf_counter()
    look()
    wall, cpu = time.perf_counter() - began, _cpu_s() - cpu
    return {"commands": len(tally.read_text().split()), "cpu_s": cpu, "wall_s": wall}


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _median(costs: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(cost[name] for cost in costs), 4) for name in costs[0]}


if __name__ == "__main__":
    if shutil.which("sbatch") is None or os.geteuid() != 0:
        sys.exit(
            "bench.polling starts a Slurm of its own: it needs root, and "
            "scripts/slurm/install.sh first"
        )
    try:
        import submitit  # noqa: F401
    except ImportError:
        sys.exit("bench.polling looks beside submitit: pip install submitit")
    main()
