"""What starting costs over bare Python: `python -m bench.startup [--json]`. Budgets: import ≤ 10 ms, --help ≤ 100 ms."""

from __future__ import annotations

import statistics
import subprocess
import sys

from bench.measure import seconds, show

CASES = {
    "import_watchkeeper_ms": ["-c", "import watchkeeper"],
    "help_ms": ["-m", "watchkeeper", "--help"],
    "status_usage_ms": ["-m", "watchkeeper", "status", "--help"],
}


def main(rounds: int = 15) -> None:
    """Each case by turns with bare Python; medians of the differences."""

    def run(arguments: list[str]) -> float:
        return seconds(lambda: subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True))

    found = {name: [] for name in CASES}
    for _ in range(rounds):
        bare = run(["-c", "pass"])
        for name, arguments in CASES.items():
            found[name].append((run(arguments) - bare) * 1000)
    show("start-up over bare Python", {name: statistics.median(values) for name, values in found.items()})


if __name__ == "__main__":
    main()
