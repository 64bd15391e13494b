"""What jobs leave may be far larger than it says: a look stays bounded in memory and time."""

from __future__ import annotations

import json
import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from watchkeeper.schedulers.sbatch_head import expand
from watchkeeper.tools import file_formats, inspect_ai, torchtune
from watchkeeper.tools.look import look
from watchkeeper.tools.promise import Expected, Promise

MEMORY_BYTES = 2 * 2**30  # of addresses, for one look
ZSTD = 93


@pytest.fixture(autouse=True)
def _little_memory() -> Iterator[None]:
    """What takes more memory than there is raises MemoryError here, in this process, before the
    machine swaps.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def archive(path: Path, name: str, packed: bytes, *, claims: int, crc: int = 0) -> Path:
    """A zip of one Zstandard member that claims a size. Source: PKWARE's APPNOTE.TXT, 4.3.7 and
    4.3.12.
    """
    encoded = name.encode()
    local = (
        b"PK\x03\x04"
        + struct.pack("<HHHHHIIIHH", 63, 0, ZSTD, 0, 33, crc, len(packed), claims, len(encoded), 0)
        + encoded
    )
    entry = b"PK\x01\x02" + struct.pack(
        "<HHHHHHIIIHHHHHII",
        63,
        63,
        0,
        ZSTD,
        0,
        33,
        crc,
        len(packed),
        claims,
        len(encoded),
        0,
        0,
        0,
        0,
        0,
        0,
    )
    entry += encoded
    end = b"PK\x05\x06" + struct.pack(
        "<HHHHIIH", 0, 0, 1, 1, len(entry), len(local) + len(packed), 0
    )
    path.write_bytes(local + packed + entry + end)
    return path


def test_the_archive_of_these_tests_is_one_that_is_read(tmp_path: Path) -> None:
    """A log whose claims are true is read, so that the faults below are those of the claims."""
    header = json.dumps({"status": "success"}).encode()
    path = archive(
        tmp_path / "r.eval",
        "header.json",
        zstandard.compress(header),
        claims=len(header),
        crc=zlib.crc32(header),
    )
    assert inspect_ai.read(path, Expected()) == ({}, "", "")


def test_a_header_that_unfolds_to_more_than_it_claims_is_damaged(tmp_path: Path) -> None:
    """A header of 3 GB that claims 100 bytes is read no further than these."""
    packer = zstandard.ZstdCompressor().compressobj()
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(3 * 1024)) + packer.flush()
    path = archive(tmp_path / "r.eval", "header.json", packed, claims=100)
    with pytest.raises(file_formats.FaultError, match="more than the 100 bytes that it claims"):
        inspect_ai.read(path, Expected())


def test_a_frame_that_claims_a_terabyte_costs_nothing(tmp_path: Path) -> None:
    """No memory is set aside for the size a Zstandard frame claims. Source: RFC 8878, 3.1.1.1."""
    frame = b"\x28\xb5\x2f\xfd" + b"\xe0" + struct.pack("<Q", 2**40) + b"\x01\x00\x00"
    with pytest.raises(file_formats.FaultError, match="cannot be read as an inspect-ai log"):
        inspect_ai.read(archive(tmp_path / "r.eval", "header.json", frame, claims=100), Expected())


def test_a_frame_with_a_window_of_a_terabyte_costs_nothing(tmp_path: Path) -> None:
    """No memory is set aside for the window that a frame asks for. Source: RFC 8878, 3.1.1.1.2."""
    frame = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([30 << 3]) + b"\x01\x00\x00"
    with pytest.raises(file_formats.FaultError, match="cannot be read as an inspect-ai log"):
        inspect_ai.read(archive(tmp_path / "r.eval", "header.json", frame, claims=100), Expected())


def test_a_deflated_header_that_lies_about_its_size_is_damaged(tmp_path: Path) -> None:
    """A deflated header of 1 GB whose size is given as 100 bytes is read no further than that."""
    path = tmp_path / "r.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as log:
        log.writestr("header.json", b" " * 2**20 * 50)
    data = path.read_bytes().replace(struct.pack("<I", 50 * 2**20), struct.pack("<I", 100))
    path.write_bytes(data)
    with pytest.raises(file_formats.FaultError, match="cannot be read as an inspect-ai log"):
        inspect_ai.read(path, Expected())


@pytest.mark.parametrize("epoch", ["9" * 5000, "0" * 5000 + "2"])
def test_an_epoch_of_5000_digits_is_another_epoch(tmp_path: Path, epoch: str) -> None:
    """A number of any length in a model's path is compared, and shortened in the message."""
    header = {"status": "success", "eval": {"model_args": {"model_path": f"/m/epoch_{epoch}"}}}
    path = tmp_path / "r.eval"
    with zipfile.ZipFile(path, "w") as log:
        log.writestr("header.json", json.dumps(header))
    with pytest.raises(file_formats.FaultError, match="not 1: its model is") as caught:
        inspect_ai.read(path, Expected(epoch=1))
    assert len(str(caught.value)) < 600


def test_leading_zeros_do_not_make_another_epoch(tmp_path: Path) -> None:
    """`epoch_01` is the epoch 1, and `epoch_00` the epoch 0."""
    for written, epoch in (("01", 1), ("00", 0), ("10", 10)):
        path = tmp_path / "r.eval"
        with zipfile.ZipFile(path, "w") as log:
            log.writestr(
                "header.json",
                json.dumps(
                    {
                        "status": "success",
                        "eval": {"model_args": {"model_path": f"epoch_{written}"}},
                    }
                ),
            )
        inspect_ai.read(path, Expected(epoch=epoch))


@pytest.mark.parametrize("suffix", [".json", ".csv"])
@pytest.mark.parametrize("begin", ["", '{"accuracy": 0.5}', "accuracy"])
def test_a_sparse_result_of_100_gb_is_no_result(tmp_path: Path, suffix: str, begin: str) -> None:
    """A result larger than memory is judged by its beginning, and is not good."""
    path = tmp_path / f"r{suffix}"
    with path.open("w") as file:
        file.write(begin)
        file.truncate(100 * 2**30)
    with pytest.raises(file_formats.FaultError):
        file_formats.read_result(path, path.stat().st_size)


def test_a_csv_of_newlines_has_no_header(tmp_path: Path) -> None:
    """A file of empty lines only is looked through as far as a header may be, not to its end."""
    path = tmp_path / "r.csv"
    path.write_text("\n" * 3_000_000 + "a\n1\n")
    with pytest.raises(file_formats.EmptyError, match="no header"):
        file_formats.read_result(path, path.stat().st_size)


def test_json_larger_than_its_limit_is_refused_with_both_sizes(tmp_path: Path) -> None:
    """The message says how large the file is, and how large it may be."""
    path = tmp_path / "r.json"
    path.write_bytes(b" " * (file_formats.MOST_JSON_BYTES + 1))
    with pytest.raises(
        file_formats.FaultError,
        match=r"has 67,108,865 bytes: JSON of more than 67,108,864 bytes is not read",
    ):
        file_formats.read_json(path)
    path.write_bytes(b"1" + b" " * (file_formats.MOST_JSON_BYTES - 1))
    assert file_formats.read_json(path) == 1


def checkpoint(path: Path, shape: str, dtype: str = '"F32"', data: bytes = b"1234") -> None:
    """Look at a safetensors file of one tensor."""
    header = f'{{"a":{{"dtype":{dtype},"shape":{shape},"data_offsets":[0,{len(data)}]}}}}'.encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    file_formats.check_weights(path, path.stat().st_size)


@pytest.mark.parametrize(
    "shape",
    [
        "[-1,-1]",
        "[" + ",".join(["9" * 4000] * 2000) + "]",
        "[" + "1," * 64 + "1]",
        "[1.0]",
        '["1"]',
        "{}",
        "null",
        "[9223372036854775808]",
        "[9223372036854775807,9223372036854775807]",
        "[2]",
        "[0]",
    ],
    ids=lambda shape: shape[:20],
)
def test_a_shape_that_cannot_be_is_no_checkpoint(tmp_path: Path, shape: str) -> None:
    """Sizes are whole numbers that are not negative, and their product is the tensor's bytes."""
    with pytest.raises(file_formats.FaultError, match="safetensors header"):
        checkpoint(tmp_path / "m.safetensors", shape)


def test_shapes_that_can_be_are_good(tmp_path: Path) -> None:
    """A scalar, a vector, an empty tensor, a dtype that is newer than this reader."""
    checkpoint(tmp_path / "m.safetensors", "[]")
    checkpoint(tmp_path / "m.safetensors", "[1,1,1]")
    checkpoint(tmp_path / "m.safetensors", "[9223372036854775807,0]", data=b"")
    checkpoint(tmp_path / "m.safetensors", "[8]", dtype='"F4"')


def test_shards_that_claim_to_be_many_are_told_at_once() -> None:
    """The first missing shard of 10^15 is found without counting to the end."""
    assert (
        torchtune._lacking(["m-1-of-999999999999999.bin", "m.bin.index.json"])
        == "lacks shard 2 of 999999999999999"
    )
    assert torchtune._lacking(["m-1-of-2.bin", "m-2-of-2.bin", "m.bin.index.json"]) == ""


@pytest.mark.parametrize(
    "piece",
    [
        "saved to ",
        "|1",
        "Step 1 |loss:",
        "Step 1 | ",
        "1" * 50,
        "|1|Loss: 1: 1%|",
        "saved to /epoch_",
    ],
)
def test_the_end_of_a_log_is_read_in_linear_time(tmp_path: Path, piece: str) -> None:
    """A line of 256 KB that nearly matches is looked through in a process that ends, whatever it
    repeats.
    """
    path = tmp_path / "log_1.txt"
    path.write_text(piece * (262_144 // len(piece)))
    program = (
        "from pathlib import Path; from watchkeeper.tools.torchtune import read_log; "
        f"read_log(Path({str(path)!r}), 'log')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)


@pytest.mark.parametrize(
    ("width", "expected"), [("9" * 5000, "0000000007"), ("0" * 5000, "7"), ("3", "007")]
)
def test_a_width_of_any_length_fills_ten_places_at_most(width: str, expected: str) -> None:
    """A pattern's width is a person's number, and may have 5,000 digits."""
    assert expand(f"%{width}j", job_id="7", name="n", user="u", node="n") == expected


@pytest.mark.parametrize(
    "method",
    [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA],
    ids=["zlib", "bz2", "lzma"],
)
def test_a_log_whose_compressed_data_is_damaged_is_damaged(tmp_path, method):
    """Whatever a decompressor says of corrupt data, the log is `damaged` and nothing is raised;
    a changed byte that changes nothing of what is unfolded leaves it good.
    """
    path = tmp_path / "one.eval"
    header = json.dumps({"status": "success", "x": "y" * 5_000})
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("header.json", header)
        (member,) = archive.infolist()
    whole = path.read_bytes()
    begin = member.header_offset + 30 + len(member.filename)
    damaged = 0
    for at in range(begin, begin + member.compress_size):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        finding = look(tmp_path, Promise(subject="s", kind="result", patterns=("one.eval",)))
        if finding.state == "good":
            with zipfile.ZipFile(path) as archive:
                assert archive.read("header.json") == header.encode()
        else:
            assert finding.state == "damaged"
            damaged += 1
    assert damaged > member.compress_size / 2
