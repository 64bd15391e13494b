"""The benchmark example: document 001's flags, files and lines. Needs `.[benchmark]`."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.core.events import RunEnded, TableSealed
from watchkeeper.core.journal import read

if any(importlib.util.find_spec(name) is None for name in ("torch", "matplotlib")):
    if os.environ.get("CI") == "true":
        pytest.fail("torch and matplotlib are missing: make test installs them")
    pytest.skip(
        "torch and matplotlib are not installed: make test installs them", allow_module_level=True
    )

SRC = Path(__file__).parents[2] / "examples/benchmark/src"
SMALL = """
seed: 1
model: {vocabulary: 32, width: 16, layers: 2, heads: 2}
prompt_length: 4
seq_lengths: [4, 8]
batch_sizes: [1, 2]
llada_steps: [2, 8]
warmup: 2
batches: 2
threads: 1
"""
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - \w+ - [A-Z]+ - .+")


@pytest.fixture
def benchmark(tmp_path):
    """Start the benchmark on a small configuration; its arguments are lines to change there."""

    def start(*changes, **how):
        text = SMALL
        for before, after in changes:
            text = text.replace(before, after)
        config = tmp_path / "experiments.yaml"
        config.write_text(text)
        command = [
            sys.executable,
            SRC / "main.py",
            "--config",
            config,
            "--output_dir",
            tmp_path / "out",
        ]
        environ = {**os.environ, "MPLCONFIGDIR": str(tmp_path / "mpl")}
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ, **how
        )

    return start


@pytest.fixture
def models(monkeypatch):
    """The example's two generators and a small model of each kind."""
    monkeypatch.syspath_prepend(str(SRC))
    import models
    import torch

    torch.manual_seed(0)
    sizes = {"vocabulary": 32, "width": 16, "layers": 2, "heads": 2, "longest": 32}
    models.small = {
        causal: models.Transformer(**sizes, causal=causal).eval() for causal in (True, False)
    }
    return models


def told(folder, kind):
    journal = read(folder / ".watchkeeper/journal")
    events = [event for own in journal.events.values() for event in own if isinstance(event, kind)]
    return sorted(events, key=lambda event: event.time)


def test_generating_with_the_past_kept_is_generating_anew(models):
    """Token by token with keys and values kept gives the tokens that whole passes give."""
    import torch

    model, prompt = models.small[True], torch.randint(32, (3, 5))
    ids = prompt
    with torch.inference_mode():
        for _ in range(7):
            ids = torch.cat([ids, model(ids)[0][:, -1:].argmax(-1)], dim=1)
    assert torch.equal(models.autoregressive(model, prompt, 7), ids[:, 5:])


@pytest.mark.parametrize(("length", "steps"), [(8, 1), (8, 8), (8, 3), (5, 4)])
def test_denoising_decides_every_token_once_in_so_many_passes(models, length, steps):
    """After `steps` passes no mask is left; each pass decides its share, and what was decided
    stays.
    """
    import torch

    model, seen = models.small[False], []
    model.register_forward_pre_hook(lambda module, args: seen.append(args[0].clone()))
    final = models.masked_diffusion(model, torch.randint(32, (2, 4)), length, steps)
    assert len(seen) == steps
    states = [*(ids[:, 4:] for ids in seen), final]
    assert [(state == model.mask).sum(1).tolist() for state in states] == [
        [length - length * step // steps] * 2 for step in range(steps + 1)
    ]
    for before, after in pairwise(states):
        assert torch.equal(before[before != model.mask], after[before != model.mask])


def test_it_leaves_the_documents_files_in_their_form(benchmark, tmp_path):
    """benchmark.log, raw_metrics.csv and a plot; every log line in the format; a second call
    measures nothing again.
    """
    process = benchmark()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    folder = tmp_path / "out"
    rows, problems = wk.read_table(folder / "raw_metrics.csv")
    assert problems == []
    sizes = [(length, batch) for length in (4, 8) for batch in (1, 2)]
    assert [(row["model"], row["seq_length"], row["batch_size"], row["steps"]) for row in rows] == [
        *(("autoregressive", length, batch, None) for length, batch in sizes),
        *(
            ("llada", length, batch, steps)
            for length, batch in sizes
            for steps in (2, 8)
            if steps <= length
        ),
    ]
    assert all(row["latency_s"] > 0 and row["tokens_per_s"] > 0 for row in rows)
    log = (folder / "benchmark.log").read_text().splitlines()
    assert all(LINE.fullmatch(line) for line in log)
    assert log[-1].endswith("Run finished")
    assert (folder / "latency_against_length.png").read_bytes().startswith(b"\x89PNG")
    assert not (folder / "raw_metrics_partial.csv").exists()
    before = (folder / "raw_metrics.csv").read_bytes()
    again = benchmark()
    assert again.communicate(timeout=300)[0].count("measured before") == len(rows)
    assert (folder / "raw_metrics.csv").read_bytes() == before


def test_interrupted_it_seals_what_was_measured_and_ends_with_0(benchmark, tmp_path):
    """SIGINT in the middle: the configuration in work is finished, the table is sealed, the rest is
    done later.
    """
    process = benchmark(("batches: 2", "batches: 40"))
    partial = tmp_path / "out/raw_metrics_partial.csv"
    try:
        deadline = time.monotonic() + 60
        while not partial.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, output
    (sealed,) = told(tmp_path / "out", TableSealed)
    assert sealed.complete is False
    assert 0 < sealed.rows < 10
    assert told(tmp_path / "out", RunEnded)[0].status == "interrupted"
    assert len(wk.read_table(tmp_path / "out/raw_metrics.csv")[0]) == sealed.rows
    output, _ = benchmark().communicate(timeout=300)
    assert output.count("measured before") == sealed.rows
    last = told(tmp_path / "out", TableSealed)[-1]
    assert (last.complete, last.rows, last.rows_before) == (True, 10, sealed.rows)
    assert json.loads((tmp_path / "out/run_manifest.json").read_text())
