"""`.wandb` files made for tests: frames by hand, records by wandb's own messages."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as proto

BLOCK = 32 * 1024
IDENTITY = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
# (is the first part, is the last part) → the kind of a fragment
KINDS = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}


def framed(records: Iterable[bytes]) -> bytes:
    """The records as a whole `.wandb` file."""
    data = bytearray(IDENTITY)
    for record in records:
        _append(data, record)
    return bytes(data)


def _append(data: bytearray, record: bytes) -> None:
    is_first = True
    while True:
        room = BLOCK - len(data) % BLOCK
        if room < 7:
            data += bytes(room)
            room = BLOCK
        part, record = record[: room - 7], record[room - 7 :]
        kind = KINDS[is_first, not record]
        data += struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
        is_first = False
        if not record:
            return


def header(version: str = "0.31.0") -> bytes:
    """The record in which wandb says its version."""
    record = proto.Record()
    record.header.version_info.producer = version
    return record.SerializeToString()


def begin(run_id: str = "abc", started_s: int = 1_770_000_000, **fields: Any) -> bytes:
    """The record of a run; `config` is a mapping, `tags` a list."""
    record = proto.Record()
    run = record.run
    run.run_id = run_id
    run.start_time.seconds = started_s
    run.tags.extend(fields.pop("tags", ()))
    for name, value in fields.pop("config", {}).items():
        run.config.update.add(key=name, value_json=json.dumps(value))
    for name, value in fields.items():
        setattr(run, name, value)
    return record.SerializeToString()


def row(step: int, values: Mapping[str, Any], time_s: float | None = None) -> bytes:
    """A row of the history."""
    record = proto.Record()
    own = {"_step": step} | ({} if time_s is None else {"_timestamp": time_s})
    for name, value in {**values, **own}.items():
        record.history.item.add(nested_key=name.split("/"), value_json=json.dumps(value))
    record.history.step.num = step
    return record.SerializeToString()


def summary(values: Mapping[str, Any]) -> bytes:
    """A change of the summary."""
    record = proto.Record()
    for name, value in values.items():
        record.summary.update.add(key=name, value_json=json.dumps(value))
    return record.SerializeToString()


def end(code: int = 0, runtime_s: int = 5) -> bytes:
    """The end of a run."""
    record = proto.Record()
    record.exit.exit_code = code
    record.exit.runtime = runtime_s
    return record.SerializeToString()


def write_run(folder: Path, *records: bytes, run_id: str = "abc", name: str = "1") -> Path:
    """Write an offline run's folder with these records behind a header; returns its file."""
    place = folder / "wandb" / f"offline-run-{name}"
    place.mkdir(parents=True)
    path = place / f"run-{run_id}.wandb"
    path.write_bytes(framed([header(), *records]))
    return path


def machine(slurm: Mapping[str, str] | None = None, **fields: str) -> bytes:
    """The record of where a run ran: `host`, `root`, and what Slurm set."""
    record = proto.Record()
    for name, value in fields.items():
        setattr(record.environment, name, value)
    for name, value in (slurm or {}).items():
        record.environment.slurm[name] = value
    record.environment.SetInParent()
    return record.SerializeToString()
