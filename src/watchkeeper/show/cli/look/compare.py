"""`watchkeeper compare`: runs side by side."""

from __future__ import annotations

from pathlib import Path

import click

from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import page_options


@click.command("compare")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="PATH...",
    type=click.Path(path_type=Path),
)
@click.option("--runs", metavar="GLOB", help="Only runs whose name matches, e.g. 'h16_*'.")
@click.option(
    "--evals",
    metavar="GLOB",
    help="Of an experiment's evaluations, only the figures of those whose key matches, e.g. "
    "'*/clean/*'.",
)
@click.option(
    "--base", metavar="RUN", help="The run to compare the others with. Default: the first."
)
@click.option("--wide", is_flag=True, help="Every setting and metric, wider than the terminal.")
@click.option(
    "--sizing",
    is_flag=True,
    help="Also what an experiment's jobs asked for against what they used, and nodes that fail.",
)
@page_options
@command_errors
def command(
    *,
    paths: tuple[Path, ...],
    runs: str | None,
    evals: str | None,
    base: str | None,
    wide: bool,
    sizing: bool,
    as_json: bool,
) -> int:
    """Put runs side by side: the settings that vary, code, data and figures, and how each differs
    from the base.

    A PATH is the folder of an experiment (all its runs) or of a recorded run, a folder with
    recorded runs below it, a run log, or a folder of run logs, including hand-written ones; also a
    folder of offline runs of W&B. EXPERIMENT/RUN, or in the experiment's folder the RUN alone, is
    one of its runs. What W&B alone kept of a run is called `W&B loss`. For an
    evaluation the best epoch counts, and @N names it. Which figures are better is said by [metrics]
    in watchkeeper.toml, else by the metric's name.

    Example: watchkeeper compare examples/digits --base h16_lr1e-2
    """
    from watchkeeper.show.cli.look.bodies.compare import perform

    return perform(
        paths=paths, runs=runs, evals=evals, base=base, wide=wide, sizing=sizing, as_json=as_json
    )
