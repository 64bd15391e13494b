"""The Python launcher of servatus's README (0.12), for one task: plan, submit, and wait by its
status.

Usage: launcher.py RESULTS [--recover] -- ARGUMENT… RESULTS/piece is the result; ARGUMENT… is what
the task runs. `--recover` is the README's recovery playbook: reconcile, mark as not submitted,
retry what failed, and in the end acknowledge the risk. Exit codes: 0 there is a valid result; 1 it
ended without one; 3 it cannot be told, or is under way.
"""

import sys
import time
from pathlib import Path

from servatus import Campaign, Profile, Task
from servatus.campaign import AcceptanceState, Retry
from servatus.errors import PlanRefused, ServatusError

KEY = "piece"
DONE, FAILED, UNDER_WAY = 0, 1, 3
LOOK_S = 3.0


def submit(campaign, profile, **choice):
    """Submit what the plan selects. Returns whether it selected anything."""
    plan = campaign.plan(profile, **choice)
    campaign.submit(plan)
    return bool(plan.decision.selected)


def resolve(campaign):
    """Say of each allocation without a receipt what became of it, from Slurm's evidence."""
    for attempt in campaign.status().attempts:
        if attempt.acceptance is not AcceptanceState.UNRESOLVED:
            continue
        try:
            campaign.reconcile(attempt.allocation_id)
        except ServatusError as error:
            print(error)
            campaign.mark_not_submitted(attempt.allocation_id)


def recover(campaign, profile):
    """The playbook, each step only where the one before did not help."""
    resolve(campaign)
    if submit(campaign, profile) or submit(campaign, profile, retry=Retry.FAILED):
        return
    try:
        submit(campaign, profile, retry=[KEY], allow_duplicate_risk=[KEY])
    except PlanRefused as error:
        print(error)


def wait(campaign):
    """Look until the task has ended. Returns the exit code."""
    while True:
        status = campaign.status()
        (task,) = status.tasks
        print(task, [attempt.scheduler for attempt in status.attempts], flush=True)
        if task.result == "VALID":
            return DONE
        if task.unresolved or task.execution in (None, "UNKNOWN"):
            return UNDER_WAY
        if status.quiescent:
            return FAILED
        time.sleep(LOOK_S)


def main():
    """Plan, submit, wait."""
    own, command = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    result = Path(own[0]) / KEY

    def finished(tasks):
        return {task.key for task in tasks if result.exists()}

    campaign = Campaign.ensure("state", [Task(KEY, command)], probe=finished)
    profile = Profile.load("SERVATUS.toml")
    if "--recover" in own:
        recover(campaign, profile)
    else:
        submit(campaign, profile)
    return wait(campaign)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ServatusError, KeyboardInterrupt) as error:
        print(f"{type(error).__name__}: {error}")
        sys.exit(UNDER_WAY)
