"""The command line as a person meets it, mistakes included."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import watchkeeper as wk_api
from tests.experiments import blocks_of, command, env, state_of, times_run, wk, write_experiment

FAST = ("--poll", "0.05")
WAITS = "while [ ! -e ../go ] && [ ! -e ../../go ]; do sleep 0.02; done"


def test_ctrl_c_detaches_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """SIGINT leaves the job running, exits with 3 and says how to go on; the rerun watches the same
    job to its end.
    """
    folder, state = write_experiment(tmp_path / "exp", body=WAITS), tmp_path / "state"
    process = subprocess.Popen(
        command("run", folder, *FAST),
        env=env(state),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "→ RUNNING" in line:
                break
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 3
        assert f"`watchkeeper run {folder}` continues the watch" in out
        status = wk("status", folder, state=state)
        assert status.returncode == 3 and "nobody watches" in status.stdout
        (job,) = [attempt.job_id for attempt in state_of(folder).active]
    finally:
        process.kill()
        (folder / "go").touch()
    assert wk("run", folder, *FAST, state=state).returncode == 0
    assert state_of(folder).run("one").attempts[1].job_id == job
    assert set(times_run(folder).values()) == {1}
    assert [b.action for b in blocks_of(folder, "run-experiment.log")][:2] == [
        "DISCOVER_EXPERIMENT",
        "DETACH",
    ]


@pytest.mark.parametrize("verb", ["run", "submit"])
def test_a_dry_run_shows_the_commands_and_does_nothing(tmp_path: Path, verb: str) -> None:
    """--dry-run prints one exact command for each job that is ready, and leaves no file behind."""
    folder, state = write_experiment(tmp_path / "exp", runs=("one", "two")), tmp_path / "state"
    before = sorted(tmp_path.rglob("*"))
    shown = wk(verb, folder, "--dry-run", state=state)
    assert shown.returncode == 0 and not shown.stderr
    one, two, _, last = shown.stdout.splitlines()
    assert one == f"cd {folder}/one && /bin/bash {folder}/.watchkeeper/runs/one/1/wk-TOKEN.sh"
    assert two.startswith(f"cd {folder}/two && ")
    assert last == "2 to submit now, 2 after these. Nothing was submitted, and nothing written."
    found = json.loads(wk(verb, folder, "--dry-run", "--json", state=state).stdout)
    assert [command["key"] for command in found["data"]["commands"]] == ["one", "two"]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_names_what_would_be_refused(tmp_path: Path) -> None:
    """A script that cannot be submitted is named with its fault, and the exit code says that one is
    open.
    """
    folder, state = write_experiment(tmp_path / "exp"), tmp_path / "state"
    script = folder / "one" / "finetune.slurm"
    script.write_bytes(script.read_bytes().replace(b"\n", b"\r\n"))
    shown = wk("run", folder, "--dry-run", state=state)
    assert shown.returncode == 1
    assert "# one: refused: it has Windows line ends" in shown.stdout


def test_scripts_that_hide_their_failure_are_named_before_they_run(tmp_path: Path) -> None:
    """`plan`, `run` and its log name a script whose failure would look like COMPLETED."""
    folder, state = write_experiment(tmp_path / "exp"), tmp_path / "state"
    script = folder / "one" / "finetune.slurm"
    script.write_text(script.read_text() + "true\necho finished\n")
    words = "warning: one/finetune.slurm: its last command is `echo finished`"
    assert words in wk("plan", folder, state=state).stderr
    run = wk("run", folder, *FAST, state=state)
    assert run.returncode == 0 and words in run.stderr
    assert words in (folder / "run-experiment.log").read_text()


def test_status_shows_how_far_a_recorded_job_is(tmp_path: Path) -> None:
    """The bar of a job that runs elsewhere is in `status`: its step, its loop, how many of how
    many, and the rate.
    """
    folder, state = write_experiment(tmp_path / "exp"), tmp_path / "state"
    job = """
import time
import watchkeeper as wk
from pathlib import Path
from watchkeeper.record.display import progress
progress.EVENT_S = 0  # a job tells once a minute; this one is shorter
with wk.start_run("recorded", pipeline="training", console=False) as run, run.step("01_train"):
    bar = run.track(range(400), "train", total=400, unit="step")
    for step in bar:
        if step == 100:
            Path("ready").touch()
            while not Path("../go").exists():
                time.sleep(0.02)
"""
    (folder / "one" / "job.py").write_text(job)
    script = folder / "one" / "finetune.slurm"
    script.write_text(
        script.read_text().replace(
            "mkdir -p artifacts", f"{sys.executable} job.py\nmkdir -p artifacts"
        )
    )
    assert wk("submit", folder, state=state).returncode == 0
    try:
        while not (folder / "one" / "ready").exists():
            assert wk("status", folder, state=state).returncode == 3
        shown = wk("status", folder, state=state).stdout
        assert "one: 01_train; train " in shown and "/400" in shown and "step/s" in shown
    finally:
        (folder / "go").touch()
    assert wk("run", folder, *FAST, state=state).returncode == 0


def test_status_shows_how_far_a_job_prints_it_is(tmp_path: Path) -> None:
    """A job that records nothing is told by its own bar: step, total and loss, as its output has
    them.
    """
    folder, state = write_experiment(tmp_path / "exp"), tmp_path / "state"
    bar = (
        "printf 'loss 5.66\\r 5%%|#| 20/400 [00:01<00:19, 20it/s]' >&2; until [ -e ../go ]; do "
        "sleep 0.02; done"
    )
    script = folder / "one" / "finetune.slurm"
    script.write_text(
        script.read_text().replace("mkdir -p artifacts", f"{bar}\nmkdir -p artifacts")
    )
    with subprocess.Popen(
        command("run", folder, *FAST), env=env(state), stdout=subprocess.DEVNULL
    ) as watcher:
        try:
            shown = ""
            while not ("20/400" in shown and "5.66" in shown):
                assert watcher.poll() is None
                shown = wk("status", folder, state=state).stdout
        finally:
            (folder / "go").touch()
        assert watcher.wait(60) == 0


def test_submit_leaves_and_watch_sees_the_end(tmp_path: Path) -> None:
    """`submit` hands over what is ready and exits with 0; `watch` waits for it and submits nothing
    more.
    """
    folder, state = write_experiment(tmp_path / "exp"), tmp_path / "state"
    assert wk("submit", folder, state=state).returncode == 0
    assert wk("watch", folder, *FAST, state=state).returncode == 0
    assert times_run(folder) == {"one/ran.txt": 1}
    assert wk("run", folder, *FAST, state=state).returncode == 0
    assert set(times_run(folder).values()) == {1}


def test_cancel_ends_a_job_and_it_is_not_submitted_again(tmp_path: Path) -> None:
    """A cancelled job ends as CANCELLED, blocks its evaluations, and is only tried again when
    asked.
    """
    folder, state = write_experiment(tmp_path / "exp", body=WAITS), tmp_path / "state"
    assert wk("submit", folder, state=state).returncode == 0
    assert "asked job 1 to end: one" in wk("cancel", folder, state=state).stdout
    done = wk("run", folder, *FAST, state=state)
    assert done.returncode == 1 and "x one cancelled: " in done.stdout
    assert wk("run", folder, *FAST, state=state).returncode == 1
    assert len(state_of(folder).run("one").attempts) == 1
    (folder / "go").touch()
    assert wk("run", folder, *FAST, "--retry-failed", state=state).returncode == 0


def test_a_failed_job_is_named_with_its_last_line_and_exit_code_1(tmp_path: Path) -> None:
    """What failed, why, and its own last words stand above the table."""
    folder = write_experiment(
        tmp_path / "exp", body="echo 'RuntimeError: no such layer' >&2; exit 7"
    )
    done = wk("run", folder, *FAST, state=tmp_path / "state")
    assert done.returncode == 1
    assert "x one failed: RuntimeError: no such layer; blocks 1 evaluation" in done.stdout


def test_plan_writes_nothing(tmp_path: Path) -> None:
    """`plan` decides the same as `run` would and leaves the folder as it was."""
    folder = write_experiment(tmp_path / "exp", control=True)
    before = sorted(folder.rglob("*"))
    done = wk("plan", folder, "--json", state=tmp_path / "state")
    document = json.loads(done.stdout)
    assert done.returncode == 0 and {
        d["key"]: d["action"] for d in document["data"]["decisions"]
    } == {
        "one": "submit",
        "untrained": "skip",
        "one/clean/epoch0": "wait",
        "untrained/clean/base": "wait",
    }
    assert sorted(folder.rglob("*")) == before


MISTAKES = {
    "no folder": (["run", "{tmp}/nowhere"], 2, r"there is no folder .*nowhere"),
    "an empty folder": (["run", "{tmp}"], 2, r"experiment_summary\.yaml"),
    "a glob that matches nothing": (
        ["run", "{exp}", "--runs", "zzz"],
        2,
        r"--runs 'zzz' matches none of: one",
    ),
    "a gate that is none": (["run", "{exp}", "--gate", "both"], 2, r"'both' is not one of"),
    "a negative poll": (["run", "{exp}", "--poll", "-1"], 2, r"poll_s is -1"),
    "no slots": (["run", "{exp}", "--slots", "0"], 2, r"slots is 0"),
    "a command that is none": (["rum", "{exp}"], 2, r"no such command 'rum'; did you mean 'run'\?"),
    "a check before the first run": (["check", "{exp}"], 2, r"has no journal"),
    "a job that is none": (
        ["cancel", "{exp}", "--jobs", "zzz"],
        2,
        r"no job under way matches --jobs 'zzz'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_clear_message_and_no_traceback(tmp_path: Path, mistake: str) -> None:
    """Each mistake is answered with what is wrong, on which input, with the exit code for bad
    input.
    """
    arguments, code, message = MISTAKES[mistake]
    folder = write_experiment(tmp_path / "made" / "exp")
    (tmp_path / "empty").mkdir()
    filled = [a.format(tmp=tmp_path / "empty", exp=folder) for a in arguments]
    done = wk(*filled, state=tmp_path / "state")
    assert done.returncode == code, done.stderr
    assert re.search(message, done.stderr) and "Traceback" not in done.stderr
    assert not (folder / ".watchkeeper").exists()


def test_a_wrong_setting_names_its_file_and_the_nearest_known(tmp_path: Path) -> None:
    """A misspelt setting in watchkeeper.toml is refused with the name that was meant."""
    folder = write_experiment(tmp_path / "exp")
    (tmp_path / "watchkeeper.toml").write_text("slot = 3\n")
    done = wk("run", folder, state=tmp_path / "state")
    assert (
        done.returncode == 2
        and "watchkeeper.toml: unknown setting 'slot'" in done.stderr
        and "'slots'" in done.stderr
    )


def test_names_with_spaces_quotes_and_shell_characters_are_only_names(tmp_path: Path) -> None:
    """No shell ever reads a name: jobs of oddly named runs run once, in their folders, and nothing
    else happens.
    """
    names = ("with space", "it's $(touch pwned) `x`", 'quo"te;&|', "日本 ünï", "100%j")
    folder, state = (
        write_experiment(tmp_path / "an exp; $(touch pwned)", runs=names),
        tmp_path / "state",
    )
    for script in folder.rglob("*.slurm"):
        text = script.read_text()
        script.write_text(
            re.sub(
                r"#SBATCH --job-name=.*",
                "#SBATCH --job-name=odd",
                re.sub(r"weights of .* %s", "weights %s", text),
            )
        )
    done = wk("run", folder, *FAST, state=state)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(times_run(folder).values()) == {1} and len(times_run(folder)) == 10
    assert not list(tmp_path.rglob("pwned"))
    assert {
        b.subject for b in blocks_of(folder, "run-training.log") if b.action == "SUBMIT_JOB"
    } == set(names)


def test_text_from_jobs_cannot_drive_the_terminal(tmp_path: Path) -> None:
    """Escape sequences in a job's last line are shown, not obeyed."""
    folder = write_experiment(
        tmp_path / "exp", body=r"printf '\033[2J\033]0;owned\007boom\n' >&2; exit 1"
    )
    done = wk("run", folder, *FAST, state=tmp_path / "state")
    assert "boom" in done.stdout and "\x1b" not in done.stdout + done.stderr


def test_windows_line_ends_are_refused_as_sbatch_does_and_the_rest_goes_on(tmp_path: Path) -> None:
    """A script with CRLF is a failed submission with the reason; other runs are not held up."""
    folder = write_experiment(tmp_path / "exp", runs=("a", "b"))
    script = folder / "a" / "finetune.slurm"
    script.write_bytes(script.read_bytes().replace(b"\n", b"\r\n"))
    done = wk("run", folder, *FAST, state=tmp_path / "state")
    assert done.returncode == 1
    (error,) = [b for b in blocks_of(folder, "run-training.log") if b.action == "SUBMIT_ERROR"]
    assert error.subject == "a" and "line" in error.result
    assert times_run(folder)["b/eval/clean_epoch0.ran.txt"] == 1


def test_garbage_in_the_middle_of_the_journal_costs_a_warning_not_the_experiment(
    tmp_path: Path,
) -> None:
    """With a damaged line the rest is read: nothing is submitted twice, and check names file and
    line.
    """
    folder, state = write_experiment(tmp_path / "exp"), tmp_path / "state"
    assert wk("run", folder, *FAST, state=state).returncode == 0
    (path,) = (folder / ".watchkeeper" / "journal").glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + b"\0\0\0 garbage\n" + b"".join(lines[3:]))
    check = wk("check", folder, state=state)
    assert check.returncode == 1 and f"{path}:4" in check.stdout
    assert wk("run", folder, *FAST, state=state).returncode == 0
    assert set(times_run(folder).values()) == {1}


def test_a_folder_without_write_permission_is_named(tmp_path: Path) -> None:
    """Without permission to write the journal the command says so, and submits nothing."""
    folder = write_experiment(tmp_path / "exp")
    # Root may write anywhere, unless it gives that right up.
    plain = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    folder.chmod(0o555)
    try:
        done = subprocess.run(
            [*plain, *command("run", folder, *FAST)],
            env=env(tmp_path / "state"),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        folder.chmod(0o755)
    assert (
        done.returncode == 1 and "no permission" in done.stderr and "Traceback" not in done.stderr
    )
    assert times_run(folder) == {}


def test_a_full_disk_ends_with_a_message_and_nothing_is_lost(tmp_path: Path) -> None:
    """When the journal cannot grow, the command says so; with room again the same command finishes,
    each job run once.
    """
    folder, state = write_experiment(tmp_path / "exp"), tmp_path / "state"
    limited = [
        "bash",
        "-c",
        'ulimit -f 4; trap "" XFSZ; exec "$@"',
        "bash",
        *command("run", folder, *FAST),
    ]
    full = subprocess.run(
        limited, env=env(state), capture_output=True, text=True, check=False, timeout=300
    )
    assert full.returncode == 1, full.stderr
    assert "Traceback" not in full.stderr and "could not" in full.stderr
    assert wk("run", folder, *FAST, state=state).returncode == 0
    assert set(times_run(folder).values()) == {1}
    assert wk("check", folder, state=state).returncode == 0


def test_check_verifies_a_recorded_run_and_its_rows(tmp_path: Path) -> None:
    """A recorder's folder is verified like an experiment's, its metric rows included; a damaged row
    is named.
    """
    with wk_api.start_run(folder=tmp_path / "run", pipeline="training") as run:
        for step in range(1, 4):
            run.log(step, loss=1.0 / step)
    whole = wk("check", tmp_path / "run", state=tmp_path / "state")
    assert whole.returncode == 0 and "3 metric rows" in whole.stdout and "1 seals" in whole.stdout
    (rows,) = (tmp_path / "run" / ".watchkeeper" / "metrics").iterdir()
    rows.write_bytes(rows.read_bytes().replace(b'"step":2', b'"step":?', 1))
    damaged = wk("check", tmp_path / "run", state=tmp_path / "state")
    assert damaged.returncode == 1 and f"{rows}:2" in damaged.stdout


def test_rebuild_makes_a_recorded_runs_manifests_again(tmp_path: Path) -> None:
    """A run's manifests are views: deleted, they are made again to the same bytes."""
    with (
        wk_api.start_run(folder=tmp_path / "run", pipeline="training") as run,
        run.step("00_ingest") as step,
    ):
        step.rows(read=10, kept=9)
    views = [
        tmp_path / "run" / "run_manifest.json",
        tmp_path / "run" / "00_ingest" / "step_manifest.json",
    ]
    before = [view.read_bytes() for view in views]
    for view in views:
        view.unlink()
    done = wk("rebuild", tmp_path / "run", state=tmp_path / "state")
    assert done.returncode == 0 and "run_manifest.json" in done.stdout
    assert [view.read_bytes() for view in views] == before


def test_help_and_status_import_nothing_heavy() -> None:
    """`--help` imports no command, no YAML and no scheduler."""
    code = (
        "import atexit, sys; from watchkeeper.show.cli import main; "
        "atexit.register(lambda: print(sorted(sys.modules))); main(['--help'])"
    )
    done = subprocess.run([*command()[:1], "-c", code], capture_output=True, text=True, check=True)
    assert (
        "ruamel" not in done.stdout
        and "watchkeeper.watch" not in done.stdout
        and "watchkeeper.schedulers" not in done.stdout
    )


def test_on_a_terminal_the_first_run_asks_for_what_no_summary_says(tmp_path: Path) -> None:
    """What the run logs want and nobody has said is asked for once, on a terminal only; the answer
    stands in the log.
    """
    folder, state = write_experiment(tmp_path / "exp"), tmp_path / "state"
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        command("run", folder, *FAST),
        env=env(state),
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    try:
        os.write(ours, b"\nmade-up words\n\n")  # the kind of runs, the dataset, the group
        while True:
            try:
                said += os.read(ours, 4096)
            except OSError:  # Linux's word for: nobody has the other end any more
                break
        assert process.wait(timeout=300) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"Which dataset do they use? (Enter: pending)" in said and b"verify or test" not in said
    (log,) = (folder / "run_logs").glob("*_one.md")
    assert "- dataset: `made-up words`\n" in log.read_text()
    assert wk("run", folder, *FAST, state=state).returncode == 0


def test_scripts_are_examined_only_while_something_may_be_submitted(tmp_path: Path) -> None:
    """`run` warns of a script before its job; where all work has ended well, no script is read."""
    folder, state = write_experiment(tmp_path / "exp"), tmp_path / "state"
    script = folder / "one" / "finetune.slurm"
    script.write_text(script.read_text() + "echo done\n")
    first = wk("run", folder, *FAST, state=state)
    assert first.returncode == 0 and "echo done" in first.stderr
    again = wk("run", folder, *FAST, state=state)
    assert again.returncode == 0 and "echo done" not in again.stderr
