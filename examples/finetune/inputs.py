"""The inputs of a training: config.json, datasets and checkpoints. An error says what is wrong,
where, and how to fix it.
"""

import json
import re
import zipfile
from pathlib import Path
from typing import Annotated

import msgspec
from safetensors import SafetensorError, safe_open

LONGEST = 500  # bytes in a row: prompt and golden answer
FEWEST = 5  # rows in a dataset: every fifth one is for validation
PARTS = (
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
)  # zip files, which are complete only once their table of contents is written at the end

Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class InputError(Exception):
    """The user's input is invalid; the message is shown to the user."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings in config.json. The steps of the two tiers have no default."""

    log_steps: Count
    eval_steps: Count
    save_steps: Count = 100
    steps: Count = 800
    generation_timeout_s: Positive = 60
    max_new_tokens: Count = 64
    batch_size: Count = 8
    learning_rate: Positive = 1.5e-3
    seed: int = 7
    threads: Count = 1
    hidden_size: Count = 64
    layers: Count = 2
    compare_pairs: Count = 6


class Row(msgspec.Struct, frozen=True):
    """A prompt and its golden answer. `endless`: generating an answer to it never ends."""

    prompt: str
    golden: str
    endless: bool = False


def without_comments(text: str) -> str:
    """Replace `// …` outside of strings by spaces, so that the positions in errors stay right."""
    return re.sub(
        r'("(?:\\.|[^"\\\n])*")|//[^\n]*',
        lambda found: found[1] if found[1] else " " * len(found[0]),
        text,
    )


def read_config(path: Path) -> Config:
    """Read config.json.

    Raises:
        InputError: the file is missing, is not JSON, or has an invalid setting.
    """
    try:
        text = without_comments(path.read_text(encoding="utf-8"))
        return msgspec.convert(json.loads(text), Config)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {error}. Name another one: --config FILE"
        ) from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno}, column {error.colno}: {error.msg}. "
            "It is JSON, with // comments allowed: "
            "a comma between two settings, none after the last"
        ) from None
    except msgspec.ValidationError as error:
        names = ", ".join(Config.__struct_fields__)
        raise InputError(f"{path}: {error}. The settings are {names}") from None


def read_rows(path: Path, *, called: str = "") -> list[Row]:
    """A dataset: JSON lines with `prompt` and `golden`. `called` is its name, where that is not the
    file's.

    Raises:
        InputError: a line is none of that, or there are too few.
    """
    rows, called = [], called or path.name
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line, type=Row)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(
                f'{called}, line {number}: {error}. A line is {{"prompt": "…", "golden": "…"}}'
            ) from None
        size = len(row.prompt.encode()) + len(row.golden.encode())
        if not row.golden or size > LONGEST:
            what = (
                f"{size:,} bytes, and at most {LONGEST} fit"
                if row.golden
                else "the golden answer is empty"
            )
            raise InputError(f"{called}, line {number}: {what}")
        rows.append(row)
    if len(rows) < FEWEST:
        raise InputError(f"{called}: {len(rows)} rows, and at least {FEWEST} are needed")
    return rows


def last_checkpoint(folder: Path) -> Path | None:
    """The last complete checkpoint in the folder; None if there is none. A checkpoint that was
    being written when the training was killed does not count.
    """
    found = [
        path
        for path in folder.glob("checkpoint-*")
        if path.name.removeprefix("checkpoint-").isdigit()
    ]
    return next(
        (path for path in sorted(found, key=step_of, reverse=True) if is_complete(path)), None
    )


def step_of(checkpoint: Path | None) -> int:
    """The training step after which the checkpoint was saved; 0 for no checkpoint."""
    return int(checkpoint.name.removeprefix("checkpoint-")) if checkpoint else 0


def is_complete(checkpoint: Path) -> bool:
    """Whether each checkpoint file is complete. The Trainer writes trainer_state.json last."""
    try:
        state = json.loads((checkpoint / "trainer_state.json").read_bytes())
        with safe_open(
            checkpoint / "model.safetensors", framework="np"
        ):  # checks its header against the file's size
            pass
        return state["global_step"] == step_of(checkpoint) and all(
            zipfile.is_zipfile(checkpoint / name) for name in PARTS
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return False
