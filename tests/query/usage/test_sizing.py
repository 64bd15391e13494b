"""What jobs asked for against what they used, and the lines that would have been enough."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.query.usage.attempts import attempt, state_of
from watchkeeper.core.state import Attempt
from watchkeeper.query.usage.sizing import Sizing, sizings
from watchkeeper.schedulers.resources import request_of, size_of
from watchkeeper.schedulers.sbatch_head import time_limit_s
from watchkeeper.watch.outcome.compute import ComputeRow

ASKED = {"time": "04:00:00", "mem": "64G", "gpus": "a100:4"}
HOUR_S = 3600
GIB = 2**30


def row(one: Attempt, **figures: Any) -> ComputeRow:
    """What an attempt asked for, by its script, and what it took."""
    assert one.judged is not None and one.intended is not None
    asked = request_of(one.intended.asked)
    words: dict[str, Any] = {"limit_from": "script", "asked_from": "script"}
    words |= {"limit_s": asked.limit_s, "asked_bytes": asked.memory_bytes}
    return ComputeRow(
        key=one.key,
        attempt=one.number,
        state=one.judged.state,
        elapsed_s=one.judged.elapsed_s,
        asked_gpus=asked.gpus,
        **words | figures,
    )


def of(*pairs: tuple[Attempt, ComputeRow]) -> dict[str, Sizing]:
    """The sizing of each resource of one group."""
    found = sizings(state_of([one for one, _ in pairs]), [figures for _, figures in pairs])
    by_resource = {one.resource: one for one in found}
    assert len(by_resource) == len(found)
    return by_resource


def pair(key: str = "r8", number: int = 1, **words: Any) -> tuple[Attempt, ComputeRow]:
    """An attempt that asked for ASKED, with `figures` of what it took."""
    figures = words.pop("figures", {})
    one = attempt(key, number, **{"asked": ASKED, "elapsed_s": HOUR_S} | words)
    return one, row(one, **figures)


SEEN = {"peak_bytes": 10 * GIB, "peak_from": "scheduler", "gpus_used": 2}


def test_each_resource_gets_a_line_with_its_margin() -> None:
    """A quarter more time, a fifth more memory, as many GPUs as were used, in the script's own form
    of the option; and each says which attempt used the most and who says so.
    """
    found = of(pair("r8", figures=SEEN), pair("r4", elapsed_s=60.0, figures=SEEN))
    assert found["time"].line == "#SBATCH --time=01:15:00"
    assert found["memory"].line == "#SBATCH --mem=12G"
    assert found["GPUs"].line == "#SBATCH --gpus=a100:2"
    assert found["time"].most_by == "r8 attempt 1"
    assert found["time"].used_from == found["memory"].used_from == "scheduler"
    assert found["GPUs"].used_from == "telemetry"
    assert {one.runs for one in found.values()} == {2}


def test_short_jobs_get_a_line_that_leaves_room_to_start() -> None:
    """Never less than five minutes and 512 MiB, whatever was used."""
    figures = {"peak_bytes": 1, "peak_from": "telemetry"}
    found = of(pair(elapsed_s=0.2, figures=figures))
    assert found["time"].line == "#SBATCH --time=00:05:00"
    assert found["memory"].line == "#SBATCH --mem=512M"


def test_what_was_not_measured_has_no_line() -> None:
    """Unknown is an answer: the resource is named, with why there is no line."""
    found = of(pair(elapsed_s=None))
    assert not any(one.line for one in found.values())
    assert {one.why for one in found.values()} == {"no successful attempt was measured"}
    assert found["memory"].used is None


def test_a_clock_that_was_set_back_measures_nothing() -> None:
    """A job that ended before it began took an unknown time: no limit is drawn from it."""
    assert of(pair(elapsed_s=-HOUR_S))["time"].line == ""
    assert of(pair("r8"), pair("r4", elapsed_s=-1.0))["time"].line == ""


def test_one_unmeasured_success_keeps_the_request() -> None:
    """A success that nobody measured may have used more than the ones that were."""
    found = of(pair("r8", figures=SEEN), pair("r4", elapsed_s=None))
    assert not any(one.line for one in found.values())
    assert found["time"].why == "1 of 2 successful attempts were not measured"


@pytest.mark.parametrize(
    ("resource", "end"),
    [
        ("time", {"state": "TIMEOUT", "cause": "walltime"}),
        ("time", {"state": "DEADLINE"}),
        ("memory", {"state": "OUT_OF_MEMORY"}),
        ("memory", {"state": "FAILED", "cause": "memory host"}),
        ("GPUs", {"state": "FAILED", "cause": "memory gpu"}),
    ],
)
def test_a_job_ended_for_a_resource_never_shrinks_the_request(
    resource: str, end: dict[str, str]
) -> None:
    """An attempt that was killed for a resource keeps what its work asks for, whatever the others
    used; also where it had asked for less.
    """
    killed = attempt("r8", 1, asked={"time": "00:30:00"}, outcome="failed", **end)
    done = pair("r8", 2, figures=SEEN)
    state = state_of([killed, done[0]])
    chosen = [one for one in sizings(state, [done[1]]) if one.resource == resource]
    assert [one.line for one in chosen] == [""]
    assert "ended for" in chosen[0].why


@pytest.mark.parametrize("words", [{"resume_from": "epoch_1"}, {"execution": 2}])
def test_an_attempt_that_continued_another_says_nothing_of_the_whole_time(
    words: dict[str, Any],
) -> None:
    """It did a part of the work: the whole may take longer than any limit drawn from it."""
    found = of(pair("r8"), pair("r4", **words))
    assert found["time"].line == ""
    assert "continued" in found["time"].why


def test_an_array_is_measured_by_its_longest_task() -> None:
    """The limit is each task's, and the whole took longer than each."""
    found = of(pair(array="0-9", elapsed_s=10 * HOUR_S, figures={"task_s": HOUR_S}))
    assert found["time"].line == "#SBATCH --time=01:15:00"
    assert found["time"].used_from == "wrapper"
    assert of(pair(array="0-9"))["time"].used is None


def test_memory_and_gpus_of_several_tasks_are_not_judged() -> None:
    """Slurm's figure is of one task, and the recorder sees one node."""
    found = of(pair(asked=ASKED | {"ntasks": "4"}, figures=SEEN))
    assert found["memory"].line == found["GPUs"].line == ""
    assert "several tasks" in found["memory"].why
    assert found["time"].line


def test_the_local_schedulers_memory_counts_only_beside_the_recorders() -> None:
    """It knows the largest process alone, which is less than the job held."""
    assert of(pair(scheduler="local", figures=SEEN))["memory"].used is None
    both = SEEN | {"peak_from": "scheduler, telemetry"}
    assert of(pair(scheduler="local", figures=both))["memory"].line


def test_no_line_where_it_would_save_little() -> None:
    """Who asked for what is needed is left in peace."""
    found = of(pair(elapsed_s=3 * HOUR_S, figures={"peak_bytes": 50 * GIB}))
    assert found["time"].line == found["memory"].line == ""
    assert found["time"].why == "less would save less than a fifth"


def test_what_is_asked_for_in_several_ways_is_left_to_a_person() -> None:
    """Which of the options should change cannot be told."""
    asked = ASKED | {"gres": "gpu:4"}
    assert of(pair(asked=asked, figures=SEEN))["GPUs"].why == "it is asked for in several ways"
    mixed = {"gres": "gpu:4,scratch:1"}
    assert of(pair(asked=mixed, figures=SEEN))["GPUs"].line == ""


def test_gpus_without_a_number_are_one() -> None:
    """`--gres=gpu:a100` asks for one, which is all that can be used."""
    found = of(pair(asked={"gres": "gpu:a100"}, figures={"gpus_used": 1}))
    assert found["GPUs"].asked == 1
    assert found["GPUs"].line == ""


def test_a_sweep_of_equal_requests_is_one_group() -> None:
    """5,000 runs that ask for the same are one line for each resource, not 5,000."""
    pairs = [pair(f"r{number:04}", figures=SEEN) for number in range(5_000)]
    other = pair("odd", asked={"time": "08:00:00"})
    found = sizings(
        state_of([one for one, _ in [*pairs, other]]), [row for _, row in [*pairs, other]]
    )
    assert [one.runs for one in found] == [5_000, 5_000, 5_000, 1]


def test_the_clusters_default_is_named_as_such() -> None:
    """A limit that only the scheduler knows has no option of the script behind it."""
    figures = {"limit_s": 24 * HOUR_S, "limit_from": "scheduler"}
    found = of(pair(asked={}, figures=figures))
    assert found["time"].asked_as == ""
    assert found["time"].asked_from == "scheduler"
    assert found["time"].line == "#SBATCH --time=01:15:00"


@given(
    st.lists(
        st.tuples(
            st.floats(0, 10**7), st.integers(0, 2**45), st.sampled_from(["done", "failed", "lost"])
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
)
def test_no_line_is_below_what_a_success_used(
    used: list[tuple[float, int, str]], minutes: int, megabytes: int
) -> None:
    """Whatever was used and asked for: each line grants every success what it took, and asks for
    less than was asked for.
    """
    asked = {"time": str(minutes), "mem": str(megabytes)}
    pairs = []
    for number, (seconds, size, outcome) in enumerate(used):
        one = attempt(f"r{number}", asked=asked, outcome=outcome, elapsed_s=seconds)
        pairs.append((one, row(one, peak_bytes=size, peak_from="scheduler")))
    found = of(*pairs)
    successes = [one for one in used if one[2] == "done"]
    if line := found["time"].line:
        limit_s = time_limit_s(line.removeprefix("#SBATCH --time="))
        assert limit_s is not None
        assert max(seconds for seconds, _, _ in successes) <= limit_s < 60 * minutes
    if line := found["memory"].line:
        assert re.fullmatch(r"#SBATCH --mem=\d+[MG]", line)
        granted = size_of(line.removeprefix("#SBATCH --mem="))
        assert granted is not None
        assert max(size for _, size, _ in successes) <= granted < megabytes * 2**20
