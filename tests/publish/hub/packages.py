"""A small package, and the Hub asked in this process: what the tests of publish/hub share."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from tests.publish.hub.server import OWNER, TOKEN, FakeHub
from watchkeeper.publish.checks import Check
from watchkeeper.publish.hub.client import Ask, done_of
from watchkeeper.publish.hub.messages import Done, Greeting, Job, Seen
from watchkeeper.publish.hub.place import Place
from watchkeeper.publish.hub.upload import Uploaded, look, records_of, send
from watchkeeper.publish.hub.worker import perform
from watchkeeper.publish.tokens import Token

REPO = f"{OWNER}/model"
WEIGHTS = "checkpoints/2/params/model.safetensors"
GOOD = [Check(category="signoff", name="signed", status="pass", message="it is signed")]
BAD = [Check(category="signoff", name="changed", status="fail", message="it is another file")]


def write_package(root: Path) -> Path:
    """A folder with a card, a document and weights."""
    files = {
        "README.md": b"---\nlicense: mit\n---\n# A model\n",
        "SIGNOFF.json": b"{}\n",
        "assets/norm.json": b'{"mean": 0}\n',
        WEIGHTS: random.Random(1).randbytes(5000),
    }
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def contents(root: Path) -> dict[str, bytes]:
    """Each file below a folder."""
    paths = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def held(hub: FakeHub, ref: str = "main") -> dict[str, bytes]:
    """What the Hub has of the package's repository, without its own file."""
    repo = hub.repos[REPO]
    files = repo.commits[repo.refs[ref]]
    return {name: blob.data for name, blob in files.items() if name != ".gitattributes"}


def place_at(hub: FakeHub, repo: str = REPO) -> Place:
    """A repository at the fake Hub."""
    return Place(repo, hub.url)


def asker(hub: FakeHub, token: str = TOKEN, repo: str = REPO) -> Ask:
    """Asks the fake Hub in this process."""
    whose = Token(Path("/secret/token"), token) if token else None

    def ask(job: Job) -> Seen | Done:
        return done_of(perform(job, Greeting(hub.url, token)), place_at(hub, repo), whose)

    return ask


def upload(hub: FakeHub, root: Path, token: str = TOKEN, **settings: bool) -> Uploaded:
    """Plan an upload and do it."""
    records = records_of(root)
    ask = asker(hub, token)
    plan = look(ask, place_at(hub), root, records, **settings)
    return send(ask, plan, root, records)


def commits(hub: FakeHub) -> Sequence[str]:
    """The ids of the repository's commits, the Hub's own first one among them."""
    return list(hub.repos[REPO].commits)
