"""In the job: the sidecar is started, and gets word when the run ends."""

from __future__ import annotations

import contextlib
import os
import subprocess

import msgspec

from watchkeeper.core.disk import files
from watchkeeper.record.sidecar.spec import Spec
from watchkeeper.record.stopping import interpreter, stacks

DELAY_S = 5  # a run that ends sooner, and says so, has no sidecar
DELAY_VARIABLE = "WATCHKEEPER_SIDECAR_DELAY_S"
ENDED = b"e"
# -S and -P: no sitecustomize, and nothing of the folder it starts in. Only what is named here is on
# its path.
_FLAGS = ("-S", "-s", "-P", "-c")
_CODE = (
    "import sys; sys.path += sys.argv[2:]; from watchkeeper.record.sidecar.__main__ import "
    "main; main()"
)
# The shell waits for the first word; only a run that continues, or died without one, costs a
# process. It leaves at once, so that the sidecar is no child of the job: `os.wait` there does not
# meet it.
_START = (
    'exec 3<&0 </dev/null; (case "$(timeout "$0" head -c 1 <&3)" in e) ;; *) exec "$@" <&3 '
    "3<&- ;; esac) &"
)


class NoPythonError(Exception):
    """No Python can be started without the program being started again."""


class Sidecar:
    """The job's hold on it. Nothing here raises but `start`."""

    def __init__(self) -> None:
        self._end = -1
        self._listens = False
        self.silent = ""
        """Why this process's stacks cannot be had; "" where they can."""

    def start(self, spec: Spec) -> None:
        """Start it.

        Raises:
            NoPythonError: there is no Python that may be started. OSError,
                subprocess.SubprocessError: it could not be started.
        """
        python, why = interpreter.find()
        if not python:
            raise NoPythonError(why)
        if spec.work == spec.recorder:
            self.listen(spec.dump_signal)
        theirs, end = os.pipe()
        try:
            self._end = files.above_stdio(end)
            os.set_blocking(self._end, False)
            command = [
                python,
                *_FLAGS,
                _CODE,
                msgspec.json.encode(spec).decode(),
                *interpreter.places(),
            ]
            environ = interpreter.environment()
            # For the shell's own words.
            environ["PATH"] = f"/usr/bin:/bin:{environ.get('PATH', '')}".removesuffix(":")
            subprocess.run(
                ["/bin/sh", "-c", _START, os.environ.get(DELAY_VARIABLE) or str(DELAY_S), *command],
                stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
                timeout=10, start_new_session=True, cwd="/", env=environ,
            )  # fmt: skip
        except BaseException:
            self.after_fork()
            raise
        finally:
            os.close(theirs)

    def listen(self, number: int) -> None:
        """Let this process's stacks be had by that signal."""
        self.silent = stacks.listen(number)
        self._listens = not self.silent

    def close(self) -> None:
        """The run has ended, and said so."""
        if self._listens:
            self._listens = False
            stacks.forget()
        if self._end >= 0:
            with contextlib.suppress(OSError):
                os.write(self._end, ENDED)
            self.after_fork()

    def after_fork(self) -> None:
        """In the child: the sidecar is the parent's, whose death it is to see."""
        if self._end >= 0:
            with contextlib.suppress(OSError):
                os.close(self._end)
            self._end = -1
