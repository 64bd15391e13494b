"""The watch as a job, for clusters whose login nodes end long processes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from watchkeeper.core import ids, layout
from watchkeeper.core.disk import files
from watchkeeper.core.errors import EXIT_DETACHED
from watchkeeper.schedulers.base import Job, Receipt, Scheduler

TIME = "1-00:00:00"
_RESTARTS = "SLURM_RESTART_COUNT"


def is_restarted(environment: Mapping[str, str]) -> bool:
    """Whether the cluster has started the job of this environment again."""
    return environment.get(_RESTARTS, "0") not in ("", "0")


def submit(
    experiment: Path,
    scheduler: Scheduler,
    words: Sequence[str],
    *,
    first_words: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
    time_limit: str = TIME,
    sentinel: str = ".detach",
) -> tuple[Receipt, Path]:
    """Submit a job that runs the command `words`, with `first_words` added at its first start only,
    and `settings` in its environment. Returns the receipt and where the job's output goes.

    Shortly before its time limit the watch detaches and the job puts itself back into the queue; so
    does a job whose node fails. A second job of this name waits for the first (`singleton`), and
    any number of watches do no harm.

    Raises:
        SchedulerError: as `Scheduler.submit`.
        StorageError: the job's script could not be written.
    """
    folder = files.make_folder(experiment / layout.WATCH)
    name = "watchkeeper-" + re.sub(r"[^A-Za-z0-9._-]", "_", experiment.name)
    output = folder / "job-%j.out"
    text = _SCRIPT.format(
        name=name,
        output=output,
        time_limit=time_limit,
        settings="".join(
            f"export {key}={shlex.quote(value)}\n"
            for key, value in sorted((settings or {}).items())
        ),
        words=shlex.join(words),
        first_words=shlex.join(first_words),
        sentinel=shlex.quote(str(experiment / sentinel)),
        detached=EXIT_DETACHED,
    )
    script = folder / f"job-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{ids.token()}.sh"
    files.replace(script, text.encode(), mode=0o777)
    receipt = scheduler.submit(Job(wrapper=script, folder=experiment, name=name, token=""))
    return receipt, Path(str(output).replace("%j", receipt.job_id))


_SCRIPT = """\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --output="{output}"
#SBATCH --open-mode=append
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --time={time_limit}
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --dependency=singleton

{settings}words=({words})
# What was meant once is not meant again after each requeue.
[[ ${{SLURM_RESTART_COUNT:-0}} == 0 ]] && words+=({first_words})

again=
"${{words[@]}}" &
watch=$!
trap 'again=1; kill -s TERM "$watch" 2>/dev/null' USR1
trap 'kill -s TERM "$watch" 2>/dev/null' TERM INT
# A signal ends `wait` early.
while :; do
    wait "$watch"
    code=$?
    kill -s 0 "$watch" 2>/dev/null || break
done
wait "$watch" 2>/dev/null
now=$?
[[ $now == 127 ]] || code=$now
if [[ $code == {detached} && -e {sentinel} ]]; then
    exit 0
fi
if [[ $code == {detached} && $again ]]; then
    echo "The watch goes on when this job has its turn again."
    trap 'exit {detached}' TERM
    scontrol requeue "$SLURM_JOB_ID" && sleep 60 &
    wait $!
fi
exit "$code"
"""
