"""Hiding what is private in a text, and finding it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.text import (
    MOST_BYTES,
    WouldEmptyError,
    find_private,
    find_secrets,
    hide,
    sanitize,
)


def known():
    """What a small journal knows."""
    return Known(hosts=["node17"], users=["ann"], job_ids=["70900"], accounts=["proj7"])


def test_known_values_get_the_same_pseudonym_everywhere():
    """One value has one pseudonym, in every text of a package."""
    values = known()
    first = sanitize("ann ran 70900 on node17, then ann left", values).text
    assert first == "<user-1> ran <job-1> on <host-1>, then <user-1> left"
    assert hide("NODE17", values).text == "<host-1>"


def test_the_report_names_places_and_no_values():
    """A redaction says where and why, and never what was hidden."""
    (redaction,) = sanitize("loss 0.1\nit ran on node17 as before", known()).redactions
    assert (redaction.line, redaction.kind, redaction.pseudonym) == (2, "host", "<host-1>")
    assert redaction.length == 6
    assert "node17" not in str(redaction)


def test_a_text_of_which_nothing_would_be_left_is_refused():
    """An empty log is no log: it is refused, and the error holds nothing private."""
    with pytest.raises(WouldEmptyError, match="would be empty") as raised:
        sanitize("# Job\n- node: node17\n- user: ann\n", known())
    assert "node17" not in str(raised.value)


def test_what_cannot_be_searched_is_a_finding():
    """Bytes that are no text, and a text that is too large, are taken for private."""
    assert [one.line for one in find_private(b"\xff", known())] == [0]
    assert [one.line for one in find_secrets(b"x" * (MOST_BYTES + 1))] == [0]


@given(st.text(max_size=300))
@settings(max_examples=80, deadline=None)
def test_any_text_can_be_searched(text):
    """Whatever a text holds, nothing is raised, and a second hiding changes nothing."""
    once = hide(text, known()).text
    assert hide(once, known()).text == once
    assert find_private(once, known()) == []


PIECES = st.sampled_from(
    [
        *("/home/ann/x", "node17", "ann@node17", "job 70900", "%2F", "\\", "/", "'", '"', "`", "|"),
        *("token=", "Bearer ", "https://", "wandb.ai/a/b", "\u200b", " ", "\n", "x", "1", ".", "<"),
        *(
            "<host-1>",
            ">",
            "-A proj7",
            "*",
            "password: ",
            "a1B2" * 8,
            "é",
            "模型",
            "(",
            "]",
            "@",
            ":",
        ),
    ]
)


@given(st.lists(PIECES, max_size=14))
@settings(max_examples=120, deadline=None)
def test_pieces_of_private_details_in_any_order_are_hidden_once(pieces):
    """Whatever stands beside a private detail, hiding it twice is hiding it once; and a value that
    is a word by itself does not survive.
    """
    once = hide("".join(pieces), known()).text
    assert hide(once, known()).text == once
    assert find_private(once, known()) == []
    apart = hide(" ".join(pieces), known()).text
    assert "node17" not in apart
    assert "/home/ann" not in apart


def test_public_links_stay_unless_they_hold_a_secret():
    """A link that is given as public stays as it is, and a token in it does not."""
    link = "https://wandb.ai/lab/open/runs/abc12345"
    text = f"curves: {link}, private: https://wandb.ai/lab/inner/runs/abc99999"
    assert hide(text, known(), keep_links=[link]).text == f"curves: {link}, private: <wandb-1>"
    signed = f"{link}?accessToken=s3cr3tvalue"
    assert "s3cr3tvalue" not in hide(signed, known(), keep_links=[signed]).text


def test_what_one_text_teaches_is_hidden_in_the_next():
    """A name that stood where only a user stands is that user's in the other files as well."""
    values = Known()
    assert hide("ssh zed42@login01", values).text == "ssh <address-1>"
    assert hide("zed42 was here", values).text == "<user-1> was here"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on node18 and node[01-04]", "on <host-2> and <host-3>"),
        ("node17.cluster.example", "<host-1>"),
        ("NODE17:8080", "<host-1>:8080"),
        ("slurm-70900.out", "slurm-<job-1>.out"),
        ("loss 0.70900 at 1.70900e5", "loss 0.70900 at 1.70900e5"),
        ("70900_3 and 70900.batch", "<job-1> and <job-1>"),
        ("proj7/ann", "<account-1>/<user-1>"),
        ("announce", "announce"),
    ],
)
def test_a_known_value_is_known_in_its_other_forms(text, expected):
    """Hosts beside a known one, its full name and its other case, and the steps of a job."""
    values = known()
    for kind, value in (("host", "node17"), ("job", "70900"), ("user", "ann")):
        values.names.name(kind, value)
    values.names.name("account", "proj7")
    assert hide(text, values).text == expected


def test_a_commit_is_no_key():
    """Forty hexadecimal digits are a key of W&B unless something calls them a commit."""
    digits = "4f2c1aa9d3e5b7f60718293a4b5c6d7e8f901234"
    assert hide(f"commit {digits}", Known()).text == f"commit {digits}"
    assert hide(f"| {digits} |", Known(commits=[digits])).text == f"| {digits} |"
    assert hide(f"| {digits} |", Known()).text == "| <redacted> |"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password = correct horse battery staple", "password = <redacted>"),
        ("my api key abcd1234efgh5678 leaked", "my api key <redacted> leaked"),
        ("the token count 12 and a token of 512", "the token count 12 and a token of 512"),
        ("lab/x/runs/a1b2c3d4, a1b2c3d4", "<wandb-1>, <wandb-1>"),
        ("pass: 5 files are there", "pass: 5 files are there"),
    ],
)
def test_secrets_in_words_are_hidden_to_their_end(text, expected):
    """A passphrase of several words, a key behind its name, an id that stands alone later."""
    assert hide(text, Known()).text == expected


def test_public_keys_and_hashes_stay():
    """What others need to verify a package is no secret."""
    body = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE" + "aB3dE5fG7hI9jK1lM3nOpQ5rS7tU9vW1xY3z"
    key = f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----"
    text = f'{key}\n"sig": "{"aB3dE5fG" * 8}"\nsha256 {"ab12" * 16}'
    assert hide(text, Known()).text == text
