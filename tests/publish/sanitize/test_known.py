"""What the journals hold in typed fields counts as private."""

from __future__ import annotations

from datetime import UTC, datetime

from watchkeeper.core import events, layout
from watchkeeper.core.journal import Writer
from watchkeeper.publish.sanitize.known import Known, add_events, known_of
from watchkeeper.publish.sanitize.spans import Span
from watchkeeper.publish.sanitize.text import hide

NOW = datetime(2026, 3, 11, 15, tzinfo=UTC)
COMMIT = "4f2c1aa9d3e5b7f60718293a4b5c6d7e8f901234"


def opened(**fields):
    """The first event of a writer."""
    common = {"time": NOW, "writer": "w", "seq": 0, "schema": 1, "software": "x", "zone": "UTC"}
    return events.Opened(**common, purpose="run", **fields)


def submitted(job_id):
    """A submission from a login node."""
    common = {"time": NOW, "writer": "w", "seq": 1, "key": "r8", "phase": "preparation"}
    return events.Submitted(
        **common, attempt=1, job_id=job_id, scheduler="slurm", command="sbatch x", host="saturn"
    )


def polled(node):
    """A look at the scheduler, which names a node and a file deep inside."""
    facts = events.SchedulerFacts(state="RUNNING", node=node, output="/data/My Files/a.out")
    change = events.Change(
        key="r8",
        phase="preparation",
        attempt=1,
        job_id="70900",
        before="PENDING",
        after="RUNNING",
        facts=facts,
    )
    common = {"time": NOW, "writer": "w", "seq": 2, "phase": "preparation", "query": "squeue"}
    return events.Polled(**common, interval_s=1.0, changes=(change,))


def test_sensitive_fields_are_taken_at_any_depth():
    """Hosts, users, job ids, paths and secrets are known from wherever an event holds them."""
    known = Known()
    add_events(known, [opened(host="titan", user="ann42", secret="ab" * 32), polled("tethys")])
    add_events(known, [submitted("70900"), object()])
    assert known.hosts == {"titan", "tethys", "saturn"}
    assert known.users == {"ann42"}
    assert known.job_ids == {"70900"}
    assert known.paths == {"/data/My Files/a.out"}
    assert known.secrets == {"ab" * 32}


def test_commits_are_public():
    """A commit that the journal names is no key, whatever stands around it."""
    known = Known()
    fields = {"run_id": "r", "pipeline": "p", "folder": "/x", "git_sha": COMMIT}
    add_events(known, [events.RunStarted(time=NOW, writer="w", seq=1, **fields)])
    assert hide(f"| {COMMIT} |", known).text == f"| {COMMIT} |"


def test_the_journals_of_an_experiment_and_of_its_runs_are_read(tmp_path):
    """What one journal knows is private in the texts of all; a folder without one adds nothing."""
    for name, host in (("exp", "saturn"), ("run", "tethys")):
        with_journal = Writer(tmp_path / name / layout.JOURNAL, purpose="test")
        with_journal.write(
            events.Submitted,
            key="r8",
            phase="preparation",
            attempt=1,
            job_id="70900",
            scheduler="slurm",
            command="sbatch x",
            host=host,
        )
        with_journal.close()
    known = known_of(tmp_path / "exp", [tmp_path / "run", tmp_path / "none"])
    assert {"saturn", "tethys"} <= known.hosts
    assert hide("from saturn to tethys, as 70900", known).text.count("<") == 3


def test_a_host_with_a_short_name_is_hidden_too():
    """A machine that is called `vm` is a machine."""
    assert (
        hide("started on vm, then ok", Known(hosts=["vm"])).text == "started on <host-1>, then ok"
    )


def test_only_a_name_is_learned():
    """What a rule does not call a name is not searched elsewhere."""
    known = Known()
    known.learn([Span(0, 1, "user", "a", ""), Span(0, 3, "user", "zed", "", "zed")])
    known.learn([Span(0, 3, "address", "x", "", "x")])
    assert known.users == {"zed"}
