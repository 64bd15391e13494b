"""What `top` looks at."""

from __future__ import annotations

import watchkeeper as wk
from watchkeeper.query.views import overview as overviews
from watchkeeper.show.live import looks
from watchkeeper.show.live.looks import Looks


def record(folder):
    """A recorded run."""
    with wk.start_run(folder=folder, pipeline="p", console=False, sidecar=False) as run:
        run.log(1, loss=0.5)


def test_the_first_look_shows_what_it_has_read_so_far(tmp_path, monkeypatch):
    """A person sees rows before all journals are read, and then no part again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("a/1", "b/1", "c/1"):
        record(tmp_path / "runs" / name)
    real = overviews.overview
    parts = []

    def look(paths, on_part):
        return real(paths, on_part, pause_s=0)

    def note() -> None:
        parts.append(watched.seen.overview)

    monkeypatch.setattr(looks, "overview", look)
    watched = Looks([tmp_path / "runs"], note)
    watched.seen = watched._look()
    assert [(part.reading.done, len(part.places)) for part in parts] == [(1, 1), (2, 2)]
    assert len(watched.seen.overview.places) == 3 and not watched.seen.is_part
    watched.seen = watched._look()
    assert len(parts) == 2
