"""The run log of a command that `exec` records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.publish.wandb.files import begin, end, row, write_run
from watchkeeper.core import layout
from watchkeeper.core.events import Published, Synced
from watchkeeper.core.journal import Writer
from watchkeeper.watch.command_log import Command, complete_left, show_pages

WK = Path(sys.executable).with_name("watchkeeper")
TRAIN = """import sys
for step in range(1, 6):
    print(f"step {step}/5 loss: {1 / step:.4f}", flush=True)
if "--fails" in sys.argv:
    sys.exit("no more memory, token=hf_0123456789abcdefghijkl")
"""


def execute(folder: Path, *words: str, **more: object) -> subprocess.CompletedProcess[str]:
    """Run `watchkeeper exec` in a folder."""
    (folder / "train.py").write_text(TRAIN)
    return subprocess.run(
        [WK, "exec", *words], cwd=folder, capture_output=True, text=True, check=False, **more
    )


def logs_in(folder: Path) -> list[Path]:
    """The run logs below a folder, by name."""
    return sorted(folder.rglob("run_logs/*.md"))


def test_a_command_has_a_run_log_of_its_own(tmp_path: Path) -> None:
    """It says what ran, when, and what came of it; a second one gets a name that is free, and why
    it failed, without secrets.
    """
    words = (sys.executable, "train.py", "--lr", "0.1")
    done = execute(tmp_path, "--", *words)
    (page,) = logs_in(tmp_path)
    assert page.name.endswith("_train.md") and str(page) in done.stderr
    text = page.read_text()
    assert "- script: `train.py`" in text and "- key settings: lr 0.1" in text
    assert "completed, exit code 0, step 5, train_loss 0.2" in text
    assert "- end_train_loss: 0.2" in text and "-- " in text
    failed = json.loads(execute(tmp_path, "--json", "--", *words, "--fails").stdout)
    second = Path(failed["data"]["run_log"])
    assert second in logs_in(tmp_path) and second.name.endswith("_train-2.md")
    text = second.read_text()
    assert "failed, exit code 1, step 5" in text and "no more memory" in text
    assert "hf_0123456789" not in text and "--retry-failed" not in text
    assert "completed, exit code 0" in page.read_text()


def read(path: Path) -> str:
    """What a file holds; "" where it is not there yet."""
    return path.read_text() if path.exists() else ""


def test_a_log_whose_exec_was_killed_is_completed_by_the_next(tmp_path: Path) -> None:
    """The next command of that name says in it that no end was written, and what is known; what a
    person wrote stays, and while the `exec` lives nothing is said.
    """
    (tmp_path / "wait.sh").write_text("echo step 1/5 loss: 0.5; echo $$ > pid; exec sleep 600\n")
    killed = subprocess.Popen([WK, "exec", "--name", "wait", "--", "bash", "wait.sh"], cwd=tmp_path)
    command = Command(["true"], "wait", tmp_path)
    try:
        while not read(tmp_path / "pid") or not logs_in(tmp_path):
            assert killed.poll() is None
        (page,) = logs_in(tmp_path)
        complete_left(command, tmp_path / "artifacts/wait/next", None)
        assert "wrote no end" not in page.read_text()
    finally:
        killed.kill()
        killed.wait()
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    page.write_text(page.read_text().replace("- objective: pending", "- objective: mine"))
    complete_left(command, tmp_path / "artifacts/wait/next", None)
    text = page.read_text()
    assert "unknown" in text and "wrote no end" in text and "- objective: mine" in text
    complete_left(command, tmp_path / "artifacts/wait/next", None)
    assert page.read_text() == text


def test_a_command_without_a_script_here_is_named_whole(tmp_path: Path) -> None:
    """What `ssh` or `docker run` is given stands in the title."""
    execute(tmp_path, "--name", "remote", "--", "env", "echo", "step 1 loss: 0.5")
    (page,) = logs_in(tmp_path)
    assert page.read_text().startswith("# remote — env echo 'step 1 loss: 0.5'\n")


def test_what_a_person_writes_meanwhile_stays(tmp_path: Path) -> None:
    """The end is put into the page as it lies then: answers and remarks of a person are kept."""
    edit = (
        "import pathlib\n"
        "page, = pathlib.Path('run_logs').glob('*.md')\n"
        "text = page.read_text().replace('objective: pending', 'objective: find a limit')\n"
        "page.write_text(text + '\\n## Remarks\\nby hand\\n')\n"
    )
    (tmp_path / "edit.py").write_text(edit)
    execute(tmp_path, "--", sys.executable, "edit.py")
    (page,) = logs_in(tmp_path)
    text = page.read_text()
    assert "- objective: find a limit" in text and "\n## Remarks\nby hand\n" in text
    assert "completed, exit code 0" in text


@pytest.mark.parametrize("setting", ["off", "notes/logs"])
def test_the_setting_of_jobs_says_where_it_lies(tmp_path: Path, setting: str) -> None:
    """`run_logs` names the folder, and `off` keeps none."""
    (tmp_path / "watchkeeper.toml").write_text(f"run_logs = '{setting}'\n")
    done = execute(tmp_path, "--", sys.executable, "train.py")
    assert done.returncode == 0 and not (tmp_path / "run_logs").exists()
    assert len(list(tmp_path.rglob("notes/logs/*.md"))) == (setting != "off")


def test_a_log_that_cannot_be_written_never_stops_the_command(tmp_path: Path) -> None:
    """The reason is one line on standard error, and the command runs and ends as it would."""
    (tmp_path / "run_logs").write_text("a file of mine")
    done = execute(tmp_path, "--", sys.executable, "train.py")
    assert done.returncode == 0 and "step 5/5" in done.stdout
    assert "no run log is kept" in done.stderr
    assert (tmp_path / "run_logs").read_text() == "a file of mine"


def test_the_job_of_an_experiment_gets_no_second_log(tmp_path: Path) -> None:
    """A job that calls `exec` has the run log that its watcher keeps."""
    attempt = tmp_path / ".watchkeeper" / "runs" / "a" / "1"
    attempt.mkdir(parents=True)
    (attempt / "claim.1").write_text('{"job_id": "7"}\n')
    environment = {
        "PATH": "/usr/bin:/bin",
        "WATCHKEEPER_ATTEMPT": str(attempt),
        "WATCHKEEPER_JOB_ID": "7",
    }
    done = execute(tmp_path, "--", sys.executable, "train.py", env=environment)
    assert done.returncode == 0 and not logs_in(tmp_path)


def test_the_wandb_run_of_a_command_is_named_and_gets_its_page(tmp_path: Path) -> None:
    """A W&B run that ran beside the command is local; once it is synced its page stands in the job
    block and under W&B, and an upload under HuggingFace; what a person wrote stays.
    """
    now_s = time.time()
    records = (begin(started_s=int(now_s)), row(0, {"loss": 1}, now_s + 60), end())
    write_run(tmp_path / "made", *records, name="20261128_150000-abc")
    execute(tmp_path, "--", "cp", "-r", "made/wandb", ".")
    (page,) = logs_in(tmp_path)
    local = "wandb/offline-run-20261128_150000-abc"
    text = page.read_text()
    assert f"- local: `{local}`" in text and f"--project PROJECT {local}" in text
    assert "- wandb version: 0.31.0" in text
    page.write_text(text.replace("- notes: pending", "- notes: mine"))
    (run,) = (tmp_path / "artifacts").glob("*/*")
    writer = Writer(run / layout.JOURNAL, "test")
    url = "https://lab.example/e/p/runs/abc"
    writer.write(Synced, tool="wandb", id="abc", url=url, folders=(local,), rows=1)
    hub = "https://hub.example/ada/m"
    parts = {"checkpoints": ("2000",), "includes": ("README",)}
    writer.write(Published, repo="ada/m", url=hub, commit="c" * 40, verdict="pass", **parts)
    writer.close()
    assert show_pages(run, None)
    text = page.read_text()
    assert f"## HuggingFace\n- repo: {hub}\n- uploaded checkpoints: 2000, params only" in text
    assert f"- wandb: `{url}`" in text and f"- synced: `{url}`" in text
    assert "- notes: mine" in text and "pending — run" not in text
    assert not show_pages(run, "off") and not show_pages(tmp_path, None)
