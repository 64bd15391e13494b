"""What an upload sends, what it leaves alone, and what counts as arrived."""

from __future__ import annotations

import pytest

from tests.publish.hub.packages import (
    REPO,
    WEIGHTS,
    asker,
    commits,
    contents,
    held,
    place_at,
    upload,
)
from tests.publish.hub.server import TOKEN, Trouble
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.hub.client import HubDoubtError, HubError
from watchkeeper.publish.hub.messages import Done, Look, Send
from watchkeeper.publish.hub.upload import look, records_of, send


def test_a_package_arrives_in_one_commit(hub, package):
    """The repository is made, each file is there as it is here, and one commit holds them all."""
    done = upload(hub, package, private=True)
    assert held(hub) == contents(package)
    assert len(commits(hub)) == 2 and done.commit == commits(hub)[-1]
    assert (done.sent, done.pull_request, done.private) == (4, "", True)
    assert hub.repos[REPO].private
    assert hub.cdn_authorizations == set()


def test_large_files_go_in_parts_where_the_hub_wants_it(hub, package):
    """A file above the size of a part arrives whole."""
    hub.part_bytes = 1500
    upload(hub, package)
    assert held(hub) == contents(package)
    assert sum("PUT /lfs/" in line for line in hub.requests) == 4


def test_what_is_there_is_not_sent_again(hub, package):
    """A second upload of the same package makes no commit and sends no file."""
    first = upload(hub, package)
    before = hub.received_bytes
    again = upload(hub, package)
    assert (again.sent, again.commit) == (0, first.commit)
    assert len(commits(hub)) == 2 and hub.received_bytes == before


def test_a_plan_says_what_would_be_sent(hub, package):
    """Whose token, how visible, how many bytes, how long, and what is there already."""
    hub.add(REPO, {"README.md": (package / "README.md").read_bytes()}, private=True)
    plan = look(asker(hub), place_at(hub), package, records_of(package))
    assert (plan.account, plan.private, plan.exists, plan.refusal) == ("ada", True, True, "")
    assert {one.path: one.state for one in plan.files} == {
        "README.md": "there",
        "SIGNOFF.json": "new",
        "assets/norm.json": "new",
        WEIGHTS: "new",
    }
    card_bytes = (package / "README.md").stat().st_size
    assert plan.unsent_bytes == sum(map(len, contents(package).values())) - card_bytes
    assert plan.estimate_s == plan.unsent_bytes / 10_000_000
    assert all("POST" not in line for line in hub.requests)


@pytest.mark.parametrize(
    ("theirs", "named"),
    [({"theirs.bin": b"x"}, "theirs.bin"), ({"README.md": b"# Theirs\n"}, "README.md")],
)
def test_a_repository_with_other_files_is_refused(hub, package, theirs, named):
    """A file that the package has not, or has with other bytes, stops the upload and is named."""
    hub.add(REPO, theirs)
    with pytest.raises(UsageError, match=f"other files: {named}") as error:
        upload(hub, package)
    assert "--create-pr" in error.value.hint
    assert held(hub) == theirs


def test_many_other_files_are_counted(hub, package):
    """Eight names are enough; the rest is a number."""
    hub.add(REPO, {f"f{number:02}": b"x" for number in range(20)})
    plan = look(asker(hub), place_at(hub), package, records_of(package))
    assert plan.refusal.endswith("f07 and 12 more")


def test_a_proposal_leaves_the_branch_alone(hub, package):
    """With --create-pr the package is in a pull request, and the main branch is as before."""
    hub.add(REPO, {"README.md": b"# Theirs\n"})
    done = upload(hub, package, create_pr=True)
    assert done.pull_request == f"{hub.url}/{REPO}/discussions/1"
    assert held(hub) == {"README.md": b"# Theirs\n"}
    assert held(hub, "refs/pr/1") == contents(package)


def test_nothing_can_be_proposed_to_no_repository(hub, package):
    """--create-pr needs a repository that is there."""
    with pytest.raises(UsageError, match="nothing yet that --create-pr"):
        upload(hub, package, create_pr=True)
    assert not hub.repos


def test_a_public_repository_does_not_take_a_private_package(hub, package):
    """--private is a promise: nothing is sent to a repository that everybody sees."""
    hub.add(REPO)
    with pytest.raises(UsageError, match="is public, and --private was given"):
        upload(hub, package, private=True)
    assert held(hub) == {}


def test_a_commit_that_came_between_is_not_overwritten(hub, package):
    """Files that somebody added after the plan was shown stop the commit."""
    records = records_of(package)
    repo = hub.add(REPO)
    ask = asker(hub)
    plan = look(ask, place_at(hub), package, records)
    repo.commit({**repo.files, "theirs": hub.blob_of(b"x")})
    with pytest.raises(HubError, match="changed meanwhile") as error:
        send(ask, plan, package, records)
    assert error.value.fault == "changed" and held(hub) == {"theirs": b"x"}


def test_a_repository_that_somebody_made_meanwhile_is_left_alone(hub, package):
    """Between plan and upload the name was taken: nothing is sent there."""
    records = records_of(package)
    ask = asker(hub)
    plan = look(ask, place_at(hub), package, records)
    hub.add(REPO, {"theirs": b"x"})
    with pytest.raises(HubError, match="somebody made it meanwhile"):
        send(ask, plan, package, records)
    assert held(hub) == {"theirs": b"x"}


def test_only_the_hubs_own_list_is_evidence(hub, package):
    """A commit that the Hub confirms, and whose list lacks a file, was no upload."""
    records = records_of(package)
    hub.add(REPO)
    ask = asker(hub)
    plan = look(ask, place_at(hub), package, records)

    def lying(job):
        return Done(plan.parent) if isinstance(job, Send) else ask(job)

    with pytest.raises(HubError, match=r"has not, or not as they are here: README[.]md"):
        send(lying, plan, package, records)


def test_a_file_that_changes_on_its_way_is_not_uploaded(hub, package):
    """The bytes that were checked are those that must arrive."""
    records = records_of(package)
    ask = asker(hub)
    plan = look(ask, place_at(hub), package, records)
    path = package / WEIGHTS
    path.write_bytes(b"!" + path.read_bytes()[1:])
    with pytest.raises(HubError):
        send(ask, plan, package, records)
    assert WEIGHTS not in held(hub)


def test_a_lost_answer_to_the_commit_is_no_failure(hub, package):
    """The commit was made, its answer never came: the list says that the package is there."""
    hub.troubles = [Trouble("lose-answer", "/commit/main")]
    done = upload(hub, package)
    assert held(hub) == contents(package) and len(commits(hub)) == 2
    assert done.commit == commits(hub)[-1]


def test_a_lost_answer_to_a_proposal_is_unknown(hub, package):
    """Whether the pull request is there is for a person to see, before there are two of them."""
    hub.add(REPO, {"README.md": b"# Theirs\n"})
    hub.troubles = [Trouble("lose-answer", "/commit/main")]
    with pytest.raises(HubDoubtError, match="pull request may be there") as error:
        upload(hub, package, create_pr=True)
    assert "/discussions" in error.value.hint


# Of each request of an upload, how its address is known.
REQUESTS = (
    "whoami", "GET /api/models/ada/model?", "repos/create", "GET /api/models/ada/model/revision",
    "validate-yaml", "preupload", "objects/batch", "PUT /lfs", "/verify", "/commit/main", "/tree/",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["close", "cut-request", "lose-answer", "cut-answer"])
@pytest.mark.parametrize("at", REQUESTS)
def test_a_connection_lost_at_any_request_leaves_one_commit_after_a_second_try(
    hub, package, at, kind
):
    """However often the connection breaks at one request, the same command later brings the whole
    package in a single commit.
    """
    hub.troubles = [Trouble(kind, at, times=7, bytes=3)]
    try:
        upload(hub, package)
    except HubError as error:
        assert TOKEN not in str(error) + error.hint
    hub.troubles = []
    upload(hub, package)
    assert held(hub) == contents(package) and len(commits(hub)) == 2


@pytest.mark.parametrize("cut", [0, 1, 1499, 1500, 4999])
def test_a_large_file_broken_at_any_byte_arrives_whole(hub, package, cut):
    """The connection ends within the file: the next try sends what is missing of it."""
    hub.troubles = [Trouble("cut-request", "PUT /lfs", bytes=cut)]
    upload(hub, package)
    assert held(hub) == contents(package) and len(commits(hub)) == 2


def test_a_package_that_cannot_be_sent_is_refused(tmp_path, package):
    """A link that leads out of it, and a folder that is none."""
    (package / "out").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="leads out"):
        records_of(package)
    with pytest.raises(UsageError, match="is no folder"):
        records_of(tmp_path / "nowhere")


def test_the_list_may_come_in_pages(hub, package):
    """A list of more files than a page holds is read to its end."""
    hub.page_size = 2
    upload(hub, package)
    seen = asker(hub)(Look(REPO))
    assert {entry.path for entry in seen.entries} >= set(contents(package))
