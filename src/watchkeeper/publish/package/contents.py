"""Which files of a checkpoint go into a package, and where they lie in it.

It is an allow-list: weights, the files of a tokenizer, and texts. The trainer's own state stays
behind unless it is asked for, and so does whatever is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.publish import names
from watchkeeper.publish.checks import Check
from watchkeeper.publish.manifest.files import list_files
from watchkeeper.publish.package import layout

Kind = Literal["weights", "vocabulary", "binary", "text"]

_TEXTS = frozenset({
    ".cfg", ".csv", ".ini", ".jinja", ".json", ".md", ".py", ".toml", ".txt", ".yaml", ".yml",
})  # fmt: skip
_BINARIES = frozenset({".jpeg", ".jpg", ".model", ".png", ".spm", ".npy"})
# What a tokenizer knows: any word can be in it, a host's name among them.
_VOCABULARIES = frozenset({
    "added_tokens.json", "merges.txt", "special_tokens_map.json", "tokenizer.json", "vocab.json",
    "vocab.txt",
})  # fmt: skip
_NEVER = frozenset({"wandb_id.txt", "trainer_state.json"})
_TRAINERS = "the trainer's own state"
_UNKNOWN = "no known part of a model"
_HIDDEN = "a hidden file"
_RECORD = "a record of the run"


class Item(msgspec.Struct, frozen=True):
    """A file of the checkpoint: `source` is its path there, `path` the one in the package."""

    source: str
    path: str
    size_bytes: int
    kind: Kind


class LeftOut(msgspec.Struct, frozen=True):
    """A file of the checkpoint that stays behind, and why."""

    path: str
    size_bytes: int
    why: str


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """The files that go into a package, and those that stay behind."""

    items: tuple[Item, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def size_bytes(self) -> int:
        """The bytes of the files that go in."""
        return sum(item.size_bytes for item in self.items)

    @property
    def moved(self) -> dict[str, str]:
        """Path in the checkpoint → path in the package."""
        return {item.source: item.path for item in self.items}


class BadCheckpointError(UsageError):
    """A checkpoint that no package can be made of; `checks` say what is wrong with its files."""

    code = "bad-checkpoint"

    def __init__(self, message: str, checks: tuple[Check, ...] = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.checks = checks


def choose(root: Path, step: str, *, with_optimizer: bool = False) -> Contents:
    """The files of the checkpoint in `root`, none of them read.

    `step` is the name of the folder that they get, the training step as a rule. `with_optimizer`:
    the trainer's own state goes in too. Documents of the checkpoint do not: the package gets its
    own.

    Raises:
        BadCheckpointError: it is no folder, holds no weights, or a file that cannot be packed.
    """
    listed, checks = list_files(root)
    if checks:
        first = checks[0]
        raise BadCheckpointError(
            f"{root}: {first.where}: {first.message}", tuple(checks), hint=first.hint
        )
    is_merged = _is_merged(listed.files)
    items: list[Item] = []
    left_out: list[LeftOut] = []
    for path, size_bytes in listed.sizes.items():
        if names.is_document(path):
            continue
        why = _refusal(path, with_optimizer=with_optimizer)
        if why:
            left_out.append(LeftOut(path, size_bytes, why))
            continue
        place = f"{layout.folder_of(step, _folder(path, is_merged=is_merged))}/{path}"
        items.append(Item(path, place, size_bytes, kind_of(path)))
    _refuse_empty(root, items, left_out)
    return Contents(items=tuple(items), left_out=tuple(left_out))


def kind_of(path: str) -> Kind:
    """What a file is, by its name. A file that is none of these counts as text."""
    place = PurePosixPath(path)
    if names.is_weights(path) or layout.is_of_trainer(path):
        return "weights"
    if place.name in _VOCABULARIES or place.suffix == ".tiktoken":
        return "vocabulary"
    if place.suffix.lower() in _BINARIES:
        return "binary"
    return "text"


def _refusal(path: str, *, with_optimizer: bool) -> str:
    """Why a file stays behind; "": it goes in."""
    place = PurePosixPath(path)
    if any(part.startswith(".") for part in place.parts):
        return _HIDDEN
    if place.name in _NEVER:
        return _RECORD
    if layout.is_of_trainer(path):
        if with_optimizer:
            return ""
        return _TRAINERS
    if kind_of(path) == "text" and place.suffix.lower() not in _TEXTS:
        return _UNKNOWN
    return ""


def _folder(path: str, *, is_merged: bool) -> str:
    """The folder of a file. An adapter beside whole weights gets its own: a library that sees both
    applies it a second time.
    """
    if layout.is_of_trainer(path):
        return layout.TRAINER
    if is_merged and layout.is_adapter(path):
        return layout.ADAPTER
    return layout.PARAMS


def _is_merged(paths: tuple[str, ...]) -> bool:
    """Whether whole weights lie beside an adapter's, as torchtune writes them."""
    weights = [path for path in paths if _is_model(path)]
    return {layout.is_adapter(path) for path in weights} == {True, False}


def _is_model(path: str) -> bool:
    """Whether a file holds weights of the model or of an adapter, and not the state of
    its trainer.
    """
    return names.is_weights(path) and not layout.is_of_trainer(path)


def _refuse_empty(root: Path, items: list[Item], left_out: list[LeftOut]) -> None:
    """Refuse a checkpoint without weights.

    Raises:
        BadCheckpointError: it holds none. What a trainer keeps to continue is not a model that
            anybody else could load.
    """
    if any(_is_model(item.source) for item in items):
        return
    hint = "name the folder that holds the weights"
    if any(one.why == _TRAINERS for one in left_out):
        hint = "it holds only what its trainer needs to continue: export the weights first"
    raise BadCheckpointError(f"{root} holds no weights of a model", hint=hint)


def totals(left_out: tuple[LeftOut, ...]) -> Iterator[tuple[str, int, int]]:
    """For each reason: how many files stay behind, and their bytes."""
    sizes: dict[str, list[int]] = {}
    for one in left_out:
        sizes.setdefault(one.why, []).append(one.size_bytes)
    for why, of_reason in sizes.items():
        yield why, len(of_reason), sum(of_reason)
