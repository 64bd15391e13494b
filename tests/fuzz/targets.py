"""The readers, and for each: real samples, a call that reads bytes as this reader's input, and the
errors it may raise.

A reader returns or raises one of these errors. It never raises another, never takes seconds, and
never takes gigabytes.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tests.checkpoints import LLAMA, gguf
from tests.publish.wandb import files as wandb
from watchkeeper.core import journal, state
from watchkeeper.core import settings as settings_of_users
from watchkeeper.core.code import shell_text
from watchkeeper.core.disk import spill
from watchkeeper.core.errors import ExperimentError, StorageError, UsageError
from watchkeeper.core.events import DamagedLineError, decode
from watchkeeper.experiment import experiment
from watchkeeper.launch import hazards
from watchkeeper.publish.documents import read_document
from watchkeeper.publish.manifest.document import read_manifest
from watchkeeper.publish.manifest.verify import verify_manifest
from watchkeeper.publish.passport.tensors import flax, onnx, pickles, safetensors
from watchkeeper.publish.passport.tensors import gguf as gguf_reader
from watchkeeper.publish.passport.tensors.tensor import UnreadError
from watchkeeper.publish.signing.dsse import verify_envelope
from watchkeeper.publish.signing.signers import read_signers
from watchkeeper.publish.wandb.importing import import_run
from watchkeeper.publish.wandb.offline import grouped, machine_of
from watchkeeper.reading import configs, settings, tool_calls
from watchkeeper.record.writing import tables
from watchkeeper.report.actionlog import block_format, foreign
from watchkeeper.report.actionlog import render as blocks
from watchkeeper.report.lint import lint
from watchkeeper.report.runlog import dates, experiments_table, timeline
from watchkeeper.report.runlog import document as runlog
from watchkeeper.report.runlog.file import File
from watchkeeper.runfolder import printed as trainlog
from watchkeeper.runfolder import printed_metrics, rows
from watchkeeper.schedulers import arrays, sbatch_head
from watchkeeper.schedulers.slurm import site
from watchkeeper.schedulers.slurm import text as slurm_text
from watchkeeper.schedulers.wrapper.claims import read_claims, read_exit_records
from watchkeeper.tools import file_formats, inspect_ai, torchtune
from watchkeeper.tools.promise import Expected
from watchkeeper.watch.logs import lease, run_log_folder
from watchkeeper.watch.verdict import causes

TESTS = Path(__file__).parents[1]

Read = Callable[[Path, bytes], object]
"""Reads bytes; the folder is empty at each call."""


@dataclass(frozen=True)
class Target:
    """One reader. `refusals`: the errors that are its answer to input that it cannot take.
    `crashes`: inputs that once made it raise another, hang, or take all memory.
    """

    name: str
    seeds: tuple[bytes, ...]
    read: Read
    refusals: tuple[type[Exception], ...] = ()
    crashes: tuple[bytes, ...] = ()

    def try_one(self, folder: Path, data: bytes) -> None:
        """Read the bytes.

        Raises:
            Exception: what no reader may raise.
        """
        try:
            self.read(folder, data)
        except self.refusals:
            return


def _text(read: Callable[[str], object]) -> Read:
    return lambda folder, data: read(data.decode("utf-8", "replace"))


def _file(name: str, read: Callable[[Path], object]) -> Read:
    def call(folder: Path, data: bytes) -> object:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return read(path)

    return call


def _samples(pattern: str, most: int = 6) -> tuple[bytes, ...]:
    found = sorted(TESTS.glob(pattern))[:most]
    assert found, f"no sample matches {pattern}"
    return tuple(path.read_bytes() for path in found)


# ── what Watchkeeper itself wrote, and another hand may have changed


def _journal(folder: Path, data: bytes) -> object:
    writer = re.search(rb'"writer":"([\w-]{1,60})"', data)
    name = writer[1].decode() if writer else "20261127-000000-aaaaaaaaaa"
    (folder / f"{name}.jsonl").write_bytes(data)
    read = journal.read(folder)
    journal.verify_seals(journal.read(folder))
    folded = state.fold(read.events)
    zone = blocks.first_zone(read.events)
    return folded, blocks.render_logs(read.events, blocks.Renderer(zone))


def _claims(path: Path) -> object:
    return read_claims(path.parent), read_exit_records(path.parent)


def _rows(path: Path) -> object:
    return rows.read_rows(path.parents[2])


def _verified(path: Path) -> object:
    return verify_manifest(path.parent, read_manifest(path.parent))


MANIFEST = (
    b'{"schema_version": "1", "algorithm": "sha256", "skipped_symlinks": ["latest"], '
    b'"artifacts": [{"path": "config.json", "size_bytes": 2, "sha256": "' + b"0" * 64 + b'"}]}'
)
SIGNERS = b"""# Ada
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE35cV42uykGpHW2PULIaoYKlijSbA
8N4iIi1M7C1Gqkd3nA135dCEyIp7OV1ZDY8N3HPU4OAsu0/KMCEQWNd3Dg==
-----END PUBLIC KEY-----
"""
ENVELOPE = (
    b'{"payload": "e30=", "payloadType": "application/vnd.in-toto+json", '
    b'"signatures": [{"keyid": "SHA256:0", "sig": "AAAA"}]}'
)
JOURNAL = _samples("core/golden/v1/**/*.jsonl")
ROW = b'{"time":"2026-11-27T00:00:00Z","step":1,"loss":0.5,"val/loss":"NaN","note":"x"}\n'
CLAIM = (
    b'{"scheduler":"local","job_id":"1","nonce":"x","host":"h","pid":1,'
    b'"time":"2026-11-27T00:00:00Z","restart":0}\n'
)
HOLDER = json.dumps(
    {"process": {"host": "h", "boot": "b", "pid": 1, "start_ticks": 5}, "writer": "w"}
).encode()
WORD = (
    b"watchkeeper-spill-1\n/tmp/x\n0\n\n"
    + json.dumps({"host": "h", "boot": "b", "pid": 1, "start_ticks": 5}).encode()
    + b"\n"
)
ACTION_LOG = b"""[2025-11-11 11:00:05] SUBMIT_JOB: r8
Details: sbatch finetune.slurm
Result: Job ID 1234567

[2025-11-11 11:45:00] ALL_COMPLETE
Details: All 4 jobs reached terminal states
Result: 4 COMPLETED, 0 FAILED
Duration: 45 minutes
"""
TABLE = b'model,seq,"a ""b""",note\nar,8,0.5,\n"ar,x",16,NaN,"two\nlines"\n'

DEEP = b"[" * 10_000 + b"]" * 10_000


def _deep(sample: bytes) -> tuple[bytes, ...]:
    """The sample's first line with a value that is nested too deeply."""
    return (sample.split(b"\n")[0].rstrip(b"}") + b',"x":' + DEEP + b"}\n",)


OURS = (
    Target(
        "journal line",
        JOURNAL,
        lambda folder, data: decode(data),
        (DamagedLineError,),
        _deep(JOURNAL[0]),
    ),
    Target(
        "journal",
        JOURNAL,
        _journal,
        crashes=(*_deep(JOURNAL[0]), JOURNAL[0].replace(b'"zone":"', b'"zone":"../')),
    ),
    Target("claim", (CLAIM,), _file("claim.1", _claims), crashes=_deep(CLAIM)),
    Target(
        "exit record",
        (b'{"execution":1,"exit_code":0,"time":"2026-11-27T00:00:00Z"}\n',),
        _file("exit.1", _claims),
    ),
    Target(
        "lease",
        (HOLDER,),
        _file("1.json", lambda path: lease.Lease(path.parent, "", lambda: 0.0).holder()),
        crashes=_deep(HOLDER),
    ),
    Target("spill word", (WORD,), _file("x.word", spill.read_word), (OSError, ValueError)),
    Target(
        "metric rows",
        (ROW, ROW * 3),
        _file(".watchkeeper/metrics/w.jsonl", _rows),
        crashes=_deep(ROW),
    ),
    Target("result table", (TABLE,), _file("t.csv", tables.read_table), (StorageError,)),
    Target(
        "result table of JSON lines",
        (ROW * 2,),
        _file("t.jsonl", tables.read_table),
        (StorageError,),
    ),
    Target("action log", (ACTION_LOG,), _text(block_format.parse)),
    Target(
        "a checkpoint manifest",
        (MANIFEST,),
        _file("CHECKPOINT_MANIFEST.json", _verified),
        (UsageError,),
        crashes=(DEEP, MANIFEST.replace(b"config.json", b"x" * 5_000)),
    ),
    Target("a file of trusted keys", (SIGNERS,), _file("signers", read_signers), (UsageError,)),
    Target(
        "a signed statement",
        (ENVELOPE,),
        _file("SIGNOFF.sig.json", lambda path: verify_envelope(read_document(path), ())),
        (UsageError,),
        crashes=(DEEP,),
    ),
)

# ── what people wrote

SUMMARY = b"""experiment: {name: arm, question: why}
tools: {preparation: torchtune, evaluation: inspect-ai}
runs:
  - name: r8  # the first
    type: fine-tuned
    parameters: {lr: 1.0e-4, rank: 8}
evaluation:
  tasks: [{name: clean}]
  matrix: [{run: r8, tasks: [clean], epochs: [0, 1]}]
output: {checkpoint: "{folder}/artifacts/epoch_{epoch}"}
"""
SUMMARY_MD = b"""# Experiment: arm

## Question
Does it learn?

## Runs

| run | type | lr |
| --- | --- | --- |
| r8 | fine-tuned | 1e-4 |
| base | control | - |

## Evaluation

| run | tasks | epochs |
| --- | --- | --- |
| r8 | clean, noisy | 0, 1 |
"""
SCRIPT = b"""#!/bin/bash
#SBATCH --job-name=r8 --time=1-00:00:00
#SBATCH --output=out/slurm-%5j_%x.out
#SBATCH --array=0-7%2 --gres=gpu:a100:2,gpu:1
#SBATCH --gpus-per-task=2 --ntasks=4
set -euo pipefail
cd "$SLURM_SUBMIT_DIR" || exit 1
export WANDB_DIR=/scratch/$USER
cat > conf.yaml <<EOF
lr: 1e-3
EOF
tune run --nproc_per_node 2 lora_finetune_distributed --config finetune.yaml epochs=2 \\
    batch_size=4
python train.py --config configs/x.yaml --output_dir "out dir"
inspect eval task.py@clean --model hf/local -M model_path=../artifacts/epoch_1
"""
TOML = (
    b'poll_s = 5\nnotify = ["sh", "-c", "true"]\n'
    b'[clusters.lab]\nkind = "slurm"\nsbatch_options = ["--account=a"]\n'
)
LOGS = _samples("report/runlogs/**/*_*.md", most=40)
TIMELINES = _samples("report/runlogs/**/timeline.md")
EXPERIMENTS = b"""# Experiments

| run | description | val_loss | status | notes |
|-----|-------------|----------|--------|-------|
| [train_2026-03-11](arm/2026-03-11_train.md) | front `a|b` cam | 0.028 | keep | base\\|line |
"""


def _experiment(name: str) -> Read:
    def call(folder: Path, data: bytes) -> object:
        (folder / name).write_bytes(data)
        (folder / "r8").mkdir(exist_ok=True)
        (folder / "r8/finetune.slurm").write_bytes(SCRIPT)
        return hazards.find_hazards(experiment.read(folder))

    return call


def _script(folder: Path, data: bytes) -> object:
    (folder / "r8").mkdir(exist_ok=True)
    path = folder / "r8/finetune.slurm"
    path.write_bytes(data)
    head = sbatch_head.read_head(path)
    for words in head.options.values() if hasattr(head, "options") else ():
        sbatch_head.expand(words, job_id="1", name="n", user="u", node="n")
    read = hazards.find_hazards(experiment.read(folder))
    return (
        read,
        tool_calls.read_training(folder, "r8/finetune.slurm"),
        tool_calls.read_inspect_call(path),
        configs.files_of(path),
        shell_text.variables(data.decode("utf-8", "replace")),
        list(hazards.calls_of(data, folder, head)),
    )


def _settings(path: Path) -> object:
    return settings_of_users.load(path.parent, {"XDG_CONFIG_HOME": str(path.parent / "config")})


def _run_log(text: str) -> object:
    document = runlog.parse(text)
    assert runlog.decode(runlog.encode(text)) == text or "\ufffd" in text
    file = File("a/2026-03-11_train.md", ("a", "2026-03-11_train.md"), text, ())
    return (
        document,
        lint.lint("run_logs", [file]),
        dates.stamp(text),
        dates.human_date(text),
        dates.runtime(text),
    )


def _timeline(text: str) -> object:
    return timeline.parse_timeline(text), timeline.with_entry(
        text, "2026-03-11_train.md", date(2026, 3, 11), "arm"
    )


def _experiments(text: str) -> object:
    entry = experiments_table.Entry(
        "train_2026-03-11", "arm/2026-03-11_train.md", {"val_loss": "0.5", "status": "failed"}
    )
    return experiments_table.parse_experiments(text), experiments_table.with_rows(text, [entry], {})


def _configuration(suffix: str) -> Read:
    return lambda folder, data: settings.Reader().settings(f"c.{suffix}", "0", data)


PEOPLES = (
    Target(
        "summary, YAML",
        (SUMMARY,),
        _experiment("experiment_summary.yaml"),
        (ExperimentError, UsageError),
    ),
    Target(
        "summary, Markdown",
        (SUMMARY_MD,),
        _experiment("experiment_summary.md"),
        (ExperimentError, UsageError),
    ),
    Target("batch script", (SCRIPT,), _script, (ExperimentError, UsageError)),
    Target("array numbers", (b"0-7%2", b"1,3,5-9:2"), _text(arrays.numbers_of), (ValueError,)),
    Target(
        "time limit",
        (b"1-00:00:00", b"10", b"1:2:3"),
        _text(sbatch_head.time_limit_s),
        (ValueError,),
    ),
    Target("watchkeeper.toml", (TOML,), _file("watchkeeper.toml", _settings), (UsageError,)),
    Target(
        "configuration, YAML", (SUMMARY, b"a: 1\nb:\n  - 2\n  - c: d\n"), _configuration("yaml")
    ),
    Target("configuration, JSON", (b'{"a": [1, {"b": null}], "c": "d"}',), _configuration("json")),
    Target("configuration, TOML", (TOML,), _configuration("toml")),
    Target("run log", LOGS, _text(_run_log)),
    Target("run log on the disk", LOGS, _file("2026-03-11_train.md", run_log_folder.read_log)),
    Target("timeline", TIMELINES, _text(_timeline)),
    Target("experiments.md", (EXPERIMENTS,), _text(_experiments)),
    Target("somebody else's action log", (ACTION_LOG,), _text(foreign.submitted)),
)

# ── what jobs and schedulers wrote

OUTPUT = b"""loading weights
  3%|3         | 10/300 [00:05<02:40, 1.81it/s, loss=0.532]\r\
  4%|4         | 11/300 [00:06<02:39, 1.81it/s, loss=0.531]
1|20|Loss: 5.66: 100%|##########| 20/20 [00:10<00:00]
{'loss': 0.5, 'grad_norm': 1.2, 'learning_rate': 1e-05, 'epoch': 0.1}
Epoch 0:  50%|5    | 5/10 [00:01<00:01, 4.9it/s, train_loss=0.5]
step 34/300 | train_loss: 1.2e-3 val_loss=nan
Step 34 | loss:6.05 lr:0.0003
Traceback (most recent call last):
  File "train.py", line 3, in <module>
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. \
GPU 0 has a total capacity of 79.15 GiB
slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.
Model checkpoint of size 0.0 GiB saved to /a/epoch_0/m-00001-of-00001.safetensors
Checkpoint saved in 0.01 seconds.
"""


def _output(text: str) -> object:
    return (
        trainlog.position(text),
        trainlog.losses(text),
        trainlog.val_losses(text),
        [printed_metrics.read_line(line) for line in text.splitlines()],
        trainlog.advances(text),
        trainlog.bar_rate(text),
        causes.error_lines(text),
        causes.named(causes.End(state="FAILED", exit_code=1), text),
    )


def _result(suffix: str) -> Read:
    return _file(f"r{suffix}", lambda path: file_formats.read_result(path, path.stat().st_size))


def _tensors(suffix: str) -> Read:
    return _file(f"m{suffix}", lambda path: READERS[suffix](path, path.stat().st_size))


def _weights(suffix: str) -> Read:
    return _file(f"m{suffix}", lambda path: file_formats.check_weights(path, path.stat().st_size))


def _safetensors() -> bytes:
    header = (
        b'{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    )
    return len(header).to_bytes(8, "little") + header + bytes(8)


FAULTS = (file_formats.FaultError, OSError)
UNREAD = (*FAULTS, UnreadError)
READERS = {
    ".safetensors": safetensors.read,
    ".gguf": gguf_reader.read,
    ".pt": pickles.read,
    ".onnx": onnx.spans,
    ".msgpack": flax.read,
}
TENSORS = "publish/passport/tensors/files"
PICKLES = _samples("publish/passport/tensors/files/*.pt")
WANDB_RECORDS = (
    wandb.begin(config={"lr": 0.1, "net": {"wide": [1]}}, tags=["t"], notes="n", project="p"),
    wandb.machine({"job_id": "7"}, host="h", root="/work"),
    wandb.row(0, {"loss": 1.5, "a/b": float("nan"), "image": {"_type": "image-file"}}, 1.77e9),
    wandb.row(3, {"loss": 1, "word": "w", "none": None}),
    wandb.summary({"best": 0.5}),
    wandb.end(3),
)


def _offline_run(path: Path) -> object:
    """A run of W&B, read and imported: all that can be read of it is written."""
    runs, _ = grouped([path])
    machine_of(path)
    return [import_run(segments, path.parent / "into") for segments in runs.values()]


def _record(folder: Path, data: bytes) -> object:
    """The bytes as one record of a file, behind a good beginning."""
    path = folder / "run-abc.wandb"
    path.write_bytes(wandb.framed([wandb.header(), WANDB_RECORDS[0], data]))
    return _offline_run(path)


JOBS = (
    Target("output of a training", (OUTPUT, *OUTPUT.splitlines(keepends=True)), _text(_output)),
    Target(
        "a torchtune log",
        (OUTPUT,),
        _file("log_1.txt", lambda path: torchtune.read_log(path, "log")),
    ),
    Target("result, JSON", (b'{"accuracy": 0.5, "n": 450}',), _result(".json"), FAULTS),
    Target("result, CSV", (TABLE,), _result(".csv"), FAULTS),
    Target(
        "an index of shards",
        (b'{"weight_map": {"a": "m-1.bin"}}',),
        _file("m.index.json", file_formats.check_index),
        FAULTS,
    ),
    Target("safetensors", (_safetensors(),), _weights(".safetensors"), FAULTS),
    Target("a PyTorch checkpoint", _samples("../examples/digits/*.py", 1), _weights(".pt"), FAULTS),
    Target("a pickle", (b"\x80\x04]\x94.",), _weights(".pkl"), FAULTS),
    Target("tensors of safetensors", (_safetensors(),), _tensors(".safetensors"), UNREAD),
    Target("tensors of GGUF", (gguf(LLAMA),), _tensors(".gguf"), UNREAD),
    Target("tensors of a PyTorch checkpoint", PICKLES, _tensors(".pt"), UNREAD),
    Target("tensors of ONNX", _samples(f"{TENSORS}/*.onnx"), _tensors(".onnx"), UNREAD),
    Target("tensors of Flax", _samples(f"{TENSORS}/*.msgpack"), _tensors(".msgpack"), UNREAD),
    Target(
        "an offline run of W&B",
        (wandb.framed([wandb.header(), *WANDB_RECORDS]),),
        _file("run-abc.wandb", _offline_run),
        (UsageError,),
    ),
    Target("a record of W&B", WANDB_RECORDS, _record, (UsageError,)),
    Target("squeue", _samples("schedulers/samples/squeue*"), _text(slurm_text.read_squeue)),
    Target("sacct", _samples("schedulers/samples/sacct*"), _text(slurm_text.read_sacct)),
    Target("partitions", _samples("schedulers/samples/*"), _text(site.read_partitions)),
    Target("scontrol show config", _samples("schedulers/samples/*"), _text(site.read_config)),
    Target(
        "sbatch's answer", (b"Submitted batch job 17\n", b"17;cluster\n"), _text(slurm_text.job_of)
    ),
    Target("exit code of sacct", (b"0:9", b"1:0"), _text(slurm_text.exit_of)),
)


def _eval_seeds() -> tuple[bytes, ...]:
    header = json.dumps(
        {
            "status": "success",
            "eval": {
                "task": "clean",
                "model": "hf/local",
                "model_args": {"model_path": "a/epoch_1"},
            },
        }
    )
    archives = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            archive.writestr("_journal/start.json", header)
            archive.writestr("samples/1.json", "{}")
            archive.writestr("header.json", header)
        archives.append(buffer.getvalue())
    return tuple(archives)


EVAL = Target(
    "an inspect-ai log",
    _eval_seeds(),
    _file("r.eval", lambda path: inspect_ai.read(path, Expected(epoch=1))),
    FAULTS,
)
ALL = (*OURS, *PEOPLES, *JOBS, EVAL)
