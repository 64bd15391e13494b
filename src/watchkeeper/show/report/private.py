"""What a report leaves out unless `--private`: absolute paths, users, hosts, accounts, job ids.

How sensitive a field is stands in its type (core/events/base.py). A field of a page whose type says
host, user, account or job id is emptied. A path is shortened to its part below the folder that the
report is about, or to its last name. Every other text may quote any of them: the values that the
journals hold in such fields are searched there, and absolute paths by their form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from watchkeeper.core.events.private import sensitive_fields
from watchkeeper.core.text import lazy

PageT = TypeVar("PageT", bound=msgspec.Struct)

_EMPTIED = frozenset({"host", "user", "account", "job id"})
_WORDS = {"host": "<host>", "user": "<user>", "account": "<account>", "job id": "<job>"}
_COMMON = frozenset({"", "localhost", "local", "root", "127.0.0.1"})
"""Names that say nothing about anybody."""
_SHORTEST_JOB_ID = 4
"""A shorter one is searched only behind the word job: it may be any number."""
_NO_END = r"[^\s:'\"`()<>\[\],;|]*"
_ABSOLUTE = lazy.pattern(rf"(?:file://|(?<![\w.~/]))(?:~|/(?=[A-Za-z_.])){_NO_END}/{_NO_END}")
_JOB = lazy.pattern(
    r"\b(jobs? (?:id )?|(?:execution_id|job_id|SLURM_JOB_ID)[:=] ?)\d+(?:_\d+)?\b"
    r"|(slurm-)\d+(?:_\d+)?(?=\.out\b)",
    re.IGNORECASE,
)


class Mask:
    """Takes out of texts what is private. `folder` is what the report is about; `values` are the
    values of the journals' sensitive fields: which → values.
    """

    def __init__(self, folder: Path, values: Mapping[str, Iterable[str]]) -> None:
        self._folder = str(folder.absolute())
        self._parent = str(folder.absolute().parent)
        self._patterns = list(_patterns(values))
        self._by_kind: tuple[tuple[type, Callable[[Any], Any]], ...] = (
            (str, self.text),
            (msgspec.Struct, self.page),
            (list, self._list),
            (tuple, self._tuple),
        )

    def text(self, text: str) -> str:
        """A text without what is private in it.

        `/data/ann/night/r8 on node7, job 123456` → `r8 on <host>, job <job>`, of the report on
        `/data/ann/night` in whose journals node7 is a host.
        """
        text = text.replace(f"{self._folder}/", "")
        text = _ABSOLUTE.sub(_last_name, text)
        text = _JOB.sub(_without_number, text)
        for pattern, word in self._patterns:
            text = pattern.sub(word, text)
        return text

    def path(self, path: str) -> str:
        """A path below the report's folder, or below the one that it lies in; one elsewhere is its
        last name.
        """
        for above in (self._folder, self._parent):
            if path.startswith(f"{above}/"):
                return path[len(above) + 1 :]
        if path.startswith(("/", "~")):
            return path.rstrip("/").rpartition("/")[2]
        return self.text(path)

    def page(self, page: PageT) -> PageT:
        """The page without what is private in any of its fields."""
        changes = {name: self._field(page, name) for name in page.__struct_fields__}
        return msgspec.structs.replace(page, **changes)

    def _field(self, page: msgspec.Struct, name: str) -> Any:
        """The value of a field as it may be shown: by what its type says of it, else by
        its kind.
        """
        value = getattr(page, name)
        which = sensitive_fields(type(page)).get(name, "")
        if which in _EMPTIED:
            return ""
        if which == "path" and isinstance(value, str):
            return self.path(value)
        return self._value(value)

    def _value(self, value: Any) -> Any:
        """Any value of a page, masked by its kind: texts, structs, lists, dicts and what is in
        them. Numbers and times are as they are.
        """
        if isinstance(value, dict):
            return {self.text(str(key)): self._value(inner) for key, inner in value.items()}
        for kind, mask in self._by_kind:
            if isinstance(value, kind):
                return mask(value)
        return value

    def _list(self, values: list[Any]) -> list[Any]:
        return list(map(self._value, values))

    def _tuple(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(map(self._value, values))


def _patterns(values: Mapping[str, Iterable[str]]) -> Iterator[tuple[re.Pattern[str], str]]:
    """What finds each value as a whole word, with the word for it. The longest are first: `gpu` is
    looked for once `gpu.cluster` is gone.
    """
    for which, word in _WORDS.items():
        for value in sorted(set(values.get(which, ())) - _COMMON, key=len, reverse=True):
            if which == "job id" and len(value) < _SHORTEST_JOB_ID:
                continue
            yield re.compile(rf"(?<![\w-]){re.escape(value)}(?![\w-])"), word


def _last_name(match: re.Match[str]) -> str:
    """The last name of a path: `w.pt` of `/data/ann/w.pt`."""
    return match[0].rstrip("/").rpartition("/")[2]


def _without_number(match: re.Match[str]) -> str:
    """`job 123456` → `job <job>`, `slurm-123456` → `slurm-<job>`."""
    if match[2]:
        return f"{match[2]}<job>"
    return f"{match[1]}<job>"


def sensitive_values(events: Iterable[object]) -> dict[str, set[str]]:
    """The values of all sensitive fields of these events that have one: which → values."""
    values: dict[str, set[str]] = {}
    for event in events:
        if isinstance(event, msgspec.Struct):
            _collect(event, values)
    return values


def _collect(struct: msgspec.Struct, values: dict[str, set[str]]) -> None:
    """Add the values of the sensitive fields of a struct, and of the structs in it."""
    fields = sensitive_fields(type(struct))
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if name in fields and isinstance(value, str):
            if value:
                values.setdefault(fields[name], set()).add(value)
            continue
        members = value if isinstance(value, tuple | list) else (value,)
        for inner in members:
            if isinstance(inner, msgspec.Struct):
                _collect(inner, values)
