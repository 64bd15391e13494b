"""What starting costs over bare Python: `python -m bench.startup [--json]`. Budgets: import ≤ 10
ms, --help ≤ 100 ms.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

from bench.measure import seconds, show

CASES = {
    "import_watchkeeper_ms": ["-c", "import watchkeeper"],
    "help_ms": ["-m", "watchkeeper", "--help"],
    "status_usage_ms": ["-m", "watchkeeper", "status", "--help"],
}


def main(rounds: int = 15) -> None:
    """Each case by turns with bare Python; medians of the differences."""
    # Compiled code is kept, as in any installation, whatever this environment says.
    compiled = tempfile.TemporaryDirectory()
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    environment["PYTHONPYCACHEPREFIX"] = compiled.name

    def run(arguments: list[str]) -> float:
        command = [sys.executable, *arguments]
        return seconds(
            lambda: subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        )

    found = {name: [] for name in CASES}
    for arguments in CASES.values():
        run(arguments)
    for _ in range(rounds):
        bare = run(["-c", "pass"])
        for name, arguments in CASES.items():
            found[name].append((run(arguments) - bare) * 1000)
    compiled.cleanup()
    show(
        "start-up over bare Python",
        {name: statistics.median(values) for name, values in found.items()},
    )


if __name__ == "__main__":
    main()
