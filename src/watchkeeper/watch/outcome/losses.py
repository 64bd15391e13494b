"""The losses of a run, over all its attempts at one piece of work: what no later execution
superseded (runfolder/executions.py).

Looked for where each library leaves them, the surest first: the recorder's metric rows; torchtune's
`logs/log_*.txt`; the Trainer's `trainer_state.json`, whose newest one holds the whole history; the
W&B run that each attempt left on the disk; what the jobs printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.disk.tails import end_of_file
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Learned
from watchkeeper.publish.wandb.offline import SUFFIX, read_segment
from watchkeeper.publish.wandb.records import Row as WandbRow
from watchkeeper.publish.wandb.records import flat_values, training_step_of
from watchkeeper.report.compose.loss_sentence import Point
from watchkeeper.runfolder import executions as executed
from watchkeeper.runfolder import printed
from watchkeeper.runfolder.executions import Execution, Repeat, Row
from watchkeeper.runfolder.losses import TRAIN_LOSS, VAL_LOSS, loss_of
from watchkeeper.runfolder.metric_rows import MOST_BYTES, executions_of, row_of, value_of

_WANDB = 3  # W&B's place among the sources
# Of a `trainer_state.json`, which holds a row for each logged step.
_MOST_STATE_BYTES = 256 * 2**20

END_BYTES = 262_144  # of an output, in which its last position is looked for


class Losses(msgspec.Struct):
    """What was read: both curves, the last step that was trained, how many were planned, and the
    steps done again. `source` is "W&B" where the curves are from its files, else "".
    """

    train: list[Point] = []
    val: list[Point] = []
    final_step: float | None = None
    total_steps: int | None = None
    repeats: list[Repeat] = []
    source: str = ""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: its recorder's run folder (None: there is none), the files that it printed into,
    when it was about to be submitted (seconds since 1970), and what was learned of it when it had
    ended. `wandb` are the folders of its W&B run, the oldest first.
    """

    recorder: Path | None = None
    outputs: tuple[Path, ...] = ()
    began: float = 0.0
    learned: Learned | None = None
    wandb: tuple[Path, ...] = ()


def read(attempts: Sequence[Tried], places: Sequence[Path]) -> Losses:
    """The losses of these attempts, the oldest first; `places` are the run's whole checkpoints.

    The first source that has any loss counts: our recorder's rows, torchtune's `logs/log_*.txt`,
    the Trainer's `trainer_state.json`, W&B's files, what was printed. Curves are not put together
    from several: their steps may count different things.
    """
    since = 0.0
    if attempts:
        since = attempts[0].began
    sources: tuple[Callable[[], list[Execution]], ...] = (
        lambda: _recorded(attempts),
        lambda: _torchtune(places, since),
        lambda: _trainer(places),
        lambda: _of_wandb(attempts),
        lambda: _printed(attempts),
    )
    losses = Losses()
    for number, source in enumerate(sources):
        losses = of(source())
        if losses.train or losses.val:
            if number == _WANDB:
                losses.source = "W&B"
            break
    if losses.final_step is None:
        # rows without any loss still have steps
        losses.final_step = of(_recorded(attempts)).final_step
    for attempt in reversed(attempts):
        total = _total(attempt)
        if total:
            losses.total_steps = total
            break
    return losses


def of(executions: Sequence[Execution]) -> Losses:
    """The losses of executions, in the order in which they began: of the rows that count.

    Steps that a later execution did again are in `repeats`, and their first losses in no curve: of
    one that logged steps 0 to 30 and a second that began at 20, the curve has 0 to 19 from the
    first.
    """
    standing = executed.standing(executions)
    rows: list[Row] = []
    for counting in standing:
        rows += counting
    losses = Losses(final_step=executed.final_step(rows), repeats=executed.repeats(executions))
    for counting in standing:
        losses.train += _train_curve(counting)
    for row in rows:
        loss = loss_of(row.metrics, VAL_LOSS)
        if row.step is not None and loss is not None:
            losses.val.append((row.step, loss))
    return losses


def _train_curve(rows: Sequence[Row]) -> Iterator[Point]:
    """The (step, loss) of one execution's rows, under the name that it used first.

        {"step": 10, "loss": 1.9}  …  {"step": 12000, "train_loss": 0.8}

    At its end the Trainer of transformers logs `train_loss`, a mean of the whole run, beside the
    `loss` of each step.
    """
    used = ""
    for row in rows:
        if not used:
            used = next((name for name in TRAIN_LOSS if name in row.metrics), "")
        if row.step is not None and used in row.metrics:
            yield row.step, row.metrics[used]


def _recorded(attempts: Sequence[Tried]) -> list[Execution]:
    """The executions in the run folders of these attempts, each folder once: attempts that resume
    may record into one folder.
    """
    folders = dict.fromkeys(attempt.recorder for attempt in attempts)
    executions = []
    for folder in folders:
        if folder is not None:
            executions += executions_of(folder)
    return executions


def _torchtune(places: Sequence[Path], since: float) -> list[Execution]:
    """The logs that torchtune writes beside its checkpoints, `logs/log_1712345678.txt`, by their
    names, which sort by time. Those last written before `since`, in seconds since 1970, are of
    earlier work.

        Step 34 | loss:6.05 lr:0.0003 tokens_per_second_per_gpu:812
    """
    logs: set[Path] = set()
    for place in places:
        logs.update((place.parent / "logs").glob("log_*.txt"))
    return [_of_text([path]) for path in sorted(logs) if _modified(path) >= since]


def _trainer(places: Sequence[Path]) -> list[Execution]:
    """The history that the Trainer of transformers keeps in a checkpoint, of the newest that can be
    read; each holds all of it since the beginning.

        {"log_history": [{"step": 10, "loss": 1.9, "epoch": 0.1}, …], …}
    """
    states = []
    for place in places:
        path = place / "trainer_state.json"
        if path.is_file():
            states.append(path)
    for path in sorted(states, key=_modified, reverse=True):
        try:
            state = msgspec.json.decode(read_whole(path, _MOST_STATE_BYTES), type=dict[str, Any])
        except (OSError, msgspec.DecodeError, RecursionError):
            continue
        return [Execution(rows=_rows_of_history(state.get("log_history")))]
    return []


def _rows_of_history(history: object) -> list[Row]:
    """The rows of a `log_history` that have a step; none where it is no list.

    The file may be of another program, or damaged: whatever is in it, nothing is raised.
    """
    if not isinstance(history, list):
        return []
    rows = []
    for entry in history:
        if not isinstance(entry, dict):
            continue
        row = row_of(entry.get("step"), entry)
        if row.step is not None:
            rows.append(row)
    return rows


def _of_wandb(attempts: Sequence[Tried]) -> list[Execution]:
    """What W&B kept of each attempt, a segment an execution; those without a row are left out.

    A segment is one file, `run-def456.wandb`, and each process that resumes the run writes another.
    """
    files: dict[Path, None] = {}
    for attempt in attempts:
        for folder in attempt.wandb:
            files |= dict.fromkeys(folder.glob(f"*{SUFFIX}"))
    executions = map(_segment, files)
    return [execution for execution in executions if execution.rows]


def _segment(path: Path) -> Execution:
    """The rows of one `.wandb` file that have a training step; none where it cannot be read."""
    taken: list[WandbRow] = []
    try:
        segment = read_segment(path, taken.append)
    except (UsageError, OSError):
        return Execution(rows=[])
    rows = []
    for entry in taken:
        values = flat_values(entry.values)
        row = row_of(training_step_of(entry, values), values)
        if row.step is not None:
            rows.append(row)
    began = ended = None
    if segment.begin.started:
        began = segment.begin.started.timestamp()
    if segment.last_time:
        ended = segment.last_time.timestamp()
    return Execution(rows=rows, began=began, ended=ended)


def _printed(attempts: Sequence[Tried]) -> list[Execution]:
    """What each attempt printed. A file that a later attempt printed into as well is read as that
    one's; what was learned of the attempt before stands for its own.

    Of an attempt's files, its output and its errors, the one with most losses counts: some programs
    print them twice.
    """
    prints = []
    for number, attempt in enumerate(attempts):
        later: set[Path] = set()
        for other in attempts[number + 1 :]:
            later.update(other.outputs)
        texts = [_of_text([path]) for path in attempt.outputs if path not in later]
        best = max(texts, key=lambda text: len(text.rows), default=Execution(rows=[]))
        if not best.rows:
            best = _remembered(attempt.learned)
        if best.rows:
            prints.append(best)
    return prints


def _remembered(learned: Learned | None) -> Execution:
    """The first and the last training loss as they were learned when an attempt had ended; no rows
    where nothing was learned.
    """
    if learned is None:
        return Execution(rows=[])
    ends = (
        (learned.first_step, learned.first_train_loss),
        (learned.final_step, learned.last_train_loss),
    )
    rows = []
    for step, figure in ends:
        loss = value_of(figure)
        if step is not None and loss is not None:
            rows.append(Row(step, {"loss": loss}))
    return Execution(rows=rows)


def _of_text(paths: Iterable[Path]) -> Execution:
    """The losses that files print, training and validation losses in rows of their own. Of a long
    file the end is read.
    """
    rows: list[Row] = []
    for path in paths:
        text = end_of_file(path, MOST_BYTES).decode("utf-8", "replace")
        rows += [Row(step, {"loss": loss}) for step, loss in printed.losses(text)]
        rows += [Row(step, {"val_loss": loss}) for step, loss in printed.val_losses(text)]
    return Execution(rows=rows)


def _total(attempt: Tried) -> int | None:
    """How many steps its output says there are; None: it does not say.

    Of `step 20/300` that is 300. Beside an epoch a bar's total is that epoch's end, and no total.
    """
    for path in attempt.outputs:
        last = printed.position(end_of_file(path, END_BYTES).decode("utf-8", "replace"))
        if last is not None and last.epoch is None and last.total is not None:
            return last.total
    return None


def _modified(path: Path) -> float:
    """When a file was last written, in seconds since 1970; 0.0: it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
