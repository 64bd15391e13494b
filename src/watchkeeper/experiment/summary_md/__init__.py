"""`experiment_summary.md`: the summary that older experiment folders keep, read into the same draft
as the `.yaml`.

The format, by headings of any level: the title is the experiment's name; Tools (`Model Preparation:
torchtune`, `Evaluation: inspect-ai`; those two where it is missing); All Runs (a table with Run
Name and Type, columns in any order, `-` for what a run does not have); Evaluation Tasks (a table
with Task Name and Script); Evaluation Plan (a table of runs by tasks, a table with Run Name, Tasks
and Epochs, or sentences); Configuration: `Epochs` under Training, `Checkpoint directory` and
`Naming pattern` under Output, and, ours, `Results`; ours too, `Expect: accuracy >= 0.9` under
Evaluation or Expectations. Tables of states, which other tools append, are
not part of the plan.

What is ambiguous is left out and reported with its line; nothing is guessed. A fault that leaves
nothing to plan stops the reading.
"""

from __future__ import annotations

from pathlib import Path

from watchkeeper.experiment.draft import Draft
from watchkeeper.experiment.faults import NO_RUN
from watchkeeper.experiment.summary_md.header import (
    read_expect,
    read_name,
    read_tools,
    read_trained_epochs,
)
from watchkeeper.experiment.summary_md.output import read_output
from watchkeeper.experiment.summary_md.page import Page
from watchkeeper.experiment.summary_md.plan import read_cells
from watchkeeper.experiment.summary_md.runs import read_runs
from watchkeeper.experiment.summary_md.tasks import read_tasks
from watchkeeper.reading import markdown


def read(path: Path, data: bytes) -> Draft:
    """What the summary at `path`, whose content is `data`, asks for.

    Raises:
        ExperimentError: nothing can be planned from it; `problems` holds everything that is wrong
            with it.
    """
    page = Page(path, markdown.read(path, data))
    name = read_name(page)
    preparation, evaluation = read_tools(page)
    runs = read_runs(page, read_trained_epochs(page))
    tasks = read_tasks(page)
    cells = read_cells(page, runs, tasks, evaluation)
    output = read_output(page, name)
    if evaluation == "script" and cells and not output.result:
        page.blame(
            1,
            "evaluations promise no result: they are judged by their exit code alone",
            "say where results lie, under Output: `Results: {folder}/eval/{cell}/result.json`",
            severity="note",
        )
    if not page.faults.fatal and not runs:
        page.blame(1, NO_RUN, "fix the table of All Runs", is_fatal=True)
    page.faults.raise_fatal(
        "fix the file, or remove it to have the experiment read from its folder tree"
    )
    expect = read_expect(page)
    page.faults.raise_fatal()
    dataset = page.text("dataset", "path")
    return Draft(
        name=name,
        preparation=preparation,
        evaluation=evaluation,
        runs=tuple(runs.values()),
        cells=tuple(cells),
        output=output,
        question=page.text("overview", "question"),
        dataset=dataset or page.text("resources", "dataset", "dataset path"),
        dataset_facts=page.settings(["dataset"], without=("path", "label", "dataset label")),
        controls=page.settings(["training", "controls"]),
        expect=expect,
        problems=tuple(page.faults.problems),
    )
