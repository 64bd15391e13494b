"""`watchkeeper plan`: look, decide, and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from watchkeeper.show.cli.common import (
    allow_unsigned_option,
    budget_option,
    cluster_option,
    expect_option,
    experiment_argument,
    selection_options,
)
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import page_options


@click.command("plan")
@experiment_argument
@selection_options
@cluster_option
@allow_unsigned_option
@budget_option
@expect_option
@page_options
@command_errors
def command(
    experiment: Path,
    *,
    as_json: bool,
    gate: str | None,
    queue_ahead: bool | None,
    cluster: str | None,
    allow_unsigned: bool,
    budget: str,
    expect: tuple[str, ...],
    **options: Any,
) -> int:
    """Show what would be submitted, and why everything else would not. Writes nothing.

    Example: watchkeeper plan examples/digits --json
    """
    from watchkeeper.show.cli.work.bodies.plan import perform

    return perform(
        experiment,
        as_json=as_json,
        gate=gate,
        queue_ahead=queue_ahead,
        cluster=cluster,
        allow_unsigned=allow_unsigned,
        budget=budget,
        expect=expect,
        **options,
    )
