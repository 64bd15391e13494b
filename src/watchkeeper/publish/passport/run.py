"""What the journal of the run that made a checkpoint says of it: commit, configuration, data,
versions.

Of an experiment the attempt counts whose verdict names the checkpoint's folder; of several, the
newest. Where no attempt names it, that the run made it is only concluded from somebody's word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.code.environment import Environment
from watchkeeper.core.disk.files import read_if_any, read_whole
from watchkeeper.core.disk.objects import read_kept
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Checkpoint, Documented, Intended, RunStarted
from watchkeeper.core.events.choose import Events, all_of, of_kind, with_code
from watchkeeper.core.journal import encode_json
from watchkeeper.core.state import Attempt, fold
from watchkeeper.publish.chain.heads import Head, heads_of, to_document
from watchkeeper.publish.passport.adapters import datasets, torchtune
from watchkeeper.publish.passport.adapters.checkpoint import facts_from
from watchkeeper.publish.passport.document import Facts, Source
from watchkeeper.publish.passport.repository import facts_of_training
from watchkeeper.runfolder.link import read_link

LIBRARIES = (
    "torch", "transformers", "torchtune", "torchao", "safetensors", "tokenizers", "peft",
    "accelerate", "lightning", "datasets", "jax", "flax", "orbax-checkpoint", "numpy",
)  # fmt: skip
"""Packages of which the passport names the version."""
_CHAIN = "provenance.journal_chain"
_DATASETS = "input_contract.training_datasets"
_MOST_DATA_BYTES = 64 * 2**20
_GOOD = ("done", "failed but good")
_CUDA = ("nvidia-cuda-runtime", "nvidia-cuda-runtime-cu13", "nvidia-cuda-runtime-cu12")


class KnownRun(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run of an experiment: its attempts, the path of its last run log (""),
    and the heads of the experiment's journal.
    """

    attempts: tuple[Attempt, ...]
    log: str
    heads: list[Head]


def facts_of_known_run(root: Path, folder: Path, key: str, known: KnownRun) -> Facts:
    """As `facts_of_run`, from a journal that is read already.

    Raises:
        UsageError: none of the run's attempts came to a good end.
    """
    chain = {_CHAIN: to_document(known.heads)}
    return {**_of_experiment(root, folder, key, known), **facts_from("observed", chain)}


def facts_of_run(root: Path, folder: Path, key: str = "") -> Facts:
    """What a recorded run's folder, or the run `key` of an experiment, says of a checkpoint.

    Raises:
        UsageError: there is no journal, no such run, or none of its attempts came to a good end.
        NewerJournalError: a newer version wrote the journal.
    """
    read = journal.read(folder / layout.JOURNAL)
    if not any(read.saw.values()):
        raise UsageError(
            f"{folder} has no journal",
            hint="name the folder of a recorded run, or an experiment and --key RUN",
            code="no-journal",
        )
    heads = heads_of(folder / layout.JOURNAL)
    if key:
        return facts_of_known_run(root, folder, key, _known(folder, key, read.events, heads))
    starts = of_kind(read.events, RunStarted)
    if not starts:
        raise UsageError(
            f"{folder} is an experiment: which of its runs made the checkpoint is not said",
            hint=f"name it: --run {folder} --key RUN, one of {_names(fold(read.events).runs)}",
            code="no-key",
        )
    chain = facts_from("observed", {_CHAIN: to_document(heads)})
    return {**_of_recording(root, folder, read.events), **chain}


def _known(folder: Path, key: str, events: Events, heads: list[Head]) -> KnownRun:
    """What the journal says of one run.

    Raises:
        UsageError: it has no such run.
    """
    state = fold(events)
    if key not in state.runs:
        raise UsageError(
            f"{folder} has no run {key!r}",
            hint=f"its runs are {_names(state.runs)}",
            code="no-such-run",
        )
    logs = [one.path for one in of_kind(events, Documented) if one.key == key]
    attempts = tuple(state.runs[key].attempts.values())
    return KnownRun(attempts=attempts, log=logs[-1] if logs else "", heads=heads)


def _names(keys: Iterable[str]) -> str:
    """The first eight keys for a hint, and how many more there are."""
    names = list(keys)
    shown = ", ".join(names[:8])
    if len(names) <= 8:
        return shown
    return f"{shown} and {len(names) - 8} more"


def _of_recording(root: Path, folder: Path, events: Events, source: Source = "inferred") -> Facts:
    """What a recorded run says: its last start. It is observed if the run wrote the checkpoint by
    its own word; else of `source`.
    """
    start = max(of_kind(events, RunStarted), key=lambda one: one.time)
    start = with_code(start, all_of(events))
    places = [folder / event.path for event in of_kind(events, Checkpoint)]
    if _is_among(root, places):
        source = "observed"
    fields = {
        "provenance.run_id": start.run_id,
        "provenance.training_repo_commit": start.git_sha or None,
        "provenance.training_code_dirty": start.git_dirty,
        "provenance.started_at": journal_time(start),
    }
    if start.config:
        fields["provenance.merged_config_sha256"] = _sha256_of(start.config)
    return {
        **facts_of_training(folder, start.git_sha),
        **_of_config(start.config),
        **_of_environment(folder, start.environment_sha256, source),
        **facts_from(source, fields),
    }


def _of_experiment(root: Path, folder: Path, key: str, known: KnownRun) -> Facts:
    """What the journal of an experiment says of a checkpoint: by the attempt that made it, and by
    the recorded run and the configuration of that.

    Raises:
        UsageError: none of the run's attempts came to a good end.
    """
    attempt, source = _maker(root, folder, known.attempts, key)
    assert attempt.intended is not None
    link = read_link(layout.attempt_folder(folder, key, attempt.number))
    recorded = _of_link(root, link, source)
    fields = {
        "provenance.run_key": key,
        "provenance.attempt": attempt.number,
        "provenance.training_repo_commit": attempt.intended.git_sha or None,
        "provenance.training_code_dirty": attempt.intended.git_dirty,
        "provenance.script_sha256": attempt.intended.script_sha256,
        "provenance.run_log_path": _from_project(known.log) if known.log else None,
        "provenance.started_at": journal_time(attempt.intended),
    }
    fields.update(_config_snapshot(folder, attempt))
    place = layout.workdir_of(folder, attempt.intended.script, attempt.intended.workdir)
    return {
        **facts_of_training(place, attempt.intended.git_sha),
        **_of_environment(folder, attempt.intended.environment_sha256, "inferred"),
        **recorded,
        **_of_snapshot(folder, attempt),
        **facts_from(source, fields),
    }


def _from_project(path: str) -> str:
    """A run log's path from the folder that its `run_logs` lies in: how far that is above the
    experiment says something of this machine, and nothing of the log.
    """
    parts = PurePosixPath(path).parts
    while parts and parts[0] == "..":
        parts = parts[1:]
    return str(PurePosixPath(*parts))


def _maker(
    root: Path, folder: Path, attempts: Iterable[Attempt], key: str
) -> tuple[Attempt, Source]:
    """The attempt that made the checkpoint, and whether its verdict says so.

    Raises:
        UsageError: none of them came to a good end.
    """
    good = [one for one in attempts if one.intended and one.judged and one.judged.outcome in _GOOD]
    if not good:
        raise UsageError(
            f"no attempt at {key} in {folder} has come to a good end: no checkpoint of it counts",
            hint=f"look at watchkeeper status {folder}",
            code="not-done",
        )
    good.sort(key=lambda one: one.number)
    named = [one for one in good if _is_among(root, _kept(folder, one))]
    if named:
        return named[-1], "observed"
    return good[-1], "inferred"


def _kept(folder: Path, attempt: Attempt) -> list[Path]:
    """The checkpoints that an attempt's verdict names, and the places that it looked at; [] for one
    without a verdict.
    """
    if attempt.judged is None:
        return []
    subjects = [folder / subject for subject in attempt.judged.fingerprints]
    learned = attempt.judged.learned
    kept = learned.kept if learned is not None else ()
    return [*subjects, *(folder / path for path in kept)]


def _is_among(root: Path, places: Iterable[Path]) -> bool:
    """Whether the checkpoint's folder is one of these places, or holds one that is a file.

    Links are followed: a run may have saved below a link to its scratch space.
    """
    real = root.resolve()
    for place in places:
        resolved = place.resolve()
        if resolved == real:
            return True
        if resolved.parent == real and resolved.is_file():
            return True
    return False


def _of_link(root: Path, folder: Path | None, source: Source) -> Facts:
    """What the attempt's own recorded run says, which is as sure as that the attempt made the
    checkpoint; {}: it recorded none, or it cannot be read.
    """
    if folder is None:
        return {}
    try:
        events = journal.read(folder / layout.JOURNAL).events
    except UsageError:
        return {}
    if not of_kind(events, RunStarted):
        return {}
    return _of_recording(root, folder, events, source)


def _config_snapshot(folder: Path, attempt: Attempt) -> dict[str, Any]:
    """The resolved configuration in the run's own output, else the one configuration that its
    script names, as it was kept.
    """
    data, name = _snapshot(folder, attempt)
    if data is None:
        return {}
    return {
        "provenance.config_snapshot_path": name,
        "provenance.merged_config_sha256": hashlib.sha256(data).hexdigest(),
    }


def _snapshot(folder: Path, attempt: Attempt) -> tuple[bytes | None, str]:
    """The configuration of an attempt, and its name; (None, …) where it is not there, and
    (None, "") where its script names none or several.
    """
    learned = attempt.judged.learned if attempt.judged else None
    if learned is not None and learned.config:
        return read_if_any(folder / learned.config), learned.config
    configs = attempt.intended.configs if attempt.intended else {}
    if len(configs) != 1:
        return None, ""
    ((name, sha256),) = configs.items()
    return read_kept(folder / layout.OBJECTS, sha256), name


def _of_snapshot(folder: Path, attempt: Attempt) -> Facts:
    """What the attempt's configuration says of the data; {} where it has none in YAML.

    A dataset that is a file beside the script is pinned by its hash, if it has not changed since.
    """
    data, name = _snapshot(folder, attempt)
    if data is None or not name.endswith((".yaml", ".yml")):
        return {}
    facts = _of_config(torchtune.parse(data))
    listed = facts.get(_DATASETS)
    if listed is not None and attempt.intended is not None:
        place = layout.workdir_of(folder, attempt.intended.script, attempt.intended.workdir)
        for dataset in listed.value:
            dataset.update(_pin(place, dataset, attempt.intended.time))
    return facts


def _pin(place: Path, dataset: Mapping[str, Any], started: datetime) -> dict[str, str]:
    """The hash of a dataset that is one small file, if nobody has written to it since the run was
    submitted.
    """
    name = dataset.get("data_files") or dataset.get("repo")
    if not isinstance(name, str) or dataset.get("commit"):
        return {}
    try:
        changed = (place / name).stat().st_mtime
        data = read_whole(place / name, _MOST_DATA_BYTES)
    except (OSError, ValueError):
        return {}
    if changed > started.timestamp():
        return {}
    return {"sha256": hashlib.sha256(data).hexdigest()}


def _of_config(config: Mapping[str, Any]) -> Facts:
    """What a configuration says of the data, and whatever torchtune's says beyond it. {} where it
    names no data.
    """
    if torchtune.is_torchtunes(config):
        return torchtune.of_config(config)
    return facts_from("inferred", {_DATASETS: datasets.named_in(config) or None})


def _of_environment(folder: Path, sha256: str, source: Source) -> Facts:
    """What was installed where the run was submitted from, in which its job need not have run, or
    where it recorded itself.

    The Python of the PATH counts if it has a library that trains; else the submitter's own. {}
    where the list was not kept, or is damaged.
    """
    data = read_kept(folder / layout.OBJECTS, sha256)
    try:
        environment = msgspec.json.decode(data or b"", type=Environment)
    except msgspec.DecodeError:
        return {}
    python = environment.on_path
    if python is None or python.packages.keys().isdisjoint(LIBRARIES):
        python = environment.submitter
    fields: dict[str, Any] = {
        "model_identity.python_version": python.version or None,
        "model_identity.cuda_version": None,
    }
    for name in _CUDA:
        if name in python.packages:
            fields["model_identity.cuda_version"] = python.packages[name]
            break
    for library in LIBRARIES:
        if library in python.packages:
            fields[f"model_identity.library_versions.{library}"] = python.packages[library]
    return facts_from(source, fields)


def journal_time(event: RunStarted | Intended) -> str:
    """An event's time in UTC, to the second."""
    return event.time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _sha256_of(config: Mapping[str, Any]) -> str:
    """The hash of a configuration that lies in the journal: of its indented JSON, as a file."""
    return hashlib.sha256(encode_json(config)).hexdigest()
