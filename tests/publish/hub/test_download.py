"""What is fetched, what is refused before a byte comes, and what never gets its name."""

from __future__ import annotations

import errno
import json
import shutil

import pytest

from tests.publish.hub.packages import (
    BAD,
    GOOD,
    REPO,
    WEIGHTS,
    asker,
    contents,
    place_at,
    upload,
)
from tests.publish.hub.server import TOKEN, Blob, Trouble
from watchkeeper.core.errors import StorageError, UsageError
from watchkeeper.publish.hub import worker
from watchkeeper.publish.hub.client import HubError
from watchkeeper.publish.hub.download import (
    UnverifiedError,
    fetch,
    list_package,
    part_of,
    require_free,
)


def download(hub, target, verify=lambda _: GOOD, token="", revision="main"):
    """List and fetch the package."""
    ask = asker(hub, token)
    listed = list_package(ask, place_at(hub), revision)
    return fetch(ask, listed, target, verify)


@pytest.fixture
def uploaded(hub, package):
    """The package is on the Hub."""
    upload(hub, package)
    hub.requests.clear()
    return package


def test_a_package_comes_back_as_it_was(hub, uploaded, tmp_path):
    """Each file, and nothing of the Hub's own or of the client's; a public one needs no token."""
    assert download(hub, tmp_path / "copy") == GOOD
    assert contents(tmp_path / "copy") == contents(uploaded)
    assert hub.cdn_authorizations == {""}
    assert not list(tmp_path.glob(".copy*"))


def test_a_private_package_needs_its_owner(hub, package, tmp_path):
    """The token goes to the Hub, and not to the host of the large files."""
    upload(hub, package, private=True)
    with pytest.raises(HubError, match="not shown"):
        download(hub, tmp_path / "copy")
    download(hub, tmp_path / "copy", token=TOKEN)
    assert contents(tmp_path / "copy") == contents(package)
    assert hub.cdn_authorizations == {""}


def test_a_gated_repository_says_where_to_ask(hub, uploaded, tmp_path):
    """Its page is named."""
    hub.repos[REPO].gated = True
    with pytest.raises(HubError, match="asked for") as error:
        download(hub, tmp_path / "copy")
    assert f"{hub.url}/{REPO}" in error.value.hint


def test_a_revision_that_is_not_there_is_said(hub, uploaded, tmp_path):
    """A branch and a commit can be named; another name is an error."""
    commit = hub.repos[REPO].refs["main"]
    download(hub, tmp_path / "copy", revision=commit)
    with pytest.raises(HubError, match="is not there"):
        download(hub, tmp_path / "other", revision="v9")


def test_a_target_that_is_there_is_kept(hub, uploaded, tmp_path):
    """Neither a folder, nor a file, nor a link that leads nowhere is replaced; nothing is asked."""
    for name in ("folder", "file", "link"):
        target = tmp_path / name
        if name == "folder":
            target.mkdir()
        elif name == "file":
            target.write_text("mine")
        else:
            target.symlink_to("nowhere")
        with pytest.raises(UsageError, match="is there already"):
            download(hub, target)
    assert not any("resolve" in line for line in hub.requests)
    with pytest.raises(UsageError, match="there is no folder"):
        download(hub, tmp_path / "a" / "b")


def test_a_target_that_comes_to_be_meanwhile_is_kept(hub, uploaded, tmp_path):
    """Somebody made the folder while the package was verified."""
    target = tmp_path / "copy"

    def verify(_):
        target.mkdir()
        (target / "theirs").touch()
        return GOOD

    with pytest.raises(UsageError, match="came to be meanwhile"):
        download(hub, target, verify)
    assert [path.name for path in target.iterdir()] == ["theirs"]


@pytest.mark.parametrize("checks", [BAD, []])
def test_what_is_not_verified_never_gets_its_name(hub, uploaded, tmp_path, checks):
    """A failed check, and no check at all, leave nothing behind."""
    with pytest.raises(UnverifiedError, match="not what was signed") as error:
        download(hub, tmp_path / "copy", lambda _: checks)
    assert error.value.checks == tuple(checks)
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []


def test_a_verification_that_breaks_leaves_nothing(hub, uploaded, tmp_path):
    """An error while checking is no verification."""

    def verify(_):
        raise UsageError("no signers")

    with pytest.raises(UsageError, match="no signers"):
        download(hub, tmp_path / "copy", verify)
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []


def test_a_file_swapped_behind_the_list_is_refused(hub, uploaded, tmp_path):
    """The bytes must have the hash that the commit lists, also where their number is right."""
    for name in (WEIGHTS, "README.md"):
        files = hub.repos[REPO].files
        blob = files[name]
        other = bytes(len(blob.data))
        if blob.is_large:
            hub.objects[blob.sha256] = other
        else:
            hub.troubles = [Trouble("answer", f"/{name}", body=other)]
        target = tmp_path / f"copy of {len(blob.data)}"
        with pytest.raises(HubError, match="not what the Hub lists"):
            download(hub, target)
        hub.objects[blob.sha256] = blob.data
        assert not target.exists()


@pytest.mark.parametrize("extra", [b"!", b"!" * 100_000])
def test_no_byte_more_than_listed_is_written(hub, uploaded, tmp_path, extra):
    """A file that goes on without an end stops at its listed size."""
    blob = hub.repos[REPO].files[WEIGHTS]
    hub.objects[blob.sha256] = blob.data + extra
    with pytest.raises(HubError, match="not what the Hub lists"):
        download(hub, tmp_path / "copy")
    kept = [path for path in tmp_path.rglob("*.safetensors") if ".copy.part" in str(path)]
    assert all(path.stat().st_size <= len(blob.data) for path in kept)


@pytest.mark.parametrize("cut", [0, 1, 2500, 4999])
def test_a_download_broken_at_any_byte_continues(hub, uploaded, tmp_path, cut, monkeypatch):
    """What arrived is used by the next try, and nothing has the final name before all is there."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)
    target = tmp_path / "copy"
    hub.troubles = [Trouble("cut-answer", "/cdn/", bytes=cut, times=1)]
    hub.troubles += [Trouble("close", "/cdn/", times=6)]
    with pytest.raises(HubError, match="connection was lost"):
        download(hub, target)
    assert not target.exists()
    commit = hub.repos[REPO].refs["main"]
    assert (part_of(target, commit) / WEIGHTS).stat().st_size == cut // 100 * 100
    hub.troubles = []
    download(hub, target)
    assert contents(target) == contents(uploaded)


def test_a_spoiled_beginning_is_not_continued_for_ever(hub, uploaded, tmp_path):
    """Bytes that were changed on the disk are found by their hash, and fetched anew."""
    target = tmp_path / "copy"
    part = part_of(target, hub.repos[REPO].refs["main"]) / WEIGHTS
    part.parent.mkdir(parents=True)
    part.write_bytes(b"spoiled")
    with pytest.raises(HubError, match="not what the Hub lists"):
        download(hub, target)
    download(hub, target)
    assert contents(target) == contents(uploaded)


def test_a_link_in_the_place_of_the_part_is_not_followed(hub, uploaded, tmp_path):
    """Nothing is written through a link that somebody put beside the target."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = tmp_path / "copy"
    part_of(target, hub.repos[REPO].refs["main"]).symlink_to(elsewhere)
    with pytest.raises(UsageError, match="is a link"):
        download(hub, target)
    assert not list(elsewhere.iterdir())


NASTY = {
    "../out": "leads upwards",
    "a/../../out": "leads upwards",
    "/etc/out": "is absolute",
    "C:\\out": "drive of Windows",
    "a//b": "plain form",
    "./a": "plain form",
    "a\x1b[31m": "control characters",
    "a\nb": "control characters",
}


@pytest.mark.parametrize(("name", "why"), NASTY.items())
def test_a_path_that_leads_out_is_refused_before_a_byte_comes(hub, tmp_path, name, why):
    """Nothing is fetched of a repository that lists one, and its name is shown as text."""
    repo = hub.add(REPO, {"README.md": b"x"})
    repo.commit({**repo.files, name: Blob(b"x")})
    with pytest.raises(HubError, match=why) as error:
        download(hub, tmp_path / "copy")
    assert "nothing was fetched" in str(error.value) and "\x1b" not in str(error.value)
    assert not any("resolve" in line for line in hub.requests)
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "home"])


@pytest.mark.parametrize("kind", ["symlink", "submodule", "commit"])
def test_what_is_no_file_is_refused(hub, tmp_path, kind):
    """A link and another repository in the list are no files of a package."""
    repo = hub.add(REPO)
    repo.commit({"README.md": Blob(b"../../etc/passwd", kind=kind)})
    with pytest.raises(HubError, match=f"calls it '{kind}'"):
        download(hub, tmp_path / "copy")


@pytest.mark.parametrize("name", ["MODEL_PASSPORT.json", "events.jsonl", "a/README.md", "r.yaml"])
def test_a_document_of_ten_gigabytes_is_refused_by_its_listed_size(hub, tmp_path, name):
    """Not a byte of it is fetched or read."""
    repo = hub.add(REPO)
    repo.commit({name: Blob(b"{}", is_large=True, listed_bytes=10 * 2**30)})
    with pytest.raises(HubError, match=r"10[.]00 GiB: a document has at most"):
        download(hub, tmp_path / "copy")
    assert not any("resolve" in line for line in hub.requests)


def test_a_disk_that_is_too_small_is_seen_before_a_byte_comes(hub, tmp_path):
    """The listed sizes are compared with what is free."""
    repo = hub.add(REPO)
    repo.commit({"w.safetensors": Blob(b"x", is_large=True, listed_bytes=10**18)})
    with pytest.raises(StorageError, match="free, and ada/model needs"):
        download(hub, tmp_path / "copy")
    assert not any("resolve" in line for line in hub.requests)


def test_what_was_fetched_before_needs_no_room(hub, uploaded, tmp_path, monkeypatch):
    """A continued download needs only the rest."""
    listed = list_package(asker(hub), place_at(hub), "main")
    part = part_of(tmp_path / "copy", listed.commit)
    part.mkdir()
    (part / "w").write_bytes(bytes(listed.size_bytes - 10))
    free = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    require_free(tmp_path / "copy", listed)
    (part / "w").write_bytes(bytes(listed.size_bytes - 11))
    with pytest.raises(StorageError):
        require_free(tmp_path / "copy", listed)


def test_a_full_disk_says_so(hub, uploaded, tmp_path, monkeypatch):
    """What the system refuses to write is no broken connection."""

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(worker._Bounded, "write", refuse)
    with pytest.raises(HubError, match="the disk is full") as error:
        download(hub, tmp_path / "copy")
    assert "make room" in error.value.hint


@pytest.mark.parametrize(
    "entries",
    [
        [{"type": "file", "path": "a", "oid": "0", "size": 1}] * 2,
        [
            {"type": "file", "path": "a", "oid": "0", "size": 1},
            {"type": "file", "path": "a/b", "oid": "0", "size": 1},
        ],
        [{"type": "file", "path": "a", "oid": "0", "size": -1}],
        [],
    ],
    ids=["twice", "file and folder", "negative", "empty"],
)
def test_a_list_that_no_folder_can_hold_is_refused(hub, tmp_path, entries):
    """A path listed twice, a file that is a folder, a size below 0, and nothing at all."""
    hub.add(REPO)
    hub.troubles = [Trouble("answer", "/tree/", body=json.dumps(entries).encode())]
    with pytest.raises(HubError, match="nothing was fetched"):
        download(hub, tmp_path / "copy")


def test_a_list_without_an_end_is_refused(hub, tmp_path, monkeypatch):
    """The client stops asking for pages."""
    monkeypatch.setattr(worker, "MOST_ENTRIES", 5)
    hub.page_size = 2
    hub.add(REPO, {f"f{number}": b"x" for number in range(40)})
    with pytest.raises(HubError, match="lists more than 5 files"):
        download(hub, tmp_path / "copy")
    assert sum("/tree/" in line for line in hub.requests) == 3


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"[" + b" " * 70_000 + b"]", {}), (b"\x1f\x8b\x08", {"Content-Encoding": "gzip"})],
    ids=["huge", "packed"],
)
def test_an_answer_that_would_fill_the_memory_is_refused(hub, tmp_path, monkeypatch, body, headers):
    """An answer is bounded in bytes, and is not unpacked."""
    monkeypatch.setattr(worker, "MOST_ANSWER_BYTES", 65_536)
    hub.add(REPO, {"x": b"y"})
    hub.troubles = [Trouble("answer", "/tree/", body=body, headers=headers, times=None)]
    with pytest.raises(HubError, match="its answer is"):
        download(hub, tmp_path / "copy")
