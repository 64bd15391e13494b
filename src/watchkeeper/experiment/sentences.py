"""What the cells and sentences of an evaluation plan say: pure, and without a guess.

What has one reading is read. Anything else is an `UnreadableError`, whose message says what is
unclear, and whose hint how to write it.

    `✓ epoch 0,1`   `✓`   `-`   `epochs 0-1`   `all epochs`   `✓ last epoch`
    a cell
    All fine-tuned runs on capitalization at each epoch; the base model on capitalization.
    a sentence
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from watchkeeper.core.text import lazy
from watchkeeper.experiment.draft import DraftRun, EvalKey, RunType
from watchkeeper.reading.yaml import listed, nearest

TICKS = "✓✔✅☑🗸🗹√"
_NOT = frozenset(("", *"-–—−✗✘❌✖✕×❎", "--", "---", "no", "none", "n/a", "na", "n.a.", "skip"))
_YES = frozenset({"yes", "y", "true"})
_DASH = r"(?:-|–|—|−|\.\.\.?|…|to|through)"
_RANGE = lazy.pattern(rf"(\d{{1,6}})\s*{_DASH}\s*(?:epoch[_ ]?)?(\d{{1,6}})")
_ONE = lazy.pattern(r"(?:epoch[_ ]?)?(\d{1,6})")
_EACH = lazy.pattern(
    r"(?:the )?(?:each|every|all|all of the|both)(?: of its)?(?: trained| training)? epochs?"
)
_LAST = lazy.pattern(r"(?:only )?(?:the )?(?:last|final)(?: epoch| checkpoint)?(?: only)?")
_MOST_EPOCHS = 10_000
_LIST_HINT = "write them as 0,1 or 0-1; they count from 0"

_WHO = lazy.pattern(
    r"(?:we |i )?(?:will )?(?:evaluate |test )?(?P<who>.+?)"
    r"(?:,? (?:is|are|was|were|will be|to be|gets?|should be))?(?:,? "
    r"(?:evaluated|tested|run))?(?:,? once)?(?:,? only)?"
    r",? on (?P<what>.+)",
    re.IGNORECASE,
)
_WHEN = lazy.pattern(
    r",?\s*(?:\bat\b|\bafter\b|\bfor\b|\bin\b|\bwith\b|\()\s*"
    r"(?=(?:the |only )*(?:(?:each|every|all|both|last|final)\b|epochs?(?![a-z])))"
    r"|,\s*(?=(?:each|every|all|both) epochs?\b)",
    re.IGNORECASE,
)
_ABOUT_EVALUATION = lazy.pattern(
    r"\bevaluat|\bepoch|\bruns?\b|\bmodels?\b|\bcontrols?\b|\bbase", re.IGNORECASE
)
_FILLER = lazy.pattern(r"\b(?:the|following|evaluation)\b\s*", re.IGNORECASE)
_ALL = lazy.pattern(r"(?:all|each|every|both|everything)\b(?: of)?\s*(?P<count>\d{1,9})?\s*")
_ALL_TASKS = lazy.pattern(
    r"(?:all|each|every|both)(?: of)?(?: the)?(?: \d{1,9})?(?: evaluation)? tasks?|all|everything"
)
_SPEAKS_OF_TASKS = lazy.pattern(
    r"\b(?:(?:all|each|every|both)(?: of)?(?: the)?(?: \d+)?|the) tasks?\b", re.IGNORECASE
)
_KINDS: tuple[tuple[re.Pattern[str], tuple[RunType, ...]], ...] = (
    (lazy.pattern(r"(?:fine-?\s?tuned|trained)(?: runs?| models?)?"), ("fine-tuned",)),
    (
        lazy.pattern(r"(?:base|control|baseline|untrained)s?(?: (?:runs?|models?|controls?))?"),
        ("control",),
    ),
    (lazy.pattern(r"eval(?:uation)?-only(?: runs?| models?)?"), ("eval-only",)),
    (lazy.pattern(r"(?:runs?|models?)?"), ("fine-tuned", "control", "eval-only")),
)


class UnreadableError(ValueError):
    """It has no reading, or several; the message says why. `hint` is what to write instead."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


def is_ticked(cell: str) -> bool:
    """Whether a cell asks for something: `✓`, `yes`, `epoch 0`; not `-` or `0.91`."""
    text = _bare(cell)
    return text[:1] in tuple(TICKS) or "epoch" in text or text in _YES


def cell(text: str, run: DraftRun) -> list[int | None]:
    """The epochs that a cell of the matrix asks of a run: [] for none, [None] for a run that trains
    none.

    Of a run that trains epochs 0 and 1, `✓ epoch 0,1` and `all epochs` are [0, 1], `✓ last` is [1],
    `-` is []. Of a base model `✓` is [None].

    Raises:
        UnreadableError: it is ambiguous.
    """
    words = _bare(text)
    if words in _NOT:
        return []
    if words in _YES:
        return of_run("", run)
    rest = words.lstrip(TICKS).strip()
    is_ticked = words[:1] in tuple(TICKS)
    is_about_once = rest in ("base", "once")
    names_epochs = "epoch" in rest or _LAST.fullmatch(rest) is not None
    if is_ticked or is_about_once or names_epochs:
        return of_run(rest, run)
    why = f"it is unclear whether {text.strip()!r} means yes or no"
    if re.fullmatch(r"[\d\s,.-]+", rest):
        why = "numbers alone may be epochs or results"
    raise UnreadableError(why, "write `✓ epoch 0,1`, `✓` or `-`")


def of_run(words: str, run: DraftRun) -> list[int | None]:
    """The epochs of a run that the words behind a tick ask for; "": they name none, which will do
    where the run trains one epoch, or none.

    Raises:
        UnreadableError: they are ambiguous.
    """
    words = _unwrapped(words)
    if run.type != "fine-tuned":
        if words in ("", "base", "once"):
            return [None]
        why = (
            f"run {run.name!r} is of type {run.type}: it trains no epochs, and {words!r} names some"
        )
        raise UnreadableError(why, "write `✓` alone, or `-`")
    if words not in ("", "once"):
        return [*epochs(words, run)]
    if len(run.epochs) == 1:
        return [*run.epochs]
    raise UnreadableError(
        f"it does not say which epochs of run {run.name!r} are meant", "write `✓ epoch 0,1`"
    )


def epochs(words: str, run: DraftRun) -> tuple[int, ...]:
    """The epochs that words name: a list with ranges (`epochs 0, 2-4`), each (`each epoch`), or the
    last (`the final epoch`). Each once, in the order of the words. `epochs 0-1 (both)` says the
    same twice, and is read where it agrees.

    Raises:
        UnreadableError: they are ambiguous.
    """
    words = _unwrapped(words.lower().strip().rstrip(".").strip())
    outer, opened, inner = words.partition("(")
    if opened and outer.strip():
        named = epochs(outer, run)
        if epochs(inner.rstrip(") "), run) != named:
            message = f"{words!r} names two different lists of epochs"
            raise UnreadableError(message, "name them once")
        return named
    if _EACH.fullmatch(words) or _LAST.fullmatch(words):
        return _trained_epochs(words, run)
    numbers: list[int] = []
    for item in _items(re.sub(r"^epochs?\b[\s:=]*", "", words)):
        numbers += _span(item, words)
    if not numbers:
        raise UnreadableError(f"{words!r} names no epoch", _LIST_HINT)
    return tuple(dict.fromkeys(numbers))


def _trained_epochs(words: str, run: DraftRun) -> tuple[int, ...]:
    """The epochs of "each epoch" or "the last epoch", by what the run trains.

    Raises:
        UnreadableError: it is not known how many it trains, or not as many as the words name.
    """
    if not run.epochs:
        why = f"how many epochs run {run.name!r} trains is written nowhere"
        raise UnreadableError(
            why, "name the epochs, or say `Epochs: 2` under Configuration, Training"
        )
    count = len(run.epochs)
    if words.startswith(("both", "the both")) and count != 2:
        why = f"run {run.name!r} trains {count} epochs, and {words!r} means two"
        raise UnreadableError(why, "name the epochs")
    if _LAST.fullmatch(words):
        return run.epochs[-1:]
    return run.epochs


def _span(item: str, words: str) -> Sequence[int]:
    """The epochs of one member of a list: a number, or a range.

    Raises:
        UnreadableError: it is neither; the message quotes `words`, the whole list.
    """
    number = _ONE.fullmatch(item)
    if number is not None:
        return [int(number[1])]
    span = _RANGE.fullmatch(item)
    if span is None:
        raise UnreadableError(f"{words!r} cannot be read as epochs", _LIST_HINT)
    first, last = int(span[1]), int(span[2])
    if first > last or last - first >= _MOST_EPOCHS:
        why = f"{item!r} is not a range of epochs"
        raise UnreadableError(why, "write the smaller first: 0-1")
    return range(first, last + 1)


def clauses(text: str) -> list[tuple[int, str]]:
    """The sentences of a paragraph, with the number of lines before each; parts between semicolons
    are sentences. A dot within a word, as in `v1.5`, ends none.

    `A on x; B on y.` has (0, `A on x`) and (0, `B on y`).
    """
    sentences: list[tuple[int, str]] = []
    ends = [match.end() for match in re.finditer(r"(?:[.!?](?=\s|$)|;)", text)]
    start = 0
    for end in [*ends, len(text)]:
        piece = text[start:end]
        words = " ".join(piece.split()).rstrip(".;!?").strip()
        if words:
            lines = text.count("\n", 0, start + len(piece) - len(piece.lstrip()))
            sentences.append((lines, words))
        start = end
    return sentences


def speaks_of_plan(words: str, runs: Mapping[str, DraftRun], tasks: Sequence[str]) -> bool:
    """Whether a sentence seems to say what is evaluated on what: it speaks of `all tasks`, or names
    a task and besides that a run, an epoch, or evaluating. `The tokenizer is shared` does not.
    """
    if _SPEAKS_OF_TASKS.search(words):
        return True
    if not any(_names(task, words) for task in tasks):
        return False
    if _ABOUT_EVALUATION.search(words):
        return True
    return any(_names(run, words) for run in runs)


def sentence(words: str, runs: Mapping[str, DraftRun], tasks: Sequence[str]) -> list[EvalKey]:
    """The evaluations that a sentence asks for: `<runs> [are evaluated] on <tasks> [at <epochs>]`.

    `Both fine-tuned runs are evaluated on capitalization at each epoch` asks for one evaluation of
    each of the two runs and each of its epochs.

    Raises:
        UnreadableError: it is ambiguous.
    """
    match = _WHO.fullmatch(words)
    divisions = re.findall(r"\bon\b", _without(words, [*runs, *tasks]), re.IGNORECASE)
    if match is None or len(divisions) != 1:
        shape = "write `<runs> on <tasks> at <epochs>`, a sentence for each, or the plan as a table"
        raise UnreadableError(f"{_short(words)!r} cannot be read as a plan", shape)
    what, *when = _WHEN.split(match["what"], maxsplit=1)
    chosen = _tasks(re.sub(r"\s+(?:only|once)$", "", what), tasks)
    moment = ""
    if when:
        moment = when[0].strip()
    if moment.count(")") > moment.count("("):
        moment = moment.removesuffix(")")
    keys: list[EvalKey] = []
    for run, is_by_kind in _runs(match["who"], runs):
        named_epochs = moment
        if is_by_kind and run.type != "fine-tuned":
            named_epochs = ""  # epochs of a whole kind of runs are those of runs that train any
        for task in chosen:
            for epoch in of_run(named_epochs, run):
                keys.append(EvalKey(run=run.name, task=task, epoch=epoch))
    return keys


def _runs(words: str, runs: Mapping[str, DraftRun]) -> list[tuple[DraftRun, bool]]:
    """The runs that words name, and of each whether a whole kind was named. Words that are the name
    of a run as they stand name that one: `r8 and r16` may be one run.

    `r8 and the base model` has (r8, False) and (the control, False); `all runs` has each run with
    True, since the kind is of every type.

    Raises:
        UnreadableError: one of them is neither a run nor a kind of the table.
    """
    chosen: dict[str, tuple[DraftRun, bool]] = {}
    items = [words]
    if words not in runs:
        items = _items(words, runs)
    for item in items:
        own = runs.get(item) or runs.get(re.sub(r"^(?:the )?(?:run )?", "", item))
        if own:
            chosen.setdefault(own.name, (own, False))
            continue
        members, is_by_kind = _runs_of_kind(item, runs)
        for run in members:
            chosen.setdefault(run.name, (run, is_by_kind))
    return list(chosen.values())


def _runs_of_kind(item: str, runs: Mapping[str, DraftRun]) -> tuple[list[DraftRun], bool]:
    """The runs of a kind, `all fine-tuned runs`; and whether it is of every type.

    Raises:
        UnreadableError: it is not a kind, or does not fit the table.
    """
    plain = _FILLER.sub("", item.lower()).strip()
    every = _ALL.match(plain)
    kind = plain
    if every is not None:
        kind = plain.removeprefix(every[0])
    types = _types_of(kind)
    is_by_kind = len(types) > 1
    if not types or (is_by_kind and not every):
        raise UnreadableError(f"{item!r} is not a run of the table", _run_hint(item, runs))
    members = [run for run in runs.values() if run.type in types]
    is_plural = every is not None or kind.endswith("s")
    _check_members(item, members, _count_of(plain, every), is_plural=is_plural)
    return members, is_by_kind


def _check_members(
    item: str, members: Sequence[DraftRun], count: int | None, *, is_plural: bool
) -> None:
    """Refuse a kind that has no runs, not as many as were counted (None: nobody counted), or
    several where one is meant.

    Raises:
        UnreadableError: it is so.
    """
    names = listed([run.name for run in members]) or "none"
    if not members or count not in (None, len(members)):
        why = f"{item!r} does not fit the table, where it means: {names}"
        raise UnreadableError(why, "name the runs")
    if len(members) > 1 and not is_plural:
        raise UnreadableError(f"{item!r} may mean any of {names}", "name the run, or say `all`")


def _run_hint(item: str, runs: Mapping[str, DraftRun]) -> str:
    """What to write instead of a name that no run has."""
    near = nearest(item, sorted(runs))
    if near:
        return f"did you mean {near!r}?"
    return "name runs as they are named there"


def _count_of(plain: str, every: re.Match[str] | None) -> int | None:
    """How many runs `all 3 runs` or `both runs` counts; None: it does not say."""
    if plain.startswith("both"):
        return 2
    if every and every["count"]:
        return int(every["count"])
    return None


def _types_of(kind: str) -> tuple[RunType, ...]:
    """The types that a kind of runs stands for, (): none. `fine-tuned runs` is one type, `runs`
    stands for all.
    """
    for pattern, types in _KINDS:
        if pattern.fullmatch(kind):
            return types
    return ()


def _tasks(words: str, tasks: Sequence[str]) -> list[str]:
    """The tasks that words name, each once.

    Raises:
        UnreadableError: they name none, one that the table does not have, or not as many as they
            count.
    """
    plain = words.lower().strip()
    known = listed(list(tasks))
    if _ALL_TASKS.fullmatch(plain):
        if _task_count(plain) not in (None, len(tasks)):
            raise UnreadableError(f"{words!r} means {len(tasks)} tasks here: {known}", "name them")
        return [*tasks]
    items = [words]
    if words not in tasks:
        items = _items(words, tasks)
    if not items:
        raise UnreadableError("it names no task", f"tasks: {known or 'none'}")
    chosen: list[str] = []
    for item in items:
        name = _task_named(item, tasks)
        if not name:
            hint = f"tasks: {known or 'none'}"
            near = nearest(item, tasks)
            if near:
                hint = f"did you mean {near!r}?"
            raise UnreadableError(f"{item!r} is not a task of the table", hint)
        chosen.append(name)
    return list(dict.fromkeys(chosen))


def _task_count(plain: str) -> int | None:
    """How many tasks `all 3 tasks` or `both tasks` counts; None: it does not say."""
    if plain.startswith("both"):
        return 2
    count = re.search(r"\d+", plain)
    if count is None:
        return None
    return int(count[0])


def _task_named(item: str, tasks: Sequence[str]) -> str:
    """The task that `the task NAME` or `NAME task` names, "": none."""
    without_end = re.sub(r"\s+tasks?$", "", item)
    without_start = re.sub(r"^(?:the )?(?:tasks? )?", "", without_end)
    for name in (item, without_end, without_start):
        if name in tasks:
            return name
    return ""


def _items(words: str, names: Mapping[str, object] | Sequence[str] = ()) -> list[str]:
    """The members of a list in words, `a, b and c`; a name that holds such a word is one member:
    with a run named `r8 and r16`, `r8 and r16, r32` has two.
    """
    marks: dict[str, str] = {}
    for index, name in enumerate(sorted(names, key=len, reverse=True)):
        if " " in name or "," in name:
            mark = f"\x00{index}\x00"
            marks[mark] = name
            words = words.replace(name, mark)
    parts = re.split(r"\s*(?:,|&|\+|;|/|\band\b)\s*", words)
    return [" ".join(marks.get(part, part).split()) for part in parts if part.strip()]


def _bare(text: str) -> str:
    """In lower case, with single spaces, and without the variation selectors that make a tick an
    emoji.
    """
    return " ".join(re.sub("[\ufe0e\ufe0f\u200b\u200d]", "", text).lower().split())


def _unwrapped(words: str) -> str:
    """The words without the brackets around all of them, and without a colon or comma before.

    `: (last epoch)` is `last epoch`.
    """
    words = words.strip().lstrip(":,").strip()
    if words.startswith("(") and words.endswith(")") and words.count("(") == 1:
        return words[1:-1].strip()
    return words


def _names(name: str, words: str) -> bool:
    """Whether the words hold this name whole: `r8` is in `of r8,`, and not in `r8_lr1`."""
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", words) is not None


def _without(words: str, names: Sequence[str]) -> str:
    """The words without the names that may hold an `on` themselves, as a task named `on` does."""
    for name in sorted(names, key=len, reverse=True):
        if " " in name or name.lower() == "on":
            words = words.replace(name, " ")
    return words


def _short(text: str) -> str:
    """The text in at most 80 characters, for a message."""
    if len(text) <= 80:
        return text
    return text[:79] + "…"
