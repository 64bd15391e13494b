"""What is refused before a script is entered as a run of its folder.

A run that was entered is submitted by the next `watchkeeper run FOLDER`. So a command with a wrong
option must be refused first, and leave nothing behind.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from watchkeeper.core import criteria
from watchkeeper.core.errors import UsageError
from watchkeeper.core.settings import Settings, load
from watchkeeper.schedulers.choose import scheduler_of
from watchkeeper.show.cli.keeping.limits import parse_budget
from watchkeeper.watch.logs.said import Said, check_said

_GLOBS = ("runs", "evals")
# A Python file's GPUs, which are a setting of the local scheduler by the same name.
_OF_SCRIPTS = ("gpus",)


def check_early(folder: Path, runs: Collection[str], options: Mapping[str, Any]) -> None:
    """Refuse options that cannot hold for scripts of `folder`, which would be these runs.

    `options` are those of `run` or `submit`, by the names of their parameters.

    Raises:
        UsageError: an option, a setting or a criterion is wrong, or selects runs by a glob.
        WatchkeeperError: there is no such scheduler here.
    """
    for name in _GLOBS:
        glob = options[name]
        if glob is not None:
            raise UsageError(
                f"--{name} chooses from an experiment, and scripts were named",
                hint=f"name the scripts alone, or: watchkeeper run {folder} --{name} '{glob}'",
            )
    parse_budget(options["budget"])
    for text in options["expect"]:
        criteria.parse(text)
    check_said(
        Said(
            mode=options["mode"],
            objective=options["objective"],
            task=options["task"],
            group=options["group"],
            dataset=options["dataset"],
            settings=options["settings"],
            log=options["log"],
        ),
        runs,
    )
    scheduler_of(load(folder, **_settings_among(options)))


def _settings_among(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are settings."""
    return {
        name: value
        for name, value in options.items()
        if name in Settings.__struct_fields__ and name not in _OF_SCRIPTS
    }
