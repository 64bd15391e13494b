"""What git says of the code in a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from watchkeeper.core.code import git


def committed(folder: Path, **files: str) -> Path:
    """A repository of its own, with these files committed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    identity = ["-c", "user.name=tests", "-c", "user.email=tests@localhost"]
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        [*identity, "commit", "-q", "--allow-empty", "-m", folder.name],
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


def head(folder: Path) -> str:
    """The folder's commit, as git itself says it."""
    return subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize(
    "variables",
    [
        {"GIT_DIR": "other/.git"},
        {"GIT_DIR": "other/.git", "GIT_WORK_TREE": "other", "GIT_INDEX_FILE": "other/.git/index"},
        {"GIT_DIR": "bare.git"},
        {"GIT_CEILING_DIRECTORIES": "mine"},
        {"GIT_COMMON_DIR": "other/.git"},
        {"GIT_OBJECT_DIRECTORY": "other/.git/objects"},
    ],
    ids=lambda variables: "+".join(variables),
)
def test_the_repository_is_the_folders_own(tmp_path, monkeypatch, variables):
    """Variables that a hook sets for another repository do not change whose commit is recorded."""
    mine, other = committed(tmp_path / "mine", a="1"), committed(tmp_path / "other", b="2")
    subprocess.run(
        ["git", "clone", "-q", "--bare", str(other), str(tmp_path / "bare.git")], check=True
    )
    below = mine / "scripts"
    below.mkdir()
    own = head(mine)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    assert git.state(below) == git.Git(own, git.state(below).branch, False)
    assert git.top(below) == mine
    assert git.has_commit(mine, own)


def test_a_folder_outside_any_repository_has_no_commit_whatever_git_dir_says(tmp_path, monkeypatch):
    """A script that lies in no repository has no commit, and that is no fault."""
    other = committed(tmp_path / "other", b="2")
    (tmp_path / "plain").mkdir()
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert git.state(tmp_path / "plain") == git.Git()


def test_a_worktree_and_a_submodule_have_commits_of_their_own(tmp_path):
    """The commit is that of the worktree or submodule that the folder lies in, not of what lies
    around it.
    """
    outer, inner = committed(tmp_path / "outer", a="1"), committed(tmp_path / "inner", b="2")
    words = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "part"]
    subprocess.run(["git", "-C", str(outer), *words], check=True)
    subprocess.run(
        ["git", "-C", str(outer), "worktree", "add", "-q", "--detach", str(tmp_path / "tree")],
        check=True,
    )
    assert git.state(outer / "part").sha == head(inner)
    assert git.state(tmp_path / "tree").sha == head(outer)
    assert git.holder_of(outer / "part" / "b.py") == outer / "part"


def test_a_repository_that_git_refuses_is_said_to_be_refused(tmp_path, monkeypatch):
    """A repository of another user is not the same as none: it is said why git tells nothing, and
    what to type.
    """
    mine = committed(tmp_path / "mine", a="1")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert git.state(mine).sha == ""
    assert f"safe.directory {mine}" in git.refusal(mine)


def test_a_repository_without_git_is_said_to_be_unread(tmp_path, monkeypatch):
    """Where git is not installed, that is said of a repository, and nothing of a plain folder."""
    mine = committed(tmp_path / "mine", a="1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git is not installed" in git.refusal(mine)


def test_tracked_files_are_told_from_others(tmp_path):
    """Ignored and new files are not tracked; odd names are taken as they are, not as patterns."""
    mine = committed(tmp_path / "mine", a="1", **{"[b]": "2"})
    (mine / ".gitignore").write_text("c.py\n")
    (mine / "c.py").write_text("3")
    (mine / "b.py").write_text("4")
    names = [mine / name for name in ("a.py", "[b].py", "b.py", "c.py")]
    assert git.tracked(mine, names) == {mine / "a.py", mine / "[b].py"}


def test_a_file_is_shown_as_its_commit_has_it(tmp_path):
    """What was committed is found again after the file was edited; what no commit has is None."""
    mine = committed(tmp_path / "mine", a="first")
    (mine / "a.py").write_text("second")
    assert git.show(mine, head(mine), mine / "a.py") == b"first"
    assert git.show(mine, head(mine)[:8], mine / "b.py") is None
    assert git.show(mine, "--help", mine / "a.py") is None


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://example.org/a/b.git", "https://example.org/a/b.git"),
        ("https://ada:token@example.org:8443/a/b?key=x#y", "https://example.org:8443/a/b"),
        ("https://ghp_token@example.org/a/b", "https://example.org/a/b"),
        ("ssh://git@example.org:22/a/b", "ssh://git@example.org:22/a/b"),
        ("ssh://ada@example.org/a/b", "ssh://example.org/a/b"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("ada@example.org:a/b.git", "example.org:a/b.git"),
        ("/home/ada/code", ""),
        ("../code", ""),
        ("file:///home/ada/code", ""),
        ("file://host/home/ada/code", ""),
        ("C:\\code", ""),
        ("https://a@b:c@example.org/x", "https://example.org/x"),
        ("", ""),
    ],
)
def test_an_address_holds_no_name_and_no_secret(url: str, address: str) -> None:
    """Of a remote's address, who logs in and with what is left out, and a path of this machine is
    no address.
    """
    assert git.public_address(url) == address
