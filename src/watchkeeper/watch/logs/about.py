"""What a run log says of a piece of work beside what happened to it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from watchkeeper.core import processes
from watchkeeper.core.events import RunItem
from watchkeeper.core.text.figures import size
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.report.compose.history import About, LogFile
from watchkeeper.watch.logs.histories import Histories
from watchkeeper.watch.logs.log_files import LogFiles
from watchkeeper.watch.logs.said import Said


class Descriptions:
    """What a person said of the runs: on the command line, on a terminal, in the summary, or in a
    log when it was made.
    """

    def __init__(
        self, experiment: Experiment, said: Said, files: LogFiles, histories: Histories
    ) -> None:
        self._experiment = experiment
        self._said = said
        self._files = files
        self._histories = histories
        # Scripts come one by one: the first log must not lie elsewhere than the second.
        runs = {item.run for item in experiment.items if not item.workdir}
        self._is_group = len(runs) > 1

    @property
    def answers(self) -> Said:
        """What a person answered when the experiment was first started on a terminal."""
        event = self._histories.answered
        if event is None:
            return Said()
        return Said(
            mode=event.mode, objective=event.objective, dataset=event.dataset, group=event.group
        )

    @property
    def has_mode(self) -> bool:
        """Whether it is known what kind of work the runs are."""
        return bool(self._said.mode or self.answers.mode or self._experiment.summary)

    @property
    def group(self) -> str:
        """The group of the logs; "": none. Several planned runs are a group by themselves."""
        group = self._said.group or self.answers.group
        if group:
            return group
        if self._is_group:
            return self._experiment.name
        return ""

    def about(self, item: RunItem, file: LogFile | None = None) -> About:
        """Describe a piece of work; `file` is its log, None: not made yet."""
        experiment, said = self._experiment, self._said
        before = self._histories.fields_before(item.key, file)
        task = _task_of(item)
        settings = self._settings(item, before)
        dataset = self._dataset(before)
        description = settings
        if experiment.name != task:
            description = "; ".join(filter(None, [experiment.name, settings]))
        top = self._files.folder.parent
        below = os.path.relpath(experiment.folder, top)
        script = ""
        if item.script:
            script = os.path.relpath(experiment.folder / item.script, top)
        return About(
            task=said.task or task,
            description=description,
            run_type=self._mode(before),
            objective=self._objective(before),
            dataset=dataset,
            dataset_facts=self._dataset_facts(dataset),
            settings=settings,
            controls=experiment.controls,
            root=str(top),
            host=processes.host(),
            below="" if below == "." else below,
            script=script,
            command=f"watchkeeper run {below}",
            expected=self._histories.expected(item),
        )

    # What ran is described as it was when its log was made; what it is for may be said later.

    def _settings(self, item: RunItem, before: Mapping[str, str]) -> str:
        """The key settings: those in the log before, else those on the command line, else the
        summary's.
        """
        return _first(
            before.get("config.key_settings"),
            ", ".join(self._said.settings),
            self._experiment.settings.get(item.run),
        )

    def _dataset(self, before: Mapping[str, str]) -> str:
        """The dataset: that in the log before, else by the command line, a person's answer, the
        summary.
        """
        return _first(
            before.get("config.dataset"),
            self._said.dataset,
            self.answers.dataset,
            self._experiment.dataset,
        )

    def _mode(self, before: Mapping[str, str]) -> str:
        """The mode: by the command line, else that in the log before, a person's answer, or
        `experiment` where there is a summary.
        """
        planned = "experiment" if self._experiment.summary else ""
        return _first(self._said.mode, before.get("mode.run_type"), self.answers.mode, planned)

    def _objective(self, before: Mapping[str, str]) -> str:
        """The objective, from the same places as the mode; the last is the summary's question."""
        return _first(
            self._said.objective,
            before.get("mode.objective"),
            self.answers.objective,
            self._experiment.question,
        )

    def _dataset_facts(self, dataset: str) -> str:
        """What the summary says of its dataset beside the path, and the size of a local file."""
        facts: list[str] = []
        if dataset == self._experiment.dataset and self._experiment.dataset_facts:
            facts.append(self._experiment.dataset_facts)
        if dataset:
            facts += self._size_of(dataset)
        return ", ".join(facts)

    def _size_of(self, dataset: str) -> list[str]:
        """The size of a dataset that is one file; [] for any other."""
        for folder in (self._experiment.folder, self._files.folder.parent):
            path: Path = folder / dataset
            with contextlib.suppress(OSError):
                if path.is_file():
                    return [size(path.stat().st_size)]
        return []


def _task_of(item: RunItem) -> str:
    """The task in a log's name: `r8`, `r8_capitalization_epoch0`."""
    task = item.run
    if item.phase != "preparation":
        task += f"_{item.task}"
    if item.epoch is not None:
        task += f"_epoch{item.epoch}"
    return task


def _first(*answers: str | None) -> str:
    """The first of these that is given; "": none is."""
    for answer in answers:
        if answer:
            return answer
    return ""
