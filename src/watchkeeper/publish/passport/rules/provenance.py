"""Where the weights come from, and whether those on the disk are those of the passport."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from watchkeeper.core.code import git
from watchkeeper.publish import names
from watchkeeper.publish.checks import Check, Status
from watchkeeper.publish.manifest.safe import fault_of
from watchkeeper.publish.passport.document import source_of
from watchkeeper.publish.passport.rules.examined import Examined, finding, walk
from watchkeeper.tools.file_formats import short

_WEIGHTS = "weight_integrity.weight_files"
_SLACK = timedelta(minutes=5)
"""By so much the clocks of two machines may differ."""
_COMPARE = "watchkeeper checkpoint validate compares them"
_RENEW = (
    "if the weights are the right ones, make the passport again: watchkeeper checkpoint passport"
)


def checks(examined: Examined) -> Iterator[Check]:
    """What is wrong with the weights' integrity and their origin, or missing."""
    yield from _paths(examined)
    yield from _weights(examined)
    yield from _manifest(examined)
    yield from _origin(examined)
    yield from _times(examined)


def _check(status: Status, name: str, where: str, message: str, hint: str = "") -> Check:
    return finding("provenance", status, name, where, message, hint=hint)


def _paths(examined: Examined) -> Iterator[Check]:
    """Paths that lead out of the checkpoint. None of them is ever opened. The paths of the origin
    are of the run's own folder, and are not looked for here.

    An absolute path in the origin is no danger, but says something of the machine.
    """
    for place, key, value in walk(examined.document):
        if not isinstance(value, str) or not value or not _is_path(key):
            continue
        fault = fault_of(value)
        if not fault:
            continue
        said = f"the path {short(value)!r} {fault}"
        if place.startswith("provenance."):
            yield _check("soft_signal", "path-outside", place, f"{said}: it tells of the machine")
        else:
            yield _check("fail", "unsafe-path", place, said)


def _is_path(key: str) -> bool:
    """Whether the name of a field says that it holds a path: `path`, `run_log_path`."""
    return key == "path" or key.endswith("_path")


def _weights(examined: Examined) -> Iterator[Check]:
    """Whether the passport and the folder have the same weight files, each listed once.

    Files that were not hashed are compared by their sizes, and one check says how many.
    """
    entries = examined.entries(_WEIGHTS)
    if not entries:
        yield _check("fail", "no-weights-listed", _WEIGHTS, "the passport lists no weight file")
    paths = Counter(str(entry.get("path")) for entry in entries)
    for path, count in paths.items():
        if count > 1:
            message = f"{short(path)} is listed {count} times"
            yield _check("fail", "listed-twice", _WEIGHTS, message)
    for file in examined.checkpoint.inventory.files:
        if file.path not in paths:
            message = "the passport does not list this weight file"
            yield _check("fail", "unlisted-weights", file.path, message, _RENEW)
    for entry in entries:
        yield from _weight_file(examined, entry)
    unhashed = [path for path in paths if path not in examined.records]
    if unhashed:
        message = f"the hashes of {len(unhashed)} weight files were not compared: only their sizes"
        yield _check("not_checked", "weight-hashes", _WEIGHTS, message, _COMPARE)


def _weight_file(examined: Examined, entry: dict[str, Any]) -> Iterator[Check]:
    """A file of the passport's list against the one on the disk: its size, then its hash.

    The hash is compared only where the file was hashed. A path that leads out is a finding by
    itself.
    """
    path = str(entry.get("path"))
    size_bytes = examined.checkpoint.sizes.get(path)
    where = short(path)
    if fault_of(path):
        return
    if size_bytes is None:
        yield _check("fail", "weights-missing", where, "the weight file is not there")
        return
    if size_bytes != entry.get("size_bytes"):
        message = (
            f"it has {size_bytes:,} bytes, the passport says {_shown(entry.get('size_bytes'))}"
        )
        yield _check("fail", "weights-changed", where, message, _RENEW)
        return
    record = examined.records.get(path)
    if record is not None and record.sha256 != str(entry.get("sha256")).lower():
        message = "its bytes are not those that the passport was made for"
        yield _check("fail", "weights-changed", where, message, _RENEW)


def _manifest(examined: Examined) -> Iterator[Check]:
    """Whether the manifest beside the passport is the one that it was made with. Another program's
    passport may mean something else by the field.
    """
    field = "weight_integrity.manifest_hash"
    if source_of(examined.document, field) != "observed":
        return
    if names.MANIFEST not in examined.checkpoint.sizes:
        return
    if examined.checkpoint.sha256(names.MANIFEST) != examined.get(field):
        message = "it is not the manifest that the passport was made with"
        hint = "make the passport again: watchkeeper checkpoint passport"
        yield _check("soft_signal", "manifest-changed", names.MANIFEST, message, hint)


def _shown(size: object) -> str:
    """A size for a message: `1,024`. What is no whole number stands as it does in the passport."""
    return f"{size:,}" if type(size) is int else short(str(size))


def _origin(examined: Examined) -> Iterator[Check]:
    """Whether the run that made the weights can be found again: its code, log and configuration."""
    commit = examined.get("provenance.training_repo_commit")
    run = "name the run that made it: --run FOLDER"
    if not isinstance(commit, str) or not git.is_sha(commit):
        message = "the commit of the training code is not known"
        yield _check("fail", "no-commit", "provenance.training_repo_commit", message, run)
    if examined.get("provenance.training_code_dirty") is True:
        message = "the training code had changes that its commit does not hold"
        yield _check("soft_signal", "uncommitted", "provenance.training_code_dirty", message)
    if not examined.get("provenance.run_log_path"):
        message = "no run log is named"
        yield _check("soft_signal", "no-run-log", "provenance.run_log_path", message, run)
    if not examined.get("provenance.merged_config_sha256"):
        message = "no snapshot of the configuration is named"
        yield _check(
            "soft_signal", "no-config-snapshot", "provenance.config_snapshot_path", message
        )


def _times(examined: Examined) -> Iterator[Check]:
    """A clock that was set back, by times that contradict one another. Five minutes are how much
    two clocks may differ.
    """
    generated = _time(examined.get("generated_at"))
    if generated is None:
        yield _check("soft_signal", "no-time", "generated_at", "it does not say when it was made")
        return
    if generated > examined.now + _SLACK:
        message = f"the passport was made in the future, at {generated:%Y-%m-%d %H:%M} UTC"
        hint = "compare the clocks of the two machines"
        yield _check("soft_signal", "clock", "generated_at", message, hint)
    started = _time(examined.get("provenance.started_at"))
    if started is not None and generated < started - _SLACK:
        message = "the passport is older than the run that made the weights"
        hint = "the clock was set back, or it is another run's"
        yield _check("soft_signal", "clock", "provenance.started_at", message, hint)


def _time(value: object) -> datetime | None:
    """An aware time; None: the value is none."""
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    if time.tzinfo is None:
        return time.replace(tzinfo=UTC)
    return time
