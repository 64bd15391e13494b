"""Where jobs leave checkpoints and results, under Output."""

from __future__ import annotations

import re
from collections.abc import Mapping
from glob import escape

import msgspec

from watchkeeper.experiment.draft import Output
from watchkeeper.experiment.summary_md.page import Page
from watchkeeper.tools import promise

_FOLDER = ("checkpoint directory", "checkpoint dir", "output directory", "checkpoints")
_PATTERN = ("naming pattern", "pattern", "checkpoint pattern")
_RESULTS = ("results", "result", "result pattern")
# The names that a pattern's parts have in summaries → ours.
_PARTS = {
    "run_name": "run", "run": "run", "name": "run", "n": "epoch", "epoch": "epoch",
    "epoch_n": "epoch", "x": "epoch", "folder": "folder",
}  # fmt: skip


def read_output(page: Page, experiment: str) -> Output:
    """Where jobs of the experiment of this name leave checkpoints and results."""
    output = Output()
    if patterns := _read_checkpoint_patterns(page, experiment):
        checkpoint = dict.fromkeys([*promise.CHECKPOINT_PATTERNS, *patterns])
        output = msgspec.structs.replace(output, checkpoint=tuple(checkpoint))
    return _read_results(page, output)


def _read_checkpoint_patterns(page: Page, experiment: str) -> list[str]:
    """The patterns of the summary's checkpoints; []: it names none that can be used."""
    folder = _value(page, _FOLDER)
    naming = _value(page, _PATTERN)
    line, place = folder or (0, "")
    place = place.rstrip("/")
    tails = _tails(place)
    if naming is not None:
        line = naming[0]
        tails = [naming[1].strip("/") if place else naming[1]]
    if folder is None and not tails[0].startswith("/"):
        return []
    values = {"experiment_name": experiment, "output_dir_base": place}
    patterns: list[str] = []
    for tail in tails:
        whole = _joined(place, tail)
        pattern, fault = _our_pattern(whole, values)
        fault = fault or _checkpoint_fault(pattern)
        if not fault:
            patterns.append(pattern)
            continue
        message = f"checkpoints cannot lie at {whole!r}: {fault}"
        hint = "write `Naming pattern: ck-out-{run_name}/epoch_{N}`"
        page.blame(line, message, hint, is_fatal=True)
    return patterns


def _joined(place: str, tail: str) -> str:
    """The pattern `tail`, below the folder `place` unless it is absolute; either may be ""."""
    if tail.startswith("/"):
        return tail
    return "/".join(filter(None, [place, tail]))


def _value(page: Page, keys: tuple[str, ...]) -> tuple[int, str] | None:
    """(line, value) of the first of these keys under Output, without a remark in brackets behind
    it; None: there is none.
    """
    for line, value in page.values(page.below("output"), *keys):
        return line, re.sub(r"\s+\(.*\)$", "", value)
    return None


def _tails(place: str) -> list[str]:
    """What follows the checkpoints' folder where there is no naming pattern."""
    if not re.search(r"\{(?:run|run_name|name|folder)\}", place.lower()):
        return ["ck-out-{run}/epoch_{N}", "{experiment_name}/ck-out-{run}/epoch_{N}"]
    if re.search(r"\{(?:n|epoch|x)\}", place.lower()):
        return [""]
    return ["epoch_{N}"]


def _checkpoint_fault(pattern: str) -> str:
    """Why checkpoints cannot lie at a pattern; "": they can."""
    fault = promise.pattern_fault(pattern, promise.CHECKPOINT_PLACEHOLDERS, absolute=True)
    if fault:
        return fault
    parts = set(promise.placeholders(pattern))
    if "epoch" in parts and parts & {"run", "folder"}:
        return ""
    return "it must name run and epoch, or all would lie in one place"


def _read_results(page: Page, output: Output) -> Output:
    """The output with where evaluations leave their results, if the summary names it."""
    for line, value in page.values(page.below("output"), *_RESULTS):
        pattern = value.replace("{run_name}", "{run}")
        fault = promise.pattern_fault(pattern, promise.RESULT_PLACEHOLDERS, absolute=False)
        if fault:
            hint = "write `Results: {folder}/eval/{cell}/result.json`"
            page.blame(line, f"results cannot lie at {value!r}: {fault}", hint, is_fatal=True)
        return msgspec.structs.replace(output, result=(pattern,), result_where=page.where(line))
    return output


def _our_pattern(text: str, values: Mapping[str, str]) -> tuple[str, str]:
    """A summary's pattern as ours: literal words escaped, parts under our names; and why it cannot
    be one, "": it can.
    """
    pieces: list[str] = []
    for index, piece in enumerate(re.split(r"\{([^{}]*)\}", text)):
        name = piece.lower()
        if index % 2 == 0:
            pieces.append(escape(piece))
        elif name in _PARTS:
            pieces.append("{" + _PARTS[name] + "}")
        elif name in values:
            pieces.append(escape(values[name]))
        else:
            return text, f"{{{piece}}} is not known: {{run_name}} and {{N}} are"
    return "".join(pieces), ""
