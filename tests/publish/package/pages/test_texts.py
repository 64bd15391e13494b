"""The texts of a package show their pseudonyms, and stay what they are."""

from __future__ import annotations

import pytest

from watchkeeper.publish.package.pages.texts import BrokenTextError, Texts, in_code
from watchkeeper.publish.sanitize.known import Known


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("- node: <host-1>", "- node: `<host-1>`"),
        ("- root: `<path-1>` on <host-1>", "- root: `<path-1>` on `<host-1>`"),
        ("a ` <job-1>", "a ` `<job-1>`"),
        ("```\n<job-1>\n```\n<job-1>", "```\n<job-1>\n```\n`<job-1>`"),
        ("a < b > c", "a < b > c"),
    ],
)
def test_a_pseudonym_is_no_tag(text: str, shown: str) -> None:
    """Outside of code it gets backticks, so that a browser shows it; inside it has them."""
    assert in_code(text) == shown


def test_json_stays_json_with_what_is_private_hidden() -> None:
    """The values are hidden, the document is the same else, and it is said what was hidden."""
    texts = Texts(Known(paths=["/scratch/ada/base"]))
    hidden = texts.hidden_json("config.json", {"base": "/scratch/ada/base", "layers": 2})
    assert hidden == {"base": "<path-1>", "layers": 2}
    (redaction,) = texts.redactions["config.json"]
    assert (redaction.kind, redaction.pseudonym) == ("path", "<path-1>")


def test_a_file_that_would_be_damaged_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON that would be none any more is named; what was never JSON is not held to it."""
    texts = Texts(Known())
    monkeypatch.setattr(texts, "hidden", lambda file, text: "no json")
    with pytest.raises(BrokenTextError, match=r"config\.json is no JSON"):
        texts.hidden_file("config.json", '{"a": 1}')
    assert texts.hidden_file("broken.json", "{") == "no json"
