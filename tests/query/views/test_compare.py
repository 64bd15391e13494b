"""The page of compared runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import watchkeeper as wk
from tests.experiments import write_experiment
from tests.launch.test_kept_code import repository
from tests.launch.test_reproduce import git
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core.code.environment import Environment, Python
from watchkeeper.core.errors import UsageError
from watchkeeper.launch import submit
from watchkeeper.query.compare import Chosen
from watchkeeper.query.views.compare import Wish, compare
from watchkeeper.query.views.pages import Compare, Difference, FigureRow
from watchkeeper.schedulers.fake.scheduler import FakeScheduler

PLAIN = "losses = []\nfor batch in range(3):\n    losses.append(batch)\n"
CLIPPED = (
    "losses = []\nfor batch in range(3):\n    batch = min(batch, 1)\n    losses.append(batch)\n"
)


def installed(**packages: str) -> Environment:
    """An environment with these packages."""
    python = Python(executable="python", version="3.11.7", packages=packages)
    return Environment(submitter=python, on_path=None, system="Linux", variables={})


def record(folder: Path, accuracies: list[float], *, fails: bool = False, **config: object) -> None:
    """A recorded run whose accuracy and loss are these, step by step."""
    try:
        with wk.start_run(
            folder=folder, pipeline="training", config=config, console=False, sidecar=False
        ) as run:
            for step, accuracy in enumerate(accuracies, 1):
                run.log(step, accuracy=accuracy, train_loss=1 - accuracy, grad_norm=2.0)
            if fails:
                raise RuntimeError("out of memory")
    except RuntimeError:
        return


def difference(page: Compare, key: str) -> Difference:
    """What differs under this name."""
    return next(one for one in page.differs if one.key == key)


def figure(page: Compare, metric: str) -> FigureRow:
    """The row of a metric."""
    return next(one for one in page.figures if one.metric == metric)


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Chosen]:
    """A run of an experiment, and one of a later commit with changes that are not committed, from
    another environment.
    """
    environments = iter([installed(numpy="1.26"), installed(numpy="2.0", torch="2.3")])
    monkeypatch.setattr(submit.environment, "of_submitter", lambda: next(environments))
    chosen = []
    for number, (name, code) in enumerate((("plain", PLAIN), ("clip", CLIPPED))):
        folder = write_experiment(tmp_path / name, runs=("a",), body="true train.py")
        (folder / "a" / "train.py").write_text(code)
        if number:
            git(tmp_path, "add", str(folder))
            git(tmp_path, "commit", "-q", "-m", "clip")
            (folder / "a" / "train.py").write_text(code + "print(losses)\n")
        else:
            repository(tmp_path)
        assert keep(folder, FakeScheduler())
        chosen.append(Chosen(folder, "a", f"root/{name}/a"))
    return chosen


def test_code_changes_and_environment_are_compared(two: list[Chosen]) -> None:
    """The heading names what differs; values are as in the base or not; packages unfold."""
    page = compare(two)
    assert page.heading == "2 runs differ in the code and the environment"
    assert [run.name for run in page.runs] == ["plain/a", "clip/a"]
    assert difference(page, "uncommitted").values == ["none", "1 file, 1 line"]
    assert difference(page, "code").is_base == [True, False]
    environment = difference(page, "environment")
    assert environment.values == ["1 package", "2: 1 more, 1 changed"]
    assert environment.details == [[], ["numpy 1.26 → 2.0", "+ torch 2.3"]]
    assert page.same["Python"] == "3.11.7" and page.same["system"] == "Linux"


def test_the_code_that_ran_is_shown_as_a_unified_diff(two: list[Chosen]) -> None:
    """The files that both runs kept are compared by their names; then what was not committed."""
    code, uncommitted = compare(two).diffs
    old, new = (
        git(run.folder, "rev-parse", ref)[:8]
        for run, ref in zip(two, ("HEAD~1", "HEAD"), strict=True)
    )
    assert code.what == f"{old} to {new}"
    assert code.lines[:2] == ["--- plain/a/train.py", "+++ clip/a/train.py"]
    assert "+    batch = min(batch, 1)" in code.lines
    assert uncommitted.what == "uncommitted, clip/a"
    assert uncommitted.lines[-1] == "+print(losses)"


def test_lost_objects_are_said_and_stand_for_nothing(two: list[Chosen]) -> None:
    """Without what was kept, git's commits are compared, and the rest is called lost."""
    for path in (two[1].folder / ".watchkeeper" / "objects").iterdir():
        path.unlink()
    page = compare(two)
    assert difference(page, "uncommitted").values[1] == "changes, lost"
    assert "environment" not in page.same
    assert page.heading == "2 runs differ in the code"
    code, *_, uncommitted = page.diffs
    assert "+    batch = min(batch, 1)" in code.lines
    assert not uncommitted.lines and uncommitted.note == "the changes were not kept"


def test_figures_are_last_best_or_at_a_step(tmp_path: Path) -> None:
    """Each value comes with its step; differences are from the base; ties share the best."""
    record(tmp_path / "a", [0.5, 0.9, 0.75], lr=0.1)
    record(tmp_path / "b", [0.25, 0.5, 0.875], lr=0.2)
    runs = [Chosen(tmp_path / name, "", name) for name in ("a", "b")]
    last = figure(compare(runs), "accuracy")
    assert (last.values, last.at, last.deltas) == ([0.75, 0.875], [3, 3], [0.0, 0.125])
    assert last.is_best == [False, True]
    best = figure(compare(runs, "b", Wish("best")), "accuracy")
    assert (best.values, best.at, best.is_best) == ([0.9, 0.875], [2, 3], [True, False])
    assert best.deltas[0] == pytest.approx(0.025)
    early = figure(compare(runs, wish=Wish("2")), "train_loss")
    assert (early.at, early.is_best) == ([2, 2], [True, False])
    norm = figure(compare(runs), "grad_norm")
    assert norm.better == "" and norm.is_best == [False, False]
    page = compare(runs, wish=Wish(metrics=("accuracy",)))
    assert [row.metric for row in page.figures] == ["accuracy"] and len(page.metrics) == 3
    assert difference(page, "lr").values == ["0.1", "0.2"]


def test_a_run_that_failed_never_has_the_best_figure_of_those_that_finished(tmp_path: Path) -> None:
    """Its figures are shown, with its state, and the best is one of a finished run."""
    record(tmp_path / "good", [0.5])
    record(tmp_path / "poor", [0.25])
    record(tmp_path / "crashed", [0.75], fails=True)
    page = compare([Chosen(tmp_path / name, "", name) for name in ("good", "poor", "crashed")])
    assert [run.standing for run in page.runs] == ["done", "done", "failed"]
    row = figure(page, "accuracy")
    assert row.values[2] == 0.75 and row.is_best == [True, False, False]


def test_what_is_no_run_is_a_problem_and_nothing_at_all_an_error(tmp_path: Path) -> None:
    """One bad name of several leaves the others; a base or a step that is none is refused."""
    record(tmp_path / "a", [0.5])
    good, bad = Chosen(tmp_path / "a", "", "a"), Chosen(tmp_path / "gone", "", "gone")
    page = compare([good, bad])
    assert [run.id for run in page.runs] == ["a"] and len(page.problems) == 1
    for runs, base, at, words in (
        ([bad], "", "last", "none of the runs can be read"),
        ([], "", "last", "0 runs cannot be compared"),
        ([good] * 51, "", "last", "51 runs cannot be compared"),
        ([good], "b", "last", "the base 'b' is none"),
        ([good], "", "first", "at 'first'"),
        ([good], "", "nan", "at 'nan'"),
    ):
        with pytest.raises(UsageError, match=words):
            compare(runs, base, Wish(at))
