"""Answers of the server as the pages read them, made of the real structs: a night's work.

A test changes what it is about. Times are fixed, so that what a page shows is fixed too.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from watchkeeper.query.views.pages import (
    Experiment,
    JobBar,
    LogLine,
    MetricColumn,
    Overview,
    PlaceRow,
    Reading,
    RunningRow,
    RunRow,
    TaskColumn,
    Valid,
    WaitingRow,
    WorkRow,
)
from watchkeeper.query.views.shared import Best, Evidence, Need, Progress, Watcher
from watchkeeper.show.envelope import plain

NOW = datetime(2026, 11, 28, 7, 42, tzinfo=UTC)
ZONE = "Europe/Oslo"


def ago(**span) -> datetime:
    """That long before the answers were made."""
    return NOW - timedelta(**span)


def answer(data, **fields) -> dict:
    """The envelope around a page's object, whose fields may be given anew."""
    document = plain(data) | plain(fields)
    envelope = {"schema": 1, "command": "serve", "exit_code": 0, "summary": "", "counts": {}}
    return envelope | {"problems": [], "more": {}, "data": document, "rev": "1"}


def need(kind: str, line: str, **fields) -> Need:
    """Something in cap_rank that needs a person."""
    place = {"experiment": "cap_rank", "id": "night/cap_rank", "folder": "cap_rank"}
    return Need(kind=kind, line=line, **{"count": 1, **place, **fields})


NEEDS = [
    need(
        "failed",
        "6 evaluations failed",
        count=6,
        cause="ModuleNotFoundError: No module named 'safetensors'",
        subject="reversal of 3 runs",
        first=ago(hours=2),
        last=ago(hours=1, minutes=37),
        command="wk run cap_rank --retry-failed",
    ),
    need(
        "failed",
        "1 training failed",
        cause="MemoryError",
        why="at step 40 of 120",
        subject="r32",
        keys=["r32"],
        ids=["night/cap_rank/r32"],
        blocks=2,
        first=ago(hours=3),
        last=ago(hours=3),
        command="wk run cap_rank --retry-failed",
    ),
    need("unwatched", "nobody watches", last=ago(minutes=44), command="wk run cap_rank"),
]


def running_row(key: str, **progress) -> RunningRow:
    """A run of cap_rank under way."""
    figures = {"step": 1072, "total": 9000, "loss": 0.56, "rate_per_s": 0.14, "eta_s": 57840.0}
    return RunningRow(
        id=f"night/cap_rank/{key}",
        key=key,
        experiment="cap_rank",
        attempt=1,
        health="advancing",
        why="",
        progress=Progress(**{**figures, **progress}),
        spark=(2.0, 1.0, 0.7, 0.56),
        evidence=Evidence(what="step", text="step 1,072", at=ago(seconds=7)),
    )


def overview(**fields) -> dict:
    """The overview's answer."""
    places = [
        PlaceRow(
            id="night/cap_rank",
            name="cap_rank",
            folder="cap_rank",
            kind="experiment",
            what="6 runs, 3 tasks, 1 control",
            counts={"failed": 7, "blocked": 2, "running": 2, "waiting": 12, "done": 18},
            done=18,
            total=41,
            best=Best(metric="capitalization", value=0.99, run="r16", epoch=0),
            last=ago(seconds=11),
        ),
        PlaceRow(
            id="night/sft",
            name="sft",
            folder="sft",
            kind="run",
            what="recorded run, 2 attempts",
            counts={"finished": 1},
            done=1,
            total=1,
            last=ago(hours=14),
        ),
    ]
    data = Overview(
        name="night",
        counts={"failed": 7, "blocked": 2, "running": 2, "waiting": 12, "done": 18, "finished": 1},
        needs=NEEDS,
        running=[running_row("r64", fits=False, limit_s=3600.0), running_row("r128")],
        waiting=[
            WaitingRow(
                count=12,
                line="12 evaluations",
                reason="for the checkpoints of r64",
                experiment="cap_rank",
                id="night/cap_rank",
            )
        ],
        places=places,
        reading=Reading(done=2, total=2),
        zone=ZONE,
    )
    return answer(data, **fields)


EXPERIMENT = "night/cap_rank"
_TASKS = ("clean", "noisy")
_FIGURES = {"r8": (0.3956, 0.6844, 0.3267, 0.5533), "r16": (0.8, 0.9533, 0.6444, 0.8156)}


def _evaluations(run: str) -> list[WorkRow]:
    rows = []
    for index, task in enumerate(_TASKS):
        for epoch in (0, 1):
            key = f"{run}/{task}/epoch{epoch}"
            figures = _FIGURES.get(run)
            standing = "done" if figures else "failed"
            accuracy = figures[2 * index + epoch] if figures else 0
            metrics = {"accuracy": accuracy, "loss": 1 - accuracy} if figures else {}
            rows.append(
                WorkRow(
                    key=key,
                    id=f"{EXPERIMENT}/{key}",
                    phase="evaluation",
                    run=run,
                    task=task,
                    epoch=epoch,
                    standing=standing,
                    state="",
                    why="",
                    metrics=metrics,
                )
            )
    return rows


def _training(run: str) -> WorkRow:
    standing = "done" if run in _FIGURES else "failed"
    return WorkRow(
        key=run,
        id=f"{EXPERIMENT}/{run}",
        phase="training",
        run=run,
        task="",
        epoch=None,
        standing=standing,
        state=standing,
        why="" if standing == "done" else "out of memory",
        elapsed_s=84.0,
        train_loss=0.36,
    )


def _control(task: str) -> WorkRow:
    key = f"base/{task}"
    return WorkRow(
        key=key,
        id=f"{EXPERIMENT}/{key}",
        phase="evaluation",
        run="base",
        task=task,
        epoch=None,
        standing="done",
        state="",
        why="",
        metrics={"accuracy": 0.12, "loss": 0.88},
    )


def _job(run: str, begin: int, end: int, **fields) -> JobBar:
    values = {
        "key": run,
        "run": run,
        "phase": "training",
        "label": "train",
        "attempt": 1,
        "execution": 1,
        "standing": "done",
        "state": "COMPLETED",
        "queued": ago(minutes=60),
        "started": ago(minutes=60 - begin),
        "ended": ago(minutes=60 - end),
    }
    return JobBar(**{**values, **fields})


def experiment(**fields) -> dict:
    """The answer of an experiment that has ended, with one run that failed and one control."""
    names = ("r8", "r16", "r32")
    runs = [
        RunRow(name=name, id=f"{EXPERIMENT}/{name}", settings={"rank": name[1:], "lr": "0.1"})
        for name in names
    ]
    runs.append(RunRow(name="base", id=f"{EXPERIMENT}/base", settings={}, control=True))
    rows = [row for name in names for row in (_training(name), *_evaluations(name))]
    data = Experiment(
        id=EXPERIMENT,
        name="cap_rank",
        folder="cap_rank",
        question="What does the rank buy?",
        counts={"failed": 5, "done": 12},
        needs=NEEDS[:1],
        best=[Best(metric="clean", value=0.9533, run="r16", id=f"{EXPERIMENT}/r16", epoch=1)],
        valid=Valid(good=12, total=12),
        started=ago(minutes=60),
        ended=ago(minutes=20),
        settings=["rank", "lr"],
        tasks=[TaskColumn(name=task, epochs=(0, 1)) for task in _TASKS],
        metrics=[
            MetricColumn(name="accuracy", least=0.12, greatest=0.9533, better="more"),
            MetricColumn(name="loss", least=0.0467, greatest=0.88, better="less"),
        ],
        runs=runs,
        rows=[*rows, *map(_control, _TASKS)],
        jobs=[
            _job("r8", 1, 8),
            _job("r16", 8, 20),
            _job("r32", 2, 4, standing="failed", state="FAILED"),
            _job("r32", 6, 9, standing="failed", state="FAILED", attempt=2),
        ],
        slots=2,
        decisions=[],
        running=[],
        evidence=[Evidence(what="code", text="0524bfde, no uncommitted changes")],
        log=[
            LogLine(at=ago(minutes=30), action="STATE_CHANGE", subject="r8", text="COMPLETED"),
            LogLine(at=ago(minutes=20), action="ALL_COMPLETE", subject="", text="12 COMPLETED"),
        ],
        actions=76,
        watcher=Watcher(),
        zone=ZONE,
    )
    return answer(data, **fields)
