"""Text that jobs and people wrote, harmless on the pages that Watchkeeper writes.

`cat` obeys control characters, an editor obeys bidirectional overrides, and a repository's page
renders HTML and links.
"""

from __future__ import annotations

import re
import unicodedata

import msgspec

from watchkeeper.report.compose.page import JobBlock, Page, Value

# Sections whose words are the user's own, from the summary or the command line: their links stay
# links.
_OWN = frozenset({"mode", "config"})
_TAG = re.compile(r"(\\*)<(?=[A-Za-z/!?])")


def visible(text: str) -> str:
    r"""The text with control, bidirectional and zero-width characters, line ends and tabs as
    escapes such as `\u202e`.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" else _escape(c) for c in text
    )


def _escape(character: str) -> str:
    number = ord(character)
    if number < 0x10000:
        return f"\\u{number:04x}"
    return f"\\U{number:08x}"


def plain_markdown(text: str) -> str:
    """The text as Markdown that shows it as it is: no HTML tag, no link, no image."""
    escaped = _TAG.sub(lambda match: f"{match[1] * 2}\\<", visible(text))
    return escaped.replace("](", "]\\(")


def inert_page(page: Page) -> Page:
    """The page with every text harmless; what comes from jobs is plain text besides."""
    return msgspec.structs.replace(
        page,
        title=visible(page.title),
        sections={
            kind: [_value(value, own=kind in _OWN) for value in values]
            for kind, values in page.sections.items()
        },
        jobs=[_job(job) for job in page.jobs],
        status=[plain_markdown(line) for line in page.status],
    )


def _job(job: JobBlock) -> JobBlock:
    fields = [_value(value, own=False) for value in job.fields]
    return msgspec.structs.replace(job, fields=fields, qualifier=plain_markdown(job.qualifier))


def _value(value: Value, *, own: bool) -> Value:
    in_code = value.quoted and "`" not in value.value
    if own or in_code:
        shown = visible(value.value)
    else:
        shown = plain_markdown(value.value)
    if own:
        note = visible(value.note)
    else:
        note = plain_markdown(value.note)
    return msgspec.structs.replace(value, value=shown, note=note)
