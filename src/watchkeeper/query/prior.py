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

    `setting` is `run_logs`; `state` is the journal's, `keys` narrows the runs. `said` is what the
    command line said of them, None: nothing.

        in no commit: train.py; what runs is kept with each run
        tried before: run_logs/2026-03-11_train.md (completed, val_loss 0.028, keep: 'baseline')

    The code is looked at where the mode is `experiment`: as the command line says, or because there
    is a summary.
    """
    said = said or Said()
    items = list(_first_time(experiment, state, selection, keys))
    if not items:
        return ()
    code = git.state(experiment.folder)
    mode = said.mode
    if not mode and experiment.summary:
        mode = "experiment"
    of_code: list[Problem] = []
    if mode == "experiment":
        of_code += preflight.code_notes(experiment.folder, code)
        of_code += _uncommitted(experiment, items, code)
    root = root_of(experiment.folder, setting)
    return (*of_code, *_tried(experiment, items, said, root, code))


def _uncommitted(experiment: Experiment, items: list[RunItem], code: git.Git) -> Iterator[Problem]:
    """The files that the scripts of these runs name and no commit holds; the scripts themselves are
    always kept.

    One note on all files together; none where there is no commit at all, which is said apart. Of
    many runs only the first fifty are searched.
    """
    if not code.sha:
        return
    paths: dict[Path, None] = {}
    for item in items[:MOST_SEARCHED]:
        script = experiment.folder / item.script
        contents = code_files.contents(script, experiment.workdir_of(item))
        named = [path for path, _ in contents if path != script]
        paths |= dict.fromkeys(code_files.uncommitted(script.parent, named))
    if not paths:
        return
    names = [os.path.relpath(path, experiment.folder) for path in paths]
    shown = ", ".join(names[:MOST_SHOWN])
    if len(names) > MOST_SHOWN:
        shown += f" and {len(names) - MOST_SHOWN} more"
    yield Problem(
        where=str(experiment.folder),
        message=f"in no commit: {shown}; what runs is kept with each run",
        hint="git add and git commit",
        severity="note",
        code="not-committed",
    )


def _first_time(
    experiment: Experiment, state: State, selection: Selection, keys: Container[str] | None
) -> Iterator[RunItem]:
    """The work that was selected and has no attempt yet. `keys` None: whatever its key. Work
    without a script is never submitted.
    """
    for item in experiment.items:
        if not item.script or state.run(item.key).attempts:
            continue
        if keys is not None and item.key not in keys:
            continue
        if _is_selected(item, selection):
            yield item


def _is_selected(item: RunItem, selection: Selection) -> bool:
    """Whether a person asked for this work: `--runs 'r8*' --evals '*clean*'` selects the training
    `r8_lr1e-5`, and of its evaluations those with `clean` in the key.
    """
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
    """What the run logs say of these runs: a note for each log of the same work, ten at most, and
    how many more there are. Before them stands what could not be read.

    `root` is the folder of the run logs; None: none are kept, and nothing is said.
    """
    if root is None or not root.is_dir():
        return
    unread: list[Problem] = []
    works: list[Work] = []
    for item in _compared(experiment, items):
        work = _work(experiment, item, said, code, unread)
        if work.fingerprint:
            works.append(work)
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
    """The work with run logs: trainings, and evaluations of what is not trained here. An evaluation
    of what is trained here is part of the training's log.
    """
    trained: set[str] = set()
    for item in experiment.items:
        if item.phase == "preparation" and not item.control:
            trained.add(item.run)
    for item in items:
        if item.phase == "preparation" or item.run not in trained:
            yield item


def _work(
    experiment: Experiment, item: RunItem, said: Said, code: git.Git, unread: list[Problem]
) -> Work:
    """What one run is about to do, to be looked for in the run logs by its bytes and its words.

    Where the script or a configuration cannot be read, its fingerprint is "" and the reason is
    added to `unread`; of a file that is missing, the submission itself will say so.
    """
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
    if not works:
        return logs, RowIndex(rows)
    for file in run_log_folder.load(root).files:
        if file.text is None:
            for fault in file.faults:
                if fault.code == UNREAD:
                    unread.append(_unread(file.path, fault.message))
            continue
        if file.name == "experiments.md":
            rows += parse_experiments(file.text)
            continue
        if not prior.may_match(file.text, works):
            continue
        log = read_log(file)
        if log is not None:
            logs.append(log)
    return logs, RowIndex(rows)


def _shown(match: Match, root: Path) -> str:
    """A match in words, with the path of its log from where the folder of run logs lies:
    `run_logs/2026-03-11_train.md`.
    """
    return str(match).replace(match.path, os.path.relpath(match.path, root.parent), 1)
