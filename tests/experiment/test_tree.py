"""A folder without a summary is read by its tree."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watchkeeper.core.errors import ExperimentError
from watchkeeper.core.events import RunItem
from watchkeeper.experiment.experiment import read


def touch(folder: Path, *names: str, text: str = "#!/bin/bash\n") -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def scripts(folder: Path) -> dict[str, str]:
    return {item.key: item.script for item in read(folder).items}


def test_a_tree_becomes_a_plan(tmp_path: Path) -> None:
    """Runs in natural order, then their evaluations by task and epoch; both layouts of evaluations;
    nothing hidden.
    """
    folder = touch(
        tmp_path / "exp",
        "r16/finetune.slurm",
        "r16/eval/clean_epoch0.slurm",
        "r8/finetune.slurm",
        "r8/eval/clean_epoch10.slurm",
        "r8/eval/clean_epoch2.slurm",
        "r8/eval/a_b_epoch0/cell.slurm",
        "r8/eval/logs/old.eval",
        "base/eval/clean_base.slurm",
        "base/eval/noisy/cell.slurm",
        "README/notes.txt",
        "finetune.slurm",
        "r4/eval/notes.txt",
        ".hidden/finetune.slurm",
        ".watchkeeper/runs/finetune.slurm",
    )
    experiment = read(folder)
    assert experiment.problems == ()
    assert (experiment.name, experiment.summary, experiment.summary_sha256) == ("exp", "", "")
    assert [(item.key, item.script) for item in experiment.items] == [
        ("base", ""),
        ("r8", "r8/finetune.slurm"),
        ("r16", "r16/finetune.slurm"),
        ("base/clean/base", "base/eval/clean_base.slurm"),
        ("base/noisy/base", "base/eval/noisy/cell.slurm"),
        ("r8/a_b/epoch0", "r8/eval/a_b_epoch0/cell.slurm"),
        ("r8/clean/epoch2", "r8/eval/clean_epoch2.slurm"),
        ("r8/clean/epoch10", "r8/eval/clean_epoch10.slurm"),
        ("r16/clean/epoch0", "r16/eval/clean_epoch0.slurm"),
    ]
    assert experiment.items[0] == RunItem(key="base", phase="preparation", run="base", control=True)
    assert list(experiment.checkpoints) == [
        "r8/epoch_0",
        "r8/epoch_2",
        "r8/epoch_10",
        "r16/epoch_0",
    ]
    assert experiment.checkpoints["r8/epoch_2"].patterns == ("r8/artifacts/epoch_2", "r8/epoch_2")
    assert experiment.results == {}
    assert [experiment.checkpoint_for(item) for item in experiment.items[3:6]] == [
        None,
        None,
        "r8/epoch_0",
    ]


def test_an_eval_only_run_needs_no_checkpoint_of_ours(tmp_path: Path) -> None:
    """A folder with only evaluations trains nothing, and no epoch in their names is waited for."""
    experiment = read(touch(tmp_path, "old/eval/clean_epoch3.slurm"))
    assert [(item.key, item.control) for item in experiment.items] == [
        ("old", True),
        ("old/clean/epoch3", True),
    ]
    assert experiment.checkpoints == {}
    assert experiment.checkpoint_for(experiment.items[1]) is None


def test_the_tool_is_seen_in_the_script(tmp_path: Path) -> None:
    """Scripts that call inspect-ai promise its logs; a comment that names it does not."""
    touch(
        tmp_path,
        "r8/finetune.slurm",
        text="#!/bin/bash\nsrun tune run lora_finetune_single_device\n",
    )
    touch(tmp_path, "r8/eval/clean_epoch0/cell.slurm", text="cd x && inspect eval task.py\n")
    touch(tmp_path, "r16/finetune.slurm", text="tune run x\n")
    touch(tmp_path, "r16/eval/clean_epoch0/cell.slurm", text="# inspect eval\npython eval.py\n")
    experiment = read(tmp_path)
    assert (experiment.tools.preparation, experiment.tools.evaluation) == ("torchtune", "script")
    assert list(experiment.results) == ["r8/clean/epoch0"]
    assert experiment.results["r8/clean/epoch0"].patterns[0] == "r8/eval/clean_epoch0/logs/*.eval"


@pytest.mark.parametrize("name", ["r8/finetune.slurm", "r8/eval/clean_epoch0/cell.slurm"])
def test_a_script_that_the_disk_refuses_is_not_of_another_tool(
    tmp_path: Path, refused_files: set[Path], name: str
) -> None:
    """Without one script the tool of all of them would be another: the folder is not planned."""
    touch(tmp_path, "r8/finetune.slurm", text="tune run x\n")
    touch(tmp_path, "r8/eval/clean_epoch0/cell.slurm", text="inspect eval task.py\n")
    assert read(tmp_path).tools.preparation == "torchtune"
    refused_files.add(tmp_path / name)
    with pytest.raises(ExperimentError, match=f"could not read {tmp_path / name}") as caught:
        read(tmp_path)
    assert "check the disk" in caught.value.hint


def test_older_logs_that_two_could_own_are_no_promise(tmp_path: Path) -> None:
    """Older logs of one task's epochs cannot be told apart: they promise nothing, and a warning
    says so.
    """
    names = [f"r8/eval/{cell}.slurm" for cell in ("clean_epoch0", "clean_epoch1", "noisy_epoch1")]
    touch(tmp_path, "r8/finetune.slurm", *names, text="inspect eval task.py\n")
    experiment = read(tmp_path)
    assert list(experiment.results) == ["r8/noisy/epoch1"]
    assert "r8/eval/logs/*noisy*.eval" in experiment.results["r8/noisy/epoch1"].patterns
    (warning,) = experiment.problems
    assert (warning.severity, "2 evaluations (r8/clean/epoch0" in warning.message) == (
        "warning",
        True,
    )


def test_bad_names_cost_what_they_name(tmp_path: Path) -> None:
    """A folder or a script that can name nothing is a problem with its path, and the rest is
    planned.
    """
    touch(
        tmp_path,
        "r8/finetune.slurm",
        "r8/eval/clean_epoch0.slurm",
        "r8/eval/clean.slurm",
        "r8/eval/clean_epoch01.slurm",
    )
    touch(tmp_path, "a\nb/finetune.slurm", " x/eval/c_base.slurm", "r8/eval/ y_epoch0.slurm")
    touch(tmp_path, os.fsdecode(b"\xff/finetune.slurm"))
    experiment = read(tmp_path)
    assert [item.key for item in experiment.items] == ["r8", "r8/clean/epoch0"]
    assert all(problem.severity == "error" and problem.hint for problem in experiment.problems)
    places = [problem.where.removeprefix(f"{tmp_path}/") for problem in experiment.problems]
    assert sorted(places) == [
        " x",
        "\\udcff",
        "a\nb",
        "r8/eval/ y_epoch0.slurm",
        "r8/eval/clean.slurm",
        "r8/eval/clean_epoch01.slurm",
    ]


def test_two_scripts_of_one_evaluation_are_one(tmp_path: Path) -> None:
    """An evaluation with a script in either layout is planned once, and a warning says which script
    is used.
    """
    touch(
        tmp_path,
        "r8/finetune.slurm",
        "r8/eval/clean_epoch0.slurm",
        "r8/eval/clean_epoch0/cell.slurm",
    )
    experiment = read(tmp_path)
    assert [item.script for item in experiment.items] == [
        "r8/finetune.slurm",
        "r8/eval/clean_epoch0.slurm",
    ]
    (warning,) = experiment.problems
    assert (warning.severity, warning.message) == (
        "warning",
        "a second script of r8/clean/epoch0; r8/eval/clean_epoch0.slurm is used",
    )


def test_nothing_to_plan_says_what_was_looked_for(tmp_path: Path) -> None:
    """An empty folder, none at all, a file, and a folder of other things are told apart, with what
    to type.
    """
    with pytest.raises(
        ExperimentError,
        match=(
            r"no experiment there: .* has no experiment_summary\.yaml, no "
            r"experiment_summary\.md and no <run>/f"
        ),
    ):
        read(tmp_path)
    touch(tmp_path, "x/eval/logs/a.eval", "file")
    with pytest.raises(ExperimentError, match="no experiment there"):
        read(tmp_path)
    with pytest.raises(ExperimentError, match="there is no folder") as caught:
        read(tmp_path / "nowhere")
    assert caught.value.hint
    with pytest.raises(ExperimentError, match=r"there is no folder no/\.\./where \(looked for /"):
        read(Path("no/../where"))
    with pytest.raises(ExperimentError, match="is a file") as caught:
        read(tmp_path / "file")
    assert "watchkeeper run file" in caught.value.hint
    (tmp_path / "experiment_summary.yaml").mkdir()
    with pytest.raises(
        ExperimentError, match=r"experiment_summary\.yaml cannot be read: Is a directory"
    ):
        read(tmp_path)


def test_a_folder_that_may_not_be_read_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No permission is not "no experiment there"; on one run's evaluations it costs that run's
    evaluations.
    """
    folder = touch(
        tmp_path,
        "r8/finetune.slurm",
        "r8/eval/clean_epoch0.slurm",
        "r16/finetune.slurm",
        "r16/eval/c_epoch0.slurm",
    )
    listing = os.listdir

    def refuse(closed: Path) -> None:
        def listdir(path: Path) -> list[str]:
            if Path(path) == closed:
                raise PermissionError(13, "Permission denied", str(path))
            return listing(path)

        monkeypatch.setattr(os, "listdir", listdir)

    refuse(folder)
    with pytest.raises(ExperimentError, match="cannot be read: Permission denied"):
        read(folder)
    refuse(folder / "r8/eval")
    experiment = read(folder)
    assert [item.key for item in experiment.items] == ["r8", "r16", "r16/c/epoch0"]
    (problem,) = experiment.problems
    assert (problem.where, problem.severity) == (str(folder / "r8/eval"), "error")


def test_the_folder_is_absolute_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.`, a relative path and one with `..` all name the same experiment."""
    folder = touch(tmp_path / "exp", "r8/finetune.slurm")
    monkeypatch.chdir(folder)
    for given_ in (Path(), Path("../exp"), folder):
        experiment = read(given_)
        assert (experiment.folder, experiment.name) == (folder, "exp")


NAMES = (
    st.binary(min_size=1, max_size=12)
    .map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"0"))
    .filter(lambda name: name not in (b".", b".."))
)


@given(
    st.lists(
        st.tuples(NAMES, st.sampled_from(["run", "flat", "cell", "file", "folder"]), NAMES),
        max_size=6,
    )
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None
)
def test_any_tree_is_a_plan_or_a_clear_no(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[bytes, str, bytes]]
) -> None:
    """Folders and scripts of any names give a plan whose scripts exist inside the folder, or an
    ExperimentError.
    """
    folder = tmp_path_factory.mktemp("tree")
    for name, kind, task in entries:
        run = folder / os.fsdecode(name)
        path = {
            "run": run / "finetune.slurm",
            "flat": run / "eval" / os.fsdecode(task + b"_epoch0.slurm"),
            "cell": run / "eval" / os.fsdecode(task) / "cell.slurm",
            "file": run / os.fsdecode(task),
            "folder": run / "eval" / "x",
        }[kind]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"#!/bin/bash\n")
        except OSError:
            continue  # a name that is in the way of another
    try:
        experiment = read(folder)
    except ExperimentError as error:
        assert "no experiment there" in str(error)
        return
    for item in experiment.items:
        assert item.control or item.script, item
        if item.script:
            script = (folder / item.script).resolve()
            assert script.is_file()
            assert script.is_relative_to(folder.resolve())
    assert len({item.key for item in experiment.items}) == len(experiment.items)
    assert all(str(problem).encode() for problem in experiment.problems)
