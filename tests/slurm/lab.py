"""A real Slurm for tests: started once, ended with them; jobs are an ordinary user's."""

import os
import secrets
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from watchkeeper.schedulers.base import Job
from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.schedulers.shell import Here, as_user
from watchkeeper.schedulers.slurm.scheduler import SlurmScheduler
from watchkeeper.schedulers.wrapper import render
from watchkeeper.schedulers.wrapper.names import wrapper_name

SCRIPTS = Path(__file__).parents[2] / "scripts" / "slurm"
USER = "wkuser"
# What scripts/slurm/up.sh ends with where it cannot be done.
CANNOT = 77


class CannotError(Exception):
    """No Slurm can be started here; the message says what is missing."""


def until(condition, seconds=60.0, pause_s=0.05):
    """Poll until the condition holds; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(pause_s)
    return value


class Lab:
    """One cluster below a folder of its own. Its user's commands go through `shell`, an
    administrator's through `root`.
    """

    def __init__(self, *, light=False):
        self.light = light
        self.folder = Path(tempfile.mkdtemp(prefix="watchkeeper-slurm-"))
        self.conf = self.folder / "etc" / "slurm.conf"
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/",
            "LANG": "C.UTF-8",
            "SLURM_CONF": str(self.conf),
        }

    def up(self):
        """Start what is down."""
        command = [
            SCRIPTS / "up.sh",
            "--for",
            str(os.getpid()),
            *(["--light"] if self.light else []),
            self.folder,
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, start_new_session=True
        )
        if done.returncode == CANNOT:
            raise CannotError(done.stderr.strip())
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"

    @property
    def shell(self):
        """Runs commands as the ordinary user."""
        return Here(prefix=as_user(USER), environment=self.environment)

    def down(self):
        """End every daemon and every job, and remove the folder."""
        if any(self.folder.iterdir()):
            subprocess.run([SCRIPTS / "down.sh", self.folder], check=True)
        else:  # it never came up
            self.folder.rmdir()

    def scheduler(self, **options):
        """A scheduler that submits here as the ordinary user."""
        return SlurmScheduler(self.shell, user=USER, **options)

    def workspace(self):
        """A new folder that the user can read and write, and what is made in it too (this process's
        umask is 0).
        """
        folder = Path(tempfile.mkdtemp(prefix="work-", dir=self.folder))
        folder.chmod(0o777)
        return folder

    def root(self, *argv):
        """An administrator's command; its output."""
        done = subprocess.run(
            argv, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def cancel_all(self):
        """End the user's jobs."""
        self.root("scancel", f"--user={USER}")

    def pid(self, daemon):
        """The pid of `slurmctld`, `slurmdbd`, `slurmd-n1` and so on."""
        return int((self.folder / "pid" / daemon).read_text())

    def signal(self, daemon, number):
        """Send a signal to a daemon."""
        os.kill(self.pid(daemon), number)

    def stop(self, daemon):
        """End a daemon, and wait until it is gone; `up` starts it again."""
        pid = self.pid(daemon)
        os.kill(pid, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{pid}").exists())


def write_settings(folder, text):
    """Settings that are read whatever the umask: nobody but their owner can write them."""
    path = folder / "watchkeeper.toml"
    path.write_text(text)
    path.chmod(0o644)


def make_job(root, source, *, token="", shell="#!/bin/bash", gap_s=0.0):
    """A wrapped job whose script lies, and runs, in `root/exp`; jobs there begin `gap_s` seconds
    apart.
    """
    token = token or secrets.token_hex(8)
    attempt = root / "exp" / ".watchkeeper" / secrets.token_hex(4) / "1"
    attempt.mkdir(parents=True)
    script = attempt / "script"
    script.write_text(f"{shell}\n{source}")
    path = attempt / wrapper_name(token)
    head = read_head(script)
    starts = root / "exp" / ".watchkeeper" / "starts"
    made = {
        "attempt_folder": attempt,
        "script": script,
        "token": token,
        "scheduler": "slurm",
        "lag_s": 1.0,
    }
    path.write_bytes(render.render(head, **made, starts=starts, gap_s=gap_s))
    return Job(wrapper=path, folder=root / "exp", name="train.slurm", token=token)
