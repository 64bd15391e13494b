"""A whole experiment: a summary and its folder make a plan."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watchkeeper.core.errors import ExperimentError
from watchkeeper.core.events import RunItem
from watchkeeper.core.ids import name_fault
from watchkeeper.experiment.experiment import EvalKey, Experiment, read

FULL = """\
experiment:
  name: cap_2025
  project: capitalization
  question: Does rank matter?
  date: 2025-11-11
  dir: /scratch/ck/cap_2025
  hypothesis: It does.
tools:
  preparation: torchtune
  evaluation: inspect-ai
variables: {lora_rank: [8, 16]}
controls:
  system_prompt: ""
  prompt: "Capitalize: {input}"
  dataset_type: chat_completion
  epochs: 2
  batch_size: 4
  anything_else: 1e-5
models:
  base:
    - {name: Llama-3.2-1B, path: /models/llama, size_gb: 2.5}
data:
  training:
    path: words.json
    dataset_label: words
    format: json
    size_kb: 12
    splits: {train: 800, test: 100}
output:
  wandb_project: caps
runs:
  - name: Llama-3.2-1B_r8
    type: fine-tuned
    model: Llama-3.2-1B
    parameters: {lora_rank: 8}
    compute: {time: "01:00:00", gpus: 1, mem: 40G}
  - name: Llama-3.2-1B_r16
    type: fine-tuned
    model: Llama-3.2-1B
    parameters: {lora_rank: 16, epochs: 3}
  - {name: Llama-3.2-1B_base, type: control, model: Llama-3.2-1B, parameters: {}}
  - {name: old, type: eval-only, model: Llama-3.2-1B, parameters: {checkpoint_path: /old/epoch_1}}
evaluation:
  temperature: 0.0
  do_sample: false
  seed: 42
  max_tokens: 20
  scorers:
    - {name: match, params: {location: exact}}
  tasks:
    - {name: capitalization, script: cap.py, description: known words, dataset: words.json}
    - name: cap_new
      script: cap.py
      description: new words
      eval_condition: new
      prompt: "{input}"
      system_prompt: ""
  matrix:
    - {run: Llama-3.2-1B_r16, vis_label: r16, tasks: [cap_new, capitalization], epochs: [1, 0]}
    - {run: Llama-3.2-1B_r8, vis_label: r8, tasks: [capitalization], epochs: [1]}
    - {run: Llama-3.2-1B_base, tasks: [capitalization], epochs: null}
    - {run: old, tasks: [capitalization]}
"""

SMALL = """\
experiment: {name: small}
tools: {preparation: script, evaluation: script}
runs:
  - {name: r8, type: fine-tuned}
  - {name: r16, type: fine-tuned}
evaluation:
  tasks: [{name: clean}]
  matrix:
    - {run: r8, tasks: [clean], epochs: [0]}
    - {run: r16, tasks: [clean], epochs: [0]}
"""


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("#!/bin/bash\n")
    return folder


def make(folder: Path, summary: str, *scripts: str) -> Experiment:
    touch(folder, *scripts)
    (folder / "experiment_summary.yaml").write_text(summary)
    return read(folder)


def small(folder: Path, summary: str = SMALL) -> Experiment:
    scripts = [
        f"{run}/{script}"
        for run in ("r8", "r16")
        for script in ("finetune.slurm", "eval/clean_epoch0.slurm")
    ]
    return make(folder, summary, *scripts)


def test_a_full_summary_becomes_the_whole_plan(tmp_path: Path) -> None:
    """Every run, evaluation, script and promise of the format's full example is in the plan, in its
    order.
    """
    experiment = make(
        tmp_path,
        FULL,
        "r8/finetune.slurm",
        "Llama-3.2-1B_r16/finetune.slurm",
        "r8/eval/capitalization_epoch1.slurm",
        "Llama-3.2-1B_r16/eval/capitalization_epoch0/cell.slurm",
        "Llama-3.2-1B_r16/eval/capitalization_epoch1/cell.slurm",
        "Llama-3.2-1B_r16/eval/cap_new_epoch0/cell.slurm",
        "Llama-3.2-1B_r16/eval/cap_new_epoch1/cell.slurm",
        "base/eval/capitalization/cell.slurm",
        "old/eval/capitalization_base.slurm",
    )
    assert experiment.problems == ()
    assert (experiment.name, experiment.folder, experiment.summary) == (
        "cap_2025",
        tmp_path,
        "experiment_summary.yaml",
    )
    assert experiment.summary_sha256 == hashlib.sha256(FULL.encode()).hexdigest()
    assert (experiment.tools.preparation, experiment.tools.evaluation) == (
        "torchtune",
        "inspect-ai",
    )
    r16, r8, base = "Llama-3.2-1B_r16", "Llama-3.2-1B_r8", "Llama-3.2-1B_base"

    def cell(run: str, task: str, epoch: int | None, script: str) -> RunItem:
        key = EvalKey(run=run, task=task, epoch=epoch).key
        control = epoch is None
        return RunItem(
            key=key,
            phase="evaluation",
            run=run,
            task=task,
            epoch=epoch,
            script=script,
            control=control,
        )

    assert experiment.items == (
        RunItem(key=r8, phase="preparation", run=r8, script="r8/finetune.slurm"),
        RunItem(key=r16, phase="preparation", run=r16, script=f"{r16}/finetune.slurm"),
        RunItem(key=base, phase="preparation", run=base, control=True),
        RunItem(key="old", phase="preparation", run="old", control=True),
        cell(r16, "cap_new", 1, f"{r16}/eval/cap_new_epoch1/cell.slurm"),
        cell(r16, "cap_new", 0, f"{r16}/eval/cap_new_epoch0/cell.slurm"),
        cell(r16, "capitalization", 1, f"{r16}/eval/capitalization_epoch1/cell.slurm"),
        cell(r16, "capitalization", 0, f"{r16}/eval/capitalization_epoch0/cell.slurm"),
        cell(r8, "capitalization", 1, "r8/eval/capitalization_epoch1.slurm"),
        cell(base, "capitalization", None, "base/eval/capitalization/cell.slurm"),
        cell("old", "capitalization", None, "old/eval/capitalization_base.slurm"),
    )
    assert {subject: promise.patterns for subject, promise in experiment.checkpoints.items()} == {
        f"{r8}/epoch_0": ("r8/artifacts/epoch_0", "r8/epoch_0"),
        f"{r8}/epoch_1": ("r8/artifacts/epoch_1", "r8/epoch_1"),
        **{
            f"{r16}/epoch_{n}": (f"{r16}/artifacts/epoch_{n}", f"{r16}/epoch_{n}") for n in range(3)
        },
    }
    assert experiment.results[f"{r16}/cap_new/epoch1"].patterns == (
        f"{r16}/eval/cap_new_epoch1/logs/*.eval",
    )
    assert experiment.results[f"{r8}/capitalization/epoch1"].patterns == (
        "r8/eval/capitalization_epoch1/logs/*.eval",
        "r8/eval/logs/*capitalization*.eval",
    )
    assert experiment.results[f"{base}/capitalization/base"].patterns == (
        "base/eval/capitalization_base/logs/*.eval",
        "base/eval/capitalization/logs/*.eval",
        "base/eval/logs/*capitalization*.eval",
    )
    assert [experiment.checkpoint_for(item) for item in experiment.items] == [
        *[None] * 4,
        *[f"{r16}/epoch_{n}" for n in (1, 0, 1, 0)],
        f"{r8}/epoch_1",
        None,
        None,
    ]
    assert [promise.subject for promise in experiment.checkpoints_of(r8)] == [
        f"{r8}/epoch_0",
        f"{r8}/epoch_1",
    ]
    assert experiment.checkpoints_of(base) == ()


def test_the_users_own_patterns_win(tmp_path: Path) -> None:
    """`output.checkpoint` and `output.result` replace the places that a tool would use;
    `output.dir` adds one.
    """
    given = (
        'output: {checkpoint: "/scratch/{run}/e{epoch}", result: '
        '"{folder}/out/{task}-{epoch}.json"}\n'
    )
    experiment = small(tmp_path, SMALL + given)
    assert experiment.problems == ()
    assert experiment.checkpoints["r8/epoch_0"].patterns == ("/scratch/r8/e0",)
    assert experiment.results["r8/clean/epoch0"].patterns == ("r8/out/clean-0.json",)
    older = small(tmp_path, SMALL + "output: {dir: /scratch/out/}\n")
    assert older.checkpoints["r8/epoch_0"].patterns[-1] == "/scratch/out/ck-out-r8/epoch_0"


def test_checkpoint_formats_reach_every_checkpoint(tmp_path: Path) -> None:
    """`output.checkpoint_formats` adds suffixes of weights to each checkpoint, each once; without
    it there are none.
    """
    assert small(tmp_path).checkpoints["r8/epoch_0"].formats == ()
    added = "output: {checkpoint_formats: [.ubj, .onnx, .ubj]}\n"
    experiment = small(tmp_path, SMALL + added)
    assert experiment.checkpoints["r8/epoch_0"].formats == (".ubj", ".onnx")


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        ("[ubj]", "cannot hold 'ubj': it has no leading dot"),
        ("[.onnx, 5]", "cannot hold '5': it is not text"),
        ("[./ubj]", "cannot hold './ubj': a suffix is a dot"),
        ("[.]", "cannot hold '.': a suffix is a dot"),
        ("[.tar.gz]", "cannot hold '.tar.gz': a suffix is a dot"),
        (f"[.{'x' * 21}]", "a suffix is a dot"),
        (f"[{', '.join(f'.x{n}' for n in range(21))}]", "lists 21 suffixes, at most 20 count"),
        (".ubj", "output.checkpoint_formats must be a list"),
    ],
)
def test_a_bad_checkpoint_format_is_refused(tmp_path: Path, formats: str, message: str) -> None:
    """What cannot be a suffix of weights is an error with its line."""
    with pytest.raises(ExperimentError) as caught:
        small(tmp_path, f"{SMALL}output: {{checkpoint_formats: {formats}}}\n")
    (problem,) = [one for one in caught.value.problems if one.severity == "error"]
    assert message in problem.message
    assert "experiment_summary.yaml:11:" in problem.where


def test_the_longest_checkpoint_formats_are_read(tmp_path: Path) -> None:
    """Twenty suffixes, and a suffix of twenty characters after its dot, are not too many."""
    suffixes = [f".x{n}" for n in range(19)] + ["." + "y" * 20]
    experiment = small(
        tmp_path, f"{SMALL}output: {{checkpoint_formats: [{', '.join(suffixes)}]}}\n"
    )
    assert experiment.checkpoints["r8/epoch_0"].formats == tuple(suffixes)


def test_a_contract_is_a_file_beside_the_summary(tmp_path: Path) -> None:
    """`output.contract` names it; one that is not there yet is a warning, and keeps nothing from
    being submitted.
    """
    assert small(tmp_path).contract is None
    experiment = small(tmp_path, f"{SMALL}output: {{contract: contract.toml}}\n")
    assert experiment.contract == experiment.folder / "contract.toml"
    (problem,) = [one for one in experiment.problems if one.severity == "warning"]
    assert "which is no file there" in problem.message
    experiment.contract.write_text("")
    problems = read(experiment.folder).problems
    assert [one for one in problems if one.severity == "warning"] == []


@pytest.mark.parametrize("name", ["contract.py", "~/contract.toml", '""'])
def test_a_contract_that_no_file_can_be_is_refused(tmp_path: Path, name: str) -> None:
    """Another format, and a name that nobody expands, are errors with their line."""
    with pytest.raises(ExperimentError) as caught:
        small(tmp_path, f"{SMALL}output: {{contract: {name}}}\n")
    (problem,) = [one for one in caught.value.problems if one.severity == "error"]
    assert "output.contract cannot be" in problem.message


def test_no_promise_is_said_aloud(tmp_path: Path) -> None:
    """Evaluations by a plain script without `output.result` promise nothing, and a note says how to
    change that.
    """
    experiment = small(tmp_path)
    assert experiment.results == {}
    (note,) = experiment.problems
    assert note.severity == "note"
    assert "exit code" in note.message
    assert "output.result" in note.hint


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (
            '{checkpoint: "out/epoch_{epoch}"}',
            "output.checkpoint leads r8/epoch_0 and r16/epoch_0 to the same place",
        ),
        (
            '{result: "out/{cell}.json"}',
            "output.result leads r8/clean/epoch0 and r16/clean/epoch0 to the same place",
        ),
    ],
)
def test_two_jobs_never_promise_one_place(tmp_path: Path, output: str, said: str) -> None:
    """A pattern that would let one job's file stand for another's is refused, with its line and
    what is missing in it.
    """
    with pytest.raises(ExperimentError, match=said) as caught:
        small(tmp_path, f"{SMALL}output: {output}\n")
    assert "experiment_summary.yaml:11:" in caught.value.problems[0].where
    assert "{folder}" in caught.value.problems[0].hint


def test_a_missing_script_names_run_and_path(tmp_path: Path) -> None:
    """A run or an evaluation without its script stays in the plan, with a problem that says what is
    expected where.
    """
    experiment = make(
        tmp_path,
        SMALL,
        "r8/finetune.slurm",
        "r8/eval/clean_epoch0.slurm",
        "r16/eval/clean_epoch1.slurm",
    )
    assert [item.script for item in experiment.items] == [
        "r8/finetune.slurm",
        "",
        "r8/eval/clean_epoch0.slurm",
        "",
    ]
    errors = [problem for problem in experiment.problems if problem.severity == "error"]
    assert [problem.message for problem in errors] == [
        "run 'r16' has no script: r16/finetune.slurm is not there",
        "evaluation r16/clean/epoch0 has no script: r16/eval/clean_epoch0.slurm is not there",
    ]
    assert [problem.where for problem in errors] == [
        f"{tmp_path}/experiment_summary.yaml:5:12",
        f"{tmp_path}/experiment_summary.yaml:10:26",
    ]
    assert all(problem.hint for problem in errors)


def test_a_run_without_a_folder_is_said_once(tmp_path: Path) -> None:
    """A run whose folder is missing is one problem, not one for each of its evaluations."""
    experiment = make(tmp_path, SMALL, "r8/finetune.slurm", "r8/eval/clean_epoch0.slurm")
    (error,) = [problem for problem in experiment.problems if problem.severity == "error"]
    assert "run 'r16' cannot start: it has no folder" in error.message
    assert "expected r16/finetune.slurm" in error.message


def test_a_folder_may_be_the_end_of_the_runs_name(tmp_path: Path) -> None:
    """`r8` is the folder of `model_r8`, but never of a run beside one that is named `r8`."""
    summary = SMALL.replace("r16", "model_r8")
    beside = make(tmp_path / "beside", summary, "r8/finetune.slurm", "r8/eval/clean_epoch0.slurm")
    assert [item.script for item in beside.items if item.run == "model_r8"] == ["", ""]
    alone = make(
        tmp_path / "alone",
        SMALL.replace("r8", "model_r8"),
        "r8/finetune.slurm",
        "r16/finetune.slurm",
    )
    assert [item.script for item in alone.items[:2]] == ["r8/finetune.slurm", "r16/finetune.slurm"]


def test_an_ambiguous_or_shared_folder_starts_nothing(tmp_path: Path) -> None:
    """Where two folders fit one run, or one folder two runs, nothing of them is submitted and the
    problem names both.
    """
    summary = SMALL.replace("r8", "m_a_r8")
    two = make(
        tmp_path / "two", summary, "r8/finetune.slurm", "a_r8/finetune.slurm", "r16/finetune.slurm"
    )
    assert two.items[0].script == ""
    assert any("ambiguous: a_r8, r8" in problem.message for problem in two.problems)
    shared = SMALL.replace("r8", "m_x").replace("r16", "n_x")
    one = make(tmp_path / "one", shared, "x/finetune.slurm", "x/eval/clean_epoch0.slurm")
    assert [item.script for item in one.items] == ["", "", "", ""]
    assert any(
        "'m_x' and 'n_x' would share the folder x/" in problem.message for problem in one.problems
    )


def test_logs_that_nobody_owns_prove_nothing(tmp_path: Path) -> None:
    """Older logs of one task share a folder without saying their epoch: they are no evidence, and a
    warning says so.
    """
    summary = SMALL.replace("evaluation: script", "evaluation: inspect-ai").replace(
        "[clean], epochs: [0]", "[clean], epochs: [0, 1]"
    )
    scripts = [f"{run}/eval/clean_epoch{n}.slurm" for run in ("r8", "r16") for n in (0, 1)]
    experiment = make(tmp_path, summary, "r8/finetune.slurm", "r16/finetune.slurm", *scripts)
    assert {promise.patterns for promise in experiment.results.values()} == {
        (f"{run}/eval/clean_epoch{n}/logs/*.eval",) for run in ("r8", "r16") for n in (0, 1)
    }
    (warning,) = experiment.problems
    assert (warning.severity, "4 evaluations" in warning.message) == ("warning", True)
    assert "output.result" in warning.hint


def test_markdown_beside_yaml_is_only_compared(tmp_path: Path) -> None:
    """The .yaml wins, and an .md that cannot be planned costs a note; alone it is an error, not the
    tree instead.
    """
    touch(tmp_path, "experiment_summary.md")
    both = small(tmp_path)
    assert both.summary == "experiment_summary.yaml"
    assert both.problems[0].severity == "note"
    assert (
        "experiment_summary.md is there too, and cannot be read whole" in both.problems[0].message
    )
    (tmp_path / "experiment_summary.yaml").unlink()
    with pytest.raises(ExperimentError, match="there is no section All Runs"):
        read(tmp_path)


NAMES = st.text(st.sampled_from("aB7é _-.'\"$`*?[]{}%;&|\\#:🙂"), min_size=1, max_size=8).filter(
    lambda name: not name_fault(name) and not name.startswith(".")
)


@given(run=NAMES, task=NAMES)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
def test_any_name_reads_back(tmp_path_factory: pytest.TempPathFactory, run: str, task: str) -> None:
    """A quoted name of spaces, quotes, globs or any letters finds its script and its promises, and
    nothing else.
    """
    quoted_run, quoted_task = ("'" + name.replace("'", "''") + "'" for name in (run, task))
    summary = (
        "experiment: {name: x}\ntools: {preparation: script, evaluation: inspect-ai}\ncontrols: "
        "{epochs: 1}\n"
        f"runs:\n  - name: {quoted_run}\n    type: fine-tuned\nevaluation:\n  tasks:\n    - name: "
        f"{quoted_task}\n"
        f"  matrix:\n    - run: {quoted_run}\n      tasks: [{quoted_task}]\n      epochs: [0]\n"
    )
    folder = tmp_path_factory.mktemp("names")
    experiment = make(folder, summary, f"{run}/finetune.slurm", f"{run}/eval/{task}_epoch0.slurm")
    assert experiment.problems == ()
    assert [item.script for item in experiment.items] == [
        f"{run}/finetune.slurm",
        f"{run}/eval/{task}_epoch0.slurm",
    ]
    assert [item.key for item in experiment.items] == [run, f"{run}/{task}/epoch0"]
    assert experiment.checkpoint_for(experiment.items[1]) == f"{run}/epoch_0"


def test_a_summary_may_end_in_yml(tmp_path: Path) -> None:
    """`experiment_summary.yml` is read as the summary, and named as the file that was read."""
    (tmp_path / "experiment_summary.yml").write_text(FULL)
    experiment = read(tmp_path)
    assert experiment.summary == "experiment_summary.yml"
    assert experiment.name == "cap_2025"


def test_of_two_yaml_summaries_none_is_chosen(tmp_path: Path) -> None:
    """`.yaml` and `.yml` side by side are an error that names both."""
    (tmp_path / "experiment_summary.yml").write_text(FULL)
    (tmp_path / "experiment_summary.yaml").write_text(FULL)
    with pytest.raises(
        ExperimentError, match=r"summary\.yaml and experiment_summary\.yml"
    ) as error:
        read(tmp_path)
    assert "keep one" in error.value.hint


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("experiment-summary.yaml", "experiment_summary.yaml"),
        ("Experiment_Summary.YML", "experiment_summary.yaml"),
        ("experiment summary.yml", "experiment_summary.yaml"),
        ("ExperimentSummary.md", "experiment_summary.md"),
    ],
)
def test_a_name_that_is_nearly_a_summarys_is_pointed_out(
    tmp_path: Path, name: str, right: str
) -> None:
    """It is not read, and the warning says what to call it, with or without another summary."""
    (tmp_path / name).write_text("whatever")
    with pytest.raises(ExperimentError) as error:
        read(tmp_path)
    (problem,) = error.value.problems
    assert problem.where.endswith(name) and right in problem.hint
    (tmp_path / "experiment_summary.yaml").write_text(FULL)
    assert [p.hint for p in read(tmp_path).problems if p.where.endswith(name)] == [problem.hint]


def test_other_files_beside_a_summary_are_no_summaries(tmp_path: Path) -> None:
    """A copy with another suffix and a table of results are left alone."""
    (tmp_path / "experiment_summary.yaml").write_text(FULL)
    before = read(tmp_path).problems
    for name in ("experiment_summary.yaml.bak", "summary.csv", "experiment_results.yaml"):
        (tmp_path / name).write_text("")
    assert read(tmp_path).problems == before


@pytest.mark.parametrize("written", ["accuracy>=.9", "[accuracy >= 0.9]"])
def test_what_is_expected_is_one_criterion_or_a_list(tmp_path: Path, written: str) -> None:
    """`expect` is read as it is meant, in the words of the criterion."""
    assert small(tmp_path, f"{SMALL}expect: {written}\n").expect == ("accuracy >= 0.9",)


@pytest.mark.parametrize("written", ["accuracy = 1", "[loss < 1, high]", "{a: 1}"])
def test_an_expectation_that_is_no_criterion_is_refused(tmp_path: Path, written: str) -> None:
    """Nothing is planned from a summary that expects what cannot be judged; the line is named."""
    with pytest.raises(ExperimentError) as error:
        small(tmp_path, f"{SMALL}expect: {written}\n")
    assert any("states no criterion" in problem.message for problem in error.value.problems)
