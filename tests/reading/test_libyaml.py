"""libyaml and ruamel.yaml read the same nodes, or libyaml leaves the text to the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz import targets
from tests.fuzz.mutations import mutated
from watchkeeper.core.errors import ExperimentError
from watchkeeper.reading import libyaml, ruamel_yaml, yaml
from watchkeeper.reading.nodes import MappingNode, Node, NoYAMLError, ScalarNode, SequenceNode

READ = {
    "words of YAML 1.1": "[y, n, yes, No, on, OFF, 1:30, 1:30.5, 017, 0b11, 1_000]",
    "numbers": "[0o17, 0x1F, 1e-3, 1.e3, .5, .5e-3, -.inf, .NaN, +12, 1e3x, 0b, _1, -, .]",
    "nothing": "[~, null, Null, NULL, nULL, '', \"\"]",
    "nothing behind a key": "a:\nb:\n- c\n",
    "dates": "[2026-01-02, 2026-1-2, 2026-1-2 3:04:05, 2026-01-02T03:04:05.6 +1:00, 2026-01-02x]",
    "booleans": "[true, True, tRUE, FALSE, falsey]",
    "quoted words": "['true', \"1\", 'null', \"\\x41\\n\", 'it''s']",
    "aliases": "a: &a {x: 1}\nb: *a\nc: [*a, &b [2], *b]\n",
    "merged": "a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\n",
    "a key twice": "a: 1\nb: 2\na: 3\n",
    "block texts": "a: |\n  one\n   two\nb: >-\n  one\n  two\n\n  three\nc: |2\n   x\n",
    "comments": "# one\na: 1 # two\n\n#three\nb: # four\n  - c#d\n",
    "Windows line ends": "a: 1\r\nb:\r\n  - c\r\n",
    "letters beyond ASCII": "à: [é, 💩, 日本]\nü: 1\n",
    "a long line": "a: " + "word " * 2000,
    "a document mark": "---\na: 1\n...\n",
    "empty": "",
    "only a comment": "# nothing\n",
}
LEFT = {
    "a tab": "a:\t1\n",
    "a tag": "a: !!int '1'\n",
    "an object": "a: !!python/object/apply:os.system ['x']\n",
    "a directive": "%YAML 1.1\n---\na: yes\n",
    "a line separator": "a: b\u2028c\n",
    "a byte order mark inside": "a: b\ufeff\n",
    "an anchor of odd letters": "&a:b c: 1\n",
    "a text that begins with blanks": "a: |\n   \n  x\n",
    "two documents": "a: 1\n---\nb: 2\n",
    "an alias of nothing": "a: *b\n",
    "an open bracket": "a: [1\n",
    "a forbidden letter": "a: \x01\n",
    "deep": "[" * 101 + "]" * 101,
}


def described(top: Node | None) -> list[Any]:
    """The nodes in their order, each with what the program reads of it."""
    lines: list[Any] = []
    numbers: dict[int, int] = {}
    waiting: list[Node | None] = [top]
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in numbers:
            lines.append(numbers.get(id(node)))
            continue
        numbers[id(node)] = len(numbers)
        place = (node.start_mark.line, node.start_mark.column)
        if isinstance(node, ScalarNode):
            is_empty = node.value == "" and not node.style  # its place is never shown
            lines.append((node.tag, node.value, node.style or "", None if is_empty else place))
        elif isinstance(node, SequenceNode):
            lines.append((node.tag, place, len(node.value)))
            waiting += reversed(node.value)
        elif isinstance(node, MappingNode):
            lines.append((node.tag, place, len(node.value)))
            waiting += [part for pair in reversed(node.value) for part in reversed(pair)]
    return lines


def compare(text: str) -> bool:
    """Compare both readers; whether libyaml read the text."""
    try:
        node = libyaml.compose(text)
    except libyaml.DisputedError:
        return False
    assert described(node) == described(ruamel_yaml.compose(text))
    return True


@pytest.mark.parametrize("name", READ)
def test_both_read_the_same(name: str) -> None:
    """What libyaml reads is what YAML 1.2 says: kinds, words, places and shared nodes."""
    assert compare(READ[name])


@pytest.mark.parametrize("name", LEFT)
def test_what_may_be_read_otherwise_is_left(name: str) -> None:
    """What the versions of YAML read differently, and each fault, is left to ruamel.yaml."""
    assert not compare(LEFT[name])


@settings(
    max_examples=300,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(data=mutated((targets.SUMMARY, *(text.encode() for text in READ.values()))))
def test_both_read_the_same_of_nearly_right_texts(data: bytes) -> None:
    """Of a text that is cut, repeated or filled with odd letters libyaml reads what ruamel.yaml
    reads, or leaves it.
    """
    compare(data.decode("utf-8", "replace"))


@pytest.mark.parametrize("name", READ)
def test_without_libyaml_the_answers_are_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where PyYAML was built without libyaml, a text is read all the same."""
    fast = described(yaml.compose(READ[name]))
    monkeypatch.setattr(yaml, "libyaml", None)
    assert described(yaml.compose(READ[name])) == fast


def test_a_folded_text_holds_only_its_letters() -> None:
    """No mark of the reader's stands in a folded text, whoever read it."""
    folded = "a: >\n  one\n  two\n"
    assert described(ruamel_yaml.compose(folded)) == described(libyaml.compose(folded))
    item = yaml.load(Path("x.yaml"), (folded + "b: !!str c\n").encode()).mapping()
    assert item is not None
    assert item["a"][1].text() == "one two\n"


def test_what_trips_a_reader_is_a_fault() -> None:
    """A text on which ruamel.yaml itself fails is a fault with a place, and no crash."""
    with pytest.raises(NoYAMLError):
        ruamel_yaml.compose(" #c\n> # c\n  text-0- ")


def test_a_fault_has_its_line_whoever_read_the_text() -> None:
    """A fault is worded with line and column, and nothing is read."""
    with pytest.raises(ExperimentError, match=r"x\.yaml:3:1: this is no YAML: "):
        yaml.load(Path("x.yaml"), b"a: [1,\nb: 2\n")
