"""What a run shows of itself while it goes: tables, progress, cadence, examples and the status
file.

A part of `Run`, apart from it so that each can be read alone.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from watchkeeper.core import layout
from watchkeeper.core.disk.spill import SpillingFile
from watchkeeper.core.errors import StorageError
from watchkeeper.core.events import CadenceSet, Number, Progressed, TableOpened, TableSealed
from watchkeeper.core.ids import writer_id
from watchkeeper.core.journal import Clock
from watchkeeper.record.display.cadence import MAX_SHARE, Cadence, fingerprint
from watchkeeper.record.display.examples import Example, block, example_of, is_utf8
from watchkeeper.record.display.progress import Book, Progress
from watchkeeper.record.display.status import FILE, Status
from watchkeeper.record.ranks import Rank, agreed
from watchkeeper.record.stopping.interrupts import Interrupts
from watchkeeper.record.writing.cells import FORMATS
from watchkeeper.record.writing.homes import Homes
from watchkeeper.record.writing.leftout import LeftOut
from watchkeeper.record.writing.logged import no_step
from watchkeeper.record.writing.tables import Table
from watchkeeper.runfolder.losses import VAL_LOSS, loss_of
from watchkeeper.runfolder.values import number, training_step

T = TypeVar("T")
_encoder = msgspec.json.Encoder()


class Watching:
    """The part of a run that others look at. `Run` calls `_watch_begins`, `_saw` after each row,
    and `_watch_ends`.
    """

    run_id: str
    folder: Path
    _records: bool
    _rank: Rank | None
    _pipeline: str
    _clock: Clock
    _warn: Callable[[str, str], None]
    _write: Callable[..., Any]
    _harmless: Callable[[str], AbstractContextManager[None]]
    _interrupts: Interrupts
    _homes: Homes
    _safe_point: Callable[[], None]
    _left_out: LeftOut
    _over: bool
    _refuses: Callable[[str], bool]

    def _watch_begins(self) -> None:
        self._tables: list[Table] = []
        self._book = Book(
            self._progressed, warn=self._warn, may_stop=self._may_stop, shows=self._records
        )
        self._status: Status | None = None
        self._cadence: Cadence | None = None
        self._examples: SpillingFile | None = None
        self._held: Example | None = None  # a full block that waits for its validation loss
        self._showing = threading.RLock()
        self._shown_s = 0.0  # that examples and the status took

    # ── for the user
    # ────────────────────────────────────────────────────────────────────────────────────────────────

    def table(
        self, name: str, key: str | Sequence[str] | None = None, format: str = "csv"
    ) -> Table:
        """A result table of this run; use it in a `with`, which seals it: `<name>_partial.csv`
        becomes `<name>.csv`.

        With `key`, the columns that tell one configuration from another, the rows of an earlier
        execution in the same folder are taken over, and `configuration in table` says what was
        measured. `format` is `csv` or `jsonl`.
        """
        if format not in FORMATS:
            self._warn(
                f"format {format}",
                f"table {name}: no format {format!r}, only csv and jsonl; it is written as csv",
            )
        table = Table(
            self.folder,
            name,
            key=key,
            form=FORMATS.get(format, FORMATS["csv"]),
            clock=self._clock,
            seal=lambda **fields: self._write(TableSealed, **fields),
            warn=self._warn,
            cut_short=lambda: self._interrupts.asked and self._interrupts.heard,
            records=self._records and not self._over,
            agree=self._agree_on_rows(name),
            homes=self._homes,
            opened=lambda **fields: self._write(TableOpened, **fields),
            refuses=self._refuses,
            left_out=self._left_out.add,
        )
        self._tables.append(table)
        return table

    def track(
        self,
        iterable: Iterable[T] | None = None,
        desc: str = "",
        *,
        unit: str = "it",
        total: float | None = None,
        leave: bool | None = None,
        initial: float = 0,
        disable: bool | None = False,
        **bar: Any,
    ) -> Progress[T]:
        """A loop whose progress is shown: a bar on a terminal (with tqdm), a line every half minute
        elsewhere, and an event a minute. Without an iterable call `update(n)`, and `close()` or use
        it in a `with`. It has tqdm's methods (`set_postfix`, `set_description`, `reset` …); what
        else tqdm takes is handed to the bar.

        `total` is how many items there are; None: as the iterable says. `leave` keeps a finished
        bar or its last line; None: of an outermost loop. Where the run was asked to stop, the loop
        stops before its next item; an inner loop does so only while no table is open, so that a row
        is finished first.
        """
        return Progress(
            self._book,
            iterable,
            desc,
            unit=unit,
            total=total,
            leave=leave,
            initial=initial,
            disable=disable,
            **bar,
        )

    def cadence(
        self,
        log_every: int | None = None,
        eval_every: int | None = None,
        *,
        log_every_s: float | None = None,
        eval_every_s: float | None = None,
        total: int | None = None,
        validation: Iterable[object] | None = None,
        max_share: float | None = MAX_SHARE,
        status: str | Path | None = None,
    ) -> Cadence:
        """When to look: a fast tier and a full one, by training steps, by seconds, or by either;
        None and 0: never.

        `total` is the training steps planned, `validation` the fixed set that `val_loss` is
        computed over (its fingerprint is written down), `max_share` the part of the time that full
        tiers may take before a warning comes, `status` another place for
        `status/training_status.json`.
        """
        cadence = Cadence(
            log_every=log_every,
            eval_every=eval_every,
            log_every_s=log_every_s,
            eval_every_s=eval_every_s,
            max_share=max_share,
            warn=self._warn,
        )
        if self._over:
            self._refuses("cadences")
            return cadence
        self._cadence = cadence
        with self._harmless("the cadence could not be written down"):
            sha256, items = "", 0
            if validation is not None:
                with self._harmless("the validation set has no fingerprint"):
                    sha256, items = fingerprint(validation)
            planned = number(total)
            shown = self._shown(status)
            shown.total = planned if isinstance(planned, int) else None
            shown.full_share = lambda: cadence.full_share
            if sha256:
                self._same_set(shown, sha256, items)
            self._write(
                CadenceSet,
                **cadence.settings,
                total=shown.total,
                validation_sha256=sha256,
                validation_items=items,
            )
        return cadence

    def example(
        self,
        step: object,
        *,
        prompt: object = None,
        golden: object = None,
        output: object = UNSET,
        loss: object = None,
        val_loss: object = None,
        golden_tokens: int | None = None,
        output_tokens: int | None = None,
        match: bool | None = None,
    ) -> None:
        """Show what the model makes of an example after this training step, and keep it.

        Without `output` it is the fast tier's block; with it the full tier's, where None says that
        nothing came. `match` None: whether the normalised golden text is contained in the output. A
        full block waits for the validation loss of its step, given here or logged next
        (`run.log(step, val_loss=…)`).
        """
        if self._refuses("examples"):
            return
        began = time.perf_counter()
        with self._harmless("an example could not be shown"):
            example = example_of(
                self._clock(),
                step,
                prompt=prompt,
                golden=golden,
                output=output,
                loss=loss,
                val_loss=val_loss,
                golden_tokens=golden_tokens,
                output_tokens=output_tokens,
                match=match,
            )
            if example.step_ is not UNSET:
                self._warn(
                    "example step",
                    no_step(
                        "run.example",
                        step,
                        "the example is kept without a step, and the value as `step_`",
                    ),
                )
            with self._showing:
                self._let_go()
                self._shown().show(example)
                if example.tier == "full" and example.val_loss is None:
                    self._held = example
                else:
                    self._keep(self._compared(example))
        self._shown_s += time.perf_counter() - began

    # ── within
    # ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _saw(self, step: object, metrics: dict[str, Any]) -> None:
        """A row was logged; called only where there is a status."""
        began = time.perf_counter()
        if self._status is not None:
            self._status.saw(step, metrics)
        if self._held is not None:
            with self._harmless("an example could not be shown"), self._showing:
                held, val_loss = self._held, loss_of(metrics, VAL_LOSS)
                if held is not None and val_loss is not None and training_step(step) == held.step:
                    self._held = self._compared(
                        msgspec.structs.replace(held, val_loss=number(val_loss))
                    )
                    self._let_go()
                elif held is not None and training_step(step) != held.step:
                    self._let_go()
        self._shown_s += time.perf_counter() - began

    def _compared(self, example: Example) -> Example:
        """The example with the gap that the status has for it."""
        if example.val_loss is None or self._status is None:
            return example
        return msgspec.structs.replace(
            example, train_loss=self._status.gap_loss, gap=self._status.gap
        )

    def _watch_ends(self, state: str) -> None:
        """Seal what is open and say how the run ended."""
        self._book.close()
        for table in self._tables:
            table.close(complete=False)
        with self._harmless("the last example could not be shown"), self._showing:
            self._let_go()
        if self._examples is not None:
            with self._harmless("the examples could not be synced to disk"):
                self._examples.sync()
            self._examples.close()
        if self._status is not None:
            with self._harmless("the training status could not be written"):
                self._status.close(state)

    def _watch_after_fork(self) -> None:
        """In the child: the tables, the status and the block that waits are the parent's."""
        self._examples, self._held, self._showing = None, None, threading.RLock()

    def _training_step(self) -> Number | None:
        """The training step that the loop is at, as far as it said so; None where it did not."""
        if self._cadence is not None and self._cadence.step is not None:
            return self._cadence.step
        if self._status is not None:
            return self._status.step
        return None

    def _count_timeout(self) -> None:
        if self._status is not None:
            self._status.timeouts += 1
            with self._harmless("the training status could not be written"):
                self._status.write()

    def _progressed(self, **fields: Any) -> None:
        self._write(Progressed, **fields)

    def _may_stop(self, depth: int) -> None:
        """Between two items of a loop: stop there if asked, but finish a row that is begun."""
        if depth == 0 or all(table.complete is not None for table in self._tables):
            self._interrupts.listening = True
            self._safe_point()

    def _shown(self, path: str | Path | None = None) -> Status:
        if self._status is None or path is not None:
            if path is not None:
                place = Path(path).absolute()
            else:
                place = self.folder / FILE
            self._status = Status(
                place if self._records else None,
                run_id=self.run_id,
                pipeline=self._pipeline,
                clock=self._clock,
                warn=self._warn,
                homes=self._homes,
            )
        return self._status

    def _same_set(self, shown: Status, sha256: str, items: int) -> None:
        if shown.validation is not None and shown.validation["sha256"] != sha256:
            self._warn(
                "validation set",
                "the validation set is another than before: its losses cannot be compared",
            )
        shown.validation = {"sha256": sha256, "items": items}

    def _let_go(self) -> None:
        """Show the full block that waited."""
        held, self._held = self._held, None
        if held is not None:
            self._keep(held)

    def _agree_on_rows(self, name: str) -> Callable[[int], int]:
        """How many rows of a table were measured before this execution: all ranks are to skip the
        same work, though rank 0 may have added to it when another one looks.
        """
        rank = self._rank
        if rank is None:
            return lambda rows: rows
        what = f"rows of table {name} before execution {rank.execution}"
        return lambda rows: int(agreed(self.folder, rank.group, what, str(rows)))

    def _keep(self, example: Example) -> None:
        """Write the example down, then show it."""
        if not self._records:
            return
        try:
            if self._examples is None:
                self._examples = SpillingFile(
                    self.folder / layout.EXAMPLES / f"{writer_id(self._clock())}.jsonl"
                )
            self._examples.append(_encoder.encode(example) + b"\n")
        except StorageError as error:
            self._warn(
                "examples", f"an example could not be kept, and later ones may be lost too: {error}"
            )
        if sys.stdout is not None:
            words = block(example, symbols=is_utf8(sys.stdout.encoding))
            if any(
                loop.draws for loop in self._book.going
            ):  # the bar is cleared for the block and drawn again below it
                import_module("tqdm").tqdm.write(words, file=sys.stdout, end="")
            else:
                sys.stdout.write(words)
            sys.stdout.flush()
