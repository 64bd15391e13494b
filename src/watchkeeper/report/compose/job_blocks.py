"""The job blocks of a run log: one for each execution. Pure."""

from __future__ import annotations

from watchkeeper.core.events import Intended
from watchkeeper.core.text.figures import runtime
from watchkeeper.report.compose.history import (
    Execution,
    LogView,
    describe_uncommitted,
    list_names,
    shorten,
)
from watchkeeper.report.compose.page import PENDING, JobBlock, Value


def compose_jobs(view: LogView) -> list[JobBlock]:
    """Compose a block for each execution, the oldest first. Empty: there is no attempt yet.

    ## Job (resumed)
    - execution_id: 70455
    - submitted/start: `2026-03-12T15:00:00Z`
    - start_human: `Thursday, Mar 12th, 2026`
    - resumed from: `r8/artifacts/epoch_0`
    - reason: attempt 1 TIMEOUT: the time limit was reached
    - node: gpu-07
    """
    blocks: list[JobBlock] = []
    for execution in view.executions:
        # A log that someone else began has the first execution already.
        is_first = not blocks and not view.continued
        values = _compose_start(view, execution)
        if not is_first:
            values += _compose_resumption(view, execution)
        values += _compose_commit_of_continued(view, execution)
        values += _compose_end(view, execution)
        values += _compose_place(execution)
        values += _compose_wandb(view, execution)
        qualifier = "" if is_first else "resumed"
        blocks.append(JobBlock(execution.name, values, qualifier))
    return blocks


def _compose_start(view: LogView, execution: Execution) -> list[Value]:
    """State the job's id (`pending` until it is known) and when it began, once it has."""
    values = [Value("execution_id", execution.job_id or PENDING)]
    begun = execution.begun
    if begun is not None:
        values.append(Value("submitted/start", view.iso(begun), quoted=True))
        values.append(Value("start_human", view.human(begun), quoted=True))
    return values


def _compose_resumption(view: LogView, execution: Execution) -> list[Value]:
    """Say where a later block's execution resumed, and why.

    A requeued script starts from its first line; what it then resumes from is up to it. An attempt
    of ours says its checkpoint, what was changed for it (`batch_size 4`), and how its code differs.
    """
    if execution.index:
        return [
            Value("resumed from", "n/a: the scheduler started the script again"),
            Value("reason", "requeued by the scheduler"),
        ]
    intended = execution.intended
    checkpoint = ""
    if intended is not None:
        checkpoint = view.path(intended.resume_from)
    values = [
        Value("resumed from", checkpoint or "n/a: started from scratch", quoted=bool(checkpoint)),
        Value("reason", shorten(_reason_of(view, execution))),
    ]
    if intended is not None:
        if intended.change:
            changes = (f"{name} {value}" for name, value in intended.change.items())
            values.append(Value("changed", ", ".join(changes)))
        values += _compose_code_since(view, intended)
    return values


def _reason_of(view: LogView, execution: Execution) -> str:
    """Say why an attempt follows the one before it: the reason of an automatic retry, else how that
    one ended (`attempt 1 FAILED: out of memory`).
    """
    if execution.intended is not None and execution.intended.automatic:
        return execution.intended.reason
    before = view.history.judged.get(execution.number - 1)
    if before is None:
        return "submitted again"
    reason = f"attempt {execution.number - 1} {before.state}"
    if before.why:
        return f"{reason}: {before.why}"
    return reason


def _compose_code_since(view: LogView, intended: Intended) -> list[Value]:
    """State a later attempt's code, as far as it differs from that of the attempt before.

    The commit where it is another, and the files of code that the script names and that changed.
    Empty: nothing changed, or the attempt before is not known.
    """
    before = view.history.intended.get(intended.attempt - 1)
    if before is None:
        return []
    values = []
    if intended.git_sha and _code_of(intended) != _code_of(before):
        values.append(compose_commit(intended))
    changed = []
    for name in sorted(before.code.keys() | intended.code.keys()):
        if before.code.get(name) != intended.code.get(name):
            changed.append(name)
    # An older event has no code, which is no change of all of it.
    if changed and before.code:
        values.append(Value("code changed since", list_names(tuple(changed))))
    return values


def _code_of(intended: Intended) -> tuple[str, str]:
    """The commit, and in words what ran beside it: equal where a person would call the code the
    same.
    """
    return intended.git_sha, describe_uncommitted(intended)


def compose_commit(intended: Intended) -> Value:
    """State the commit that an attempt ran, and what it ran beside it: `- commit: `4f2c1aa` (not in
    the commit: train.py; kept with the attempt)`.
    """
    note = describe_uncommitted(intended)
    return Value("commit", intended.git_sha, quoted=True, note=note)


def _compose_commit_of_continued(view: LogView, execution: Execution) -> list[Value]:
    """State our first commit in a log that someone else began: its Config has theirs.

    Empty: we began the log, it is not our first execution, or no commit is known.
    """
    if not view.continued:
        return []
    is_our_first = execution.number == view.attempts[0] and not execution.index
    intended = execution.intended
    if not is_our_first or intended is None or not intended.git_sha:
        return []
    return [compose_commit(intended)]


def _compose_end(view: LogView, execution: Execution) -> list[Value]:
    """State when it ended, for programs and for people, and its runtime. Empty: it has not."""
    if execution.ended is None:
        return []
    values = [
        Value("end", view.iso(execution.ended), quoted=True),
        Value("end_human", view.human(execution.ended), quoted=True),
    ]
    if execution.runtime_s is not None:
        values.append(Value("runtime", runtime(execution.runtime_s), quoted=True))
    return values


def _compose_place(execution: Execution) -> list[Value]:
    """Say where it ran, and from where it was submitted.

        - node: gpu-07
        - cluster: alpha
        - submitted from: login1

    A job on this machine has no cluster.
    """
    values = []
    if execution.node:
        values.append(Value("node", execution.node))
    submission = execution.submission
    if submission is not None and submission.cluster:
        values.append(Value("cluster", submission.cluster))
        if submission.host:
            values.append(Value("submitted from", submission.host))
    return values


def _compose_wandb(view: LogView, execution: Execution) -> list[Value]:
    """State the pages of the attempt's W&B run, in the block of the execution that ended it.

    The team's page and the public copy, each once it was synced. Empty: there is none, or the
    attempt has no verdict yet.
    """
    if execution.judged is None:
        return []
    pages = {
        "wandb": view.history.page_of(execution.number),
        "wandb public": view.history.page_of(execution.number, public=True),
    }
    return [Value(key, url, quoted=True) for key, url in pages.items() if url]
