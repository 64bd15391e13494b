"""A pickle's instructions followed on paper: what it would build, with each call that it would make
left as a symbol. Nothing is imported, and no object of the pickle comes into being.

Source: `pickletools.opcodes`, which lists each instruction with what it takes from the stack.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MOST_INSTRUCTIONS = 20_000_000


class TangledError(Exception):
    """The instructions do not fit together, or one of them is not followed here."""


@dataclass(frozen=True)
class Name:
    """Something that the pickle would import: `module.name`."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class Call:
    """What a call would return: of `function` with `arguments`; `items` were put into it later."""

    function: Any
    arguments: Any
    items: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Stored:
    """What the program that loads the pickle keeps under this id outside it."""

    id: Any


@dataclass
class Reading:
    """What a pickle names, in order and each once, and what it would build; `tangled` says why that
    is not known ("": it is).
    """

    names: dict[str, Name] = field(default_factory=dict)
    value: Any = None
    tangled: str = ""


_MARK = object()
_UNKNOWN = object()


def follow(file: BinaryIO) -> Reading:
    """Read one pickle from where the file stands up to its STOP; the file stands behind it then.

    Names are listed also of a pickle that is not followed to its end. What is wrong with the pickle
    stands in `tangled`.
    """
    reading = Reading()
    machine = _Machine(reading)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count > MOST_INSTRUCTIONS:
                raise TangledError(f"has more than {MOST_INSTRUCTIONS:,} instructions")
            machine.take(opcode.name, argument)
    except TangledError as error:
        reading.tangled = str(error)
    except (ValueError, IndexError, UnicodeDecodeError, OverflowError, MemoryError) as error:
        reading.tangled = f"has damaged instructions: {error}"
    return reading


class _Machine:
    """The stack and the memo of a pickle that is followed. Once it is tangled, only names are
    collected.
    """

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.texts: list[str] = []

    def take(self, name: str, argument: Any) -> None:
        """Follow one instruction."""
        self._collect(name, argument)
        if self.reading.tangled:
            return
        try:
            self._follow(name, argument)
        except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
            self.reading.tangled = f"has instructions that do not fit together at {name}: {error!r}"

    def _follow(self, name: str, argument: Any) -> None:
        """One instruction's work on the stack: a value, a new container, a step, or nothing."""
        if name in _CONSTANTS:
            self.stack.append(argument)
        elif name in _PUSHED:
            self.stack.append(_PUSHED[name]())
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in _IGNORED:
            self.reading.tangled = f"has the instruction {name}, which is not followed here"

    def _collect(self, name: str, argument: Any) -> None:
        """Note what an instruction imports. Where the stack is not known, STACK_GLOBAL takes the
        last two texts; the name may then be of another module.
        """
        if name in ("GLOBAL", "INST"):
            module, _, attribute = str(argument).partition(" ")
            self.add(Name(module, attribute))
        elif name == "STACK_GLOBAL" and self.reading.tangled:
            self.add(Name(*self.texts[-2:]) if len(self.texts) > 1 else Name("?", "?"))
        elif name.startswith("EXT"):
            self.add(Name("copyreg", f"extension {argument}"))
        elif isinstance(argument, str):
            self.texts = [*self.texts[-1:], argument]

    def add(self, name: Name) -> Name:
        """Note a name that is imported, and return it."""
        return self.reading.names.setdefault(str(name), name)

    def above_mark(self) -> list[Any]:
        """Take what lies above the last mark, and the mark."""
        values: list[Any] = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]


def _global(machine: _Machine, argument: Any) -> None:
    """GLOBAL: `torch._utils _rebuild_tensor_v2` as one text. It was noted when it was read."""
    module, _, attribute = argument.partition(" ")
    machine.stack.append(Name(module, attribute))


def _stack_global(machine: _Machine, argument: Any) -> None:
    """STACK_GLOBAL, of protocol 4: the module and the name lie on the stack."""
    attribute, module = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(machine.add(Name(str(module), str(attribute))))


def _call(machine: _Machine, argument: Any) -> None:
    """REDUCE and NEWOBJ: a call is left on the stack as a symbol, and not made."""
    arguments, function = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(Call(function, arguments))


def _call_with_names(machine: _Machine, argument: Any) -> None:
    """NEWOBJ_EX: the same with arguments by name, which no tensor has; they are dropped."""
    machine.stack.pop()
    _call(machine, argument)


def _set(machine: _Machine, pairs: list[Any]) -> None:
    """SETITEM and SETITEMS: put keys and values, in turn, into the mapping on the stack.

    What `OrderedDict()` would return is a symbol, too, and keeps them as its items.
    """
    place = machine.stack[-1]
    members = list(zip(pairs[::2], pairs[1::2], strict=True))
    if isinstance(place, Call):
        place.items += members
        return
    for key, value in members:
        place[_hashable(key)] = value


def _hashable(key: Any) -> Any:
    """The key as a dictionary can hold it: symbols that have no hash are one unknown key each."""
    try:
        hash(key)
    except TypeError:
        return object()
    return key


def _set_one(machine: _Machine, argument: Any) -> None:
    """SETITEM: one key and its value, which lie on top."""
    value, key = machine.stack.pop(), machine.stack.pop()
    _set(machine, [key, value])


def _add(machine: _Machine, values: list[Any]) -> None:
    """APPEND and its like: put values into the list on the stack, or into what a call returns."""
    place = machine.stack[-1]
    if isinstance(place, Call):
        place.items += [(None, value) for value in values]
    else:
        place.extend(values)


def _remember(machine: _Machine, argument: Any) -> None:
    """PUT and MEMOIZE: keep what lies on top, for a GET of its number. MEMOIZE has none: the next
    free one is meant.
    """
    index = len(machine.memo) if argument is None else argument
    machine.memo[index] = machine.stack[-1]


def _take_tuple(machine: _Machine, size: int) -> None:
    """TUPLE1 to TUPLE3: the topmost values as a tuple, the last one last."""
    values = [machine.stack.pop() for _ in range(size)]
    machine.stack.append(tuple(values[::-1]))


def _make_dict(machine: _Machine, argument: Any) -> None:
    """DICT: a mapping of the keys and values above the mark."""
    pairs = machine.above_mark()
    machine.stack.append({})
    _set(machine, pairs)


def _instance(machine: _Machine, argument: Any) -> None:
    """INST, of protocol 0: a call of a name with the arguments above the mark."""
    module, _, attribute = argument.partition(" ")
    machine.stack.append(Call(Name(module, attribute), tuple(machine.above_mark())))


def _object(machine: _Machine, argument: Any) -> None:
    """OBJ, of protocol 1: the function lies above the mark, too, before its arguments."""
    function, *arguments = machine.above_mark()
    machine.stack.append(Call(function, tuple(arguments)))


def _drop_mark(machine: _Machine, argument: Any) -> None:
    """POP_MARK: what lies above the mark is not needed."""
    machine.above_mark()


def _stop(machine: _Machine, argument: Any) -> None:
    """STOP: what lies on top is what the pickle would return."""
    machine.reading.value = machine.stack.pop()


_CONSTANTS = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
_IGNORED = frozenset(["PROTO", "FRAME", "READONLY_BUFFER"])
_PUSHED: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
    "NEXT_BUFFER": lambda: _UNKNOWN,
    "EXT1": lambda: _UNKNOWN,
    "EXT2": lambda: _UNKNOWN,
    "EXT4": lambda: _UNKNOWN,
}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _call,
    "NEWOBJ": _call,
    "NEWOBJ_EX": _call_with_names,
    "INST": _instance,
    "OBJ": _object,
    "BUILD": lambda machine, _: machine.stack.pop(),
    "SETITEM": _set_one,
    "SETITEMS": lambda machine, _: _set(machine, machine.above_mark()),
    "APPEND": lambda machine, _: _add(machine, [machine.stack.pop()]),
    "APPENDS": lambda machine, _: _add(machine, machine.above_mark()),
    "ADDITEMS": lambda machine, _: _add(machine, machine.above_mark()),
    "PUT": _remember,
    "BINPUT": _remember,
    "LONG_BINPUT": _remember,
    "MEMOIZE": _remember,
    "GET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "LONG_BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.above_mark())),
    "LIST": lambda machine, _: machine.stack.append(machine.above_mark()),
    "FROZENSET": lambda machine, _: machine.stack.append(machine.above_mark()),
    "DICT": _make_dict,
    "TUPLE1": lambda machine, _: _take_tuple(machine, 1),
    "TUPLE2": lambda machine, _: _take_tuple(machine, 2),
    "TUPLE3": lambda machine, _: _take_tuple(machine, 3),
    "PERSID": lambda machine, id: machine.stack.append(Stored(id)),
    "BINPERSID": lambda machine, _: machine.stack.append(Stored(machine.stack.pop())),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": _drop_mark,
    "STOP": _stop,
}
