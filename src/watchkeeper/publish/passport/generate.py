"""Making MODEL_PASSPORT.json from what is there, and making it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.publish import names
from watchkeeper.publish.checks import Check
from watchkeeper.publish.documents import (
    GENERATED_BY,
    read_document,
    refuse_foreign,
    write_document,
)
from watchkeeper.publish.manifest.document import utc
from watchkeeper.publish.manifest.files import FileRecord, Listed, list_files
from watchkeeper.publish.manifest.hashing import Progress, hash_files
from watchkeeper.publish.passport.adapters import config_files
from watchkeeper.publish.passport.adapters.checkpoint import Checkpoint, facts_from
from watchkeeper.publish.passport.adapters.registry import facts_by_adapters
from watchkeeper.publish.passport.document import (
    MEASURED,
    SCHEMA,
    SOURCES,
    Document,
    Fact,
    Facts,
    compose,
    facts_of,
    get,
    outdone,
    source_of,
)
from watchkeeper.publish.passport.health.record import FIELD as HEALTH
from watchkeeper.publish.passport.repository import CREATION
from watchkeeper.publish.passport.rules.output_spec import VECTOR
from watchkeeper.publish.passport.tensors.inventory import Inventory, look

SECTIONS = (
    "schema_version", "generated_by", "generated_at", "stack", "input_contract", "model_identity",
    "model_internals", "output_spec", "weight_integrity", "provenance", "transform_pipeline",
    "reference_test_vector", "norm_round_trip_results", "known_issues", SOURCES,
)  # fmt: skip
"""The schema's sections, in the order in which they are written."""
_HEAD = ("schema_version", "generated_by", "generated_at")
_OF_A_RUN = (
    "provenance.",
    "input_contract.training_datasets",
    "model_identity.library_versions.",
    "model_identity.python_version",
)
"""What a run's journal says, by the beginning of the path."""
_BY_A_RUN = ("run_id", "run_key", "journal_chain", "training_repo_commit")
"""What of the origin nothing but a run's journal can have said."""
_PLACES = (
    "provenance.parent_checkpoint",
    "provenance.config_snapshot_path",
    "provenance.run_log_path",
)
_PLACES_IN_LISTS = (
    "input_contract.training_datasets",
    "model_internals.pretrained_provenance",
)
"""Fields that may name a place on the machine where the checkpoint was made."""


class Generated(msgspec.Struct, frozen=True, kw_only=True):
    """A passport that was made. `changed`: it differs from the one that lay there by more than its
    time. `inventory` and `listed` are what it was made from.
    """

    document: dict[str, Any]
    changed: bool
    listed: Listed
    inventory: Inventory
    listing: list[Check]
    problems: list[Problem]


def generate(
    root: Path,
    *,
    now: datetime,
    run: Mapping[str, Fact] | None = None,
    reference: Mapping[str, Fact] | None = None,
    health: Mapping[str, Fact] | None = None,
    creation: Mapping[str, Fact] | None = None,
    declared: Mapping[str, Any] | None = None,
    known: Mapping[str, FileRecord] | None = None,
    progress: Progress | None = None,
) -> Generated:
    """The passport of a checkpoint, made anew; what was declared in the one that is there stays.
    Nothing is written. `run` is what `facts_of_run` gives, `reference` a test vector, `health` what
    was seen of the weights' numbers; of each that is None, what the passport has stays while the
    weights are the same. `creation` names the repository in which it is made. `declared` are fields
    as nested mappings, of which null takes a declared field back; `known` are files whose hashes
    are known.

    Raises:
        UsageError: the root is no folder; the passport that is there is of another schema version
            or cannot be read.
        ForeignDocumentError: Watchkeeper did not write the passport that is there.
        ChangingFileError: a weight file changed while it was hashed.
        OSError: a weight file cannot be read.
    """
    listed, listing = list_files(root)
    old = read_old(root)
    inventory = look(root, listed.sizes)
    weights = [file.path for file in inventory.files]
    records = hash_files(root, weights, progress=progress, known=known)
    checkpoint = Checkpoint(root=root, sizes=listed.sizes, inventory=inventory)
    facts, problems = facts_by_adapters(checkpoint)
    facts.update(_integrity(checkpoint, records))
    _add_run(facts, _kept_run(old, facts) if run is None else run)
    facts.update(creation or {})
    facts.update(_of_same_weights(old, facts, (VECTOR,)) if reference is None else reference)
    facts.update(_of_same_weights(old, facts, (HEALTH,)) if health is None else health)
    facts = {path: _portable(path, fact) for path, fact in facts.items()}
    words, faults = _declared(declared or {}, facts)
    document = _with_head(compose(old, facts, words), now)
    is_same = _without_moment(old) == _without_moment(document)
    return Generated(
        document=old if is_same else document,
        changed=not is_same,
        listed=listed,
        inventory=inventory,
        listing=listing,
        problems=[*problems, *faults],
    )


def write_passport(root: Path, document: Mapping[str, Any]) -> Path:
    """Write a passport into its place, and return that.

    Raises:
        ForeignDocumentError: Watchkeeper did not write the file that is there; it is kept.
        StorageError: it could not be written.
    """
    path = root / names.PASSPORT
    write_document(path, document)
    return path


def read_old(root: Path) -> Document:
    """The passport that lies there, to be made again; {}: there is none.

    Raises:
        ForeignDocumentError: Watchkeeper did not write it.
        UsageError: it is of another schema version.
    """
    path = root / names.PASSPORT
    refuse_foreign(path)
    if not path.exists():
        return {}
    document = read_document(path)
    version = document.get("schema_version")
    if version != SCHEMA:
        raise UsageError(
            f"{path} has schema version {str(version)[:40]!r}; this version of Watchkeeper writes "
            f"{SCHEMA!r}",
            hint=f"use the version that wrote it, or move it away: mv {path.name} {path.name}.old",
            code="other-schema",
        )
    return document


def _integrity(checkpoint: Checkpoint, records: Iterable[FileRecord]) -> Facts:
    """The hashes of the weight files, and of the manifest where there is one: what ties the
    passport to these bytes.
    """
    files: list[dict[str, Any]] = []
    for one in records:
        files.append({"path": one.path, "sha256": one.sha256, "size_bytes": one.size_bytes})
    manifest = None
    if names.MANIFEST in checkpoint.sizes:
        manifest = checkpoint.sha256(names.MANIFEST) or None
    fields = {
        "weight_integrity.weight_files": files,
        "weight_integrity.manifest_hash": manifest,
    }
    return facts_from("observed", fields)


def _add_run(facts: Facts, run: Mapping[str, Fact]) -> None:
    """Add what a run says. Where it says which configuration it had, a file that lies beside the
    weights is another: the hash of one never stands beside the path of the other.
    """
    if config_files.SHA256 in run:
        facts.pop(config_files.SNAPSHOT, None)
    facts.update(run)


def _kept_run(old: Document, facts: Facts) -> Facts:
    """What a run said before, of the same weights; {}: none was named.

    A passport that is made again without `--run` keeps where its weights come from.
    """
    marks = {source_of(old, f"provenance.{name}") for name in _BY_A_RUN}
    if marks.isdisjoint(("observed", "inferred")):
        return {}
    return _of_same_weights(old, facts, _OF_A_RUN)


def _of_same_weights(old: Document, facts: Facts, fields: tuple[str, ...]) -> Facts:
    """The fields of the passport that is there which begin like this, if its weights are still
    those: what a run or a forward pass said stays where none is named this time.

    {} where the weights are others, or the passport lists none.
    """
    weights = "weight_integrity.weight_files"
    before = set(map(_hashed, get(old, weights) or []))
    now = set(map(_hashed, facts[weights].value))
    if before != now:
        return {}
    return {path: fact for path, fact in facts_of(old).items() if path.startswith(fields)}


def _portable(path: str, fact: Fact) -> Fact:
    """A field without what only this machine knows: an absolute path in it is shortened to its last
    name. Any other field is as it was.
    """
    if path in _PLACES:
        return Fact(_name_of(fact.value), fact.source)
    if path in _PLACES_IN_LISTS and isinstance(fact.value, list):
        return Fact([_with_names(entry) for entry in fact.value], fact.source)
    return fact


def _with_names(entry: Any) -> Any:
    """An entry whose absolute paths are shortened to their last names."""
    if not isinstance(entry, dict):
        return entry
    return {key: _name_of(value) for key, value in entry.items()}


def _name_of(value: Any) -> Any:
    """The last name of an absolute path, which reveals nothing of this machine; any other value as
    it is.
    """
    if isinstance(value, str) and value.startswith(("/", "~")):
        return PurePosixPath(value).name
    return value


def _hashed(entry: Any) -> tuple[Any, Any]:
    """What an entry of the weight files says of one: its path and its hash."""
    if isinstance(entry, dict):
        return str(entry.get("path")), str(entry.get("sha256"))
    return None, None


def _declared(declared: Mapping[str, Any], seen: Facts) -> tuple[Facts, list[Problem]]:
    """The declared fields, and what is wrong with some: they are left out, or kept unknown."""
    facts: Facts = {}
    problems = _unknown_sections(declared)
    for path, fact in facts_of(declared).items():
        if path in _HEAD:
            continue
        if path in MEASURED or outdone(path, seen):
            problems.append(_measured(path))
        else:
            facts[path] = Fact(fact.value, "declared")
    return facts, problems


def _measured(path: str) -> Problem:
    """That something was declared which is measured each time."""
    return Problem(
        where=path,
        message="it is measured each time: what is declared of it was left out",
        severity="warning",
        code="not-declarable",
    )


def _unknown_sections(declared: Mapping[str, Any]) -> list[Problem]:
    """That the schema lacks a section which was declared: most likely its name is misspelt."""
    problems: list[Problem] = []
    for name in declared:
        if name in SECTIONS:
            continue
        problems.append(
            Problem(
                where=name,
                message=f"the schema has no section {name!r}; it is kept as it is",
                severity="warning",
                code="unknown-field",
            )
        )
    return problems


def _with_head(document: Document, now: datetime) -> Document:
    """The passport with its head, its sections in the schema's order, and then all others."""
    document |= {"schema_version": SCHEMA, "generated_by": GENERATED_BY, "generated_at": utc(now)}
    known = {name: document[name] for name in SECTIONS if name in document}
    # A name that is there already keeps its place.
    return known | document


def _without_moment(document: Document) -> Document:
    """The passport without when and in which commit's repository it was made: what is left is the
    same where nothing changed.
    """
    bare = {**document, "generated_at": ""}
    for section, prefix in (("provenance", "provenance."), (SOURCES, "")):
        fields = bare.get(section)
        if isinstance(fields, dict):
            bare[section] = {
                name: value for name, value in fields.items() if prefix + name not in CREATION
            }
    return bare
