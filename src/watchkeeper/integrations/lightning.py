"""Lightning: a logger, and a callback that also stops a training in good order. Either records
alone; together the logger keeps rows and checkpoints, and the callback stops.

Lightning counts training steps from 0 in what it logs; here they count from 1, as completed ones.
"""

from __future__ import annotations

import os
import re
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.plugins.io import AsyncCheckpointIO
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from watchkeeper.integrations.fence import fenced
from watchkeeper.integrations.recording import Recording, users_run
from watchkeeper.record.stopping.interrupts import Interrupted
from watchkeeper.runfolder.losses import rename_losses

NAME = "lightning_logs"
_version = re.compile(r"version_(\d+)")


class _Watch:
    """One training as the logger and the callback record it; on rank 0 only."""

    def __init__(self) -> None:
        self.recording = Recording("lightning")
        self._planned = False
        self._saved: dict[int, str] = {}  # by checkpoint callback, what it saved last
        self._unfinished: list[tuple[str, int]] = []  # checkpoints that are still being written

    def begin(
        self, folder: Path, config: Mapping[str, Any], trainer: Trainer | None = None
    ) -> None:
        """Find the user's run, or start one in `folder`. A training that starts behind step 0, or
        from a checkpoint, resumes the run that lies there. `trainer` None: nobody can say (Fabric).
        """
        resumes = False
        if trainer is not None:
            resumes = trainer.global_step > 0 or trainer.ckpt_path is not None
        self.recording.begin(folder, config=config, resumes=resumes)
        _ = self.recording.asked  # from now on a signal asks

    def follow(
        self, folder: Path, config: Mapping[str, Any], trainer: Trainer, metrics: Mapping[str, Any]
    ) -> None:
        """Keep what `test` or `validate` came to outside of a training, at the step that the model
        was trained to. A trial run (`fast_dev_run`) leaves nothing.
        """
        if not metrics or not self.recording.is_wanted or trainer.fast_dev_run:
            return
        figures = rename_losses(metrics)
        self.recording.follow(folder, trainer.global_step, figures, config=config)

    def row(self, trainer: Trainer | None, step: int | None, metrics: Mapping[str, Any]) -> None:
        """Keep a row; `step` as Lightning counts. Rows of single validation batches belong to no
        training step. `trainer` None: steps are the caller's own.
        """
        run = self.recording.run
        if run is None:
            return
        is_in_validation = trainer is not None and step is not None and not trainer.training
        # Lightning adds the epoch to all rows but those of single batches.
        if is_in_validation and "epoch" not in metrics:
            run.log(None, eval_batch=step, **metrics)
            return
        if trainer is not None and trainer.state.fn == TrainerFn.FITTING:
            self._plan(trainer)
            if step is not None:
                step += 1
        run.log(step, **rename_losses(metrics))

    def checkpoints(self, trainer: Trainer | None, *callbacks: Any) -> None:
        """Record what the checkpoint callbacks saved since the last look.

        One that is written in the background is recorded when the training ends: until then it is
        not known to be whole.
        """
        for callback in callbacks:
            path = str(getattr(callback, "_last_checkpoint_saved", "") or "")
            if not path or self._saved.get(id(callback)) == path:
                continue
            self._saved[id(callback)] = path
            step = int(getattr(callback, "_last_global_step_saved", 0))
            if _saves_in_background(trainer):
                self._unfinished.append((path, step))
            elif self.recording.run is not None:
                self.recording.run.checkpoint(path, training_step=step)

    def end(self, error: BaseException | None) -> None:
        """End our own run: `error` is what ended the training, None for a good end.

        Raises:
            SystemExit: it was asked to stop, and is our own. (Lightning makes a KeyboardInterrupt
                an exit code of 1.)
        """
        run = self.recording.run
        if run is not None and error is None:
            for path, step in self._unfinished:  # Lightning has waited for them
                run.checkpoint(path, training_step=step)
        if (
            run is not None
            and isinstance(error, SystemExit)
            and error.code is None
            and run.stop_requested
        ):
            # Lightning's SIGTERMException would end the process with 0.
            error.code = run._stops.interrupts.error().code
        self._saved, self._unfinished, self._planned = {}, [], False
        try:
            self.recording.end(error)
        except Interrupted as asked:
            if error is None:
                raise SystemExit(asked.code) from None

    def _plan(self, trainer: Trainer) -> None:
        """Say once how many steps are planned. Lightning gives infinity where there is no end."""
        if self._planned:
            return
        self._planned = True
        total = trainer.estimated_stepping_batches
        every = trainer.log_every_n_steps
        self.recording.planned(total if isinstance(total, int) else None, log_every=every)


class WatchkeeperLogger(Logger):
    """A Lightning logger that records rows, hyperparameters and checkpoints.

    Its own run lies in `save_dir/name/version_N`, with the next free N, or in exactly `version`
    where that is a text. Where a run is open, everything is recorded in that one, and checkpoints
    go below its folder unless `save_dir` is given.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str] | None = None,
        name: str | None = None,
        version: int | str | None = None,
    ) -> None:
        """`save_dir` None: the current folder, or that of the open run. `name` None:
        `lightning_logs`, or none within a run. `version` None: the next free one.
        """
        super().__init__()
        run = users_run()
        self._save_dir = os.fspath(save_dir or ".")
        self._name = NAME
        self._version = version
        if run is not None and save_dir is None:  # within the user's run
            self._save_dir = str(run.folder)
            self._name = ""
            if version is None:
                self._version = ""
        if name is not None:
            self._name = name
        self._config: dict[str, Any] = {}
        self._trainer: Trainer | None = None
        self._watch = _Watch()

    def __getstate__(self) -> dict[str, Any]:
        """In another process it has no trainer yet."""
        return {**vars(self), "_trainer": None}

    @property
    def name(self) -> str:
        """The folder between `save_dir` and the version."""
        return self._name

    @property
    def version(self) -> int | str:
        """Its number, or the text that it was given.

        The number is one above the highest of the folders `version_N` that are there when it is
        first asked for, 0 where there is none.
        """
        if self._version is None:
            taken: list[int] = []
            for path in Path(self.root_dir).glob("version_*"):
                match = _version.fullmatch(path.name)
                if match is not None:
                    taken.append(int(match[1]))
            self._version = max(taken, default=-1) + 1
        return self._version

    @property
    def save_dir(self) -> str:
        """Where the logs of all versions lie."""
        return self._save_dir

    @property
    def root_dir(self) -> str:
        """`save_dir/name`."""
        return os.path.join(self._save_dir, self._name)

    @property
    def log_dir(self) -> str:
        """`save_dir/name/version_N`, or `save_dir/name/TEXT` where the version is a text."""
        version = self.version
        if isinstance(version, int):
            version = f"version_{version}"
        return os.path.join(self.root_dir, version)

    @rank_zero_only
    @fenced
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Keep them: of a run of our own as its configuration."""
        if isinstance(params, Namespace):
            given = vars(params)
        else:
            given = dict(params)
        self._config.update(given)
        self._watch.recording.settings(given)

    @rank_zero_only
    @fenced
    def log_graph(self, model: LightningModule, input_array: Any = None) -> None:
        """No graph is kept; Lightning calls this before it trains, tests or validates, and here the
        trainer is known.
        """
        self._trainer = model.trainer
        if self._trainer.state.fn in (TrainerFn.TESTING, TrainerFn.VALIDATING):
            self._watch.recording.begin_evaluation(Path(self.log_dir), config=self._config)
        elif self._trainer.state.fn == TrainerFn.FITTING:
            self._begin()

    @rank_zero_only
    @fenced
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Keep a row of the completed training step. Without a Trainer (Fabric) steps are the
        caller's own.
        """
        if self._trainer is None:
            self._begin()
        self._watch.row(self._trainer, step, metrics)

    @rank_zero_only
    @fenced
    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Record the checkpoint that was saved."""
        self._watch.checkpoints(self._trainer, checkpoint_callback)

    @rank_zero_only
    @fenced
    def finalize(self, status: str) -> None:
        """End a run of our own, as Lightning says how it ended.

        Raises:
            SystemExit: it was asked to stop, and is our own.
        """
        if status == "finished":
            return  # said in the middle of a training that is to be requeued, too
        error = None
        if status == "failed":
            error = sys.exc_info()[1]
        self._watch.end(error)
        if self._watch.recording.run is None:
            self._trainer = None

    def _begin(self) -> None:
        """Begin where this logger's folder is, with the hyperparameters that are known by now."""
        self._watch.begin(Path(self.log_dir), self._config, self._trainer)


class WatchkeeperCallback(Callback):
    """Asked to stop, the training stops after its batch, with a checkpoint. Without a
    `WatchkeeperLogger` it also records rows, hyperparameters and checkpoints; its own run lies in
    the folder of the trainer's first logger, else in `default_root_dir`.
    """

    def __init__(self) -> None:
        self._watch = _Watch()
        self._alone = True
        self._logged = 0
        self._before: dict[str, Any] = {}  # metrics when validation began
        self._of_validation: set[str] = set()

    @fenced
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the run, or start it.

        Of several processes only the first records. Beside a logger of ours this one only stops.
        """
        loggers = [logger for logger in trainer.loggers if isinstance(logger, WatchkeeperLogger)]
        self._alone = not (loggers and trainer.is_global_zero)
        self._logged = 0
        if not trainer.is_global_zero:
            if users_run() is not None:  # the user's own run, which this rank takes part in
                self._watch.begin(Path(trainer.default_root_dir), {})
        elif loggers:
            self._watch = loggers[0]._watch  # which begins, and ends, what it records into
        elif not trainer.fast_dev_run:
            self._watch.begin(_folder_of(trainer), dict(pl_module.hparams), trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Asked to stop, save and stop. Several processes agree on it every `log_every_n_steps`
        batches.
        """
        if self._alone:
            self._row(trainer)
        is_stopping = bool(self._asked())
        if trainer.world_size > 1:
            due = (batch_idx + 1) % max(1, trainer.log_every_n_steps) == 0
            is_stopping = due and trainer.strategy.reduce_boolean_decision(is_stopping, all=False)
            if is_stopping:
                self._ask()
        if is_stopping and not trainer.should_stop:
            trainer.should_stop = True
            self._save(trainer)

    @fenced
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what is known, to tell what validation adds."""
        if self._alone and trainer.is_global_zero:
            self._before = dict(trainer.callback_metrics)

    @fenced
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what validation came to: within a training, the metrics that it changed."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._follow(trainer, pl_module)
            return
        is_in_training = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        if not is_in_training or not self._alone or not trainer.is_global_zero:
            return
        metrics: dict[str, Any] = {}
        for name, value in trainer.callback_metrics.items():
            if value is not self._before.get(name):
                metrics[name] = value
        self._of_validation |= metrics.keys()
        if metrics:
            row = {"epoch": trainer.current_epoch, **metrics}
            self._watch.row(trainer, _stepped(trainer), row)

    @fenced
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what the test came to."""
        self._follow(trainer, pl_module)

    @fenced
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Record what the checkpoint callbacks, which come last, saved meanwhile."""
        self._look(trainer)

    @fenced
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the last checkpoints."""
        self._look(trainer)

    @fenced
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """The run of our own failed, or was interrupted."""
        if self._alone:
            self._look(trainer)
            self._watch.end(exception)

    @fenced
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """End a run of our own.

        Raises:
            SystemExit: it was asked to stop, and is our own.
        """
        if self._alone and stage == "fit":
            self._watch.end(None)

    @fenced
    def _asked(self) -> bool:
        """Whether the training was asked to stop; not, where that cannot be seen."""
        return self._watch.recording.asked

    @fenced
    def _ask(self) -> None:
        """Note that another process was asked: all of them stop."""
        self._watch.recording.ask("another process of this training was")

    @fenced
    def _row(self, trainer: Trainer) -> None:
        """Keep the training's metrics, every `log_every_n_steps` steps and each step once: with
        gradients that are accumulated, several batches are one step.
        """
        step = _stepped(trainer) + 1
        is_due = step % max(1, trainer.log_every_n_steps) == 0 and step != self._logged
        if not trainer.is_global_zero or not is_due:
            return
        self._logged = step
        row: dict[str, Any] = {"epoch": trainer.current_epoch}
        for name, value in trainer.callback_metrics.items():
            if name not in self._of_validation:
                row[name] = value
        self._watch.row(trainer, step - 1, row)

    @fenced
    def _save(self, trainer: Trainer) -> None:
        """Save a checkpoint of where the training was stopped, beside the others, and record it."""
        folder = getattr(trainer.checkpoint_callback, "dirpath", None)
        if not folder:
            folder = os.path.join(trainer.default_root_dir, "checkpoints")
        path = os.path.join(folder, f"interrupted-step={trainer.global_step}.ckpt")
        trainer.save_checkpoint(path)
        run = self._watch.recording.run
        if run is not None:
            run.checkpoint(path, training_step=trainer.global_step)

    def _follow(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the figures of a `test` or `validate`, where no logger of ours does."""
        if not trainer.is_global_zero:
            return
        if any(isinstance(logger, WatchkeeperLogger) for logger in trainer.loggers):
            return
        folder = _folder_of(trainer)
        self._watch.follow(folder, dict(pl_module.hparams), trainer, trainer.callback_metrics)

    def _look(self, trainer: Trainer) -> None:
        """Record new checkpoints, where no logger of ours does."""
        if self._alone and trainer.is_global_zero:
            self._watch.checkpoints(trainer, *trainer.checkpoint_callbacks)


def _stepped(trainer: Trainer) -> int:
    """The training step that is in work, from 0, as Lightning logs it."""
    return int(trainer.fit_loop.epoch_loop._batches_that_stepped)


def _saves_in_background(trainer: Trainer | None) -> bool:
    """Whether the trainer continues while a checkpoint is written."""
    if trainer is None:
        return False
    return isinstance(trainer.strategy.checkpoint_io, AsyncCheckpointIO)


def _folder_of(trainer: Trainer) -> Path:
    """Where a run of the callback's own lies: with the trainer's first logger, if that has a
    folder.
    """
    first = None
    if trainer.loggers:
        first = trainer.loggers[0].log_dir
    return Path(first or trainer.default_root_dir)
