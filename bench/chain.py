"""What the chain of a journal costs: `python -m bench.chain [--json]`.

The chain over the events of a run's journal, over decoding the same lines; and its share of
`start_run` and `close`.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from unittest import mock

import watchkeeper as wk
from bench.measure import by_turns, show
from watchkeeper.core import events, layout
from watchkeeper.core.chain import links, tree
from watchkeeper.core.journal import Writer

ROUNDS = 201
STARTS = 31
REPEATS = 2  # short, so that other work on the machine rarely comes between


def lines_of(folder: Path) -> list[bytes]:
    """The lines of the journal of a run with a stage, rows and a checkpoint."""
    config = {"lr": 1e-3, "model": {"layers": 4, "heads": 8}, "data": ["a", "b"]}
    with wk.start_run(folder=folder, pipeline="bench", console=False, config=config) as run:
        with run.step("00_ingest"):
            run.log(1, loss=0.5)
        (folder / "model.pt").write_bytes(b"weights")
        run.checkpoint(folder / "model.pt", training_step=1)
    files = sorted((folder / layout.JOURNAL).iterdir())
    return [line for file in files for line in file.read_bytes().splitlines(keepends=True)]


def share_of_a_start(folder: Path) -> dict[str, float]:
    """How long `start_run` and `close` take, and the part of it in which events are hashed."""
    spent: list[float] = []
    follow = Writer._follow

    def timed(writer: Writer) -> str:
        began = time.perf_counter()
        value = follow(writer)
        spent.append(time.perf_counter() - began)
        return value

    def start(number: int) -> float:
        began = time.perf_counter()
        wk.start_run(folder=folder / f"run{number}", pipeline="bench", console=False).close()
        return time.perf_counter() - began

    with mock.patch.object(Writer, "_follow", timed):
        whole = sorted(map(start, range(STARTS)))[STARTS // 2]
    hashed = sorted(spent)[len(spent) // 2]
    return {"start_and_close_ms": whole * 1000, "of_which_chain_ms": hashed * 1000}


def main() -> None:
    """Both figures."""
    secret = tree.new_secret()
    with tempfile.TemporaryDirectory() as place:
        lines = lines_of(Path(place) / "run")

        def chain() -> None:
            for _ in range(REPEATS):
                followed = links.Chain("w")
                for line in lines:
                    followed.add(links.hash_line(line, secret))

        def decode() -> None:
            for _ in range(REPEATS):
                for line in lines:
                    events.decode(line)

        figures = by_turns(chain, decode, ROUNDS)
        each = len(lines) * REPEATS
        show(
            "the chain of a journal",
            {
                "chain_us_per_event": figures["ours_s"] / each * 1e6,
                "over_decoding": figures["ratio"],
                **share_of_a_start(Path(place)),
            },
        )


if __name__ == "__main__":
    main()
