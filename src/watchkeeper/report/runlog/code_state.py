"""Which code a run log names: a commit, branch or tag, in a field of its own or in the words of its
settings. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from watchkeeper.core.text import lazy
from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.document import Field
from watchkeeper.report.runlog.read import Log, answers

_FIELD = lazy.pattern(
    r"(?:^|_)(?:commits?|branch|tag|git|revision|rev|sha|hash|worktree|code|code_state|code_version)(?:_"
    r"|$)"
)
_OTHERS = lazy.pattern(
    r"(?:data|dataset|model|base|hf|hub|tokenizer|config|weights?|file|checkpoint|ckpt|docker|image"
    r"|env\w*|container)s?_.*"
)
_HASH = r"[0-9a-f]{7,40}(?![0-9a-z])"
_WORDS = lazy.pattern(
    rf"\b(?:commit|git (?:sha|rev|hash)|sha|rev(?:ision)?|at)[\s:=#(`*]{{1,4}}({_HASH})|@({_HASH})"
    r"|/(?:commit|tree)/([\w./-]+)"
    r"|\b(?:branch|tag)[\s:=(*]{1,3}`([\w./-]+)`|\b(?:branch|tag)[\s:=(*]{1,3}(v?\d[\w./-]*|\w+[/_-][\w./-]+)"
    r"|`([\w./-]+)`[\s*]{1,2}(?:branch|tag)\b",
    re.IGNORECASE,
)
_COMMIT = lazy.pattern(rf"(?<![0-9a-zA-Z]){_HASH}")
_COMMIT_NAMES = lazy.pattern(
    r"(?:git_|code_|repo_)?(?:commit|sha|hash|rev|revision)(?:_(?:hash|sha|id))?|code|git"
    r"|code_state|code_version"
)


def names_code(log: Log) -> bool:
    """Whether the log says under which commit, branch or tag its code can be found again.

    In a field (`- commit: 4f2c1aa`, `- branch: main`) or in words (`at commit 4f2c1aa`, `on branch
    `fix-loader``, an address with `/commit/4f2c1aa`).
    """
    has_field = next(_fields(log), None) is not None
    return has_field or next(_words(log), None) is not None


def commit_of(log: Log) -> str:
    """The commit that a log names, of 7 to 40 letters as it is written; "" where it names none.

    A field comes before words. A branch or tag is no commit: it may point elsewhere by now.
    """
    for field in _fields(log):
        if not _COMMIT_NAMES.fullmatch(field.name):
            continue
        commit = _COMMIT.search(field.value)
        if commit:
            return commit[0]
    for match in _words(log):
        # `commit 4f2c1aa`, or `repo@4f2c1aa`
        commit_in_words = match[1] or match[2]
        if commit_in_words:
            return str(commit_in_words)
    return ""


def _fields(log: Log) -> Iterator[Field]:
    """The fields that name code, those of Config first.

    `git_commit`, `branch` and `code_version` do; `data_commit` and `model_tag` name something else,
    and a field without an answer names nothing. A field of Config comes twice.
    """
    for field in (*log.fields_of("config"), *facts.every_field(log.document)):
        if not _FIELD.search(field.name):
            continue
        is_of_something_else = _OTHERS.fullmatch(field.name)
        if not is_of_something_else and answers(field):
            yield field


def _words(log: Log) -> Iterator[re.Match[str]]:
    """Where the title, the page's head, Mode, Config or a job block speaks of code."""
    for text in _texts(log):
        yield from _WORDS.finditer(text)


def _texts(log: Log) -> Iterator[str]:
    """The texts in which code may be named: the title, what stands above the first section, and the
    prose of Mode, Config and the job blocks.

    A commit that Status or Next mention may be another one, such as that of a fix.
    """
    document = log.document
    if document.title:
        yield document.title.text
    for node in (*document.preamble, *document.nodes):
        yield document.text[node.span.start : node.span.end]
    yield from log.prose_of("mode", "config", "job")
