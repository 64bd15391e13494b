"""What a run log says in figures and settings, as people spell them: `lr=1e-3`, `12k steps`, `final
loss: 0.19`. Pure.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Iterator

import msgspec

from watchkeeper.core.events import Number
from watchkeeper.core.text import lazy
from watchkeeper.core.text.figures import canonical
from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.dates import moment, runtime
from watchkeeper.report.runlog.document import Field, Item, Section, deep
from watchkeeper.report.runlog.file import SECRET
from watchkeeper.report.runlog.read import (
    CONFIG,
    END,
    RUNTIME,
    WALLTIME,
    Log,
    answers,
    filled,
    is_none,
)
from watchkeeper.report.runlog.standing import Entry, Standing, in_order, submitted
from watchkeeper.report.runlog.states import MOST_LETTERS, is_note

SETTINGS_FIELDS = (
    "key_settings", "settings", "hyperparameters", "hyper_parameters", "hparams", "parameters",
    "params", "overrides", "training_settings",
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
_SAME_NAMES = frozenset().union(*SAME)
_MARK = lazy.pattern(r"[()\[\]{},;\n]")  # of a list: its separators, and its brackets
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
_SUFFIXED = lazy.pattern(r"([-+]?\d+(?:\.\d+)?)([kKM])")
_THOUSANDS = lazy.pattern(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_JOINED = lazy.pattern(r"\s*(?:->|→|x|×|\*|/|\.\.|–|to)\s*$|\s*(?:->|→|x|×|\*|\.\.|to)\s")
_NOT_A_METRIC = lazy.pattern(
    r"(?:final_|last_|total_|completed_|global_)?steps?(?:_.*)?|runtime|elapsed|duration|wall_?time|checkpoint.*|ckpt.*"
    r"|(?:start|initial|first|begin)_.*"
    r"|samples|max_?rss|.*_path|exit_code|execution_id|job_?id|epochs?|final_epoch|node|gpus?|.*_(?:start|initial)"
    r"|progress|stopped_at|date"
)
_LISTED = lazy.pattern(r"(?:[\w@./-]{1,80} (?:-?\d[\d.e+-]{0,40}|NaN|-?Infinity)(?:, |$)){1,60}")
_CODE = lazy.pattern(r"(?:^|_)(?:commit|branch|tag|git|sha|revision)(?:_|$)")
_SIDES = {"train": r"train(?:ing)?", "val": r"(?:val(?:id(?:ation)?)?|eval|dev)"}
_ENDS = r"(?:end|final|last)"
_BESTS = r"(?:best|min(?:imum)?|lowest)"
_PAIR = lazy.pattern(r"(?<!\S)(?:-{0,2}[A-Za-z_][\w.]*=\S|--[A-Za-z])")
_ASSIGNED = lazy.pattern(r"([A-Za-z_][^=:()\[\]{}<>]*?)\s*(?:=(?!=)|:(?!//))\s*(\S.*)")
_WITH_NOTE = lazy.pattern(r"([^()]+?)\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)")
_VALUE_FIRST = lazy.pattern(rf"({_NUMBER}[kKM]?)\s*-?\s*([A-Za-z][\w-]*(?: [A-Za-z][\w-]*)?)")
_NAME_FIRST = lazy.pattern(rf"([A-Za-z_][^()\[\]]*?)\s+(~?(?:{_NUMBER}|\[).*)")
_FIGURE = lazy.pattern(rf"~?({_THOUSANDS.pattern}|{_NUMBER}[kKM]?)(?![\w.])(?P<rest>.*)", re.DOTALL)
_TO = lazy.pattern(r"\s*(?:from )?~?\S+ (?:down |up )?to (.+)")
_AT = lazy.pattern(r"(?:@|\bat|\bstep|\bepoch|\()\s*(?:step |epoch )?(\d[\d,]*k?)")
_COUNTED = lazy.pattern(r"(?:global_)?steps?|epochs?|iter(?:ation)?s?")
_FINAL_STEPS = (
    "final_step", "final_steps", "last_step", "steps_completed", "completed_steps", "steps_trained",
    "total_steps", "steps", "step", "global_step", "progress", "stopped_at",
)  # fmt: skip
_NAMED_STEP = lazy.pattern(r"\bstep\D{0,3}(\d[\d,]*(?:\.\d+)?[kKM]?)")
_BARE_STEP = lazy.pattern(r"\s*~?(\d[\d,]*(?:\.\d+)?[kKM]?)(?![\w.])")
_Figure = tuple[str, str, Number]
"""(metric, epoch or step, figure)"""


# ── settings


def split_settings(text: str) -> Iterator[tuple[str, str]]:
    """The settings in a list of words, by name, as people write them in `key settings`.

        lr 1e-3, batch size = 8, 12k steps, seed 7, bf16, warm-up (100 steps), optimizer AdamW

    gives `lr`: `0.001`, `batch_size`: `8`, `steps`: `12000`, `seed`: `7`, `bf16`: `yes`, `warm-up`:
    `100 steps`, `optimizer`: `AdamW`. A part without a value stands for itself, as `bf16` does. Of
    a long text only the first `MOST_LETTERS` characters are read.
    """
    for part in _parts(text[:MOST_LETTERS].replace("`", "").replace("**", "")):
        setting = _setting(part.strip().strip(".").lstrip("-+ ").strip())
        if setting is not None:
            yield setting


def _parts(text: str) -> Iterator[str]:
    """The parts of a list, split at commas outside of brackets, and `a=1 b=2` at its spaces.

    `betas (0.9, 0.95), lr=1e-3; 12,000 steps` has three: the comma of the brackets and that of the
    number split nothing.
    """
    depth, start = 0, 0
    for mark in _MARK.finditer(text):
        at, letter = mark.start(), mark[0]
        if letter in "([{":
            depth += 1
        elif letter in ")]}":
            # a bracket that was never opened is a slip of the pen
            depth = max(0, depth - 1)
        elif not depth and not _is_in_number(text, at):
            yield from _pairs(text[start:at])
            start = at + 1
    yield from _pairs(text[start:])


def _is_in_number(text: str, at: int) -> bool:
    """Whether the separator at the offset `at` is the comma of `12,000`: a digit before it, and
    three behind it. The comma of `8, 16` and that of `1,2` are separators.
    """
    if text[at] != "," or not text[at - 1 : at].isdigit():
        return False
    return re.match(r"\d{3}(?!\d)", text[at + 1 :]) is not None


def _pairs(part: str) -> list[str]:
    """Split `lr=1e-3 --bs=8 --fast`, as copied from a command line, into its options.

    A part with fewer than two options, and one that begins with other words (`use lr=1e-3 bs=8`),
    stays whole.
    """
    marks = [match.start() for match in _PAIR.finditer(part)]
    if len(marks) < 2 or part[: marks[0]].strip():
        return [part]
    ends = [*marks[1:], len(part)]
    return [part[start:end] for start, end in zip(marks, ends, strict=True)]


@functools.lru_cache(maxsize=2**12)  # of a thousand runs, most parts are the same
def _setting(part: str) -> tuple[str, str] | None:
    """The name and value that a part of a list gives; a part without a value is `yes`.

        lr=1e-3, lr: 1e-3    `lr`, `0.001`
        warm-up (100 steps)  `warm-up`, `100 steps`
        12k steps            `steps`, `12000`
        seed 7               `seed`, `7`
        bf16                 `bf16`, `yes`

    None: it says nothing, or `n/a`.
    """
    if not part or is_none(part):
        return None
    if match := _ASSIGNED.fullmatch(part):
        return _key(match[1]), plain_value(match[2])
    if match := _WITH_NOTE.fullmatch(part):
        return _with_note(match[1].strip(), match[2].strip())
    if match := _VALUE_FIRST.fullmatch(part):
        return _key(match[2]), plain_value(match[1])
    if match := _NAME_FIRST.fullmatch(part):
        return _key(match[1]), plain_value(match[2])
    return _of_words(part.split())


def _with_note(part: str, note: str) -> tuple[str, str] | None:
    """What a part with a parenthesis behind it gives: the parenthesis is the value of a name
    without one (`warm-up (100 steps)`), and a remark on a value (`lr 1e-3 (cosine)`).
    """
    inner = _setting(part)
    if inner is not None and inner[1] == "yes":
        return inner[0], note
    return inner


def _of_words(words: list[str]) -> tuple[str, str] | None:
    """What words without a figure give: `optimizer AdamW` a name and its value, others themselves.

    None: there is nothing but brackets.
    """
    if len(words) == 2 and words[0].casefold() in _HEADS:
        return _key(words[0]), canonical(words[1])
    bare = re.sub(r"[()\[\]{}]", "", " ".join(words)).strip()
    if not bare:
        return None
    return bare, "yes"


def _key(text: str) -> str:
    """A setting's name in one spelling: `batch size` and `batch-size` as `batch_size`. Names that
    have a synonym in `SAME` are in lower case, so that `LR` is `lr`; others keep their case.
    """
    name = re.sub(r"[\s-]+", "_", text.strip().strip("_*").strip()).strip("_")
    if name.casefold() in _SAME_NAMES:
        return name.casefold()
    return name


def plain_value(text: str) -> str:
    """A setting's value in one spelling, so that equal settings are equal texts.

    `1e-3` gives `0.001`, `12,000` and `12k` give `12000`, `~3 of these` gives `3`. A figure that is
    part of something else stays as it is written: `3/4`, `50%`, `0.1 -> 0.01`.
    """
    text = text.strip().strip("\"'")
    match = _FIGURE.match(text)
    if match is None:
        return canonical(text)
    if _is_part_of_more(match["rest"]):
        return canonical(text)
    return canonical(_plain_number(match[1]))


def _is_part_of_more(rest: str) -> bool:
    """Whether what follows a figure makes it a part of something: a range, a path, a percentage.

    ` -> 0.01`, `x8`, `/data`, `%` and `:30` do; ` of these` does not.
    """
    if rest.startswith(("-", "/", ":", "%", "@")):
        return True
    return _JOINED.match(rest) is not None


def _plain_number(word: str) -> str:
    """`12,000` and `12k` as `12000`, `3.5M` as `3500000`; any other word as it is.

    The suffix counts thousands and millions, of steps or tokens, and not bytes.
    """
    if _THOUSANDS.fullmatch(word):
        word = word.replace(",", "")
    suffixed = _SUFFIXED.fullmatch(word)
    if suffixed is None:
        return word
    factor = 1e6 if suffixed[2] == "M" else 1e3
    return f"{float(suffixed[1]) * factor:.12g}"


def settings(log: Log, leave_out: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What a log's Config says, by name; what is in `leave_out` has a place of its own.

        ## Config
        - script: `train.sh`
        - key settings: lr 1e-3, 12k steps

    gives `script`: `train.sh`, `lr`: `0.001`, `steps`: `12000`. A value that looks like a secret is
    `(hidden)`; commits and branches are left out, as they are compared by themselves.
    """
    left_out = set(leave_out)
    for section in log.sections("config"):
        for field in _setting_fields(log, section):
            if field.name in left_out:
                continue
            for key, value in _of_field(field):
                is_code = _CODE.search(key)
                if not is_code:
                    yield key, _without_secret(key, value)


def _setting_fields(log: Log, section: Section) -> list[Field]:
    """The bullets of a section, and what it records beside them, in tables and bold lines.

    What stands below a bullet belongs to it, and is no setting of the section itself. The bullets
    come first, in the order of the page: of two settings of one name the caller keeps the last.
    """
    bullets = [node for node in section.bullets() if isinstance(node, Field)]
    below: set[int] = set()
    for bullet in bullets:
        below.update(id(node) for node in deep(bullet.children))
    fields = list(bullets)
    for field in log.facts(section):
        if id(field) not in below and field not in bullets:
            fields.append(field)
    return fields


def _without_secret(key: str, value: str) -> str:
    """The value, or `(hidden)` where it looks like a secret under such a name: `api_key`,
    `token`.
    """
    if SECRET.search(f"{key}={value}"):
        return "(hidden)"
    return value


def _of_field(field: Field) -> Iterator[tuple[str, str]]:
    """The settings that a field gives, and those below it.

    `key settings: lr 1e-3, seed 7` gives each of its list, `optimizer: AdamW` itself. Where
    bullets stand below a field, they are the settings, and its own value is a remark:

        - optimizer: as in the paper
          - lr: 1e-3
          - no warm-up
    """
    below = [node for node in deep(field.children) if isinstance(node, Field | Item)]
    is_list = field.name in SETTINGS_FIELDS
    if answers(field) and is_list:
        yield from split_settings(field.value)
    elif answers(field) and not below:
        yield _of_plain_field(field)
    for node in below:
        if isinstance(node, Item):
            yield from split_settings(node.text)
            continue
        if answers(node) and node.value:
            yield _key(node.key), plain_value(node.value)


def _of_plain_field(field: Field) -> tuple[str, str]:
    """A field as one setting. Script, config and dataset have one name each, whatever the log calls
    them: `slurm_script: train.sh` is the `script`.
    """
    for name, names in CONFIG.items():
        if field.name in names:
            return name, canonical(field.value)
    return field.name, plain_value(field.value)


# ── figures


class Figures(msgspec.Struct, frozen=True):
    """What a log says in figures. `found`: (metric, epoch or step, figure); `runtime` in seconds
    and `final_step`, the last training step, are None where the log does not say.
    """

    found: list[tuple[str, str, Number]]
    runtime: float | None = None
    final_step: int | None = None


def number_of(text: str) -> Number | None:
    """The figure that a text begins with; None where it begins with none.

    `0.0285`, `~3 %`, `12k`, `0.31 (best)` and `NaN` begin with one, `about 3` and `1_000` do not. A
    whole number is an int; NaN and infinities are spelled as text, as in the journal.
    """
    bare = text.strip().strip("`*").lstrip("~≈<>=").strip()
    word = bare.split(" ", 1)[0].rstrip("%,;`*")
    if word.casefold() in SPELLED:
        return _spelled(word)
    number = _plain_number(word)
    # Python would read 1_000 as a number; in a log it is part of a name.
    number = number.replace("_", "x")
    try:
        value = float(number)
    except ValueError:
        return None
    is_whole = re.fullmatch(r"[+-]?\d{1,15}", number) is not None
    if is_whole:
        return int(value)
    return value


def _spelled(word: str) -> Number:
    """The journal's spelling of a word in `SPELLED`: `NaN`, `Infinity` or `-Infinity`. `nan` and
    `inf` are written in any case of letters.
    """
    if word.casefold() == "nan":
        return "NaN"
    if word.startswith("-"):
        return "-Infinity"
    return "Infinity"


def last_number_of(text: str) -> Number | None:
    """The figure that a text ends up with: `0.41 → 0.02` and `from 0.41 to 0.02` say 0.02, and
    `0.41` says 0.41.

    None: it does not begin with a figure (`fell to 0.02`), or does not end up with one.
    """
    parts = re.split(r"\s*(?:->|→|⟶|=>)\s*", text)
    if number_of(parts[0].removeprefix("from ")) is None:
        return None
    if len(parts) > 1:
        return number_of(parts[-1])
    match = _TO.match(text)
    if match is not None:
        last = number_of(match[1])
        if last is not None:
            return last
    return number_of(text)


def figures(log: Log, stands: Standing) -> Figures:
    """The figures of a run: from Results, else from its tables and the last lines of Status that
    name them.

    Metric by metric the first place wins: where Results have `end_train_loss`, the losses of tables
    and of Status count for nothing. `stands` decides which lines of Status may hold the last
    figures.
    """
    reported = list(_of_results(log))
    known = {metric for metric, _, _ in reported}
    for metric, epoch, figure in (*_of_tables(log), *_of_status(log, stands)):
        if metric not in known:
            known.add(metric)
            reported.append((metric, epoch, figure))
    return Figures(reported, _runtime(log), _final_step(log, stands))


def _of_results(log: Log) -> Iterator[_Figure]:
    """The figures of Results, one in a field or several in a list.

    - end_val_loss: 0.31                        `end_val_loss`
    - clean epoch 1: accuracy 0.94, loss 0.2    `clean accuracy` and `clean loss` of epoch 1
    - runtime: `12:00:10`                       nothing: it is no metric
    """
    for field in log.fields_of("results"):
        name = _own(log, metric_name(field.name))
        if name:
            yield from _of_result(log, field, name)


def _of_result(log: Log, field: Field, name: str) -> Iterator[_Figure]:
    """The figures of one field of Results. `name` is that of its metric."""
    value = field.value[:MOST_LETTERS]
    figure = last_number_of(value)
    if figure is not None:
        yield name, _at_step(log, field, name), figure
    elif _LISTED.fullmatch(value):
        yield from _of_list(field.key, value)


def _at_step(log: Log, field: Field, name: str) -> str:
    """The step or epoch that is named beside a best figure; "" for any other.

    `best_val_loss: 0.31 (step 12k)` gives `12k`, `best_val_loss: 0.31 at epoch 3` gives `3`.
    """
    if not name.startswith("best_"):
        return ""
    figure = field.value.split(" ")[0]
    behind = _raw(log, field)[len(figure) :]
    at = _AT.search(behind)
    if at is None:
        return ""
    return at[1]


def _of_list(key: str, value: str) -> Iterator[_Figure]:
    """The figures of a task's line: of `clean epoch 1: accuracy 0.94, loss 0.2, samples 450` the
    accuracy and the loss of `clean`, each with the epoch `1`; how many samples there were is no
    metric.
    """
    task, _, epoch = key.partition(" epoch ")
    for part in value.split(", "):
        metric, text = part.rsplit(" ", 1)
        if _NOT_A_METRIC.fullmatch(metric):
            continue
        figure = number_of(text)
        if figure is not None:
            yield f"{task} {metric}", epoch, figure


def _raw(log: Log, field: Field) -> str:
    """A field's value as it is written, with the note behind it: `0.31 (step 12k)`."""
    return log.document.text[field.raw_span.start : field.raw_span.end][:MOST_LETTERS]


def metric_name(name: str) -> str:
    """A metric's name in one spelling: `final_val_loss`, `eval_loss` and `loss_val` are
    `end_val_loss`, `min_eval_loss` is `best_val_loss`, and `loss_final` is `loss`. Any other name
    is as it is (`accuracy`).

    `name` is a field's: lower case, with underscores. "": it is no metric (`runtime`,
    `checkpoint`).
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
    """A metric of this log: a training's `loss` is that of the training, `end_train_loss`.

    An evaluation's `loss` stays `loss`, and so does any other name.
    """
    if metric == "loss" and log.trains:
        return "end_train_loss"
    return metric


def _of_tables(log: Log) -> Iterator[_Figure]:
    """The last row of each table of losses by step: of this one `end_train_loss` 0.9.

    | epoch | train_loss |
    | ----- | ---------- |
    | 0     | 1.99       |
    | 1     | 0.9        |
    """
    for section in log.document.walk():
        for table in facts.tables(log.document.text, section.nodes):
            row = _last_row(table)
            if row is None:
                continue
            for name, cell in zip(table.columns, row, strict=True):
                if "loss" not in name:
                    continue
                figure = number_of(cell.text)
                metric = metric_name(name)
                if figure is not None and metric:
                    yield _own(log, metric), "", figure


def _last_row(table: facts.Table) -> list[facts.Cell] | None:
    """The row of the highest step or epoch; None: the table counts neither.

        | epoch | train_loss |
        | ----- | ---------- |
        | 1     | 0.9        |      this one, wherever it stands
        | 0     | 1.99       |
        | best  | 0.9        |      passed over

    Rows with more or fewer cells than the head are passed over, too.
    """
    columns = table.columns
    counted = next((at for at, name in enumerate(columns) if _COUNTED.fullmatch(name)), None)
    if counted is None:
        return None
    rows = []
    for row in table.rows:
        if len(row) != len(columns):
            continue
        step = number_of(row[counted].text)
        if step is not None:
            rows.append((step, row))
    if not rows:
        return None
    _, last = max(rows, key=lambda pair: float(pair[0]))
    return last


_LOSS = lazy.pattern(
    rf"(?<![\w@])(?:(?P<side>{_SIDES['train']}|{_SIDES['val']})[_ ])?loss(?![\w@])\s*(?:[:=]|is"
    rf"|at)?\s*~?(?P<figure>{_NUMBER}|nan|inf)",
    re.IGNORECASE,
)
_STEP = lazy.pattern(
    r"\b(?:global[_ ])?steps?\b\s*[:=#]?\s*~?(?P<step>\d[\d,]*(?:\.\d+)?[kKM]?)(?![\w.])"
    r"|(?<![\w.,/-])~?(?P<of>\d[\d,]*(?:\.\d+)?[kKM]?)\s*/\s*~?\d[\d,]*(?:\.\d+)?[kKM]?"
    r"(?= ?(?:steps?|it|iterations?)\b)|(?<![\w.,/-])~?(?P<steps>\d[\d,]*(?:\.\d+)?[kKM]?) steps\b",
    re.IGNORECASE,
)
_WHOLE = lazy.pattern(r"(?<![\d.,])(\d[\d,]*[kKM]?)\s*/\s*\1(?![\d.,kKM])")
_OF_ANOTHER = lazy.pattern(
    r"\b(?:eval\w*|sync\w*|upload\w*|resum\w*|from|checkpoint kept|pruned|eta)\b", re.IGNORECASE
)


def _telling(log: Log, stands: Standing) -> list[Entry]:
    """The lines of Status whose figures may be the run's last, the latest first: of a run that
    ended as it should only the one that says so, since what an earlier one saw is not its end.

        - 2026-03-12 03:00 — completed, step 12000, loss 0.31
        - 2026-03-11 18:00 — running, step 4800, loss 0.44

    Of a run that still runs, or was cut short, each line may be the last that anyone saw.
    """
    lines = [entry for entry in reversed(in_order(log)) if _is_of_run(entry.text)]
    if stands.well:
        return [entry for entry in lines if _says_end(entry)]
    return lines


def _is_of_run(text: str) -> bool:
    """Whether the figures on a line are the run's own.

    A remark may name another's, and so may a line on an evaluation, an upload or a resumption:
    `resumed from step 400`.
    """
    if is_note(text):
        return False
    return _OF_ANOTHER.search(text) is None


def _says_end(entry: Entry) -> bool:
    """Whether a line says that the run ended: by its state (`completed`), or as all steps are done
    (`12k/12k`).

    Only such a line has the last figures of a run that ended well.
    """
    if entry.claim is not None and entry.claim.end:
        return True
    return _WHOLE.search(entry.text) is not None


def _of_status(log: Log, stands: Standing) -> Iterator[_Figure]:
    """The last losses that Status has, of a training: of `running, step 2400, val loss 0.31` the
    `end_val_loss`.

    The latest line comes first, and the caller keeps the first of each metric. An evaluation's
    lines are not read: what they call a loss may be that of the training.
    """
    if not log.trains:
        return
    for entry in _telling(log, stands):
        for match in _LOSS.finditer(entry.text):
            written = "loss"
            if match["side"]:
                written = f"{match['side'].casefold()}_loss"
            name = _own(log, metric_name(written))
            figure = number_of(match["figure"])
            if name and figure is not None:
                yield name, "", figure


def _final_step(log: Log, stands: Standing) -> int | None:
    """The last training step: `- final step: 12000` in Results, else the last that Status names.

    None: neither says one.
    """
    for section in log.sections("results"):
        field = log.fact(section, *_FINAL_STEPS)
        if field is None or not filled(field):
            continue
        step = _step_of(field.value)
        if step is not None:
            return step
    for entry in _telling(log, stands):
        match = _STEP.search(entry.text)
        if match is None:
            continue
        # `step 2400`, `2400/12000 steps` or `2400 steps`
        written = match["step"] or match["of"] or match["steps"]
        return _whole(number_of(written))
    return None


def _whole(figure: Number | None) -> int | None:
    """A figure as a whole number, rounded down. None: there is no figure."""
    if figure is None:
        return None
    return int(float(figure))


def _step_of(text: str) -> int | None:
    """The step that a field names: 12000 of `stopped at step 12,000 of 20k` and of `12k (early
    stop)`. None: it names none.
    """
    text = text[:MOST_LETTERS]
    match = _NAMED_STEP.search(text) or _BARE_STEP.match(text)
    if match is None:
        return None
    return _whole(number_of(match[1]))


def _runtime(log: Log) -> float | None:
    """The whole runtime in seconds: as Results say it, else that of all job blocks together.

    None: neither is known. One block without a runtime makes the sum unknown, too.
    """
    for section in log.sections("results"):
        seconds = _seconds(log.fact(section, *RUNTIME, *WALLTIME))
        if seconds is not None:
            return seconds
    return _sum([_of_block(log, job) for job in log.jobs])


def _seconds(field: Field | None) -> float | None:
    """The seconds that a field of a runtime says; None where it is not there or says none."""
    if field is None:
        return None
    return runtime(field.value)


def _sum(lengths: Iterable[float | None]) -> float | None:
    """The sum of some runtimes, in seconds; None where one is not known, or there is none.

    A sum of those that are known would be too small, and look complete.
    """
    known = []
    for seconds in lengths:
        if seconds is None:
            return None
        known.append(seconds)
    if not known:
        return None
    return sum(known)


def _of_block(log: Log, job: Section) -> float | None:
    """A block's runtime in seconds. None: it is not known.

    A block may list several jobs in a table: theirs together. A wall time counts where it is no
    limit, `#SBATCH --time`: a limit is longer than the job was there. Where that span is not known,
    a number of whole hours is taken for a limit.
    """
    listed = facts.jobs_in(log.document, job)
    if len(listed) > 1:
        return _sum([_seconds(facts.first(row, *RUNTIME)) for row in listed])
    seconds = _seconds(log.fact(job, *RUNTIME))
    if seconds is not None:
        return seconds
    walltime = _seconds(log.fact(job, *WALLTIME))
    if walltime is None:
        return None
    span = _span_of(log, job)
    if span is None:
        is_limit = walltime % 3600 == 0
    else:
        is_limit = walltime > span + 60
    if is_limit:
        return None
    return walltime


def _span_of(log: Log, job: Section) -> float | None:
    """The seconds from a block's submission to its end; None where they are not known.

    An end without a day, `end: 18:00`, is of the day of the submission.
    """
    begun = submitted(log, job)
    end = log.fact(job, *END)
    if begun is None or end is None:
        return None
    last = moment(end.value, begun.day)
    if last is None:
        return None
    return begun.seconds_until(last)
