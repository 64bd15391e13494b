"""Small checkpoints as people have them, for the tests of what is written about them."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from pathlib import Path

from watchkeeper.publish.manifest.document import write_manifest
from watchkeeper.publish.manifest.files import list_files
from watchkeeper.publish.manifest.hashing import hash_files

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
SHARD = "model-00001-of-00001.safetensors"


def safetensors(values: bytes = b"\1\2\3\4\5\6\7\7", name: str = "weight") -> bytes:
    """A safetensors file of one tensor of these bytes."""
    entry = {"dtype": "U8", "shape": [len(values)], "data_offsets": [0, len(values)]}
    header = json.dumps({name: entry}).encode()
    return struct.pack("<Q", len(header)) + header + values


def make_checkpoint(root: Path) -> Path:
    """A checkpoint of one shard, its index, a configuration and a model card, in a new folder."""
    root.mkdir(parents=True)
    (root / SHARD).write_bytes(safetensors())
    index = {"metadata": {"total_size": 8}, "weight_map": {"weight": SHARD}}
    (root / "model.safetensors.index.json").write_text(json.dumps(index))
    (root / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (root / "README.md").write_text("# A model\n")
    (root / "original").mkdir()
    (root / "original/tokenizer.model").write_bytes(b"tokens")
    return root


def put_manifest(root: Path) -> Path:
    """Write the manifest of a checkpoint, and return its place."""
    listed, checks = list_files(root)
    assert not checks
    records = hash_files(root, listed.files)
    return write_manifest(root, records, now=NOW, skipped_symlinks=listed.links)
