"""The process that speaks to the Hub: `python -m watchkeeper.publish.hub.worker`.

It reads a greeting and then one job a line from its standard input, and answers each with a line. A
process, because huggingface_hub waits without an end for a server that hangs, and reads its
settings from the environment when it is imported.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import msgspec

from watchkeeper.core.disk.files import open_regular
from watchkeeper.publish.hub.faults import SaidError, failed_of
from watchkeeper.publish.hub.messages import (
    Answer,
    Create,
    Done,
    Entry,
    Fetch,
    Greeting,
    Job,
    Look,
    Seen,
    Send,
)

if TYPE_CHECKING:
    import ssl

    import httpx2
    from huggingface_hub import HfApi

MOST_ENTRIES = 10_000
"""A package has a few hundred files; a list without an end is an attack."""
MOST_ANSWER_BYTES = 64 * 2**20
CONNECT_S = 20.0
ANSWER_S = 120.0
"""How long the Hub may be silent. It answers a commit of large files after a minute at times."""
_PIECE_BYTES = 2**20


class _Listed(msgspec.Struct):
    """An entry of the Hub's list of files, as far as it is read."""

    type: str
    path: str
    oid: str
    size: int = 0
    lfs: _Large | None = None


class _Large(msgspec.Struct):
    oid: str
    size: int


def perform(job: Job, greeting: Greeting) -> Answer:
    """Do one job. Whatever goes wrong is an answer, and holds no token."""
    try:
        return _perform(job, greeting)
    except Exception as error:
        return failed_of(error, greeting.token)


def _perform(job: Job, greeting: Greeting) -> Answer:
    """Do one job with huggingface_hub. Without a token the library is made to use none, not the one
    that it finds on this machine.
    """
    from huggingface_hub import HfApi

    _prepare()
    api = HfApi(endpoint=greeting.endpoint, token=greeting.token or False)
    if isinstance(job, Look):
        return _look(api, job)
    if isinstance(job, Create):
        return _create(api, job)
    if isinstance(job, Send):
        return _send(api, job)
    return _fetch(api, job)


@functools.cache
def _prepare() -> None:
    """Let the library speak through our client."""
    from huggingface_hub import set_client_factory

    set_client_factory(_client)


# ── look ──


def _look(api: HfApi, job: Look) -> Seen:
    """A repository as the Hub lists it. Where an account is named, one that does not exist is an
    answer and no error: it can be made.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    account = ""
    if job.names_account:
        account = str(api.whoami().get("name") or "")
    try:
        about = api.model_info(job.repo, revision=job.revision)
    except RepositoryNotFoundError:
        if job.names_account:
            return Seen(exists=False, account=account)
        raise
    commit = about.sha or ""
    entries = tuple(_entries(api, job.repo, commit))
    return Seen(True, account, bool(about.private), commit, entries)


def _entries(api: HfApi, repo: str, commit: str) -> Iterator[Entry]:
    """What a commit lists. The library's own list calls whatever is no file a folder: a link, or
    another repository.
    """
    from huggingface_hub.utils._pagination import paginate

    url = f"{api.endpoint}/api/models/{repo}/tree/{commit}"
    pages = paginate(url, {"recursive": True}, _headers(api))
    for count, raw in enumerate(pages, 1):
        if count > MOST_ENTRIES:
            raise SaidError("bad-answer", f"it lists more than {MOST_ENTRIES:,} files")
        yield _entry(raw)


def _entry(raw: object) -> Entry:
    """A file as the Hub lists it. A large one is stored apart (LFS), and has a SHA-256 of
    its own.
    """
    try:
        listed = msgspec.convert(raw, _Listed)
    except msgspec.ValidationError as error:
        raise SaidError("bad-answer", f"its list of files has another form: {error}") from None
    if listed.lfs is None:
        return Entry(listed.path, listed.type, listed.size, listed.oid)
    return Entry(listed.path, listed.type, listed.lfs.size, listed.oid, listed.lfs.oid)


# ── send ──


def _create(api: HfApi, job: Create) -> Done:
    """Make the repository, unless it is there."""
    api.create_repo(job.repo, private=job.private, repo_type="model", exist_ok=True)
    return Done()


def _send(api: HfApi, job: Send) -> Done:
    """Send files as one commit on top of `job.parent`: the Hub refuses it where the branch has
    moved.

    Their hashes are known already, and are not made a second time.
    """
    from huggingface_hub import CommitOperationAdd

    _choose_transfer(api, job.repo)
    operations = []
    for one in job.files:
        operation = CommitOperationAdd(path_in_repo=one.path, path_or_fileobj=one.file)
        operation.upload_info.sha256 = bytes.fromhex(one.sha256)
        operations.append(operation)
    commit = api.create_commit(
        job.repo,
        operations,
        commit_message=job.message,
        parent_commit=job.parent,
        create_pr=job.create_pr,
    )
    return Done(commit.oid, commit.pr_url or "")


def _choose_transfer(api: HfApi, repo: str) -> None:
    """Send without Xet where the Hub has none: the library takes it wherever it is installed."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_DISABLE_XET:
        return
    url = f"{api.endpoint}/api/models/{repo}/xet-write-token/main"
    answer = get_session().get(url, headers=_headers(api))
    constants.HF_HUB_DISABLE_XET = answer.status_code == 404


# ── fetch ──


def _fetch(api: HfApi, job: Fetch) -> Done:
    """Fetch files into a folder, one after the other."""
    for entry in job.entries:
        path = Path(job.folder, entry.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch_one(api, job, entry, path)
    return Done(job.commit)


def _fetch_one(api: HfApi, job: Fetch, entry: Entry, path: Path) -> None:
    """Fetch a file, from where an earlier try stopped, and compare it with what the Hub lists.

    Raises:
        SaidError: it is another file; what was fetched is removed.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get

    url = hf_hub_url(job.repo, entry.path, revision=job.commit, endpoint=api.endpoint)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    with _Bounded(fd, entry) as file:
        http_get(
            url,
            cast(BinaryIO, file),
            resume_size=file.seek(0, os.SEEK_END),
            headers=_headers(api),
            expected_size=entry.size_bytes,
            displayed_filename=path.name,
        )
    if not is_as_listed(path, entry):
        path.unlink()
        raise SaidError("mismatch", f"{entry.path} is not the file that the repository lists")


class _Bounded(io.FileIO):
    """A file that takes no byte more than its entry lists, whatever a server sends."""

    def __init__(self, fd: int, entry: Entry) -> None:
        super().__init__(fd, "r+")
        self._entry = entry
        if self.seek(0, os.SEEK_END) > entry.size_bytes:
            self.truncate(0)

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > self._entry.size_bytes:
            message = f"{self._entry.path} is larger than the repository lists"
            raise SaidError("mismatch", message)
        written = 0
        while written < len(data):
            written += super().write(memoryview(data)[written:]) or 0
        return written


def is_as_listed(path: Path, entry: Entry) -> bool:
    """Whether a file has the size and the hash that the Hub lists for it."""
    size_bytes = path.stat().st_size
    if size_bytes != entry.size_bytes:
        return False
    if entry.sha256:
        return _digest(path, hashlib.sha256()) == entry.sha256
    return _digest(path, hashlib.sha1(b"blob %d\0" % size_bytes)) == entry.oid


def _digest(path: Path, digest: hashlib._Hash) -> str:
    """The digest of a file's bytes, in hexadecimal digits."""
    with open_regular(path) as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


# ── how the Hub is spoken to ──


def _headers(api: HfApi) -> dict[str, str]:
    """The headers of a request that carries the token."""
    return api._build_hf_headers()


def _client() -> httpx2.Client:
    """A client of HTTP that takes no compressed answers, so that what is counted is what
    arrives.
    """
    import httpx2

    return httpx2.Client(
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [_bound]},
        follow_redirects=True,
        timeout=httpx2.Timeout(ANSWER_S, connect=CONNECT_S),
        verify=_certificates(),
    )


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Whom the system trusts. Read once: the library makes a new client after each lost one."""
    import httpx2

    return httpx2.create_ssl_context()


def _bound(response: httpx2.Response) -> None:
    """Refuse an answer that would unpack itself, or that has no end. What is fetched into a file is
    bounded there.
    """
    import httpx2

    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise SaidError("bad-answer", "its answer is packed, which was not asked for")
    if "/api/" in response.request.url.path:
        stream = cast(httpx2.SyncByteStream, response.stream)
        response.stream = _bounded_stream(stream)


def _bounded_stream(stream: httpx2.SyncByteStream) -> httpx2.SyncByteStream:
    import httpx2

    class Bounded(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            count = 0
            for piece in stream:
                count += len(piece)
                if count > MOST_ANSWER_BYTES:
                    raise SaidError("bad-answer", "its answer is larger than 64 MiB")
                yield piece

        def close(self) -> None:
            stream.close()

    return Bounded()


def main() -> None:
    """Read the greeting and the jobs, and answer each."""
    lines = sys.stdin.buffer
    greeting = msgspec.json.decode(lines.readline(), type=Greeting)
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever else is printed in this process is no answer.
    os.dup2(2, 1)
    jobs = msgspec.json.Decoder(Job)
    for line in lines:
        answers.write(msgspec.json.encode(perform(jobs.decode(line), greeting)) + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
