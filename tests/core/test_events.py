"""Events: encoded, decoded, kept when unknown, called damage when broken."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core import events
from watchkeeper.core.events import KINDS, DamagedLineError, Unknown, decode, encode
from watchkeeper.core.journal import read
from watchkeeper.core.state import fold
from watchkeeper.report.actionlog.render import Renderer

GOLDEN = Path(__file__).parent / "golden" / "v1"
NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
FREE = {
    "software",
    "purpose",
    "zone",
    "experiment",
    "summary",
    "summary_sha256",
    "key",
    "run",
    "task",
    "reason",
    "token",
}


def example(kind: type[events.Event]) -> events.Event:
    """An event of this kind with its required fields filled by type."""
    fields = {}
    for field in msgspec.structs.fields(kind):
        if field.required:
            fields[field.name] = _value(field.name, field.type)
    return msgspec.convert(fields | {"time": NOW, "writer": "w", "seq": 0}, kind)


def _value(name: str, annotation: object) -> object:
    text = str(annotation)
    if "Literal" in text and "Phase" not in name:
        return next(v for v in _flat(annotation) if isinstance(v, str))
    if "tuple" in text:
        return ()
    if "dict" in text:
        return {"COMPLETED": 1} if "int" in text else {}
    if "SchedulerFacts" in text:
        return {"state": "RUNNING"}
    if annotation is float:
        return 1.5
    return 1 if annotation is int else NOW if "datetime" in text else "x"


def _flat(annotation: object) -> list[object]:
    return [
        x for arg in get_args(annotation) for x in ([arg] if isinstance(arg, str) else _flat(arg))
    ]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_is_encoded_decoded_folded_and_rendered(kind: type[events.Event]) -> None:
    """Every kind of event survives a round trip, and neither the fold nor the renderer trips over
    it.
    """
    event = example(kind)
    assert decode(encode(event)) == event
    fold({"w": [event]})
    Renderer("UTC").feed(event)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_text_fields_say_how_sensitive_they_are(kind: type[events.Event]) -> None:
    """A field that can hold a path, host, job id or a person's words has a sensitivity; a plain one
    is on the free list.
    """
    hints = get_type_hints(kind, include_extras=True)
    allowed = FREE | {
        "writer",
        "file",
        "sha256",
        "previous",
        "script_sha256",
        "source_sha256",
        "diff_sha256",
        "environment_sha256",
        "work_sha256",
        "validation_sha256",
        "git_sha",
        "commit",
        "fingerprint",
        "signal",
        "array",
        "scheduler",
        "by",
        "action",
        "run_id",
        "pipeline",
        "step",
        "state",
        "verdict",
        "chain",
        "metric",
        "source",
        "passport_sha256",
        "signoff_sha256",
    }
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        if hint is str:
            assert field.name in allowed or field.name in ("why",), (
                f"{kind.__name__}.{field.name} has no sensitivity"
            )


def test_an_unknown_kind_is_kept_whole() -> None:
    """A line of a kind from a later version is kept byte for byte, and is never damage."""
    line = (
        b'{"kind":"from_the_future","time":"2026-03-11T15:00:00Z","writer":"w","seq":3,'
        b'"field":[1,2]}'
    )
    event = decode(line)
    assert isinstance(event, Unknown)
    assert (event.kind, event.seq, event.line) == ("from_the_future", 3, line)


def test_a_known_kind_with_bad_fields_is_damage() -> None:
    """A known kind whose fields are wrong is damage, never quietly unknown."""
    line = b'{"kind":"submitted","time":"2026-03-11T15:00:00Z","writer":"w","seq":3,"key":7}'
    with pytest.raises(DamagedLineError, match="submitted"):
        decode(line)


@given(st.binary(max_size=200))
def test_no_line_of_bytes_raises_anything_but_damage(line: bytes) -> None:
    """Arbitrary bytes are an event, unknown, or damage; nothing else is raised."""
    with contextlib.suppress(DamagedLineError):
        decode(line)


def test_the_golden_journal_of_version_1_still_reads() -> None:
    """A journal written by schema version 1 is read whole, and folds to the state that it folded to
    then.
    """
    journal = read(GOLDEN / "journal")
    assert journal.problems == []
    state = fold(journal.events)
    told = {
        key: {
            n: [a.state, a.job_id, a.judged.outcome if a.judged else None]
            for n, a in run.attempts.items()
        }
        for key, run in state.runs.items()
    }
    assert json.loads((GOLDEN / "state.json").read_text()) == json.loads(json.dumps(told))
