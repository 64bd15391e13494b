"""Make text that jobs and people wrote harmless on the pages that Watchkeeper writes.

`cat` obeys control characters, an editor obeys bidirectional overrides, and a repository's page
renders HTML and links.
"""

from __future__ import annotations

import unicodedata

import msgspec

from watchkeeper.core.text import lazy
from watchkeeper.report.compose.page import JobBlock, Page, Value

# Sections of the user's own text, from the summary or the command line: their links stay links.
_OWN = frozenset({"mode", "config"})
_TAG = lazy.pattern(r"(\\*)<(?=[A-Za-z/!?])")


def visible(text: str) -> str:
    r"""Write control, bidirectional and zero-width characters, line ends and tabs as escapes, such
    as `\u202e`.
    """
    if text.isprintable():
        return text
    return "".join(map(_show_character, text))


def _show_character(character: str) -> str:
    """Write one character as it is, or as an escape. Spaces of every width stay."""
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    number = ord(character)
    if number < 0x10000:
        return f"\\u{number:04x}"
    return f"\\U{number:08x}"


def plain_markdown(text: str) -> str:
    r"""Escape a text so that Markdown shows it as it is: no HTML tag, no link, no image.

    `<script>` becomes `\<script>`, and `[words](address)` becomes `[words]\(address)`. Anything
    else, such as `*`, stays: it can change how a text looks, but cannot act.
    """
    escaped = _TAG.sub(lambda match: f"{match[1] * 2}\\<", visible(text))
    return escaped.replace("](", "]\\(")


def make_inert(page: Page) -> Page:
    """Make every text of a page harmless. What comes from jobs becomes plain text besides.

    An experiment's summary is its user's own text, and may hold a link; the output of a job, a note
    of a host or the name of a file may be anyone's.
    """
    sections = {}
    for kind, values in page.sections.items():
        make_value_inert = _make_own_inert if kind in _OWN else _make_foreign_inert
        sections[kind] = [make_value_inert(value) for value in values]
    return msgspec.structs.replace(
        page,
        title=visible(page.title),
        sections=sections,
        jobs=[_make_job_inert(job) for job in page.jobs],
        status=[plain_markdown(line) for line in page.status],
    )


def _make_job_inert(job: JobBlock) -> JobBlock:
    """Make the block of an execution harmless: all of it comes from the job or its cluster, the
    heading's words as well.
    """
    fields = [_make_foreign_inert(value) for value in job.fields]
    return msgspec.structs.replace(job, fields=fields, qualifier=plain_markdown(job.qualifier))


def _make_own_inert(value: Value) -> Value:
    """Make a field of the user's own text harmless: its links stay links."""
    note = visible(value.note)
    return msgspec.structs.replace(value, value=visible(value.value), note=note)


def _make_foreign_inert(value: Value) -> Value:
    """Make a field of a job's text harmless: no markup works in it."""
    shown = plain_markdown(value.value)
    if value.quoted and "`" not in value.value:
        shown = visible(value.value)  # nothing is markup within backticks
    return msgspec.structs.replace(value, value=shown, note=plain_markdown(value.note))
