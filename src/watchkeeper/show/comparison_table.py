"""Runs side by side, as text: a table, what is best, and the differences from the base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from watchkeeper.core.text.figures import runtime
from watchkeeper.query.compare import Compared
from watchkeeper.report.compare import sides as compare
from watchkeeper.report.compare.sides import Against, Delta, Side
from watchkeeper.show.text import number, printable, table

MOST_SETTINGS = 8
MOST_METRICS = 6
MOST_RUNS = 20
MOST_FILES = 5
_WIDEST = 32
_MOST_AHEAD = 3


def comparison(found: Compared) -> str:
    """All of it. What is too much for a page is counted, and said to be in --json."""
    metrics = compare.metrics_of(found.runs)
    parts = [_table(found, metrics), *_best(found, metrics[:MOST_METRICS])]
    more = [
        f"{len(names) - most} more {what}"
        for names, most, what in (
            (found.varying, MOST_SETTINGS, "settings vary"),
            (metrics, MOST_METRICS, "metrics"),
        )
        if len(names) > most
    ]
    parts += [f"{' and '.join(more)}: --json --limit 0 shows all."] if more else []
    if unread := sorted({name for side in found.runs for name in side.unread}):
        parts.append(printable(f"Compared as a whole, not key by key: {', '.join(unread[:5])}"))
    if found.differences:
        parts += ["", printable(f"Against {found.base}:")]
    for one in found.differences[:MOST_RUNS]:
        parts += ["", *_against(one)]
    if len(found.differences) > MOST_RUNS:
        parts += [
            "",
            (
                f"{len(found.differences) - MOST_RUNS} more runs differ: "
                "--json --limit 0 shows all, "
                "--runs GLOB chooses."
            ),
        ]
    return "\n".join(parts)


def _table(found: Compared, metrics: list[str]) -> str:
    settings, shown = found.varying[:MOST_SETTINGS], metrics[:MOST_METRICS]
    more = [
        (name, words)
        for name, words in (("step", _step), ("runtime", _runtime))
        if any(words(side) for side in found.runs)
    ]
    names = [_short_key(key, found.varying) for key in settings]
    header = [
        "run",
        "state",
        *(name for name, _ in more),
        *names,
        "code",
        "data",
        *map(_metric, shown),
    ]
    lines = [
        [
            one.name,
            one.state,
            *(words(one) for _, words in more),
            *(_short(one.settings.get(key, "")) for key in settings),
            one.code,
            _short(one.data),
            *(_figure(one, name) for name in shown),
        ]
        for one in found.runs
    ]
    first = 4 + len(settings) + len(more)
    right = (*range(2, 2 + len(more)), *range(first, first + len(shown)))
    return table(header, lines, right=right)


def _step(side: Side) -> str:
    if side.final_step is None:
        return ""
    return str(side.final_step)


def _runtime(side: Side) -> str:
    if side.runtime is None:
        return ""
    return runtime(side.runtime)


def _best(found: Compared, metrics: list[str]) -> Iterator[str]:
    """Which run leads in what, with its state where it did not finish; nothing where there is only
    one.
    """
    sides = {side.name: side for side in found.runs}
    leaders = []
    for name in metrics:
        measured = sum(name in side.metrics for side in found.runs)
        if measured > 1 and name in found.best:
            leaders.append(f"{_metric(name)}: {_leader(sides[found.best[name]], name)}")
    if leaders:
        yield ""
        yield printable("Best  " + "; ".join(leaders))
    for name in metrics:
        others = compare.ahead(name, found.runs, found.best.get(name, ""))
        if others and sides[found.best[name]].state in compare.GOOD:
            yield printable(_unfinished_and_ahead(others, name))


def _unfinished_and_ahead(sides: Sequence[Side], metric: str) -> str:
    """The runs that did not finish and have a better figure than the leader."""
    names = ", ".join(_leader(side, metric) for side in sides[:_MOST_AHEAD])
    more = _more(sides, _MOST_AHEAD)
    return f"Not counted, {_metric(metric)} of runs that did not finish: {names}{more}"


def _more(items: Sequence[object], most: int) -> str:
    """` and 3 more`; "" where no more than `most` are there."""
    if len(items) <= most:
        return ""
    return f" and {len(items) - most} more"


def _leader(side: Side, metric: str) -> str:
    if compare.finished(side):
        state = ""
    else:
        state = f", {side.state or 'state unknown'}"
    return f"{side.name} ({number(side.metrics[metric])}{state})"


def _against(one: Against) -> Iterator[str]:
    """How one run differs from the base: its name, and a line for each difference."""
    lines = [*_setting_lines(one), *_code_lines(one)]
    if one.data is not None:
        lines.append(["  data", _arrow(one.data.old, one.data.new), ""])
    lines += [[f"  {_metric(delta.metric)}", *_delta(delta)] for delta in one.metrics]
    yield printable(one.name)
    if not lines:
        yield "  no difference is known"
        return
    yield from table(["", "", ""], lines).split("\n")[2:]


def _setting_lines(one: Against) -> Iterator[list[str]]:
    for change in one.config[:MOST_RUNS]:
        yield [f"  {change.key}", _arrow(change.old, change.new), ""]
    if len(one.config) > MOST_RUNS:
        yield [f"  {len(one.config) - MOST_RUNS} more settings", "--json shows all", ""]


def _code_lines(one: Against) -> Iterator[list[str]]:
    if one.code is not None:
        yield ["  code", _arrow(one.code.old, one.code.new), _distance(one.commits)]
    if one.diff:
        yield ["  uncommitted changes", "differ", ""]
    if one.script:
        yield ["  script", "differs", ""]
    if one.files:
        names = ", ".join(one.files[:MOST_FILES]) + _more(one.files, MOST_FILES)
        yield ["  files of the code", names, ""]


def _distance(commits: int | None) -> str:
    """`3 commits on`, `3 commits back`; "" for None (not known) and 0."""
    if not commits:
        return ""
    direction = "on" if commits > 0 else "back"
    return f"{abs(commits)} commits {direction}"


def _delta(delta: Delta) -> list[str]:
    old, new = (None if figure is None else number(figure) for figure in (delta.old, delta.new))
    if delta.change is None:
        return [_arrow(old, new), ""]
    if delta.better is None:
        word = ""
    elif delta.better:
        word = "  better"
    else:
        word = "  worse"
    return [_arrow(old, new), f"{delta.change:+.4g}{word}" if delta.change else "the same"]


def _figure(side: Side, name: str) -> str:
    if name not in side.metrics:
        return ""
    epoch = side.at.get(name, "")
    return number(side.metrics[name]) + (f" @{epoch}" if epoch else "")


def _metric(name: str) -> str:
    return {"end_train_loss": "train_loss", "end_val_loss": "val_loss"}.get(name, name)


def _short_key(key: str, keys: list[str]) -> str:
    """The last part of a dotted key, where no other one ends in it."""
    last = key.rpartition(".")[2]
    if sum(other.rpartition(".")[2] == last for other in keys) == 1:
        return last
    return key


def _short(text: str) -> str:
    if len(text) <= _WIDEST:
        return text
    return "…" + text[1 - _WIDEST :]


def _arrow(old: str | None, new: str | None) -> str:
    return f"{_or_none(old)} → {_or_none(new)}"


def _or_none(text: str | None) -> str:
    if text is None:
        return "(none)"
    return _short(text)
