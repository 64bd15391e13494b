"""`watchkeeper trace`: where a figure comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK
from watchkeeper.query.trace import Link, Trace, trace
from watchkeeper.show.cli.common import command_errors, echo_json, experiment_argument, json_option
from watchkeeper.show.text import number, printable, table


@click.command("trace")
@experiment_argument
@click.argument("key")
@json_option
@command_errors
def command(experiment: Path, key: str, as_json: bool) -> int:
    """Trace a figure back to its result, evaluation, checkpoint, training, scripts, configurations,
    commit and data, and say for each whether it is still the same. Exit code: 1 if something has
    changed or is missing.

    KEY is the key of an evaluation or the name of a run, as `status` and the logs show it.

    Example: watchkeeper trace examples/digits h64_lr1e-1/clean/epoch1
    """
    found = trace(experiment, key)
    if as_json:
        echo_json(
            {
                "experiment": found.experiment,
                "key": found.key,
                "sound": found.sound,
                "links": found.links,
            }
        )
    else:
        lines = [
            ["← " if at else "  ", link.what, link.name, link.holds, _words(link)]
            for at, link in enumerate(found.links)
        ]
        click.echo(
            table(["what", "which", "today", "evidence"], [[a + b, *rest] for a, b, *rest in lines])
        )
        click.echo(f"\n{_summary(found)}")
    if found.sound:
        return EXIT_OK
    return EXIT_FAILED


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
    broken = [link for link in found.links if link.holds in ("changed", "missing")]
    open_ = sum(link.holds == "unknown" for link in found.links)
    if broken:
        return printable(
            "Broken: " + "; ".join(f"{link.what} {link.name} ({link.holds})" for link in broken)
        )
    return "Every link holds" + (f", but for {open_} of which nothing can tell." if open_ else ".")
