"""What somebody declares of a checkpoint, in a JSON or TOML file."""

from __future__ import annotations

import math
import tomllib
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from watchkeeper.core.disk.files import read_whole
from watchkeeper.publish.documents import DocumentError, read_document

MOST_DECLARED_BYTES = 16 * 2**20


def read_declared(path: Path) -> dict[str, Any]:
    """The fields in a file, as nested mappings. The times of TOML become texts.

        [input_contract.language]
        tokenizer_class = "LlamaTokenizer"

    declares `input_contract.language.tokenizer_class`.

    Raises:
        UsageError: it is neither JSON nor TOML, or holds NaN or an infinite number.
        OSError: it cannot be read.
    """
    if path.suffix.lower() != ".toml":
        return read_document(path, MOST_DECLARED_BYTES)
    try:
        values = tomllib.loads(read_whole(path, MOST_DECLARED_BYTES).decode())
        return {name: _plain(value) for name, value in values.items()}
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{path} is not TOML: {error}") from error


def _plain(value: Any) -> Any:
    """A value of TOML as JSON has it: `2026-01-02` becomes a text.

    Raises:
        ValueError: it is NaN or infinite, which TOML can write and JSON cannot.
    """
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number of JSON")
    return value
