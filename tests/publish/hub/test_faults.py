"""What is said of each way in which the Hub fails, and that none of it holds the token."""

from __future__ import annotations

import errno

import pytest

from tests.publish.hub.packages import REPO, asker, upload
from tests.publish.hub.server import ACCOUNT, TOKEN, Trouble
from watchkeeper.publish.hub.client import HubError
from watchkeeper.publish.hub.faults import MOST_CHARACTERS, SaidError, failed_of, without_secrets
from watchkeeper.publish.hub.messages import Greeting, Look


class _Response:
    def __init__(self, status: int) -> None:
        self.status_code = status


class HfHubHTTPError(OSError):
    """An error as the library's: it has an answer, and the server's words."""

    def __init__(self, text: str, status: int, server_message: str | None = None) -> None:
        super().__init__(text)
        self.response = _Response(status)
        self.server_message = server_message


class ReadTimeout(Exception):
    """An error named as httpx2 names it."""


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (HfHubHTTPError("x", 400), "bad-name"),
        (HfHubHTTPError("x", 401), "token-refused"),
        (HfHubHTTPError("x", 403), "forbidden"),
        (HfHubHTTPError("x", 404), "not-found"),
        (HfHubHTTPError("x", 412), "changed"),
        (HfHubHTTPError("x", 429), "busy"),
        (HfHubHTTPError("x", 502), "server"),
        (HfHubHTTPError("x", 418), "other"),
        (ReadTimeout("timed out"), "lost"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk-full"),
        (OSError(errno.EACCES, "no"), "other"),
        (OSError("Consistency check failed: file should be of size 5"), "mismatch"),
        (ValueError("Invalid metadata in README.md. license must be a string"), "bad-card"),
        (ModuleNotFoundError("No module named 'huggingface_hub'"), "no-library"),
        (SaidError("bad-answer", "x"), "bad-answer"),
        (RuntimeError("?"), "other"),
    ],
)
def test_each_error_has_its_meaning(error, fault):
    """By its name, its status code or its number in the system."""
    assert failed_of(error, TOKEN).fault == fault


def test_the_cause_of_an_error_counts():
    """The library wraps what went wrong with one file."""
    wrapped = RuntimeError("Error while uploading 'w' to the Hub.")
    wrapped.__cause__ = HfHubHTTPError("x", 403)
    assert failed_of(wrapped, TOKEN).fault == "forbidden"
    circle = RuntimeError("a")
    circle.__context__ = circle
    assert failed_of(circle, "").fault == "other"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {TOKEN}",
        f"headers: {{'authorization': 'Bearer {TOKEN}'}}",
        f"GET https://hub/x?token={TOKEN}",
        "PUT https://s3.example/x?X-Amz-Signature=abcdef0123456789&X-Amz-Credential=AKIA",
        f"a token {TOKEN[:-1]} of the same form",
    ],
)
def test_no_error_shows_a_token(text):
    """The token itself, one of its form, and what signs an address are taken out."""
    shown = failed_of(RuntimeError(text), TOKEN).why + without_secrets(text, TOKEN)
    assert TOKEN[:-1] not in shown and "abcdef0123456789" not in shown


def test_words_are_one_short_line():
    """A page of HTML does not fill the terminal; an error without words has its name."""
    failed = failed_of(HfHubHTTPError("a\nb" * 1000, 500, None), "")
    assert "\n" not in failed.why and len(failed.why) <= MOST_CHARACTERS + 4
    assert failed.why.startswith("500 ")
    assert failed_of(RuntimeError(), "").why == "RuntimeError"
    assert failed_of(HfHubHTTPError("long", 400, "Invalid name"), "").why == "400 Invalid name"


def test_a_greeting_does_not_show_its_token():
    """Neither repr nor str holds it."""
    assert TOKEN not in f"{Greeting('http://h', TOKEN)!r}{Greeting('http://h', TOKEN)}"


def test_an_expired_token_is_named_with_its_file(hub, package):
    """The message says where the token is from, and where another is made."""
    with pytest.raises(HubError, match="refuses the token") as error:
        upload(hub, package, token="hf_" + "x" * 30)
    assert error.value.code == "hub-token-refused"
    assert "/settings/tokens" in error.value.hint and "/secret/token" in error.value.hint
    assert not hub.repos


def test_a_token_that_may_only_read_cannot_upload(hub, package):
    """A read token, and one of somebody else, are refused before a file is sent."""
    reader = {**ACCOUNT, "auth": {"accessToken": {"role": "read"}}}
    hub.tokens["hf_reader"] = reader
    hub.tokens["hf_other"] = {**ACCOUNT, "name": "eve"}
    for token in ("hf_reader", "hf_other"):
        with pytest.raises(HubError, match="may not write") as error:
            upload(hub, package, token=token)
        assert "owner" in error.value.hint
    assert not hub.repos and not hub.objects


def test_a_private_repository_is_not_there_for_others(hub):
    """Without a token, and with another's, it looks like none."""
    hub.add(REPO, private=True)
    hub.tokens["hf_other"] = {**ACCOUNT, "name": "eve"}
    for token in ("", "hf_other"):
        with pytest.raises(HubError, match="not shown to this token") as error:
            asker(hub, token)(Look(REPO))
        assert "--token-file" in error.value.hint


def test_a_name_that_the_hub_refuses_is_said(hub, package):
    """Its own words are passed on."""
    body = b'{"error": "Invalid repo name: model"}'
    hub.troubles = [Trouble("status", "repos/create", code=400, body=body)]
    with pytest.raises(HubError, match="refuses the name: 400 Invalid repo name: model"):
        upload(hub, package)


def test_a_card_that_the_hub_refuses_is_said_before_a_file_is_sent(hub, package):
    """The Hub reads the metadata first."""
    (package / "README.md").write_text("---\nlicense: BROKEN\n---\n")
    with pytest.raises(HubError, match="refuses the model card") as error:
        upload(hub, package)
    assert error.value.fault == "bad-card" and not hub.objects


@pytest.mark.parametrize("body", [b"[]", b'[{"path": 1}]', b"<html>", b'{"a": 1}'])
def test_an_answer_of_another_form_is_none(hub, package, body):
    """A list that is no list of files ends with a clear error."""
    hub.add(REPO, {"x": b"y"})
    hub.troubles = [Trouble("answer", "/tree/", body=body, times=None)]
    if body == b"[]":
        assert asker(hub)(Look(REPO)).entries == ()
        return
    with pytest.raises(HubError):
        asker(hub)(Look(REPO))
