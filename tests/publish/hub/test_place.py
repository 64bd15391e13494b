"""Which names a repository may have, and which Hub is spoken to."""

from __future__ import annotations

import pytest

from watchkeeper.core.errors import UsageError
from watchkeeper.publish.hub.place import DEFAULT_URL, fault_of_name, place_of


@pytest.mark.parametrize("name", ["ada/model", "a/b", "Ada-1/m_o.d-1", "a/" + "x" * 96])
def test_names_that_the_hub_takes(name):
    """Letters, digits, -, _ and . in two parts."""
    assert fault_of_name(name) == ""
    assert place_of(name).repo == name


@pytest.mark.parametrize(
    "name",
    [
        "", "model", "/model", "ada/", "a/b/c", "ada/mo del", "ada/модель", "ada/-x", "ada/x.",
        "ada/a--b", "ada/a..b", "ada/x.git", "ada/x.ipynb", "../x", "ada/" + "x" * 97,
        "https://huggingface.co/ada/x", "ada/x\n",
    ],
)  # fmt: skip
def test_names_that_the_hub_refuses(name):
    """Each is refused before anything is asked."""
    with pytest.raises(UsageError, match="--repo"):
        place_of(name)


def test_the_hub_is_the_one_that_the_variable_names(monkeypatch):
    """Hugging Face's own by default; a page is an address below it."""
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert place_of("a/b").page == f"{DEFAULT_URL}/a/b"
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example/")
    assert place_of("a/b").page == "https://hub.example/a/b"
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:80")
    assert place_of("a/b").endpoint == "http://127.0.0.1:80"


@pytest.mark.parametrize("address", ["hub.example", "ftp://hub.example", "http://"])
def test_what_is_no_address_is_refused(monkeypatch, address):
    """The variable is named, with the form that is expected."""
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(UsageError, match="HF_ENDPOINT"):
        place_of("a/b")


def test_a_token_never_crosses_a_network_unencrypted(monkeypatch):
    """http is for this machine alone."""
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    with pytest.raises(UsageError, match="unencrypted"):
        place_of("a/b")
