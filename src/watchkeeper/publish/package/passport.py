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

    The fields of the origin are marked `observed`. A field that the checkpoint's passport has and
    the package cannot state, such as a configuration that stayed behind, becomes null.
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
    """A part of the passport with the package's paths; `key` is the name that it stands under.

    Paths stand under `path`, `source` and names that end in `_path`. The provenance speaks of the
    run's own folder, and its paths stay.
    """
    if isinstance(value, dict):
        parts: dict[str, Any] = {}
        for name, inner in value.items():
            stays = name in (_WHOLE, SOURCES)
            parts[name] = inner if stays else _moved(inner, moved, name)
        return parts
    if isinstance(value, list):
        kept = value
        if key in _LISTS:
            kept = [entry for entry in value if _is_packed(entry, moved)]
        return [_moved(entry, moved) for entry in kept]
    is_path = key in ("path", "source") or key.endswith("_path")
    if is_path and isinstance(value, str):
        return moved.get(value, value)
    return value


def _is_packed(entry: Any, moved: Mapping[str, str]) -> bool:
    """Whether an entry of a list of files is of one that went into the package."""
    if not isinstance(entry, dict):
        return True
    return entry.get("path") in moved


def model_of(document: Mapping[str, Any], name: str, paths: Mapping[str, str]) -> Model:
    """What a passport and the names of the packed files say of the model, for the card's metadata.

    `name` is the package's; `paths` are path in the checkpoint → path in the package. The base
    model and the data are named only where a commit pins them, "" and () else.
    """
    is_adapter = get(document, "model_internals.adapter.is_merged") is False
    assets = _entries(document, "model_internals.pretrained_provenance")
    datasets = _entries(document, "input_contract.training_datasets")
    return Model(
        name=name,
        library=_library(document, paths, is_adapter=is_adapter),
        class_name=str(get(document, "model_identity.class_name") or ""),
        base_model=next(iter(_pinned(assets, "name")), ""),
        datasets=_pinned(datasets, "repo"),
        tags=_tags(document, paths, is_adapter=is_adapter),
    )


def _library(document: Mapping[str, Any], paths: Mapping[str, str], *, is_adapter: bool) -> str:
    """The library that loads the package, which need not be the one that trained: torchtune writes
    what transformers reads. "": it is not known.
    """
    if is_adapter:
        return "peft"
    architectures = get(document, "model_identity.config_architectures")
    if architectures and "config.json" in paths:
        return "transformers"
    return str(get(document, "stack") or "")


def _entries(document: Mapping[str, Any], path: str) -> list[dict[str, Any]]:
    """The mappings in a list of the passport; [] where there is none."""
    value = get(document, path)
    if not isinstance(value, list):
        return []
    return [one for one in value if isinstance(one, dict)]


def _pinned(entries: list[dict[str, Any]], field: str) -> tuple[str, ...]:
    """The repositories of the Hub among the entries: those that a commit pins. A name alone may be
    a folder, and a hash is of a file.
    """
    repos: list[str] = []
    for entry in entries:
        name = str(entry.get(field) or "")
        if is_pinned({**entry, "sha256": None}) and is_repo(name):
            repos.append(name)
    return tuple(repos)


def _tags(
    document: Mapping[str, Any], paths: Mapping[str, str], *, is_adapter: bool
) -> tuple[str, ...]:
    """The tags of the model's page: the kind of adapter, the formats, what it was trained with."""
    tags = []
    if is_adapter or get(document, "model_internals.adapter.rank"):
        tags.append(str(get(document, "model_internals.adapter.type") or "adapter").lower())
    for suffix, tag in ((".safetensors", "safetensors"), (".gguf", "gguf")):
        if any(path.endswith(suffix) for path in paths):
            tags.append(tag)
    stack = get(document, "stack")
    if stack:
        tags.append(str(stack))
    return tuple(tags)


def commits_of(document: Mapping[str, Any]) -> set[str]:
    """The commits that a passport names: forty digits that are one of these are no token.

    They stand in the fields of its provenance whose name ends in `commit`.
    """
    origin = get(document, "provenance")
    if not isinstance(origin, dict):
        return set()
    commits: set[str] = set()
    for name, value in origin.items():
        if name.endswith("commit") and isinstance(value, str) and git.is_sha(value):
            commits.add(value)
    return commits


def facts_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Lines about the model for its card: name → value, of what the passport knows.

    `{"parameters": "1,498,112", "types of the weights": "BF16", …}`; what it does not know has no
    line.
    """
    counts = _mapping(document, "model_internals.parameters.summary")
    types = counts.get("dtype_breakdown")
    length = _count(_mapping(document, "input_contract.language").get("max_sequence_length"))
    lines = {
        "parameters": _count(counts.get("total_params")),
        "types of the weights": ", ".join(types) if isinstance(types, dict) else "",
        "longest input": f"{length} tokens" if length else "",
        "trained with": _versions(get(document, "model_identity.library_versions")),
        "commit of the training code": str(get(document, "provenance.training_repo_commit") or ""),
        "known issues": _issues(document),
    }
    return {name: value for name, value in lines.items() if value}


def _mapping(document: Mapping[str, Any], path: str) -> dict[str, Any]:
    """A mapping of the passport; {} where there is none, or something else."""
    value = get(document, path)
    if not isinstance(value, dict):
        return {}
    return value


def _count(value: object) -> str:
    """A whole number with commas; "" for anything else."""
    if type(value) is not int:
        return ""
    return f"{value:,}"


def _versions(versions: object) -> str:
    """The libraries of the training: `torch 2.5.1, transformers 4.46.0`; "" where none is known."""
    if not isinstance(versions, dict):
        return ""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _issues(document: Mapping[str, Any]) -> str:
    """What is known to be wrong with the model, in the words of the passport; "" for nothing."""
    issues = _entries(document, "known_issues")
    return "; ".join(str(one.get("description") or one.get("id") or "") for one in issues)
