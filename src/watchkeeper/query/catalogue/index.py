"""What was read of recorded runs before, in the user's cache folder: one file for each folder that
was listed.

The file is disposable. One that is missing, stale, damaged, of another user or of another version
costs time, and nothing else: what it says of a run counts only while the run's own files are the
very ones that were read. It is replaced whole; of two commands at a time, the last one's stays.
"""

from __future__ import annotations

import time

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.disk.user_cache import Drawer
from watchkeeper.query.catalogue.entry import Entry
from watchkeeper.query.catalogue.places import Identity, Place

_RUNNING = "running"
_ROWS = f"{layout.METRICS}/"


class Known(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was read of a place, and of which files. `packed` is its entry, as MessagePack: of
    thousands of runs with thousands of figures not all are to be in memory at a time. `read_at`:
    when it was read, in seconds since 1970; `read_s`: how long that took.
    """

    identity: Identity
    packed: msgspec.Raw
    read_at: float = 0.0
    read_s: float = 0.0

    @property
    def entry(self) -> Entry | None:
        """What was read, unpacked anew each time; None: no run was recorded there."""
        entry: Entry | None = _entry_decoder.decode(self.packed)
        return entry

    def is_fresh(self, identity: Identity, now: float, patience: float) -> bool:
        """Whether it still says enough of a place whose files are now these: they are the very
        ones, or a run that still runs has more rows since it was read, which is less than
        `patience` times as long ago as it took.

            read in 0.5 s, patience 20 → for 10 s, more rows are no reason to read it again

        `now` is in seconds since 1970. A clock that was set back since makes it stale.
        """
        if self.identity == identity:
            return True
        age = now - self.read_at
        if not 0 <= age < patience * self.read_s:
            return False
        if not _has_more_rows(self.identity, identity):
            return False
        entry = self.entry
        return entry is not None and entry.state == _RUNNING


def _has_more_rows(before: Identity, now: Identity) -> bool:
    """Whether the files are the same ones, and only those with rows have grown: the journal, which
    has a run's end, has not.

    A file is the same one by its name and its inode; one that has become smaller was replaced.
    """
    earlier = {(name, inode): size for name, inode, size, *_ in before}
    sizes = {(name, inode): size for name, inode, size, *_ in now}
    if earlier.keys() != sizes.keys():
        return False
    for (name, inode), size in sizes.items():
        before_size = earlier[name, inode]
        if size < before_size:
            return False
        has_rows = name.startswith(_ROWS)
        if size > before_size and not has_rows:
            return False
    return True


# Of a folder: what lies below it, by name.
_drawer: Drawer[dict[str, Known]] = Drawer("runs", "index", dict[str, Known], 5)
_entry_decoder = msgspec.msgpack.Decoder(Entry | None)
_encoder = msgspec.msgpack.Encoder()


class Index:
    """What is remembered of the recorded runs below one folder."""

    def __init__(self, top: str, patience: float = 0.0) -> None:
        """`top` is the folder's real path. `patience` is as in `list_runs`."""
        self._top = top
        self._patience = patience
        self._before = _drawer.recall(top) or {}
        self._now: dict[str, Known] = {}

    def get(self, place: Place) -> Known | None:
        """What is known of a place whose files are those that were read; None: it must be read.

        Only what was looked up here, or put, is kept by `save`: a place that is gone is forgotten.
        """
        known = self._before.get(place.below)
        if known is None:
            return None
        if not known.is_fresh(place.identity, time.time(), self._patience):
            return None
        self._now[place.below] = known
        return known

    def put(self, place: Place, entry: Entry | None, read_s: float = 0.0) -> None:
        """Remember what was read of a place, in `read_s` seconds; `entry` None: no run is there.

        Its identity is from before it was read: a file that grew meanwhile is read again.
        """
        packed = msgspec.Raw(_encoder.encode(entry))
        self._now[place.below] = Known(place.identity, packed, time.time(), read_s)

    def save(self) -> None:
        """Keep what was looked up and put since; where that cannot be written, nothing happens. A
        file that would hold the same again is not written.
        """
        places = {below: known for below, known in self._now.items() if _is_utf8(below)}
        if places.keys() != self._before.keys() or not _same(places, self._before):
            _drawer.keep(self._top, places)


def _is_utf8(name: str) -> bool:
    """Whether the name can be kept: a run whose folder's name is no UTF-8 is read each time, as
    MessagePack's texts are UTF-8.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _same(one: dict[str, Known], other: dict[str, Known]) -> bool:
    """Whether what is known now is, place by place, what was loaded: there is nothing to write."""
    return all(other[below] is known for below, known in one.items())
