"""What a report leaves out: by the types of fields, and in every text that quotes them."""

from __future__ import annotations

from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest

from watchkeeper.core.events import FilePath, Host, JobId
from watchkeeper.core.events.base import Opened
from watchkeeper.core.events.private import sensitive_fields
from watchkeeper.query.views import pages, shared
from watchkeeper.show.report.private import Mask, sensitive_values

VALUES = {"host": {"login2", "n1"}, "user": {"ann", "root"}, "job id": {"4711", "12"}}


class Part(msgspec.Struct, frozen=True):
    """A part of a page."""

    host: Host
    text: str


class Page(msgspec.Struct, frozen=True):
    """A page with every kind of field."""

    folder: FilePath
    job_id: JobId
    parts: list[Part]
    settings: dict[str, str]
    steps: int


@pytest.fixture
def mask():
    """What is known of /home/ann/exp."""
    return Mask(Path("/home/ann/exp"), VALUES)


def test_fields_are_emptied_by_the_sensitivity_of_their_types(mask):
    """Hosts and job ids are emptied, paths are those below the folder, in lists and dicts too; the
    rest stays.
    """
    page = Page(
        folder="/home/ann/exp/r8",
        job_id="4711",
        parts=[Part(host="login2", text="on login2, by ann")],
        settings={"data": "/scratch/ann/corpus.bin"},
        steps=4711,
    )
    assert mask.page(page) == Page(
        folder="r8",
        job_id="",
        parts=[Part(host="", text="on <host>, by <user>")],
        settings={"data": "corpus.bin"},
        steps=4711,
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open /home/ann/exp/r8/model.bin", "cannot open r8/model.bin"),
        ('File "/usr/lib/python3/json.py", line 3', 'File "json.py", line 3'),
        ("root:/data/ann/x.txt", "root:x.txt"),
        ("read file:///data/ann/x.txt", "read x.txt"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("train/val and 3/4", "train/val and 3/4"),
        ("~/runs/x", "x"),
        ("submitted as job 12", "submitted as job <job>"),
        ("slurm-4711.out", "slurm-<job>.out"),
        ("execution_id: 12", "execution_id: <job>"),
        ("step 12 of 4,711", "step 12 of 4,711"),
        ("node n1: n10 is another", "node <host>: n10 is another"),
        ("the root of it", "the root of it"),
        ("annotated by ann", "annotated by <user>"),
    ],
)
def test_a_text_loses_paths_names_and_job_ids_and_nothing_else(mask, text, shown):
    """Absolute paths are cut to what is below the folder or to their last name; hosts, users and
    job ids that the journal holds are replaced as whole words; numbers and addresses stay.
    """
    assert mask.text(text) == shown


def test_the_journals_sensitive_fields_are_what_is_searched():
    """The values come from the fields whose types carry a sensitivity."""
    event = Opened(
        time="2026-03-11T15:00:00Z", writer="w", seq=0, schema=1, software="s", purpose="run",
        zone="UTC", host="login2", boot_id="b", user="ann",
    )  # fmt: skip
    assert sensitive_values([event, object()]) == {"host": {"login2", "b"}, "user": {"ann"}}


def test_every_path_and_host_of_a_page_has_its_type():
    """A field of a page that is named as a path, a host or a job carries its sensitivity."""
    names = {"folder": "path", "path": "path", "host": "host", "job_id": "job id", "file": "path"}
    for module in (pages, shared):
        for kind in vars(module).values():
            if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
                continue
            hints = get_type_hints(kind)
            for name in names.keys() & hints.keys():
                assert sensitive_fields(kind).get(name) == names[name], f"{kind.__name__}.{name}"
