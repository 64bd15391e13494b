"""`publish upload` and `publish download`: what they say, refuse, and end with."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.publish.hub.packages import BAD, GOOD, REPO, WEIGHTS, asker, contents, held
from tests.publish.hub.server import TOKEN
from watchkeeper.publish.checks import Check
from watchkeeper.show.cli import main
from watchkeeper.show.cli.publish import download, upload


@pytest.fixture
def token_file(tmp_path) -> Path:
    """A token that only its owner reads."""
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return path


@pytest.fixture(autouse=True)
def nearby(hub, monkeypatch) -> None:
    """The Hub is the fake one, asked in this process; every package is fit."""

    @contextmanager
    def asking(place, token, **_):
        yield asker(hub, token.key if token is not None else "", place.repo)

    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    for module in (upload, download):
        monkeypatch.setattr(module, "asking", asking)
        monkeypatch.setattr(module, "check_package", lambda *_, **__: GOOD)


def run(name: str, *words: object) -> Result:
    """Call a command of `publish`."""
    return CliRunner().invoke(main, ["publish", name, *map(str, words)])


def answer(name: str, *words: object) -> dict:
    """Its answer to a program."""
    return json.loads(run(name, *words, "--json").stdout)


def test_the_plan_is_shown_before_anything_is_sent(hub, package, token_file):
    """Where to, who sees it, whose token, each file with its size, and how long it takes."""
    words = (package, "--repo", REPO, "--private", "--token-file", token_file)
    done = run("upload", *words, "--dry-run")
    assert done.exit_code == 0, done.output
    assert f"To {hub.url}/{REPO}: private, is to be made; as ada\n" in done.output
    assert f"  {WEIGHTS}: 4.9 KiB\n" in done.output
    assert "4 files to send, 4.9 KiB: about 0:00 at 10 MB/s" in done.output
    assert "4 files would be sent to ada/model; nothing was." in done.output
    assert not hub.repos


def test_nobody_who_says_yes_means_no(hub, package, token_file):
    """Without a terminal and without --yes it refuses, and names both ways on."""
    done = run("upload", package, "--repo", REPO, "--token-file", token_file)
    assert done.exit_code == 2 and "nothing was sent" in done.output
    assert "--yes" in done.output and "--dry-run" in done.output
    assert not hub.repos


def test_an_upload_and_its_download(hub, package, token_file, tmp_path):
    """What one sends the other brings back; a second upload says that all is there."""
    words = (package, "--repo", REPO, "--token-file", token_file, "--yes")
    done = run("upload", *words)
    assert done.exit_code == 0, done.output
    assert "all 4 files are listed with their hashes" in done.output
    assert "No run is known that made the package" in done.output
    again = answer("upload", *words)
    assert (again["counts"]["sent"], again["exit_code"]) == (0, 0)
    assert "has all 4 files already" in again["summary"]
    assert {row["state"] for row in again["data"]["files"]} == {"there"}
    fetched = run("download", REPO, "-o", tmp_path / "copy")
    assert fetched.exit_code == 0, fetched.output
    assert "is verified: 4 files, 4.9 KiB" in fetched.output
    assert contents(tmp_path / "copy") == contents(package) == held(hub)


def test_no_output_has_the_token(hub, package, token_file):
    """Neither a success nor a refusal prints it."""
    texts = []
    for words in (("--dry-run",), ("--yes",), ("--yes", "--create-pr"), ("--yes", "--json")):
        done = run("upload", package, "--repo", REPO, "--token-file", token_file, *words)
        texts.append(done.output)
    assert TOKEN not in "".join(texts)


def test_a_package_that_fails_a_check_is_not_sent(hub, package, token_file, monkeypatch):
    """The Hub is not even asked, and each failed check is shown."""
    monkeypatch.setattr(upload, "check_package", lambda *_, **__: [*GOOD, *BAD])
    words = (package, "--repo", REPO, "--token-file", token_file, "--yes")
    done = run("upload", *words)
    assert done.exit_code == 1 and "it is another file" in done.output
    assert "nothing was sent" in done.output
    said = answer("upload", *words)
    assert said["exit_code"] == 1 and said["problems"][0]["code"] == "changed"
    assert hub.requests == []


def test_a_download_that_fails_a_check_leaves_nothing(hub, package, tmp_path, monkeypatch):
    """What failed is shown, with who to ask; the folder is not made."""
    hub.add(REPO, contents(package))
    evil = Check(category="signoff", name="x", status="fail", message="a\x1b[31mred\x1b[0m")
    monkeypatch.setattr(download, "check_package", lambda *_, **__: [evil])
    done = run("download", REPO, "-o", tmp_path / "copy")
    assert done.exit_code == 1 and "not what was signed" in done.output
    assert "\x1b" not in done.output
    said = answer("download", REPO, "-o", tmp_path / "copy")
    assert (said["data"]["package"], said["data"]["verdict"]) == ("", "fail")
    assert not list(tmp_path.glob("*copy*"))


def test_a_malicious_card_is_kept_as_text_and_never_shown(hub, package, tmp_path):
    """Its HTML, its escapes and its YAML tags are bytes of a file: nothing of them is printed."""
    card = b"---\nx: !!python/object/apply:os.system ['touch pwned']\n---\n<script>\x1b]0;evil\x07"
    hub.add(REPO, {**contents(package), "README.md": card})
    done = run("download", REPO, "-o", tmp_path / "copy")
    assert done.exit_code == 0 and (tmp_path / "copy" / "README.md").read_bytes() == card
    assert "\x1b" not in done.output and "script" not in done.output
    assert not Path("pwned").exists()


def test_a_refused_plan_names_their_files(hub, package, token_file):
    """The plan is shown, and then why nothing was sent."""
    hub.add(REPO, {"theirs.bin": b"x"})
    words = (package, "--repo", REPO, "--token-file", token_file, "--yes")
    done = run("upload", *words)
    assert done.exit_code == 2 and "  theirs: theirs.bin" in done.output
    assert "--create-pr" in done.output
    proposed = run("upload", *words, "--create-pr")
    assert proposed.exit_code == 0 and f"Proposed as {hub.url}/{REPO}/discussions/1" in (
        proposed.output
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--repo", "model"), "a user or an organisation"),
        (("--repo", REPO, "--token-file", "nowhere"), "the token in nowhere"),
        (("--repo", REPO, "--run", "nowhere"), "has no journal"),
        ((), "Missing option '--repo'"),
    ],
)
def test_bad_input_is_said_before_anything_is_asked(hub, package, words, text):
    """A bad name, no token, a run that is none, and no repository."""
    done = run("upload", package, *words)
    assert done.exit_code == 2 and text in done.output
    assert hub.requests == []


def test_the_time_grows_with_the_package():
    """Half an hour at least, four times the estimate of a large one."""
    assert upload.time_for(0) == 1800.0
    assert upload.time_for(30 * 10**9) == 12_000.0
