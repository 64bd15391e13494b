"""Documents of strangers are read with care, and files of others are never replaced."""

from __future__ import annotations

import json

import pytest

from watchkeeper.publish.documents import (
    GENERATED_BY,
    DocumentError,
    ForeignDocumentError,
    read_document,
    write_document,
)

REFUSED = {
    b'{"a": 1, "b": {"c": 1, "c": 2}}': "the key 'c' stands twice",
    b'{"a": NaN}': "NaN is no number of JSON",
    b'{"a": [-Infinity]}': "-Infinity is no number of JSON",
    b'{"a": 1e999}': "1e999 is too large for a number",
    b'["a"]': "holds a JSON list, not an object",
    b'{"a": "\xff"}': "is not UTF-8: byte 7",
    b'{"a": "\\ud800"}': "half a character",
    b'{"a": "\\uD800"}': "half a character",
    b'{"a": ': "is not a JSON document",
    b"": "is not a JSON document",
    b"[" * 100_000: "is not a JSON document",
    b'{"a": ' + b"9" * 5_000 + b"}": "is not a JSON document",
}


@pytest.mark.parametrize(("data", "message"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_two_readers_could_read_differently_is_refused(tmp_path, data, message):
    """A key that stands twice, a number that is none, and what is no JSON object end in an error
    that names the file and the fault.
    """
    path = tmp_path / "SIGNOFF.json"
    path.write_bytes(data)
    with pytest.raises(DocumentError, match=message) as caught:
        read_document(path)
    assert str(path) in str(caught.value) and caught.value.exit_code == 2


def test_a_document_is_written_as_it_was_read(tmp_path):
    """The order of the keys, `false`, 0, "" and empty lists survive; the file ends with LF."""
    path = tmp_path / "MODEL_PASSPORT.json"
    document = {"z": False, "generated_by": GENERATED_BY, "a": {"y": 0, "x": "", "w": [], "ü": "é"}}
    write_document(path, document)
    write_document(path, read_document(path))
    assert list(read_document(path)["a"]) == ["y", "x", "w", "ü"]
    assert path.read_bytes() == f"{json.dumps(document, indent=2, ensure_ascii=False)}\n".encode()
    with pytest.raises(ValueError, match="Out of range"):
        write_document(path, {"a": float("nan")})


def test_a_document_at_the_limit_is_read_and_one_byte_more_is_not(tmp_path):
    """The limit is the last size that is read."""
    path = tmp_path / "SIGNOFF.json"
    path.write_bytes(b'{"a": 1}')
    assert read_document(path, 8) == {"a": 1}
    with pytest.raises(DocumentError, match="has 8 bytes and was not read"):
        read_document(path, 7)


@pytest.mark.parametrize(
    "theirs",
    [
        b'{"generated_by": "autohpc 1"}', b'{"generated_by": {"tool": "watchkeepers"}}', b"{}",
        b"notes", b'{"generated_by": ""}', b'{"generated_by": 3}', b"",
    ],
)  # fmt: skip
def test_a_file_of_somebody_else_is_kept(tmp_path, theirs):
    """A document that does not say Watchkeeper wrote it is kept, and the way out is named."""
    path = tmp_path / "SIGNOFF.json"
    path.write_bytes(theirs)
    with pytest.raises(ForeignDocumentError, match="was not written by Watchkeeper") as caught:
        write_document(path, {"a": 1})
    assert path.read_bytes() == theirs and "mv SIGNOFF.json" in caught.value.hint


@pytest.mark.parametrize(
    "ours",
    [
        {"generated_by": GENERATED_BY},
        {"generated_by": "watchkeeper"},
        {"generated_by": {"tool": "watchkeeper", "version": "0.0.1"}},
        {"signed_by": {"tool": "watchkeeper", "version": "0.0.1"}},
    ],
)
def test_a_document_of_ours_is_replaced(tmp_path, ours):
    """A document that names Watchkeeper as its author is replaced, also one of another version."""
    path = tmp_path / "SIGNOFF.json"
    path.write_text(json.dumps(ours))
    write_document(path, {"a": 1})
    assert read_document(path) == {"a": 1}


def test_a_link_is_not_written_through(tmp_path):
    """A link of a document's name is kept, wherever it leads."""
    target = tmp_path / "elsewhere.json"
    target.write_text(json.dumps({"generated_by": GENERATED_BY}))
    path = tmp_path / "SIGNOFF.json"
    path.symlink_to(target)
    with pytest.raises(ForeignDocumentError):
        write_document(path, {"a": 1})
    assert path.is_symlink()
