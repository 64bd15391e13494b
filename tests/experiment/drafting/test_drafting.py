"""First summaries: of the scripts that are there, and of sweeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import ExperimentError, UsageError
from watchkeeper.core.ids import name_fault
from watchkeeper.experiment.draft import Draft, DraftCell, DraftRun, EvalKey
from watchkeeper.experiment.drafting.found import draft_of
from watchkeeper.experiment.drafting.sweep import parse_values, sweep_of
from watchkeeper.experiment.drafting.text import text_of
from watchkeeper.experiment.experiment import read

SCRIPT = "#!/bin/bash\n"
NAMES = st.text(min_size=1, max_size=12).filter(lambda name: not name_fault(name))


def write(folder: Path, *names: str, text: str = SCRIPT) -> None:
    """Scripts in the folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def planned(folder: Path, draft: Draft) -> list[tuple[str, str]]:
    """What the written summary plans: keys and scripts."""
    (folder / "experiment_summary.yaml").write_text(text_of(draft))
    experiment = read(folder)
    assert not [problem for problem in experiment.problems if problem.severity == "error"]
    return [(item.key, item.script) for item in experiment.items]


def test_scripts_of_a_folder_are_runs_of_their_names(tmp_path):
    """In natural order, from the folder and its usual subfolders; what is no script is left out."""
    write(tmp_path, "train2.sh", "train10.sh", "slurm/data.slurm", "other/x.sh", ".hidden.sh")
    write(tmp_path, "notes.sh", text="no interpreter")
    write(tmp_path, "train.py", text="#!/usr/bin/env python\n")
    assert planned(tmp_path, draft_of(tmp_path)) == [
        ("train2", "train2.sh"),
        ("train10", "train10.sh"),
        ("data", "slurm/data.slurm"),
    ]


def test_a_tree_and_its_summary_plan_the_same(tmp_path):
    """Runs, tasks and epochs are those of the folders; a script beside them is a run too."""
    write(tmp_path, "r8/finetune.slurm", "r8/eval/clean_epoch0.slurm", "r8/eval/clean_epoch1.slurm")
    write(tmp_path, "r8/eval/hard_epoch1.slurm", "base/eval/clean_base.slurm")
    before = [(item.key, item.script) for item in read(tmp_path).items]
    write(tmp_path, "prepare.sh")
    after = planned(tmp_path, draft_of(tmp_path))
    assert [one for one in after if one[0] != "prepare"] == before
    assert ("prepare", "prepare.sh") in after


def test_a_folder_without_a_script_says_what_one_is(tmp_path):
    """The error names the suffixes and the places that were looked at."""
    with pytest.raises(ExperimentError, match="no script") as caught:
        draft_of(tmp_path)
    assert ".sbatch" in caught.value.hint and "slurm/" in caught.value.hint


@given(
    names=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    args=st.lists(st.text("aZ1 \"'#:-{}é", max_size=6)),
)
def test_any_name_and_argument_survives_the_summary(tmp_path_factory, names, args):
    """What YAML would take for something else is quoted."""
    folder = tmp_path_factory.mktemp("exp")
    write(folder, "train.sh")
    runs = tuple(
        DraftRun(name=name, type="job", where="", script="train.sh", args=tuple(args))
        for name in names
    )
    draft = Draft(name="e", preparation="script", evaluation="script", runs=runs, cells=())
    assert planned(folder, draft) == [(name, "train.sh") for name in names]
    if args:
        exact = read(folder).invocations[names[0]].args
        assert exact == tuple(args)


def test_a_script_gets_the_values_as_arguments(tmp_path):
    """Every combination is a run, and the script stays where it is."""
    write(tmp_path, "train.sh")
    sweep = sweep_of(tmp_path / "exp", {"lr": ["1e-4", "1"], "rank": ["8"]}, tmp_path / "train.sh")
    assert sweep.scripts == {}
    assert [(run.name, run.script, run.args) for run in sweep.draft.runs] == [
        ("lr1e-4_rank8", "../train.sh", ("--lr", "1e-4", "--rank", "8")),
        ("lr1_rank8", "../train.sh", ("--lr", "1", "--rank", "8")),
    ]


def test_a_template_is_filled_for_each_run_and_evaluation(tmp_path):
    """Braces are places, the shell's own variables are not; the tools are those of the scripts."""
    write(tmp_path, "train.slurm", text="#!/bin/bash\ntune run x lr={lr} ${lr} {run}\n")
    write(
        tmp_path, "cap.slurm", text="#!/bin/bash\ninspect eval t.py --model {run}/epoch_{epoch}\n"
    )
    sweep = sweep_of(
        tmp_path,
        {"lr": ["1", "2"]},
        tmp_path / "train.slurm",
        [tmp_path / "cap.slurm"],
        epochs=2,
    )
    assert sweep.scripts[Path("lr1/finetune.slurm")].endswith("tune run x lr=1 ${lr} lr1\n")
    assert sweep.scripts[Path("lr2/eval/cap_epoch1.slurm")].endswith("--model lr2/epoch_1\n")
    assert (sweep.draft.preparation, sweep.draft.evaluation) == ("torchtune", "inspect-ai")
    for path, text in sweep.scripts.items():
        write(tmp_path, str(path), text=text)
    keys = [key for key, _ in planned(tmp_path, sweep.draft)]
    assert keys == ["lr1", "lr2"] + [f"lr{n}/cap/epoch{e}" for n in (1, 2) for e in (0, 1)]


@pytest.mark.parametrize(
    ("values", "text", "epochs", "words"),
    [
        ({"lr": ["1"], "rank": ["8"]}, "x {lr}", 1, "has no {rank}"),
        ({"lr": ["1"]}, "tune run x {lr}", 0, "how many epochs"),
        ({"lr": ["a/b", "a-b"]}, "x", 0, "two runs would be named"),
        ({"lr": [str(n) for n in range(80)], "x": [str(n) for n in range(80)]}, "x", 0, "6,400"),
    ],
)
def test_a_sweep_that_cannot_be_meant_is_refused(tmp_path, values, text, epochs, words):
    """The message names the variable, the template or the names, and says what to type."""
    write(tmp_path, "t.sh", text=text)
    with pytest.raises(UsageError, match=words) as caught:
        sweep_of(tmp_path, values, tmp_path / "t.sh", epochs=epochs)
    assert caught.value.hint


@pytest.mark.parametrize("word", ["lr", "lr=", "lr=1,,2", "1r=1", "=1", "lr=1,1"])
def test_values_must_be_a_name_and_a_list(word):
    """Anything else is named as it was typed."""
    with pytest.raises(UsageError, match="--set") as caught:
        parse_values([word])
    assert word in str(caught.value)


def test_a_variable_is_set_once():
    """Two lists for one name are a mistake."""
    assert parse_values(["lr=1, 2", "b=x"]) == {"lr": ["1", "2"], "b": ["x"]}
    with pytest.raises(UsageError, match="set before"):
        parse_values(["lr=1", "lr=2"])


def test_epochs_of_a_draft_are_those_that_runs_and_evaluations_name():
    """None are written where nobody names one."""
    run = DraftRun(name="run1", type="fine-tuned", where="")
    key = EvalKey(run="run1", task="task", epoch=2)
    cell = DraftCell(key=key, where="", tool="script")
    draft = Draft(name="e", preparation="script", evaluation="script", runs=(run,), cells=(cell,))
    assert "epochs: 3 " in text_of(draft)
    bare = Draft(name="e", preparation="script", evaluation="script", runs=(run,), cells=())
    assert "controls" not in text_of(bare)
