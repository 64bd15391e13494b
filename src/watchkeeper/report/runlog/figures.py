"""What a run log says in figures and settings, as people spell them: `lr=1e-3`, `12k steps`, `final
loss: 0.19`. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

import msgspec

from watchkeeper.core.events import Number
from watchkeeper.core.text.figures import canonical
from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.dates import moment, runtime
from watchkeeper.report.runlog.document import Field, Item, Section, deep
from watchkeeper.report.runlog.file import SECRET
from watchkeeper.report.runlog.read import CONFIG, END, RUNTIME, WALLTIME, Log, filled, is_none
from watchkeeper.report.runlog.standing import Entry, Standing, in_order, submitted
from watchkeeper.report.runlog.states import MOST_LETTERS

SETTINGS_FIELDS = (
    "key_settings", "settings", "hyperparameters", "hyper_parameters", "hparams", "parameters", "params", "overrides",
    "training_settings",
)  # fmt: skip
SPELLED = {
    "nan": math.nan,
    "inf": math.inf,
    "infinity": math.inf,
    "-inf": -math.inf,
    "-infinity": -math.inf,
}
SAME = (
    {"lr", "learning_rate"},
    {"bs", "batch", "batch_size", "batchsize"},
    {"wd", "weight_decay"},
    {"epoch", "epochs"},
    {"step", "steps"},
)
"""Names of one setting, of which people write now this one and now that one."""
_HEADS = frozenset(
    {
        "optimizer",
        "optim",
        "scheduler",
        "schedule",
        "precision",
        "dtype",
        "backbone",
        "encoder",
        "model",
        "loss",
        "activation",
        "tokenizer",
    }
)
_NUMBER = r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_SUFFIXED = re.compile(r"([-+]?\d+(?:\.\d+)?)([kKM])")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_JOINED = re.compile(r"\s*(?:->|→|x|×|\*|/|\.\.|–|to)\s*$|\s*(?:->|→|x|×|\*|\.\.|to)\s")
_NOT_A_METRIC = re.compile(
    r"(?:final_|last_|total_|completed_|global_)?steps?(?:_.*)?|runtime|elapsed|duration|wall_?time|checkpoint.*|ckpt.*"
    r"|(?:start|initial|first|begin)_.*"
    r"|samples|max_?rss|.*_path|exit_code|execution_id|job_?id|epochs?|final_epoch|node|gpus?|.*_(?:start|initial)"
    r"|progress|stopped_at|date"
)
_LISTED = re.compile(r"(?:[\w@./-]{1,80} (?:-?\d[\d.e+-]{0,40}|NaN|-?Infinity)(?:, |$)){1,60}")
_CODE = re.compile(r"(?:^|_)(?:commit|branch|tag|git|sha|revision)(?:_|$)")
_SIDES = {"train": r"train(?:ing)?", "val": r"(?:val(?:id(?:ation)?)?|eval|dev)"}
_ENDS = r"(?:end|final|last)"
_BESTS = r"(?:best|min(?:imum)?|lowest)"


# ── settings


def split_settings(text: str) -> Iterator[tuple[str, str]]:
    """`lr 1e-3, batch size = 8, 12k steps` → `lr`: `0.001`, `batch_size`: `8`, `steps`: `12000`; a
    part without a value stands for itself.
    """
    for part in _parts(text[:MOST_LETTERS].replace("`", "").replace("**", "")):
        found = _setting(part.strip().strip(".").lstrip("-+ ").strip())
        if found is not None:
            yield found


def _parts(text: str) -> Iterator[str]:
    """The parts of a list, split at commas outside of brackets, and `a=1 b=2` at its spaces."""
    depth, start = 0, 0
    for at, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}" and depth > 0)
        thousands = (
            letter == ","
            and text[at - 1 : at].isdigit()
            and re.match(r"\d{3}(?!\d)", text[at + 1 :])
        )
        if letter in ",;\n" and not depth and not thousands:
            yield from _pairs(text[start:at])
            start = at + 1
    yield from _pairs(text[start:])


def _pairs(part: str) -> list[str]:
    marks = [
        match.start()
        for match in re.finditer(r"(?<!\S)(?:-{0,2}[A-Za-z_][\w.]*=\S|--[A-Za-z])", part)
    ]
    if len(marks) < 2 or part[: marks[0]].strip():
        return [part]
    return [part[one:other] for one, other in zip(marks, [*marks[1:], len(part)], strict=True)]


def _setting(part: str) -> tuple[str, str] | None:
    if not part or is_none(part):
        return None
    if match := re.fullmatch(r"([A-Za-z_][^=:()\[\]{}<>]*?)\s*(?:=(?!=)|:(?!//))\s*(\S.*)", part):
        return _key(match[1]), plain_value(match[2])
    if match := re.fullmatch(r"([^()]+?)\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)", part):
        inner = _setting(match[1].strip())
        if inner is not None and inner[1] == "yes":
            return (inner[0], match[2].strip())
        return inner
    if match := re.fullmatch(
        rf"({_NUMBER}[kKM]?)\s*-?\s*([A-Za-z][\w-]*(?: [A-Za-z][\w-]*)?)", part
    ):
        return _key(match[2]), plain_value(match[1])
    if match := re.fullmatch(rf"([A-Za-z_][^()\[\]]*?)\s+(~?(?:{_NUMBER}|\[).*)", part):
        return _key(match[1]), plain_value(match[2])
    words = part.split()
    if len(words) == 2 and words[0].casefold() in _HEADS:
        return _key(words[0]), canonical(words[1])
    bare = re.sub(r"[()\[\]{}]", "", " ".join(words)).strip()
    if bare:
        return (bare, "yes")
    return None


def _key(text: str) -> str:
    name = re.sub(r"[\s-]+", "_", text.strip().strip("_*").strip()).strip("_")
    known = any(name.casefold() in names for names in SAME)
    if known:
        return name.casefold()
    return name


def plain_value(text: str) -> str:
    """A setting's value in one spelling: a figure without the words behind it, `12k` and `12,000`
    as `12000`.
    """
    text = text.strip().strip("\"'")
    match = re.match(
        rf"~?({_THOUSANDS.pattern}|{_NUMBER}[kKM]?)(?![\w.])(?P<rest>.*)", text, re.DOTALL
    )
    if (
        match is None
        or _JOINED.match(match["rest"])
        or match["rest"].startswith(("-", "/", ":", "%", "@"))
    ):
        return canonical(text)
    if _THOUSANDS.fullmatch(match[1]):
        number = match[1].replace(",", "")
    else:
        number = match[1]
    if suffixed := _SUFFIXED.fullmatch(number):
        return canonical(f"{float(suffixed[1]) * (1e6 if suffixed[2] == 'M' else 1e3):.12g}")
    return canonical(number)


def settings(log: Log, leave_out: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What a log's Config says, by name; what is in `leave_out` has a place of its own."""
    left = set(leave_out)
    for section in log.sections("config"):
        bullets = [node for node in section.bullets() if isinstance(node, Field)]
        inside = {id(node) for bullet in bullets for node in deep(bullet.children)}
        tabled = [
            field
            for field in log.facts(section)
            if id(field) not in inside and field not in bullets
        ]
        for field in (*bullets, *tabled):
            if field.name not in left:
                pairs = ((key, value) for key, value in _of_field(field) if not _CODE.search(key))
                yield from (
                    (key, "(hidden)" if SECRET.search(f"{key}={value}") else value)
                    for key, value in pairs
                )


def _of_field(field: Field) -> Iterator[tuple[str, str]]:
    below = [node for node in deep(field.children) if isinstance(node, Field | Item)]
    if field.name in SETTINGS_FIELDS and filled(field) and not is_none(field.value):
        yield from split_settings(field.value)
    elif not below and filled(field) and not is_none(field.value):
        spelled = next((name for name, names in CONFIG.items() if field.name in names), field.name)
        yield spelled, plain_value(field.value) if spelled not in CONFIG else canonical(field.value)
    for node in below:
        if isinstance(node, Item):
            yield from split_settings(node.text)
        elif filled(node) and node.value and not is_none(node.value):
            yield _key(node.key), plain_value(node.value)


# ── figures


class Figures(msgspec.Struct, frozen=True):
    """`found`: (metric, epoch or step, figure); the runtime in seconds and the last step, None
    where nobody says.
    """

    found: list[tuple[str, str, Number]]
    runtime: float | None = None
    final_step: int | None = None


def number_of(text: str) -> Number | None:
    """The figure that a text begins with (`0.0285`, `~3 %`, `12k`, `NaN`); None where it begins
    with none.
    """
    word = text.strip().strip("`*").lstrip("~≈<>=").strip().split(" ", 1)[0].rstrip("%,;`*")
    if word.casefold() in SPELLED:
        if word.casefold() == "nan":
            return "NaN"
        if word.startswith("-"):
            return "-Infinity"
        return "Infinity"
    if _THOUSANDS.fullmatch(word):
        word = word.replace(",", "")
    if suffixed := _SUFFIXED.fullmatch(word):
        word = f"{float(suffixed[1]) * (1e6 if suffixed[2] == 'M' else 1e3):.12g}"
    try:
        value = float(word.replace("_", "x"))
    except ValueError:
        return None
    if re.fullmatch(r"[+-]?\d{1,15}", word):
        return int(value)
    return value


def last_number_of(text: str) -> Number | None:
    """The figure that a text ends up with: `0.41 → 0.02` and `from 0.41 to 0.02` say 0.02."""
    parts = re.split(r"\s*(?:->|→|⟶|=>)\s*", text)
    if (
        len(parts) == 1
        and (match := re.match(r"\s*(?:from )?~?\S+ (?:down |up )?to (.+)", text))
        and number_of(match[1]) is not None
    ):
        parts = [text, match[1]]
    if number_of(parts[0].removeprefix("from ")) is not None:
        return number_of(parts[-1])
    return None


def figures(log: Log, stands: Standing) -> Figures:
    """The figures of a run: from Results, else from its tables and the last lines of Status that
    name them.
    """
    found = list(_of_results(log))
    known = {metric for metric, _, _ in found}
    for metric, epoch, figure in (*_of_tables(log), *_of_status(log, stands)):
        if metric not in known:
            known.add(metric)
            found.append((metric, epoch, figure))
    return Figures(found, _runtime(log), _final_step(log, stands))


def _of_results(log: Log) -> Iterator[tuple[str, str, Number]]:
    for section in log.sections("results"):
        for field in log.facts(section):
            name = _own(log, metric_name(field.name))
            if not name:
                continue
            value = field.value[:MOST_LETTERS]
            figure = last_number_of(value)
            if figure is not None:
                at = re.search(
                    r"(?:@|\bat|\bstep|\bepoch|\()\s*(?:step |epoch )?(\d[\d,]*k?)",
                    _raw(log, field)[len(field.value.split(" ")[0]) :],
                )
                yield name, at[1] if at and name.startswith("best_") else "", figure
            elif _LISTED.fullmatch(value):
                task, _, epoch = field.key.partition(" epoch ")
                parts = (part.rsplit(" ", 1) for part in value.split(", "))
                known = (
                    (part, number_of(text))
                    for part, text in parts
                    if not _NOT_A_METRIC.fullmatch(part)
                )
                yield from (
                    (f"{task} {part}", epoch, figure)
                    for part, figure in known
                    if figure is not None
                )


def _raw(log: Log, field: Field) -> str:
    return log.document.text[field.raw_span.start : field.raw_span.end][:MOST_LETTERS]


def metric_name(name: str) -> str:
    """A metric's name in one spelling: `final_val_loss` is `end_val_loss`; "" for what is no
    metric.
    """
    if _NOT_A_METRIC.fullmatch(name):
        return ""
    for side, words in _SIDES.items():
        if re.fullmatch(
            rf"{_ENDS}_{words}_loss|{words}_loss(?:_{_ENDS})?|{words}_{_ENDS}_loss|loss_{words}",
            name,
        ):
            return f"end_{side}_loss"
        if re.fullmatch(
            rf"{_BESTS}_{words}_loss|{words}_loss_{_BESTS}|{words}_{_BESTS}_loss", name
        ):
            return f"best_{side}_loss"
    if re.fullmatch(rf"{_ENDS}_loss|loss(?:_{_ENDS})?", name):
        return "loss"
    return name


def _own(log: Log, metric: str) -> str:
    """A metric of this log: a training's `loss` is that of the training."""
    if metric == "loss" and log.trains:
        return "end_train_loss"
    return metric


def _of_tables(log: Log) -> Iterator[tuple[str, str, Number]]:
    """The last row of a table of losses by step."""
    for section in log.document.walk():
        for table in facts.tables(log.document.text, section.nodes):
            columns = table.columns
            counted = next(
                (
                    at
                    for at, name in enumerate(columns)
                    if re.fullmatch(
                        r"(?:global_)?steps?|epochs?"
                        r"|iter(?:ation)?s?",
                        name,
                    )
                ),
                None,
            )
            if counted is None or not table.rows:
                continue
            rows = [
                (step, row)
                for row in table.rows
                if len(row) == len(columns) and (step := number_of(row[counted].text)) is not None
            ]
            if not rows:
                continue
            _, last = max(rows, key=lambda pair: float(pair[0]))
            for name, cell in zip(columns, last, strict=True):
                figure = number_of(cell.text)
                if "loss" in name and figure is not None and metric_name(name):
                    yield _own(log, metric_name(name)), "", figure


_LOSS = re.compile(
    rf"(?<![\w@])(?:(?P<side>{_SIDES['train']}|{_SIDES['val']})[_ ])?loss(?![\w@])\s*(?:[:=]|is"
    rf"|at)?\s*~?(?P<figure>{_NUMBER}|nan|inf)",
    re.IGNORECASE,
)
_STEP = re.compile(
    r"\b(?:global[_ ])?steps?\b\s*[:=#]?\s*~?(?P<step>\d[\d,]*(?:\.\d+)?[kKM]?)(?![\w.])"
    r"|(?<![\w.,/-])~?(?P<of>\d[\d,]*(?:\.\d+)?[kKM]?)\s*/\s*~?\d[\d,]*(?:\.\d+)?[kKM]?"
    r"(?= ?(?:steps?|it|iterations?)\b)|(?<![\w.,/-])~?(?P<steps>\d[\d,]*(?:\.\d+)?[kKM]?) steps\b",
    re.IGNORECASE,
)
_WHOLE = re.compile(r"(?<![\d.,])(\d[\d,]*[kKM]?)\s*/\s*\1(?![\d.,kKM])")
_OF_ANOTHER = re.compile(
    r"\b(?:eval\w*|sync\w*|upload\w*|resum\w*|from|checkpoint kept|pruned|eta)\b", re.IGNORECASE
)


def _telling(log: Log, stands: Standing) -> list[Entry]:
    """The lines of Status whose figures may be the run's last, the latest first: of a run that
    ended as it should only the one that says so, since what an earlier one saw is not its end.
    """
    lines = [entry for entry in reversed(in_order(log)) if not _OF_ANOTHER.search(entry.text)]
    if not stands.well:
        return lines
    return [
        entry
        for entry in lines
        if (entry.claim is not None and entry.claim.end) or _WHOLE.search(entry.text)
    ]


def _of_status(log: Log, stands: Standing) -> Iterator[tuple[str, str, Number]]:
    """The last losses that Status tells of."""
    for entry in _telling(log, stands) if log.trains else ():
        for match in _LOSS.finditer(entry.text):
            side = match["side"]
            name = _own(log, metric_name(f"{side.casefold()}_loss" if side else "loss"))
            figure = number_of(match["figure"])
            if name and figure is not None:
                yield name, "", figure


def _final_step(log: Log, stands: Standing) -> int | None:
    names = (
        "final_step",
        "final_steps",
        "last_step",
        "steps_completed",
        "completed_steps",
        "steps_trained",
        "total_steps",
        "steps",
        "step",
        "global_step",
        "progress",
        "stopped_at",
    )
    for section in log.sections("results"):
        field = log.fact(section, *names)
        if field is not None and filled(field) and (step := _step_of(field.value)) is not None:
            return step
    for entry in _telling(log, stands):
        if match := _STEP.search(entry.text):
            figure = number_of(match["step"] or match["of"] or match["steps"])
            if figure is not None:
                return int(float(figure))
            return None
    return None


def _step_of(text: str) -> int | None:
    text = text[:MOST_LETTERS]
    match = re.search(r"\bstep\D{0,3}(\d[\d,]*(?:\.\d+)?[kKM]?)", text) or re.match(
        r"\s*~?(\d[\d,]*(?:\.\d+)?[kKM]?)(?![\w.])", text
    )
    if match:
        figure = number_of(match[1])
    else:
        figure = None
    if figure is not None:
        return int(float(figure))
    return None


def _runtime(log: Log) -> float | None:
    """The whole runtime: as Results say it, else that of all job blocks together."""
    for section in log.sections("results"):
        field = log.fact(section, *RUNTIME, *WALLTIME)
        if field is not None and (seconds := runtime(field.value)) is not None:
            return seconds
    each = [_of_block(log, job) for job in log.jobs]
    if not each or any(seconds is None for seconds in each):
        return None
    return sum(seconds for seconds in each if seconds is not None)


def _of_block(log: Log, job: Section) -> float | None:
    """A block's runtime. Its wall time counts where it is no limit: a limit is longer than the job
    was there.
    """
    listed = facts.jobs_in(log.document, job)
    if len(listed) > 1:
        each = [
            runtime(field.value) if (field := facts.first(row, *RUNTIME)) is not None else None
            for row in listed
        ]
        if None in each:
            return None
        return sum(seconds or 0.0 for seconds in each)
    field = log.fact(job, *RUNTIME)
    if field is not None and (seconds := runtime(field.value)) is not None:
        return seconds
    field = log.fact(job, *WALLTIME)
    if field is not None:
        seconds = runtime(field.value)
    else:
        seconds = None
    end, begun = log.fact(job, *END), submitted(log, job)
    if end is not None:
        last = moment(end.value, begun.day if begun else None)
    else:
        last = None
    if begun is not None and last is not None:
        span = begun.seconds_until(last)
    else:
        span = None
    if seconds is None or (span is None and seconds % 3600 == 0):
        return None
    if span is None or seconds <= span + 60:
        return seconds
    return None
