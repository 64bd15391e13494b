"""The action logs, kept live by the holder of the lease, and made again by `rebuild`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from watchkeeper.core import files
from watchkeeper.core.events import AnyEvent, Unknown
from watchkeeper.core.files import AppendFile
from watchkeeper.report.actionlog import render, render_all
from watchkeeper.report.blocks import LOGS, Renderer, first_zone, holders, render_logs

Events = Mapping[str, Iterable[AnyEvent | Unknown]]


def expected(events: Events) -> dict[str, bytes]:
    """Every log's bytes, from the journal alone."""
    return {name: render_all(blocks).encode() for name, blocks in render_logs(events, first_zone(events)).items()}


def rebuild(folder: Path, events: Events) -> dict[str, int]:
    """Delete the logs that Watchkeeper made and make them again; name → bytes. A log that the journal does not explain
    is kept under another name.
    """
    made: dict[str, int] = {}
    texts = expected(events)
    for name in LOGS.values():
        text = texts.get(name)
        if text is None:
            continue
        set_aside(folder / name, text)
        files.replace(folder / name, text)
        made[name] = len(text)
    return made


def set_aside(path: Path, text: bytes) -> Path | None:
    """Keep a log that holds bytes which are not ours: moved beside itself, its new path is returned. None if it holds
    only what the journal says, or a part of it.
    """
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return None
    return None if text.startswith(found) else files.keep_aside(path)


class LiveLogs:
    """The logs of one experiment while this process holds the lease."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: dict[str, int] = {}
        self._renderer = Renderer("UTC")

    def take_over(self, events: Events) -> list[Path]:
        """Bring the files up to what the journal says so far, and go on from there. Returns the logs set aside because
        somebody else had written into them.
        """
        self._renderer = Renderer(first_zone(events))
        for event in holders(events):
            self._renderer.feed(event)
        aside: list[Path] = []
        for name, text in expected(events).items():
            kept = self._bring_up(name, text)
            aside += [kept] if kept else []
        for name in LOGS.values():
            path = self._folder / name
            if name not in self._sizes and path.exists() and path.stat().st_size:
                aside.append(files.keep_aside(path))
        return aside

    def _bring_up(self, name: str, text: bytes) -> Path | None:
        path = self._folder / name
        kept = set_aside(path, text)
        size = path.stat().st_size if path.exists() else 0
        self._append(name, text[size:], size)
        return kept

    def extend(self, new: Iterable[AnyEvent | Unknown], events: Events) -> list[Path]:
        """Show more events of ours. `events` is the whole journal, these included: what a file needs again if somebody
        changed it meanwhile; returns the logs set aside then.
        """
        for event in new:
            for name, block in self._renderer.feed(event):
                size = self._sizes.get(name, 0)
                path = self._folder / name
                if (path.stat().st_size if path.exists() else 0) != size:
                    return self.take_over(events)
                self._append(name, (("\n" if size else "") + render(block)).encode(), size)
        return []

    def _append(self, name: str, data: bytes, at: int) -> None:
        file = AppendFile(self._folder / name, resume_at=at)
        if data:
            file.append(data)
        file.close()
        self._sizes[name] = at + len(data)
