"""A draft as the text of `experiment_summary.yaml`, with comments on what a person may add."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from watchkeeper.core.text import lazy
from watchkeeper.experiment.draft import Draft, DraftCell, DraftRun

_HEAD = """# What this experiment is. docs/experiment.md has every key; `watchkeeper plan` reads it.
experiment:
  name: {name}
  # question: what do these runs test?
tools:
  preparation: {preparation}  # torchtune or script
  evaluation: {evaluation}  # inspect-ai or script
"""
_PLAIN = lazy.pattern(r"[A-Za-z][A-Za-z0-9_./-]*")
# What older readers of YAML take for true, false or nothing.
_NO_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null", "none"})
_OF_A_SCRIPT = (
    "# args: [--lr, 1e-3]",
    "# workdir: ..  # where it runs; default: the script's own folder",
    "# needs: [other]  # runs that must be done before it starts",
    "# outputs: [model.safetensors]  # it is done when these exist and hold something",
)


def text_of(draft: Draft) -> str:
    """The summary. What nobody said stands in it as a comment; comments on the keys of scripts
    stand at the first script only.
    """
    parts = [_HEAD.format(
        name=_quoted(draft.name), preparation=draft.preparation, evaluation=draft.evaluation
    )]  # fmt: skip
    epochs = _epochs(draft)
    if epochs:
        parts.append(f"controls:\n  epochs: {epochs}  # how many each fine-tuned run trains\n")
    parts.append("runs:\n")
    is_first_script = True
    for run in draft.runs:
        parts.append("\n".join(_run_lines(run, comments=is_first_script)) + "\n")
        is_first_script = is_first_script and not run.script
    if draft.cells:
        parts.append("\n".join(_evaluation_lines(draft.cells)) + "\n")
    return "".join(parts)


def _epochs(draft: Draft) -> int:
    """How many epochs are trained, as far as runs and evaluations name them; 0: nobody does."""
    epochs: list[int] = []
    for run in draft.runs:
        epochs += run.epochs
    for cell in draft.cells:
        if cell.key.epoch is not None:
            epochs.append(cell.key.epoch)
    return max(epochs, default=-1) + 1


def _run_lines(run: DraftRun, *, comments: bool) -> Iterator[str]:
    """The lines of one run; with comments on the keys of a script where these come first."""
    yield f"  - name: {_quoted(run.name)}"
    if not run.script:
        yield f"    type: {run.type}"
        return
    if run.type != "job":
        yield f"    type: {run.type}"
    yield f"    script: {_quoted(run.script)}"
    if run.args:
        yield f"    args: [{', '.join(map(_quoted, run.args))}]"
    if comments:
        for line in _OF_A_SCRIPT:
            is_given = bool(run.args) and "args" in line
            if not is_given:
                yield f"    {line}"


def _evaluation_lines(cells: Sequence[DraftCell]) -> Iterator[str]:
    """The lines of the evaluations: their tasks, then a row for each run and set of epochs.

    - {run: r8, tasks: [clean, noisy], epochs: [0, 1]}
    """
    tasks = dict.fromkeys(cell.key.task for cell in cells)
    yield "evaluation:"
    yield "  tasks:"
    for task in tasks:
        yield f"    - {{name: {_quoted(task)}}}"
    yield "  matrix:"
    for (run, epochs), names in _rows(cells).items():
        listed = ", ".join(map(_quoted, names))
        shown = "null"
        if epochs:
            shown = f"[{', '.join(map(str, epochs))}]"
        yield f"    - {{run: {_quoted(run)}, tasks: [{listed}], epochs: {shown}}}"


def _rows(cells: Sequence[DraftCell]) -> Mapping[tuple[str, tuple[int, ...]], list[str]]:
    """(run, its epochs) → the tasks that are evaluated at these; () for an untrained run. Tasks
    that share their epochs share a row.
    """
    epochs: dict[tuple[str, str], list[int]] = {}
    for cell in cells:
        known = epochs.setdefault((cell.key.run, cell.key.task), [])
        if cell.key.epoch is not None:
            known.append(cell.key.epoch)
    rows: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for (run, task), numbers in epochs.items():
        rows.setdefault((run, tuple(numbers)), []).append(task)
    return rows


def _quoted(text: str) -> str:
    """The text as YAML: bare where every reader takes it for the same text, else in quotes. `r8_lr`
    stays bare; `no`, `1e-5` and `a: b` get quotes.
    """
    if _PLAIN.fullmatch(text) and text.casefold() not in _NO_TEXT:
        return text
    return json.dumps(text, ensure_ascii=False)
