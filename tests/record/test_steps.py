"""Steps: numbered, nested, written down, and reused when their inputs are the same."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess

import numpy as np
import pytest

import watchkeeper as wk
from watchkeeper.core.code import git
from watchkeeper.core.events import (
    CodeCompared,
    RunEnded,
    RunStarted,
    StepFinished,
    StepStarted,
)
from watchkeeper.record.display import compared_code
from watchkeeper.record.writing.manifest import fingerprint, rebuild


def manifest(folder, label=""):
    return json.loads(
        (folder / label / ("step_manifest.json" if label else "run_manifest.json")).read_text()
    )


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


def test_a_step_leaves_its_manifest(tmp_path):
    """A step's manifest holds row counts, metrics, both times, and outputs with size and hash."""
    with (
        wk.start_run(tmp_path, pipeline="training", config={"seed": 7}) as run,
        run.step("00_ingest") as step,
    ):
        step.rows(read=1000, kept=np.int64(980))
        step.metrics(num_slates=3, worst=float("nan"))
        path = step.save("slates.csv", lambda place: place.write_text("a,b\n"), what="the slates")
    assert path == run.folder / "00_ingest/slates.csv"
    told = manifest(run.folder, "00_ingest")
    assert (told["run_id"], told["pipeline"], told["step"], told["index"]) == (
        run.run_id,
        "training",
        "00_ingest",
        0,
    )
    assert (told["status"], told["row_count_in"], told["row_count_out"]) == ("finished", 1000, 980)
    assert told["metrics"] == {"num_slates": 3, "worst": "NaN"}
    assert told["duration_s"] == pytest.approx(told["compute_s"] + told["writing_s"], abs=1e-5)
    assert told["writing_s"] > 0
    (output,) = told["outputs"]
    assert (output["path"], output["size_bytes"], output["what"]) == (
        "00_ingest/slates.csv",
        4,
        "the slates",
    )
    assert output["sha256"] == hashlib.sha256(b"a,b\n").hexdigest()
    assert not [
        name for name in (run.folder / "00_ingest").iterdir() if name.name.startswith(".tmp-")
    ]


def test_the_runs_manifest_tells_the_whole(tmp_path):
    """The run's manifest holds config, seed, commit, steps, outputs, totals, checkpoints, rows."""
    result = tmp_path / "model.bin"
    result.write_bytes(b"123")
    with wk.start_run(tmp_path / "runs", pipeline="training", config={"seed": 7, "lr": 0.1}) as run:
        with run.step("00_ingest") as step:
            step.save("a.txt", lambda place: place.write_text("a"))
        run.log(1, loss=0.5)
        run.checkpoint(result, training_step=1)
        run.output(result, what="the model")
        run.totals(rows_enriched=np.int64(980), nothing="text")
    told = manifest(run.folder)
    assert (told["status"], told["seed"], told["config"]) == ("finished", 7, {"seed": 7, "lr": 0.1})
    assert [(step["step"], step["status"], step["manifest"]) for step in told["steps"]] == [
        ("00_ingest", "finished", "00_ingest/step_manifest.json")
    ]
    assert [(output["path"], output["step"]) for output in told["outputs"]] == [
        ("00_ingest/a.txt", "00_ingest"),
        (str(result), ""),
    ]
    assert [(c["path"], c["training_step"]) for c in told["checkpoints"]] == [(str(result), 1)]
    assert (told["totals"], told["metric_rows"], told["lost_rows"]) == (
        {"rows_enriched": 980},
        1,
        0,
    )
    assert told["git_sha"] == git.state(tmp_path.cwd()).sha


def test_manifests_are_views(tmp_path):
    """Deleted manifests are made again from the journal to the same bytes, for steps that failed or
    were nested too.
    """
    with (
        pytest.raises(ValueError),
        wk.start_run(folder=tmp_path, pipeline="training", config={"x": [1, None]}) as run,
    ):
        with run.step("outer"), run.step("inner") as step:
            step.save("a.txt", lambda place: place.write_text("a"))
        with run.step("broken"):
            raise ValueError("no")
    made = sorted(tmp_path.rglob("*manifest.json"))
    before = {path: path.read_bytes() for path in made}
    assert len(before) == 4
    for path in made:
        path.unlink()
    assert sorted(rebuild(tmp_path)) == made
    assert before == {path: path.read_bytes() for path in made}


def test_labels_are_numbered_nested_and_unique(tmp_path, events):
    """A step's label has its own number or the next one, lies within its parent's, and is never
    given twice.
    """
    with wk.start_run(tmp_path, pipeline="training") as run:
        with run.step("00_ingest"):
            pass
        with run.step("train"), run.step("warm up"), run.step("05_deep"):
            pass
        with run.step("00_ingest"):
            pass
        with run.step("../../x"):
            pass
    labels = [(event.label, event.index) for event in of_kind(events(run.folder), StepStarted)]
    assert labels == [
        ("00_ingest", 0),
        ("01_train", 1),
        ("01_train/00_warm_up", 0),
        ("01_train/00_warm_up/05_deep", 5),
        ("00_ingest.2", 0),
        ("02_.._.._x", 2),
    ]
    assert all((run.folder / label / "step_manifest.json").is_file() for label, _ in labels)


def test_step_outputs_can_be_switched_off(tmp_path):
    """Without `persist_step_outputs` no artifact is written or computed, and the manifest is there
    all the same.
    """
    called = []
    for options in ({"persist_step_outputs": False}, {"config": {"persist_step_outputs": False}}):
        with (
            wk.start_run(tmp_path, pipeline="training", **options) as run,
            run.step("00_ingest") as step,
        ):
            assert step.save("a.txt", called.append) is None
        assert [path.name for path in (run.folder / "00_ingest").iterdir()] == [
            "step_manifest.json"
        ]
    assert called == []


def test_a_failing_artifact_is_the_users_own(tmp_path):
    """What a user's writer raises reaches him, half a file is not left, and the step says that it
    failed.
    """

    def half(place):
        place.write_text("half")
        raise OSError("disk full")

    with (
        pytest.raises(OSError, match="disk full"),
        wk.start_run(tmp_path, pipeline="training") as run,
        run.step("00_ingest") as step,
    ):
        step.save("a.txt", half)
    assert [path.name for path in (run.folder / "00_ingest").iterdir()] == ["step_manifest.json"]
    assert manifest(run.folder, "00_ingest")["status"] == "failed"


def test_an_output_that_is_not_there_is_said(tmp_path, caplog):
    """An output that was promised and is missing is a warning and no entry: no claim without
    evidence.
    """
    with wk.start_run(tmp_path, pipeline="training") as run:
        with run.step("00_ingest") as step:
            step.output("nowhere")
        run.output("nowhere either")
    assert manifest(run.folder)["outputs"] == []
    assert "the output nowhere is not recorded" in caplog.text
    assert "the output nowhere either could not be recorded" in caplog.text


def pipeline(root, data, work, **options):
    """Two steps, the second one on the first one's output; `work` notes what was done."""
    with wk.start_run(root, pipeline="p", console=False, **options) as run:
        with run.step("00_clean", inputs=[data, {"upper": True}]) as step:
            if not step.reused:
                work.append("00")
                step.rows(read=2, kept=1)
                step.save("clean.txt", lambda place: place.write_text(data.read_text().upper()))
            clean = step.outputs["clean.txt"]
        with run.step("01_count", inputs=[clean]) as step:
            if not step.reused:
                work.append("01")
                step.metrics(length=len(clean.read_text()))
                step.save("count.txt", lambda place: place.write_text(str(len(clean.read_text()))))
    return run


def test_a_rerun_reuses_finished_steps_on_the_same_inputs(tmp_path, events):
    """With `reuse=True` finished steps stand again, also of a run that reused them; changed inputs
    are worked on.
    """
    data, work = tmp_path / "data.txt", []
    data.write_text("ab")
    first = pipeline(tmp_path / "runs", data, work)
    second = pipeline(tmp_path / "runs", data, work, reuse=True)
    assert work == ["00", "01"]
    ends = of_kind(events(second.folder), StepFinished)
    assert [end.reused_from for end in ends] == [str(first.folder)] * 2
    assert (ends[0].row_count_in, ends[1].metrics) == (2, {"length": 2})
    assert manifest(second.folder, "01_count")["status"] == "reused"
    third = pipeline(tmp_path / "runs", data, work, reuse=str(second.folder))
    assert work == ["00", "01"]
    assert manifest(third.folder, "01_count")["outputs"][0]["path"] == str(
        first.folder / "01_count/count.txt"
    )

    data.write_text("abc")
    pipeline(tmp_path / "runs", data, work, reuse=True)
    assert work == ["00", "01", "00", "01"]
    pipeline(tmp_path / "runs", data, work)
    assert work == ["00", "01"] * 3


def test_a_step_whose_outputs_changed_is_not_reused(tmp_path):
    """An output that was deleted or edited since is no evidence: the step is done again, the one
    after it stands.
    """
    data, work = tmp_path / "data.txt", []
    data.write_text("ab")
    first = pipeline(tmp_path / "runs", data, work)
    (first.folder / "00_clean/clean.txt").write_text("XX")
    second = pipeline(tmp_path / "runs", data, work, reuse=True)
    assert work == ["00", "01", "00"]
    shutil.rmtree(first.folder)
    pipeline(tmp_path / "runs", data, work, reuse=second.folder)
    assert work == ["00", "01", "00", "01"]


def test_a_failed_step_is_not_reused(tmp_path):
    """Only finished steps stand."""
    data = tmp_path / "data.txt"
    data.write_text("ab")
    for _ in range(2):
        with (
            pytest.raises(ValueError),
            wk.start_run(folder=tmp_path / "run", pipeline="p", reuse=True) as run,
            run.step("00_clean", inputs=[data]) as step,
        ):
            assert not step.reused
            raise ValueError


def test_fingerprints_are_of_content(tmp_path):
    """A fingerprint depends on bytes, names and values, and neither on places nor on the order of
    sets and keys.
    """
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "a").write_text("a")
    assert fingerprint([one]) == fingerprint([two])
    assert fingerprint([one / "a"]) == fingerprint([two / "a"])
    assert fingerprint([{"a": 1, "b": 2}, {"x", "y"}]) == fingerprint(
        [{"b": 2, "a": 1}, {"y", "x"}]
    )
    (two / "a").write_text("b")
    assert (
        len(
            {
                fingerprint(of)
                for of in ([one], [two], [1], ["1"], [1.5], [], [None], [[1, 2]], [[2, 1]])
            }
        )
        == 9
    )
    with pytest.raises(OSError):
        fingerprint([tmp_path / "nowhere"])


def test_inputs_that_cannot_be_read_only_prevent_reuse(tmp_path, caplog):
    """A missing input does not end the run at a step's begin; the work itself will say it."""
    with (
        wk.start_run(folder=tmp_path, pipeline="p") as run,
        run.step("00_a", inputs=[tmp_path / "nowhere"]) as step,
    ):
        assert not step.reused
    assert "its inputs could not be read, and it is not reused" in caplog.text


def test_the_start_knows_commit_and_changes(tmp_path, events, monkeypatch):
    """The run's start names the commit, the branch and whether tracked files were changed; no
    repository is no error.
    """
    assert git.state(tmp_path) == ("", "", None)
    words = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run([*words, "init", "-q", "-b", "trunk"], check=True)
    (tmp_path / "file").write_text("1")
    subprocess.run([*words, "add", "."], check=True)
    subprocess.run([*words, "commit", "-q", "-m", "one"], check=True)
    sha = subprocess.run(
        [*words, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert git.state(tmp_path) == (sha, "trunk", False)
    (tmp_path / "file").write_text("2")
    assert git.state(tmp_path) == (sha, "trunk", True)
    monkeypatch.setattr(compared_code, "LIMIT_S", 300.0)
    with wk.start_run(tmp_path / "runs", pipeline="p", code_folder=tmp_path) as run:
        pass
    (started,) = of_kind(events(run.folder), RunStarted)
    assert (started.git_sha, started.git_branch) == (sha, "trunk")
    (compared,) = of_kind(events(run.folder), CodeCompared)
    assert compared.git_dirty
    assert f"Git: {sha} (trunk)" in (run.folder / "logs/run.log").read_text()


def test_the_recorder_tells_its_own_time(tmp_path, events):
    """The end says how long recording took, which is more than nothing and no more than the run."""
    with wk.start_run(tmp_path, pipeline="p") as run:
        for step in range(1, 500):
            run.log(step, loss=0.5)
    (ended,) = of_kind(events(run.folder), RunEnded)
    assert 0 < ended.recorder_s <= ended.duration_s
    assert "watchkeeper took " in (run.folder / "logs/run.log").read_text()
