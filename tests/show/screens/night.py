"""A night as the pictures in the golden files show it, by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from watchkeeper.core.events import (
    Advanced,
    Checkpoint,
    CheckpointFile,
    Detached,
    Judged,
    Stalled,
)
from watchkeeper.query.views.pages import (
    AttemptRow,
    CheckpointRow,
    Experiment,
    Line,
    Mark,
    MetricColumn,
    MetricRow,
    Overview,
    PlaceRow,
    Reading,
    Run,
    RunningRow,
    RunRow,
    Series,
    TaskColumn,
    WorkRow,
)
from watchkeeper.query.views.recent import Happened
from watchkeeper.query.views.shared import Best, Evidence, Need, Progress, Watcher

NOW = datetime(2026, 11, 28, 7, 42, 6, tzinfo=UTC)
_BARS = "▁▂▃▄▅▆▇█"


def at(clock: str, days: int = 0) -> datetime:
    """A time of the night, or of some days before."""
    hour, minute = map(int, clock.split(":"))
    return NOW.replace(hour=hour, minute=minute, second=0) - timedelta(days=days)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def curve(bars: str) -> tuple[int, ...]:
    """Values that are drawn as these bars, where there is a column for each."""
    return tuple(_BARS.index(bar) for bar in bars)


def running(
    key: str, experiment: str, step: int, *, total: int, loss: float, rate: float, **more
) -> RunningRow:
    progress = {name: more.pop(name) for name in ("eta_s", "limit_s", "fits") if name in more}
    seen_s = more.pop("seen_s")
    return RunningRow(
        id=f"night/{experiment}/{key}".replace("//", "/"),
        key=key,
        experiment=experiment,
        attempt=1,
        health="advancing",
        why="",
        progress=Progress(
            step=step, total=total, loss=loss, loss_name="train_loss", rate_per_s=rate, **progress
        ),
        evidence=Evidence(what="step", text=f"step {step}", at=ago(seen_s)),
        **more,
    )


def running_rows(sparks: tuple[str, str, str]) -> list[RunningRow]:
    """The three runs under way, with the course of their losses."""
    sft, first, second = map(curve, sparks)
    return [
        running(
            "sft_r16", "", 18_350, total=24_000, loss=0.468, rate=1.92, eta_s=2_943, fits=None,
            spark=sft, seen_s=4,
        ),
        running(
            "r16_lr1e-3", "cap_rank", 1_072, total=9_000, loss=0.560, rate=0.137, eta_s=57_840,
            limit_s=35_370, fits=False, spark=first, seen_s=7,
        ),
        running(
            "r64_lr2e-4", "cap_rank", 1_033, total=9_000, loss=0.572, rate=0.137, eta_s=58_320,
            limit_s=78_840, fits=True, spark=second, seen_s=11,
        ),
    ]  # fmt: skip


FAILED_KEYS = [
    f"{run}/reversal/epoch{epoch}"
    for run in ("r4_lr2e-4", "r8_lr2e-4", "r16_lr2e-4")
    for epoch in (0, 1)
]
_NO_MODULE = "ModuleNotFoundError: No module named 'safetensors'"
_FAILED = Need(
    kind="failed",
    count=6,
    line="6 evaluations failed",
    cause=_NO_MODULE,
    experiment="cap_rank",
    keys=FAILED_KEYS,
    first=at("5:53"),
    last=at("6:05"),
    command="watchkeeper run cap_rank --retry-failed",
)
_LATE = Need(
    kind="late",
    count=1,
    line="1 will not end in time",
    why="ends 6 h 14 min after its limit; no checkpoint seen",
    subject="r16_lr1e-3",
    experiment="cap_rank",
    keys=["r16_lr1e-3"],
)
_UNWATCHED = Need(
    kind="unwatched",
    count=2,
    line="nobody watches",
    experiment="cap_rank",
    first=at("6:58"),
    last=at("6:58"),
    command="watchkeeper run cap_rank",
)


def overview(sparks: tuple[str, str, str] = ("▁", "▁", "▁")) -> Overview:
    """Everything below the folder `night`."""
    training = Need(
        kind="failed",
        count=1,
        line="1 training failed",
        cause="MemoryError",
        why="out of host memory, at step 40 of 120; not tried again by itself: no batch size",
        blocks=6,
        experiment="cap_rank",
        keys=["r32_lr2e-4"],
        first=at("5:33"),
        last=at("5:33"),
    )
    return Overview(
        name="night",
        counts={"running": 3, "waiting": 12, "failed": 7, "blocked": 6, "done": 110},
        needs=[_FAILED, training, _LATE, _UNWATCHED],
        running=running_rows(sparks),
        waiting=[],
        places=_places(),
        reading=Reading(done=53, total=53),
    )


def _places() -> list[PlaceRow]:
    cap_counts = {"failed": 7, "blocked": 6, "running": 2, "waiting": 12, "done": 18}
    return [
        _place(
            "cap_rank", "experiment", cap_counts, 18, ("capitalization accuracy", 0.99), ago(11)
        ),
        _place(
            "sft_r16", "run", {"running": 1}, 0, ("val_loss", 0.558), ago(4),
            step=18_350, total_steps=24_000, attempt=2,
        ),
        _place(
            "capitalization", "experiment", {"done": 22}, 22, ("capitalization accuracy", 0.99),
            at("17:45", days=2),
        ),
        _place(
            "digits", "experiment", {"done": 22}, 22, ("clean accuracy", 0.9533),
            at("18:35", days=2),
        ),
        _place(
            "sweep", "runs", {"finished": 48}, 48, ("val_loss", 0.0961), at("19:19", days=2)
        ),
    ]  # fmt: skip


def _place(name, kind, counts, done, best, last, **more) -> PlaceRow:
    metric, value = best
    return PlaceRow(
        id=f"night/{name}",
        name=name,
        folder=f"night/{name}",
        kind=kind,
        what="",
        counts=counts,
        done=done,
        total=sum(counts.values()),
        best=Best(metric=metric, value=value),
        last=last,
        **more,
    )


TASKS = ("capitalization", "copying", "reversal")
_ACCURACY = {
    "r4_lr2e-4": {"capitalization": (0.70, 0.71), "copying": (0.37, 0.37)},
    "r8_lr2e-4": {"capitalization": (0.87, 0.88), "copying": (0.27, 0.27)},
    "r16_lr2e-4": {"capitalization": (0.99, 0.99), "copying": (0.17, 0.17)},
}


def experiment(sparks: tuple[str, str] = ("▁", "▁")) -> Experiment:
    """The experiment `cap_rank`."""
    training = Need(
        kind="failed",
        count=1,
        line="1 training failed",
        cause="MemoryError",
        why="out of memory on the host, at step 40 of 120; not tried again by itself: its script "
        "reads no batch size (WATCHKEEPER_BATCH_SIZE)",
        blocks=6,
        experiment="cap_rank",
        keys=["r32_lr2e-4"],
        first=at("5:33"),
        last=at("5:33"),
    )
    late = Need(
        kind="late",
        count=1,
        line="1 will not end in time",
        why="ends 6 h 14 min after its limit; no checkpoint seen",
        subject="r16_lr1e-3",
        experiment="cap_rank",
        keys=["r16_lr1e-3"],
    )
    rows = list(_work())
    return Experiment(
        id="night/cap_rank",
        name="cap_rank",
        folder="night/cap_rank",
        question="",
        counts={"done": 18, "running": 2, "waiting": 12, "failed": 7, "blocked": 6},
        needs=[_FAILED, training, late, _UNWATCHED],
        best=[],
        valid=None,
        started=at("5:00"),
        ended=None,
        settings=["rank", "lr"],
        tasks=[TaskColumn(name=task, epochs=(0, 1)) for task in TASKS],
        metrics=[MetricColumn(name="accuracy", least=0.0, greatest=1.0, better="more")],
        runs=list(_runs()),
        rows=rows,
        jobs=[],
        slots=2,
        decisions=[],
        running=running_rows(("▁", *sparks))[1:],
        evidence=[],
        log=[],
        actions=0,
        watcher=Watcher(process=None, host="", alive=False, since=at("6:58")),
    )


def _runs():
    for rank, rate in (
        (4, "2e-4"),
        (8, "2e-4"),
        (16, "2e-4"),
        (32, "2e-4"),
        (16, "1e-3"),
        (64, "2e-4"),
    ):
        name = f"r{rank}_lr{rate}"
        yield RunRow(
            name=name, id=f"night/cap_rank/{name}", settings={"rank": str(rank), "lr": rate}
        )
    yield RunRow(name="base", id="", settings={}, control=True)


def _work():
    for run in ("r4_lr2e-4", "r8_lr2e-4", "r16_lr2e-4"):
        yield _training(run, "done", elapsed_s=370.0)
    yield _training(
        "r32_lr2e-4", "failed", elapsed_s=121.0, cause="MemoryError",
        why="out of memory on the host (MemoryError)",
    )  # fmt: skip
    yield _training(
        "r16_lr1e-3", "running", elapsed_s=129 * 60.0, progress=Progress(step=1_072, total=9_000)
    )
    yield _training(
        "r64_lr2e-4", "running", elapsed_s=125 * 60.0, progress=Progress(step=1_033, total=9_000)
    )
    for run in ("r4_lr2e-4", "r8_lr2e-4", "r16_lr2e-4"):
        for task, figures in _ACCURACY[run].items():
            for epoch, figure in enumerate(figures):
                yield _evaluation(run, task, epoch, "done", metrics={"accuracy": figure})
        for epoch in (0, 1):
            yield _evaluation(run, "reversal", epoch, "failed", cause=_NO_MODULE)
    others = (("r32_lr2e-4", "blocked"), ("r16_lr1e-3", "to do"), ("r64_lr2e-4", "to do"))
    for run, standing in others:
        for task in TASKS:
            for epoch in (0, 1):
                yield _evaluation(run, task, epoch, standing)
    for task, figure in zip(TASKS, (0.0, 1.0, 0.0), strict=True):
        yield _evaluation("base", task, None, "done", metrics={"accuracy": figure})


def _training(run, standing, **more) -> WorkRow:
    more.setdefault("why", "")
    return WorkRow(
        key=run, id="", phase="preparation", run=run, task="", epoch=None, standing=standing,
        state=standing.upper(), **more,
    )  # fmt: skip


def _evaluation(run, task, epoch, standing, **more) -> WorkRow:
    key = f"{run}/{task}/epoch{epoch}"
    return WorkRow(
        key=key, id="", phase="evaluation", run=run, task=task, epoch=epoch, standing=standing,
        state=standing.upper(), why="", **more,
    )  # fmt: skip


def opened_run(**changes) -> Run:
    """The run `sft_r16`, which died once and stalled once."""
    attempts = [_attempt(1, 0, 8_000, "died"), _attempt(2, 8_000, None, "")]
    marks = [
        Mark(kind="attempt", step=8_000, at=at("5:10"), text="attempt 2"),
        Mark(kind="stall", step=12_000, at=at("6:31"), duration_s=1_680, text="it slept"),
    ]
    metrics = [
        MetricRow(
            name="train_loss", rows=18_350, last=0.468, last_step=18_350, best=0.41,
            best_step=18_000, better="less", role="train loss",
        ),
        MetricRow(
            name="val_loss", rows=37, last=0.597, last_step=18_000, best=0.558, best_step=15_500,
            better="less", role="val loss",
        ),
        MetricRow(
            name="gap", rows=37, last=0.164, last_step=18_000, best=None, best_step=None,
            better="", role="gap",
        ),
    ]  # fmt: skip
    newest = CheckpointRow(
        step=18_000, path="checkpoints/step_18000", size=2**20, is_whole=True, missing="",
        saved=at("7:39"),
    )  # fmt: skip
    progress = Progress(
        step=18_350, total=24_000, rate_per_s=1.92, eta_s=2_943, loss=0.468, loss_name="train_loss"
    )
    whole = Run(
        id="night/sft_r16", name="sft_r16", folder="night/sft_r16", experiment="",
        experiment_id="", kind="recorded", state="running", standing="running", attempt=2,
        health="advancing", health_why="", progress=progress, started=at("5:00"), ended=None,
        best=Best(metric="val_loss", value=0.558, step=15_500), reading="", failure=None,
        attempts=attempts, marks=marks, metrics=metrics, rows=19_037, checkpoints=[newest] * 9,
        stages=[], settings={}, code={}, evidence=[], examples=37, examples_matching=34, texts=[],
    )  # fmt: skip
    return msgspec.structs.replace(whole, **changes)


def _attempt(number, begin, end, how) -> AttemptRow:
    return AttemptRow(
        n=number, writer="w", from_step=begin, last_step=end, started=None, ended=None, end=how,
        standing="failed" if how else "running",
    )  # fmt: skip


def losses() -> Series:
    """The curves of `sft_r16`: a training loss that falls, and a validation loss above it."""
    train = [(step, 0.35 + 3.05 * 0.9996**step) for step in range(0, 18_350, 122)]
    val = [(step, 0.45 + 2.5 * 0.9996**step) for step in range(500, 18_001, 500)]
    lines = [_line("train_loss", train), _line("val_loss", val)]
    return Series(lines=lines, smoothing=0.0, rows=19_037, is_whole=True)


def _line(metric, points) -> Line:
    steps, values = map(list, zip(*points, strict=True))
    return Line(
        metric=metric, attempt=2, superseded=False, is_requeue=False, x=steps, min=values,
        max=values, smooth=values, n=[1] * len(steps), bad=[],
    )  # fmt: skip


def happened() -> list[Happened]:
    """What happened that morning."""
    return [
        _event(
            "cap_rank", Judged, "6:05", key="r16_lr2e-4/reversal/epoch1", phase="evaluation",
            attempt=1, outcome="failed", state="FAILED",
            why="exit code 1; last line: No module named 'safetensors'",
        ),
        _event(
            "sft_r16", Stalled, "6:31", since=at("6:03"), limit_s=600,
            cause="it slept, at rec.py:36", training_step=12_000,
        ),
        _event("sft_r16", Advanced, "6:58", stalled_s=1_680),
        _event("cap_rank", Detached, "6:58", why="SIGTERM", active=2),
        _event(
            "sft_r16", Checkpoint, "7:39", path="checkpoints/step_18000", training_step=18_000,
            files=(CheckpointFile(path="model.pt", size_bytes=2**20),), is_whole=True,
        ),
    ]  # fmt: skip


def _event(name, kind, clock, *, is_whole=None, **fields) -> Happened:
    return Happened(name, kind(time=at(clock), writer="w", seq=1, **fields), is_whole)
