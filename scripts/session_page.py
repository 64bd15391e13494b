#!/usr/bin/env python3
"""Prints docs/session.md: a first session, typed for real in an empty folder.

.venv/bin/python scripts/session_page.py > docs/session.md
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

FILES = {
    "train.sh": """#!/bin/bash
#SBATCH --time=00:10:00
set -e
python train.py "$@"
""",
    "train.py": """import json
import sys

rate = float(sys.argv[sys.argv.index("--lr") + 1])
weight = 0.0
for step in range(1, 101):
    loss = (weight - 3.0) ** 2
    weight -= rate * 2 * (weight - 3.0)
    if step % 10 == 0:
        print(f"step {step}/100 loss: {loss:.4f}", flush=True)
with open(f"weights-{rate}.json", "w") as file:
    json.dump(weight, file)
""",
    "eval.sh": """#!/bin/bash
#SBATCH --time=00:05:00
set -e
python eval.py "$1"
""",
    "eval.py": """import json
import sys

with open(f"weights-{sys.argv[1]}.json") as file:
    weight = json.load(file)
with open(f"result-{sys.argv[1]}.json", "w") as file:
    json.dump({"accuracy": round(1 - abs(weight - 3) / 3, 4)}, file)
""",
}

STEPS = (
    ("Train with two learning rates. Nothing is renamed; arguments follow `--`.", (
        "watchkeeper run train.sh -- --lr 0.01",
        "watchkeeper submit train.sh -- --lr 0.1",
    )),
    ("A mistake says what to type instead, and the same command twice runs nothing twice.", (
        "watchkeeper run train.sh --lr 0.1",
        "watchkeeper run train.sh -- --lr 0.1",
    )),
    ("Evaluate each once the trainings are done. `--output` is what the job must leave.", (
        "watchkeeper submit eval.sh --after 'train*' --output result-0.01.json -- 0.01",
        "watchkeeper run eval.sh --after 'train*' --output result-0.1.json -- 0.1",
    )),
    ("Where everything stands, and which learning rate is better.", (
        "watchkeeper status",
        "watchkeeper compare . --runs 'train*'",
        "watchkeeper compare . --runs 'eval*'",
    )),
)  # fmt: skip

HEAD = """# A first session

Two ordinary scripts in a folder, `train.sh` and `eval.sh`: run, watched, evaluated and compared, in
a few minutes of typing. Every line below was typed; a test types it again.

"""
FOOT = """
Everything that happened is in `run-training.log`, and a page for each run in `run_logs/`. More:
[scripts](scripts.md), [what the commands say](commands.md), [compare](compare.md).
"""


def page(folder: Path) -> str:
    """The page, with what the commands print in the empty `folder`."""
    parts = [HEAD]
    for name, text in FILES.items():
        (folder / name).write_text(text)
        language = "python" if name.endswith(".py") else "bash"
        parts.append(f"`{name}`:\n\n```{language}\n{text}```\n\n")
    for words, commands in STEPS:
        parts.append(f"{words}\n\n```console\n")
        for command in commands:
            parts.append(f"$ {command}\n{_typed(command, folder)}")
        parts.append("```\n\n")
    return "".join(parts).rstrip("\n") + "\n" + FOOT


def _typed(command: str, folder: Path) -> str:
    """What a command prints that is typed in the folder."""
    binaries = Path(sys.executable).parent
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("WATCHKEEPER_")
    }
    environment |= {
        "PATH": f"{binaries}:{environment['PATH']}",
        "WATCHKEEPER_STATE_DIR": f"{folder}/.state",
        "XDG_CONFIG_HOME": f"{folder}/.config",
        "XDG_CACHE_HOME": f"{folder}/.cache",
        "TZ": "UTC",
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    return done.stdout.replace(str(folder), "/home/me/project")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        project = Path(place, "project")
        project.mkdir()
        print(page(project), end="")
