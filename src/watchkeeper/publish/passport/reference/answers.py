"""Two evaluations of the same samples: whose answers differ. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from watchkeeper.tools.file_formats import short
from watchkeeper.tools.inspect_ai import Answers, Sample


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A sample whose answer or score is not the same in both evaluations. None: the sample is in
    only one of them. Answers are cut to 200 characters.
    """

    id: str
    epoch: int
    first: str | None
    second: str | None
    first_scores: dict[str, str] | None
    second_scores: dict[str, str] | None

    @property
    def is_of_score(self) -> bool:
        """Whether a score differs too, and not the answer alone."""
        return self.first_scores != self.second_scores


def differences(first: Answers, second: Answers) -> list[Difference]:
    """The samples that differ, in the order of the first evaluation, then those that only the
    second has.
    """
    ones, others = _by_name(first), _by_name(second)
    found: list[Difference] = []
    for name in {**ones, **others}:
        one, other = ones.get(name), others.get(name)
        if _said(one) != _said(other):
            found.append(_difference(name, one, other))
    return found


def _by_name(answers: Answers) -> Mapping[tuple[str, int], Sample]:
    """The samples by what is the same in both evaluations: their id and their epoch, as a task may
    ask each sample several times.
    """
    return {(sample.id, sample.epoch): sample for sample in answers.samples}


def _said(sample: Sample | None) -> tuple[str, dict[str, str]] | None:
    """What is compared of a sample: its answer and its scores. None: there is no such sample."""
    if sample is None:
        return None
    return sample.answer, sample.scores


def _difference(name: tuple[str, int], one: Sample | None, other: Sample | None) -> Difference:
    """A sample as both evaluations have it; None for the one that lacks it."""
    return Difference(
        id=name[0],
        epoch=name[1],
        first=short(one.answer) if one else None,
        second=short(other.answer) if other else None,
        first_scores=one.scores if one else None,
        second_scores=other.scores if other else None,
    )
