"""`checkpoint replay`, as a person and a program type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.checkpoints import PROGRAM, write_json, write_llama, write_program
from watchkeeper.show.cli import main


def call(*words: object) -> tuple[int, str, str]:
    """The exit code of a command of checkpoints with these words, its output and its errors."""
    done = CliRunner().invoke(main, ["checkpoint", *map(str, words)])
    return done.exit_code, done.stdout, done.stderr


def test_a_forward_pass_is_recorded_and_replayed(tmp_path: Path) -> None:
    """The same program gives the same, and one that computes otherwise fails by the name of what
    differs.
    """
    root = write_llama(tmp_path / "model")
    program = write_program(tmp_path / "forward.py")
    assert (
        "not_checked: reference_test_vector"
        not in call("passport", root, "--reference", program)[1]
    )
    code, text, _ = call("replay", root, "--with", program)
    assert code == 0 and text.endswith("the replay is as recorded.\n")
    write_program(program, PROGRAM.replace("sum(inputs", "1 + sum(inputs"))
    code, text, _ = call("replay", root, "--with", program)
    assert code == 1 and "fail: reference_test_vector.outputs.sum: 1 values differ: " in text
    assert "soft_signal: reference_test_vector: another program" in text
    answer = json.loads(call("replay", root, "--with", program, "--json")[1])
    assert answer["data"]["verdict"] == "fail" and answer["data"]["tolerance"]["absolute"] == 1e-4


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (None, "has no reference_test_vector"),
        ({"n_frames": 0}, "has no frames"),
        ({"n_frames": 1, "input_prompt": "x"}, "holds no inputs"),
    ],
)
def test_what_cannot_be_replayed_is_named(tmp_path: Path, vector: object, message: str) -> None:
    """A passport without a vector that can be replayed says how to record one."""
    write_json(
        tmp_path / "MODEL_PASSPORT.json",
        {"schema_version": "0.2", "reference_test_vector": vector},
    )
    code, _, text = call("replay", tmp_path, "--with", write_program(tmp_path / "forward.py"))
    assert code == 2 and message in text and "--reference SCRIPT" in text
