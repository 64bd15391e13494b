"""What the sections of a report are made of: tables, pairs of a name and a value, states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from watchkeeper.query.views.shared import Best, Need, Standing
from watchkeeper.show.report.markup import Child, Markup, recorded, tag
from watchkeeper.show.report.wording import figure

GLYPHS: dict[str, str] = {
    "done": "✓",
    "running": "▶",
    "to do": "○",
    "failed": "✗",
    "blocked": "⊘",
    "unknown": "?",
    "not needed": "–",
}
_MARK_OF_NEED = {"failed": "✗", "invalid": "✗", "lost": "✗", "unknown": "?"}
_COLOURS = {"✗": "failed", "?": "unknown", "▲": "late"}
RAMP_STEPS = 20
"""A cell's colour is one of so many steps of the ramp, from 0."""


@dataclass(frozen=True)
class Section:
    """A part of the report under a heading. `aside` is what stands beside it in grey. `tables` are
    the same in Markdown: a heading, the names of the columns, and lines of cells.
    """

    title: str
    body: Sequence[Child]
    aside: str = ""
    tables: Sequence[Table] = ()
    lines: Sequence[str] = ()
    is_kept_whole: bool = True


@dataclass(frozen=True)
class Table:
    """A table as text: `right` are the columns flush right, counted from 0."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = field(default_factory=frozenset)


def section(part: Section) -> Markup:
    """A section as HTML. What is short is never split between two pages."""
    aside = None
    if part.aside:
        aside = tag("small", part.aside)
    kept = None
    if part.is_kept_whole:
        kept = "whole"
    return tag("section", tag("h2", part.title, aside), part.body, class_=kept)


def written_table(table: Table, *, name: str | None = None) -> Markup:
    """A table as HTML. Its head is repeated on every page that it goes over.

    The first column names the line. `name` is a class of the style sheet, None for none.
    """
    heads = tag("tr", [_head(table, number) for number in range(len(table.columns))])
    lines = tag("tbody", [_line(table, row) for row in table.rows])
    return scrolling(tag("table", tag("thead", heads), lines, class_=name))


def scrolling(table: Markup) -> Markup:
    """A table that scrolls sideways on its own where it is wider than the page, by keys too."""
    return tag("div", table, class_="scroll", tabindex="0")


def _head(table: Table, number: int) -> Markup:
    """The head of one column, counted from 0."""
    return tag("th", table.columns[number], scope="col", class_=_side(table, number))


def _line(table: Table, row: Sequence[str]) -> Markup:
    """A line of the table. Its texts were recorded, and cannot become markup."""
    first, *others = row
    cells = [tag("th", recorded(first), scope="row", class_=_side(table, 0))]
    for number, text in enumerate(others, 1):
        cells.append(tag("td", written(text), class_=_side(table, number)))
    return tag("tr", cells)


def _side(table: Table, number: int) -> str | None:
    """The class of a column's cells; None: flush left."""
    if number in table.right:
        return "right"
    return None


def pairs(rows: Iterable[tuple[str, Child]]) -> Markup:
    """Names at the left, their values beside them: (name, value) in order."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in rows])


def state(standing: Standing, word: str = "") -> Markup:
    """A state by its glyph, its word and its colour. `word` is shown instead of its usual one."""
    name = standing.replace(" ", "-")
    shown = word or standing
    glyph = tag("span", GLYPHS[standing], aria_hidden="true")
    return tag("span", glyph, " ", recorded(shown), class_=f"state {name}")


def counts_line(counts: dict[str, int]) -> str:
    """`7 failed, 6 blocked, 18 done`; `22 done, none failed` where that is so.

    What is not needed is no work, and is not counted.
    """
    shown = {name: number for name, number in counts.items() if number and name != "not needed"}
    if not shown:
        return "nothing recorded"
    parts = [f"{number:,} {name}" for name, number in shown.items()]
    if shown.keys() <= {"done", "finished"}:
        parts.append("none failed")
    return ", ".join(parts)


def best_line(best: Best, *, with_run: bool = True) -> str:
    """`accuracy 0.9533: h64_lr1e-1, epoch 1`; without the run `val_loss 0.4373, step 14,500`."""
    words = f"{best.metric} {figure(best.value)}"
    if best.run and with_run:
        words = f"{words}: {best.run}"
    if best.epoch is not None:
        return f"{words}, epoch {best.epoch}"
    if best.step is not None:
        return f"{words}, step {best.step:,}"
    return words


def table_section(
    title: str, table: Table, aside: str = "", *, is_kept_whole: bool = False
) -> Iterator[Section]:
    """A section that is one table; none where the table has no row."""
    if table.rows:
        body = [written_table(table)]
        yield Section(title, body, aside, tables=[table], is_kept_whole=is_kept_whole)


def needs_section(needs: Sequence[Need]) -> Iterator[Section]:
    """What needs a person; none where nothing does."""
    if not needs:
        return
    lines = []
    for need in needs:
        line = f"- {need.line}"
        cause = need.cause or need.why
        if cause:
            line = f"{line}: {cause}"
        lines.append(line)
    yield Section("Needs you", [tag("ul", map(_need, needs), class_="needs")], lines=lines)


def _need(need: Need) -> Markup:
    """A need as an entry of a list: what, the line that it wrote, whom it is about, a command."""
    mark = _MARK_OF_NEED.get(need.kind, "▲")
    blocks = ""
    if need.blocks:
        blocks = f"blocks {need.blocks:,} jobs"
    aside = ", ".join(filter(None, (need.subject, need.why, blocks)))
    name = f"state {_COLOURS[mark]}"
    return tag(
        "li",
        tag("span", tag("span", mark, aria_hidden="true"), " ", need.line, class_=name),
        " ",
        written(need.cause, "code"),
        tag("div", written(aside), class_="quiet"),
        tag("div", written(need.command, "code")),
    )


def written(text: str, element: str = "bdi") -> Markup | None:
    """Recorded text in an element; None where there is none."""
    if not text:
        return None
    return recorded(text, element)


def ramp_class(value: float, least: float | None, greatest: float | None, better: str) -> str:
    """The class of a cell's colour, `r0` (weak) to `r20` (strong): the strong end is the better
    one.

    `least` and `greatest` are the range of the metric; where it has none, all cells are weak.
    """
    if least is None or greatest is None or greatest <= least:
        return "r0"
    share = (value - least) / (greatest - least)
    if better == "less":
        share = 1 - share
    return f"r{round(share * RAMP_STEPS)}"
