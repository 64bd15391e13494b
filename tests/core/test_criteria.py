"""A criterion counts only where the journal shows that it came before the first evaluation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.core import criteria
from watchkeeper.core.criteria import Criterion
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import AnyEvent, Expected, Intended, Judged, Leased, Opened

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Pages:
    """Events of several writers, each numbered in its own file."""

    def __init__(self) -> None:
        self.events: dict[str, list[AnyEvent]] = {}

    def add(self, writer: str, kind: type, *, later_s: float = 0.0, **fields: object) -> AnyEvent:
        """One more event of this writer."""
        of_writer = self.events.setdefault(writer, [])
        event = kind(
            time=NOW + timedelta(seconds=later_s), writer=writer, seq=len(of_writer), **fields
        )
        of_writer.append(event)
        return event

    def open(self, writer: str, **saw: int) -> None:
        """The first event of a writer."""
        self.add(writer, Opened, schema=1, software="s", purpose="run", zone="UTC", saw=saw)

    def expect(self, writer: str, text: str = "accuracy >= 0.9", later_s: float = 0.0) -> None:
        """A criterion."""
        one = criteria.parse(text)
        self.add(
            writer,
            Expected,
            later_s=later_s,
            metric=one.metric,
            relation=one.relation,
            value=one.value,
            source="--expect",
        )

    def intend(self, writer: str, key: str = "r8/clean/epoch0", phase: str = "evaluation") -> None:
        """A submission."""
        self.add(
            writer,
            Intended,
            key=key,
            phase=phase,
            attempt=1,
            token="t",
            script="s",
            script_sha256="0",
        )

    def judge(
        self, writer: str, value: object, key: str = "r8/clean/epoch0", **more: object
    ) -> None:
        """A verdict with an accuracy."""
        fields = {"attempt": 1, "outcome": "done", "metrics": {"accuracy": value}} | more
        self.add(writer, Judged, key=key, phase="evaluation", state="COMPLETED", **fields)

    def verdicts(self) -> list[str]:
        """What came of each criterion."""
        return [one.verdict for one in criteria.standings(self.events)]


@pytest.fixture
def pages() -> Pages:
    """A journal that one process has opened."""
    pages = Pages()
    pages.open("a")
    return pages


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy >= 0.9", Criterion("accuracy", ">=", 0.9)),
        ("accuracy>=.9", Criterion("accuracy", ">=", 0.9)),
        (" loss < 1e-3 ", Criterion("loss", "<", 0.001)),
        ("match/accuracy == 1", Criterion("match/accuracy", "==", 1.0)),
        ("a <= -2.", Criterion("a", "<=", -2.0)),
        ("pass@1 > +3", Criterion("pass@1", ">", 3.0)),
    ],
)
def test_a_criterion_is_metric_relation_number(text: str, expected: Criterion) -> None:
    """What the grammar allows is read, and reads the same from its own words."""
    assert criteria.parse(text) == expected
    assert criteria.parse(expected.words) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "accuracy",
        "accuracy 0.9",
        "accuracy = 0.9",
        "accuracy => 0.9",
        "accuracy >= 90%",
        "accuracy >= 0.9 or so",
        "accuracy >= nan",
        "accuracy >= inf",
        "accuracy >= 1e999",
        "0.9 <= accuracy",
        "a b >= 1",
        "accuracy >= ٣",
        "accuracy >= 0.9\nloss < 1" * 20,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """Nothing is guessed: a text that states no criterion, or a number without end, is an error."""
    with pytest.raises(UsageError) as error:
        criteria.parse(text)
    assert error.value.hint


@pytest.mark.parametrize(
    ("relation", "holds"),
    [
        ("<", [True, False, False]),
        ("<=", [True, True, False]),
        (">", [False, False, True]),
        (">=", [False, True, True]),
        ("==", [False, True, False]),
    ],
)
def test_each_relation_is_the_one_it_says(relation: str, holds: list[bool]) -> None:
    """Below, at and above the number; what is not a number meets nothing."""
    one = criteria.parse(f"accuracy {relation} 0.5")
    assert [one.holds(value) for value in (0.4, 0.5, 0.6)] == holds
    assert not one.holds("NaN")


def test_a_criterion_before_the_first_evaluation_is_met_or_missed(pages: Pages) -> None:
    """It is open until an evaluation reports, then met, and missed as soon as one misses it."""
    pages.expect("a")
    assert pages.verdicts() == ["open"]
    pages.intend("a", phase="preparation", key="r8")
    pages.intend("a")
    pages.judge("a", 0.95)
    assert pages.verdicts() == ["met"]
    pages.judge("a", 0.4, key="r8/noisy/epoch0")
    (one,) = criteria.standings(pages.events)
    assert (one.verdict, list(one.met), list(one.missed)) == (
        "missed",
        ["r8/clean/epoch0"],
        ["r8/noisy/epoch0"],
    )
    met = "met by 1 of 2: r8/clean/epoch0 (0.95); missed by r8/noisy/epoch0 (0.4)"
    assert met in one.words and "before the first" in one.words


def test_a_criterion_added_after_the_result_never_counts(pages: Pages) -> None:
    """Whatever its clock says, a criterion behind a submission is shown as added after."""
    pages.intend("a")
    pages.judge("a", 0.95)
    pages.expect("a", later_s=-3600)
    (one,) = criteria.standings(pages.events)
    assert one.verdict == "does not count" and "added after" in one.words


def test_stating_it_again_does_not_move_it(pages: Pages) -> None:
    """One that was stated before the first evaluation stays so, whoever states it again, and one
    that was added after does not come to count.
    """
    pages.expect("a")
    pages.intend("a")
    pages.judge("a", 0.95)
    pages.open("0", a=4)
    pages.expect("0")
    assert pages.verdicts() == ["met"]
    late = criteria.parse("loss < 1")
    assert criteria.unstated([late, late, criteria.parse("accuracy >= 0.9")], pages.events) == [
        late
    ]


def test_another_process_must_have_read_the_criterion(pages: Pages) -> None:
    """A submission by a process that had not read the criterion does not follow it; with the lease
    it may have read it since.
    """
    pages.expect("a")
    pages.open("b", a=1)
    pages.intend("b")
    assert pages.verdicts() == ["does not count"]
    pages.events["b"] = []
    pages.open("b", a=2)
    pages.intend("b")
    assert pages.verdicts() == ["open"]
    pages.events["b"] = []
    pages.open("b", a=1)
    pages.add("b", Leased, lease=1, saw={"a": 2})
    pages.intend("b")
    assert pages.verdicts() == ["open"]
    pages.events["b"][1:] = pages.events["b"][:0:-1]
    for seq, event in enumerate(pages.events["b"]):
        pages.events["b"][seq] = type(event)(
            **{name: getattr(event, name) for name in event.__struct_fields__} | {"seq": seq}
        )
    assert pages.verdicts() == ["does not count"]


def test_only_the_newest_good_attempt_counts(pages: Pages) -> None:
    """A value belongs to the newest attempt that ended well; one that failed reports nothing."""
    pages.expect("a")
    pages.intend("a")
    pages.judge("a", 0.4)
    pages.judge("a", 0.95, attempt=2)
    pages.judge("a", 0.1, attempt=3, outcome="failed")
    pages.judge("a", 0.2)
    assert pages.verdicts() == ["met"]
    pages.judge("a", 0.3, attempt=2)
    assert pages.verdicts() == ["missed"]


def test_a_metric_that_no_evaluation_reports_is_named(pages: Pages) -> None:
    """What was reported instead stands beside it, and nothing is taken for it."""
    pages.expect("a", "acuracy >= 0.9")
    pages.intend("a")
    pages.judge("a", 0.95)
    (one,) = criteria.standings(pages.events)
    assert one.verdict == "open" and "never reported (reported: accuracy)" in one.words


def test_many_evaluations_are_named_in_part(pages: Pages) -> None:
    """Of many evaluations the first few are named, and the rest counted."""
    pages.expect("a")
    for epoch in range(6):
        pages.judge("a", 0.95, key=f"r8/clean/epoch{epoch}")
    assert "and 2 more" in criteria.standings(pages.events)[0].words


def test_a_ledger_follows_a_journal_that_grows(pages: Pages) -> None:
    """Fed event by event, it says the same as the journal read at once, of the evaluations asked
    for.
    """
    pages.expect("a")
    pages.intend("a")
    pages.judge("a", 0.95)
    pages.judge("a", 0.1, key="r16/clean/epoch0")
    ledger = criteria.Ledger()
    seen = []
    for event in pages.events["a"]:
        ledger.feed(event)
        seen.append([one.verdict for one in ledger.standings(["r8/clean/epoch0"])])
    assert seen == [[], ["open"], ["open"], ["met"], ["met"]]
    assert [one.verdict for one in ledger.standings(["r16/clean/epoch0"])] == ["missed"]


def test_what_would_be_stated_now_is_foreseen_beside_what_was():
    """It counts while no evaluation was submitted, and what was stated already is named once."""
    pages = Pages()
    pages.open("a")
    pages.expect("a", "loss < 1")
    new = [("--expect", criteria.parse("accuracy >= 0.9")), ("x.yaml", criteria.parse("loss < 1"))]
    first, second = criteria.foreseen(new, pages.events)
    assert (first.criterion, first.source, first.before) == ("loss < 1", "--expect", True)
    assert (second.criterion, second.source, second.before) == ("accuracy >= 0.9", "--expect", True)
    pages.intend("a")
    first, second = criteria.foreseen(new, pages.events)
    assert (first.verdict, second.verdict) == ("open", "does not count")
