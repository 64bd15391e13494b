"""Every command answers `--json` with the envelope, in success and in failure, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import click
import jsonschema
import msgspec
import pytest
from click.testing import CliRunner

import watchkeeper as wk_api
from tests.checkpoints import write_log, write_program
from tests.experiments import command, env, wk, write_experiment
from tests.publish.checkpoints import make_checkpoint
from tests.publish.hub.server import TOKEN, FakeHub
from tests.publish.package.packages import first_writer, make_source
from tests.publish.vouched import checkpoint
from tests.publish.wandb.files import begin, end, row, write_run
from watchkeeper.core.errors import BusyError, UnavailableError
from watchkeeper.core.events import Decision
from watchkeeper.launch.plan import HALTED
from watchkeeper.query.rows import Row
from watchkeeper.query.views.experiment import experiment
from watchkeeper.show.cli import _FLAGS_OF_EXEC, COMMANDS, LazyGroup, main
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.verify.lint import LintData, PlainFinding
from watchkeeper.show.cli.work.bodies.plan import PlanData
from watchkeeper.show.envelope import Answer, line_of, plain
from watchkeeper.show.schemas import schemas
from watchkeeper.show.standing import StandingData, most_urgent_first, problems_of

SCHEMAS = schemas()
FAILS = "[ -e ../ok ] || [ -e ../../ok ] || exit 3"
ENVELOPE = ["schema", "command", "exit_code", "summary", "counts", "problems", "more", "data"]


def answer_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one answer that a command printed, with nothing beside it, as its schema has it."""
    *events, line = done.stdout.splitlines()
    told = json.loads(line)
    assert list(told)[:8] == ENVELOPE and told["exit_code"] == done.returncode
    jsonschema.validate(told, SCHEMAS[told["command"] or "envelope"])
    assert done.stderr == "" and (not events or told["command"] == "log")
    assert told["summary"] and "\n" not in told["summary"]
    return told


def grave(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The problems that are more than information."""
    return [problem for problem in told["problems"] if problem["severity"] != "note"]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("word", ["--no-such-option", ""], ids=["option", "nowhere"])
def test_a_wrong_command_line_is_answered(name: str, word: str, tmp_path: Path) -> None:
    """What click refuses, and a folder where nothing is, end with 2 and the envelope alone."""
    words = [word] if word else [str(tmp_path / "nowhere")]
    if name == "exec" and not word:
        words = []  # it takes no folder: nothing to run is its mistake
    result = CliRunner().invoke(main, [name, "--json", *words])
    told = json.loads(result.stdout)
    jsonschema.validate(told, SCHEMAS[name])
    assert list(told) == ENVELOPE and told["command"] == name and told["data"] is None
    assert (result.exit_code, told["exit_code"], result.stderr) == (2, 2, "")
    assert told["problems"][0]["code"] and told["problems"][0]["where"]
    assert told["summary"] == told["problems"][0]["message"]


def test_a_wrong_option_names_the_help_that_a_program_can_ask_for() -> None:
    """`next` of a wrong option is the help of its command, and of a wrong command the program's."""
    result = CliRunner().invoke(main, ["status", "--jsn", "--json"])
    (problem,) = json.loads(result.stdout)["problems"]
    assert problem["next"] == ["watchkeeper", "status", "--help"]
    assert problem["code"] == "usage" and "--jsn" in problem["message"]
    result = CliRunner().invoke(main, ["statsu", "--json"])
    told = json.loads(result.stdout)
    assert told["command"] == "" and "did you mean 'status'?" in told["summary"]
    assert told["problems"][0]["next"] == ["watchkeeper", "--help"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["status", "--json"], True),
        (["status", "--", "--json"], False),
        (["exec", "--json", "--", "x"], True),
        (["exec", "--name", "x", "--json", "y"], True),
        (["exec", "--name=x", "-q", "--json", "y"], True),
        (["exec", "x", "--json"], False),
        (["exec", "--", "x", "--json"], False),
    ],
)
def test_only_an_option_of_ours_asks_for_json(words: list[str], wanted: bool) -> None:
    """`--json` after two dashes, or after the program that `exec` starts, is not ours."""
    assert LazyGroup()._is_json_wanted(words) is wanted


def test_the_flags_of_exec_are_known() -> None:
    """The options of `exec` that take no word are those that the search for `--json` knows."""
    executes = main.get_command(click.Context(main), "exec")
    assert executes is not None
    flags = [
        option
        for parameter in executes.params
        if isinstance(parameter, click.Option) and parameter.is_flag
        for option in parameter.opts
    ]
    assert sorted(flags) == sorted(_FLAGS_OF_EXEC)


def failing(error: Exception) -> click.Command:
    """A command that fails with the error."""

    @click.command("fails")
    @click.option("--json", "as_json", is_flag=True)
    @command_errors
    def fails(as_json: bool) -> int:
        raise error

    return fails


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [
        (BusyError("later", hint="wait"), 1, "scheduler-busy"),
        (UnavailableError("no answer"), 4, "scheduler-unavailable"),
        (PermissionError(13, "Permission denied", "/x"), 1, "permission-denied"),
        (RuntimeError("a bug"), 1, "bug"),
    ],
)
def test_every_failure_is_answered(error: Exception, code: int, name: str) -> None:
    """Errors of the scheduler, of the system and of Watchkeeper itself become the envelope."""
    result = CliRunner().invoke(failing(error), ["--json"])
    told = json.loads(result.stdout)
    assert (result.exit_code, told["exit_code"]) == (code, code)
    assert told["problems"][0]["code"] == name
    if name.startswith("scheduler"):
        assert told["problems"][0]["next"] == ["watchkeeper", "fails"]


# Each command in success, in the order in which a person would type them.
SUCCESSES = {
    "init": ["sweep", "SWEEP", "--template", "SCRIPT", "--set", "lr=1,2"],
    "doctor": ["EXP"],
    "plan": ["EXP"],
    "submit": ["EXP", "--dry-run"],
    "run": ["EXP", "--poll", "0.05"],
    "watch": ["EXP", "--poll", "0.05"],
    "status": ["EXP"],
    "compare": ["EXP"],
    "trace": ["EXP", "one/clean/epoch0"],
    "reproduce": ["EXP", "one"],
    "cancel": ["EXP"],
    "tag": ["EXP", "one", "best"],
    "note": ["EXP", "one", "looks good"],
    "exec": ["--folder", "REC", "--", "sh", "-c", "echo step 1 loss: nan; echo 1 >&2"],
    "ls": ["REC"],
    "du": ["EXP"],
    "export": ["REC", "-o", "ROWS"],
    "log": ["EXP"],
    "check": ["EXP"],
    "rebuild": ["EXP"],
    "lint": ["EXP"],
    "top": ["EXP"],
    "report": ["EXP", "-o", "PAGE"],
    "checkpoint keygen": ["KEY", "--no-passphrase"],
    "checkpoint manifest": ["CKPT"],
    "checkpoint verify": ["CKPT", "--strict"],
    "import": ["WANDB", "--into", "INTO"],
    "checkpoint sign": ["SIGNABLE", "--reason", "the run log is private"],
    "checkpoint validate": ["SIGNABLE", "--require-signoff"],
    "checkpoint passport": ["CKPT", "--declare", "DECLARED", "--reference", "FORWARD"],
    "checkpoint replay": ["CKPT", "--with", "FORWARD"],
    "checkpoint reevaluate": ["LOG", "LOG"],
    "publish stage": ["STEP", "-o", "PACKAGE", "--reason", "it is small"],
    "publish check": ["PACKAGE"],
    "publish upload": ["PACKAGE", "--repo", "ada/model", "--token-file", "TOKEN", "--yes"],
    "publish download": ["ada/model", "-o", "COPY"],
    "publish open": ["PACKAGE", "--event", "EVENT", "--field", "host", "-o", "OPENED"],
    "wandb sync": ["WANDB", "-e", "lab", "-p", "digits", "--dry-run"],
    "rm": ["REC"],
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The answer of each command to a small experiment, and of `status` to a recorded run."""
    root = tmp_path_factory.mktemp("answers")
    state = root / "state"
    places = {"EXP": str(write_experiment(root / "exp")), "REC": str(root / "rec")}
    places |= {"ROWS": str(root / "rows.csv"), "PAGE": str(root / "page.html")}
    places |= {"SWEEP": str(root / "sweep"), "SCRIPT": str(root / "train.sh")}
    places["SIGNABLE"] = str(checkpoint(root / "signable", soft=True))
    places["KEY"] = str(root / "key.pem")
    made = make_source(root / "made", is_alone=True)
    places |= {"STEP": str(made.root), "EVENT": f"{first_writer(made)}:0"}
    places |= {"PACKAGE": str(root / "package"), "OPENED": str(root / "opened.json")}
    places["CKPT"] = str(make_checkpoint(root / "model"))
    places["LOG"] = str(write_log(root / "log.eval", ["a"]))
    places["FORWARD"] = str(write_program(root / "forward.py"))
    places["DECLARED"] = str(root / "declared.toml")
    (root / "declared.toml").write_text(f"[provenance]\ntraining_repo_commit = '{'a' * 40}'\n")
    (root / "train.sh").write_text("#!/bin/bash\n")
    places |= {"WANDB": str(root / "wandb"), "INTO": str(root / "into")}
    write_run(root, begin(), row(0, {"loss": 1.0}), end())
    places |= {"TOKEN": str(root / "token"), "COPY": str(root / "copy")}
    (root / "token").write_text(TOKEN)
    (root / "token").chmod(0o600)
    told = {}
    recorded = "status of a recorded run"
    with FakeHub().serving() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.url)
        for name, words in SUCCESSES.items():
            if name == "rm":
                told[recorded] = answer_of(wk("status", root / "rec", "--json", state=state))
            words = [places.get(word, word) for word in words]
            told[name] = answer_of(wk(*name.split(), "--json", *words, state=state))
    return told


def test_every_command_answers_as_its_schema_says(answers: dict[str, dict[str, Any]]) -> None:
    """Each command has an answer and an object (`log` has its events), and ends with 0; `lint` with
    1, since the new run logs lack what a person has to say.
    """
    # `resume` needs a run that failed, and `serve` does not end: test_resume.py, web/test_serve.py.
    assert {*SUCCESSES, "resume", "serve"} == set(COMMANDS)
    for name, told in answers.items():
        assert told["exit_code"] == (1 if name == "lint" else 0), told
        assert (told["data"] is None) == (name == "log")


def test_a_schema_refuses_an_answer_that_lacks_a_field(answers: dict[str, dict[str, Any]]) -> None:
    """The schemas are strict enough to notice a missing field, of the envelope and of a row."""
    for field in ENVELOPE:
        lacking = {key: value for key, value in answers["status"].items() if key != field}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(lacking, SCHEMAS["status"])
    told = json.loads(json.dumps(answers["status"]))
    del told["data"]["rows"][0]["standing"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(told, SCHEMAS["status"])


def test_a_non_finite_figure_is_named(answers: dict[str, dict[str, Any]]) -> None:
    """A loss that is no number is text in the answer, and an unknown value null."""
    (run,) = answers["status of a recorded run"]["data"]["runs"]
    assert run["last"]["loss"] == "NaN" and run["step"] == 1
    assert answers["run"]["data"]["compute"][0]["unit"] is None


def test_a_failed_run_names_the_command_that_retries_it(tmp_path: Path) -> None:
    """`status` and `run` answer alike: the failed row first, and the command that tries again."""
    folder, state = write_experiment(tmp_path / "exp", body=FAILS), tmp_path / "state"
    ran = answer_of(wk("run", folder, "--poll", "0.05", "--json", state=state))
    looked = answer_of(wk("status", folder, "--json", state=state))
    for told in (ran, looked):
        assert told["exit_code"] == 1 and told["counts"] == {"failed": 1, "blocked": 1}
        assert [row["key"] for row in told["data"]["rows"]] == ["one", "one/clean/epoch0"]
        failed, blocked = grave(told)
        assert failed["code"] == "run-failed" and blocked["code"] == "evaluation-blocked"
    assert ran["data"]["ended"] is True and looked["data"]["ended"] is None
    (folder / "ok").touch()
    program, *words = failed["next"]
    assert program == "watchkeeper"
    again = answer_of(wk(*words, "--poll", "0.05", "--json", state=state))
    assert again["exit_code"] == 0 and again["counts"] == {"done": 2} and not grave(again)


def test_a_plan_names_the_command_that_retries_what_failed(failed: tuple[Path, Path]) -> None:
    """What failed before and is not tried again is a problem of `plan`, with its command."""
    folder, state = failed
    (problem,) = grave(answer_of(wk("plan", folder, "--json", state=state)))
    assert (problem["where"], problem["code"]) == ("bad", "run-failed")
    assert problem["next"] == ["watchkeeper", "run", str(folder), "--retry-failed"]


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An experiment of which one run is done and one failed, and its state folder."""
    root = tmp_path_factory.mktemp("failed")
    folder = write_experiment(
        root / "exp", runs=("good", "bad"), body="case $PWD in */bad) exit 3 ;; esac"
    )
    assert wk("run", folder, "--poll", "0.05", state=root / "state").returncode == 1
    return folder, root / "state"


def test_status_has_the_page_of_the_experiment(failed: tuple[Path, Path]) -> None:
    """A program reads with `status --json` what a person reads in a browser, whole or by pages."""
    folder, _ = failed
    words = ["status", str(folder), "--json"]
    told = json.loads(CliRunner().invoke(main, [*words, "--limit", "0"]).stdout)
    jsonschema.validate(told, SCHEMAS["status"])
    assert told["data"]["page"] == plain(experiment(folder))
    short = json.loads(CliRunner().invoke(main, [*words, "--limit", "1"]).stdout)
    following = short["more"]["page.jobs"]["next"][1:]
    rest = json.loads(CliRunner().invoke(main, [*following, "--limit", "0"]).stdout)
    jobs = [*short["data"]["page"]["jobs"], *rest["data"]["page"]["jobs"]]
    assert jobs == told["data"]["page"]["jobs"] and len(jobs) > 1


def test_status_of_some_runs_counts_and_ends_as_they_stand(failed: tuple[Path, Path]) -> None:
    """`--runs` and `--evals` choose the rows; what was not asked for does not change the code."""
    folder, state = failed
    good = answer_of(wk("status", folder, "--runs", "good", "--json", state=state))
    assert (good["exit_code"], good["counts"]) == (0, {"done": 2})
    assert {row["run"] for row in good["data"]["rows"]} == {"good"}
    assert {row["key"] for row in good["data"]["compute"]} == {"good", "good/clean/epoch0"}
    assert {run["name"] for run in good["data"]["page"]["runs"]} == {"good"}
    bad = answer_of(wk("status", folder, "--runs", "b*", "--json", state=state))
    assert (bad["exit_code"], bad["counts"]) == (1, {"failed": 1, "blocked": 1})
    none = wk("status", folder, "--runs", "x*", state=state)
    assert none.returncode == 2 and "--runs 'x*' matches none of: bad, good" in none.stderr


def test_a_refused_submission_is_remembered(tmp_path: Path) -> None:
    """`status` ends with 1 after a refusal, says why, and names the command that tries again."""
    folder, state = write_experiment(tmp_path / "exp"), tmp_path / "state"
    script = folder / "one/finetune.slurm"
    script.write_bytes(script.read_bytes().replace(b"\n", b"\r\n"))
    assert wk("submit", folder, state=state).returncode == 1
    told = answer_of(wk("status", folder, "--json", state=state))
    (problem,) = grave(told)
    assert told["exit_code"] == 1 and "Windows line ends" in problem["message"]
    assert problem["code"] == "submission-refused"
    assert problem["next"] == ["watchkeeper", "run", str(folder)]


def test_the_command_that_retries_names_the_cluster() -> None:
    """A retry goes to the cluster that the jobs ran on, and never to this machine instead."""
    row = Row(
        key="a",
        phase="preparation",
        run="a",
        task="",
        epoch=None,
        standing="failed",
        state="FAILED",
    )
    (problem,) = problems_of([row], "/exp", "lab")
    assert problem.next == (
        *("watchkeeper", "run", "/exp", "--cluster", "lab"),
        "--retry-failed",
    )
    (problem,) = problems_of([row], "/exp", "local")
    assert problem.next == ("watchkeeper", "run", "/exp", "--retry-failed")


def test_rows_with_one_cause_are_one_problem() -> None:
    """Thousands that failed alike are one entry, which names some; another cause is another."""
    template = Row(
        key="", phase="preparation", run="", task="", epoch=None, standing="failed", state="FAILED"
    )
    rows = [
        msgspec.structs.replace(template, key=f"r{n}", run=f"r{n}", why=f"no file /data/r{n}/x.bin")
        for n in range(3_000)
    ]
    rows.append(msgspec.structs.replace(template, key="odd", run="odd", why="CUDA out of memory"))
    rows += [
        msgspec.structs.replace(
            template, key=f"q{n}", run=f"q{n}", standing="blocked", state=HALTED, why=f"q{n}: no"
        )
        for n in range(9)
    ]
    many, odd, halted = problems_of(rows, "/exp")
    assert many.where == "r0" and "(and 2999 more like it: r1, r2, r3, r4, …)" in many.message
    assert odd.message == "FAILED: CUDA out of memory"
    assert (halted.code, halted.next, halted.where) == ("run-halted", None, "q0")


def test_an_answer_that_cannot_be_printed_says_so(tmp_path: Path) -> None:
    """Where standard output is full the error is said on standard error, and the code is 1."""
    folder = write_experiment(tmp_path / "exp")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("plan", folder, "--json"),
            env=env(tmp_path / "state"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1 and "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_runs_with_many_settings_and_metrics_are_compared_in_a_short_answer(tmp_path: Path) -> None:
    """Three wide runs fit into an answer, with what varies; `--limit 0` has every setting."""
    for number in range(3):
        config = {f"fixed_{n}": n for n in range(400)} | {"zeta": number}
        with wk_api.start_run(
            folder=tmp_path / f"r{number}",
            pipeline="training",
            config=config,
            console=False,
            sidecar=False,
        ) as run:
            run.log(1, {f"metric_{n}": number + n for n in range(400)} | {"loss": 0.75})
    result = CliRunner().invoke(main, ["compare", str(tmp_path), "--json"])
    told = json.loads(result.stdout)
    jsonschema.validate(told, SCHEMAS["compare"])
    assert len(result.stdout.encode()) <= 8_192
    runs = told["data"]["runs"]
    assert [run["settings"]["zeta"] for run in runs] == ["0", "1", "2"]
    assert [run["metrics"]["end_train_loss"] for run in runs] == [0.75] * 3
    left = told["more"]["settings"]
    assert left["count"] == 391 and left["next"][-2:] == ["--limit", "0"]
    whole = json.loads(CliRunner().invoke(main, left["next"][1:]).stdout)
    jsonschema.validate(whole, SCHEMAS["compare"])
    assert len(whole["data"]["runs"][0]["settings"]) == 401 and not whole["more"]


@pytest.mark.parametrize("name", ["rows", "decisions", "findings"])
def test_five_thousand_keys_make_a_short_answer(name: str) -> None:
    """What `status`, `plan` and `lint` answer by default has at most 8 KB, and its first entries
    are those that a person must act on.
    """
    rows = [
        Row(
            key=f"lr1e-{n}_seed{n}/clean/epoch0",
            phase="evaluation",
            run=f"lr1e-{n}_seed{n}",
            task="clean",
            epoch=0,
            standing="failed" if n == 4_999 else "done",
            state="COMPLETED",
            metrics={"accuracy": 0.5},
        )
        for n in range(5_000)
    ]
    decisions = [
        Decision(key=row.key, phase=row.phase, action="submit", reason="r") for row in rows
    ]
    finding = PlainFinding(
        code="WK206", path="x", line=1, severity="note", message="m", hint="", fixable=False
    )
    data = {
        "rows": StandingData(experiment="e", folder="/e", rows=most_urgent_first(rows)),
        "decisions": PlanData(experiment="e", folder="/e", summary="", decisions=decisions),
        "findings": LintData(findings=[finding] * 5_000, fixed=[], left=[], roots=[], files=1),
    }[name]
    line = line_of(
        Answer(
            command="any",
            exit_code=1,
            summary="s",
            counts={},
            problems=problems_of(rows, "/e"),
            data=data,
            words=("watchkeeper", "any", "/e", "--json"),
            beside=("findings",) if name == "findings" else (),
        )
    )
    told = json.loads(line)
    assert len(line.encode()) <= 8_192
    assert told["more"][name]["count"] + len(told["data"][name]) == 5_000
    if name == "rows":
        assert told["data"]["rows"][0]["standing"] == "failed"


@pytest.mark.parametrize("option", ["--limit", "--cursor"])
def test_a_page_of_text_is_refused(option: str, tmp_path: Path) -> None:
    """`--limit` and `--cursor` without `--json` change nothing, and are refused by name."""
    result = CliRunner().invoke(main, ["status", str(tmp_path), option, "3"])
    assert result.exit_code == 2 and f"{option} 3 is for --json" in result.stderr


def test_an_interrupted_run_answers(tmp_path: Path) -> None:
    """SIGINT leaves the jobs running and prints the answer, with 3 and how to continue."""
    go = tmp_path / "go"
    os.mkfifo(go)
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    folder = write_experiment(tmp_path / "exp", tasks=(), body=f"echo > {begun}; cat {go}")
    with subprocess.Popen(
        command("run", folder, "--poll", "0.05", "--json"),
        env=env(tmp_path / "state"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        begun.read_text()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    go.write_text("")
    told = answer_of(subprocess.CompletedProcess([], process.returncode, out, err))
    assert told["exit_code"] == 3 and told["data"]["ended"] is False
    assert f"`watchkeeper run {folder}` continues the watch" in told["summary"]


def test_cancel_takes_the_globs_of_the_other_commands(tmp_path: Path) -> None:
    """`--evals` names evaluations alone, and no fine-tune that is under way."""
    go = tmp_path / "go"
    os.mkfifo(go)
    folder, state = write_experiment(tmp_path / "exp", body=f"cat {go}"), tmp_path / "state"
    assert wk("submit", folder, state=state).returncode == 0
    for words in (["--evals", "*"], ["--runs", "two"], ["--jobs", "two"]):
        none = wk("cancel", folder, *words, state=state)
        assert none.returncode == 2 and f"{words[0]} {words[1]!r}" in none.stderr
    told = answer_of(wk("cancel", folder, "--runs", "o*", "--json", state=state))
    assert [job["key"] for job in told["data"]["jobs"]] == ["one"]


def test_a_quiet_command_prints_its_result_alone(tmp_path: Path) -> None:
    """`--quiet` leaves the summary of `run`, `plan` and `status`, and no progress."""
    folder, state = write_experiment(tmp_path / "exp"), tmp_path / "state"
    planned = wk("plan", folder, "-q", state=state)
    assert (planned.stdout, planned.returncode) == ("2 to submit\n", 0)
    ran = wk("run", folder, "--poll", "0.05", "--quiet", state=state)
    assert (ran.stdout, ran.stderr) == ("2 done\n", "")
    assert wk("status", folder, "-q", state=state).stdout == "2 done\n"
    told = wk("check", folder, "-q", state=state)
    assert told.stdout == "Sound.\n"


def test_a_log_ends_with_the_answer(tmp_path: Path) -> None:
    """`log --json` is a line for each event, and the envelope counts them."""
    folder, state = write_experiment(tmp_path / "exp"), tmp_path / "state"
    assert wk("submit", folder, "--json", state=state).returncode == 0
    done = wk("log", folder, "--json", state=state)
    *events, _ = done.stdout.splitlines()
    told = answer_of(done)
    assert told["counts"]["events"] == len(events)
    assert all("kind" in json.loads(event) for event in events)
