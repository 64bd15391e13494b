"""Which checkpoint a package is made of, and which run made it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Checkpoint, RunStarted
from watchkeeper.core.events.choose import of_kind
from watchkeeper.core.state import Attempt, RunState, State, fold
from watchkeeper.core.text.odd_bytes import as_path
from watchkeeper.publish.package.story import Source
from watchkeeper.publish.signoff.origin import origin_of
from watchkeeper.report.compose.history import WELL
from watchkeeper.runfolder.link import read_link

_MOST_LEVELS = 8
_MOST_NAMED = 8


def source_of(place: Path, run: Path | None, key: str) -> Source:
    """The checkpoint at `place` with the run that made it; or, where `place` is a recorded run or
    an experiment, the one checkpoint that its run (`key`) left. `run` names the run's folder where
    the checkpoint lies elsewhere; None: it is found above the checkpoint.

    Raises:
        UsageError: there is no such checkpoint or run, or several of them.
        NewerJournalError: a later version wrote a journal.
    """
    if not place.is_dir():
        raise UsageError(
            f"{place} is no folder", hint="name a checkpoint's folder, a run or an experiment"
        )
    if (place / layout.JOURNAL).is_dir():
        return _of_run(place, key)
    if run is not None:
        return _made_by(place, run, key)
    origin = origin_of(place)
    if origin is not None:
        return _of_attempt(place, origin.experiment, origin.attempt, origin.path)
    for folder in list(place.resolve().parents)[:_MOST_LEVELS]:
        for path, event in _recorded(folder):
            if path.resolve() == place.resolve():
                return _of_recording(place, folder, event)
    raise UsageError(
        f"no run above {place} has recorded this checkpoint",
        hint="name the run: --run FOLDER, and of an experiment also --run-key RUN",
    )


def _of_run(folder: Path, key: str) -> Source:
    """The one checkpoint of a run: of the recorded run in `folder`, or with a `key` of that run of
    the experiment in it.

    Raises:
        UsageError: it left none, or several; or the experiment has no such run.
    """
    if not key:
        recorded = dict(_recorded(folder))
        place = _only(list(recorded), str(folder))
        return _of_recording(place, folder, recorded[place])
    attempt = _attempt(folder, key)
    kept = {folder / as_path(path): path for path in _kept(attempt)}
    place = _only(list(kept), f"{folder} {key}")
    return _of_attempt(place, folder, attempt, kept[place])


def _made_by(place: Path, folder: Path, key: str) -> Source:
    """The checkpoint at `place`, by the word of whoever names its run. The journal need not know of
    it: a copy may lie anywhere.

    Raises:
        UsageError: `folder` is no run, or is an experiment and no `key` is given.
    """
    if not (folder / layout.JOURNAL).is_dir():
        raise UsageError(f"{folder} has no journal", hint="name a recorded run or an experiment")
    if key:
        return _of_attempt(place, folder, _attempt(folder, key), str(place))
    if not of_kind(journal.read(folder / layout.JOURNAL).events, RunStarted):
        raise UsageError(f"{folder} is an experiment", hint="name its run too: --run-key RUN")
    return _of_recording(place, folder, None)


def _attempt(folder: Path, key: str) -> Attempt:
    """The newest attempt at a run that ended well.

    Raises:
        UsageError: there is no such run, or none of its attempts ended well.
    """
    state = fold(journal.read(folder / layout.JOURNAL).events)
    if key not in state.runs:
        known = ", ".join(list(state.runs)[:_MOST_NAMED])
        raise UsageError(f"{folder} has no run {key!r}", hint=f"its runs are {known}")
    good = [one for one in state.runs[key].attempts.values() if _is_well(one)]
    if not good:
        raise UsageError(
            f"no attempt at {key} in {folder} ended well: it left no checkpoint that counts",
            hint=f"look at watchkeeper status {folder}",
        )
    return max(good, key=lambda one: one.number)


def _is_well(attempt: Attempt) -> bool:
    """Whether an attempt left what it promised, by its verdict."""
    return attempt.judged is not None and attempt.judged.outcome in WELL


def _kept(attempt: Attempt) -> list[str]:
    """The paths of the checkpoints that an attempt left, as the journal has them; [] for none."""
    if attempt.judged is None or attempt.judged.learned is None:
        return []
    return list(attempt.judged.learned.kept)


def _only(places: list[Path], run: str) -> Path:
    """The one checkpoint that there is.

    Raises:
        UsageError: there is none, or several.
    """
    if len(places) == 1:
        return places[0]
    if not places:
        raise UsageError(
            f"{run} left no checkpoint, as far as its journal says",
            hint="name the checkpoint's folder, and its run with --run FOLDER",
        )
    shown = [str(place) for place in places]
    raise UsageError(
        f"{run} left {len(places)} checkpoints: {', '.join(shown[:_MOST_NAMED])}",
        hint=f"name one of them: watchkeeper publish stage {shown[-1]} -o DIR",
    )


def _recorded(folder: Path) -> Iterator[tuple[Path, Checkpoint]]:
    """The checkpoints that the recorded run in a folder named, in the order of its events: one that
    was named twice stands there twice, its last word behind. None where the folder is no recorded
    run.
    """
    if not (folder / layout.JOURNAL).is_dir():
        return
    for event in of_kind(journal.read(folder / layout.JOURNAL).events, Checkpoint):
        yield folder / as_path(event.path), event


def _of_recording(place: Path, folder: Path, event: Checkpoint | None) -> Source:
    """The source of a checkpoint of the recorded run in `folder`; `event` None: its journal does
    not name the checkpoint.
    """
    path, training_step = "", None
    if event is not None:
        path, training_step = event.path, event.training_step
    return Source(
        root=place,
        folder=folder,
        path=path,
        recorded=(folder,),
        training_step=training_step,
    )


def _of_attempt(place: Path, folder: Path, attempt: Attempt, path: str) -> Source:
    """The source of a checkpoint that an experiment's attempt left, with its evaluations. `path` is
    the checkpoint's in the journal. `recorded` names the folders that its training, and then its
    evaluations, recorded into, of those that did.
    """
    state = fold(journal.read(folder / layout.JOURNAL).events)
    evaluations = list(_evaluations(state, attempt, place.name))
    made = [(attempt.key, attempt.number)]
    made += [(one.key, one.number) for one in evaluations]
    links = [read_link(layout.attempt_folder(folder, *one)) for one in made]
    recorded = tuple(link for link in links if link is not None)
    return Source(
        root=place,
        folder=folder,
        key=attempt.key,
        attempt=attempt.number,
        path=path,
        recorded=recorded,
        evaluations=tuple(one.key for one in evaluations),
        training_step=_training_step(place, recorded[:1], attempt),
    )


def _evaluations(state: State, made: Attempt, name: str) -> Iterator[Attempt]:
    """The newest attempt at each evaluation of this very checkpoint, of those that ended well: what
    it read has the fingerprint that the training's verdict has.
    """
    assert made.judged is not None
    own: set[tuple[str, str]] = set()
    for subject, fingerprint in made.judged.fingerprints.items():
        if PurePosixPath(subject).name == name:
            own.add((subject, fingerprint))
    for run in state.runs.values():
        attempt = _newest_well(run)
        if attempt is None or attempt.phase != "evaluation" or attempt.judged is None:
            continue
        inputs: dict[str, str] = {}
        if attempt.intended is not None:
            inputs = dict(attempt.intended.inputs)
        if not own.isdisjoint((inputs | attempt.judged.inputs).items()):
            yield attempt


def _newest_well(run: RunState) -> Attempt | None:
    """The newest attempt that ended well; None: there is none."""
    good = [one for one in run.attempts.values() if _is_well(one)]
    return max(good, key=lambda one: one.number, default=None)


def _training_step(place: Path, recorded: tuple[Path, ...], attempt: Attempt) -> int | None:
    """The training step of a checkpoint: as its run recorded it, else the run's last for the newest
    one. None: the step of an older one was not recorded.
    """
    for folder in recorded:
        for path, event in _recorded(folder):
            is_it = path.resolve() == place.resolve()
            if is_it and event.training_step is not None:
                return event.training_step
    learned = None
    if attempt.judged is not None:
        learned = attempt.judged.learned
    if learned is not None and PurePosixPath(learned.checkpoint).name == place.name:
        return learned.final_step
    return None
