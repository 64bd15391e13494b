"""`wandb sync` as a user would call it, against servers and files that fail: what was said, whether
it was true, and what the server holds. `make sync-faults` prints the table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.publish.wandb.files import begin, end, framed, header, row, summary, write_run
from tests.publish.wandb.server import FakeServer, Fault

TIMEOUT_S = 20.0
OUTCOME_S = 120.0

KEY = "k" * 40
STARTED = 1_770_000_000
RUN = ("ent", "proj", "abc")


class Case(NamedTuple):
    """One fault: the files, how the server fails and after how many good answers, what must be
    said, and how many rows the server must hold afterwards (None: any number). A disk is full for
    every file that grows over `most_file_bytes` (None: there is room). `version` is what the server
    says it is, and `why` a part of the reason that must be said.
    """

    name: str
    make: Callable[[Path], None]
    said: str
    held: int | None
    fault: Fault = ""
    after: int = 0
    timeout_s: float = TIMEOUT_S
    most_file_bytes: int | None = None
    version: str = "0.76.1"
    why: str = ""


class Seen(NamedTuple):
    """What came of a case."""

    said: str
    why: str
    held: int
    rows: int
    repeated: int
    seconds: float
    is_key_shown: bool


def plain(folder: Path, rows: int = 20) -> None:
    """A run that ended well."""
    lines = [row(step, {"loss": 1 / (step + 1)}, STARTED + step) for step in range(rows)]
    write_run(folder, begin(project="old"), *lines, summary({"loss": 0.1}), end())


def resumed(folder: Path) -> None:
    """Two segments of one run."""
    first = begin(resume=True)
    write_run(folder, first, *[row(step, {"a": step}) for step in range(5)], end(1), name="1")
    again = begin(started_s=STARTED + 100, resume=True)
    write_run(folder, again, *[row(step, {"a": step}) for step in range(5, 9)], end(), name="2")


def restarted(folder: Path) -> None:
    """Two segments of one id, the second begun anew: W&B would put it over the first."""
    write_run(folder, begin(), row(0, {"a": 1}), row(1, {"a": 2}), end(1), name="1")
    again = begin(started_s=STARTED + 100)
    write_run(folder, again, row(0, {"a": 3}), end(), name="2")


def torn(folder: Path) -> None:
    """A run whose file ends within a record."""
    lines = [row(step, {"a": step}) for step in range(20)]
    path = write_run(folder, begin(), *lines)
    data = framed([header(), begin(), *lines])
    path.write_bytes(data[:-10])
    os.utime(path, (STARTED, STARTED))


def running(folder: Path) -> None:
    """A run that is being written."""
    write_run(folder, begin(), row(0, {"a": 1}))


def two_runs(folder: Path) -> None:
    """Two runs with one id, at the same time."""
    write_run(folder, begin(), row(0, {"a": 1}, STARTED + 100), end(), name="1")
    write_run(folder, begin(started_s=STARTED + 50), row(0, {"a": 2}), end(), name="2")


def marked(folder: Path) -> None:
    """A run that was synced before."""
    plain(folder)
    path = next(folder.rglob("*.wandb"))
    path.with_name(f"{path.name}.synced").touch()


def empty(folder: Path) -> None:
    """A run without a step."""
    write_run(folder, begin(), end())


def long(folder: Path) -> None:
    """A run of 100,000 rows."""
    plain(folder, 100_000)


def strange(folder: Path) -> None:
    """NaN, infinities, and names with slashes and in other scripts."""
    values = {"a/b/c": float("nan"), "損失": float("inf"), "é l": 1}
    write_run(folder, begin(), row(0, values), row(1, values), end())


def other_day(folder: Path) -> None:
    """The clock of the run's machine was a day ahead."""
    ahead = int(time.time()) + 86_400
    write_run(folder, begin(started_s=ahead), row(0, {"a": 1}, ahead + 1), end())


def staged(folder: Path) -> None:
    """A run beside 60 GB of artifacts that wait to be uploaded, as sparse files."""
    plain(folder)
    place = folder / "wandb_data" / "artifacts" / "staging"
    place.mkdir(parents=True)
    for number in range(60):
        with (place / f"copy-{number}").open("wb") as file:
            file.truncate(10**9)


def no_binary(folder: Path) -> None:
    """An offline folder whose file is gone."""
    plain(folder)
    next(folder.rglob("*.wandb")).unlink()


def crashed(folder: Path) -> None:
    """A run without an end that nobody writes any more."""
    path = write_run(folder, begin(), row(0, {"a": 1}), row(1, {"a": 2}))
    os.utime(path, (STARTED, STARTED))


CASES = (
    Case("a good server", plain, "synced", 20),
    Case("two segments", resumed, "synced", 9),
    Case("begun anew under one id", restarted, "refused", 0),
    Case("401", plain, "failed", 0, "401"),
    Case("403", plain, "failed", 0, "403"),
    Case("404", plain, "failed", 0, "404"),
    Case("500", plain, "failed", 0, "500"),
    Case("500 after the start", plain, "not synced", None, "500", 3),
    Case("401 after the start", plain, "not synced", None, "401", 3),
    Case("hangs at once", plain, "failed", 0, "hang"),
    Case("hangs at request 3", plain, "not synced", None, "hang", 2),
    Case("hangs at request 4", plain, "not synced", None, "hang", 3),
    Case("hangs at request 6", plain, "not synced", None, "hang", 5),
    Case("closes mid-upload", plain, "not synced", None, "close", 4),
    Case("loses half of the rows", plain, "failed", None, "lose-rows"),
    Case("does not count rows", plain, "unknown", 20, "no-count"),
    Case("half a segment", torn, "unknown", 19),
    Case("killed, no end", crashed, "synced", 2),
    Case("still running", running, "refused", 0),
    Case("two runs, one id", two_runs, "refused", 0),
    Case("synced before", marked, "refused", 0),
    Case("0 steps", empty, "synced", 0),
    Case("100,000 rows", long, "synced", 100_000, timeout_s=600),
    Case("NaN, slashes, Unicode", strange, "synced", 2),
    Case("a clock a day ahead", other_day, "synced", 1),
    Case("no binary", no_binary, "error", 0),
    Case("an old server", plain, "failed", 0, version="0.69.2", why="needs 0.70.0 or later"),
    Case("an old server, no version", plain, "failed", 0, "old", why="the server is too old"),
    Case("a server without version", plain, "synced", 20, version=""),
    Case("60 GB of staging", staged, "synced", 20),
    Case("a full disk", plain, "any", None, most_file_bytes=2000),
)


def try_case(case: Case, folder: Path) -> Seen:
    """Run a case in a folder."""
    case.make(folder)
    token = folder / "token"
    token.write_text(f"{KEY}\n")
    token.chmod(0o600)
    with FakeServer().serving() as server:
        server.fault, server.fault_after = case.fault, case.after
        server.version = case.version
        words = [sys.executable, "-m", "watchkeeper", "wandb", "sync", folder / "wandb", "--json"]
        words += ["-e", "ent", "-p", "proj", "--server", server.url, "--yes"]
        words += ["--wandb-token-file", token, "--timeout", str(case.timeout_s)]
        begun = time.monotonic()
        done = subprocess.run(
            [*_limited(case), *words], capture_output=True, text=True, check=False, cwd=folder
        )
        seconds = time.monotonic() - begun
        answer = json.loads(done.stdout)
        said, why = _said(answer)
        return Seen(
            said=said,
            why=why,
            held=len(server.rows.get(RUN, {})),
            rows=_rows(answer),
            repeated=server.repeated,
            seconds=seconds,
            is_key_shown=KEY in done.stdout + done.stderr,
        )


def _limited(case: Case) -> list[str]:
    """The words before a command whose files may not grow over the case's bound."""
    if case.most_file_bytes is None:
        return []
    return ["prlimit", f"--fsize={case.most_file_bytes}"]


def _rows(answer: dict[str, object]) -> int:
    """How many rows the run has, as it was said."""
    data = answer["data"]
    return sum(run["rows"] for run in data["runs"]) if isinstance(data, dict) else 0


def _said(answer: dict[str, object]) -> tuple[str, str]:
    data = answer["data"]
    if not isinstance(data, dict):
        return "error", str(answer["summary"])
    (run,) = data["runs"]
    return run["outcome"] or "refused", run["why"] or run["refusal"]


def fault_of(case: Case, seen: Seen) -> str:
    """What is wrong with what came of a case, "" if nothing."""
    several = {"not synced": ("failed", "unknown"), "any": ("synced", "failed", "unknown", "error")}
    expected = several.get(case.said, (case.said,))
    if seen.said not in expected:
        return f"said {seen.said}, not {case.said}"
    if case.held is not None and seen.held != case.held:
        return f"the server holds {seen.held} rows, not {case.held}"
    if seen.said == "synced" and seen.held != seen.rows:
        return f"it was called synced, and the server holds {seen.held} of {seen.rows} rows"
    if case.why not in seen.why:
        return f"the reason does not say {case.why!r}"
    if seen.repeated:
        return f"{seen.repeated} rows were sent twice"
    if seen.is_key_shown:
        return "the key was shown"
    if seen.seconds > case.timeout_s + OUTCOME_S:
        return f"it took {seen.seconds:.0f} s"
    if (seen.said == "synced") == bool(seen.why):
        return "a reason is missing, or there is one too many"
    return ""


def main() -> int:
    """Print the table; 1 if a row is short."""
    short = 0
    print(f"{'fault':26} {'said':8} {'held':>7} {'seconds':>8}  why")
    for case in CASES:
        with tempfile.TemporaryDirectory() as place:
            seen = try_case(case, Path(place))
        fault = fault_of(case, seen)
        short += bool(fault)
        line = f"{case.name:26} {seen.said:8} {seen.held:7} {seen.seconds:8.1f}  {seen.why[:110]}"
        print(line + (f"  <- {fault}" if fault else ""), flush=True)
    print(f"{len(CASES)} faults, {short} short")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
