"""Examples of what a model makes of its prompts: two blocks for people, one line of JSON each for
programs.

The blocks are those of the two tiers: the fast one shows prompt, golden answer and loss, the full
one also what the model generated, whether it matches, and the validation loss.
"""

from __future__ import annotations

import codecs
import math
import re
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from watchkeeper.runfolder.values import metric, number, text, training_step, unspell

KEPT_LIMIT = 100_000  # characters of one text in the file
SHOWN_LIMIT = 4_000  # characters of one text in a block
RULE = "=" * 80
ROUNDS_TO_ZERO = 0.00005  # a figure below it has no digit in four decimals
# in the loss's unit: a validation loss further above the training loss is worth a look
GAP_FINE = 0.3

_SYMBOLS = {
    "chart": "📊 ", "note": "📝 ", "robot": "🤖 ", "falling": "📉 ", "search": "🔍 ",
    "warning": "⚠️ ", "yes": "✅ ", "no": "❌ ",
}  # fmt: skip
# A number with its sign and fraction, a character of a script without spaces, or a word.
_TOKEN = re.compile(
    r"(?<!\w)-\d+(?:[.,]\d+)*|\d+(?:[.,]\d+)*"
    r"|[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
    r"|[^\W\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+"
)

Number = int | float | None


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One example after a training step. `output` is None when nothing was generated: in the fast
    tier nobody tried, in the full one it failed or ran out of time. `thinking` says that the output
    holds a `<think>` block, which is kept. `step_` is what was given as the step, where that is no
    number. `train_loss` is the training loss that `val_loss` was compared with, and `gap` their
    difference, as the status file has it.
    """

    time: datetime
    step: int | float | None
    tier: Literal["full", "fast"]
    prompt: str | None
    golden: str | None
    output: str | None
    loss: int | float | str | None = None
    val_loss: int | float | str | None = None
    golden_tokens: int | None = None
    output_tokens: int | None = None
    match: bool | None = None
    thinking: bool = False
    step_: int | float | str | UnsetType = UNSET
    train_loss: int | float | str | None = None
    gap: int | float | str | None = None


def example_of(
    time: datetime,
    step: object,
    *,
    prompt: object,
    golden: object,
    output: object | UnsetType,
    loss: object,
    val_loss: object,
    golden_tokens: object,
    output_tokens: object,
    match: object,
) -> Example:
    """What was handed in, as an example; all may be None. `output` UNSET: the fast tier."""
    if output is UNSET or output is None:
        said = None
    else:
        said = _words(output)
    answer = _words(golden)
    at = training_step(step)
    return Example(
        time=time,
        step=at,
        tier="fast" if output is UNSET else "full",
        prompt=_words(prompt),
        golden=answer,
        output=said,
        loss=number(loss),
        val_loss=number(val_loss),
        golden_tokens=_count(golden_tokens),
        output_tokens=_count(output_tokens),
        match=matches(answer, said) if match is None else bool(match),
        thinking=said is not None and "<think>" in said,
        step_=UNSET if step is None or at is not None else metric(step) or "",
    )


def _words(value: object) -> str | None:
    if value is None:
        return None
    return text(value, KEPT_LIMIT)


def _count(value: object) -> int | None:
    figure = number(value)
    if isinstance(figure, int):
        return figure
    return None


def normalised(words: str) -> list[str]:
    """The words and numbers of a text, without case, punctuation and spacing."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", words).casefold())


def matches(golden: str | None, output: str | None) -> bool | None:
    """Whether the golden text, normalised, is contained in the output word by word; None where
    there is nothing to compare. 5 is not in 15, and not in -5.
    """
    if golden is None or output is None or not golden.strip():
        return None
    wanted, answer = normalised(golden), normalised(output)
    if not wanted:  # signs only
        return golden.strip() in output
    size = len(wanted)
    return any(answer[at : at + size] == wanted for at in range(len(answer) - size + 1))


def gap_of(loss: object, val_loss: object) -> Number:
    """Validation loss less training loss, signed; None unless both are there."""
    train, val = _float(loss), _float(val_loss)
    if train is None or val is None:
        return None
    return val - train


def _float(value: object) -> float | None:
    figure = unspell(value if isinstance(value, str) else number(value))
    try:
        if isinstance(figure, int | float):
            return float(figure)
        return None
    except OverflowError:  # an integer beyond any float
        return None


def is_utf8(encoding: str | None) -> bool:
    """Whether a stream of this encoding takes the blocks' symbols."""
    try:
        return codecs.lookup(encoding or "ascii").name == "utf-8"
    except LookupError:
        return False


def block(example: Example, *, symbols: bool) -> str:
    """The example's block, newline included. Pure. Control characters of the texts are shown, not
    obeyed.
    """
    mark = _mark if symbols else _no_mark
    is_full = example.tier == "full"
    step = "-"
    if isinstance(example.step, int | float):
        step = f"{example.step:,}"
    title = f"{mark('chart')}MODEL OUTPUT"
    if is_full:
        title = f"{mark('search')}FULL EVAL + VAL LOSS"
    lines = [
        RULE,
        f"{title} - Step {step}",
        RULE,
        f"{mark('note')}PROMPT:",
        _shown(example.prompt),
        "",
        f"{mark('yes')}GOLDEN{_tokens(example.golden_tokens)}:",
        _shown(example.golden),
        "",
        *_output_lines(example, mark),
    ]
    if is_full and example.match is not None:
        lines.append(f"{mark('yes')}MATCH" if example.match else f"{mark('no')}NO MATCH")
    lines.append(f"{mark('falling')}LOSS ON THIS EXAMPLE: {_figure(example.loss)}")
    if is_full and example.val_loss is not None:
        lines.append(_comparison(example, mark))
    lines.append(RULE)
    return "\n".join(lines) + "\n"


def _mark(name: str) -> str:
    return _SYMBOLS[name]


def _no_mark(name: str) -> str:
    del name
    return ""


def _output_lines(example: Example, mark: Callable[[str], str]) -> list[str]:
    """What the model made of the example."""
    if example.tier != "full":
        return [f"{mark('robot')}MODEL: [No output - fast log only]"]
    if example.output is None:
        return [f"{mark('robot')}MODEL: [No output]"]
    return [
        f"{mark('robot')}MODEL{_tokens(example.output_tokens)}:",
        _shown(example.output),
        "",
    ]


def _comparison(example: Example, mark: Callable[[str], str]) -> str:
    """The line of the two losses and their gap. A gap of NaN has no symbol, a missing one is -."""
    train = example.loss if example.train_loss is None else example.train_loss
    gap = gap_of(train, example.val_loss)
    signed, symbol = "-", ""
    if gap is not None:
        signed = _decimals(gap, sign="+")
        if not math.isnan(gap):
            symbol = mark("yes" if gap <= GAP_FINE else "warning").rstrip()
    losses = f"Train={_figure(train)} | Val={_figure(example.val_loss)} | Gap={signed}"
    return f"{mark('chart')}Loss Comparison: {losses} {symbol}".rstrip()


def _tokens(count: int | None) -> str:
    if count is None:
        return ""
    return f" ({count:,} tokens)"


def _figure(value: object) -> str:
    figure = _float(value)
    if figure is None:
        return "-"
    return _decimals(figure)


def _decimals(value: float, sign: str = "") -> str:
    """The figure to four decimals; one that these would show as zero, to four digits."""
    if 0 < abs(value) < ROUNDS_TO_ZERO:
        form = ".4g"
    else:
        form = ".4f"
    return format(value, f"{sign}{form}")


def _shown(words: str | None) -> str:
    if words is None:
        return "-"
    if len(words) > SHOWN_LIMIT:
        words = f"{words[:SHOWN_LIMIT]} […{len(words) - SHOWN_LIMIT:,} characters more]"
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in words)
