"""What a summary, or a folder's tree, says of an experiment before anybody looked for scripts."""

from __future__ import annotations

from typing import Literal

import msgspec

from watchkeeper.core.errors import Problem
from watchkeeper.tools.base import CHECKPOINT_PATTERNS, cell_name

RunType = Literal["fine-tuned", "control", "eval-only"]
RUN_TYPES: tuple[RunType, ...] = ("fine-tuned", "control", "eval-only")


class EvalKey(msgspec.Struct, frozen=True):
    """One evaluation. `epoch` counts from 0; None = untrained or eval-only."""

    run: str
    task: str
    epoch: int | None

    @property
    def key(self) -> str:
        """`run/task/epoch0`, or `run/task/base`."""
        return f"{self.run}/{self.task}/" + ("base" if self.epoch is None else f"epoch{self.epoch}")

    @property
    def cell(self) -> str:
        """Its name within its run, as in file names: `task_epoch0`, or `task_base`."""
        return cell_name(self.task, self.epoch)


class DraftRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it was asked for. `epochs` are those its training makes a checkpoint of, as far as its configuration says;
    `where` is the place that names it. `settings` are its parameters in words, "" where nobody names any.
    """

    name: str
    type: RunType
    where: str
    epochs: tuple[int, ...] = ()
    settings: str = ""


class DraftCell(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation as it was asked for. `tool` is the one that runs it, `script` its task's, "" where nobody names it."""

    key: EvalKey
    where: str
    tool: str
    script: str = ""


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """Where jobs leave what they promise, as patterns. `result` is () where the user gave none: the tool's own then.
    `…_where` is the place of a pattern that the user gave.
    """

    checkpoint: tuple[str, ...] = CHECKPOINT_PATTERNS
    checkpoint_where: str = ""
    result: tuple[str, ...] = ()
    result_where: str = ""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A whole experiment as it was asked for. `question` and `dataset` are a person's words, "" where nobody said."""

    name: str
    preparation: str
    evaluation: str
    runs: tuple[DraftRun, ...]
    cells: tuple[DraftCell, ...]
    output: Output = Output()
    question: str = ""
    dataset: str = ""
    problems: tuple[Problem, ...] = ()
