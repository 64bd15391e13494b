"""Answers of an evaluation's log, whichever program wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import write_log
from watchkeeper.tools.file_formats import FaultError
from watchkeeper.tools.inspect_ai import Answers, Sample
from watchkeeper.tools.samples import read_answers


def lines(path: Path, *rows: Any) -> Path:
    """A file of JSON Lines."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_one_log_reads_the_same_in_both_forms(tmp_path: Path) -> None:
    """inspect-ai's `.eval` and its `.json` of the same evaluation give the same answers."""
    log = write_log(tmp_path / "a.eval", ["Luzige", "tamo"])
    answers = read_answers(log)
    samples = [
        {
            "id": int(one.id),
            "epoch": 1,
            "output": {"completion": one.answer},
            "scores": {"match": {"value": one.scores["match"]}},
        }
        for one in reversed(answers.samples)
    ]
    path = tmp_path / "a.json"
    header = {"task": "words", "model": "hf/tiny"}
    path.write_text(json.dumps({"eval": header, "samples": samples}))
    assert read_answers(path) == answers


def test_lines_of_json_have_an_id_and_an_answer(tmp_path: Path) -> None:
    """The rows of lm-evaluation-harness and plain ones are read, with their scores."""
    path = lines(
        tmp_path / "samples.jsonl",
        {"doc_id": 0, "filtered_resps": [["Paris"]], "metrics": ["acc", 3], "acc": 1.0},
        {"id": "b", "answer": {"x": 1}, "score": "C", "acc": 0},
    )
    assert read_answers(path) == Answers(
        task="",
        model="",
        samples=(
            Sample(id="0", epoch=1, answer="Paris", scores={"acc": "1.0"}),
            Sample(id="b", epoch=1, answer='{"x": 1}', scores={"score": "C"}),
        ),
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"id": 1}\n', "no answer in line 1"),
        ("a.jsonl", "\n[]\n", "no object in line 2"),
        ("a.jsonl", "{", "not JSON"),
        ("a.json", "{}", "no samples"),
        ("a.json", "[]", "no samples"),
        ("a.txt", "", "inspect-ai log"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    """A line without an answer, another JSON, and another file are named."""
    (tmp_path / name).write_text(text)
    with pytest.raises(FaultError, match=message):
        read_answers(tmp_path / name)
