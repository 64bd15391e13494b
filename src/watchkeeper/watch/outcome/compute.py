"""What each attempt took, against what was expected: a pure function of the journal's state and of
what the job left.

Time, node and memory are the scheduler's; GPU figures come from the recorder's telemetry, else from
`gpu_metrics.csv` beside the job (`nvidia-smi --query-gpu=… --format=csv`); the rate from the
recorder, else from torchtune's bars. Where two attempts record into one folder, its telemetry is
told for both.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.events import Progressed
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt, AttemptId, State
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.runfolder.link import read_link
from watchkeeper.runfolder.printed import position
from watchkeeper.runfolder.telemetry import Sample, read_samples
from watchkeeper.schedulers import remote_files

_MOST_BYTES = 64 * 2**20  # of a file of samples
# nvidia-smi's units; with `nounits` it means MiB.
_BYTES = {"": 2**20, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30}


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What a job itself left on what it used; None is nothing. `gpu_busy` is the mean over samples
    and devices, from 0 to 1; `gpu_peak_bytes` the most on one device, both as `gpu_source` says
    (`telemetry`, or a file's name); `rate_per_s` counts `unit`s.
    """

    rss_peak_bytes: int | None = None
    gpu_busy: float | None = None
    gpu_peak_bytes: int | None = None
    rate_per_s: float | None = None
    unit: str = ""
    gpu_source: str = ""


class ComputeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that has ended. Times are in seconds, sizes in bytes, shares from 0 to 1; None:
    nobody says, node and unit "" likewise. `of_estimate` is elapsed over expected. `peak_bytes` is
    the scheduler's figure of the host's memory, else the recorder's highest sample.
    """

    key: str
    attempt: int
    state: str
    node: str = ""
    elapsed_s: float | None = None
    estimate_s: float | None = None
    of_estimate: float | None = None
    peak_bytes: int | None = None
    gpu_busy: float | None = None
    gpu_peak_bytes: int | None = None
    rate_per_s: float | None = None
    unit: str = ""

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
    """A row for each attempt that had a job and has ended, in the experiment's order. Pure."""
    found: list[ComputeRow] = []
    for item in experiment.items:
        for number, attempt in sorted(state.run(item.key).attempts.items()):
            if (
                attempt.submissions
                and attempt.judged is not None
                and attempt.judged.outcome != "not run"
            ):
                found.append(
                    _row(
                        attempt,
                        experiment.estimates.get(item.key),
                        used.get((item.key, number), Used()),
                    )
                )
    return found


def _row(attempt: Attempt, estimate: float | None, used: Used) -> ComputeRow:
    judged, facts = attempt.judged, attempt.seen.facts if attempt.seen else None
    assert judged is not None
    elapsed = judged.elapsed_s
    if facts:
        of_scheduler = facts.max_rss_bytes
    else:
        of_scheduler = None
    return ComputeRow(
        key=attempt.key,
        attempt=attempt.number,
        state=judged.state,
        node=facts.node if facts else "",
        elapsed_s=elapsed,
        estimate_s=estimate,
        of_estimate=elapsed / estimate if elapsed is not None and estimate else None,
        peak_bytes=of_scheduler if of_scheduler is not None else used.rss_peak_bytes,
        gpu_busy=used.gpu_busy,
        gpu_peak_bytes=used.gpu_peak_bytes,
        rate_per_s=used.rate_per_s,
        unit=used.unit,
    )


def read(experiment: Experiment, state: State) -> list[ComputeRow]:
    """The rows, with what the jobs left looked up. What cannot be read says nothing."""
    used: dict[AttemptId, Used] = {}
    for item in experiment.items:
        run = state.run(item.key)
        for number, attempt in run.attempts.items():
            if attempt.judged is None or not attempt.submissions:
                continue
            if attempt is run.latest:
                beside = (experiment.folder / item.script).parent
            else:
                beside = None
            used[item.key, number] = used_by(
                attempt, attempt_folder(experiment.folder, item.key, number), beside
            )
    return rows(experiment, state, used)


def used_by(attempt: Attempt, folder: Path, beside: Path | None) -> Used:
    """What one attempt left. `folder` is the attempt's; `beside` is its script's, where
    `gpu_metrics.csv` is the newest attempt's (None: another's).
    """
    found = Used()
    recorder = read_link(folder)
    if recorder is not None:
        found = of_telemetry(read_samples(recorder))
        loop = _last_loop(recorder)
        if loop is not None and loop.elapsed_s > 0:
            found = msgspec.structs.replace(
                found, rate_per_s=loop.done / loop.elapsed_s, unit=loop.unit
            )
    elif (rate := _printed_rate(attempt)) is not None:
        found = msgspec.structs.replace(found, rate_per_s=rate, unit="step")
    if found.gpu_busy is None and beside is not None:
        for name in ("artifacts/gpu_metrics.csv", "gpu_metrics.csv"):
            gpus = of_gpu_metrics(
                "\n".join(line.decode(errors="replace") for line in _lines(beside / name))
            )
            if gpus.gpu_busy is not None or gpus.gpu_peak_bytes is not None:
                changed = {
                    "gpu_busy": gpus.gpu_busy,
                    "gpu_peak_bytes": gpus.gpu_peak_bytes,
                    "gpu_source": name,
                }
                return msgspec.structs.replace(found, **changed)
    return found


def of_telemetry(samples: Sequence[Sample]) -> Used:
    """Summarize the sidecar's samples: peaks and means. Pure."""
    gpus = [gpu for sample in samples for gpu in sample.gpus]
    if not gpus:
        return Used(rss_peak_bytes=_rss_peak_bytes(samples))
    return Used(
        rss_peak_bytes=_rss_peak_bytes(samples),
        gpu_busy=sum(gpu.busy for gpu in gpus) / len(gpus),
        gpu_peak_bytes=max(gpu.used_bytes for gpu in gpus),
        gpu_source="telemetry",
    )


def _rss_peak_bytes(samples: Sequence[Sample]) -> int | None:
    sizes = [sample.rss_bytes for sample in samples if sample.rss_bytes is not None]
    return max(sizes, default=None)


def of_gpu_metrics(text: str) -> Used:
    """What a table of nvidia-smi's says: `utilization.gpu [%]` and `memory.used [MiB]`, whatever
    else it has. Pure.
    """
    lines = [[cell.strip() for cell in line] for line in csv.reader(text.splitlines())]
    if not lines:
        return Used()
    header = lines[0]
    busy_at = next(
        (at for at, name in enumerate(header) if name.startswith(("utilization.gpu", "gpu_util"))),
        None,
    )
    memory_at = next(
        (at for at, name in enumerate(header) if name.startswith(("memory.used", "memory_used"))),
        None,
    )
    busy = [_figure(line, busy_at) for line in lines[1:]]
    memory = [_figure(line, memory_at) for line in lines[1:]]
    shares = [value / 100 for value, _ in filter(None, busy)]
    if memory_at is not None:
        default_unit = re.search(r"[\[_](\w*ib|b)\b", header[memory_at].lower())
    else:
        default_unit = None
    sizes = [
        value * _BYTES.get(unit or (default_unit.group(1) if default_unit else ""), 2**20)
        for value, unit in filter(None, memory)
    ]
    return Used(
        gpu_busy=sum(shares) / len(shares) if shares else None,
        gpu_peak_bytes=int(max(sizes)) if sizes else None,
    )


def _figure(line: list[str], at: int | None) -> tuple[float, str] | None:
    """A cell's number and unit, `7024 MiB`; None where it is none (`[N/A]`)."""
    if at is not None and at < len(line):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)%?", line[at])
    else:
        found = None
    if found:
        return (float(found.group(1)), found.group(2).lower())
    return None


def _lines(path: Path) -> list[bytes]:
    try:
        with open_regular(path) as file:
            return file.read(_MOST_BYTES).splitlines()
    except OSError:
        return []


def _last_loop(recorder: Path) -> Progressed | None:
    """The outermost loop that the recorder counted last."""
    told = journal.read(recorder / layout.JOURNAL, is_evidence=True).events.values()
    loops = [
        event
        for events in told
        for event in events
        if isinstance(event, Progressed) and event.depth == 0
    ]
    return max(loops, key=lambda event: event.time, default=None)


def _printed_rate(attempt: Attempt) -> float | None:
    """Steps per second of a torchtune training that began at step 0, from its last bar; other
    tools' bars count what they like.
    """
    facts, judged = (attempt.seen.facts if attempt.seen else None), attempt.judged
    if (
        facts is None
        or judged is None
        or not judged.elapsed_s
        or (attempt.intended and attempt.intended.resume_from)
    ):
        return None
    for path in dict.fromkeys((facts.error_output, facts.output)):
        if path:
            told = position(remote_files.last_output(path))
        else:
            told = None
        if told is not None and told.epoch is not None and told.step is not None:
            return told.step / judged.elapsed_s
    return None
