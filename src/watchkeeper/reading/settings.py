"""Configurations as settings: dotted key → value as text, so that two of them can be compared key
by key.

A value is the text that stands in the file, numbers and constants in one spelling (`1.0e-2` is
`0.01`). Most YAML of hundreds of runs is plain block mappings, which are read line by line, some
hundred times faster than YAML is; whatever goes beyond that is left to ruamel.yaml. Nothing in a
file can make an object.
"""

from __future__ import annotations

import configparser
import json
import re
import tomllib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from watchkeeper.core.text import redaction
from watchkeeper.core.text.figures import canonical

MOST_BYTES = 256 * 1024
"""Of a file that is read key by key: a larger one is compared by its hash."""
MOST_SLOW_BYTES = 512 * 1024
"""Of all the YAML together, for one reader, that is left to ruamel.yaml: it reads some 60 kB a
second.
"""
MOST_SETTINGS = 2000
MOST_DEPTH = 40
_MOST_VISITS = 20_000  # aliases can name one node again and again

_PLAIN_KEY = re.compile(r"( *)([A-Za-z0-9_][\w./-]*):(?: +(.*?))? *")
_PLAIN_VALUE = re.compile(r"[\w./~+$-][^#\n:\"'\[\]{}&*!|>%@`,\\\t]*")
_URL_OR_PATH = re.compile(r"[\w./~+-]+(?::[\w./+-]+)*")
_QUOTED = re.compile(r"\"[^\"\\\n]*\"|'[^'\n]*'")
_FLOW = re.compile(r"\[ *((?:[\w./~+-]+)(?: *, *[\w./~+-]+)*)? *\]")


class UnreadableError(Exception):
    """The file cannot be read as settings."""


class Reader:
    """Reads configurations; what was read once is remembered by its hash."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], dict[str, str] | None] = {}
        self._slow_bytes = 0

    def settings(self, name: str, sha256: str, data: bytes) -> dict[str, str] | None:
        """The settings of a file of this name that holds `data`, of this hash; None where it can
        only be compared whole. What is a secret is `<redacted>`: it makes no difference between two
        runs, and is shown nowhere.
        """
        suffix = name.rpartition(".")[2].casefold()
        if (suffix, sha256) not in self._known:
            try:
                self._known[suffix, sha256] = _without_secrets(self._read(suffix, data))
            except (UnreadableError, RecursionError):
                self._known[suffix, sha256] = None
        return self._known[suffix, sha256]

    def _read(self, suffix: str, data: bytes) -> dict[str, str]:
        if len(data) > MOST_BYTES:
            raise UnreadableError
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UnreadableError from error
        if suffix not in ("yaml", "yml"):
            return _collected(_walk(_load(suffix, text), ""))
        plain = plain_yaml(text)
        if plain is not None:
            return plain
        self._slow_bytes += len(data)
        if self._slow_bytes > MOST_SLOW_BYTES:
            raise UnreadableError
        return yaml_settings(text)


def _without_secrets(settings: dict[str, str]) -> dict[str, str]:
    return {
        name: redaction.REDACTED if redaction.is_secret(name, value) else redaction.redact(value)
        for name, value in settings.items()
    }


def merged(files: Iterable[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """The settings of several files together: a key that an earlier one has too gets its file's
    name: `eval.yaml:seed`.
    """
    found: dict[str, str] = {}
    for name, settings in files:
        for key, value in settings.items():
            found[f"{name}:{key}" if key in found else key] = value
    return found


# ── plain block mappings, line by line
# ─────────────────────────────────────────────────────────────────────────────


def plain_yaml(text: str) -> dict[str, str] | None:
    """The settings of YAML that is block mappings of plain values and lists of them; None for any
    other.
    """
    if "\t" in text or "\r" in text:
        return None
    found: dict[str, str] = {}
    open_: list[
        tuple[int, str]
    ] = []  # the mappings that are open: their keys' indent, their prefix
    waiting: tuple[int, str] | None = None  # a key without a value: a mapping may follow below it
    lists: dict[str, list[str]] = {}
    for line in text.split("\n"):
        content = re.sub(r"(?:^| )#.*$", "", line).rstrip()
        if not content.strip():
            continue
        if "#" in line and ('"' in line or "'" in line):
            return None
        indent = len(content) - len(content.lstrip(" "))
        if content.lstrip(" ").startswith("- "):
            value = _plain(content.lstrip(" ")[2:].strip())
            if (
                waiting is None
                or indent < waiting[0]
                or value is None
                or _inner_indent(lists, waiting[1], indent) is None
            ):
                return None
            lists.setdefault(waiting[1], [str(indent)]).append(value)
            continue
        match = _PLAIN_KEY.fullmatch(content)
        if match is None or canonical(match[2]) != match[2]:
            return None
        if waiting is not None:
            if waiting[1] in lists:
                found[waiting[1]] = "[" + ", ".join(lists[waiting[1]][1:]) + "]"
            elif indent > waiting[0]:
                open_.append((indent, waiting[1]))
            else:
                found[waiting[1]] = "null"
            if waiting[1] in lists and indent > waiting[0]:
                return None
        while open_ and open_[-1][0] > indent:
            open_.pop()
        if indent != (open_[-1][0] if open_ else 0):
            return None
        if open_:
            prefix = open_[-1][1] + "."
        else:
            prefix = ""
        key = prefix + match[2]
        if (
            key in found
            or key in lists
            or (waiting is not None and waiting[1] == key)
            or len(open_) >= MOST_DEPTH
        ):
            return None
        if any(prefix_key == key for _, prefix_key in open_):
            return None
        if match[3]:
            value = _plain(match[3])
            if value is None:
                return None
            found[key] = value
            waiting = None
        else:
            waiting = (indent, key)
        if len(found) > MOST_SETTINGS:
            return None
    if waiting is not None:
        found[waiting[1]] = (
            "[" + ", ".join(lists[waiting[1]][1:]) + "]" if waiting[1] in lists else "null"
        )
    return found or None


def _inner_indent(lists: Mapping[str, list[str]], key: str, indent: int) -> int | None:
    """The indent of a list's items; None where this one's is another."""
    if key not in lists or lists[key][0] == str(indent):
        return indent
    return None


def _plain(text: str) -> str | None:
    """A plain or quoted value, or a list of plain ones; None for anything else."""
    if _QUOTED.fullmatch(text):
        return text[1:-1]
    if match := _FLOW.fullmatch(text):
        return (
            "["
            + ", ".join(canonical(part) for part in (match[1] or "").split(",") if part.strip())
            + "]"
        )
    if text.startswith(("- ", "? ", "---", "...")) or text in ("-", "?"):
        return None
    if _PLAIN_VALUE.fullmatch(text) or _URL_OR_PATH.fullmatch(text):
        return canonical(text)
    return None


# ── anything else
# ──────────────────────────────────────────────────────────────────────────────────────────────────


def yaml_settings(text: str) -> dict[str, str]:
    """The settings of any YAML document.

    Raises:
        UnreadableError: it is none, or has more than MOST_SETTINGS.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            node = YAML(typ="rt").compose(text)
    except (YAMLError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
        raise UnreadableError from error
    return _collected(_walk(node, ""))


def _load(suffix: str, text: str) -> Any:
    try:
        if suffix == "json":
            return json.loads(text)
        if suffix == "toml":
            return tomllib.loads(text)
        parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
        parser.read_string(text)
        return {section: dict(parser.items(section)) for section in parser.sections()}
    except (ValueError, configparser.Error) as error:
        raise UnreadableError from error


def of_value(value: Any) -> dict[str, str]:
    """The settings of a mapping that was read already, as a recorded run's configuration; empty for
    one too large.
    """
    try:
        return _collected(_walk(value, ""))
    except (UnreadableError, RecursionError):
        return {}


def _collected(pairs: Iterator[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in pairs:
        found[key] = value
        if len(found) > MOST_SETTINGS:
            raise UnreadableError
    return found


def _walk(top: Any, prefix: str) -> Iterator[tuple[str, str]]:
    visits = 0
    waiting: list[tuple[str, Any, int]] = [(prefix, top, 0)]
    while waiting:
        key, value, depth = waiting.pop()
        visits += 1
        if depth > MOST_DEPTH or visits > _MOST_VISITS:
            raise UnreadableError
        items = _items(value)
        if items is None:
            if key:
                yield key, _scalar(value)
            continue
        keyed, parts = items
        if not keyed and all(_items(part) is None for _, part in parts):
            yield key, "[" + ", ".join(_scalar(part) for _, part in parts) + "]"
            continue
        waiting += reversed(
            [(f"{key}.{name}" if key else name, part, depth + 1) for name, part in parts]
        )


def _items(value: Any) -> tuple[bool, list[tuple[str, Any]]] | None:
    """The parts of a mapping (True) or a list (False), by name; None for a single value."""
    if isinstance(value, MappingNode):
        return True, [
            (str(name.value) if isinstance(name, ScalarNode) else "?", part)
            for name, part in value.value
        ]
    if isinstance(value, SequenceNode):
        return False, [(str(number), part) for number, part in enumerate(value.value)]
    if isinstance(value, Mapping):
        return True, [(str(name), part) for name, part in value.items()]
    if isinstance(value, list | tuple):
        return False, [(str(number), part) for number, part in enumerate(value)]
    return None


def _scalar(value: Any) -> str:
    if isinstance(value, Node):
        text = str(value.value)
        plain = getattr(value, "style", None) in (None, "")
        if plain:
            return canonical(text)
        return text
    if isinstance(value, bool):
        if value:
            return "true"
        return "false"
    if value is None:
        return "null"
    if isinstance(value, float | int):
        return canonical(repr(value))
    if isinstance(value, str):
        return value
    return msgspec.json.encode(str(value)).decode()
