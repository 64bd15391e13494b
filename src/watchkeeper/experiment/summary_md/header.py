"""What the whole experiment has: its name, its tools, and how many epochs are trained."""

from __future__ import annotations

import re
from collections.abc import Mapping

from watchkeeper.core import criteria
from watchkeeper.core.errors import UsageError
from watchkeeper.core.ids import name_fault
from watchkeeper.experiment.summary_md.page import Page, count_of
from watchkeeper.reading.yaml import nearest
from watchkeeper.tools import promise

_TOOLS: Mapping[str, str] = {
    "inspect": "inspect-ai",
    "inspect-ai": "inspect-ai",
    "torchtune": "torchtune",
    "script": "script",
}
_PREPARATION = ("model preparation", "preparation", "training", "fine-tuning")


def read_name(page: Page) -> str:
    """The title, or the folder's name where no title can be a name."""
    folder = page.path.parent.name or "experiment"
    title = next((section for section in page.sections if section.level == 1), None)
    if title is None:
        message = f"it has no title: the experiment is named {folder!r}, as its folder"
        page.blame(1, message, "add `# NAME`", severity="note")
        return folder
    if fault := name_fault(title.title):
        message = (
            f"the title {title.title!r} cannot name the experiment: {fault}; it is named "
            f"{folder!r}, as its folder"
        )
        page.blame(title.line, message, "give it another title", severity="warning")
        return folder
    return title.title


def read_tools(page: Page) -> tuple[str, str]:
    """The tools of preparation and evaluation."""
    sections = page.below("tools", "tools used")
    preparation = _read_tool(
        page,
        list(page.values(sections, *_PREPARATION)),
        promise.PREPARATION_TOOLS,
        "preparation",
    )
    evaluation = _read_tool(
        page, list(page.values(sections, "evaluation")), promise.EVALUATION_TOOLS, "evaluation"
    )
    return preparation, evaluation


def _read_tool(page: Page, values: list[tuple[int, str]], known: tuple[str, ...], what: str) -> str:
    """The tool that these values name; the first known one where they name none, or several."""
    names = [(line, _first_word(value)) for line, value in values]
    tools = {_TOOLS.get(name, "") for _, name in names}
    for line, name in names:
        if _TOOLS.get(name, "") in known:
            continue
        hint = f"One of: {', '.join(known)}"
        if near := nearest(name, known):
            hint = f"did you mean {near!r}? {hint}"
        page.blame(line, f"{what}: the tool {name!r} is not known here", hint, is_fatal=True)
    if len(tools) == 1:
        return next(iter(tools))
    if tools:
        hint = f"the first stands on line {names[0][0]}"
        page.blame(names[-1][0], f"{what}: two tools are named", hint, is_fatal=True)
    return known[0]


def _first_word(value: str) -> str:
    """The first word of a value, in small letters: of `Inspect_AI (0.3)` it is `inspect-ai`."""
    return re.split(r"[\s(,]", value.lower().replace("_", "-"))[0]


def read_trained_epochs(page: Page) -> int | None:
    """How many epochs are trained by the configuration; None: it does not say, or twice."""
    sections = page.below("training", "configuration", "controls")
    counts: dict[int, int] = {}
    for line, value in page.values(sections, "epochs"):
        count = count_of(value)
        if count is not None:
            counts.setdefault(count, line)
            continue
        message = f"how many epochs are trained cannot be read from {value!r}"
        page.blame(line, message, "write `Epochs: 2`", severity="warning")
    if not counts:
        return None
    first, *others = counts
    if not others:
        return first
    message = (
        f"{others[0]} epochs are configured here, and {first} on line {counts[first]}: neither is "
        "used"
    )
    page.blame(counts[others[0]], message, "write it once", severity="warning")
    return None


def read_expect(page: Page) -> tuple[str, ...]:
    """The criteria on what the evaluations report, as written."""
    sections = page.below("evaluation", "evaluation plan", "evaluation tasks", "expectations")
    texts = []
    for line, value in page.values(sections, "expect", "expected"):
        try:
            texts.append(criteria.parse(value.strip("`")).words)
        except UsageError as error:
            page.blame(line, f"Expect: {error}", error.hint, is_fatal=True)
    return tuple(texts)
