"""The end of a run: what it came to, written once, in the process that started the run."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from types import TracebackType

from watchkeeper.core import layout
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.events import RowsSealed, RunEnded, SealedRows
from watchkeeper.record.display.compared_code import ComparedCode
from watchkeeper.record.display.display import Display
from watchkeeper.record.recorder import Recorder
from watchkeeper.record.results import Results
from watchkeeper.record.sidecar.starter import Sidecar
from watchkeeper.record.stages.stages import Stages
from watchkeeper.record.stopping import endings
from watchkeeper.record.stopping.limits import Limits
from watchkeeper.record.stopping.stops import Stops
from watchkeeper.record.writing import seals
from watchkeeper.record.writing.manifest import RUN_FILE, closing, put, run_manifest

ErrorInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class RunEnd:
    """How one run ends."""

    def __init__(
        self,
        recorder: Recorder,
        *,
        stops: Stops,
        stages: Stages,
        results: Results,
        display: Display,
        limits: Limits,
        code: ComparedCode,
        sidecar: Sidecar,
        ended: Callable[[], None],
    ) -> None:
        """`ended` is called when the end is written."""
        self.start_s = 0.0
        """How long starting the run took the recorder, in seconds, writing not counted."""
        self.seen = endings.Seen()
        self._recorder = recorder
        self._stops = stops
        self._stages = stages
        self._results = results
        self._display = display
        self._limits = limits
        self._code = code
        self._sidecar = sidecar
        self._ended = ended
        self._rows_at_exit = -1

    def note_exit(self) -> None:
        """The program calls `sys.exit`: rows that come afterwards show that it caught that."""
        self._rows_at_exit = self._recorder.pen.rows.kept

    def end_by(self, error: BaseException | None) -> None:
        """End the run as the exception says that left it; None: no exception did."""
        if self._stops.interrupts.stopped(error):
            self._end("interrupted", error)
        elif endings.is_failure(error):
            self._end("failed", error)
        else:
            self._end("finished", None)

    def end_unsaid(self, why: str, exit_error: BaseException | None) -> None:
        """End a run that the program never ended. `exit_error`: what `sys.exit` was called for."""
        error = self.seen.uncaught()
        if error is None and self._rows_at_exit == self._recorder.pen.rows.kept:
            error = exit_error  # with more rows the program caught it and continued
        if os.getpid() == self._recorder.starter:
            self._recorder.say(logging.INFO, "%s", why)
        if error is not None and endings.is_interactive():  # whatever was typed last
            last_error = endings.describe(error)
            self._stops.interrupts.ask(f"the session ended; its last error was {last_error}")
            self._end("interrupted", None)
        else:
            self.end_by(error)

    def _end(self, status: str, error: BaseException | None) -> None:
        """Write the end, once. A forked child only closes its own files."""
        recorder, interrupts = self._recorder, self._stops.interrupts
        pen = recorder.pen
        if pen.ended:
            return
        if status == "interrupted":
            self._stops.run_hooks()
        pen.ended = True
        with recorder.harmless("the process for isolated calls could not be ended"):
            self._limits.close()
        interrupts.ending = True
        self._display.close(status)
        if status == "interrupted" and recorder.is_starter:
            self._say_saved()
        with recorder.harmless("the metric rows could not be synced to disk"):
            pen.rows.close()
        if recorder.is_starter:
            self._write_end(status, error)
        elif pen.rows.kept:
            recorder.write(RowsSealed, files=self._seal_rows(hurried=True))
        recorder.log.leave()
        recorder.log.detach()
        recorder.is_over = True
        with recorder.harmless("the journal could not be sealed"):
            pen.close()
        self._ended()
        self._sidecar.close()
        interrupts.restore()

    def _write_end(self, status: str, error: BaseException | None) -> None:
        recorder, rows = self._recorder, self._recorder.pen.rows
        if error is not None and status == "failed":
            self._say_failed(error)
        self._code.close()
        sealed = self._seal_rows(hurried=status != "finished")
        duration_s = time.monotonic() - recorder.began
        # The times of several threads can come to more than there was.
        recorder_s = min(self.start_s + recorder.spent_s + self._display.spent_s, duration_s)
        left_out = recorder.left_out.take()
        event = recorder.write(
            RunEnded,
            status=status,
            duration_s=round(duration_s, 6),
            error=self._reason(status, error),
            metric_rows=rows.kept,
            lost_rows=rows.lost + left_out.pop("lost rows", 0),
            lost_lines=recorder.log.lost,
            outputs=tuple(recorder.outputs.values()),
            totals=dict(self._results.totals),
            recorder_s=round(recorder_s, 6),
            limited_calls=self._limits.calls,
            timeouts=self._limits.overruns,
            left_out=dict(left_out),
            files=sealed,
        )
        if event is not None:
            self._show_end(event)
        recorder.say(logging.INFO, "%s", self._last_line(status))

    def _show_end(self, event: RunEnded) -> None:
        recorder = self._recorder
        for line in closing(event):
            recorder.say(logging.INFO, "%s", line)
        with recorder.harmless("the run's manifest could not be written"):
            events = sorted(recorder.events, key=lambda kept: kept.seq)
            put(recorder.homes, RUN_FILE, run_manifest(events) or b"")

    def _say_failed(self, error: BaseException) -> None:
        where = ""
        if self._stages.failed:
            where = f" in step {self._stages.failed}"
        self._recorder.log.say(
            logging.ERROR,
            "Run failed%s: %s",
            where,
            endings.describe(error),
            exc_info=_error_info(error),
            quiet_trace=True,
        )

    def _reason(self, status: str, error: BaseException | None) -> str:
        """Why the run failed or was interrupted; "" if it finished."""
        if error is not None:
            return endings.describe(error)
        if status == "interrupted":
            return self._stops.interrupts.reason
        return ""

    def _last_line(self, status: str) -> str:
        if status == "finished":
            return "Run finished"
        if status != "interrupted":
            return "Run ended: failed"
        if self._stops.interrupts.reason:
            return f"Run interrupted by {self._stops.interrupts.reason}"
        return "Run interrupted"

    def _seal_rows(self, *, hurried: bool) -> tuple[SealedRows, ...]:
        """This process's files of rows with count and hash; in the process that started the run,
        those of its forks too.
        """
        recorder = self._recorder
        if not recorder.records:
            return ()
        own = recorder.pen.rows.files
        most_s = seals.MOST_S
        if hurried:
            most_s = seals.HURRIED_S
        with recorder.harmless("the files of rows could not be hashed"):
            others = set()
            if recorder.is_starter:
                written = seals.row_files(recorder.folder / layout.METRICS)
                others = written - recorder.rows_before - {path for path, _, _ in own}
            return seals.seal(recorder.folder, own, others, most_s)
        return ()

    def _say_saved(self) -> None:
        """After a stop: how many rows lie where."""
        recorder = self._recorder
        rows = recorder.pen.rows.kept
        if rows:
            place = recorder.folder / layout.METRICS
            recorder.say(logging.INFO, "Saved %d metric rows in %s", rows, place)
        for table in self._display.tables:
            place = table.partial
            if table.path.exists():
                place = table.path
            kept = len(table) - table.lost_rows
            recorder.say(logging.INFO, "Saved %d rows of table %s in %s", kept, table.name, place)


def _error_info(error: BaseException) -> ErrorInfo | None:
    """What logging prints of an exception; None for an error of ours, whose message says all."""
    if isinstance(error, WatchkeeperError):
        return None
    return type(error), error, error.__traceback__
