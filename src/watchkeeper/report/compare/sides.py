"""Runs side by side: what differs between them, and by how much. Pure: what was read in, rows and
differences out.

A run's side is made from an experiment's journal (query/compare.py) or from a run log of any
dialect (`of_log`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import chain
from typing import Literal

import msgspec

from watchkeeper.core.events import Number
from watchkeeper.report.compare import prior
from watchkeeper.report.compare.direction import NO_RULES, Better, better_end
from watchkeeper.report.runlog import code_state, figures
from watchkeeper.report.runlog.read import CONFIG, Log
from watchkeeper.report.runlog.standing import standing
from watchkeeper.report.runlog.states import COMPLETED, ENDED

END_LOSSES = ("end_train_loss", "end_val_loss", "best_val_loss")
FINISHED = frozenset({COMPLETED, ENDED, "finished", "control"})
"""The states of runs that worked to their end: only they are called the best without a word."""
GOOD = FINISHED | {"failed, but good"}
"""The states of runs whose figures count before those of any other."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as it is compared. "" and empty: not known, and so is `dirty` None.

    `settings` are its configuration, by dotted key; `unread` names the configurations that could
    only be compared by hash. `partial`: they are words about it, and what they do not name may
    still be as it is elsewhere. `metrics`: `clean accuracy` → its best figure over the epochs, its
    last where nobody knows the better end; `at`: the same name → its epoch. `rules` say which end
    is the better one where the run lies. `diff` is a hash, `script` too, of all but the job's name.
    `kept` is the folder of the objects that `diff`, `script_object`, `environment` and the values
    of `files` name, "" where nothing was kept. `key` is that of an experiment's run, `id` what
    names it in addresses, `host` where it ran, and `recorder` the folder of its rows, "" for none.
    `origin` is what said all this; "wandb": a run that W&B alone kept.
    `files` are the code that the script names, each by its hash; `dirty` counts
    those that no commit holds.
    """

    name: str
    where: str
    state: str = ""
    settings: Mapping[str, str] = {}
    unread: tuple[str, ...] = ()
    partial: bool = False
    commit: str = ""
    dirty: bool | None = None
    diff: str = ""
    script: str = ""
    files: Mapping[str, str] = {}
    data: str = ""
    metrics: Mapping[str, Number] = {}
    at: Mapping[str, str] = {}
    rules: Mapping[str, str] = NO_RULES
    runtime: float | None = None
    final_step: int | None = None
    origin: Literal["experiment", "recorded", "log", "wandb"] = "log"
    key: str = ""
    id: str = ""
    kept: str = ""
    script_object: str = ""
    environment: str = ""
    host: str = ""
    recorder: str = ""

    @property
    def code(self) -> str:
        """The code in short: `9e60ec7a`, `9e60ec7a+dirty`, "" where no commit is known."""
        if not self.commit:
            return ""
        short = self.commit[:8]
        if self.dirty:
            return f"{short}+dirty"
        return short

    @property
    def unranked(self) -> frozenset[str]:
        """The metrics of which nobody knows whether more is better: no run leads in them.

        `samples`, for example, unless a rule of the settings says which end of it is the better
        one. They are shown all the same.
        """
        return frozenset(name for name in self.metrics if not better_end(name, self.rules))


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not the same. None: it is not there."""

    key: str
    old: str | None
    new: str | None


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """One figure beside the base's. `change` is new − old, None where one of them is no finite
    number; `better` None where they are equal or that is not known.
    """

    metric: str
    old: Number | None
    new: Number | None
    change: float | None = None
    better: bool | None = None


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """A run against the base. `commits` is how many lie between (None: nobody could tell); `script`
    says whether the scripts differ in more than their jobs' names (None: not known of both).
    `files` are those of the code that differ, where both are known.
    """

    name: str
    base: str
    config: tuple[Difference, ...]
    code: Difference | None
    commits: int | None
    diff: bool
    script: bool | None
    files: tuple[str, ...]
    data: Difference | None
    metrics: tuple[Delta, ...]


def best(
    figures: Iterable[tuple[str, str, Number]], rules: Mapping[str, str] = NO_RULES
) -> tuple[dict[str, Number], dict[str, str]]:
    """The best of each metric, and where it was reached: from (metric, epoch, figure).

        ("acc", "0", 0.8), ("acc", "1", 0.94), ("acc", "2", 0.91)

    gives `{"acc": 0.94}` and `{"acc": "1"}`. NaN is never the best, unless there is nothing else.
    Where nobody knows the better end, the last figure stands for it. `rules` say which end is the
    better one.
    """
    bests: dict[str, Number] = {}
    at: dict[str, str] = {}
    for metric, epoch, figure in figures:
        end = better_end(metric, rules)
        if metric in bests and end and not _is_better(end, figure, bests[metric]):
            continue
        bests[metric] = figure
        at[metric] = epoch
    return bests, at


def end_of(metric: str, sides: Iterable[Side]) -> Better:
    """Which figures of a metric are the better ones in all of these runs: `less` or `more`.

    "": that is not known, their rules differ, or there are no runs.
    """
    ends = {better_end(metric, side.rules) for side in sides}
    if len(ends) != 1:
        return ""
    return ends.pop()


def varying(sides: Sequence[Side]) -> list[str]:
    """The settings that are not the same in all runs, in the order first met: of runs with `lr:
    0.001, seed: 7` and `lr: 0.01, seed: 7` that is `lr`.

    A run without any settings counts for nothing. What a run does not name varies only where its
    settings are known to be whole: a run log may leave out what is as elsewhere.
    """
    known = [side for side in sides if side.settings]
    keys = dict.fromkeys(chain.from_iterable(side.settings for side in known))
    differing = []
    for key in keys:
        if len(_values(key, known)) > 1:
            differing.append(key)
    return differing


def _values(key: str, sides: Sequence[Side]) -> set[str | None]:
    """What a setting is in these runs: `{"0.001", "0.01"}`. None among them: a run whose settings
    are all known has none.

    A run that names only some of its settings has no say in those that it leaves out.
    """
    values: set[str | None] = set()
    for side in sides:
        is_named = key in side.settings
        if is_named or not side.partial:
            values.add(side.settings.get(key))
    return values


def metrics_of(sides: Iterable[Side]) -> list[str]:
    """Every metric that a run has, the end losses first, in the order met.

    Tables of several runs show them in this order: `end_train_loss`, `end_val_loss`, `clean
    accuracy`. A metric that only one run has is among them.
    """
    names = dict.fromkeys(chain.from_iterable(side.metrics for side in sides))
    losses = [name for name in END_LOSSES if name in names]
    return list(dict.fromkeys([*losses, *names]))


def against(base: Side, side: Side, commits: int | None = None) -> Against:
    """What differs from the base, from the base's point of view: `old` is its value.

    `commits`: how many lie between the two, if counted (None: they were not, or cannot be). What is
    not known of one of the two is no difference: its script, its files.
    """
    script: bool | None = None
    if base.script and side.script:
        script = base.script != side.script
    return Against(
        name=side.name,
        base=base.name,
        config=tuple(_config_differences(base, side)),
        code=_difference("code", base.code, side.code),
        commits=commits,
        diff=base.diff != side.diff,
        script=script,
        files=_differing(base.files, side.files),
        data=_difference("data", base.data, side.data),
        metrics=tuple(_deltas(base, side)),
    )


def _config_differences(base: Side, side: Side) -> Iterator[Difference]:
    """The settings that differ: none where one of the two has none, and only those that both name
    where one of them names but some.

        base: lr: 0.001, seed: 7
        side: lr: 0.01, bf16: yes

    differ in `lr`, and, if both are whole, in `seed` (new None) and `bf16` (old None). The base's
    settings come first, in its order.
    """
    old, new = base.settings, side.settings
    if not old or not new:
        return
    is_partial = base.partial or side.partial
    for key in dict.fromkeys([*old, *new]):
        if is_partial and (key not in old or key not in new):
            continue
        if old.get(key) != new.get(key):
            yield Difference(key=key, old=old.get(key), new=new.get(key))


def _deltas(base: Side, side: Side) -> Iterator[Delta]:
    """Each figure that one of the two has, beside the other's, in the order of `metrics_of`.

    Whether the change is for the better is known only where both rank the metric in the same way.
    """
    both = [base, side]
    for name in metrics_of(both):
        yield _delta(name, base.metrics.get(name), side.metrics.get(name), end_of(name, both))


def in_one_spelling(sides: Sequence[Side]) -> list[Side]:
    """The sides with one name for a setting that some call `lr` and others `learning_rate`: the one
    met first.

        r8:  {"lr": "0.001"}                 {"lr": "0.001"}
        r16: {"learning_rate": "0.001"}      {"lr": "0.001"}

    `figures.SAME` lists which names are of one setting. Without this, a table of differences would
    show one setting twice, each time with half of the runs.
    """
    keys = dict.fromkeys(chain.from_iterable(side.settings for side in sides))
    names: dict[str, str] = {}
    for same in figures.SAME:
        spellings = [key for key in keys if key in same]
        for other in spellings[1:]:
            names[other] = spellings[0]
    return [_renamed(side, names) for side in sides]


def _renamed(side: Side, names: Mapping[str, str]) -> Side:
    """The side with these settings under other names: name → its new one (`lr` → `learning_rate`).

    Settings without a new name stay as they are, and so does their order.
    """
    settings = {names.get(key, key): value for key, value in side.settings.items()}
    return msgspec.structs.replace(side, settings=settings)


def chosen(sides: Sequence[Side], glob: str | None) -> list[Side]:
    """The runs whose name matches a glob (`r8_*`, with the case of letters); all for None.

    Their order stays. Empty: no name matches, which is for the caller to report.
    """
    if glob is None:
        return list(sides)
    return [side for side in sides if fnmatchcase(side.name, glob)]


def of_log(log: Log, rules: Mapping[str, str] = NO_RULES) -> Side:
    """A run log's side: its Config as settings, how it stands as state, the figures of its Results,
    else of its Status. `rules` say which figures are the better ones.

    It is named as in `experiments.md`, `train_2026-03-11`, or by its task where it has no date.
    """
    stands = standing(log)
    fields = prior.fields_of(log)
    commit = code_state.commit_of(log)
    reported = figures.figures(log, stands)
    metrics, at = best(reported.found, rules)
    # script and code have places of their own; the dataset is `data`
    left_out = (*prior.CODE_FIELDS, *CONFIG["dataset"])
    return Side(
        name=f"{log.task}_{log.day}" if log.day else log.task,
        where=log.file.path,
        state=stands.state,
        settings=dict(figures.settings(log, left_out)),
        commit=commit,
        dirty=prior.says_dirty(log) if commit else None,
        data=fields.get("dataset", "").replace("`", ""),
        runtime=reported.runtime,
        final_step=reported.final_step,
        metrics=metrics,
        at={name: epoch for name, epoch in at.items() if epoch},
        rules=rules,
    )


def finished(side: Side) -> bool:
    """Whether a run's figures are its last: it completed, or is a control that trains nothing."""
    return side.state in FINISHED


def leader(metric: str, sides: Iterable[Side]) -> str:
    """The name of the run that leads in a metric, `clean accuracy` for example: of those that
    finished, where one of them has it, else of all.

        r8    completed   0.94      leads
        r16   running     0.95      `ahead` names it
        r32   completed   0.94      equal to the first, which stays

    The order of the runs decides between equals, and not chance. "": nobody has the metric, or
    nobody knows whether more is better.
    """
    having = [side for side in sides if metric in side.metrics]
    end = end_of(metric, having)
    if not end:
        return ""
    good = [side for side in having if side.state in GOOD]
    first, *others = good or having
    for side in others:
        if _is_better(end, side.metrics[metric], first.metrics[metric]):
            first = side
    return first.name


def ahead(metric: str, sides: Iterable[Side], name: str) -> list[Side]:
    """The runs that did not finish and are better than the leader so far, whose `name` this is.

        r8     completed    0.94      the leader
        r16    running      0.95      ahead: it may yet be overtaken, or turn

    They are named beside the leader, and do not take its place. Empty: there are none, or no run
    leads.
    """
    known = [side for side in sides if metric in side.metrics]
    end = end_of(metric, known)
    if not end:
        return []
    first = next((side for side in known if side.name == name), None)
    if first is None:
        return []
    figure = first.metrics[metric]
    better = []
    for side in known:
        if side.name == name or side.state in GOOD:
            continue
        if _is_better(end, side.metrics[metric], figure):
            better.append(side)
    return better


def value_of(figure: Number) -> float:
    """A figure as Python counts; the spelled ones (`NaN`, `-Infinity`) too."""
    if isinstance(figure, str):
        return figures.SPELLED[figure.casefold()]
    return float(figure)


def _is_better(end: Better, new: Number, old: Number) -> bool:
    """Whether a figure is better than another, where `end` is `less` or `more`.

    Any number is better than NaN; NaN is better than nothing.
    """
    one, other = value_of(new), value_of(old)
    if math.isnan(one):
        return False
    if math.isnan(other):
        return True
    if end == "less":
        return one < other
    return one > other


def _delta(metric: str, old: Number | None, new: Number | None, end: Better) -> Delta:
    """One metric of two runs. None: a run does not have it; "" for `end`: nobody knows which is
    the better one.

    `better` stays None where the two are equal, one is NaN, or `end` is not known. `change` is None
    for an infinite difference as well.
    """
    if old is None or new is None:
        return Delta(metric=metric, old=old, new=new)
    change = value_of(new) - value_of(old)
    better: bool | None = None
    is_comparable = old != new and not math.isnan(change)
    if is_comparable and end:
        better = _is_better(end, new, old)
    return Delta(
        metric=metric,
        old=old,
        new=new,
        change=change if math.isfinite(change) else None,
        better=better,
    )


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    """The files that are not the same, by path → hash; none where one of the two is not known.

        {"train.py": "9e60…", "data.py": "4f2c…"}
        {"train.py": "77ab…", "data.py": "4f2c…", "loss.py": "01cd…"}

    differ in `train.py` and `loss.py`: a file that only one of them has differs.
    """
    if not old or not new:
        return ()
    names = dict.fromkeys([*old, *new])
    differing = []
    for name in names:
        if old.get(name) != new.get(name):
            differing.append(name)
    return tuple(differing)


def _difference(key: str, old: str, new: str) -> Difference | None:
    """A difference of one value, such as the commit; None: both are the same.

    "" stands for a value that is not known, and is None in the difference: a commit against none is
    a difference too.
    """
    if old == new:
        return None
    return Difference(key=key, old=old or None, new=new or None)
