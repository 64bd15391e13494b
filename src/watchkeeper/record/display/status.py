"""`status/training_status.json`: where a training stands, for people with `jq` and for programs. A
live view: replaced whole, at most every few seconds, without fsync, and once more at the end.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.events import Number
from watchkeeper.core.journal import Clock, encode_json
from watchkeeper.record.display.code import Code
from watchkeeper.record.display.examples import Example, gap_of
from watchkeeper.record.writing.homes import Homes
from watchkeeper.runfolder.losses import TRAIN_LOSS, VAL_LOSS, loss_of
from watchkeeper.runfolder.values import number, text, training_step

FILE = Path("status/training_status.json")
WRITE_S = 2.0  # between two writes
SHARE = 0.01  # of the time, that writing may take: a slow filesystem is written to less often
CODE_S = 60.0  # between two looks at the code's files
RECENT = 5  # examples that the file holds
TEXT_LIMIT = 2_000  # characters of a text in it
STEP_LIMIT = 2**53  # beyond it a float is no count
FORM = frozenset(
    {"run_id", "pipeline", "state", "updated", "step", "steps_per_s", "eta_s", "recent_examples"}
)  # of ours
RATE_POINTS = 30  # points of time that the rate is taken over: a minute, at WRITE_S


class Status:
    """What is known of a training, and the file that says so."""

    def __init__(
        self,
        path: Path | None,
        *,
        run_id: str,
        pipeline: str,
        clock: Clock,
        warn: Callable[[str, str], None],
        monotonic: Callable[[], float] = time.monotonic,
        homes: Homes | None = None,
    ) -> None:
        """Without a path another process writes it (rank 0). `homes` knows where the files of the
        run's folder lie.
        """
        self.path = path
        self._homes = homes or Homes(path.parent if path is not None else Path())
        self._written = b""
        self.total: int | None = None
        """Training steps planned; None where nobody said."""
        self.timeouts = 0
        """Limited calls that did not end in time so far."""
        self.validation: dict[str, Any] | None = None
        self.full_share: Callable[[], float] | None = None
        self._head = {"run_id": run_id, "pipeline": pipeline}
        self._state = "running"
        self._clock, self._warn, self._monotonic = clock, warn, monotonic
        self.step: int | float | None = None
        """The last training step reported; None before the first."""
        self._loss_name = ""
        self._loss: Any = None
        self._loss_step: Any = None
        self._val_loss: Any = None
        self._val_step: int | float | None = None
        self.gap: Number | None = None
        """The last validation loss less `gap_loss`."""
        self.gap_loss: Number | None = None
        """The training loss that it was compared with."""
        self._output: str | None = None
        self._recent: deque[Example] = deque(maxlen=RECENT)
        self._points: deque[tuple[float, float]] = deque(maxlen=RATE_POINTS)
        self._due = self._code_due = monotonic()
        self._code: Code | None = None
        self._owner = os.getpid()
        self._lock = threading.Lock()

    def saw(self, step: object, metrics: dict[str, Any]) -> None:
        """A row was logged. Raises nothing."""
        try:
            loss, val_loss = self._train_loss(metrics), loss_of(metrics, VAL_LOSS)
            if step is None and loss is None and val_loss is None:
                return
            at = training_step(step)
            if at is not None:
                self.step = at
            if loss is not None:
                self._loss, self._loss_step = number(loss), self.step
            if val_loss is not None:
                self._compare(val_loss)
            self.write()
        except Exception as error:
            self._warn("status", f"the training status could not be written: {error}")

    def show(self, example: Example) -> None:
        """An example was given. Raises nothing."""
        try:
            if example.step is not None:
                self.step = example.step
            if example.loss is not None and (self._loss is None or self._loss_step != example.step):
                self._loss, self._loss_step = example.loss, example.step
            if example.val_loss is not None:
                self._compare(example.val_loss)
            if example.tier == "full":
                self._output = example.output
            self._recent.append(example)
            self.write()
        except Exception as error:
            self._warn("status", f"the training status could not be written: {error}")

    def close(self, state: str) -> None:
        """Say how the run ended, and write for the last time."""
        self._state = state
        self.write(now=True)

    def write(self, *, now: bool = False) -> None:
        """Replace the file, if it is time to.

        Raises:
            StorageError: it could not be written.
        """
        began = self._monotonic()
        if (
            self.path is None
            or (began < self._due and not now)
            or os.getpid() != self._owner
            or not self._lock.acquire(blocking=now)
        ):
            return
        try:
            self._due = began + WRITE_S
            self._look_at_code(began)
            self._put(encode_json(self.fields(began)))
            took = self._monotonic() - began
            self._due = began + max(WRITE_S, took / SHARE)
        finally:
            self._lock.release()

    def _put(self, data: bytes) -> None:
        assert self.path is not None
        self._homes.put(self._homes.shown(self.path), data, self._is_ours)
        self._written = data

    def _is_ours(self, path: Path) -> bool:
        """Whether this is what we wrote last, or the status of an earlier run: in the run's folder
        of one that was recorded there, elsewhere of any, since runs of several folders share such a
        place one after the other.
        """
        try:
            data = read_whole(path)
            if data == self._written:
                held = None
            else:
                held = msgspec.json.decode(data)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        if held is None:
            return True
        if not isinstance(held, dict) or not held.keys() >= FORM:
            return False
        if not path.is_relative_to(self._homes.folder):
            return True
        return held["run_id"] in {run for _, run in self._homes.runs()}

    def fields(self, now: float) -> dict[str, Any]:
        """What the file says. `gap` is the last validation loss less `gap_loss`, the training loss
        then; null is "nobody said".
        """
        rate = self._rate(now)
        left = None
        if rate and self.total is not None and isinstance(self.step, int | float):
            left = round(max(0.0, (self.total - self.step) / rate), 1)
        code = self._code
        return {
            **self._head,
            "state": self._state,
            "updated": self._clock(),
            "step": self.step,
            "total": self.total,
            "loss": self._loss,
            "val_loss": self._val_loss,
            "val_step": self._val_step,
            "gap": self.gap,
            "gap_loss": self.gap_loss,
            "steps_per_s": None if rate is None else round(rate, 4),
            "eta_s": left,
            "model_output": _bounded(self._output),
            "recent_examples": [_entry(example) for example in self._recent],
            "timeouts": self.timeouts,
            "validation_set": self.validation,
            "full_tier_share": None if self.full_share is None else round(self.full_share(), 4),
            "code": {"sha256": code.sha256, "changed": list(code.changed)} if code else None,
        }

    def _train_loss(self, metrics: Mapping[str, Any]) -> Any:
        """The training loss of a row; None if it has none. The name that the run used first counts:
        at its end the Trainer of transformers logs `train_loss`, a mean of the whole run, beside
        the `loss` of each step.
        """
        if not self._loss_name:
            names = (name for name in TRAIN_LOSS if metrics.get(name) is not None)
            self._loss_name = next(names, "")
        return metrics.get(self._loss_name)

    def _compare(self, val_loss: object) -> None:
        self._val_loss, self._val_step = (
            (val_loss if isinstance(val_loss, str) else number(val_loss)),
            self.step,
        )
        gap = gap_of(self._loss, val_loss)
        self.gap, self.gap_loss = (None, None) if gap is None else (number(gap), self._loss)

    def _rate(self, now: float) -> float | None:
        """Training steps a second over the last minute or so; None before there are two points."""
        if not isinstance(self.step, int | float) or not abs(self.step) < STEP_LIMIT:
            return None
        if self._points and self.step < self._points[-1][0]:
            self._points.clear()  # it went back to an earlier step
        self._points.append((float(self.step), now))
        (first, began), (last, ended) = self._points[0], self._points[-1]
        if ended > began and last > first:
            return (last - first) / (ended - began)
        return None

    def _look_at_code(self, now: float) -> None:
        if now < self._code_due:
            return
        self._code_due = now + CODE_S
        if self._code is None:
            self._code = Code()
        elif changed := self._code.look():
            names = ", ".join(changed)
            self._warn(
                "code",
                (
                    f"{names} changed on disk since this process loaded it; the older code "
                    "keeps running"
                ),
            )


def _bounded(words: str | None) -> str | None:
    if words is None:
        return None
    return text(words, TEXT_LIMIT)


def _entry(example: Example) -> dict[str, Any]:
    return {
        "step": example.step,
        "tier": example.tier,
        "prompt": _bounded(example.prompt),
        "golden": _bounded(example.golden),
        "model_output": _bounded(example.output),
        "loss": example.loss,
        "match": example.match,
        "thinking": example.thinking,
    }
