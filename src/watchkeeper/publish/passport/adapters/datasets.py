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
    """The datasets of a configuration, as the passport lists them; []: it names none. A dataset is
    a text, or a mapping with its name and its revision; a list holds several.
    """
    return [entry for name in _NAMES for entry in _entries(config, name)]


def _entries(config: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    value = config.get(name)
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, Mapping):
            yield from _of_mapping(one)
        elif text(one) is not None:
            yield {"repo": one, "commit": _revision_beside(config, name)}


def _of_mapping(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    repo = _first(value, _REPO)
    if repo is not None:
        version = _first(value, _VERSION)
        entry = {"repo": repo, "commit": _first(value, _COMMIT)}
        yield entry if version is None else {**entry, "version": version}


def _revision_beside(config: Mapping[str, Any], name: str) -> str | None:
    """The revision in a key of its own: `dataset_revision` beside `dataset`."""
    stem = name.removesuffix("s").removesuffix("_id")
    return _first(config, tuple(f"{stem}_{word}" for word in _COMMIT))


def _first(value: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    texts = (text(value.get(name)) for name in names)
    return next((one for one in texts if one is not None), None)
