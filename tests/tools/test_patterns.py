"""Patterns: where they lead, and where they must not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watchkeeper.core.ids import name_fault
from watchkeeper.tools import globs, promise

names = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20
).filter(lambda name: not name_fault(name))


@given(
    folder=names, run=names, task=names, epoch=st.none() | st.integers(min_value=0, max_value=99)
)
def test_filled_patterns_stay_below_the_experiment(
    folder: str, run: str, task: str, epoch: int | None
) -> None:
    """Whatever runs and tasks are named, no place of a promise leaves the experiment's folder."""
    values = promise.result_values(folder, run, task, epoch)
    for pattern in (
        *promise.inspect_ai_patterns(epoch, shared=True),
        "{folder}/{run}/{task}/{epoch}/{cell}",
    ):
        filled = promise.fill(pattern, values)
        assert not filled.startswith("/")
        assert os.path.normpath(Path("/exp") / globs.unescaped(filled)).startswith("/exp/")


@given(name=names, other=names)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
def test_a_name_matches_itself_alone(
    tmp_path_factory: pytest.TempPathFactory, name: str, other: str
) -> None:
    """A name with `*`, `?` or `[` in it leads to its own folder and to no other."""
    root = tmp_path_factory.mktemp("names")
    for one in {name, other}:
        (root / one / "epoch_0").mkdir(parents=True)
    pattern = promise.fill("{folder}/epoch_{epoch}", promise.checkpoint_values(name, name, 0))
    assert globs.matches(root, pattern) == [root / name / "epoch_0"]
    starred = promise.fill("{folder}/epoch_*", promise.checkpoint_values(name, name, 0))
    assert globs.matches(root, starred) == [root / name / "epoch_0"]


@pytest.mark.parametrize(
    ("pattern", "absolute", "fault"),
    [
        ("{folder}/epoch_{epoch}", True, ""),
        ("/scratch/{run}/epoch_{epoch}", True, ""),
        ("/scratch/{run}", False, "leaves the experiment's folder"),
        ("../other/{run}", True, "leaves the experiment's folder by '..'"),
        ("/scratch/../{run}", True, "'..'"),
        ("{folder}/a..b/..c", False, ""),
        ("{fodler}/x", False, "no value for {fodler}: use {folder}, {run}, {epoch}"),
        ("{}/x", False, "no value for {}"),
        ("~/x", True, "not expanded"),
        ("$SCRATCH/x", True, "not expanded"),
        ("{folder}/**/x", False, "'**'"),
        (" ", False, "empty"),
        ("a\nb", False, "control character"),
    ],
)
def test_a_pattern_that_cannot_be_one_says_why(pattern: str, absolute: bool, fault: str) -> None:
    """A pattern that leads out, or nowhere, is refused with the reason."""
    said = promise.pattern_fault(pattern, promise.CHECKPOINT_PLACEHOLDERS, absolute=absolute)
    assert (fault in said) if fault else said == ""


def test_matches_come_in_natural_order_without_hidden_ones(tmp_path: Path) -> None:
    """`*` gives r8 before r16, and neither hidden files nor temporaries."""
    for name in ("r16", "r8", "r8b", ".tmp-r1-0", ".hidden", "x"):
        (tmp_path / name).touch()
    assert [path.name for path in globs.matches(tmp_path, "r*")] == ["r8", "r8b", "r16"]
    assert [path.name for path in globs.matches(tmp_path, "*")] == ["r8", "r8b", "r16", "x"]
    assert [path.name for path in globs.matches(tmp_path, ".*")] == [".hidden"]


def test_a_pattern_through_a_file_finds_nothing(tmp_path: Path) -> None:
    """A file where a folder is meant is as good as nothing there."""
    (tmp_path / "file").touch()
    assert globs.matches(tmp_path, "file/x") == []
    assert globs.matches(tmp_path, "file/*") == []


@given(st.lists(st.text(max_size=8)))
def test_natural_order_takes_any_names(names: list[str]) -> None:
    """Any names can be ordered, and the order does not depend on how they came."""
    assert sorted(names, key=globs.natural) == sorted(reversed(names), key=globs.natural)
