"""Where an experiment stands, looked at and drawn for the terminal: what `status` and the commands
that watch share.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.state import Replay
from watchkeeper.experiment.experiment import Experiment as Planned
from watchkeeper.query.views.experiment import picture_of_chosen, site_of
from watchkeeper.query.views.pages import Experiment
from watchkeeper.query.views.shared import Watcher
from watchkeeper.show.listing.screen import screen_of
from watchkeeper.show.screens.experiment import experiment_lines


def look_at(planned: Planned, replay: Replay, folder: Path, keys: Iterable[str]) -> Experiment:
    """What is shown of a part of an experiment's work, by key. Commands name the folder as it was
    typed. `replay` is of the experiment's journal.
    """
    site = site_of(planned, replay.journal, replay.state, "", str(folder))
    return picture_of_chosen(site, frozenset(keys))


def live_lines(planned: Planned, folder: Path, keys: Iterable[str]) -> list[str]:
    """The picture as it is now, for standard error: what the one who watches sees of it. That it is
    watched goes without saying.
    """
    replay = Replay(planned.folder / layout.JOURNAL)
    page = without_watcher(look_at(planned, replay, folder, keys))
    return experiment_lines(page, screen_of(sys.stderr), datetime.now().astimezone())


def without_watcher(page: Experiment) -> Experiment:
    """The page without who watches: the command that shows it does, or says that it left."""
    needs = [need for need in page.needs if need.kind != "unwatched"]
    return msgspec.structs.replace(page, needs=needs, watcher=Watcher())


def drawn(page: Experiment, metric: str = "") -> str:
    """The picture, as standard output can show it; its evaluations by this metric, "": the first
    that they have.
    """
    now = datetime.now().astimezone()
    return "\n".join(experiment_lines(page, screen_of(sys.stdout), now, metric))
