"""`checkpoint reevaluate`, as a person and a program type it."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.checkpoints import write_log
from watchkeeper.show.cli import main


def call(*words: object) -> tuple[int, str, str]:
    """The exit code of the command with these words, its output and its errors."""
    done = CliRunner().invoke(main, ["checkpoint", "reevaluate", *map(str, words)])
    return done.exit_code, done.stdout, done.stderr


def test_each_sample_whose_answer_differs_is_named(tmp_path: Path) -> None:
    """A sample with another answer has a line with both, and whether its score differs; one that is
    only in one of the logs is named too.
    """
    first = write_log(tmp_path / "first.eval", ["Luzige", "tamo", "Re"])
    second = write_log(tmp_path / "second.eval", ["Luzige", "Tamo", "Ra", "new"])
    assert call(first, first) == (0, "words: 0 of 3 samples differ.\n", "")
    code, text, _ = call(first, second)
    assert code == 1
    assert text.splitlines() == [
        "2, epoch 1: 'tamo', then 'Tamo' (scored otherwise)",
        "3, epoch 1: 'Re', then 'Ra'",
        "4, epoch 1: not asked, then 'new' (scored otherwise)",
        "words: 3 of 4 samples differ.",
    ]
    answer = json.loads(call(first, second, "--json")[1])
    assert answer["counts"] == {"samples": 4, "differ": 3}
    assert answer["data"]["samples"][0]["first_scores"] == {"match": "I"}


@pytest.mark.parametrize("what", ["task", "empty", "torn", "nowhere"])
def test_logs_that_cannot_be_compared_are_named(tmp_path: Path, what: str) -> None:
    """Two tasks, a log without a sample, a torn one and a missing one are refused."""
    first = write_log(tmp_path / "first.eval", ["a"])
    second = write_log(tmp_path / "second.eval", [] if what == "empty" else ["a"], task=what)
    if what == "torn":
        second.write_bytes(second.read_bytes()[:-40])
    if what == "nowhere":
        second.unlink()
    code, _, text = call(first, second)
    assert code in (1, 2) and "second.eval" in text


def write_program(path: Path, answer: str) -> str:
    """A program that evaluates nothing and leaves a log, as a command."""
    path.write_text(
        "import json, os, pathlib\n"
        f"rows = [{{'id': 1, 'answer': 'Re'}}, {{'id': 2, 'answer': {answer!r}}}]\n"
        "folder = pathlib.Path(os.environ['INSPECT_LOG_DIR'])\n"
        "(folder / 'made.jsonl').write_text('\\n'.join(map(json.dumps, rows)))\n"
    )
    return shlex.join([sys.executable, "-S", str(path)])


def test_an_evaluation_is_made_again_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--run` shows its command, leaves its log in a new folder, and names what differs."""
    monkeypatch.chdir(tmp_path)
    Path("given.jsonl").write_text('{"id": 1, "answer": "Re"}\n{"id": 2, "answer": "Mo"}')
    same, other = (write_program(tmp_path / f"{word}.py", word) for word in ("Mo", "mo"))
    code, text, shown = call("given.jsonl", "--run", "--command", same)
    assert (code, text) == (0, "given.jsonl: 0 of 2 samples differ.\n")
    assert f"running: {same}" in shown and Path("given.again-1/made.jsonl").is_file()
    code, text, _ = call("given.jsonl", "--run", "--command", other, "--json")
    answer = json.loads(text)
    assert code == 1 and answer["counts"] == {"samples": 2, "differ": 1}
    assert answer["data"]["log_again"] == "given.again-2/made.jsonl"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to compare with"),
        (["given.jsonl", "--run"], "leave one of them out"),
        (["given.jsonl", "--command", "x"], "add --run"),
        (["given.jsonl", "--into", "x"], "add --run"),
        (["--run", "--command", "'"], "is no command"),
        (["--run", "--command", ""], "is empty"),
        (["--run"], "--run --command COMMAND"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    """A mistake says what to type, and runs nothing."""
    monkeypatch.chdir(tmp_path)
    Path("given.jsonl").write_text('{"id": 1, "answer": "Re"}\n')
    code, _, text = call("given.jsonl", *words)
    assert code == 2 and message in text
    assert [path.name for path in tmp_path.iterdir()] == ["given.jsonl"]
