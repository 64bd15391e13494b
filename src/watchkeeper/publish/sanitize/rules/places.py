"""Paths in free text: absolute ones of POSIX and Windows, shares, homes, and places in storage."""

from __future__ import annotations

import re
from collections.abc import Iterator

from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.pseudonyms import FORM
from watchkeeper.publish.sanitize.rules import near
from watchkeeper.publish.sanitize.rules.sites import is_public
from watchkeeper.publish.sanitize.rules.words import words
from watchkeeper.publish.sanitize.spans import Span

# Every repetition is bounded or of characters that what follows cannot begin with: a line of any
# length takes linear time.
_STOP = r"\s\"'`<>|;,()\[\]{}，。；：、（）「」『』【】《》“”‘’—→…"
_BODY = (
    rf"(?:[^{_STOP}\\]|\\[^\s\"'`]|\\ |\[[^\]\s]{{0,80}}\]|\([^()\s]{{0,80}}\)"
    rf"|\{{[^{{}}\s]{{0,120}}\}}"
    rf"|<[A-Za-z][^<>\s/]{{0,60}}>(?=[\w/.-])|,(?=[^{_STOP}]{{0,100}}/))*"
)
_ROOT = (
    r"(?:home|homes|users?|Users|scratch\w*|data\w*|mnt|work\w*|projects?|project\w*"
    r"|lustre\w*|gpfs\w*|beegfs|weka|vast"
    r"|nfs\w*|net|opt|srv|var|tmp|root|run|media|cluster|share\w*|storage|store|p|u|fs\w*"
    r"|vol\w*|ceph|nvme\w*|local\w*)"
)
_POSIX = re.compile(
    rf"/(?:(?<![\w.~/\\<*…$}}-]/)|(?<=[^\W\x00-\x7f]/)(?={_ROOT}/)|(?<=[^*]\*/)(?={_ROOT}/)|(?<=\*\*/)"
    r"|(?<=[\s\"']-[A-Za-z]/))"
    r"(?:(?<!:/)/(?=[\w.-]{1,80}/)|(?!/)(?=[^\W\d]|[._~$@%+{<-]|\d[\w.-]{0,60}/))"
    rf"{_BODY}"
)
_HOME = re.compile(rf"~(?<![\w~/.-]~)(?:[A-Za-z_][\w.-]{{0,63}})?/{_BODY}")
_VARIABLE = re.compile(rf"\$\{{?(?P<name>[A-Za-z_][A-Za-z0-9_]{{0,60}})\}}?/{_BODY}")
_WINDOWS = re.compile(rf"[A-Za-z](?<![A-Za-z0-9][A-Za-z]):(?:\\|/(?!/)){_BODY}")
_SHARE = re.compile(r"(?<![\\\w])\\{2,4}[\w.$-]{1,80}\\{1,2}[^\s\"'`<>|;,]*")
_STORAGE = re.compile(
    r"(?<![A-Za-z0-9])(?:s3[an]?|gs|az|abfss?|wasbs?|hdfs|swift|dvc|nfs|smb|cifs|ssh|sftp"
    r"|scp|rsync|file|cos|oss|dbfs"
    rf"|lustre|viewfs|rclone)://(?P<site>[^\s/\"'`]{{0,200}}){_BODY}"
)
_CAPITALS = re.compile(r"[A-Z]\w{0,40}$")
_FURTHER = re.compile(r"(?: [A-Z][\w()]{0,40}){1,3}[/\\][^\s\"'`<>|;,]*")
_VARIABLES = re.compile(r"HOME|SCRATCH|WORK|STORE|PROJ|TMP|DATA|USER|GROUP", re.IGNORECASE)
_OWNER = re.compile(
    r"/(?:home|homes|Users|users|u)/(?:[\w-]/)?(?P<name>[^\W\d][\w.-]{1,63})", re.ASCII
)
_HARMLESS = re.compile(
    r"/(?:dev/(?:null|shm|stdin|stdout|stderr|nvidia\*)|bin/(?:ba|z|da)?sh"
    r"|usr/bin/(?:env|bash|python3?)|tmp|v\d[\w/]{0,60})"
)
_IN_ANGLES = re.compile(r"<(?P<name>[A-Za-z][\w-]{0,60})[^<>]{0,60}>\Z")
_ELEMENTS = words(
    """
    a b i p u s br hr td th tr li ul ol em h1 h2 h3 h4 h5 h6 dd dt dl kbd var pre sub sup div code
    span samp table tbody strong summary details blockquote small tt center font
    """
)
_QUOTES = "\"'`"
_LONGEST_QUOTED = 1000
_PATTERNS = (
    (_POSIX, ("/",)),
    (_HOME, ("~",)),
    (_WINDOWS, (":\\", ":/")),
    (_SHARE, ("\\\\",)),
)


def find(text: str, known: Known) -> Iterator[Span]:
    """Where paths stand in a text, and the users whose homes they name. `known` is not read.

    `/home/ann/run7` is a path, and its `ann` a user to be hidden elsewhere. What is the same on
    every machine stays: `/dev/null`, `/usr/bin/env`.
    """
    for start, end in _places(text):
        path = text[start:end]
        if _HARMLESS.fullmatch(path):
            continue
        yield Span(start, end, "path", _spelled(path), "an absolute path")
        owner = _OWNER.search(path)
        if owner is not None:
            name = owner["name"].rstrip(".")
            at = start + owner.start("name")
            yield Span(at, at + len(name), "user", name.lower(), "the owner of a home", name)


def _places(text: str) -> Iterator[tuple[int, int]]:
    r"""Where paths of each form stand: (start, end), which may overlap.

    `/data/ann`, `~/run7`, `C:\models`, `\\nas\groups`, `$SCRATCH/run7`, `s3://bucket/w.pt`. A
    variable counts where its name says that it holds a place: `$HOME`, not `$i/2`.
    """
    if "/" not in text and "\\" not in text:
        return
    small = near.lower(text)
    for pattern, signs in _PATTERNS:
        for match in near.matches(pattern, text, small, signs):
            if not _is_behind_name(text, match.start()):
                yield match.start(), _end(text, *match.span())
    for match in near.matches(_VARIABLE, text, small, ("$",)):
        if _VARIABLES.search(match["name"]):
            yield match.start(), _end(text, *match.span())
    for match in near.matches(_STORAGE, text, small, ("://",)):
        site = match["site"]
        # `file:///work` has no site, and is a path of this machine.
        if not site or not is_public(site):
            yield match.start(), _end(text, *match.span())


def _is_behind_name(text: str, at: int) -> bool:
    """Whether a pseudonym or a placeholder stands before `at`, and no element of HTML.

    What follows `<path-1>` or `<run>` is relative to it; what follows `<td>` begins anew.
    """
    if text[at - 1 : at] != ">":
        return False
    name = _IN_ANGLES.search(text, max(0, at - 64), at)
    if name is None:
        return False
    if FORM.fullmatch(name[0]):
        return True
    return name["name"].lower() not in _ELEMENTS


def _end(text: str, start: int, end: int) -> int:
    r"""Where the path ends that matches from `start` to `end`.

    At the closing quote, if it begins behind one (`"/data/my data/w.pt"`). Else behind words with
    capitals that belong to it (`C:\Program Files\cuda`), and before the signs of a sentence.
    """
    quote = text[start - 1 : start]
    if quote and quote in _QUOTES:
        closing = text.find(quote, end, start + _LONGEST_QUOTED)
        if closing >= 0 and "\n" not in text[end:closing]:
            return closing
    if _CAPITALS.search(text, max(start, end - 41), end):
        further = _FURTHER.match(text, end)
        if further is not None:
            end = further.end()
    while end > start + 1 and text[end - 1] in ".,:;!?=":
        end -= 1
    return end


def _spelled(path: str) -> str:
    r"""A path in one spelling: with slashes, none at its end and none twice.

    `C:\models\` and `C:/models` get the same pseudonym.
    """
    return re.sub(r"[/\\]+", "/", path).rstrip("/") or "/"
