"""A Hub on loopback for the tests: the part of the Hugging Face Hub that huggingface_hub speaks to
when it uploads and downloads a model. It keeps commits and large files in memory, and can be made
to fail at any request and any byte.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from urllib.parse import parse_qs, unquote, urlsplit

from tests.publish.loopback import LoopbackHandler, LoopbackServer

TOKEN = "hf_" + "Qw7tZ2mKx9Lp4Rb8Vn3Cy6Hd1Js5Gf"
OWNER = "ada"
ACCOUNT = {"name": OWNER, "type": "user", "auth": {"accessToken": {"role": "write"}}}

Kind = Literal["status", "hang", "close", "lose-answer", "cut-request", "cut-answer", "answer"]


@dataclass
class Trouble:
    """What goes wrong at requests whose `METHOD /path` holds `at`, after `skip` of them, `times`
    times (None: always). `status`: this code with `body`. `answer`: 200 with `body`. `hang`: no
    answer. `close`: the connection ends before anything is done; `lose-answer`: after it was done.
    `cut-request`, `cut-answer`: the connection ends after so many `bytes` of the body.
    """

    kind: Kind
    at: str = ""
    skip: int = 0
    times: int | None = 1
    code: int = 500
    body: bytes = b'{"error": "no"}'
    bytes: int = 0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Blob:
    """One file of a commit."""

    data: bytes
    is_large: bool = False
    kind: str = "file"
    listed_bytes: int | None = None

    @property
    def sha256(self) -> str:
        """The id of a large file."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def oid(self) -> str:
        """The id that Git gives the file."""
        return git_oid(self.data)


@dataclass
class Repo:
    """One model repository. `commits` are the files of each commit by its id; `refs` name one."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, Blob]:
        """The files on the main branch."""
        return self.commits[self.refs["main"]]

    def commit(self, files: dict[str, Blob], ref: str = "main") -> str:
        """Make a commit the newest of a branch; its id."""
        seed = f"{len(self.commits)} {sorted(files)} {ref}"
        oid = hashlib.sha1(seed.encode()).hexdigest()
        self.commits[oid] = files
        self.refs[ref] = oid
        return oid

    def at(self, revision: str) -> str | None:
        """The id of a commit by its branch or by itself."""
        oid = self.refs.get(revision, revision)
        return oid if oid in self.commits else None


def git_oid(data: bytes) -> str:
    """The id that Git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class FakeHub(LoopbackServer):
    """One Hub. `requests` are the lines of the requests it got, `tokens` who may write, and
    `received_bytes` what came in as bodies.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.parts: dict[tuple[str, int], bytes] = {}
        self.tokens: dict[str, dict[str, Any]] = {TOKEN: ACCOUNT}
        self.troubles: list[Trouble] = []
        self.requests: list[str] = []
        self.authorizations: set[str] = set()
        self.cdn_authorizations: set[str] = set()
        self.received_bytes = 0
        self.large_from_bytes = 1000
        self.part_bytes: int | None = None
        self.page_size = 1000
        self.hanging = threading.Event()
        self.lock = threading.Lock()
        super().__init__(_Handler)

    @property
    def cdn_url(self) -> str:
        """The address of the large files: as with the Hub, another host, which gets no token."""
        return f"http://localhost:{self.port}"

    def add(self, repo_id: str, files: dict[str, bytes] | None = None, **settings: Any) -> Repo:
        """A repository with files in it, as the Hub makes one."""
        repo = Repo(**settings)
        repo.commit({".gitattributes": Blob(b"*.safetensors filter=lfs\n")})
        if files is not None:
            blobs = {name: self.blob_of(data) for name, data in files.items()}
            repo.commit({**repo.files, **blobs})
        self.repos[repo_id] = repo
        return repo

    def blob_of(self, data: bytes) -> Blob:
        """A file as the Hub would keep it."""
        is_large = len(data) >= self.large_from_bytes
        if is_large:
            self.objects[hashlib.sha256(data).hexdigest()] = data
        return Blob(data, is_large)

    def trouble_for(self, line: str) -> Trouble | None:
        """What goes wrong at this request, and once less often from now on."""
        with self.lock:
            for trouble in self.troubles:
                if trouble.at not in line or trouble.times == 0:
                    continue
                if trouble.skip:
                    trouble.skip -= 1
                    continue
                if trouble.times is not None:
                    trouble.times -= 1
                return trouble
        return None


class _Gone(Exception):
    """The connection was ended on purpose."""


@dataclass
class _Reply:
    code: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def _json(answer: object, code: int = 200, **headers: str) -> _Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return _Reply(code, json.dumps(answer).encode(), {"Content-Type": "application/json", **named})


def _refusal(code: int, name: str, message: str) -> _Reply:
    return _json({"error": message}, code, X_Error_Code=name, X_Error_Message=message)


_NO_REPO = (404, "RepoNotFound", "Repository not found")


class _Handler(LoopbackHandler):
    @property
    def fake(self) -> FakeHub:
        """The Hub that is spoken to."""
        return cast(FakeHub, self.owner)

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        line = f"{self.command} {self.path}"
        self.fake.requests.append(line)
        self.authorizations()
        trouble = self.fake.trouble_for(line)
        try:
            self._answer(trouble)
        except _Gone:
            self.close_connection = True

    def authorizations(self) -> None:
        """Note what the client shows as its right."""
        shown = self.headers.get("Authorization") or ""
        self.fake.authorizations.add(shown)
        if self.path.startswith("/cdn/"):
            self.fake.cdn_authorizations.add(shown)

    def _answer(self, trouble: Trouble | None) -> None:
        if trouble is not None and trouble.kind == "close":
            self._end()
        body = self._body(trouble)
        if trouble is not None and trouble.kind == "hang":
            self.fake.hanging.set()
            self.fake.released.wait()
            raise _Gone
        if trouble is not None and trouble.kind in ("status", "answer"):
            code = trouble.code if trouble.kind == "status" else 200
            self._reply(_Reply(code, trouble.body, trouble.headers), None)
            return
        with self.fake.lock:
            reply = self._act(body)
        if trouble is not None and trouble.kind == "lose-answer":
            self._end()
        self._reply(reply, trouble)

    def _end(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        raise _Gone

    def _body(self, trouble: Trouble | None) -> bytes:
        if trouble is not None and trouble.kind == "cut-request":
            self.rfile.read(min(trouble.bytes, int(self.headers.get("Content-Length") or 0)))
            self._end()
        data = self.body()
        self.fake.received_bytes += len(data)
        return data

    def _reply(self, reply: _Reply, trouble: Trouble | None) -> None:
        self.send_response(reply.code)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in reply.headers:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if trouble is not None and trouble.kind == "cut-answer":
            self.wfile.write(reply.body[: trouble.bytes])
            self._end()
        self.wfile.write(reply.body)

    def _act(self, body: bytes) -> _Reply:
        place = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(place.query).items()}
        for method, pattern, action in _ROUTES:
            match = re.fullmatch(pattern, place.path)
            if match and self.command in method.split("|"):
                words = [unquote(word) for word in match.groups()]
                return action(self, body, query, *words)
        return _json({"error": "no such page"}, 404)

    # ── who asks ──

    def _account(self) -> dict[str, Any] | None:
        """Whose token came along; None: no token."""
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        return self.fake.tokens.get(token) if scheme else None

    def _refused(self, *, needs: bool = False) -> _Reply | None:
        """The refusal of a token that is none, or of a missing one that is needed."""
        has_token = "Authorization" in self.headers
        if has_token and self._account() is None:
            return _json({"error": "Invalid credentials in Authorization header"}, 401)
        if needs and not has_token:
            return _json({"error": "Invalid username or password."}, 401)
        return None

    def _seen(self, repo_id: str) -> Repo | _Reply:
        """The repository if whoever asks may see it."""
        refused = self._refused()
        if refused is not None:
            return refused
        repo = self.fake.repos.get(repo_id)
        is_owner = (self._account() or {}).get("name") == repo_id.partition("/")[0]
        if repo is not None and (is_owner or not repo.private):
            return repo
        if self._account() is None:
            return _refusal(401, "RepoNotFound", "Invalid username or password.")
        return _refusal(*_NO_REPO)

    def _writable(self, repo_id: str) -> Repo | _Reply:
        refused = self._refused(needs=True)
        if refused is not None:
            return refused
        account = self._account() or {}
        is_writer = account["auth"]["accessToken"]["role"] == "write"
        if not is_writer or account["name"] != repo_id.partition("/")[0]:
            return _json({"error": "You don't have the required permissions"}, 403)
        return self._seen(repo_id)

    # ── pages ──

    def whoami(self, body: bytes, query: dict[str, str]) -> _Reply:
        refused = self._refused(needs=True)
        return refused or _json(self._account())

    def create(self, body: bytes, query: dict[str, str]) -> _Reply:
        asked = json.loads(body)
        repo_id = f"{asked['organization']}/{asked['name']}"
        if repo_id in self.fake.repos:
            return _json({"error": "exists", "url": f"{self.fake.url}/{repo_id}"}, 409)
        writable = self._writable(repo_id)
        if isinstance(writable, _Reply) and writable.code != 404:
            return writable
        if asked["name"].endswith(".git") or len(asked["name"]) > 96:
            return _json({"error": f"Invalid repo name: {asked['name']}"}, 400)
        self.fake.add(repo_id, private=asked.get("visibility") == "private")
        return _json({"url": f"{self.fake.url}/{repo_id}"})

    def info(self, body: bytes, query: dict[str, str], repo_id: str, *at: str) -> _Reply:
        repo = self._seen(repo_id)
        if isinstance(repo, _Reply):
            return repo
        oid = repo.at(at[0] if at else "main")
        if oid is None:
            return _refusal(404, "RevisionNotFound", "Invalid rev id")
        siblings = [{"rfilename": name} for name in repo.commits[oid]]
        gated = "auto" if repo.gated else False
        about = {"id": repo_id, "sha": oid, "private": repo.private, "gated": gated}
        return _json({**about, "siblings": siblings})

    def tree(self, body: bytes, query: dict[str, str], repo_id: str, revision: str) -> _Reply:
        repo = self._seen(repo_id)
        if isinstance(repo, _Reply):
            return repo
        oid = repo.at(revision)
        if oid is None:
            return _refusal(404, "RevisionNotFound", "Invalid rev id")
        entries = _entries(repo.commits[oid])
        start = int(query.get("cursor", "0"))
        end = start + self.fake.page_size
        reply = _json(entries[start:end])
        if end < len(entries):
            url = f"{self.fake.url}{urlsplit(self.path).path}?recursive=True&cursor={end}"
            reply.headers["Link"] = f'<{url}>; rel="next"'
        return reply

    def paths(self, body: bytes, query: dict[str, str], repo_id: str, revision: str) -> _Reply:
        repo = self._seen(repo_id)
        if isinstance(repo, _Reply):
            return repo
        oid = repo.at(revision)
        wanted = json.loads(body)["paths"]
        return _json([one for one in _entries(repo.commits[oid or ""]) if one["path"] in wanted])

    def no_xet(self, body: bytes, query: dict[str, str], *_: str) -> _Reply:
        return _json({"error": "no such page"}, 404)

    def validate(self, body: bytes, query: dict[str, str]) -> _Reply:
        content = json.loads(body)["content"]
        if "BROKEN" in content:
            return _json({"errors": [{"message": '"license" must be a string'}]}, 400)
        return _json({"errors": [], "warnings": []})

    def preupload(self, body: bytes, query: dict[str, str], repo_id: str, _: str) -> _Reply:
        repo = self._writable(repo_id)
        if isinstance(repo, _Reply):
            return repo
        files = []
        for one in json.loads(body)["files"]:
            mode = "lfs" if one["size"] >= self.fake.large_from_bytes else "regular"
            files.append({"path": one["path"], "uploadMode": mode, "shouldIgnore": False})
            kept = repo.files.get(one["path"])
            if kept is not None:
                files[-1]["oid"] = kept.sha256 if kept.is_large else kept.oid
        return _json({"files": files})

    def batch(self, body: bytes, query: dict[str, str], repo_id: str) -> _Reply:
        repo = self._writable(repo_id)
        if isinstance(repo, _Reply):
            return repo
        objects = [self._object(one) for one in json.loads(body)["objects"]]
        return _json({"transfer": "basic", "objects": objects})

    def _object(self, asked: dict[str, Any]) -> dict[str, Any]:
        oid, size = asked["oid"], asked["size"]
        answer = {"oid": oid, "size": size}
        if oid in self.fake.objects:
            return answer
        part_bytes = self.fake.part_bytes
        if part_bytes is None or size <= part_bytes:
            upload: dict[str, Any] = {"href": f"{self.fake.url}/lfs/{oid}"}
        else:
            count = -(-size // part_bytes)
            header = {f"{n:05}": f"{self.fake.url}/lfs/{oid}/{n}" for n in range(1, count + 1)}
            header["chunk_size"] = str(part_bytes)
            upload = {"href": f"{self.fake.url}/lfs/{oid}/complete", "header": header}
        verify = {"href": f"{self.fake.url}/verify"}
        return {**answer, "actions": {"upload": upload, "verify": verify}}

    def put(self, body: bytes, query: dict[str, str], oid: str) -> _Reply:
        if hashlib.sha256(body).hexdigest() != oid:
            return _json({"error": "other bytes"}, 400)
        self.fake.objects[oid] = body
        return _Reply(200)

    def put_part(self, body: bytes, query: dict[str, str], oid: str, number: str) -> _Reply:
        self.fake.parts[oid, int(number)] = body
        return _Reply(200, b"", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})

    def complete(self, body: bytes, query: dict[str, str], oid: str) -> _Reply:
        numbers = [part["partNumber"] for part in json.loads(body)["parts"]]
        data = b"".join(self.fake.parts.get((oid, number), b"") for number in numbers)
        return self.put(data, query, oid)

    def verify(self, body: bytes, query: dict[str, str]) -> _Reply:
        asked = json.loads(body)
        kept = self.fake.objects.get(asked["oid"])
        is_there = kept is not None and len(kept) == asked["size"]
        return _json({}, 200 if is_there else 422)

    def commit(self, body: bytes, query: dict[str, str], repo_id: str, revision: str) -> _Reply:
        repo = self._writable(repo_id)
        if isinstance(repo, _Reply):
            return repo
        header, *operations = (json.loads(line) for line in body.splitlines())
        parent = repo.at(revision) or ""
        asked = header["value"].get("parentCommit")
        if asked is not None and asked != parent:
            return _json({"error": "A commit has happened since. Please refresh."}, 412)
        files = dict(repo.commits[parent])
        for one in operations:
            value = one["value"]
            data = self._content(one)
            if data is None:
                return _json({"error": f"no object {value['oid']}"}, 400)
            files[value["path"]] = Blob(data, is_large=one["key"] == "lfsFile")
        return self._committed(repo, repo_id, files, revision, is_pr=query.get("create_pr") == "1")

    def _content(self, operation: dict[str, Any]) -> bytes | None:
        value = operation["value"]
        if operation["key"] == "lfsFile":
            return self.fake.objects.get(value["oid"])
        return base64.b64decode(value["content"])

    def _committed(
        self, repo: Repo, repo_id: str, files: dict[str, Blob], revision: str, *, is_pr: bool
    ) -> _Reply:
        number = sum(ref.startswith("refs/pr/") for ref in repo.refs) + 1
        ref = f"refs/pr/{number}" if is_pr else revision
        oid = repo.commit(files, ref)
        base = f"{self.fake.url}/{repo_id}"
        page = f"{base}/discussions/{number}" if is_pr else None
        urls = {"commitUrl": f"{base}/commit/{oid}", "pullRequestUrl": page}
        return _json({**urls, "commitOid": oid, "success": True})

    def resolve(
        self, body: bytes, query: dict[str, str], repo_id: str, revision: str, name: str
    ) -> _Reply:
        repo = self._seen(repo_id)
        if isinstance(repo, _Reply):
            return repo
        if repo.gated and self._account() is None:
            return _refusal(401, "GatedRepo", f"Access to model {repo_id} is restricted.")
        oid = repo.at(revision)
        blob = repo.commits.get(oid or "", {}).get(name)
        if blob is None:
            return _refusal(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": oid or "", "ETag": f'"{blob.oid}"', "Accept-Ranges": "bytes"}
        if not blob.is_large:
            return self._bytes(blob.data, headers)
        headers |= {"X-Linked-Size": str(len(blob.data)), "X-Linked-Etag": f'"{blob.sha256}"'}
        headers["Location"] = f"{self.fake.cdn_url}/cdn/{blob.sha256}"
        return _Reply(302, b"", headers)

    def cdn(self, body: bytes, query: dict[str, str], oid: str) -> _Reply:
        return self._bytes(self.fake.objects[oid], {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})

    def _bytes(self, data: bytes, headers: dict[str, str]) -> _Reply:
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if begin is None or int(begin[1]) >= len(data):
            return _Reply(200, data, headers | {"Content-Length": str(len(data))})
        first = int(begin[1])
        headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        return _Reply(206, data[first:], headers | {"Content-Length": str(len(data) - first)})


def _entries(files: dict[str, Blob]) -> list[dict[str, Any]]:
    """A commit's files and folders as the tree of a repository lists them."""
    folders = {parent for name in files for parent in _parents(name)}
    listed = [{"type": "directory", "path": one, "oid": "0" * 40, "size": 0} for one in folders]
    for name, blob in files.items():
        size = len(blob.data) if blob.listed_bytes is None else blob.listed_bytes
        entry: dict[str, Any] = {"type": blob.kind, "path": name, "oid": blob.oid, "size": size}
        if blob.is_large:
            entry["lfs"] = {"oid": blob.sha256, "size": size, "pointerSize": 130}
        listed.append(entry)
    return sorted(listed, key=lambda entry: entry["path"])


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: at + 1]) for at in range(len(parts))]


_REPO = r"([^/]+/[^/]+)"
_API = rf"/api/models/{_REPO}"
_ROUTES: list[tuple[str, str, Callable[..., _Reply]]] = [
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("GET", _API, _Handler.info),
    ("GET", rf"{_API}/revision/(.+)", _Handler.info),
    ("GET", rf"{_API}/tree/([^/]+)", _Handler.tree),
    ("GET", rf"{_API}/xet-write-token/([^/]+)", _Handler.no_xet),
    ("POST", rf"{_API}/paths-info/([^/]+)", _Handler.paths),
    ("POST", rf"{_API}/preupload/([^/]+)", _Handler.preupload),
    ("POST", rf"{_API}/commit/([^/]+)", _Handler.commit),
    ("POST", rf"/{_REPO}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/lfs/([0-9a-f]{64})", _Handler.put),
    ("PUT", r"/lfs/([0-9a-f]{64})/(\d+)", _Handler.put_part),
    ("POST", r"/lfs/([0-9a-f]{64})/complete", _Handler.complete),
    ("POST", "/verify", _Handler.verify),
    ("GET|HEAD", rf"/{_REPO}/resolve/([^/]+)/(.+)", _Handler.resolve),
    ("GET|HEAD", r"/cdn/([0-9a-f]{64})", _Handler.cdn),
]
