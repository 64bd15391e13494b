"""A W&B server on loopback for the tests: it takes what `wandb sync` sends, keeps each run's rows
by their offset, and can be made to fail as real servers do.
"""

from __future__ import annotations

import gzip
import json
import socket
from typing import Any, Literal, cast

from tests.publish.loopback import LoopbackHandler, LoopbackServer

Fault = Literal["", "401", "403", "404", "500", "hang", "close", "lose-rows", "no-count", "old"]


class FakeServer(LoopbackServer):
    """One server. `rows[(entity, project, run)]` maps an offset to the line that was sent for it;
    `repeated` counts offsets that were sent twice with other content.
    """

    def __init__(self) -> None:
        self.fault: Fault = ""
        self.fault_after = 0
        """How many requests are answered well before the fault begins."""
        self.requests = 0
        self.rows: dict[tuple[str, str, str], dict[int, str]] = {}
        self.completed: set[tuple[str, str, str]] = set()
        self.repeated = 0
        self.keys: set[str] = set()
        self.version = "0.76.1"
        """What it says it is; "" where it does not say."""
        super().__init__(_Handler)

    def begin(self, *run: str) -> None:
        """A run is known from now on."""
        entity, project, name = run
        self.rows.setdefault((entity, project, name), {})

    def take_rows(self, run: tuple[str, str, str], offset: int, lines: list[str]) -> None:
        """Keep lines by their offset."""
        kept = self.rows.setdefault(run, {})
        if self.fault == "lose-rows":
            lines = lines[: len(lines) // 2]
        for number, line in enumerate(lines, offset):
            self.repeated += kept.get(number, line) != line
            kept[number] = line

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The data of a GraphQL answer."""
        if "UpsertBucket" in query:
            run = (variables["entity"], variables["project"], variables["name"])
            self.begin(*run)
            return {"upsertBucket": {"bucket": self._bucket(*run), "inserted": True}}
        if "RunResumeStatus" in query:
            run = (variables["entity"], variables["project"], variables["name"])
            bucket = self._resumed(*run) if run in self.rows else None
            return {"model": {"id": "p", "name": run[1], "bucket": bucket}}
        if "CreateRunFiles" in query:
            files = [
                {"name": name, "uploadUrl": f"{self.url}/storage/{name}"}
                for name in variables["files"]
            ]
            return {"createRunFiles": {"runID": "x", "uploadHeaders": [], "files": files}}
        if "historyLineCount" in query and "query Run(" in query:
            return {"project": {"run": self._held(variables)}}
        if "versionOnThisInstanceString" in query:
            version = {"versionOnThisInstanceString": self.version} if self.version else None
            return {"serverInfo": {"latestLocalVersionInfo": version}}
        return {}

    def _held(self, variables: dict[str, Any]) -> dict[str, Any] | None:
        run = (variables["entity"], variables["project"], variables["name"])
        if run not in self.rows:
            return None
        count = None if self.fault == "no-count" else len(self.rows[run])
        state = "finished" if run in self.completed else "running"
        return {"name": run[2], "state": state, "historyLineCount": count}

    def _resumed(self, entity: str, project: str, name: str) -> dict[str, Any]:
        """Where a resumed run goes on: behind the rows that are there."""
        rows = self.rows[entity, project, name]
        tail = [rows[max(rows)]] if rows else []
        counts = {"historyLineCount": len(rows), "eventsLineCount": 0, "logLineCount": 0}
        tails = {"historyTail": json.dumps(tail), "eventsTail": "[]", "summaryMetrics": "{}"}
        return {
            "id": "x",
            "name": name,
            "config": "{}",
            "wandbConfig": '{"t": 1}',
            **counts,
            **tails,
        }

    def _bucket(self, entity: str, project: str, name: str) -> dict[str, Any]:
        place = {"id": "p", "name": project, "entity": {"id": "e", "name": entity}}
        return {"id": "x", "name": name, "displayName": name, "config": "{}", "project": place}


class _Handler(LoopbackHandler):
    @property
    def fake(self) -> FakeServer:
        """The server that is spoken to."""
        return cast(FakeServer, self.owner)

    def do_POST(self) -> None:
        body = self._body()
        if self._fails():
            return
        self.fake.keys.add(self.headers.get("Authorization") or "")
        if self.path == "/graphql":
            asked = json.loads(body)
            field = self._missing_field(asked["query"])
            if field:
                fault = f'Cannot query field "{field}" on type "Run".'
                self._reply({"errors": [{"message": fault}], "data": None}, 400)
                return
            self._reply({"data": self.fake.answer(asked["query"], asked["variables"])})
        elif self.path.endswith("/file_stream"):
            self._take(json.loads(body))
            self._reply({"exitcode": None, "limits": {}})
        else:
            self._reply({})

    def _missing_field(self, query: str) -> str:
        """The field of a query that an old server does not know; "" for none."""
        fields = ("historyLineCount", "versionOnThisInstanceString")
        if self.fake.fault != "old":
            return ""
        return next((field for field in fields if field in query), "")

    def do_GET(self) -> None:
        if not self._fails():
            self._reply({})

    def do_PUT(self) -> None:
        self._body()
        if not self._fails():
            self._reply({})

    def _take(self, sent: dict[str, Any]) -> None:
        entity, project, name = self.path.split("/")[2:5]
        history = sent.get("files", {}).get("wandb-history.jsonl")
        if history:
            self.fake.take_rows((entity, project, name), history["offset"], history["content"])
        if sent.get("complete"):
            self.fake.completed.add((entity, project, name))

    def _fails(self) -> bool:
        self.fake.requests += 1
        if self.fake.requests <= self.fake.fault_after:
            return False
        if self.fake.fault.isdigit():
            self._reply({"error": "no"}, int(self.fake.fault))
            return True
        if self.fake.fault == "hang":
            self.fake.released.wait()
            self.close_connection = True
            return True
        if self.fake.fault == "close":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return True
        return False

    def _body(self) -> bytes:
        data = self.body()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data

    def _reply(self, answer: object, code: int = 200) -> None:
        data = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
