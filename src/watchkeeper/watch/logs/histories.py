"""The journal's events by key, as the run logs of an experiment need them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core.criteria import Ledger
from watchkeeper.core.events import Answered, AnyEvent, Documented, Noted, RunItem, Unknown
from watchkeeper.report.compose import columns, lineage
from watchkeeper.report.compose.history import History, LogFile, split_by_key
from watchkeeper.report.compose.page import PENDING
from watchkeeper.report.compose.results import Evaluation

_UNANSWERED = (PENDING, "n/a")


class Histories:
    """What the journal says of each key. Feed it every event, once.

    `news` are the keys with events since they were last taken out; `logs` the run logs' paths;
    `columns` those that the machine put into the table, whatever became of them since;
    `answered` what a person answered on a terminal, None: was not asked. `path_of` turns a path in
    an event into a file.
    """

    def __init__(self, items: Sequence[RunItem], path_of: Callable[[str], Path]) -> None:
        self.by_key: dict[str, History] = {}
        self.news: set[str] = set()
        self.logs: set[Path] = set()
        self.columns: set[str] = set()
        self.answered: Answered | None = None
        self._path_of = path_of
        self._criteria = Ledger()
        self._evaluations: dict[str, list[RunItem]] = {}
        self._run_of: dict[str, str] = {}
        for item in items:
            if item.phase == "evaluation":
                self._evaluations.setdefault(item.run, []).append(item)
                self._run_of[item.key] = item.run

    def feed(self, events: Iterable[AnyEvent | Unknown]) -> None:
        """Take events of the journal, each of them once."""
        for event in events:
            self._criteria.feed(event)
            if isinstance(event, Answered):
                self._answer(event)
            if isinstance(event, Noted) and event.key in self._run_of:
                self._note_in_training(event)
            for key, part in split_by_key(event):
                self.of(key).feed(part)
                if isinstance(part, Documented):
                    self.logs.add(self._path_of(part.path))
                    self.columns.update(columns.given(part.fields))
                else:
                    self.news.add(key)

    def _note_in_training(self, event: Noted) -> None:
        """Take a note on an evaluation into the log of its training, which shows the evaluation."""
        run = self._run_of[event.key]
        self.of(run).feed(msgspec.structs.replace(event, text=f"{event.key}: {event.text}"))
        self.news.add(run)

    def _answer(self, event: Answered) -> None:
        """Keep what a person answered last: of two watchers, each may have asked. The answers' own
        times count.
        """
        if self.answered is None or event.time >= self.answered.time:
            self.answered = event

    def expected(self, item: RunItem) -> str:
        """Each criterion and what came of it, in the evaluations that the item's log shows: of a
        training, in all of its evaluations. "": none was stated.
        """
        keys = [item.key]
        if item.phase == "preparation":
            keys = [one.key for one in self._evaluations.get(item.run, ())]
        return "; ".join(one.words for one in self._criteria.standings(keys) if keys)

    def of(self, key: str) -> History:
        """The history of a key, empty at first."""
        return self.by_key.setdefault(key, History())

    def has_log(self, key: str) -> bool:
        """Whether a run log of the key was made, or is about to be."""
        return key in self.by_key and bool(self.by_key[key].documented)

    def fields_before(self, key: str, file: LogFile | None) -> dict[str, str]:
        """The fields last written into a log, without those that were open; file None: no log. A
        field that was written several times has its last value.
        """
        fields: dict[str, str] = {}
        if file is None or key not in self.by_key:
            return fields
        for event in self.by_key[key].documented:
            if event.path != file.path:
                continue
            for name, value in event.fields.items():
                if value not in _UNANSWERED:
                    fields[name] = value
        return fields

    def evaluations_of(self, item: RunItem, file: LogFile) -> list[Evaluation]:
        """The evaluations of the checkpoints that the attempts in this log made, with the last
        verdict on each.

        [] for an item that is no training. A result of another attempt's checkpoint is another
        log's.
        """
        evaluations: list[Evaluation] = []
        if item.phase != "preparation":
            return evaluations
        trained = self.by_key[item.key]
        attempts = trained.attempts_of(file)
        for other in self._evaluations.get(item.run, ()):
            history = self.by_key.get(other.key, History())
            last = None
            for number in sorted(history.judged):
                if _attempt_read(trained, history, number) in attempts:
                    last = history.judged[number]
            if last is not None:
                name = other.task
                if other.epoch is not None:
                    name += f" epoch {other.epoch}"
                evaluations.append(Evaluation(name, last, other.task, other.epoch))
        return evaluations


def _attempt_read(trained: History, evaluated: History, number: int) -> int | None:
    """The attempt at a training whose checkpoint an attempt at an evaluation read; None: that is
    not known.
    """
    judged = evaluated.judged[number]
    intended = evaluated.intended.get(number)
    if intended is None:
        inputs, began = judged.inputs, judged.time
    else:
        inputs, began = {**intended.inputs, **judged.inputs}, intended.time
    return lineage.read_from(trained.intended, trained.judged, inputs, began)
