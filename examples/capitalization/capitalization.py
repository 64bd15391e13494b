"""Two evaluations for inspect-ai, on words that no model was trained on: of what the fine-tunes
teach, and of what the model forgets meanwhile.
"""

import json
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import match
from inspect_ai.solver import generate

WORK = Path(__file__).parent / "work"


def words(name):
    """The task of this name. An answer is right if it is the same word in the same case."""
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
