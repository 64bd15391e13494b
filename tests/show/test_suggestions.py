"""What a message tells people to type can be typed."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import watchkeeper as wk_api
from tests.experiments import write_experiment
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core.errors import EXIT_DETACHED, EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.show.cli import COMMANDS, GROUPS, main, module_of

SOURCE = Path(__file__).parents[2] / "src" / "watchkeeper"
NAMED = re.compile(r"(?:^|[`'\": ])(?:watchkeeper|wk) (?P<command>[a-z]+)(?P<rest>[^`'\"\n;]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
ONLY_READ = frozenset({"ls", "status", "plan", "compare", "trace", "check", "lint"})
PROGRAM_OPTIONS = {"--help", "--version"}


def command_named(name: str) -> click.Command:
    """The command of this name."""
    command = importlib.import_module(module_of(name)).command
    assert isinstance(command, click.Command)
    return command


def options_of(name: str) -> set[str]:
    """The options of a command, as they are typed."""
    return {word for parameter in command_named(name).params for word in parameter.opts}


def sources_with(*words: str) -> Iterator[tuple[Path, ast.Module]]:
    """The modules that hold one of these words, each with its tree."""
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text()
        if any(word in text for word in words):
            yield path, ast.parse(text)


def texts_of(tree: ast.Module) -> Iterator[str]:
    """The texts in a module that are no docstrings; what is put into one stands there as X."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "X" for part in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.keyword) and node.arg == "hint":
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def test_every_command_in_a_message_exists_with_its_options() -> None:
    """A text of the source that names `watchkeeper COMMAND --option` names what there is."""
    named = 0
    wrong = []
    for path, tree in sources_with("watchkeeper ", "wk "):
        for text in texts_of(tree):
            for match in NAMED.finditer(text):
                name, rest = match["command"], match["rest"]
                if name in GROUPS:
                    word = rest.split()[0] if rest.split() else ""
                    name = f"{name} {word}"
                    wrong += [] if name in COMMANDS else [f"{path.name}: watchkeeper {name}"]
                if name not in COMMANDS:
                    continue
                named += 1
                own = re.split(r" -- |, then ", rest)[0]
                unknown = set(OPTION.findall(own)) - options_of(name) - PROGRAM_OPTIONS
                wrong += [f"{path.name}: watchkeeper {name} {one}" for one in unknown]
    assert named > 20 and wrong == []


def suggestions_in(value: Any) -> Iterator[list[str]]:
    """The command lines in an answer: each `next`, and each `command` that is not empty."""
    if isinstance(value, dict):
        if isinstance(value.get("next"), list):
            yield value["next"]
        if isinstance(value.get("command"), str) and value["command"].startswith("watchkeeper "):
            yield shlex.split(value["command"])
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from suggestions_in(inner)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a failed and blocked experiment that nobody watches, a recorded run that
    failed, and a run that was never submitted.
    """
    monkeypatch.chdir(tmp_path)
    folder = write_experiment(tmp_path / "exp one", runs=("a", "b"), body="[ -e ../ok ] || exit 3")
    assert keep(folder, FakeScheduler()) is not None
    write_experiment(tmp_path / "new", runs=("c",))
    try:
        with wk_api.start_run(
            folder=tmp_path / "run", pipeline="t", console=False, sidecar=False
        ) as run:
            run.log(1, loss=1.0)
            raise RuntimeError("no memory")
    except RuntimeError:
        return tmp_path


def test_what_an_answer_suggests_is_understood(place: Path) -> None:
    """Each command of `next` and `command`, in answers about what failed, waits and is missing, is
    one that the command line takes, with paths that exist.
    """
    asked = (
        ("ls", "."), ("status", "exp one"), ("status", "new"), ("status", "run"),
        ("plan", "exp one"), ("plan", "new"), ("compare", "exp one", "run"), ("check", "exp one"),
        ("trace", "exp one", "nobody"), ("resume", "exp one", "a"), ("status", "--no-such"),
        ("ls", "--sort", "nothing"), ("cancel", "exp one"), ("status", "exp one", "--limit", "1"),
    )  # fmt: skip
    suggested = []
    for words in asked:
        result = CliRunner().invoke(main, [words[0], "--json", *words[1:]])
        suggested += list(suggestions_in(json.loads(result.stdout.splitlines()[-1])))
    assert len(suggested) > 5
    for program, name, *rest in map(list, suggested):
        assert program == "watchkeeper"
        if name == "--help" or "--help" in rest:
            assert CliRunner().invoke(main, [name, *rest]).exit_code == 0
        elif name in ONLY_READ:
            assert_goes_through([name, *rest])
        else:
            command_named(name).make_context(name, rest)


def assert_goes_through(words: list[str]) -> None:
    """Run a command that only reads: it answers, and asks for nothing else to be typed."""
    result = CliRunner().invoke(main, [*words])
    assert result.exit_code in (EXIT_OK, EXIT_FAILED, EXIT_DETACHED, EXIT_UNKNOWN), words
    assert result.exception is None or isinstance(result.exception, SystemExit), words


def test_commands_on_experiments_take_the_same_options() -> None:
    """What plans, submits, shows or cancels the jobs of an experiment takes --cluster, and chooses
    them by --runs and --evals.
    """
    for name in ("run", "submit", "plan", "watch", "cancel", "resume", "status"):
        assert options_of(name) >= {"--cluster"}, name
    for name in ("run", "submit", "plan", "watch", "cancel", "resume", "status", "compare"):
        assert options_of(name) >= {"--runs", "--evals"}, name


def test_every_finding_of_the_source_has_a_code() -> None:
    """A program tells findings apart without reading texts."""
    without = []
    for path, tree in sources_with("Problem("):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            given = {keyword.arg for keyword in node.keywords}
            if name == "Problem" and not given & {"code", None}:
                without.append(f"{path.name}:{node.lineno}")
    assert without == []
