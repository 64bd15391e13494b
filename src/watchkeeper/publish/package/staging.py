"""Staging a package: it is made in a folder beside its own, checked there, and given its name last.

Whatever ends the command, the package's own name is that of a whole package or of none. The same
command continues with what is there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core import layout as places
from watchkeeper.core.disk import files
from watchkeeper.core.errors import UsageError, WatchkeeperError
from watchkeeper.core.events import UnsignedAllowed
from watchkeeper.core.journal import Clock, Writer, utc_now
from watchkeeper.publish import names
from watchkeeper.publish.chain.bundle import about, write_bundle
from watchkeeper.publish.chain.heads import heads_of, to_document
from watchkeeper.publish.checks import Check, verdict
from watchkeeper.publish.documents import read_document, write_document
from watchkeeper.publish.gate import Standing, standing_of
from watchkeeper.publish.manifest.document import write_manifest
from watchkeeper.publish.manifest.files import FileRecord, list_files
from watchkeeper.publish.manifest.hashing import Progress, hash_files
from watchkeeper.publish.package import layout, passport
from watchkeeper.publish.package.check import check_package
from watchkeeper.publish.package.contents import Contents, Item, choose
from watchkeeper.publish.package.pages import card, hub
from watchkeeper.publish.package.pages.texts import Texts
from watchkeeper.publish.package.record import write_record
from watchkeeper.publish.package.story import Source, Story
from watchkeeper.publish.package.transfer import (
    Room,
    bring,
    bytes_to_copy,
    free_bytes,
    hashing_s,
    refuse_full,
)
from watchkeeper.publish.passport.generate import generate
from watchkeeper.publish.passport.run import facts_of_run
from watchkeeper.publish.sanitize.known import Known, known_of
from watchkeeper.publish.sanitize.text import MOST_BYTES, Redaction
from watchkeeper.publish.signing.keys import Key, refuse_inside
from watchkeeper.publish.signing.signers import Signers, signer_of
from watchkeeper.publish.signoff.document import Signoff, read_signoff
from watchkeeper.publish.signoff.origin import sha256_of
from watchkeeper.publish.signoff.sign import check_reason, sign

_MADE_ANEW = (
    names.SIGNOFF,
    names.SIGNOFF_SIGNATURE,
    names.MODEL_SIGNATURE,
    names.MANIFEST,
    layout.EVENTS,
)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for beside the checkpoint: the reason of a package with soft signals ("": the
    checkpoint's own), and what the publisher declares.
    """

    reason: str = ""
    with_optimizer: bool = False
    allow_unsigned: bool = False
    declared: hub.Declared = hub.Declared()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What would be staged, before anything is written. `copy_bytes` certainly have to be copied;
    the rest is shared with the checkpoint where the filesystem can. `hashing_s` is an estimate in
    seconds.
    """

    source: Source
    target: Path
    step: str
    contents: Contents
    standing: Standing
    copy_bytes: int
    hashing_s: float


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """A package that was staged: its folder, its sign-off, its checks, what was hidden by file, and
    where the record of that lies.
    """

    root: Path
    signoff: Signoff
    checks: list[Check]
    redactions: Mapping[str, list[Redaction]]
    record: Path
    size_bytes: int


class NotStagedError(WatchkeeperError):
    """A package was not staged; `checks` are those that stand against it."""

    code = "not-staged"

    def __init__(self, message: str, checks: tuple[Check, ...] = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.checks = checks


def make_plan(source: Source, target: Path, request: Request, *, room: Room = free_bytes) -> Plan:
    """Decide what a package would hold, and refuse what cannot be one. Nothing is written, and no
    weights are read.

    Raises:
        NotStagedError: nobody has signed the checkpoint, and that is not allowed.
        BadCheckpointError: it has no weights, or a file that cannot be packed.
        NoRoomError: the filesystem is too full.
        UsageError: the target is there, a name cannot be one, or a package is not installed.
    """
    hub.require_hub()
    hub.refuse_names(request.declared)
    check_reason(request.reason)
    step = layout.step_of(source.root.resolve().name, source.training_step)
    contents = choose(source.root, step, with_optimizer=request.with_optimizer)
    _refuse_target(source, target)
    standing = standing_of(source.root)
    if not standing.is_signed and not request.allow_unsigned:
        raise NotStagedError(f"not staged: {_unsigned(standing)}")
    parent = target.absolute().parent
    brought = [source.root / item.source for item in contents.items]
    copy_bytes = bytes_to_copy(brought, parent)
    refuse_full(copy_bytes, parent, room)
    return Plan(
        source=source,
        target=target,
        step=step,
        contents=contents,
        standing=standing,
        copy_bytes=copy_bytes,
        hashing_s=hashing_s([item.size_bytes for item in contents.items]),
    )


def _unsigned(standing: Standing) -> str:
    return standing.refusal.replace("comes from elsewhere, and is not", "is not").replace(
        "use it all the same", "stage it all the same"
    )


def _refuse_target(source: Source, target: Path) -> None:
    """Refuse a target that is there, or that cannot be made.

    Raises:
        UsageError: it is one of these.
    """
    place = target.absolute()
    if place.is_relative_to(source.root.absolute()):
        raise UsageError(
            f"{target} lies in the checkpoint itself", hint="name another folder with -o"
        )
    if not place.parent.is_dir():
        raise UsageError(
            f"{place.parent} is no folder", hint=f"make it first: mkdir -p {place.parent}"
        )
    if os.path.lexists(place) and not _is_empty_folder(place):
        raise UsageError(
            f"{target} is there already, and is kept",
            hint="name another folder with -o, or move this one away",
            code="exists",
        )


def _is_empty_folder(place: Path) -> bool:
    """Whether a folder is there and holds nothing: a package may take its place."""
    if place.is_symlink() or not place.is_dir():
        return False
    return not any(place.iterdir())


def stage(
    plan: Plan,
    story: Story,
    request: Request,
    *,
    key: Key | None = None,
    known: Known | None = None,
    clock: Clock = utc_now,
    progress: Progress | None = None,
) -> Staged:
    """Make the package that was planned. `key` signs it; None: its sign-off is attribution alone.
    `known` are the private values of the run; None: those in its journals. The same call continues
    with what an earlier one left half made.

    Raises:
        NotStagedError: a check of the finished package fails; nothing has its name.
        NotSignedError, NoReasonError: it cannot be signed.
        WouldEmptyError: nothing of the run log would be left.
        BrokenTextError: a file is damaged once what is private in it is hidden.
        BusyError, StorageError, OSError: a file cannot be read or written.
    """
    if key is not None:
        refuse_inside(key.path, plan.source.root)
    private = known or known_of(plan.source.folder, plan.source.recorded)
    with _half_made(plan) as half:
        document, sha256 = _source_passport(plan.source, clock)
        private.commits |= passport.commits_of(document)
        work = _Work(plan, request, half, Texts(private, request.declared.public_links))
        work.bring_files(progress)
        work.write_passport(document, sha256, clock, has_config=bool(story.config))
        work.write_texts(story, is_signed=key is not None)
        records = work.write_manifest(clock, progress)
        signoff = work.sign(key, records, clock)
        checks = check_package(
            half, signers=_signers(key), known=private, records=records, clock=clock
        )
        _refuse_failed(plan, checks)
        if not plan.standing.is_signed:
            _remember_unsigned(plan)
        redactions = work.texts.redactions
        record = write_record(plan.target, plan.source, redactions, clock())
        half.rename(plan.target)
        files.fsync_folder(plan.target.absolute().parent)
    return Staged(
        root=plan.target,
        signoff=signoff,
        checks=checks,
        redactions=redactions,
        record=record,
        size_bytes=list_files(plan.target)[0].size_bytes,
    )


def _source_passport(source: Source, clock: Clock) -> tuple[Mapping[str, Any], str]:
    """The checkpoint's passport and its hash; where it has none, one made now, and ""."""
    place = source.root / names.PASSPORT
    if place.is_file():
        return read_document(place), sha256_of(place)
    run = facts_of_run(source.root, source.folder, source.key)
    return generate(source.root, now=clock(), run=run).document, ""


def half_of(target: Path) -> Path:
    """The folder in which a package is made, beside its own."""
    place = target.absolute()
    return place.with_name(f".{place.name}.staging")


@contextlib.contextmanager
def _half_made(plan: Plan) -> Iterator[Path]:
    """The folder to work in, which no other command uses meanwhile: empty, or what an earlier call
    left of the same package.

    Raises:
        UsageError: another command is at work in it.
    """
    half = half_of(plan.target)
    lock = half.with_name(f"{half.name}.lock")
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _take(fd, plan.target)
        of = str(plan.source.root.resolve()).encode("utf-8", "surrogateescape")
        if os.pread(fd, MOST_BYTES, 0) != of:
            shutil.rmtree(half, ignore_errors=True)
            os.ftruncate(fd, 0)
            os.pwrite(fd, of, 0)
        half.mkdir(exist_ok=True)
        yield half
        lock.unlink()
    finally:
        os.close(fd)


def _take(fd: int, target: Path) -> None:
    """Take the lock on a package's place; it is free again when the process ends.

    Raises:
        UsageError: another command has it.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageError(
            f"another command is staging {target}", hint="wait until it has ended", code="busy"
        ) from error


class _Work:
    """One package while it is made."""

    def __init__(self, plan: Plan, request: Request, half: Path, texts: Texts) -> None:
        self.texts = texts
        self._plan = plan
        self._request = request
        self._half = half
        self._written: set[str] = set()
        self._document: Mapping[str, Any] = {}

    def bring_files(self, progress: Progress | None) -> None:
        """The files of the checkpoint: texts are searched, all others shared or copied."""
        for item in self._plan.contents.items:
            if item.kind != "text" or not self._write_text(item):
                bring(self._plan.source.root / item.source, self._half / item.path, progress)
                self._written.add(item.path)

    def _write_text(self, item: Item) -> bool:
        """False: it is no text that can be searched, which the check of the package refuses."""
        with files.open_regular(self._plan.source.root / item.source) as file:
            data = files.read_most(file, MOST_BYTES + 1)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return False
        if len(data) > MOST_BYTES:
            return False
        self._write(item.path, self.texts.hidden_file(item.path, text))
        return True

    def _write(self, path: str, text: str) -> None:
        """Write a text of the package, and note that it is one of ours."""
        place = self._half / path
        place.parent.mkdir(parents=True, exist_ok=True)
        files.replace(place, text.encode())
        self._written.add(path)

    def write_passport(
        self, document: Mapping[str, Any], sha256: str, clock: Clock, *, has_config: bool
    ) -> None:
        """The package's passport, of the checkpoint's with its hash, "" for one that was made now.
        What an earlier call signed goes: it vouched for other files.
        """
        for path in _MADE_ANEW:
            (self._half / path).unlink(missing_ok=True)
        origin = passport.Origin(
            passport_sha256=sha256,
            journal_chain=to_document(heads_of(self._plan.source.folder / places.JOURNAL)),
            public_links=self._request.declared.public_links,
            has_config=has_config,
        )
        made = passport.repacked(document, self._plan.contents.moved, origin, clock())
        self._document = self.texts.hidden_json(names.PASSPORT, made)
        write_document(self._half / names.PASSPORT, self._document)
        self._written.add(names.PASSPORT)

    def write_texts(self, story: Story, *, is_signed: bool) -> None:
        """The training log, the events, the card and what it shows."""
        self._write(names.TRAINING_LOG, self.texts.training_log(story))
        if story.config:
            self._write(layout.CONFIG, self.texts.hidden_file(layout.CONFIG, story.config))
        if story.plot:
            self._write(layout.PLOT, story.plot)
        self._write_events()
        shown = self.texts.hidden_story(story)
        for path, text in hub.eval_files(shown.results, self._request.declared).items():
            self._write(path, text)
        self._write(names.README, self._card(shown, is_signed=is_signed))
        self._remove_others()

    def _write_events(self) -> None:
        """Write the events that the package's run and its evaluations are about, and the hashes of
        all others of the same journals.
        """
        source = self._plan.source
        folders = dict.fromkeys((source.folder, *source.recorded))
        journals = [folder / places.JOURNAL for folder in folders]
        with (self._half / layout.EVENTS).open("xb") as file:
            file.writelines(write_bundle(journals, about(source.keys)))
            file.flush()
            os.fsync(file.fileno())
        self._written.add(layout.EVENTS)

    def _card(self, story: Story, *, is_signed: bool) -> str:
        """The model card, from the passport, the run's story and what was declared."""
        document = self._document
        items = self._plan.contents.items
        paths = self._plan.contents.moved
        model = passport.model_of(document, story.name, paths)
        declared = self._request.declared
        adapter = layout.folder_of(self._plan.step, layout.ADAPTER)
        has_adapter = any(item.path.startswith(f"{adapter}/") for item in items)
        return card.write_card(
            card.Card(
                metadata=hub.metadata(model, declared, story.results),
                story=story,
                model=model,
                facts=passport.facts_of(document),
                folder=layout.folder_of(self._plan.step, layout.PARAMS),
                adapter=adapter if has_adapter else "",
                files=len(items),
                size_bytes=self._plan.contents.size_bytes,
                step=self._plan.step if self._plan.step.isdecimal() else "",
                is_signed=is_signed,
                links=declared.public_links,
            )
        )

    def _remove_others(self) -> None:
        """Remove what an earlier call left that this package does not hold."""
        for folder, _, entries in os.walk(self._half):
            for name in entries:
                place = Path(folder, name)
                if place.relative_to(self._half).as_posix() not in self._written:
                    place.unlink()

    def write_manifest(self, clock: Clock, progress: Progress | None) -> dict[str, FileRecord]:
        """Hash every file once, and list them."""
        listed, _ = list_files(self._half)
        hashed = hash_files(self._half, listed.files, progress=progress)
        write_manifest(self._half, hashed, now=clock())
        return {record.path: record for record in hashed}

    def sign(self, key: Key | None, records: Mapping[str, FileRecord], clock: Clock) -> Signoff:
        """Vouch for the package, with the checkpoint's reason where no other is given."""
        reason = self._request.reason or self._reason_of_checkpoint()
        return sign(self._half, reason=reason, key=key, known=records, clock=clock)

    def _reason_of_checkpoint(self) -> str:
        """Why the checkpoint was signed in spite of soft signals, without what is private; "" where
        it was not signed, or gave no reason.
        """
        if not self._plan.standing.is_signed:
            return ""
        signoff = read_signoff(self._plan.source.root)
        reason = signoff.verdict_reason if signoff is not None else None
        return self.texts.hidden(names.SIGNOFF, reason or "")


def _signers(key: Key | None) -> Signers | None:
    """Who has to have signed: whoever has this key; None: a signature is not asked for."""
    if key is None:
        return None
    return (signer_of("the key that was given", key.public),)


def _refuse_failed(plan: Plan, checks: list[Check]) -> None:
    """Refuse a package of which a check failed.

    Raises:
        NotStagedError: one did; it has all that did.
    """
    if verdict(checks) != "fail":
        return
    failed = tuple(check for check in checks if check.status == "fail")
    first = failed[0]
    where = f"{first.where}: " if first.where else ""
    raise NotStagedError(
        f"{plan.target} was not staged: {len(failed)} of its checks failed: {where}{first.message}",
        failed,
        hint=first.hint,
    )


def _remember_unsigned(plan: Plan) -> None:
    """Write down that a checkpoint was packed for which no sign-off holds.

    Raises:
        StorageError: the journal cannot be written.
    """
    source = plan.source
    writer = Writer(source.folder / places.JOURNAL, "publish")
    try:
        writer.write(
            UnsignedAllowed,
            key=source.key or source.folder.resolve().name,
            phase="preparation",
            attempt=source.attempt,
            path=source.path or str(source.root),
            why=plan.standing.why,
        )
    finally:
        writer.close()
