"""The rows of the documents' text on passport, sign-off and validation, each on files that the
libraries themselves wrote.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.checkpoints import write_json
from watchkeeper.publish.passport.document import SOURCES
from watchkeeper.publish.passport.generate import SECTIONS
from watchkeeper.show.cli import main

# `llama` is transformers 5.23's save of a small model with its tokenizer, `lora` peft 0.21's of an
# adapter; `numbers.pt`, `.onnx`, `.gguf` and the others are those of the readers' own tests.
FILES = Path(__file__).parent / "files"
TENSORS = Path(__file__).parent / "passport" / "tensors" / "files"
NUMBERS = Path(__file__).parent / "passport" / "health" / "files"
COMMIT = "a" * 40
ORIGIN = {
    "provenance": {
        "training_repo_commit": COMMIT,
        "run_log_path": "run_logs/2026-03-11_train.md",
        "merged_config_sha256": "b" * 64,
    },
    "input_contract": {"training_datasets": [{"repo": "ours/words", "commit": COMMIT}]},
}


def wk(command: str, *words: object) -> tuple[int, dict[str, Any]]:
    """The exit code and the answer of a command on checkpoints."""
    done = CliRunner().invoke(main, ["checkpoint", command, *map(str, words), "--json"])
    return done.exit_code, json.loads(done.stdout)


def found(answer: dict[str, Any]) -> dict[str, str]:
    """The findings of an answer, code → severity."""
    return {problem["code"]: problem["severity"] for problem in answer["problems"]}


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    """A file with what the checkpoint's files do not say of its origin."""
    write_json(tmp_path / "declared.json", ORIGIN)
    return tmp_path / "declared.json"


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    """A language model as transformers saves it."""
    return Path(shutil.copytree(FILES / "llama", tmp_path / "llama"))


@pytest.fixture
def signed(llama: Path, declared: Path) -> Path:
    """The same, with manifest, passport and sign-off."""
    for words in (["manifest"], ["passport", "--declare", declared], ["sign"]):
        code, answer = wk(words[0], llama, *words[1:])
        assert code == 0, answer
    return llama


def test_a_checkpoint_passes_when_its_origin_is_said(signed: Path) -> None:
    """Manifest, passport and sign-off of a model that a library saved pass as a whole, with every
    section of the schema in its order.
    """
    code, answer = wk("validate", signed, "--require-signoff", "--deep")
    assert code == 0 and answer["data"]["verdict"] == "pass" and not answer["problems"]
    document = json.loads((signed / "MODEL_PASSPORT.json").read_text())
    known = [section for section in SECTIONS if section in document]
    assert list(document) == known and document["weight_integrity"]["manifest_hash"]
    summary = document["model_internals"]["parameters"]["summary"]
    assert summary == {"total_params": 1448, "total_bytes": 5792, "dtype_breakdown": {"F32": 1448}}
    marks = document[SOURCES]
    assert marks["model_internals.parameters.summary.total_params"] == "observed"
    assert {marks[f"input_contract.{part}"] for part in ("images", "state", "actions")} == {
        "absent"
    }


def test_an_adapter_needs_a_pinned_base(tmp_path: Path, declared: Path) -> None:
    """An adapter whose base is not pinned fails, and what the message says to declare helps."""
    root = Path(shutil.copytree(FILES / "lora", tmp_path / "lora"))
    code, answer = wk("passport", root, "--declare", declared)
    assert code == 1 and found(answer)["unpinned-asset"] == "error"
    pin = {"pretrained_provenance": [{"name": "org/base", "revision": COMMIT}]}
    write_json(declared, {**ORIGIN, "model_internals": pin})
    code, answer = wk("passport", root, "--declare", declared)
    assert code == 0 and "unpinned-asset" not in found(answer)
    document = json.loads((root / "MODEL_PASSPORT.json").read_text())
    assert document["provenance"]["parent_checkpoint"] == "org/base"
    assert document["stack"] == "peft"


@pytest.mark.parametrize(
    ("place", "count", "dtype"),
    [
        (NUMBERS / "numbers.pt", 18, "BF16"),
        (NUMBERS / "numbers.safetensors", 6, "F8_E4M3"),
        (NUMBERS / "numbers.gguf", 3, "Q8_0"),
        (TENSORS / "legacy.pt", 3, "BF16"),
        (TENSORS / "inside.onnx", 5, "F16"),
        (TENSORS / "flax_model.msgpack", 3, "BF16"),
        (TENSORS / "zarr", 2, "BF16"),
        (TENSORS / "orbax", 2, "unknown"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_counts_are_observed_in_every_format(
    tmp_path: Path, place: Path, count: int, dtype: str
) -> None:
    """Keys, parameters and types of each library's weights are counted from their headers."""
    if place.is_dir():
        root = Path(shutil.copytree(place, tmp_path / "params"))
    else:
        root = tmp_path / "model"
        root.mkdir()
        shutil.copy(place, root / place.name)
    wk("passport", root)
    internals = json.loads((root / "MODEL_PASSPORT.json").read_text())["model_internals"]
    assert internals["state_dict"]["found_keys_count"] == count
    assert dtype in internals["parameters"]["summary"]["dtype_breakdown"]


def test_nan_in_the_weights_is_a_hard_failure(tmp_path: Path, declared: Path) -> None:
    """A checkpoint with NaN gets no sign-off once its numbers were looked through."""
    root = tmp_path / "model"
    root.mkdir()
    shutil.copy(NUMBERS / "numbers.safetensors", root)
    assert wk("passport", root, "--declare", declared)[0] == 0
    code, answer = wk("passport", root, "--declare", declared, "--deep")
    assert code == 1 and found(answer)["nan-found"] == "error"
    code, _ = wk("sign", root, "--reason", "it is fine")
    assert code == 1 and not (root / "SIGNOFF.json").exists()


def test_a_soft_signal_needs_a_reason_and_keeps_it(llama: Path, declared: Path) -> None:
    """Without a run log a sign-off needs a reason, which stands in it as it was given; validation
    still ends with 0.
    """
    write_json(declared, {**ORIGIN, "provenance": {**ORIGIN["provenance"], "run_log_path": None}})
    wk("passport", llama, "--declare", declared)
    assert wk("sign", llama)[0] == 2
    assert wk("sign", llama, "--reason", "the log is private")[0] == 0
    signoff = json.loads((llama / "SIGNOFF.json").read_text())
    assert signoff["verdict"] == "soft_signal"
    assert signoff["verdict_reason"] == "the log is private"
    assert signoff["artifacts"][0]["path"] == "MODEL_PASSPORT.json"
    assert wk("validate", llama, "--require-signoff")[0] == 0


def _grow(root: Path) -> None:
    with (root / "model.safetensors").open("ab") as file:
        file.write(b"\0")


def _halve(root: Path) -> None:
    path = root / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _add_epoch(root: Path) -> None:
    for epoch in ("epoch_0", "epoch_1"):
        (root / epoch).mkdir()
        shutil.copy(root / "model.safetensors", root / epoch)


def _lose_tokenizer(root: Path) -> None:
    (root / "tokenizer.json").unlink()


def _set_clock_back(root: Path) -> None:
    path = root / "SIGNOFF.json"
    earlier = datetime.now(UTC) - timedelta(days=2)
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "signed_at": earlier.isoformat()}))


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (_grow, "weights-changed"),
        (_halve, "weights-damaged"),
        (_add_epoch, "several-checkpoints"),
        (_add_epoch, "signoff-unlisted"),
        (_lose_tokenizer, "tokenizer-missing"),
        (_set_clock_back, "signoff-time"),
    ],
)
def test_what_befell_a_signed_checkpoint_is_named(
    signed: Path, damage: Callable[[Path], None], code: str
) -> None:
    """A checkpoint that grew, was cut in half, got a second epoch or lost its tokenizer fails, and
    so does a sign-off from before its passport.
    """
    damage(signed)
    ended, answer = wk("validate", signed, "--require-signoff")
    assert ended == 1 and found(answer)[code] == "error"


@pytest.mark.parametrize("name", ["MODEL_PASSPORT.json", "CHECKPOINT_MANIFEST.json"])
def test_a_document_of_ten_gigabytes_is_never_hashed(signed: Path, name: str) -> None:
    """The size is refused before a byte is hashed: a hole of 10 GB takes neither time nor memory,
    also where the sign-off names it.
    """
    with (signed / name).open("wb") as file:
        file.truncate(10 * 10**9)
    ended, answer = wk("validate", signed, "--require-signoff")
    assert ended == 1 and found(answer)["too-large"] == "error"


def test_a_weight_file_without_permission_is_named(
    signed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be opened fails by its name in validation, and stops a new passport."""
    before = (signed / "MODEL_PASSPORT.json").read_bytes()

    def refuse(path: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("watchkeeper.publish.manifest.hashing.open_regular", refuse)
    ended, answer = wk("validate", signed)
    assert ended == 1 and found(answer)["unreadable"] == "error"
    done = CliRunner().invoke(main, ["checkpoint", "passport", str(signed)])
    assert done.exit_code == 1 and "Permission denied" in done.stderr
    assert (signed / "MODEL_PASSPORT.json").read_bytes() == before


def test_a_checkpoint_that_grows_while_it_is_hashed_gets_no_passport(
    llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is written to meanwhile is named, and nothing is written."""
    monkeypatch.setattr("watchkeeper.publish.manifest.hashing._announce", lambda file: _grow(llama))
    done = CliRunner().invoke(main, ["checkpoint", "passport", str(llama)])
    assert done.exit_code == 1
    assert "model.safetensors grew from 7,816 to 7,817 bytes" in done.stderr
    assert not (llama / "MODEL_PASSPORT.json").exists()
