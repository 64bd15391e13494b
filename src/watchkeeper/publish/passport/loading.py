"""`wk.load_passport`: what an evaluation script needs of a passport, with types."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.publish import names
from watchkeeper.publish.documents import read_document
from watchkeeper.publish.passport.document import SCHEMA, Source, get, source_of

T = TypeVar("T")

Fields = dict[str, Any]


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """One image that the model is fed. `raw_shape` is channels, height, width; `encoder_resize` is
    height, width; `value_range` the smallest and the largest value. None and "": the passport does
    not say. `other` are its further fields.
    """

    key: str = ""
    aliases: tuple[str, ...] = ()
    raw_shape: tuple[int, ...] | None = None
    encoder_resize: tuple[int, ...] | None = None
    color_order: Literal["RGB", "BGR", ""] = ""
    channel_layout: Literal["CHW", "HWC", ""] = ""
    dtype: str = ""
    value_range: tuple[float, float] | None = None
    normalization: Fields = {}
    other: Fields = {}


class Vector(msgspec.Struct, frozen=True, kw_only=True):
    """The state that the model is fed, or the actions that it gives. `total_dim` is how many
    numbers, `horizon` how many steps ahead; None: the passport does not say. `other` are its
    further fields.
    """

    total_dim: int | None = None
    horizon: int | None = None
    sub_keys: list[Any] = []
    norm_mask: tuple[bool, ...] | None = None
    normalization: Fields = {}
    other: Fields = {}


class Language(msgspec.Struct, frozen=True, kw_only=True):
    """The text that the model is fed. `max_sequence_length` is in tokens; None and "": the passport
    does not say. `other` are its further fields.
    """

    tokenizer_class: str = ""
    tokenizer_version: str = ""
    max_sequence_length: int | None = None
    vocab_size: int | None = None
    default_prompt: str | None = None
    training_prompts: Fields = {}
    other: Fields = {}


class InputContract(msgspec.Struct, frozen=True, kw_only=True):
    """How the model is fed. A part that the model does not take is None, or () for images. `fields`
    is the whole contract as the passport has it, unknown fields included.
    """

    images: tuple[Image, ...] = ()
    state: Vector | None = None
    actions: Vector | None = None
    language: Language | None = None
    temporal: Fields = {}
    training_datasets: tuple[Fields, ...] = ()
    fields: Fields = {}


class Passport:
    """A checkpoint's MODEL_PASSPORT.json, as `wk.load_passport` returns it.

    Reading it proves nothing: `watchkeeper checkpoint validate` says whether the weights are those
    of the passport, and who vouched for it.
    """

    def __init__(self, path: Path, document: Fields) -> None:
        self._path = path
        self._document = document
        self._contract = _contract_of(path, document)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def document(self) -> Fields:
        """The whole passport, as nested mappings."""
        return self._document

    @property
    def input_contract(self) -> InputContract:
        """How the model is fed."""
        return self._contract

    @property
    def stack(self) -> str:
        """What the checkpoint was made with, such as `transformers`; "": it does not say."""
        return str(self.get("stack") or "")

    @property
    def class_name(self) -> str:
        """The class of the model; "": it does not say."""
        return str(self.get("model_identity.class_name") or "")

    def get(self, field: str) -> Any:
        """The value of a field by its path, such as `output_spec.inference_parameters`; None where
        there is none.
        """
        return get(self._document, field)

    def source(self, field: str) -> Source:
        """Where a field comes from: `observed`, `declared`, `inferred` or `absent`."""
        return source_of(self._document, field)


def load_passport(path: str | os.PathLike[str]) -> Passport:
    """Read a passport: `path` is the checkpoint's folder, or the file.

    Raises:
        UsageError: there is none, it cannot be read, it is of another schema version, or a field of
            the input contract is of another type.
    """
    place = Path(path)
    if place.is_dir():
        place /= names.PASSPORT
    try:
        document = read_document(place)
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no {place}",
            hint=f"make it: watchkeeper checkpoint passport {place.parent}",
            code="no-passport",
        ) from error
    except OSError as error:
        raise UsageError(f"{place}: {error.strerror or error}", code="bad-file") from error
    version = document.get("schema_version")
    if version != SCHEMA:
        raise UsageError(
            f"{place} has schema version {str(version)[:40]!r}; {SCHEMA!r} is read here",
            hint="use the version of Watchkeeper that wrote it",
            code="other-schema",
        )
    return Passport(place, document)


def _contract_of(path: Path, document: Fields) -> InputContract:
    """The contract of the input, part by part. `path` is the passport's, for errors.

    Raises:
        UsageError: a part is of another type than the schema says.
    """
    fields = document.get("input_contract") or {}
    if not isinstance(fields, dict):
        raise _wrong(path, "input_contract", "it is no object")
    images = fields.get("images") or []
    if not isinstance(images, list):
        raise _wrong(path, "input_contract.images", "it is no list")
    datasets = fields.get("training_datasets") or []
    return InputContract(
        images=tuple(_part(path, f"images[{at}]", image, Image) for at, image in enumerate(images)),
        state=_part_if_any(path, "state", fields, Vector),
        actions=_part_if_any(path, "actions", fields, Vector),
        language=_part_if_any(path, "language", fields, Language),
        temporal=_converted(path, "temporal", fields.get("temporal") or {}, Fields),
        training_datasets=_converted(path, "training_datasets", datasets, tuple[Fields, ...]),
        fields=fields,
    )


def _part_if_any(path: Path, name: str, fields: Fields, kind: type[T]) -> T | None:
    """A part of the contract; None where the model does not take it."""
    if not fields.get(name):
        return None
    return _part(path, name, fields[name], kind)


def _part(path: Path, name: str, value: Any, kind: type[T]) -> T:
    """A part of the contract; null counts as not said. Keys that the type does not have are kept in
    its `other`.
    """
    if not isinstance(value, dict):
        raise _wrong(path, f"input_contract.{name}", "it is no object")
    known = {field.name for field in msgspec.structs.fields(kind)} - {"other"}  # type: ignore[arg-type]
    said: Fields = {}
    other: Fields = {}
    for key, inner in value.items():
        if key not in known:
            other[key] = inner
        elif inner is not None:
            said[key] = inner
    part: T = _converted(path, name, {**said, "other": other}, kind)
    return part


def _converted(path: Path, name: str, value: Any, kind: Any) -> Any:
    """A value as a type of the contract has it: lists of JSON as tuples, whole numbers as floats.

    Raises:
        UsageError: it is of another type; the message names the field.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _wrong(path, f"input_contract.{name}", str(error)) from error


def _wrong(path: Path, field: str, why: str) -> UsageError:
    return UsageError(f"{path}: {field}: {why}", code="bad-file")
