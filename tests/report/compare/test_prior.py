"""Whether this was tried before, by what run logs say."""

from __future__ import annotations

import pytest

from tests.report.compare.test_sides import LOG, log_of
from watchkeeper.report.compare.prior import Work, fingerprint, matches, may_match, says_dirty
from watchkeeper.report.runlog.experiments_table import Row, parse_experiments
from watchkeeper.report.runlog.read import RowIndex

HAND = Work(
    key="train",
    fingerprint="f" * 12,
    commit="0123abcd4567ef",
    script="exp/train.sh",
    configs=("/repo/configs/a.yaml",),
    dataset="demo_v1",
    settings="batch size 8, lr 1.0e-3, warm restarts",
)
TABLE = """| run | description | val_loss | status | notes |
|---|---|---|---|---|
| train_2026-03-11 | front cam | 0.028 | keep | baseline |
"""


def test_a_fingerprint_is_of_contents_alone() -> None:
    """The order and the places of configurations do not count; a byte of one, or of the script,
    does.
    """
    assert fingerprint("s", ["b", "a"]) == fingerprint("s", ["a", "b"])
    assert (
        len(
            {
                fingerprint("s", ["a"]),
                fingerprint("t", ["a"]),
                fingerprint("s", ["b"]),
                fingerprint("s", []),
            }
        )
        == 4
    )


def test_a_log_by_hand_is_found_by_its_words() -> None:
    """A log of the same script, configuration, dataset and settings is named with its outcome and a
    person's verdict.
    """
    (found,) = matches(HAND, [log_of(LOG)], RowIndex(parse_experiments(TABLE)))
    assert str(found) == (
        "tried before: run_logs/2026-03-11_train.md (completed, val_loss 0.028, keep: 'baseline', "
        "code may differ: uncommitted changes, matched by its words)"
    )
    assert may_match(LOG, [HAND])


@pytest.mark.parametrize(
    "change",
    [
        {"script": "exp/other.sh"},
        {"configs": ("b.yaml",)},
        {"dataset": "demo_v2"},
        {"settings": "lr 2.0e-3"},
        {"settings": ""},
        {"script": ""},
    ],
)
def test_another_work_is_not_taken_for_it(change: dict) -> None:
    """A log whose script, configuration, dataset or settings are named otherwise is no match."""
    fields = {name: getattr(HAND, name) for name in HAND.__struct_fields__}
    assert matches(Work(**(fields | change)), [log_of(LOG)]) == []


def test_a_script_alone_is_no_match() -> None:
    """Where neither configuration nor settings are named, one script's name does not make two runs
    the same.
    """
    log = log_of("# t\n## Config\n- script: train.sh\n- dataset: demo_v1\n## Status\n")
    assert (
        matches(Work(key="t", fingerprint="f", script="train.sh", dataset="demo_v1"), [log]) == []
    )


def test_the_fingerprint_decides_where_there_is_one() -> None:
    """A machine's log matches by its bytes under any name, and never by words where its bytes were
    others; other code is said.
    """
    mine = log_of(
        LOG.replace("- branch: `trunk`", f"- fingerprint: `{'f' * 12}`").replace(
            "0123abcd4567", "9999abcd4567"
        )
    )
    (found,) = matches(Work(key="x", fingerprint="f" * 12, commit="0123", script="a/b.sh"), [mine])
    assert found.how == "bytes" and found.differs == ("code differs: 9999abcd then",)
    assert matches(Work(key="x", fingerprint="e" * 12, script="train.sh"), [mine]) == []


def test_the_newest_comes_first_and_a_discard_is_said() -> None:
    """Of several matches the newest is first, and what people decided of each is told."""
    logs = [log_of(LOG, "2026-03-10_train.md"), log_of(LOG)]
    found = matches(
        HAND, logs, RowIndex([Row(1, "train_2026-03-10", {"status": "discard", "notes": "n/a"})])
    )
    assert [one.path[-19:-3] for one in found] == ["2026-03-11_train", "2026-03-10_train"]
    assert found[1].verdict == "discard" and "discard" in str(found[1]) and found[0].verdict == ""


@pytest.mark.parametrize(
    ("note", "dirty"),
    [
        ("with uncommitted changes; kept with the attempt", True),
        ("with changes that are not committed; kept with the attempt", True),
        ("not in the commit: a.py; kept with the attempt", True),
        ("dirty", True),
        ("on main", False),
    ],
)
def test_a_note_beside_the_commit_says_whether_there_were_changes(note: str, dirty: bool) -> None:
    """The words of this version and of earlier ones are understood, and a person's `dirty`."""
    assert says_dirty(log_of(f"# t\n## Config\n- commit: `0123abcd` ({note})\n")) is dirty
