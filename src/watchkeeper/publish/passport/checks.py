"""Is a passport what it should be, and does it fit the checkpoint beside it.

The model's code is never run and no pickle is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from watchkeeper.core.journal import utc_now
from watchkeeper.publish import names
from watchkeeper.publish.checks import Category, Check
from watchkeeper.publish.documents import DocumentError, read_document
from watchkeeper.publish.manifest.files import FileRecord, list_files
from watchkeeper.publish.manifest.hashing import Progress, hash_files
from watchkeeper.publish.passport.adapters.checkpoint import Checkpoint
from watchkeeper.publish.passport.document import SCHEMA
from watchkeeper.publish.passport.rules import (
    input_expectation,
    model_internals,
    output_spec,
    provenance,
)
from watchkeeper.publish.passport.rules.examined import Examined, finding
from watchkeeper.publish.passport.tensors.inventory import look

RULES: Mapping[Category, Callable[[Examined], Iterator[Check]]] = {
    "input_expectation": input_expectation.checks,
    "model_internals": model_internals.checks,
    "output_spec": output_spec.checks,
    "provenance": provenance.checks,
}
_SOUND: Mapping[Category, str] = {
    "input_expectation": "what the model is fed is said, and its files are those that were meant",
    "model_internals": "the weights are whole and hold what they should",
    "output_spec": "nothing bad was recorded of the output",
    "provenance": "the weights are those of the passport, and their origin is said",
}


def check_passport(
    root: Path,
    *,
    records: Mapping[str, FileRecord] | None = None,
    with_hashes: bool = False,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> list[Check]:
    """All checks of a passport and its checkpoint, and one that passes for each category in which
    nothing failed. Sizes are always compared; hashes for the files in `records`, which were hashed
    just now, and `with_hashes` for all weight files. `now` is an aware time; None: this moment.

    Raises:
        UsageError: the root is no folder.
        ChangingFileError: a weight file changed while it was hashed.
        OSError: a weight file cannot be read.
    """
    listed, listing = list_files(root)
    try:
        document = read_document(root / names.PASSPORT)
    except FileNotFoundError:
        hint = f"make it: watchkeeper checkpoint passport {root}"
        return [*listing, _fault("no-passport", "there is no passport", hint)]
    except (DocumentError, OSError) as error:
        return [*listing, _fault("passport-unreadable", str(error), "make it again")]
    version = document.get("schema_version")
    if version != SCHEMA:
        message = f"its schema version is {str(version)[:40]!r}; {SCHEMA!r} is read here"
        hint = "use the version of Watchkeeper that wrote it"
        return [*listing, _fault("other-schema", message, hint)]
    inventory = look(root, listed.sizes)
    hashed = dict(records or {})
    if with_hashes:
        unhashed = [file.path for file in inventory.files if file.path not in hashed]
        hashed |= {one.path: one for one in hash_files(root, unhashed, progress=progress)}
    examined = Examined(
        checkpoint=Checkpoint(root=root, sizes=listed.sizes, inventory=inventory),
        document=document,
        records=hashed,
        now=now or utc_now(),
    )
    return [*listing, *_by_category(examined)]


def _by_category(examined: Examined) -> Iterator[Check]:
    """The checks of each category; one that passes for a category without a finding."""
    for category, rule in RULES.items():
        findings = list(rule(examined))
        if not any(check.status in ("fail", "soft_signal") for check in findings):
            yield finding(category, "pass", category.replace("_", "-"), "", _SOUND[category])
        yield from findings


def _fault(name: str, message: str, hint: str) -> Check:
    return finding("provenance", "fail", name, names.PASSPORT, message, hint=hint)
