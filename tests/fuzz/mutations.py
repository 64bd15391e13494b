"""Bytes that are nearly what a reader expects: a real sample, cut, repeated, nested, filled with
digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

MOST_BYTES = 200_000
INTERESTING = (
    b"\0", b"\0" * 512, b"\n", b"\r", b"\r\n", b"\t", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\x92\xa9",
    b"\xef\xbb\xbf", b'"', b"'", b"\\", b"`", b"|", b"[", b"]", b"{", b"}", b"<", b">", b"(", b")",
    b"#", b"- ", b": ", b"=", b",", b"%", b"NaN", b"Infinity", b"-0", b"1e999", b"9" * 20,
    b"9" * 5000, b"0" * 5000, b"-1", b"null", b"true", b'""', b"{}", b"[]", b"../../x",
    b"/dev/null", b"~", b"$HOME", b"*", b"\x1b[31m", b"\xe2\x80\xae", b"\xe2\x80\x8b", b"&a", b"*a",
    b"<<: ", b"[" * 10_000, b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 2000, b"> " * 2000,
    b"- " * 2000, b"* " * 2000, b"`" * 2000, b" " * 2000, b"2026-11-27T00:00:00Z", b"0000-00-00",
    b"9999-12-31T23:59:59Z", b"2026-02-30", b"24:61",
)  # fmt: skip

Change = Callable[[bytes], bytes]


def _insert(place: float, piece: bytes) -> Change:
    def change(data: bytes) -> bytes:
        at = int(place * len(data))
        return data[:at] + piece + data[at:]

    return change


def _replace(place: float, length: int, piece: bytes) -> Change:
    def change(data: bytes) -> bytes:
        at = int(place * len(data))
        return data[:at] + piece + data[at + length :]

    return change


def _repeat(place: float, length: int, times: int) -> Change:
    def change(data: bytes) -> bytes:
        at = int(place * len(data))
        return data[:at] + data[at : at + length] * times + data[at + length :]

    return change


def _cut(place: float) -> Change:
    return lambda data: data[: int(place * len(data))]


def _swap_lines(first: int, second: int) -> Change:
    def change(data: bytes) -> bytes:
        lines = data.split(b"\n")
        one, other = first % len(lines), second % len(lines)
        lines[one], lines[other] = lines[other], lines[one]
        return b"\n".join(lines)

    return change


# Strategies draw small numbers only: what they stand for is looked up afterwards, which keeps
# Hypothesis fast.
_PLACE = st.integers(min_value=0, max_value=1000)
_LENGTH = st.integers(min_value=0, max_value=60)
_PIECE = st.integers(min_value=0, max_value=len(INTERESTING) - 1)
_KIND = st.sampled_from(
    ["insert", "insert", "replace", "replace", "repeat", "cut", "swap", "bytes"]
)
_Step = tuple[str, int, int, int, bytes]
_STEPS = st.lists(st.tuples(_KIND, _PLACE, _LENGTH, _PIECE, st.binary(max_size=6)), max_size=8)


def _change(step: _Step) -> Change:
    kind, place, length, piece, raw = step
    share = place / 1000
    changes: dict[str, Change] = {
        "insert": _insert(share, INTERESTING[piece]),
        "replace": _replace(share, length, INTERESTING[piece]),
        "repeat": _repeat(share, length, (0, 2, 3, 100)[piece % 4]),
        "cut": _cut(share),
        "swap": _swap_lines(place, length),
        "bytes": _replace(share, len(raw), raw),
    }
    return changes[kind]


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds after up to eight changes; now and then bytes that have nothing to do with
    them.
    """
    number = draw(st.integers(min_value=0, max_value=len(seeds)))
    data = seeds[number] if number < len(seeds) else draw(st.binary(max_size=300))
    for step in draw(_STEPS):
        data = _change(step)(data)[:MOST_BYTES]
    return data
