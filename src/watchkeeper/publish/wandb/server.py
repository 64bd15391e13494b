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
_BAD_REQUEST = 400
_QUERY = """query Run($entity: String!, $project: String!, $name: String!) {
  project(name: $project, entityName: $entity) { run(name: $name) { name state historyLineCount } }
}"""


_VERSION_QUERY = """query ServerInfo {
  serverInfo { latestLocalVersionInfo { versionOnThisInstanceString } }
}"""
_UNKNOWN_FIELD = "Cannot query field"


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
    answer = _post(server, token, _QUERY, variables, timeout_s)
    if isinstance(answer, Held):
        return answer
    return _held(answer)


def version_of_server(server: Server, token: Token, *, timeout_s: float) -> str:
    """The version that a server says it is, as `0.75.1`; "" where it does not say, as W&B's own
    does not, or gives no answer.
    """
    answer = _post(server, token, _VERSION_QUERY, {}, timeout_s)
    try:
        version = answer["data"]["serverInfo"]["latestLocalVersionInfo"]
        return str(version["versionOnThisInstanceString"] or "")
    except (KeyError, TypeError):
        return ""


def _post(
    server: Server, token: Token, query: str, variables: dict[str, str], timeout_s: float
) -> Any:
    """The answer to a query, or a `Held` with the reason why there is none."""
    body = json.dumps({"query": query, "variables": variables})
    login = base64.b64encode(f"api:{token.key}".encode()).decode()
    request = urllib.request.Request(
        f"{server.url}/graphql",
        data=body.encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Basic {login}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as reply:
            return json.loads(reply.read(_MOST_BYTES))
    except urllib.error.HTTPError as error:
        return _refusal(error)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return Held(fault=f"no answer from {server.url}: {reason}")


def _refusal(error: urllib.error.HTTPError) -> Held:
    """What an answer with an error's code says."""
    try:
        says = error.read(_MOST_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        says = ""
    if error.code == _BAD_REQUEST and _UNKNOWN_FIELD in says:
        return Held(fault="the server is too old to say what it holds: update it")
    is_refused = error.code in (401, 403)
    return Held(fault=f"it answered {error.code} {error.reason}", is_refused=is_refused)


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
