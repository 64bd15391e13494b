"""The fault table: what harms a watch on a real Slurm, and what came of it, in figures. `make
faults` prints it.

Each fault makes small experiments, does the harm, recovers as a person would (the same command
again, `--retry-failed`), and returns the figures, counted from what the jobs themselves wrote down.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.slurm.lab import USER, CannotError, Lab, until
from tests.slurm.trial import DEADLINE_S, DONE, UNTIL_GO, Figures, ShortError, Trial, require
from watchkeeper.core.events import Doubted, Intended, Submitted
from watchkeeper.schedulers.base import TERMINAL

INJECT = Path(__file__).parents[1] / "crash" / "inject"
AT_ONCE = 6
_NEVER = 10**9
_LOST = ("UNKNOWN", "unknown")


def total(found):
    """The figures of several trials together."""
    whole = Figures()
    for one in found:
        whole += one
    return whole


def side_by_side(function, items):
    """The figures of trials that do not disturb each other."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return total(pool.map(function, items))


def live(lab):
    """Job id → state, of the user's jobs that squeue shows."""
    rows = lab.root(
        "squeue", "--noheader", f"--user={USER}", "--states=all", "--format=%i %T"
    ).split()
    return dict(zip(rows[::2], rows[1::2], strict=True))


def node_of(lab, job_id):
    """The node that runs the job."""
    return lab.root("squeue", "--noheader", f"--jobs={job_id}", "--format=%N").strip()


def kill_now(lab, daemon):
    """SIGKILL a daemon, and wait until it is gone."""
    pid = lab.pid(daemon)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists())


# ── the submitter and the watcher


def submitter_killed(lab):
    """SIGKILL before each operation of the submitter."""

    def one(at):
        with Trial(lab) as trial:
            mark, operations = trial.root / "killed", trial.root / "operations"
            inject = {
                "WK_KILL_IN": "watchkeeper run",
                "WK_KILL_AT": str(at),
                "WK_KILL_MARK": str(mark),
            }
            process = trial.start(PYTHONPATH=str(INJECT), WK_KILL_LOG=str(operations), **inject)
            trial.end(process, 0 if at == _NEVER else -signal.SIGKILL, 0)
            came.append(mark.exists())
            count = len(operations.read_text().splitlines())
            trial.run()
            return trial.figures(DONE), count

    came: list[bool] = []
    undisturbed, count = one(_NEVER)
    came.clear()
    harmed = side_by_side(lambda at: one(at)[0], range(1, count + 1))
    # The last operations depend on how often was polled; all others must have been reached.
    require(sum(came) >= 0.8 * count, f"only {sum(came)} of {count} submitters were killed")
    return undisturbed + harmed


def two_submitters(lab):
    """Two submitters of one experiment, started at the same moment, 20 times."""

    def one(_):
        with Trial(lab) as trial:
            for process in [trial.start(), trial.start()]:
                trial.end(process, 0)
            return trial.figures(DONE)

    return side_by_side(one, range(20))


def watcher_killed(lab):
    """SIGKILL the watcher while its job runs, twice; the third sees the end."""
    with Trial(lab, work=UNTIL_GO) as trial:
        first = trial.start()
        trial.begun()
        trial.seen("RUNNING")
        trial.end_by(first, signal.SIGKILL)
        second = trial.start()
        until(lambda: len({event.writer for event in trial.events}) > 1)
        trial.end_by(second, signal.SIGKILL)
        third = trial.start()
        trial.go()
        trial.end(third, 0)
        return trial.figures(DONE)


# ── the controller and the accounting


def controller_frozen(lab):
    """SIGSTOP the controller: sbatch fails, and its job is queued all the same. Then so again, and
    the submitter dies.
    """
    with Trial(lab) as trial:
        lab.signal("slurmctld", signal.SIGSTOP)
        process = trial.start()
        try:
            trial.told(Doubted)
        finally:
            lab.signal("slurmctld", signal.SIGCONT)
        trial.end(process, 0)
        lived = trial.figures(DONE)
    with Trial(lab) as trial:
        lab.signal("slurmctld", signal.SIGSTOP)
        try:
            process = trial.start()
            trial.told(Intended)
            until(lambda: trial.asked("sbatch --parsable"))
            trial.end_by(process, signal.SIGKILL)
        finally:
            lab.signal("slurmctld", signal.SIGCONT)
        trial.run()
        return lived + trial.figures(DONE)


def _memory(lab):
    """What the controller remembers of jobs, as it leaves it when it is stopped in good order; it
    is up again.
    """
    lab.stop("slurmctld")
    saved = (lab.folder / "state" / "job_state").read_bytes()
    lab.up()
    return saved


def _lose_memory(lab, saved):
    """Let a dead controller remember that much only."""
    for name in ("job_state", "job_state.old"):
        (lab.folder / "state" / name).write_bytes(saved)


def _lost(trial, lab):
    """Start a watch whose controller dies as soon as it has acknowledged the job, before it has
    saved it (which it may do sooner or later: a state older than the job makes it certain). Returns
    the watch and the job's id, once the controller is back.
    """
    saved = _memory(lab)
    controller = lab.pid("slurmctld")
    trial.harm(
        f'[[ $1 == sbatch && $2 == --parsable ]] || exit 0\nkill -KILL {controller}\nrm "$0"\n'
    )
    process = trial.start()
    try:
        job_id = trial.told(Submitted).job_id
        until(lambda: not Path(f"/proc/{controller}").exists())
        _lose_memory(lab, saved)
    finally:
        lab.up()
    require(job_id not in live(lab), f"the controller remembers job {job_id}: it was not lost")
    return process, job_id


def controller_killed(lab):
    """SIGKILL the controller right after it took a job: the job is lost, and its id is given to the
    next one, which is first somebody else's, then the same run's second attempt.
    """
    whole = Figures()
    for alien in (True, False):
        with Trial(lab, head="#SBATCH --begin=now+8", deadline_s=DEADLINE_S) as trial:
            process, job_id = _lost(trial, lab)
            if alien:
                other = _bare(lab, trial, "sleep 600")
                require(other == job_id, f"the next job has the id {other}, not {job_id}")
                until(lambda other=other: live(lab)[other] == "RUNNING")
            trial.end(process, 1, 4)
            require(
                not {c.after for c in trial.changes} & {"RUNNING", *TERMINAL},
                "another's job was taken for ours",
            )
            if alien:
                require(live(lab)[other] == "RUNNING", "another's job was harmed")
                lab.root("scancel", other)
            trial.script()
            trial.run("--retry-failed")
            second = trial.attempts[2].job_id
            require(
                alien or second == job_id,
                f"the second attempt's job is {second}, not {job_id} again",
            )
            whole += trial.figures(_LOST, DONE)
    return whole


def _bare(lab, trial, source):
    """Submit a job that has nothing to do with Watchkeeper; its id."""
    script = trial.root / "bare.sh"
    script.write_text(f"#!/bin/bash\n{source}\n")
    done = lab.shell.run(["sbatch", "--parsable", "--output=/dev/null", str(script)], timeout_s=60)
    require(done.code == 0, done.err)
    return done.out.strip()


def accounting_down(lab):
    """slurmdbd is down from before the first submission until after the end."""
    lab.stop("slurmdbd")
    try:
        with Trial(lab) as trial:
            trial.run()
            return trial.figures(DONE)
    finally:
        lab.up()


# ── the nodes


def slurmd_killed(lab):
    """SIGKILL the slurmd below a running job, which works on while Slurm starts the job again
    elsewhere.
    """

    def elsewhere(trial, job_id, node):
        # Given to another node, whatever the wrapper does there; it has had time to do it.
        until(lambda: node_of(lab, job_id) not in ("", node), 120)
        until(lambda: len(trial.executions) > 1 or _age_s(lab, job_id) > 10, 60)

    return _slurmd_killed(lab, elsewhere)


def slurmd_killed_and_done(lab):
    """SIGKILL the slurmd below a running job, which finishes when Slurm has already decided to
    start it again.
    """
    return _slurmd_killed(
        lab, lambda trial, job_id, node: until(lambda: live(lab)[job_id] == "PENDING", 120)
    )


def _slurmd_killed(lab, when):
    with Trial(lab, work=UNTIL_GO) as trial:
        process = trial.start()
        trial.begun()
        job_id = trial.told(Submitted).job_id
        node = node_of(lab, job_id)
        kill_now(lab, f"slurmd-{node}")
        try:
            when(trial, job_id, node)
            trial.go()
            trial.end(process, 0)
        finally:
            lab.up()
        return trial.figures(DONE)


def _age_s(lab, job_id):
    """For how long the job's present execution has been there, in seconds; endlessly once it is
    over.
    """
    state, age = lab.root(
        "squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%T %M"
    ).split()
    minutes, seconds = age.split(":")[-2:]
    return _NEVER if state in TERMINAL else int(minutes) * 60 + int(seconds)


def node_killed(lab):
    """The node dies with all that runs there: NODE_FAIL, and then another attempt."""
    with Trial(lab, head="#SBATCH --no-requeue", work=UNTIL_GO) as trial:
        process = trial.start()
        trial.begun()
        job_id = trial.told(Submitted).job_id
        node = node_of(lab, job_id)
        kill_now(lab, f"slurmd-{node}")
        _kill_job(lab, job_id)
        try:
            trial.end(process, 1)
        finally:
            lab.up()
        trial.go()
        trial.run("--retry-failed")
        return trial.figures(("NODE_FAIL", "lost"), DONE)


def node_killed_unattended(lab):
    """The node dies with all that runs there, and nobody is awake: the watch tries again by itself,
    on another node.
    """
    with Trial(lab, head="#SBATCH --no-requeue", work=UNTIL_GO) as trial:
        process = trial.start(WATCHKEEPER_RETRIES="2")
        trial.begun()
        job_id = trial.told(Submitted).job_id
        node = node_of(lab, job_id)
        kill_now(lab, f"slurmd-{node}")
        _kill_job(lab, job_id)
        try:
            trial.begun(2)
            trial.go()
            trial.end(process, 0)
        finally:
            lab.up()
        return trial.figures(("NODE_FAIL", "lost"), DONE)


def _kill_job(lab, job_id):
    """SIGKILL the job's processes and their slurmstepd, of this cluster only."""
    conf = f"SLURM_CONF={lab.conf}".encode()

    def dies(process):
        with contextlib.suppress(OSError):
            environment = (process / "environ").read_bytes().split(b"\0")
            title = (process / "cmdline").read_bytes()
            stepd = title.startswith(f"slurmstepd: [{job_id}.".encode()) and str(
                lab.folder
            ).encode() in ((process / "environ").read_bytes())
            return stepd or (
                conf in environment and f"SLURM_JOB_ID={job_id}".encode() in environment
            )
        return False

    found = [process for process in Path("/proc").glob("[0-9]*") if dies(process)]
    require(found, f"job {job_id} has no processes here")
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process.name), signal.SIGKILL)


# ── the job


def cancelled_outside(lab):
    """Somebody cancels a running job with scancel; the same command submits nothing more."""
    with Trial(lab, work=UNTIL_GO) as trial:
        process = trial.start()
        trial.begun()
        lab.root("scancel", trial.told(Submitted).job_id)
        trial.end(process, 1)
        trial.run(codes=(1,))
        return trial.figures(("CANCELLED", "cancelled"))


def never_starts(lab):
    """A held job stays PENDING however often one looks, lets the watch detach, and runs when it is
    released.
    """
    with Trial(lab, head="#SBATCH --hold") as trial:
        process = trial.start()
        job_id = trial.told(Submitted).job_id
        until(lambda: trial.asked("squeue") >= 3)
        require({c.after for c in trial.changes} <= {"PENDING"}, f"told: {trial.changes}")
        (trial.folder / ".detach").touch()
        trial.end(process, 3)
        require(live(lab)[job_id] == "PENDING", "the watch left, and the job did not stay")
        lab.root("scontrol", "release", job_id)
        trial.run()
        return trial.figures(DONE)


def unknown_to_all(lab):
    """Neither squeue nor sacct knows the job any more: UNKNOWN, until its deadline; then another
    attempt.
    """
    with Trial(lab, head="#SBATCH --hold", deadline_s=DEADLINE_S) as trial:
        saved = _memory(lab)
        process = trial.start()
        job_id = trial.told(Submitted).job_id
        kill_now(lab, "slurmctld")
        try:
            _lose_memory(lab, saved)
            _forget(lab, job_id)
        finally:
            lab.up()
        require(job_id not in live(lab), f"the controller remembers job {job_id}")
        require(
            not lab.root("sacct", "--noheader", f"--jobs={job_id}", "--format=jobid"),
            f"sacct remembers job {job_id}",
        )
        trial.end(process, 1, 4)
        require(
            {c.after for c in trial.changes} <= {"PENDING", "UNKNOWN"}, f"told: {trial.changes}"
        )
        trial.script()
        trial.run("--retry-failed")
        return trial.figures(_LOST, DONE)


def _forget(lab, job_id):
    """Take the job out of the accounting's database."""
    port = int((lab.folder / "etc" / "port").read_text()) + 2
    words = [
        "mariadb",
        "--no-defaults",
        "-h",
        "127.0.0.1",
        "-P",
        str(port),
        "-u",
        "slurm",
        "-pslurm",
        "slurm_acct",
    ]
    subprocess.run(
        [*words, "-e", f"delete from lab_job_table where id_job={int(job_id)}"], check=True
    )


# ── the run folder


@contextlib.contextmanager
def _few_inodes(lab):
    """A small filesystem of its own, and the means to exhaust its inodes and to free them."""
    folder = lab.workspace()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "nr_inodes=80,size=8m,mode=0777", "tmpfs", folder],
        check=True,
    )
    fillers = folder / "fillers"
    fillers.mkdir()

    def fill():
        for number in range(1000):
            try:
                (fillers / str(number)).touch()
            except OSError:
                return
        raise ShortError("the inodes did not end")

    def free():
        for path in fillers.iterdir():
            path.unlink()

    try:
        yield folder, fill, free
    finally:
        lab.cancel_all()
        until(lambda: not set(live(lab).values()) - TERMINAL)
        subprocess.run(["umount", "--lazy", folder], check=True)


def inodes_exhausted(lab):
    """No inode is left in the run folder: before the submission; while the job waits; while it
    runs.
    """
    whole = Figures()
    with _few_inodes(lab) as (folder, fill, free), Trial(lab, folder=folder / "exp") as trial:
        fill()
        printed = trial.run(codes=(1,))
        require("No space left on device" in printed, printed)
        require(not trial.asked("sbatch --parsable"), "submitted what could not be written down")
        free()
        trial.run()
        whole += trial.figures(DONE)
    with (
        _few_inodes(lab) as (folder, fill, free),
        Trial(lab, folder=folder / "exp", head="#SBATCH --hold") as trial,
    ):
        process = trial.start()
        job_id = trial.told(Submitted).job_id
        fill()
        lab.root("scontrol", "release", job_id)
        printed = trial.end(process, 1)
        until(lambda: live(lab)[job_id] in TERMINAL)
        require(not trial.executions, "it ran without a claim")
        free()
        trial.script()
        trial.run(codes=(1,))
        trial.run("--retry-failed")
        whole += trial.figures(("FAILED", "failed"), DONE)
    ready = "mkdir -p artifacts/epoch_0 && touch artifacts/epoch_0/model.bin ready"
    with (
        _few_inodes(lab) as (folder, fill, free),
        Trial(lab, folder=folder / "exp", work=f"{ready}\n{UNTIL_GO}") as trial,
    ):
        process = trial.start()
        trial.begun()
        go = trial.folder / "one" / "go"
        until(go.with_name("ready").exists)
        fill()
        go.with_name("ready").rename(go)
        trial.end(process, 0, 1)
        free()
        trial.run()
        whole += trial.figures(DONE)
    return whole


# ── the table

FAULTS = {
    "submitter killed at each of its steps": submitter_killed,
    "controller frozen during sbatch": controller_frozen,
    "controller killed right after sbatch": controller_killed,
    "slurmd killed, its job alive and requeued": slurmd_killed,
    "slurmd killed, its job done and requeued": slurmd_killed_and_done,
    "accounting down for the whole run": accounting_down,
    "two submitters at once": two_submitters,
    "watcher killed and restarted": watcher_killed,
    "node killed": node_killed,
    "node killed, and tried again by itself": node_killed_unattended,
    "job cancelled from outside": cancelled_outside,
    "job that never starts": never_starts,
    "job unknown to squeue and sacct": unknown_to_all,
    "inodes exhausted in the run folder": inodes_exhausted,
}
_COLUMNS = ("trials", "at once", "after one done", "wrong ends", "unresolved", "endless", "")


def row(name, lab):
    """Do one fault, and print its row. Returns whether it holds."""
    began = time.monotonic()
    lab.up()
    why = ""
    try:
        figures = FAULTS[name](lab)
    except Exception as error:
        # The other rows are worth seeing all the same.
        figures, why = Figures(), f"{type(error).__name__}: {error}"
    finally:
        lab.up()
        lab.cancel_all()
    good = figures.good and not why
    told = (
        figures.trials,
        figures.at_once,
        figures.after_done,
        figures.wrong,
        figures.unresolved,
        figures.endless,
    )
    cells = [*("–" if why else str(figure) for figure in told), "holds" if good else "SHORT"]
    print(_line(name, cells), f" {time.monotonic() - began:4.0f} s", flush=True)
    if why:
        print(f"    {why}", flush=True)
    return good


def _line(name, cells):
    return f"{name:42}" + "".join(
        f"  {cell:>{max(6, len(title))}}" for cell, title in zip(cells, _COLUMNS, strict=True)
    )


def main():
    """Print the table. Exit code 1 when a row falls short, 77 where no Slurm can be started."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("faults", nargs="*", help="only rows with one of these words; default: all")
    words = parser.parse_args().faults
    names = [name for name in FAULTS if not words or any(word in name for word in words)]
    os.umask(0)
    lab = Lab()
    try:
        lab.up()
        print(_line("fault", _COLUMNS), flush=True)
        short = [name for name in names if not row(name, lab)]
    except CannotError as error:
        print(error, file=sys.stderr)
        return 77
    finally:
        lab.down()
    print(
        f"{len(names) - len(short)} of {len(names)} hold"
        + (f"; short: {', '.join(short)}" if short else "")
    )
    return 1 if short or not names else 0


if __name__ == "__main__":
    sys.exit(main())
