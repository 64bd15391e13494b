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
    """Do what `trace` is asked for; the arguments are its options."""
    found = _trace_of(place, key)
    code = EXIT_OK if found.sound else EXIT_FAILED
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
    lines = [
        ["← " if at else "  ", link.what, link.name, link.holds, _words(link)]
        for at, link in enumerate(found.links)
    ]
    say(table(["what", "which", "today", "evidence"], [[a + b, *rest] for a, b, *rest in lines]))
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
    return [link for link in found.links if link.holds in ("changed", "missing")]


def _problem(link: Link) -> Problem:
    """A broken link as a problem."""
    message = f"the {link.what} {'is missing' if link.holds == 'missing' else 'has changed'}"
    if link.why:
        message += f": {link.why}"
    return Problem(where=link.name, message=message, code=f"link-{link.holds}")


def _words(link: Link) -> str:
    return "; ".join(_parts(link))


def _parts(link: Link) -> Iterator[str]:
    if link.why:
        yield link.why
    if link.metrics:
        yield ", ".join(f"{name} {number(value)}" for name, value in link.metrics.items())
    for name, text in link.facts.items():
        yield f"{name} {text[:16] if name in ('sha256', 'fingerprint') else text}"


def _summary(found: Trace) -> str:
    broken = _broken(found)
    open_ = sum(link.holds == "unknown" for link in found.links)
    if broken:
        return printable(
            "Broken: " + "; ".join(f"{link.what} {link.name} ({link.holds})" for link in broken)
        )
    return "Every link holds" + (f", but for {open_} of which nothing can tell." if open_ else ".")
