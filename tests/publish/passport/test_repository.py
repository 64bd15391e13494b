"""The repositories behind a passport."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from watchkeeper.core.code import git
from watchkeeper.publish.passport.repository import facts_of_creation, facts_of_training


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit, and a remote with a token in its address."""
    folder = tmp_path_factory.mktemp("code")
    for words in (
        ["init", "-q"],
        ["remote", "add", "origin", "https://ada:secret@example.org/ours/code.git"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True, env=git.environment())
    return folder


def test_where_the_passport_is_made_is_observed(repository: Path) -> None:
    """The remote without its token and the commit are those of the folder's repository."""
    facts = facts_of_creation(repository)
    assert facts["provenance.passport_creation_repo"] == (
        "https://example.org/ours/code.git",
        "observed",
    )
    assert facts["provenance.passport_creation_repo_commit"].value == git.state(repository).sha


def test_where_the_training_code_comes_from_is_inferred(repository: Path, tmp_path: Path) -> None:
    """The remote is that of the repository that holds the run's commit, and of no other."""
    sha = git.state(repository).sha
    assert facts_of_training(repository, sha) == {
        "provenance.training_repo": ("https://example.org/ours/code.git", "inferred")
    }
    assert facts_of_training(repository, "a" * 40) == {}
    assert facts_of_training(repository, "") == facts_of_training(tmp_path, sha) == {}
