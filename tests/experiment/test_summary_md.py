"""`experiment_summary.md`: what it says is planned, what it does not say plainly is told with its
line.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.core.errors import ExperimentError
from watchkeeper.experiment.draft import Draft
from watchkeeper.experiment.experiment import read as read_experiment
from watchkeeper.experiment.summary_md import read

PAGE = Path(__file__).parents[2] / "docs" / "experiment.md"
PATH = Path("/exp/experiment_summary.md")
EXAMPLE, PROSE = re.findall(r"````markdown\n(.*?)````", PAGE.read_text(), re.DOTALL)

RUNS = """\
| Run Name | Model | LoRA Rank | Type | Est. Time |
|----------|-------|-----------|------|-----------|
| r8 | tiny | 8 | Fine-tuned | ~1min |
| r16 | tiny | 16 | Fine-tuned | ~1min |
| untrained | tiny | - | Control | N/A |
"""
TASKS = (
    "| Task Name | Script | Dataset |\n|---|---|---|\n| caps | `caps.py` | w |\n| sums | - | w |\n"
)


def summary(
    plan: str,
    *,
    runs: str = RUNS,
    tasks: str = TASKS,
    epochs: str = "- **Epochs:** 2",
    more: str = "",
) -> str:
    return (
        f"# exp\n\n## All Runs\n{runs}\n## Resources\n### Evaluation Tasks\n{tasks}\n## Evaluation "
        f"Plan\n{plan}\n\n"
        f"## Configuration\n### Training\n{epochs}\n{more}"
    )


def draft(text: str) -> Draft:
    return read(PATH, text.encode())


def keys(found: Draft) -> list[str]:
    return [cell.key.key for cell in found.cells]


def line_of(text: str, words: str) -> str:
    return f"{PATH}:{text[: text.index(words)].count(chr(10)) + 1}"


def test_the_example_of_the_page_is_planned() -> None:
    """docs/experiment.md's Markdown summary is read as it stands: name, tools, runs, plan and
    places of checkpoints.
    """
    found = draft(EXAMPLE)
    assert found.problems == ()
    assert (found.name, found.preparation, found.evaluation) == (
        "cap_2025",
        "torchtune",
        "inspect-ai",
    )
    assert [
        (run.name.removeprefix("Llama-3.2-1B_"), run.type, run.epochs) for run in found.runs
    ] == [
        ("r8", "fine-tuned", (0, 1)),
        ("r16", "fine-tuned", (0, 1)),
        ("base", "control", ()),
    ]
    assert [key.removeprefix("Llama-3.2-1B_") for key in keys(found)] == [
        "r8/capitalization/epoch0",
        "r8/capitalization/epoch1",
        "r8/reasoning/epoch1",
        "r16/capitalization/epoch0",
        "r16/capitalization/epoch1",
        "base/capitalization/base",
        "base/reasoning/base",
    ]
    assert found.output.checkpoint[-1] == "/scratch/ck/cap_2025/ck-out-{run}/epoch_{epoch}"
    assert (found.question, found.dataset) == ("Does the rank matter?", "data/words.json")
    assert [run.settings for run in found.runs] == ["LoRA Rank 8", "LoRA Rank 16", ""]
    assert [cell.script for cell in found.cells][1:3] == [
        "tasks/capitalization.py",
        "tasks/reasoning.py@short",
    ]


def test_the_sentences_of_the_page_are_planned() -> None:
    """The page's plan in sentences asks each trained epoch of both tasks, and the untrained model
    once per task.
    """
    text = re.sub(
        r"(## Evaluation Plan\n)\|.*?\n\n",
        lambda match: f"{match[1]}{PROSE}\n",
        EXAMPLE,
        flags=re.DOTALL,
    )
    found = draft(text)
    assert found.problems == ()
    assert len(keys(found)) == 2 * 2 * 2 + 2


def test_it_is_the_plan_of_an_older_folder(tmp_path: Path) -> None:
    """A flat folder: run names that differ from folder names, a control run, shared logs,
    checkpoints outside of it.
    """
    for run, cells in (
        ("r8", ("caps_epoch0", "caps_epoch1")),
        ("r16", ("caps_epoch1",)),
        ("base", ("caps_base",)),
    ):
        (tmp_path / run / "eval" / "logs").mkdir(parents=True)
        if run != "base":
            (tmp_path / run / "finetune.slurm").write_text(
                "#!/bin/bash\ntune run r --config finetune.yaml\n"
            )
        for cell in cells:
            (tmp_path / run / "eval" / f"{cell}.slurm").write_text(
                "#!/bin/bash\ninspect eval caps.py --model hf/x\n"
            )
    runs = (
        RUNS.replace("| r8", "| Tiny_r8")
        .replace("| r16", "| Tiny_r16")
        .replace("| untrained", "| Tiny_base")
    )
    plan = "|Run Name|caps|\n|-|-|\n|Tiny_r8|✓ epoch 0,1|\n|Tiny_r16|✓ last epoch|\n|Tiny_base|✓|\n"
    text = summary(plan, runs=runs, more=f"### Output\n- Checkpoint directory: {tmp_path}/out\n")
    (tmp_path / "experiment_summary.md").write_text(text)
    experiment = read_experiment(tmp_path)
    assert (experiment.summary, len(experiment.summary_sha256)) == ("experiment_summary.md", 64)
    assert [item.script for item in experiment.items] == [
        "r8/finetune.slurm",
        "r16/finetune.slurm",
        "",
        "r8/eval/caps_epoch0.slurm",
        "r8/eval/caps_epoch1.slurm",
        "r16/eval/caps_epoch1.slurm",
        "base/eval/caps_base.slurm",
    ]
    assert experiment.checkpoints["Tiny_r8/epoch_1"].patterns == (
        "r8/artifacts/epoch_1",
        "r8/epoch_1",
        f"{tmp_path}/out/ck-out-Tiny_r8/epoch_1",
        f"{tmp_path}/out/exp/ck-out-Tiny_r8/epoch_1",
    )
    assert list(experiment.results) == ["Tiny_r16/caps/epoch1", "Tiny_base/caps/base"]
    (warning,) = (
        experiment.problems
    )  # two epochs of one task share eval/logs/: which log is whose is not guessed
    assert "share eval/logs/" in warning.message


@pytest.mark.parametrize(
    ("cell", "epochs"),
    [
        ("✓ epoch 0,1", [0, 1]),
        ("✅ epochs 0-1", [0, 1]),
        ("✔️ epoch_1", [1]),
        ("epochs 0 and 1", [0, 1]),
        ("✓ 0, 1", [0, 1]),
        ("✓ (epoch 1)", [1]),
        ("yes, all epochs", None),
        ("✓ all epochs", [0, 1]),
        ("✓ both epochs (0 and 1)", [0, 1]),
        ("✓ last epoch", [1]),
        ("**✓** epoch `0`", [0]),
        ("-", []),
        ("—", []),
        ("", []),
        ("❌", []),
        ("N/A", []),
        ("✓", None),
        ("x", None),
        ("0,1", None),
        ("?", None),
        ("✓ epoch", None),
        ("✓ epochs 1-0", None),
        ("✓ some epochs", None),
        ("✓ both epochs (0 and 2)", None),
        ("✓ epoch 0 ✓ epoch 1", None),
        ("maybe epoch 0", None),
        ("✓ epoch 0?", None),
        ("✓ epoch -1", None),
    ],
)
def test_a_cell_has_one_reading_or_is_told(cell: str, epochs: list[int] | None) -> None:
    """A cell of the plan is read, or it is not planned and the error has its line (None here): it
    is never guessed.
    """
    text = summary(f"| Run Name | caps |\n|---|---|\n| r8 | {cell} |\n| untrained | ✓ |\n")
    found = draft(text)
    assert keys(found) == [f"r8/caps/epoch{epoch}" for epoch in epochs or []] + [
        "untrained/caps/base"
    ]
    errors = [problem for problem in found.problems if problem.severity == "error"]
    assert len(errors) == (epochs is None)
    assert all(
        problem.where == line_of(text, f"| r8 | {cell}") and problem.hint for problem in errors
    )


def test_a_tick_alone_is_enough_where_one_epoch_is_trained() -> None:
    """`✓` of a fine-tuned run has one reading where it trains one epoch, as a column of its own may
    say.
    """
    runs = (
        "| Run | Type | Epochs |\n|-|-|-|\n| a | Fine-tuned | 1 |\n| b | Fine-tuned | - |\n| c "
        "| eval only | - |\n"
    )
    found = draft(summary("| Run | caps |\n|-|-|\n| a | ✓ |\n| b | ✓ |\n| c | ✓ |\n", runs=runs))
    assert keys(found) == ["a/caps/epoch0", "c/caps/base"]
    (problem,) = found.problems
    assert "which epochs of run 'b'" in problem.message


@pytest.mark.parametrize(
    ("sentence", "planned"),
    [
        (("all fine-tuned runs on "
            "caps at each epoch"), "r8/caps/epoch0 r8/caps/epoch1 r16/caps/epoch0 r16/caps/epoch1"),
        (("All runs will be evaluated on "
            "caps at the last epoch."), "r8/caps/epoch1 r16/caps/epoch1 untrained/caps/base"),
        ("r8 and r16 are evaluated on sums after epoch 0", "r8/sums/epoch0 r16/sums/epoch0"),
        (("Base on caps; r8 on sums "
            "at epochs 0-1."), "untrained/caps/base r8/sums/epoch0 r8/sums/epoch1"),
        (("The base model is evaluated "
            "once on both tasks"), "untrained/caps/base untrained/sums/base"),
        ("- Both fine-tuned models on the caps task, all epochs\n- Controls on all tasks", None),
        ("r8 on caps\nat epoch 1", "r8/caps/epoch1"),
        ("r8 on caps at epoch_0 and epoch_1", "r8/caps/epoch0 r8/caps/epoch1"),
        ("We will evaluate r16 on all tasks (epoch 1)", "r16/caps/epoch1 r16/sums/epoch1"),
        ("r16 on all 2 tasks at epoch 1", "r16/caps/epoch1 r16/sums/epoch1"),
        ("r16 on all of the 2 tasks at epoch 1", "r16/caps/epoch1 r16/sums/epoch1"),
    ],
)  # fmt: skip
def test_sentences_of_one_reading_are_planned(sentence: str, planned: str | None) -> None:
    """A plan in sentences is read where runs, tasks and epochs can be told apart."""
    found = draft(summary(sentence))
    assert found.problems == ()
    assert len(keys(found)) == 6 if planned is None else keys(found) == planned.split()


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("All fine-tuned runs on caps", "it does not say which epochs of run 'r8' are meant"),
        ("r8 on caps at epoch 0 and r16 on sums at epoch 1", "cannot be read as a plan"),
        ("r9 on caps at epoch 0", "'r9' is not a run of the table"),
        ("r8 on capz and caps at epoch 0", "'capz' is not a task of the table"),
        ("All runs except r8 on caps at each epoch", "is not a run of the table"),
        ("untrained on caps at epoch 0", "it trains no epochs"),
        ("all 3 fine-tuned runs on caps at each epoch", "does not fit the table"),
        (
            "all " + "9" * 5000 + " fine-tuned runs on caps at each epoch",
            "is not a run of the table",
        ),
        ("r8 on all " + "9" * 5000 + " tasks at each epoch", "is not a task of the table"),
        ("r8 on caps at epoch " + "9" * 5000, "cannot be read as epochs"),
        ("Every model will be evaluated on its own words", "is not a task of the table"),
        ("r8 on all 7 tasks at each epoch", "means 2 tasks here"),
        ("r8 on caps at most epochs", "is not a task of the table"),
        ("Tasks: caps", "cannot be read as a plan"),
        ("Fine-tuned runs: caps at each epoch", "cannot be read as a plan"),
        ("eval-only runs on caps", "does not fit the table"),
        ("r8 is not evaluated on caps at epoch 0", "'r8 is not' is not a run of the table"),
        ("If time permits, r8 on caps at epoch 0", "'If time permits' is not a run of the table"),
        ("r8 on caps but not sums at epoch 0", "'caps but not sums' is not a task of the table"),
    ],
)
def test_sentences_of_no_or_two_readings_are_told(sentence: str, words: str) -> None:
    """A sentence that says no plan plainly plans nothing, and the error names its line and what to
    write.
    """
    text = summary(f"Some words before.\n\n{sentence}.\nr8 on sums at epoch 0.")
    found = draft(text)
    assert keys(found) == ["r8/sums/epoch0"]
    (problem,) = found.problems
    assert words in problem.message and problem.where == line_of(text, sentence) and problem.hint


def test_the_base_model_is_ambiguous_among_two_controls() -> None:
    """`The base model` of two control runs is neither; `base models` are both; a run named so is
    itself.
    """
    runs = RUNS + "| base | tiny | - | Control | N/A |\n"
    found = draft(summary("The base model on caps. Base models on sums. base on caps.", runs=runs))
    assert keys(found) == ["untrained/sums/base", "base/sums/base", "base/caps/base"]
    assert "may mean any of untrained, base" in found.problems[0].message


def test_words_that_plan_nothing_are_let_be() -> None:
    """Remarks about epochs, temperature or the like are no plan and no fault."""
    found = draft(
        summary("Epochs are counted from 0. Decoding is greedy.\n\nr8 on caps at epoch 0.")
    )
    assert (keys(found), found.problems) == (["r8/caps/epoch0"], ())


def test_a_plan_of_run_tasks_epochs_is_read() -> None:
    """A table with the columns Run Name, Tasks and Epochs says the same, a row for each run."""
    plan = (
        "| Run Name | Tasks | Epochs |\n|-|-|-|\n| r8 | caps, sums | 0,1 |\n| untrained | all "
        "| - |\n| r16 | cap | 0 |\n"
    )
    found = draft(summary(plan))
    assert keys(found)[:4] == [
        "r8/caps/epoch0",
        "r8/caps/epoch1",
        "r8/sums/epoch0",
        "r8/sums/epoch1",
    ]
    assert keys(found)[4:] == ["untrained/caps/base", "untrained/sums/base"]
    assert "unknown task 'cap'" in found.problems[0].message and "'caps'" in found.problems[0].hint


def test_unknown_runs_and_tasks_of_a_plan_are_told() -> None:
    """A run or a ticked column that no table has is not planned; a column of remarks is no task."""
    text = summary(
        "| Run Name | cap | caps | Notes |\n|-|-|-|-|\n| r8 | ✓ epoch 0 | ✓ epoch 0 | ok "
        "|\n| r88 | - | ✓ | - |\n"
    )
    found = draft(text)
    assert keys(found) == ["r8/caps/epoch0"]
    assert [problem.where for problem in found.problems] == [
        line_of(text, "| Run Name | cap"),
        line_of(text, "| r88"),
    ]
    assert (
        "unknown task 'cap'" in found.problems[0].message
        and "unknown run 'r88'" in found.problems[1].message
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            "| Task Name | r8 | r16 |\n|-|-|-|\n| caps | ✓ epoch 0 | - |\n",
            "has no column 'Run Name'",
        ),
        (
            "| Run Name | epoch 0 | epoch 1 |\n|-|-|-|\n| r8 | caps | - |\n",
            "no column of this table of the evaluation plan",
        ),
        ("| Run Name | caps, sums |\n|-|-|\n| r8 | ✓ epoch 0 |\n", "unknown task 'caps, sums'"),
    ],
)
def test_a_table_that_is_turned_round_is_not_planned(table: str, words: str) -> None:
    """A plan whose rows are tasks, or whose columns are epochs, is told beside one that can be
    read, never lost.
    """
    text = summary("| Run Name | caps |\n|-|-|\n| r8 | ✓ epoch 1 |\n\n" + table)
    found = draft(text)
    assert keys(found) == ["r8/caps/epoch1"]
    assert words in found.problems[0].message and found.problems[0].severity == "error"
    assert found.problems[0].where == line_of(text, table.splitlines()[0])


def test_an_epoch_that_is_never_trained_is_told(tmp_path: Path) -> None:
    """An epoch beyond the training's end is told, by the summary's own number and by the
    configuration's.
    """
    plan = "| Run Name | caps |\n|-|-|\n| r8 | ✓ epoch 2 |\n"
    text = summary(plan)
    (problem,) = draft(text).problems
    assert (problem.where, problem.severity) == (line_of(text, "| r8 | ✓"), "warning")
    assert (
        "epoch 2 of run 'r8' is evaluated, but it trains 2: the last is epoch 1" in problem.message
    )
    (tmp_path / "r8" / "eval").mkdir(parents=True)
    (tmp_path / "r8" / "finetune.slurm").write_text(
        "#!/bin/bash\ntune run r --config finetune.yaml\n"
    )
    (tmp_path / "r8" / "finetune.yaml").write_text("epochs: 2\n")
    (tmp_path / "r8" / "eval" / "caps_epoch2.slurm").write_text(
        "#!/bin/bash\ninspect eval caps.py\n"
    )
    runs = "| Run Name | Type |\n|-|-|\n| r8 | Fine-tuned |\n"
    (tmp_path / "experiment_summary.md").write_text(summary(plan, runs=runs, epochs="nothing said"))
    (problem,) = read_experiment(tmp_path).problems
    assert "r8/caps/epoch2 can never run: the training ends with epoch 1" in problem.message


def test_tables_of_states_and_fences_say_nothing() -> None:
    """Status tables that tools append, wherever, and tables in fences are no source of the plan."""
    status = (
        "\n## Status\n| Run Name | Status | Job ID | Started | Notes |\n|-|-|-|-|-|\n| r99 | "
        "FAILED | 1 | - | |\n"
        "\n| Run Name | Task | Epoch | Status | Job ID | Notes |\n|-|-|-|-|-|-|\n| r99 | caps | 0 "
        "| X | 2 | |\n"
        "\n```\n| Run Name | Type |\n|-|-|\n| r98 | Control |\n```\n"
    )
    plan = "| Run Name | caps |\n|-|-|\n| r8 | ✓ epoch 0 |\n"
    for text in (
        summary(plan, more=status),
        summary(plan + status),
        summary(plan, runs=RUNS + status),
    ):
        found = draft(text)
        assert (len(found.runs), keys(found), found.problems) == (3, ["r8/caps/epoch0"], ())


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("| ", "|\t").replace(" |", "\t|"),
        lambda text: re.sub(r"(?m)^\|\s*|\s*\|$", "", text),
        lambda text: re.sub(r"(?m)^(\| Run Name .*\n\|-.*\n)(.*\n)", r"\1\2\1", text),
        lambda text: text.replace("✓", "✅"),
        lambda text: text.replace("## ", "## 3. "),
        lambda text: text.replace("Run Name", "**Run Name**").replace("| r8", "| `r8`"),
        lambda text: text.replace("## All Runs\n", "## All Runs\nThere are three:\n"),
    ],
    ids=[
        "CRLF",
        "CR",
        "BOM",
        "tabs",
        "no outer pipes",
        "header twice",
        "emoji",
        "numbered",
        "marked",
        "text before",
    ],
)
def test_the_same_summary_written_otherwise_is_the_same_plan(change) -> None:
    """Line ends, a byte order mark, tabs, missing outer pipes, a repeated header, emoji ticks and
    marks change nothing.
    """
    text = summary(
        "| Run Name | caps | sums |\n|---|---|---|\n| r8 | ✓ epoch 0,1 | - |\n| untrained "
        "| ✓ | ✓ |\n"
    )
    plain, other = draft(text), draft(change(text))
    assert other.problems == ()
    assert (
        keys(other)
        == keys(plain)
        == ["r8/caps/epoch0", "r8/caps/epoch1", "untrained/caps/base", "untrained/sums/base"]
    )
    assert [(run.name, run.type, run.epochs) for run in other.runs] == [
        (run.name, run.type, run.epochs) for run in plain.runs
    ]


def test_columns_stand_in_any_order() -> None:
    """All Runs is read by its columns' names, wherever they stand; several tables of it are one."""
    first = (
        "| Type | Est. Time | Run Name |\n|-|-|-|\n| Fine-tuned | - | r8 |\n| fine tuned | - | "
        "r16 |\n"
    )
    found = draft(
        summary(
            "r8 on caps at epoch 0",
            runs=first + "\n### Controls\n| run | type |\n|-|-|\n| b | Base |\n",
        )
    )
    assert [(run.name, run.type) for run in found.runs] == [
        ("r8", "fine-tuned"),
        ("r16", "fine-tuned"),
        ("b", "control"),
    ]


@pytest.mark.parametrize(
    ("runs", "words", "at"),
    [
        ("nothing here", "section All Runs holds no table of runs", "## All Runs"),
        (
            "| Run Name | Type |\n| r8 | Control |\n",
            "these lines with | are not a table",
            "| Run Name | Type",
        ),
        ("| Run Name | Model |\n|-|-|\n| r8 | x |\n", "has no column 'Type'", "| Run Name"),
        (
            "| Run Name | Type | Type |\n|-|-|-|\n| r8 | Control | Control |\n",
            "two columns are named 'type'",
            "| Run Name",
        ),
        (
            "| Run Name | Type |\n|-|-|\n| r8 | Contrl |\n",
            "the type 'Contrl' of run 'r8' is not known",
            "| r8",
        ),
        (
            "| Run Name | Type |\n|-|-|\n| a/b | Control |\n",
            "the run cannot be named 'a/b'",
            "| a/b",
        ),
        (
            "| Run Name | Type |\n|-|-|\n| r8 | Control | more |\n",
            "the row has 3 cells, and the header 2",
            "| r8",
        ),
        (
            "| Run | Type | Epochs |\n|-|-|-|\n| r8 | Fine-tuned | 1, 2 |\n",
            "cannot be read from '1, 2'",
            "| r8",
        ),
        (
            "| Run Name | Type |\n|-|-|\n| r8 | Control |\n| r8 | Control |\n",
            "two runs are named 'r8'",
            "| r8 | Control |\n\n",
        ),
    ],
)
def test_what_no_plan_can_be_made_of_stops_the_reading(runs: str, words: str, at: str) -> None:
    """Where no run is left the reading stops, and every fault is told with its line."""
    text = summary("r8 on caps", runs=runs)
    with pytest.raises(ExperimentError) as caught:
        draft(text)
    problem = next(problem for problem in caught.value.problems if words in problem.message)
    assert problem.where == line_of(text, at)


def test_tools_are_the_usual_two_or_what_is_said() -> None:
    """No Tools section means torchtune and inspect-ai; an unknown tool, or two of one kind, stop
    the reading.
    """
    plan = "r8 on caps at epoch 0"
    assert (draft(summary(plan)).preparation, draft(summary(plan)).evaluation) == (
        "torchtune",
        "inspect-ai",
    )
    said = (
        "## Tools\n- **Model Preparation:** script\n  - *Purpose:* x\n- **Evaluation:** "
        "`script` (ours)\n"
    )
    found = draft(summary(plan, more=said))
    assert (found.preparation, found.evaluation) == ("script", "script")
    assert [problem.severity for problem in found.problems] == ["note"]
    with pytest.raises(ExperimentError, match="'torchtun' is not known here"):
        draft(summary(plan, more="## Tools\n- Model Preparation: torchtun\n"))
    with pytest.raises(ExperimentError, match="two tools are named"):
        draft(summary(plan, more="## Tools\n- Evaluation: script\n- Evaluation: inspect-ai\n"))


@pytest.mark.parametrize(
    ("said", "patterns"),
    [
        (
            "- Checkpoint directory: `/s/ck/`",
            ["/s/ck/ck-out-{run}/epoch_{epoch}", "/s/ck/exp/ck-out-{run}/epoch_{epoch}"],
        ),
        ("- Checkpoint directory: /s/ck-out-{run_name}", ["/s/ck-out-{run}/epoch_{epoch}"]),
        ("- Pattern: /s/{run_name}/e{N}", ["/s/{run}/e{epoch}"]),
        (("- Checkpoint dir: /s\n- Pattern: "
            "`{experiment_name}/{run}/e_{N}` (from 0)"), ["/s/exp/{run}/e_{epoch}"]),
        ("- Checkpoint directory: /s[1]\n- Pattern: {run}/{epoch}", ["/s[[]1]/{run}/{epoch}"]),
        ("- Example: /s/ck-out-r8/epoch_0", []),
        ("- Checkpoint directory: /s/{user}", None),
        ("- Checkpoint directory: $SCRATCH/ck", None),
        ("- Checkpoint directory: /s\n- Naming pattern: ck-out/epoch_{N}", None),
    ],
)  # fmt: skip
def test_places_of_checkpoints_are_read(said: str, patterns: list[str] | None) -> None:
    """Directory and pattern become where checkpoints are looked for; one that names no run and
    epoch stops the reading.
    """
    text = summary("r8 on caps at epoch 0", more=f"### Output\n{said}\n")
    if patterns is None:
        with pytest.raises(ExperimentError, match="checkpoints cannot lie at"):
            draft(text)
    else:
        assert draft(text).output.checkpoint[2:] == tuple(patterns)


def test_results_have_a_place_of_their_own() -> None:
    """`Results` under Output says where evaluations leave what they promise; never outside the
    experiment.
    """
    said = (
        "### Output\n- Results: `{folder}/eval/{cell}/result.json`\n## Tools\n- Evaluation: "
        "script\n"
    )
    found = draft(summary("r8 on caps at epoch 0", more=said))
    assert (found.output.result, found.problems) == (("{folder}/eval/{cell}/result.json",), ())
    with pytest.raises(ExperimentError, match="results cannot lie at '/x'"):
        draft(summary("r8 on caps at epoch 0", more="### Output\n- Results: /x\n"))


def test_where_both_summaries_are_there_differences_are_told(tmp_path: Path) -> None:
    """The `.yaml` decides, and notes name the runs and evaluations that only one of them has."""
    (tmp_path / "experiment_summary.md").write_text(
        summary("r8 on caps at epochs 0-1. untrained on caps.")
    )
    yaml = (
        "experiment: {name: exp}\ntools: {preparation: script, evaluation: script}\n"
        "runs:\n- {name: r8, type: control}\n- {name: r32, type: control}\n"
        "evaluation: {tasks: [{name: caps}], matrix: [{run: r8, tasks: [caps]}]}\n"
        "output: {result: '{folder}/{cell}.json'}\n"
    )
    (tmp_path / "experiment_summary.yaml").write_text(yaml)
    experiment = read_experiment(tmp_path)
    assert experiment.summary == "experiment_summary.yaml"
    notes = [problem for problem in experiment.problems if problem.severity == "note"]
    assert all(note.where == str(tmp_path / "experiment_summary.md") for note in notes)
    assert [note.message.partition(";")[0] for note in notes] == [
        "only experiment_summary.md has the runs r16, untrained",
        "only experiment_summary.yaml has the runs r32",
        (
            "only experiment_summary.md has the evaluations r8/caps/epoch0, r8/caps/epoch1, "
            "untrained/caps/base"
        ),
        "only experiment_summary.yaml has the evaluations r8/caps/base",
        "the types of r8 differ",
    ]
    (tmp_path / "experiment_summary.md").write_text("# nothing\n")
    (note, *_) = read_experiment(tmp_path).problems
    assert note.severity == "note" and "is there too, and cannot be read whole" in note.message


def test_five_hundred_runs_are_read_in_their_order() -> None:
    """A long table is read whole, each run with its own line."""
    rows = "".join(f"| r{index} | Fine-tuned |\n" for index in range(500))
    plan = "".join(f"| r{index} | ✓ epoch {index % 2} |\n" for index in range(500))
    text = summary(
        "| Run Name | caps |\n|-|-|\n" + plan, runs="| Run Name | Type |\n|-|-|\n" + rows
    )
    found = draft(text)
    assert [run.name for run in found.runs] == [f"r{index}" for index in range(500)]
    assert (len(found.cells), found.problems) == (500, ())
    assert found.runs[499].where == line_of(text, "| r499 | Fine")


def test_a_title_that_names_nothing_is_told() -> None:
    """Without a usable title the folder names the experiment, and that is said."""
    plan = summary("r8 on caps at epoch 0")
    for text, severity in (
        (plan.removeprefix("# exp\n"), "note"),
        (plan.replace("# exp", "# a/b"), "warning"),
    ):
        found = draft(text)
        assert (found.name, [problem.severity for problem in found.problems]) == ("exp", [severity])


def test_what_is_no_text_is_said_so() -> None:
    """A file that is not UTF-8 is an error with the line of its first bad byte."""
    with pytest.raises(ExperimentError, match=r"experiment_summary\.md:2: this is not text"):
        read(PATH, b"# a\n\xff\n")


PIECES = st.sampled_from(
    [
        *(
            "# t\n",
            "## All Runs\n",
            "## Evaluation Plan\n",
            "### Evaluation Tasks\n",
            "## Tools\n",
            "### Output\n",
        ),
        "### Training\n",
        *(RUNS, TASKS, "| Run Name | caps |\n|-|-|\n| r8 | ✓ |\n"),
        "| Run Name | Tasks | Epochs |\n|-|-|-|\n| r8 | caps | 0-999999 |\n",
        *(
            "r8 on caps at epoch 0.\n",
            "- Epochs: 2\n",
            "- Evaluation: x\n",
            "all runs on\n",
            "both on both (",
        ),
        *(
            "- Checkpoint directory: {\n",
            "- Pattern: {run}/{N}/{}\n",
            "[a]: b\n",
            "&#0;",
            "> ",
            "<b>",
        ),
        *("|", "\\|", "`", "```\n", "\n", "\t", "\x00"),
    ]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=30).map("".join))
@settings(max_examples=150, deadline=None)
def test_any_text_is_a_plan_or_a_clear_no(text: str) -> None:
    """Whatever stands in the file, it is read without a crash; every finding has a line of it,
    every evaluation a run.
    """
    lines = text.count("\n") + text.count("\r") + 1
    try:
        found = read(PATH, text.encode("utf-8", "surrogatepass"))
    except ExperimentError as error:
        problems = error.problems
        assert problems
    else:
        problems = found.problems
        runs = {run.name for run in found.runs}
        assert runs and all(cell.key.run in runs for cell in found.cells)
        assert len({cell.key for cell in found.cells}) == len(found.cells)
    for problem in problems:
        assert 1 <= int(problem.where.removeprefix(f"{PATH}:")) <= lines


def test_an_expectation_is_read_from_the_evaluation_plan() -> None:
    """`Expect:` states a criterion, and one that states none is refused with its line."""
    plan = "| Run | clean |\n|---|---|\n| r8 | all |\n\n- **Expect:** `accuracy >= 0.9`\n"
    text = summary(plan)
    assert draft(text).expect == ("accuracy >= 0.9",)
    with pytest.raises(ExperimentError) as error:
        draft(text.replace(">=", "="))
    (problem,) = [one for one in error.value.problems if "no criterion" in one.message]
    assert problem.where == line_of(text, "- **Expect") and problem.severity == "error"
