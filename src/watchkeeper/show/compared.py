"""What `compare` answers a program: the runs, and how each differs, as wide as an answer may be.
Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

import msgspec

from watchkeeper.core.events import Number
from watchkeeper.query.compare import Compared
from watchkeeper.query.usage.look import Usage
from watchkeeper.query.views.pages import Compare, Diff, Difference, FigureRow
from watchkeeper.report.compare import sides
from watchkeeper.report.compare.sides import Against, Side

MOST = 10
"""Settings, metrics and files of each run in an answer that is not asked for whole."""
_MOST_LINES = 40  # of a diff in such an answer

V = TypeVar("V")


class ComparedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as it is compared; null: nobody says. `settings` are its configuration, by dotted
    key; `unread` names the configurations that could only be compared by hash; `partial`: they are
    words about it, and name not all. `metrics` are its figures, the best of the epochs where there
    are several, and `at` their epochs; of `unranked` ones nobody knows whether more is better.
    `diff` and `script` are hashes; `files` are the code that the script names, each by its hash.
    `runtime` is in seconds.
    """

    name: str
    where: str
    state: str | None
    settings: dict[str, str]
    unread: tuple[str, ...]
    partial: bool
    commit: str | None
    dirty: bool | None
    diff: str | None
    script: str | None
    files: dict[str, str]
    data: str | None
    metrics: dict[str, Number]
    at: dict[str, str]
    unranked: tuple[str, ...]
    runtime: float | None
    final_step: int | None


class CompareData(msgspec.Struct, frozen=True, kw_only=True):
    """The runs beside one another. `heading` says in what they differ, and `base` is the run that
    the others are compared with. `differs`, `figures` and `diffs` are those of the page of
    compared runs, with a value for each of the `runs`, in their order; `same` is what is the same
    in all. `differences` are those of each run from the base; `varying` are the settings that are
    not the same in all; `best`: metric → the run that leads in it. `usage`: with --sizing, what the
    jobs of each experiment asked for and used.
    """

    heading: str
    base: str
    runs: list[ComparedRun]
    differs: list[Difference]
    figures: list[FigureRow]
    diffs: list[Diff]
    same: dict[str, str]
    differences: list[Against]
    varying: list[str]
    best: dict[str, str]
    usage: list[Usage] = []


def data_of(found: Compared, page: Compare, *, whole: bool) -> tuple[CompareData, dict[str, int]]:
    """The comparison, and how many settings and metrics it leaves out; none where it is to be
    `whole`. The settings that vary come first. `page` is the page of the same runs.
    """
    varying = dict.fromkeys(found.varying)
    settings = list(varying | dict.fromkeys(_keys_of(found.runs)))
    metrics = sides.metrics_of(found.runs)
    left_out = {"settings": len(settings) - MOST, "metrics": len(metrics) - MOST}
    left_out = {name: count for name, count in left_out.items() if count > 0}
    if whole:
        left_out = {}
    if "settings" in left_out:
        settings = settings[:MOST]
    if "metrics" in left_out:
        metrics = metrics[:MOST]
    chosen = _Chosen(set(settings), set(metrics), None if whole else MOST)
    data = CompareData(
        heading=page.heading,
        base=found.base,
        runs=[_run(side, chosen) for side in found.runs],
        differs=page.differs,
        figures=page.figures,
        diffs=[_shortened(diff, whole=whole) for diff in page.diffs],
        same=dict(list(page.same.items())[: chosen.files]),
        differences=[_narrowed(one, chosen) for one in found.differences],
        varying=found.varying,
        best=_of(found.best, chosen.metrics),
    )
    return data, left_out


def _shortened(diff: Diff, *, whole: bool) -> Diff:
    """The diff, or where the answer is not to be whole its first lines."""
    if whole:
        return diff
    more = max(0, len(diff.lines) - _MOST_LINES)
    lines = diff.lines[:_MOST_LINES]
    return msgspec.structs.replace(diff, lines=lines, left_out=diff.left_out + more)


class _Chosen(msgspec.Struct, frozen=True):
    """The settings and metrics that the answer has, and the most files of a run (None: all)."""

    settings: Collection[str]
    metrics: Collection[str]
    files: int | None


def _keys_of(runs: Sequence[Side]) -> list[str]:
    return [key for side in runs for key in side.settings]


def _of(values: Mapping[str, V], names: Collection[str]) -> dict[str, V]:
    return {name: value for name, value in values.items() if name in names}


def _run(side: Side, chosen: _Chosen) -> ComparedRun:
    return ComparedRun(
        name=side.name,
        where=side.where,
        state=side.state or None,
        settings=_of(side.settings, chosen.settings),
        unread=side.unread,
        partial=side.partial,
        commit=side.commit or None,
        dirty=side.dirty,
        diff=side.diff or None,
        script=side.script or None,
        files=dict(list(side.files.items())[: chosen.files]),
        data=side.data or None,
        metrics=_of(side.metrics, chosen.metrics),
        at=_of(side.at, chosen.metrics),
        unranked=tuple(sorted(side.unranked.intersection(chosen.metrics))),
        runtime=side.runtime,
        final_step=side.final_step,
    )


def _narrowed(against: Against, chosen: _Chosen) -> Against:
    return msgspec.structs.replace(
        against,
        config=tuple(one for one in against.config if one.key in chosen.settings),
        files=against.files[: chosen.files],
        metrics=tuple(one for one in against.metrics if one.metric in chosen.metrics),
    )
