"""Hugging Face transformers: a callback for `Trainer`, by hand or as `report_to=["watchkeeper"]`,
and a deadline for `generate`.

A training step is `state.global_step`: completed optimizer steps, from 1.
"""

from __future__ import annotations

import math
import sys
import time
import weakref
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers import (
    StoppingCriteria,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.integrations import integration_utils
from transformers.trainer_utils import IntervalStrategy

from watchkeeper.integrations.fence import fenced, say
from watchkeeper.integrations.recording import Recording
from watchkeeper.record.run import current_run
from watchkeeper.record.stopping.limits import Overrun
from watchkeeper.runfolder.losses import rename_losses

LOOPS = (
    "train",
    "_inner_training_loop",
)  # the methods of a Trainer that are on the stack while it trains


class WatchkeeperCallback(TrainerCallback):
    """Records a `Trainer`'s training: settings, metric rows, checkpoints, status. Asked to stop,
    the training stops after its step, with a checkpoint. Without an open run it starts one
    in `args.output_dir` (beside it where that is pushed to a hub), and ends it.
    """

    def __init__(self) -> None:
        self._trainings: list[tuple[weakref.ref[TrainerState], Recording]] = []

    def __getstate__(self) -> dict[str, Any]:
        """Sent to another process or copied, it has begun nothing."""
        return {**vars(self), "_trainings": []}

    @fenced
    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **kwargs: Any,
    ) -> None:
        """Find the run, or start it: one for each training, which its `state` tells from others."""
        recording = Recording("transformers")
        self._trainings = [
            (ref, other)
            for ref, other in self._trainings
            if ref() is not None and ref() is not state
        ]
        self._trainings.append((weakref.ref(state), recording))
        config = {
            "seed": args.seed,
            "arguments": _fields(args),
            "model": _fields(getattr(model, "config", None)),
        }
        if state.is_hyper_param_search:
            config["trial"] = state.trial_params
        recording.begin(
            _folder(args),
            config=config,
            resumes=state.global_step > 0,
            is_running=partial(_trains, weakref.ref(state)),
        )
        recording.planned(
            state.max_steps,
            log_every=state.logging_steps
            if args.logging_strategy == IntervalStrategy.STEPS
            else None,
            eval_every=state.eval_steps if args.eval_strategy == IntervalStrategy.STEPS else None,
        )
        _ = recording.asked  # from now on a signal asks

    @fenced
    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep the row. The training's summary is kept as totals too."""
        if not logs:
            return
        recording = self._of(state)
        self._keep(args, state, rename_losses(logs, train=(), val=("eval_loss",)))
        if recording is not None and recording.run is not None and "train_runtime" in logs:
            recording.run.totals(**logs)

    @fenced
    def on_predict(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        """Keep the metrics of a prediction."""
        if metrics:
            self._keep(args, state, metrics)

    @fenced
    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The checkpoint is complete, as far as this process writes it."""
        recording = self._of(state)
        if recording is not None and recording.run is not None:
            recording.run.checkpoint(
                _checkpoint(Path(args.output_dir), state), training_step=state.global_step
            )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Asked to stop, save and stop. Several processes agree on it at the steps at which they
        log.
        """
        is_stopping = self._passed(state)
        if args.world_size > 1 and torch.distributed.is_initialized():
            is_stopping = control.should_log and _anyone(is_stopping, args.device)
            if is_stopping:
                self._ask(state)
        if is_stopping:
            control.should_save = control.should_training_stop = True
        return control

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End a run of our own.

        Raises:
            Interrupted: it was asked to stop, and is our own.
        """
        self._end(state)

    def _of(self, state: TrainerState) -> Recording | None:
        """What the training of this state records into; None where none has begun."""
        return next((recording for ref, recording in self._trainings if ref() is state), None)

    def _keep(self, args: TrainingArguments, state: TrainerState, row: dict[str, Any]) -> None:
        """A row of the run of this training; of an evaluation or prediction outside one, in a run
        of its own.
        """
        recording = self._of(state)
        if recording is None:
            recording = Recording("transformers")
            self._trainings.append((weakref.ref(state), recording))
        if recording.run is not None:
            recording.run.log(state.global_step, **row)
        elif recording.is_wanted:
            recording.follow(
                _folder(args), state.global_step, row, config={"arguments": _fields(args)}
            )

    @fenced
    def _passed(self, state: TrainerState) -> bool:
        """Note that a step is completed; whether the training was asked to stop."""
        recording = self._of(state)
        if recording is None:
            return False
        recording.passed(state.global_step)
        return recording.asked

    @fenced
    def _ask(self, state: TrainerState) -> None:
        """Note that another process was asked: all of them stop."""
        recording = self._of(state)
        if recording is not None:
            recording.ask("another process of this training was")

    @fenced
    def _end(self, state: TrainerState) -> None:
        """End what the training of this state records into.

        A loop that hands over another state each time leaves none of its own: then it is the newest
        of those whose state is gone.
        """
        recording = self._of(state)
        if recording is None:
            gone = [other for ref, other in self._trainings if ref() is None]
            recording = gone[-1] if gone else None
        if recording is not None:
            recording.end()


class DeadlineCriteria(StoppingCriteria):
    """Stops `generate` between two tokens when it has taken that long; `timed_out` says afterwards
    whether it did, and the open run counts and reports it like its own limits.

    `seconds` None or 0 is no limit. The time runs from `arm()`:
    `stopping_criteria=[deadline.arm()]`. Not armed, it runs from the first token of a `generate`:
    one that follows a stop of ours, or whose sequences are not longer than the last.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.timed_out = False
        """Whether the last `generate` was stopped by this deadline."""
        self._began = 0.0
        self._ends: float | None = None
        self._seen = (0, 0)  # sequences, tokens in each

    def arm(self) -> DeadlineCriteria:
        """Start the time of the next `generate` now."""
        self.timed_out = False
        self._seen = (0, 0)
        self._began = time.monotonic()
        self._ends = self._began + (self.seconds or math.inf)
        run = current_run()
        if run is not None:
            run.limits.calls += 1
        return self

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: Any) -> torch.Tensor:
        """For each sequence whether it is to end: all of them, or none."""
        count, length = input_ids.shape
        last_count, last_length = self._seen
        another = bool(last_length) and (
            self.timed_out or count != last_count or length <= last_length
        )
        if self._ends is None or another:
            self.arm()
        self._seen = (count, length)
        assert self._ends is not None
        if time.monotonic() >= self._ends and not self.timed_out:
            self.timed_out = True
            self._tell()
        return torch.full((count,), self.timed_out, device=input_ids.device, dtype=torch.bool)

    @fenced
    def _tell(self) -> None:
        """Count the timeout in the open run, with how long the generation took."""
        run = current_run()
        if run is not None:
            took = time.monotonic() - self._began
            run.limits.overran(
                Overrun(
                    what="generate", limit_s=self.seconds or 0.0, elapsed_s=took, how="interrupted"
                )
            )


def _folder(args: TrainingArguments) -> Path:
    """`output_dir`; beside it where the Trainer uploads that whole: the journal has paths and hosts
    in it.
    """
    folder = Path(args.output_dir)
    if args.push_to_hub:
        return folder.with_name(f"{folder.name}-watchkeeper")
    return folder


def _trains(state: weakref.ref[TrainerState]) -> bool:
    """Whether the training of this state still runs, in any thread: its Trainer does not report an
    exception.
    """
    theirs = state()
    for frame in sys._current_frames().values():
        at: FrameType | None = frame
        while at is not None and theirs is not None:
            if (
                at.f_code.co_name in LOOPS
                and getattr(at.f_locals.get("self"), "state", None) is theirs
            ):
                return True
            at = at.f_back
    return False


def _fields(theirs: Any) -> object:
    """A configuration of theirs; one that cannot tell its fields costs those only."""
    try:
        if theirs is not None:
            return theirs.to_dict()
        return None
    except Exception as error:
        say(f"{type(theirs).__name__}.to_dict", error)
        return None


def _checkpoint(folder: Path, state: TrainerState) -> Path:
    """A search over hyperparameters has a folder for each trial."""
    name = f"checkpoint-{state.global_step}"
    if state.is_hyper_param_search and not (folder / name).exists():
        return max(
            folder.glob(f"*/{name}"), key=lambda path: path.stat().st_mtime, default=folder / name
        )
    return folder / name


def _anyone(is_asked: bool | None, device: torch.device) -> bool:
    """Whether any process was asked; all of them call this at the same step."""
    flag = torch.tensor([1 if is_asked else 0], device=device)
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


integration_utils.INTEGRATION_TO_CALLBACK["watchkeeper"] = WatchkeeperCallback
