"""The runs of an experiment, as its journal has them: what each was submitted with, its settings,
and its figures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.disk.objects import read_kept
from watchkeeper.core.events import Intended, Learned, Number, RunItem
from watchkeeper.core.state import Attempt, State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch.plan import WELL
from watchkeeper.reading import arguments
from watchkeeper.reading import settings as flatten
from watchkeeper.runfolder import places

_MOST_SNAPSHOT_BYTES = 8 * 1024 * 1024


def runs_of(experiment: Experiment, state: State) -> list[ExperimentRun]:
    """The runs of an experiment, in its order, each with what its journal says: of the items `r8`,
    `r8/clean/epoch0` and `r16` those are `r8`, with two items, and `r16`.
    """
    work: dict[str, list[RunItem]] = {}
    for item in experiment.items:
        work.setdefault(item.run, []).append(item)
    runs: list[ExperimentRun] = []
    for name, items in work.items():
        runs.append(ExperimentRun(experiment=experiment, name=name, state=state, items=items))
    return runs


class ExperimentRun(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One run of an experiment, by its journal. `items`: its training and its evaluations."""

    experiment: Experiment
    name: str
    state: State
    items: list[RunItem]

    @cached_property
    def training(self) -> RunItem | None:
        """The item that trains it; None if it is trained elsewhere."""
        for item in self.items:
            if item.phase == "preparation":
                return item
        return None

    @cached_property
    def trained(self) -> Attempt | None:
        """The latest attempt at its training; None where none was made, and where it is trained
        elsewhere.
        """
        if self.training is None:
            return None
        return self.state.run(self.training.key).latest

    @property
    def intended(self) -> Intended | None:
        """What the latest attempt at its training was submitted with; None where there is none."""
        if self.trained is None:
            return None
        return self.trained.intended

    @property
    def submitted(self) -> Intended | None:
        """What it was first submitted with: its training, else the first of its evaluations; None
        before any of them was.
        """
        latest = (self.state.run(item.key).latest for item in self.items)
        for attempt in (self.trained, *latest):
            if attempt is not None and attempt.intended is not None:
                return attempt.intended
        return None

    @property
    def learned(self) -> Learned | None:
        """What its training said of itself; None before it has ended, and where it left nothing."""
        trained = self.trained
        if trained is None or trained.judged is None:
            return None
        return trained.judged.learned

    @property
    def snapshot(self) -> str:
        """The path of the configuration that its training recorded itself, as its verdict has it:
        below the experiment's folder, or absolute. "" for none.
        """
        if self.learned is None:
            return ""
        return self.learned.config

    @property
    def is_partial(self) -> bool:
        """Whether only the summary's words tell its settings: neither a configuration nor an
        argument of its script is known.
        """
        intended = self.intended
        if intended is None:
            return True
        return not (intended.configs or self.snapshot or intended.args)

    @property
    def standing(self) -> str:
        """How far it is, in words: `not run`, `control`, the state of its job as its scheduler says
        it (`RUNNING`), or its outcome, as `completed`.
        """
        latest = self.trained
        if latest is None:
            return self._untrained()
        if latest.judged is None:
            return latest.state or "not submitted"
        return _OUTCOMES.get(latest.judged.outcome, latest.judged.outcome)

    def _untrained(self) -> str:
        """The standing of a run without an attempt at a training: a control, whose base model is
        only evaluated, and that has begun; or one that has not.
        """
        training = self.training
        if training is not None and not training.control:
            return "not run"
        if any(self.state.run(item.key).latest for item in self.items):
            return "control"
        return "not run"

    def figures(self, evals: str | None = None) -> Iterator[tuple[str, str, Number]]:
        """The figures of its evaluations, and of the outputs of its own job: name, epoch ("" for
        none), figure. `evals`: a glob over the keys of the evaluations that count (None: all).

        `("capitalization accuracy", "0", 0.91)`. Only good results have figures.
        """
        for item in self.items:
            is_evaluation = item.phase == "evaluation"
            if is_evaluation and not fnmatchcase(item.key, evals or "*"):
                continue
            latest = self.state.run(item.key).latest
            if latest is None:
                continue
            judged = latest.judged
            if judged is None or judged.outcome not in WELL:
                continue
            epoch = ""
            if item.epoch is not None:
                epoch = str(item.epoch)
            for name, figure in judged.metrics.items():
                # The number of samples is no measure of how good the run is.
                if name != "samples":
                    yield f"{item.task} {name}".lstrip(), epoch, figure


# The outcome of a training, as it is shown; any other is shown by its own name.
_OUTCOMES = {"done": "completed", "failed but good": "failed, but good"}


def settings_of(
    experiment: Experiment,
    run: str,
    intended: Intended | None,
    snapshot: str,
    reader: flatten.Reader,
) -> tuple[dict[str, str], tuple[str, ...]]:
    """A run's settings, and the names of kept configurations that could not be read: from those it
    was submitted with, else from what it recorded itself, and from its script's arguments; else
    from the summary's words.

    `intended` None: it was not submitted. `snapshot` is the path of what it recorded, below the
    experiment's folder, "" for none. A configuration that could not be read is a setting of its
    own, with its hash as the value, so that two of them still differ.

        train.yaml: optimizer.lr 1e-5; arguments: --seed 3
        → {"optimizer.lr": "1e-05", "seed": "3"}

    An argument outweighs a configuration that has the same setting.
    """
    configs: Mapping[str, str] = {}
    given: dict[str, str] = {}
    if intended is not None:
        configs = intended.configs
        given = arguments.settings_of(intended.args)
    files: list[tuple[str, dict[str, str]]] = []
    unread: list[str] = []
    for name, sha256 in configs.items():
        base = name.rpartition("/")[2]
        settings = _kept_settings(experiment.folder, base, sha256, reader)
        if settings is None:
            unread.append(base)
            settings = {base: f"sha256 {sha256[:12]}"}
        files.append((base, settings))
    if files:
        return flatten.merged(files) | given, tuple(unread)
    if snapshot:
        recorded = _snapshot(experiment.folder / snapshot, reader)
        if recorded:
            return recorded | given, ()
    if given:
        return given, ()
    return _in_words(experiment.settings.get(run, "")), ()


def _in_words(words: str) -> dict[str, str]:
    """The settings that a summary's words name: `lr 1e-5, rank 8`. {} for no words."""
    if not words:
        return {}
    from watchkeeper.report.runlog.figures import split_settings  # not where there are no words

    return dict(split_settings(words))


def _kept_settings(
    experiment: Path, name: str, sha256: str, reader: flatten.Reader
) -> dict[str, str] | None:
    """The settings in a kept configuration; None if they cannot be read. `name` is that of the
    file, whose suffix says its format, and `sha256` that of the kept object.
    """
    data = read_kept(experiment / layout.OBJECTS, sha256)
    if data is None:
        return None
    return reader.settings(name, sha256, data)


def _snapshot(path: Path, reader: flatten.Reader) -> dict[str, str]:
    """The settings that a training recorded: in the manifest of a recorded run, whose `config` they
    are, or in a separate configuration. {} where it cannot be read.
    """
    try:
        data = read_whole(path, _MOST_SNAPSHOT_BYTES)
    except OSError:
        return {}
    is_manifest = path in set(places.names(path.with_name(places.RUN_MANIFEST)))
    if not is_manifest:
        return reader.settings(path.name, hashlib.sha256(data).hexdigest(), data) or {}
    try:
        snapshot = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return {}
    if not isinstance(snapshot, dict):
        return {}
    return flatten.of_value(snapshot.get("config") or {})
