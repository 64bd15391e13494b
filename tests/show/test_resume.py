"""`watchkeeper resume`: the continuation of a run, from its newest complete checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.experiments import state_of, wk
from tests.show.test_answers import answer_of
from watchkeeper.show.cli import main

SUMMARY = {
    "experiment": {"name": "tiny"},
    "tools": {"preparation": "script", "evaluation": "script"},
    "controls": {"epochs": 2},
    "runs": [{"name": "r8", "type": "fine-tuned"}, {"name": "bare", "type": "fine-tuned"}],
}
# Its first attempt makes one epoch and fails; a later one makes the other, if given the first.
TRAIN = """#!/bin/bash
if [ -n "${WATCHKEEPER_RESUME_FROM-}" ]; then
    echo "$WATCHKEEPER_RESUME_FROM" > resumed
    mkdir -p artifacts/epoch_1 && echo weights > artifacts/epoch_1/model.bin
    exit
fi
mkdir -p artifacts/epoch_0 && echo weights > artifacts/epoch_0/model.bin
exit 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An experiment whose runs have failed: one left a checkpoint, one left none."""
    folder = tmp_path / "exp"
    for name, script in (("r8", TRAIN), ("bare", "#!/bin/bash\nexit 3\n")):
        (folder / name).mkdir(parents=True)
        (folder / name / "finetune.slurm").write_text(script)
    (folder / "experiment_summary.yaml").write_text(json.dumps(SUMMARY))
    assert wk("run", folder, "--poll", "0.05", state=tmp_path / "state").returncode == 1
    return folder


def test_a_run_goes_on_from_its_newest_checkpoint_whatever_ended_it(folder, tmp_path):
    """The next attempt is given the checkpoint, no other run is submitted, and the log is one."""
    told = answer_of(wk("resume", folder, "r8", "--json", state=tmp_path / "state"))
    assert told["exit_code"] == 0
    (note,) = [one for one in told["problems"] if one["where"] == "r8"]
    assert note["message"] == "continues from r8/artifacts/epoch_0"
    wk("watch", folder, "--poll", "0.05", state=tmp_path / "state")
    assert (folder / "r8/resumed").read_text() == f"{folder}/r8/artifacts/epoch_0\n"
    state = state_of(folder)
    assert len(state.runs["r8"].attempts) == 2 and len(state.runs["bare"].attempts) == 1
    assert len(list(folder.rglob("*_r8.md"))) == 1
    again = wk("resume", folder, "r8", state=tmp_path / "state")
    assert again.returncode == 2 and "r8 has nothing to resume: checkpoint exists" in again.stderr


def test_what_cannot_be_resumed_is_refused_with_what_to_type(folder, tmp_path):
    """Without a checkpoint nothing is submitted; an unknown run is named with the known ones."""
    bare = wk("resume", folder, "bare", state=tmp_path / "state")
    assert bare.returncode == 2 and "bare cannot be resumed" in bare.stderr
    assert f"watchkeeper run {folder} --runs bare --retry-failed" in bare.stderr
    unknown = wk("resume", folder, "r9", "--json", state=tmp_path / "state")
    assert unknown.returncode == 2
    assert json.loads(unknown.stdout)["problems"][0]["hint"] == "its runs: r8, bare"
    assert len(state_of(folder).runs["bare"].attempts) == 1


def resumed(folder: Path, *words: str) -> dict:
    """The answer of `resume` in this process."""
    done = CliRunner().invoke(main, ["resume", str(folder), *words, "--json"])
    return json.loads(done.stdout)


def test_a_glob_continues_what_can_and_says_why_the_rest_does_not(folder, tmp_path, monkeypatch):
    """Of the runs that match, those with a checkpoint are continued; what names none, or
    evaluations, is refused and submits nothing.
    """
    monkeypatch.setenv("WATCHKEEPER_STATE_DIR", str(tmp_path / "state"))
    for words, message in (
        (["--runs", "ba*"], "none of the runs that match 'ba*' can continue"),
        (["--runs", "x*"], "--runs 'x*' matches none of: bare, r8"),
        (["r8", "--runs", "r*"], "name the runs, or choose them with --runs, not both"),
        ([], "name the runs, or choose them with --runs, not both"),
        (["--evals", "*"], "an evaluation has no checkpoint to continue from"),
    ):
        refused = resumed(folder, *words)
        assert refused["exit_code"] == 2
        assert message in str(refused["problems"])
    answer = resumed(folder, "--runs", "*")
    codes = {one["where"]: one["code"] for one in answer["problems"]}
    assert codes["r8"] == "resumes" and codes["bare"] == "not-resumed"
    attempts = {key: len(run.attempts) for key, run in state_of(folder).runs.items()}
    assert attempts == {"bare": 1, "r8": 2}
