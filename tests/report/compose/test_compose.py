"""What the journal tells of a run, as lines of its log."""

from datetime import UTC, datetime

import pytest

from tests.report.compose.events import documented, history, intended, judged, submitted, vouched
from tests.report.compose.events import page as events_page
from tests.report.compose.events import shown as events_shown
from watchkeeper.core.events import (
    Artifact,
    Assessed,
    Change,
    Judged,
    Learned,
    Milestone,
    SchedulerFacts,
    Submitted,
)
from watchkeeper.report.compose.compose import compose
from watchkeeper.report.compose.history import About, History, Sight

COMMON = {"writer": "w", "key": "one", "phase": "preparation", "attempt": 1}


def status(**fields):
    """The status lines of a run that was submitted, and looked at once."""
    history = History()
    at = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
    history.feed(
        Submitted(time=at, seq=0, job_id="7", scheduler="slurm", command="sbatch", **COMMON)
    )
    history.feed(Assessed(time=at.replace(minute=20), seq=1, **COMMON, **fields))
    return compose(history, About(task="one"), "UTC").status[1:]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"health": "advancing"}, []),
        ({"health": "advancing", "loss": 0.5}, ["running, train_loss 0.5"]),
        (
            {
                "health": "advancing",
                "step": 2400,
                "total": 100000,
                "loss": 0.085,
                "rate_per_s": 3.25,
                "eta_s": 7800.0,
            },
            ["running, step 2400/100000, train_loss 0.085, 3.25 it/s, 2:10:00 left"],
        ),
        (
            {"health": "stalled", "step": 3, "why": "no step for 10:00"},
            ["running, stalled, step 3: no step for 10:00"],
        ),
        ({"health": "silent", "why": "nothing"}, ["running, silent: nothing"]),
        ({"health": "advancing", "errors": ("disk full: a\nb",)}, ["running; disk full: a b"]),
    ],
)
def test_a_look_is_a_line_where_it_says_something(fields, says):
    """A line of Status has a step, a loss or what is wrong; that something runs is none."""
    assert status(**fields) == [f"2026-03-11 15:20 UTC — {words}" for words in says]


def of_a_finished_run(about, learned, **judged):
    """The page of a training that ended well, with what it left."""
    history = History()
    at = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
    history.feed(
        Submitted(
            time=at,
            seq=0,
            job_id="7",
            scheduler="slurm",
            command="sbatch",
            cluster="isambard",
            host="login1",
            **COMMON,
        )
    )
    fields = {"outcome": "done", "state": "COMPLETED", "learned": learned} | judged
    history.feed(Judged(time=at.replace(minute=50), seq=1, **COMMON, **fields))
    return compose(history, about, "UTC")


def shown(values):
    """Fields by name, with their notes."""
    return {value.key: value.value + (f" ({value.note})" if value.note else "") for value in values}


def test_a_page_holds_what_people_record_by_hand():
    """Steps planned, milestones, the best and all kept checkpoints, what it used, its cluster, and
    the shared settings.
    """
    learned = Learned(
        final_step=8000,
        total_steps=10_000,
        milestones=(Milestone(step=2500, loss=1.5), Milestone(step=5000, loss=1.25)),
        checkpoint="r8/epoch_1",
        kept=("r8/epoch_0", "r8/epoch_1"),
        best="r8/epoch_0",
        best_why="the Trainer's best metric, 0.25",
    )
    about = About(
        task="r8",
        dataset="words.json",
        dataset_facts="12.0 MiB, url https://example.org/words",
        controls="epochs 2, seed 7",
        root="/data/repo",
        host="login1",
        below="exp",
    )
    made = of_a_finished_run(about, learned, used=("GPU 93% busy on average (telemetry)",))
    config, results = shown(made.sections["config"]), shown(made.sections["results"])
    assert config["root"] == "/data/repo (on login1; the paths in this log are from here)"
    assert config["dataset"] == "words.json (12.0 MiB, url https://example.org/words)"
    assert config["controls"] == "epochs 2, seed 7"
    assert (results["final step"], results["total steps"]) == ("8000", "10000")
    assert (results["loss@2500"], results["loss@5k"]) == ("1.5", "1.25")
    assert results["checkpoint"] == "exp/r8/epoch_1"
    assert results["best checkpoint"] == "exp/r8/epoch_0 (the Trainer's best metric, 0.25)"
    assert results["checkpoints kept"] == "2: exp/r8/epoch_0, exp/r8/epoch_1"
    assert results["compute"] == "GPU 93% busy on average (telemetry)"
    job = shown(made.jobs[0].fields)
    assert (job["cluster"], job["submitted from"]) == ("isambard", "login1")


def test_nothing_is_invented_where_nobody_said():
    """A run that left nothing has none of these lines, and a dataset that nobody named is pending,
    without a note.
    """
    made = of_a_finished_run(About(task="r8", dataset_facts="12.0 MiB"), Learned())
    config, results = shown(made.sections["config"]), shown(made.sections["results"])
    assert config["dataset"] == "pending" and not config.keys() & {"root", "controls"}
    assert not results.keys() & {
        "total steps",
        "best checkpoint",
        "checkpoints kept",
        "compute",
        "artifact",
    }
    assert not [name for name in results if name.startswith("loss@")]


def test_only_a_pipelines_page_names_what_it_made():
    """An artifact has path, size and hash; one too large to hash says so."""
    learned = Learned(
        artifacts=(
            Artifact(path="out/a.bin", size_bytes=2048, sha256="ab12"),
            Artifact(path="/big", size_bytes=2**40),
        )
    )
    results = shown(
        of_a_finished_run(About(task="pack", run_type="pipeline (packing)"), learned).sections[
            "results"
        ]
    )
    assert results["artifact"] == "out/a.bin (2.0 KiB, sha256 ab12)"
    assert results["artifact 2"] == "/big (1024.00 GiB, too large to hash)"
    assert "artifact" not in shown(
        of_a_finished_run(About(task="pack"), learned).sections["results"]
    )


def test_of_many_checkpoints_the_newest_are_named():
    """Ten are named, and how many older ones there are."""
    kept = tuple(f"c/{number}" for number in range(14))
    results = shown(of_a_finished_run(About(task="r8"), Learned(kept=kept)).sections["results"])
    assert results["checkpoints kept"] == "14: 4 older, " + ", ".join(kept[4:])


def test_where_several_wandb_runs_lie_none_is_claimed():
    """The W&B section says that it is not known which is this one's."""
    wandb = shown(
        of_a_finished_run(About(task="r8", below="exp"), Learned(wandb_among="r8/wandb")).sections[
            "wandb"
        ]
    )
    assert wandb["local"].startswith("pending — exp/r8/wandb contains several runs")


def test_a_look_shows_gpus_memory_and_disk():
    """What was seen of the machine stands in the line as evidence."""
    used = (
        "1.00 GiB of memory",
        "GPU 0 97% busy, 30.00 GiB of 80.00 GiB",
        "disk 5.0 MiB free of 1.00 GiB",
    )
    (line,) = status(health="advancing", step=3, used=used)
    assert line.endswith("running, step 3; " + ", ".join(used))


def with_sights(*sights):
    """The job blocks of a run that was submitted at 15:00 and seen so: (minute, after, facts)."""
    history = History()
    at = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
    job = {"job_id": "7", "scheduler": "slurm", "command": "sbatch"}
    history.feed(Submitted(time=at, seq=0, **job, **COMMON))
    before = ""
    for minute, after, facts in sights:
        change = Change(
            key="one",
            phase="preparation",
            attempt=1,
            job_id="7",
            before=before,
            after=after,
            facts=SchedulerFacts(state=after, **facts),
        )
        history.feed(Sight(time=at.replace(minute=minute), change=change))
        before = after
    history.feed(
        Judged(time=at.replace(minute=59), seq=1, outcome="done", state="COMPLETED", **COMMON)
    )
    return compose(history, About(task="one"), "UTC").jobs


def test_only_a_job_that_had_started_is_started_again():
    """A job that waits once more before it ever ran is the same execution; after it ran, it is the
    next one.
    """
    started = {"started": datetime(2026, 3, 11, 15, 5, tzinfo=UTC)}
    held = [(1, "PENDING", {}), (2, "UNKNOWN", {}), (3, "PENDING", {}), (5, "RUNNING", started)]
    assert [block.name for block in with_sights(*held)] == ["1"]
    requeued = [(5, "RUNNING", started), (6, "PENDING", {})]
    assert [block.name for block in with_sights(*requeued)] == ["1", "1.2"]


@pytest.mark.parametrize(("ended", "runtime"), [(4, None), (5, "00:00:00"), (6, "00:01:00")])
def test_no_runtime_is_negative(ended, runtime):
    """A job that ended before it started, by clocks that differ, has both times and no runtime."""
    at = datetime(2026, 3, 11, 15, 5, tzinfo=UTC)
    facts = {"started": at, "ended": at.replace(minute=ended)}
    (block,) = with_sights((6, "COMPLETED", facts))
    fields = shown(block.fields)
    assert fields["end"] == f"2026-03-11T15:0{ended}:00Z"
    assert fields.get("runtime") == runtime


def config_of(*events, about=None, **options):
    """The fields of Config."""
    return events_shown(events_page(*events, about=about, **options).sections["config"])


def test_config_states_the_code_that_ran():
    """Commit, branch and fingerprint of the first attempt; what is not committed is a note."""
    first = intended(git_sha="aaa", git_branch="main", git_dirty=True, configs={"c.yaml": "1"})
    fields = config_of(first, intended(2, 5, git_sha="bbb"), about=About(task="t", below="exp"))
    assert fields["commit"] == "aaa (with uncommitted changes; kept with the attempt)"
    assert fields["branch"] == "main" and fields["config"] == "exp/c.yaml"
    assert len(fields["fingerprint"]) == 12
    assert "branch" not in config_of(intended(git_sha="aaa", git_branch="(detached)"))
    assert "branch" not in config_of(intended(git_sha="aaa"))


def test_config_says_why_there_is_no_commit():
    """Without a commit git's own words stand beside it; without an attempt the field is absent."""
    assert config_of(intended(git_fault="not a\nrepository"))["commit"] == "n/a (not a repository)"
    assert config_of(intended())["config"] == "n/a"
    fields = config_of()
    assert not fields.keys() & {"commit", "fingerprint"} and fields["config"] == "n/a"


def test_config_states_what_people_said_or_that_they_did_not():
    """Script and settings are `n/a` where nobody named them; a root without a host has no note."""
    about = About(task="t", script="a.sh", settings="lr 1", root="/data")
    fields = config_of(about=about)
    assert (fields["script"], fields["key settings"], fields["root"]) == ("a.sh", "lr 1", "/data")
    fields = config_of()
    assert (fields["script"], fields["key settings"]) == ("n/a", "n/a")


def test_the_log_of_someone_else_keeps_its_own_root():
    """The paths in it are relative to a folder of theirs."""
    events = (intended(), documented("theirs.md"))
    (file,) = history(*events).files()
    about = About(task="t", root="/data")
    assert "root" not in config_of(*events, about=about, file=file)
    page = events_page(*events, about=about, file=file)
    assert page.adopted and not events_page(*events, about=about).adopted


def test_the_head_states_type_and_objective():
    """What nobody said is pending; a description follows the task in the title."""
    page = events_page(about=About(task="t"))
    assert events_shown(page.sections["mode"]) == {"run_type": "pending", "objective": "pending"}
    assert page.title == "t"
    page = events_page(about=About(task="t", description="d", run_type="experiment", objective="o"))
    assert events_shown(page.sections["mode"]) == {"run_type": "experiment", "objective": "o"}
    assert page.title == "t — d"


def test_the_wandb_run_of_an_ended_work_is_named_with_how_to_sync_it():
    """Before the verdict there is nothing; without a run all is `n/a`; a run has its command."""
    assert events_page(submitted()).sections["wandb"] == []
    absent = {"local": "n/a", "synced": "n/a", "notes": "n/a"}
    for learned in (None, Learned()):
        sections = events_page(submitted(), judged(learned=learned)).sections
        assert events_shown(sections["wandb"]) == absent
    verdict = judged(learned=Learned(wandb="r8/wandb/a", wandb_among="r8/wandb"))
    page = events_page(submitted(), verdict, about=About(task="t", below="exp"))
    assert events_shown(page.sections["wandb"]) == {
        "local": "exp/r8/wandb/a",
        "synced": "pending — run watchkeeper wandb sync --entity ENTITY --project PROJECT "
        "exp/r8/wandb/a",
        "notes": "pending",
    }


def test_the_version_that_logged_a_wandb_run_is_named():
    """A version that loses rows is found in the log alone; of an unknown one there is no word."""
    learned = Learned(wandb="r8/wandb/a", wandb_version="0.24.0")
    page = events_page(submitted(), judged(learned=learned))
    assert events_shown(page.sections["wandb"])["wandb version"] == "0.24.0"


def test_the_command_names_every_segment_of_the_run():
    """Attempts that continued one W&B run left a segment each: sent alone, the last one would lack
    the rows of the others. Another run is not among them.
    """
    name = "wandb/offline-run-20260311_{}-{}"
    left = [(1, "150100", "abc"), (2, "150200", "other"), (3, "150300", "abc")]
    events = [
        judged(number, learned=Learned(wandb=name.format(time, run))) for number, time, run in left
    ]
    starts = [submitted(number) for number, *_ in left]
    wandb = events_shown(events_page(*starts, *events).sections["wandb"])
    folders = f"{name.format('150100', 'abc')} {name.format('150300', 'abc')}"
    assert wandb["synced"].endswith(f"--project PROJECT {folders}")


def next_of(*events, **options):
    """The fields of Next."""
    return events_shown(events_page(*events, **options).sections["next"])


def test_next_says_how_to_go_on_after_an_end():
    """A training that ended well is continued, one that failed is fixed and resumed; nothing before
    the verdict, nothing for an evaluation.
    """
    about = About(task="t", command="watchkeeper run .", below="exp")
    assert next_of(submitted(), about=about) == {}
    assert next_of(submitted(phase="evaluation"), judged(phase="evaluation"), about=about) == {}
    assert next_of(submitted(), judged(), about=about) == {
        "for more steps": "raise the epochs in the configuration, then run watchkeeper run ."
    }
    failed = {"outcome": "failed", "state": "TIMEOUT"}
    assert next_of(submitted(), judged(**failed), about=about) == {
        "resume": "fix the cause (TIMEOUT), then run watchkeeper run . --retry-failed"
    }
    fields = next_of(
        submitted(), judged(learned=Learned(checkpoint="r8/epoch_0"), **failed), about=about
    )
    assert fields == {
        "resume": "fix the cause (TIMEOUT), then run watchkeeper run . --retry-failed; "
        "the newest complete checkpoint is exp/r8/epoch_0",
        "before it is shared": "MODEL_PASSPORT.json + SIGNOFF.json for exp/r8/epoch_0 come "
        "before any evaluation elsewhere, upload or hand-off of it: "
        "watchkeeper checkpoint passport exp/r8/epoch_0, "
        "then watchkeeper checkpoint sign exp/r8/epoch_0",
    }


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ({}, "exp/r8/epoch_0 has a SIGNOFF.json (pass) by tool; check it with"),
        ({"verdict": "soft_signal", "why": "private"}, "(soft_signal: private) by tool"),
        (
            {"verdict": "soft_signal", "signed": False, "why": "no run log"},
            "is not signed (soft_signal: no run log), which comes before any evaluation elsewhere, "
            "upload or hand-off of it: watchkeeper checkpoint sign exp/r8/epoch_0 --reason TEXT",
        ),
        (
            {"verdict": "not_checked", "signed": False, "why": "not hashed"},
            "hand-off of it: watchkeeper checkpoint sign exp/r8/epoch_0",
        ),
        ({"number": 2}, "MODEL_PASSPORT.json + SIGNOFF.json"),
        ({"path": "r8/epoch_1"}, "MODEL_PASSPORT.json + SIGNOFF.json"),
    ],
)
def test_next_names_the_sign_off_that_is_there(word, said):
    """A log does not ask for what is there, and shows no other attempt's or checkpoint's word."""
    verdict = judged(learned=Learned(checkpoint="r8/epoch_0"))
    about = About(task="t", command="watchkeeper run .", below="exp")
    fields = next_of(submitted(), verdict, vouched(**word), about=about)
    assert said in fields["before it is shared"]


def test_next_names_the_newest_word():
    """A sign-off that came later counts, whichever was read first."""
    refused = vouched(signed=False, verdict="soft_signal", why="no log")
    later = vouched(at=59)
    verdict = judged(learned=Learned(checkpoint="r8/epoch_0"))
    for words in ((refused, later), (later, refused)):
        fields = next_of(submitted(), verdict, *words)
        assert "has a SIGNOFF.json" in fields["before it is shared"]
