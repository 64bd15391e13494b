"""Configurations as settings: dotted key → value as text, so that two of them can be compared key
by key.

A value is the text that stands in the file, numbers and constants in one spelling (`1.0e-2` is
`0.01`). Most YAML of hundreds of runs is plain block mappings, which are read line by line, some
hundred times as fast as YAML can be at the worst; whatever goes beyond that is left to the reader
of YAML. Nothing in a file can make an object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from watchkeeper.core.text import lazy, redaction
from watchkeeper.core.text.figures import canonical
from watchkeeper.reading.nodes import MappingNode, Node, NoYAMLError, ScalarNode, SequenceNode
from watchkeeper.reading.yaml import compose

MOST_BYTES = 256 * 1024
"""Of a file that is read key by key: a larger one is compared by its hash."""
MOST_SLOW_BYTES = 512 * 1024
"""Of all the YAML together, for one reader, that is more than plain block mappings: where libyaml
does not read it, ruamel.yaml reads some 60 kB a second.
"""
MOST_SETTINGS = 2000
MOST_DEPTH = 40
_MOST_VISITS = 20_000  # aliases can name one node again and again

_PLAIN_KEY = lazy.pattern(r"( *)([A-Za-z0-9_][\w./-]*):(?: +(.*?))? *")
_PLAIN_VALUE = lazy.pattern(r"[\w./~+$-][^#\n:\"'\[\]{}&*!|>%@`,\\\t]*")
_URL_OR_PATH = lazy.pattern(r"[\w./~+-]+(?::[\w./+-]+)*")
_QUOTED = lazy.pattern(r"\"[^\"\\\n]*\"|'[^'\n]*'")
_FLOW = lazy.pattern(r"\[ *((?:[\w./~+-]+)(?: *, *[\w./~+-]+)*)? *\]")


class UnreadableError(Exception):
    """The file cannot be read as settings."""


class Reader:
    """Reads configurations; what was read once is remembered by its hash."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], dict[str, str] | None] = {}
        self._slow_bytes = 0

    def settings(self, name: str, sha256: str, data: bytes) -> dict[str, str] | None:
        """The settings of a file of this name that holds `data`, of this hash; None: it can only be
        compared as a whole.

        Of `optimizer:` above `  lr: 1.0e-2` they are `{"optimizer.lr": "0.01"}`. The suffix of the
        name says what is read: YAML, JSON, TOML, and anything else as an INI file. A secret is
        `<redacted>`: it makes no difference between two runs, and is never shown.
        """
        suffix = name.rpartition(".")[2].casefold()
        if (suffix, sha256) not in self._known:
            try:
                self._known[suffix, sha256] = _without_secrets(self._read(suffix, data))
            except (UnreadableError, RecursionError):
                self._known[suffix, sha256] = None
        return self._known[suffix, sha256]

    def _read(self, suffix: str, data: bytes) -> dict[str, str]:
        """The settings of a file's bytes.

        Raises:
            UnreadableError: it is too large, not UTF-8, not of the form that its suffix says, or
                YAML that would take too long together with what was read before.
        """
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
    """The settings, with `<redacted>` for each secret: by the name of its key (`api_token`), or
    within its value (`https://user:password@host`).
    """
    shown = {}
    for name, value in settings.items():
        if redaction.is_secret(name, value):
            shown[name] = redaction.REDACTED
        else:
            shown[name] = redaction.redact(value)
    return shown


def merged(files: Iterable[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """The settings of several files together; a key that an earlier file has too is prefixed with
    its file's name: `eval.yaml:seed`.

    `files` are (name, settings), in the order in which the script names them.
    """
    together: dict[str, str] = {}
    for name, settings in files:
        for key, value in settings.items():
            unique = f"{name}:{key}" if key in together else key
            together[unique] = value
    return together


# ── plain block mappings, line by line


def plain_yaml(text: str) -> dict[str, str] | None:
    """The settings of YAML that consists of block mappings of plain values and lists of them; None:
    it is something else, or holds nothing.

        optimizer:
          lr: 1.0e-2        # a remark
          betas: [0.9, 0.95]
        tasks:
          - clean

    gives `optimizer.lr`: `0.01`, `optimizer.betas`: `[0.9, 0.95]`, `tasks`: `[clean]`. What YAML
    would read otherwise than this (a number as a key, quotes with escapes, anchors) is something
    else.
    """
    if "\t" in text or "\r" in text:
        return None
    reader = _PlainReader()
    try:
        for line in text.split("\n"):
            reader.read_line(line)
        reader.close_key()
    except _NotPlainError:
        return None
    return reader.settings or None


class _NotPlainError(Exception):
    """The document is more than plain block mappings."""


class _PlainReader:
    """Reads plain block mappings line by line; `settings` are those that are complete so far."""

    def __init__(self) -> None:
        self.settings: dict[str, str] = {}
        # The mappings that are open: the indent of their keys, and the key that holds them.
        self._open: list[tuple[int, str]] = []
        # The last key and its indent, while it has no value: a mapping or a list may follow.
        self._key: tuple[int, str] | None = None
        self._list: list[str] = []
        self._list_indent = 0

    def read_line(self, line: str) -> None:
        """Read one more line.

        Raises:
            _NotPlainError: it is more than a plain pair or item, or the document is too large.
        """
        content = re.sub(r"(?:^| )#.*$", "", line).rstrip()
        stripped = content.lstrip(" ")
        if not stripped:
            return
        if "#" in line and ('"' in line or "'" in line):
            raise _NotPlainError  # the # may stand inside quotes
        indent = len(content) - len(stripped)
        if stripped.startswith("- "):
            self._read_item(indent, stripped[2:].strip())
            return
        match = _PLAIN_KEY.fullmatch(content)
        if match is None or canonical(match[2]) != match[2]:
            raise _NotPlainError
        self._begin_key(indent)
        self._read_pair(indent, match[2], match[3])
        if len(self.settings) > MOST_SETTINGS:
            raise _NotPlainError

    def close_key(self) -> None:
        """The key without a value is over: its value is its list, or null."""
        if self._key is not None:
            value = "null"
            if self._list:
                value = "[" + ", ".join(self._list) + "]"
            self.settings[self._key[1]] = value
        self._key = None
        self._list = []

    def _read_item(self, indent: int, text: str) -> None:
        """`- text`, an item of the list of the key before it, at that key's indent or deeper.

        Raises:
            _NotPlainError: no key awaits a list, its items stand at several indents, or the item
                is not plain.
        """
        value = _plain(text)
        if value is None:
            raise _NotPlainError
        if self._key is None or indent < self._key[0]:
            raise _NotPlainError
        if self._list and indent != self._list_indent:
            raise _NotPlainError
        self._list_indent = indent
        self._list.append(value)

    def _begin_key(self, indent: int) -> None:
        """A key follows at this indent: it begins the mapping of the key before, or ends that.

            optimizer:           open: none
              lr: 0.01           open: `optimizer`, with its keys at indent 2
            seed: 7              open: none again

        Raises:
            _NotPlainError: no mapping that is open has its keys at this indent.
        """
        if self._key is not None and indent > self._key[0]:
            if self._list:
                raise _NotPlainError
            self._open.append((indent, self._key[1]))
            self._key = None
        self.close_key()
        while self._open and self._open[-1][0] > indent:
            self._open.pop()
        expected = self._open[-1][0] if self._open else 0
        if indent != expected:
            raise _NotPlainError

    def _read_pair(self, indent: int, name: str, text: str | None) -> None:
        """`name: text`, in the mapping that is open; without a text, its value follows below.

        Raises:
            _NotPlainError: the key is there already, the value is not plain, or it lies too deep.
        """
        key = f"{self._open[-1][1]}.{name}" if self._open else name
        is_repeated = key in self.settings or any(owner == key for _, owner in self._open)
        if is_repeated or len(self._open) >= MOST_DEPTH:
            raise _NotPlainError
        if not text:
            self._key = indent, key
            return
        value = _plain(text)
        if value is None:
            raise _NotPlainError
        self.settings[key] = value


def _plain(text: str) -> str | None:
    """A plain or quoted value, or a list of plain ones; None for anything else.

    1.0e-2                 `0.01`
    /data/demo.hdf5        as it is
    "a: b"                 `a: b`
    [0.9, 0.95]            `[0.9, 0.95]`
    {a: 1}                 None, as are `*anchor`, `- item` and `|`
    """
    if _QUOTED.fullmatch(text):
        return text[1:-1]
    if match := _FLOW.fullmatch(text):
        parts = [part for part in (match[1] or "").split(",") if part.strip()]
        return "[" + ", ".join(map(canonical, parts)) + "]"
    if text.startswith(("- ", "? ", "---", "...")) or text in ("-", "?"):
        return None
    if _PLAIN_VALUE.fullmatch(text) or _URL_OR_PATH.fullmatch(text):
        return canonical(text)
    return None


# ── anything else


def yaml_settings(text: str) -> dict[str, str]:
    """The settings of any YAML document.

    Raises:
        UnreadableError: it is not YAML, or has more than MOST_SETTINGS.
    """
    try:
        node = compose(text)
    except NoYAMLError as error:
        raise UnreadableError from error
    return _collected(_walk(node, ""))


def _load(suffix: str, text: str) -> Any:
    """What a file of another form than YAML holds, as Python's values.

    Raises:
        UnreadableError: it is not of the form that its suffix says.
    """
    try:
        if suffix == "json":
            return json.loads(text)
        if suffix == "toml":
            import tomllib  # only where there is such a file

            return tomllib.loads(text)
        return _load_ini(text)
    except ValueError as error:
        raise UnreadableError from error


def _load_ini(text: str) -> dict[str, dict[str, Any]]:
    """Raises UnreadableError."""
    import configparser  # only where there is such a file

    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
        return {section: dict(parser.items(section)) for section in parser.sections()}
    except configparser.Error as error:
        raise UnreadableError from error


def of_value(value: Any) -> dict[str, str]:
    """The settings of a mapping that was read already, as a recorded run's configuration; empty for
    one too large.

    `{"optimizer": {"lr": 0.01}, "tasks": ["clean"]}` gives `optimizer.lr`: `0.01`, `tasks`:
    `[clean]`.
    """
    try:
        return _collected(_walk(value, ""))
    except (UnreadableError, RecursionError):
        return {}


def _collected(pairs: Iterator[tuple[str, str]]) -> dict[str, str]:
    """The pairs as settings; of a key that comes twice the last value counts.

    Raises:
        UnreadableError: there are more than `MOST_SETTINGS`.
    """
    settings: dict[str, str] = {}
    for key, value in pairs:
        settings[key] = value
        if len(settings) > MOST_SETTINGS:
            raise UnreadableError
    return settings


def _walk(top: Any, prefix: str) -> Iterator[tuple[str, str]]:
    """The settings of a value, in its order: (dotted key, value as text).

    A list of single values is one setting, `[0.9, 0.95]`; one that holds mappings or lists has a
    setting for each of theirs, under its number: `runs.0.lr`.

    Raises:
        UnreadableError: it is too deep, or has too many parts.
    """
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
        is_mapping, parts = items
        if not is_mapping and _is_flat(parts):
            yield key, "[" + ", ".join(_scalar(part) for _, part in parts) + "]"
            continue
        # the last one first: what waits is taken from the end
        for name, part in reversed(parts):
            waiting.append((f"{key}.{name}" if key else name, part, depth + 1))


def _is_flat(parts: list[tuple[str, Any]]) -> bool:
    """Whether no part has parts: neither a mapping nor a list is among them."""
    return all(_items(part) is None for _, part in parts)


def _items(value: Any) -> tuple[bool, list[tuple[str, Any]]] | None:
    """The parts of a mapping (True) or a list (False), by name; None: it is a single value.

        {"lr": 0.01, "rank": 8}      True, [("lr", 0.01), ("rank", 8)]
        ["clean", "noisy"]           False, [("0", "clean"), ("1", "noisy")]

    The value is a node of YAML, or what a JSON, TOML or INI file gives.
    """
    if isinstance(value, MappingNode):
        return True, [(_name_of(name), part) for name, part in value.value]
    if isinstance(value, SequenceNode):
        value = value.value
    if isinstance(value, Mapping):
        return True, [(str(name), part) for name, part in value.items()]
    if isinstance(value, list | tuple):
        return False, [(str(number), part) for number, part in enumerate(value)]
    return None


def _name_of(node: Node) -> str:
    """The text of a key, "?" where it is not a scalar: YAML allows a mapping as a key."""
    if not isinstance(node, ScalarNode):
        return "?"
    return str(node.value)


def _scalar(value: Any) -> str:
    """A single value as text: `true`, `null`, numbers in one spelling, a text as it is.

    A quoted number of YAML, `"1e-3"`, is a text.
    """
    if isinstance(value, Node):
        text = str(value.value)
        is_quoted = getattr(value, "style", None) not in (None, "")
        if is_quoted:
            return text
        return canonical(text)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, float | int):
        return canonical(repr(value))
    if isinstance(value, str):
        return value
    return msgspec.json.encode(str(value)).decode()
