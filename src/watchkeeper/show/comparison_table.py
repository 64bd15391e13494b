"""Runs side by side, as text: a table, what is best, and the differences from the base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from watchkeeper.core.text.figures import runtime
from watchkeeper.query.compare import Compared
from watchkeeper.query.views.pages import Compare
from watchkeeper.report.compare import sides as compare
from watchkeeper.report.compare.sides import Against, Delta, Side
from watchkeeper.show.text import number, printable, table
from watchkeeper.show.text import width as columns_of

MOST_SETTINGS = 8
MOST_METRICS = 6
MOST_RUNS = 20
MOST_FILES = 5
_WIDEST = 32
_MOST_AHEAD = 3
_MOST_DETAILS = 3
_MOST_DIFF_LINES = 12
_FACTS = frozenset({"uncommitted", "environment", "machine"})


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """How many settings and metrics the table has."""

    settings: int = MOST_SETTINGS
    metrics: int = MOST_METRICS


def comparison(
    found: Compared, page: Compare | None = None, *, width: int | None = None, wide: bool = False
) -> str:
    """All of it: the table, then how the runs differ and which is best; of two runs the differences
    come first of these. `page` adds in what they differ beside their settings, and of two runs the
    change of the code. What is too much for a page, or for a terminal of `width` columns (None:
    there is none), is counted; `wide` leaves nothing out of the table.
    """
    metrics = compare.metrics_of(found.runs)
    extent = _extent(found, metrics, width, wide=wide)
    parts = [_table(found, metrics, extent)]
    best = list(_best(found, metrics[: extent.metrics]))
    best += _left_out(found, metrics, extent)
    if unread := sorted({name for side in found.runs for name in side.unread}):
        best.append(printable(f"Compared as a whole, not key by key: {', '.join(unread[:5])}"))
    differences = _differences(found, page)
    if len(found.differences) == 1:
        parts += ["", *differences, *_changes(page), *best]
    elif differences:
        parts += [*best, "", *differences]
    else:
        parts += best
    return "\n".join(parts)


def _extent(found: Compared, metrics: list[str], width: int | None, *, wide: bool) -> Extent:
    """What of the table fits: metrics give way before settings, and one of each stays."""
    if wide:
        return Extent(settings=len(found.varying), metrics=len(metrics))
    extent = Extent(
        settings=min(MOST_SETTINGS, len(found.varying)), metrics=min(MOST_METRICS, len(metrics))
    )
    while width is not None and _width_of(found, metrics, extent) > width:
        if extent.metrics > 1:
            extent = Extent(settings=extent.settings, metrics=extent.metrics - 1)
        elif extent.settings > 1:
            extent = Extent(settings=extent.settings - 1, metrics=extent.metrics)
        else:
            break
    return extent


def _width_of(found: Compared, metrics: list[str], extent: Extent) -> int:
    return max(map(columns_of, _table(found, metrics, extent).split("\n")))


def _left_out(found: Compared, metrics: list[str], extent: Extent) -> list[str]:
    """A line on what the table leaves out; none where it has everything."""
    more = [
        f"{count} more {what}"
        for count, what in (
            (len(found.varying) - extent.settings, "settings vary"),
            (len(metrics) - extent.metrics, "metrics"),
        )
        if count > 0
    ]
    if not more:
        return []
    return [f"{' and '.join(more)}: --wide shows all."]


def _differences(found: Compared, page: Compare | None) -> list[str]:
    """How the runs differ from the base, one after another."""
    if not found.differences:
        return []
    lines = []
    if page is not None:
        lines = [f"{page.heading}.", ""]
    lines.append(printable(f"Against {found.base}:"))
    names = [side.name for side in found.runs]
    for one in found.differences[:MOST_RUNS]:
        facts = _facts(page, names.index(found.base), names.index(one.name))
        lines += ["", *_against(one, facts)]
    if len(found.differences) > MOST_RUNS:
        more = len(found.differences) - MOST_RUNS
        lines += ["", f"{more} more runs differ: --json shows all, --runs GLOB chooses."]
    return lines


def _table(found: Compared, metrics: list[str], extent: Extent) -> str:
    settings, shown = found.varying[: extent.settings], metrics[: extent.metrics]
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


def _facts(page: Compare | None, base: int, run: int) -> list[list[str]]:
    """What else differs between two runs, by their places: environment, machine, and how much is
    not committed.
    """
    if page is None:
        return []
    lines: list[list[str]] = []
    for one in page.differs:
        old, new = one.values[base], one.values[run]
        if one.kind not in _FACTS or old == new:
            continue
        lines.append([f"  {one.key}", _arrow(old, new), ""])
        details = one.details[run] if one.details else []
        if details:
            shown = ", ".join(details[:_MOST_DETAILS]) + _more(details, _MOST_DETAILS)
            lines.append(["", shown, ""])
    return lines


def _changes(page: Compare | None) -> list[str]:
    """The first lines of how the code changed between two runs."""
    if page is None:
        return []
    lines: list[str] = []
    for diff in page.diffs:
        lines += ["", printable(f"{diff.what}:")]
        lines += [f"  {printable(line)}".rstrip() for line in diff.lines[:_MOST_DIFF_LINES]]
        more = len(diff.lines) + diff.left_out - _MOST_DIFF_LINES
        if more > 0:
            lines.append(f"  {more} more lines: --json --limit 0 has them")
        if diff.note:
            lines.append(f"  {diff.note}")
    return lines


def _against(one: Against, facts: Sequence[Sequence[str]] = ()) -> Iterator[str]:
    """How one run differs from the base: its name, and a line for each difference. `facts` are
    more of them.
    """
    lines = [*_setting_lines(one), *_code_lines(one, is_counted=bool(facts))]
    if one.data is not None:
        lines.append(["  data", _arrow(one.data.old, one.data.new), ""])
    lines += map(list, facts)
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


def _code_lines(one: Against, *, is_counted: bool) -> Iterator[list[str]]:
    """What differs in the code. `is_counted`: another line says how much is not committed."""
    if one.code is not None:
        yield ["  code", _arrow(one.code.old, one.code.new), _distance(one.commits)]
    if one.diff and not is_counted:
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
