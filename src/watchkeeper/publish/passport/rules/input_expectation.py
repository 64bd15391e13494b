"""How the model is fed: is it said, and are the files that it needs the ones that were meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from watchkeeper.publish.checks import Check, Status
from watchkeeper.publish.manifest.safe import fault_of
from watchkeeper.publish.passport.rules.examined import Examined, finding, walk
from watchkeeper.publish.passport.rules.model_internals import is_pinned
from watchkeeper.tools.file_formats import short

_CONTRACT = "input_contract"
_PARTS = ("images", "state", "actions", "language")
_DATASETS = f"{_CONTRACT}.training_datasets"


def checks(examined: Examined) -> Iterator[Check]:
    """What is wrong with the input's contract, or missing from it."""
    contract = examined.mapping(_CONTRACT)
    if not any(contract.get(part) for part in _PARTS):
        hint = (
            "declare it: --declare FILE with input_contract.images, .state, .actions or .language"
        )
        message = "nothing says how the model is fed"
        yield _check("soft_signal", "no-input-contract", _CONTRACT, message, hint)
    if not _has_config(examined):
        hint = "put config.json or the run's configuration beside the weights"
        message = "no configuration lies beside the weights: how to build the model is not said"
        yield _check("soft_signal", "no-config", "", message, hint)
    for path, sha256, where, what in _named_files(contract):
        yield from _file(examined, path, sha256, where, what)
    yield from _datasets(examined)


def _check(status: Status, name: str, where: str, message: str, hint: str = "") -> Check:
    return finding("input_expectation", status, name, where, message, hint=hint)


def _has_config(examined: Examined) -> bool:
    """Whether a configuration lies beside the weights, or the run's was kept by its hash."""
    sizes = examined.checkpoint.sizes
    is_beside = any(path.rpartition("/")[2] in _CONFIGS for path in sizes)
    return is_beside or examined.get("provenance.merged_config_sha256") is not None


_CONFIGS = frozenset([
    "config.json", "config.yaml", "adapter_config.json", "torchtune_config.yaml", "params.json",
    "hparams.yaml", "train_config.json",
])  # fmt: skip


def _named_files(contract: Mapping[str, Any]) -> Iterator[tuple[object, object, str, str]]:
    """The files that the contract names with their hashes: path, sha256, place, what it is.

    They stand in the lists `stats_files` and `tokenizer_files`, or as the `source` of a
    `normalization` with the hash in its `stats_fingerprint`. Values are as the passport has them:
    what is no text is found wrong by the check of the file.
    """
    for place, key, value in walk(contract, _CONTRACT):
        if key == "normalization" and isinstance(value, dict):
            fingerprint = value.get("stats_fingerprint")
            if isinstance(fingerprint, dict) and fingerprint.get("file_sha256"):
                yield value.get("source"), fingerprint["file_sha256"], place, "stats"
        if key in _LISTED and isinstance(value, list):
            yield from _listed_files(value, place, _LISTED[key])


def _listed_files(
    entries: list[Any], place: str, what: str
) -> Iterator[tuple[object, object, str, str]]:
    """The same of a list of entries, `{"path": …, "sha256": …}`."""
    for at, entry in enumerate(entries):
        if isinstance(entry, dict):
            yield entry.get("path"), entry.get("sha256"), f"{place}[{at}]", what


_LISTED = {"stats_files": "stats", "tokenizer_files": "tokenizer"}


def _file(
    examined: Examined, path: object, sha256: object, where: str, what: str
) -> Iterator[Check]:
    """Whether a file that the contract names is there, and is the one that was meant. `what` begins
    the check's name: `stats-missing`, `tokenizer-changed`.
    """
    if not isinstance(path, str) or path not in examined.checkpoint.sizes:
        # A path that leads out of the checkpoint is a finding by itself, and is never opened.
        if not isinstance(path, str) or not fault_of(path):
            message = f"the file {short(str(path))} is not in the checkpoint"
            yield _check("fail", f"{what}-missing", where, message)
        return
    actual = examined.checkpoint.sha256(path)
    if not actual:
        message = f"{short(path)} cannot be read, or is larger than 64 MiB"
        yield _check("not_checked", f"{what}-file", where, message)
    elif actual != str(sha256).lower():
        message = f"{short(path)} is not the file that the passport was made for"
        hint = "take the file from where the checkpoint comes from, or make the passport again"
        yield _check("fail", f"{what}-changed", where, message, hint=hint)


def _datasets(examined: Examined) -> Iterator[Check]:
    """Whether the training data are named, each by a commit or a hash: a name alone may mean other
    data tomorrow.
    """
    datasets = examined.entries(_DATASETS)
    if not datasets:
        message = "nothing says which data the model was trained on"
        yield _check("soft_signal", "no-dataset", _DATASETS, message, "declare it")
    for number, dataset in enumerate(datasets):
        if not is_pinned(dataset):
            name = short(str(dataset.get("repo") or dataset.get("name")))
            message = f"the dataset {name} is not pinned by a commit or a hash"
            where = f"{_DATASETS}[{number}].commit"
            yield _check("soft_signal", "unpinned-dataset", where, message, "declare its commit")
