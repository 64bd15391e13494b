"""`watchkeeper tag`: give a run tags, or take them away."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_OK, UsageError
from watchkeeper.core.events import Tagged
from watchkeeper.core.words import tag_fault
from watchkeeper.show.cli.answering import answer, say
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.cli.words.subject import Subject, find_subject
from watchkeeper.show.text import printable


@click.command("tag")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1, metavar="[KEY] [TAG]...")
@click.option("--remove", is_flag=True, help="Take these tags away.")
@answer_options
@command_errors
def command(run: Path, texts: tuple[str, ...], remove: bool, as_json: bool) -> int:
    """Give a run tags, which `watchkeeper ls --tag` finds it by. Without a TAG, print those it has.

    RUN is the folder of a recorded run, or an experiment's with the KEY of a run or an evaluation,
    as `status` shows it. EXPERIMENT/KEY, or in the experiment's folder the KEY alone, will do as
    well; the KEY `.` is the experiment as a whole. A tag has at most 60 characters.

    Example: watchkeeper tag artifacts/training/r8 baseline
    """
    subject, tags = find_subject(run, texts)
    _check(tags)
    before = subject.words.tags
    if remove:
        after = _remove(subject, tags)
    else:
        after = _add(subject, tags)
    summary = f"{subject.name}: {', '.join(after) or 'no tags'}"
    if as_json:
        data = TagData(folder=str(subject.folder), key=subject.key, tags=list(after))
        return answer(EXIT_OK, summary=summary, counts={"tags": len(after)}, data=data)
    click.echo(printable(summary))
    if tags and after == before:
        say("It had these tags already: nothing was written.")
    return EXIT_OK


class TagData(msgspec.Struct, frozen=True, kw_only=True):
    """The folder of the journal, the run's key there ("" for the folder's own run), and the tags
    that it has now.
    """

    folder: str
    key: str
    tags: list[str]


ANSWERS = (TagData,)


def _check(tags: list[str]) -> None:
    """Refuse what cannot be a tag, before anything is written.

    Raises:
        UsageError: one of them cannot; the message says why.
    """
    for tag in tags:
        fault = tag_fault(tag)
        if fault:
            raise UsageError(f"the tag {tag[:80]!r} {fault}", hint="give another tag")


def _add(subject: Subject, tags: list[str]) -> list[str]:
    """Write those that it has not got yet; returns what it has now."""
    before = subject.words.tags
    new = tuple(tag for tag in dict.fromkeys(tags) if tag not in before)
    if new:
        _write(subject, tags=new)
    return sorted([*before, *new])


def _remove(subject: Subject, tags: list[str]) -> list[str]:
    """Write that they are taken away; returns what it has now."""
    before = subject.words.tags
    if not tags:
        raise UsageError(
            "--remove: no tag was named", hint=f"it has: {', '.join(before) or 'none'}"
        )
    for tag in tags:
        if tag not in before:
            raise UsageError(
                f"{subject.name} has no tag {tag!r}", hint=f"it has: {', '.join(before) or 'none'}"
            )
    _write(subject, removed=tuple(dict.fromkeys(tags)))
    return [tag for tag in before if tag not in tags]


def _write(subject: Subject, tags: tuple[str, ...] = (), removed: tuple[str, ...] = ()) -> None:
    """Write one event that gives tags, or takes them away."""
    writer = subject.open_writer("tag")
    try:
        writer.write(Tagged, key=subject.key, tags=tags, removed=removed, saw=subject.journal.saw)
    finally:
        writer.close()
