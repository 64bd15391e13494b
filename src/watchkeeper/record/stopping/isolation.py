"""A process for work that nothing in Python can break into. It is started by the first call, kept
for the next ones, and killed with its children when a call is overdue.

A call and its result travel pickled. The program's main module is imported there only for a call
that names something of it, and only where it has its `if __name__ == "__main__":`, as
multiprocessing's "spawn" does; else the program would run again. Where no Python can be started
(`interpreter`), nothing is isolated.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from watchkeeper.core.disk import files
from watchkeeper.record.stopping import interpreter
from watchkeeper.record.stopping.stacks import DUMP_SIGNAL

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

START_S = 120.0  # for the process to import what it needs
DUMP_S = 1.0  # for a stack
READY, BEGINS, CANNOT = b"ready", b"begins", b"cannot: "  # what the process says, that is no answer
_CODE = (
    "import sys; sys.path[:] = sys.argv[2:]; from watchkeeper.record.stopping.isolation import "
    "serve; serve(int(sys.argv[1]))"
)
# of a decorated function: it is pickled by its name, which is the limited one's
INNER = "_watchkeeper_inner"


class NotThereError(Exception):
    """The call cannot be made in another process; nothing of it was done."""


class OverdueError(Exception):
    """The call did not end in time, and its process was killed. `stack` is where it was; "" where
    it did not say.
    """

    def __init__(self, stack: str) -> None:
        super().__init__("the call did not end in time")
        self.stack = stack


class DiedError(Exception):
    """The process died in the middle of the call."""


class Main(NamedTuple):
    """The program's main module, by its name (`python -m`) or its path; both "" where nothing of it
    is needed.
    """

    name: str = ""
    path: str = ""


class Worker:
    """The process, from the first call to `close`. Calls from several threads are made one after
    the other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._stacks = ""

    def call(self, fn: Callable[..., Any], args: Any, kwargs: Any, seconds: float | None) -> Any:
        """Make the call there; its time begins when the process has imported what it needs.
        `seconds` None: any time.

        Raises:
            NotThereError: it could not be handed over. OverdueError, DiedError: see there.
            Exception: what `fn` raised.
        """
        try:
            request = pickle.dumps((fn, args, kwargs))
        except Exception as error:
            raise NotThereError(f"it cannot be sent to another process: {error}") from error
        main = main_for(request)
        with self._lock:
            pipe = self._ready()
            try:
                pipe.send_bytes(pickle.dumps(main))
                pipe.send_bytes(request)
                for patience in (
                    START_S,
                    seconds,
                ):  # for the word that it begins, or an error; for the answer
                    if not pipe.poll(patience):
                        raise OverdueError(self._stack())
                    answer = pipe.recv_bytes()
                    if answer != BEGINS:
                        break
            except (EOFError, OSError) as error:
                code = self._kill()
                if code is not None and code < 0:
                    name = signal.Signals(-code).name
                else:
                    name = f"code {code}"
                raise DiedError(f"its process ended by {name}") from error
            except (
                BaseException
            ):  # an interrupt: what the process still answers is not for the next call
                self._kill()
                raise
        if answer.startswith(CANNOT):
            raise NotThereError(
                f"its process cannot make the call: {answer.removeprefix(CANNOT).decode()}"
            )
        ok, value = pickle.loads(answer)
        if ok:
            return value
        raise value

    def close(self) -> None:
        """End the process and what it started."""
        if self._lock.acquire(
            blocking=False
        ):  # else another thread is in a call, and it ends with this process
            try:
                self._kill()
            finally:
                self._lock.release()

    def after_fork(self) -> None:
        """In the child: the process is the parent's."""
        if self._process is not None:
            self._process.returncode = 0  # not to be waited for here

    def _ready(self) -> Connection:
        if self._pipe is not None and self._process is not None and self._process.poll() is None:
            return self._pipe
        self._kill()
        python, why = interpreter.find()
        if not python:
            raise NotThereError(why)
        try:
            pipe = self._start(python)
            if pipe.poll(START_S) and pipe.recv_bytes() == READY:
                return pipe
            why = f"its process was not ready in {START_S:g} s"
        except (EOFError, OSError, subprocess.SubprocessError) as error:
            why = f"its process could not be started ({error or 'it ended'})"
        self._kill()
        raise NotThereError(why)

    def _start(self, python: str) -> Connection:
        import multiprocessing  # this gives the main module the name by which the process knows it
        import socket
        from multiprocessing.connection import Connection

        pair = [files.above_stdio(end.detach()) for end in socket.socketpair()]
        self._pipe = Connection(pair[0])
        try:
            handle, self._stacks = tempfile.mkstemp(prefix="watchkeeper-stacks-")
            os.close(handle)
            command = [
                python,
                *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]
                "-P",
                "-c",
                _CODE,
                str(pair[1]),
            ]
            self._process = subprocess.Popen(
                [*command, *sys.path],
                stdin=subprocess.DEVNULL,
                pass_fds=[pair[1]],
                start_new_session=True,
            )
        finally:
            os.close(pair[1])
        method = multiprocessing.get_start_method(allow_none=True)
        self._pipe.send_bytes(pickle.dumps((self._stacks, os.getpid(), sys.argv, method)))
        return self._pipe

    def _stack(self) -> str:
        """The stacks of the process's threads, also while C code holds the interpreter."""
        assert self._process is not None
        place = Path(self._stacks)
        with contextlib.suppress(OSError):
            os.kill(self._process.pid, DUMP_SIGNAL)
            deadline, size = time.monotonic() + DUMP_S, -1
            while time.monotonic() < deadline:
                before, size = size, place.stat().st_size
                if size and size == before:
                    break
                time.sleep(0.02)
            return files.read_whole(place).decode(errors="replace")
        return ""

    def _kill(self) -> int | None:
        """Kill the process and its children; its exit code."""
        process, self._process = self._process, None
        code = None
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(5)
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._stacks:
            with contextlib.suppress(OSError):
                Path(self._stacks).unlink()
            self._stacks = ""
        return code


def main_for(request: bytes) -> Main:
    """What of the program's main module has to be imported for this call.

    Raises:
        NotThereError: it names something of a main module that cannot be imported without the
            program being run again.
    """
    if b"__main__" not in request:
        return Main()
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if not path:
        raise NotThereError("it is part of a program that is in no file")
    name = getattr(getattr(main, "__spec__", None), "name", "")
    try:
        source = files.read_whole(path)
    except OSError as error:
        raise NotThereError(f"{path} cannot be read: {error.strerror}") from None
    if name == "__main__" or name.endswith(".__main__"):
        raise NotThereError(f"it is part of {path}, which runs when it is imported")
    if not is_guarded(source):
        raise NotThereError(
            f'{path} would run again: it has no `if __name__ == "__main__":` at its end'
        )
    return Main(name=name, path=str(Path(path).absolute()))


def is_guarded(source: bytes) -> bool:
    """Whether a script keeps what it does behind `if __name__ == "__main__":`. Pure."""
    import ast

    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for statement in statements:
        if isinstance(statement, ast.If):
            parts = list(ast.walk(statement.test))
            names = {node.id for node in parts if isinstance(node, ast.Name)}
            values = {node.value for node in parts if isinstance(node, ast.Constant)}
            if "__name__" in names and "__main__" in values:
                return True
    return False


def serve(fd: int) -> None:
    """The process: make calls until the other end is gone."""
    import faulthandler
    import multiprocessing
    from multiprocessing.connection import Connection

    pipe = Connection(fd)
    os.set_inheritable(fd, False)
    stacks, parent, sys.argv[:], method = pickle.loads(pipe.recv_bytes())
    if method is not None:
        multiprocessing.set_start_method(method, force=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which ends this
    threading.Thread(
        target=_end_with_parent, args=(parent,), name="watchkeeper parent", daemon=True
    ).start()
    with os.fdopen(files.open_to_write(stacks, os.O_WRONLY), "w") as file:
        faulthandler.register(DUMP_SIGNAL, file=file, all_threads=True, chain=False)
        pipe.send_bytes(READY)
        loaded = False
        while True:
            try:
                main, request = pickle.loads(pipe.recv_bytes()), pipe.recv_bytes()
            except EOFError:
                return
            try:
                loaded = loaded or _load(main)
                fn, args, kwargs = pickle.loads(request)
            except BaseException as error:
                pipe.send_bytes(
                    CANNOT + f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace")
                )
                continue
            pipe.send_bytes(BEGINS)
            try:
                answer = _packed(True, getattr(fn, INNER, fn)(*args, **kwargs))
            except BaseException as error:
                error.add_note("".join(traceback.format_exception(error)))
                answer = _packed(False, error)
            pipe.send_bytes(answer)


def is_loading() -> bool:
    """Whether this process imports the program's main module only for the sake of a call."""
    return bool(_loading)


_loading: list[Main] = []


def _load(main: Main) -> bool:
    """Import the program's main module, as multiprocessing's "spawn" does; whether that was asked
    for.
    """
    from multiprocessing import spawn

    _loading.append(main)
    try:
        if main.name:
            spawn._fixup_main_from_name(main.name)  # type: ignore[attr-defined]
        elif main.path:
            spawn._fixup_main_from_path(main.path)  # type: ignore[attr-defined]
    finally:
        _loading.clear()
    return bool(main.path)


def _end_with_parent(parent: int) -> None:
    """Die, with all children, when the program that this process works for is gone."""
    with contextlib.suppress(OSError, AttributeError):
        select.select([os.pidfd_open(parent)], [], [])
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)


def _packed(ok: bool, value: object) -> bytes:
    try:
        packed = pickle.dumps((ok, value))
        pickle.loads(packed)
        return packed
    except Exception as error:
        if not ok:
            what = f"{type(value).__name__}: {value}"
        else:
            what = f"a result that cannot be sent back: {error}"
        return pickle.dumps((False, RuntimeError(what)))
