"""YAML read by libyaml, in PyYAML: some twenty times as fast as in Python.

libyaml reads YAML 1.1, Watchkeeper YAML 1.2. The kinds of plain words are told apart here, and a
text that the two versions may divide into other nodes is refused.
"""

from __future__ import annotations

import re
from typing import Any

from yaml._yaml import CParser
from yaml.composer import ComposerError
from yaml.error import YAMLError

from watchkeeper.core.collector import collector_paused
from watchkeeper.core.text import lazy
from watchkeeper.reading.nodes import MOST_LEVELS, TAG, MappingNode, Node, SequenceNode

_KINDS = (
    ("bool", r"true|True|TRUE|false|False|FALSE"),
    (
        "float",
        r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)"
        r"|\.(?:nan|NaN|NAN)",
    ),
    ("int", r"[-+]?0b[0-1_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+"),
    ("merge", r"<<"),
    ("null", r"~|null|Null|NULL|"),
    (
        "timestamp",
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
        r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}"
        r"(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?",
    ),
    ("value", r"="),
)
_KIND = lazy.pattern("|".join(f"(?P<{kind}>{words})" for kind, words in _KINDS))
_TAGS = {kind: f"{TAG}{kind}" for kind, _ in _KINDS}
# The first letters of plain words that may be more than text.
_FIRST_LETTERS = frozenset("tTfF-+.0123456789<~nN=")

# Tabs, other line breaks, byte order marks, directives, block texts whose first line is blank,
# tags, and anchors of odd letters.
_DISPUTED = lazy.pattern(
    "[\t\x85\u2028\u2029\ufeff]"
    r"|^%"
    r"|[|>][-+0-9]*(?:#| *(?: #[^\n]*)?\r?\n *\r?\n)"
    r"|(?:^|[-:,\[{?]) *(?:!|[&*](?![A-Za-z0-9_-]+(?:[ \r\n,\]}]|\Z)))",
    re.MULTILINE,
)


class DisputedError(Exception):
    """The text may be read otherwise in YAML 1.2, or cannot be read."""


def compose(text: str) -> Node | None:
    """The text's one document, None for an empty text.

    Raises:
        DisputedError: it holds what libyaml might read otherwise, or what nobody can read.
    """
    if _DISPUTED.search(text):
        raise DisputedError
    composer = _Composer(text)
    try:
        with collector_paused():
            return composer.get_single_node()
    except YAMLError as error:
        raise DisputedError from error
    finally:
        composer.dispose()


class _Composer(CParser):
    """libyaml's parser, with a bound on nesting, which libyaml composes recursively."""

    _levels = 0

    def resolve(self, kind: type[Node], value: str | None, implicit: Any) -> str:
        """The tag of a node that names none. `implicit`: of a scalar, whether it is plain, and
        whether it is quoted.
        """
        if kind is MappingNode:
            return f"{TAG}map"
        if kind is SequenceNode:
            return f"{TAG}seq"
        if implicit[0]:
            return _tag_of(value or "")
        return f"{TAG}str"

    def descend_resolver(self, parent: Node | None, index: Any) -> None:
        """A node begins within `parent`."""
        self._levels += 1
        if self._levels > MOST_LEVELS:
            raise ComposerError

    def ascend_resolver(self) -> None:
        """The node has ended."""
        self._levels -= 1


def _tag_of(word: str) -> str:
    """The tag of a plain word by YAML 1.2: of `1e-3` a float's, of `~` null's, of `no` a text's.

    Most words are text, which their first letter shows without looking further.
    """
    if word and word[0] not in _FIRST_LETTERS:
        return f"{TAG}str"
    kind = _KIND.fullmatch(word)
    if kind is None or kind.lastgroup is None:
        return f"{TAG}str"
    return _TAGS[kind.lastgroup]
