"""`compare`, `trace` and `reproduce` as a person meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import watchkeeper as wk_api
from tests.experiments import wk, write_experiment
from tests.launch.test_kept_code import repository
from tests.launch.test_reproduce import git
from tests.report.compare.test_sides import LOG
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core.errors import UsageError
from watchkeeper.query.compare import compared
from watchkeeper.schedulers.fake.scheduler import FakeScheduler


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An experiment of two runs with a configuration each, run to its end; then committed to, and
    the second run again.
    """
    folder = write_experiment(tmp_path / "repo" / "exp", runs=("a", "b"), control=True)
    for run, lr in (("a", "0.1"), ("b", "2.0e-1")):
        script = folder / run / "finetune.slurm"
        script.write_text(script.read_text() + "true --config conf.yaml\n")
        (folder / run / "conf.yaml").write_text(f"optimizer:\n  lr: {lr}\nseed: 1\n")
    (folder / "b" / "eval" / "clean_epoch0.slurm").write_text(
        (folder / "b" / "eval" / "clean_epoch0.slurm").read_text().replace("0.5", "0.75")
    )
    repository(tmp_path / "repo")
    assert keep(folder, FakeScheduler())
    return folder


def test_compare_shows_what_varies_and_what_it_changed(folder: Path, tmp_path: Path) -> None:
    """A row per run with the settings that vary alone, and each difference from the base with its
    sign.
    """
    done = wk("compare", folder, state=tmp_path / "state")
    assert done.returncode == 0 and not done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["run", "state", "lr", "code", "clean", "accuracy"]
    code = git(folder, "rev-parse", "HEAD")[:8]
    assert ["b", "completed", "0.2", code, "0.7500", "@0"] in lines and [
        "untrained",
        "control",
        code,
        "0.5000",
    ] in lines
    assert "Best  clean accuracy: b (0.7500)" in done.stdout
    assert ["optimizer.lr", "0.1", "→", "0.2"] in lines
    assert ["clean", "accuracy", "0.5000", "→", "0.7500", "+0.25", "better"] in lines


def test_compare_tells_programs_all_of_it(folder: Path, tmp_path: Path) -> None:
    """--json has every setting and difference; --runs and --base choose."""
    found = json.loads(
        wk("compare", folder, "--base", "b", "--json", state=tmp_path / "state").stdout
    )["data"]
    assert found["base"] == "b" and found["varying"] == ["optimizer.lr"]
    assert found["runs"][0]["settings"] == {"optimizer.lr": "0.1", "seed": "1"}
    assert found["differences"][0]["config"] == [
        {"key": "optimizer.lr", "old": "0.2", "new": "0.1"}
    ]
    assert found["differences"][0]["metrics"][0]["better"] is False
    only = json.loads(
        wk("compare", folder, "--runs", "b", "--json", state=tmp_path / "state").stdout
    )["data"]
    assert [run["name"] for run in only["runs"]] == ["b"] and only["differences"] == []


def test_a_glob_over_evaluations_leaves_the_other_figures_out(folder: Path, tmp_path: Path) -> None:
    """`--evals` chooses figures by the evaluation's key; one that matches nothing is refused."""
    chosen = compared([folder], evals="b/*")
    assert [sorted(side.metrics) for side in chosen.runs] == [[], ["clean accuracy"], []]
    whole = compared([folder])
    assert [side.commit for side in chosen.runs] == [side.commit for side in whole.runs]
    with pytest.raises(UsageError, match="'x' matches none of: a/clean/epoch0, b/clean/epoch0"):
        compared([folder], evals="x")
    log = tmp_path / "run_logs" / "2026-03-11_one.md"
    log.parent.mkdir()
    log.write_text(LOG)
    with pytest.raises(UsageError, match="evaluations of experiments, and there is none"):
        compared([log], evals="*")


def test_experiments_and_logs_stand_side_by_side(folder: Path, tmp_path: Path) -> None:
    """Several paths, of experiments and of run logs, make one table, and commits between them are
    counted.
    """
    other = write_experiment(tmp_path / "repo" / "other", runs=("a",))
    git(folder, "add", str(other))
    git(folder, "commit", "-q", "-m", "other")
    assert keep(other, FakeScheduler())
    hand = tmp_path / "2026-03-11_train.md"
    hand.write_text(LOG)
    done = wk("compare", folder, other, hand, state=tmp_path / "state")
    assert done.returncode == 0
    assert all(
        name in done.stdout for name in ("exp/a ", "other/a ", "train_2026-03-11", "1 commits on")
    )
    logs = wk("compare", tmp_path / "repo" / "run_logs", state=tmp_path / "state")
    assert logs.returncode == 0 and "fingerprint" not in logs.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("compare", "EXP", "--runs", "x*"), "no run matches 'x*'"),
        (
            ("compare", "EXP", "--base", "nobody"),
            "none of the runs is called that: a, b, untrained",
        ),
        (("compare", "NOWHERE"), "does not exist"),
        (("trace", "EXP", "nobody"), "is no run or evaluation of exp"),
        (("reproduce", "EXP", "nobody"), "was never submitted"),
        (("reproduce", "EXP", "a", "--attempt", "9"), "it has 1"),
        (("reproduce", "EXP", "a", "--worktree", "EXP"), "exists"),
    ],
)
def test_a_wrong_name_is_usage(
    folder: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    """What is not there is said with what there is, and the exit code is 2."""
    arguments = [
        str(folder) if word == "EXP" else str(tmp_path / "x") if word == "NOWHERE" else word
        for word in words
    ]
    done = wk(*arguments, state=tmp_path / "state")
    assert done.returncode == 2 and said in done.stderr


def test_trace_ends_with_1_when_a_link_is_broken(folder: Path, tmp_path: Path) -> None:
    """A chain that holds ends with 0, one with a changed result with 1 and its name; --json says
    the same.
    """
    state = tmp_path / "state"
    assert wk("trace", folder, "a/clean/epoch0", state=state).returncode == 0
    (folder / "a/eval/clean_epoch0/result.json").write_text('{"accuracy": 0.99}\n')
    done = wk("trace", folder, "a/clean/epoch0", state=state)
    assert (
        done.returncode == 1
        and "Broken: result a/eval/clean_epoch0/result.json (changed)" in done.stdout
    )
    assert (
        json.loads(wk("trace", folder, "a/clean/epoch0", "--json", state=state).stdout)["data"][
            "sound"
        ]
        is False
    )


def test_reproduce_makes_a_tree_and_says_how_to_run_it(folder: Path, tmp_path: Path) -> None:
    """What is printed is what is made; an object that is gone ends with 1 and is named."""
    state = tmp_path / "state"
    done = wk("reproduce", folder, "b", "--worktree", tmp_path / "again", state=state)
    assert done.returncode == 0 and f"Run it: cd {tmp_path}/again/exp/b && " in done.stdout
    assert "environment" in done.stdout and (tmp_path / "again/exp/b/conf.yaml").exists()
    recipe = json.loads(wk("reproduce", folder, "b", "--json", state=state).stdout)["data"][
        "recipe"
    ]
    Path(recipe["script"]["kept"]).unlink()
    gone = wk("reproduce", folder, "b", state=state)
    assert gone.returncode == 1 and "MISSING: b/finetune.slurm: missing" in gone.stdout
    assert (
        wk("reproduce", folder, "b", "--worktree", tmp_path / "third", state=state).returncode == 1
    )
    assert not (tmp_path / "third").exists()


def test_recorded_runs_are_compared_by_their_own_configuration(tmp_path: Path) -> None:
    """A recorder's run folder has a row: its configuration, its last losses and how it ended."""
    for lr in (0.1, 0.2):
        with wk_api.start_run(
            folder=tmp_path / f"run{lr}",
            pipeline="training",
            config={"opt": {"lr": lr}},
            console=False,
        ) as run:
            run.log(1, loss=lr * 10, val_loss=lr)
    done = wk(
        "compare", tmp_path / "run0.1", tmp_path / "run0.2", "--json", state=tmp_path / "state"
    )
    found = json.loads(done.stdout)["data"]
    assert found["varying"] == ["opt.lr"] and found["best"] == {
        "end_train_loss": "run0.1",
        "end_val_loss": "run0.1",
    }
    assert [run["state"] for run in found["runs"]] == ["finished", "finished"]
    (tmp_path / "empty").mkdir()
    nothing = wk("compare", tmp_path / "empty", state=tmp_path / "state")
    assert (
        nothing.returncode == 2
        and "is no experiment, no recorded run, and has no run logs" in nothing.stderr
    )


def test_names_from_jobs_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    """Control characters in a run log's words are shown, not obeyed."""
    for number in (1, 2):
        text = LOG.replace("warm restarts", f"schedule \x1b[31m{number}").replace(
            "demo_v1", "demo\x07"
        )
        (tmp_path / f"2026-03-1{number}_train.md").write_text(text)
    done = wk("compare", tmp_path, state=tmp_path / "state")
    assert (
        done.returncode == 0
        and "\x1b" not in done.stdout
        and "\\x1b[31m1" in done.stdout
        and "\x07" not in done.stdout
    )


def test_run_says_what_was_tried_before_it_submits(folder: Path, tmp_path: Path) -> None:
    """`run` and `plan` name the earlier log on standard error before anything is submitted; a
    second `run` does not.
    """
    again = folder.parent / "again"
    write_experiment(again, runs=("a",))
    for name in ("finetune.slurm", "conf.yaml"):
        (again / "a" / name).write_bytes((folder / "a" / name).read_bytes())
    state = tmp_path / "state"
    plan = wk("plan", again, "--json", state=state)
    problems = json.loads(plan.stdout)["problems"]
    (note,) = [problem for problem in problems if "tried before" in problem["message"]]
    assert note["where"] == "a"
    run = wk("run", again, "--poll", "0.05", state=state)
    assert run.returncode == 0
    assert run.stderr.index("note: a: tried before: run_logs/") < run.stderr.index("SUBMIT_JOB")
    assert "tried before" not in wk("run", again, "--poll", "0.05", state=state).stderr


def test_every_metric_of_recorded_runs_is_compared_and_a_folder_of_them_will_do(
    tmp_path: Path,
) -> None:
    """Last figures and totals are shown; no run leads in a metric whose better end nobody knows."""
    for name, accuracy, norm in (("a", 0.5, 3.0), ("b", 0.75, 2.0)):
        with wk_api.start_run(
            folder=tmp_path / "runs" / name, pipeline="training", console=False, sidecar=False
        ) as run:
            run.log(1, loss=1.0, accuracy=0.1, grad_norm=9.0, note="text")
            run.log(2, loss=accuracy, accuracy=accuracy, grad_norm=norm)
            run.totals(tokens=100)
    shown = wk("compare", tmp_path / "runs", state=tmp_path / "state")
    assert shown.returncode == 0, shown.stderr
    assert "accuracy    0.5000 → 0.7500  +0.25  better" in shown.stdout
    assert "grad_norm   3.0000 → 2.0000  -1\n" in shown.stdout
    done = wk("compare", tmp_path / "runs", "--json", state=tmp_path / "state")
    told = json.loads(done.stdout)["data"]
    (a, b) = told["runs"]
    assert a["metrics"] == {"end_train_loss": 0.5, "accuracy": 0.5, "grad_norm": 3.0, "tokens": 100}
    assert told["best"] == {"end_train_loss": "a", "accuracy": "b"}
    assert sorted(b["unranked"]) == ["grad_norm", "tokens"]


def test_a_rule_for_a_metric_makes_a_run_lead(tmp_path: Path) -> None:
    """What `[metrics]` in watchkeeper.toml says of a metric holds in `compare`."""
    for name, norm in (("a", 3.0), ("b", 2.0)):
        with wk_api.start_run(
            folder=tmp_path / "runs" / name, pipeline="training", console=False, sidecar=False
        ) as run:
            run.log(1, grad_norm=norm)
    (tmp_path / "watchkeeper.toml").write_text("[metrics]\ngrad_norm = 'min'\n")
    shown = wk("compare", tmp_path / "runs", state=tmp_path / "state")
    assert "Best  grad_norm: b (2.0000)" in shown.stdout and "-1  better" in shown.stdout


def test_two_runs_lead_with_why_they_differ(tmp_path: Path) -> None:
    """Below the table stand what differs in a sentence, and the first lines of the change, without
    secrets; --json has the same.
    """
    for name, clip in (("plain", ""), ("clip", "    batch = min(batch, 1)\n")):
        folder = write_experiment(tmp_path / "repo" / name, runs=("a",), body="true train.py")
        code = f"for batch in range(3):\n{clip}    print(batch)\n"
        (folder / "a" / "train.py").write_text(code)
    repository(tmp_path / "repo")
    changed = tmp_path / "repo" / "clip" / "a" / "train.py"
    changed.write_text(changed.read_text() + "api_key = 'hf_0123456789abcdefghijkl'\n")
    for name in ("plain", "clip"):
        assert keep(tmp_path / "repo" / name, FakeScheduler())
    words = ("compare", tmp_path / "repo" / "plain", tmp_path / "repo" / "clip")
    done = wk(*words, state=tmp_path / "state")
    assert done.returncode == 0, done.stderr
    table, said, *_ = done.stdout.split("\n\n")
    assert table.startswith("run ") and said == "2 runs differ in the code."
    assert "  +    batch = min(batch, 1)\n" in done.stdout
    assert "hf_0123456789" not in done.stdout
    data = json.loads(wk(*words, "--json", "--limit", 0, state=tmp_path / "state").stdout)["data"]
    assert data["heading"] == "2 runs differ in the code"
    assert [one["key"] for one in data["differs"]] == ["train.py"]
    assert [row["metric"] for row in data["figures"]] == ["clean accuracy"]
    assert any("batch = min" in line for diff in data["diffs"] for line in diff["lines"])
