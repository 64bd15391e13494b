"""Small checkpoints with their documents, for the tests of sign-offs."""

import json
import struct
from datetime import UTC, datetime

from msgspec.structs import asdict

from watchkeeper.publish import names
from watchkeeper.publish.manifest.hashing import hash_files
from watchkeeper.publish.signoff.sign import sign

GENERATED = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
SIGNED = datetime(2026, 3, 11, 16, 0, tzinfo=UTC)
PROVENANCE = {"training_repo_commit": "ab" * 20, "merged_config_sha256": "cd" * 32}
CONTRACT = {
    "language": {"max_sequence_length": 128},
    "training_datasets": [{"repo": "texts", "commit": "ef" * 20}],
}
LATER = datetime(2026, 3, 12, 9, 0, tzinfo=UTC)


def at(moment):
    """A clock that stands still."""
    return lambda: moment


def safetensors(value=1.0):
    """A whole safetensors file with one number in it."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + struct.pack("<f", value)


def checkpoint(root, *, soft=False):
    """A checkpoint with a passport that passes; `soft`: with a soft signal."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "model.safetensors").write_bytes(safetensors())
    write_passport(root, soft=soft)
    return root


def write_passport(root, *, soft=False, generated_at="2026-03-11T15:00:00Z"):
    """Write the passport of the weights that are there."""
    weights = [path for path in sorted(root.iterdir()) if names.is_weights(path.name)]
    document = {
        "schema_version": "0.2",
        "generated_by": "watchkeeper 0",
        "generated_at": generated_at,
        "input_contract": CONTRACT,
        "weight_integrity": {
            "weight_files": [asdict(one) for one in hash_files(root, [p.name for p in weights])]
        },
        "provenance": PROVENANCE if soft else {**PROVENANCE, "run_log_path": "run_logs/x.md"},
    }
    (root / names.PASSPORT).write_text(json.dumps(document))


def signed(root, *, soft=False, reason=""):
    """The same, signed an hour after its passport was written."""
    checkpoint(root, soft=soft)
    sign(root, reason=reason, clock=at(SIGNED))
    return root


def change(path, **fields):
    """Change fields of a JSON document by hand."""
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | fields))


def statuses(checks, name):
    """The statuses of the checks of this name."""
    return [check.status for check in checks if check.name == name]


def fails(checks):
    """The names of the checks that fail."""
    return {check.name for check in checks if check.status == "fail"}
