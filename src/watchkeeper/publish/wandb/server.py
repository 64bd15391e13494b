"""What a W&B server holds of a run, asked over its GraphQL interface: the evidence of a sync."""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from typing import Any

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.publish.tokens import Token

DEFAULT_URL = "https://api.wandb.ai"
_APP_URL = "https://wandb.ai"
_MOST_BYTES = 2**20
_QUERY = """query Run($entity: String!, $project: String!, $name: String!) {
  project(name: $project, entityName: $entity) { run(name: $name) { name state historyLineCount } }
}"""


class Server(msgspec.Struct, frozen=True):
    """A server by its address, without a slash at the end."""

    url: str

    def page_of(self, entity: str, project: str, run_id: str) -> str:
        """The address of a run's page."""
        base = _APP_URL if self.url == DEFAULT_URL else self.url
        return f"{base}/{entity}/{project}/runs/{run_id}"


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What the server answered about a run. `rows` is None where it has no such run, or did not say
    how many rows it has; `fault` is why there is no answer, "" where there is one. `is_refused`: it
    did not accept the key.
    """

    exists: bool = False
    rows: int | None = None
    state: str = ""
    fault: str = ""
    is_refused: bool = False


def server_from(url: str | None) -> Server:
    """The server at an address, else the one that WANDB_BASE_URL names, else W&B's own.

    Raises:
        UsageError: this is no address of a server.
    """
    address = (url or os.environ.get("WANDB_BASE_URL") or DEFAULT_URL).rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise UsageError(f"{address!r} is no address", hint="give it as https://HOST")
    return Server(address)


def ask(
    server: Server, token: Token, entity: str, project: str, run_id: str, *, timeout_s: float
) -> Held:
    """Ask what the server holds of a run; never raises for what a server or a network does."""
    variables = {"entity": entity, "project": project, "name": run_id}
    body = json.dumps({"query": _QUERY, "variables": variables, "operationName": "Run"})
    login = base64.b64encode(f"api:{token.key}".encode()).decode()
    request = urllib.request.Request(
        f"{server.url}/graphql",
        data=body.encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Basic {login}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as reply:
            answer = json.loads(reply.read(_MOST_BYTES))
    except urllib.error.HTTPError as error:
        is_refused = error.code in (401, 403)
        return Held(fault=f"it answered {error.code} {error.reason}", is_refused=is_refused)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return Held(fault=f"no answer from {server.url}: {reason}")
    return _held(answer)


def _held(answer: Any) -> Held:
    """What an answer says; an answer of another form is none."""
    try:
        project = answer["data"]["project"]
        run = project and project["run"]
    except (KeyError, TypeError):
        return Held(fault="its answer has not the form of a W&B server's")
    if not run:
        return Held()
    rows = run.get("historyLineCount")
    if not isinstance(rows, int):
        rows = None
    return Held(exists=True, rows=rows, state=str(run.get("state") or ""))
