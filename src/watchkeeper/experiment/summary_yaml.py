"""`experiment_summary.yaml`: the format that experiment folders already use, and three keys of our
own.

The format: experiment, tools, variables, controls, models, data, output, runs[] and
evaluation{tasks[], matrix[]}. Ours, all optional: `output.checkpoint` and `output.result`, patterns
of where a job leaves what it promises, and `output.dir`, the folder below which older experiments
keep `ck-out-<run>/epoch_<N>`.

A fault in one run, task or row costs that run, task or row. A fault in what the whole plan hangs on
stops the reading, and then every fault is told, not only the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from glob import escape
from pathlib import Path

from msgspec.structs import replace

from watchkeeper.core.errors import ExperimentError, Problem
from watchkeeper.core.ids import name_fault
from watchkeeper.experiment.draft import (
    RUN_TYPES,
    Draft,
    DraftCell,
    DraftRun,
    EvalKey,
    Output,
    RunType,
    estimate_s,
)
from watchkeeper.reading.yaml import (
    Item,
    Schema,
    duplicates,
    fields,
    listed,
    load,
    nearest,
    not_one_of,
    shown,
    wrong_kind,
)
from watchkeeper.tools import promise

_SUMMARY: Schema = {
    "experiment": "mapping!", "tools": "mapping!", "runs": "list!", "evaluation": "mapping", "output": "mapping",
    "controls": "mapping", "variables": "mapping?", "models": "mapping?", "data": "mapping?",
}  # fmt: skip
_EXPERIMENT: Schema = {"name": "text!"} | dict.fromkeys(
    ("project", "question", "date", "dir", "directory", "hypothesis", "purpose"), "any"
)
_TOOLS: Schema = {"preparation": "text!", "evaluation": "text!"}
_OUTPUT: Schema = {"wandb_project": "any", "dir": "text", "checkpoint": "text", "result": "text"}
_RUN: Schema = {
    "name": "text!",
    "type": "text!",
    "model": "any",
    "parameters": "mapping",
    "compute": "mapping?",
}
_EVALUATION: Schema = {
    "tasks": "list", "matrix": "list", "scorers": "list?", "temperature": "number?", "do_sample": "any", "seed": "number?",
    "max_tokens": "number?",
}  # fmt: skip
_TASK: Schema = {"name": "text!"} | dict.fromkeys(
    ("script", "description", "dataset", "eval_condition", "prompt", "system_prompt"), "any"
)
_ROW: Schema = {"run": "text!", "tasks": "list!", "epochs": "value", "vis_label": "any"}

_MOST_EPOCHS = 10_000


def read(path: Path, data: bytes) -> Draft:
    """What the summary at `path`, holding `data`, asks for.

    Raises:
        ExperimentError: nothing can be planned from it; `problems` holds everything that is wrong
        with it.
    """
    return _Reader(load(path, data)).draft()


class _Reader:
    """One reading. `fatal` are the faults that the whole plan hangs on, `problems` all of them, in
    order found.
    """

    def __init__(self, top: Item) -> None:
        self.top = top
        self.problems: list[Problem] = []
        self.fatal: list[Problem] = []
        self.left_out: dict[tuple[str, str], str] = {}  # ("run" or "task", name) → where it stands

    def draft(self) -> Draft:
        top = self.fields(self.top, "the summary", _SUMMARY)
        experiment = self.fields(top.get("experiment"), "experiment", _EXPERIMENT)
        tools = self.fields(top.get("tools"), "tools", _TOOLS)
        preparation = self.choice(tools.get("preparation"), promise.PREPARATION_TOOLS)
        evaluation = self.choice(tools.get("evaluation"), promise.EVALUATION_TOOLS)
        runs = self.runs(top.get("runs"), self.epochs_of(top.get("controls"), "controls"))
        cells = self.cells(top.get("evaluation"), runs, evaluation)
        if "name" in experiment:
            name = self.name(experiment["name"], "experiment")
        else:
            name = ""
        output = self.output(top.get("output"), evaluation, bool(cells))
        single = self.singles(top)
        self.blame(duplicates(self.top, without=single))
        if not self.fatal and not runs:
            self.fatal.append(self.top.problem("no run is left that could be planned"))
        if self.fatal:
            first = self.fatal[0]
            if first in self.problems:
                problems = tuple(self.problems)
            else:
                problems = (*self.problems, first)
            rest = sum(one.severity == "error" for one in problems) - 1
            if rest:
                more = f" (and {rest} more)"
            else:
                more = ""
            raise ExperimentError(f"{first.where}: {first.message}{more}", problems=problems)
        return Draft(
            name=name,
            preparation=preparation,
            evaluation=evaluation,
            runs=tuple(runs.values()),
            cells=tuple(cells),
            output=output,
            question=_words(experiment.get("question")),
            dataset=_dataset(top.get("data")),
            dataset_facts=_dataset_facts(top.get("data")),
            controls=_settings(top.get("controls")),
            problems=tuple(self.problems),
        )

    # ── faults
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def blame(self, problems: list[Problem], *, local: bool = False) -> bool:
        """Keep the findings; `local`: they cost only what they stand in. Whether an error is among
        them.
        """
        self.problems += problems
        errors = [one for one in problems if one.severity == "error"]
        if not local:
            self.fatal += errors
        return bool(errors)

    def fields(self, item: Item | None, what: str, schema: Schema) -> dict[str, Item]:
        """The mapping's values that are of the kind they should be; faults are blamed on the whole
        file.
        """
        if item is None:
            return {}
        values, problems = fields(item, what, schema)
        self.blame(problems)
        return values

    def choice(self, item: Item | None, known: tuple[str, ...]) -> str:
        """One of the known words."""
        if item is not None:
            word = item.text()
        else:
            word = None
        if item is not None and word not in known:
            self.blame([not_one_of(item, known)])
        return word or ""

    def name(self, item: Item, what: str, *, local: bool = False) -> str:
        """A name that can name a folder, "" with a fault blamed where it cannot."""
        name = item.text() or ""
        if fault := name_fault(name):
            problem = item.problem(
                f"the {what} cannot be named {item.words}: {fault}", "give it another name"
            )
            self.blame([problem], local=local)
            return ""
        if item.reads_otherwise_elsewhere():
            message = f"the name {name} is true or false to older readers of YAML"
            self.blame([item.problem(message, f'quote it: "{name}"', severity="warning")])
        return name

    def singles(self, top: Mapping[str, Item]) -> list[Item]:
        """The runs, tasks and rows: each answers for itself."""
        if "evaluation" in top:
            evaluation = top["evaluation"].mapping() or {}
        else:
            evaluation = {}
        lists = [top.get("runs")] + [
            evaluation[key][1] for key in ("tasks", "matrix") if key in evaluation
        ]
        return [one for each in lists if each is not None for one in each.list() or []]

    def epochs_of(self, owner: Item | None, what: str, *, local: bool = False) -> int | None:
        """How many epochs are trained, None where nobody says, 0 where it is wrong (and blamed)."""
        if owner is not None:
            pair = (owner.mapping() or {}).get("epochs")
        else:
            pair = None
        if pair is None or pair[1].is_null:
            return None
        count = pair[1].integer()
        if count is not None and 1 <= count <= _MOST_EPOCHS:
            return count
        message = (
            f"{what}.epochs must be a whole number from 1 to {_MOST_EPOCHS}, not {shown(pair[1])}"
        )
        self.blame([pair[1].problem(message, "say how many epochs are trained: 2")], local=local)
        return 0

    # ── runs
    # ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def runs(self, item: Item | None, epochs: int | None) -> dict[str, DraftRun]:
        """Name → run, in the summary's order. A run with a fault is left out, and so are two with
        one name.
        """
        if item is not None:
            items = item.list() or []
        else:
            items = []
        if item is not None and not items:
            self.blame([item.problem("runs is empty", "name at least one run")])
        found: dict[str, DraftRun] = {}
        first: dict[str, Item] = {}
        for index, one in enumerate(items):
            name, place, run = self.run(one, f"runs[{index}]", epochs)
            if name in first:
                message = (
                    f"two runs are named {name!r}: the first stands on line "
                    f"{first[name].line}; both are left out"
                )
                self.blame([place.problem(message, "give one of them another name")], local=True)
                found.pop(name, None)
            elif run is not None:
                found[name] = run
            if name:
                first.setdefault(name, place)
            if name and name not in found:
                self.left_out.setdefault(("run", name), first[name].where)
        return found

    def run(self, item: Item, what: str, epochs: int | None) -> tuple[str, Item, DraftRun | None]:
        """Its name ("" if it has none) and where that stands, and the run: None where it is left
        out.
        """
        values, problems = fields(item, what, _RUN)
        wrong = self.blame(problems + duplicates(item), local=True)
        if "name" in values:
            name = self.name(values["name"], "run", local=True)
        else:
            name = ""
        place = values.get("name", item)
        if "type" in values:
            kind = values["type"].text()
        else:
            kind = None
        if "type" in values and kind not in RUN_TYPES:
            wrong = self.blame([not_one_of(values["type"], RUN_TYPES)], local=True)
        own = self.epochs_of(values.get("parameters"), f"{what}.parameters", local=True)
        if wrong or not name or own == 0:
            return name, place, None
        run_type: RunType = next(one for one in RUN_TYPES if one == kind)
        if run_type == "fine-tuned":
            if own is None:
                trained = epochs
            else:
                trained = own
        else:
            trained = None
        if "compute" in values:
            compute = values["compute"].mapping() or {}
        else:
            compute = {}
        run = DraftRun(
            name=name,
            type=run_type,
            where=place.where,
            epochs=tuple(range(trained or 0)),
            settings=_settings(values.get("parameters")),
            estimate_s=estimate_s(compute["time"][1].scalar() or "") if "time" in compute else None,
        )
        return name, place, run

    # ── evaluations
    # ────────────────────────────────────────────────────────────────────────────────────────────────

    def cells(self, item: Item | None, runs: Mapping[str, DraftRun], tool: str) -> list[DraftCell]:
        """The matrix's cells in its order: rows, then tasks, then epochs."""
        values = self.fields(item, "evaluation", _EVALUATION)
        tasks = self.tasks(values.get("tasks"))
        if "matrix" in values:
            rows = values["matrix"].list() or []
        else:
            rows = []
        if item is not None and not rows:
            message = "evaluation has no matrix: no evaluation is planned"
            self.blame([item.problem(message, "add evaluation.matrix", severity="warning")])
        elif "tasks" not in values and "matrix" in values:
            message = (
                "the matrix names tasks, but there is no evaluation.tasks: no evaluation is planned"
            )
            self.blame([values["matrix"].problem(message, "add evaluation.tasks")], local=True)
            rows = []
        found: dict[EvalKey, DraftCell] = {}
        lines: dict[EvalKey, int] = {}
        for index, row in enumerate(rows):
            for key, place in self.row(row, f"matrix[{index}]", runs, tasks):
                if key in found:
                    message = (
                        f"{key.key} stands in the matrix again, first on line {lines[key]}; it "
                        "is planned once"
                    )
                    self.blame([place.problem(message, "keep one of them", severity="warning")])
                    continue
                found[key] = DraftCell(
                    key=key, where=place.where, tool=tool, script=tasks[key.task]
                )
                lines[key] = place.line
        return list(found.values())

    def tasks(self, item: Item | None) -> dict[str, str]:
        """The tasks' names, each with its script. One with a fault is left out, and so are two with
        one name.
        """
        found: dict[str, str] = {}
        first: dict[str, Item] = {}
        for index, one in enumerate((item.list() or []) if item is not None else []):
            values, problems = fields(one, f"tasks[{index}]", _TASK)
            wrong = self.blame(problems + duplicates(one), local=True)
            if "name" in values:
                name = self.name(values["name"], "task", local=True)
            else:
                name = ""
            if not name:
                continue
            place = values["name"]
            if name in first:
                message = (
                    f"two tasks are named {name!r}: the first stands on line "
                    f"{first[name].line}; both are left out"
                )
                self.blame([place.problem(message, "give one of them another name")], local=True)
            first.setdefault(name, place)
            if wrong or first[name] is not place:
                found.pop(name, None)
                self.left_out.setdefault(("task", name), first[name].where)
            else:
                found[name] = (values["script"].text() or "") if "script" in values else ""
        return found

    def row(
        self, item: Item, what: str, runs: Mapping[str, DraftRun], tasks: Mapping[str, str]
    ) -> list[tuple[EvalKey, Item]]:
        """A row's cells, each with its place. What is wrong in it costs that task or epoch, or the
        whole row.
        """
        values, problems = fields(item, what, _ROW)
        if self.blame(problems + duplicates(item), local=True):
            return []
        name = values["run"].text() or ""
        run = runs.get(name)
        if run is None:
            self.blame([self.unknown(values["run"], "run", runs)], local=True)
            return []
        epochs = self.row_epochs(item, values.get("epochs"), run, what)
        cells = []
        for place in values["tasks"].list() or []:
            task = place.text()
            if task is None:
                self.blame([wrong_kind(place, f"{what}.tasks", "text", "error")], local=True)
            elif task not in tasks:
                self.blame([self.unknown(place, "task", tasks)], local=True)
            else:
                cells += [(EvalKey(run=name, task=task, epoch=epoch), place) for epoch in epochs]
        return cells

    def row_epochs(
        self, row: Item, item: Item | None, run: DraftRun, what: str
    ) -> list[int | None]:
        """The epochs of a row: [None] for a run that trains none."""
        if item is not None:
            places = item.list()
        else:
            places = None
        if run.type != "fine-tuned":
            if item is None or item.is_null:
                return [None]
            message = (
                f"run {run.name!r} is of type {run.type}: it trains no epochs, and {what} "
                "names some"
            )
            self.blame([item.problem(message, "write epochs: null")], local=True)
            return []
        if not places:
            if item is not None:
                named = f"not {shown(item)}"
            else:
                named = "and there is none"
            message = (
                f"{what}.epochs must be a list of epochs of the fine-tuned run {run.name!r}, "
                f"{named}"
            )
            self.blame(
                [(item or row).problem(message, "write epochs: [0, 1]; they count from 0")],
                local=True,
            )
            return []
        epochs: list[int | None] = []
        for place in places:
            epoch = place.integer()
            if epoch is None or epoch < 0:
                message = (
                    f"an epoch of {what} must be a whole number, 0 or more, not {shown(place)}"
                )
                self.blame([place.problem(message, "epochs count from 0: [0, 1]")], local=True)
                continue
            if run.epochs and epoch not in run.epochs:
                message = (
                    f"epoch {epoch} of run {run.name!r} is evaluated, but it trains "
                    f"{len(run.epochs)}: "
                )
                message += f"the last is epoch {run.epochs[-1]}"
                self.blame([place.problem(message, "epochs count from 0", severity="warning")])
            epochs.append(epoch)
        return epochs

    def unknown(self, item: Item, what: str, known: Mapping[str, object]) -> Problem:
        """The fault of a row that names a run or task which is not there."""
        name = item.text() or ""
        if place := self.left_out.get((what, name)):
            return item.problem(
                f"{what} {name!r} was left out, and so is its evaluation", f"mend {place}"
            )
        near = nearest(name, sorted(known))
        if near:
            hint = f"did you mean {near!r}?"
        else:
            hint = f"known: {listed(sorted(known)) or 'none'}"
        return item.problem(f"the matrix names an unknown {what} {name!r}", hint)

    # ── output
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def output(self, item: Item | None, tool: str, evaluates: bool) -> Output:
        """The patterns of what jobs leave."""
        values = self.fields(item, "output", _OUTPUT)
        output = Output()
        if "dir" in values:
            folder = escape((values["dir"].text() or "").rstrip("/"))
            older = f"{folder}/{promise.OLDER_CHECKPOINT_PATTERN}"
            self.pattern(
                values["dir"], "output.dir", older, promise.CHECKPOINT_PLACEHOLDERS, absolute=True
            )
            output = replace(output, checkpoint=(*output.checkpoint, older))
        if "checkpoint" in values:
            given = values["checkpoint"]
            pattern = given.text() or ""
            self.pattern(
                given, "output.checkpoint", pattern, promise.CHECKPOINT_PLACEHOLDERS, absolute=True
            )
            output = replace(output, checkpoint=(pattern,), checkpoint_where=given.where)
        if "result" in values:
            given = values["result"]
            pattern = given.text() or ""
            self.pattern(
                given, "output.result", pattern, promise.RESULT_PLACEHOLDERS, absolute=False
            )
            output = replace(output, result=(pattern,), result_where=given.where)
        elif tool == "script" and evaluates:
            message = "evaluations promise no result: they are judged by their exit code alone"
            hint = 'say where results lie: output.result: "{folder}/eval/{cell}/result.json"'
            self.blame([(item or self.top).problem(message, hint, severity="note")])
        return output

    def pattern(
        self, item: Item, what: str, pattern: str, known: tuple[str, ...], *, absolute: bool
    ) -> None:
        """Blame a pattern that cannot be one."""
        if fault := promise.pattern_fault(pattern, known, absolute=absolute):
            self.blame(
                [item.problem(f"{what} cannot be {item.words}: {fault}", "mend the pattern")]
            )


# ── a person's words
# ───────────────────────────────────────────────────────────────────────────────────────────────


def _words(item: Item | None) -> str:
    """A value's words on one line, "" for none, null, a list or a mapping."""
    if item is not None:
        return " ".join((item.scalar() or "").split())
    return ""


def _training_data(data: Item | None) -> Mapping[str, Item]:
    if data is not None:
        training = (data.mapping() or {}).get("training")
    else:
        training = None
    if training is not None:
        fields = training[1].mapping() or {}
    else:
        fields = {}
    return {key: value for key, (_, value) in fields.items()}


def _dataset(data: Item | None) -> str:
    """`data.training.path`, the training data as the person named it."""
    return _words(_training_data(data).get("path"))


def _dataset_facts(data: Item | None) -> str:
    """What else `data.training` says, as it is written: `format numpy, train 1347, test 450`."""
    found = []
    for key, value in _training_data(data).items():
        if key == "splits":
            found.append(_settings(value))
        elif key not in ("path", "dataset_label"):
            found.append(f"{key} {words}" if (words := _words(value)) else "")
    return ", ".join(filter(None, found))


def _settings(item: Item | None) -> str:
    """`lora_rank 8, learning_rate 1.0e-05`: a run's parameters as they are written."""
    if item is not None:
        pairs = item.mapping() or {}
    else:
        pairs = {}
    return ", ".join(
        f"{key} {words}" for key, (_, value) in pairs.items() if (words := _words(value))
    )
