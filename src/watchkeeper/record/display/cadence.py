"""Two tiers of looking at a training: a fast one often, a full one, which generates and validates,
now and then.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from watchkeeper.record.writing.logged import no_step
from watchkeeper.runfolder.values import number, text, tree, whole_step

Tier = Literal["full", "fast"]

MAX_SHARE = 0.5  # of the time, that the full tier may take before a warning comes
ENOUGH_S = 1.0  # spent in the full tier, below which there is nothing to warn of
_ROUND = (1, 2, 5)


class _Due:
    """One tier: due every so many completed training steps, every so many seconds, or at either."""

    def __init__(self, every: int, every_s: float, now: float) -> None:
        self.every = every
        self.every_s = every_s
        self.last = now
        self._step = 0
        self._answer = False

    def at(self, step: int, now: float) -> bool:
        """The same question twice gets the same answer."""
        if step != self._step:
            self._step = step
            by_time = self.every_s > 0 and now - self.last >= self.every_s
            self._answer = by_time or (self.every > 0 and step % self.every == 0)
            if self._answer:
                self.last = now
        return self._answer


class Cadence:
    """When the two tiers are due. Training steps count from 1: step 0, and what is no step, is
    never due.
    """

    def __init__(
        self,
        *,
        log_every: int | None = None,
        eval_every: int | None = None,
        log_every_s: float | None = None,
        eval_every_s: float | None = None,
        max_share: float | None = MAX_SHARE,
        warn: Callable[[str, str], None] = lambda about, message: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """A tier is due at the training steps that `…_every` divides, and when `…_every_s` seconds
        have passed since it was last due; None and 0: never by that. `max_share` of the time spent
        in the full tier brings one warning; None and 0: none.
        """
        now = monotonic()
        self._warn = warn
        self._fast = _Due(
            self._steps("log_every", log_every), self._seconds("log_every_s", log_every_s), now
        )
        self._full = _Due(
            self._steps("eval_every", eval_every), self._seconds("eval_every_s", eval_every_s), now
        )
        self._max_share = self._seconds("max_share", max_share)
        self._monotonic = monotonic
        self._began = self._since = now
        self.step: int | None = None
        """The training step last asked about; None before the first."""
        self._was_full = False
        self._plain_s = 0.0
        self._plain_steps = 0
        self.full_s = 0.0
        """Seconds that the full tier took so far, beyond what a training step takes."""
        self.full_count = 0
        """How many full tiers were measured."""

    @property
    def settings(self) -> dict[str, Any]:
        """What is due when, as the journal holds it; 0 is never."""
        return {
            "log_every": self._fast.every,
            "eval_every": self._full.every,
            "log_every_s": self._fast.every_s,
            "eval_every_s": self._full.every_s,
        }

    def log_due(self, step: object) -> bool:
        """Whether the fast tier is due after this completed training step."""
        return self._ask(self._fast, step)

    def eval_due(self, step: object) -> bool:
        """Whether the full tier is due after this completed training step; it stands in for that
        step's fast one.
        """
        return self._ask(self._full, step)

    def due(self, step: object) -> Tier | None:
        """The tier to show after this step: the full one replaces the fast one."""
        if self.eval_due(step):
            return "full"
        if self.log_due(step):
            return "fast"
        return None

    @property
    def full_share(self) -> float:
        """The part of the time so far, from 0 to 1, that the full tier took."""
        return self.full_s / passed if (passed := self._since - self._began) > 0 else 0.0

    def _ask(self, tier: _Due, step: object) -> bool:
        count = step if type(step) is int else whole_step(step)
        if count is None and step is not None:
            self._warn(
                "cadence step", no_step("cadence", step, "no tier is due there", "whole number")
            )
        if count is None or count <= 0:
            return False
        now = self._monotonic()
        if count != self.step:
            self._measure(count, now)
        due = tier.at(count, now)
        if due and tier is self._full:
            self._was_full = True
            self._fast.last = now
        return due

    def _measure(self, step: int, now: float) -> None:
        """A new step begins: from the first question about the last one until now is what that one
        took.
        """
        took = now - self._since
        if self.step is None:
            self._began = now
        elif not self._was_full:
            self._plain_s += took
            self._plain_steps += 1
        elif self._plain_steps:
            self.full_s += max(0.0, took - self._plain_s / self._plain_steps)
            self.full_count += 1
        was_full, self._was_full = self._was_full, False
        self._since, self.step = now, step
        if (
            was_full
            and self.full_count >= 2
            and self.full_s >= ENOUGH_S
            and 0 < self._max_share < self.full_share
        ):
            self._warn("full tier", self._words())

    def _words(self) -> str:
        each, plain = self.full_s / self.full_count, self._plain_s / self._plain_steps
        words = f"the full tier takes {100 * self.full_share:.0f} % of the time: {each:.2g} s each"
        if not self._full.every or plain <= 0:
            return words
        wanted = enough(each, plain, self._max_share)
        share = each / (each + wanted * plain)
        return (
            f"{words}, every {self._full.every:,} training steps of {plain:.2g} s; "
            f"eval_every={wanted} would make it {100 * share:.0f} %"
        )

    def _steps(self, name: str, value: object) -> int:
        if value is None:
            return 0
        count = _count(value)
        if count is None or count < 0:
            self._warn(
                name,
                (
                    f"{name}={text(value)} is no number of training steps; that tier is never "
                    "due by steps"
                ),
            )
        return max(0, count or 0)

    def _seconds(self, name: str, value: object) -> float:
        if value is None:
            return 0.0
        figure = number(value)
        if not isinstance(figure, int | float) or figure < 0:
            self._warn(
                name, f"{name}={text(value)} is no number that can be waited for; it is left out"
            )
            return 0.0
        return float(figure)


def enough(each_s: float, step_s: float, share: float) -> int:
    """The least round number of training steps (1, 2, 5, 10 …) between full tiers that keeps them
    to this share.
    """
    wanted = each_s * (1 - share) / (share * step_s)
    power = 1
    while True:
        for digit in _ROUND:
            if digit * power >= wanted:
                return digit * power
        power *= 10


def _count(value: object) -> int | None:
    """A whole number of whatever library; None if it is none."""
    figure = number(value)
    if isinstance(figure, float):
        if math.isfinite(figure) and figure.is_integer():
            return int(figure)
        return None
    if isinstance(figure, int):
        return figure
    return None


def fingerprint(items: Iterable[object]) -> tuple[str, int]:
    """The sha256 over a validation set's items in their order, and how many there are. Arrays and
    tensors count by their shape, type and bytes, other things by their JSON.
    """
    whole = hashlib.sha256()
    count = 0
    for item in items:
        whole.update(hashlib.sha256(_bytes(item)).digest())
        count += 1
    return whole.hexdigest(), count


def _bytes(item: object) -> bytes:
    if isinstance(item, bytes | bytearray | memoryview):
        return bytes(item)
    if isinstance(item, list | tuple):
        return b"".join(hashlib.sha256(_bytes(inner)).digest() for inner in item)
    if isinstance(item, dict):
        return b"".join(
            hashlib.sha256(_bytes([str(name), inner])).digest() for name, inner in item.items()
        )
    foreign: Any = item
    if hasattr(item, "detach"):
        array = foreign.detach().cpu().numpy()
    else:
        array = foreign
    if hasattr(array, "tobytes") and hasattr(array, "shape"):
        return f"{getattr(array, 'dtype', '')}{tuple(array.shape)}".encode() + bytes(
            array.tobytes()
        )
    return msgspec.json.encode(tree(item))
