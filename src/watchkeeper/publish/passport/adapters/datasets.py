"""The data that a configuration names, whoever's configuration it is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from watchkeeper.publish.passport.adapters.checkpoint import text

_NAMES = ("dataset", "datasets", "data", "data_files", "train_data", "repo_id")
_REPO = ("repo_id", "repo", "name", "path", "source", "data_files")
_COMMIT = ("revision", "commit", "commit_hash")
_VERSION = ("version", "dataset_version")


def named_in(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The datasets of a configuration, as the passport lists them; []: it names none.

    A dataset is a text, or a mapping with its name and its revision; a list holds several.
    `{"dataset": "org/data", "dataset_revision": "3f2a…"}` gives
    `[{"repo": "org/data", "commit": "3f2a…"}]`.
    """
    entries: list[dict[str, Any]] = []
    for name in _NAMES:
        entries += _entries(config, name)
    return entries


def _entries(config: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """The datasets in one field of a configuration: a text, a mapping, or a list of these. Anything
    else names none.
    """
    value = config.get(name)
    values = value if isinstance(value, list) else [value]
    for one in values:
        if isinstance(one, Mapping):
            yield from _of_mapping(one)
        elif text(one) is not None:
            yield {"repo": one, "commit": _revision_beside(config, name)}


def _of_mapping(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The dataset that a mapping describes; nothing where it has no name."""
    repo = _first(value, _REPO)
    if repo is None:
        return
    entry = {"repo": repo, "commit": _first(value, _COMMIT)}
    version = _first(value, _VERSION)
    if version is not None:
        entry["version"] = version
    yield entry


def _revision_beside(config: Mapping[str, Any], name: str) -> str | None:
    """The revision in a key of its own: `dataset_revision` beside `dataset`."""
    stem = name.removesuffix("s").removesuffix("_id")
    return _first(config, tuple(f"{stem}_{word}" for word in _COMMIT))


def _first(value: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of these members that is a text; None: none of them is."""
    for name in names:
        found = text(value.get(name))
        if found is not None:
            return found
    return None
