"""The Slurm adapter against a real Slurm: ends, refusals, outages, and what they leave known."""

import contextlib
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.slurm.lab import SCRIPTS, USER, make_job, until
from watchkeeper.core.errors import (
    BusyError,
    DoubtError,
    RefusedError,
    UnavailableError,
    UnreachedError,
)
from watchkeeper.schedulers.base import TERMINAL, UNKNOWN
from watchkeeper.schedulers.shell import Here, as_user, clean_environment
from watchkeeper.schedulers.slurm.scheduler import SlurmScheduler, options_of
from watchkeeper.schedulers.wrapper.claims import FINISHED, TWIN, read_claims, read_exit_records


@pytest.fixture
def lab(slurm_lab):
    """The cluster with accounting, all of it up before and after each test, and without jobs after
    it.
    """
    slurm_lab.up()
    try:
        yield slurm_lab
    finally:
        slurm_lab.up()
        slurm_lab.cancel_all()


@pytest.fixture
def root(lab):
    """A folder that jobs can use."""
    return lab.workspace()


@pytest.fixture
def slurm(lab):
    """A scheduler as the ordinary user."""
    return lab.scheduler()


def look(slurm, job_id):
    """The facts of one job."""
    return slurm.poll([job_id]).facts[job_id]


def state(slurm, job_id, *states):
    """Wait until the job is in one of the states; its facts."""
    until(lambda: look(slurm, job_id).state in states)
    return look(slurm, job_id)


def ended(slurm, job_id):
    """Wait for the job's end; its facts."""
    return state(slurm, job_id, *TERMINAL)


def is_running(program):
    """Whether a process of this name runs."""
    for name in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if name.read_text() == f"{program}\n":
                return True
    return False


def bare(lab, root, source, *options):
    """Submit a script without a wrapper, as somebody else would; its job's id."""
    script = root / "bare.sh"
    script.write_text("#!/bin/bash\n" + source)
    done = lab.shell.run(
        ["sbatch", "--parsable", "--output=/dev/null", *options, str(script)], timeout_s=60
    )
    assert done.code == 0, done.err
    return done.out.strip()


# ── ends


def test_facts_are_slurms_own(slurm, root):
    """Times, memory, node, code and output are Slurm's own, and the job's name is the script's, not
    the wrapper's.
    """
    job = make_job(root, "#SBATCH -o logs/%x/%u.out\necho $SLURM_JOB_NAME; sleep 1.5; exit 200\n")
    receipt = slurm.submit(job)
    facts = ended(slurm, receipt.job_id)
    assert (facts.state, facts.reason, facts.exit_code, facts.signal) == (
        "FAILED",
        "NonZeroExitCode",
        200,
        None,
    )
    assert facts.submitted <= facts.started < facts.ended
    assert facts.node in {"n1", "n2", "n3", "n4"}
    assert facts.max_rss_bytes > 500_000
    assert (
        facts.output
        == facts.error_output
        == str(root / "exp" / "logs" / "train.slurm" / f"{USER}.out")
    )
    assert Path(facts.output).read_text() == "train.slurm\n"
    assert read_exit_records(job.wrapper.parent)[0].exit_code == 200


def test_a_new_watcher_sees_the_same_end(lab, slurm, root):
    """What another process says of an ended job is what the first one said."""
    job_id = slurm.submit(make_job(root, "exit 3\n")).job_id
    assert ended(slurm, job_id) == ended(lab.scheduler(), job_id)


def test_a_signal_is_no_code(lab, slurm, root):
    """A script ended by a signal is FAILED with that signal, as Slurm says 0:11."""
    facts = ended(slurm, bare(lab, root, "kill -SEGV $$\n"))
    assert (facts.state, facts.exit_code, facts.signal) == ("FAILED", 0, 11)


def test_unwritable_output(slurm, root):
    """A job whose output cannot be written failed to launch, and ran nothing."""
    job = make_job(root, "#SBATCH -o /etc/watchkeeper-cannot.out\ntouch ran\n")
    facts = ended(slurm, slurm.submit(job).job_id)
    assert (facts.state, facts.reason) == ("FAILED", "JobLaunchFailure")
    assert not (root / "exp" / "ran").exists()


def test_the_time_limit(lab, slurm, root):
    """A job beyond its time limit is TIMEOUT."""
    job_id = slurm.submit(make_job(root, "exec sleep 1000\n")).job_id
    state(slurm, job_id, "RUNNING")
    lab.root("scontrol", "update", f"JobId={job_id}", "EndTime=now+1")
    assert ended(slurm, job_id).state == "TIMEOUT"


def test_a_requeue_is_no_end(lab, slurm, root):
    """A requeued job waits and runs again as the next execution of the same attempt; only its last
    end is its end.
    """
    job = make_job(
        root,
        (
            "echo execution ${SLURM_RESTART_COUNT:-0}\n[[ ${SLURM_RESTART_COUNT-} ]] && exit "
            "0\ntouch began\nsleep 1000\n"
        ),
    )
    job_id = slurm.submit(job).job_id
    until((root / "exp" / "began").exists)
    lab.root("scontrol", "requeue", job_id)
    seen = set()
    until(lambda: seen.add(look(slurm, job_id).state) or seen & TERMINAL)
    assert seen & TERMINAL == {"COMPLETED"}
    assert "PENDING" in seen
    assert [claim.restart for claim in read_claims(job.wrapper.parent)] == [0, 1]
    said = Path(look(slurm, job_id).output).read_text()
    assert "execution 0\n" in said and "execution 1\n" in said, (
        "what the first execution said is kept"
    )


def test_arrays(lab, slurm, root):
    """An array's tasks have their own facts, collapsed pending ones too; its own id stands for the
    whole of it.
    """
    base = bare(lab, root, "exit $SLURM_ARRAY_TASK_ID\n", "--array=0-2%1", "--hold")
    tasks = [f"{base}_{number}" for number in range(3)]
    facts = slurm.poll([base, *tasks]).facts
    assert [facts[name].state for name in (base, *tasks)] == ["PENDING"] * 4
    lab.root("scontrol", "release", base)
    assert [ended(slurm, name).exit_code for name in tasks] == [0, 1, 2]
    assert ended(slurm, base).state == "FAILED"


def test_any_name(lab, slurm):
    """Folders and names with spaces, quotes, bars and other scripts' letters are data, never a
    shell's words.
    """
    root = lab.workspace() / 'it\'s | a "näme" $(touch x) 日本'
    job = make_job(root, "#SBATCH --job-name='a | b, \"c\"'\npwd\n")
    receipt = slurm.submit(job)
    facts = ended(slurm, receipt.job_id)
    assert facts.state == "COMPLETED"
    assert Path(facts.output).read_text() == f"{root / 'exp'}\n"
    assert slurm.poll([receipt.job_id]).tokens == {receipt.job_id: job.token}
    assert list(lab.scheduler().find(job.token)) == [receipt.job_id]


# ── yes, no, later


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--partition=nope", "partition"),
        ("--account=nope", "account"),
        ("--partition=short --time=01:00:00", "time limit"),
        ("--mem=1T", "[Mm]emory"),
        ("--array=0-2000", "[Aa]rray"),
        ("--nosuchoption", "nosuchoption"),
        ("--wait", "--wait"),
    ],
)
def test_refusals(slurm, root, line, words):
    """What Slurm will never take is refused, in its own words. Of some it keeps a row, of a job
    that never started.
    """
    job = make_job(root, f"#SBATCH {line}\ntouch ran\n")
    with pytest.raises(RefusedError, match=words):
        slurm.submit(job)
    for facts in slurm.poll(slurm.find(job.token)).facts.values():
        assert (facts.state, facts.started) == ("FAILED", None)
    assert not (root / "exp" / "ran").exists()


def test_a_full_queue_means_later(lab, slurm, root):
    """A limit on the number of jobs is BusyError; once there is room, the same job is accepted."""
    lab.root("sacctmgr", "--immediate", "modify", "user", USER, "set", "maxsubmitjobs=1")
    try:
        filler = lab.scheduler(options=["--hold"]).submit(make_job(root, "true\n")).job_id
        job = make_job(root, "true\n")

        def is_full():
            try:
                slurm.cancel(slurm.submit(job).job_id)
            except BusyError as error:
                return "AssocMaxSubmitJobLimit" in str(error)

        until(is_full)
        slurm.cancel(filler)
    finally:
        lab.root("sacctmgr", "--immediate", "modify", "user", USER, "set", "maxsubmitjobs=-1")
    state(slurm, filler, "CANCELLED")

    def is_taken():
        try:
            return slurm.submit(job).job_id
        except BusyError:
            return None

    assert ended(slurm, until(is_taken)).state == "COMPLETED"


def test_what_this_site_allows(lab, slurm):
    """Partitions with their limits, the user's account, and the limit on the number of jobs are
    what the lab's are.
    """
    site = slurm.site()
    times = {
        one.name: (one.is_default, one.max_time_s, one.default_time_s) for one in site.partitions
    }
    assert times == {
        "debug": (True, 86_400, 3_600),
        "short": (False, 600, None),
        "high": (False, None, None),
    }
    assert (site.accounts, site.default_account, site.checks_accounts, site.accounting) == (
        ("lab",),
        "lab",
        True,
        True,
    )
    assert (site.max_array, site.max_submit, site.unasked) == (1001, None, ())
    lab.root("sacctmgr", "--immediate", "modify", "user", USER, "set", "maxsubmitjobs=7")
    try:
        assert slurm.site().max_submit == 7
    finally:
        lab.root("sacctmgr", "--immediate", "modify", "user", USER, "set", "maxsubmitjobs=-1")
    lab.stop("slurmctld")
    assert "Unable to contact slurm controller" in slurm.site().unasked[0]


def test_no_slurm_here():
    """Without Slurm's commands every method says so and offers the local scheduler."""
    slurm = SlurmScheduler(Here(environment={"PATH": "/nowhere"}), user=USER)
    with pytest.raises(UnavailableError) as caught:
        slurm.poll(["1"])
    assert "this machine" in caught.value.hint


def test_what_does_not_leak(lab, root):
    """A job sees nothing of its submitter's own job, settings or virtual environment;
    SBATCH_ACCOUNT holds all the same.
    """
    venv = root / "venv"
    (venv / "bin").mkdir(parents=True)
    dirty = lab.environment | {
        "PATH": f"{venv}/bin:{lab.environment['PATH']}",
        "VIRTUAL_ENV": str(venv),
        "SLURM_NTASKS_PER_CORE": "77",
        "SLURM_RESTART_COUNT": "5",
        "SBATCH_ACCOUNT": "nope",
        "SBATCH_WAIT": "1",
        "WATCHKEEPER_ATTEMPT": "/elsewhere",
        "MINE": "kept",
    }
    clean = clean_environment(dirty, own_venv=str(venv))
    shell = Here(prefix=as_user(USER), environment=clean)
    with pytest.raises(RefusedError, match="account"):
        SlurmScheduler(shell, user=USER, options=options_of(dirty)).submit(make_job(root, "true\n"))
    del clean["SBATCH_ACCOUNT"]
    slurm = SlurmScheduler(Here(prefix=as_user(USER), environment=clean), user=USER)
    job = make_job(root, "env\n")
    facts = ended(slurm, slurm.submit(job).job_id)
    said = dict(
        line.split("=", 1) for line in Path(facts.output).read_text().splitlines() if "=" in line
    )
    assert said["MINE"] == "kept"
    assert said["WATCHKEEPER_ATTEMPT"] == str(job.wrapper.parent)
    assert str(venv) not in said["PATH"]
    assert not said.keys() & {
        "VIRTUAL_ENV",
        "SLURM_NTASKS_PER_CORE",
        "SLURM_RESTART_COUNT",
        "SBATCH_WAIT",
    }


def test_only_our_jobs_are_cancelled(lab, slurm, root):
    """cancel looks again: an id that is another's job now is let be."""
    job_id = bare(lab, root, "exec sleep 1000\n")
    state(slurm, job_id, "RUNNING")
    slurm.cancel(job_id)
    assert slurm.poll([job_id]).tokens == {job_id: ""}
    assert look(slurm, job_id).state == "RUNNING"


# ── outages


def test_a_frozen_controller(lab, slurm, root):
    """sbatch to a frozen controller leaves doubt: the job it took after all is found by its token,
    and a second one under the same token runs nothing.
    """
    job = make_job(root, "echo ran >> ran\n")
    lab.signal("slurmctld", signal.SIGSTOP)
    try:
        with pytest.raises(DoubtError):
            slurm.submit(job)
        with pytest.raises(UnavailableError):
            slurm.find(job.token)
    finally:
        lab.signal("slurmctld", signal.SIGCONT)
    (first,) = until(lambda: slurm.find(job.token))
    second = slurm.submit(job).job_id
    codes = [ended(slurm, job_id).exit_code for job_id in (first, second)]
    assert 0 in codes
    assert set(codes) & {TWIN, FINISHED}
    assert (root / "exp" / "ran").read_text() == "ran\n"
    assert list(slurm.find(job.token)) == [first, second]


def test_a_stopped_controller(lab, slurm, root):
    """Without a controller nothing is known and nothing is submitted, and that is said in one line;
    jobs survive it.
    """
    job = make_job(root, "until [[ -e gate ]]; do sleep 0.05; done\n")
    job_id = slurm.submit(job).job_id
    state(slurm, job_id, "RUNNING")
    lab.stop("slurmctld")
    with pytest.raises(UnavailableError, match="Unable to contact slurm controller") as caught:
        slurm.poll([job_id])
    assert "\n" not in str(caught.value)
    with pytest.raises(UnreachedError):
        slurm.submit(make_job(root, "true\n"))
    lab.up()
    assert state(slurm, job_id, "RUNNING", "COMPLETED").state == "RUNNING"
    (root / "exp" / "gate").touch()
    assert ended(slurm, job_id).state == "COMPLETED"


def test_a_killed_controller(lab, slurm, root):
    """A killed controller may lose a job and reuse its id: the token shows whose it is."""
    first = make_job(root, "true\n")
    lost = lab.scheduler(options=["--hold"]).submit(first).job_id
    lab.signal("slurmctld", signal.SIGKILL)
    until(lambda: not Path(f"/proc/{lab.pid('slurmctld')}").exists())
    lab.up()
    second = make_job(root, "true\n")
    new = slurm.submit(second).job_id
    ended(slurm, new)
    if list(slurm.find(first.token)):
        assert slurm.poll([lost]).tokens[lost] == first.token
    else:
        assert slurm.poll([lost]).tokens.get(lost, second.token) == second.token
    assert list(slurm.find(second.token)) == [new]


def test_stopped_accounting(lab, slurm, root):
    """Without slurmdbd what squeue shows is told, code and all; what it does not show is unknown,
    and never ended.
    """
    running = slurm.submit(make_job(root, "exec sleep 1000\n")).job_id
    failed = slurm.submit(make_job(root, "exit 3\n")).job_id
    state(slurm, running, "RUNNING")
    lab.stop("slurmdbd")
    fresh = lab.scheduler()
    facts = ended(fresh, failed)
    assert (facts.state, facts.exit_code) == ("FAILED", 3)
    gone = fresh.poll([running, "999999"]).facts
    assert gone[running].state == "RUNNING"
    assert gone["999999"].state == UNKNOWN
    assert "accounting does not answer" in gone["999999"].reason
    with pytest.raises(UnavailableError, match="accounting"):
        fresh.find("nosuchtoken")
    lab.up()
    assert "999999" not in fresh.poll([running, "999999"]).facts
    assert list(fresh.find("nosuchtoken")) == []


@pytest.mark.parametrize("daemon", ["munged", "mariadbd"])
def test_what_slurm_stands_on_is_down(lab, slurm, root, daemon):
    """Without munge nothing can be asked or submitted, without the database accounting is silent:
    said in one line, nothing ends by it, and all goes on when it is back.
    """
    job = make_job(root, "until [[ -e gate ]]; do sleep 0.05; done\n")
    job_id = slurm.submit(job).job_id
    state(slurm, job_id, "RUNNING")
    lab.stop(daemon)
    if daemon == "munged":
        with pytest.raises(UnavailableError, match=r"(?i)munge|authentication") as caught:
            slurm.poll([job_id])
        assert "\n" not in str(caught.value)
        with pytest.raises((UnavailableError, BusyError)):
            slurm.submit(make_job(root, "true\n"))
    else:
        seen = lab.scheduler().poll([job_id, "999999"])
        assert seen.facts[job_id].state == "RUNNING"
        assert "999999" not in seen.facts or seen.facts["999999"].state == UNKNOWN
        with pytest.raises(UnavailableError, match="accounting"):
            lab.scheduler().find("nosuchtoken")
    lab.up()
    assert state(slurm, job_id, "RUNNING", "COMPLETED").state == "RUNNING"
    (root / "exp" / "gate").touch()
    assert ended(slurm, job_id).state == "COMPLETED"


def test_a_slow_squeue(lab, slurm, root):
    """An answer that comes late, within its time, is an answer."""
    job_id = slurm.submit(make_job(root, "exec sleep 1000\n")).job_id
    state(slurm, job_id, "RUNNING")
    lab.signal("slurmctld", signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(slurm.poll, [job_id])
            until(lambda: is_running("squeue"))
            lab.signal("slurmctld", signal.SIGCONT)
            assert asked.result(60).facts[job_id].state == "RUNNING"
    finally:
        lab.signal("slurmctld", signal.SIGCONT)
    slurm.cancel(job_id)


# ── the lab itself


def test_up_twice_and_down(light_slurm_lab):
    """Starting what runs changes nothing; a folder that is no lab is never removed."""
    before = {name: light_slurm_lab.pid(name) for name in ("munged", "slurmctld", "slurmd-n1")}
    light_slurm_lab.up()
    assert before == {name: light_slurm_lab.pid(name) for name in before}
    innocent = light_slurm_lab.workspace()
    done = subprocess.run([SCRIPTS / "down.sh", innocent], capture_output=True, check=False)
    assert done.returncode == 2
    assert innocent.is_dir()


def test_a_lab_ends_with_its_owner(light_slurm_lab):
    """A lab that was started for a process ends with it, however it ends, and leaves nothing."""
    with subprocess.Popen(["sleep", "1000"]) as owner:
        folder = light_slurm_lab.workspace() / "lab"
        try:
            environment = os.environ | {"NODES": "1"}
            command = [SCRIPTS / "up.sh", "--light", "--for", str(owner.pid), folder]
            subprocess.run(command, env=environment, check=True, capture_output=True)
            pids = [int(path.read_text()) for path in (folder / "pid").iterdir()]
        finally:
            owner.kill()
            owner.wait()
    assert len(pids) == 4
    until(lambda: not folder.exists())
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_an_ordinary_user_is_told():
    """Who is not root is told what takes root, with a code of its own."""
    if os.geteuid() != 0:
        command = [SCRIPTS / "up.sh"]
    else:
        copy = Path("/var/tmp") / f"watchkeeper-up-{os.getpid()}.sh"
        copy.write_bytes((SCRIPTS / "up.sh").read_bytes())
        copy.chmod(0o755)
        command = [*as_user("nobody"), "/bin/bash", copy]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    finally:
        if os.geteuid() == 0:
            copy.unlink()
    assert done.returncode == 77
    assert "root" in done.stderr
