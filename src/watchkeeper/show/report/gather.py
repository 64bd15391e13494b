"""What a report is made from: the objects of the pages, masked, and the sections made of them."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from watchkeeper.core.errors import ExperimentError, UsageError, WatchkeeperError
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.tree import is_experiment
from watchkeeper.query.catalogue.listing import Run as Listed
from watchkeeper.query.catalogue.listing import list_runs
from watchkeeper.query.catalogue.places import places_below
from watchkeeper.query.compare import Chosen
from watchkeeper.query.views import pages
from watchkeeper.query.views import run as runs
from watchkeeper.query.views.charts import Chart
from watchkeeper.query.views.compare import MOST_RUNS as MOST_COMPARED
from watchkeeper.query.views.compare import compare as compare_page
from watchkeeper.query.views.experiment import experiment as experiment_page
from watchkeeper.query.views.origin import events_of, origin
from watchkeeper.query.views.overview import overview_of
from watchkeeper.query.views.pages import Compare, Examples, Run, Series, Text
from watchkeeper.runfolder.search import may_be_run
from watchkeeper.show.envelope import plain
from watchkeeper.show.report.document import Report
from watchkeeper.show.report.drawing.loss_chart import MOST_LINES
from watchkeeper.show.report.parts import experiment as experiment_part
from watchkeeper.show.report.parts import folder as folder_part
from watchkeeper.show.report.parts import run as run_part
from watchkeeper.show.report.private import Mask, sensitive_values

VERSION = 1
"""Of the data that a report holds."""
MOST_COLUMNS = 2_000
_COLUMNS_AMONG_MANY = 400
_MOST_METRICS = 12
_MOST_EXAMPLES = 20
_MOST_TEXT_LINES = 60
_TEXTS = ("run-log", "run.log", "stderr")
_LOSS_ROLES = ("train loss", "val loss")

PageT = TypeVar("PageT", bound=msgspec.Struct)


@dataclass(frozen=True)
class Source:
    """What is asked for: a folder, whether private fields stay, and when the report is made."""

    folder: Path
    keeps_private: bool
    made: datetime

    def masked(self, page: PageT, mask: Mask) -> PageT:
        """The page as the report may show it."""
        if self.keeps_private:
            return page
        return mask.page(page)


def kind_of(folder: Path) -> str:
    """What lies in a folder: "experiment", "run" (a recorded one), or "folder" (anything else).

    Raises:
        UsageError: it is no folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="name an experiment, a run, or a folder")
    if is_experiment(folder):
        return "experiment"
    if may_be_run(folder):
        return "run"
    try:
        experiments.read(folder)
    except ExperimentError:
        return "folder"
    return "experiment"


def report_of(source: Source) -> Report:
    """The report of what lies in the folder.

    Raises:
        UsageError: nothing was recorded there.
        NewerJournalError: a later version wrote a journal.
    """
    makers: dict[str, Callable[[Source], Report]] = {
        "experiment": _experiment_report,
        "run": _run_report,
        "folder": _folder_report,
    }
    return makers[kind_of(source.folder)](source)


def _mask_of(folder: Path) -> Mask:
    """A mask with the values of every journal at and below the folder, and of this machine."""
    values: dict[str, set[str]] = {}
    for place in places_below(str(folder)).found:
        for which, own in sensitive_values(_events(Path(place.path))).items():
            values.setdefault(which, set()).update(own)
    values.setdefault("host", set()).add(socket.gethostname())
    values.setdefault("user", set()).add(getpass.getuser())
    return Mask(folder, values)


def _events(folder: Path) -> Iterator[object]:
    """The events of a place; of a journal that a later version wrote, none."""
    try:
        yield from events_of(folder)
    except WatchkeeperError:
        return


# ── an experiment


def _experiment_report(source: Source) -> Report:
    """The report of an experiment: its figures, the losses of up to 20 runs, and the run log of the
    best one.

    Raises:
        NewerJournalError: a later version wrote its journal.
    """
    folder = source.folder
    mask = _mask_of(folder)
    page = source.masked(experiment_page(folder), mask)
    names = [run.name for run in page.runs if not run.control]
    run_pages = dict(_run_pages(folder, names[:MOST_LINES]))
    series = dict(_losses(folder, run_pages))
    log = _best_run_log(source, page, run_pages, mask)
    shown_runs = {name: source.masked(one, mask) for name, one in run_pages.items()}
    came_from = origin(folder)
    sections = experiment_part.sections_of(
        page, series, shown_runs, log, came_from, now=source.made
    )
    first, rest = experiment_part.sentence_of(page)
    return Report(
        name=page.name,
        sentence=first,
        rest=rest,
        question=page.question,
        sections=list(sections),
        zone=page.zone,
        made=source.made,
        data=_data("experiment", page, shown_runs, series),
    )


def _run_pages(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, Run]]:
    """The pages of runs by name; a run that never began has none."""
    for name in names:
        try:
            yield name, runs.run(folder, name)
        except (WatchkeeperError, OSError):
            continue


def _losses(folder: Path, run_pages: dict[str, Run]) -> Iterator[tuple[str, Series]]:
    """The losses of runs by name: the training's, else the validation's; none of a run that has
    neither.
    """
    for name, page in run_pages.items():
        metric = _loss_of(page)
        if metric:
            chart = Chart(metrics=(metric,), width=_COLUMNS_AMONG_MANY)
            yield name, runs.series(folder, name, chart)


def _loss_of(page: Run) -> str:
    """The training loss of a run, else its validation loss; "" for none."""
    for role in _LOSS_ROLES:
        for metric in page.metrics:
            if metric.role == role:
                return metric.name
    return ""


def _best_run_log(
    source: Source, page: pages.Experiment, run_pages: dict[str, Run], mask: Mask
) -> tuple[str, Text] | None:
    """The run log of the best run, else of the first run that has one, with the run's name; None
    where no run has one.

    It is masked: a run log quotes paths and hosts.
    """
    best = [one.run for one in page.best]
    for name in [*best, *run_pages]:
        if name not in run_pages:
            continue
        if any(text.name == "run-log" for text in run_pages[name].texts):
            log = runs.text(source.folder, name, "run-log", tail=_MOST_TEXT_LINES * 4)
            return name, source.masked(log, mask)
    return None


# ── a recorded run


def _run_report(source: Source) -> Report:
    """The report of a recorded run: up to 12 metrics, the losses first, and the ends of
    its texts.
    """
    folder = source.folder
    mask = _mask_of(folder)
    page = runs.run(folder)
    metrics = [metric.name for metric in sorted(page.metrics, key=_is_no_loss)]
    chart = Chart(metrics=tuple(metrics[:_MOST_METRICS]), width=MOST_COLUMNS)
    series = runs.series(folder, "", chart)
    examples = source.masked(_examples(folder, page), mask)
    texts = {name: source.masked(text, mask) for name, text in _texts(folder, page)}
    shown = source.masked(page, mask)
    sections = run_part.sections_of(shown, series, examples, texts, origin(folder))
    first, rest = run_part.sentence_of(shown)
    return Report(
        name=shown.name,
        sentence=first,
        rest=rest,
        question="",
        sections=list(sections),
        zone=shown.zone,
        made=source.made,
        data=_data("run", shown, {}, {shown.name: series}),
    )


def _is_no_loss(metric: pages.MetricRow) -> bool:
    return metric.role not in _LOSS_ROLES


def _examples(folder: Path, page: Run) -> Examples:
    """The newest examples of a run; of one that has none, an empty page."""
    if not page.examples:
        return Examples(rows=[], total=0, before=None)
    return runs.examples(folder, limit=_MOST_EXAMPLES)


def _texts(folder: Path, page: Run) -> Iterator[tuple[str, Text]]:
    """The ends of the run's texts that are there: its run log, its text log, and what it printed as
    errors. Each has up to 60 lines.
    """
    names = {text.name for text in page.texts if text.size}
    for name in _TEXTS:
        if name in names:
            yield name, runs.text(folder, "", name, tail=_MOST_TEXT_LINES)


# ── a folder with several


def _folder_report(source: Source) -> Report:
    """The report of a folder with several experiments or runs below it.

    Raises:
        UsageError: nothing was recorded there.
    """
    folder = source.folder
    listing = list_runs([folder])
    page = overview_of(listing, [folder])
    if not page.places:
        raise UsageError(
            f"nothing was recorded in {folder}",
            hint="name the folder of an experiment or of a recorded run, or one with some below it",
        )
    mask = _mask_of(folder)
    shown = source.masked(page, mask)
    recorded = [run for run in listing.runs if not run.key]
    beside = _beside(recorded)
    if beside is not None:
        beside = source.masked(beside, mask)
    series = dict(_series_below(recorded))
    first, rest = folder_part.sentence_of(shown)
    return Report(
        name=folder.resolve().name,
        sentence=first,
        rest=rest,
        question="",
        sections=list(folder_part.sections_of(shown, beside, series)),
        zone=shown.zone,
        made=source.made,
        data=_data("folder", shown, {}, series) | {"compare": plain(beside)},
    )


def _beside(recorded: Sequence[Listed]) -> Compare | None:
    """The recorded runs side by side, at most 50 of them; None where there are not two."""
    chosen = [Chosen(id=run.below, folder=Path(run.path)) for run in recorded[:MOST_COMPARED]]
    if len(chosen) < 2:
        return None
    return compare_page(chosen)


def _series_below(recorded: Sequence[Listed]) -> Iterator[tuple[str, Series]]:
    """The losses of the recorded runs by name, at most 20 of them."""
    for one in recorded[:MOST_LINES]:
        path = Path(one.path)
        for name, page in _run_pages_of(path):
            metric = _loss_of(page)
            if metric:
                chart = Chart(metrics=(metric,), width=_COLUMNS_AMONG_MANY)
                yield name, runs.series(path, "", chart)


def _run_pages_of(path: Path) -> Iterator[tuple[str, Run]]:
    """The page of the run in a folder, with its name; nothing where it cannot be read."""
    try:
        yield path.name, runs.run(path)
    except (WatchkeeperError, OSError):
        return


def _data(
    kind: str, page: msgspec.Struct, run_pages: dict[str, Run], series: dict[str, Series]
) -> dict[str, Any]:
    """What the report was made from, as programs read it: the objects that `--json` gives."""
    return {
        "version": VERSION,
        "kind": kind,
        "page": plain(page),
        "runs": {name: plain(one) for name, one in run_pages.items()},
        "series": {name: plain(one) for name, one in series.items()},
    }
