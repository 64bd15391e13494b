"""TRAINING_LOG.md: a run log without what only the cluster's users may know.

What is private becomes a pseudonym. A field of which nothing else is left (`- node: <host-1>`)
says nothing to a reader, and goes as a whole: ids of jobs, nodes, folders and pages that are not
public. The configuration, the status lines, the losses and the results stay as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.pseudonyms import FORM
from watchkeeper.publish.sanitize.text import Sanitized, sanitize

_FENCE = re.compile(r"[ \t]{0,8}(```|~~~)")
_FIELD = re.compile(r"[ \t]*(?:[-*+]|\d{1,4}[.)])?[ \t]*[*_`]{0,4}[^\n:|]{0,80}:[*_`]{0,4}(?=\s|$)")
_BULLET = re.compile(r"[ \t]*(?:[-*+]|\d{1,4}[.)])[ \t]+")
_SAYS_NOTHING = re.compile(r"\b(?:wandb|at|and|in|on|see|local|file)\b", re.IGNORECASE)
_LETTER = re.compile(r"[^\W_]")
_CODE_OR_PSEUDONYM = re.compile(rf"(?P<ticks>`+)[^`\n].{{0,2000}}?(?P=ticks)|{FORM.pattern}")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]")
_SPACE_AT_END = re.compile(r"[ \t]+(?=\r?\Z)")


def training_log(run_log: str, known: Known, *, public_links: Collection[str] = ()) -> Sanitized:
    """The training log of a run log, whoever wrote that. `public_links` are addresses that may be
    seen by all, such as that of a public W&B run. The lines of the redactions are those of the run
    log.

        - node: gpu7
        - objective: learn the words of /data/ann/data

    Of these lines the first goes, and the second stays with a pseudonym for its path.

    Raises:
        WouldEmptyError: nothing would be left to read.
    """
    sanitized = sanitize(run_log, known, keep_links=public_links)
    text = "\n".join(_lines(sanitized.text))
    return Sanitized(text=text, redactions=sanitized.redactions)


def _lines(text: str) -> Iterator[str]:
    """The lines that say something, with each pseudonym as code: a browser takes `<host-1>` for an
    element of HTML, and shows nothing. What stands in a fenced block stays as it is.
    """
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        # A fence is closed by its own sign: "~~~" within "```" is text.
        if mark is not None and fence in ("", mark[1]):
            fence = "" if fence else mark[1]
            yield line
        elif fence or FORM.search(line) is None:
            yield line
        elif _HEADING.match(line):
            yield _SPACE_AT_END.sub("", FORM.sub("", line))
        elif not _is_only_private(line):
            yield _CODE_OR_PSEUDONYM.sub(_as_code, line)


def _is_only_private(line: str) -> bool:
    """Whether a field or a bullet says nothing but pseudonyms: `- node: <host-1>`.

    Words such as `at` and `see` do not count: `- logs: see <path-1>` tells a reader nothing.
    """
    opening = _FIELD.match(line) or _BULLET.match(line)
    if opening is None:
        return False
    rest = FORM.sub(" ", line[opening.end() :])
    return _LETTER.search(_SAYS_NOTHING.sub("", rest)) is None


def _as_code(match: re.Match[str]) -> str:
    """A pseudonym between backticks; code that stands there already as it is."""
    if match["ticks"]:
        return match[0]
    return f"`{match[0]}`"
