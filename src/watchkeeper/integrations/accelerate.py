"""Hugging Face accelerate: a tracker for `Accelerator(log_with=…)`.

The step is the one that the program gives to `accelerator.log(values, step=…)`, unchanged: count
completed ones from 1.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from accelerate.tracking import GeneralTracker, on_main_process

from watchkeeper.integrations.fence import fenced
from watchkeeper.integrations.recording import Recording
from watchkeeper.record.run import Run
from watchkeeper.runfolder.losses import rename_losses


class WatchkeeperTracker(GeneralTracker):
    """Records what `accelerator.log` is given, and the configuration of `init_trackers`, on the
    main process.

    Its own run lies in exactly `folder`, a second one of the same process in `folder/training-2`,
    and ends with `accelerator.end_training()`; what is logged after that is in `folder/evaluation`.
    """

    name = "watchkeeper"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, folder: str | os.PathLike[str], *, total: int | None = None) -> None:
        """`total` is how many training steps are planned; None: nobody knows."""
        super().__init__()
        self._folder = Path(folder)
        self._total = total
        self._ended = False
        self._recording = Recording("accelerate", says_its_end=False)

    @property
    def tracker(self) -> Run | None:
        """The run: `accelerator.get_tracker("watchkeeper", unwrap=True)`."""
        return self._recording.run

    @on_main_process
    @fenced
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Keep the configuration: a run of our own starts with it."""
        if self._recording.run is None or self._ended:
            self._begin(values)
        else:
            self._recording.settings(values)

    @on_main_process
    @fenced
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Keep a row."""
        if self._ended:
            self._recording.follow(self._folder, step, rename_losses(values))
            return
        if self._recording.run is None:
            self._begin({})
        run = self._recording.run
        if run is not None:
            run.log(step, **rename_losses(values))

    @on_main_process
    @fenced
    def finish(self) -> None:
        """End a run of our own.

        Raises:
            Interrupted: it was asked to stop, and is our own.
        """
        self._ended = True
        self._recording.end()

    def _begin(self, config: dict[str, Any]) -> None:
        """Find the user's run, or start one, and say how many steps are planned."""
        self._ended = False
        if self._recording.begin(self._folder, config=config) is not None:
            self._recording.planned(self._total)
