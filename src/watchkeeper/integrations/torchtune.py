"""torchtune: a metric logger, by its dotted path in a recipe's configuration.

    metric_logger:
      _component_: watchkeeper.integrations.torchtune.WatchkeeperLogger
      log_dir: ${output_dir}/logs

A training step is what the recipe logs: completed optimizer steps, from 1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torchtune.training.metric_logging import MetricLoggerInterface, save_config

from watchkeeper.integrations.fence import fenced
from watchkeeper.integrations.recording import Recording
from watchkeeper.runfolder.losses import rename_losses


class WatchkeeperLogger(MetricLoggerInterface):
    """Records a recipe's configuration, rows and checkpoints.

    Its own run lies in exactly `log_dir`, and ends with the recipe. `total` is how many training
    steps are planned; None: `max_steps_per_epoch` times `epochs`, where the configuration limits
    them.
    """

    def __init__(self, log_dir: str, total: int | None = None, **kwargs: Any) -> None:
        self._folder = Path(log_dir)
        self._total = total
        self._output: Path | None = None
        self._earlier: dict[Path, float] = {}  # checkpoints that were there before → when written
        self._looked = 0  # at the output folder, as it was changed then
        self._waits = False  # checkpoints are written in the background
        self._every = 1
        self._step: int | None = None
        self._recording = Recording("torchtune")

    def log_config(self, config: DictConfig) -> None:
        """Keep the configuration; write `torchtune_config.yaml` as torchtune's own loggers do."""
        save_config(config)
        self._keep(config)

    @fenced
    def log(self, name: str, data: Any, step: int) -> None:
        """Keep a row of one metric."""
        self._row({name: data}, step)

    @fenced
    def log_dict(self, payload: Mapping[str, Any], step: int) -> None:
        """Keep a row."""
        self._row(payload, step)

    @fenced
    def close(self) -> None:
        """Record the checkpoints that were written, which are complete now, and end a run of our
        own.

        Raises:
            Interrupted: it was asked to stop, and is our own.
        """
        try:
            self._look()
        finally:
            self._recording.end()

    @fenced
    def _keep(self, config: DictConfig) -> None:
        """Begin the run with the recipe's configuration, and see which checkpoints are there
        already: those of an earlier training are not this one's.
        """
        fields: Any = OmegaConf.to_container(config, resolve=True)
        if isinstance(fields.get("output_dir"), str):
            self._output = Path(fields["output_dir"])
            self._earlier = self._checkpoints()
        self._waits = bool(fields.get("enable_async_checkpointing"))
        self._every = fields.get("log_every_n_steps") or 1
        resumes = bool(fields.get("resume_from_checkpoint"))
        if self._recording.begin(self._folder, config=fields, resumes=resumes) is not None:
            self._recording.planned(self._total or _planned(fields), log_every=self._every)

    def _row(self, metrics: Mapping[str, Any], step: int) -> None:
        """Keep a row of a training step, and look for checkpoints where the output folder has
        changed.
        """
        run = self._recording.run or self._recording.begin(self._folder)
        if run is None:
            return
        if self._output is not None and not self._waits:
            with contextlib.suppress(OSError):
                changed = self._output.stat().st_mtime_ns
                if changed != self._looked:  # the recipe is here, so what it has saved is complete
                    self._looked = changed
                    self._look()
        self._step = step
        run.log(step, **rename_losses(metrics))

    def _look(self) -> None:
        """Record the checkpoints that are new. They were saved after the last row, which is of
        their step only where each step is logged.
        """
        run = self._recording.run
        if run is None:
            return
        step = None
        if self._every == 1:
            step = self._step
        for path, written in sorted(self._checkpoints().items(), key=lambda item: item[1]):
            if self._earlier.get(path) != written:
                self._earlier[path] = written
                run.checkpoint(path, training_step=step)

    def _checkpoints(self) -> dict[Path, float]:
        """The folders `epoch_N` with weights in them, each with the time of its newest file."""
        checkpoints: dict[Path, float] = {}
        if self._output is None:
            return checkpoints
        for folder in self._output.glob("epoch_*"):
            with contextlib.suppress(OSError):
                times: list[float] = []
                for path in folder.iterdir():
                    if path.suffix in {".safetensors", ".bin", ".pt"}:
                        times.append(path.stat().st_mtime)
                if times:
                    checkpoints[folder] = max(times)
        return checkpoints


def _planned(fields: Mapping[str, Any]) -> int | None:
    """How many training steps a recipe plans; None: the configuration sets no limit to an epoch."""
    steps, epochs = fields.get("max_steps_per_epoch"), fields.get("epochs")
    if isinstance(steps, int) and isinstance(epochs, int):
        return steps * epochs
    return None
