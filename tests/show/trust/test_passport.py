"""`checkpoint passport`, as a person and a program type it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import watchkeeper as wk
from tests.checkpoints import LLAMA, safetensors, write_json, write_llama
from watchkeeper.show.cli import main

COMMIT = "a" * 40


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkpoint without a passport."""
    return write_llama(tmp_path / "model", shards=2)


def call(*words: object) -> tuple[int, str, str]:
    """The exit code of the command with these words, its output and its errors."""
    done = CliRunner().invoke(main, ["checkpoint", "passport", *map(str, words)])
    return done.exit_code, done.stdout, done.stderr


def declared(folder: Path, **fields: Any) -> Path:
    """A file of declared fields."""
    path = folder / "declared.json"
    write_json(path, {"provenance": {"training_repo_commit": COMMIT}, **fields})
    return path


def test_a_passport_is_written_and_checked(root: Path, tmp_path: Path) -> None:
    """The first line names the file and what is in it, and each finding follows; without a commit
    the checkpoint fails, and with one it does not.
    """
    code, text, _ = call(root)
    assert code == 1 and text.startswith(f"{root}/MODEL_PASSPORT.json: written, fail; fields: ")
    assert "\nfail: provenance.training_repo_commit: " in text
    code, text, _ = call(root, "--declare", declared(tmp_path))
    assert code == 0 and "written, soft_signal" in text and "1 declared" in text
    assert "unchanged, soft_signal" in call(root)[1]
    assert wk.load_passport(root).get("provenance.training_repo_commit") == COMMIT


def test_quiet_prints_the_file_and_what_is_wrong(root: Path, tmp_path: Path) -> None:
    """What passes and what was not checked is left out."""
    lines = call(root, "-q", "--declare", declared(tmp_path))[1].splitlines()
    assert lines[0] == f"{root}/MODEL_PASSPORT.json"
    assert all(line.startswith("soft_signal: ") for line in lines[1:])


def test_a_program_gets_the_same(root: Path, tmp_path: Path) -> None:
    """The answer has the checks, the verdict, the counts by mark, and the findings as problems."""
    answer = json.loads(call(root, "--json", "--declare", declared(tmp_path, odd=1))[1])
    assert answer["data"]["verdict"] == "soft_signal" and answer["data"]["is_changed"]
    assert answer["counts"]["declared"] == 2
    codes = {problem["code"] for problem in answer["problems"]}
    assert {"unknown-field", "no-dataset", "no-run-log"} <= codes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--key", "r8"], "add --run EXPERIMENT"),
        (["--run", "."], "has no journal"),
        (["--declare", "none.json"], "none.json"),
        (["--declare", "bad.toml"], "is not TOML"),
        (["--declare", "nan.toml"], "is not TOML"),
        (["--declare", "bad.json"], "is not a JSON document"),
    ],
)
def test_a_mistake_is_named_and_writes_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    """A wrong option or file says what to type, and leaves the checkpoint as it is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text("a = ")
    (tmp_path / "nan.toml").write_text("a = [nan]")
    (tmp_path / "bad.json").write_text("{")
    code, _, text = call(root, *words)
    assert code in (1, 2) and message in text
    assert not (root / "MODEL_PASSPORT.json").exists()


def test_toml_declares_what_json_does(root: Path, tmp_path: Path) -> None:
    """Tables are nested fields, and a date is its text."""
    path = tmp_path / "declared.toml"
    path.write_text("[provenance]\nreleased = 2026-03-11\n[stack_notes]\nx = [1, {y = 1.5}]\n")
    call(root, "--declare", path)
    passport = wk.load_passport(root)
    assert passport.get("provenance.released") == "2026-03-11"
    assert passport.get("stack_notes.x") == [1, {"y": 1.5}]


def test_a_passport_of_somebody_else_is_kept(root: Path) -> None:
    """The command refuses with the way out, and the file is as it was."""
    path = root / "MODEL_PASSPORT.json"
    write_json(path, {"generated_by": "another"})
    before = path.read_bytes()
    code, _, text = call(root)
    assert code == 2 and "mv MODEL_PASSPORT.json" in text
    assert path.read_bytes() == before


def test_numbers_are_looked_through_when_asked(root: Path, tmp_path: Path) -> None:
    """`--deep` records what it saw and fails on NaN, and so does a later `validate --deep`."""
    words = ["--declare", declared(tmp_path)]
    assert call(root, "--deep", *words)[0] == 0
    assert wk.load_passport(root).get("model_internals.numerical_health.nan_count") == 0
    (root / "model-00001-of-00002.safetensors").write_bytes(
        safetensors(dict(list(LLAMA.items())[::2]), fill=255)
    )
    code, text, _ = call(root, "--deep", *words)
    assert code == 1 and "model.norm.weight holds 4 × NaN (" in text
    done = CliRunner().invoke(main, ["checkpoint", "validate", str(root), "--deep"])
    assert done.exit_code == 1 and "model.norm.weight holds 4 × NaN" in done.stdout
