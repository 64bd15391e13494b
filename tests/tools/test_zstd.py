"""The reader of Zstandard, against the library that wrote it."""

from __future__ import annotations

import base64
import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.tools.zstd import decompress

LIMIT = 2**20
# Of `[{"id": n, "target": …, "model": "made/model"}, …]`, with a tree, three tables and a checksum.
WRITTEN = (
    "KLUv/WTPBmUFAAJIFxWQqw0XD+ffhT53vZpEdndvWn3Zna6Fpe076/6aaUe89DPs9Ga2Xb2n4n95ux2m1Me9V07DvfvVnrLPuEkvG398IIgE5D"
    "CYBTkapoCgrIChHiRxjKeAwIChDqUgIlGoEXCzYf8zkK20BhJgEGAwCI43BD9D+J4fhtDYWMTKTp4cWGuBztKIWMTKTvayIwWIziUAU2VW4ku1"
    "XlvDtLRzia1BMX/IVcR0VwFTpKXF"
)


def test_what_was_written_elsewhere_is_read() -> None:
    """A frame of the library's is read to the byte, twice over too; frames to be skipped are."""
    frame = base64.b64decode(WRITTEN)
    text = "[" + ", ".join(f'{{"id": {n}, "target": "{n * 7 % 13}", "model": "made/model"}}' for n in range(40)) + "]"
    assert decompress(frame, LIMIT).decode() == text
    skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc"
    assert decompress(frame + skipped + frame, LIMIT).decode() == text * 2
    with pytest.raises(ValueError, match="more than 100 bytes"):
        decompress(frame, 100)


@given(cut=st.integers(0, 400), byte=st.integers(0, 255), whole=st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(cut: int, byte: int, whole: bool) -> None:
    """A frame that is cut off or has a wrong byte raises nothing but ValueError, and never gives more than the limit."""
    frame = bytearray(base64.b64decode(WRITTEN))
    if whole:
        frame[cut % len(frame)] = byte
    else:
        del frame[cut % len(frame) :]
    with contextlib.suppress(ValueError):
        assert len(decompress(bytes(frame), LIMIT)) <= LIMIT


SAMPLES = {
    "nothing": b"",
    "one byte": b"a",
    "one byte again and again": b"a" * 300_000,
    "noise": random.Random(1).randbytes(200_000),
    "four letters": bytes(random.Random(2).choices(b"abcd", [50, 30, 15, 5], k=150_000)),
    "all bytes, unevenly": bytes(random.Random(3).choices(range(256), [1.1**-i for i in range(256)], k=150_000)),
    "runs": b"".join(bytes([random.Random(n).randrange(256)]) * (n % 300) for n in range(1_000)),
    "words": b" ".join(b"sample %d of %d" % (n, n * n) for n in range(10_000)),
}


@pytest.mark.parametrize("level", [-5, 1, 3, 9, 19])
@pytest.mark.parametrize("name", SAMPLES)
def test_every_kind_of_block_is_read(name: str, level: int) -> None:
    """Raw, repeated and compressed blocks, with own, repeated and predefined tables, at any level."""
    zstandard = pytest.importorskip("zstandard")
    frame = zstandard.ZstdCompressor(level=level).compress(SAMPLES[name])
    assert decompress(frame, LIMIT) == SAMPLES[name]
