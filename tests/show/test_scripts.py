"""`watchkeeper run` and `submit` of scripts as they lie, as a person types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiments import command, env, state_of

TOKEN = "hf_abcdefghijklmnopqrstuvwxyz"
TRAIN = """#!/bin/bash
#SBATCH --time=00:05:00
set -e
echo "in $PWD, given $# arguments: $*"
echo ran >> ran.txt
"""


@pytest.fixture
def work(tmp_path):
    """A project with `slurm/train.sh`."""
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/train.sh").write_text(TRAIN)
    return tmp_path


def wk(folder: Path, *words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """The command, typed in `folder`."""
    return subprocess.run(
        command(*words),
        cwd=folder,
        env=env(folder / ".state", **more),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """`watchkeeper run`, polling often."""
    return wk(folder, "run", "--poll", "0.05", *words)


def times(folder: Path) -> int:
    """How often the script ran in this folder."""
    return len((folder / "ran.txt").read_text().splitlines())


def test_a_script_runs_where_it_was_typed_and_only_once(work):
    """Its output and files lie there; typed again it is done, and says when."""
    first = run(work, "slurm/train.sh")
    assert first.returncode == 0, first.stderr
    assert "given 0 arguments" in (work / "slurm-1.out").read_text()
    assert f"in {work}," in (work / "slurm-1.out").read_text()
    second = run(work, "slurm/train.sh")
    assert second.returncode == 0
    assert "train: done: job 1, COMPLETED" in second.stderr and "--again" in second.stderr
    assert times(work) == 1


def test_arguments_reach_the_script_as_they_were_typed(work):
    """Blanks, quotes, empty words, newlines and globs are each one word, as with sbatch."""
    (work / "slurm/train.sh").write_text('#!/bin/bash\nprintf "<%s>" "$@"\n')
    words = ["two words", "", "it's", '"', "*", "$HOME", "a\nb", "--time", "--", "--json"]
    done = run(work, "slurm/train.sh", "--", *words)
    assert done.returncode == 0, done.stderr
    assert (work / "slurm-1.out").read_text() == "".join(f"<{word}>" for word in words)


def test_other_arguments_are_another_run(work):
    """Each is a row of the experiment that the script's folder is."""
    run(work, "slurm/train.sh", "--", "--lr", "1e-3")
    run(work, "slurm/train.sh", "--", "--lr", "1e-4")
    status = wk(work, "status", "slurm")
    assert status.returncode == 0
    assert "train_lr_1e-3_" in status.stdout and "train_lr_1e-4_" in status.stdout
    assert times(work) == 2


def test_no_secret_of_the_arguments_is_shown_or_readable_by_others(work):
    """It is in files that only their owner reads, and in nothing that is printed."""
    done = run(work, "slurm/train.sh", "--", "--token", TOKEN)
    assert done.returncode == 0, done.stderr
    shown = done.stdout + done.stderr
    for words in (("status", "slurm"), ("log", "slurm"), ("log", "slurm", "--json")):
        shown += wk(work, *words).stdout
    assert TOKEN not in shown
    holders = [
        path
        for path in work.rglob("*")
        if path.is_file() and TOKEN.encode() in path.read_bytes() and path.suffix != ".out"
    ]
    assert holders and all(path.stat().st_mode & 0o077 == 0 for path in holders)


def test_a_changed_script_is_named_and_runs_again_only_when_asked(work):
    """`--again` is a new run; the old one keeps its name."""
    run(work, "slurm/train.sh")
    with (work / "slurm/train.sh").open("a") as script:
        script.write("echo more\n")
    second = run(work, "slurm/train.sh")
    assert "train: changed since it was submitted: train.sh" in second.stderr and times(work) == 1
    again = run(work, "slurm/train.sh", "--again")
    assert again.returncode == 0 and times(work) == 2
    assert set(state_of(work / "slurm").runs) == {"train", "train-2"}


def test_a_request_that_is_repeated_is_one_submission(work):
    """The same id is the same job, also with --again."""
    for _ in range(2):
        done = wk(work, "submit", "slurm/train.sh", "--again", "--request", "r1", "--json")
        assert done.returncode == 0, done.stdout
        (row,) = json.loads(done.stdout)["data"]["rows"]
        assert (row["key"], row["job_id"]) == ("train", "1")
    run(work, "slurm/train.sh")
    assert times(work) == 1


def test_a_script_after_another_starts_when_that_is_done(work):
    """`--after` waits for the run; of one that failed it says so, and is never started."""
    (work / "slurm/eval.sh").write_text("#!/bin/bash\nset -e\ncat ran.txt\n")
    wk(work, "submit", "slurm/train.sh")
    done = run(work, "slurm/eval.sh", "--after", "train")
    assert done.returncode == 0, done.stderr
    (work / "slurm/bad.sh").write_text("#!/bin/bash\nexit 3\n")
    assert run(work, "slurm/bad.sh").returncode == 1
    blocked = run(work, "slurm/eval.sh", "--again", "--after", "bad")
    assert blocked.returncode == 1 and "needs bad" in blocked.stdout + blocked.stderr
    unknown = run(work, "slurm/eval.sh", "--after", "nope")
    assert unknown.returncode == 2 and "--after nope matches no run" in unknown.stderr


def test_a_python_file_runs_under_the_active_python(work):
    """Its head is shown first, and its options are in it."""
    (work / "train.py").write_text("import sys; print(sys.executable, sys.argv[1:])")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = wk(
        work, "run", "--poll", "0.05", "train.py", "--time", "0:05:00", "--", "a b", PATH=path
    )
    assert done.returncode == 0, done.stderr
    assert "#SBATCH --time=0:05:00" in done.stderr
    assert (work / "slurm-1.out").read_text().strip().endswith("['a b']")
    assert sys.prefix in (work / "slurm-1.out").read_text()
    bad = run(work, "train.py", "--time", "soon", "--again")
    assert bad.returncode == 2 and "soon" in bad.stderr
    shell = run(work, "slurm/train.sh", "--time", "1:00")
    assert shell.returncode == 2 and "#SBATCH --time=1:00" in shell.stderr


def test_several_scripts_of_one_folder_are_submitted_together(work):
    """Two that would have one name are refused before anything is submitted."""
    (work / "slurm/data.sh").write_text(TRAIN)
    assert run(work, "slurm/train.sh", "slurm/data.sh").returncode == 0
    assert times(work) == 2
    (work / "slurm/data.py").write_text("print(1)")
    both = run(work, "slurm/data.py", "slurm/data.sh", "--again")
    assert both.returncode == 2 and "would both be the run 'data'" in both.stderr
    one = run(work, "slurm/data.py")
    assert one.returncode == 2 and "--name NAME" in one.stderr
    assert times(work) == 2
    named = run(work, "slurm/data.sh", "slurm/train.sh", "--name", "x")
    assert named.returncode == 2 and "--name x is one name" in named.stderr


def test_a_dry_run_of_a_script_writes_nothing(work):
    """The exact command is printed, and no file is made."""
    done = wk(work, "submit", "slurm/train.sh", "--dry-run")
    assert done.returncode == 0 and f"cd {work} && " in done.stdout
    assert sorted(path.name for path in work.rglob("*") if path.is_file()) == ["train.sh"]
    (work / "slurm/bad.sh").write_text("echo no interpreter\n")
    bad = wk(work, "submit", "slurm/bad.sh", "--dry-run")
    assert bad.returncode == 1 and "refused" in bad.stdout
    wk(work, "submit", "slurm/train.sh")
    known = wk(work, "submit", "slurm/train.sh", "--dry-run")
    assert "train: was submitted before" in known.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--runs", "x*"), "--runs chooses from an experiment, and scripts were named"),
        (("--evals", "x*"), "--evals chooses from an experiment"),
        (("--budget", "plenty"), "budget"),
        (("--expect", "loss is low"), "loss is low"),
        (("--mode", "test"), "--mode"),
        (("--cluster", "nowhere"), "nowhere"),
        (("--retries", "-1"), "retries"),
    ],
)
def test_a_script_is_not_entered_by_a_command_that_is_refused(work, words, said):
    """What a refused command named is not submitted by the next one that runs the folder."""
    refused = run(work, "slurm/train.sh", *words)
    assert refused.returncode == 2, refused.stderr
    assert said in refused.stderr
    assert not (work / "slurm/.watchkeeper").exists()


def test_a_task_names_the_log_of_the_script_that_was_named(work):
    """Other scripts of the folder do not count among the runs that `--task` is for."""
    assert run(work, "slurm/train.sh").returncode == 0
    again = run(work, "slurm/train.sh", "--task", "warm", "--", "--lr", "1")
    assert again.returncode == 0, again.stderr
    assert list((work / "slurm/run_logs").rglob("*_warm.md"))


def test_options_of_scripts_are_refused_for_a_folder(work):
    """The message names the option as it was typed."""
    for words in (("--name", "x"), ("--again",), ("--after", "y"), ("--", "--lr")):
        done = wk(work, "submit", "slurm", *words)
        assert done.returncode == 2 and f"{words[0]} is for scripts" in done.stderr
    watch = wk(work, "run", "slurm/train.sh", "--as-job")
    assert watch.returncode == 2 and "--as-job watches an experiment" in watch.stderr


@pytest.mark.parametrize("moment", ["train_lr", "intent.json", "script", "arguments", "wk-"])
def test_a_submitter_that_is_killed_loses_no_script_and_doubles_none(work, moment):
    """Whatever it had written, the same command makes the run of it, once."""
    kills = f"""
import os, signal, sys
from watchkeeper.core.disk import files
from watchkeeper.show.cli import main
moment = {moment!r}
create, replace = files.create, files.replace
def die(path):
    name = path.name
    if name.startswith(moment):
        os.kill(os.getpid(), signal.SIGKILL)
def dying_create(path, *rest, **more):
    done = create(path, *rest, **more)
    die(path)
    return done
def dying_replace(path, *rest, **more):
    replace(path, *rest, **more)
    die(path)
files.create, files.replace = dying_create, dying_replace
sys.argv = ["watchkeeper", "submit", "slurm/train.sh", "--", "--lr", "1"]
main()
"""
    died = subprocess.run(
        [sys.executable, "-c", kills], cwd=work, env=env(work / ".state"), check=False, timeout=300
    )
    assert died.returncode == -signal.SIGKILL
    done = run(work, "slurm/train.sh", "--", "--lr", "1")
    assert done.returncode == 0, done.stderr
    assert times(work) == 1
    (key,) = state_of(work / "slurm").runs
    assert key.startswith("train_lr_1_")


def test_two_shells_that_submit_one_script_at_once_make_one_job(work):
    """Both say what became of it; the job runs once."""
    processes = [
        subprocess.Popen(
            command("submit", "slurm/train.sh"),
            cwd=work,
            env=env(work / ".state"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert run(work, "slurm/train.sh").returncode == 0
    assert times(work) == 1
    assert len(state_of(work / "slurm").runs["train"].attempts) == 1


def test_the_action_log_says_where_the_runs_come_from(work):
    """It names submitted scripts, not a folder tree, and the command as it would be typed."""
    run(work, "slurm/train.sh", "--", "--lr", "1e-3")
    logs = "".join(path.read_text() for path in (work / "slurm").glob("run-*.log"))
    assert "(submitted scripts)" in logs and "bash slurm/train.sh --lr 1e-3" in logs
    assert wk(work, "check", "slurm").returncode == 0


def test_what_a_script_must_leave_decides_whether_it_is_done(work):
    """Exit code 0 without the file is a failure; its figures are shown and compared."""
    (work / "slurm/eval.sh").write_text(
        '#!/bin/bash\n[ "$1" = none ] || echo "{\\"accuracy\\": 0.$1}" > result-$1.json\n'
    )
    missing = run(work, "slurm/eval.sh", "--output", "result-none.json", "--", "none")
    assert missing.returncode == 1 and "result-none.json" in missing.stdout + missing.stderr
    for figure in ("5", "75"):
        done = run(work, "slurm/eval.sh", "--output", f"result-{figure}.json", "--", figure)
        assert done.returncode == 0, done.stderr
        assert f"0.{figure}" in done.stdout
    compared = wk(work, "compare", "slurm", "--runs", "eval*5_*").stdout
    assert "accuracy" in compared and "0.5000 → 0.7500" in compared and "arg1" in compared
    (work / "result-5.json").unlink()
    again = run(work, "slurm/eval.sh", "--output", "result-5.json", "--", "5")
    assert again.returncode == 0 and (work / "result-5.json").exists()
    other = run(work, "slurm/eval.sh", "--output", "x.json", "--", "5")
    assert other.returncode == 2 and "--output result-5.json" in other.stderr
    bad = run(work, "slurm/eval.sh", "--output", "~/x.json", "--", "6")
    assert bad.returncode == 2 and "--output ~/x.json" in bad.stderr


def test_a_run_log_has_the_arguments_and_tells_other_ones_apart(work):
    """They are its key settings, and no run is called tried before because its script was."""
    run(work, "slurm/train.sh", "--", "--lr", "1e-3")
    second = run(work, "slurm/train.sh", "--", "--lr", "1e-4")
    assert "tried before" not in second.stderr
    texts = [path.read_text() for path in (work / "slurm/run_logs").glob("*_train*.md")]
    assert sorted("key settings: lr 1e-3" in text for text in texts) == [False, True]
    third = run(work, "slurm/train.sh", "--again", "--", "--lr", "1e-4")
    assert "tried before" in third.stderr


def test_an_option_of_the_script_before_the_dashes_says_where_it_belongs(work):
    """The error names the option and the two dashes."""
    done = run(work, "slurm/train.sh", "--lr", "1")
    assert done.returncode == 2
    assert "slurm/train.sh -- --lr" in done.stderr


def test_what_a_script_names_is_looked_for_where_it_runs(work):
    """Its configuration and code are kept from there, no path there is called missing, and
    `reproduce` runs it from there.
    """
    (work / "out").mkdir()
    (work / "conf.yaml").write_text("lr: 1")
    (work / "train.py").write_text("print('step 1 loss: 0.5')")
    (work / "slurm/train.sh").write_text(
        "#!/bin/bash\nset -e\npython3 train.py --config conf.yaml > out/log.txt\n"
    )
    done = run(work, "slurm/train.sh")
    assert done.returncode == 0, done.stderr
    assert "which is not there" not in done.stderr
    intended = state_of(work / "slurm").runs["train"].attempts[1].intended
    assert intended is not None
    assert [Path(name).name for name in (*intended.configs, *intended.code)] == [
        "conf.yaml",
        "train.py",
    ]
    (work / "conf.yaml").write_text("lr: 2")
    second = run(work, "slurm/train.sh")
    assert "train: changed since it was submitted: " in second.stderr
    assert "conf.yaml" in second.stderr
    recipe = wk(work, "reproduce", "slurm", "train")
    assert "bash slurm/train.sh" in recipe.stdout


def test_an_array_counts_once_in_the_overview_and_task_by_task_in_the_status(work):
    """A failed task fails its array, which is one piece of work."""
    (work / "slurm/sweep.sh").write_text(
        "#!/bin/bash\n#SBATCH --array=1-3\n[ $SLURM_ARRAY_TASK_ID != 2 ]\n"
    )
    assert run(work, "slurm/sweep.sh").returncode == 1
    assert "sweep[2]" in wk(work, "status", "slurm").stdout
    listed = wk(work, "ls", "slurm").stdout
    assert "1 failed" in listed and "0/1" in listed and "3 failed" not in listed
