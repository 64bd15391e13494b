"""`wandb sync --cluster` as a user calls it: wandb itself, behind a real ssh."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.publish.wandb import faults
from tests.publish.wandb.server import FakeServer
from tests.slurm.lab import until
from tests.sshd import sshd_of

WANDB = """#!/bin/sh
exec {python} -m wandb "$@"
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose settings name the cluster `lab`, behind an sshd on this machine, where alone
    `wandb` is on the PATH.
    """
    there = tmp_path / "there"
    there.mkdir()
    (there / "wandb").write_text(WANDB.format(python=sys.executable))
    (there / "wandb").chmod(0o755)
    user = pwd.getpwuid(os.geteuid()).pw_name
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    path = {"PATH": f"{there}:{os.defpath}"}
    with sshd_of(user, keys, path) as programs:
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        work = tmp_path / "work"
        work.mkdir()
        (work / "watchkeeper.toml").write_text('[clusters.lab]\nkind = "slurm"\nssh = "lab"\n')
        yield work


def sync(work: Path, server: FakeServer, *, timeout_s: float) -> tuple[int, dict[str, str]]:
    """The exit code of a sync by the cluster, and what came of the run. The key is not shown."""
    token = work / "token"
    token.write_text(faults.KEY)
    token.chmod(0o600)
    words = [sys.executable, "-m", "watchkeeper", "wandb", "sync", "wandb", "--json", "--yes"]
    words += ["-e", "ent", "-p", "proj", "--server", server.url, "--cluster", "lab"]
    words += ["--wandb-token-file", token, "--timeout", str(timeout_s)]
    done = subprocess.run(words, cwd=work, capture_output=True, text=True, check=False)
    assert faults.KEY not in done.stdout + done.stderr
    data = json.loads(done.stdout)["data"]
    assert data["wandb_version"] and data["server_version"] == server.version
    (run,) = data["runs"]
    return done.returncode, run


def test_a_run_arrives_from_the_cluster(lab: Path) -> None:
    """All rows are on the server once, and W&B has marked the run in the folder that both see."""
    faults.plain(lab)
    with FakeServer().serving() as server:
        code, run = sync(lab, server, timeout_s=600)
        assert (code, run["outcome"], run["why"]) == (0, "synced", "")
        assert len(server.rows[faults.RUN]) == 20 and server.repeated == 0
    assert list(lab.rglob("*.wandb.synced"))


@pytest.mark.skipif(shutil.which("timeout") is None, reason="no coreutils here")
def test_a_server_that_hangs_leaves_no_process_on_the_cluster(lab: Path) -> None:
    """After its time wandb is ended there, and nothing is called synced."""
    faults.plain(lab)
    with FakeServer().serving() as server:
        server.fault, server.fault_after = "hang", 2
        code, run = sync(lab, server, timeout_s=5)
        assert code in (1, 4) and run["outcome"] in ("failed", "unknown")
        until(lambda: not _processes_with(str(lab / "wandb")), 300.0)


def _processes_with(word: str) -> list[bytes]:
    """The command lines that hold a word, of all processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes())
        except OSError:
            continue
    return [line for line in lines if os.fsencode(word) in line]
