"""Arrays of an Orbax checkpoint, from the JSON beside its values."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from watchkeeper.publish.manifest.files import list_files
from watchkeeper.publish.passport.tensors.inventory import Inventory, look
from watchkeeper.publish.passport.tensors.tensor import Tensor

# Written by orbax-checkpoint 0.12 with OCDBT, and without it.
FILES = Path(__file__).parent / "files"
ARRAYS = [
    Tensor("params.dense.bias", "unknown", (3,), None),
    Tensor("params.dense.kernel", "unknown", (2, 3), None),
]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A checkpoint whose values lie in a database."""
    return Path(shutil.copytree(FILES / "orbax", tmp_path / "params"))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A checkpoint whose arrays lie in folders of their own."""
    return Path(shutil.copytree(FILES / "zarr", tmp_path / "params"))


def seen(root: Path) -> Inventory:
    """What is seen of a checkpoint."""
    return look(root, list_files(root)[0].sizes)


def faults(root: Path) -> list[str]:
    """What is wrong with its files."""
    return [file.fault or file.unread for file in seen(root).files if file.fault or file.unread]


def change(path: Path, **members: Any) -> None:
    """Set members of a JSON object."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **members}))


def test_a_database_has_the_arrays_of_its_tree(database: Path) -> None:
    """The manifest stands for all arrays, the files of values for none; scalars are no arrays."""
    inventory = seen(database)
    assert list(inventory.tensors.values()) == ARRAYS
    assert inventory.is_known and len(inventory.files) == 7


def test_arrays_in_folders_have_their_types(folders: Path) -> None:
    """`.zarray` says type and shape; what `_METADATA` names is expected."""
    inventory = seen(folders)
    assert list(inventory.tensors.values()) == [
        Tensor("params.dense.bias", "BF16", (3,), None),
        Tensor("params.dense.kernel", "F32", (2, 3), None),
    ]
    assert not inventory.missing and not inventory.unexpected
    shutil.rmtree(folders / "params.dense.kernel")
    assert seen(folders).missing == ["params.dense.kernel"]


def test_a_missing_piece_of_an_array_is_damage(folders: Path) -> None:
    """Of an array in several pieces, each must be there."""
    array = folders / "params.dense.kernel"
    change(array / ".zarray", chunks=[1, 2])
    for name in ("0.1", "1.0", "1.1"):
        (array / name).write_bytes(b"x")
    assert faults(folders) == []
    (array / "1.0").unlink()
    assert faults(folders) == ["misses 1 of the 4 pieces of its array"]


def test_a_checkpoint_that_was_not_finished_is_damage(database: Path) -> None:
    """Orbax writes down when it came to its end: without that, the values may be half there."""
    change(database / "_CHECKPOINT_METADATA", commit_timestamp_nsecs=None)
    assert faults(database) == ["is of a checkpoint that Orbax did not finish writing"]


def test_a_database_without_values_is_damage(database: Path) -> None:
    """A manifest without the files that hold its values is half a copy."""
    shutil.rmtree(database / "d")
    assert faults(database) == ["has no values: the folder d/ is missing"]


def test_without_a_tree_nothing_is_known(database: Path) -> None:
    """Without `_METADATA` nothing is wrong, and no tensor is known."""
    (database / "_METADATA").unlink()
    assert set(faults(database)) == {"is of an Orbax checkpoint without _METADATA"}
    assert not seen(database).is_known


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"tree_metadata": None}, "without its tree"),
        ({"tree_metadata": {"a": {"key_metadata": 1}}}, "none of Orbax's"),
        ({"tree_metadata": {"a": {"key_metadata": [], "value_metadata": {}}}}, "without shapes"),
        (
            {"tree_metadata": {"a": {"key_metadata": [], "value_metadata": {"write_shape": [-1]}}}},
            "shape that is none",
        ),
    ],
)
def test_a_tree_that_makes_no_sense_is_named(
    database: Path, members: dict[str, Any], message: str
) -> None:
    """A `_METADATA` of another form is a fault, or leaves the tensors unknown."""
    change(database / "_METADATA", **members)
    assert any(message in fault for fault in faults(database))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"chunks": [0, 3]}, "do not fit"),
        ({"chunks": [2]}, "do not fit"),
        ({"dimension_separator": "/"}, "not read here"),
        ({"shape": [2**40, 3], "chunks": [1, 3]}, "not read here"),
    ],
)
def test_an_array_that_makes_no_sense_is_named(
    folders: Path, members: dict[str, Any], message: str
) -> None:
    """Pieces of no size, of other dimensions, or without end are never counted out."""
    change(folders / "params.dense.kernel" / ".zarray", **members)
    assert any(message in fault for fault in faults(folders))
