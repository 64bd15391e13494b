"""`experiment_summary.yaml`: the format that experiment folders already use, and four keys of our
own.

The format: experiment, tools, variables, controls, models, data, output, runs[] and
evaluation{tasks[], matrix[]}. Ours, all optional: `output.checkpoint` and `output.result`, patterns
of where a job leaves what it promises, `output.checkpoint_formats`, suffixes of weights beside the
usual ones, and `output.dir`, the folder below which older experiments keep
`ck-out-<run>/epoch_<N>`.

A run, task or row with a fault is left out. A fault that leaves nothing to plan stops the reading,
and then every fault is reported, not only the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from glob import escape
from pathlib import Path

from msgspec.structs import replace

from watchkeeper.core import criteria
from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.core.ids import name_fault
from watchkeeper.experiment import kept_drafts
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
from watchkeeper.experiment.faults import NO_RUN, Faults, repeated, untrained_epoch
from watchkeeper.reading.yaml import (
    Located,
    Schema,
    duplicates,
    fields,
    load,
    not_one_of,
    shown,
    wrong_kind,
)
from watchkeeper.tools import promise

_SUMMARY: Schema = {
    "experiment": "mapping!", "tools": "mapping!", "runs": "list!", "evaluation": "mapping",
    "output": "mapping", "controls": "mapping", "variables": "mapping?", "models": "mapping?",
    "data": "mapping?", "expect": "any",
}  # fmt: skip
_EXPERIMENT: Schema = {"name": "text!"} | dict.fromkeys(
    ("project", "question", "date", "dir", "directory", "hypothesis", "purpose"), "any"
)
_TOOLS: Schema = {"preparation": "text!", "evaluation": "text!"}
_OUTPUT: Schema = {
    "wandb_project": "any",
    "dir": "text",
    "checkpoint": "text",
    "checkpoint_formats": "list",
    "result": "text",
    "contract": "text",
}
_RUN: Schema = {
    "name": "text!",
    "type": "text",
    "model": "any",
    "parameters": "mapping",
    "compute": "mapping?",
    "script": "text",
    "args": "list",
    "workdir": "text",
    "needs": "list",
    "outputs": "list",
}
_EVALUATION: Schema = {
    "tasks": "list", "matrix": "list", "scorers": "list?", "temperature": "number?",
    "do_sample": "any", "seed": "number?", "max_tokens": "number?",
}  # fmt: skip
_TASK: Schema = {"name": "text!"} | dict.fromkeys(
    ("script", "description", "dataset", "eval_condition", "prompt", "system_prompt"), "any"
)
_ROW: Schema = {"run": "text!", "tasks": "list!", "epochs": "value", "vis_label": "any"}

_MOST_EPOCHS = 10_000
_MOST_KEPT = 8
_TYPE_HINT = "add `type:`, or `script:` for a job that trains nothing"
# The placeholders of a pattern, and whether it may be absolute.
_CHECKPOINT = (promise.CHECKPOINT_PLACEHOLDERS, True)
_RESULT = (promise.RESULT_PLACEHOLDERS, False)


@lru_cache(maxsize=_MOST_KEPT)
def read(path: Path, data: bytes) -> Draft:
    """What the summary at `path`, whose content is `data`, asks for. The last few are kept: who
    follows an experiment reads it again and again.

    Raises:
        ExperimentError: nothing can be planned from it; `problems` holds everything that is wrong
            with it.
    """
    return kept_drafts.draft_of(path, data, _read)


def _read(path: Path, data: bytes) -> Draft:
    """What `read` gives, read anew."""
    return _Reader(load(path, data)).draft()


class _Reader:
    """One reading, and the faults met in it."""

    def __init__(self, top: Located) -> None:
        self.top = top
        self.faults = Faults()

    def draft(self) -> Draft:
        """The whole draft. Its problems are in it, as far as something can be planned.

        Raises:
            ExperimentError: a fault leaves nothing to plan.
        """
        top = self.fields(self.top, "the summary", _SUMMARY)
        experiment = self.fields(top.get("experiment"), "experiment", _EXPERIMENT)
        tools = self.fields(top.get("tools"), "tools", _TOOLS)
        preparation = self.choice(tools.get("preparation"), promise.PREPARATION_TOOLS)
        evaluation = self.choice(tools.get("evaluation"), promise.EVALUATION_TOOLS)
        runs = self.runs(top.get("runs"), self.epochs_of(top.get("controls"), "controls"))
        cells = self.cells(top.get("evaluation"), runs, evaluation)
        name = self.name(experiment.get("name"), "experiment")
        expect = self.expect(top.get("expect"))
        output = self.output(top.get("output"))
        if evaluation == "script" and cells and not output.result:
            message = "evaluations promise no result: they are judged by their exit code alone"
            hint = 'say where results lie: output.result: "{folder}/eval/{cell}/result.json"'
            place = top.get("output") or self.top
            self.blame(place.problem(message, hint, severity="note"))
        self.blame(*duplicates(self.top, without=_judged_alone(top)))
        if not self.faults.fatal and not runs:
            self.blame(self.top.problem(NO_RUN))
        self.faults.raise_fatal()
        data = top.get("data")
        return Draft(
            name=name,
            preparation=preparation,
            evaluation=evaluation,
            runs=tuple(runs.values()),
            cells=tuple(cells),
            output=output,
            question=_text_of(experiment.get("question")),
            dataset=_text_of(_training_data(data).get("path")),
            dataset_facts=_dataset_facts(data),
            controls=_settings(top.get("controls")),
            expect=expect,
            problems=tuple(self.faults.problems),
        )

    # ── faults

    def blame(self, *problems: Problem, is_local: bool = False) -> bool:
        """Keep problems. Errors among them leave nothing to plan, unless `is_local`: then only what
        they stand in is left out. Returns whether there are errors.
        """
        has_errors = False
        for problem in problems:
            is_error = problem.severity == "error"
            has_errors = has_errors or is_error
            self.faults.keep(problem, is_fatal=is_error and not is_local)
        return has_errors

    def fields(self, item: Located | None, what: str, schema: Schema) -> dict[str, Located]:
        """The mapping's values that are of the kind they should be; other ones are fatal faults."""
        if item is None:
            return {}
        values, problems = fields(item, what, schema)
        self.blame(*problems)
        return values

    def choice(self, item: Located | None, known: tuple[str, ...]) -> str:
        """One of the known words, "": there is none."""
        if item is None:
            return ""
        word = item.text()
        if word not in known:
            self.blame(not_one_of(item, known))
        return word or ""

    def name(self, item: Located | None, what: str, *, is_local: bool = False) -> str:
        """A name that can name a folder; "" where it cannot, or there is none."""
        if item is None:
            return ""
        name = item.text() or ""
        if fault := name_fault(name):
            message = f"the {what} cannot be named {item.words}: {fault}"
            self.blame(item.problem(message, "give it another name"), is_local=is_local)
            return ""
        if item.reads_otherwise_elsewhere():
            message = f"the name {name} is true or false to older readers of YAML"
            self.blame(item.problem(message, f'quote it: "{name}"', severity="warning"))
        return name

    def epochs_of(self, owner: Located | None, what: str, *, is_local: bool = False) -> int | None:
        """How many epochs are trained by the mapping `owner`; None: it does not say, 0: its number
        is wrong.
        """
        _, item = _mapping_of(owner).get("epochs", (None, None))
        if item is None or item.is_null:
            return None
        count = item.integer()
        if count is not None and 1 <= count <= _MOST_EPOCHS:
            return count
        message = (
            f"{what}.epochs must be a whole number from 1 to {_MOST_EPOCHS}, not {shown(item)}"
        )
        problem = item.problem(message, "say how many epochs are trained: 2")
        self.blame(problem, is_local=is_local)
        return 0

    def expect(self, item: Located | None) -> tuple[str, ...]:
        """The criteria of `expect`: one, or a list of them. One that cannot be read is a fault; so
        nobody counts on a criterion that nothing holds the results to.
        """
        if item is None or item.is_null:
            return ()
        texts = []
        for one in item.list() or [item]:
            text = one.text() or ""
            try:
                texts.append(criteria.parse(text).words)
            except UsageError as error:
                self.blame(one.problem(f"expect: {error}", error.hint))
        return tuple(texts)

    # ── runs

    def runs(self, item: Located | None, epochs: int | None) -> dict[str, DraftRun]:
        """Name → run, in the summary's order. A run with a fault is left out, and so are two of one
        name.
        """
        items = _list_of(item)
        if item is not None and not items:
            self.blame(item.problem("runs is empty", "name at least one run"))
        runs: dict[str, DraftRun] = {}
        first_places: dict[str, Located] = {}
        for index, run_item in enumerate(items):
            name, place, run = self.run(run_item, f"runs[{index}]", epochs)
            if name in first_places:
                message = repeated("run", name, first_places[name].line)
                problem = place.problem(message, "give one of them another name")
                self.blame(problem, is_local=True)
                runs.pop(name, None)
            elif run is not None:
                runs[name] = run
            if name:
                first_places.setdefault(name, place)
            if name and name not in runs:
                self.faults.leave_out("run", name, first_places[name].where)
        return runs

    def run(
        self, item: Located, what: str, epochs: int | None
    ) -> tuple[str, Located, DraftRun | None]:
        """A run's name ("": it has none), where that stands, and the run: None where it is left
        out.
        """
        values, problems = fields(item, what, _RUN)
        is_wrong = self.blame(*problems, *duplicates(item), is_local=True)
        name = self.name(values.get("name"), "run", is_local=True)
        place = values.get("name", item)
        run_type = self.run_type(item, what, values)
        own = self.epochs_of(values.get("parameters"), f"{what}.parameters", is_local=True)
        if is_wrong or run_type is None or not name or own == 0:
            return name, place, None
        # What a run says of its own epochs counts before what is the same in all runs.
        trained = own
        if own is None:
            trained = epochs
        if run_type != "fine-tuned":
            trained = None
        estimate = None
        _, time = _mapping_of(values.get("compute")).get("time", (None, None))
        if time is not None:
            estimate = estimate_s(time.scalar() or "")
        run = DraftRun(
            name=name,
            type=run_type,
            where=place.where,
            epochs=tuple(range(trained or 0)),
            settings=_settings(values.get("parameters")),
            estimate_s=estimate,
            script=self.path(values.get("script"), f"{what}.script"),
            args=self.texts(values.get("args"), f"{what}.args"),
            workdir=self.path(values.get("workdir"), f"{what}.workdir"),
            needs=self.texts(values.get("needs"), f"{what}.needs"),
            outputs=self.patterns(values.get("outputs"), f"{what}.outputs"),
        )
        return name, place, run

    def path(self, item: Located | None, what: str) -> str:
        """A path, relative to the experiment or absolute; "" for none, or a faulty one."""
        if item is None:
            return ""
        path = item.text() or ""
        if fault := promise.path_fault(path):
            message = f"{what} cannot be {item.words}: {fault}"
            self.blame(item.problem(message, "correct the path"), is_local=True)
            return ""
        return path

    def texts(self, item: Located | None, what: str) -> tuple[str, ...]:
        """A list of words; numbers are taken as they are written, `1e-3` as `1e-3`. An entry that
        is neither is a fault.
        """
        words: list[str] = []
        for entry in _list_of(item):
            word = entry.scalar()
            if word is None or entry.is_null:
                self.blame(wrong_kind(entry, what, "text", "error"), is_local=True)
            else:
                words.append(word)
        return tuple(words)

    def patterns(self, item: Located | None, what: str) -> tuple[str, ...]:
        """The patterns of files that a run must leave. A pattern that cannot be used is a fault."""
        patterns = self.texts(item, what)
        for pattern in patterns:
            if fault := promise.path_fault(pattern):
                message = f"{what} cannot hold {pattern!r}: {fault}"
                hint = "write a path relative to the folder that the run runs in, or absolute"
                place = item or self.top
                self.blame(place.problem(message, hint), is_local=True)
        return patterns

    def run_type(self, run: Located, what: str, values: Mapping[str, Located]) -> RunType | None:
        """The type of a run; None: it has none, or an unknown one. One that names its script need
        not say that it is a job.
        """
        item = values.get("type")
        if item is None:
            if "script" in values:
                return "job"
            self.blame(run.problem(f"{what} has no 'type'", _TYPE_HINT), is_local=True)
            return None
        word = item.text()
        for run_type in RUN_TYPES:
            if run_type == word:
                return run_type
        self.blame(not_one_of(item, RUN_TYPES), is_local=True)
        return None

    # ── evaluations

    def cells(
        self, item: Located | None, runs: Mapping[str, DraftRun], tool: str
    ) -> list[DraftCell]:
        """The matrix's cells in its order: rows, then tasks, then epochs."""
        values = self.fields(item, "evaluation", _EVALUATION)
        tasks = self.tasks(values.get("tasks"))
        rows = _list_of(values.get("matrix"))
        if item is not None and not rows:
            message = "evaluation has no matrix: no evaluation is planned"
            self.blame(item.problem(message, "add evaluation.matrix", severity="warning"))
        elif rows and "tasks" not in values:
            message = (
                "the matrix names tasks, but there is no evaluation.tasks: no evaluation is planned"
            )
            problem = values["matrix"].problem(message, "add evaluation.tasks")
            self.blame(problem, is_local=True)
            rows = []
        cells: dict[EvalKey, DraftCell] = {}
        lines: dict[EvalKey, int] = {}
        for index, row in enumerate(rows):
            for key, place in self.row(row, f"matrix[{index}]", runs, tasks):
                if key in cells:
                    message = (
                        f"{key.key} stands in the matrix again, first on line {lines[key]}; it "
                        "is planned once"
                    )
                    self.blame(place.problem(message, "keep one of them", severity="warning"))
                    continue
                cells[key] = DraftCell(
                    key=key, where=place.where, tool=tool, script=tasks[key.task]
                )
                lines[key] = place.line
        return list(cells.values())

    def tasks(self, item: Located | None) -> dict[str, str]:
        """Task → its script, "": none is named. A task with a fault is left out, and so are two of
        one name.
        """
        tasks: dict[str, str] = {}
        first_places: dict[str, Located] = {}
        for index, task_item in enumerate(_list_of(item)):
            values, problems = fields(task_item, f"tasks[{index}]", _TASK)
            is_wrong = self.blame(*problems, *duplicates(task_item), is_local=True)
            name = self.name(values.get("name"), "task", is_local=True)
            if not name:
                continue
            place = values["name"]
            if name in first_places:
                message = repeated("task", name, first_places[name].line)
                problem = place.problem(message, "give one of them another name")
                is_wrong = self.blame(problem, is_local=True)
            first_places.setdefault(name, place)
            if is_wrong:
                tasks.pop(name, None)
                self.faults.leave_out("task", name, first_places[name].where)
            else:
                tasks[name] = ""
                if "script" in values:
                    tasks[name] = values["script"].text() or ""
        return tasks

    def row(
        self, item: Located, what: str, runs: Mapping[str, DraftRun], tasks: Mapping[str, str]
    ) -> list[tuple[EvalKey, Located]]:
        """A row's cells, each with its place. A fault leaves out the task or epoch that it is in,
        or the whole row.
        """
        values, problems = fields(item, what, _ROW)
        if self.blame(*problems, *duplicates(item), is_local=True):
            return []
        run = runs.get(values["run"].text() or "")
        if run is None:
            self.blame(self.unknown(values["run"], "run", runs), is_local=True)
            return []
        epochs = self.row_epochs(item, values.get("epochs"), run, what)
        cells: list[tuple[EvalKey, Located]] = []
        for place in _list_of(values["tasks"]):
            task = place.text()
            if task is None:
                self.blame(wrong_kind(place, f"{what}.tasks", "text", "error"), is_local=True)
            elif task not in tasks:
                self.blame(self.unknown(place, "task", tasks), is_local=True)
            else:
                keys = [EvalKey(run=run.name, task=task, epoch=epoch) for epoch in epochs]
                cells += [(key, place) for key in keys]
        return cells

    def row_epochs(
        self, row: Located, item: Located | None, run: DraftRun, what: str
    ) -> list[int | None]:
        """The epochs of a row: [None] for a run that trains none."""
        if run.type != "fine-tuned":
            return self.no_epochs(item, run, what)
        places = _list_of(item)
        if not places:
            value = "and there is none"
            if item is not None:
                value = f"not {shown(item)}"
            message = (
                f"{what}.epochs must be a list of epochs of the fine-tuned run {run.name!r}, "
                f"{value}"
            )
            problem = (item or row).problem(message, "write epochs: [0, 1]; they count from 0")
            self.blame(problem, is_local=True)
            return []
        epochs: list[int | None] = []
        for place in places:
            epoch = place.integer()
            if epoch is None or epoch < 0:
                message = (
                    f"an epoch of {what} must be a whole number, 0 or more, not {shown(place)}"
                )
                problem = place.problem(message, "epochs count from 0: [0, 1]")
                self.blame(problem, is_local=True)
                continue
            if run.epochs and epoch not in run.epochs:
                message = untrained_epoch(run.name, epoch, run.epochs)
                self.blame(place.problem(message, "epochs count from 0", severity="warning"))
            epochs.append(epoch)
        return epochs

    def no_epochs(self, item: Located | None, run: DraftRun, what: str) -> list[int | None]:
        """[None], what is evaluated of a run that trains no epochs; [] where its row names some."""
        if item is None or item.is_null:
            return [None]
        message = (
            f"run {run.name!r} is of type {run.type}: it trains no epochs, and {what} names some"
        )
        self.blame(item.problem(message, "write epochs: null"), is_local=True)
        return []

    def unknown(self, item: Located, kind: str, known: Mapping[str, object]) -> Problem:
        """The fault of a row that names a "run" or "task" which is not there."""
        name = item.text() or ""
        return item.problem(*self.faults.describe_unknown(kind, name, known, "the matrix"))

    # ── output

    def output(self, item: Located | None) -> Output:
        """The patterns of what jobs leave."""
        values = self.fields(item, "output", _OUTPUT)
        output = Output()
        if "dir" in values:
            folder = escape((values["dir"].text() or "").rstrip("/"))
            older = f"{folder}/{promise.OLDER_CHECKPOINT_PATTERN}"
            self.check_pattern(values["dir"], "output.dir", older, *_CHECKPOINT)
            output = replace(output, checkpoint=(*output.checkpoint, older))
        if "checkpoint" in values:
            item = values["checkpoint"]
            pattern = item.text() or ""
            self.check_pattern(item, "output.checkpoint", pattern, *_CHECKPOINT)
            output = replace(output, checkpoint=(pattern,), checkpoint_where=item.where)
        if "checkpoint_formats" in values:
            formats = self.checkpoint_formats(values["checkpoint_formats"])
            output = replace(output, checkpoint_formats=formats)
        if "result" in values:
            item = values["result"]
            pattern = item.text() or ""
            self.check_pattern(item, "output.result", pattern, *_RESULT)
            output = replace(output, result=(pattern,), result_where=item.where)
        if "contract" in values:
            output = replace(output, contract=self.contract(values["contract"]))
        return output

    def contract(self, item: Located) -> str:
        """The file with what is declared of every checkpoint; "" for one that cannot be."""
        name = item.text() or ""
        fault = promise.path_fault(name)
        if not fault and not name.endswith((".toml", ".json")):
            fault = "it is neither .toml nor .json"
        if not fault:
            return name
        message = f"output.contract cannot be {item.words}: {fault}"
        self.blame(item.problem(message, "name a file beside the summary: contract.toml"))
        return ""

    def checkpoint_formats(self, item: Located) -> tuple[str, ...]:
        """The suffixes of weights that the experiment adds to the usual ones."""
        what = "output.checkpoint_formats"
        entries = _list_of(item)
        if len(entries) > promise.MOST_FORMATS:
            message = f"{what} lists {len(entries)} suffixes, at most {promise.MOST_FORMATS} count"
            self.blame(item.problem(message, "list the suffixes of weights only"))
            return ()
        suffixes: list[str] = []
        for entry in entries:
            suffix = entry.text()
            if suffix is None:
                fault = "it is not text"
            else:
                fault = promise.format_fault(suffix)
                suffixes.append(suffix)
            if fault:
                message = f"{what} cannot hold {entry.words}: {fault}"
                self.blame(entry.problem(message, "write suffixes: [.ubj, .onnx]"))
        return tuple(dict.fromkeys(suffixes))

    def check_pattern(
        self, item: Located, what: str, pattern: str, placeholders: tuple[str, ...], absolute: bool
    ) -> None:
        """Keep the fault of a pattern that cannot be used."""
        if fault := promise.pattern_fault(pattern, placeholders, absolute=absolute):
            message = f"{what} cannot be {item.words}: {fault}"
            self.blame(item.problem(message, "correct the pattern"))


def _judged_alone(top: Mapping[str, Located]) -> list[Located]:
    """The runs, tasks and rows, whose duplicate keys are faults of theirs alone."""
    items = list(_list_of(top.get("runs")))
    evaluation = _mapping_of(top.get("evaluation"))
    for key in ("tasks", "matrix"):
        if key in evaluation:
            items += _list_of(evaluation[key][1])
    return items


def _list_of(item: Located | None) -> Sequence[Located]:
    """The members of a list; () for anything else."""
    if item is None:
        return ()
    return item.list() or ()


def _mapping_of(item: Located | None) -> Mapping[str, tuple[Located, Located]]:
    """Key → (key, value) of a mapping; {} for anything else."""
    if item is None:
        return {}
    return item.mapping() or {}


# ── texts for people


def _text_of(item: Located | None) -> str:
    """A value on one line; "" for none, null, a list or a mapping."""
    if item is None:
        return ""
    return " ".join((item.scalar() or "").split())


def _training_data(data: Located | None) -> Mapping[str, Located]:
    """`data.training`, which names the training data, as key → value; {} where it is no mapping."""
    _, training = _mapping_of(data).get("training", (None, None))
    return {key: value for key, (_, value) in _mapping_of(training).items()}


def _dataset_facts(data: Located | None) -> str:
    """What else `data.training` says, as it is written: `format numpy, train 1347, test 450`."""
    facts: list[str] = []
    for key, value in _training_data(data).items():
        text = _text_of(value)
        if key == "splits":
            facts.append(_settings(value))
        elif key not in ("path", "dataset_label") and text:
            facts.append(f"{key} {text}")
    return ", ".join(filter(None, facts))


def _settings(item: Located | None) -> str:
    """`lora_rank 8, learning_rate 1.0e-05`: a run's parameters as they are written."""
    settings: list[str] = []
    for key, (_, value) in _mapping_of(item).items():
        text = _text_of(value)
        if text:
            settings.append(f"{key} {text}")
    return ", ".join(settings)
