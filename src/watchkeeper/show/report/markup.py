"""HTML and SVG, put together so that no recorded text can become markup."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import datetime

from watchkeeper.core.text import lazy

MOST_CHARACTERS = 4_000
"""Of one line of recorded text; the rest is cut, and counted."""
_COLOUR_CODE = lazy.pattern(r"\x1b\[[0-9;:]*m")
_EMPTY = frozenset({"meta", "br", "path", "line", "rect", "circle"})
_PICTURES_OF_CONTROLS = 0x2400
_DELETE = "\x7f"


class Markup(str):
    """Text that is markup already, and is put into other markup as it stands."""

    __slots__ = ()


Child = str | int | None | Iterable["Child"]


def tag(element: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """An element. Children that are plain text are escaped; None is left out. Of an attribute's
    name, underscores become dashes, but one at its end is dropped; None leaves the attribute out.

    `tag("td", "a < b", class_="right")` → `<td class="right">a &lt; b</td>`.
    """
    opening = f"<{element}{_attributes(attributes)}"
    if element in _EMPTY:
        return Markup(f"{opening}/>")  # the slash ends an element of SVG, and is nothing in HTML
    return Markup(f"{opening}>{join(children)}</{element}>")


def join(children: Iterable[Child]) -> Markup:
    """The children one after another."""
    return Markup("".join(_written(children)))


def _attributes(attributes: dict[str, str | float | None]) -> str:
    """The attributes as they stand behind the element's name: ` class="right"`, a blank before
    each.
    """
    words = []
    for name, value in attributes.items():
        if value is not None:
            words.append(f' {name.rstrip("_").replace("_", "-")}="{_attribute(value)}"')
    return "".join(words)


def _attribute(value: str | float) -> str:
    """The value of an attribute between its quotes."""
    if isinstance(value, Markup):  # a drawing's path, longer than any line of text may be
        return value
    if isinstance(value, float):
        return _coordinate(value)
    return html.escape(visible(str(value)))


def _coordinate(value: float) -> str:
    """A place on a drawing, to a hundredth of its unit: `44`, `12.5`."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _written(children: Iterable[Child]) -> Iterator[str]:
    """The children as markup, lists in lists included: text escaped, None left out."""
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            yield child
        elif isinstance(child, str | int):
            yield html.escape(visible(str(child)))
        else:
            yield from _written(child)


def recorded(text: str, element: str = "bdi", /, **attributes: str | None) -> Markup:
    """Text that a program or a person wrote, kept apart from the direction of what is around it.

    In `element`, around which the attributes stand; `bdi` alone where none is named.
    """
    if element == "bdi":
        return tag("bdi", text, **attributes)
    return tag(element, tag("bdi", text), **attributes)


def visible(text: str) -> str:
    """The text with colour codes dropped, control and bidirectional characters as symbols, and a
    line longer than 4,000 characters cut.
    """
    text = _COLOUR_CODE.sub("", text)
    if not text.replace("\n", "").isprintable():
        text = "".join(_symbol(character) for character in text)
    if len(text) <= MOST_CHARACTERS:
        return text
    return "\n".join(_cut(line) for line in text.split("\n"))


def _cut(line: str) -> str:
    """A line of at most 4,000 characters, and how many were left out."""
    left = len(line) - MOST_CHARACTERS
    if left <= 0:
        return line
    return f"{line[:MOST_CHARACTERS]} … {left:,} more"


def _symbol(character: str) -> str:
    """A sign for a character that would act instead of being seen."""
    if character in "\n\t" or unicodedata.category(character) == "Zs":
        return character
    if character == _DELETE:
        return "␡"
    if ord(character) < 0x20:
        return chr(_PICTURES_OF_CONTROLS + ord(character))
    if character.isprintable():
        return character
    return f"⟨U+{ord(character):04X}⟩"


def instant(at: datetime | None, shown: str) -> Markup:
    """A time with its exact form, in ISO 8601, for machines and under the pointer; nothing for
    None.
    """
    if at is None:
        return Markup("")
    exact = at.isoformat(timespec="seconds")
    return tag("time", shown, datetime=exact, title=exact)
