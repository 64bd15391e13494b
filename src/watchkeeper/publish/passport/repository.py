"""The repositories behind a passport: the training code's, and where it was made."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from watchkeeper.core.code import git
from watchkeeper.publish.passport.adapters.checkpoint import facts_from
from watchkeeper.publish.passport.document import Facts

CREATION = ("provenance.passport_creation_repo", "provenance.passport_creation_repo_commit")


@lru_cache(maxsize=256)
def facts_of_training(place: Path, commit: str) -> Facts:
    """Where the repository that the training code lies in comes from. The journal does not say, so
    that it is read now, once for all checkpoints of a commit, and counts as inferred; {}: the
    commit is not in that repository, or it has no address that others can use.
    """
    if not commit or not git.has_commit(place, commit):
        return {}
    return facts_from("inferred", {"provenance.training_repo": git.origin(place) or None})


def facts_of_creation(place: Path) -> Facts:
    """The repository that a folder lies in, and its commit; {}: it lies in none.

    `place` is the folder that the command is typed in.
    """
    repo, commit = CREATION
    values = {repo: git.origin(place) or None, commit: git.state(place).sha or None}
    return facts_from("observed", values)
