"""A watched experiment whose disk fails once: `watchkeeper run`, its wrappers included; then the
same command again.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.experiments import blocks_of, state_of, times_run, wk, write_experiment
from tests.iofaults.injection import Fault, Injection
from tests.iofaults.outcome import Outcome, Trial, sayings

FAST = ("--poll", "0.05")
DEADLINE_S = 600
JOBS = {
    "one/ran.txt": 1,
    "one/eval/clean_epoch0.ran.txt": 1,
    "two/ran.txt": 1,
    "two/eval/clean_epoch0.ran.txt": 1,
}


def run(folder: Path, fault: Fault | None = None) -> Trial:
    """Watch a new experiment of two runs with an evaluation each, with this fault or none; then
    watch it again without.
    """
    experiment = write_experiment(folder / "experiment", runs=("one", "two"))
    state = folder / "state"
    injection = Injection(folder / "notes", experiment, fault)
    first = wk(
        "run",
        experiment,
        *FAST,
        state=state,
        timeout_s=DEADLINE_S,
        LC_ALL="C",
        **injection.environment,
    )
    begins = fault is None or not _keeps_the_job_from_beginning(fault)
    retry = () if begins else ("--retry-failed",)
    again = wk("run", experiment, *FAST, *retry, state=state, timeout_s=DEADLINE_S)
    check = wk("check", experiment, state=state, timeout_s=DEADLINE_S)
    ran = times_run(experiment)
    printed = [path.read_text() for path in sorted(experiment.rglob("slurm-*.out"))]
    outcome = Outcome(
        failed=injection.has_failed,
        lost=0,
        changed=0 if again.returncode == 0 else 1,
        twice=sum(max(0, times - 1) for times in ran.values()),
        # the report of a failed job quotes its last line
        said=sayings("\n".join([first.stderr, *printed] if begins else printed), fault),
        unsound=_unsound(experiment, ran, check.returncode, check.stdout),
        output="\n".join(
            [
                f"code {first.returncode}, then {again.returncode}",
                first.stderr,
                *printed,
                again.stderr,
            ]
        ),
    )
    return Trial(outcome, injection.operations())


def _keeps_the_job_from_beginning(fault: Fault) -> bool:
    """Whether the shell cannot open the wrapper or the script. The job ends with the shell's code;
    the watcher reports a failed attempt, and the next one is the user's to ask for.
    """
    role, kind, path, _ = fault.operation
    return (role, kind) == ("bash", "open to read") and path.endswith(("/wk-*.sh", "/script"))


def _unsound(experiment: Path, ran: dict[str, int], code: int, found: str) -> str:
    if ran != JOBS:
        return f"executions: {ran}"
    if code:
        return f"watchkeeper check: {found}"
    outcomes = {
        attempt.key: attempt.judged.outcome if attempt.judged is not None else "not judged"
        for run in state_of(experiment).runs.values()
        for attempt in run.attempts.values()
    }
    if len(outcomes) != len(JOBS) or set(outcomes.values()) != {"done"}:
        return f"outcomes: {outcomes}"
    ends = [
        block
        for block in blocks_of(experiment, "run-experiment.log")
        if block.action == "ALL_COMPLETE"
    ]
    if not ends or not re.search(r"\b0 FAILED", f"{ends[-1].details} {ends[-1].result}"):
        return "run-experiment.log does not end with ALL_COMPLETE"
    return ""
