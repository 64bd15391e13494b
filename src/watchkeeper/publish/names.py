"""The names of a checkpoint's documents, and which of its files hold weights.

A checkpoint is a folder, its root. Its documents lie in the root itself: a file of such a name in a
folder below is an ordinary file. Every path here is POSIX and relative to the root.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from watchkeeper.tools import file_formats

PASSPORT = "MODEL_PASSPORT.json"
SIGNOFF = "SIGNOFF.json"
MANIFEST = "CHECKPOINT_MANIFEST.json"
README = "README.md"
TRAINING_LOG = "TRAINING_LOG.md"
MODEL_SIGNATURE = "model.sig"
"""What model_signing writes and verifies."""
SIGNOFF_SIGNATURE = "SIGNOFF.sig.json"
"""The DSSE envelopes of the sign-off."""
SUMS = "SHA256SUMS"
"""The manifest in the form that `sha256sum -c` reads."""

# These speak of the manifest, or are made from it, so no manifest can hold their hashes. The
# sign-off and the signatures hold them.
ABOUT_THE_MANIFEST = frozenset({
    PASSPORT,
    SIGNOFF,
    MANIFEST,
    MODEL_SIGNATURE,
    SIGNOFF_SIGNATURE,
    SUMS,
})  # fmt: skip
DOCUMENTS = ABOUT_THE_MANIFEST | {README, TRAINING_LOG}

_WEIGHT_SUFFIXES = file_formats.WEIGHTS | {
    ".ggml", ".hdf5", ".keras", ".mlmodel", ".msgpack", ".nemo", ".onnx", ".onnx_data", ".ot",
    ".params", ".pb", ".pdparams", ".pickle", ".tflite",
}  # fmt: skip
_TENSORFLOW_SHARD = re.compile(r".+\.data-\d{5}-of-\d{5}")
_ONNX_DATA = re.compile(r".+\.onnx(?:_data|\.data)(?:_\d+)?")
# Orbax: OCDBT keeps its values in files of 32 hexadecimal digits in a folder `d`; without it, each
# array is a Zarr folder whose chunks are named by their numbers.
_OCDBT_VALUES = re.compile(r"[0-9a-f]{32}")
_ZARR_CHUNK = re.compile(r"\d+(?:\.\d+)*")
_OCDBT_MANIFEST = "manifest.ocdbt"
_OPTIMIZER_FOLDERS = frozenset({"optimizer", "opt_state", "optimizer_state"})
_PARAMETER_FOLDERS = frozenset({"params", "train_state", "ema_state", "ema_params"})


def is_document(path: str) -> bool:
    """Whether the path is one of the documents in the root."""
    return path in DOCUMENTS


def is_weights(path: str) -> bool:
    """Whether a file of this path holds weights of the model, or of an adapter, judged by its name:
    the usual formats, shards of TensorFlow, and the parameter files of Orbax. What a trainer keeps
    beside them (an optimizer's state) is none.
    """
    place = PurePosixPath(path)
    if place.name.startswith(file_formats.NOT_WEIGHTS):
        return False
    if place.suffix.lower() in _WEIGHT_SUFFIXES:
        return True
    if _ONNX_DATA.fullmatch(place.name) or _TENSORFLOW_SHARD.fullmatch(place.name):
        return True
    return is_of_orbax(place)


def is_of_orbax(place: PurePosixPath) -> bool:
    """Whether a file of this path holds parameters as Orbax keeps them.

    `params/d/` and 32 hexadecimal digits, `params/manifest.ocdbt`, `params.dense.kernel/0.0`; not
    what lies in a folder of the optimizer's state.
    """
    # Without a database, a parameter's folder is named by its keys: `params.dense.kernel`.
    folders = [folder.partition(".")[0] for folder in place.parts[:-1]]
    if not _OPTIMIZER_FOLDERS.isdisjoint(folders):
        return False
    if place.name == _OCDBT_MANIFEST:
        return True
    if folders[-1:] == ["d"] and _OCDBT_VALUES.fullmatch(place.name):
        return True
    is_chunk = _ZARR_CHUNK.fullmatch(place.name) is not None
    return is_chunk and not _PARAMETER_FOLDERS.isdisjoint(folders)
