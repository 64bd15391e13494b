"""Measure how dense the code is, and fail where a bound is missed.

    python scripts/density.py [FOLDER] [--worst N]

Complexity is 1 for a function, and 1 more for each `if`, loop, `except`, `case`, conditional
expression, boolean operator, and each `for` and `if` of a comprehension; functions nested within it
are counted with it. Lines of code are the lines that hold a token other than a comment; docstrings
do not count. The figures are a thermometer, not the aim.
"""

from __future__ import annotations

import argparse
import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case, ast.IfExp)


@dataclass(frozen=True)
class Function:
    """An outermost function or method: its place, its lines with its docstring, its complexity."""

    place: str
    lines: int
    complexity: int


@dataclass(frozen=True)
class Module:
    """One file: its functions, its lines of code, and the places of what the bounds speak of."""

    path: Path
    functions: tuple[Function, ...]
    code_lines: int
    conditionals: int
    nested_conditionals: tuple[str, ...]
    crowded_lines: tuple[str, ...]


def complexity_of(node: ast.AST) -> int:
    """The complexity of a function, with the functions nested within it."""
    total = 1
    for child in ast.walk(node):
        if isinstance(child, BRANCHES):
            total += 1
        elif isinstance(child, ast.BoolOp):
            total += len(child.values) - 1
        elif isinstance(child, ast.comprehension):
            total += 1 + len(child.ifs)
    return total


def outermost_functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions and methods that lie in no other function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS):
            yield child
        else:
            yield from outermost_functions(child)


def docstring_lines(tree: ast.Module) -> set[int]:
    """The line numbers that docstrings cover."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)):
            continue
        if ast.get_docstring(node, clean=False) is None:
            continue
        docstring = node.body[0]
        lines.update(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    return lines


def code_lines_of(text: str, tree: ast.Module) -> int:
    """How many lines hold code: no comment, no blank, no docstring."""
    empty = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in empty:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstring_lines(tree))


def nested_conditionals(tree: ast.Module) -> Iterator[int]:
    """The lines of the conditional expressions that hold another one."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.IfExp):
            continue
        inner = [
            child for child in ast.walk(node) if isinstance(child, ast.IfExp) and child is not node
        ]
        if inner:
            yield node.lineno


def crowded_lines(tree: ast.Module) -> Iterator[int]:
    """The lines on which more than one comprehension begins."""
    counts: dict[int, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, COMPREHENSIONS):
            counts[node.lineno] = counts.get(node.lineno, 0) + 1
    for line, count in counts.items():
        if count > 1:
            yield line


def measure(path: Path) -> Module:
    """Measure one file of Python."""
    text = path.read_text()
    tree = ast.parse(text)
    functions = []
    for node in outermost_functions(tree):
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        functions.append(Function(f"{path}:{node.lineno} {node.name}", length, complexity_of(node)))
    return Module(
        path=path,
        functions=tuple(functions),
        code_lines=code_lines_of(text, tree),
        conditionals=sum(isinstance(node, ast.IfExp) for node in ast.walk(tree)),
        nested_conditionals=tuple(f"{path}:{line}" for line in nested_conditionals(tree)),
        crowded_lines=tuple(f"{path}:{line}" for line in crowded_lines(tree)),
    )


def percentile(values: list[int], share: float) -> int:
    """The value that this share of the values does not exceed (nearest rank). 0: no values."""
    if not values:
        return 0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True)
class Figure:
    """One figure with its bound, and the places that count against it."""

    name: str
    value: float
    bound: float
    places: tuple[str, ...] = ()

    @property
    def is_held(self) -> bool:
        """Whether the figure is within its bound."""
        return self.value <= self.bound


def most_crowded_folder(folder: Path) -> tuple[int, Path]:
    """The folder with most modules beside one another, `__init__` and subpackages not counted."""
    counts: dict[Path, int] = {folder: 0}
    for path in folder.rglob("*.py"):
        if path.name != "__init__.py":
            counts[path.parent] = counts.get(path.parent, 0) + 1
    crowded = max(counts, key=lambda parent: counts[parent])
    return counts[crowded], crowded


def figures_of(modules: list[Module], folder: Path) -> list[Figure]:
    """The figures that are held in `make check`, worst places first."""
    functions = [function for module in modules for function in module.functions]
    functions.sort(key=lambda function: -function.complexity)
    complexities = [function.complexity for function in functions]
    lines = [function.lines for function in functions]
    code_lines = sum(module.code_lines for module in modules)
    conditionals = sum(module.conditionals for module in modules)
    tangled = tuple(
        f"{function.place} ({function.complexity})"
        for function in functions
        if function.complexity > 10
    )
    nested = tuple(place for module in modules for place in module.nested_conditionals)
    crowded = tuple(place for module in modules for place in module.crowded_lines)
    most, where = most_crowded_folder(folder)
    by_conditionals = sorted(modules, key=lambda module: -module.conditionals)
    long_functions = sorted(functions, key=lambda function: -function.lines)
    return [
        Figure(
            "complexity per line of function",
            sum(complexities) / max(sum(lines), 1),
            0.33,
        ),
        Figure("complexity, 95th percentile", percentile(complexities, 0.95), 10, tangled),
        Figure(
            "functions with complexity over 10, %",
            100 * len(tangled) / max(len(functions), 1),
            3,
            tangled,
        ),
        Figure(
            "conditional expressions per 1,000 lines of code",
            1000 * conditionals / max(code_lines, 1),
            20,
            tuple(f"{module.path} ({module.conditionals})" for module in by_conditionals),
        ),
        Figure("conditional expressions within another", len(nested), 0, nested),
        Figure("lines with two comprehensions", len(crowded), 0, crowded),
        Figure(
            "lines of a function, 95th percentile",
            percentile(lines, 0.95),
            45,
            tuple(f"{function.place} ({function.lines})" for function in long_functions),
        ),
        Figure("modules beside one another, at most", most, 12, (str(where),)),
    ]


def main() -> int:
    """Print the figures; 1 where one is missed."""
    parser = argparse.ArgumentParser(description="Measure how dense the code is.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("src/watchkeeper"))
    parser.add_argument(
        "--worst", type=int, default=5, metavar="N", help="places to name for a missed figure"
    )
    options = parser.parse_args()
    modules = [measure(path) for path in sorted(options.folder.rglob("*.py"))]
    missed = 0
    for figure in figures_of(modules, options.folder):
        verdict = "held" if figure.is_held else "MISSED"
        print(f"{figure.name:<50} {figure.value:>8.3f}  at most {figure.bound:<5g} {verdict}")
        if figure.is_held:
            continue
        missed += 1
        for place in figure.places[: options.worst]:
            print(f"    {place}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
