"""YAML as nodes: PyYAML's classes, each with a tag and its place in the text."""

from __future__ import annotations

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

__all__ = ["MOST_LEVELS", "TAG", "MappingNode", "Node", "ScalarNode", "SequenceNode"]

MOST_LEVELS = 100
"""Of lists and mappings within each other; what people write has ten."""
TAG = "tag:yaml.org,2002:"
"""How the tags of YAML's own kinds begin."""


class NoYAMLError(ValueError):
    """A text that cannot be read as one YAML document. `line` and `column` count from 1; `hint` is
    what to do, "" where that is not known.
    """

    def __init__(self, line: int, column: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.message = message
        self.hint = hint
