"""A journal in a newer schema: refused with the version that can read it, never misread."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from watchkeeper.core.errors import NewerJournalError
from watchkeeper.core.events import SCHEMA, Observed, Opened, decode
from watchkeeper.core.journal import Journal, Writer, read, refuse_newer
from watchkeeper.core.version import __version__

NEWER = SCHEMA + 1


def own_events(folder: Path) -> Writer:
    """A writer of this version, with one event."""
    writer = Writer(folder, "test")
    writer.write(Observed, what="scheduler busy", detail="ours")
    return writer


def newer_file(folder: Path, name: str = "later", **fields: object) -> Path:
    """A journal's file as a later version may leave it: of its first line only the promised part is
    as today.
    """
    opened = {
        "kind": "opened",
        "schema": NEWER,
        "software": "watchkeeper 9.1.0rc2",
        "when": 7,
    } | fields
    path = folder / f"{name}.jsonl"
    folder.mkdir(exist_ok=True)
    path.write_text(json.dumps(opened) + '\n{"kind":"observed","what":"something else"}\n')
    return path


def test_a_newer_journal_is_refused_with_the_version_that_can_read_it(tmp_path: Path) -> None:
    """The error names the file, its schema, who wrote it, what this version reads, and what to
    type.
    """
    path = newer_file(tmp_path)
    with pytest.raises(NewerJournalError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"{path}: the journal has schema {NEWER}, written by watchkeeper 9.1.0rc2; "
        f"watchkeeper {__version__} reads schemas up to {SCHEMA}"
    )
    assert caught.value.hint.endswith("python -m pip install 'watchkeeper>=9.1.0rc2'")
    assert caught.value.exit_code == 2


def test_of_several_newer_files_the_newest_decides(tmp_path: Path) -> None:
    """The version that the error names can read every file of the journal."""
    newer_file(tmp_path, "a", schema=NEWER + 1, software="watchkeeper 10.0")
    newer_file(tmp_path, "b")
    with pytest.raises(NewerJournalError, match=r"a\.jsonl: .*watchkeeper 10\.0"):
        read(tmp_path)


@pytest.mark.parametrize("software", ["", "watchkeeper 9'; rm -rf ~; '", "something 3.0"])
def test_what_to_type_never_holds_foreign_words(tmp_path: Path, software: str) -> None:
    """Where `software` is no release of Watchkeeper, the command to type is the plain upgrade."""
    newer_file(tmp_path, software=software)
    with pytest.raises(NewerJournalError) as caught:
        read(tmp_path)
    assert caught.value.hint.endswith("python -m pip install --upgrade watchkeeper")


def test_a_newer_file_that_appears_later_is_refused_each_time(tmp_path: Path) -> None:
    """A reader that follows a journal is refused as soon as a later version joins in, and stays
    refused.
    """
    own_events(tmp_path).close()
    journal = Journal(tmp_path)
    journal.refresh()
    newer_file(tmp_path)
    for _ in range(2):
        with pytest.raises(NewerJournalError):
            journal.refresh()


def test_a_hole_in_front_does_not_hide_the_schema(tmp_path: Path) -> None:
    """NULs that a dying node left before the first line hide neither the schema nor the refusal."""
    path = newer_file(tmp_path)
    path.write_bytes(b"\0\0\0" + path.read_bytes())
    for refused in (read, refuse_newer):
        with pytest.raises(NewerJournalError):
            refused(tmp_path)


def test_as_evidence_a_newer_file_is_a_problem_said_once(tmp_path: Path) -> None:
    """Read as evidence, the newer file yields no event and one warning; the other writers' events
    are there.
    """
    writer = own_events(tmp_path)
    writer.close()
    path = newer_file(tmp_path)
    journal = Journal(tmp_path, is_evidence=True)
    assert list(journal.refresh()) == [writer.id]
    assert journal.refresh() == {}
    (problem,) = journal.problems
    assert problem.where == str(path) and problem.severity == "warning"
    assert (
        problem.message.startswith(f"the journal has schema {NEWER}") and "9.1.0rc2" in problem.hint
    )


def test_this_schema_is_read_whoever_wrote_it(tmp_path: Path) -> None:
    """A later version that kept the schema is read: the schema decides, and not the version."""
    writer = own_events(tmp_path)
    writer.close()
    path = tmp_path / f"{writer.id}.jsonl"
    path.write_text(path.read_text().replace(f"watchkeeper {__version__}", "watchkeeper 9.1.0", 1))
    assert read(tmp_path).problems == []
    refuse_newer(tmp_path)


def test_only_the_first_line_states_the_schema(tmp_path: Path) -> None:
    """An `opened` in the middle of a file is read as the event that it is, whatever schema it
    states.
    """
    writer = own_events(tmp_path)
    path = tmp_path / f"{writer.id}.jsonl"
    opened = path.read_text().splitlines()[0].replace(f'"schema":{SCHEMA}', f'"schema":{NEWER}')
    with path.open("a") as file:
        file.write(opened.replace('"seq":0', '"seq":2') + "\n")
    assert len(read(tmp_path).events[writer.id]) == 3


def test_the_documented_format_is_todays(tmp_path: Path) -> None:
    """The first line and the refusal that docs/journal.md shows are those of this version."""
    page = (Path(__file__).parents[2] / "docs/journal.md").read_text()
    opened = next(line for line in page.splitlines() if line.startswith('{"kind":"opened"'))
    event = decode(opened.encode())
    assert (
        isinstance(event, Opened)
        and event.schema == SCHEMA
        and f"**The schema is {SCHEMA}.**" in page
    )
    path = newer_file(tmp_path, "20270301-101500-3f6zk1qv8d", software="watchkeeper 1.4.0")
    with pytest.raises(NewerJournalError) as caught:
        read(tmp_path)
    shown = str(caught.value).replace(str(path.parent), "/data/exp/.watchkeeper/journal")
    assert f"  watchkeeper: {shown}\n    {caught.value.hint}\n" in page
