"""How far a training says it is, from what it prints: tqdm's bars, torchtune's, the Trainer's and
plain lines.

Sources of the forms: tqdm's `format_meter` (`12%|█▏ | 34/300 [00:05<00:40, 6.6it/s]`), torchtune
0.6's bar (`1|20|Loss: 5.66: 100%|…`), Lightning's (`Epoch 0:  50%|…| 5/10 […, train_loss=0.5]`),
transformers' printed logs (`{'loss': 0.5, 'learning_rate': …, 'epoch': 0.1}`), and lines that name
their step (`step 34`, `Step 34 | loss:6.05`, `step=34/300`, `iter 34: loss 6.05`). In a line that
tells a loss these count too: `[  34/300]` (PyTorch's examples, timm, MAE, mmengine), `34/300 [==>`
and `34/300 ━━━` (Keras), `34/ 300 batches` (PyTorch's language model), `batch 34` (icefall,
Composer), `1epoch:train:1-34batch` (ESPnet) and `[1,  34] loss` (PyTorch's tutorial).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from watchkeeper.core.text import lazy

# Every repetition is bounded, and no number begins in the middle of another one: a line of any
# length takes linear time. A number of more digits than these is none that a training prints.
_INT = r"(?<![\d,.])(\d[\d,]{0,20})(?![\d,])"
_DECIMAL = r"-?\d{1,20}(?:\.\d{1,40})?(?:[eE][-+]?\d{1,5})?(?!\d)"
_BAR = lazy.pattern(rf"{_INT}/{_INT} \[\d")
_TUNE = lazy.pattern(r"(?<!\d)(\d{1,15})\|(\d{1,15})\|Loss: ([^\s:]{1,60}):")
_STEP = r"(\d[\d,]{0,20})(?![\d_])"  # "step 00_ingest" is a stage
_AFTER_NAME = (
    r"[ '\"]{0,8}(?:[:=#\[ ]|\.{3} \()[ '\"]{0,8}"
    + _STEP
    + rf"(?:\s{{0,8}}(?:/|of)\s{{0,8}}{_STEP})?"
)
# Each is looked for before the next: of `iter 100 step 25` the optimizer's step counts.
_NAMED = tuple(
    lazy.pattern(rf"\b{word}\b{_AFTER_NAME}", re.IGNORECASE)
    for word in ("(?:global[ _]?)?steps?", "(?:iter(?:ation)?|num_updates)")
)
# Only in a line that tells a loss: elsewhere such figures count files, tests or layers.
_COUNTERS = tuple(
    lazy.pattern(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<!epoch )(?<!epoch: )\[\s{{0,8}}{_STEP}/\s{{0,8}}{_STEP}"
        rf"(?: {{1,4}}\([ \d.]{{1,8}}%\))?\]",
        rf"^\s{{0,8}}{_STEP}/{_STEP} (?:\[|━|-)",
        rf"\bepoch \d{{1,9}}: {{1,8}}{_STEP} {{0,8}}/ {{0,8}}{_STEP}\b",
        rf"(?<![\d,.]){_STEP}/ {{0,8}}{_STEP} (?:batches|steps|iters)\b",
        rf"(?<!/)\bbatch(?:es)?\b{_AFTER_NAME}",
        r"\b\d{1,9}-(\d{1,15})batch\b()",
        r"^\[\d{1,9}, {1,8}(\d{1,15})\] ()",
    )
)
# XGBoost and LightGBM: `[34]\ttrain-logloss:0.5`.
_BOOSTED = lazy.pattern(r"^\[(\d{1,15})\]\t()")
_A_LOSS = lazy.pattern(r"loss['\"]?[\s:=|]{1,20}-?(?:\d|nan|inf)", re.IGNORECASE)
_COLOUR = lazy.pattern(r"\x1b\[[\d;]{0,20}m")
_EPOCH = lazy.pattern(r"\bEpoch {1,8}(\d{1,15})(?:/\d{1,15})?:")
_RATE = lazy.pattern(
    r"\[[\d:]{1,20}<[\d:?]{1,20}, {0,8}(\d{1,20}(?:\.\d{1,40})?)(?:[^\s/\]\d.]{0,40}/(s)|s/)"
)
_FIGURE = rf"\b['\"]?\s{{0,8}}[:=]?\s{{0,8}}({_DECIMAL}|nan|inf)"
_OTHERS = "".join(
    f"(?<!{word} )" for word in ("val", "valid", "validation", "eval", "evaluation", "dev", "test")
)
_LOSS = lazy.pattern(rf"(?<![\w/-]){_OTHERS}(?:train[_/])?loss{_FIGURE}", re.IGNORECASE)
_VAL_LOSS = lazy.pattern(
    rf"(?<![\w/-])(?:val|valid|validation|eval|dev)[_/ -]?loss{_FIGURE}", re.IGNORECASE
)


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far. None: nobody said. `epoch` where the tool says it beside its steps; `total` is then
    that epoch's end.
    """

    step: int | float | None = None
    total: int | None = None
    loss: str | None = None
    epoch: int | None = None


def position(text: str) -> Position | None:
    """The last position that the text tells; None where it tells none. A carriage return ends a
    line.

    `text` is the end of a job's output. Of `step 34 | loss: 6.05` these are step 34 and the loss
    `6.05`; the loss may stand on another line than the step, and then the last one counts.
    """
    lines = [line for line in re.split(r"[\r\n]", text) if line.strip()]
    loss = _last_loss(lines)
    for line in reversed(lines):
        last = position_of(line)
        if last is not None:
            return msgspec.structs.replace(last, loss=last.loss or loss)
    if loss is None:
        return None
    return Position(loss=loss)


def _last_loss(lines: Sequence[str]) -> str | None:
    """The last loss that the lines print, as printed (`6.05`, `nan`); None: they print none."""
    for line in reversed(lines):
        match = _LOSS.search(line)
        if match:
            return match.group(1)
    return None


def losses(text: str) -> list[tuple[float, float]]:
    """Every (training step, loss) that the text tells, by step: the loss of a line, with the last
    step said so far. A line before any step says nothing; of two losses of one step the later
    counts.

        step 34/300
        loss: 6.05              → [(34.0, 6.05)]
    """
    return _by_step(text, _LOSS)


def val_losses(text: str) -> list[tuple[float, float]]:
    """The same of validation losses: `val_loss 0.5`, `validation loss: 0.5`, `'eval_loss': 0.5`."""
    return _by_step(text, _VAL_LOSS)


def _by_step(text: str, pattern: re.Pattern[str]) -> list[tuple[float, float]]:
    """The figures that the pattern finds, each with the last step said before it or on its line, in
    the order of the steps.

    A file of output may begin in the middle of a run: figures before the first step are left out.
    """
    losses: dict[float, float] = {}
    step: float | None = None
    for line in re.split(r"[\r\n]", text):
        if line:
            at = position_of(line)
        else:
            at = None
        if at is not None and at.step is not None:
            step = at.step
        if step is not None and (match := pattern.search(line)):
            losses[step] = float(match.group(1))
    return sorted(losses.items())


def advances(text: str, before: Position | None = None) -> int:
    """How often the position changes within the text, or from that before it; 0 where it tells
    none, or just that one.

    A bar that is drawn again and again at the same step does not advance. `before` None: nothing
    was printed before the text.
    """
    places = []
    if before is not None:
        places.append((before.epoch, before.step))
    for line in re.split(r"[\r\n]", text):
        at = position_of(line)
        if at is not None:
            places.append((at.epoch, at.step))
    changes = 0
    for earlier, later in pairwise(places):
        if earlier != later:
            changes += 1
    return changes


def bar_rate(text: str) -> float | None:
    """Steps a second, as the last bar in the text says; None where none does, or it says 0.

    tqdm writes `6.6it/s`, and `1.5s/it` where a step takes longer than a second.
    """
    figure, per_second = next(reversed(_RATE.findall(text)), ("0", ""))
    if not float(figure):
        return None
    if per_second:
        return float(figure)
    return 1 / float(figure)


def is_bar(line: str) -> bool:
    """Whether the line is a progress bar of tqdm's form: `34/300 [00:05<00:40, 6.6it/s]`."""
    return _BAR.search(line) is not None


def position_of(line: str) -> Position | None:
    """The position that one line tells; None where it tells none.

    1|20|Loss: 5.66: 100%|███| 20/20 [00:01<00:00]    epoch 1, step 20 of 20, loss `5.66`
    Epoch 0:  50%|███  | 5/10 [00:05<00:05, 1it/s]     epoch 0, step 5 of 10
    step 34/300 | loss: 6.05                          step 34 of 300
    [  34/300] loss 6.05                              step 34 of 300, as it tells a loss
    copied 34/300 files                               None
    """
    if match := _TUNE.search(line):
        return _of_torchtune(match, _BAR.search(line))
    if match := _BAR.search(line):
        epoch = _EPOCH.search(line)
        number = int(epoch.group(1)) if epoch else None
        return Position(epoch=number, step=_count(match.group(1)), total=_count(match.group(2)))
    for pattern in (*_NAMED, _BOOSTED):
        if match := pattern.search(line):
            return _counted(match)
    text = plain(line)
    if _A_LOSS.search(text):
        return _counter_of(text)
    return None


def _of_torchtune(match: re.Match[str], bar: re.Match[str] | None) -> Position:
    """The position of torchtune's line, with the bar behind it; None: the line was cut short.

    torchtune counts its steps through all epochs, and its bar those of one.
    """
    step = int(match.group(2))
    total = None
    if bar is not None:
        left = _count(bar.group(2)) - _count(bar.group(1))
        total = step + left
    return Position(epoch=int(match.group(1)), step=step, total=total, loss=match.group(3))


def plain(line: str) -> str:
    r"""The line without colours: terminals' escapes such as `\x1b[32m`."""
    if "\x1b" in line:
        return _COLOUR.sub("", line)
    return line


def _counter_of(line: str) -> Position | None:
    """The position that a counter in the line of a loss tells; None where it has none."""
    for pattern in _COUNTERS:
        if match := pattern.search(line):
            return _counted(match)
    return None


def _counted(match: re.Match[str]) -> Position:
    """The position that a counter gives: a step, and the total where the line has one."""
    step, total = match.groups()
    if total:
        return Position(step=_count(step), total=_count(total))
    return Position(step=_count(step))


def _count(digits: str) -> int:
    """The number of some digits, `12,000` as 12000."""
    return int(digits.replace(",", ""))
