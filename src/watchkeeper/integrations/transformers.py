"""Hugging Face transformers: a callback for `Trainer`, by hand or as `report_to=["watchkeeper"]`, and a deadline for
`generate`.

A training step is `state.global_step`: completed optimizer steps, from 1.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from transformers import StoppingCriteria, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import integration_utils
from transformers.trainer_utils import IntervalStrategy

from watchkeeper.integrations.fence import fenced, say
from watchkeeper.integrations.plain import named
from watchkeeper.integrations.recording import Recording


class WatchkeeperCallback(TrainerCallback):
    """Records a `Trainer`'s training: settings, metric rows, checkpoints, status. Asked to stop, the training stops after
    its step, with a checkpoint. Without a run that goes on it starts one in `args.output_dir` (beside it where that is
    pushed to a hub), and ends it.
    """

    def __init__(self) -> None:
        self._recording = Recording("transformers")

    @fenced
    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        """Find the run, or start it."""
        config = {"seed": args.seed, "arguments": _fields(args), "model": _fields(getattr(model, "config", None))}
        self._recording.begin(_folder(args), config=config, anew=True)
        self._recording.planned(
            state.max_steps,
            log_every=state.logging_steps if args.logging_strategy == IntervalStrategy.STEPS else None,
            eval_every=state.eval_steps if args.eval_strategy == IntervalStrategy.STEPS else None,
        )
        _ = self._recording.asked  # from now on a signal asks

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
        run = self._recording.run
        if run is None or not logs:
            return
        run.log(state.global_step, **named(logs, loss=(), val_loss=("eval_loss",)))
        if "train_runtime" in logs:
            run.totals(**logs)

    @fenced
    def on_predict(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict[str, Any], **kwargs: Any
    ) -> None:
        """Keep the metrics of a prediction, where a run goes on."""
        run = self._recording.run
        if run is not None and metrics:
            run.log(state.global_step, **metrics)

    @fenced
    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The checkpoint is complete, as far as this process writes it."""
        run = self._recording.run
        if run is not None:
            run.checkpoint(_checkpoint(Path(args.output_dir), state), training_step=state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Asked to stop, save and stop. Several processes agree on it at the steps at which they log."""
        asked = self._passed(state.global_step)
        if args.world_size > 1 and torch.distributed.is_initialized():
            asked = control.should_log and _anyone(asked, args.device)
            if asked:
                self._ask()
        if asked:
            control.should_save = control.should_training_stop = True
        return control

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """End a run of our own.

        Raises:
            Interrupted: it was asked to stop, and is our own.
        """
        self._end()

    @fenced
    def _passed(self, step: int) -> bool:
        self._recording.passed(step)
        return self._recording.asked

    @fenced
    def _ask(self) -> None:
        self._recording.ask("another process of this training was")

    @fenced
    def _end(self) -> None:
        self._recording.end()


class DeadlineCriteria(StoppingCriteria):
    """Stops `generate` between two tokens when it has taken that long; `timed_out` says afterwards whether it did.

    `seconds` None or 0 is no limit. The time runs from `arm()`: `stopping_criteria=[deadline.arm()]`. Not armed, it runs
    from the first token of a `generate`: one that follows a stop of ours, or whose sequences are not longer than the last.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.timed_out = False
        """Whether the last `generate` was stopped by this deadline."""
        self._ends: float | None = None
        self._seen = (0, 0)  # sequences, tokens in each

    def arm(self) -> DeadlineCriteria:
        """Start the time of the next `generate` now."""
        self.timed_out = False
        self._seen = (0, 0)
        self._ends = time.monotonic() + (self.seconds or math.inf)
        return self

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: Any) -> torch.Tensor:
        """For each sequence whether it is to end: all of them, or none."""
        count, length = input_ids.shape
        last_count, last_length = self._seen
        another = bool(last_length) and (self.timed_out or count != last_count or length <= last_length)
        if self._ends is None or another:
            self.arm()
        self._seen = (count, length)
        assert self._ends is not None
        self.timed_out = time.monotonic() >= self._ends
        return torch.full((count,), self.timed_out, device=input_ids.device, dtype=torch.bool)


def _folder(args: TrainingArguments) -> Path:
    """`output_dir`; beside it where the Trainer uploads that whole: the journal has paths and hosts in it."""
    folder = Path(args.output_dir)
    return folder.with_name(f"{folder.name}-watchkeeper") if args.push_to_hub else folder


def _fields(theirs: Any) -> object:
    """A configuration of theirs; one that cannot tell its fields costs those only."""
    try:
        return theirs.to_dict() if theirs is not None else None
    except Exception as error:
        say(f"{type(theirs).__name__}.to_dict", error)
        return None


def _checkpoint(folder: Path, state: TrainerState) -> Path:
    """A search over hyperparameters has a folder for each trial."""
    name = f"checkpoint-{state.global_step}"
    if state.is_hyper_param_search and not (folder / name).exists():
        return max(folder.glob(f"*/{name}"), key=lambda path: path.stat().st_mtime, default=folder / name)
    return folder / name


def _anyone(asked: bool | None, device: torch.device) -> bool:
    """Whether any process was asked; all of them call this at the same step."""
    flag = torch.tensor([1 if asked else 0], device=device)
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


integration_utils.INTEGRATION_TO_CALLBACK["watchkeeper"] = WatchkeeperCallback
