"""One nasty text in every field that a job, a scheduler or a person fills, and every product that
people read: it is shown there, and nothing of it is obeyed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

import watchkeeper as wk_api
from tests.experiments import wk, write_experiment
from tests.watch.test_keeper import keeper
from watchkeeper.core.errors import RefusedError
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.schedulers.base import Job, Receipt
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.watch import notify
from watchkeeper.watch.keeper import Keeper

NASTY = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\u202eEVIL\u2066\u200b\ufeff\x7f\r"
NEVER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
COMMANDS = ("status", "log", "compare", "trace", "check", "lint")


def products(folder: Path) -> Iterator[tuple[str, str]]:
    """The files that people read: all but the journals, what lies beside them, and raw output."""
    for path in folder.rglob("*"):
        data = ".watchkeeper" in path.parts or path.name.startswith("slurm-")
        if path.is_file() and not data and path.suffix in (".log", ".md"):
            yield str(path.relative_to(folder)), path.read_text()


def printed(folder: Path, state: Path, commands: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What each command prints, for people and for programs."""
    for command in commands:
        for options in ((), ("--json",)) if command != "log" else ((),):
            done = wk(command, *options, folder, state=state, PYTHONIOENCODING="utf-8")
            assert "Traceback" not in done.stderr
            yield " ".join((command, *options)), done.stdout + done.stderr


def assert_harmless(texts: Iterator[tuple[str, str]]) -> None:
    """None of the texts holds a character that is obeyed, and some of them tell of the text."""
    read = dict(texts)
    assert {name: NEVER.findall(text) for name, text in read.items() if NEVER.search(text)} == {}
    assert any("EVIL" in text for text in read.values())


class Rude(FakeScheduler):
    """A scheduler that refuses the first job with the nasty text."""

    def submit(self, job: Job) -> Receipt:
        """Refuse once."""
        self.submissions += 1
        if self.submissions == 1:
            raise RefusedError(f"no: {NASTY}")
        return super().submit(job)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """An experiment whose scheduler and jobs say the nasty text, its state folder, and alarms."""
    root = tmp_path_factory.mktemp("watched")
    body = f"printf '%s\\n' 'step 3/10 loss: 0.5 {NASTY}' 'RuntimeError: {NASTY}'; exit 3"
    folder = write_experiment(root / "exp", runs=("one", "two"), body=body.replace("\r", ""))
    fake = Rude()
    alarms: list[str] = []
    looks = [0]

    def turned(one: Keeper) -> None:
        looks[0] += 1
        for job_id, job in fake.jobs.items():
            if looks[0] == 1:
                odd: SchedulerFacts = msgspec.structs.replace(
                    job.facts, reason=f"JobHeldUser {NASTY}", node=NASTY
                )
                fake.report(job_id, odd)
            elif looks[0] == 3:
                fake.run(job_id)

    one = keeper(folder, fake, turned, tell=lambda event: alarms.extend(_lines(event)))
    assert one.keep()
    return folder, root / "state", alarms


def _lines(event: object) -> list[str]:
    return [notice.line for notice in notify.of_event(event, "exp")]


def test_nothing_of_a_watched_job_is_obeyed(watched: tuple[Path, Path, list[str]]) -> None:
    """Refusal, reason, node, last line and error of a job are harmless in action logs, run logs,
    experiments.md, and in what every command prints.
    """
    folder, state, alarms = watched
    assert_harmless(products(folder))
    assert_harmless(printed(folder, state, COMMANDS))
    assert_harmless(("alarm", line) for line in alarms)


def test_nothing_of_a_recorded_run_is_obeyed(tmp_path: Path) -> None:
    """Names of metrics, examples, log lines and the exception of a recorded run are harmless in its
    text log and in what every command prints.
    """
    folder = tmp_path / "run"
    with (
        pytest.raises(RuntimeError),
        wk_api.start_run(
            folder=folder, pipeline="p", config={f"k {NASTY}": NASTY}, console=False, sidecar=False
        ) as run,
    ):
        run.log(1, {f"loss {NASTY}": 0.5})
        run.example(1, prompt=NASTY, golden=NASTY, output=NASTY, loss=0.5)
        logging.getLogger("train").warning("said %s", NASTY)
        with run.step("00_ingest"):
            raise RuntimeError(NASTY)
    assert_harmless(products(folder))
    assert_harmless(printed(folder, tmp_path / "state", ("status", "compare", "trace", "check")))
