"""Answers read from inspect-ai's logs, without inspect-ai."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from watchkeeper.tools import inspect_ai
from watchkeeper.tools.file_formats import FaultError
from watchkeeper.tools.inspect_ai import Described, Sample, describe, read_answers


def log_of(path: Path, *samples: Any) -> Path:
    """A log with these samples."""
    with zipfile.ZipFile(path, "w") as log:
        log.writestr("_journal/start.json", json.dumps({"eval": {"task": "t", "model": "m"}}))
        for number, sample in enumerate(samples):
            log.writestr(f"samples/{number}.json", json.dumps(sample))
    return path


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ({"completion": "yes", "choices": []}, "yes"),
        ({"choices": [{"message": {"content": "yes"}}]}, "yes"),
        ({"choices": [{"message": {"content": [{"text": "y"}]}}]}, '[{"text": "y"}]'),
        ({"choices": [{"message": {}}]}, ""),
        ({"choices": []}, ""),
        (None, ""),
    ],
)
def test_an_answer_is_what_the_model_gave(tmp_path: Path, output: Any, answer: str) -> None:
    """The text is taken from wherever the version of the log has it; none is an empty one."""
    (sample,) = read_answers(log_of(tmp_path / "log.eval", {"id": 3, "output": output})).samples
    assert sample == Sample(id="3", epoch=1, answer=answer, scores={})


def test_samples_come_in_the_order_of_their_ids(tmp_path: Path) -> None:
    """Numbers count as numbers, and epochs follow one another; a log that was cut off has its
    samples all the same.
    """
    samples = [{"id": 10}, {"id": 2, "epoch": 2}, {"id": 2, "epoch": 1}, "none"]
    answers = read_answers(log_of(tmp_path / "log.eval", *samples))
    assert (answers.task, answers.model) == ("t", "m")
    order = [(sample.id, sample.epoch) for sample in answers.samples]
    assert order == [("", 1), ("2", 1), ("2", 2), ("10", 1)]


def test_a_log_says_what_was_evaluated_and_when(tmp_path: Path) -> None:
    """Task, time, dataset and samples; nothing of a log that holds none of them."""
    header = {
        "eval": {"task": "t", "created": "2026-03-11T12:00:00+00:00", "dataset": {"name": "d"}},
        "results": {"completed_samples": 100},
    }
    with zipfile.ZipFile(tmp_path / "whole.eval", "w") as log:
        log.writestr("header.json", json.dumps(header))
    assert describe(tmp_path / "whole.eval") == Described(
        task="t", created="2026-03-11T12:00:00+00:00", dataset="d", samples=100
    )
    started = log_of(tmp_path / "started.eval", {"id": 1}, {"id": 2})
    assert describe(started) == Described(task="t", samples=2)


def test_the_command_of_a_log_is_made_from_its_header(tmp_path: Path) -> None:
    """Task, model, arguments and limits become words of `inspect eval`; a setting that no option
    takes is named.
    """
    evaluated = {
        "task": "pkg/words", "task_file": "a b/tasks.py", "model": "hf/tiny",
        "model_args": {"model_path": "x", "do_sample": False}, "task_args_passed": {"n": 3},
        "config": {"limit": 10, "epochs": 2, "fail_on_error": True, "sample_id": [1, 2]},
        "model_generate_config": {"max_tokens": 12, "temperature": 0.0, "logprobs": True},
    }  # fmt: skip
    log = tmp_path / "a.eval"
    with zipfile.ZipFile(log, "w") as archive:
        archive.writestr("header.json", json.dumps({"eval": evaluated}))
    words, left_out = inspect_ai.command_of(log)
    assert " ".join(words) == (
        "inspect eval a b/tasks.py@words --model hf/tiny -M model_path=x -M do_sample=false -T n=3 "
        "--limit 10 --epochs 2 --max-tokens 12 --temperature 0.0"
    )
    assert left_out == ["sample_id", "logprobs"]


@pytest.mark.parametrize("lacking", ["task", "task_file", "model"])
def test_a_log_without_its_task_names_no_command(tmp_path: Path, lacking: str) -> None:
    """What a log does not say is not guessed."""
    evaluated = {"task": "words", "task_file": "tasks.py", "model": "hf/tiny", lacking: None}
    with zipfile.ZipFile(tmp_path / "a.eval", "w") as archive:
        archive.writestr("header.json", json.dumps({"eval": evaluated}))
    with pytest.raises(FaultError, match="does not say from which file"):
        inspect_ai.command_of(tmp_path / "a.eval")
