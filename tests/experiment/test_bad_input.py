"""Bad summaries: each fault is told with file, line, column and what to do, and costs no more than
it must.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import ExperimentError, Problem
from watchkeeper.experiment.summary_yaml import read

SUMMARY = """\
experiment:
  name: digits
tools:
  preparation: script
  evaluation: script
controls:
  epochs: 2
output:
  result: "{folder}/eval/{cell}/result.json"
runs:
  - name: r8
    type: fine-tuned
    parameters: {rank: 8}
  - name: r16
    type: fine-tuned
    parameters: {rank: 16}
  - name: base
    type: control
evaluation:
  tasks:
    - name: clean
    - name: noisy
  matrix:
    - {run: r8, tasks: [clean, noisy], epochs: [0, 1]}
    - {run: r16, tasks: [clean], epochs: [1]}
    - {run: base, tasks: [clean], epochs: null}
"""
PATH = Path("exp/experiment_summary.yaml")
ALL_CELLS = [
    "r8/clean/epoch0",
    "r8/clean/epoch1",
    "r8/noisy/epoch0",
    "r8/noisy/epoch1",
    "r16/clean/epoch1",
    "base/clean/base",
]


def change(old: str, new: str) -> str:
    assert SUMMARY.count(old) == 1, old
    return SUMMARY.replace(old, new)


def unmarked(text: str) -> tuple[str, str]:
    """The text without its mark ‸, and the mark's place as `path:line:column`."""
    before, _, after = text.partition("‸")
    return (
        before + after,
        f"{PATH}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}",
    )


EPOCH_1 = ["r8/clean/epoch1", "r8/noisy/epoch1"]
HEAD = SUMMARY.split("runs:")[0]
TASKS = "  tasks:\n    - name: clean\n    - name: noisy\n"

# what is written, with a mark where the fault is told; words of the message; words of the hint
FATAL = [
    (
        change("  name: digits\n", "  name: [digits\n").replace("tools:", "tools‸:"),
        "it begins on line 2",
        "line",
    ),
    (change("  name: digits", "‸\tname: digits"), "cannot start any token", "indent with spaces"),
    (SUMMARY + "‸---\na: 1\n", "another document", ""),
    (change("digits", "‸*x"), "undefined alias", ""),
    (change("digits", "di‸\0gits"), "U+0000 may not stand in YAML", "remove it"),
    ("‸", "the file is empty", "experiment, tools and runs"),
    ("‸just words", "the summary must be a mapping, but YAML reads text 'just words' here", ""),
    (
        change("controls:", "‸tools: {}\ncontrols:"),
        "key 'tools' stands here again, first on line 3",
        "keep one of them",
    ),
    (
        change("  epochs: 2", "  epochs: 2\n  ‸epochs: 3"),
        "key 'epochs' stands here again",
        "keep one of them",
    ),
    (
        change("evaluation:\n  tasks", "‸evaluaton:\n  tasks"),
        "unknown key 'evaluaton'",
        "did you mean 'evaluation'?",
    ),
    (
        change("  result:", "  ‸results:"),
        "unknown key 'results' in output",
        "did you mean 'result'?",
    ),
    (change("  matrix", "  ‸matrx"), "unknown key 'matrx' in evaluation", "did you mean 'matrix'?"),
    (
        "‸" + SUMMARY.replace("tools:\n  preparation: script\n  evaluation: script\n", ""),
        "has no 'tools'",
        "add `tools:`",
    ),
    (
        change("preparation: script\n  evaluation: script\n", "‸preparation: script\n"),
        "tools has no 'evaluation'",
        "add",
    ),
    (change("  name: digits", "  ‸project: x"), "experiment has no 'name'", "add `name:`"),
    (
        change("preparation: script", "preparation: ‸torchtun"),
        "'torchtun' is not known here",
        "'torchtune'?",
    ),
    (
        change("preparation: script", "preparation: ‸5"),
        "tools.preparation must be text",
        'quote it: "5"',
    ),
    (change("digits", "‸../x"), "'../x': it must be the name of one folder", "another name"),
    (change("  epochs: 2", "  epochs: ‸-1"), "controls.epochs must be a whole number from 1", "2"),
    (change("  epochs: 2", "  epochs: ‸true"), "not a boolean 'true'", "2"),
    (change("  epochs: 2", "  epochs: ‸2.5"), "not a number '2.5'", "2"),
    (change("  epochs: 2", "  epochs: ‸99999999999999999999"), "controls.epochs must be", "2"),
    (change('"{folder}/eval', '‸"{fodler}/eval'), "no value for {fodler}", "correct the pattern"),
    (
        change('"{folder}/eval', '‸"../{folder}'),
        "leaves the experiment's folder",
        "correct the pattern",
    ),
    (
        change('"{folder}/eval', '‸"/tmp/{folder}'),
        "leaves the experiment's folder",
        "correct the pattern",
    ),
    (HEAD + "runs: ‸[]\n", "runs is empty", "name at least one run"),
    (HEAD + "runs: ‸r8\n", "runs must be a list, but YAML reads text 'r8' here", "write [r8]"),
    (HEAD + "runs:\n- {name: a, type: ‸x}\n", "'x' is not known here", "fine-tuned"),
]

# the same, and what is lost by it: runs with their evaluations, or evaluations alone
LOCAL = [
    (
        change("name: r8", "name: ‸r/8"),
        "'r/8': it must be the name of one folder",
        "another name",
        ["r8"],
    ),
    (change("name: r8", "name: ‸'..'"), "and not '..'", "another name", ["r8"]),
    (change("name: r8", 'name: ‸"r\\n8"'), "newline", "another name", ["r8"]),
    (
        change("name: r8", "name: ‸1e-5"),
        "YAML reads a number '1e-5' here",
        'quote it: "1e-5"',
        ["r8"],
    ),
    (
        change("name: r8", "name: ‸true"),
        "YAML reads a boolean 'true' here",
        'quote it: "true"',
        ["r8"],
    ),
    (change("name: r8", "name‸:"), "runs[0].name must be text", "write text there", ["r8"]),
    (change("  - name: r8\n    type", "  - ‸type"), "runs[0] has no 'name'", "add `name:`", ["r8"]),
    (
        change("name: r16", "name: ‸r8"),
        "two runs are named 'r8': the first stands on line 11",
        "",
        ["r8", "r16"],
    ),
    (
        change("type: control", "type: ‸contrl"),
        "'contrl' is not known here",
        "'control'?",
        ["base"],
    ),
    (
        change("name: base\n    type: control\n", "‸name: base\n"),
        "runs[2] has no 'type'",
        "add `type:`, or `script:`",
        ["base"],
    ),
    (
        change("parameters: {rank: 8}", "‸paramters: {rank: 8}"),
        "unknown key 'paramters' in runs[0]",
        "'parameters'?",
        ["r8"],
    ),
    (
        change("{rank: 8}", "{rank: 8, ‸rank: 9}"),
        "key 'rank' stands here again",
        "keep one",
        ["r8"],
    ),
    (
        change("{rank: 8}", "{epochs: ‸no}"),
        "runs[0].parameters.epochs must be a whole number",
        "2",
        ["r8"],
    ),
    (
        change("  - name: base\n    type: control", "  - ‸base"),
        "runs[2] must be a mapping",
        "",
        ["base"],
    ),
    (
        change("- name: noisy", "- ‸nme: noisy"),
        "unknown key 'nme' in tasks[1]",
        "did you mean 'name'?",
        ["r8/noisy"],
    ),
    (
        change("- name: noisy", "- name: ‸clean"),
        "two tasks are named 'clean': the first stands on line 21",
        "",
        ALL_CELLS,
    ),
    (
        change("- name: noisy", "- name: ‸a/b"),
        "the task cannot be named 'a/b'",
        "another name",
        ["r8/noisy"],
    ),
    (
        change("run: r16,", "run: ‸r61,"),
        "the matrix names an unknown run 'r61'",
        "did you mean 'r16'?",
        ["r16/clean"],
    ),
    (change("run: r16,", "run: ‸zzz,"), "unknown run 'zzz'", "known: base, r16, r8", ["r16/clean"]),
    (
        change("run: r16,", "run: ‸16,"),
        "matrix[1].run must be text",
        'quote it: "16"',
        ["r16/clean"],
    ),
    (
        change("[clean, noisy]", "[clean, ‸nosy]"),
        "unknown task 'nosy'",
        "did you mean 'noisy'?",
        ["r8/noisy"],
    ),
    (change("[clean, noisy]", "[clean, ‸no: 1]"), "matrix[0].tasks must be text", "", ["r8/noisy"]),
    (
        change("[clean], epochs: [1]", "‸clean, epochs: [1]"),
        "matrix[1].tasks must be a list",
        "write [clean]",
        ["r16/clean"],
    ),
    (
        change("[clean], epochs: [1]", "[clean], ‸epoch: [1]"),
        "unknown key 'epoch'",
        "'epochs'?",
        ["r16/clean"],
    ),
    (
        change("epochs: [1]}", "epochs: ‸1}"),
        "of the fine-tuned run 'r16', not a number '1'",
        "[0, 1]",
        ["r16/clean"],
    ),
    (change("epochs: [1]}", "epochs: ‸[]}"), "must be a list of epochs", "[0, 1]", ["r16/clean"]),
    (
        change("{run: r16, tasks: [clean], epochs: [1]}", "‸{run: r16, tasks: [clean]}"),
        "must be a list",
        "",
        ["r16/clean"],
    ),
    (
        change("[0, 1]", "[0, ‸-1]"),
        "must be a whole number, 0 or more, not a number '-1'",
        "from 0",
        EPOCH_1,
    ),
    (change("[0, 1]", "[0, ‸true]"), "not a boolean 'true'", "count from 0", EPOCH_1),
    (change("[0, 1]", "[0, ‸1.0]"), "not a number '1.0'", "count from 0", EPOCH_1),
    (
        change("epochs: null", "epochs: ‸[0]"),
        "of type control: it trains no epochs",
        "epochs: null",
        ["base/clean"],
    ),
    (
        change("    - {run: base", "    - ‸base\n    - {run: base"),
        "matrix[2] must be a mapping",
        "",
        [],
    ),
    (
        change(TASKS, "").replace("    - {run: r8,", "    ‸- {run: r8,"),
        "there is no evaluation.tasks",
        "add",
        ALL_CELLS,
    ),
]

# a surprise explained, and nothing lost
WARNED = [
    (
        change("[clean, noisy], epochs: [0, 1]", "[‸clean, noisy], epochs: [0, 1, 0]"),
        "clean/epoch0 stands in the matrix again",
        "keep",
    ),
    (
        change("controls:", "‸extra: 1\ncontrols:"),
        "unknown key 'extra' in the summary: it is ignored",
        "known: experiment",
    ),
    (
        change("  name: digits", "  name: digits\n  ‸questions: x"),
        "unknown key 'questions' in experiment",
        "'question'?",
    ),
    (
        change("  tasks:\n", "  temperature: ‸hot\n  tasks:\n"),
        "evaluation.temperature must be a number",
        "",
    ),
    (
        change("epochs: 2", "epochs: 1").replace("[0, 1]", "[0, ‸1]"),
        "'r8' is evaluated, but it trains 1",
        "count from 0",
    ),
    (
        change("name: digits", "name: ‸no"),
        "the name no is true or false to older readers",
        'quote it: "no"',
    ),
]


def told(problems: tuple[Problem, ...], place: str, message: str, hint: str) -> Problem:
    """The one problem that stands at the place, with these words."""
    found = [
        one
        for one in problems
        if one.where == place and message in one.message and hint in one.hint
    ]
    assert found, [str(one) for one in problems]
    return found[0]


@pytest.mark.parametrize(("text", "message", "hint"), FATAL, ids=[row[1] for row in FATAL])
def test_what_the_whole_plan_hangs_on_stops_it(text: str, message: str, hint: str) -> None:
    """A fault of the whole file is an error that names file, line and column, and what to do."""
    text, place = unmarked(text)
    with pytest.raises(ExperimentError) as caught:
        read(PATH, text.encode())
    assert told(caught.value.problems, place, message, hint).severity == "error"
    assert f"{PATH}:" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("text", "message", "hint", "lost"), LOCAL, ids=[row[1] for row in LOCAL])
def test_what_is_wrong_with_one_costs_that_one(
    text: str, message: str, hint: str, lost: list[str]
) -> None:
    """A fault in a run, a task or a row leaves it out and names its place; the rest is planned."""
    text, place = unmarked(text)
    draft = read(PATH, text.encode())
    assert told(draft.problems, place, message, hint).severity == "error"
    assert [run.name for run in draft.runs] == [
        name for name in ("r8", "r16", "base") if name not in lost
    ]
    kept = [key for key in ALL_CELLS if not any(f"{key}/".startswith(f"{one}/") for one in lost)]
    assert [cell.key.key for cell in draft.cells] == kept


@pytest.mark.parametrize(("text", "message", "hint"), WARNED, ids=[row[1] for row in WARNED])
def test_a_warning_costs_nothing(text: str, message: str, hint: str) -> None:
    """What is only surprising is said, with its place, and everything is planned."""
    text, place = unmarked(text)
    draft = read(PATH, text.encode())
    assert told(draft.problems, place, message, hint).severity == "warning"
    assert [run.name for run in draft.runs] == ["r8", "r16", "base"]
    assert [cell.key.key for cell in draft.cells] == ALL_CELLS


def test_a_good_summary_has_no_problems() -> None:
    """The summary that the tables above spoil is whole."""
    draft = read(PATH, SUMMARY.encode())
    assert draft.problems == ()
    assert [cell.key.key for cell in draft.cells] == ALL_CELLS


def test_all_faults_are_told_at_once() -> None:
    """A file with several faults is told all of them, not only the first."""
    text = (
        change("preparation: script", "preparation: scrpt")
        .replace("type: control", "type: c")
        .replace("noisy]", "nois]")
    )
    with pytest.raises(ExperimentError) as caught:
        read(PATH, text.encode())
    lines = {problem.where.split(":")[1] for problem in caught.value.problems}
    assert lines == {"4", "18", "24", "26"}
    assert "(and 3 more)" in str(caught.value)


def test_a_row_of_a_run_that_was_left_out_points_at_it() -> None:
    """An evaluation lost with its run names the place to fix."""
    draft = read(PATH, change("type: control", "type: contrl").encode())
    lost = [problem for problem in draft.problems if problem.where == f"{PATH}:26:13"]
    assert [(one.message, one.hint) for one in lost] == [
        ("run 'base' was left out, and so is its evaluation", f"fix {PATH}:17:11")
    ]


@pytest.mark.parametrize(
    ("data", "place", "message"),
    [
        (b"experiment:\n  name: caf\xe9\n", "2:12", "it is not UTF-8"),
        (b"[" * 5000, "1:101", "nested deeper than 100 levels"),
        (b"\xff\xfe", "1:1", "it is not UTF-8"),
    ],
)
def test_bytes_that_are_no_yaml_have_a_place_too(data: bytes, place: str, message: str) -> None:
    """Bytes that are no text, and depths that no parser takes, are told with their place."""
    with pytest.raises(ExperimentError, match=message) as caught:
        read(PATH, data)
    assert caught.value.problems[0].where == f"{PATH}:{place}"


def test_what_windows_and_anchors_write_is_understood() -> None:
    """A byte-order mark, CRLF, anchors and merge keys mean what they mean in YAML."""
    text = change("parameters: {rank: 8}", "parameters: &p {rank: 8, epochs: 3}").replace(
        "parameters: {rank: 16}", "parameters: {<<: *p, rank: 16}"
    )
    draft = read(PATH, b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert draft.problems == ()
    assert [run.epochs for run in draft.runs] == [(0, 1, 2), (0, 1, 2), ()]


def test_a_file_cannot_blow_up_by_its_anchors() -> None:
    """Anchors that multiply, and one that holds itself, are read once each."""
    laughs = "".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 60))
    merges = "".join(f"  b{n}: &b{n} {{<<: [*b{n - 1}, *b{n - 1}]}}\n" for n in range(1, 60))
    text = change(
        "controls:\n",
        (
            f"controls:\n  a0: &a0 x\n{laughs}  b0: &b0 {{k: 1}}\n{merges}  c: &c {{<<: *c}}\n "
            " <<: *b59\n"
        ),
    )
    assert [cell.key.key for cell in read(PATH, text.encode()).cells] == ALL_CELLS


LINES = SUMMARY.splitlines(keepends=True)


@given(st.data())
def test_no_spoilt_summary_raises_anything_else(data: st.DataObject) -> None:
    """Lines lost, doubled, swapped or written over give a plan or an ExperimentError with a place,
    never anything else.
    """
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        kind = data.draw(st.sampled_from(["drop", "double", "cut", "write"]))
        if kind == "drop" and len(lines) > 1:
            del lines[at]
        elif kind == "double":
            lines.insert(at, lines[at])
        elif kind == "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))] + "\n"
        else:
            words = st.sampled_from(
                [
                    "null",
                    "[]",
                    "{}",
                    "- x",
                    "5",
                    "? y",
                    "<<: 3",
                    "<<: [1]",
                    "'q",
                    "!!set {a}",
                    "&z *z",
                    "epochs",
                ]
            )
            lines[at] = lines[at].split(":")[0] + ": " + data.draw(words) + "\n"
    try:
        draft = read(PATH, "".join(lines).encode())
    except ExperimentError as error:
        assert all(problem.where.startswith(f"{PATH}:") for problem in error.problems)
        assert error.problems or "empty" in str(error)
    else:
        assert draft.runs
        assert {cell.key.run for cell in draft.cells} <= {run.name for run in draft.runs}
