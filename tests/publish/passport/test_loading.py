"""`wk.load_passport`, as an evaluation script uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import watchkeeper as wk
from tests.checkpoints import write_json

CONTRACT = {
    "images": [{"key": "front", "raw_shape": [3, 480, 640], "color_order": "BGR", "crop": None}],
    "state": {"total_dim": 7, "normalization": {"type": "mean_std"}, "ours": 1},
    "actions": {"total_dim": 7, "horizon": 50, "norm_mask": [True, False]},
    "language": {"tokenizer_class": "T", "max_sequence_length": 64, "default_prompt": None},
    "training_datasets": [{"repo": "a/b"}],
}


def write(folder: Path, **fields: Any) -> Path:
    """A passport with these fields."""
    document = {"schema_version": "0.2", "input_contract": CONTRACT, **fields}
    write_json(folder / "MODEL_PASSPORT.json", document)
    return folder


def test_an_input_contract_is_read_with_types(tmp_path: Path) -> None:
    """Shapes, orders and sizes are values of their types; what is unknown is at hand beside them,
    and what is not said is None.
    """
    passport = wk.load_passport(write(tmp_path, field_sources={"stack": "inferred"}, stack="s"))
    contract = passport.input_contract
    assert contract.images[0].raw_shape == (3, 480, 640)
    assert contract.images[0].color_order == "BGR" and contract.images[0].other == {"crop": None}
    assert contract.state is not None and contract.state.other == {"ours": 1}
    assert contract.actions is not None and contract.actions.norm_mask == (True, False)
    assert contract.language is not None and contract.language.max_sequence_length == 64
    assert contract.language.default_prompt is None and contract.temporal == {}
    assert contract.fields == CONTRACT
    assert passport.stack == "s" and passport.source("stack") == "inferred"
    assert passport.class_name == "" and passport.source("nothing") == "absent"
    assert passport.path == tmp_path / "MODEL_PASSPORT.json"
    assert wk.load_passport(passport.path).get("input_contract.state.total_dim") == 7


def test_a_part_that_the_model_does_not_take_is_none(tmp_path: Path) -> None:
    """A passport without a contract gives an empty one."""
    contract = wk.load_passport(write(tmp_path, input_contract={"state": None})).input_contract
    assert (contract.images, contract.state, contract.language) == ((), None, None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schema_version": "9"}, "'9'"),
        ({"input_contract": []}, None),
        ({"input_contract": [1]}, "input_contract: it is no object"),
        ({"input_contract": {"images": {"a": 1}}}, "images: it is no list"),
        ({"input_contract": {"images": [1]}}, r"images\[0\]: it is no object"),
        ({"input_contract": {"images": [{"color_order": "GBR"}]}}, "GBR"),
        ({"input_contract": {"state": {"total_dim": "7"}}}, "total_dim"),
        ({"input_contract": {"temporal": [1]}}, "temporal"),
    ],
)
def test_a_field_of_another_type_is_named(
    tmp_path: Path, fields: dict[str, Any], message: str | None
) -> None:
    """A wrong type is an error with the field's name, before anything is fed wrongly."""
    write(tmp_path, **fields)
    if message is None:
        assert wk.load_passport(tmp_path).input_contract.images == ()
        return
    with pytest.raises(wk.UsageError, match=message):
        wk.load_passport(tmp_path)


def test_a_checkpoint_without_a_passport_says_how_to_make_one(tmp_path: Path) -> None:
    """The hint is the command that makes it."""
    with pytest.raises(wk.UsageError, match="there is no") as caught:
        wk.load_passport(tmp_path)
    assert "checkpoint passport" in caught.value.hint
    with pytest.raises(wk.UsageError):
        wk.load_passport(tmp_path / "nowhere")


def test_loading_imports_nothing_heavy(tmp_path: Path) -> None:
    """An evaluation script that reads a passport imports msgspec and the standard library alone."""
    write(tmp_path)
    code = (
        "import sys, watchkeeper as wk\n"
        "wk.load_passport('.').input_contract\n"
        "heavy = {'click', 'yaml', 'ruamel', 'zstandard', 'numpy', 'torch', 'cryptography'}\n"
        "sys.exit(' '.join(sys.modules.keys() & heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""
