"""Looks at folders in a thread, so that keys are answered while thousands of journals are read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.query.series.shelf import Shelf
from watchkeeper.query.views.charts import Chart
from watchkeeper.query.views.overview import overview
from watchkeeper.query.views.pages import MetricRow, Overview, Run
from watchkeeper.query.views.recent import Recent
from watchkeeper.query.views.run import run, series, text
from watchkeeper.show.live.view import Place, Seen

_LEAST_PAUSE_S = 2.0
_SHARE = 5  # times as long as the last look took, a pause is: thousands of runs cost no whole core
_LOG_LINES = 200
_ROLES = ("train loss", "val loss")
_LOGS = ("run.log", "stdout", "stderr")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is open beside the overview: a run's curves, or its log. `columns` of its chart."""

    place: Place | None = None
    is_log: bool = False
    columns: int = 150


class Looks:
    """The newest look, and a thread that renews it. `on_look` is called from that thread."""

    def __init__(self, paths: Sequence[Path], on_look: Callable[[], None]) -> None:
        self.seen: Seen | None = None
        self.error: BaseException | None = None
        self._paths = paths
        self._on_look = on_look
        self._wanted = Wanted()
        self._looked_at = self._wanted
        self._now = threading.Event()
        self._recent = Recent()
        self._shelf = Shelf()
        self._thread = threading.Thread(target=self._keep_looking, daemon=True)

    def start(self) -> None:
        """Look again and again from now on."""
        self._thread.start()

    def look_at(self, wanted: Wanted) -> None:
        """Look at this as well, and at once where it is something else than before."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._now.set()

    def look_now(self) -> None:
        """Let the next look come at once."""
        self._now.set()

    def _keep_looking(self) -> None:
        """What is no fault of the user's folders ends the program, in its own thread."""
        while self.error is None:
            began = time.monotonic()
            self._now.clear()
            try:
                self.seen = self._look_closer() or self._look()
            except (WatchkeeperError, OSError) as error:
                self._remember(error)
            except BaseException as error:
                self.error = error
            self._on_look()
            took = time.monotonic() - began
            self._now.wait(max(_LEAST_PAUSE_S, _SHARE * took))

    def _remember(self, error: Exception) -> None:
        """Keep what was seen before, and say that it is old; the first look has to succeed."""
        if self.seen is None:
            self.error = error
        else:
            self.seen = msgspec.structs.replace(self.seen, fault=f"not renewed: {error}")

    def _look_closer(self) -> Seen | None:
        """Look only at the run that was opened since the last look, so that it comes at once; None
        where none was. Everything else follows at once too.
        """
        wanted, seen = self._wanted, self.seen
        if seen is None or wanted.place is None or wanted == self._looked_at:
            return None
        self._looked_at = wanted
        self._now.set()
        return self._with_run(_closed(seen), wanted, wanted.place)

    def _look(self) -> Seen:
        """Look at everything once."""
        wanted = self._wanted
        self._looked_at = wanted
        whole = overview(self._paths, self._show_part)
        seen = Seen(overview=whole, happened=list(self._recent.look(whole)))
        if wanted.place is None:
            return seen
        return self._with_run(seen, wanted, wanted.place)

    def _show_part(self, part: Overview) -> None:
        """Show what has been read so far, where nothing was seen before."""
        if self.seen is None or self.seen.is_part:
            self.seen = Seen(overview=part)
            self._on_look()

    def _with_run(self, seen: Seen, wanted: Wanted, place: Place) -> Seen:
        """The look with the run that is open. A run that is gone leaves a word, and the list."""
        folder = Path(place.folder)
        try:
            page = run(folder, place.key, shelf=self._shelf, waits=False)
            seen = msgspec.structs.replace(seen, place=place)
            if wanted.is_log:
                return msgspec.structs.replace(seen, run=page, log=_log_of(folder, place.key, page))
            chart = Chart(metrics=_losses(page.metrics), width=wanted.columns)
            curves = series(folder, place.key, chart, shelf=self._shelf, waits=False)
        except (WatchkeeperError, OSError) as error:
            return msgspec.structs.replace(seen, fault=str(error))
        return msgspec.structs.replace(seen, run=page, series=curves)


def _closed(seen: Seen) -> Seen:
    """The look without a run that was open."""
    return msgspec.structs.replace(seen, place=None, run=None, series=None, log=(), fault="")


def _losses(metrics: Sequence[MetricRow]) -> list[str]:
    """The metrics that are drawn: the losses, else the first one."""
    names = [metric.name for metric in metrics]
    losses = [metric.name for metric in metrics if metric.role in _ROLES]
    return losses or names[:1]


def _log_of(folder: Path, key: str, page: Run) -> list[str]:
    """The end of its log; else of what it printed."""
    sizes = {one.name: one.size for one in page.texts}
    for name in _LOGS:
        if sizes.get(name):
            lines = text(folder, key, name, tail=_LOG_LINES).lines
            return [line.text for line in lines]
    return []
