"""Whether a run log that somebody else began is of the very work that is about to be submitted.

It is where its script's path and content, its configurations, its dataset and its key settings are
the same; a name alone proves nothing. The content is known by the log's fingerprint, or by the
commit that it names: the script and the configurations as they were then, but for what may differ
between attempts (launch/same_work.py). A log in which no job has run yet waits for this one.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from watchkeeper.core.code import git
from watchkeeper.core.disk.files import read_whole
from watchkeeper.launch.same_work import essence
from watchkeeper.report.compare import prior
from watchkeeper.report.compare.sides import value_of
from watchkeeper.report.compose.page import ALIASES
from watchkeeper.report.runlog.figures import number_of, split_settings
from watchkeeper.report.runlog.read import Log, answers
from watchkeeper.report.runlog.standing import standing
from watchkeeper.report.runlog.states import ABANDONED

_SAME = {
    "learning_rate": "lr",
    "bs": "batch_size",
    "batch": "batch_size",
    "epoch": "epochs",
    "steps": "max_steps",
}


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What is about to be submitted. `top` is where the paths of run logs begin; `folders` are
    others from which a log may name a file. `fingerprint` is as in a log's Config.
    """

    top: Path
    folders: tuple[Path, ...]
    script: Path
    configs: tuple[Path, ...]
    fingerprint: str
    dataset: str
    settings: str


def refusal(log: Log, work: Work) -> str:
    """Why a log is not continued with this work; "" where it is the log of this very work.

    The words follow the name of the log: `its script is train.sh`. What a log does not say (a
    configuration, a dataset, settings) is no difference; its script it must say.
    """
    fields = prior.fields_of(log)
    if not log.document.of("job"):
        return "it has no job"
    if standing(log).state == ABANDONED:
        return "its run was given up"
    return (
        _script_differs(fields.get("script", ""), work)
        or _config_differs(fields.get("config", ""), work)
        or _dataset_differs(fields.get("dataset", ""), work)
        or _settings_differ(fields.get("settings", ""), work)
        or _content_differs(log, fields, work)
    )


def _script_differs(named: str, work: Work) -> str:
    """In what the script that a log names is another; "" where it is this one. Its path is from
    where the paths of run logs begin.
    """
    if not named:
        return "it names no script"
    if work.script in _paths(named, (work.top,)):
        return ""
    return f"its script is {named[:80]}"


def _config_differs(named: str, work: Work) -> str:
    """In what the configurations that a log names are others; "" where they are these.

    `configs/base.yaml, configs/r8.yaml` has to name each of the work's, in whatever order.
    """
    words = _words(named)
    paths: set[Path] = set()
    for word in words:
        path = _one_of(word, work)
        if path is None:
            return f"its configuration is {named[:80]}"
        paths.add(path)
    if words and paths != set(work.configs):
        return "it names other configurations than the script"
    return ""


def _dataset_differs(named: str, work: Work) -> str:
    """In what the dataset that a log names is another; "" where it is this one, or where one of the
    two does not say. Order, case and commas do not count.
    """
    if not named or not work.dataset:
        return ""
    theirs = sorted(_words(named.casefold()))
    ours = sorted(_words(work.dataset.casefold()))
    if theirs != ours:
        return f"its dataset is {named[:80]}"
    return ""


def _settings_differ(named: str, work: Work) -> str:
    """The first key setting that both name and that is another; "" where none is. Settings that
    only one of them names do not count.
    """
    ours = _settings(work.settings)
    for name, value in _settings(named).items():
        if name in ours and not _equal(value, ours[name]):
            return f"its {name} is {value[:40]}"
    return ""


def _content_differs(log: Log, fields: Mapping[str, str], work: Work) -> str:
    """Why what ran cannot be the script and the configurations as they are now; "" where it is
    them, by the log's fingerprint or at the commit that it names, or where no job has run yet.

    Of two versions only what they compute is compared (`essence`): a longer time limit is the same
    work.
    """
    if not _has_run(log):
        return ""
    if work.fingerprint and fields.get(prior.FIELD) == work.fingerprint:
        return ""
    sha = fields.get("commit", "").split(" ", 1)[0]
    if not git.is_sha(sha):
        return "it names no commit by which its script could be compared"
    if prior.says_dirty(log):
        return "what ran was not in its commit, so that its script cannot be compared"
    for path in (work.script, *work.configs):
        then = git.show(path.parent, sha, path)
        if then is None:
            return f"commit {sha[:12]} has no {os.path.relpath(path, work.top)}"
        try:
            now = read_whole(path)
        except OSError:
            return f"{path} cannot be read"
        if essence(then) != essence(now):
            return f"{os.path.relpath(path, work.top)} was another at commit {sha[:12]}"
    return ""


def _has_run(log: Log) -> bool:
    """Whether a job block names a job."""
    fields = (block.field(*ALIASES["execution_id"]) for block in log.document.of("job"))
    return any(map(answers, fields))


def _one_of(word: str, work: Work) -> Path | None:
    """The configuration of the work that a word names, from any of the folders; None: it names none
    of them.
    """
    for path in _paths(word, (work.top, *work.folders)):
        if path in work.configs:
            return path
    return None


def _paths(text: str, folders: tuple[Path, ...]) -> Iterator[Path]:
    """The paths that the words of a text may mean, each from each folder. An absolute one is the
    same from all.
    """
    for word in _words(text):
        for folder in folders:
            yield Path(os.path.normpath(folder / word))


def _words(text: str) -> list[str]:
    """The words of a field, which spaces and commas part: `` `a.yaml`, b.yaml `` has two."""
    return [word for word in re.split(r"[,\s]+", text.replace("`", "")) if word]


def _settings(text: str) -> dict[str, str]:
    """The settings in words, name → value, each name in one spelling. `Learning rate 1e-4, BS 8`
    has `lr` and `batch_size`.
    """
    values = {}
    for name, value in split_settings(text.replace("`", "")):
        plain = re.sub(r"[\s-]+", "_", name.strip().casefold())
        values[_SAME.get(plain, plain)] = value.strip().casefold()
    return values


def _equal(one: str, other: str) -> bool:
    """Whether two values are the same, as numbers where both are: `1e-4` is `0.0001`."""
    figures = number_of(one), number_of(other)
    if figures[0] is None or figures[1] is None:
        return one == other
    return math.isclose(value_of(figures[0]), value_of(figures[1]), rel_tol=1e-9)
