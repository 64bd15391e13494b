"""What the cells and sentences of an evaluation plan say: pure, and without a guess.

What has one reading is read. Anything else is an `UnreadableError` whose words say what is unclear,
and how to write it.

    `✓ epoch 0,1`   `✓`   `-`   `epochs 0-1`   `all epochs`   `✓ last epoch`
    a cell
    All fine-tuned runs on capitalization at each epoch; the base model on capitalization.
    a sentence
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from watchkeeper.experiment.draft import DraftRun, EvalKey, RunType
from watchkeeper.reading.yaml import listed, nearest

TICKS = "✓✔✅☑🗸🗹√"
_NOT = frozenset(
    {
        "",
        "-",
        "--",
        "---",
        "–",
        "—",
        "−",
        "✗",
        "✘",
        "❌",
        "✖",
        "✕",
        "×",
        "❎",
        "no",
        "none",
        "n/a",
        "na",
        "n.a.",
        "skip",
    }
)
_YES = frozenset({"yes", "y", "true"})
_DASH = r"(?:-|–|—|−|\.\.\.?|…|to|through)"
_RANGE = re.compile(rf"(\d{{1,6}})\s*{_DASH}\s*(?:epoch[_ ]?)?(\d{{1,6}})")
_ONE = re.compile(r"(?:epoch[_ ]?)?(\d{1,6})")
_EACH = re.compile(
    r"(?:the )?(?:each|every|all|all of the|both)(?: of its)?(?: trained| training)? epochs?"
)
_LAST = re.compile(r"(?:only )?(?:the )?(?:last|final)(?: epoch| checkpoint)?(?: only)?")
_MOST_EPOCHS = 10_000

_WHO = re.compile(
    r"(?:we |i )?(?:will )?(?:evaluate |test )?(?P<who>.+?)"
    r"(?:,? (?:is|are|was|were|will be|to be|gets?|should be))?(?:,? "
    r"(?:evaluated|tested|run))?(?:,? once)?(?:,? only)?"
    r",? on (?P<what>.+)",
    re.IGNORECASE,
)
_WHEN = re.compile(
    r",?\s*(?:\bat\b|\bafter\b|\bfor\b|\bin\b|\bwith\b|\()\s*"
    r"(?=(?:the |only )*(?:(?:each|every|all|both|last|final)\b|epochs?(?![a-z])))"
    r"|,\s*(?=(?:each|every|all|both) epochs?\b)",
    re.IGNORECASE,
)
_FILLER = re.compile(r"\b(?:the|following|evaluation)\b\s*", re.IGNORECASE)
_ALL = re.compile(r"(?:all|each|every|both|everything)\b(?: of)?\s*(?P<count>\d+)?\s*")
_KINDS: tuple[tuple[re.Pattern[str], tuple[RunType, ...]], ...] = (
    (re.compile(r"(?:fine-?\s?tuned|trained)(?: runs?| models?)?"), ("fine-tuned",)),
    (
        re.compile(r"(?:base|control|baseline|untrained)s?(?: (?:runs?|models?|controls?))?"),
        ("control",),
    ),
    (re.compile(r"eval(?:uation)?-only(?: runs?| models?)?"), ("eval-only",)),
    (re.compile(r"(?:runs?|models?)?"), ("fine-tuned", "control", "eval-only")),
)


class UnreadableError(ValueError):
    """It has no reading, or more than one; the message says why. `hint` is what to write instead."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


def is_ticked(cell: str) -> bool:
    """Whether a cell says that something is to be done."""
    text = _bare(cell)
    return text[:1] in tuple(TICKS) or "epoch" in text or text in _YES


def cell(text: str, run: DraftRun) -> list[int | None]:
    """The epochs that a cell of the matrix asks of a run: [] for none, [None] for one that trains
    none.

    Raises:
        UnreadableError: it cannot be told.
    """
    words = _bare(text)
    if words in _NOT:
        return []
    ticked = words[:1] in tuple(TICKS) or words in _YES
    if words in _YES:
        rest = ""
    else:
        rest = words.lstrip(TICKS).strip()
    if (
        not ticked
        and "epoch" not in rest
        and rest not in ("base", "once")
        and not _LAST.fullmatch(rest)
    ):
        bare = re.fullmatch(r"[\d\s,.-]+", rest)
        if bare:
            why = "numbers alone may be epochs or results"
        else:
            why = f"it is unclear whether {text.strip()!r} means yes or no"
        raise UnreadableError(why, "write `✓ epoch 0,1`, `✓` or `-`")
    return of_run(rest, run)


def of_run(words: str, run: DraftRun) -> list[int | None]:
    """The epochs of a run that the words behind a tick ask for; "" says nothing of them.

    Raises:
        UnreadableError: they cannot be told.
    """
    words = _unwrapped(words)
    if run.type != "fine-tuned":
        if words in ("", "base", "once"):
            return [None]
        why = (
            f"run {run.name!r} is of type {run.type}: it trains no epochs, and {words!r} names some"
        )
        raise UnreadableError(why, "write `✓` alone, or `-`")
    if words in ("", "once"):
        if len(run.epochs) == 1:
            return [*run.epochs]
        raise UnreadableError(
            f"which epochs of run {run.name!r} are meant is not said", "write `✓ epoch 0,1`"
        )
    return [*epochs(words, run)]


def epochs(words: str, run: DraftRun) -> tuple[int, ...]:
    """The epochs that words name: a list with ranges, each, or the last.

    Raises:
        UnreadableError: they cannot be told.
    """
    words = _unwrapped(words.lower().strip().rstrip(".").strip())
    outer, opened, inner = words.partition("(")
    if opened and outer.strip():
        said = epochs(outer, run)
        if epochs(inner.rstrip(") "), run) != said:
            raise UnreadableError(
                f"{words!r} names two different lists of epochs", "name them once"
            )
        return said
    both = words.startswith(("both", "the both"))
    if _EACH.fullmatch(words) or _LAST.fullmatch(words):
        if not run.epochs:
            why = f"how many epochs run {run.name!r} trains is said nowhere"
            raise UnreadableError(
                why, "name the epochs, or say `Epochs: 2` under Configuration, Training"
            )
        if both and len(run.epochs) != 2:
            raise UnreadableError(
                f"run {run.name!r} trains {len(run.epochs)} epochs, and {words!r} means two",
                "name the epochs",
            )
        if _LAST.fullmatch(words):
            return run.epochs[-1:]
        return run.epochs
    rest = re.sub(r"^epochs?\b[\s:=]*", "", words)
    found: list[int] = []
    for item in _items(rest):
        span, one = _RANGE.fullmatch(item), _ONE.fullmatch(item)
        if span:
            first, last = int(span[1]), int(span[2])
            if first > last or last - first >= _MOST_EPOCHS:
                raise UnreadableError(
                    f"{item!r} is no range of epochs", "write the smaller first: 0-1"
                )
            found += range(first, last + 1)
        elif one:
            found.append(int(one[1]))
        else:
            raise UnreadableError(
                f"{words!r} cannot be read as epochs", "write them as 0,1 or 0-1; they count from 0"
            )
    if not found:
        raise UnreadableError(
            f"{words!r} names no epoch", "write them as 0,1 or 0-1; they count from 0"
        )
    return tuple(dict.fromkeys(found))


def clauses(text: str) -> list[tuple[int, str]]:
    """The sentences of a paragraph, with the number of lines before each; parts between semicolons
    are sentences.
    """
    found: list[tuple[int, str]] = []
    start = 0
    for end in [*(match.end() for match in re.finditer(r"(?:[.!?](?=\s|$)|;)", text)), len(text)]:
        piece = text[start:end]
        words = " ".join(piece.split()).rstrip(".;!?").strip()
        if words:
            lines = text.count("\n", 0, start + len(piece) - len(piece.lstrip()))
            found.append((lines, words))
        start = end
    return found


def speaks_of_plan(words: str, runs: Mapping[str, DraftRun], tasks: Sequence[str]) -> bool:
    """Whether a sentence seems to say what is evaluated on what."""
    if re.search(r"\b(?:all|each|every|both|the) tasks?\b", words, re.IGNORECASE):
        return True
    named = any(_names(task, words) for task in tasks)
    about = re.search(
        r"\bevaluat|\bepoch|\bruns?\b|\bmodels?\b|\bcontrols?\b|\bbase", words, re.IGNORECASE
    )
    return bool(named and (about or any(_names(run, words) for run in runs)))


def sentence(words: str, runs: Mapping[str, DraftRun], tasks: Sequence[str]) -> list[EvalKey]:
    """The evaluations that a sentence asks for: `<runs> [are evaluated] on <tasks> [at <epochs>]`.

    Raises:
        UnreadableError: it cannot be told.
    """
    match = _WHO.fullmatch(words)
    shape = "write `<runs> on <tasks> at <epochs>`, a sentence for each, or the plan as a table"
    if (
        not match
        or len(re.findall(r"\bon\b", _without(words, [*runs, *tasks]), re.IGNORECASE)) != 1
    ):
        raise UnreadableError(f"{_short(words)!r} cannot be read as a plan", shape)
    what, *when = _WHEN.split(match["what"], maxsplit=1)
    chosen = _tasks(re.sub(r"\s+(?:only|once)$", "", what), tasks)
    if when:
        moment = when[0].strip()
    else:
        moment = ""
    if moment.count(")") > moment.count("("):
        moment = moment.removesuffix(")")
    found: list[EvalKey] = []
    for run, by_kind in _runs(match["who"], runs):
        # what is said of a whole kind's epochs is said of those that train any
        if by_kind and run.type != "fine-tuned":
            said = ""
        else:
            said = moment
        for task in chosen:
            found += [EvalKey(run=run.name, task=task, epoch=epoch) for epoch in of_run(said, run)]
    return found


def _runs(words: str, runs: Mapping[str, DraftRun]) -> list[tuple[DraftRun, bool]]:
    """The runs that words name, and of each whether a whole kind was named."""
    found: dict[str, tuple[DraftRun, bool]] = {}
    for item in [words] if words in runs else _items(words, runs):
        plain = _FILLER.sub("", item.lower()).strip()
        own = runs.get(item) or runs.get(re.sub(r"^(?:the )?(?:run )?", "", item))
        if own:
            found.setdefault(own.name, (own, False))
            continue
        every = _ALL.match(plain)
        if every:
            kind = plain[every.end() :]
        else:
            kind = plain
        kinds = next((kinds for pattern, kinds in _KINDS if pattern.fullmatch(kind)), None)
        if kinds is None or (len(kinds) > 1 and not every):
            near = nearest(item, sorted(runs))
            if near:
                hint = f"did you mean {near!r}?"
            else:
                hint = "name runs as they are named there"
            raise UnreadableError(f"{item!r} is no run of the table", hint)
        chosen = [run for run in runs.values() if run.type in kinds]
        names = listed([run.name for run in chosen]) or "none"
        if plain.startswith("both"):
            count = "2"
        elif every:
            count = every["count"]
        else:
            count = None
        if not chosen or (count is not None and int(count) != len(chosen)):
            raise UnreadableError(
                f"{item!r} does not fit the table, where it means: {names}", "name the runs"
            )
        if not every and not kind.endswith("s") and len(chosen) > 1:
            raise UnreadableError(f"{item!r} may mean any of {names}", "name the run, or say `all`")
        for run in chosen:
            found.setdefault(run.name, (run, len(kinds) > 1))
    return list(found.values())


def _tasks(words: str, tasks: Sequence[str]) -> list[str]:
    """The tasks that words name."""
    plain = words.lower().strip()
    if re.fullmatch(
        r"(?:all|each|every|both)(?: of)?(?: the)?(?: \d+)?(?: evaluation)? tasks?|all|everything",
        plain,
    ):
        counted = re.search(r"\d+", plain)
        if (plain.startswith("both") and len(tasks) != 2) or (
            counted and int(counted[0]) != len(tasks)
        ):
            raise UnreadableError(
                f"{words!r} means {len(tasks)} tasks here: {listed(list(tasks))}", "name them"
            )
        return [*tasks]
    found: list[str] = []
    for item in [words] if words in tasks else _items(words, tasks):
        names = (
            item,
            re.sub(r"\s+tasks?$", "", item),
            re.sub(r"^(?:the )?(?:tasks? )?", "", re.sub(r"\s+tasks?$", "", item)),
        )
        name = next((name for name in names if name in tasks), None)
        if name is None:
            near = nearest(item, tasks)
            if near:
                hint = f"did you mean {near!r}?"
            else:
                hint = f"tasks: {listed(list(tasks)) or 'none'}"
            raise UnreadableError(f"{item!r} is no task of the table", hint)
        found.append(name)
    if not found:
        raise UnreadableError("it names no task", f"tasks: {listed(list(tasks)) or 'none'}")
    return list(dict.fromkeys(found))


def _items(words: str, names: Mapping[str, object] | Sequence[str] = ()) -> list[str]:
    """The members of a list in words, `a, b and c`; a name that holds such a word is one member."""
    kept = {
        f"\x00{index}\x00": name
        for index, name in enumerate(sorted(names, key=len, reverse=True))
        if " " in name or "," in name
    }
    for mark, name in kept.items():
        words = words.replace(name, mark)
    parts = re.split(r"\s*(?:,|&|\+|;|/|\band\b)\s*", words)
    return [" ".join(kept.get(part, part).split()) for part in parts if part.strip()]


def _bare(text: str) -> str:
    """In lower case, without the variation selectors that make a tick an emoji, and without
    brackets around all of it.
    """
    return " ".join(re.sub("[\ufe0e\ufe0f\u200b\u200d]", "", text).lower().split())


def _unwrapped(words: str) -> str:
    words = words.strip().lstrip(":,").strip()
    if words.startswith("(") and words.endswith(")") and words.count("(") == 1:
        return words[1:-1].strip()
    return words


def _names(name: str, words: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", words) is not None


def _without(words: str, names: Sequence[str]) -> str:
    for name in sorted(names, key=len, reverse=True):
        if " " in name or name.lower() == "on":
            words = words.replace(name, " ")
    return words


def _short(text: str) -> str:
    if len(text) <= 80:
        return text
    return text[:79] + "…"
