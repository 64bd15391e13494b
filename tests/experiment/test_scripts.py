"""Scripts that are submitted as they lie: their names, their records, and what is no script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core import layout
from watchkeeper.core.errors import ExperimentError, UsageError
from watchkeeper.core.ids import name_fault
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.scripts import checks, records
from watchkeeper.experiment.scripts.call import ScriptCall, batch_of, slug
from watchkeeper.experiment.scripts.register import Register
from watchkeeper.schedulers.sbatch_head import read_head

TOKEN = "hf_abcdefghijklmnopqrstuvwxyz"
ENTERS = """
import sys
from pathlib import Path
from watchkeeper.experiment.scripts.call import ScriptCall
from watchkeeper.experiment.scripts.register import Register
folder = Path(sys.argv[1])
register = Register(folder)
print("ready", flush=True)
sys.stdin.readline()
try:
    call = ScriptCall(path=folder / sys.argv[2], workdir=folder, name="one")
    print(register.enter(call).script)
except Exception as error:
    print(type(error).__name__)
"""


def call(folder: Path, *args: str, script: str = "train.sh", **fields: object) -> ScriptCall:
    """A call of a script in `folder`, run in it."""
    return ScriptCall(path=folder / script, workdir=folder, args=args, **fields)


def test_a_run_is_named_by_its_script_and_arguments(tmp_path):
    """Without arguments by the script's stem; with some by these too, and a hash of them."""
    assert call(tmp_path).key == "train"
    named = call(tmp_path, "--lr", "1e-3", "--rank=8")
    assert named.key.startswith("train_lr_1e-3_rank=8_")
    assert call(tmp_path, "--lr", "1e-4", "--rank=8").key != named.key
    assert call(tmp_path, "--lr", "1e-3", name="mine").key == "mine"


def test_a_secret_is_in_no_name_and_does_not_make_other_work(tmp_path):
    """Another token is the same work under the same name."""
    first = call(tmp_path, "--api-key", TOKEN)
    second = call(tmp_path, "--api-key", TOKEN.upper().replace("HF_", "hf_"))
    assert TOKEN not in first.key and first.key.startswith("train_api-key_")
    assert (first.key, first.identity) == (second.key, second.identity)


@given(st.lists(st.text(max_size=40), max_size=8))
def test_any_arguments_make_a_name_that_can_be_a_folder(args):
    """At most 60 characters of the arguments are in it."""
    args = [word.encode("utf-8", "replace").decode().replace("\0", "") for word in args]
    assert len(slug(args)) <= 60
    assert not name_fault(call(Path("/exp"), *args).key)


def test_the_same_work_is_one_run_and_other_work_another(tmp_path):
    """Script, arguments and working folder tell work apart; naming it again finds its run."""
    register = Register(tmp_path)
    first = register.enter(call(tmp_path, "1"))
    assert Register(tmp_path).enter(call(tmp_path, "1")) == first
    assert register.enter(call(tmp_path, "2")).key != first.key
    elsewhere = ScriptCall(path=tmp_path / "train.sh", workdir=tmp_path / "sub", args=("1",))
    with pytest.raises(UsageError, match="is that of"):
        register.enter(elsewhere)


def test_again_makes_runs_that_are_counted(tmp_path):
    """`train`, `train-2`, `train-3`; without `again` the newest is meant."""
    register = Register(tmp_path)
    keys = [register.enter(call(tmp_path), again=number > 0).key for number in range(3)]
    assert keys == ["train", "train-2", "train-3"]
    assert Register(tmp_path).enter(call(tmp_path)).key == "train-3"
    assert register.enter(call(tmp_path, name="last"), again=True).key == "last"


def test_a_request_is_answered_once(tmp_path):
    """The same id gives the same run, also with `again`; for other arguments it is an error."""
    first = Register(tmp_path).enter(call(tmp_path), again=True, request="r1")
    assert Register(tmp_path).enter(call(tmp_path), again=True, request="r1") == first
    assert Register(tmp_path).enter(call(tmp_path), again=True, request="r2").key == "train-2"
    with pytest.raises(UsageError, match="was for train"):
        Register(tmp_path).enter(call(tmp_path, "x"), request="r1")
    for bad in ("a\nb", "x" * 101):
        with pytest.raises(UsageError, match="--request"):
            Register(tmp_path).enter(call(tmp_path), request=bad)


def test_needs_of_a_run_cannot_change_unnoticed(tmp_path):
    """A second `--after` that says otherwise is an error, and so is a run after itself."""
    register = Register(tmp_path)
    register.enter(call(tmp_path, needs=("data",)))
    assert register.enter(call(tmp_path)).needs == ("data",)
    with pytest.raises(UsageError, match="with --after data"):
        register.enter(call(tmp_path, needs=("other",)))
    with pytest.raises(UsageError, match="after itself"):
        register.enter(call(tmp_path, "x", name="self", needs=("self",)))


def test_arguments_with_secrets_are_readable_by_their_owner_only(tmp_path):
    """The record has them redacted; the plan has them as they were last typed."""
    (tmp_path / "train.sh").write_text("#!/bin/bash\n")
    register = Register(tmp_path)
    run = register.enter(call(tmp_path, "--token", TOKEN, "two words", ""))
    newer = TOKEN.replace("a", "b")
    register.enter(call(tmp_path, "--token", newer, "two words", ""))
    place = tmp_path / layout.SCRIPTS
    texts = {path.name: path.read_text() for path in place.iterdir()}
    assert [name for name, text in texts.items() if newer in text] == [
        records.arguments_of(tmp_path, run).name
    ]
    assert records.arguments_of(tmp_path, run).stat().st_mode & 0o077 == 0
    experiment = experiments.read(tmp_path)
    assert experiment.invocations[run.key].args == ("--token", newer, "two words", "")
    assert newer not in str(experiment.items)
    records.arguments_of(tmp_path, run).unlink()
    assert experiments.read(tmp_path).invocations[run.key].args is None


def test_one_name_is_given_to_one_script_however_many_ask_at_once(tmp_path):
    """Of two processes that enter other scripts under one name, one has it and one is refused."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ENTERS, str(tmp_path), f"{name}.sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    try:
        for process in processes:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        answers = [process.communicate("\n", timeout=300)[0].strip() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert sorted(answers)[0] == "UsageError" and sorted(answers)[1] in ("a.sh", "b.sh")
    (record,) = (tmp_path / layout.SCRIPTS).glob("*.json")
    assert json.loads(record.read_bytes())["script"] in answers


def test_a_damaged_record_is_named_and_no_other_run_is_lost(tmp_path):
    """It is a problem of the experiment; entering more is refused until it is put right."""
    (tmp_path / "train.sh").write_text("#!/bin/bash\n")
    Register(tmp_path).enter(call(tmp_path))
    (tmp_path / layout.SCRIPTS / "bad.json").write_bytes(b"{")
    experiment = experiments.read(tmp_path)
    assert [item.key for item in experiment.items] == ["train"]
    assert any("bad.json" in problem.where for problem in experiment.problems)
    with pytest.raises(ExperimentError, match="cannot be read"):
        Register(tmp_path)


def test_a_script_under_the_name_of_a_planned_run_is_left_out(tmp_path):
    """The summary's or tree's run keeps the name, and the problem says how to submit the other."""
    (tmp_path / "r8").mkdir()
    (tmp_path / "r8/finetune.slurm").write_text("#!/bin/bash\n")
    (tmp_path / "train.sh").write_text("#!/bin/bash\n")
    Register(tmp_path).enter(call(tmp_path))
    Register(tmp_path).enter(call(tmp_path, "x", name="r8"))
    experiment = experiments.read(tmp_path)
    assert [(item.key, item.script) for item in experiment.items] == [
        ("r8", "r8/finetune.slurm"),
        ("train", "train.sh"),
    ]
    assert any("--name NAME" in problem.hint for problem in experiment.problems)


def test_a_python_file_gets_a_batch_script_that_sbatch_can_read(tmp_path):
    """Its options are directives, and its path may hold blanks."""
    path = tmp_path / "my train.py"
    text = batch_of(path, "/usr/bin/python3", ["--time=0:10:00", "--gpus=2"])
    head = read_head(text.encode())
    assert not head.problems
    assert (head.name, head.time_limit_s, head.gpus) == ("my train", 600, 2)
    path.write_text("import sys; print(sys.argv[1:])")
    script = tmp_path / "batch.sh"
    script.write_text(text.replace("/usr/bin/python3", sys.executable))
    words = ["a b", "$HOME", ""]
    done = subprocess.run(
        ["bash", script, *words], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.strip() == str(words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"#!/bin/bash\r\necho\r\n", "Windows line ends"),
        (b"\x7fELF\0\0", "binary file"),
        (None, "there is no script"),
    ],
)
def test_what_is_no_script_is_refused_by_name(tmp_path, content, words):
    """Empty and binary files, Windows line ends and missing files each have their own message."""
    path = tmp_path / "train.sh"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        checks.folder_of([path])
    assert str(path) in str(caught.value) and caught.value.hint


def test_a_pattern_without_a_match_a_folder_and_a_pipe_are_no_scripts(tmp_path):
    """Each error says what was named."""
    os.mkfifo(tmp_path / "pipe.sh")
    for name, words in (
        ("*.sh", "there is no script"),
        (".", "is a folder"),
        ("pipe.sh", "no reg"),
    ):
        with pytest.raises(UsageError, match=words):
            checks.folder_of([tmp_path / name])


def test_scripts_of_several_folders_are_refused(tmp_path):
    """Each folder is an experiment."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.sh").write_text("#!/bin/bash\n")
    with pytest.raises(UsageError, match="several folders"):
        checks.folder_of([tmp_path / "a/train.sh", tmp_path / "b/train.sh"])


def test_the_script_of_a_planned_run_is_no_run_of_its_own(tmp_path):
    """It would run twice: the error says how its run is started."""
    (tmp_path / "r8").mkdir()
    script = tmp_path / "r8/finetune.slurm"
    script.write_text("#!/bin/bash\n")
    assert checks.folder_of([script]) == tmp_path / "r8"
    (tmp_path / "experiment_summary.yaml").write_text("{}")
    with pytest.raises(UsageError, match="the run r8") as caught:
        checks.folder_of([script])
    assert caught.value.hint == f"watchkeeper run {tmp_path} --runs r8"
