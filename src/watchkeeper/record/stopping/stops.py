"""Stopping a run where it was asked to: by a signal, by the program, by the scheduler's warning."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NoReturn, TypeVar

from watchkeeper.core.events import Interrupted as InterruptedEvent
from watchkeeper.record.recorder import Recorder
from watchkeeper.record.stopping.interrupts import Interrupts
from watchkeeper.runfolder.values import text

Hook = TypeVar("Hook", bound=Callable[[], object])


class Stops:
    """The requests to stop one run, and where it may stop."""

    def __init__(self, recorder: Recorder) -> None:
        options = recorder.options
        self.interrupts = Interrupts(
            self._on_signal, warning=options.warning_signal, exit_code=options.exit_code
        )
        self._recorder = recorder
        self._hooks: list[Callable[[], object]] = []
        self._looks_itself = False

    def listen(self) -> None:
        """Take over the signals, and log which of them do not ask this run to stop."""
        self.interrupts.install()
        for name, why in self.interrupts.not_handled.items():
            self._recorder.say(logging.INFO, "%s does not ask this run to stop: %s", name, why)

    def are_requested(self) -> bool:
        """Whether somebody asked the run to stop. Whoever looks here stops by itself."""
        self._looks_itself = self.interrupts.listening = True
        pending = self.interrupts.pending
        self.interrupts.heard |= pending
        return pending

    def add_hook(self, hook: Hook) -> Hook:
        """Call this once when the run stops."""
        self._hooks.append(hook)
        return hook

    def request(self, why: str) -> None:
        """Ask the run to stop as a signal does; from any thread."""
        interrupts = self.interrupts
        if not interrupts.asked:
            interrupts.ask(text(why))
            self._recorder.write(InterruptedEvent, why=text(why), listening=interrupts.listening)
            self._recorder.say(logging.WARNING, "Asked to stop: %s", text(why))

    def stop_if_requested(self) -> None:
        """Stop here if somebody asked for it.

        Raises:
            Interrupted: somebody did.
        """
        self.interrupts.listening = True
        if self.interrupts.pending:
            self._stop()

    def safe_point(self) -> None:
        """Stop here if somebody asked for it, unless the program's loops look for themselves, or a
        handler of the program takes the signal.
        """
        interrupts = self.interrupts
        if not interrupts.asked or not interrupts.pending:
            return
        if not self._looks_itself and not interrupts.theirs:
            self._stop()

    def run_hooks(self) -> None:
        """Call the hooks that have not been called yet. A stop that is forced upon a program that
        had been asked calls none.
        """
        hooks, self._hooks = self._hooks, []
        if self.interrupts.stops >= 2 or not self._recorder.is_starter:
            return
        for hook in hooks:
            name = getattr(hook, "__name__", "a hook")
            with self._recorder.harmless(f"{name} failed at the interrupt"):
                hook()

    def _stop(self) -> NoReturn:
        self.run_hooks()
        raise self.interrupts.breaks(self.interrupts.error())

    def _on_signal(self, name: str, forced: bool) -> None:
        """In a signal handler."""
        interrupts = self.interrupts
        self._recorder.write(
            InterruptedEvent, signal=name, forced=forced, listening=interrupts.listening
        )
        if interrupts.theirs:
            answer = "the program's own handler takes it"
        elif forced:
            answer = "stopping at once"
        else:
            answer = "the run stops when it has finished what it is at; once more forces it"
        self._recorder.log.tell(logging.WARNING, "%s: %s", name, answer)
