"""The Results of a run log: what a training or an evaluation left. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from watchkeeper.core.events import Artifact, Judged, Learned, Number
from watchkeeper.core.text.figures import runtime, size
from watchkeeper.report.compose import repeated
from watchkeeper.report.compose.history import WELL, LogView, shorten
from watchkeeper.report.compose.page import NONE, Value, format_number

MOST_KEPT = 10  # checkpoints in one line


class Evaluation(msgspec.Struct, frozen=True):
    """An evaluation of a training, as a line of its Results. `epoch` None: of no epoch."""

    name: str
    judged: Judged
    task: str = ""
    epoch: int | None = None


def compose_results(view: LogView, evaluations: Sequence[Evaluation]) -> list[Value]:
    """Compose what the newest attempt left, and a line for each evaluation of it.

        - runtime: `00:00:03` (start `2026-11-25T17:24:07Z`, end `2026-11-25T17:24:10Z`)
        - final step: 80
        - end_train_loss: 0.360985
        - checkpoint: `h16_lr1e-1/artifacts/epoch_1`
        - clean epoch 1: accuracy 0.94, loss 0.2311, samples 450

    Before a verdict, and after a job that never ran, there are only the evaluations. `evaluations`
    come in the order of the page.
    """
    values = []
    judged = view.last_judged
    if judged is not None and judged.outcome != "not run":
        values += _compose_runtime(view)
        if view.is_evaluation:
            values += _compose_evaluation(view, judged)
        else:
            values += _compose_training(view, judged)
    values += map(_summarize_evaluation, evaluations)
    if view.about.expected and (view.is_evaluation or evaluations):
        values.append(Value("expected", view.about.expected))
    return values


def _compose_runtime(view: LogView) -> list[Value]:
    """State the runtime of the newest execution, with the times it was worked out from. Empty: one
    of them is not known.

        - runtime: `00:00:03` (start `2026-11-25T17:24:07Z`, end `2026-11-25T17:24:10Z`)
    """
    last = view.executions[-1]
    if last.runtime_s is None or last.begun is None or last.ended is None:
        return []
    note = f"start `{view.iso(last.begun)}`, end `{view.iso(last.ended)}`"
    return [Value("runtime", runtime(last.runtime_s), quoted=True, note=note)]


def _compose_evaluation(view: LogView, judged: Judged) -> list[Value]:
    """State what an evaluation left: its figures, its file of results, and the checkpoint that it
    measured. Loss and configuration are a training's, and are answered with `n/a`.
    """
    values = []
    for name, value in judged.metrics.items():
        values.append(Value(name, format_number(value)))
    if judged.outcome in WELL and judged.evidence:
        source = judged.evidence[0].source
        values.append(Value("result", view.path(source), quoted=True))
    values.append(Value("checkpoint", _evaluated_checkpoint(view) or "n/a: untrained"))
    values.append(Value("loss_one_liner", "n/a: an evaluation"))
    values.append(Value("config_snapshot", NONE))
    return values


def _evaluated_checkpoint(view: LogView) -> str:
    """Return the checkpoint that the newest attempt was given: `r8/artifacts/epoch_1`. "": none."""
    intended = view.history.intended.get(view.attempts[-1])
    if intended is None:
        return ""
    for name in intended.inputs:
        if "/epoch_" in name:
            return name
    return ""


def _compose_training(view: LogView, judged: Judged) -> list[Value]:
    """State what a training left, as far as anything of it could be read, and what it used:
    `compute: 0.4 GPU-hours; …`.
    """
    values = []
    if judged.learned is not None:
        values += _compose_progress(judged.learned)
        values += _compose_source(view, judged.learned)
        values += _compose_checkpoints(view, judged.learned)
        values += _compose_outputs(view, judged.learned)
    if judged.used:
        values.append(Value("compute", "; ".join(judged.used)))
    return values


def _compose_progress(learned: Learned) -> list[Value]:
    """State a training's steps and losses; `n/a` for what is not known.

    - final step: 12000
    - start_train_loss: 1.99871
    - end_train_loss: 0.360985
    - start_val_loss: n/a
    - end_val_loss: n/a
    - loss@3k: 0.8124
    - loss_one_liner: the training loss plateaued from about step 9000 on
    """
    values = [Value("final step", _format_optional(learned.final_step))]
    if learned.total_steps is not None:
        values.append(Value("total steps", str(learned.total_steps)))
    values += [
        Value("start_train_loss", _format_optional(learned.first_train_loss)),
        Value("end_train_loss", _format_optional(learned.last_train_loss)),
        Value("start_val_loss", _format_optional(learned.first_val_loss)),
        Value("end_val_loss", _format_optional(learned.last_val_loss)),
    ]
    for milestone in learned.milestones:
        key = f"loss@{_shorten_step(milestone.step)}"
        values.append(Value(key, format_number(milestone.loss)))
    values.append(Value("loss_one_liner", learned.reading or NONE))
    if learned.repeated:
        values.append(Value("repeated steps", repeated.describe(learned)))
    return values


def _compose_source(view: LogView, learned: Learned) -> list[Value]:
    """Say whose the losses are, where those of any attempt were not from our own rows.

    Once such a line is in a log it must stay true: an attempt with rows of its own then says so.
    """
    any_from_elsewhere = False
    for judged in view.history.judged.values():
        if judged.learned is not None and judged.learned.losses_from:
            any_from_elsewhere = True
    if not any_from_elsewhere:
        return []
    return [Value("losses from", learned.losses_from or "our own rows")]


def _format_optional(value: Number | None) -> str:
    """Print a figure, or `n/a` for None."""
    if value is None:
        return NONE
    return format_number(value)


def _shorten_step(step: int) -> str:
    """Write `2500`, or `5k` for whole thousands."""
    is_in_thousands = step != 0 and step % 1000 == 0
    if is_in_thousands:
        return f"{step // 1000}k"
    return str(step)


def _compose_checkpoints(view: LogView, learned: Learned) -> list[Value]:
    """State the newest complete checkpoint, the best one if the training names one, and all that it
    kept, if there are more.
    """
    newest = view.path(learned.checkpoint)
    shown = newest or "n/a: no complete checkpoint is known"
    values = [Value("checkpoint", shown, quoted=bool(newest))]
    if learned.best:
        best = view.path(learned.best)
        values.append(Value("best checkpoint", best, quoted=True, note=learned.best_why))
    if len(learned.kept) > 1:
        values.append(Value("checkpoints kept", _list_kept(view, learned.kept)))
    return values


def _list_kept(view: LogView, paths: Sequence[str]) -> str:
    """Write `4: r8/artifacts/epoch_0, …`, the newest of many: `14: 4 older, r8/artifacts/epoch_4,
    …`.

    `paths` are relative to the experiment, the oldest first.
    """
    shown = [view.path(path) for path in paths[-MOST_KEPT:]]
    older = len(paths) - len(shown)
    if older:
        shown.insert(0, f"{older} older")
    return f"{len(paths)}: {', '.join(shown)}"


def _compose_outputs(view: LogView, learned: Learned) -> list[Value]:
    """State a training's resolved configuration and, for a pipeline, the files that it made."""
    config = view.path(learned.config)
    values = [Value("config_snapshot", config or NONE, quoted=bool(config))]
    if view.about.run_type.startswith("pipeline"):
        values += _compose_artifacts(view, learned.artifacts)
    return values


def _compose_artifacts(view: LogView, artifacts: Sequence[Artifact]) -> Iterator[Value]:
    """State each file that a pipeline made, with its size and its checksum.

    - artifact: `out/rows.parquet` (11.8 MiB, sha256 9e60ec7a…)
    - artifact 2: `out/huge.bin` (80.00 GiB, too large to hash)
    """
    for number, artifact in enumerate(artifacts, 1):
        key = "artifact"
        if number > 1:
            key = f"artifact {number}"
        checksum = "too large to hash"
        if artifact.sha256:
            checksum = f"sha256 {artifact.sha256}"
        note = f"{size(artifact.size_bytes)}, {checksum}"
        yield Value(key, view.path(artifact.path), quoted=True, note=note)


def _summarize_evaluation(evaluation: Evaluation) -> Value:
    """Write an evaluation as one line: `clean epoch 1: accuracy 0.94, loss 0.2311`, or what went
    wrong: `clean epoch 1: invalid: the results are empty`.
    """
    judged = evaluation.judged
    if judged.outcome not in WELL:
        fault = f"{judged.outcome}: {judged.why or judged.state}"
        return Value(evaluation.name, shorten(fault))
    figures = []
    for name, value in judged.metrics.items():
        figures.append(f"{name} {format_number(value)}")
    return Value(evaluation.name, ", ".join(figures) or "done")
