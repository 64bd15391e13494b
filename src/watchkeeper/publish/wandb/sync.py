"""Sending runs with `wandb sync`, within a time, and judging by evidence whether they arrived.

The program's exit code says nothing: it is 0 also after the server refused the key. A run counts as
synced when W&B has marked it and the server, asked afterwards, has its rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from watchkeeper.core.code.wandb_versions import fault_of_server
from watchkeeper.core.text import redaction
from watchkeeper.publish.tokens import Token
from watchkeeper.publish.wandb.calling import Wandb
from watchkeeper.publish.wandb.plan import RunPlan, SyncPlan, marker_of
from watchkeeper.publish.wandb.server import Held, Server, ask, version_of_server

Outcome = Literal["synced", "failed", "unknown"]

SETTLE_S = 30.0
ASK_S = 20.0
_PAUSE_S = 1.0


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one run. `rows_held` is how many rows the server says it has, None where it did
    not say. `why` is the reason of an outcome that is not `synced`; `url` is the run's page, ""
    where the server has none.
    """

    run_id: str
    outcome: Outcome
    rows: int
    rows_held: int | None = None
    why: str = ""
    url: str = ""


class Syncer:
    """Sends runs to one server, each within `timeout_s` seconds. For `settle_s` seconds after it
    the server may be busy with what it took. It has `ask_s` seconds to say what it holds. To a
    server that is too old for this `wandb` nothing is sent.
    """

    def __init__(
        self,
        server: Server,
        token: Token,
        wandb: Wandb,
        *,
        timeout_s: float,
        settle_s: float = SETTLE_S,
        ask_s: float = ASK_S,
    ) -> None:
        self._server = server
        self._token = token
        self._wandb = wandb
        self._timeout_s = timeout_s
        self._settle_s = settle_s
        self._ask_s = ask_s

    @cached_property
    def server_version(self) -> str:
        """The version that the server says it is, asked once; "" where it does not say."""
        return version_of_server(self._server, self._token, timeout_s=self._ask_s)

    @property
    def wandb_version(self) -> str:
        """The version of the `wandb` that sends."""
        return self._wandb.version

    def sync(self, plan: SyncPlan) -> Iterator[Sent]:
        """Send each run that is ready, one after another."""
        for run in plan.ready:
            yield self._sync(plan, run)

    def _sync(self, plan: SyncPlan, run: RunPlan) -> Sent:
        why = fault_of_server(self.server_version, self.wandb_version)
        if why:
            why = f"{why}: update the server"
            return Sent(run_id=run.run_id, outcome="failed", rows=run.rows, why=why)
        before = self._ask(plan, run)
        why = _reason_not_to_send(run, before)
        if why:
            return Sent(
                run_id=run.run_id,
                outcome="failed",
                rows=run.rows,
                rows_held=before.rows,
                why=why,
            )
        words = ["sync", "--yes", "-e", plan.entity, "-p", plan.project]
        if any(map(_is_marked, run.folders)):
            words.append("--include-synced")
        words += [str(folder.resolve()) for folder in run.folders]
        ended, output = self._wandb.run(
            words, url=self._server.url, key=self._token.key, timeout_s=self._timeout_s
        )
        held = self._settled(plan, run)
        return judge(run, plan, self._server, held, ended=ended, output=output)

    def _settled(self, plan: SyncPlan, run: RunPlan) -> Held:
        """What the server holds, asked again for a while where rows are still on their way, or a
        mark that was made on another machine.
        """
        deadline = time.monotonic() + self._settle_s
        held = self._ask(plan, run)
        while _may_still_come(run, held) and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
            held = self._ask(plan, run)
        return held

    def _ask(self, plan: SyncPlan, run: RunPlan) -> Held:
        return ask(
            self._server, self._token, plan.entity, plan.project, run.run_id, timeout_s=self._ask_s
        )


def _may_still_come(run: RunPlan, held: Held) -> bool:
    """Whether rows, or W&B's mark of a run whose rows are all there, are missing yet."""
    if held.rows is None or held.rows > run.rows:
        return False
    return held.rows < run.rows or not all(map(_is_marked, run.folders))


def _reason_not_to_send(run: RunPlan, held: Held) -> str:
    """What the server says before anything is sent that speaks against it, "" for nothing."""
    if held.fault:
        return held.fault
    if held.rows and not run.is_marked:
        return (
            f"the server has {held.rows} rows of a run {run.run_id} already; sending would repeat "
            "or mix them: compare the two, and give another --project"
        )
    return ""


def judge(
    run: RunPlan, plan: SyncPlan, server: Server, held: Held, *, ended: bool, output: str
) -> Sent:
    """What the evidence says: W&B's markers, and what the server holds."""
    marked = all(_is_marked(folder) for folder in run.folders)
    url = server.page_of(plan.entity, plan.project, run.run_id) if held.exists else ""
    outcome: Outcome = "failed"
    if held.fault:
        outcome, why = "unknown", f"the server did not say what it holds: {held.fault}"
    elif not held.exists:
        why = "the server has no such run"
    elif held.rows is None:
        outcome, why = "unknown", "the server does not say how many rows it holds"
    elif held.rows < run.rows:
        why = f"the server holds {held.rows} of {run.rows} rows"
    elif held.rows > run.rows:
        why = f"the server holds {held.rows} rows, and the run has {run.rows}"
    elif not marked:
        outcome, why = "unknown", "the server has all rows, but W&B has not marked the run"
    else:
        outcome, why = "synced", ""
    if why and not ended:
        why = f"wandb sync did not end in time and was stopped; {why}"
    elif why and (last := _last_line(output)):
        why = f"{why}; wandb said: {last}"
    return Sent(
        run_id=run.run_id, outcome=outcome, rows=run.rows, rows_held=held.rows, why=why, url=url
    )


def _is_marked(folder: Path) -> bool:
    """Whether W&B has marked every file of a folder as synced."""
    files = list(folder.glob("*.wandb"))
    return bool(files) and all(marker_of(path).exists() for path in files)


def _last_line(output: str) -> str:
    """The last line that is more than a traceback's end, without secrets."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if not lines:
        return ""
    errors = [line for line in lines if "error" in line.lower() or "fail" in line.lower()]
    return redaction.redact((errors or lines)[-1])[:300]
