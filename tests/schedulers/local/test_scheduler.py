"""The local scheduler, with real supervisors and real scripts."""

import getpass
import multiprocessing
import os
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from watchkeeper.core import processes
from watchkeeper.core.disk import files
from watchkeeper.core.errors import RefusedError, UnavailableError, UsageError
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.schedulers.base import Job
from watchkeeper.schedulers.local.records import Started, read
from watchkeeper.schedulers.local.scheduler import LocalScheduler, default_spool
from watchkeeper.schedulers.local.supervisor import kill_session
from watchkeeper.schedulers.wrapper.claims import read_exit_records


def nobody_starts(spool, slot_fd):
    """Instead of a supervisor."""


SEEN = SchedulerFacts(state="RUNNING")


def lines(path):
    """A file's lines; none if it is not there."""
    return path.read_text().splitlines() if path.exists() else []


def test_a_job_from_submission_to_end(harness):
    """A job runs in its folder; its state, code, times, memory, node and output are recorded."""
    before = datetime.now(UTC)
    job = harness.job(
        "#SBATCH -J 'my name'\npwd\necho oops >&2\n", folder=harness.root / "it's an exp"
    )
    receipt = harness.local.submit(job)
    facts = harness.end(receipt.job_id)
    assert (facts.state, facts.exit_code, facts.signal, facts.reason) == ("COMPLETED", 0, None, "")
    assert before <= facts.submitted <= facts.started <= facts.ended <= datetime.now(UTC)
    assert facts.max_rss_bytes > 500_000
    assert facts.node == processes.host()
    assert facts.output == facts.error_output == str(job.folder / f"slurm-{receipt.job_id}.out")
    assert Path(facts.output).read_text() == f"{job.folder}\noops\n"
    quoted = str(job.wrapper).replace("'", "'\"'\"'")
    assert receipt.exact == f"/bin/bash -p '{quoted}'"
    (record,) = read_exit_records(job.wrapper.parent)
    assert (record.job_id, record.exit_code) == (receipt.job_id, 0)
    assert harness.local.poll([receipt.job_id, "4", "5"]).query == (
        f"local jobs {receipt.job_id},4-5 of {getpass.getuser()} on {processes.host()}"
    )


def test_ends_have_slurms_names(harness):
    """A code is FAILED with that code; a signal is FAILED with that signal, as Slurm says 0:9."""
    failed = harness.run(harness.job("exit 3\n"))
    assert (failed.state, failed.exit_code, failed.signal, failed.reason) == (
        "FAILED",
        3,
        None,
        "NonZeroExitCode",
    )
    killed = harness.run(harness.bare("kill -KILL $$\n"))
    assert (killed.state, killed.exit_code, killed.signal) == ("FAILED", 0, 9)


def test_output_patterns(harness):
    """Output and error go where the directives say, folders made, an earlier file replaced or, if
    asked, kept.
    """
    folder = harness.root / "exp"
    head = "#SBATCH -J a\n#SBATCH -o 'out put/%x-%j.log'\n#SBATCH --error=%u.err\n"
    facts = harness.run(harness.job(head + "echo out\necho err >&2\n"))
    assert Path(facts.output) == folder / "out put" / "a-1.log"
    assert Path(facts.output).read_text() == "out\n"
    assert Path(facts.error_output) == folder / f"{getpass.getuser()}.err"
    assert Path(facts.error_output).read_text() == "err\n"
    for mode, expected in (("truncate", "new\n"), ("append", "old\nnew\n")):
        (folder / "fixed.log").write_text("old\n")
        harness.run(harness.job(f"#SBATCH -o fixed.log\n#SBATCH --open-mode={mode}\necho new\n"))
        assert (folder / "fixed.log").read_text() == expected


def test_output_that_cannot_be_opened(harness):
    """Unwritable output is FAILED, JobLaunchFailure, 0:53 as in Slurm, says which file, and the
    script never runs.
    """
    facts = harness.run(harness.job("#SBATCH -o /dev/null/x/%j.out\ntouch ran\n"))
    assert (facts.state, facts.exit_code, facts.signal) == ("FAILED", 0, 53)
    assert facts.reason.startswith("JobLaunchFailure")
    assert "/dev/null/x" in facts.reason
    assert not (harness.root / "exp" / "ran").exists()


def test_the_environment(harness, monkeypatch):
    """A script finds the submitter's environment, nothing of the submitter's own job, and its own
    job's names.
    """
    monkeypatch.setenv("MINE", "a'b\"c\nd")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "9")
    monkeypatch.setenv("SBATCH_PARTITION", "x")
    monkeypatch.setenv("WATCHKEEPER_ATTEMPT", "/not/mine")
    os.environb[b"RAW"] = b"\xff"
    try:
        job = harness.job(
            "#SBATCH -J nom\n#SBATCH -D sub\nenv -0 > ../env\npwd\nreadlink /proc/self/fd/0\n"
        )
        (job.folder / "sub").mkdir()
        harness.run(job)
    finally:
        del os.environb[b"RAW"]
    found = dict(
        item.split(b"=", 1) for item in (job.folder / "env").read_bytes().split(b"\0") if item
    )
    assert found[b"MINE"] == b"a'b\"c\nd"
    assert found[b"RAW"] == b"\xff"
    ours = {
        key: value
        for key, value in found.items()
        if key.startswith((b"SLURM", b"SBATCH", b"WATCHKEEPER"))
    }
    assert ours == {
        b"SLURM_JOB_ID": b"1",
        b"SLURM_JOB_NAME": b"nom",
        b"SLURM_SUBMIT_DIR": os.fsencode(job.folder),
        b"WATCHKEEPER_JOB_ID": b"1",
        b"WATCHKEEPER_ATTEMPT": os.fsencode(job.wrapper.parent),
    }
    assert lines(job.folder / "sub" / "slurm-1.out") == [str(job.folder / "sub"), "/dev/null"]


def test_the_time_limit(harness):
    """A job over its limit gets one SIGTERM, then SIGKILL, and is TIMEOUT, however it ends."""
    polite = harness.job(
        "#SBATCH -t 0:1\ntrap 'echo term >> got; exit 0' TERM\nwhile :; do sleep 0.05; done\n"
    )
    stubborn = harness.job(
        "#SBATCH -t 0:1\n#SBATCH -o o.%j\ntrap 'echo term >> got2' TERM\nwhile :; do sleep "
        "0.05; done\n"
    )
    ids = [harness.local.submit(job).job_id for job in (polite, stubborn)]
    first, second = (harness.end(job_id) for job_id in ids)
    assert (first.state, first.reason, first.exit_code) == ("TIMEOUT", "TimeLimit", 0)
    assert (second.state, second.signal) == ("TIMEOUT", 9)
    assert lines(polite.folder / "got") == ["term"]
    assert lines(polite.folder / "got2") == ["term"]
    assert read_exit_records(polite.wrapper.parent)[0].exit_code == 0


def test_what_is_left_of_a_job_ends_with_it(harness):
    """Processes that a script leaves behind in its session are ended, as Slurm does."""
    job = harness.job("sleep 1000 & echo $! > pid\n")
    assert harness.run(job).state == "COMPLETED"
    assert processes.start_ticks(int((job.folder / "pid").read_text())) is None


def test_slots_are_respected(harness):
    """Never more jobs at a time than slots, whatever the number of submissions."""
    source = "touch on.$SLURM_JOB_ID; ls on.* | wc -l >> counts; sleep 0.1; rm on.$SLURM_JOB_ID\n"
    ids = [harness.local.submit(harness.job(source)).job_id for _ in range(8)]
    for job_id in ids:
        assert harness.end(job_id).state == "COMPLETED"
    counts = [int(line) for line in lines(harness.root / "exp" / "counts")]
    assert len(counts) == 8
    assert max(counts) <= 2


def test_first_come_first_served(harness):
    """With one slot jobs run in the order of their ids, and a poll says what waits."""
    one = harness.scheduler(slots=1)
    gate = harness.root / "exp" / "gate"
    source = "echo $SLURM_JOB_ID >> order\nuntil [[ -e gate ]]; do sleep 0.02; done\n"
    ids = [one.submit(harness.job(source)).job_id for _ in range(5)]
    harness.until(lambda: harness.look(ids[0]).state == "RUNNING")
    states = one.poll(ids).facts
    assert [states[job_id].state for job_id in ids] == ["RUNNING", *["PENDING"] * 4]
    assert states[ids[1]].reason == "Resources"
    gate.touch()
    for job_id in ids:
        harness.end(job_id, one)
    assert lines(harness.root / "exp" / "order") == ids == ["1", "2", "3", "4", "5"]


def test_more_slots_count_at_once_fewer_later(harness):
    """A changed number of slots applies to later starts."""
    source = "until [[ -e gate ]]; do sleep 0.02; done\n"
    one, three = harness.scheduler(slots=1), harness.scheduler(slots=3)
    ids = [one.submit(harness.job(source)).job_id for _ in range(2)]
    ids.append(three.submit(harness.job(source)).job_id)
    harness.until(lambda: all(harness.look(job_id, three).state == "RUNNING" for job_id in ids))
    ids.append(one.submit(harness.job(source)).job_id)
    assert harness.look(ids[3], one).state == "PENDING"
    (harness.root / "exp" / "gate").touch()
    assert [harness.end(job_id, one).state for job_id in ids] == ["COMPLETED"] * 4
    assert one.spool.slot_count() == 1
    harness.end(harness.scheduler(slots=None).submit(harness.job("true\n")).job_id, one)
    assert one.spool.slot_count() == len(os.sched_getaffinity(0))
    with pytest.raises(UsageError):
        harness.scheduler(slots=0)


def test_a_job_whose_supervisor_was_killed_goes_on(harness):
    """It is RUNNING as long as its session lives, then NODE_FAIL with a reason, its exit record
    says how it ended, and it ran once.
    """
    job = harness.job("echo ran >> ran\nuntil [[ -e gate ]]; do sleep 0.02; done\nexit 4\n")
    job_id = harness.local.submit(job).job_id
    harness.until((job.folder / "ran").exists)
    harness.kill_supervisor(job_id)
    quiet = harness.scheduler(start=nobody_starts)
    assert harness.look(job_id, quiet).state == "RUNNING"
    old = harness.supervisor(job_id)
    assert harness.look(job_id).state == "RUNNING"
    harness.until(lambda: harness.supervisor(job_id) != old)
    (job.folder / "gate").touch()
    facts = harness.end(job_id)
    assert facts.state == "NODE_FAIL"
    assert "killed" in facts.reason
    assert facts.exit_code is None
    assert read_exit_records(job.wrapper.parent)[0].exit_code == 4
    assert lines(job.folder / "ran") == ["ran"]


def test_a_job_gone_with_its_supervisor(harness):
    """Supervisor and session gone on this boot without an exit record is NODE_FAIL, whoever looks
    first.
    """
    job = harness.job("echo ran >> ran\nexec sleep 1000\n")
    job_id = harness.local.submit(job).job_id
    harness.until((job.folder / "ran").exists)
    harness.kill_supervisor(job_id)
    leader = harness.local.spool.job(job_id) / "started.json"
    session = int(leader.read_text().partition('"pid":')[2].partition(",")[0])
    for pid in processes.session_members(session):
        os.kill(pid, signal.SIGKILL)
    harness.until(lambda: not processes.session_members(session))
    computed = harness.look(job_id, harness.scheduler(start=nobody_starts))
    assert computed.state == "NODE_FAIL"
    record = harness.local.spool.job(job_id) / "exit.json"
    harness.until(lambda: harness.look(job_id) and record.exists())
    assert harness.look(job_id, harness.scheduler()) == computed
    assert lines(job.folder / "ran") == ["ran"]


def test_a_limit_holds_without_the_first_supervisor(harness):
    """Whoever adopts a job enforces its time limit."""
    job = harness.job("#SBATCH -t 0:2\ntouch ran\nexec sleep 1000\n")
    job_id = harness.local.submit(job).job_id
    harness.until((job.folder / "ran").exists)
    harness.kill_supervisor(job_id)
    assert harness.end(job_id).state == "TIMEOUT"


def test_an_orphan_is_not_a_free_slot(harness):
    """A job whose supervisor died keeps its slot: it is adopted before anything pending begins."""
    one = harness.scheduler(slots=1)
    first = harness.job("touch first; until [[ -e gate ]]; do sleep 0.02; done; rm first\n")
    second = harness.job("[[ -e first ]] && echo together >> wrong; touch second\n")
    ids = [one.submit(job).job_id for job in (first, second)]
    harness.until((first.folder / "first").exists)
    harness.kill_supervisor(ids[0])
    old = harness.supervisor(ids[0])
    harness.until(
        lambda: harness.look(ids[1], one).state == "PENDING" and harness.supervisor(ids[0]) != old
    )
    (first.folder / "gate").touch()
    assert harness.end(ids[1], one).state == "COMPLETED"
    assert not (first.folder / "wrong").exists()


def test_pending_jobs_need_no_survivor(harness):
    """A job that nobody works on, its supervisor never having begun, is begun by the next poll."""
    job = harness.job("touch ran\n")
    job_id = harness.scheduler(start=nobody_starts).submit(job).job_id
    assert harness.look(job_id, harness.scheduler(start=nobody_starts)).state == "PENDING"
    assert harness.end(job_id).state == "COMPLETED"
    assert (job.folder / "ran").exists()


def test_cancel_a_running_job_without_supervisor(harness):
    """cancel ends a job also when its supervisor is dead."""
    job = harness.job("touch ran\nexec sleep 1000\n")
    job_id = harness.local.submit(job).job_id
    harness.until((job.folder / "ran").exists)
    harness.kill_supervisor(job_id)
    harness.local.cancel(job_id)
    assert harness.end(job_id).state == "CANCELLED"
    harness.until(lambda: read_exit_records(job.wrapper.parent))
    assert read_exit_records(job.wrapper.parent)[0].exit_code == 143


def test_cancel_against_start(harness):
    """A job is cancelled or runs to its end; one that was cancelled while pending never began."""
    source = "echo $SLURM_JOB_ID >> ran\n"
    ids = []
    for _ in range(12):
        ids.append(harness.local.submit(harness.job(source)).job_id)
        harness.local.cancel(ids[-1])
    for job_id in ids:
        facts = harness.end(job_id)
        if facts.started is None:
            assert facts.state == "CANCELLED"
            assert job_id not in lines(harness.root / "exp" / "ran")


@pytest.mark.parametrize("which", ["boot_id", "host"])
def test_another_boot_or_host_is_unknown(harness, which):
    """What another boot or host took on is UNKNOWN with a reason: never lost, never begun again."""
    job = harness.job("touch ran\nexec sleep 1000\n")
    job_id = harness.local.submit(job).job_id
    harness.until((job.folder / "ran").exists)
    harness.kill_supervisor(job_id)
    record = harness.local.spool.job(job_id) / "supervisor.json"
    own = record.read_bytes()
    files.replace(record, own.replace(getattr(processes, which)().encode(), b"another"))
    (job.folder / "ran").unlink()
    try:
        facts = harness.look(job_id)
        assert facts.state == "UNKNOWN"
        assert "another" in facts.reason
        with pytest.raises(UnavailableError, match="another boot or host"):
            harness.local.cancel(job_id)
        assert harness.run(harness.job("true\n")).state == "COMPLETED"
        assert not (job.folder / "ran").exists()
    finally:
        files.replace(record, own)


def test_ids_are_never_used_again(harness):
    """Neither a pruned job nor a submission that died before acceptance gives its id away."""
    quiet = harness.scheduler(start=nobody_starts)
    first = quiet.submit(harness.job("true\n")).job_id
    with quiet.spool.lock():
        unaccepted = quiet.spool.new_job()
    assert quiet.poll([unaccepted]).facts == {}
    for job_id in (first, unaccepted):
        for path in (quiet.spool.job(job_id)).iterdir():
            path.unlink()
        quiet.spool.job(job_id).rmdir()
    assert int(quiet.submit(harness.job("true\n")).job_id) == 3
    (quiet.spool.folder / "next").unlink()
    assert int(quiet.submit(harness.job("true\n")).job_id) == 4


def test_an_array_has_an_id_for_each_task(harness):
    """The ids of an array's tasks are never another job's, also where the next id was lost."""
    quiet = harness.scheduler(start=nobody_starts)
    job = harness.job("#SBATCH --array=3,5,7\ntrue\n")
    assert [quiet.submit(one).job_id for one in (job, harness.job("true\n"))] == ["1", "4"]
    harness.end("1"), harness.end("4")
    (quiet.spool.folder / "jobs" / "4").rename(quiet.spool.folder / "gone")
    (quiet.spool.folder / "next").unlink()
    assert quiet.submit(harness.job("true\n")).job_id == "4"


def test_the_largest_array_is_taken(harness):
    """1,001 tasks, 0 to 1000, are one array, as with Slurm's own limit."""
    job = harness.job("#SBATCH --array=0-1000\ntrue\n")
    job_id = harness.scheduler(start=nobody_starts).submit(job).job_id
    quiet = harness.scheduler(start=nobody_starts)
    assert harness.look(job_id, quiet).tasks == {"PENDING": "0-1000"}
    quiet.cancel(job_id)
    assert harness.look(job_id, quiet).tasks == {"CANCELLED": "0-1000"}


def test_slots_are_respected_by_tasks(harness):
    """An array without a limit runs as many tasks at a time as slots are left by other jobs."""
    source = "touch on.$SLURM_JOB_ID; ls on.* | wc -l >> counts; sleep 0.1; rm on.$SLURM_JOB_ID\n"
    ids = [harness.local.submit(harness.job(f"#SBATCH --array=0-5\n{source}")).job_id]
    ids.append(harness.local.submit(harness.job(source)).job_id)
    assert [harness.end(job_id).state for job_id in ids] == ["COMPLETED"] * 2
    counts = [int(line) for line in lines(harness.root / "exp" / "counts")]
    assert len(counts) == 7 and max(counts) <= 2


def test_one_task_can_be_looked_at_and_cancelled(harness):
    """A task is named as Slurm names it: `1_2`; its end leaves the other tasks alone."""
    one = harness.scheduler(slots=1)
    job = harness.job("#SBATCH --array=0-2\nuntil [[ -e gate ]]; do sleep 0.02; done\n")
    job_id = one.submit(job).job_id
    harness.until(lambda: harness.look(f"{job_id}_0").state == "RUNNING")
    assert harness.look(f"{job_id}_1").state == "PENDING"
    one.cancel(f"{job_id}_1")
    assert harness.look(f"{job_id}_1").state == "CANCELLED"
    assert one.poll([f"{job_id}_9"]).facts == {}
    one.cancel(f"{job_id}_9")
    (job.folder / "gate").touch()
    assert harness.end(job_id, one).tasks == {"COMPLETED": "0,2", "CANCELLED": "1"}


def test_a_cancelled_array_ends_also_where_no_supervisor_lives(harness):
    """A cancelled array's running task is ended by whoever adopts it, and no other task begins."""
    one = harness.scheduler(slots=1)
    job = harness.job("#SBATCH --array=0-2\ntouch ran.$SLURM_ARRAY_TASK_ID\nexec sleep 1000\n")
    job_id = one.submit(job).job_id
    harness.until((job.folder / "ran.0").exists)
    harness.kill_supervisor(f"{job_id}_0")
    one.cancel(job_id)
    assert harness.end(job_id, one).tasks == {"CANCELLED": "0-2"}
    assert sorted(path.name for path in job.folder.glob("ran.*")) == ["ran.0"]


def test_another_boot_has_a_task(harness):
    """A task that another boot took on is UNKNOWN, and the tasks that wait begin all the same."""
    job = harness.job("#SBATCH --array=0-1%1\ntouch ran.$SLURM_ARRAY_TASK_ID\n")
    quiet = harness.scheduler(start=nobody_starts)
    job_id = quiet.submit(job).job_id
    with quiet.spool.lock():
        assert quiet.spool.take(f"{job_id}_0")
    record = quiet.spool.job(f"{job_id}_0") / "supervisor.json"
    files.replace(record, record.read_bytes().replace(processes.boot_id().encode(), b"another"))
    facts = harness.end(job_id)
    harness.until(lambda: harness.look(f"{job_id}_1").state == "COMPLETED")
    facts = harness.look(job_id)
    assert (facts.state, facts.tasks) == ("UNKNOWN", {"UNKNOWN": "0", "COMPLETED": "1"})
    assert not (job.folder / "ran.0").exists()
    with pytest.raises(UnavailableError, match="another boot or host"):
        harness.local.cancel(job_id)


def test_a_damaged_record_of_a_task_stops_no_other_task(harness):
    """A task whose record is damaged is UNKNOWN with the file's name; the others run."""
    job = harness.job("#SBATCH --array=0-1\ntrue\n")
    quiet = harness.scheduler(start=nobody_starts)
    job_id = quiet.submit(job).job_id
    folder = files.make_folder(quiet.spool.job(f"{job_id}_0"))
    (folder / "supervisor.json").write_bytes(b"\0")
    harness.until(lambda: harness.look(f"{job_id}_1").state == "COMPLETED")
    facts = harness.look(job_id)
    assert facts.tasks == {"UNKNOWN": "0", "COMPLETED": "1"} and "supervisor.json" in facts.reason


def _submit(spool, job, ids):
    ids.put(LocalScheduler(spool, 2).submit(job).job_id)


def test_submitters_at_once(harness):
    """Submitters at the same moment get different ids, and every job runs."""
    context = multiprocessing.get_context("fork")
    ids = context.SimpleQueue()
    jobs = [harness.job("echo $SLURM_JOB_ID >> ran.$SLURM_JOB_ID\n") for _ in range(12)]
    running = [context.Process(target=_submit, args=(harness.spool, job, ids)) for job in jobs]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
        assert process.exitcode == 0
    found = sorted(int(ids.get()) for _ in running)
    assert found == list(range(1, 13))
    for number in found:
        assert harness.end(str(number)).state == "COMPLETED"
        assert lines(harness.root / "exp" / f"ran.{number}") == [str(number)]


def test_a_damaged_record_stops_nobody_else(harness):
    """A job whose record is damaged is UNKNOWN with the file's name; the others run."""
    quiet = harness.scheduler(slots=1, start=nobody_starts)
    damaged, healthy = (quiet.submit(harness.job("true\n")).job_id for _ in range(2))
    (quiet.spool.job(damaged) / "spec.json").write_bytes(b"\0\0")
    assert "spec.json" in harness.look(damaged).reason
    assert harness.end(healthy).state == "COMPLETED"
    assert harness.look(damaged).state == "UNKNOWN"


def test_what_is_refused(harness, tmp_path):
    """What cannot become a job is refused with a reason, and leaves no job."""
    good = harness.job("true\n")
    windows = harness.bare("#!/bin/bash\r\ntrue\r\n")
    for job, word in (
        (Job(wrapper=tmp_path / "none.sh", folder=tmp_path, name="", token="t"), "none.sh"),
        (windows, "Windows line ends"),
        (harness.job("#SBATCH --array=0-1001\ntrue\n"), "names task 1001.*MaxArraySize=1001"),
        (msgspec.structs.replace(good, array="4-2"), "'4-2' names no tasks"),
        (Job(wrapper=good.wrapper, folder=tmp_path / "none", name="", token="t"), "no folder"),
        (Job(wrapper=good.wrapper, folder=tmp_path, name="", token="../t"), "token"),
        (Job(wrapper=good.wrapper, folder=tmp_path, name="\udcff", token="t"), "UTF-8"),
    ):
        with pytest.raises(RefusedError, match=word):
            harness.local.submit(job)
        assert harness.local.find(job.token) == []
    assert not harness.spool.exists()


def test_a_spool_that_cannot_be_used(tmp_path, harness):
    """Without a place to write, the scheduler cannot be asked; the message names the setting that
    helps.
    """
    (tmp_path / "file").write_text("")
    local = LocalScheduler(tmp_path / "file" / "spool", 1)
    with pytest.raises(UnavailableError) as caught:
        local.submit(harness.job("true\n"))
    assert "WATCHKEEPER_STATE_DIR" in caught.value.hint
    assert harness.local.poll(["1", "x", "-1"]).facts == {}
    harness.local.cancel("1")


def test_nothing_is_written_for_a_look(harness):
    """Asking about jobs makes no spool."""
    assert harness.local.poll(["1"]).facts == {}
    assert harness.local.find("none") == []
    harness.local.cancel("1")
    assert not harness.spool.exists()


def test_the_spool_is_private(harness):
    """Other users cannot read a job's environment."""
    harness.scheduler(start=nobody_starts).submit(harness.job("true\n"))
    assert harness.spool.stat().st_mode & 0o077 == 0
    assert (harness.spool / "jobs" / "1" / "spec.json").stat().st_mode & 0o077 == 0


def test_where_the_spool_is():
    """WATCHKEEPER_STATE_DIR, else XDG_STATE_HOME, else ~/.local/state; below it one folder per
    host.
    """
    host = processes.host()
    assert (
        default_spool({"WATCHKEEPER_STATE_DIR": "/a", "XDG_STATE_HOME": "/b"})
        == Path("/a/local") / host
    )
    assert default_spool({"XDG_STATE_HOME": "/b"}) == Path("/b/watchkeeper/local") / host
    assert default_spool({}) == Path.home() / ".local/state/watchkeeper/local" / host


def test_a_job_that_was_lost_does_not_run_again_in_the_next_look(harness):
    """Between the look that finds a job gone and the supervisor that writes it down, no look says
    RUNNING.
    """
    job = harness.job("until [[ -e gate ]]; do sleep 0.02; done\n")
    one = harness.scheduler(
        slots=1
    )  # one supervisor at a time: no second one, started by a look, takes the job on
    job_id = one.submit(job).job_id
    harness.until(lambda: harness.look(job_id, one).state == "RUNNING")
    leader = read(one.spool.job(job_id) / "started.json", Started).leader
    harness.kill_supervisor(job_id)
    kill_session(leader.pid)
    looker = harness.scheduler(start=nobody_starts)
    assert harness.look(job_id, looker).state == "NODE_FAIL"
    with subprocess.Popen(
        ["sleep", "60"]
    ) as next_one:  # in the place of the supervisor that takes it on
        record = looker.spool.job(job_id) / "supervisor.json"
        files.replace(record, msgspec.json.encode(processes.name_of(next_one.pid)))
        assert harness.look(job_id, looker).state == "NODE_FAIL"
        next_one.kill()


def test_a_job_that_waits_is_read_once_and_seen_to_end(harness, monkeypatch):
    """A look at jobs that wait opens none of their files again; what becomes of one of them,
    a cancellation or an end, is seen at the next look all the same.
    """
    local = harness.scheduler(1, start=nobody_starts)
    first, second = (local.submit(harness.job("true\n")).job_id for _ in range(2))
    assert {one.state for one in local.poll([first, second]).facts.values()} == {"PENDING"}
    with monkeypatch.context() as patched:
        patched.setattr(LocalScheduler, "_look", None)
        assert local.poll([first, second]).facts[second].state == "PENDING"
    local.cancel(first)
    assert local.poll([first, second]).facts[first].state == "CANCELLED"
    files.replace(local.spool.running / second, b"")  # as a supervisor does that takes it on
    assert local.spool.queued() == set()
    with monkeypatch.context() as patched:
        patched.setattr(LocalScheduler, "_look", lambda own, job_id: SEEN)
        assert local.poll([second]).facts[second] is SEEN
