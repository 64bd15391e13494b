"""The pages and the data behind them, as a Starlette application.

    /  /e/…  /r/…  /c                the same page, which draws itself from the data
    /static/pages.js                 its script: all modules of the pages
    /static/NAME                     its style, and the files of the script, from the package only
    /api/1/overview                  everything below the roots
    /api/1/experiment/ID             an experiment
    /api/1/run/ID                    a run; /series, /telemetry, /examples behind it
    /api/1/text/ID/NAME              the lines of one of its texts
    /api/1/file/PAGE/ID?source=…     a file that the page names as evidence, as plain text
    /api/1/compare?r=ID&r=ID         runs side by side
    /api/1/events?scope=…            server-sent events: see `feeds`
    /api/1/schema.json               the JSON Schema of all that

An answer is the commands' envelope with `rev` beside `data`; with `If-None-Match: "REV"` it is 304
while nothing has changed. Ids are looked up among the places that were walked (`served`), and never
joined to a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from watchkeeper.core.errors import Problem, UsageError, WatchkeeperError
from watchkeeper.query.views import experiment as experiments
from watchkeeper.query.views import run as runs
from watchkeeper.show.web.answers import failure
from watchkeeper.show.web.builders import reading_overview
from watchkeeper.show.web.builds import Builds
from watchkeeper.show.web.feeds import Feeds, TooManyTabsError, Wish
from watchkeeper.show.web.parameters import Scope, scope_of
from watchkeeper.show.web.script.joining import page_script
from watchkeeper.show.web.security import Guard, Keys
from watchkeeper.show.web.served import Located, Served

STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_JSON = "application/json"
_PARTS = ("series", "telemetry", "examples")
"""Of a run, asked for by themselves."""
_FOLLOWED = ("overview", "experiment", "run", "compare")
_TEXT = ("text", "after")
_SOON_S = 0.7
"""An overview that takes longer is shown while it is read."""
_COMPRESSION = 6
"""Of gzip: more takes longer and saves little."""
_GONE = (FileNotFoundError, NotADirectoryError)


class Api:
    """Answers requests for data. `served` are the places, `builds` the answers, `feeds` the tabs
    that are open.
    """

    def __init__(self, served: Served) -> None:
        self.served = served
        self.builds = Builds(served)
        self.feeds = Feeds(self.builds)

    def close(self) -> None:
        """End the streams, and build no more."""
        self.feeds.close()
        self.builds.close()

    async def overview(self, request: Request) -> Response:
        """Everything; while it is read for the first time, what has been read so far."""
        scope = _scope(request, "overview")
        built = await self.builds.get_soon(scope, _SOON_S)
        if built is None:
            body = self.builds.part(scope) or reading_overview(self.served)
        else:
            body = built.body
        return _json(body.whole, body.rev, request)

    async def page(self, request: Request) -> Response:
        """Any other page's data; the route's name says which page."""
        scope = _scope(request, request.scope["route"].name)
        built = await self.builds.get(scope)
        return _json(built.body.whole, built.body.rev, request)

    def file(self, request: Request) -> Response:
        """A file that a page names as evidence. Whatever it holds, it is sent as text."""
        located = self._located(request.path_params["page"], request.path_params["id"])
        source = request.query_params.get("source", "")
        if located.is_experiment:
            data = experiments.file(located.folder, source)
        else:
            roots = [root.real for root in self.served.roots]
            data = runs.file(located.folder, located.key, source, within=roots)
        return Response(data, headers={"content-type": "text/plain; charset=utf-8"})

    def _located(self, page: str, id: str) -> Located:
        if page not in ("experiment", "run"):
            raise HTTPException(404)
        if page == "experiment":
            return self.served.experiment(id)
        return self.served.run(id)

    async def events(self, request: Request) -> Response:
        """A tab's stream of events."""
        wish = wish_of(parse_qsl(request.url.query, keep_blank_values=True))
        self.feeds.check_room()
        return StreamingResponse(self.feeds.stream(wish), media_type="text/event-stream")


def wish_of(query: Sequence[tuple[str, str]]) -> Wish:
    """What a tab shows. `scope` is the address of its data below `/api/1/`, with its query. That of
    a run may name besides the series on it, with the parameters of `series`, and as `text` and
    `after` the text that it follows.

    Raises:
        UsageError: something is missing, not known, or out of bounds.
    """
    if [name for name, _ in query] != ["scope"]:
        raise UsageError("events takes one parameter: scope", hint="scope=overview")
    parts = urlsplit(query[0][1])
    page, _, id = unquote(parts.path).partition("/")
    if page not in _FOLLOWED:
        raise UsageError(
            f"scope={query[0][1][:80]!r} names no page",
            hint="overview, experiment/ID, run/ID or compare?r=ID&r=ID",
        )
    pairs = _pairs(parts.query)
    if page != "run":
        return Wish(scope_of(page, id, pairs))
    return _wish_of_run(id, pairs)


def _wish_of_run(id: str, pairs: list[tuple[str, str]]) -> Wish:
    text = [("name" if name == "text" else name, value) for name, value in pairs if name in _TEXT]
    rest = [(name, value) for name, value in pairs if name not in _TEXT]
    series = scope_of("series", id, rest)
    return Wish(
        page=scope_of("run", id, []),
        series=series if series.option("m") else None,
        text=scope_of("text", id, text) if text else None,
    )


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def _scope(request: Request, page: str) -> Scope:
    query = _pairs(request.url.query)
    parameters = request.path_params
    if "name" in parameters:
        query.append(("name", parameters["name"]))
    return scope_of(page, parameters.get("id", ""), query)


def _json(body: bytes, rev: str, request: Request) -> Response:
    tag = f'"{rev}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"etag": tag})
    return Response(body, media_type=_JSON, headers={"etag": tag})


async def _schema(request: Request) -> Response:
    from watchkeeper.show.web.schema import schema_document  # not for every page

    return Response(schema_document(), media_type=_JSON)


async def _index(request: Request) -> Response:
    return _file(STATIC / "index.html")


def _script(request: Request) -> Response:
    return Response(page_script(STATIC), headers={"content-type": _TYPES[".js"]})


async def _static(request: Request) -> Response:
    path = STATIC / request.path_params["name"]
    files = {file for file in STATIC.rglob("*") if file.suffix in _TYPES and file.is_file()}
    if path not in files:
        raise HTTPException(404)
    return _file(path)


def _file(path: Path) -> Response:
    return Response(path.read_bytes(), headers={"content-type": _TYPES[path.suffix]})


def _failed(request: Request, error: Exception) -> Response:
    """The answer to a request that could not be answered."""
    status = 500
    hint = code = ""
    message = str(error) or repr(error)
    if isinstance(error, HTTPException):
        status, message = error.status_code, "there is no such page"
    elif isinstance(error, WatchkeeperError):
        status, hint, code = _status_of(error), error.hint, error.code
    elif isinstance(error, _GONE):
        status, message = 404, f"{error.filename}: is gone"
    elif not isinstance(error, OSError):
        message = f"this is a bug: {error!r}"
    problem = Problem(where=request.url.path, message=message, hint=hint, code=code)
    return Response(failure(status, [problem]), status, media_type=_JSON)


def _status_of(error: WatchkeeperError) -> int:
    if error.code == "not-found":
        return 404
    if isinstance(error, TooManyTabsError):
        return 503
    return 400 if isinstance(error, UsageError) else 500


def app_of(api: Api, keys: Keys, hosts: Sequence[str] = ()) -> Starlette:
    """The application. `hosts`: names of this machine besides loopback's."""
    routes = [
        *(Route(path, _index) for path in ("/", "/e/{id:path}", "/r/{id:path}", "/c")),
        Route("/static/pages.js", _script),
        Route("/static/{name:path}", _static),
        Route("/api/1/overview", api.overview),
        Route("/api/1/experiment/{id:path}", api.page, name="experiment"),
        *(Route(f"/api/1/run/{{id:path}}/{part}", api.page, name=part) for part in _PARTS),
        Route("/api/1/run/{id:path}", api.page, name="run"),
        Route("/api/1/text/{id:path}/{name}", api.page, name="text"),
        Route("/api/1/file/{page}/{id:path}", api.file),
        Route("/api/1/compare", api.page, name="compare"),
        Route("/api/1/events", api.events),
        Route("/api/1/schema.json", _schema),
    ]
    return Starlette(
        routes=routes,
        # Compressed for tunnels to a phone; the stream of events is not, so that none is held back.
        middleware=[
            Middleware(Guard, keys=keys, hosts=hosts),
            Middleware(GZipMiddleware, compresslevel=_COMPRESSION),
        ],
        exception_handlers={HTTPException: _failed, Exception: _failed},
    )
