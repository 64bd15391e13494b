"""Runs side by side: what differs between them, and by how much. Pure: what was read in, rows and differences out.

A run's side is made from an experiment's journal (watch/compared.py) or from a run log of any dialect (`of_log`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from watchkeeper.core.events import Number
from watchkeeper.core.words import canonical
from watchkeeper.report import tried
from watchkeeper.report.lint_read import Log, filled, is_none
from watchkeeper.report.runlog import Field

END_LOSSES = ("end_train_loss", "end_val_loss")
_LESS = re.compile(
    r"loss|error|err|perplexity|ppl|[wc]er|mse|rmse|mae|bpb|latency|time|seconds|nll|divergence|fid", re.IGNORECASE
)
_SPELLED = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "-inf": -math.inf, "-infinity": -math.inf}
_NOT_A_METRIC = re.compile(
    r"final_step|runtime|steps?|checkpoint.*|start_.*|samples|maxrss|max_rss|.*_path|exit_code|execution_id|job_id"
)


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as it is compared. "" and empty: nobody says; `dirty` None: it could not be told.

    `settings` are its configuration, by dotted key; `unread` names the configurations that could only be compared by hash.
    `partial`: they are words about it, and what they do not name may still be as it is elsewhere.
    `metrics`: `clean accuracy` → its best figure over the epochs, by `is_less_better`; `at`: the same name → its epoch.
    `diff` is a hash, `script` too, of all but the job's name. `files` are the code that the script names, each by its hash;
    `dirty` counts those that no commit holds.
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

    @property
    def code(self) -> str:
        """`9e60ec7a`, `9e60ec7a+dirty`, "" for none."""
        return self.commit[:8] + ("+dirty" if self.dirty and self.commit else "")


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not the same. None: it is not there."""

    key: str
    old: str | None
    new: str | None


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """One figure beside the base's. `change` is new − old, None where one of them is no finite number; `better` None where
    they are equal or that cannot be told.
    """

    metric: str
    old: Number | None
    new: Number | None
    change: float | None = None
    better: bool | None = None


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """A run against the base. `commits` is how many lie between (None: nobody could tell); `script` says whether the
    scripts differ in more than their jobs' names (None: not known of both). `files` are those of the code that differ,
    where both are known.
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


def best(figures: Iterable[tuple[str, str, Number]]) -> tuple[dict[str, Number], dict[str, str]]:
    """The best of each metric, and where it was reached: from (metric, epoch, figure). NaN is never the best."""
    found: dict[str, Number] = {}
    at: dict[str, str] = {}
    for metric, epoch, figure in figures:
        if metric not in found or _is_better(metric, figure, found[metric]):
            found[metric], at[metric] = figure, epoch
    return found, at


def is_less_better(metric: str) -> bool:
    """Whether a smaller figure is the better one, by the metric's name: a loss, an error rate, a duration."""
    return _LESS.search(metric) is not None


def varying(sides: Sequence[Side]) -> list[str]:
    """The settings that are not the same in all runs, in the order first met. What a run does not name varies only where
    its settings are known to be whole.
    """
    known = [side for side in sides if side.settings]
    keys = dict.fromkeys(key for side in known for key in side.settings)
    return [
        key
        for key in keys
        if len({side.settings.get(key) for side in known if key in side.settings or not side.partial}) > 1
    ]


def metrics_of(sides: Iterable[Side]) -> list[str]:
    """Every metric that a run has, the end losses first, in the order met."""
    names = dict.fromkeys(name for side in sides for name in side.metrics)
    return [*(name for name in END_LOSSES if name in names), *(name for name in names if name not in END_LOSSES)]


def against(base: Side, side: Side, commits: int | None = None) -> Against:
    """What differs from the base. `commits`: how many lie between the two, where somebody counted."""
    old, new = base.settings, side.settings
    keys = dict.fromkeys([*old, *new]) if old and new else {}
    if base.partial or side.partial:
        keys = {key: None for key in keys if key in old and key in new}
    return Against(
        name=side.name,
        base=base.name,
        config=tuple(
            Difference(key=key, old=old.get(key), new=new.get(key)) for key in keys if old.get(key) != new.get(key)
        ),
        code=_difference("code", base.code, side.code),
        commits=commits,
        diff=base.diff != side.diff,
        script=base.script != side.script if base.script and side.script else None,
        files=_differing(base.files, side.files),
        data=_difference("data", base.data, side.data),
        metrics=tuple(_delta(name, base.metrics.get(name), side.metrics.get(name)) for name in metrics_of([base, side])),
    )


def chosen(sides: Sequence[Side], glob: str | None) -> list[Side]:
    """The runs whose name matches; all for None."""
    return [side for side in sides if glob is None or fnmatchcase(side.name, glob)]


def of_log(log: Log) -> Side:
    """A run log's side: its Config fields as settings, its Results as metrics, its last status as state."""
    fields = tried.fields_of(log)
    commit = fields.get("commit", "").split(" ", 1)[0]
    known = re.fullmatch(r"[0-9a-f]{7,64}", commit) is not None
    figures, at = best(_figures(log))
    return Side(
        name=f"{log.task}_{log.day}" if log.day else log.task,
        where=log.file.path,
        state=tried.outcome(log),
        settings=dict(_settings(log)),
        commit=commit if known else "",
        dirty=tried.says_dirty(log) if known else None,
        data=fields.get("dataset", ""),
        metrics=figures,
        at={name: epoch for name, epoch in at.items() if epoch},
    )


def number_of(text: str) -> Number | None:
    """The figure that a text begins with (`0.0285`, `~3 %`, `NaN`); None where it begins with none."""
    word = text.strip().lstrip("~≈").split(" ", 1)[0].rstrip("%,;")
    if word.casefold() in _SPELLED:
        return "NaN" if word.casefold() == "nan" else "-Infinity" if word.startswith("-") else "Infinity"
    try:
        value = float(word.replace("_", "x"))
    except ValueError:
        return None
    return int(value) if re.fullmatch(r"[+-]?\d{1,15}", word) else value


def value_of(figure: Number) -> float:
    """A figure as Python counts; the spelled ones too."""
    return _SPELLED[figure.casefold()] if isinstance(figure, str) else float(figure)


def _is_better(metric: str, new: Number, old: Number) -> bool:
    one, other = value_of(new), value_of(old)
    if math.isnan(one) or math.isnan(other):
        return math.isnan(other) and not math.isnan(one)
    return one < other if is_less_better(metric) else one > other


def _delta(metric: str, old: Number | None, new: Number | None) -> Delta:
    if old is None or new is None:
        return Delta(metric=metric, old=old, new=new)
    change = value_of(new) - value_of(old)
    better = None if old == new or math.isnan(change) else _is_better(metric, new, old)
    return Delta(metric=metric, old=old, new=new, change=change if math.isfinite(change) else None, better=better)


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    """The files that are not the same; none where one of the two is not known."""
    names = dict.fromkeys([*old, *new]) if old and new else {}
    return tuple(name for name in names if old.get(name) != new.get(name))


def _difference(key: str, old: str, new: str) -> Difference | None:
    return None if old == new else Difference(key=key, old=old or None, new=new or None)


# ── run logs ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _settings(log: Log) -> Iterator[tuple[str, str]]:
    for section in log.document.of("config"):
        for field in section.fields():
            if field.name in (*tried.CODE_FIELDS, "dataset", "datasets", "data"):
                continue
            children = [child for child in field.children if isinstance(child, Field)]
            if children:
                yield from ((child.name, canonical(child.value)) for child in children if filled(child))
            elif not filled(field) or is_none(field.value):
                continue
            elif field.name in tried.SETTINGS_FIELDS:
                yield from split_settings(field.value)
            else:
                yield field.name, canonical(field.value)


def split_settings(text: str) -> Iterator[tuple[str, str]]:
    """`lr 1e-3, batch size = 8` → `lr`: `1e-3`, `batch size`: `8`; a part without a value stands for itself."""
    for part in re.split(r"[,;]\s*(?![^(\[{]*[)\]}])", text):
        if match := re.fullmatch(r"\s*([^=:]+?)\s*[=:]\s*(.+?)\s*|\s*(.+?)\s+(\S+)\s*", part):
            yield (match[1] or match[3]), canonical(match[2] or match[4])
        elif part.strip() and not is_none(part.strip()):
            yield part.strip(), "yes"


def _figures(log: Log) -> Iterator[tuple[str, str, Number]]:
    for section in log.document.of("results"):
        for field in section.fields():
            if _NOT_A_METRIC.fullmatch(field.name):
                continue
            figure = number_of(field.value)
            if figure is not None:
                yield field.name, "", figure
            elif parts := re.findall(r"([\w@./-]+) (-?\d[\d.e+-]*|NaN|-?Infinity)(?=,|$)", field.value):
                task, _, epoch = field.key.partition(" epoch ")
                known = ((name, number_of(text)) for name, text in parts if not _NOT_A_METRIC.fullmatch(name))
                yield from ((f"{task} {name}", epoch, figure) for name, figure in known if figure is not None)
