"""The hashes that a job leaves of its checkpoints: made after the end is on record, and whole or
not there.
"""

import hashlib
import os
import shutil

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


def test_links_and_single_files_are_hashed_as_what_they_name(tmp_path):
    """A link to a file counts as the file, by its own name; one to a folder is not followed; and a
    checkpoint may be one file.
    """
    (tmp_path / "blob").write_bytes(b"blob")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/large").write_bytes(b"data")
    links = "ln -s ../blob 'ck 0/link' && ln -s ../data 'ck 0/all' && ln -s gone 'ck 0/broken'"
    attempt = made(tmp_path, f"{MAKES}\n{links} && printf one >'ck 1' && ln -s 'ck 1' 'ck 2'\n")
    assert attempt.run()[0] == 0
    hashed = read_hashes(attempt.folder)
    assert {path.name for path in hashed} == {"link", "w.bin", "x y", "ck 1", "ck 2"}
    link = tmp_path / "ck 0/link"
    assert hashed[link].sha256 == hashlib.sha256(b"blob").hexdigest()
    assert hashed[link].is_still(link) and hashed[tmp_path / "ck 2"].is_still(tmp_path / "ck 1")


@pytest.mark.parametrize("broken", [(), ("openssl",)])
def test_openssl_hashes_and_sha256sum_where_it_cannot(tmp_path, broken):
    """What is there is used, and the hash is the same by either."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("openssl", "sha256sum"):
        program = shutil.which(name)
        then = "exit 1" if name in broken else f'exec {program} "$@"'
        (tools / name).write_text(f"#!/bin/bash\necho {name} >>{tmp_path}/used\n{then}\n")
        (tools / name).chmod(0o755)
    attempt = made(tmp_path, "#!/bin/bash\nmkdir 'ck 0' && printf one >'ck 0/w.bin'")
    attempt.run(env={"PATH": f"{tools}:{os.environ['PATH']}"})
    ((_, record),) = read_hashes(attempt.folder).items()
    assert record.sha256 == hashlib.sha256(b"one").hexdigest()
    used = (tmp_path / "used").read_text().split()
    assert used == ["openssl", *(["sha256sum"] if broken else [])]


def test_the_tasks_of_an_array_hash_what_each_made(tmp_path):
    """Each leaves a record of what was written since it began; together they are the attempt's."""
    source = (
        "#!/bin/bash\nmkdir -p 'ck 0' && printf $SLURM_ARRAY_TASK_ID >'ck 0/'$SLURM_ARRAY_TASK_ID"
    )
    attempt = made(tmp_path, source)
    (tmp_path / "ck 0").mkdir()
    (tmp_path / "ck 0/old").write_bytes(b"old")
    os.utime(tmp_path / "ck 0/old", ns=(1, 1))
    for task in ("1", "2"):
        names = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": task, "SLURM_JOB_ID": f"8{task}"}
        assert attempt.run(env=names)[0] == 0
    hashed = read_hashes(attempt.folder)
    assert {path.name for path in hashed} == {"1", "2"}
    assert all(record.is_still(path) for path, record in hashed.items())


def test_of_two_records_of_a_file_the_one_that_still_holds_counts(tmp_path):
    """A file that grew while one task hashed it is known by the record of another."""
    path = tmp_path / "w.bin"
    path.write_bytes(b"whole")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    for task, size in (("1", 5), ("2", 2)):
        folder = tmp_path / f"task-{task}"
        folder.mkdir()
        entries = f"file {size} 1700000000 {path}\0{DIGEST}  {path}\0"
        (folder / "hashes.0").write_bytes(entries.encode())
    assert read_hashes(tmp_path)[path].is_still(path)


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
    for name in ("openssl", "sha256sum"):
        (tools / name).write_text(kills)
        (tools / name).chmod(0o755)
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
