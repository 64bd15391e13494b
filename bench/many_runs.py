"""Commands on an experiment of many runs, each trained and evaluated, against reading the same
bytes: `python -m bench.many_runs [RUNS] [--keep FOLDER] [--json]`. Budget at 5,000: 1 s each, 2 s
for `run` with nothing to do, 3 s for `check`.

Times are CPU seconds of the whole process. The baseline decodes each line of the journal as JSON
and looks once at each promised file. `first_s` is the first call, before anything was kept in the
user's cache folder; `ours_s` the later ones. `run` comes last, since it writes into the journal.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from bench.measure import show
from bench.scale.rows import cpu_of, watchkeeper
from watchkeeper.core.events import (
    Change,
    Event,
    Intended,
    Judged,
    Opened,
    Polled,
    SchedulerFacts,
    Submitted,
    encode,
)

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
COMMANDS = (
    ("plan",),
    ("status",),
    ("status", "--json"),
    ("trace", "run00000"),
    ("compare",),
    ("check",),
    ("run",),
)
ROUNDS = 3
WRITER = "20260311-150000-aaaaaaaaaa"
SCRIPT = "#!/bin/bash\n#SBATCH --output=slurm-%j.out\n#SBATCH --time=00:05:00\npython3 work.py\n"
HEAD = """experiment:
  name: many
  question: which learning rate is best?
tools: {preparation: script, evaluation: script}
output:
  checkpoint: "{folder}/artifacts/epoch_{epoch}"
  result: "{folder}/eval/{cell}/result.json"
"""


class _Lines:
    """The journal's lines as a watch leaves them, in one writer's file."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        secret = sha256(b"bench").hexdigest()
        self.add(Opened, schema=1, software="bench", purpose="run", zone="UTC", secret=secret)

    def add(self, kind: type[Event], **fields) -> None:
        self.lines.append(encode(kind(time=NOW, writer=WRITER, seq=len(self.lines), **fields)))

    def add_attempt(self, key: str, phase: str, script: str) -> None:
        """One attempt that went well."""
        attempt = {"key": key, "phase": phase, "attempt": 1}
        job = str(len(self.lines))
        token = sha256(key.encode()).hexdigest()[:16]
        self.add(Intended, **attempt, token=token, script=script, script_sha256="0" * 64)
        self.add(Submitted, **attempt, job_id=job, scheduler="local", command=f"bash {script}")
        for before, after in (("PENDING", "RUNNING"), ("RUNNING", "COMPLETED")):
            facts = SchedulerFacts(state=after, submitted=NOW, started=NOW, ended=NOW, node="node1")
            change = Change(**attempt, job_id=job, before=before, after=after, facts=facts)
            self.add(
                Polled,
                phase=phase,
                query="q",
                interval_s=60.0,
                counts={after: 1},
                changes=(change,),
            )
        self.add(Judged, **attempt, outcome="done", state="COMPLETED", elapsed_s=60.0)


def write(folder: Path, runs: int) -> list[Path]:
    """Write the experiment; returns the promised files."""
    names = [f"run{number:05}" for number in range(runs)]
    described = (
        f"  - name: {name}\n    type: fine-tuned\n"
        f"    parameters: {{lr: {number + 1}e-6, rank: 8}}\n"
        for number, name in enumerate(names)
    )
    cells = (f"    - {{run: {name}, tasks: [clean], epochs: [0]}}\n" for name in names)
    summary = "".join(
        (
            HEAD,
            "runs:\n",
            *described,
            "evaluation:\n  tasks: [{name: clean}]\n  matrix:\n",
            *cells,
        )
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "experiment_summary.yaml").write_text(summary)
    lines = _Lines()
    promised: list[Path] = []
    for name in names:
        promised += _write_run(folder, name, lines)
    journal = folder / ".watchkeeper" / "journal"
    journal.mkdir(parents=True)
    (journal / f"{WRITER}.jsonl").write_bytes(b"".join(lines.lines))
    return promised


def _write_run(folder: Path, name: str, lines: _Lines) -> list[Path]:
    place = folder / name
    checkpoint = place / "artifacts/epoch_0/model.bin"
    result = place / "eval/clean_epoch0/result.json"
    for path in (checkpoint, result):
        path.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"weights")
    result.write_text('{"accuracy": 0.5}\n')
    (place / "finetune.slurm").write_text(SCRIPT)
    (place / "eval/clean_epoch0.slurm").write_text(SCRIPT)
    lines.add_attempt(name, "preparation", f"{name}/finetune.slurm")
    lines.add_attempt(f"{name}/clean/epoch0", "evaluation", f"{name}/eval/clean_epoch0.slurm")
    return [checkpoint, result]


def main() -> None:
    """Measure and print."""
    runs = next((int(argument) for argument in sys.argv[1:] if argument.isdigit()), 5000)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "many"
        if "--keep" in sys.argv:
            folder = Path(sys.argv[sys.argv.index("--keep") + 1])
        promised = write(folder, runs)
        lines = (folder / ".watchkeeper/journal" / f"{WRITER}.jsonl").read_bytes().splitlines()

        def read_bytes() -> None:
            for line in lines:
                json.loads(line)
            for path in promised:
                path.stat()

        for name, *more in COMMANDS:
            command = watchkeeper(name, str(folder), *more)
            words = " ".join((name, *more))
            figures = _figures(command, Path(parent, words), read_bytes)
            show(f"{words} of {runs} runs and {runs} evaluations", {"runs": runs} | figures)


def _figures(command: list[str], cache: Path, read_bytes: Callable[[], None]) -> dict[str, float]:
    """CPU seconds of the first call, the medians of later ones and of the baseline by turns, and
    the median of the rounds' ratios.
    """
    first_s = cpu_of(command, cache)
    rounds = [(cpu_of(command, cache), _cpu_seconds(read_bytes)) for _ in range(ROUNDS)]
    return {
        "first_s": first_s,
        "ours_s": statistics.median(ours for ours, _ in rounds),
        "baseline_s": statistics.median(baseline for _, baseline in rounds),
        "ratio": statistics.median(ours / baseline for ours, baseline in rounds),
    }


def _cpu_seconds(work: Callable[[], None]) -> float:
    """The CPU seconds of one call in this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
