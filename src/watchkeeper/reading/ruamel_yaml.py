"""YAML read by ruamel.yaml, in Python: it knows YAML 1.2 to the letter, and locates a fault."""

from __future__ import annotations

import warnings
from typing import Any

from ruamel.yaml import YAML, nodes
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLStreamError
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scanner import RoundTripScanner, ScannerError

from watchkeeper.reading.nodes import (
    MOST_LEVELS,
    MappingNode,
    Node,
    NoYAMLError,
    ScalarNode,
    SequenceNode,
)

_TOO_DEEP = f"nested deeper than {MOST_LEVELS} levels"


class _BoundedScanner(RoundTripScanner):
    """Reads brackets to a bounded depth: it reads up to a thousand ahead of the composer."""

    def fetch_flow_collection_start(self, *token: Any, **options: Any) -> None:
        """Read `[` or `{`."""
        if len(self.flow_context) >= MOST_LEVELS:
            raise ScannerError(None, None, _TOO_DEEP, self.reader.get_mark())
        super().fetch_flow_collection_start(*token, **options)


class _BoundedComposer(Composer):
    """Composes nodes of a bounded depth: for brackets within brackets ruamel.yaml takes a time that
    grows with the square of their number, and Python's stack besides.
    """

    _levels = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node, with all below it."""
        self._levels += 1
        if self._levels > MOST_LEVELS:
            mark = self.parser.peek_event().start_mark
            raise ComposerError(None, None, _TOO_DEEP, mark)
        node = super().compose_node(parent, index)
        self._levels -= 1
        return node


def compose(text: str) -> Node | None:
    """The text's one document, which may be nested MOST_LEVELS deep; None for an empty text.

    Raises:
        NoYAMLError: it cannot be read; the error has the place and the reason.
    """
    reader = YAML(typ="rt")
    reader.Scanner = _BoundedScanner
    reader.Composer = _BoundedComposer
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a re-used anchor
            return _converted(reader.compose(text))
    except MarkedYAMLError as error:
        raise _marked_fault(error) from error
    except ReaderError as error:
        raise _forbidden_letter(text, error) from error
    except RecursionError as error:
        raise NoYAMLError(1, 1, "it is nested too deeply") from error
    except (YAMLError, YAMLStreamError, ValueError) as error:
        raise NoYAMLError(1, 1, str(error).splitlines()[0]) from error
    except (TypeError, AttributeError, NotImplementedError, AssertionError) as error:
        raise NoYAMLError(1, 1, "ruamel.yaml cannot read it") from error


def _marked_fault(error: MarkedYAMLError) -> NoYAMLError:
    """A fault whose place ruamel.yaml knows: the line and column of the problem, and where the
    thing that it is within begins. Marks count from 0.
    """
    mark = error.problem_mark or error.context_mark
    line, column = 1, 1
    if mark:
        line, column = mark.line + 1, mark.column + 1
    message = ", ".join(filter(None, (error.context, error.problem)))
    if error.context_mark and error.context_mark.line + 1 != line:
        message += f" (it begins on line {error.context_mark.line + 1})"
    hint = "look at this line and the one before it"
    if "\\t" in message or "\t" in message:
        hint = "indent with spaces"
    return NoYAMLError(line, column, message, hint)


def _forbidden_letter(text: str, error: ReaderError) -> NoYAMLError:
    """The fault of a control character: `character U+0007 may not stand in YAML`."""
    line = text.count("\n", 0, error.position) + 1
    column = error.position - text.rfind("\n", 0, error.position)
    message = f"character U+{error.character:04X} may not stand in YAML"
    return NoYAMLError(line, column, message, "remove it")


def _converted(top: Any) -> Node | None:
    """The same nodes in PyYAML's classes. What an alias names stays one node.

    Not recursive, and in two steps: first a copy of each node, then what they hold, so that a node
    may hold itself. None: the document is empty.
    """
    if top is None:
        return None
    pairs: dict[int, tuple[Any, Node]] = {}  # id of a node → the node, and its copy
    waiting = [top]
    while waiting:
        node = waiting.pop()
        if id(node) not in pairs:
            pairs[id(node)] = (node, _without_parts(node))
            waiting += _parts_of(node)
    for node, copy in pairs.values():
        if isinstance(node, nodes.MappingNode):
            copy.value = [(pairs[id(key)][1], pairs[id(value)][1]) for key, value in node.value]
        elif isinstance(node, nodes.SequenceNode):
            copy.value = [pairs[id(part)][1] for part in node.value]
    return pairs[id(top)][1]


def _parts_of(node: Any) -> list[Any]:
    """The nodes within a node: the parts of a list, the keys and values of a mapping. Empty: it is
    a scalar.
    """
    if isinstance(node, nodes.SequenceNode):
        return list(node.value)
    if not isinstance(node, nodes.MappingNode):
        return []
    parts = []
    for key, value in node.value:
        parts += [key, value]
    return parts


def _without_parts(node: Any) -> Node:
    """A node in PyYAML's class, with its tag and its place, and without what it holds. A scalar
    holds its text.
    """
    tag = str(node.tag)
    if isinstance(node, nodes.MappingNode):
        return MappingNode(tag, [], node.start_mark, node.end_mark)
    if isinstance(node, nodes.SequenceNode):
        return SequenceNode(tag, [], node.start_mark, node.end_mark)
    value = node.value
    if node.style == ">":
        value = value.replace("\a", "")  # ruamel.yaml marks where lines were folded
    return ScalarNode(tag, value, node.start_mark, node.end_mark, style=node.style)
