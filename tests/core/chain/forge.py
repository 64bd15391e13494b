"""Forging a journal's file as somebody would who may write every file and knows the format."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core.chain import links


def reseal(path: Path, *, leave_out: int, pad: bool = False) -> None:
    """Take the event `leave_out` out of a file, number the others anew, and make every seal and
    chain again. `pad`: an event that says nothing stands in its place, so that their number stays.
    """
    events = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    left_out = events.pop(leave_out)
    if pad:
        events.insert(leave_out, {**left_out, "detail": "nothing happened"})
    rewrite(path, events)


def rewrite(path: Path, events: list[dict[str, Any]]) -> None:
    """Write a file of these events with right numbers, seals and chains."""
    secret = bytes.fromhex(events[0]["secret"])
    chain = links.Chain(events[0]["writer"])
    data = b""
    previous = ""
    for seq, event in enumerate(events):
        event["seq"] = seq
        if "chain" in event:
            event["chain"] = chain.value
        if event["kind"] == "sealed":
            sha256 = hashlib.sha256(data).hexdigest()
            event |= {"bytes": len(data), "sha256": sha256, "previous": previous}
            previous = sha256
        chain.add(links.hash_event(event, secret))
        data += msgspec.json.encode(event) + b"\n"
    path.write_bytes(data)
