"""In what compared runs differ, and what is the same in all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from watchkeeper.query.views.differences.environments import Environments
from watchkeeper.query.views.differences.facts import HASH, MOST_FILES, NOT_KNOWN, Facts, facts_of
from watchkeeper.query.views.pages import Difference
from watchkeeper.report.compare import sides as compare
from watchkeeper.report.compare.sides import Side

# kind → how the heading says it; a kind that is part of another one has the same words
_NOUNS = {
    "code": "the code",
    "uncommitted": "the code",
    "script": "the script",
    "data": "the data",
    "environment": "the environment",
    "machine": "the machine",
}


class Contrast(NamedTuple):
    """What differs, and what is the same in all runs: name → value."""

    differs: list[Difference]
    same: dict[str, str]


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """One thing of all runs, in their order. None: not there."""

    key: str
    kind: str
    values: Sequence[str | None]
    details: list[list[str]] = []


def contrast(sides: Sequence[Side], base: Side) -> Contrast:
    """Compare the runs by everything that was recorded of them: settings, code, data, environment,
    machine. `base` is one of `sides`.

    What is not known of one run is no difference from the others, and is not the same either.

        r8:  lr 1e-5, seed 1, commit 3f2a91c0          r16: lr 1e-4, seed 1, no commit recorded
        → differs: `lr`; the same: `seed`; `code` is neither
    """
    at = [side.name for side in sides].index(base.name)
    reader = Environments()
    facts = [facts_of(side, reader) for side in sides]
    differs = []
    same = {}
    for row in (*_settings(sides), *_of_facts(facts, at), *_files(sides)):
        known = set(row.values) - {NOT_KNOWN}
        if len(known) > 1:
            differs.append(_difference(row, at))
            continue
        first = row.values[0]
        if NOT_KNOWN not in row.values and first is not None:
            same[row.key] = first
    return Contrast(differs, same)


def heading_of(runs: int, differs: Sequence[Difference]) -> str:
    """`4 runs differ in 2 settings, the code and the environment`.

    `runs` is how many are compared. Of several rows about one thing, such as files of the code, the
    thing is named once.
    """
    if runs < 2:
        return "One run, and nothing to compare it with"
    settings = sum(one.kind == "setting" for one in differs)
    parts = []
    if settings == 1:
        parts.append("1 setting")
    elif settings:
        parts.append(f"{settings} settings")
    parts += dict.fromkeys(_NOUNS[one.kind] for one in differs if one.kind in _NOUNS)
    if not parts:
        return f"{runs} runs do not differ in anything that was recorded"
    *first, last = parts
    words = last
    if first:
        words = f"{', '.join(first)} and {last}"
    return f"{runs} runs differ in {words}"


def _difference(row: _Row, at: int) -> Difference:
    """A row as a page has it, with which of the values are the base's. `at` is the place of the
    base among the runs, from 0.
    """
    base = row.values[at]
    return Difference(
        key=row.key,
        kind=row.kind,
        values=list(row.values),
        is_base=[value == base for value in row.values],
        details=row.details,
    )


def _settings(sides: Sequence[Side]) -> Iterator[_Row]:
    """The settings: those that differ, then those that do not. Words about a run do not say what
    they leave out.

    A setting that is the same where it is known, and not known of all, is neither.

        r8:  lr 1e-5, warmup 10      r16: lr 1e-4, warmup 10      by its summary's words: lr 1e-3
        → `lr` differs; `warmup` is left out
    """
    varying = dict.fromkeys(compare.varying(sides))
    keys = dict(varying)
    for side in sides:
        keys.update(dict.fromkeys(side.settings))
    for key in keys:
        values = [_setting(side, key) for side in sides]
        if key not in varying and len(set(values)) > 1:
            continue  # not known of all
        yield _Row(key=key, kind="setting", values=values)


def _setting(side: Side, key: str) -> str | None:
    """A setting of a run; None where its whole configuration is known and has no such setting, and
    a word where nobody can say.
    """
    if key in side.settings:
        return side.settings[key]
    if side.partial or not side.settings:
        return NOT_KNOWN
    return None


# what is compared → its kind, in the order of the page
_KINDS = {
    "code": "code",
    "uncommitted": "uncommitted",
    "script": "script",
    "data": "data",
    "environment": "environment",
    "Python": "environment",
    "system": "machine",
    "host": "machine",
    "GPU": "machine",
}


def _of_facts(facts: Sequence[Facts], at: int) -> Iterator[_Row]:
    """A row for each fact that was recorded of a run at all. `at` is the place of the base, against
    which packages are counted.
    """
    base = facts[at]
    for key, kind in _KINDS.items():
        values = []
        details = []
        for fact in facts:
            words, more = fact.against(base, key)
            values.append(words)
            details.append(more)
        if set(values) != {NOT_KNOWN}:
            yield _Row(key=key, kind=kind, values=values, details=details)


def _files(sides: Sequence[Side]) -> Iterator[_Row]:
    """The files of the code that are not the same, where all runs name theirs, and neither the
    commit nor what was not committed explains them. Of each the first digits of its hash are shown,
    None for a run without the file; at most eight files.
    """
    first = sides[0]
    for side in sides:
        is_same_code = side.commit == first.commit and side.diff == first.diff
        if not is_same_code:
            return
        if bool(side.files) != bool(first.files):
            return
    names: dict[str, None] = {}
    for side in sides:
        names.update(dict.fromkeys(side.files))
    shown = 0
    for name in names:
        hashes: list[str | None] = []
        for side in sides:
            # "" stands for a run without the file.
            hashes.append(side.files.get(name, "")[:HASH] or None)
        if len(set(hashes)) > 1 and shown < MOST_FILES:
            shown += 1
            yield _Row(key=name, kind="code", values=hashes)
