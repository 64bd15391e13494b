"""A bundle can be verified by whoever may not see everything, and says where it was changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Judged, Opened, Submitted
from watchkeeper.core.journal import Writer, read
from watchkeeper.publish.chain.bundle import about, events_of, verify_bundle, write_bundle
from watchkeeper.publish.chain.heads import Head, heads_of
from watchkeeper.publish.chain.opening import Opening, open_field, verify_opening
from watchkeeper.publish.checks import verdict

JOB = "4711-private"
OTHER = "secret-run/clean/epoch0"
KEY = "r8/clean/epoch0"
OURS = about({"r8", KEY})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with an evaluation that is published and one that is not."""
    folder = tmp_path_factory.mktemp("bundle")
    writer = Writer(folder, "run", zone="UTC")
    for key, value in ((OTHER, 0.1), (KEY, 0.93)):
        common = {"key": key, "phase": "evaluation", "attempt": 1}
        writer.write(Submitted, **common, job_id=JOB, scheduler="slurm", command="sbatch x")
        metrics = {"accuracy": value}
        writer.write(Judged, **common, outcome="done", state="COMPLETED", metrics=metrics)
    writer.close()
    return folder


@pytest.fixture(scope="module")
def lines(folder: Path) -> list[bytes]:
    """Its bundle."""
    return list(write_bundle([folder], OURS))


def names(lines: list[bytes], heads: list[Head] | None = None) -> list[str]:
    """What verifying has come to."""
    return [check.name for check in verify_bundle(lines, heads or [])]


def test_a_bundle_holds_and_shows_no_more_than_it_should(folder: Path, lines: list[bytes]) -> None:
    """The chain holds over all events; of other runs and of private fields nothing is in it, nor is
    the secret.
    """
    assert names(lines, heads_of(folder)) == ["events-hold", "passport-holds", "events-whole"]
    text = b"".join(lines).decode()
    (events,) = read(folder).events.values()
    opened = events[0]
    assert isinstance(opened, Opened)
    hidden = [JOB, OTHER, opened.secret, opened.host, opened.user, "sbatch x"]
    assert [word for word in hidden if word in text] == []
    judged = [event for event in events_of(lines) if event["kind"] == "judged"]
    assert [(one["key"], one["metrics"]) for one in judged] == [(KEY, {"accuracy": 0.93})]


def test_every_flipped_byte_is_noticed(folder: Path, lines: list[bytes]) -> None:
    """Wherever a byte is changed, something fails against the head that a passport states."""
    whole, heads = b"".join(lines), heads_of(folder)
    for at in range(0, len(whole), 13):
        flipped = bytearray(whole)
        flipped[at] ^= 1
        checks = verify_bundle(bytes(flipped).splitlines(), heads)
        assert verdict(checks) == "fail", at


@pytest.mark.parametrize("change", ["drop", "double", "swap", "hide"])
def test_every_event_that_is_moved_is_noticed(lines: list[bytes], change: str) -> None:
    """Dropped, doubled, swapped with the next, or replaced by another hash: at every line."""
    for at in range(1, len(lines) - 1):
        changed = {
            "drop": [*lines[:at], *lines[at + 1 :]],
            "double": [*lines[: at + 1], *lines[at:]],
            "swap": [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
            "hide": [*lines[:at], b'{"hash": "%s"}' % (b"0" * 64), *lines[at + 1 :]],
        }[change]
        assert verdict(verify_bundle(changed)) == "fail", at


def test_a_bundle_made_anew_differs_from_the_passport(folder: Path, tmp_path: Path) -> None:
    """Whoever writes another journal can make a bundle that fits itself, and not the passport."""
    writer = Writer(tmp_path, "run", zone="UTC")
    writer.write(Submitted, key=KEY, phase="evaluation", attempt=1, job_id="1", scheduler="slurm",
                 command="x")  # fmt: skip
    writer.close()
    forged = list(write_bundle([tmp_path], OURS))
    assert verdict(verify_bundle(forged)) == "pass"
    assert "passport-differs" in names(forged, heads_of(folder))


def test_an_older_journal_gives_no_events(tmp_path: Path) -> None:
    """A file from before journals were chained is named, and nothing of it is said to hold."""
    golden = Path("tests/core/golden/v1/journal")
    lines = list(write_bundle([golden], OURS))
    assert {"events-unchained", "events-whole"} == set(names(lines))
    assert list(events_of(lines)) == []
    assert "events-unchained" in names(lines, [Head("w", 3)])
    assert names(list(write_bundle([tmp_path / "nothing"], OURS))) == ["events-whole"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"no json",
        b'{"writer": "b"}',
        b'{"end": {}}',
        b'{"event": {"hash": "%s"}}' % (b"0" * 64),
        b'{"head": 1}',
        b'{"format": "watchkeeper public events 1"}',
        b'{"hash": "1", "hash": "2"}',
        b'{"hash": ' + b"[" * 100_000,
    ],
)
def test_a_line_that_fits_nothing_fails(lines: list[bytes], line: bytes) -> None:
    """A bundle with a strange line in it is unreadable, with the number of the line."""
    *_, last = verify_bundle([*lines[:3], line, *lines[3:]])
    assert (last.status, last.where) == ("fail", "line 4")


def test_a_bundle_that_was_cut_off_or_continued_fails(lines: list[bytes]) -> None:
    """Its first line and its last are its own."""
    for changed in (lines[:-1], lines[1:], [*lines, lines[-1]], []):
        assert verdict(verify_bundle(changed)) == "fail"


def opened(folder: Path, *path: str) -> Opening:
    """A field of the submission that is published, as its owner opens it."""
    (writer,) = read(folder).events
    return open_field(folder, writer, 3, path)


def test_an_owner_opens_one_field(folder: Path, lines: list[bytes]) -> None:
    """The value and its salt fit the bundle; another value, salt, field or event does not."""
    opening = opened(folder, "job_id")
    assert opening.value == JOB
    assert verify_opening(lines, opening).name == "field-opened"
    others = {
        "field-differs": [{"value": "4712"}, {"salt": "0" * 32}, {"salt": "x"}, {"path": ("key",)}],
        "field-not-found": [{"seq": 1}, {"seq": 99}, {"writer": "b"}, {"path": ("nothing",)}],
    }
    for name, changes in others.items():
        for change in changes:
            forged = Opening(**{field: getattr(opening, field) for field in FIELDS} | change)
            assert verify_opening(lines, forged).name == name, change


FIELDS = Opening.__struct_fields__


def test_a_private_field_changed_beside_its_hash_is_noticed(
    folder: Path, lines: list[bytes], tmp_path: Path
) -> None:
    """A journal in which the job id was changed opens to what the bundle contradicts."""
    (path,) = folder.glob("*.jsonl")
    (tmp_path / path.name).write_bytes(path.read_bytes().replace(JOB.encode(), b"another"))
    assert opened(tmp_path, "job_id").value == "another"
    assert verify_opening(lines, opened(tmp_path, "job_id")).name == "field-differs"


def test_opening_a_field_opens_nothing_beside_it(folder: Path) -> None:
    """Two fields have two salts, and an opening holds no other value."""
    one, other = opened(folder, "job_id"), opened(folder, "command")
    assert one.salt != other.salt and "sbatch" not in json.dumps(str(one))


def test_what_must_not_or_cannot_be_opened_is_refused(folder: Path) -> None:
    """The secret, an event as a whole, and what is not there."""
    (writer,) = read(folder).events
    for seq, path in [
        (0, ("secret",)),
        (3, ()),
        (3, ("nothing",)),
        (3, ("job_id", "0")),
        (99, ("a",)),
    ]:
        with pytest.raises(UsageError):
            open_field(folder, writer, seq, path)
    with pytest.raises(UsageError, match="cannot be read"):
        open_field(folder, "nobody", 0, ("host",))
    golden = Path("tests/core/golden/v1/journal")
    with pytest.raises(UsageError, match="before journals were chained"):
        open_field(golden, min(read(golden).events), 0, ("host",))
