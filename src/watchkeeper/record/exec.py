"""Any command as a recorded run: its output kept and shown, signals passed on, its exit code
reported.

The command writes straight into the run's files, `logs/stdout.log` and `logs/stderr.log`, so that
it continues whatever becomes of the process that shows them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

import msgspec

from watchkeeper.core import processes
from watchkeeper.core.disk import files
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.events import OutputFile, RunEnded, RunStarted
from watchkeeper.core.events.choose import all_of
from watchkeeper.record.options import sidecar_from
from watchkeeper.record.printout import ROWS_PER_S, PrintedRows
from watchkeeper.record.run import Run
from watchkeeper.record.start import start_run
from watchkeeper.runfolder.printed_metrics import Printed

OUTPUT = ("logs/stdout.log", "logs/stderr.log")
LOOK_S = 0.05  # between two looks for output
CHUNK_BYTES = 2**20
NOT_FOUND, NOT_EXECUTABLE, BY_SIGNAL = 127, 126, 128  # as a shell's exit codes
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
FORWARDED = (*ASKING, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, signal.SIGWINCH)


class CommandError(WatchkeeperError):
    """The command did not end with code 0."""


class CommandStopped(KeyboardInterrupt):
    """Somebody asked the command to stop, and it did."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended. `code` is as a shell gives it: 128 + n for signal n, 127 and 126 where it could
    not be started.
    """

    code: int
    words: str
    is_requested: bool


def record(
    argv: Sequence[str],
    *,
    root: Path | None = None,
    folder: Path | None = None,
    pipeline: str = "",
    stall_s: float | None = None,
    end_stalled: bool | None = None,
    watched: Iterable[str] = (),
    show: bool = True,
    started: Callable[[Run], None] = lambda run: None,
) -> Ended:
    """Run the command to its end, in a session of its own, as a recorded run in `root/<run_id>` or
    exactly `folder`. `pipeline` "": the command's own name. `watched` are glob patterns of files
    whose change is an advance; `stall_s` and `end_stalled` as for `start_run`. `started` is told
    the run before the command starts.

    Raises:
        UsageError, StorageError: the run cannot be started; the command was not.
    """
    has_sidecar = sidecar_from(None, stall_s, end_stalled)[0]
    run = start_run(
        root,
        folder=folder,
        pipeline=pipeline or name_of(argv),
        config={"command": list(argv), "cwd": os.getcwd()},  # noqa: PTH109
        console=False,
        handle_signals=False,
        code_folder=_code_of(argv),
        sidecar=False,
        stall_s=stall_s,
        end_stalled=end_stalled,
    )
    started(run)
    with contextlib.suppress(CommandError, CommandStopped), run:
        outputs = [_output(run, name) for name in OUTPUT]
        ended = _run_in(run, argv, outputs, show=show, watched=watched if has_sidecar else None)
        for place in outputs:
            run.output(place)
        run.totals(exit_code=ended.code)
        if ended.code:
            raise CommandStopped(ended.words) if ended.is_requested else CommandError(ended.words)
    return ended


def _code_of(argv: Sequence[str]) -> Path:
    """The script that the command runs; the working directory where its words name none."""
    named = (Path(word) for word in argv if word.endswith((".py", ".sh")))
    return next((path for path in named if path.is_file()), Path.cwd())


def _output(run: Run, name: str) -> Path:
    """Where the command's output goes: into this file, after that of an earlier command in the
    folder, unless Watchkeeper did not write what lies there.
    """
    homes = run._recorder.homes
    earlier = [event for event in all_of(homes.events()) if event.writer != run.writer]
    if not any(isinstance(event, RunStarted) and "command" in event.config for event in earlier):
        return homes.choose(name, lambda path: False)
    outputs: list[OutputFile] = []
    for event in earlier:
        if isinstance(event, RunEnded):
            outputs += event.outputs
    return homes.choose(name, lambda path: _may_continue(path, outputs, run.folder))


def _may_continue(path: Path, outputs: Iterable[OutputFile], folder: Path) -> bool:
    """Whether this file begins as an earlier command left it, or no command has recorded it."""
    recorded = [output for output in outputs if folder / output.path == path]
    if not recorded:
        return True
    return any(_begins_with(path, output.size_bytes, output.sha256) for output in recorded)


def _begins_with(path: Path, size: int, sha256: str) -> bool:
    with files.open_regular(path) as file:
        return hashlib.sha256(file.read(size)).hexdigest() == sha256


def _run_in(
    run: Run,
    argv: Sequence[str],
    outputs: Sequence[Path],
    *,
    show: bool,
    watched: Iterable[str] | None,
) -> Ended:
    """`outputs` are the files for stdout and stderr; `watched` None: no sidecar."""
    shown: tuple[BinaryIO | None, ...]
    if show:
        shown = (sys.stdout.buffer, sys.stderr.buffer)
    else:
        shown = (None, None)
    for place in outputs:
        files.make_folder(place.parent)
    signals = _Signals()
    with signals:
        try:
            with contextlib.ExitStack() as opened:
                outs = [opened.enter_context(place.open("ab", buffering=0)) for place in outputs]
                begins = [out.seek(0, os.SEEK_END) for out in outs]
                environ = {"PYTHONUNBUFFERED": "1", **os.environ}
                child = subprocess.Popen(
                    argv, stdout=outs[0], stderr=outs[1], start_new_session=True, env=environ
                )
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            if isinstance(error, PermissionError):
                code = NOT_EXECUTABLE
            else:
                code = NOT_FOUND
            return Ended(code=code, words=f"{argv[0]}: {error.strerror}", is_requested=False)
        signals.child = child.pid
        follower = _Follower(run, child, outputs, shown, begins)
        if watched is not None:
            names = [run._recorder.homes.shown(place) for place in outputs]
            patterns = [os.path.abspath(pattern) for pattern in watched]  # noqa: PTH100
            run._lifetime.watch_work(processes.name_of(child.pid), names, patterns)
        follower.follow()
        return _ended(child.returncode, is_requested=signals.is_requested)


def _ended(code: int, *, is_requested: bool) -> Ended:
    if code < 0:
        if -code in set(signal.Signals):
            name = signal.Signals(-code).name
        else:
            name = f"signal {-code}"
        return Ended(code=BY_SIGNAL - code, words=f"ended by {name}", is_requested=is_requested)
    return Ended(code=code, words=f"ended with code {code}", is_requested=is_requested)


class _Signals:
    """Hands what is sent to us on to the command's process group; what comes before there is one,
    when it is there.
    """

    def __init__(self) -> None:
        self.is_requested = False
        """Whether somebody asked the command to end."""
        self._child = 0
        self._waiting: list[int] = []
        self._before: dict[int, Any] = {}

    @property
    def child(self) -> int:
        """The command's process; 0 before there is one."""
        return self._child

    @child.setter
    def child(self, pid: int) -> None:
        self._child = pid
        for number in self._waiting:
            self._send(number)

    def __enter__(self) -> None:
        for number in FORWARDED:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and `&` ask for
                self._before[number] = signal.signal(number, self._handle)

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before if before is not None else signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.is_requested |= number in ASKING
        if self._child:
            self._send(number)
        else:
            self._waiting.append(number)

    def _send(self, number: int) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self._child, number)


class _Follower:
    """Shows what the command writes, and keeps the steps and metrics that its output names as
    metric rows.
    """

    def __init__(
        self,
        run: Run,
        child: subprocess.Popen[bytes],
        outputs: Sequence[Path],
        shown: Sequence[BinaryIO | None],
        begins: Sequence[int],
    ) -> None:
        self._run, self._child = run, child
        self._files = [place.open("rb", buffering=0) for place in outputs]
        for file, begin in zip(self._files, begins, strict=True):
            file.seek(begin)  # what an earlier run in the folder left was shown then
        self._shown = list(shown)
        self._has_status = False
        self._rows = PrintedRows(len(outputs), self._keep, self._leave_out, time.monotonic)

    def follow(self) -> None:
        """Until the command has ended and all it wrote is shown."""
        poll = select.poll()
        with contextlib.suppress(OSError, AttributeError):
            poll.register(os.pidfd_open(self._child.pid), select.POLLIN)
        while self._child.poll() is None:
            self._look()
            poll.poll(LOOK_S * 1000)
        while self._look():
            pass
        self._rows.finish()
        for file in self._files:
            file.close()

    def _look(self) -> bool:
        """Show what is new; whether there was something."""
        has_news = False
        self._rows.look()
        for index, file in enumerate(self._files):
            if data := file.read(CHUNK_BYTES):
                has_news = True
                self._show(index, data)
            self._rows.add(index, data or b"")
        return has_news

    def _show(self, index: int, data: bytes) -> None:
        out = self._shown[index]
        if out is not None:
            try:
                out.write(data)
                out.flush()
            except (OSError, ValueError):  # the reader has gone (`| head`): the command has not
                self._shown[index] = None

    def _keep(self, printed: Printed) -> None:
        if printed.step is not None and not self._has_status:
            self._has_status = True
            self._run.cadence(total=printed.total)  # from now on there is a status
        self._run.log(printed.step, printed.metrics)

    def _leave_out(self) -> None:
        self._run._recorder.left_out.add("metric rows")
        words = (
            f"the output names more than {ROWS_PER_S:,} steps a second; the run's end counts "
            "what becomes no row"
        )
        self._run._recorder.warn("printed rows", words)


def name_of(argv: Sequence[str]) -> str:
    """What a command's runs are called: the script's name for `python train.py`, else the
    program's.
    """
    script = next((part for part in argv[1:] if part.endswith((".py", ".sh"))), argv[0])
    return Path(script).stem or "command"
