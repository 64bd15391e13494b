r"""The passport as nested mappings, and where each of its fields comes from. Pure.

A field is a leaf: a value, a list as a whole, or an empty mapping. Its name is its path,
`model_identity.class_name`; a dot or a backslash inside a key is written `\.` and `\\`. The mapping
`field_sources` beside the fields marks each of them:

    observed   read from the checkpoint's own bytes, from the run's journal, or measured
    inferred   concluded from what was read; it may be wrong
    declared   somebody's word; a renewed passport keeps it
    absent     a usual field for which there is no value

A field without a mark was written by a person or another program. It counts as declared.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

SCHEMA = "0.2"
SOURCES = "field_sources"

Source = Literal["observed", "declared", "inferred", "absent"]
Document = dict[str, Any]

USUAL_FIELDS = (
    "stack",
    "input_contract.images",
    "input_contract.state",
    "input_contract.actions",
    "input_contract.language",
    "input_contract.temporal",
    "input_contract.training_datasets",
    "model_identity.class_name",
    "model_identity.class_module",
    "model_identity.config_architectures",
    "model_identity.library_versions",
    "model_identity.runtime_constraints",
    "model_identity.python_version",
    "model_identity.cuda_version",
    "model_internals.module_hierarchy",
    "model_internals.parameters.summary",
    "model_internals.buffers",
    "model_internals.state_dict.expected_keys_count",
    "model_internals.state_dict.found_keys_count",
    "model_internals.state_dict.missing_keys",
    "model_internals.state_dict.unexpected_keys",
    "model_internals.pretrained_provenance",
    "model_internals.quantization",
    "model_internals.forward_graph",
    "model_internals.numerical_health",
    "output_spec.actions",
    "output_spec.auxiliary_outputs",
    "output_spec.inference_parameters",
    "output_spec.post_processing",
    "output_spec.smoke_results",
    "weight_integrity.weight_files",
    "weight_integrity.manifest_hash",
    "provenance.run_log_path",
    "provenance.training_repo",
    "provenance.training_repo_commit",
    "provenance.passport_creation_repo",
    "provenance.passport_creation_repo_commit",
    "provenance.config_snapshot_path",
    "provenance.merged_config_sha256",
    "provenance.parent_checkpoint",
    "provenance.journal_chain",
    "transform_pipeline",
    "reference_test_vector",
    "norm_round_trip_results",
    "known_issues",
)
"""The fields of the schema that are marked `absent` where nothing says them."""

MEASURED = (
    "schema_version",
    "generated_by",
    "generated_at",
    SOURCES,
    "weight_integrity.weight_files",
    "weight_integrity.manifest_hash",
    "model_internals.state_dict.found_keys_count",
)
"""What nobody can declare: it is measured each time, or written by the program alone."""

COUNTED = (
    "model_internals.parameters.summary.total_params",
    "model_internals.parameters.summary.total_bytes",
    "model_internals.parameters.summary.dtype_breakdown",
    "model_internals.numerical_health.scanned_tensors",
    "model_internals.numerical_health.nan_count",
    "model_internals.numerical_health.inf_count",
    "model_internals.numerical_health.tensors_amiss",
    "model_internals.numerical_health.not_scanned",
)
"""What nobody's word outweighs once it is observed; until then it can be declared."""

_IDENTITIES = ("path", "key", "id", "repo", "name")
_DOT = re.compile(r"(?<!\\)((?:\\\\)*)\.")


class Fact(NamedTuple):
    """A field's value and where it comes from."""

    value: Any
    source: Source


Facts = dict[str, Fact]
"""Facts by the path of their field."""


def path_of(keys: Sequence[str]) -> str:
    r"""The path of nested keys, with the dots and backslashes inside them escaped.

    `["library_versions", "torch"]` → `library_versions.torch`, `["a.b"]` → `a\.b`.
    """
    escaped = [key.replace("\\", "\\\\").replace(".", "\\.") for key in keys]
    return ".".join(escaped)


def keys_of(path: str) -> list[str]:
    """The nested keys of a path; the reverse of `path_of` for one or more keys."""
    # A dot is escaped by an odd number of backslashes: an even number are backslashes themselves.
    marked = _DOT.sub("\\1\0", path)
    return [re.sub(r"\\(.)", r"\1", key) for key in marked.split("\0")]


def leaves(document: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Each field's path and value, in the document's order. `above` are the keys that lead to
    `document`, () for a whole passport.

    `{"stack": "peft", "images": [], "state": {}}` has the fields `stack`, `images` and `state`: an
    empty mapping is a field. The marks (`field_sources`) are none.
    """
    for key, value in document.items():
        if not above and key == SOURCES:
            continue
        if isinstance(value, dict) and value:
            yield from leaves(value, (*above, key))
        else:
            yield path_of((*above, key)), value


def get(document: Mapping[str, Any], path: str) -> Any:
    """The value at a path: a leaf, or a mapping of fields; None where there is none.

    None is also the value of a field that holds null: nothing is known of such a field.
    """
    value: Any = document
    for key in keys_of(path):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def put(document: Document, path: str, value: Any) -> None:
    """Set the value at a path, and make the mappings above it.

    What stands in the way of a mapping is replaced by one. An empty mapping as the value removes no
    field that is there.
    """
    *above, last = keys_of(path)
    place = document
    for key in above:
        inner = place.get(key)
        if not isinstance(inner, dict):
            inner = place[key] = {}
        place = inner
    if value == {} and isinstance(place.get(last), dict):
        return
    place[last] = value


def source_of(document: Mapping[str, Any], path: str) -> Source:
    """The mark of a field; `declared` for one that has a value and no mark, `absent` for none.

    So a field that a person added by hand counts as that person's word.
    """
    if get(document, path) is None:
        return "absent"
    return _mark(document, path) or "declared"


def facts_of(document: Mapping[str, Any], unmarked: Source = "declared") -> Facts:
    """The fields of a document with their marks, by path; those without one get `unmarked`."""
    facts: Facts = {}
    for path, value in leaves(document):
        facts[path] = Fact(value, _mark(document, path) or unmarked)
    return facts


def _mark(document: Mapping[str, Any], path: str) -> Source | None:
    """The mark of a field that has a value; None: it has none that the format knows."""
    marks = document.get(SOURCES)
    if not isinstance(marks, dict):
        return None
    mark = marks.get(path)
    if mark in ("observed", "declared", "inferred"):
        known: Source = mark
        return known
    return None


def declared_in(document: Mapping[str, Any]) -> Facts:
    """The fields that a renewed passport keeps: declared ones, and those without a mark.

    What is measured each time (`MEASURED`) is not among them, whatever its mark says.
    """
    declared: Facts = {}
    for path, fact in facts_of(document).items():
        if fact.source == "declared" and path not in MEASURED:
            declared[path] = fact
    return declared


def compose(
    old: Mapping[str, Any], facts: Mapping[str, Fact], declared: Mapping[str, Fact] | None = None
) -> Document:
    """A passport of these facts, marks included.

    What was declared in the old one (`{}`: there is none) stays as it is, also against what is
    observed now, unless it is `declared` anew, where None takes it back. Of lists with named
    entries, what is not known here stays in each entry. The fields are in the old passport's order,
    new ones behind them, so that a renewed passport differs only where something changed.
    """
    kept = _kept_words(old, facts, declared or {})
    composed: Document = {}
    marks: dict[str, str] = {}
    merged = {**_beside(_of_leaves(facts), kept), **kept}
    for path in _in_order(old, merged):
        value, mark = merged[path]
        if path not in kept:
            value = with_unknown_keys(get(old, path), value)
        put(composed, path, copy.deepcopy(value))
        marks[path] = mark
    for path in USUAL_FIELDS:
        if get(composed, path) is None:
            marks[path] = "absent"
    # What describes the document itself (its version, its time, its marks) has no source.
    composed[SOURCES] = {path: marks[path] for path in marks if path not in MEASURED[:4]}
    return composed


def _kept_words(
    old: Mapping[str, Any], facts: Mapping[str, Fact], declared: Mapping[str, Fact]
) -> Facts:
    """Somebody's words that the new passport holds: those of the old one, and over them the new
    ones. Left out is what was counted in the weights, and what is taken back.

    Where a new word and an old one cannot both stand (`images` as a list, and `images.shape`), the
    new one does.
    """
    words = {path: fact for path, fact in declared.items() if not outdone(path, facts)}
    before: Facts = {}
    for path, fact in declared_in(old).items():
        if path not in words and not outdone(path, facts):
            before[path] = fact
    kept = _beside(before, words)
    for path, fact in words.items():
        if fact.value is not None:
            kept[path] = fact
    return kept


def outdone(path: str, facts: Mapping[str, Fact]) -> bool:
    """Whether a field is one of `COUNTED`, or lies in one, that the facts have observed.

    Nobody can declare that a model has another number of parameters than its files hold.
    """
    for counted in COUNTED:
        is_within = path == counted or path.startswith(f"{counted}.")
        if not is_within or counted not in facts:
            continue
        if facts[counted].source == "observed":
            return True
    return False


def _of_leaves(facts: Mapping[str, Fact]) -> Facts:
    """The facts with a mapping as their value as one for each field in it.

    `parameters: {"total": 8, "bytes": 16}` becomes `parameters.total` and `parameters.bytes`.
    """
    spread: Facts = {}
    for path, (value, source) in facts.items():
        if isinstance(value, dict) and value:
            inner = leaves(value, tuple(keys_of(path)))
            spread.update({below: Fact(field, source) for below, field in inner})
        else:
            spread[path] = Fact(value, source)
    return spread


def _beside(facts: Mapping[str, Fact], kept: Mapping[str, Fact]) -> Facts:
    """The facts that leave every kept field in place: none lies inside one, and none replaces the
    mapping around one.
    """
    around: set[str] = set()
    for path in kept:
        around.update(_above(path))
    beside: Facts = {}
    for path, fact in facts.items():
        is_inside = not kept.keys().isdisjoint(_above(path))
        if path not in around and not is_inside:
            beside[path] = fact
    return beside


def _above(path: str) -> list[str]:
    """The paths of the mappings that a field lies in: of `a.b.c` they are `a` and `a.b`."""
    keys = keys_of(path)
    return [path_of(keys[:end]) for end in range(1, len(keys))]


def _in_order(old: Mapping[str, Any], facts: Mapping[str, Fact]) -> list[str]:
    """The paths as the old passport has them, then those that are new, each once."""
    before = [path for path, _ in leaves(old) if path in facts]
    return list(dict.fromkeys([*before, *facts]))


def with_unknown_keys(old: Any, new: Any) -> Any:
    """A new list of mappings, each with the keys that only its entry in the old list has.

    Entries are the same by path, key, id, repo or name. So a note that somebody wrote beside
    `{"path": "model.safetensors", …}` outlives the next passport. What is no list is returned as it
    is.
    """
    if not isinstance(old, list) or not isinstance(new, list):
        return new
    before = {_identity(entry): entry for entry in old}
    before.pop(None, None)
    return [_joined(before.get(_identity(entry)), entry) for entry in new]


def _joined(old: Any, new: Any) -> Any:
    """Two entries as one, where both are mappings; the new value of a key wins.

    Else the new entry takes the old one's place.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **new}
    return new


def _identity(entry: Any) -> tuple[str, str] | None:
    """What an entry of a list is called, with the key that says so; None where nothing does.

    `{"path": "a.bin", "sha256": …}` → `("path", "a.bin")`. The first of path, key, id, repo and
    name that is a text counts.
    """
    if not isinstance(entry, dict):
        return None
    for key in _IDENTITIES:
        if isinstance(entry.get(key), str):
            return key, entry[key]
    return None
