"""The package's own passport: the checkpoint's, with the paths of the package and nothing private.

It keeps what leads back: the hash of the passport that it was made from, and the heads of the
journals.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from watchkeeper.core.code import git
from watchkeeper.publish import names
from watchkeeper.publish.documents import GENERATED_BY
from watchkeeper.publish.manifest.document import utc
from watchkeeper.publish.package import layout
from watchkeeper.publish.package.pages.hub import Model, is_repo
from watchkeeper.publish.passport.document import SOURCES, get, put
from watchkeeper.publish.passport.rules.model_internals import is_pinned

_LISTS = ("weight_files", "tokenizer_files", "stats_files")
_WHOLE = "provenance"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a package comes from, as its passport says: the hash of the passport that it was made
    from ("": there was none), the heads of the journals in its events (None: none), and the public
    addresses that its texts may name.
    """

    passport_sha256: str = ""
    journal_chain: Mapping[str, Any] | None = None
    public_links: tuple[str, ...] = ()
    has_config: bool = False


def repacked(
    document: Mapping[str, Any], moved: Mapping[str, str], origin: Origin, now: datetime
) -> dict[str, Any]:
    """The passport for a package into which files were `moved`: path in the checkpoint → path in
    the package. What is said of files that stayed behind is left out. `now` is an aware time.
    """
    made: dict[str, Any] = _moved(copy.deepcopy(dict(document)), moved)
    made |= {"generated_by": GENERATED_BY, "generated_at": utc(now)}
    fields: dict[str, Any] = {
        "provenance.run_log_path": names.TRAINING_LOG,
        "provenance.config_snapshot_path": layout.CONFIG if origin.has_config else None,
        "provenance.source_passport_sha256": origin.passport_sha256 or None,
        "provenance.public_links": list(origin.public_links) or None,
    }
    if not get(made, "provenance.journal_chain"):
        fields["provenance.journal_chain"] = origin.journal_chain
    marks = made.setdefault(SOURCES, {})
    for path, value in fields.items():
        if value is not None or get(made, path) is not None:
            put(made, path, value)
            marks[path] = "observed"
    return made


def _moved(value: Any, moved: Mapping[str, str], key: str = "") -> Any:
    """A part of the passport with the package's paths."""
    if isinstance(value, dict):
        return {
            name: inner if name in (_WHOLE, SOURCES) else _moved(inner, moved, name)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        kept = [entry for entry in value if key not in _LISTS or _is_packed(entry, moved)]
        return [_moved(entry, moved) for entry in kept]
    is_path = key in ("path", "source") or key.endswith("_path")
    if is_path and isinstance(value, str):
        return moved.get(value, value)
    return value


def _is_packed(entry: Any, moved: Mapping[str, str]) -> bool:
    return not isinstance(entry, dict) or entry.get("path") in moved


def model_of(document: Mapping[str, Any], name: str, paths: Mapping[str, str]) -> Model:
    """What a passport and the names of the packed files say of the model."""
    architectures = get(document, "model_identity.config_architectures")
    is_adapter = get(document, "model_internals.adapter.is_merged") is False
    library = str(get(document, "stack") or "")
    if is_adapter:
        library = "peft"
    elif architectures and "config.json" in paths:
        library = "transformers"
    assets = _entries(document, "model_internals.pretrained_provenance")
    datasets = _entries(document, "input_contract.training_datasets")
    return Model(
        name=name,
        library=library,
        class_name=str(get(document, "model_identity.class_name") or ""),
        base_model=next(iter(_pinned(assets, "name")), ""),
        datasets=_pinned(datasets, "repo"),
        tags=_tags(document, paths, is_adapter=is_adapter),
    )


def _entries(document: Mapping[str, Any], path: str) -> list[dict[str, Any]]:
    value = get(document, path)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _pinned(entries: list[dict[str, Any]], field: str) -> tuple[str, ...]:
    """The repositories of the Hub among the entries: those that a commit pins. A name alone may be
    a folder.
    """
    named = [str(one.get(field) or "") for one in entries if is_pinned({**one, "sha256": None})]
    return tuple(name for name in named if is_repo(name))


def _tags(
    document: Mapping[str, Any], paths: Mapping[str, str], *, is_adapter: bool
) -> tuple[str, ...]:
    tags = []
    if is_adapter or get(document, "model_internals.adapter.rank"):
        tags.append(str(get(document, "model_internals.adapter.type") or "adapter").lower())
    for suffix, tag in ((".safetensors", "safetensors"), (".gguf", "gguf")):
        if any(path.endswith(suffix) for path in paths):
            tags.append(tag)
    stack = get(document, "stack")
    return (*tags, str(stack)) if stack else tuple(tags)


def commits_of(document: Mapping[str, Any]) -> set[str]:
    """The commits that a passport names: forty digits that are one of these are no token."""
    origin = get(document, "provenance")
    fields = origin.items() if isinstance(origin, dict) else ()
    named = [value for name, value in fields if name.endswith("commit")]
    return {commit for commit in named if isinstance(commit, str) and git.is_sha(commit)}


def facts_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Lines about the model for its card: name → value, of what the passport knows."""
    summary = get(document, "model_internals.parameters.summary")
    counts = summary if isinstance(summary, dict) else {}
    types = counts.get("dtype_breakdown")
    language = get(document, "input_contract.language")
    length = language.get("max_sequence_length") if isinstance(language, dict) else None
    versions = get(document, "model_identity.library_versions")
    commit = get(document, "provenance.training_repo_commit")
    lines = {
        "parameters": _count(counts.get("total_params")),
        "types of the weights": ", ".join(types) if isinstance(types, dict) else "",
        "longest input": f"{_count(length)} tokens" if _count(length) else "",
        "trained with": _versions(versions),
        "commit of the training code": str(commit or ""),
        "known issues": _issues(document),
    }
    return {name: value for name, value in lines.items() if value}


def _count(value: object) -> str:
    return f"{value:,}" if type(value) is int else ""


def _versions(versions: object) -> str:
    if not isinstance(versions, dict):
        return ""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _issues(document: Mapping[str, Any]) -> str:
    issues = _entries(document, "known_issues")
    return "; ".join(str(one.get("description") or one.get("id") or "") for one in issues)
