"""The fold of a large journal against decoding the same lines: `python -m bench.fold [EVENTS]
[--json]`. Budget: ≤ 4 ×.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from bench.measure import by_turns, show
from watchkeeper.core.events import (
    Change,
    Intended,
    Judged,
    Opened,
    Polled,
    SchedulerFacts,
    Submitted,
    decode,
    encode,
)
from watchkeeper.core.state import fold

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)


def lines(number: int) -> list[bytes]:
    """So many lines as a watch leaves them: intended, submitted, two polls and a verdict for each
    attempt.
    """
    made = [
        encode(
            Opened(
                time=NOW, writer="w", seq=0, schema=1, software="bench", purpose="run", zone="UTC"
            )
        )
    ]

    def add(kind: type, **fields) -> None:
        made.append(encode(kind(time=NOW, writer="w", seq=len(made), **fields)))

    while len(made) < number:
        key = {"key": f"r{len(made)}/task/epoch0", "phase": "evaluation", "attempt": 1}
        job = str(len(made))
        add(
            Intended,
            **key,
            token="0123456789abcdef",
            script="r/eval/task_epoch0.slurm",
            script_sha256="0" * 64,
        )
        add(Submitted, **key, job_id=job, scheduler="local", command="bash task_epoch0.slurm")
        for before, after in (("PENDING", "RUNNING"), ("RUNNING", "COMPLETED")):
            facts = SchedulerFacts(state=after, submitted=NOW, started=NOW, node="node1")
            change = Change(**key, job_id=job, before=before, after=after, facts=facts)
            add(
                Polled,
                phase="evaluation",
                query="q",
                interval_s=60.0,
                counts={after: 1},
                changes=(change,),
            )
        add(
            Judged,
            **key,
            outcome="done",
            state="COMPLETED",
            fingerprints={key["key"]: "0" * 64},
            metrics={"accuracy": 0.5},
        )
    return made[:number]


def main() -> None:
    """Measure and print."""
    number = next((int(argument) for argument in sys.argv[1:] if argument.isdigit()), 1_000_000)
    raw = lines(number)
    result = by_turns(
        lambda: fold({"w": map(decode, raw)}),
        lambda: [None for line in raw if decode(line) is None],
        rounds=3,
    )
    show(f"fold of {number} events against decoding the same lines", {"events": number, **result})


if __name__ == "__main__":
    main()
