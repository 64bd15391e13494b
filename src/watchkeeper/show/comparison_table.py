"""Runs side by side, as text: a table, what is best, and the differences from the base."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from watchkeeper.core.events import Number
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
    """The columns of a terminal that the table takes at this extent."""
    return max(map(columns_of, _table(found, metrics, extent).split("\n")))


def _left_out(found: Compared, metrics: list[str], extent: Extent) -> list[str]:
    """A line on what the table leaves out; none where it has everything."""
    settings = len(found.varying) - extent.settings
    figures = len(metrics) - extent.metrics
    more: list[str] = []
    if settings > 0:
        more.append(f"{settings} more settings vary")
    if figures > 0:
        more.append(f"{figures} more metrics")
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
    """A row per run: its state, how far it came, the settings that vary, code, data and figures.
    Columns that are empty in every row are left out.
    """
    settings, shown = found.varying[: extent.settings], metrics[: extent.metrics]
    more: list[tuple[str, Callable[[Side], str]]] = []
    for name, words in (("step", _step), ("runtime", _runtime)):
        if any(map(words, found.runs)):
            more.append((name, words))
    header = ["run", "state"]
    header += [name for name, _ in more]
    header += [_short_key(key, found.varying) for key in settings]
    header += ["code", "data"]
    header += map(_metric, shown)
    lines: list[list[str]] = []
    for one in found.runs:
        line = [one.name, one.state]
        line += [words(one) for _, words in more]
        line += [_short(one.settings.get(key, "")) for key in settings]
        line += [one.code, _short(one.data)]
        line += [_figure(one, name) for name in shown]
        lines.append(line)
    first = 4 + len(settings) + len(more)
    right = (*range(2, 2 + len(more)), *range(first, first + len(shown)))
    return table(header, lines, right=right)


def _step(side: Side) -> str:
    """The last training step; "": a hand-written log that names none, or not a log."""
    if side.final_step is None:
        return ""
    return str(side.final_step)


def _runtime(side: Side) -> str:
    """How long it ran, `2 h 5 min`; "": its log does not say."""
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
    """A run with its figure, and its state where it did not finish: `r8 (0.91, failed)`."""
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
        if one.details and one.details[run]:
            details = one.details[run]
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
    """A line for each setting that differs, as far as there is room for them."""
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
    if commits > 0:
        return f"{commits} commits on"
    return f"{-commits} commits back"


def _delta(delta: Delta) -> list[str]:
    """How a figure differs, in two cells: `0.6844 → 0.9400` and `+0.2556  better`. The second is ""
    where one of the runs has no such figure.
    """
    figures = _arrow(_number(delta.old), _number(delta.new))
    if delta.change is None:
        return [figures, ""]
    if not delta.change:
        return [figures, "the same"]
    word = ""
    if delta.better is not None:
        word = "  better" if delta.better else "  worse"
    return [figures, f"{delta.change:+.4g}{word}"]


def _number(figure: Number | None) -> str | None:
    """A figure as it is shown; None: the run has none."""
    if figure is None:
        return None
    return number(figure)


def _figure(side: Side, name: str) -> str:
    """A run's figure with the epoch that it is of, `0.9533 @1`; "": it has none."""
    if name not in side.metrics:
        return ""
    shown = number(side.metrics[name])
    if epoch := side.at.get(name):
        shown += f" @{epoch}"
    return shown


def _metric(name: str) -> str:
    """A metric's name in the table."""
    return {"end_train_loss": "train_loss", "end_val_loss": "val_loss"}.get(name, name)


def _short_key(key: str, keys: list[str]) -> str:
    """The last part of a dotted key, where no other one ends in it."""
    last = key.rpartition(".")[2]
    if sum(other.rpartition(".")[2] == last for other in keys) == 1:
        return last
    return key


def _short(text: str) -> str:
    """The text in at most 32 characters; of a longer one, as of a path, the end says more."""
    if len(text) <= _WIDEST:
        return text
    return "…" + text[1 - _WIDEST :]


def _arrow(old: str | None, new: str | None) -> str:
    """From one value to another: `0.01 → 0.1`; None is a value that is not there."""
    return f"{_or_none(old)} → {_or_none(new)}"


def _or_none(text: str | None) -> str:
    """The value as it is shown; `(none)` for one that is not there."""
    if text is None:
        return "(none)"
    return _short(text)
