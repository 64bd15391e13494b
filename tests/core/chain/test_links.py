"""The chain notices an event that was changed, inserted, left out or moved, wherever it stood."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest

from watchkeeper.core.chain import tree
from watchkeeper.core.chain.links import FAULTS, Chain, hash_line, read_hex

SECRET = bytes(range(32))


def line(seq: int, detail: str = "x") -> bytes:
    """A small event of a journal."""
    return msgspec.json.encode(
        {"kind": "observed", "writer": "w", "seq": seq, "detail": f"{detail}{seq}"}
    )


def chain_of(lines: list[bytes]) -> str:
    """The chain's value after these lines."""
    chain = Chain("w")
    for one in lines:
        chain.add(hash_line(one, SECRET))
    assert chain.events == len(lines)
    return chain.value


LINES = [line(seq) for seq in range(6)]


@pytest.mark.parametrize("at", range(6))
def test_every_change_of_the_order_shows(at: int) -> None:
    """At every position: dropped, doubled, replaced, inserted and swapped all change the value."""
    whole = chain_of(LINES)
    changed = [
        LINES[:at] + LINES[at + 1 :],
        LINES[: at + 1] + LINES[at:],
        [*LINES[:at], line(at, "y"), *LINES[at + 1 :]],
        [*LINES[:at], line(9), *LINES[at:]],
    ]
    if at:
        changed.append([*LINES[: at - 1], LINES[at], LINES[at - 1], *LINES[at + 1 :]])
    values = {chain_of(lines) for lines in changed}
    assert whole not in values
    assert len(values) == len(changed)


def test_every_flipped_byte_shows() -> None:
    """A byte flipped anywhere in a line gives another hash, or a line that is no event."""
    whole = line(3)
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1
        try:
            assert hash_line(bytes(flipped), SECRET) != hash_line(whole, SECRET), at
        except FAULTS:
            continue


def test_a_chain_begins_with_its_writer() -> None:
    """The same events are another chain under another writer's name, even before the first one."""
    assert Chain("w").value == sha256(b"watchkeeper chain 1\0w").hexdigest()
    assert Chain("v").value != Chain("w").value
    chain, event = Chain("w"), bytes(32)
    before = bytes.fromhex(chain.value)
    chain.add(event)
    assert chain.value == sha256(b"watchkeeper link 1\0" + before + event).hexdigest()


def test_the_secret_is_part_of_every_hash() -> None:
    """Who does not know the secret cannot compute the hash of a line that can be guessed."""
    assert hash_line(LINES[0], SECRET) != hash_line(LINES[0], tree.new_secret())


@pytest.mark.parametrize(
    "broken", [b"", b"no json", b"{}", b"[]", b"1", b'{"writer":"w"}', b"\xff", b"[" * 5000]
)
def test_a_line_that_is_no_event_raises_what_is_promised(broken: bytes) -> None:
    """Whatever lies in a file, hashing it raises only what `FAULTS` names."""
    with pytest.raises(FAULTS):
        hash_line(broken, SECRET)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("00ff", b"\0\xff"), ("00FF", None), ("0", None), ("00f", None), (" 0ff", None), (7, None)],
)
def test_only_exact_hexadecimal_digits_are_read(text: object, expected: bytes | None) -> None:
    """A text states bytes only in lower-case digits, and in the right number."""
    assert read_hex(text, 2) == expected
