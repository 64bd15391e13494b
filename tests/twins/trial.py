"""One trial of the twin table: a tool, one piece of work, and a folder that all of it lies in."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.slurm.lab import USER, Lab, until
from tests.twins.count import Counts, judge, read_executions
from tests.twins.tools import DONE, PROGRAMS, REFUSED, Tool
from watchkeeper.schedulers.base import TERMINAL
from watchkeeper.schedulers.shell import as_user

COMMANDS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo", "sacctmgr", "srun")
# For what must happen, on a machine that has other work too.
PATIENCE_S = 240.0
# How long a person waits for one command before Ctrl-C; and asks again before giving the work up.
COMMAND_S = 90.0
SETTLE_S = 180.0
PAUSE_S = 2.0
CLOCK = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


class Trial:
    """A project folder of one tool, Slurm's commands for it, and where the work writes down that it
    ran.
    """

    def __init__(self, lab: Lab, tool: Tool, number: int) -> None:
        self.lab = lab
        self.tool = tool
        self.number = number
        self.folder = lab.workspace()
        self.project = self.folder / "project"
        self.done = False
        self.processes: list[subprocess.Popen[bytes]] = []
        for name in ("bin", "results", "home"):
            (self.folder / name).mkdir()
        shutil.copy(PROGRAMS / "work.sh", self.folder)
        shim = (
            (PROGRAMS / "shim.sh")
            .read_text()
            .replace("@CONF@", str(lab.conf))
            .replace("@TRIAL@", str(self.folder))
        )
        for name in COMMANDS:
            (self.folder / "bin" / name).write_text(shim)
            (self.folder / "bin" / name).chmod(0o755)
        tool.prepare(self.folder, self.project)
        for path in [self.folder, *self.folder.rglob("*")]:
            shutil.chown(path, USER, USER)
            path.chmod(path.stat().st_mode & 0o755)

    # ── what a person does ──

    def start(
        self, *, project: Path | None = None, recover: bool = False, clock_s: int = 0
    ) -> subprocess.Popen[bytes]:
        """Type the tool's command in the background, on a machine whose clock is `clock_s` seconds
        wrong.
        """
        folder = project or self.project
        environment = self.lab.environment | {
            "PATH": f"{self.folder}/bin:{self.lab.environment['PATH']}",
            "HOME": str(self.folder / "home"),
            "USER": USER,
            "LOGNAME": USER,
            "WATCHKEEPER_STATE_DIR": str(self.lab.folder / "user-state"),
        }
        words = self.tool.command(self.folder, folder, recover=recover)
        if clock_s:
            # The clock alone: no timers, and no times of files, which are the file server's. The
            # library is the user's own from the start: its semaphore belongs to who loads it.
            clock = [f"LD_PRELOAD={CLOCK}", f"FAKETIME={clock_s:+d}", "NO_FAKE_STAT=1"]
            words = ["env", *clock, "FAKETIME_DONT_FAKE_MONOTONIC=1", *words]
        with (self.folder / f"output-{len(self.processes)}").open("wb") as output:
            process = subprocess.Popen(
                # Ctrl-C works also where this runs in the background of a script.
                ["env", "--default-signal=INT", *as_user(USER), *words],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes], seconds: float = PATIENCE_S) -> int:
        """Wait for its end, and press Ctrl-C where it does not come. Returns the exit code."""
        for number in (signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=seconds)
            process.send_signal(number)
        return process.wait()

    def interrupt(self, process: subprocess.Popen[bytes]) -> None:
        """Press Ctrl-C."""
        process.send_signal(signal.SIGINT)
        self.end(process, 60.0)

    def copy(self) -> Path:
        """`cp -a` of the project's folder."""
        other = self.folder / "copy"
        subprocess.run(["cp", "-a", self.project, other], check=True)
        return other

    def settle(
        self,
        first: subprocess.Popen[bytes] | None = None,
        *,
        project: Path | None = None,
        clock_s: int = 0,
    ) -> None:
        """Do what a person does after a fault: wait for the `first` command, then type it again
        until the tool says that the work is done. Where it does not, and no job of the work is in
        the queue: the tool's documented recovery.
        """
        deadline = time.monotonic() + SETTLE_S
        if first is not None:
            self.end(first, COMMAND_S)
        while (code := self._ask(project, clock_s)) not in (
            DONE,
            REFUSED,
        ) and time.monotonic() < deadline:
            time.sleep(PAUSE_S)
        if project is None:
            self.done = code == DONE

    def _ask(self, project: Path | None, clock_s: int) -> int:
        code = self.end(self.start(project=project, clock_s=clock_s), COMMAND_S)
        if code in (DONE, REFUSED) or self.live():
            return code
        return self.end(self.start(project=project, clock_s=clock_s, recover=True), COMMAND_S)

    def go(self) -> None:
        """Let the work end."""
        (self.folder / "go").touch()

    # ── what is done to it ──

    def harm(self, fault: str) -> None:
        """The next submission has this fault of programs/shim.sh."""
        (self.folder / "fault").write_text(fault)
        shutil.chown(self.folder / "fault", USER, USER)

    def long(self) -> None:
        """The work lasts until `go`."""
        (self.folder / "wait").touch()

    # ── what is there ──

    def jobs(self) -> list[str]:
        """The ids of the jobs that Slurm took, oldest first."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "jobs").read_text().split()
        return []

    def live(self) -> list[str]:
        """Those of them that have not ended."""
        states = queue(self.lab)
        return [job for job in self.jobs() if states.get(job, "COMPLETED") not in TERMINAL]

    def taken(self) -> str:
        """Wait until Slurm has taken a job; its id."""
        return until(self.jobs, PATIENCE_S)[0]

    def written(self) -> str:
        """What the executions wrote down."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "executions").read_text()
        return ""

    def begun(self, number: int = 1, seconds: float = PATIENCE_S) -> None:
        """Wait until so many executions have begun."""
        until(lambda: len(read_executions(self.written())) >= number, seconds)

    def quiet(self) -> None:
        """Wait until nothing of it can run any more."""
        until(lambda: not (self.folder / "pending").exists() and not self.live(), PATIENCE_S, 1.0)

    def counts(self) -> Counts:
        """What became of it."""
        return judge(self.written(), done=self.done)

    def close(self) -> None:
        """End what it started."""
        for process in self.processes:
            process.kill()
            process.wait()


def queue(lab: Lab) -> dict[str, str]:
    """Job id → state, of the user's jobs that squeue shows."""
    rows = lab.root(
        "squeue", "--noheader", f"--user={USER}", "--states=all", "--format=%i %T"
    ).split()
    return dict(zip(rows[::2], rows[1::2], strict=True))
