"""`checkpoint reevaluate`, as a person and a program type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.checkpoints import write_log
from watchkeeper.show.cli import main


def call(*words: object) -> tuple[int, str, str]:
    """The exit code of the command with these words, its output and its errors."""
    done = CliRunner().invoke(main, ["checkpoint", "reevaluate", *map(str, words)])
    return done.exit_code, done.stdout, done.stderr


def test_each_sample_whose_answer_differs_is_named(tmp_path: Path) -> None:
    """A sample with another answer has a line with both, and whether its score differs; one that is
    only in one of the logs is named too.
    """
    first = write_log(tmp_path / "first.eval", ["Luzige", "tamo", "Re"])
    second = write_log(tmp_path / "second.eval", ["Luzige", "Tamo", "Ra", "new"])
    assert call(first, first) == (0, "words: 0 of 3 samples differ.\n", "")
    code, text, _ = call(first, second)
    assert code == 1
    assert text.splitlines() == [
        "2, epoch 1: 'tamo', then 'Tamo' (scored otherwise)",
        "3, epoch 1: 'Re', then 'Ra'",
        "4, epoch 1: not asked, then 'new' (scored otherwise)",
        "words: 3 of 4 samples differ.",
    ]
    answer = json.loads(call(first, second, "--json")[1])
    assert answer["counts"] == {"samples": 4, "differ": 3}
    assert answer["data"]["samples"][0]["first_scores"] == {"match": "I"}


@pytest.mark.parametrize("what", ["task", "empty", "torn", "nowhere"])
def test_logs_that_cannot_be_compared_are_named(tmp_path: Path, what: str) -> None:
    """Two tasks, a log without a sample, a torn one and a missing one are refused."""
    first = write_log(tmp_path / "first.eval", ["a"])
    second = write_log(tmp_path / "second.eval", [] if what == "empty" else ["a"], task=what)
    if what == "torn":
        second.write_bytes(second.read_bytes()[:-40])
    if what == "nowhere":
        second.unlink()
    code, _, text = call(first, second)
    assert code in (1, 2) and "second.eval" in text
