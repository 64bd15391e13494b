"""Which function makes the data of which page. These read files and take their time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from watchkeeper.core.errors import UsageError
from watchkeeper.query.compare import Chosen
from watchkeeper.query.series.shelf import Shelf
from watchkeeper.query.views import compare as comparing
from watchkeeper.query.views import overview as overviews
from watchkeeper.query.views import pages
from watchkeeper.query.views import run as runs
from watchkeeper.query.views.charts import Chart
from watchkeeper.query.views.experiment import experiment
from watchkeeper.show.web.answers import Body, body_of
from watchkeeper.show.web.parameters import Scope
from watchkeeper.show.web.served import Located, Served

OnPart = Callable[[Body], None]
"""Is called with an answer that has what was read so far."""
_MATCHES = {"": None, "yes": True, "no": False}


class Product(NamedTuple):
    """What was built. `is_live`: something in it runs, and may end without a word in a file.
    `rest` reads what was left out, however long that takes; None: nothing was.
    """

    body: Body
    is_live: bool
    rest: Callable[[], None] | None


class _Made(NamedTuple):
    data: Any
    summary: str
    is_live: bool = False
    rest: Callable[[], None] | None = None


def watched_id(scope: Scope) -> str:
    """The id below which a change of a file changes the answer; "" where it may be any."""
    if scope.page in ("overview", "compare"):
        return ""
    return scope.id


class Builders:
    """Makes the answers of one server. Its methods may be called from several threads."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self._roots = [root.real for root in served.roots]
        self._shelf = Shelf()
        self._read: set[str] = set()
        self._pages: dict[str, Callable[[Scope, OnPart], _Made]] = {
            "overview": self._overview,
            "experiment": self._experiment,
            "run": self._run,
            "series": self._series,
            "telemetry": self._telemetry,
            "examples": self._examples,
            "text": self._text,
            "compare": self._compare,
        }

    def build(self, scope: Scope, on_part: OnPart) -> Product:
        """Make an answer.

        Raises:
            UsageError: there is no such place or run; its code is then "not-found".
            WatchkeeperError, OSError: its files cannot be read.
        """
        try:
            made = self._pages[scope.page](scope, on_part)
        except UsageError as error:
            # What the request says was within its bounds: what is missing is what it names.
            if scope.id:
                error.code = "not-found"
            raise
        return Product(body_of(made.data, made.summary), made.is_live, made.rest)

    def _overview(self, scope: Scope, on_part: OnPart) -> _Made:
        def note(part: pages.Overview) -> None:
            on_part(_reading_body(part))

        data = overviews.overview(self.served.paths, note)
        return _Made(data, data.name, bool(data.running or data.waiting))

    def _experiment(self, scope: Scope, on_part: OnPart) -> _Made:
        located = self.served.experiment(scope.id)
        data = experiment(located.folder, located.id)
        return _Made(data, data.name, bool(data.running or data.watcher.alive))

    def _run(self, scope: Scope, on_part: OnPart) -> _Made:
        run = self.served.run(scope.id)
        is_read = scope.id in self._read
        data = runs.run(
            run.folder, run.key, run.id, shelf=self._shelf, waits=is_read, within=self._roots
        )
        rest = None
        if not is_read:
            nothing = Chart(metrics=())
            read = runs.series(
                run.folder, run.key, nothing, shelf=self._shelf, waits=False, within=self._roots
            )
            rest = self._rest_of(run, is_whole=read.is_whole)
        return _Made(data, f"{data.name}: {data.state}", data.standing == "running", rest)

    def _series(self, scope: Scope, on_part: OnPart) -> _Made:
        run = self.served.run(scope.id)
        chart = Chart(
            metrics=scope.option("m"),
            axis=scope.option("x"),
            begin=scope.option("from"),
            end=scope.option("to"),
            width=scope.option("width"),
            smoothing=scope.option("s"),
        )
        is_read = scope.id in self._read
        data = runs.series(
            run.folder, run.key, chart, shelf=self._shelf, waits=is_read, within=self._roots
        )
        rest = self._rest_of(run, is_whole=data.is_whole)
        return _Made(data, f"{data.rows:,} rows", rest=rest)

    def _rest_of(self, run: Located, *, is_whole: bool) -> Callable[[], None] | None:
        """What reads all rows of a run; None where they are read. From then on an answer waits for
        the few that were added.
        """
        if is_whole:
            self._read.add(run.id)
            return None

        def read() -> None:
            runs.build(run.folder, run.key, self._shelf, self._roots)
            self._read.add(run.id)

        return read

    def _telemetry(self, scope: Scope, on_part: OnPart) -> _Made:
        run = self.served.run(scope.id)
        strips = runs.telemetry(
            run.folder,
            run.key,
            after=scope.option("after"),
            shelf=self._shelf,
            within=self._roots,
        )
        return _Made(pages.Telemetry(strips=strips), f"{len(strips)} figures")

    def _examples(self, scope: Scope, on_part: OnPart) -> _Made:
        run = self.served.run(scope.id)
        data = runs.examples(
            run.folder,
            run.key,
            before=scope.option("before"),
            limit=scope.option("limit"),
            match=_MATCHES[scope.option("match")],
            within=self._roots,
        )
        return _Made(data, f"{len(data.rows)} of {data.total} examples")

    def _text(self, scope: Scope, on_part: OnPart) -> _Made:
        run = self.served.run(scope.id)
        name, after, tail = scope.option("name"), scope.option("after"), scope.option("tail")
        data = runs.text(run.folder, run.key, name, after=after, tail=tail, within=self._roots)
        return _Made(data, f"{len(data.lines)} lines")

    def _compare(self, scope: Scope, on_part: OnPart) -> _Made:
        located = [self.served.run(id) for id in scope.option("r")]
        chosen = [Chosen(run.folder, run.key, run.id) for run in located]
        wish = comparing.Wish(scope.option("at") or "last", scope.option("m"))
        data = comparing.compare(chosen, scope.option("base"), wish)
        return _Made(data, data.heading, any(run.standing == "running" for run in data.runs))


def reading_overview(served: Served) -> Body:
    """The overview before anything was read: no places yet."""
    data = pages.Overview(
        name=", ".join(root.name for root in served.roots),
        counts={},
        needs=[],
        running=[],
        waiting=[],
        places=[],
        reading=pages.Reading(done=0, total=max(1, served.count)),
    )
    return _reading_body(data)


def _reading_body(data: pages.Overview) -> Body:
    return body_of(data, f"{data.reading.done:,} of {data.reading.total:,} journals read")
