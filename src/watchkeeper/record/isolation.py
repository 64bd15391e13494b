"""A process for work that nothing in Python can break into. It is started by the first call, kept for the next ones, and
killed with its children when a call is overdue.

A call and its result travel pickled. The process imports the program's main module as multiprocessing's "spawn" does: a
script needs its `if __name__ == "__main__":`.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchkeeper.record.sidecar.stacks import DUMP_SIGNAL

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

START_S = 120.0  # for the process to import what it needs
DUMP_S = 1.0  # for a stack
READY, BEGINS = b"ready", b"begins"  # what the process says, that is no answer
INNER = "_watchkeeper_inner"  # of a decorated function: it is pickled by its name, which is the limited one's


class NotThereError(Exception):
    """The call cannot be made in another process; nothing of it was done."""


class OverdueError(Exception):
    """The call did not end in time, and its process was killed. `stack` is where it was; "" where it did not say."""

    def __init__(self, stack: str) -> None:
        super().__init__("the call did not end in time")
        self.stack = stack


class DiedError(Exception):
    """The process died in the middle of the call."""


class Worker:
    """The process, from the first call to `close`. Calls from several threads are made one after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._stacks = ""

    def call(self, fn: Callable[..., Any], args: Any, kwargs: Any, seconds: float | None) -> Any:
        """Make the call there; its time begins when the process has imported what it needs. `seconds` None: any time.

        Raises:
            NotThereError: it could not be handed over.
            OverdueError, DiedError: see there.
            Exception: what `fn` raised.
        """
        try:
            request = pickle.dumps((fn, args, kwargs))
        except Exception as error:
            raise NotThereError(f"it cannot be sent to another process: {error}") from error
        with self._lock:
            pipe = self._ready()
            try:
                pipe.send_bytes(request)
                for patience in (START_S, seconds):  # for the word that it begins, or an error; for the answer
                    if not pipe.poll(patience):
                        raise OverdueError(self._stack())
                    answer = pipe.recv_bytes()
                    if answer != BEGINS:
                        break
            except (EOFError, OSError) as error:
                code = self._kill()
                name = signal.Signals(-code).name if code is not None and code < 0 else f"code {code}"
                raise DiedError(f"its process ended by {name}") from error
            except BaseException:  # an interrupt: what the process still answers is not for the next call
                self._kill()
                raise
        ok, value = pickle.loads(answer)
        if ok:
            return value
        raise value

    def close(self) -> None:
        """End the process and what it started."""
        if self._lock.acquire(blocking=False):  # else another thread is in a call, and it ends with this process
            try:
                self._kill()
            finally:
                self._lock.release()

    def _ready(self) -> Connection:
        if self._pipe is not None and self._process is not None and self._process.is_alive():
            return self._pipe
        self._kill()
        import multiprocessing

        try:
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            handle, self._stacks = tempfile.mkstemp(prefix="watchkeeper-stacks-")
            os.close(handle)
            self._process = context.Process(
                target=_serve, args=(theirs, self._stacks, list(sys.path)), name="watchkeeper limit", daemon=True
            )
            self._pipe = ours
            self._process.start()
            theirs.close()
            if ours.poll(START_S) and ours.recv_bytes() == READY:
                return ours
            why = f"its process was not ready in {START_S:g} s"
        except (EOFError, OSError, RuntimeError, pickle.PicklingError) as error:
            why = (
                f'its process could not be started ({error or "it ended"}); has the script an `if __name__ == "__main__"`?'
            )
        self._kill()
        raise NotThereError(why)

    def _stack(self) -> str:
        """The stacks of the process's threads, also while C code holds the interpreter."""
        assert self._process is not None and self._process.pid is not None
        place = Path(self._stacks)
        with contextlib.suppress(OSError):
            os.kill(self._process.pid, DUMP_SIGNAL)
            deadline, size = time.monotonic() + DUMP_S, -1
            while time.monotonic() < deadline:
                before, size = size, place.stat().st_size
                if size and size == before:
                    break
                time.sleep(0.02)
            return place.read_text(errors="replace")
        return ""

    def _kill(self) -> int | None:
        """Kill the process and its children; its exit code."""
        process, self._process = self._process, None
        code = None
        if process is not None and process.pid is not None:
            for kill in (os.killpg, os.kill):  # the group is there once the process has come so far
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(process.pid, signal.SIGKILL)
            process.join(5)
            code = process.exitcode
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._stacks:
            with contextlib.suppress(OSError):
                Path(self._stacks).unlink()
            self._stacks = ""
        return code


def _serve(pipe: Connection, stacks: str, path: list[str]) -> None:
    """The process: make calls until the other end is gone."""
    import faulthandler
    import multiprocessing

    os.setsid()
    sys.path[:] = path
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]  # it may have children
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which ends this
    threading.Thread(target=_end_with_parent, name="watchkeeper parent", daemon=True).start()
    with open(stacks, "w") as file:
        faulthandler.register(DUMP_SIGNAL, file=file, all_threads=True, chain=False)
        pipe.send_bytes(READY)
        while True:
            try:
                fn, args, kwargs = pickle.loads(pipe.recv_bytes())
            except EOFError:
                return
            except Exception as error:
                pipe.send_bytes(_packed(False, error))
                continue
            pipe.send_bytes(BEGINS)
            try:
                answer = _packed(True, getattr(fn, INNER, fn)(*args, **kwargs))
            except BaseException as error:
                error.add_note("".join(traceback.format_exception(error)))
                answer = _packed(False, error)
            pipe.send_bytes(answer)


def _end_with_parent() -> None:
    """Die, with all children, when the program that this process works for is gone."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.killpg(0, signal.SIGKILL)


def _packed(ok: bool, value: object) -> bytes:
    try:
        packed = pickle.dumps((ok, value))
        pickle.loads(packed)
        return packed
    except Exception as error:
        what = f"{type(value).__name__}: {value}" if not ok else f"a result that cannot be sent back: {error}"
        return pickle.dumps((False, RuntimeError(what)))
