"""Which checkpoints further work needs, and for what: by the journals of the runs that left them,
the plan of their experiment, and the sign-offs beside them. Nothing is written.

`needed` is False only where a run's own journal names the checkpoint and nothing that was read
needs it. A checkpoint of which no journal speaks is unknown, not unneeded.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.events import Checkpoint, Learned
from watchkeeper.core.events.choose import of_kind
from watchkeeper.core.state import RunState, State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.publish import gate
from watchkeeper.publish.signoff.document import read_signoff
from watchkeeper.tools import globs
from watchkeeper.tools.promise import Promise
from watchkeeper.watch.outcome.checkpoints import best

_NEWEST = "the newest: a resume starts from it"
_UNNEEDED = "nothing that was read resumes from it, evaluates it or signs for it"


class Word(msgspec.Struct, frozen=True):
    """What one source says of a checkpoint: whether it is needed, and for what ("": for nothing).
    `run`: the name of the run that left it, "" where the source does not say.
    """

    needed: bool
    why: str = ""
    run: str = ""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint, by its absolute path. `needed` None: no journal names it."""

    path: str
    run: str
    needed: bool | None
    why: str


class Words:
    """What is said of checkpoints, by their paths. `named`: the folders of checkpoints that scripts
    name → the key of the first that does.
    """

    def __init__(self) -> None:
        self._said: dict[str, list[Word]] = {}
        self.named: dict[str, str] = {}

    def say(self, path: Path, word: Word) -> None:
        """Add a word on a checkpoint. Its links are followed: each checkpoint is known by its real
        path, whichever way a journal names it.
        """
        self._said.setdefault(os.path.realpath(path), []).append(word)

    @property
    def paths(self) -> Collection[str]:
        """The checkpoints that journals name."""
        return self._said.keys()

    def judgements(self, signed: Mapping[str, str]) -> Iterator[Judgement]:
        """What all of it comes to. `signed`: as `signed_by_people` gives it.

        A checkpoint is needed as soon as one word says so, whatever the others say; then as soon as
        a person signed for it, or a script names it. The reason given is the first that there is.
        """
        above_signed = _with_above(signed)
        named = _with_above(self.named)
        for path, words in self._said.items():
            runs = (word.run for word in words if word.run)
            reasons = (word.why for word in words if word.needed)
            why = next(reasons, "")
            if not why:
                why = _signoff(path, signed, above_signed)
            if not why:
                why = self._script(path, named)
            yield Judgement(
                path=path,
                run=next(runs, ""),
                needed=bool(why),
                why=why or _UNNEEDED,
            )

    def _script(self, path: str, named: Collection[str]) -> str:
        """Which script names a checkpoint, something in it, or a folder that it lies in; "" for
        none. `named` are the folders that scripts name, and all folders above those.

            a script names out/r8 → `out/r8/checkpoint-200` is named: the script may read all of it
        """
        for above in (path, *map(str, Path(path).parents)):
            if above in self.named:
                return f"the script of {self.named[above]} names it"
        if path in named:
            return "a script names what lies in it"
        return ""


def signed_by_people(folders: Iterable[str]) -> dict[str, str]:
    """Of these folders with a SIGNOFF.json, those that a person signed for: folder → in words. A
    sign-off that Watchkeeper wrote by itself asks nobody to keep anything; one that cannot be read
    may be a person's.

        {"/exp/out/r8": "a person's sign-off stands on it"}
    """
    signed: dict[str, str] = {}
    for folder in folders:
        try:
            signoff = read_signoff(Path(folder))
        except (WatchkeeperError, OSError):
            signed[folder] = "it has a sign-off that cannot be read"
            continue
        if signoff is not None and not signoff.is_automatic:
            signed[folder] = "a person's sign-off stands on it"
    return signed


def _signoff(path: str, signed: Mapping[str, str], above: Collection[str]) -> str:
    """The sign-off in it, beside it where it is a file, or in a folder below; "" for none.

    `above` are the folders of `signed` and all folders above those.
    """
    if path in signed:
        return signed[path]
    beside = str(Path(path).parent)
    if beside in signed:
        return signed[beside]
    if path in above:
        return "a person's sign-off stands on what lies in it"
    return ""


def _with_above(paths: Collection[str]) -> frozenset[str]:
    """The paths, and all folders that they lie in: of `/exp/out` that is `/exp/out`, `/exp`, `/`.

    The paths are absolute.
    """
    found: set[str] = set()
    for path in paths:
        for above in (path, *map(str, Path(path).parents)):
            if above in found:
                # So are all folders above it.
                break
            found.add(above)
    return frozenset(found)


def of_recording(folder: Path, words: Words) -> None:
    """Say what a recorded run's own journal says of its checkpoints: each `checkpoint` event names
    one, by a path from the run's folder.

    While the run may be under way, all are needed. After its end, the newest and the best one are.
    Checkpoints that are gone are left out.

    Raises:
        NewerJournalError: a later version wrote its journal.
    """
    read = journal.read(folder / layout.JOURNAL, is_evidence=True)
    events = sorted(of_kind(read.events, Checkpoint), key=lambda event: event.time)
    named = dict.fromkeys(folder / event.path for event in events)
    places = [place for place in named if place.exists()]
    if not places:
        return
    # A writer that may be alive, as one on another machine, may still need any of them.
    unsealed = journal.unsealed(read)
    under_way = any(lives is not False for lives in unsealed.values())
    best_place, best_why = best(places) or (None, "")
    for place in places:
        if under_way:
            word = Word(True, "its run has no end: it may be under way", folder.name)
        elif place == places[-1]:
            word = Word(True, _NEWEST, folder.name)
        elif place == best_place:
            word = Word(True, f"the best: {best_why}", folder.name)
        else:
            word = Word(False, run=folder.name)
        words.say(place, word)


def of_experiment(experiment: Experiment, state: State, words: Words) -> None:
    """Say what the plan and the verdicts of an experiment say of its checkpoints, and which ones
    its scripts name.

    `state` is that of the experiment's journal. What is said is added to `words`: the names that
    scripts use to `words.named`, everything else as a `Word` of one checkpoint.
    """
    # Checkpoint → the first evaluation that needs it.
    evaluations: dict[str, str] = {}
    for item in experiment.items:
        subject = experiment.checkpoint_for(item)
        if subject is not None:
            evaluations.setdefault(subject, item.key)
        for root in gate.named_by(experiment, item):
            words.named.setdefault(os.path.realpath(root), item.key)
    for subject, promise in experiment.checkpoints.items():
        _say_promised(experiment, subject, promise, evaluations, words)
    for run in state.runs.values():
        _say_left(experiment, run, words)


def _say_promised(
    experiment: Experiment,
    subject: str,
    promise: Promise,
    evaluations: Mapping[str, str],
    words: Words,
) -> None:
    """A promised checkpoint is needed: without it its training is done again.

    `subject` names it (`r8/epoch_0`), and the promise says where it lies. `evaluations`: subject →
    the key of the evaluation that uses it.
    """
    why = "its training promises it, and is done again without it"
    if subject in evaluations:
        why = f"the evaluation {evaluations[subject]} uses it"
    run = subject.rpartition("/")[0]
    for pattern in promise.patterns:
        for place in globs.matches(experiment.folder, pattern):
            words.say(place, Word(True, why, run))


def _say_left(experiment: Experiment, run: RunState, words: Words) -> None:
    """What the attempts at one piece of work left, by their verdicts.

    Only the newest checkpoint of the last attempt that left any is the newest of the work: a
    further attempt resumes from it. While an attempt is under way, all of them are needed.
    """
    under_way = any(not attempt.closed for attempt in run.attempts.values())
    left: list[tuple[Learned, list[str]]] = []
    for _, attempt in sorted(run.attempts.items()):
        judged = attempt.judged
        if judged is None or judged.learned is None:
            continue
        paths = _left_of(experiment, judged.learned)
        if paths:
            left.append((judged.learned, paths))
    if not left:
        return
    last_paths = left[-1][1]
    for learned, paths in left:
        newest = ""
        if paths is last_paths:
            newest = paths[-1]
        for path in paths:
            words.say(experiment.folder / path, _word(run, learned, path, newest, under_way))


def _left_of(experiment: Experiment, learned: Learned) -> list[str]:
    """The checkpoints of one attempt that are there still, the newest last. The paths are as the
    verdict has them: from the experiment's folder, or absolute.
    """
    named = dict.fromkeys(filter(None, (learned.best, *learned.kept)))
    if learned.checkpoint:
        # The newest one may stand among those that were kept: it moves to the end.
        named.pop(learned.checkpoint, None)
        named[learned.checkpoint] = None
    return [path for path in named if (experiment.folder / path).exists()]


def _word(run: RunState, learned: Learned, path: str, newest: str, under_way: bool) -> Word:
    """Whether one checkpoint of an attempt is needed, and why. `learned` is the attempt's verdict;
    `newest` is the path of the work's newest checkpoint, "" where another attempt left that.
    """
    if under_way:
        return Word(True, "a job of its run is under way", run.key)
    if path == newest:
        return Word(True, _NEWEST, run.key)
    if path == learned.best:
        return Word(True, f"the best: {learned.best_why}", run.key)
    return Word(False, run=run.key)
