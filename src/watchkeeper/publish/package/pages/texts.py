"""The texts of a package, with a pseudonym in the place of all that is private."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from watchkeeper.core.errors import UsageError, WatchkeeperError
from watchkeeper.publish import names
from watchkeeper.publish.package.pages.card import code, loss_table, results_table
from watchkeeper.publish.package.story import Result, Story
from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.pseudonyms import FORM
from watchkeeper.publish.sanitize.text import Redaction, Sanitized, WouldEmptyError, hide
from watchkeeper.publish.sanitize.training_log import training_log

_FENCES = ("```", "~~~")


class BrokenTextError(WatchkeeperError):
    """A file is no longer what it was, once what is private in it is hidden."""

    code = "broken-text"


class Texts:
    """Hides what is private, and remembers by file what was hidden."""

    def __init__(self, known: Known, links: Sequence[str] = ()) -> None:
        self.redactions: dict[str, list[Redaction]] = {}
        self._known = known
        self._links = tuple(links)

    def hidden(self, file: str, text: str) -> str:
        """The text for this file of the package."""
        return self._kept(file, hide(text, self._known, keep_links=self._links))

    def hidden_json(self, file: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """A document for this file of the package.

        Raises:
            BrokenTextError: it is no JSON afterwards.
        """
        text = json.dumps(document, ensure_ascii=False, indent=2)
        return dict(_parsed(file, self.hidden(file, text)))

    def hidden_file(self, file: str, text: str) -> str:
        """The text of a file that came with the checkpoint; JSON stays JSON.

        Raises:
            BrokenTextError: it was JSON, and is none afterwards.
        """
        hidden = self.hidden(file, text)
        if hidden != text and file.endswith(".json") and _is_json(text):
            _parsed(file, hidden)
        return hidden

    def hidden_story(self, story: Story) -> Story:
        """The run as everybody may read of it; its run log and its configuration as they were."""
        card = names.README
        return msgspec.structs.replace(
            story,
            name=self.hidden(card, story.name),
            description=self.hidden(card, story.description),
            settings={name: self.hidden(card, value) for name, value in story.settings.items()},
            results=tuple(self._hidden_result(result) for result in story.results),
        )

    def training_log(self, story: Story) -> str:
        """The training log of a run: what its run log says, the recorded losses, and the
        evaluations of this checkpoint.

        Raises:
            WouldEmptyError: nothing of the run log would be left to read.
        """
        written = story.run_log or _plain_log(story)
        try:
            log = training_log(written, self._known, public_links=self._links)
        except WouldEmptyError as error:
            hint = f"{error.hint}; or name another log: --run-log FILE"
            raise WouldEmptyError(f"{names.TRAINING_LOG}: {error}", hint=hint) from error
        text = in_code(self._kept(names.TRAINING_LOG, log))
        parts = [text.rstrip("\n"), *_recorded(story)]
        return "\n\n".join(parts) + "\n"

    def _hidden_result(self, result: Result) -> Result:
        return msgspec.structs.replace(result, task=self.hidden(names.README, result.task))

    def _kept(self, file: str, sanitized: Sanitized) -> str:
        """The text, whose redactions are kept under the file's name for the list beside the
        package.
        """
        if sanitized.redactions:
            self.redactions.setdefault(file, []).extend(sanitized.redactions)
        return sanitized.text


def in_code(markdown: str) -> str:
    """Markdown with each pseudonym in backticks: a browser would take `<job-1>` for a tag, and show
    nothing.
    """
    lines = []
    is_fenced = False
    for line in markdown.split("\n"):
        if line.lstrip().startswith(_FENCES):
            is_fenced = not is_fenced
        lines.append(line if is_fenced or "<" not in line else _line_in_code(line))
    return "\n".join(lines)


def _line_in_code(line: str) -> str:
    parts = line.split("`")
    # Every other part stands between backticks already; without its second one a backtick is none.
    for at in range(0, len(parts), 2 if len(parts) % 2 else 1):
        parts[at] = FORM.sub(r"`\g<0>`", parts[at])
    return "`".join(parts)


def _parsed(file: str, text: str) -> Any:
    """The JSON that is left once what is private is hidden.

    Raises:
        BrokenTextError: it is none: a pseudonym stands where no text can.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise BrokenTextError(
            f"{file} is no JSON once what is private in it is hidden: {error}",
            hint="take what is private out of it by hand, then stage the package again",
        ) from error


def _is_json(text: str) -> bool:
    """Whether a text is JSON."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _recorded(story: Story) -> list[str]:
    """What was recorded of the losses, and of evaluations."""
    parts = []
    if story.losses:
        parts += ["## Recorded losses", loss_table(story.losses)]
    return [*parts, "## Recorded evaluations", results_table(story.results)]


def _plain_log(story: Story) -> str:
    """A log of a run that has none: its settings."""
    lines = [f"# {story.name}", "", story.description, "", "## Config", ""]
    lines += [f"- {name}: {code(value)}" for name, value in story.settings.items()]
    if not story.settings and not story.description:
        lines.append("- no settings were recorded")
    return "\n".join(lines)


def refuse_blank(path: str, text: str) -> None:
    """Refuse a text that says nothing.

    Raises:
        UsageError: it does.
    """
    if not text.strip():
        raise UsageError(f"{path} is blank", hint="write into it, or name another file")
