"""Evaluations that are in the queue before their fine-tune has ended."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.experiments import claims, command, env, state_of, times_run, wk, write_experiment
from tests.slurm.lab import until
from watchkeeper.core.state import Attempt
from watchkeeper.schedulers.wrapper.claims import is_closed

GO = 'until [ -e "$HOLD/go" ]; do sleep 0.05; done'
BAD = '[ -e "$HOLD/bad" ] && [ ! -d artifacts ] && [ -e finetune.slurm ] && exit 9'


def attempts_of(folder: Path, key: str) -> list[Attempt]:
    """The attempts of one piece of work, first to last."""
    return list(state_of(folder).runs[key].attempts.values())


def queued(folder: Path) -> bool:
    """Whether the evaluation has a job while its fine-tune has not ended."""
    if not (folder / ".watchkeeper" / "journal").is_dir():
        return False
    runs = state_of(folder).runs
    return all(
        key in runs and runs[key].latest and runs[key].latest.active
        for key in ("one", "one/clean/epoch0")
    )


def test_an_evaluation_queued_behind_its_fine_tune_runs_after_it(tmp_path: Path) -> None:
    """It is submitted while the fine-tune runs, starts when that has ended, and its result stands
    until the checkpoint that it was made from changes.
    """
    folder, state = write_experiment(tmp_path / "exp", body=GO), tmp_path / "state"
    words = ["run", folder, "--queue-ahead", "--slots", "2"]
    with subprocess.Popen(
        command(*words), env=env(state, HOLD=str(tmp_path)), stdout=subprocess.DEVNULL
    ) as watch:
        try:
            until(lambda: queued(folder))
            assert not (folder / "one" / "artifacts" / "epoch_0" / "model.bin").exists()
            (tmp_path / "go").touch()
            assert watch.wait(60) == 0
        finally:
            watch.kill()
    (evaluation,) = attempts_of(folder, "one/clean/epoch0")
    (training,) = attempts_of(folder, "one")
    assert evaluation.judged and evaluation.judged.outcome == "done" and training.judged
    assert evaluation.intended and evaluation.intended.after == ("one",)
    assert evaluation.judged.inputs == training.judged.fingerprints
    again = wk(*words, "--json", state=state, HOLD=str(tmp_path))
    assert again.returncode == 0 and len(claims(folder)) == 2
    (folder / "one" / "artifacts" / "epoch_0" / "model.bin").write_text("other weights")
    plan = json.loads(wk("plan", folder, "--json", state=state).stdout)
    changed = next(one for one in plan["data"]["decisions"] if one["key"] == "one/clean/epoch0")
    assert changed["action"] == "submit" and changed["stale"], changed


def test_an_evaluation_queued_behind_a_failed_fine_tune_never_runs(tmp_path: Path) -> None:
    """When the fine-tune fails the evaluation's job closes its attempt and does nothing; after a
    repaired fine-tune a new attempt of it is made.
    """
    folder, state = write_experiment(tmp_path / "exp", body=f"{GO}\n{BAD}"), tmp_path / "state"
    (tmp_path / "bad").touch()
    words = ["run", folder, "--queue-ahead", "--slots", "2"]
    with subprocess.Popen(
        command(*words), env=env(state, HOLD=str(tmp_path)), stdout=subprocess.DEVNULL
    ) as watch:
        try:
            until(lambda: queued(folder))
            (tmp_path / "go").touch()
            assert watch.wait(60) == 1
        finally:
            watch.kill()
    (evaluation,) = attempts_of(folder, "one/clean/epoch0")
    assert evaluation.judged and evaluation.judged.outcome == "not run"
    folder_of = folder / ".watchkeeper" / "runs"
    closed = [path.parent for path in folder_of.rglob("claim.1") if is_closed(path.parent)]
    assert len(closed) == 1 and not list(closed[0].glob("exit.*"))
    output = next((folder / "one" / "eval").glob("slurm-*.out")).read_text()
    assert re.search("not run: what it was queued behind has not ended well", output)
    (tmp_path / "bad").unlink()
    assert wk(*words, "--retry-failed", state=state, HOLD=str(tmp_path)).returncode == 0
    assert [a.judged.outcome for a in attempts_of(folder, "one/clean/epoch0") if a.judged] == [
        "not run",
        "done",
    ]
    assert times_run(folder)["one/eval/clean_epoch0.ran.txt"] == 1
