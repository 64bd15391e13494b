"""Print docs/api.md, what `import watchkeeper as wk` offers: `python scripts/api_page.py >
docs/api.md` renews it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from functools import cached_property
from types import FunctionType
from typing import Any

import watchkeeper as wk

GROUPS = {
    "Recording a run": ("start_run", "current_run", "Run", "Step", "Table"),
    "What a run hands out": ("Cadence", "Progress", "Limit"),
    "Reading what was recorded": (
        "load",
        "Recording",
        "read_rows",
        "read_table",
        "Row",
        "Problem",
    ),
    "What a checkpoint is": ("load_passport", "Passport", "InputContract"),
    "Errors": ("WatchkeeperError", "UsageError", "StorageError", "Interrupted"),
}
SPECIAL = ("__call__", "__contains__", "__len__", "__iter__", "__getitem__")
"""Methods of a class without a name of their own that a program uses by Python's syntax."""


def page() -> str:
    """The page, from the docstrings."""
    parts = [
        "# The Python interface",
        "",
        "What `import watchkeeper as wk` offers. This page is made from the docstrings by "
        "`scripts/api_page.py`; [Recording a run](record.md) shows it at work.",
    ]
    for title, names in GROUPS.items():
        parts += ["", f"## {title}"]
        for name in names:
            parts += _entry(name, getattr(wk, name))
    return "\n".join(parts) + "\n"


def _entry(name: str, value: Any) -> Iterator[str]:
    yield from ("", f"### wk.{name}", "")
    if isinstance(value, FunctionType):
        yield from _block(f"wk.{name}{_signature(value)}")
        yield from _text(value)
        return
    yield from _text(value)
    fields = [name for name in vars(value).get("__annotations__", {}) if not name.startswith("_")]
    if fields:
        yield from ("", "Fields: " + ", ".join(f"`{name}`" for name in fields) + ".")
    for member_name, member in vars(value).items():
        if member_name.startswith("_") and member_name not in SPECIAL:
            continue
        yield from _member(member_name, member)


def _member(name: str, member: object) -> Iterator[str]:
    """A method or a property; nothing of another member, or of one without a docstring."""
    if isinstance(member, property | cached_property):
        yield from ("", f"**`{name}`**", "")
        yield from _text(member)
    elif isinstance(member, classmethod | staticmethod):
        return
    elif callable(member) and inspect.getdoc(member) and hasattr(member, "__qualname__"):
        yield ""
        yield from _block(f"{name}{_signature(member)}")
        yield from _text(member)


def _signature(call: Any) -> str:
    """The parameters with their defaults, without `self`; types are for the editor."""
    signature = inspect.signature(call)
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    return str(inspect.Signature([_plain(parameter) for parameter in parameters]))


def _plain(parameter: inspect.Parameter) -> inspect.Parameter:
    """The parameter with a default that reads the same in every process."""
    if parameter.default is inspect.Parameter.empty:
        return parameter
    if isinstance(parameter.default, Enum):
        return parameter.replace(default=_Named(parameter.default.name))
    if isinstance(parameter.default, str | int | float | bool | None):
        return parameter
    return parameter.replace(default=_Named("…"))


class _Named:
    """A default that is shown by a name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


def _block(code: str) -> tuple[str, ...]:
    return ("```", code, "```", "")


def _text(value: object) -> Iterator[str]:
    """The docstring, as it stands."""
    yield from (inspect.getdoc(value) or "").splitlines()


if __name__ == "__main__":
    print(page(), end="")
