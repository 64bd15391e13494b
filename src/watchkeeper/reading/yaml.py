"""YAML with a place for everything: each value knows its line and column, and each fault names
them.

The text is composed to nodes and never constructed: nothing in a file can make an object, and a
value's own words stay at hand for the message. libyaml reads what every reader of YAML 1.2 reads in
one way. ruamel.yaml, which takes some twenty times as long, reads the rest and words the faults, so
that the answer is YAML 1.2's and does not depend on how PyYAML was built.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from watchkeeper.core.errors import ExperimentError, Problem, Severity
from watchkeeper.core.text import lazy
from watchkeeper.reading.nodes import (
    TAG,
    MappingNode,
    Node,
    NoYAMLError,
    ScalarNode,
    SequenceNode,
)

try:
    from watchkeeper.reading import libyaml
except ImportError:  # PyYAML was built without it
    libyaml = None  # type: ignore[assignment]

# Key → kind: `!` must be there. `any` and what ends with `?` do not bear on the plan: a fault there
# is a warning.
Schema = Mapping[str, str]
_KINDS = {"mapping": "a mapping", "list": "a list", "text": "text", "number": "a number"}
_TYPO = 0.85  # difflib's ratio from which an unknown key counts as a known one misspelt

_INTEGER = lazy.pattern(r"[-+]?[0-9]{1,9}")
# Plain words that readers of YAML 1.1 (PyYAML among them) take for true and false.
_YAML_1_1_BOOL = frozenset({"y", "n", "yes", "no", "on", "off"})


class Located:
    """One value of the file, at `where` (`path:line:column`)."""

    def __init__(self, path: Path, node: Node, mark: Any = None) -> None:
        self.path = path
        self.node = node
        self._mark = mark or node.start_mark

    @property
    def where(self) -> str:
        """`path:line:column`, both from 1."""
        return f"{self.path}:{self.line}:{self._mark.column + 1}"

    @property
    def line(self) -> int:
        """The line it begins on, from 1."""
        return int(self._mark.line) + 1

    @property
    def words(self) -> str:
        """The value as written, in quotes and shortened; of a mapping or a list what it is."""
        if not isinstance(self.node, ScalarNode):
            return self.what
        text = str(self.node.value)
        if len(text) > 60:
            text = text[:57] + "…"
        return repr(text)

    @property
    def what(self) -> str:
        """What kind of value YAML reads here, for a message: `a mapping`, `a list`, `a number`, `a
        date`, `a boolean`, `nothing`, or `text`.
        """
        if isinstance(self.node, MappingNode):
            return "a mapping"
        if isinstance(self.node, SequenceNode):
            return "a list"
        kinds = {
            "null": "nothing",
            "bool": "a boolean",
            "int": "a number",
            "float": "a number",
            "timestamp": "a date",
        }
        return kinds.get(str(self.node.tag).removeprefix(TAG), "text")

    @property
    def is_null(self) -> bool:
        """Whether it is null, `~` or nothing at all."""
        return str(self.node.tag) == f"{TAG}null"

    def problem(self, message: str, hint: str = "", *, severity: Severity = "error") -> Problem:
        """A finding at this place."""
        return Problem(
            where=self.where, message=message, hint=hint, severity=severity, code="bad-file"
        )

    def text(self) -> str | None:
        """The text, None if YAML reads something else here: `no` is text, `1e-3` a number. An empty
        text in quotes is "".
        """
        if isinstance(self.node, ScalarNode) and self.what == "text":
            return str(self.node.value)
        return None

    def scalar(self) -> str | None:
        """A text, number, date or boolean as it is written; None for null, a list or a mapping.

        `1.0e-2` is not turned into `0.01`: who compares values brings them into one spelling.
        """
        if isinstance(self.node, ScalarNode) and not self.is_null:
            return str(self.node.value)
        return None

    def integer(self) -> int | None:
        """The whole number (of at most nine digits), None if YAML reads something else here.

        `12`, `-3` and `+4` are such numbers; `0x10`, `1_000` and `1e3` are not.
        """
        if not isinstance(self.node, ScalarNode):
            return None
        if str(self.node.tag) != f"{TAG}int":
            return None
        if not _INTEGER.fullmatch(str(self.node.value)):
            return None
        return int(self.node.value)

    def list(self) -> list[Located] | None:
        """The elements, None if it is no list. An empty list has none."""
        if not isinstance(self.node, SequenceNode):
            return None
        return [Located(self.path, node) for node in self.node.value]

    def mapping(self) -> dict[str, tuple[Located, Located]] | None:
        """Key → its own place and its value, None if it is no mapping.

        `<<` is merged in, with the keys that stand there counting first; of two equal keys the
        first counts (`duplicates` reports the others). A key that is not a scalar is left out.
        """
        if not isinstance(self.node, MappingNode):
            return None
        entries: dict[str, tuple[Located, Located]] = {}
        seen: set[int] = set()  # a value may merge itself, or one source a thousand times
        sources: list[Node] = [self.node]
        while sources:
            node = sources.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, SequenceNode):
                sources += reversed(node.value)
            if not isinstance(node, MappingNode):
                continue
            for key, value in node.value:
                if str(key.tag) == f"{TAG}merge":
                    sources.append(value)
                elif isinstance(key, ScalarNode):
                    place = Located(self.path, key)
                    entry = Located(self.path, value, _mark_of(key, value))
                    entries.setdefault(str(key.value), (place, entry))
        return entries

    def reads_otherwise_elsewhere(self) -> bool:
        """Whether readers of YAML 1.1 take this unquoted word for true or false: `no`, `on`, `y`.

        Here it is text, so that a name such as `no` may need quotes for other programs only.
        """
        if not isinstance(self.node, ScalarNode):
            return False
        if self.node.style:
            return False
        return str(self.node.value).lower() in _YAML_1_1_BOOL


def _mark_of(key: ScalarNode, value: Node) -> Any:
    """Where an entry's value is; None: where its own mark says.

    Where nothing is written, as behind `epochs:`, that mark is at whatever comes next, perhaps
    lines below, and the place is behind the key.
    """
    if not isinstance(value, ScalarNode):
        return None
    if value.value == "" and not value.style:
        return key.end_mark
    return None


def compose(text: str) -> Node | None:
    """The text's one document, which may be nested MOST_LEVELS deep; None for an empty text.

    Raises:
        NoYAMLError: it cannot be read.
    """
    if libyaml is not None:
        with contextlib.suppress(libyaml.DisputedError):
            return libyaml.compose(text)
    from watchkeeper.reading import ruamel_yaml

    return ruamel_yaml.compose(text)


def load(path: Path, data: bytes) -> Located:
    """The file's one document.

    Raises:
        ExperimentError: it is no YAML, or not UTF-8; the message has line and column.
    """
    text = _decoded(path, data)
    try:
        node = compose(text)
    except NoYAMLError as error:
        raise _no_yaml(path, error) from error
    if node is None:
        empty = Problem(
            where=f"{path}:1:1",
            message="the file is empty",
            hint="it needs experiment, tools and runs at least",
            code="bad-file",
        )
        raise ExperimentError(f"{empty.where}: {empty.message}", problems=(empty,))
    return Located(path, node)


def _decoded(path: Path, data: bytes) -> str:
    """The file as text, without a mark of its byte order.

    Raises:
        ExperimentError: it is not UTF-8; the message has line and column.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        fault = NoYAMLError(line, column, "it is not UTF-8", "save the file as UTF-8")
        raise _no_yaml(path, fault) from error


def _no_yaml(path: Path, fault: NoYAMLError) -> ExperimentError:
    """The error of a file that cannot be read, with the fault's place and what to do."""
    problem = Problem(
        where=f"{path}:{fault.line}:{fault.column}",
        message=f"this is no YAML: {fault.message}",
        hint=fault.hint,
        code="bad-file",
    )
    return ExperimentError(f"{problem.where}: {problem.message}", problems=(problem,))


def duplicates(item: Located, *, without: Iterable[Located] = ()) -> list[Problem]:
    """Every key that stands twice in one mapping, anywhere in the value, except below the values
    `without`.
    """
    problems: list[Problem] = []
    seen = {id(part.node) for part in without}
    waiting: list[Node] = [item.node]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            waiting += reversed(node.value)
        elif isinstance(node, MappingNode):
            waiting += [value for _, value in node.value]
            problems += _repeated_keys(item.path, node)
    return problems


def _repeated_keys(path: Path, node: MappingNode) -> Iterator[Problem]:
    """The keys of one mapping that stand there again; YAML forbids them, and most readers keep one
    without a word.
    """
    first_lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, ScalarNode):
            continue
        here = Located(path, key)
        if key.value in first_lines:
            line = first_lines[key.value]
            message = f"key {here.words} stands here again, first on line {line}"
            yield here.problem(message, "keep one of them")
        first_lines.setdefault(str(key.value), here.line)


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.55) -> str:
    """The known word that `word` was most likely meant to be, "" if none is nearer than `cutoff`
    (difflib's ratio).
    """
    import difflib  # only where a word is wrong

    return next(iter(difflib.get_close_matches(word, [*known], n=1, cutoff=cutoff)), "")


def listed(words: Sequence[str], limit: int = 8) -> str:
    """The words for a message, shortened: `a, b, c and 4 more`."""
    shown = ", ".join(words[:limit])
    if len(words) > limit:
        shown += f" and {len(words) - limit} more"
    return shown


# ── one mapping


def fields(item: Located, what: str, schema: Schema) -> tuple[dict[str, Located], list[Problem]]:
    """The values of a mapping that are of the kind they should be, and what is wrong with the
    others. An empty value counts as none.

    `what` names the mapping in messages, `the summary` or `tools`. With the schema `{"name":
    "text!", "seed": "number?"}`, a list as `name` is an error, a text as `seed` a warning, and a
    mapping without `name` an error.
    """
    mapping = item.mapping()
    if mapping is None:
        return {}, [wrong_kind(item, what, "mapping", "error")]
    values: dict[str, Located] = {}
    problems: list[Problem] = []
    for key, (place, value) in mapping.items():
        kind = schema.get(key)
        if kind is None:
            problems.append(_unknown_key(place, key, what, schema))
            continue
        if value.is_null and not kind.endswith("!"):
            continue
        plain_kind = kind.rstrip("!?")
        if _is(value, plain_kind):
            values[key] = value
            continue
        name = key if what == "the summary" else f"{what}.{key}"
        problems.append(wrong_kind(value, name, plain_kind, _severity_of(kind)))
    problems += _missing_keys(item, what, schema, mapping)
    return values, problems


def _severity_of(kind: str) -> Severity:
    """How grave a value of another kind is; `?` marks what does not bear on the plan."""
    if kind.endswith("?"):
        return "warning"
    return "error"


def _missing_keys(
    item: Located, what: str, schema: Schema, keys: Container[str]
) -> Iterator[Problem]:
    """The keys that must be there (`!`), and are not. `keys` are those of the mapping; a key with
    an empty value is there, and of the wrong kind.
    """
    for key, kind in schema.items():
        if kind.endswith("!") and key not in keys:
            yield item.problem(f"{what} has no {key!r}, which it must have", f"add `{key}:`")


def _is(item: Located, kind: str) -> bool:
    """Whether a value is of a kind of `Schema`, without its mark: `text`, `number`, `mapping`,
    `list`; `any` and `value` fit every one.
    """
    if kind == "number":
        return item.what == "a number"
    if kind == "text":
        return item.text() is not None
    if kind == "mapping":
        return item.mapping() is not None
    if kind == "list":
        return item.list() is not None
    return True  # `any` and `value`


def shown(item: Located) -> str:
    """What stands there, and as what YAML reads it: `a number '1e-3'`, `a list`, `nothing`. For
    messages.
    """
    if item.is_null:
        return "nothing"
    if item.words != item.what:
        return f"{item.what} {item.words}"
    return item.what


def wrong_kind(item: Located, what: str, kind: str, severity: Severity) -> Problem:
    """The fault of a value that is not of the kind it must be: `runs must be a list, but YAML reads
    text 'r8' here`, with the hint `write [r8]`.
    """
    hint = ""
    if kind == "text" and item.what not in ("a mapping", "a list", "nothing"):
        hint = f'quote it: "{item.node.value}"'
    elif kind == "list" and item.what not in ("a mapping", "nothing"):
        hint = f"write [{item.node.value}]"
    elif item.is_null:
        hint = f"write {_KINDS[kind]} there"
    return item.problem(
        f"{what} must be {_KINDS[kind]}, but YAML reads {shown(item)} here", hint, severity=severity
    )


def _unknown_key(place: Located, key: str, what: str, schema: Schema) -> Problem:
    """The fault of a key that the schema does not have. It is ignored with a warning, unless it is
    most likely a key that the plan hangs on, misspelt: then it is an error.
    """
    near = nearest(key, schema)
    # a key that the plan hangs on, misspelt, is not merely ignored
    kind = schema.get(nearest(key, schema, cutoff=_TYPO), "any")
    misspelt = kind != "any" and not kind.endswith("?")
    hint = f"did you mean {near!r}?" if near else f"known: {', '.join(schema)}"
    message = f"unknown key {key!r} in {what}"
    if misspelt:
        return place.problem(message, hint)
    return place.problem(f"{message}: it is ignored", hint, severity="warning")


def not_one_of(item: Located, known: tuple[str, ...]) -> Problem:
    """The fault of a word that is not known: `did you mean 'torchtune'? One of: …`."""
    words = ", ".join(known)
    near = nearest(item.text() or "", known)
    hint = f"one of: {words}"
    if near:
        hint = f"did you mean {near!r}? One of: {words}"
    return item.problem(f"{item.words} is not known here", hint)
