"""The action logs, kept live by the holder of the lease, and made again by `rebuild`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from watchkeeper.core.collector import collector_paused
from watchkeeper.core.disk import files
from watchkeeper.core.disk.files import AppendFile
from watchkeeper.core.events import AnyEvent, Phase, Unknown
from watchkeeper.report.actionlog.block_format import render_all
from watchkeeper.report.actionlog.render import (
    OF_OTHER_TOOLS,
    OF_THE_TOOL,
    Renderer,
    by_log,
    first_zone,
    render_logs,
)
from watchkeeper.runfolder.places import is_free, is_plain

_WITH_A_LOG = ("torchtune", "inspect-ai")
Events = Mapping[str, Iterable[AnyEvent | Unknown]]


def choose_name(phase: Phase, tool: str, folder: Path) -> str:
    """The name for a phase's log, where the journal has not chosen one yet: what suits its tool. An
    experiment that was begun under the other name, by whatever program, keeps that.
    """
    suitable, other = OF_OTHER_TOOLS[phase], OF_THE_TOOL[phase]
    if tool in _WITH_A_LOG:
        suitable, other = other, suitable
    if os.path.lexists(folder / other) and not os.path.lexists(folder / suitable):
        return other
    return suitable


def expected(events: Events) -> dict[str, bytes]:
    """Every log's bytes, from the journal alone: name → bytes. What a live log holds is a beginning
    of these.
    """
    return _rendered_by(Renderer(first_zone(events)), events)


@collector_paused()
def _rendered_by(renderer: Renderer, events: Events) -> dict[str, bytes]:
    """Every log's bytes. The renderer is a new one, and has been fed all events then."""
    logs = render_logs(events, renderer)
    return {name: render_all(blocks).encode() for name, blocks in logs.items()}


def rebuild(folder: Path, events: Events) -> dict[str, int]:
    """Delete the logs that Watchkeeper made and make them again; name → bytes. A log that the
    journal does not explain is kept under another name.
    """
    made: dict[str, int] = {}
    for name, text in expected(events).items():
        set_aside(folder / name, text)
        files.replace(folder / name, text)
        made[name] = len(text)
    return made


def set_aside(path: Path, text: bytes) -> Path | None:
    """Keep what is not ours, moved beside itself; its new path is returned. None if nothing is
    there, or a file that holds only what the journal says, or a part of it. A link is moved itself,
    and what it leads to stays as it is.
    """
    if is_free(path):
        return None
    if is_plain(path):
        # One byte more than the journal explains is enough to see that somebody wrote into it.
        held = files.read_regular(path, len(text) + 1)
        if text.startswith(held):
            return None
    return files.keep_aside(path)


def _size(path: Path) -> int | None:
    """The size of a log, 0 where there is none; None where something else has its name."""
    if is_free(path):
        return 0
    if is_plain(path):
        return path.stat().st_size
    return None


class LiveLogs:
    """The logs of one experiment while this process holds the lease."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: dict[str, int] = {}
        self._renderer = Renderer("UTC")

    def take_over(self, events: Events) -> list[Path]:
        """Bring the files up to what the journal says so far, and continue from there. Returns the
        logs set aside because somebody else had written into them.
        """
        self._renderer = Renderer(first_zone(events))
        aside: list[Path] = []
        for name, text in _rendered_by(self._renderer, events).items():
            kept = self._bring_up(name, text)
            if kept is not None:
                aside.append(kept)
        for name in self._renderer.names:
            path = self._folder / name
            if name not in self._sizes and not is_free(path) and _size(path) != 0:
                aside.append(files.keep_aside(path))
        return aside

    def _bring_up(self, name: str, text: bytes) -> Path | None:
        """Write what a log lacks of its text. Where it held other bytes, these are kept aside; the
        path of that file, None for none.
        """
        path = self._folder / name
        kept = set_aside(path, text)
        size = _size(path) or 0
        self._append(name, text[size:], size)
        return kept

    def extend(self, new: Iterable[AnyEvent | Unknown], events: Events) -> list[Path]:
        """Show more events of ours. `events` is the whole journal, these included: what a file
        needs again if somebody changed it meanwhile; returns the logs set aside then.
        """
        for event in new:
            for name, blocks in by_log(self._renderer.feed(event)).items():
                size = self._sizes.get(name, 0)
                if _size(self._folder / name) != size:
                    return self.take_over(events)
                begin = ""
                if size:
                    begin = "\n"
                self._append(name, (begin + render_all(blocks)).encode(), size)
        return []

    def _append(self, name: str, data: bytes, at: int) -> None:
        """Append to a log at a place in bytes, which cuts off what a dead watcher wrote half. No
        data: the file is made, and is empty.
        """
        file = AppendFile(self._folder / name, resume_at=at)
        if data:
            file.append(data)
        file.close()
        self._sizes[name] = at + len(data)
