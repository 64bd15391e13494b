"""Measures how fast a small transformer generates on the CPU: token by token, or by LLaDA's masked
diffusion.

    python src/main.py --config config/experiments.yaml --output_dir results/raw_data

Ctrl-C finishes the current configuration and keeps what was measured; the same command resumes.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import torch
from models import Transformer, autoregressive, masked_diffusion
from plot import draw
from ruamel.yaml import YAML

import watchkeeper as wk

LOG_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
KEY = ("model", "parameters", "prompt_length", "seq_length", "batch_size", "steps", "threads")
logger = logging.getLogger("benchmark")


def forget_peak() -> None:
    """Reset the kernel's count of this process's peak memory (proc(5), /proc/pid/clear_refs)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int | None:
    """Peak memory in bytes since `forget_peak`; None if the kernel does not report it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def run_model(run: wk.Run, name: str, generate: Callable[[], torch.Tensor], config: dict) -> dict:
    """Warm up, then time each batch. Returns seconds, tokens per second and bytes."""
    warmup = range(config["warmup"])
    for _ in run.track(warmup, f"Warmup {name}", leave=False) if len(warmup) > 1 else warmup:
        generate()
    forget_peak()
    latencies, tokens = [], 0
    for _ in run.track(range(config["batches"]), f"Processing batches {name}", leave=False):
        began = time.perf_counter()
        tokens += generate().numel()
        latencies.append(time.perf_counter() - began)
    return {
        "latency_s": statistics.median(latencies),
        "latency_min_s": min(latencies),
        "latency_max_s": max(latencies),
        "tokens_per_s": tokens / sum(latencies),
        "peak_memory_bytes": peak_bytes(),
    }


def experiments(config: dict) -> tuple[list[dict], list[dict]]:
    """The configurations of the baseline and of LLaDA, without those that have more denoising
    passes than tokens.
    """
    sizes = [
        {"seq_length": s, "batch_size": b}
        for s, b in product(config["seq_lengths"], config["batch_sizes"])
    ]
    baseline = [{"model": "autoregressive", **size, "steps": None} for size in sizes]
    steps = config["llada_steps"]
    return baseline, [
        {"model": "llada", **z, "steps": n}
        for z, n in product(sizes, steps)
        if n <= z["seq_length"]
    ]


def measure(run: wk.Run, table: wk.Table, config: dict) -> None:
    """Measure each configuration that the table does not have yet."""
    longest = config["prompt_length"] + max(config["seq_lengths"])
    torch.manual_seed(config["seed"])
    models = {
        name: Transformer(
            **config["model"], longest=longest, causal=name == "autoregressive"
        ).eval()
        for name in ("autoregressive", "llada")
    }
    for what, items in zip(
        ("Baseline experiments", "LLaDA experiments"), experiments(config), strict=True
    ):
        for item in run.track(items, what, unit="config"):
            name, length, steps = item["model"], item["seq_length"], item["steps"]
            model = models[name]
            row = {
                "model": name,
                "parameters": sum(p.numel() for p in model.parameters()),
                "prompt_length": config["prompt_length"],
                **{key: item[key] for key in ("seq_length", "batch_size", "steps")},
                "threads": config["threads"],
            }
            label = f"{name} seq_length={length} batch_size={item['batch_size']}" + (
                f" steps={steps}" if steps else ""
            )
            if row in table:
                logger.info("%s: measured before", label)
                continue
            prompt = torch.randint(
                config["model"]["vocabulary"], (item["batch_size"], config["prompt_length"])
            )
            if name == "llada":
                generate = partial(masked_diffusion, model, prompt, length, steps)
            else:
                generate = partial(autoregressive, model, prompt, length)
            result = run_model(run, name, generate, config)
            table.append({**row, **result})
            logger.info(
                "%s: %.1f ms, %.0f tokens/s",
                label,
                1000 * result["latency_s"],
                result["tokens_per_s"],
            )


def main() -> None:
    """Measure, complete the table and draw the plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--config", type=Path, required=True, help="a YAML file such as config/experiments.yaml"
    )
    parser.add_argument(
        "--output_dir", type=Path, required=True, help="where benchmark.log and raw_metrics.csv go"
    )
    args = parser.parse_args()
    config = YAML(typ="safe").load(args.config)
    torch.set_num_threads(config["threads"])
    with wk.start_run(
        folder=args.output_dir,
        pipeline="benchmark",
        config=config,
        log_file="benchmark.log",
        log_format=LOG_FORMAT,
        exit_code=0,  # stopping on request is a success here
    ) as run:
        with run.table("raw_metrics", key=KEY) as table:
            measure(run, table, config)
        rows, _ = wk.read_table(table.path)
        picture = draw(rows, args.output_dir / "latency_against_length.png")
        logger.info("%d configurations in %s, plot in %s", len(rows), table.path.name, picture.name)


if __name__ == "__main__":
    main()
