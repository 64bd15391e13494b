"""NaN and infinity in the numbers of real weight files."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest

from tests.checkpoints import raw_safetensors, safetensors
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.manifest.files import list_files
from watchkeeper.publish.manifest.hashing import ChangingFileError
from watchkeeper.publish.passport.health import scan as scanning
from watchkeeper.publish.passport.health.numbers import Amiss
from watchkeeper.publish.passport.health.scan import Health, scan
from watchkeeper.publish.passport.tensors.inventory import look

FILES = Path(__file__).parent / "files"
OLDER = Path(__file__).parents[1] / "tensors" / "files"

# Written by PyTorch 2.13 (`torch.save` of a state dictionary), safetensors 0.8 and gguf 0.17, each
# of tensors named by their types, in which NaN, inf and -inf stand at known places.
TORCH = {
    "f32": (1, 2), "f64": (1, 0), "f16": (0, 1), "bf16": (1, 1), "e5m2": (1, 1), "e4m3": (1, 0),
    "e5m2fnuz": (1, 0), "e4m3fnuz": (1, 0), "c64": (1, 0), "turned": (1, 0), "scalar": (0, 1),
}  # fmt: skip
SAFETENSORS = {"f32": (1, 2), "bf16": (1, 1), "f16": (0, 1), "e4m3": (1, 0), "e5m2": (1, 1)}


def seen(path: Path) -> Health:
    """What is seen of one weight file."""
    return scan(path.parent, look(path.parent, {path.name: path.stat().st_size}))


@pytest.mark.parametrize(
    ("name", "scanned", "amiss"),
    [
        ("numbers.pt", 17, TORCH),
        ("numbers.safetensors", 6, SAFETENSORS),
        ("numbers.gguf", 2, {"a.weight": (1, 1)}),
    ],
)
def test_each_type_is_looked_through(
    name: str, scanned: int, amiss: dict[str, tuple[int, int]]
) -> None:
    """NaN and infinity are counted in every type of number that the libraries write, and what
    lies in the file beside a tensor's own numbers counts for nothing.
    """
    health = seen(FILES / name)
    assert health.amiss == amiss
    assert health.scanned_tensors == scanned
    assert health.total == (sum(a for a, _ in amiss.values()), sum(b for _, b in amiss.values()))


@pytest.mark.parametrize(
    ("path", "why", "names"),
    [
        (FILES / "numbers.pt", "its numbers do not lie side by side", ["gapped"]),
        (FILES / "numbers.gguf", "numbers of the type Q8_0 are not looked at here", ["c.weight"]),
        (
            OLDER / "legacy.pt",
            "it is of PyTorch before 1.6, whose numbers are not looked at here",
            ["legacy.pt"],
        ),
    ],
)
def test_what_is_not_looked_at_is_named(path: Path, why: str, names: list[str]) -> None:
    """A tensor or a file whose numbers are not read is listed with the reason."""
    assert seen(path).unscanned == {why: names}


def test_a_number_at_the_end_of_a_piece_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tensor that is read in many pieces, by several jobs, is looked through to its last number,
    and its counts are added up.
    """
    monkeypatch.setattr(scanning, "PIECE_BYTES", 16)
    monkeypatch.setattr(scanning, "_JOB_BYTES", 32)
    values = [1.0] * 50
    for at in (0, 3, 4, 49):
        values[at] = math.nan
    header = b'{"w": {"dtype": "F32", "shape": [50], "data_offsets": [0, 200]}}'
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw_safetensors(header, 0) + struct.pack("<50f", *values))
    counted = []
    inventory = look(tmp_path, {path.name: path.stat().st_size})
    assert scan(tmp_path, inventory, counted.append).amiss == {"w": Amiss(4, 0)}
    assert sum(counted) == 200


def test_a_file_that_became_shorter_is_named(tmp_path: Path) -> None:
    """A file that ends before its tensors do, since it was listed, is no sound file."""
    path = tmp_path / "model.gguf"
    path.write_bytes((FILES / "numbers.gguf").read_bytes())
    inventory = look(tmp_path, {path.name: path.stat().st_size})
    path.write_bytes(path.read_bytes()[:320])
    with pytest.raises(ChangingFileError, match=r"model\.gguf became shorter"):
        scan(tmp_path, inventory)


def test_a_damaged_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    """What is wrong with one file hides nothing of the next."""
    (tmp_path / "a.safetensors").write_bytes(safetensors({"w": ("F32", (2,))})[:-1])
    (tmp_path / "b.safetensors").write_bytes(safetensors({"v": ("F32", (2,))}, fill=255))
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    health = scan(tmp_path, look(tmp_path, sizes))
    assert health.amiss == {"v": Amiss(2, 0)}
    ((why, names),) = health.unscanned.items()
    assert why.startswith("it is torn") and names == ["a.safetensors"]


def test_without_numpy_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where NumPy is missing, the message says what to type."""
    monkeypatch.setattr(scanning.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="needs NumPy") as caught:
        scan(tmp_path, look(tmp_path, {}))
    assert caught.value.hint == "type: pip install numpy"


@pytest.mark.parametrize(
    ("name", "amiss"),
    [
        ("inside.onnx", {"a": (1, 0), "bf": (0, 1), "typed": (0, 1)}),
        ("outside.onnx", {"a": (1, 0)}),
        ("flax_model.msgpack", {"params.dense.kernel": (1, 0), "params.dense.bias": (0, 1)}),
        ("chunked.msgpack", {"w": (1, 0)}),
    ],
)
def test_other_formats_are_looked_through_too(name: str, amiss: dict[str, Amiss]) -> None:
    """The numbers of ONNX and Flax are found where their own libraries put them, in the file or in
    one beside it.
    """
    assert seen(OLDER / name).amiss == amiss


def test_orbax_is_said_to_be_packed() -> None:
    """Values in Orbax's own form are not looked at, which is said once and not for each file."""
    root = OLDER / "orbax"
    health = scan(root, look(root, list_files(root)[0].sizes))
    assert health.unscanned == {"it is of Orbax, which packs its numbers": ["manifest.ocdbt"]}
