"""A field can be opened for whoever has the package, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.publish.package.packages import JOB, make_package, make_source
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.package import opening


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that was staged here, and its run beside it."""
    folder = tmp_path_factory.mktemp("opening")
    make_package(make_source(folder / "run"), folder / "package")
    return folder / "package"


@pytest.fixture
def event(package: Path) -> str:
    """The event that names the job."""
    (journal,) = (package.parent / "run/.watchkeeper/journal").glob("*.jsonl")
    return f"{journal.stem}:1"


@pytest.mark.parametrize("place", ["package", "run"])
def test_a_field_is_opened_from_the_package_or_from_the_run(
    package: Path, event: str, place: str, tmp_path: Path
) -> None:
    """Both lead to the journal; what was opened is what the package's hash stands for."""
    journals = opening.journals_of(package.parent / place)
    opened = opening.open_in(journals, event, "job_id")
    opening.write_openings(tmp_path / "opened.json", [opened])
    read = opening.read_openings(tmp_path / "opened.json")
    assert [one.value for one in read] == [JOB]
    assert [one.status for one in opening.check_openings(package, read)] == ["pass"]


def test_another_value_is_noticed(package: Path, event: str) -> None:
    """Whoever gives another value than that of the journal is found out."""
    opened = opening.open_in(opening.journals_of(package), event, "job_id")
    lie = msgspec.structs.replace(opened, value="1")
    assert [one.name for one in opening.check_openings(package, [lie])] == ["field-differs"]


@pytest.mark.parametrize("text", ["", "7", "writer", "writer:", "writer:-1", "a b:1", "a:1:2"])
def test_an_event_is_named_by_writer_and_number(text: str) -> None:
    """Anything else is refused, with the form that it has."""
    with pytest.raises(UsageError, match="names no event"):
        opening.parse_event(text)


def test_what_cannot_be_opened_is_refused(package: Path, event: str, tmp_path: Path) -> None:
    """No such writer, no such event, no such field; a folder that is neither run nor package."""
    journals = opening.journals_of(package)
    for wrong, field in (("nobody:1", "job_id"), (f"{event}9", "job_id"), (event, "no")):
        with pytest.raises(UsageError):
            opening.open_in(journals, wrong, field)
    with pytest.raises(UsageError) as refusal:
        opening.open_in(journals, event, "jobid")
    assert (
        refusal.value.hint.startswith("there is: kind, time, ") and "job_id" in refusal.value.hint
    )
    with pytest.raises(UsageError, match="no package that was staged here"):
        opening.journals_of(tmp_path)


@pytest.mark.parametrize("text", ['{"openings": 1}', "{}", '{"openings": [{"writer": "a"}]}'])
def test_a_file_without_openings_is_refused(tmp_path: Path, text: str) -> None:
    """What is no list of openings is named as such."""
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match="holds no openings"):
        opening.read_openings(tmp_path / "x.json")
