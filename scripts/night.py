"""Make a folder with a night's work, to look at the views with: `python scripts/night.py FOLDER`.

    digits      an experiment that is done: examples/digits, run here
    cap_rank    an experiment with failed, blocked, running and waiting jobs, whose watcher is gone
    sft_r16     a recorded run that died once, was continued, stalled once, and still trains
    sweep       48 recorded runs

All of it is made by the real commands and the real recorder; only what the models learn is a
formula. When it is there, one line says "ready". What still trains then ends with this program:
with Ctrl-C, with SIGTERM, or when its standard input is closed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import watchkeeper as wk

_EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
_WK = Path(sys.executable).with_name("watchkeeper")
_READY_S = 180.0
_LOOK_S = 0.5

# ── cap_rank

_RUNS = {
    "r4_lr2e-4": (4, 2e-4, "done"),
    "r8_lr2e-4": (8, 2e-4, "done"),
    "r16_lr2e-4": (16, 2e-4, "done"),
    "r32_lr2e-4": (32, 2e-4, "memory"),
    "r16_lr1e-3": (16, 1e-3, "slow"),
    "r64_lr2e-4": (64, 2e-4, "slow"),
}
_LIMITS = {"r16_lr1e-3": "00:15:00"}
_TASKS = ("capitalization", "copying", "reversal")
_SLOW = ("r16_lr1e-3", "r64_lr2e-4")

_SUMMARY = """\
experiment:
  name: cap_rank
  question: What does the rank buy on capitalization, and what is forgotten?
  date: "2026-11-26"
tools: {preparation: script, evaluation: script}
variables:
  lora_rank: [4, 8, 16, 32, 64]
  lr: [2.0e-4, 1.0e-3]
controls: {epochs: 2, seed: 1}
output:
  checkpoint: "{folder}/artifacts/epoch_{epoch}"
  result: "{folder}/eval/{cell}/result.json"
"""

_TRAIN = '''\
"""A training whose losses are a formula: python train.py RANK LR END."""

import json
import math
import random
import struct
import sys
import tempfile
import time
from pathlib import Path

import watchkeeper as wk


def save(folder, step):
    """Write a small file of weights."""
    weights = struct.pack("<4f", *(math.sin(step + n) for n in range(4)))
    tensor = {"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    head = json.dumps(tensor).encode()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + weights)


def main():
    """Train as the third argument says: to the end, until memory is short, or slowly."""
    rank, rate, end = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    total = {"done": 120, "memory": 120, "slow": 90_000}[end]
    noise = random.Random(rank)
    config = {"lora_rank": rank, "lr": rate, "seed": 1, "total_steps": total}
    with wk.start_run("artifacts/training", pipeline="sft", config=config, name=f"r{rank}") as run:
        for step in run.track(range(1, total + 1), "train", total=total):
            if end == "memory" and step == 40:
                raise MemoryError
            pace = 0.5 if end == "slow" else 0.005
            time.sleep(0 if end == "slow" and step <= 4000 else pace)
            loss = 0.4 + 3 * math.exp(-step / (total / 12)) + noise.gauss(0, 0.02)
            run.log(step, loss=round(loss, 4), grad_norm=round(abs(noise.gauss(0.3, 0.05)), 4))
            if step % (total // 2) == 0:
                folder = Path("artifacts", f"epoch_{step // (total // 2) - 1}")
                save(folder, step)
                run.checkpoint(folder, training_step=step)


main()
'''

_EVALUATE = '''\
"""An evaluation whose accuracy is a formula: python evaluate.py TASK RANK EPOCH OUTPUT."""

import json
import math
import sys
import tempfile
import time
from pathlib import Path

task, rank, epoch, output = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
time.sleep(0.2)
if task == "reversal" and rank:
    import sacrebleu_of_another_environment  # what is not installed
learned = 1 - math.exp(-rank / 3.4)
accuracy = {"capitalization": learned, "copying": 1 - learned * 0.85, "reversal": 0.0}[task]
accuracy = round(min(1.0, accuracy + 0.008 * epoch * (rank > 0)), 4)
output.parent.mkdir(parents=True, exist_ok=True)
result = {"accuracy": accuracy, "stderr": round(0.01 + accuracy / 50, 4), "samples": 100}
output.write_text(json.dumps(result))
print(json.dumps(result))
'''


def _script(name: str, limit: str, command: str) -> str:
    return (
        f"#!/bin/bash\n#SBATCH --job-name={name}\n#SBATCH --output=slurm-%j.out\n"
        f"#SBATCH --time={limit}\n#SBATCH --mem=1G\nset -euo pipefail\n{command}\n"
    )


def _write_cap_rank(folder: Path) -> None:
    python = sys.executable
    runs = ["runs:\n"]
    matrix = ["  matrix:\n"]
    for name, (rank, rate, end) in _RUNS.items():
        home = folder / name
        (home / "eval").mkdir(parents=True)
        limit = _LIMITS.get(name, "1-00:00:00")
        train = _script(name, limit, f"{python} ../train.py {rank} {rate} {end}")
        (home / "finetune.slurm").write_text(train)
        for task, epoch in itertools.product(_TASKS, (0, 1)):
            cell = f"{task}_epoch{epoch}"
            command = f"{python} ../../evaluate.py {task} {rank} {epoch} {cell}/result.json"
            (home / "eval" / f"{cell}.slurm").write_text(_script(cell, "00:05:00", command))
        settings = f"{{lora_rank: {rank}, lr: {rate}}}"
        runs.append(f"  - {{name: {name}, type: fine-tuned, parameters: {settings}}}\n")
        matrix.append(f"    - {{run: {name}, tasks: [{', '.join(_TASKS)}], epochs: [0, 1]}}\n")
    (folder / "base" / "eval").mkdir(parents=True)
    for task in _TASKS:
        command = f"{python} ../../evaluate.py {task} 0 0 {task}_base/result.json"
        script = _script(f"{task}_base", "00:05:00", command)
        (folder / "base" / "eval" / f"{task}_base.slurm").write_text(script)
    runs.append("  - {name: base, type: control}\n")
    matrix.append(f"    - {{run: base, tasks: [{', '.join(_TASKS)}], epochs: null}}\n")
    tasks = "".join(f"    - {{name: {task}, script: evaluate.py}}\n" for task in _TASKS)
    evaluation = f"evaluation:\n  seed: 7\n  tasks:\n{tasks}"
    text = _SUMMARY + "".join(runs) + evaluation + "".join(matrix)
    (folder / "experiment_summary.yaml").write_text(text)
    (folder / "train.py").write_text(_TRAIN)
    (folder / "evaluate.py").write_text(_EVALUATE)


def _status(folder: Path) -> dict[str, object]:
    """The pieces of work of an experiment, by key."""
    command = [_WK, "status", folder, "--json", "--limit", "0"]
    answer = subprocess.run(command, capture_output=True, check=False, text=True)
    data = json.loads(answer.stdout)["data"]
    return {row["key"]: row for row in data["rows"]}


def _run_cap_rank(folder: Path) -> None:
    """Watch it until only two slow trainings are left and one is known to be late; then lose the
    watcher.
    """
    _write_cap_rank(folder)
    command = [_WK, "run", folder, "--gate", "each", "--slots", "4", "--keep-going", "--poll", "1"]
    with open(os.devnull, "w") as nowhere:
        watcher = subprocess.Popen(command, stdout=nowhere, stderr=nowhere, stdin=nowhere)
    try:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline and not _is_late_at_night(folder):
            time.sleep(_LOOK_S)
    finally:
        watcher.kill()
        watcher.wait()


def _is_late_at_night(folder: Path) -> bool:
    """Whether all but the two slow trainings has ended, and the watcher has judged their health."""
    if not (folder / ".watchkeeper").exists():
        return False
    rows = _status(folder)
    for key, row in rows.items():
        assert isinstance(row, dict)
        if key in _SLOW and row.get("health") != "advancing":
            return False
        if key not in _SLOW and not key.startswith(_SLOW) and row["standing"] in _OPEN:
            return False
    return _is_said_to_be_late(folder)


def _is_said_to_be_late(folder: Path) -> bool:
    """Whether the watcher wrote that a training will not end before its limit."""
    journals = (folder / ".watchkeeper" / "journal").glob("*.jsonl")
    return any('"fits":false' in journal.read_text() for journal in journals)


_OPEN = ("to do", "running")

# ── sft_r16

_TOTAL = 24_000
_CONTINUED_FROM = 8_000
_DIED_AT = 8_650
_STALLED_AT = 12_000
_REACHED = 18_350
_STALL_S = 2.0


def _loss(step: int, noise: random.Random) -> float:
    spike = 0.6 * math.exp(-(((step - 5200) / 60) ** 2))
    return (
        0.42
        + 2.9 * math.exp(-step / 900)
        + 0.5 * math.exp(-step / 6000)
        + spike
        + noise.gauss(0, 0.03)
    )


def _train(folder: Path, first: int, last: int, *, then: str) -> None:
    """Train from one step to another; `then` die without a word, or keep training slowly."""
    noise = random.Random(first)
    config = {
        "model": "llama-1B",
        "lora_rank": 16,
        "batch_size": 32,
        "lr": 0.0002,
        "warmup_steps": 200,
        "seed": 1,
        "total_steps": _TOTAL,
    }
    run = wk.start_run(
        folder=folder,
        pipeline="sft",
        config=config,
        name="sft_r16",
        console=False,
        stall_s=_STALL_S,
        run_id="sft_r16",
    )
    with run:
        if first == 1:
            with run.step("00_tokenize") as stage:
                stage.rows(read=52_000, kept=51_204)
        with run.step("01_train"):
            for step in run.track(
                range(first, _TOTAL + 1), "train", total=_TOTAL, initial=first - 1
            ):
                _train_one(run, folder, step, noise)
                if step == last and then == "die":
                    os._exit(9)
                if step > last:
                    time.sleep(0.5)
                if step == _STALLED_AT:
                    time.sleep(10 * _STALL_S)


def _train_one(run: wk.Run, folder: Path, step: int, noise: random.Random) -> None:
    loss = _loss(step, noise)
    rate = 0.0002 * min(1.0, step / 200)
    run.log(
        step,
        loss=round(loss, 4),
        grad_norm=round(0.2 + math.exp(-step / 4000) + abs(noise.gauss(0, 0.03)), 4),
        tokens_per_s=round(18_500 + noise.gauss(0, 400)),
        lr=rate,
    )
    if step % 500:
        return
    val_loss = loss + 0.02 + max(0.0, (step - 15_500) / 40_000)
    run.log(step, val_loss=round(val_loss, 4))
    word = noise.choice(("luzige", "ediwan", "morenka", "tabiro"))
    output = word.capitalize()
    if step in (2_000, 3_500, 9_500):
        output = word
    run.example(
        step,
        prompt=f"Capitalize: {word}",
        golden=word.capitalize(),
        output=output,
        loss=round(loss, 4),
        val_loss=round(val_loss, 4),
        match=output != word,
    )
    if step % 2_000 == 0:
        place = folder / "checkpoints" / f"step_{step}"
        place.mkdir(parents=True, exist_ok=True)
        (place / "adapter_model.safetensors").write_bytes(noise.randbytes(4096))
        run.checkpoint(place, training_step=step)


def _start_sft(folder: Path) -> subprocess.Popen[bytes]:
    """Train until it dies, then continue, and let it train on in a process."""
    command = [sys.executable, __file__, str(folder.parent), "--part"]
    with open(os.devnull, "w") as nowhere:
        subprocess.run([*command, "first"], stdout=nowhere, stderr=nowhere, check=False)
        second = subprocess.Popen(
            [*command, "second"], stdout=nowhere, stderr=nowhere, stdin=nowhere
        )
    return second


def _has_reached(folder: Path, step: int) -> bool:
    status = folder / "status" / "training_status.json"
    with contextlib.suppress(OSError, ValueError, TypeError):
        return int(json.loads(status.read_text())["step"]) >= step
    return False


# ── sweep


def _make_sweep(folder: Path) -> None:
    """Record 48 runs of 40 rows."""
    sizes, rates, momenta, batches = (16, 32, 64), (0.01, 0.03, 0.1, 0.3), (0.0, 0.9), (16, 64)
    for hidden, rate, momentum, batch in itertools.product(sizes, rates, momenta, batches):
        noise = random.Random(f"{hidden} {rate} {momentum} {batch}")
        name = f"h{hidden}_lr{rate}_m{momentum}_b{batch}"
        config = {
            "hidden_units": hidden,
            "learning_rate": rate,
            "momentum": momentum,
            "batch_size": batch,
            "epochs": 2,
        }
        with wk.start_run(
            folder=folder / name,
            pipeline="sweep",
            config=config,
            name=name,
            console=False,
            sidecar=False,
        ) as run:
            speed = rate * (1 + 2 * momentum) * hidden / 16
            for step in range(1, 41):
                loss = 2.3 * math.exp(-speed * step / 4) + 0.1 + abs(math.log10(rate / 0.1)) / 20
                run.log(step, loss=round(loss + abs(noise.gauss(0, 0.01)), 4))
                if step % 10 == 0:
                    run.log(step, val_loss=round(loss * 1.05 + abs(noise.gauss(0, 0.005)), 4))


# ── digits


def _run_digits(folder: Path) -> None:
    shutil.copytree(
        _EXAMPLES / "digits",
        folder,
        ignore=shutil.ignore_patterns(
            ".watchkeeper",
            "artifacts",
            "run_logs",
            "*.log",
            "*.out",
            "*_epoch[01]",
            "*_base",
            "result.json",
        ),
    )
    programs = Path(sys.executable).parent
    environment = f"export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PATH={programs}:$PATH\n"
    (folder / "env.sh").write_text(environment)
    subprocess.run([_WK, "run", folder, "-q"], check=True, stdout=subprocess.DEVNULL)


# ── the night


@contextlib.contextmanager
def _a_night(folder: Path) -> Iterator[None]:
    """The night's work; what still trains ends with it."""
    folder.mkdir(parents=True)
    # Slots of its own: jobs of other experiments of this user must not hold it up.
    state = tempfile.mkdtemp(prefix="night-")
    os.environ["XDG_STATE_HOME"] = state
    sft = _start_sft(folder / "sft_r16")
    try:
        _run_digits(folder / "digits")
        _make_sweep(folder / "sweep")
        _run_cap_rank(folder / "cap_rank")
        deadline = time.monotonic() + _READY_S
        while not _has_reached(folder / "sft_r16", _REACHED) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        yield
    finally:
        sft.terminate()
        sft.wait()
        cap_rank = folder / "cap_rank"
        if (cap_rank / ".watchkeeper").exists():
            subprocess.run([_WK, "cancel", cap_rank, "-q"], check=False)
        shutil.rmtree(state, ignore_errors=True)


def main() -> None:
    """Make the folder, say that it is ready, and wait for the end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--part", choices=("first", "second"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sft = arguments.folder / "sft_r16"
    if arguments.part == "first":
        _train(sft, 1, _DIED_AT, then="die")
    elif arguments.part == "second":
        _train(sft, _CONTINUED_FROM + 1, _REACHED, then="train on")
    else:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt), _a_night(arguments.folder):
            print("ready", flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main()
