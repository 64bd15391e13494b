"""Which files of a checkpoint are weights, and which are its documents."""

from __future__ import annotations

import pytest

from watchkeeper.publish.names import is_document, is_weights

WEIGHTS = [
    "model.safetensors", "MODEL.SAFETENSORS", "pytorch_model-00001-of-00002.bin", "a/b/model.pt",
    "model.pth", "epoch.ckpt", "llama-q4.gguf", "flax_model.msgpack", "weights.h5", "model.onnx",
    "model.onnx_data", "model.onnx.data", "onnx/model.onnx_data_1", "params.dense.kernel/0.0",
    "adapter_model.bin", "variables/variables.data-00000-of-00001",
    "checkpoints/2000/params/d/0123456789abcdef0123456789abcdef",
    "checkpoints/2000/params/manifest.ocdbt",
    "checkpoints/2000/params/ocdbt.process_0/d/0123456789abcdef0123456789abcdef",
    "checkpoints/2000/train_state/layer.kernel/0.0", "params/bias/0",
]  # fmt: skip
OTHERS = [
    "config.json", "README.md", "optimizer.pt", "rng_state.pth", "training_args.bin",
    "tokenizer.model", "model.safetensors.index.json", "notes.txt",
    "opt_state/d/0123456789abcdef0123456789abcdef", "opt_state/manifest.ocdbt",
    "d/0123456789abcdef", "e/0123456789abcdef0123456789abcdef", "versions/1.0", "params/.zarray",
    "params/_METADATA", "x.data-00000-of-1",
    "opt_state.mu.params/0.0", "model.data",
]  # fmt: skip


@pytest.mark.parametrize("path", WEIGHTS)
def test_weights_of_every_kind_are_noticed(path):
    """A file that holds a model's weights is one by its name, Orbax's parameter files included."""
    assert is_weights(path)


@pytest.mark.parametrize("path", OTHERS)
def test_what_lies_beside_the_weights_is_none(path):
    """Configurations, texts and a trainer's own state are no weights."""
    assert not is_weights(path)


def test_a_document_lies_in_the_root():
    """A file of a document's name in a folder below is an ordinary file."""
    assert is_document("SIGNOFF.json") and is_document("README.md")
    assert not is_document("original/README.md") and not is_document("config.json")
