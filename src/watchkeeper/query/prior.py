"""Before runs are submitted for the first time: was this tried before, and can its code be found
again? Nothing is written, and nothing is held up: all of it is notes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from watchkeeper.core.code import code_files, git
from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.errors import Problem
from watchkeeper.core.events import RunItem
from watchkeeper.core.state import State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch import preflight
from watchkeeper.launch.plan import Selection
from watchkeeper.reading import configs
from watchkeeper.report.compare import prior
from watchkeeper.report.compare.prior import Match, Work
from watchkeeper.report.runlog.experiments_table import Row, parse_experiments
from watchkeeper.report.runlog.read import Log, RowIndex
from watchkeeper.report.runlog.read import read as read_log
from watchkeeper.watch.logs import run_log_folder
from watchkeeper.watch.logs.log_files import root_of
from watchkeeper.watch.logs.said import Said

MOST_SHOWN = 10
UNREAD = "WK101"
"""The rule on a run log that is there and cannot be read."""
MOST_SEARCHED = 50
"""Of scripts, those whose code is looked for in the commit before they are submitted."""


def notes(
    experiment: Experiment,
    selection: Selection,
    setting: str | None,
    said: Said | None = None,
    *,
    state: State,
    keys: Container[str] | None = None,
) -> tuple[Problem, ...]:
    """What there is to say of the runs that would now be submitted for the first time; nothing
    where there are none.

    `setting` is `run_logs`; `state` is the journal's, `keys` narrows the runs.
    """
    said = said or Said()
    items = list(_first_time(experiment, state, selection, keys))
    if not items:
        return ()
    code = git.state(experiment.folder)
    mode = said.mode or ("experiment" if experiment.summary else "")
    of_code: list[Problem] = []
    if mode == "experiment":
        of_code += [
            *preflight.code_notes(experiment.folder, code),
            *_uncommitted(experiment, items, code),
        ]
    return (*of_code, *_tried(experiment, items, said, root_of(experiment.folder, setting), code))


def _uncommitted(experiment: Experiment, items: list[RunItem], code: git.Git) -> Iterator[Problem]:
    """The files that the scripts of these runs name and no commit holds; the scripts themselves are
    always kept.
    """
    paths: dict[Path, None] = {}
    for item in items[:MOST_SEARCHED] if code.sha else ():
        script = experiment.folder / item.script
        contents = code_files.contents(script, experiment.workdir_of(item))
        named = [path for path, _ in contents if path != script]
        paths |= dict.fromkeys(code_files.uncommitted(script.parent, named))
    names = [os.path.relpath(path, experiment.folder) for path in paths]
    if names:
        if len(names) > MOST_SHOWN:
            more = f" and {len(names) - MOST_SHOWN} more"
        else:
            more = ""
        message = (
            f"in no commit: {', '.join(names[:MOST_SHOWN])}{more}; what runs is kept with each run"
        )
        yield Problem(
            where=str(experiment.folder),
            message=message,
            hint="git add and git commit",
            severity="note",
            code="not-committed",
        )


def _first_time(
    experiment: Experiment, state: State, selection: Selection, keys: Container[str] | None
) -> Iterator[RunItem]:
    for item in experiment.items:
        if not item.script or state.run(item.key).attempts:
            continue
        if keys is not None and item.key not in keys:
            continue
        if _is_selected(item, selection):
            yield item


def _is_selected(item: RunItem, selection: Selection) -> bool:
    if item.phase not in selection.phases:
        return False
    if selection.keys is not None and item.key not in selection.keys:
        return False
    if selection.runs is not None and not fnmatchcase(item.run, selection.runs):
        return False
    if item.phase != "evaluation" or selection.evals is None:
        return True
    return fnmatchcase(item.key, selection.evals)


def _tried(
    experiment: Experiment, items: list[RunItem], said: Said, root: Path | None, code: git.Git
) -> Iterator[Problem]:
    if root is None or not root.is_dir():
        return
    unread: list[Problem] = []
    works = [_work(experiment, item, said, code, unread) for item in _compared(experiment, items)]
    works = [work for work in works if work.fingerprint]
    logs, rows = _read(root, works, unread)
    yield from unread
    matches: list[Match] = []
    for work in works:
        matches += prior.matches(work, logs, rows)
    for match in matches[:MOST_SHOWN]:
        yield Problem(
            where=match.key, message=_shown(match, root), severity="note", code="tried-before"
        )
    more = len(matches) - MOST_SHOWN
    if more > 0:
        yield Problem(
            where=str(root),
            message=f"{more} more run logs are of what is about to be submitted",
            hint="watchkeeper compare shows what came of them",
            severity="note",
            code="tried-before",
        )


def _compared(experiment: Experiment, items: list[RunItem]) -> Iterator[RunItem]:
    """The work with run logs: trainings, and evaluations of what is not trained here."""
    trained = {
        item.run for item in experiment.items if item.phase == "preparation" and not item.control
    }
    for item in items:
        if item.phase == "preparation" or item.run not in trained:
            yield item


def _work(
    experiment: Experiment, item: RunItem, said: Said, code: git.Git, unread: list[Problem]
) -> Work:
    script = experiment.folder / item.script
    try:
        kept = {
            path: hashlib.sha256(read_whole(path)).hexdigest()
            for path in configs.files_of(script, experiment.workdir_of(item))
        }
        script_sha256 = hashlib.sha256(read_whole(script)).hexdigest()
        print_ = prior.fingerprint(script_sha256, kept.values(), item.args)
    except FileNotFoundError:
        kept, print_ = {}, ""  # its submission will say so
    except OSError as error:
        kept, print_ = {}, ""
        unread.append(_unread(item.key, f"{error.filename or script}: {error.strerror or error}"))
    return Work(
        key=item.key,
        fingerprint=print_,
        commit=code.sha,
        dirty=code.dirty,
        script=item.script,
        configs=tuple(map(str, kept)),
        dataset=said.dataset or experiment.dataset,
        settings=", ".join(said.settings) or experiment.settings.get(item.run, ""),
    )


def _unread(where: str, what: str) -> Problem:
    """A file that is there and could not be read, so that what it says is unknown."""
    return Problem(
        where=where,
        message=f"cannot check whether this was tried before: {what}",
        hint="check the disk that holds the file",
        severity="note",
        code="unreadable",
    )


def _read(root: Path, works: list[Work], unread: list[Problem]) -> tuple[list[Log], RowIndex]:
    """The logs that may be of one of these works, and the rows of the tables that compare them.
    Those that could not be read are added to `unread`.
    """
    logs: list[Log] = []
    rows: list[Row] = []
    for file in run_log_folder.load(root).files if works else ():
        if file.text is None:
            unread += [
                _unread(file.path, fault.message) for fault in file.faults if fault.code == UNREAD
            ]
            continue
        if file.name == "experiments.md":
            rows += parse_experiments(file.text)
        elif prior.may_match(file.text, works) and (log := read_log(file)) is not None:
            logs.append(log)
    return logs, RowIndex(rows)


def _shown(match: Match, root: Path) -> str:
    return str(match).replace(match.path, os.path.relpath(match.path, root.parent), 1)
