"""The small changes that are made to a module, one for each mutant.

Left out, since no test should notice them: messages and other text, annotations, decorators,
options of classes, what stands in a `raise`, and everything within `__repr__` and `__str__`.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
_CALLS = {"any": "all", "all": "any", "min": "max", "max": "min"}
_SILENT = ("__repr__", "__str__")

Change = tuple[str, ast.AST]
"""What is changed, in words, and what stands in the node's place."""


@dataclass(frozen=True)
class Mutant:
    """One changed module. `number` counts its mutants; `before` and `after` are the changed node,
    as code.
    """

    path: Path
    number: int
    line: int
    what: str
    before: str
    after: str

    def tree(self) -> ast.Module:
        """The module with this one change."""
        tree = ast.parse(self.path.read_text(encoding="utf-8"), filename=str(self.path))
        for number, (place, change) in enumerate(_changes(tree)):
            if number == self.number:
                place.put(change[1])
                return ast.fix_missing_locations(tree)
        raise LookupError(f"{self.path} has no mutant {self.number}")


@dataclass(frozen=True)
class _Place:
    """A node's place: a field of its parent, and the index in its list (None: not a list)."""

    parent: ast.AST
    field: str
    index: int | None

    @property
    def node(self) -> ast.AST:
        """What hangs there."""
        value = getattr(self.parent, self.field)
        return value if self.index is None else value[self.index]

    def put(self, node: ast.AST) -> None:
        """Hang another node there."""
        ast.copy_location(node, self.node)
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def mutants_of(path: Path) -> list[Mutant]:
    """All mutants of a module, in the order of the code."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    mutants = []
    for number, (place, (what, changed)) in enumerate(_changes(tree)):
        node = place.node
        line = node.iter.lineno if isinstance(node, ast.comprehension) else node.lineno
        before, after = _head(place.node), _head(ast.copy_location(changed, place.node))
        mutants.append(Mutant(path, number, line, what, before, after))
    return mutants


def _head(node: ast.AST) -> str:
    """The node as code, or its first line."""
    return ast.unparse(ast.fix_missing_locations(node)).splitlines()[0][:200]


def _changes(tree: ast.Module) -> Iterator[tuple[_Place, Change]]:
    for place in _places(tree):
        for change in _changed(place.node):
            yield place, change


def _places(node: ast.AST) -> Iterator[_Place]:
    """Every node that may be changed."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "keywords") and not isinstance(
            node, ast.Call
        ):
            continue
        children = value if isinstance(value, list) else [value]
        for at, child in enumerate(children):
            if not isinstance(child, ast.AST) or _is_silent(child):
                continue
            yield _Place(node, field, at if isinstance(value, list) else None)
            yield from _places(child)


def _is_silent(node: ast.AST) -> bool:
    """Whether no test should notice a change in it."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert):
        return True
    if isinstance(node, ast.FunctionDef):
        return node.name in _SILENT
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _changed(node: ast.AST) -> Iterator[Change]:
    """The changes of one node."""
    if isinstance(node, ast.Compare):
        yield from _of_comparison(node)
    elif isinstance(node, ast.BoolOp):
        yield from _of_condition(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not left out", node.operand
    elif isinstance(node, ast.Constant):
        yield from _of_constant(node)
    elif isinstance(node, ast.BinOp):
        yield from _of_arithmetic(node)
    elif isinstance(node, ast.AugAssign):
        yield "plain assignment", ast.Assign([node.target], node.value)
    elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield "None returned", ast.Return(ast.Constant(None))
    else:
        yield from _changed_branch(node)


def _changed_branch(node: ast.AST) -> Iterator[Change]:
    """The changes of a node that chooses or calls."""
    if isinstance(node, ast.If):
        yield "never", ast.If(ast.Constant(False), node.body, node.orelse)
        yield "always", ast.If(ast.Constant(True), node.body, node.orelse)
    elif isinstance(node, ast.IfExp):
        yield "the one choice", node.body
        yield "the other choice", node.orelse
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield "filter left out", ast.comprehension(node.target, node.iter, [], node.is_async)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield from _of_call(node, node.func.id)
    elif isinstance(node, ast.Expr) and isinstance(
        node.value, ast.Call | ast.YieldFrom | ast.Yield
    ):
        yield "statement left out", ast.Pass()


def _of_comparison(node: ast.Compare) -> Iterator[Change]:
    for at, operator in enumerate(node.ops):
        for other in _COMPARISONS[type(operator)]:
            changed = copy.copy(node)
            changed.ops = [*node.ops[:at], other(), *node.ops[at + 1 :]]
            yield "another comparison", changed


def _of_condition(node: ast.BoolOp) -> Iterator[Change]:
    other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield "and and or exchanged", ast.BoolOp(other, node.values)
    for at in range(len(node.values)):
        rest = [*node.values[:at], *node.values[at + 1 :]]
        yield "a part left out", rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def _of_constant(node: ast.Constant) -> Iterator[Change]:
    if isinstance(node.value, bool):
        yield "the other truth", ast.Constant(not node.value)
    elif isinstance(node.value, int | float):
        yield "one more", ast.Constant(node.value + 1)
        yield "one less", ast.Constant(node.value - 1)


def _of_arithmetic(node: ast.BinOp) -> Iterator[Change]:
    other = _ARITHMETIC.get(type(node.op))
    if other is not None and not _is_text(node.left) and not _is_text(node.right):
        yield "another operator", ast.BinOp(node.left, other(), node.right)


def _of_call(node: ast.Call, name: str) -> Iterator[Change]:
    if name in _CALLS:
        yield (
            "another function",
            ast.Call(ast.Name(_CALLS[name], ast.Load()), node.args, node.keywords),
        )
    if name in ("reversed", "sorted") and len(node.args) == 1:
        yield "order left out", ast.Call(ast.Name("list", ast.Load()), node.args, [])


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
