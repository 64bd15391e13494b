"""Sending a package, and judging by the Hub's own list whether it arrived."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.publish.hub.client import Ask, HubDoubtError, HubError
from watchkeeper.publish.hub.messages import Create, Done, Job, Look, Seen, Send
from watchkeeper.publish.hub.messages import Upload as Sending
from watchkeeper.publish.hub.place import Place
from watchkeeper.publish.hub.plan import UploadPlan, missing, plan_upload
from watchkeeper.publish.manifest import files
from watchkeeper.publish.manifest.files import FileRecord
from watchkeeper.publish.manifest.hashing import Progress, hash_files

_LOST = frozenset(("lost", "server"))


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """A package that is on the Hub: the commit whose list has each of its files with its size and
    hash. `pull_request` is the address of the proposal, "" where the main branch has it. `sent` is
    how many files were new there; 0: it was all there before.
    """

    place: Place
    commit: str
    pull_request: str
    private: bool
    sent: int


def records_of(root: Path, progress: Progress | None = None) -> list[FileRecord]:
    """The files of a package, hashed.

    Raises:
        UsageError: it is no folder, is empty, or holds what cannot be sent: a link that leads out,
            a pipe, a name that is not UTF-8.
        StorageError: a file changed while it was hashed.
    """
    listed, checks = files.list_files(root)
    faults = [check for check in checks if check.status == "fail"]
    if faults:
        first = faults[0]
        raise UsageError(f"{root}/{first.where}: {first.message}", hint=first.hint)
    return hash_files(root, listed.files, progress=progress)


def look(
    ask: Ask,
    place: Place,
    root: Path,
    records: Sequence[FileRecord],
    *,
    private: bool = False,
    create_pr: bool = False,
) -> UploadPlan:
    """What an upload would change.

    Raises:
        HubError: the Hub did not say what it has.
    """
    seen = _seen(ask, Look(place.repo, names_account=True))
    return plan_upload(place, root, records, seen, private=private, create_pr=create_pr)


def send(ask: Ask, plan: UploadPlan, root: Path, records: Sequence[FileRecord]) -> Uploaded:
    """Send what the plan says, and compare the Hub's list with the package.

    Raises:
        UsageError: the plan was refused.
        HubError: it did not arrive, or the repository changed since the plan was made.
        HubDoubtError: the Hub did not say whether it arrived.
    """
    if plan.refusal:
        raise UsageError(f"{plan.place.repo}: {plan.refusal}", hint=plan.hint)
    if not plan.unsent:
        return _uploaded(plan, Done(plan.parent))
    parent = plan.parent or _make(ask, plan)
    sending = tuple(
        Sending(path=one.path, file=str((root / one.path).resolve()), sha256=one.sha256)
        for one in plan.unsent
    )
    job = Send(
        repo=plan.place.repo,
        parent=parent,
        create_pr=plan.create_pr,
        message="Upload with Watchkeeper",
        files=sending,
    )
    try:
        done = _done(ask, job)
    except HubError as error:
        if error.fault not in _LOST:
            raise
        return _after_a_loss(ask, plan, root, records, error)
    _require_all(ask, plan, root, records, done.commit)
    return _uploaded(plan, done)


def _make(ask: Ask, plan: UploadPlan) -> str:
    """Make the repository; its first commit. What somebody put there meanwhile is not touched."""
    repo = plan.place.repo
    _done(ask, Create(repo, plan.private))
    seen = _seen(ask, Look(repo))
    again = plan_upload(plan.place, Path(), [], seen, private=plan.private, create_pr=False)
    if again.others or again.private != plan.private:
        raise HubError(
            f"{repo}: somebody made it meanwhile",
            "changed",
            hint="type the same command again to see the new plan",
        )
    return seen.commit


def _after_a_loss(
    ask: Ask, plan: UploadPlan, root: Path, records: Sequence[FileRecord], error: HubError
) -> Uploaded:
    """The commit may have been made though its answer was lost: the main branch says so."""
    if plan.create_pr:
        raise HubDoubtError(
            f"{error}; the pull request may be there all the same",
            hint=f"look at {plan.place.page}/discussions before you type the command again",
        ) from error
    seen = _seen(ask, Look(plan.place.repo))
    if missing(root, records, seen):
        raise error
    return _uploaded(plan, Done(seen.commit))


def _require_all(
    ask: Ask, plan: UploadPlan, root: Path, records: Sequence[FileRecord], commit: str
) -> None:
    """See that a commit has every file of the package as it is here.

    Raises:
        HubError: it lacks one, or has other bytes under its name.
    """
    seen = _seen(ask, Look(plan.place.repo, revision=commit))
    lacking = missing(root, records, seen)
    if lacking:
        raise HubError(
            f"{plan.place.repo}: the commit {commit} has not, or not as they are here: "
            f"{', '.join(lacking[:5])}",
            "mismatch",
            hint=f"look at {plan.place.page}, then type the same command again",
        )


def _uploaded(plan: UploadPlan, done: Done) -> Uploaded:
    """What came of an upload, as a command reports it."""
    return Uploaded(
        place=plan.place,
        commit=done.commit,
        pull_request=done.pull_request,
        private=plan.private,
        sent=len(plan.unsent),
    )


def _seen(ask: Ask, job: Look) -> Seen:
    """What the Hub says of a repository."""
    answer = ask(job)
    assert isinstance(answer, Seen)
    return answer


def _done(ask: Ask, job: Job) -> Done:
    """What came of a job that changes a repository."""
    answer = ask(job)
    assert isinstance(answer, Done)
    return answer
