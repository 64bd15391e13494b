"""The weights themselves: are there any, are they whole, do they hold what they should."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from watchkeeper.publish.checks import Check, Status
from watchkeeper.publish.passport.adapters import lora
from watchkeeper.publish.passport.adapters.lora import is_merged
from watchkeeper.publish.passport.rules.examined import Examined, counted, finding, says_nan
from watchkeeper.tools.file_formats import short

_STATE = "model_internals.state_dict"
_HEALTH = "model_internals.numerical_health"
_PINS = "model_internals.pretrained_provenance"
_SHARD = re.compile(r"(?P<stem>.+?)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.[a-z]+)")
_CHECKPOINT_NAME = re.compile(r"(?:epoch|step|checkpoint|ckpt|iter)[-_=]?\d+", re.IGNORECASE)
_SICK = re.compile("nan|inf", re.IGNORECASE)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def checks(examined: Examined) -> Iterator[Check]:
    """What is wrong with the weights, or not known of them."""
    yield from _files(examined)
    yield from _pickles(examined)
    yield from _shards(examined)
    yield from _several(examined)
    yield from _keys(examined)
    yield from _health(examined)
    yield from _assets(examined)
    # Libraries take an adapter by this file: without it they leave the adapter's weights alone.
    if is_merged(examined.checkpoint) and lora.CONFIG in examined.checkpoint.sizes:
        yield _check(
            "soft_signal",
            "double-lora",
            lora.CONFIG,
            "an adapter lies beside whole weights: a library that sees both applies it again",
            "rename the file, or move the adapter into a folder beside the checkpoint",
        )


def _check(status: Status, name: str, where: str, message: str, hint: str = "") -> Check:
    return finding("model_internals", status, name, where, message, hint=hint)


def _files(examined: Examined) -> Iterator[Check]:
    """Weight files that are missing, damaged, or not read here.

    A damaged file fails; one in a format that is not read here is not checked, and may be sound.
    """
    inventory = examined.checkpoint.inventory
    if not inventory.files:
        hint = "name the folder that holds the weights"
        yield _check("fail", "no-weights", "", "there is no weight file in the folder", hint)
    elif inventory.is_known and not inventory.tensors:
        yield _check("fail", "no-tensors", "", "the weight files hold no tensor")
    for file in inventory.files:
        if file.fault:
            hint = "copy it again, or train again from the checkpoint before"
            yield _check("fail", "weights-damaged", file.path, f"it {file.fault}", hint)
        elif file.unread:
            message = f"its tensors are not known: it {file.unread}"
            yield _check("not_checked", "tensors", file.path, message)


def _pickles(examined: Examined) -> Iterator[Check]:
    """Pickles that would run code when they are loaded: they name more than tensors need."""
    for file in examined.checkpoint.inventory.files:
        if not file.foreign:
            continue
        names = counted([short(name) for name in file.foreign])
        yield _check(
            "fail",
            "pickle-runs-code",
            file.path,
            f"loading it would run {names}, which tensors do not need; nothing was run here",
            "save the weights as safetensors",
        )


def _shards(examined: Examined) -> Iterator[Check]:
    """Shards that are numbered and not all there; with an index or without.

    `model-00001-of-00003.safetensors` says that there are three; the first one that is missing is
    named.
    """
    groups: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for file in examined.checkpoint.inventory.files:
        match = _SHARD.fullmatch(file.path)
        if match:
            groups[match["stem"], match["count"], match["suffix"]].add(int(match["number"]))
    for (stem, count, suffix), numbers in groups.items():
        missing = sorted(set(range(1, int(count) + 1)) - numbers)
        if missing:
            yield _check(
                "fail",
                "shards",
                f"{stem}-{missing[0]:05}-of-{count}{suffix}",
                f"{len(numbers)} of {int(count)} shards are there: this one is missing",
                "wait until the checkpoint is complete, or copy it again",
            )


def _several(examined: Examined) -> Iterator[Check]:
    """More than one training step's weights in one folder: nobody could say which is meant.

    `epoch_0/model.pt` beside `epoch_1/model.pt`, or `step_100.pt` beside `step_200.pt`.
    """
    groups: dict[tuple[str, str], set[str]] = defaultdict(set)
    for file in examined.checkpoint.inventory.files:
        parts = PurePosixPath(file.path).parts
        for at, part in enumerate(parts):
            named = _CHECKPOINT_NAME.search(part)
            if named is not None:
                above = "/".join(parts[:at])
                groups[above, _CHECKPOINT_NAME.sub("*", part)].add(named[0])
                break
    for (above, _), names in groups.items():
        if len(names) > 1:
            yield _check(
                "fail",
                "several-checkpoints",
                above,
                f"the folder holds {len(names)} checkpoints: {counted(sorted(names))}",
                "make a passport for each of them: name its own folder",
            )


def _keys(examined: Examined) -> Iterator[Check]:
    """Whether the files hold as many tensors as they should: as an index or the passport says.

    Nothing is compared where a file's tensors are not known: the count would be wrong.
    """
    inventory = examined.checkpoint.inventory
    expected = examined.get(f"{_STATE}.expected_keys_count")
    recorded = examined.get(f"{_STATE}.found_keys_count")
    if not inventory.is_known:
        return
    count = len(inventory.tensors)
    if recorded is not None and recorded != count:
        message = f"the passport says {recorded} tensors, the files hold {count}"
        yield _check("fail", "keys-changed", f"{_STATE}.found_keys_count", message)
    if expected is None:
        message = "nothing says how many tensors there should be"
        yield _check("not_checked", "key-count", f"{_STATE}.expected_keys_count", message)
    elif expected != count:
        message = f"{expected} tensors are expected, the files hold {count}"
        yield _check("fail", "key-count", f"{_STATE}.expected_keys_count", message)
    yield from _named_keys(examined, "missing", inventory.missing)
    yield from _named_keys(examined, "unexpected", inventory.unexpected)


def _named_keys(examined: Examined, what: str, names: list[str]) -> Iterator[Check]:
    """Tensors that are missing or unexpected (`what`): as the files show (`names`), or as the
    passport recorded.
    """
    recorded = examined.get(f"{_STATE}.{what}_keys")
    listed: list[object] = [*names]
    if isinstance(recorded, list):
        listed += recorded
    if listed:
        unique = list(dict.fromkeys(short(str(name)) for name in listed))
        message = f"{len(unique)} {what}: {counted(unique)}"
        yield _check("fail", f"{what}-keys", f"{_STATE}.{what}_keys", message)


def _health(examined: Examined) -> Iterator[Check]:
    """What a scan of the weights recorded: NaN or infinity, or that there was no scan.

    Programs name such fields in their own ways, `nan_count` or `has_inf`: any that speaks of either
    counts, unless it denies it.
    """
    health = examined.mapping(_HEALTH)
    if not health:
        message = "nobody has recorded whether the weights hold NaN"
        yield _check("not_checked", "numerical-health", _HEALTH, message)
    recorded = [key for key, value in health.items() if _SICK.search(key) and says_nan(value)]
    if recorded:
        message = f"NaN or infinity was recorded in the weights: {counted(recorded)}"
        yield _check("fail", "nan-recorded", f"{_HEALTH}.{recorded[0]}", message)


def _assets(examined: Examined) -> Iterator[Check]:
    """Whether each pretrained model that the checkpoint was made from is pinned."""
    for number, asset in enumerate(examined.entries(_PINS)):
        if not is_pinned(asset):
            yield _check(
                "fail",
                "unpinned-asset",
                f"{_PINS}[{number}]",
                f"{_name_of(asset)} is not pinned: other weights may be loaded under this name "
                "tomorrow",
                "declare its commit as revision, or its sha256",
            )


def _name_of(asset: dict[str, object]) -> str:
    """The name of an asset for a message."""
    return short(str(asset.get("name") or asset.get("repo")))


def is_pinned(asset: dict[str, object]) -> bool:
    """Whether an asset is named by a commit of 40 digits or by a hash of 64.

    `{"name": "org/model", "revision": "main"}` is not: a branch moves.
    """
    pins = [asset.get(key) for key in ("revision", "commit", "sha256")]
    return any(isinstance(pin, str) and _COMMIT.fullmatch(pin) for pin in pins)
