"""The hang table: what hangs a training, and what came of it, in figures. `make hangs` prints it.

Each row runs a real victim, sees that it is left, killed or found within its bound, that its stack
and cause are in the run's folder, and that the loop goes on, or all of it is gone where it was to
be ended.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import watchkeeper as wk
from tests.crash.mounts import small_disk
from tests.hangs.victim import LIMIT_S
from watchkeeper.core.events import RunStarted, Stalled, TimedOut, Vanished
from watchkeeper.core.journal import read
from watchkeeper.core.processes import start_ticks

# Bounds that a machine keeps which has other work too; what hangs here would take ten minutes, or
# for ever.
LEFT_S = 10.0  # beyond its limit: work that Python can break into
KILLED_S = 20.0  # beyond its limit: work in a process of its own, its stack included
STALL_S = 2.0
FOUND_S = 30.0  # beyond the stall's limit: the report is there
GRACE_S = 1.0
ENDED_S = 40.0  # beyond the stall's limit: the process and its children are gone
DEADLINE_S = 120.0


class Row(NamedTuple):
    """What came of it: `took_s` against `bound_s`, and what became of the work."""

    took_s: float
    bound_s: float
    became: str
    cause: str


class ShortError(Exception):
    """The row falls short."""


def require(good: object, why: object) -> None:
    if not good:
        raise ShortError(str(why))


def until(what: Callable[[], object], why: str) -> float:
    """Wait until it is so; how long that took."""
    began = time.monotonic()
    while not what():
        require(time.monotonic() - began < DEADLINE_S, f"not within {DEADLINE_S:g} s: {why}")
        time.sleep(0.02)
    return time.monotonic() - began


class Victim:
    """A training of `tests.hangs.victim`."""

    def __init__(self, folder: Path, way: str, guard: str, **settings: object) -> None:
        self.run = folder / "run"
        self.notes = folder / "notes"
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith("WATCHKEEPER_")
        }
        environ |= {
            "NOTES": str(self.notes),
            "WATCHKEEPER_SIDECAR_DELAY_S": "0.1",
            "HF_HUB_OFFLINE": "1",
        }
        environ |= {f"WATCHKEEPER_{name.upper()}": str(value) for name, value in settings.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.hangs.victim", way, str(self.run), guard],
            cwd=Path(__file__).parents[2],
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Victim:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        if (pid := self.noted()) and start_ticks(pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        until(lambda: not self.sidecar(), "the sidecar is gone")

    def events(self, kind: type) -> list:
        """The events of this kind in its run's journal."""
        return [
            e
            for own in read(self.run / ".watchkeeper/journal").events.values()
            for e in own
            if isinstance(e, kind)
        ]

    def noted(self) -> int:
        """The pid that it left; 0 where it left none."""
        return int(self.notes.read_text()) if self.notes.exists() and self.notes.read_text() else 0

    def sidecar(self) -> int:
        """The pid of its sidecar; 0 where it has none."""
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                if (
                    b"python" in words.split(b"\0")[0]
                    and b"record.sidecar" in words
                    and str(self.run).encode() in words
                ):
                    return int(entry.name)
        return 0

    def went_on(self) -> float:
        """Wait for the end of a loop that goes on; how long the middle took."""
        assert self.process.stdout is not None
        require(
            select.select([self.process.stdout], [], [], DEADLINE_S)[0], "the loop does not go on"
        )
        said = self.process.stdout.readline()
        require(self.process.wait(DEADLINE_S) == 0, f"it ended with {self.process.returncode}")
        rows, problems = wk.read_rows(self.run)
        require(
            not problems and [row.step for row in rows] == list(range(1, 21)),
            f"rows {len(rows)}, {problems}",
        )
        return float(said)


def limited(way: str, guard: str, folder: Path) -> Row:
    """Work under a limit: the loop goes on, and the event says where it was."""
    with Victim(folder, way, guard) as victim:
        took = victim.went_on()
        (event,) = victim.events(TimedOut)
        require(event.how == ("interrupted" if guard == "limit" else "killed"), event)
        place = "svd" if way == "decomposition" else way
        require(place in event.stack or "victim.py" in event.stack, f"no stack: {event.stack!r}")
        if (pid := victim.noted()) and guard == "isolate":
            until(lambda: start_ticks(pid) is None, "the child is gone")
        bound = LIMIT_S + (LEFT_S if guard == "limit" else KILLED_S)
        return Row(
            took,
            bound,
            "left, the loop goes on" if guard == "limit" else "killed, the loop goes on",
            event.what,
        )


def found(way: str, cause: str, folder: Path) -> Row:
    """No limit: the sidecar finds the stall, names the cause and dumps the stacks, and the process
    is let be.
    """
    with Victim(folder, way, "none", stall_s=STALL_S) as victim:
        until(lambda: victim.events(Stalled), "the stall is told")
        (event,) = victim.events(Stalled)
        report = (victim.run / event.report).read_text()
        require(cause in event.cause, f"the cause is {event.cause!r}")
        require(f" in {way}" in report, f"no stack of {way}: {report}")
        require(victim.process.poll() is None, "the process was ended, and nobody had asked for it")
        return Row(
            (event.time - event.since).total_seconds(),
            STALL_S + FOUND_S,
            "found, and let be",
            event.cause,
        )


def ended(way: str, folder: Path) -> Row:
    """Told to, the sidecar ends the process, its child and its grandchild, whatever they ignore."""
    with Victim(folder, way, "none", stall_s=STALL_S, end_stalled=1, grace_s=GRACE_S) as victim:
        until(lambda: victim.events(Stalled), "the stall is told")
        took = until(lambda: victim.process.poll() is not None, "the process is gone")
        pid = victim.noted()
        took += until(lambda: not pid or start_ticks(pid) is None, "the child is gone")
        until(lambda: not victim.sidecar(), "the sidecar is gone")
        (event,) = victim.events(Stalled)
        require(event.ends and (victim.run / event.report).is_file(), event)
        return Row(
            (event.time - event.since).total_seconds() + took,
            STALL_S + ENDED_S,
            "ended with its children",
            event.cause,
        )


def sidecar_killed(folder: Path) -> Row:
    """The sidecar's death touches nothing of the job."""
    with Victim(folder, "sleeping", "limit") as victim:
        until(victim.sidecar, "there is a sidecar")
        os.kill(victim.sidecar(), signal.SIGKILL)
        return Row(victim.went_on(), LIMIT_S + LEFT_S, "the loop goes on", "-")


def job_killed(folder: Path) -> Row:
    """The job's death leaves no sidecar behind, and a word in the run's folder."""
    with Victim(folder, "sleeping", "none") as victim:
        until(lambda: (victim.run / ".watchkeeper/telemetry").exists(), "the sidecar watches")
        sidecar = victim.sidecar()
        os.kill(victim.process.pid, signal.SIGKILL)
        took = until(lambda: start_ticks(sidecar) is None, "the sidecar is gone")
        (event,) = victim.events(Vanished)
        require("Last training step: 10" in (victim.run / event.report).read_text(), event)
        return Row(took, FOUND_S, "told, and the sidecar is gone", event.cause)


def disk_full(folder: Path) -> Row:
    """The run's disk is full when its stacks are dumped: the report is kept on the node, and the
    job is let be.
    """
    with (
        small_disk(folder / "disk", "2m") as disk,
        Victim(disk, "locked", "none", stall_s=STALL_S) as victim,
    ):
        until(lambda: (victim.run / ".watchkeeper/telemetry").exists(), "the sidecar watches")
        with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        place = Path(tempfile.gettempdir()) / f"watchkeeper-reports-{os.getuid()}"
        name = victim.events(RunStarted)[0].run_id
        took = until(lambda: list(place.glob(f"{name}-stall-*.txt")), "a report on the node")
        (report,) = place.glob(f"{name}-stall-*.txt")
        words = report.read_text()
        report.unlink()
        require("the disk is full" in words and " in locked" in words, words)
        require(victim.process.poll() is None, "the job was touched")
        return Row(
            took,
            STALL_S + FOUND_S,
            "reported on the node",
            words.split("Likely cause: ")[1].splitlines()[0],
        )


def silent_command(folder: Path) -> Row:
    """`watchkeeper exec`: a command that prints no more is found, and ended with its group when
    told to.
    """
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith("WATCHKEEPER_")
    }
    environ |= {"WATCHKEEPER_SIDECAR_DELAY_S": "0.1", "WATCHKEEPER_GRACE_S": str(GRACE_S)}
    words = (
        "for i in 1 2 3; do echo step $i loss: 0.5; done; trap '' TERM; sleep 600 & wait; "
        "while :; do sleep 1; done"
    )
    began = time.monotonic()
    done = subprocess.run(
        [Path(sys.executable).with_name("watchkeeper"), "exec", "--folder", "run",
         "--stall-s", str(STALL_S), "--end-stalled", "--", "bash", "-c", words],
        cwd=folder, env=environ, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    took = time.monotonic() - began
    require(done.returncode == 128 + signal.SIGKILL, f"code {done.returncode}: {done.stderr}")
    require("step 3 loss: 0.5" in done.stdout, done.stdout)
    (event,) = [
        e
        for own in read(folder / "run/.watchkeeper/journal").events.values()
        for e in own
        if isinstance(e, Stalled)
    ]
    require(event.training_step == 3 and event.ends, event)
    return Row(took, STALL_S + ENDED_S, "ended with its group", event.cause)


FAULTS: dict[str, Callable[[Path], Row]] = {
    "endless Python loop": functools.partial(limited, "endless_loop", "limit"),
    "time.sleep": functools.partial(limited, "sleeping", "limit"),
    "catastrophic regex": functools.partial(limited, "catastrophic_regex", "limit"),
    "lock never released": functools.partial(limited, "locked", "limit"),
    "except Exception: pass": functools.partial(limited, "swallowing", "limit"),
    "timeout inside __del__": functools.partial(limited, "within_del", "limit"),
    "fork inside a limit": functools.partial(limited, "forking", "limit"),
    "generate without an end token": functools.partial(limited, "generating", "limit"),
    "one SVD of 30 s": functools.partial(limited, "decomposition", "isolate"),
    "C holds the interpreter": functools.partial(limited, "holding_the_interpreter", "isolate"),
    "thread that hangs": functools.partial(limited, "hanging_thread", "isolate"),
    "child that ignores SIGTERM": functools.partial(limited, "stubborn_child", "isolate"),
    "endless loop, no limit": functools.partial(found, "endless_loop", "busy"),
    "lock, no limit": functools.partial(found, "locked", "a lock"),
    "C holds the interpreter, no limit": functools.partial(
        found, "holding_the_interpreter", "busy"
    ),
    "thread that hangs, no limit": functools.partial(
        found, "hanging_thread", "a thread of its own"
    ),
    "child that ignores SIGTERM, to be ended": functools.partial(ended, "stubborn_child"),
    "grandchild, to be ended": functools.partial(ended, "stubborn_grandchild"),
    "C holds the interpreter, to be ended": functools.partial(ended, "holding_the_interpreter"),
    "silent command under exec": silent_command,
    "sidecar killed": sidecar_killed,
    "job killed": job_killed,
    "disk full while dumping": disk_full,
}


def holds(name: str, folder: Path) -> Row:
    """Do one fault.

    Raises:
        ShortError: it falls short.
    """
    row = FAULTS[name](folder)
    require(
        row.took_s <= row.bound_s,
        f"it took {row.took_s:.1f} s, and was to take {row.bound_s:g} s at most",
    )
    return row


def main() -> int:
    """Print the table. Exit code 1 when a row falls short."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("faults", nargs="*", help="only rows with one of these words; default: all")
    words = parser.parse_args().faults
    names = [name for name in FAULTS if not words or any(word in name for word in words)]
    print(f"{'fault':40}{'took':>8}{'bound':>8}  {'became':28}cause or place", flush=True)
    short = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="watchkeeper-hangs-") as folder:
            try:
                row = holds(name, Path(folder))
                print(
                    (
                        f"{name:40}{row.took_s:6.1f} s{row.bound_s:6.1f} s  "
                        f"{row.became:28}{row.cause[:70]}"
                    ),
                    flush=True,
                )
            except (
                Exception,
                pytest.skip.Exception,
            ) as error:  # the other rows are worth seeing all the same
                short.append(name)
                print(f"{name:40}{'SHORT':>8}  {type(error).__name__}: {error}", flush=True)
    print(
        f"{len(names) - len(short)} of {len(names)} hold"
        + (f"; short: {', '.join(short)}" if short else "")
    )
    return 1 if short or not names else 0


if __name__ == "__main__":
    sys.exit(main())
