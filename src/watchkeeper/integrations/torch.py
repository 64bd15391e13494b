"""Plain PyTorch: completed steps of an optimizer, counted by the optimizer itself, and a row at
every so many of them.

    watched = watch(optimizer, run, log_every=10)
    watched.metrics(loss=loss)          # before optimizer.step(): read only where a row is due, so
    that no GPU waits

A training step is a completed `optimizer.step()`, from 1; one that a GradScaler skipped is none.
"""

from __future__ import annotations

import time
from typing import Any

import torch

from watchkeeper.integrations.fence import fenced, say
from watchkeeper.integrations.recording import users_run
from watchkeeper.record.run import Run, current_run
from watchkeeper.runfolder.losses import rename_losses


class Watched:
    """An optimizer whose steps are counted."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        run: Run | None,
        *,
        log_every: int,
        total: int | None,
        step: int,
        grad_norm: bool,
    ) -> None:
        self.step = step
        """Training steps completed so far."""
        self._run = run
        self._every = max(1, log_every)
        self._grad_norm = grad_norm
        self._given: dict[str, Any] = {}
        self._since = (step, time.monotonic())
        if run is not None and (run._display.status is None or run._display.status.total is None):
            run.cadence(log_every=self._every, total=total, max_share=None)
        self._hook = optimizer.register_step_post_hook(self._stepped)

    @fenced
    def metrics(self, **metrics: Any) -> None:
        """What belongs to the step that comes next; said again, the last counts. Tensors are not
        read here, only kept.
        """
        for name, value in metrics.items():
            self._given[name] = value.detach() if isinstance(value, torch.Tensor) else value

    def stop(self) -> None:
        """Count no further."""
        self._hook.remove()

    @fenced
    def _stepped(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        """Count a completed step, and keep a row every `log_every` of them: what the loop gave
        since the last row, the learning rate, and how fast it is.
        """
        self.step += 1
        if self.step % self._every or self._run is None:
            return
        given, self._given = self._given, {}
        (before, then), now = self._since, time.monotonic()
        self._since = (self.step, now)
        values = {**rename_losses(given), "lr": optimizer.param_groups[0]["lr"]}
        row = {name: _read(value) for name, value in values.items()}
        if now > then:
            row["steps_per_s"] = (self.step - before) / (now - then)
        if self._grad_norm:
            row["grad_norm"] = _read(_norm(optimizer))
        self._run.log(self.step, **row)


def watch(
    optimizer: torch.optim.Optimizer,
    run: Run | None = None,
    *,
    log_every: int = 10,
    total: int | None = None,
    step: int = 0,
    grad_norm: bool = False,
) -> Watched:
    """Count the optimizer's steps, and log a row every `log_every` of them: what `metrics` was
    given last, `lr`, `steps_per_s`, and the norm of the gradients where `grad_norm` asks for it.

    `run` None: the open run; where there is none, nothing is recorded, and a warning says so.
    `total` is how many steps are planned, `step` how many were completed before this process.
    """
    try:
        run = run or users_run() or current_run()
        if run is None:
            raise RuntimeError("no run is open; start one first: with wk.start_run(…) as run")
        return Watched(
            optimizer, run, log_every=log_every, total=total, step=step, grad_norm=grad_norm
        )
    except Exception as error:
        say("watch", error)
        return Watched(optimizer, None, log_every=1, total=None, step=0, grad_norm=False)


def _read(value: Any) -> Any:
    """Once: a tensor on a GPU makes the program wait."""
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        return value.item()
    return value


def _norm(optimizer: torch.optim.Optimizer) -> torch.Tensor:
    """The norm of all gradients together, as `clip_grad_norm_` takes it; of parameters that had
    none in this step, nothing.
    """
    gradients: list[torch.Tensor] = []
    for group in optimizer.param_groups:
        gradients += [each.grad for each in group["params"] if each.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)
