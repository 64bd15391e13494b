"""The whole file of a report: one page of HTML that asks for nothing, or one of Markdown."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from watchkeeper.core.version import __version__
from watchkeeper.show.report.markup import Markup, join, recorded, tag
from watchkeeper.show.report.parts.pieces import RAMP_STEPS, Section, Table, section
from watchkeeper.show.report.wording import Clock
from watchkeeper.show.text import printable

GENERATOR = "watchkeeper report"
MOST_BYTES = 5_000_000
"""Of a report's file."""
_LEFT_OUT = ((), ("series",), ("series", "runs"), ("series", "runs", "page", "compare"))
"""What of the data is left out, until the file is small enough."""


@dataclass(frozen=True)
class Report:
    """What a report says. `sentence` is its first line, in bold; `data` are the objects it was made
    from, as `--json` has them.
    """

    name: str
    sentence: str
    rest: str
    question: str
    sections: Sequence[Section]
    zone: str
    made: datetime
    data: Mapping[str, Any]

    def footer(self) -> str:
        """Which version made it, and when."""
        clock = Clock(self.zone)
        at = f"{clock.day(self.made)} {clock.time(self.made)[:5]} {clock.name(self.made)}"
        return f"Watchkeeper {__version__}, made {at} from the journal"


def page(report: Report) -> str:
    """The report as HTML, without its seal. Where it is larger than a report may be, the data for
    programs is left out, the largest part first, and says so.

    First the curves go, then the pages of runs, then all of it: what people see stays.
    """
    for names in _LEFT_OUT:
        data = {name: value for name, value in report.data.items() if name not in names}
        if names:
            data["left_out"] = list(names)
        text = _page(report, data)
        if len(text.encode("utf-8", "backslashreplace")) <= MOST_BYTES:
            break
    return text


def _page(report: Report, data: Mapping[str, Any]) -> str:
    """The page with this data in it. All text is put in as text: no recorded word is markup."""
    style = _style(report.footer())
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(style)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content=f"{GENERATOR} {__version__}"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", report.name),
        tag("style", Markup(style)),
    )
    question = None
    if report.question:
        question = tag("p", recorded(report.question), class_="question")
    main = tag(
        "main",
        tag("h1", recorded(report.name)),
        question,
        tag("p", tag("strong", recorded(report.sentence)), " ", recorded(report.rest)),
        [section(part) for part in report.sections],
    )
    body = tag("body", main, tag("footer", report.footer()), _data(data))
    return join([Markup("<!doctype html>\n"), tag("html", head, "\n", body, lang="en"), "\n"])


def _style(footer: str) -> str:
    """The style, with what a printed page has at its foot, and the steps of the ramp."""
    text = importlib.resources.files(__package__).joinpath("report.css").read_text("utf-8")
    ramp = []
    for step in range(RAMP_STEPS + 1):
        share = round(100 * step / RAMP_STEPS)
        ramp.append(
            f".r{step} {{ background: color-mix(in srgb, var(--full) {share}%, var(--weak)); }}"
        )
    font = "font: 7.5pt system-ui; color: #565b63;"
    foot = (
        "@page { margin: 17mm 16mm 19mm; "
        f'@bottom-left {{ content: "{_css_text(footer)}"; {font} }} '
        f'@bottom-right {{ content: counter(page) " of " counter(pages); {font} }} }}'
    )
    return "\n".join([text, *ramp, foot])


def _css_text(text: str) -> str:
    r"""Text within quotes of a style sheet, inside a style element. A sign that could end either is
    written by its number: `\00003c` for `<`.
    """
    signs: list[str] = []
    for sign in printable(text):
        if sign.isalnum() or sign in " .,:+-/":
            signs.append(sign)
        else:
            signs.append(f"\\{ord(sign):06x}")
    return "".join(signs)


def _policy(style: str) -> str:
    """Nothing may be loaded, sent or run; only our own style applies."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; connect-src 'none'; "
        "base-uri 'none'; form-action 'none'"
    )


def _data(data: Mapping[str, Any]) -> Markup:
    """The objects as JSON that no parser of HTML can take for markup."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return tag("script", Markup(text), type="application/json", id="watchkeeper-data")


def markdown(report: Report) -> str:
    """The report's tables as Markdown, without its seal."""
    parts = [f"# {_md(report.name)}", f"**{_md(report.sentence)}** {_md(report.rest)}".rstrip()]
    if report.question:
        parts.insert(1, _md(report.question))
    for part in report.sections:
        written = [*_md_lines(part), *map(md_table, part.tables)]
        if written:
            parts += [f"## {_md(part.title)}", *written]
    parts.append(f"{report.footer()}.")
    return "\n\n".join(parts) + "\n"


def _md_lines(part: Section) -> list[str]:
    """The lines of a section as one paragraph; [] for none."""
    if not part.lines:
        return []
    return ["\n".join(map(_md, part.lines))]


def md_table(table: Table) -> str:
    """A table of GitHub's Markdown."""
    rules = ["---"] * len(table.columns)
    for number in table.right:
        rules[number] = "---:"
    lines = [_md_line(table.columns), _md_line(rules)]
    return "\n".join([*lines, *map(_md_line, table.rows)])


def _md_line(cells: Sequence[str]) -> str:
    """A line of a table: `| r8 | 0.9156 |`."""
    return f"| {' | '.join(map(_md, cells))} |"


def _md(text: str) -> str:
    """Recorded text that neither ends a cell nor becomes markup."""
    shown = printable(" ".join(text.split()))
    for character in "\\|<>`*_[]":
        if character in shown:
            shown = shown.replace(character, f"\\{character}")
    return shown
