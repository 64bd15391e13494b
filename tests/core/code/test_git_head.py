"""The commit, read from a repository's files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.core.code.test_git import committed, head
from watchkeeper.core.code import git
from watchkeeper.core.code.git_head import head_of


def run_git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


def with_packed_refs(repo: Path) -> Path:
    run_git(repo, "pack-refs", "--all")
    return repo


def in_a_worktree(repo: Path) -> Path:
    run_git(repo, "worktree", "add", "-b", "group/other", "../beside")
    return repo.parent / "beside"


def on_a_packed_branch_of_a_worktree(repo: Path) -> Path:
    place = in_a_worktree(repo)
    return with_packed_refs(place)


def detached(repo: Path) -> Path:
    run_git(repo, "checkout", "--detach")
    return repo


def by_a_link(repo: Path) -> Path:
    below = repo / "scripts"
    below.mkdir()
    link = repo.parent / "link"
    link.symlink_to(below)
    return link


def on_a_branch_that_names_another(repo: Path) -> Path:
    run_git(repo, "branch", "one")
    run_git(repo, "symbolic-ref", "refs/heads/two", "refs/heads/one")
    run_git(repo, "symbolic-ref", "HEAD", "refs/heads/two")
    return repo


@pytest.mark.parametrize(
    "change",
    [
        lambda repo: repo,
        with_packed_refs,
        in_a_worktree,
        on_a_packed_branch_of_a_worktree,
        detached,
        by_a_link,
    ],
)
def test_the_files_say_what_git_says(tmp_path, change):
    """Commit and branch are git's own, wherever the repository keeps them."""
    place = change(committed(tmp_path / "repo", a="1"))
    found = head_of(place)
    assert found is not None and found.sha == head(place)
    assert found == git.state(place)._replace(dirty=None)


def test_a_branch_may_name_another_branch(tmp_path):
    """A branch that names another has that one's commit, and its own name."""
    place = on_a_branch_that_names_another(committed(tmp_path / "repo", a="1"))
    found = head_of(place)
    assert found is not None and found.sha == head(place)


def test_a_repository_without_a_commit_has_none(tmp_path):
    """Before the first commit there is a branch, and no commit; outside of a repository neither."""
    run_git(tmp_path, "init", "-b", "trunk")
    assert head_of(tmp_path) == git.Git("", "trunk")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    assert head_of(outside) == git.Git()


@pytest.mark.parametrize("text", ["ref: refs/heads/.invalid", "ref: refs/other/x", "", "abc", "é"])
def test_what_the_files_do_not_say_only_git_can(tmp_path, text):
    """A HEAD of another format is left to git."""
    repo = committed(tmp_path / "repo", a="1")
    (repo / ".git/HEAD").write_text(f"{text}\n")
    assert head_of(repo) is None


def test_refs_that_name_one_another_are_left_to_git(tmp_path):
    """A circle of refs ends, and is no answer."""
    repo = committed(tmp_path / "repo", a="1")
    (repo / ".git/HEAD").write_text("ref: refs/heads/a\n")
    (repo / ".git/refs/heads/a").write_text("ref: refs/heads/b\n")
    (repo / ".git/refs/heads/b").write_text("ref: refs/heads/a\n")
    assert head_of(repo) is None
