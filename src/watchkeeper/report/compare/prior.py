"""Have we tried this? What a run is about to be, against what run logs say was done. Pure.

A log that the machine wrote holds the fingerprint of its script and configurations: equal bytes,
equal fingerprint. One written by hand is matched by its words: script, configuration, dataset and
key settings, as far as both name them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

import msgspec

from watchkeeper.core.text import lazy
from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.code_state import commit_of
from watchkeeper.report.runlog.document import Field
from watchkeeper.report.runlog.experiments_table import Row
from watchkeeper.report.runlog.figures import SETTINGS_FIELDS
from watchkeeper.report.runlog.read import CONFIG, Log, answers, filled, is_none, is_row_of
from watchkeeper.report.runlog.standing import standing

FIELD = "fingerprint"
_COMMIT = ("commit", "git_commit", "git_sha", "code", "branch", "tag")
# What a log says beside its commit, in our words of today and of earlier versions.
_DIRTY = lazy.pattern(r"uncommitted|not committed|not in the commit|dirty")
CODE_FIELDS = (*_COMMIT, FIELD, "git_branch", "repo", "repository", "worktree")


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is about to be submitted for the first time; "" for what nobody names. `dirty`:
    tracked files differ from the commit (None: not known).
    """

    key: str
    fingerprint: str
    commit: str = ""
    dirty: bool | None = None
    script: str = ""
    configs: tuple[str, ...] = ()
    dataset: str = ""
    settings: str = ""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A log of the same work. `how` is `bytes` (the fingerprint) or `words`; `differs` says in
    words what is not the same after all: code, dataset. `outcome` is its last word, `loss` its end
    loss (`val_loss 0.028`), `verdict` and `notes` are cells of `experiments.md`; "" for none.
    """

    key: str
    path: str
    how: str
    differs: tuple[str, ...] = ()
    outcome: str = ""
    loss: str = ""
    verdict: str = ""
    notes: str = ""

    def __str__(self) -> str:
        judged = [repr(self.notes)] if self.notes else []
        if self.verdict.casefold() != self.outcome.casefold():
            judged.insert(0, self.verdict)
        parts = [self.outcome, self.loss, ": ".join(filter(None, judged)), *self.differs]
        if self.how == "words":
            parts.append("matched by its words")
        words = ", ".join(filter(None, parts))
        if not words:
            return f"tried before: {self.path}"
        return f"tried before: {self.path} ({words})"


def fingerprint(script_sha256: str, configs: Iterable[str], args: Sequence[str] = ()) -> str:
    """One short name for a script, its configurations and its arguments: equal where all of them
    are equal, wherever the files lie. Files are given by their hashes, arguments without secrets.
    """
    whole = "\n".join([script_sha256, *sorted(configs)])
    for word in args:
        whole += f"\0{word}"
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def matches(work: Work, logs: Sequence[Log], tables: Sequence[Row] = ()) -> list[Match]:
    """The logs of the same work, the newest first."""
    same = []
    for log in sorted(logs, key=lambda one: (one.day, one.file.path), reverse=True):
        fields = fields_of(log)
        named = fields.get(FIELD, "")
        if named != work.fingerprint if named else not _same_words(work, fields):
            continue
        row = _row(log, tables)
        same.append(
            Match(
                key=work.key,
                path=log.file.path,
                how="bytes" if named else "words",
                differs=tuple(_differs(work, fields, says_dirty(log))),
                outcome=outcome(log),
                loss=_loss(log, _told(row.get("val_loss", ""))),
                verdict=_told(row.get("status", "")),
                notes=_told(row.get("notes", "")),
            )
        )
    return same


def may_match(text: str, works: Iterable[Work]) -> bool:
    """Whether it is worth reading a log: its text holds a fingerprint, or a script's name, of any
    of the works.
    """
    return any(
        work.fingerprint in text or (work.script and _base(work.script) in text) for work in works
    )


def fields_of(log: Log) -> dict[str, str]:
    """What the Config section says, under one name for each thing; `n/a` and unanswered fields are
    left out.
    """
    fields = {name: log.config(name) for name in CONFIG}
    inside = log.fields_of("config")
    fields["settings"] = facts.first(inside, *SETTINGS_FIELDS)
    fields[FIELD] = facts.first(inside, FIELD)
    values = {name: _value(field) for name, field in fields.items()}
    values["commit"] = commit_of(log)
    return {name: value for name, value in values.items() if value}


def outcome(log: Log) -> str:
    """How the run stands by its log: `completed`, `running`; "" where it does not say."""
    return standing(log).state


def _value(field: Field | None) -> str:
    """What a field says with the fields below it; "": nothing, or that there is nothing."""
    if field is None:
        return ""
    nested = [
        f"{child.key} {child.value}".strip() for child in field.children if isinstance(child, Field)
    ]
    value = ", ".join(filter(None, [field.value, *nested]))
    if is_none(field.value) or (not nested and not filled(field)):
        return ""
    return value


def _same_words(work: Work, fields: Mapping[str, str]) -> bool:
    """Whether script, configuration, dataset and settings are the same by name, with more than a
    script to go by.
    """
    if not work.script or _base(fields.get("script", "")) != _base(work.script):
        return False
    if _bases(fields.get("config", "")) != sorted({_base(one) for one in work.configs}):
        return False
    if _words(fields.get("settings", "")) != _words(work.settings):
        return False
    if _has_other_dataset(work, fields):
        return False
    return bool(work.configs or work.settings)


def _has_other_dataset(work: Work, fields: Mapping[str, str]) -> bool:
    """Whether both name their dataset, and not the same one."""
    theirs, ours = fields.get("dataset", ""), work.dataset
    return bool(theirs and ours) and _words(theirs) != _words(ours)


def says_dirty(log: Log) -> bool:
    """Whether the log says beside its commit that there were uncommitted changes."""
    fields = (log.fact(section, *_COMMIT[:3]) for section in log.sections("config"))
    spans = [field.raw_span for field in fields if field is not None]
    return any(_DIRTY.search(log.document.text[span.start : span.end]) for span in spans)


def _differs(work: Work, fields: Mapping[str, str], dirty: bool) -> Iterable[str]:
    theirs, ours = fields.get("commit", "").split(" ", 1)[0], work.commit
    if re.fullmatch(r"[0-9a-f]{7,64}", theirs) and ours:
        if not ours.startswith(theirs):
            yield f"code differs: {theirs[:8]} then"
        elif dirty or work.dirty:
            yield "code may differ: uncommitted changes"
    if _has_other_dataset(work, fields):
        yield f"dataset differs: {fields['dataset'][:60]} then"


def _row(log: Log, tables: Sequence[Row]) -> Mapping[str, str]:
    return next((row.cells for row in tables if is_row_of(row, log)), {})


def _loss(log: Log, in_table: str) -> str:
    """`val_loss 0.028`, `train_loss 0.36` where there is none; "" for neither."""
    names = {
        "val_loss": ("end_val_loss", "val_loss", "final_val_loss", "best_val_loss"),
        "train_loss": ("end_train_loss",),
    }
    for kind, spelled in names.items():
        for section in log.document.of("results"):
            field = section.field(*spelled)
            if answers(field):
                return f"{kind} {field.value.split(' (')[0][:40]}"
        if kind == "val_loss" and in_table:
            return f"val_loss {in_table}"
    return ""


def _told(cell: str) -> str:
    if is_none(cell) or cell in ("", "-", "—"):
        return ""
    return cell[:80]


def _base(path: str) -> str:
    words = path.split()
    # `sbatch train.sh --lr 1` names its script by the first word that is a file's
    return next(
        (PurePosixPath(word).name for word in words if "." in PurePosixPath(word).name),
        path.strip(),
    )


def _bases(text: str) -> list[str]:
    return sorted(
        {PurePosixPath(word).name for word in re.split(r"[,\s]+", text.replace("`", "")) if word}
    )


def _words(text: str) -> list[str]:
    return sorted(word for word in re.split(r"[\s,;:=]+", text.replace("`", "").casefold()) if word)
