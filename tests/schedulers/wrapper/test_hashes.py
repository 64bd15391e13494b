"""The hashes that a job leaves of its checkpoints: made after the end is on record, and whole or
not there.
"""

import hashlib
import os

import pytest

from tests.schedulers.wrapper.test_render import Attempt
from watchkeeper.schedulers.wrapper.claims import read_exit_records
from watchkeeper.schedulers.wrapper.hashes import HashedFile, parse, read_hashes

DIGEST = "ab" * 32
MAKES = "#!/bin/bash\nmkdir -p 'ck 0/sub' && printf one >'ck 0/w.bin' && printf two >'ck 0/sub/x y'"


def made(tmp_path, source=MAKES, **options):
    """An attempt that promises a checkpoint in the folder above it."""
    pattern = f"{tmp_path}/ck [0-9]"
    return Attempt(tmp_path / "attempt", source, checkpoints=[[pattern, "/nowhere"]], **options)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A folder with a checkpoint that a job made and hashed."""
    folder = tmp_path_factory.mktemp("ended")
    assert made(folder).run()[0] == 0
    return folder


def test_every_file_of_a_checkpoint_is_hashed(ended):
    """Size, time and SHA-256 are those of the file, whatever its name and its folder."""
    hashed = read_hashes(ended / "attempt")
    assert sorted(map(str, hashed)) == [f"{ended}/ck 0/sub/x y", f"{ended}/ck 0/w.bin"]
    for path, record in hashed.items():
        assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert record.is_still(path)


def test_a_file_that_was_touched_is_not_the_hashed_one(ended):
    """A later time, another size, or no file at all: the hash counts no more."""
    path = ended / "ck 0/w.bin"
    record = read_hashes(ended / "attempt")[path]
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert not record.is_still(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert record.is_still(path)
    assert not HashedFile(4, record.modified_ns, DIGEST).is_still(path)
    assert not record.is_still(path.with_name("gone"))


@pytest.mark.parametrize("source", [MAKES + "\nexit 1\n", "#!/bin/bash\n"], ids=["failed", "empty"])
def test_nothing_is_hashed_after_a_failure_or_without_a_checkpoint(tmp_path, source):
    """A job that failed, or that left nothing of what it promised, leaves no hashes."""
    attempt = made(tmp_path, source)
    attempt.run()
    assert not list((tmp_path / "attempt").glob("*hashes*"))


def test_the_end_is_on_record_before_the_first_hash(tmp_path):
    """What kills the job while it hashes takes the hashes and nothing else."""
    tools = tmp_path / "bin"
    tools.mkdir()
    attempt = made(tmp_path)
    kills = f"#!/bin/bash\n[[ -e {attempt.folder}/exit.1 ]] && : >{tmp_path}/seen\nexit 137\n"
    (tools / "sha256sum").write_text(kills)
    (tools / "sha256sum").chmod(0o755)
    code, _, _ = attempt.run(env={"PATH": f"{tools}:{os.environ['PATH']}"})
    (record,) = read_exit_records(attempt.folder)
    assert (code, record.exit_code, (tmp_path / "seen").exists()) == (0, 0, True)
    assert read_hashes(attempt.folder) == {} and not list(attempt.folder.glob(".tmp-*"))


def test_a_record_is_read_whatever_it_holds():
    """Half an entry, a name of odd bytes, a time without a fraction, and noise."""
    data = (
        b"file 3 17.5000000000 /a\nb\0file 1 -2 /old\0file 9 9 /never hashed\0noise\0"
        + f"{DIGEST}  /a\nb\0{DIGEST} */old\0{DIGEST}  /never seen\0{DIGEST[:60]}".encode()
    )
    hashed = {str(path): record for path, record in parse(data).items()}
    assert hashed == {
        "/a\nb": HashedFile(3, 17_500_000_000, DIGEST),
        "/old": HashedFile(1, -2_000_000_000, DIGEST),
    }
    assert parse(b"") == {} and parse(b"file 1 1 /\xff\0" + DIGEST.encode() + b"  /\xff\0")


def test_no_record_is_no_hash(tmp_path):
    """An attempt from before, and one whose record is a folder, have no hashes."""
    assert read_hashes(tmp_path) == {}
    (tmp_path / "hashes.0").mkdir()
    assert read_hashes(tmp_path) == {}
