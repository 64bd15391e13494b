"""What `watchkeeper trace` does, imported when it is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from watchkeeper.core.collector import collector_paused
from watchkeeper.core.criteria import Standing as Expectation
from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, Problem, UsageError
from watchkeeper.experiment.tree import is_experiment
from watchkeeper.query.catalogue.enclosing import enclosing_experiment, run_named, taken_note
from watchkeeper.query.trace.links import Link, Trace
from watchkeeper.query.trace.of_experiment import has_run, trace
from watchkeeper.query.trace.of_recording import trace_recording
from watchkeeper.show.cli.answering import answer, echo_expectations, echo_problems, say
from watchkeeper.show.text import number, printable, table


@collector_paused()
def perform(place: Path, key: str, as_json: bool) -> int:
    """Do what `trace` is asked for; the arguments are its options. EXIT_FAILED: a link has changed
    or is missing.
    """
    found = _trace_of(place, key)
    code = EXIT_FAILED
    if found.sound:
        code = EXIT_OK
    if as_json:
        return answer(
            code,
            summary=_summary(found),
            counts=dict(Counter(link.holds for link in found.links)),
            problems=[_problem(link) for link in _broken(found)],
            data=TraceData(
                experiment=found.experiment,
                key=found.key,
                sound=found.sound,
                links=found.links,
                expected=found.expected,
            ),
        )
    lines: list[list[str]] = []
    for at, link in enumerate(found.links):
        # What a link rests on stands below it, with an arrow.
        arrow = "  "
        if at:
            arrow = "← "
        lines.append([arrow + link.what, link.name, link.holds, _words(link)])
    say(table(["what", "which", "today", "evidence"], lines))
    echo_expectations(found.expected)
    say("")
    click.echo(_summary(found))
    return code


def _trace_of(place: Path, key: str) -> Trace:
    """The chain of what was named: a key in an experiment, or a place that says it all.

    Raises:
        UsageError: nothing that was submitted or recorded has this name.
    """
    if key:
        taken = enclosing_experiment(place)
        if taken is not None:
            echo_problems([taken_note(place, taken)])
            place = taken
        return trace(place, key)
    if is_experiment(place):
        raise UsageError(
            f"{place} is an experiment: name a run or an evaluation of it",
            hint=f"watchkeeper trace {place} KEY; `watchkeeper status {place}` lists the keys",
        )
    named = run_named(place)
    if named is not None and (not place.is_dir() or has_run(*named)):
        return trace(*named)
    if not place.is_dir():
        raise UsageError(
            f"{place} is no folder, and this is no experiment's folder",
            hint="watchkeeper trace EXPERIMENT KEY, or the folder of a recorded run",
        )
    return trace_recording(place)


class TraceData(msgspec.Struct, frozen=True, kw_only=True):
    """The chain, from the figure back; `sound`: no link has changed or is missing. `expected`: of
    an evaluation, each criterion that was stated, and what came of it. Of a recorded run its folder
    is the `experiment`, and the `key` is "".
    """

    experiment: str
    key: str
    sound: bool
    links: list[Link]
    expected: list[Expectation] = []


ANSWERS = (TraceData,)


def _broken(found: Trace) -> list[Link]:
    """The links that do not hold today. One of which nothing is known is not among them."""
    return [link for link in found.links if link.holds in ("changed", "missing")]


def _problem(link: Link) -> Problem:
    """A broken link as a problem."""
    message = f"the {link.what} has changed"
    if link.holds == "missing":
        message = f"the {link.what} is missing"
    if link.why:
        message += f": {link.why}"
    return Problem(where=link.name, message=message, code=f"link-{link.holds}")


def _words(link: Link) -> str:
    """The evidence of a link in one line."""
    return "; ".join(_parts(link))


def _parts(link: Link) -> Iterator[str]:
    """The evidence of a link: why it holds or not, its figures, and its facts; of a hash the first
    16 letters.
    """
    if link.why:
        yield link.why
    if link.metrics:
        yield ", ".join(f"{name} {number(value)}" for name, value in link.metrics.items())
    for name, text in link.facts.items():
        if name in ("sha256", "fingerprint"):
            yield f"{name} {text[:16]}"
        else:
            yield f"{name} {text}"


def _summary(found: Trace) -> str:
    """Whether the chain holds, in one line. Where it does not, the links that are broken are named,
    as in `Broken: checkpoint out/epoch_0 (changed)`.
    """
    broken = _broken(found)
    open_ = sum(link.holds == "unknown" for link in found.links)
    if broken:
        named = [f"{link.what} {link.name} ({link.holds})" for link in broken]
        return printable(f"Broken: {'; '.join(named)}")
    if open_:
        return f"Every link holds, but for {open_} that cannot be checked."
    return "Every link holds."
