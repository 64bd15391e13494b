"""The two evaluations, for inspect-ai, on words that no model was trained on: what the fine-tunes teach, and what the model
forgets over it.
"""

import json
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import match
from inspect_ai.solver import generate

WORK = Path(__file__).parent / "work"


def words(name):
    """A word is right when each of its letters is: the case counts."""
    rows = json.loads((WORK / f"{name}.json").read_text())
    samples = [Sample(input=row["input"], target=row["output"]) for row in rows]
    return Task(
        dataset=MemoryDataset(samples, name=name),
        solver=generate(),
        scorer=match(location="exact", ignore_case=False),
    )


@task
def capitalization():
    return words("capitalization")


@task
def copying():
    return words("copying")
