"""What a package says of a run, gathered by whoever can read all of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from watchkeeper.core.events import Number


class Loss(msgspec.Struct, frozen=True):
    """The losses at one training step; None: none was recorded there."""

    step: int
    train: float | None = None
    val: float | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation of the checkpoint: its figures by name, over how many samples (0: not known),
    when it was made (None: not known), and the dataset that its log names ("": none).
    """

    task: str
    metrics: Mapping[str, Number]
    samples: int = 0
    made: datetime | None = None
    dataset: str = ""


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its package shows it. `losses` are recorded rows, few and in the order of their
    steps, the best and the last among them; `best` names the metric and the step of the least loss,
    "" where there is none. `plot` is a drawing in SVG, `config` the resolved configuration in YAML,
    `run_log` the Markdown page about the run; "": there is none.
    """

    name: str
    description: str = ""
    settings: Mapping[str, str] = {}
    losses: tuple[Loss, ...] = ()
    best: str = ""
    rows: int = 0
    results: tuple[Result, ...] = ()
    plot: str = ""
    config: str = ""
    run_log: str = ""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoint that a package is made of, and the run that made it. `folder` is the
    experiment or the recorded run, `key` the run in the experiment ("": a recorded run), `attempt`
    the one that made the checkpoint. `path` is the checkpoint's in the journal. `recorded` are the
    folders that the run and its evaluations were recorded in, `evaluations` the keys of these.
    `training_step` is None where it is not known.
    """

    root: Path
    folder: Path
    key: str = ""
    attempt: int = 1
    path: str = ""
    recorded: tuple[Path, ...] = ()
    evaluations: tuple[str, ...] = ()
    training_step: int | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys whose events the package shows."""
        return tuple(key for key in (self.key, *self.evaluations) if key)
