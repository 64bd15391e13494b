"""A pickle with a payload is never executed, and what it would run is named."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from watchkeeper.publish.passport.tensors.pickles import read


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("tail", [b"", b"\x80\x02broken"])
def test_a_payload_is_named_and_not_run(tmp_path: Path, protocol: int, tail: bytes) -> None:
    """The name of what a pickle would call stands in what is read of it, in every protocol, zipped
    or not, and nothing has been run.
    """
    mark = tmp_path / "executed"
    pickled = pickle.dumps({"weight": Payload(mark)}, protocol)
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickled + tail)
    zipped = tmp_path / "zipped.pt"
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("archive/data.pkl", pickled)
    for path in (plain, zipped):
        assert read(path, path.stat().st_size).foreign == ("posix.system",)
    assert not mark.exists()


def test_a_name_made_of_remembered_texts_is_still_named(tmp_path: Path) -> None:
    """A name whose parts come from the memo, behind instructions that nothing follows, is not
    lost: at the least it stands there as unknown.
    """
    hidden = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94h\x00h\x01\x93\x8c\x04true\x85R."
    path = tmp_path / "hidden.pt"
    path.write_bytes(hidden)
    assert read(path, len(hidden)).foreign == ("posix.system",)
    tangled = b"\x80\x04a" + hidden[2:]
    path.write_bytes(tangled)
    pickled = read(path, len(tangled))
    assert pickled.unread and pickled.foreign
