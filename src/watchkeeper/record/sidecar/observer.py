"""The sidecar's loop: it looks, tells what it sees, and leaves when the job does."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from watchkeeper.core import layout, processes
from watchkeeper.core.disk import files, node, spill
from watchkeeper.core.errors import StorageError
from watchkeeper.core.events import Advanced, RunEnded, Stalled, Vanished
from watchkeeper.core.journal import Writer, read, utc_now
from watchkeeper.record.sidecar import cause, ending, report
from watchkeeper.record.sidecar.advance import Eye, Pace, Seen
from watchkeeper.record.sidecar.report import Section
from watchkeeper.record.sidecar.spec import Spec
from watchkeeper.record.sidecar.telemetry import Telemetry, describe
from watchkeeper.record.stopping import stacks
from watchkeeper.runfolder.places import names
from watchkeeper.runfolder.telemetry import BEAT_BYTES, BEAT_S, SIDECAR, Sample, encode_row

TICK_S = 5.0  # between two looks; less under a short limit
LEAST_TICK_S = 0.1
ANSWER_S = 30.0  # within which a filesystem has to answer
DEATH_S = 2.0  # between the end of a process's files and its own
MEASURE_S = 1.0  # over which CPU time is taken at a stall
SAMPLES = 10  # of the telemetry, in a report
_NAME = "watchkeeper-reports"
# The report's words for what is done about a stall.
_ENDS = "the process is ended: SIGTERM, then SIGKILL"
_ONLY_REPORTS = "none; the run only reports stalls"


class Lookout:
    """Watches one run from `run` to its end."""

    def __init__(self, spec: Spec, end: int) -> None:
        """`end` is the pipe's read end, at which the job says that the run has ended."""
        self._spec = spec
        self._end = end
        self._folder = Path(spec.folder)
        self._writer = Writer(self._folder / layout.JOURNAL, SIDECAR)
        self._eye = Eye(self._folder, spec.output, spec.files, own=f"{self._writer.id}.jsonl")
        self._pace = Pace(time.monotonic(), spec.stall_s)
        self._telemetry = Telemetry(spec.work.pid, self._folder)
        self._samples: deque[Sample] = deque(maxlen=SAMPLES)
        self._seen: Seen | None = None
        self._answered = time.monotonic()
        self._stalled_at: float | None = None
        self._ended_work = False
        self._fault = ""
        self._rows = files.AppendFile(self._folder / layout.TELEMETRY / f"{self._writer.id}.jsonl")
        self._looks: queue.SimpleQueue[tuple[Seen, Sample | None]] = queue.SimpleQueue()
        self._wanted = threading.Semaphore(0)
        self._beat_due = 0.0

    def run(self) -> None:
        """Watch until the run has ended or the work is gone."""
        threading.Thread(target=self._look_on, name="looks", daemon=True).start()
        limit = self._spec.stall_s
        if limit is None:
            tick = TICK_S
        else:
            tick = min(TICK_S, max(LEAST_TICK_S, limit / 5))
        poll = select.poll()
        poll.register(self._end, select.POLLIN | select.POLLHUP)
        work = _pidfd(self._spec.work)
        if work >= 0:
            poll.register(work, select.POLLIN)
        while True:
            self._wanted.release()
            ready = {fd for fd, _ in poll.poll(tick * 1000)}
            if self._end in ready:
                said = os.read(self._end, 1)
                if said or self._spec.recorder == self._spec.work:
                    if not said and work >= 0:
                        # A process that dies closes its files first; one that is replaced
                        # does not die.
                        select.select([work], [], [], DEATH_S)
                    self._leave(said)
                    return
                poll.unregister(self._end)  # the recorder is gone; the work continues
            if work in ready or not processes.is_alive(self._spec.work):
                self._leave(self._last_word())
                return
            self._take_looks()
            self._judge(time.monotonic())

    # ── looking

    def _look_on(self) -> None:
        """In a thread of its own, since a filesystem that hangs holds up whoever asks it."""
        while True:
            self._wanted.acquire()
            while self._wanted.acquire(blocking=False):
                pass
            sample = None
            seen = self._eye.look()
            if time.monotonic() >= self._beat_due:
                self._beat_due = time.monotonic() + BEAT_S
                sample = self._telemetry.sample(utc_now())
                self._keep(sample)
                self._beat(seen)
            self._looks.put((seen, sample))

    def _keep(self, sample: Sample) -> None:
        """Write the row down. Where that fails, a quota that is used up shows, which no look at the
        disk does.
        """
        try:
            self._rows.append(encode_row(sample))
            self._fault = ""
        except StorageError as error:
            self._fault = str(error)

    def _beat(self, seen: Seen, last: str = "") -> None:
        state = last or ("stalled" if self._stalled_at is not None else "watching")
        if seen.where.step is not None:
            at = f", at step {seen.where.step}"
        else:
            at = ""
        words = f"{utc_now():%Y-%m-%dT%H:%M:%SZ} sidecar of pid {self._spec.work.pid}, {state}{at}"
        with contextlib.suppress(StorageError, OSError):
            files.make_folder(self._folder / layout.HEARTBEATS)
            beat = files.FixedFile(
                self._folder / layout.HEARTBEATS / self._spec.run_id, size_bytes=BEAT_BYTES
            )
            beat.write(words[: BEAT_BYTES - 1])
            beat.close()

    def _take_looks(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                seen, sample = self._looks.get_nowait()
                now = time.monotonic()
                self._answered = now
                if sample is not None:
                    self._samples.append(sample)
                if self._seen is None:
                    self._seen = seen
                elif seen.is_beyond(self._seen):
                    self._pace.advanced(now)
                    self._goes_on(now, seen)
                    self._seen = seen

    def _goes_on(self, now: float, seen: Seen) -> None:
        if self._stalled_at is not None:
            stalled_s, self._stalled_at = now - self._stalled_at, None
            self._write(Advanced, stalled_s=round(stalled_s, 3), training_step=seen.where.step)

    # ── telling

    def _judge(self, now: float) -> None:
        if self._stalled_at is None and self._pace.is_stalled(now):
            self._stalled_at = self._pace.since
            self._stall(now)

    def _stall(self, now: float) -> None:
        since = utc_now() - timedelta(seconds=now - self._pace.since)
        answers = now - self._answered < ANSWER_S
        facts = self._facts(answers=answers)
        why = cause.of_stall(facts[0])
        ends = self._spec.end_stalled and answers
        if self._seen is not None:
            step = self._seen.where.step
        else:
            step = None
        head = [
            (
                f"STALLED: {self._spec.pipeline}, run {self._spec.run_id}, pid "
                f"{self._spec.work.pid} on {self._spec.work.host}"
            ),
            f"No advance since {since:%Y-%m-%d %H:%M:%S} UTC, for {now - self._pace.since:.1f} s.",
            f"The limit is {self._pace.words()}.",
            f"Last training step: {step if step is not None else 'none was logged'}",
            f"Likely cause: {why}",
            f"Action: {_ENDS if ends else _ONLY_REPORTS}",
        ]
        path = self._report("stall", since, report.text(head, facts[1]))
        self._write(
            Stalled,
            since=since,
            limit_s=round(self._pace.limit_s, 3),
            cause=why,
            training_step=step,
            report=path,
            ends=ends,
        )
        if ends:
            self._ended_work = True
            ending.end(self._spec.work, group=self._spec.group, grace_s=self._spec.grace_s)

    def _facts(self, *, answers: bool) -> tuple[cause.Facts, list[Section]]:
        """What can be seen of the work now, for the judgement and for the report."""
        work = self._spec.work.pid
        tree = ending.tree(work)
        pids = [*(name.pid for name in tree), *stacks.siblings(work)]
        dumps = {pid: stacks.ask(pid, self._spec.dump_signal) for pid in pids}
        cpus, queued = _measure_cpus(tree)
        threads = stacks.threads(dumps.get(work, ""))
        sample: Sample | None = None
        if answers:
            sample = self._telemetry.sample(utc_now())
            self._samples.append(sample)
            self._keep(sample)
        facts = cause.Facts(
            answers=answers,
            sample=sample,
            fault=self._fault,
            states=tuple(processes.state_of(name.pid) for name in tree),
            cpus=cpus,
            queued=queued,
            main=tuple(threads[-1]) if threads else (),
            kernel=_waits_at(work),
        )
        title = "Processes: pid, state, CPU, memory, waits in the kernel at, command"
        sections = _stacks_of(dumps)
        sections.append(Section(title, "\n".join(self._lines())))
        sections += self._from_files(answers=answers)
        return facts, sections

    def _lines(self) -> list[str]:
        with contextlib.suppress(Exception):
            return self._telemetry.processes()
        return []

    def _from_files(self, *, answers: bool) -> list[Section]:
        samples = "\n".join(map(describe, self._samples))
        sections = [Section("Telemetry", samples)]
        if answers:  # else reading would wait too
            sections.append(
                Section("Last metric rows", report.last_rows(self._folder / layout.METRICS))
            )
            sections.append(
                Section("Last events", report.last_events(self._folder / layout.JOURNAL))
            )
            sections += report.last_lines(self._folder)
        return sections

    def _report(self, kind: str, when: datetime, words: str) -> str:
        """Keep the report in the run's folder; where that cannot be, on this node. Its path is
        relative to the run's folder where it lies there; "" where there is no room for it anywhere.
        """
        name = f"{kind}-{when:%Y%m%d-%H%M%S}.txt"
        done: queue.SimpleQueue[str] = queue.SimpleQueue()

        def put() -> None:
            with contextlib.suppress(StorageError, OSError):
                files.make_folder(self._folder / "logs")
                place = next(
                    path
                    for path in names(self._folder / "logs" / name)
                    if files.put_new(path, words.encode())
                )
                done.put(f"logs/{place.name}")
                return
            done.put("")

        threading.Thread(target=put, daemon=True).start()
        with contextlib.suppress(queue.Empty):
            if kept := done.get(timeout=ANSWER_S):
                return kept
        with contextlib.suppress(StorageError, OSError):
            place = node.folder(_NAME) / f"{self._spec.run_id}-{name}"
            files.replace(place, words.encode(), durable=False)
            return str(place)
        return ""

    def _write(
        self, kind: type[Stalled] | type[Advanced] | type[Vanished], **fields: object
    ) -> None:
        with contextlib.suppress(StorageError):
            self._writer.write(kind, **fields)

    # ── leaving

    def _last_word(self) -> bytes:
        """What the job said before it went; b"" where it said nothing."""
        with contextlib.suppress(OSError):
            if select.select([self._end], [], [], 1.0)[0]:
                return os.read(self._end, 1)
        return b""

    def _leave(self, said: bytes) -> None:
        """The run has ended, or the work is gone without a word."""
        self._take_looks()
        if not said and not processes.is_alive(self._spec.work):
            stacks.clear(self._spec.work.pid)
            if not self._has_ended():
                self._vanished()
        with contextlib.suppress(StorageError):
            self._writer.close()
        self._rows.close()
        self._beat(self._seen or Seen(), last="ended")

    def _has_ended(self) -> bool:
        """Whether the journal holds the run's end after all."""
        journal = read(self._folder / layout.JOURNAL, is_evidence=True)
        return any(
            isinstance(event, RunEnded) for own in journal.events.values() for event in own[-3:]
        )

    def _vanished(self) -> None:
        recovered = spill.recover()
        if self._samples:
            before = self._samples[-1]
        else:
            before = None
        after = self._telemetry.sample(utc_now())
        if self._ended_work:
            words = "ended by its sidecar, since it did not advance"
        else:
            words = ""
        why = cause.of_death(before, after, words)
        step = self._eye.look().where.step
        head = [
            (
                f"GONE: {self._spec.pipeline}, run {self._spec.run_id}, pid "
                f"{self._spec.work.pid} on {self._spec.work.host}"
            ),
            f"Seen at {utc_now():%Y-%m-%d %H:%M:%S} UTC. The process did not write the run's end.",
            f"Last training step: {step if step is not None else 'none was logged'}",
            f"Likely cause: {why}",
            *(f"Brought over from this node: {path}" for path in recovered),
        ]
        path = self._report("death", utc_now(), report.text(head, self._from_files(answers=True)))
        self._write(Vanished, pid=self._spec.work.pid, cause=why, training_step=step, report=path)


def _pidfd(name: processes.ProcessName) -> int:
    """A descriptor that becomes readable when the process is gone; -1 where there is none."""
    if sys.platform == "linux" and processes.is_alive(name):
        with contextlib.suppress(OSError):
            return os.pidfd_open(name.pid)
    return -1


def _waits_at(pid: int) -> str:
    """The kernel's function that the process's main thread waits in (proc(5), wchan); "": it runs,
    or nobody may know.
    """
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/wchan").read_text(errors="replace").strip("0\n")
    return ""


def _cpu_s(tree: list[processes.ProcessName]) -> float | None:
    """CPU seconds of the processes so far; None where none can be read."""
    times = [seconds for name in tree if (seconds := processes.cpu_s(name.pid)) is not None]
    if times:
        return sum(times)
    return None


def _stacks_of(dumps: Mapping[int, str]) -> list[Section]:
    """The report's sections of stacks: pid → what the process wrote, "" for nothing."""
    sections = [
        Section(f"Stacks of pid {pid}, most recent call first", words)
        for pid, words in dumps.items()
        if words
    ]
    if sections:
        return sections
    reason = "none: no process of the work writes them, or there was no room for it"
    return [Section("Stacks", reason)]


def _measure_cpus(tree: list[processes.ProcessName]) -> tuple[float | None, float]:
    """How many processors these processes keep busy, over MEASURE_S (None: not measurable), and
    how many more they would, if the machine gave them.
    """
    began, before, waited = time.monotonic(), _cpu_s(tree), _queued_s(tree)
    time.sleep(MEASURE_S)
    after, longer, passed = _cpu_s(tree), _queued_s(tree), time.monotonic() - began
    queued = max(0.0, longer - waited) / passed
    if before is None or after is None:
        return None, queued
    return max(0.0, after - before) / passed, queued


def _queued_s(tree: list[processes.ProcessName]) -> float:
    """Seconds so far in which the processes were ready to run, and waited for a processor."""
    return sum(processes.queued_s(name.pid) for name in tree)
