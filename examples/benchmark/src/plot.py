"""Prints the table and plots it: python src/plot.py results/raw_data/raw_metrics.csv."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

import watchkeeper as wk


def label(row: dict) -> str:
    """The label of a line in the plot."""
    return row["model"] if row["steps"] is None else f"{row['model']}, {row['steps']} steps"


def draw(rows: list[dict], path: Path) -> Path:
    """Plot latency against length as a PNG, a panel for each batch size. Returns its path."""
    sizes = sorted({row["batch_size"] for row in rows})
    figure, panels = plt.subplots(
        1, len(sizes), figsize=(5 * len(sizes), 4), sharey=True, squeeze=False
    )
    for size, panel in zip(sizes, panels[0], strict=True):
        lines = defaultdict(list)
        for row in rows:
            if row["batch_size"] == size:
                lines[label(row)].append((row["seq_length"], 1000 * row["latency_s"]))
        for name, points in lines.items():
            panel.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
        panel.set(title=f"batch size {size}", xlabel="tokens generated")
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("latency, ms (median)")
    panels[0][0].set_ylim(bottom=0)  # the axis is shared; set it once all lines are drawn
    panels[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


def main() -> None:
    """Print the table named on the command line, and write its plot beside it."""
    path = Path(sys.argv[1])
    rows, problems = wk.read_table(path)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(
        f"{'model':<24}{'length':>8}{'batch':>7}{'latency':>12}{'tokens/s':>11}{'peak memory':>14}"
    )
    for row in sorted(rows, key=lambda row: (row["batch_size"], row["seq_length"], label(row))):
        memory = row["peak_memory_bytes"]
        print(
            f"{label(row):<24}{row['seq_length']:>8}{row['batch_size']:>7}"
            f"{1000 * row['latency_s']:>9.1f} ms"
            f"{row['tokens_per_s']:>11,.0f}"
            + (f"{memory / 2**20:>10.0f} MiB" if memory else f"{'-':>14}")
        )
    print(f"\n{draw(rows, path.with_name('latency_against_length.png'))}")


if __name__ == "__main__":
    main()
