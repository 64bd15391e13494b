"""What each attempt took, against what was expected: a pure function of the journal's state and of
what the job left.

Time, node and memory are the scheduler's; GPU figures come from the recorder's telemetry, else from
`gpu_metrics.csv` beside the job (`nvidia-smi --query-gpu=… --format=csv`); the rate from the
recorder, else from torchtune's bars. Where two attempts record into one folder, its telemetry
counts for both.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.disk.files import open_regular, read_most
from watchkeeper.core.events import Progressed, SchedulerFacts
from watchkeeper.core.events.choose import of_kind
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt, AttemptId, State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.runfolder.link import read_link
from watchkeeper.runfolder.printed import position
from watchkeeper.runfolder.telemetry import Sample, read_samples
from watchkeeper.schedulers import remote_files
from watchkeeper.schedulers.resources import Request, request_of
from watchkeeper.watch.outcome import array_tasks

_MOST_BYTES = 64 * 2**20  # of a file of samples
# nvidia-smi's units; with `nounits` it means MiB.
_GPU_TABLES = ("artifacts/gpu_metrics.csv", "gpu_metrics.csv")
_BYTES = {"": 2**20, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30}


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What a job itself left on what it used; None: nothing. `gpu_busy` is the mean over samples
    and devices, from 0 to 1; `gpu_peak_bytes` the most on one device, both as `gpu_source` says
    (`telemetry`, or a file's name); `rate_per_s` counts `unit`s. `gpus_used`: on how many devices
    its processes held memory, by telemetry. `task_s`: how long the longest task of an array took,
    by the wrapper's claims and exit records; None where that of one task is unknown.
    """

    rss_peak_bytes: int | None = None
    gpu_busy: float | None = None
    gpu_peak_bytes: int | None = None
    rate_per_s: float | None = None
    unit: str = ""
    gpu_source: str = ""
    gpus_used: int | None = None
    task_s: float | None = None


class ComputeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that has ended. Times are in seconds, sizes in bytes, shares from 0 to 1. None,
    for node and unit too: unknown. `of_estimate` is elapsed over expected. `peak_bytes` is
    the larger of the scheduler's figure of the host's memory and the recorder's highest sample;
    `peak_from` names those that there are (`scheduler`, `telemetry`, or both with a comma between).
    `task_s` and `gpus_used` are as in `Used`. What was asked for: `limit_s` and `asked_bytes`, of
    one node, as `limit_from` and `asked_from` say (`scheduler`, `script`; "": nobody), and
    `asked_gpus`, of one node, by the script.
    """

    key: str
    attempt: int
    state: str
    node: str | None = None
    elapsed_s: float | None = None
    estimate_s: float | None = None
    of_estimate: float | None = None
    peak_bytes: int | None = None
    gpu_busy: float | None = None
    gpu_peak_bytes: int | None = None
    rate_per_s: float | None = None
    unit: str | None = None
    peak_from: str = ""
    task_s: float | None = None
    gpus_used: int | None = None
    limit_s: int | None = None
    limit_from: str = ""
    asked_bytes: int | None = None
    asked_from: str = ""
    asked_gpus: int = 0

    @property
    def says_something(self) -> bool:
        """Whether it holds more than the time that every table has."""
        figures = (
            self.estimate_s,
            self.peak_bytes,
            self.gpu_busy,
            self.gpu_peak_bytes,
            self.rate_per_s,
        )
        return any(figure is not None for figure in figures)


def rows(experiment: Experiment, state: State, used: Mapping[AttemptId, Used]) -> list[ComputeRow]:
    """A row for each attempt that had a job and has ended, in the experiment's order. Pure.

    `used`: what each attempt left, as `used_by` reads it; one that is not there left nothing. An
    attempt whose job never ran (`not run`), since what it waited for ended badly, has no row.
    """
    table: list[ComputeRow] = []
    for item in experiment.items:
        estimate = experiment.estimates.get(item.key)
        for number, attempt in sorted(state.run(item.key).attempts.items()):
            if not attempt.submissions or attempt.judged is None:
                continue
            if attempt.judged.outcome != "not run":
                left = used.get((item.key, number), Used())
                table.append(_row(attempt, estimate, left))
    return table


def _row(attempt: Attempt, estimate: float | None, used: Used) -> ComputeRow:
    """The row of an attempt that was judged. `estimate`: how many seconds the experiment's summary
    says that it takes, None or 0: it says nothing.
    """
    judged = attempt.judged
    assert judged is not None
    elapsed = judged.elapsed_s
    facts = attempt.facts or SchedulerFacts(state="")
    of_estimate = None
    if elapsed is not None and estimate:
        of_estimate = elapsed / estimate
    return ComputeRow(
        key=attempt.key,
        attempt=attempt.number,
        state=judged.state,
        node=facts.node or None,
        elapsed_s=elapsed,
        estimate_s=estimate,
        of_estimate=of_estimate,
        gpu_busy=used.gpu_busy,
        gpu_peak_bytes=used.gpu_peak_bytes,
        rate_per_s=used.rate_per_s,
        unit=used.unit or None,
        task_s=used.task_s,
        gpus_used=used.gpus_used,
        **_peak(facts, used),
        **_asked(attempt, facts),
    )


def _peak(facts: SchedulerFacts, used: Used) -> dict[str, Any]:
    """The fields of a row for the most of the host's memory, and who says so; none where nobody
    does. A scheduler's 5 GB and the telemetry's 6 GB are 6 GB from `scheduler, telemetry`.
    """
    figures = {"scheduler": facts.max_rss_bytes, "telemetry": used.rss_peak_bytes}
    known = {source: size for source, size in figures.items() if size is not None}
    if not known:
        return {}
    return {"peak_bytes": max(known.values()), "peak_from": ", ".join(known)}


def _asked(attempt: Attempt, facts: SchedulerFacts) -> dict[str, Any]:
    """The fields of a row for what the attempt asked for, and who says so. What the scheduler says
    counts before the script. Its memory is that of all nodes: for several nodes the script's
    counts, which is of one.
    """
    request = Request()
    if attempt.intended is not None:
        request = request_of(attempt.intended.asked)
    asked: dict[str, Any] = {"asked_gpus": request.gpus}
    if facts.limit_s is not None:
        asked |= {"limit_s": facts.limit_s, "limit_from": "scheduler"}
    elif request.limit_s is not None:
        asked |= {"limit_s": request.limit_s, "limit_from": "script"}
    if facts.asked_bytes is not None and request.nodes == 1:
        asked |= {"asked_bytes": facts.asked_bytes, "asked_from": "scheduler"}
    elif request.memory_bytes is not None:
        asked |= {"asked_bytes": request.memory_bytes, "asked_from": "script"}
    return asked


def read(experiment: Experiment, state: State) -> list[ComputeRow]:
    """The rows, with what the jobs left looked up. What cannot be read is left out.

    `gpu_metrics.csv` beside a script has no attempt in its name: it counts for the newest attempt.
    """
    used: dict[AttemptId, Used] = {}
    for item in experiment.items:
        run = state.run(item.key)
        for number, attempt in run.attempts.items():
            if attempt.judged is None or not attempt.submissions:
                continue
            beside = None
            if attempt is run.latest:
                beside = experiment.workdir_of(item)
            folder = attempt_folder(experiment.folder, item.key, number)
            task_s = array_tasks.longest_s(experiment.folder, attempt)
            left = used_by(attempt, folder, beside)
            used[item.key, number] = msgspec.structs.replace(left, task_s=task_s)
    return rows(experiment, state, used)


def used_by(attempt: Attempt, folder: Path, beside: Path | None) -> Used:
    """What one attempt left: by the recorder where it recorded, else by what it printed. `folder`
    is the attempt's; `beside` is its script's, where `gpu_metrics.csv` is the newest attempt's
    (None: another's). That table is read only where the recorder has no figures of GPUs.
    """
    recorder = read_link(folder)
    if recorder is not None:
        used = _recorded(recorder)
    else:
        used = _printed(attempt)
    if used.gpu_busy is not None or beside is None:
        return used
    for name in _GPU_TABLES:
        lines = _lines(f"{beside}/{name}")
        if not lines:
            continue
        table = "\n".join(line.decode(errors="replace") for line in lines)
        gpus = of_gpu_metrics(table)
        if gpus.gpu_busy is not None or gpus.gpu_peak_bytes is not None:
            return msgspec.structs.replace(
                used,
                gpu_busy=gpus.gpu_busy,
                gpu_peak_bytes=gpus.gpu_peak_bytes,
                gpu_source=name,
            )
    return used


def _recorded(recorder: Path) -> Used:
    """What the recorder and its sidecar wrote into the run folder `recorder`. The rate is that of
    the outermost loop which it counted last: items a second, in that loop's own unit.
    """
    used = of_telemetry(read_samples(recorder))
    loop = _last_loop(recorder)
    if loop is None or loop.elapsed_s <= 0:
        return used
    return msgspec.structs.replace(used, rate_per_s=loop.done / loop.elapsed_s, unit=loop.unit)


def _printed(attempt: Attempt) -> Used:
    """What a job without a recorder printed."""
    rate = _printed_rate(attempt)
    if rate is None:
        return Used()
    return Used(rate_per_s=rate, unit="step")


def of_telemetry(samples: Sequence[Sample]) -> Used:
    """Summarize the sidecar's samples: peaks and means. Pure. Without a GPU in any of them only the
    host's memory is known; without a sample nothing.
    """
    gpus = [gpu for sample in samples for gpu in sample.gpus]
    if not gpus:
        return Used(rss_peak_bytes=_rss_peak_bytes(samples))
    # Empty where nvidia-smi did not name the job's processes, or they used no device.
    held = {gpu.index for gpu in gpus if gpu.ours_bytes}
    return Used(
        rss_peak_bytes=_rss_peak_bytes(samples),
        gpu_busy=sum(gpu.busy for gpu in gpus) / len(gpus),
        gpu_peak_bytes=max(gpu.used_bytes for gpu in gpus),
        gpu_source="telemetry",
        gpus_used=len(held) or None,
    )


def _rss_peak_bytes(samples: Sequence[Sample]) -> int | None:
    """The most memory of the host that a sample saw; None: no sample says."""
    sizes = [sample.rss_bytes for sample in samples if sample.rss_bytes is not None]
    return max(sizes, default=None)


def of_gpu_metrics(text: str) -> Used:
    """What a table of nvidia-smi's says: `utilization.gpu [%]` and `memory.used [MiB]`, whatever
    else it has. Pure. A table without one of these columns leaves its figure None.

        timestamp, utilization.gpu [%], memory.used [MiB]
        2026/01/02 03:04:05.000, 50 %, 1024 MiB
        2026/01/02 03:04:06.000, 100 %, 2048 MiB          busy 0.75, peak 2 GiB
    """
    lines = []
    for line in csv.reader(text.splitlines()):
        lines.append([cell.strip() for cell in line])
    if not lines:
        return Used()
    header, rows = lines[0], lines[1:]
    busy_at = _column(header, ("utilization.gpu", "gpu_util"))
    memory_at = _column(header, ("memory.used", "memory_used"))
    default_unit = ""
    if memory_at is not None:
        default_unit = _unit_in(header[memory_at])
    sizes: list[float] = []
    for value, unit in _figures(rows, memory_at):
        sizes.append(value * _BYTES.get(unit or default_unit, 2**20))
    shares = [percent / 100 for percent, _ in _figures(rows, busy_at)]
    busy = None
    if shares:
        busy = sum(shares) / len(shares)
    peak = None
    if sizes:
        peak = int(max(sizes))
    return Used(gpu_busy=busy, gpu_peak_bytes=peak)


def _column(header: Sequence[str], names: tuple[str, ...]) -> int | None:
    """Where a column is whose name begins like one of these; None: there is none."""
    for at, name in enumerate(header):
        if name.startswith(names):
            return at
    return None


def _unit_in(name: str) -> str:
    """The unit in a column's name, `memory.used [MiB]`: "mib"; "": none."""
    unit = re.search(r"[\[_](\w*ib|b)\b", name.lower())
    if unit is None:
        return ""
    return unit.group(1)


def _figures(rows: Iterable[Sequence[str]], at: int | None) -> Iterator[tuple[float, str]]:
    """The numbers and units in a column, `7024 MiB` as (7024.0, "mib"); cells like `[N/A]` are left
    out. `at`: which column, from 0; None: the table lacks it, and there are no figures.
    """
    if at is None:
        return
    for row in rows:
        # The last line of a table that is being written may be short.
        if at >= len(row):
            continue
        figure = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)%?", row[at])
        if figure is not None:
            yield float(figure.group(1)), figure.group(2).lower()


def _lines(path: str) -> list[bytes]:
    """The lines of a table, [] where there is none or it cannot be read. Only its first _MOST_BYTES
    are read.
    """
    if not os.access(path, os.F_OK):  # of ten thousand tables that are not there, each
        return []
    try:
        with open_regular(path) as file:
            return read_most(file, _MOST_BYTES).splitlines()
    except OSError:
        return []


def _last_loop(recorder: Path) -> Progressed | None:
    """The outermost loop that the recorder counted last; None: it counted none."""
    recorded = journal.read(recorder / layout.JOURNAL, is_evidence=True)
    outermost = [event for event in of_kind(recorded.events, Progressed) if event.depth == 0]
    return max(outermost, key=lambda event: event.time, default=None)


def _printed_rate(attempt: Attempt) -> float | None:
    """Steps per second of a torchtune training that began at step 0, from its last bar; other
    tools' bars count what they like. None: it printed no such bar, took no time that is known, or
    continued from a checkpoint, where its steps are not all its own.
    """
    judged, facts = attempt.judged, attempt.facts
    if facts is None or judged is None or not judged.elapsed_s:
        return None
    if attempt.intended is not None and attempt.intended.resume_from:
        return None
    # The bars go to the standard error, which may be one file with the output.
    for path in dict.fromkeys((facts.error_output, facts.output)):
        if not path:
            continue
        last = position(remote_files.last_output(path))
        if last is not None and last.epoch is not None and last.step is not None:
            return last.step / judged.elapsed_s
    return None
