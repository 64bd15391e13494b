"""The run logs that a watch leaves by itself."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.experiments import write_experiment
from tests.watch.test_keeper import Hook, Time, run_pending
from watchkeeper.core import journal
from watchkeeper.core.code import git
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Documented, Intended, Observed
from watchkeeper.core.journal import utc_now
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.report.lint.lint import lint
from watchkeeper.report.runlog.document import Document, parse
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.watch.keeper import Keeper
from watchkeeper.watch.logs import run_logs
from watchkeeper.watch.logs.logbook import Logbook
from watchkeeper.watch.logs.run_log_folder import load
from watchkeeper.watch.logs.run_logs import RunBook
from watchkeeper.watch.logs.said import Said, check_said
from watchkeeper.watch.policy import WatchPolicy


def keep(
    folder: Path,
    fake: FakeScheduler,
    turned: Hook | None = None,
    setting: str | None = None,
    times: Time | None = None,
    **said: object,
) -> bool:
    """Watch the experiment in `folder` to its end."""
    retry = bool(said.pop("retry_failed", False))
    policy = WatchPolicy(
        soonest_s=0.005, poll_s=0.005, longest_s=0.005, stagger_s=0.0, cap=0, unknown_deadline_s=600
    )
    return Keeper(
        experiments.read(folder),
        fake,
        policy,
        Selection(retry_failed=retry),
        turned=turned or run_pending(fake),
        monotonic=times or Time(),
        run_logs=setting,
        said=Said(**({"dataset": "digits"} | said)),
    ).keep()


def committed(folder: Path) -> Path:
    """The folder, as a Git repository of its own with all of it committed."""
    identity = ["-c", "user.name=tests", "-c", "user.email=tests@localhost"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


def logs(folder: Path) -> dict[str, str]:
    """Each page below run_logs/, by its name without the date."""
    return {
        path.name.partition("_")[2] or path.name: path.read_text()
        for path in (folder / "run_logs").rglob("*.md")
    }


def log(folder: Path, name: str) -> Document:
    """One run log, read."""
    return parse(logs(folder)[name])


def value(document: Document, kind: str, name: str, at: int = 0) -> str:
    """A field's value."""
    field = document.of(kind)[at].field(name)
    return field.value if field is not None else "(none)"


def told(folder: Path, kind: type) -> list:
    """The events of one kind."""
    written = journal.read(folder / ".watchkeeper/journal").events.values()
    return [event for events in written for event in events if isinstance(event, kind)]


def open_findings(folder: Path) -> list[str]:
    """What lint says of the run logs."""
    loaded = load(folder / "run_logs")
    return [
        f"{one.path}: {one.code} {one.message}"
        for one in lint(str(loaded.root), loaded.files)
        if one.severity != "note"
    ]


def test_each_run_leaves_a_log_that_lint_finds_nothing_in(tmp_path):
    """Runs and evaluations on their own have a log each, evaluations of a run a line in its
    Results, and all of it is by the rules.
    """
    folder, fake = (
        committed(write_experiment(tmp_path / "exp", runs=("a", "b"), control=True)),
        FakeScheduler(),
    )
    assert keep(folder, fake)
    assert sorted(logs(folder)) == [
        "a.md",
        "b.md",
        "experiments.md",
        "timeline.md",
        "untrained_clean.md",
    ]
    document = log(folder, "a.md")
    assert document.title.text == "a — exp"
    assert (
        value(document, "mode", "run_type") == "experiment"
        and value(document, "mode", "objective") == "does it run?"
    )
    assert value(document, "results", "clean_epoch_0") == "accuracy 0.5"
    assert value(document, "results", "checkpoint") == "a/artifacts/epoch_0"
    assert [line.text for line in document.of("status")[0].nodes if hasattr(line, "time")][
        -1
    ].startswith("completed, exit code 0")
    folder_of = {path.parent.name for path in (folder / "run_logs").rglob("*_a.md")}
    assert folder_of == {"exp"}
    assert open_findings(folder) == []


def test_logs_that_take_long_are_brought_up_seldom_and_whole_at_the_end(tmp_path, monkeypatch):
    """Pages that take seconds do not hold up each look at the jobs; whatever was left out on the
    way stands in them when the watch ends.
    """
    folder, fake, times = write_experiment(tmp_path / "exp"), FakeScheduler(), Time()
    turns, brought_up, bring_up = [], [], RunBook.bring_up

    def slow(book):
        brought_up.append(times.now)
        times.now += 3.0
        bring_up(book)

    def turned(keeper):
        turns.append(times.now)
        times.now += 1.0
        if len(turns) > 30:
            run_pending(fake)(keeper)

    monkeypatch.setattr(RunBook, "bring_up", slow)
    assert keep(folder, fake, turned, times=times)
    assert len(turns) > 30 and len(brought_up) <= 3
    assert value(log(folder, "one.md"), "results", "clean_epoch_0") == "accuracy 0.5"


def test_the_log_is_there_before_the_job_is(tmp_path):
    """A run log is made before the scheduler is asked for the job: a death in between leaves the
    log, not the job alone.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    seen = []
    submit = fake.submit

    def watched(job):
        seen.append(sorted(logs(folder)))
        return submit(job)

    fake.submit = watched
    assert keep(folder, fake)
    assert seen[0] == ["one.md"]


def test_a_single_run_lies_in_no_group(tmp_path):
    """Where one run is planned its log lies in run_logs/ itself; what nobody said stands as
    pending.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    assert keep(
        folder,
        fake,
        setting="notes/runs",
        mode="replication",
        dataset="",
        settings=("lr 1e-3", "batch 8"),
    )
    found = sorted(
        str(path.relative_to(folder / "notes" / "runs"))
        for path in (folder / "notes").rglob("*.md")
    )
    assert [name.partition("_")[2] or name for name in found] == [
        "one.md",
        "experiments.md",
        "timeline.md",
    ]
    document = parse((folder / "notes/runs" / found[0]).read_text())
    assert value(document, "mode", "run_type") == "replication"
    assert (
        value(document, "config", "dataset") == "pending"
        and value(document, "config", "key_settings") == "lr 1e-3, batch 8"
    )


def test_none_are_kept_where_none_are_wanted(tmp_path):
    """The setting `off` keeps no run logs."""
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    assert keep(folder, fake, setting="off")
    assert not (folder / "run_logs").exists() and not told(folder, Documented)


def test_a_second_attempt_goes_on_in_the_same_file(tmp_path):
    """The same purpose is resumed in the same log, as a further job block that says why."""
    body = "[ -e ../good ] || exit 3"
    folder, fake = committed(write_experiment(tmp_path / "exp", body=body)), FakeScheduler()
    keep(folder, fake)
    assert "resume" in logs(folder)["one.md"] and "--retry-failed" in logs(folder)["one.md"]
    (folder / "good").touch()
    assert keep(folder, fake, retry_failed=True)
    document = log(folder, "one.md")
    assert [job.heading.text for job in document.of("job")] == ["Job", "Job (resumed)"]
    assert "exit code 3" in value(document, "job", "reason", 1)
    assert value(document, "results", "checkpoint") == "one/artifacts/epoch_0"
    assert open_findings(folder) == []


def test_another_configuration_begins_another_file(tmp_path):
    """A retry whose script or configuration differs is another experiment: a new log, and both say
    so.
    """
    folder, fake = (
        write_experiment(tmp_path / "exp", body="[ -e ../good ] || exit 3"),
        FakeScheduler(),
    )
    config = folder / "one" / "finetune.yaml"
    config.write_text("epochs: 1\n")
    keep(folder, fake)
    config.write_text("epochs: 2\n")
    (folder / "good").touch()
    assert keep(folder, fake, retry_failed=True)
    assert {"one.md", "one-2.md"} < set(logs(folder))
    assert (
        "continued in" in logs(folder)["one.md"]
        and "one/finetune.yaml differs" in logs(folder)["one.md"]
    )
    assert [job.heading.text for job in log(folder, "one-2.md").of("job")] == ["Job"]
    assert value(log(folder, "one.md"), "results", "checkpoint").startswith("n/a")


def test_a_requeue_is_a_block_of_its_own(tmp_path):
    """A job that its scheduler starts again has a second block, with the same id and which start it
    is.
    """
    body = f"[ -e {tmp_path}/again ] || exec sleep 60"
    folder, fake = committed(write_experiment(tmp_path / "exp", body=body)), FakeScheduler()
    turns = iter(range(1000))

    def turned(one: Keeper) -> None:
        turn = next(turns)
        if turn == 0:
            fake.start("1")
        elif turn == 2:
            while not (folder / "one" / "ran.txt").exists():
                pass
            fake.jobs["1"].process.terminate()  # as a preemption does
            fake.jobs["1"].process.wait()
            (tmp_path / "again").touch()
            fake.start("1", restart=1)
            while not (folder / ".watchkeeper/runs/one/1/claim.2").exists():
                pass
        elif turn > 3:
            run_pending(fake)(one)

    assert keep(folder, fake, turned)
    document = log(folder, "one.md")
    assert value(document, "job", "execution_id", 1).endswith("(restart 1)")
    assert "requeued" in value(document, "job", "reason", 1)
    assert open_findings(folder) == []


def test_a_persons_words_survive_everything(tmp_path):
    """Whatever a person writes into a log while the run goes on stays, and a field that they
    changed is reported.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    edited = []

    def turned(one: Keeper) -> None:
        path = next((folder / "run_logs").glob("*_one.md"))
        if not edited:
            text = path.read_text().replace("does it run?", "it runs, I say")
            edited.append(text.replace("## Status", "My own words.\n\n## Status"))
            path.write_text(edited[0])
        run_pending(fake)(one)

    assert keep(folder, fake, turned)
    text = logs(folder)["one.md"]
    assert (
        "it runs, I say" in text
        and "My own words.\n\n## Status" in text
        and "- runtime: `00:00:0" in text
    )
    assert {"mode.objective": "it runs, I say"} in [
        event.kept for event in told(folder, Documented)
    ]


def test_a_log_that_changes_while_it_is_edited_is_not_overwritten(tmp_path, monkeypatch):
    """What somebody saves between our reading and our writing stays; the machine's part comes at
    the next turn.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    replace, times = run_logs.files.replace_unchanged, []

    def meddled(path: Path, old: bytes, new: bytes) -> bool:
        if path.name.endswith("_one.md") and len(times) < 3:
            times.append(path)
            with path.open("a") as file:
                file.write(f"saved in between {len(times)}\n")
        return replace(path, old, new)

    monkeypatch.setattr(run_logs.files, "replace_unchanged", meddled)
    assert keep(folder, fake)
    text = logs(folder)["one.md"]
    assert all(f"saved in between {number}\n" in text for number in (1, 2, 3))
    assert keep(folder, fake)
    assert "completed, exit code 0" in logs(folder)["one.md"]


def test_a_death_before_the_file_was_made_leaves_one_log(tmp_path, monkeypatch):
    """The name is journalled first: a successor after a death creates that file and no other."""
    experiment = experiments.read(write_experiment(tmp_path / "exp"))
    create = run_logs.files.create

    def dies(path: Path, data: bytes, **options: object) -> bool:
        if path.parent.name == "run_logs":
            raise KeyboardInterrupt
        return create(path, data, **options)

    def submitter() -> tuple[Logbook, RunBook, Intended]:
        logbook = Logbook(experiment.folder, "run", lambda event: None, utc_now, time.monotonic)
        fields = {"token": "t", "script": "one/finetune.slurm", "script_sha256": "s"}
        intended = logbook.writer.write(
            Intended, key="one", phase="preparation", attempt=1, **fields
        )
        return logbook, RunBook(experiment, logbook, None), intended

    with monkeypatch.context() as patch:
        patch.setattr(run_logs.files, "create", dies)
        logbook, book, intended = submitter()
        with pytest.raises(KeyboardInterrupt):
            book.open(intended)
        logbook.close()
    assert len(told(experiment.folder, Documented)) == 1 and logs(experiment.folder) == {}
    logbook, book, intended = submitter()
    book.feed([intended])
    book.open(intended)
    book.bring_up()
    logbook.close()
    assert sorted(logs(experiment.folder)) == ["experiments.md", "one.md", "timeline.md"]
    assert value(log(experiment.folder, "one.md"), "mode", "objective") == "does it run?"


def test_a_log_that_a_person_took_away_stays_away(tmp_path):
    """A deleted run log is not made again; the journal keeps its content; the watch continues."""
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()

    def turned(one: Keeper) -> None:
        for path in (folder / "run_logs").glob("*_one.md"):
            path.unlink()
        run_pending(fake)(one)

    assert keep(folder, fake, turned)
    assert "one.md" not in logs(folder)
    assert [event.what for event in told(folder, Observed)] == ["run log left"]


@pytest.mark.parametrize("kind", ["folder", "binary", "large", "dangling", "read-only"])
def test_what_cannot_be_a_log_is_left_and_told(tmp_path, kind):
    """A folder, a binary file, one of 50 MB or a read-only one in a log's place is left as it is,
    told once, and stops nothing.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()

    def turned(one: Keeper) -> None:
        for path in (folder / "run_logs").glob("*_one.md"):
            if kind == "read-only":
                path.chmod(0o444)
            elif path.is_file() and path.stat().st_size < 10_000 and b"\0" not in path.read_bytes():
                path.unlink()
                if kind == "folder":
                    path.mkdir()
                elif kind == "dangling":
                    path.symlink_to("nowhere")
                else:
                    path.write_bytes(b"a\0b" if kind == "binary" else b"# x\n" * 12_500_000)
        run_pending(fake)(one)

    assert keep(folder, fake, turned)
    assert [event.what for event in told(folder, Observed)] == ["run log left"]


def test_whatever_fails_in_a_log_the_watch_goes_on(tmp_path, monkeypatch):
    """A fault of ours in a run log is told once, and costs no job and no verdict."""

    def broken(*_: object) -> None:
        raise RecursionError("planted")

    monkeypatch.setattr(run_logs.splice, "splice", broken)
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    assert keep(folder, fake)
    assert [event.detail.rpartition(": ")[2] for event in told(folder, Observed)] == ["planted"]


@pytest.mark.parametrize("cut", [10, 150, 400])
def test_of_a_half_written_log_nothing_is_lost(tmp_path, cut):
    """What stands in a log that was cut short stays, line for line; what is missing counts as taken
    out.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    left = []

    def turned(one: Keeper) -> None:
        if not left:
            path = next((folder / "run_logs").glob("*_one.md"))
            left.append(path.read_text()[:cut])
            path.write_text(left[0])
        run_pending(fake)(one)

    assert keep(folder, fake, turned)
    text, at = logs(folder)["one.md"], 0
    kept = [
        line for line in left[0].splitlines() if not line.startswith("- submitted/start")
    ]  # it becomes the start's
    for line in kept:
        at = text.index(line, at) + len(line)
    assert {event.what for event in told(folder, Observed)} == set()


def test_of_two_blocks_with_one_id_the_first_is_the_machines(tmp_path):
    """A job block that a person copied stays as they left it."""
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()

    def turned(one: Keeper) -> None:
        path = next((folder / "run_logs").glob("*_one.md"))
        text = path.read_text()
        if text.count("## Job") == 1:
            path.write_text(
                text.replace(
                    "## Status", "## Job (copy)\n- execution_id: 1\n- mine: yes\n\n## Status"
                )
            )
        run_pending(fake)(one)

    assert keep(folder, fake, turned)
    first, second = log(folder, "one.md").of("job")
    assert first.field("runtime") is not None
    assert [(field.name, field.value) for field in second.fields()] == [
        ("execution_id", "1"),
        ("mine", "yes"),
    ]


def test_a_hand_written_log_of_the_same_work_is_gone_on_with(tmp_path):
    """A log of this task whose commit has the very script gets a further job block, and loses no
    byte.
    """
    folder, fake = committed(write_experiment(tmp_path / "exp")), FakeScheduler()
    (folder / "run_logs").mkdir()
    sha = git.state(folder).sha
    mine = folder / "run_logs" / "2026-01-05_one.md"
    text = (
        "# one — by hand\n\n## Mode\n- run_type: replication\n\n"
        f"## Config\n- script: `one/finetune.slurm`\n- commit: {sha[:9]}\n\n"
        "## Job\n- job_id: `2732782` (first submission)\n- submitted: 2026-01-05 10:00 UTC\n\n"
        "## Status\n- 2026-01-05 - walltime\n"
    )
    mine.write_text(text)
    assert keep(folder, fake)
    assert sorted(logs(folder)) == ["experiments.md", "one.md", "timeline.md"]
    after = mine.read_text()
    assert [job.heading.text for job in parse(after).of("job")] == ["Job", "Job (resumed)"]
    at = 0
    for line in text.splitlines():
        at = after.index(line, at)
    assert value(parse(after), "mode", "run_type") == "replication"


def test_a_log_of_other_work_is_let_be(tmp_path):
    """A log of the same task with another script is another's: not a byte of it changes."""
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    (folder / "run_logs").mkdir()
    other = folder / "run_logs" / "2026-01-05_one.md"
    other.write_text("# one\n\n## Config\n- script: `other.sh`\n\n## Job\n- job_id: 1\n")
    assert keep(folder, fake)
    assert other.read_text() == "# one\n\n## Config\n- script: `other.sh`\n\n## Job\n- job_id: 1\n"
    assert len(list((folder / "run_logs").glob("*_one.md"))) == 2


def test_a_refused_submission_is_told_in_its_log(tmp_path):
    """What the scheduler said no to stands in the log's Status."""
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    fake.on_submit("refuse")
    keep(folder, fake)
    assert "submission refused" in logs(folder)["one.md"]


def test_the_logs_lie_at_the_top_of_the_repository(tmp_path):
    """In a Git repository run_logs/ is at its top, and names the script from there."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    folder, fake = write_experiment(tmp_path / "deep" / "exp"), FakeScheduler()
    assert keep(folder, fake)
    assert not (folder / "run_logs").exists()
    assert value(log(tmp_path, "one.md"), "config", "script") == "deep/exp/one/finetune.slurm"


def test_what_cannot_be_said_is_refused():
    """A mode that is none, one name for several runs, and a field of two lines are told before
    anything is submitted.
    """
    for said in (Said(mode="test"), Said(task="x"), Said(objective="a\nb")):
        with pytest.raises(UsageError):
            check_said(said, {"a", "b"})
    check_said(Said(mode="pipeline (format conversion)", task="x"), {"a"})


def test_a_rebuild_splices_the_machines_fields_again(tmp_path):
    """What the machine owns is put in again where it was lost; every other byte stays, and no file
    is deleted.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    assert keep(folder, fake)
    path = next((folder / "run_logs").glob("*_one.md"))
    whole = path.read_text()
    path.write_text(
        whole.replace("- runtime: `", "- runtime: pending\nkept: `").replace(
            "## Next", "words\n\n## Next"
        )
    )
    experiment = experiments.read(folder)
    run_logs.rebuild(experiment, None)
    text = path.read_text()
    assert "words\n\n## Next" in text and "runtime: pending" not in text


def test_a_folder_of_fifty_hand_written_logs_is_adopted_without_a_byte_changed(tmp_path):
    """Logs in every dialect stay byte for byte as they are; the timeline and the table that are
    begun name them too.
    """
    folder, fake = committed(write_experiment(tmp_path / "exp")), FakeScheduler()
    corpus = sorted((Path(__file__).parents[2] / "report" / "runlogs").rglob("*.md"))
    texts = [
        path.read_bytes() for path in corpus if path.name not in ("timeline.md", "experiments.md")
    ]
    (folder / "run_logs").mkdir()
    for number in range(50):
        name = f"2026-01-{number % 28 + 1:02d}_by_hand_{number}.md"
        (folder / "run_logs" / name).write_bytes(texts[number % len(texts)])
    before = {path: path.read_bytes() for path in (folder / "run_logs").iterdir()}
    assert keep(folder, fake)
    assert {path: path.read_bytes() for path in before} == before
    timeline = (folder / "run_logs" / "timeline.md").read_text()
    assert (
        all(timeline.count(f"`{path.name}`") == 1 for path in before)
        and timeline.count("_one.md") == 1
    )
    table = (folder / "run_logs" / "experiments.md").read_text()
    kinds = [path for path in before if b"run_type: experiment" in before[path]]
    assert kinds and all(f"]({path.name})" in table for path in kinds)
    assert not [one for one in open_findings(folder) if "WK90" in one or "WK91" in one]


def test_experiments_md_has_the_metric_that_the_runs_were_made_for(tmp_path):
    """The column comes with the first figures, its cells are brought up, and a person's removal of
    it holds.
    """
    folder, fake = (
        write_experiment(tmp_path / "exp", runs=("a", "b"), control=True),
        FakeScheduler(),
    )
    assert keep(folder, fake, run_pending(fake))
    path = folder / "run_logs" / "experiments.md"
    lines = path.read_text().splitlines()
    assert lines[2] == "| run | description | val_loss | accuracy | status | notes |"
    cells = {
        line.split("](")[0][3:].partition("_20")[0]: line.split("|")[4].strip()
        for line in lines[4:]
    }
    assert cells == {"a": "0.5 (epoch 0)", "b": "0.5 (epoch 0)", "untrained_clean": "0.5"}
    kept = (
        "\n".join(
            "|".join(one for at, one in enumerate(line.split("|")) if at != 4) for line in lines
        )
        + "\n"
    )
    path.write_text(kept)
    (folder / "a/eval/clean_epoch0/result.json").unlink()
    assert keep(folder, fake, run_pending(fake))
    assert path.read_text() == kept


@pytest.mark.parametrize("where", ["absolute", "dots"])
def test_a_path_in_the_journal_leads_no_edit_elsewhere(tmp_path, where):
    """A journal that names a file outside the run logs, as a download may, has nothing written into
    it, and says so.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    assert keep(folder, fake)
    other = tmp_path / "mine.md"
    other.write_text("# mine\n\n## Job\n- execution_id:\n- end:\n\n## Status\n\n## Results\n")
    before = other.read_bytes()
    path = str(other) if where == "absolute" else "../mine.md"
    for lines in (folder / ".watchkeeper/journal").glob("*.jsonl"):
        lines.write_text(
            re.sub(r'"path":"run_logs/[^"]*_one.md"', f'"path":"{path}"', lines.read_text())
        )
    run_logs.rebuild(experiments.read(folder), None)
    assert other.read_bytes() == before
    assert any(
        event.what == "run log left" and "is not in" in event.detail
        for event in told(folder, Observed)
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="making a link of another user's takes root")
def test_a_timeline_behind_another_users_link_is_left_alone(tmp_path):
    """No page is written through a link that another user put into the run logs."""
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    other = tmp_path / "mine.md"
    other.write_text("# mine\n")
    (folder / "run_logs").mkdir()
    link = folder / "run_logs/timeline.md"
    link.symlink_to(other)
    os.chown(link, 12345, 12345, follow_symlinks=False)
    assert keep(folder, fake)
    assert other.read_text() == "# mine\n"
    assert any("a link that another user made" in event.detail for event in told(folder, Observed))


def test_continue_names_a_log_of_the_run_logs(tmp_path):
    """A log elsewhere is refused, with the folder it has to be in."""
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    other = tmp_path / "2026-03-11_one.md"
    other.write_text("# one\n\n## Config\n- script: `x`\n\n## Job\n- execution_id: 1\n")
    with pytest.raises(UsageError, match="is not in"):
        keep(folder, fake, log=other)


def test_what_a_job_printed_is_text_in_its_log(tmp_path):
    """HTML, links and escapes of a job's last words are shown, not obeyed, and stand there once
    after a rebuild too.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    assert keep(folder, fake, objective="see \u202eEVIL")
    text = logs(folder)["one.md"]
    assert "\u202e" not in text and "\\u202eEVIL" in text
    run_logs.rebuild(experiments.read(folder), None)
    assert logs(folder)["one.md"] == text
