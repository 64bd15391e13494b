"""What a summary, or a folder's tree, says of an experiment before anybody looked for scripts."""

from __future__ import annotations

from typing import Literal

import msgspec

from watchkeeper.core.errors import Problem
from watchkeeper.core.text import lazy
from watchkeeper.tools.promise import CHECKPOINT_PATTERNS, cell_name

RunType = Literal["fine-tuned", "control", "eval-only", "job"]
RUN_TYPES: tuple[RunType, ...] = ("fine-tuned", "control", "eval-only", "job")


# Of at most nine digits: `int` refuses thousands, and no job takes so long.
_CLOCK = lazy.pattern(r"(?:(\d{1,9})-)?(\d{1,9}):(\d\d)(?::(\d\d))?")
_PART = lazy.pattern(r"(\d{1,9}(?:\.\d{1,9})?)\s*(d|h|m|s)[a-z]*")
_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}


def estimate_s(text: str) -> float | None:
    """An estimate as people write it, in seconds: `0:15:00`, `1-00:00:00`, `2h`, `1 h 30 min`, `~45
    minutes`; None for anything else, and for no time at all. `1:30` is hours and minutes, as in
    sbatch's D-H:M.
    """
    plain = text.strip().lstrip("~≈").strip().lower()
    found = _CLOCK.fullmatch(plain)
    if found is not None:
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        total = float(days * 86_400 + hours * 3_600 + minutes * 60 + seconds)
    elif plain and not _PART.sub("", plain).strip():
        total = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(plain))
    else:
        return None
    return total or None


class EvalKey(msgspec.Struct, frozen=True):
    """One evaluation. `epoch` counts from 0; None = untrained or eval-only."""

    run: str
    task: str
    epoch: int | None

    @property
    def key(self) -> str:
        """`run/task/epoch0`, or `run/task/base`."""
        if self.epoch is None:
            return f"{self.run}/{self.task}/base"
        return f"{self.run}/{self.task}/epoch{self.epoch}"

    @property
    def cell(self) -> str:
        """Its name within its run, as in file names: `task_epoch0`, or `task_base`."""
        return cell_name(self.task, self.epoch)


class DraftRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it was asked for. `epochs` are those its training makes a checkpoint of, as far as
    its configuration says; `where` is the place that names it. `settings` are its parameters in
    words, "": none; `estimate_s` is how long its job is expected to take, in
    seconds (None: unknown).

    `script` and `workdir` are relative to the experiment or absolute; "": the script is where the
    folder tree has it, and it runs in its own folder. `args` are its arguments; None where they may
    not be read. `needs` are the runs that must be done before it starts, and `outputs` patterns of
    what it must leave, relative to the folder that it runs in, or absolute.
    """

    name: str
    type: RunType
    where: str
    epochs: tuple[int, ...] = ()
    settings: str = ""
    estimate_s: float | None = None
    script: str = ""
    args: tuple[str, ...] | None = ()
    workdir: str = ""
    needs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def has_job(self) -> bool:
        """Whether a job of its own makes it: a training, or any other script."""
        return self.type in ("fine-tuned", "job")


class DraftCell(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation as it was asked for. `tool` is the one that runs it, `script` its task's, ""
    where nobody names it.
    """

    key: EvalKey
    where: str
    tool: str
    script: str = ""


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """Where jobs leave what they promise, as patterns. `result` is () where the user gave none: the
    tool's own then. `…_where` is the place of a pattern that the user gave. `checkpoint_formats`
    are suffixes that count as weights beside the usual ones. `contract` is the file, relative to
    the experiment, with what is declared of every checkpoint; "": nothing is.
    """

    checkpoint: tuple[str, ...] = CHECKPOINT_PATTERNS
    checkpoint_where: str = ""
    checkpoint_formats: tuple[str, ...] = ()
    result: tuple[str, ...] = ()
    result_where: str = ""
    contract: str = ""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A whole experiment as it was asked for. `question`, `dataset`, what else is said of that in
    `dataset_facts`, and `controls`, what is the same in all runs, are a person's words, "" where
    nobody said. `expect` are criteria on what the evaluations report, as written.
    """

    name: str
    preparation: str
    evaluation: str
    runs: tuple[DraftRun, ...]
    cells: tuple[DraftCell, ...]
    output: Output = Output()
    question: str = ""
    dataset: str = ""
    dataset_facts: str = ""
    controls: str = ""
    expect: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
