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
from watchkeeper.report.runlog.figures import SETTINGS_FIELDS
from watchkeeper.report.runlog.read import CONFIG, Log, RowIndex, answers, filled, is_none
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
        """`tried before: run_logs/2026-03-11_train.md (completed, val_loss 0.028, keep:
        'baseline')`.
        """
        notes = repr(self.notes) if self.notes else ""
        verdict = ""
        # A verdict that only repeats how the run ended is no news.
        if self.verdict.casefold() != self.outcome.casefold():
            verdict = self.verdict
        judged = ": ".join(filter(None, (verdict, notes)))
        parts = [self.outcome, self.loss, judged, *self.differs]
        if self.how == "words":
            parts.append("matched by its words")
        words = ", ".join(filter(None, parts))
        if not words:
            return f"tried before: {self.path}"
        return f"tried before: {self.path} ({words})"


def fingerprint(script_sha256: str, configs: Iterable[str], args: Sequence[str] = ()) -> str:
    """One short name for a script, its configurations and its arguments: equal where all of them
    are equal, wherever the files lie.

    `configs` are the hashes of the files, in any order; `args` are in theirs, without secrets. The
    name is 12 hexadecimal digits, which a run log keeps in its Config: `- fingerprint:
    `9e60ec7a41d2``. It must never change for the same input, as logs that are there hold it.
    """
    whole = "\n".join([script_sha256, *sorted(configs)])
    for word in args:
        whole += f"\0{word}"
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def matches(work: Work, logs: Sequence[Log], tables: RowIndex | None = None) -> list[Match]:
    """The logs of the same work, the newest first. Empty: it was never tried, as far as they say.

    A log with a fingerprint is matched by that alone; any other by its words. `tables` holds the
    rows of `experiments.md`, which give the verdict and the notes; None: there are none.
    """
    same = []
    for log in sorted(logs, key=lambda log: (log.day, log.file.path), reverse=True):
        fields = fields_of(log)
        named = fields.get(FIELD, "")
        if named:
            is_same = named == work.fingerprint
        else:
            is_same = _same_words(work, fields)
        if not is_same:
            continue
        row = _row(log, tables)
        same.append(
            Match(
                key=work.key,
                path=log.file.path,
                how="bytes" if named else "words",
                differs=tuple(_differs(work, fields, says_dirty(log))),
                outcome=outcome(log),
                loss=_loss(log, _words_in(row.get("val_loss", ""))),
                verdict=_words_in(row.get("status", "")),
                notes=_words_in(row.get("notes", "")),
            )
        )
    return same


def may_match(text: str, works: Iterable[Work]) -> bool:
    """Whether it is worth reading a log: its text holds a fingerprint, or a script's name, of any
    of the works.

    False is certain, True is not: `matches` decides. Most of a folder's logs need not be read.
    """
    for work in works:
        if work.fingerprint in text:
            return True
        if work.script and _base(work.script) in text:
            return True
    return False


def fields_of(log: Log) -> dict[str, str]:
    """What the Config section says, under one name for each thing; `n/a` and unanswered fields are
    left out.

        - slurm_script: `train.sh`             {"script": "train.sh",
        - hparams: lr 1e-3                      "settings": "lr 1e-3",
        - commit: `4f2c1aa`                     "commit": "4f2c1aa",
        - fingerprint: `9e60ec7a41d2`           "fingerprint": "9e60ec7a41d2"}
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
    """What a field says with the fields below it; "": nothing, or that there is nothing.

        - key settings: AdamW
          - lr: 1e-3

    gives `AdamW, lr 1e-3`.
    """
    if field is None or is_none(field.value):
        return ""
    below = [child for child in field.children if isinstance(child, Field)]
    if not below and not filled(field):
        return ""
    words = [field.value]
    for child in below:
        words.append(f"{child.key} {child.value}".strip())
    return ", ".join(filter(None, words))


def _same_words(work: Work, fields: Mapping[str, str]) -> bool:
    """Whether script, configuration, dataset and settings are the same by name, with more than a
    script to go by.

    Paths are compared by their last part, as they may be written from another folder, and settings
    as words in any order: `lr=1e-3, seed 7` is `seed: 7; lr 1e-3`.
    """
    if not work.script:
        return False
    if _base(fields.get("script", "")) != _base(work.script):
        return False
    our_configs = sorted({_base(config) for config in work.configs})
    if _bases(fields.get("config", "")) != our_configs:
        return False
    if _words(fields.get("settings", "")) != _words(work.settings):
        return False
    if _has_other_dataset(work, fields):
        return False
    return bool(work.configs or work.settings)


def _has_other_dataset(work: Work, fields: Mapping[str, str]) -> bool:
    """Whether both name their dataset, and not the same one. A dataset that only one of them names
    is no difference.
    """
    theirs, ours = fields.get("dataset", ""), work.dataset
    if not theirs or not ours:
        return False
    return _words(theirs) != _words(ours)


def says_dirty(log: Log) -> bool:
    """Whether the log says beside its commit that there were uncommitted changes.

    `- commit: `4f2c1aa` (2 files not committed)` does. False too: it names no commit in Config.
    """
    for section in log.sections("config"):
        field = log.fact(section, *_COMMIT[:3])
        if field is None:
            continue
        span = field.raw_span
        if _DIRTY.search(log.document.text[span.start : span.end]):
            return True
    return False


def _differs(work: Work, fields: Mapping[str, str], dirty: bool) -> Iterable[str]:
    """What is not the same after all, in words: `code differs: 4f2c1aa then`, `dataset differs: …`.

    `fields` are those of the log, and `dirty` says whether its code had uncommitted changes. The
    log may name its commit in short; a branch or tag does not name the code.
    """
    theirs, ours = fields.get("commit", "").split(" ", 1)[0], work.commit
    is_commit = re.fullmatch(r"[0-9a-f]{7,64}", theirs) is not None
    if is_commit and ours:
        if not ours.startswith(theirs):
            yield f"code differs: {theirs[:8]} then"
        elif dirty or work.dirty:
            yield "code may differ: uncommitted changes"
    if _has_other_dataset(work, fields):
        yield f"dataset differs: {fields['dataset'][:60]} then"


def _row(log: Log, tables: RowIndex | None) -> Mapping[str, str]:
    """The cells of a log's row in `experiments.md`, by column. Empty: it has none."""
    if tables is None:
        return {}
    return next((row.cells for row in tables.of(log)), {})


def _loss(log: Log, in_table: str) -> str:
    """The end loss in words: `val_loss 0.028`, or `train_loss 0.36` where there is no other.

    Results come first, then the cell `in_table` of `experiments.md`. "": nobody names a loss.
    """
    names = {
        "val_loss": ("end_val_loss", "val_loss", "final_val_loss", "best_val_loss"),
        "train_loss": ("end_train_loss",),
    }
    for kind, spelled in names.items():
        for section in log.document.of("results"):
            field = section.field(*spelled)
            if answers(field):
                figure = field.value.split(" (")[0]
                return f"{kind} {figure[:40]}"
        if kind == "val_loss" and in_table:
            return f"val_loss {in_table}"
    return ""


def _words_in(cell: str) -> str:
    """What a cell says, at most 80 letters. "": it is empty, a dash, or `n/a`."""
    if cell in ("", "-", "—"):
        return ""
    if is_none(cell):
        return ""
    return cell[:80]


def _base(path: str) -> str:
    """The name of the file that a field names: `train.sh` of `slurm/train.sh`, and of `sbatch
    slurm/train.sh --lr 1`: the first word that is a file's.

    Without such a word, the whole text.
    """
    for word in path.split():
        name = PurePosixPath(word).name
        if "." in name:
            return name
    return path.strip()


def _bases(text: str) -> list[str]:
    """The names of the files in a list, sorted, each once: of `conf/b.yaml, conf/a.yaml` these are
    `a.yaml` and `b.yaml`.
    """
    names = set()
    for word in re.split(r"[,\s]+", text.replace("`", "")):
        if word:
            names.add(PurePosixPath(word).name)
    return sorted(names)


def _words(text: str) -> list[str]:
    """The words of a list of settings, sorted, in lower case and without its signs: `lr=1e-3, seed
    7` gives `1e-3`, `7`, `lr`, `seed`.
    """
    plain = text.replace("`", "").casefold()
    words = re.split(r"[\s,;:=]+", plain)
    return sorted(filter(None, words))
