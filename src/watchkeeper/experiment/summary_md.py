"""`experiment_summary.md`: the summary that older experiment folders keep, read into the same draft
as the `.yaml`.

The format, by headings of any level: the title is the experiment's name; Tools (`Model Preparation:
torchtune`, `Evaluation: inspect-ai`; those two where it is missing); All Runs (a table with Run
Name and Type, columns in any order, `-` for what a run has not); Evaluation Tasks (a table with
Task Name and Script); Evaluation Plan (a table of runs by tasks, a table with Run Name, Tasks and
Epochs, or sentences); Configuration: `Epochs` under Training, `Checkpoint directory` and `Naming
pattern` under Output, and, ours, `Results`. Tables of states, which other tools append, say nothing
of the plan.

What is ambiguous costs itself and is told with its line; nothing is guessed. What the whole plan
hangs on stops it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from glob import escape
from pathlib import Path

from msgspec.structs import replace

from watchkeeper.core.errors import ExperimentError, Problem, Severity
from watchkeeper.core.ids import name_fault
from watchkeeper.experiment import sentences
from watchkeeper.experiment.draft import Draft, DraftCell, DraftRun, EvalKey, Output, RunType
from watchkeeper.experiment.sentences import UnreadableError
from watchkeeper.reading import markdown
from watchkeeper.reading.markdown import Row, Section, Table, Text
from watchkeeper.reading.yaml import listed, nearest
from watchkeeper.tools import promise

_RUN = ("run name", "run", "runs", "name")
_TYPE = ("type", "run type")
_TASK = ("task name", "task", "name")
_TASKS = ("tasks", "task", "evaluation tasks")
_EPOCHS = ("epochs", "epoch")
_NO_SETTING = frozenset(
    {
        *_RUN,
        *_TYPE,
        "model",
        "est. time",
        "est time",
        "estimated time",
        "time",
        "notes",
        "status",
        "",
    }
)
_TYPES: Mapping[str, RunType] = {
    "fine-tuned": "fine-tuned", "finetuned": "fine-tuned", "fine-tune": "fine-tuned", "finetune": "fine-tuned",
    "control": "control", "base": "control", "baseline": "control", "base-model": "control", "untrained": "control",
    "eval-only": "eval-only", "evaluation-only": "eval-only",
}  # fmt: skip
_TOOLS: Mapping[str, str] = {
    "inspect": "inspect-ai",
    "inspect-ai": "inspect-ai",
    "torchtune": "torchtune",
    "script": "script",
}
_NOTHING = frozenset({"", "-", "–", "—", "n/a", "na", "none"})
_SAID = re.compile(r"\s*(?P<key>[^:=\n]{1,60}?)\s*[:=]\s*(?P<value>[^\n]*?)\s*")
# Words that plan, whether or not they name what the tables do.
_PLANS = re.compile(r"\bevaluated on\b|^(?:tasks?|runs?)\s*:\s*\S", re.IGNORECASE)
# The names that a pattern's parts have in summaries → ours.
_PARTS = {
    "run_name": "run", "run": "run", "name": "run", "n": "epoch", "epoch": "epoch", "epoch_n": "epoch", "x": "epoch",
    "folder": "folder",
}  # fmt: skip
_MOST_EPOCHS = 10_000


def read(path: Path, data: bytes) -> Draft:
    """What the summary at `path`, holding `data`, asks for.

    Raises:
        ExperimentError: nothing can be planned from it; `problems` holds everything that is wrong
        with it.
    """
    return _Reader(path, markdown.read(path, data)).draft()


class _Reader:
    """One reading. `fatal` are the faults that the whole plan hangs on, `problems` all of them, in
    order found.
    """

    def __init__(self, path: Path, sections: list[Section]) -> None:
        self.path = path
        self.sections = sections
        self.problems: list[Problem] = []
        self.fatal: list[Problem] = []
        self.left_out: dict[tuple[str, str], str] = {}  # ("run" or "task", name) → where it stands

    def draft(self) -> Draft:
        name = self.name()
        preparation, evaluation = self.tools()
        runs = self.runs(self.trained_epochs())
        tasks = self.tasks()
        cells = self.cells(runs, tasks, evaluation)
        output = self.results(self.output(name))
        if evaluation == "script" and cells and not output.result:
            message = "evaluations promise no result: they are judged by their exit code alone"
            hint = (
                "say where results lie, under Output: `Results: {folder}/eval/{cell}/result.json`"
            )
            self.blame(1, message, hint, severity="note")
        if not self.fatal and not runs:
            self.blame(
                1, "no run is left that could be planned", "mend the table of All Runs", fatal=True
            )
        if self.fatal:
            first = self.fatal[0]
            rest = sum(one.severity == "error" for one in self.problems) - 1
            if rest:
                more = f" (and {rest} more)"
            else:
                more = ""
            hint = "mend it, or move it away: the folder is read by its tree then"
            raise ExperimentError(
                f"{first.where}: {first.message}{more}", problems=tuple(self.problems), hint=hint
            )
        return Draft(
            name=name,
            preparation=preparation,
            evaluation=evaluation,
            runs=tuple(runs.values()),
            cells=tuple(cells),
            output=output,
            question=self.words("overview", "question"),
            dataset=self.words("dataset", "path")
            or self.words("resources", "dataset", "dataset path"),
            dataset_facts=self.settings(["dataset"], without=("path", "label", "dataset label")),
            controls=self.settings(["training", "controls"]),
            problems=tuple(self.problems),
        )

    # ── faults and places
    # ──────────────────────────────────────────────────────────────────────────────────────────

    def where(self, line: int) -> str:
        """`path:line`."""
        return f"{self.path}:{line}"

    def blame(
        self,
        line: int,
        message: str,
        hint: str = "",
        *,
        severity: Severity = "error",
        fatal: bool = False,
    ) -> None:
        """Keep a finding; `fatal`: nothing can be planned because of it."""
        problem = Problem(where=self.where(line), message=message, hint=hint, severity=severity)
        self.problems.append(problem)
        if fatal:
            self.fatal.append(problem)

    def column(self, table: Table, names: Sequence[str], what: str) -> int | None:
        """The column of the first of these names that the header has; None if it has none. Two of
        it are ambiguous.
        """
        header = [_key(cell) for cell in table.header]
        for name in names:
            if header.count(name) > 1:
                self.blame(
                    table.line,
                    f"{what}: two columns are named {name!r}",
                    "rename one of them",
                    fatal=True,
                )
            if name in header:
                return header.index(name)
        return None

    def rows(self, table: Table, what: str) -> Iterator[Row]:
        """The rows of a table; what was written beyond its last column is told."""
        for row in table.rows:
            if row.beyond:
                message = (
                    f"{what}: the row has {len(row.cells) + row.beyond} cells, and the header "
                    f"{len(row.cells)}"
                )
                self.blame(row.line, message, "write a | inside a cell as \\|")
            elif any(row.cells):
                yield row

    def said(self, sections: Iterable[Section], *keys: str) -> Iterator[tuple[int, str]]:
        """(line, value) of each `key: value` in these sections whose key is one of these."""
        return ((line, value) for line, key, value in self.pairs(sections) if _key(key) in keys)

    def pairs(self, sections: Iterable[Section]) -> Iterator[tuple[int, str, str]]:
        """(line, key, value) of each `key: value` in these sections, in their text and in tables of
        two columns.
        """
        for section in sections:
            for block in section.blocks:
                if isinstance(block, Text):
                    lines = [
                        (block.line + index, line)
                        for index, line in enumerate(block.text.split("\n"))
                    ]
                else:
                    lines = [(row.line, ": ".join(row.cells[:2])) for row in block.rows]
                for line, text in lines:
                    if match := _SAID.fullmatch(text):
                        yield line, match["key"], match["value"]

    def settings(self, titles: Sequence[str], without: Sequence[str] = ()) -> str:
        """`Epochs 2, Batch size 4`: all that is said there, as it is written."""
        said = self.pairs(markdown.below(self.sections, *titles))
        shown = (
            (" ".join(key.split()).strip(" :*_`"), value)
            for _, key, value in said
            if _key(value) not in _NOTHING
        )
        return ", ".join(
            f"{key} {value}" for key, value in shown if key and _key(key) not in without
        )

    def words(self, section: str, *keys: str) -> str:
        """What a person says there, "" for nothing."""
        value = next(self.said(markdown.below(self.sections, section), *keys), (0, ""))[1]
        if _key(value) in _NOTHING:
            return ""
        return value

    # ── what the whole experiment has
    # ──────────────────────────────────────────────────────────────────────────────

    def name(self) -> str:
        """The title, or the folder's name where there is none that could be one."""
        folder = self.path.parent.name or "experiment"
        title = next((section for section in self.sections if section.level == 1), None)
        if title is None:
            self.blame(
                1,
                f"it has no title: the experiment is named {folder!r}, as its folder",
                "add `# NAME`",
                severity="note",
            )
            return folder
        if fault := name_fault(title.title):
            message = (
                f"the title {title.title!r} cannot name the experiment: {fault}; it is named "
                f"{folder!r}, as its folder"
            )
            self.blame(title.line, message, "give it another title", severity="warning")
            return folder
        return title.title

    def tools(self) -> tuple[str, str]:
        """The tools of preparation and evaluation."""
        sections = [*markdown.below(self.sections, "tools", "tools used")]
        keys = ("model preparation", "preparation", "training", "fine-tuning")
        preparation = self.tool(
            list(self.said(sections, *keys)), promise.PREPARATION_TOOLS, "preparation"
        )
        return preparation, self.tool(
            list(self.said(sections, "evaluation")), promise.EVALUATION_TOOLS, "evaluation"
        )

    def tool(self, said: list[tuple[int, str]], known: tuple[str, ...], what: str) -> str:
        """The one tool that is said; the first of the known ones where nothing is."""
        words = [
            (line, re.split(r"[\s(,]", value.lower().replace("_", "-"))[0]) for line, value in said
        ]
        tools = {_TOOLS.get(word, "") for _, word in words}
        for line, word in words:
            if _TOOLS.get(word, "") not in known:
                near = nearest(word, known)
                hint = (f"did you mean {near!r}? " if near else "") + f"One of: {', '.join(known)}"
                self.blame(line, f"{what}: the tool {word!r} is not known here", hint, fatal=True)
        if len(tools) > 1:
            self.blame(
                words[-1][0],
                f"{what}: two tools are named",
                f"the first stands on line {words[0][0]}",
                fatal=True,
            )
        if len(tools) == 1:
            return next(iter(tools))
        return known[0]

    def trained_epochs(self) -> int | None:
        """How many epochs are trained, as the configuration says; None where it does not."""
        said = list(
            self.said(
                markdown.below(self.sections, "training", "configuration", "controls"), "epochs"
            )
        )
        counts: dict[int, int] = {}
        for line, value in said:
            count = _count(value)
            if count is None:
                message = f"how many epochs are trained cannot be read from {value!r}"
                self.blame(line, message, "write `Epochs: 2`", severity="warning")
            else:
                counts.setdefault(count, line)
        if len(counts) > 1:
            (first, one), (second, other) = list(counts.items())[:2]
            message = (
                f"epochs are said to be {second} here and {first} on line {one}: neither is "
                "believed"
            )
            self.blame(other, message, "say it once", severity="warning")
        if len(counts) == 1:
            return next(iter(counts))
        return None

    # ── runs
    # ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def runs(self, epochs: int | None) -> dict[str, DraftRun]:
        """Name → run, in the tables' order. A run with a fault is left out, and so are two with one
        name.
        """
        found: dict[str, DraftRun] = {}
        first: dict[str, int] = {}
        tables = self.run_tables()
        for table in tables:
            at = self.column(table, _RUN, "All Runs")
            kind = self.column(table, _TYPE, "All Runs")
            own = self.column(table, _EPOCHS, "All Runs")
            if at is None or kind is None:
                message = (
                    f"the table of runs has no column {'Run Name' if at is None else 'Type'!r}"
                )
                hint = f"its columns: {listed([cell or '(none)' for cell in table.header])}"
                self.blame(table.line, message, hint, fatal=True)
                continue
            for row in self.rows(table, "All Runs"):
                name = row.cells[at]
                run = self.run(
                    row, name, row.cells[kind], "" if own is None else row.cells[own], epochs
                )
                if name in first:
                    message = (
                        f"two runs are named {name!r}: the first stands on line {first[name]}; "
                        "both are left out"
                    )
                    self.blame(row.line, message, "give one of them another name")
                    found.pop(name, None)
                elif run is not None:
                    found[name] = replace(run, settings=_settings(table, row))
                if name:
                    first.setdefault(name, row.line)
                if name and name not in found:
                    self.left_out.setdefault(("run", name), self.where(first[name]))
        return found

    def run_tables(self) -> list[Table]:
        """The tables of All Runs, without those of states."""
        places = [*markdown.below(self.sections, "all runs", "runs")]
        tables = [
            block for section in places for block in section.blocks if isinstance(block, Table)
        ]
        planned = [table for table in tables if not _is_of_states(table)]
        if not planned:
            if places:
                line = places[0].line
            else:
                line = 1
            if places:
                message = "section All Runs holds no table of runs"
            else:
                message = "there is no section All Runs"
            torn = next((text for text in _texts(places) if text.text.count("|") > 1), None)
            if torn is not None:
                line, message = (
                    torn.line,
                    (
                        "these lines with | are no table: its second line must be |---|---|, "
                        "as many as columns"
                    ),
                )
            self.blame(
                line, message, "it needs a table with the columns Run Name and Type", fatal=True
            )
        return planned

    def run(self, row: Row, name: str, kind: str, own: str, epochs: int | None) -> DraftRun | None:
        """The run of a row; None, and the fault blamed, where it is left out."""
        if fault := name_fault(name):
            self.blame(
                row.line, f"the run cannot be named {name!r}: {fault}", "give it another name"
            )
            return None
        run_type = _TYPES.get(re.sub(r"[\s_]+", "-", kind.lower().strip()))
        if run_type is None:
            near = nearest(kind.lower(), _TYPES)
            if near:
                hint = f"did you mean {_TYPES[near]!r}?"
            else:
                hint = "one of: Fine-tuned, Control, Eval-only"
            self.blame(row.line, f"the type {kind!r} of run {name!r} is not known", hint)
            return None
        if _key(own) not in _NOTHING:
            count = _count(own)
            if count is None:
                self.blame(
                    row.line,
                    f"how many epochs run {name!r} trains cannot be read from {own!r}",
                    "write a whole number",
                )
                return None
            epochs = count
        if run_type == "fine-tuned":
            trained = epochs
        else:
            trained = None
        return DraftRun(
            name=name, type=run_type, where=self.where(row.line), epochs=tuple(range(trained or 0))
        )

    # ── evaluations
    # ────────────────────────────────────────────────────────────────────────────────────────────────

    def tasks(self) -> dict[str, str]:
        """The tasks' names, each with its script. One with a fault is left out, and so are two with
        one name.
        """
        found: dict[str, str] = {}
        first: dict[str, int] = {}
        for table in self.task_tables():
            at = self.column(table, _TASK, "Evaluation Tasks")
            script = self.column(table, ("script", "task script"), "Evaluation Tasks")
            for row in self.rows(table, "Evaluation Tasks") if at is not None else ():
                name = row.cells[at or 0]
                if fault := name_fault(name):
                    self.blame(
                        row.line,
                        f"the task cannot be named {name!r}: {fault}",
                        "give it another name",
                    )
                elif name in first:
                    message = (
                        f"two tasks are named {name!r}: the first stands on line "
                        f"{first[name]}; both are left out"
                    )
                    self.blame(row.line, message, "give one of them another name")
                    self.left_out.setdefault(("task", name), self.where(first[name]))
                    found.pop(name, None)
                else:
                    first[name] = row.line
                    if script is None:
                        said = ""
                    else:
                        said = row.cells[script]
                    found[name] = "" if _key(said) in _NOTHING else said
        return found

    def task_tables(self) -> Iterator[Table]:
        for section in markdown.below(self.sections, "evaluation tasks", "resources", "tasks"):
            for block in section.blocks:
                if isinstance(block, Table):
                    header = [_key(cell) for cell in block.header]
                else:
                    header = []
                named = (
                    "task name" in header
                    or "task" in header
                    or ("script" in header and "name" in header)
                )
                if isinstance(block, Table) and named and not _is_of_states(block):
                    yield block

    def cells(
        self, runs: Mapping[str, DraftRun], tasks: Mapping[str, str], tool: str
    ) -> list[DraftCell]:
        """The plan's evaluations: of its tables, in their order; of its sentences where it has no
        table.
        """
        sections = [*markdown.below(self.sections, "evaluation plan", "evaluation matrix")]
        tables: list[Table] = []
        for block in (block for section in sections for block in section.blocks):
            if not isinstance(block, Table) or _is_of_states(block):
                continue
            if any(_key(cell) in _RUN for cell in block.header):
                tables.append(block)
            elif any(sentences.is_ticked(cell) for row in block.rows for cell in row.cells):
                message = (
                    "a table of the evaluation plan has no column 'Run Name': nothing of it is "
                    "planned"
                )
                self.blame(
                    block.line, message, "write a row for each run and a column for each task"
                )
        found: dict[EvalKey, DraftCell] = {}
        asked = [pair for table in tables for pair in self.matrix(table, runs, tasks)]
        if not tables:
            asked = [pair for text in _texts(sections) for pair in self.prose(text, runs, tasks)]
        for key, line in asked:
            if key in found:
                message = (
                    f"{key.key} stands in the plan again, first on line "
                    f"{found[key].where.rpartition(':')[2]}"
                )
                self.blame(
                    line, f"{message}; it is planned once", "keep one of them", severity="warning"
                )
                continue
            self.check_epoch(key, runs[key.run], line)
            found[key] = DraftCell(
                key=key, where=self.where(line), tool=tool, script=tasks[key.task]
            )
        if tasks and not found:
            if sections:
                line = sections[0].line
            else:
                line = 1
            if sections:
                message = "the evaluation plan names no evaluation"
            else:
                message = "there are tasks, and no Evaluation Plan"
            hint = "add a table of runs by tasks, with cells like `✓ epoch 0,1`"
            self.blame(line, f"{message}: none is planned", hint, severity="warning")
        return [*found.values()]

    def check_epoch(self, key: EvalKey, run: DraftRun, line: int) -> None:
        """An epoch that is not trained can be evaluated never: it is told, as of the `.yaml`."""
        if run.epochs and key.epoch is not None and key.epoch not in run.epochs:
            message = (
                f"epoch {key.epoch} of run {key.run!r} is evaluated, but it trains "
                f"{len(run.epochs)}: "
            )
            self.blame(
                line,
                message + f"the last is epoch {run.epochs[-1]}",
                "epochs count from 0",
                severity="warning",
            )

    def matrix(
        self, table: Table, runs: Mapping[str, DraftRun], tasks: Mapping[str, str]
    ) -> Iterator[tuple[EvalKey, int]]:
        """A table of the plan: its cells, each with its line."""
        at = self.column(table, _RUN, "the evaluation plan") or 0
        header = [_key(cell) for cell in table.header]
        listing = next(
            (header.index(name) for name in _TASKS if name in header and name not in tasks), None
        )
        if listing is None:
            columns = self.task_columns(table, at, tasks)
        else:
            columns = {}
        if listing is None and not columns and table.rows:
            message = (
                "no column of this table of the evaluation plan is a task: nothing of it is planned"
            )
            self.blame(table.line, message, f"tasks: {listed([*tasks]) or 'none'}")
            return
        for row in self.rows(table, "the evaluation plan"):
            name = row.cells[at]
            run = runs.get(name)
            if run is None:
                self.blame(row.line, *self.unknown("run", name, runs))
                continue
            try:
                if listing is not None:
                    for key in self.listed_row(table, row, run, listing, tasks):
                        yield key, row.line
                    continue
            except UnreadableError as error:
                self.blame(
                    row.line, f"run {name!r}: {error}: nothing of the row is planned", error.hint
                )
                continue
            for column, task in columns.items():
                try:
                    epochs = sentences.cell(row.cells[column], run)
                except UnreadableError as error:
                    self.blame(row.line, f"{name}/{task}: {error}: it is not planned", error.hint)
                    continue
                for epoch in epochs:
                    yield EvalKey(run=name, task=task, epoch=epoch), row.line

    def listed_row(
        self, table: Table, row: Row, run: DraftRun, listing: int, tasks: Mapping[str, str]
    ) -> list[EvalKey]:
        """A row of Run Name, Tasks and Epochs.

        Raises:
            UnreadableError: it cannot be told.
        """
        column = self.column(table, _EPOCHS, "the evaluation plan")
        if column is not None:
            said = row.cells[column]
        else:
            said = ""
        if _key(said) in _NOTHING:
            said = ""
        if _key(row.cells[listing]) in ("all", "all tasks"):
            names = [*tasks]
        else:
            names = row.cells[listing].split(",")
        found: list[EvalKey] = []
        for name in map(str.strip, names):
            if name not in tasks:
                message, hint = self.unknown("task", name, tasks)
                raise UnreadableError(message, hint)
            found += [
                EvalKey(run=run.name, task=name, epoch=epoch)
                for epoch in sentences.of_run(said.lower(), run)
            ]
        return found

    def task_columns(self, table: Table, at: int, tasks: Mapping[str, str]) -> dict[int, str]:
        """Column → the task it is of. A column with ticks that is of none is blamed."""
        found: dict[int, str] = {}
        for index, name in enumerate(table.header):
            if index == at:
                continue
            if name in tasks and name not in found.values():
                found[index] = name
            elif name in tasks:
                self.blame(
                    table.line,
                    f"the plan has two columns of task {name!r}: the second is not planned",
                    "keep one",
                )
            elif any(sentences.is_ticked(row.cells[index]) for row in table.rows):
                message, hint = self.unknown("task", name, tasks)
                self.blame(table.line, f"{message}: its column is not planned", hint)
        return found

    def prose(
        self, text: Text, runs: Mapping[str, DraftRun], tasks: Mapping[str, str]
    ) -> Iterator[tuple[EvalKey, int]]:
        """The sentences of a paragraph: their evaluations, each with its line."""
        for lines, words in sentences.clauses(text.text):
            if not sentences.speaks_of_plan(words, runs, [*tasks]) and not _PLANS.search(words):
                continue
            try:
                for key in sentences.sentence(words, runs, [*tasks]):
                    yield key, text.line + lines
            except UnreadableError as error:
                self.blame(
                    text.line + lines,
                    f"the evaluation plan: {error}: nothing of the sentence is planned",
                    error.hint,
                )

    def unknown(self, what: str, name: str, known: Mapping[str, object]) -> tuple[str, str]:
        """The message and hint of a plan that names a run or task which is not there."""
        if place := self.left_out.get((what, name)):
            return f"{what} {name!r} was left out, and so is its evaluation", f"mend {place}"
        near = nearest(name, sorted(known))
        if near:
            hint = f"did you mean {near!r}?"
        else:
            hint = f"known: {listed(sorted(known)) or 'none'}"
        return f"the evaluation plan names an unknown {what} {name!r}", hint

    # ── output
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def output(self, name: str) -> Output:
        """Where training leaves checkpoints: where newer folders keep them, then what the summary
        says.
        """
        sections = [*markdown.below(self.sections, "output")]
        folder = next(
            self.said(
                sections,
                "checkpoint directory",
                "checkpoint dir",
                "output directory",
                "checkpoints",
            ),
            None,
        )
        pattern = next(self.said(sections, "naming pattern", "pattern", "checkpoint pattern"), None)
        if folder is None and (pattern is None or not pattern[1].startswith("/")):
            return Output()
        folder, pattern = (
            (one[0], re.sub(r"\s+\(.*\)$", "", one[1])) if one else None
            for one in (folder, pattern)
        )
        line, place = folder or (0, "")
        place = place.rstrip("/")
        if pattern is not None:
            tails = [pattern[1].strip("/") if place else pattern[1]]
        elif re.search(r"\{(?:run|run_name|name|folder)\}", place.lower()):
            tails = ["" if re.search(r"\{(?:n|epoch|x)\}", place.lower()) else "epoch_{N}"]
        else:
            tails = ["ck-out-{run}/epoch_{N}", "{experiment_name}/ck-out-{run}/epoch_{N}"]
        found: list[str] = []
        for tail in tails:
            whole = "/".join(filter(None, [place if not tail.startswith("/") else "", tail]))
            made, fault = _pattern(whole, {"experiment_name": name, "output_dir_base": place})
            fault = fault or promise.pattern_fault(
                made, promise.CHECKPOINT_PLACEHOLDERS, absolute=True
            )
            parts = promise.placeholders(made)
            if not fault and ("epoch" not in parts or not {"run", "folder"} & {*parts}):
                fault = "it must name run and epoch, or all would lie in one place"
            if fault:
                hint = "write `Naming pattern: ck-out-{run_name}/epoch_{N}`"
                self.blame(
                    pattern[0] if pattern else line,
                    f"checkpoints cannot lie at {whole!r}: {fault}",
                    hint,
                    fatal=True,
                )
            else:
                found.append(made)
        return Output(checkpoint=tuple(dict.fromkeys([*promise.CHECKPOINT_PATTERNS, *found])))

    def results(self, output: Output) -> Output:
        """The output with where evaluations leave their results, if the summary says so."""
        said = next(
            self.said(
                markdown.below(self.sections, "output"), "results", "result", "result pattern"
            ),
            None,
        )
        if said is None:
            return output
        pattern = said[1].replace("{run_name}", "{run}")
        if fault := promise.pattern_fault(pattern, promise.RESULT_PLACEHOLDERS, absolute=False):
            hint = "write `Results: {folder}/eval/{cell}/result.json`"
            self.blame(said[0], f"results cannot lie at {said[1]!r}: {fault}", hint, fatal=True)
        return replace(output, result=(pattern,), result_where=self.where(said[0]))


def _pattern(text: str, values: Mapping[str, str]) -> tuple[str, str]:
    """Our pattern of a summary's, and why it cannot be one ("" if it can): literal words escaped,
    parts named our way.
    """
    made: list[str] = []
    for index, piece in enumerate(re.split(r"\{([^{}]*)\}", text)):
        if index % 2 == 0:
            made.append(escape(piece))
        elif piece.lower() in _PARTS:
            made.append("{" + _PARTS[piece.lower()] + "}")
        elif piece.lower() in values:
            made.append(escape(values[piece.lower()]))
        else:
            return text, f"{{{piece}}} is not known: {{run_name}} and {{N}} are"
    return "".join(made), ""


def _is_of_states(table: Table) -> bool:
    """Whether it says how jobs stand: the tables that tools append."""
    header = {_key(cell) for cell in table.header}
    return "job id" in header or ("status" in header and not header & {*_TYPE, "script"})


def _settings(table: Table, row: Row) -> str:
    """`LoRA Rank 8, LR 1e-5`: the varying columns of a run, as they are written."""
    pairs = zip(table.header, row.cells, strict=True)
    return ", ".join(
        f"{name} {cell}"
        for name, cell in pairs
        if _key(name) not in _NO_SETTING and _key(cell) not in _NOTHING
    )


def _texts(sections: Sequence[Section]) -> Iterator[Text]:
    return (block for section in sections for block in section.blocks if isinstance(block, Text))


def _key(words: str) -> str:
    """A column's or field's name: lower case, without marks at its ends."""
    return " ".join(words.lower().split()).strip(" :*_`")


def _count(words: str) -> int | None:
    """A whole number of epochs, which may be followed by words in brackets; None if it is none."""
    match = re.fullmatch(r"(\d{1,5})(?:\s*epochs?)?(?:\s*\(.*\))?", words.strip())
    if match and 1 <= int(match[1]) <= _MOST_EPOCHS:
        return int(match[1])
    return None
