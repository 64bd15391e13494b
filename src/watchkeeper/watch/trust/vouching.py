"""The documents of an experiment's own checkpoints: a passport for each, and a sign-off by the tool
for those that pass every check.

The weights are never hashed here, on a login node: their hashes are those that the job left. A
checkpoint that was not hashed, or that gives a soft signal, is left to a person, and the journal
says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from watchkeeper.core import layout
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.events import RunItem, Vouched
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt, AttemptId
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.publish import names
from watchkeeper.publish.chain.heads import Head, HeadsMemory
from watchkeeper.publish.checks import verdict
from watchkeeper.publish.passport.checks import check_passport
from watchkeeper.publish.passport.declared import read_declared
from watchkeeper.publish.passport.document import Facts
from watchkeeper.publish.passport.generate import generate, write_passport
from watchkeeper.publish.passport.repository import facts_of_creation
from watchkeeper.publish.passport.run import KnownRun, facts_of_known_run
from watchkeeper.publish.signoff import document
from watchkeeper.publish.signoff.document import Signoff, read_signoff
from watchkeeper.publish.signoff.files import weights_in
from watchkeeper.publish.signoff.origin import expected_in, fields_of, sha256_of
from watchkeeper.publish.signoff.sign import NoReasonError, NotSignedError, sign
from watchkeeper.report.compose.history import WELL
from watchkeeper.schedulers.wrapper.hashes import HashedFile, read_hashes
from watchkeeper.watch.logs.logbook import Logbook
from watchkeeper.watch.trust.hashed import known_records

# A look at the jobs is not held up for longer than this, in seconds.
_AT_A_TIME_S = 1.0
_NOT_HASHED = "its job left no hashes of these weights, or they were changed since"


class Vouching:
    """The documents that one watch writes. Only the leading watcher does. `log_of`: key → the path
    of its newest run log, "" for none.
    """

    def __init__(
        self,
        experiment: Experiment,
        logbook: Logbook,
        *,
        log_of: Callable[[str], str] = lambda key: "",
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._experiment = experiment
        self._logbook = logbook
        self._clock = clock
        self._monotonic = monotonic
        self._items = {item.key: item for item in experiment.items}
        self._done: set[AttemptId] = set()
        self._said = 0
        self._log_of = log_of
        self._heads = HeadsMemory(experiment.folder / layout.JOURNAL)
        self._creation: Facts | None = None

    def write(self, judged: Iterable[Attempt], *, all_of_them: bool = False) -> bool:
        """Write what is missing of the documents of these attempts' checkpoints; `all_of_them`:
        however long it takes. Returns whether there was anything to say.
        """
        began = self._monotonic()
        said = self._said
        self._creation = None
        for attempt in judged:
            if attempt.id in self._done:
                continue
            if not all_of_them and self._monotonic() - began > _AT_A_TIME_S:
                break
            self._done.add(attempt.id)
            item = self._items.get(attempt.key)
            if item is not None and item.phase == "preparation" and _is_well(attempt):
                self._write_for(item, attempt)
        return self._said > said

    def _write_for(self, item: RunItem, attempt: Attempt) -> None:
        """Write the documents of the checkpoints that an attempt left, of those that have
        none yet.
        """
        left = [path for path in _kept(attempt) if path not in attempt.vouched]
        if not left:
            return
        hashed = read_hashes(attempt_folder(self._experiment.folder, *attempt.id))
        if not hashed and not self._is_news(attempt):
            return  # a job from before there were hashes
        for path in left:
            root = self._experiment.folder / path
            if root.is_dir():
                self._vouch(item, attempt, path, hashed)

    def _where_made(self) -> Facts:
        """The experiment's repository as it is now; git is asked once for all passports that are
        written together.
        """
        if self._creation is None:
            self._creation = facts_of_creation(self._experiment.folder)
        return self._creation

    def _is_news(self, attempt: Attempt) -> bool:
        """Whether this watch judged the attempt."""
        return attempt.judged is not None and attempt.judged.writer == self._logbook.writer.id

    def _vouch(
        self, item: RunItem, attempt: Attempt, path: str, hashed: dict[Path, HashedFile]
    ) -> None:
        """Write the documents of one checkpoint, and say in the journal what came of it."""
        root = self._experiment.folder / path
        fields = {"key": item.key, "phase": item.phase, "attempt": attempt.number, "path": path}
        try:
            outcome = self._outcome_of(root, attempt, path, hashed)
        except (WatchkeeperError, OSError) as error:
            outcome = {"verdict": "not_checked", "why": str(error)}
        self._logbook.write(Vouched, **fields | outcome)
        self._said += 1

    def _outcome_of(
        self, root: Path, attempt: Attempt, path: str, hashed: dict[Path, HashedFile]
    ) -> dict[str, object]:
        """What came of it, as fields of the event.

        Raises:
            WatchkeeperError, OSError: a document could not be read or written.
        """
        signoff = read_signoff(root)
        if signoff is not None and not signoff.is_automatic:
            return _said_by_a_person(root, attempt, path, signoff)
        weights = weights_in(root)
        known = known_records(root, weights, hashed)
        if len(known) < len(weights):
            return {"verdict": "not_checked", "why": _NOT_HASHED}
        run = facts_of_known_run(root, self._experiment.folder, attempt.key, self._known(attempt))
        made = generate(
            root,
            now=self._clock(),
            run=run,
            creation=self._where_made(),
            declared=self._declared(),
            known=known,
        )
        write_passport(root, made.document)
        passport = {"passport_sha256": sha256_of(root / names.PASSPORT)}
        try:
            signoff = sign(
                root,
                tool=document.AUTOMATIC,
                known=known,
                expected=expected_in(self._logbook.journal.events, attempt.key, path),
                clock=self._clock,
            )
        except (NotSignedError, NoReasonError) as error:
            return passport | _refused(error)
        return fields_of(root, attempt, path, signoff)

    def _known(self, attempt: Attempt) -> KnownRun:
        """What the journal says of the run, as this watch has read it."""
        writer = self._logbook.writer
        events, chain = writer.chain
        return KnownRun(
            attempts=tuple(self._logbook.state.run(attempt.key).attempts.values()),
            log=self._log_of(attempt.key),
            heads=self._heads.heads(Head(writer.id, events, chain)),
        )

    def _declared(self) -> dict[str, Any] | None:
        """What the experiment declares of its checkpoints; None: nothing.

        Raises:
            WatchkeeperError, OSError: the file cannot be read.
        """
        if self._experiment.contract is None:
            return None
        return read_declared(self._experiment.contract)


def _is_well(attempt: Attempt) -> bool:
    """Whether an attempt was judged, and left what it promised."""
    return attempt.judged is not None and attempt.judged.outcome in WELL


def _kept(attempt: Attempt) -> Iterator[str]:
    """The checkpoints that the attempt left whole."""
    if attempt.judged is not None and attempt.judged.learned is not None:
        yield from attempt.judged.learned.kept


def _said_by_a_person(
    root: Path, attempt: Attempt, path: str, signoff: Signoff
) -> dict[str, object]:
    """What a sign-off says that was there: it is a person's, and is neither replaced nor hashed."""
    checks = check_passport(root)
    if verdict(checks) == "fail":
        return {"verdict": "fail", "why": "the SIGNOFF.json that is there does not fit"}
    return fields_of(root, attempt, path, signoff)


def _refused(error: NotSignedError | NoReasonError) -> dict[str, object]:
    """Why a checkpoint was not signed, as fields of the event."""
    first = error.checks[0] if error.checks else None
    if first is None:
        return {"verdict": "not_checked", "why": str(error)}
    more = f" (and {len(error.checks) - 1} more)" if len(error.checks) > 1 else ""
    where = f"{first.where}: " if first.where else ""
    return {"verdict": first.status, "why": f"{where}{first.message}{more}"}
