"""Where the token is from, and which file is not believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.publish.hub.server import TOKEN
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.hub.token import default_path, find_token, find_token_if_any


def write(path: Path, text: str = f"{TOKEN}\n", mode: int = 0o600) -> Path:
    """A file with a token."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_token_is_found_and_never_shown(tmp_path):
    """The given file, its newline taken off; neither repr nor str has the token."""
    token = find_token(write(tmp_path / "t"))
    assert token.key == TOKEN
    assert TOKEN not in f"{token!r} {token}"


def test_the_usual_places_come_in_the_librarys_order(tmp_path, monkeypatch):
    """HF_TOKEN_PATH, then HF_HOME, then XDG_CACHE_HOME, then ~/.cache."""
    assert default_path() == tmp_path / "home/.cache/huggingface/token"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert default_path() == Path("/xdg/huggingface/token")
    monkeypatch.setenv("HF_HOME", "/hf")
    assert default_path() == Path("/hf/token")
    monkeypatch.setenv("HF_TOKEN_PATH", "~/mine")
    assert default_path() == tmp_path / "home/mine"


def test_no_token_is_an_error_only_where_one_is_needed(tmp_path, monkeypatch):
    """A download does without, an upload says how to get one; a variable is not read."""
    assert find_token_if_any(None) is None
    with pytest.raises(UsageError, match="is not there") as error:
        find_token(None)
    assert "--token-file" in error.value.hint
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(UsageError, match="HF_TOKEN is not read") as error:
        find_token(None)
    assert TOKEN not in f"{error.value}{error.value.hint}"
    write(default_path())
    assert find_token(None) == find_token_if_any(None)


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        (TOKEN, 0o644, "others can read"),
        (TOKEN, 0o640, "others can read"),
        (TOKEN, 0o602, "others can read"),
        ("", 0o600, "holds no token"),
        ("two words", 0o600, "holds no token"),
        ("ключ", 0o600, "holds no token"),
        ("a\x1b[31m", 0o600, "holds no token"),
    ],
)
def test_a_token_that_cannot_be_trusted_is_refused(tmp_path, text, mode, message):
    """A file that others read, or that holds no token, is named, and its content is not."""
    path = write(tmp_path / "t", text, mode)
    with pytest.raises(UsageError, match=message) as error:
        find_token(path)
    assert str(path) in str(error.value)
    assert not text or text not in f"{error.value}{error.value.hint}"


def test_a_token_that_is_no_file_is_refused(tmp_path):
    """A folder, and nothing at all."""
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="the token in"):
            find_token(path)
