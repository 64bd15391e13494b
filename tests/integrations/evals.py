"""Tasks for inspect-ai that end in each of its ways, and a model that answers from a list."""

from __future__ import annotations

from pathlib import Path

TASKS = """
import os, signal, time
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import match
from inspect_ai.solver import generate, solver

DATA = [Sample("What is 2 + 2?", target="4"), Sample("What is 3 + 3?", target="6")]

@task
def sums():
    return Task(DATA, solver=generate(), scorer=match())

@task
def sized(size):
    return Task(DATA[:size], solver=generate(), scorer=match())

@solver
def fails_the_first_time():
    async def solve(state, generate):
        with open("tried", "a+") as tried:
            if tried.tell() == 0:
                tried.write("once")
                raise ValueError("planted")
        return await generate(state)
    return solve

@task
def flaky():
    return Task(DATA, solver=fails_the_first_time(), scorer=match())

@solver
def fails():
    async def solve(state, generate):
        raise ValueError("planted")
    return solve

@task
def broken():
    return Task(DATA, solver=fails(), scorer=match())

@solver
def kills():
    async def solve(state, generate):
        os.kill(os.getpid(), signal.SIGKILL)
    return solve

@task
def killed():
    return Task(DATA, solver=[generate(), kills()], scorer=match())

@solver
def fails_once():
    async def solve(state, generate):
        if state.sample_id == 1:
            raise ValueError("planted")
        return await generate(state)
    return solve

@task
def partly():
    return Task(DATA, solver=fails_once(), scorer=match(), fail_on_error=False)

@solver
def interrupts():
    async def solve(state, generate):
        import anyio
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep(60)
    return solve

@task
def cut():
    return Task(DATA, solver=interrupts(), scorer=match())
"""

MODEL = """
from inspect_ai.model import ModelAPI, ModelOutput, ModelUsage, modelapi

@modelapi("made")
class Made(ModelAPI):
    def __init__(self, model_name, base_url=None, api_key=None, config=None, **model_args):
        super().__init__(model_name)
        self.right = "5" if model_name == "wrong" else "4"

    async def generate(self, input, tools, tool_choice, config):
        answer = self.right if "2 + 2" in input[-1].text else "5"
        output = ModelOutput.from_content("made/model", answer)
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return output
"""

ENTRY_POINTS = """
[inspect_ai]
made = made_model
watchkeeper = watchkeeper.integrations.inspect_ai
"""


def write(folder: Path) -> Path:
    """Leave `tasks.py` in the folder, and return what belongs on the path: the model, with the
    entry points of an installed package.
    """
    (folder / "tasks.py").write_text(TASKS)
    metadata = folder / "path/watchkeeper_entry-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: watchkeeper-entry\nVersion: 1\n"
    )
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "path/made_model.py").write_text(MODEL)
    return folder / "path"
