"""A cluster that is reached by ssh, a real one, and jobs whose output lies where only the cluster's
machines see it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.experiments import command, env, state_of, write_experiment
from tests.slurm.lab import USER, Lab, until, write_settings
from tests.sshd import CLIENT, sshd_of
from watchkeeper.core import journal
from watchkeeper.core.events import Assessed
from watchkeeper.schedulers import remote_files
from watchkeeper.schedulers.shell import Ssh

TRAIN = """#!/bin/bash
#SBATCH --job-name=one
#SBATCH --output={out}/slurm-%j.out
#SBATCH --time=00:05:00
for step in 1 2 3; do echo "step $step/100 loss 0.$step"; done
until [ -e go ]; do sleep 0.1; done
echo "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
exit 1
"""


@pytest.fixture
def ssh(slurm_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An sshd of the lab's user on 127.0.0.1, and a client that knows it as any destination; the
    folder of both.
    """
    slurm_lab.up()
    folder = slurm_lab.workspace()
    with sshd_of(USER, folder, {"SLURM_CONF": str(slurm_lab.conf)}) as programs:
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        try:
            yield folder
        finally:
            slurm_lab.cancel_all()


def test_what_a_file_has_grown_by_is_read_through_ssh(ssh: Path) -> None:
    """Names with spaces and quotes, bytes of any kind, a file that is not there, one that grew:
    each is told as it is.
    """
    shell, odd = Ssh("lab"), ssh / 'it\'s "odd" $HOME'
    odd.write_bytes(bytes(range(256)))
    large = ssh / "large"
    large.write_bytes(b"x" * 200_000 + b"end")
    seen = remote_files.look(shell, {str(odd): 0, str(ssh / "none"): 5, str(large): 0})
    assert (
        seen is not None
        and seen[str(odd)].data == bytes(range(256))
        and seen[str(ssh / "none")] is None
    )
    assert (
        seen[str(large)].size == 200_003 and len(seen[str(large)].data) == remote_files.MOST_BYTES
    )
    assert seen[str(large)].data.endswith(b"end")
    with odd.open("ab") as file:
        file.write(b"more")
    assert remote_files.look(shell, {str(odd): 256})[str(odd)].data == b"more"
    done = shell.run(
        ["printf", "%s|", "a b", "$HOME", "'"], timeout_s=10, folder=str(ssh), env={"X": "1 2"}
    )
    assert (done.code, done.out) == (0, "a b|$HOME|'|")


def test_a_lost_connection_is_no_answer(ssh: Path) -> None:
    """When ssh itself fails, nothing is concluded: neither that a command was refused nor that a
    file is gone.
    """
    (ssh / "bin" / "ssh").write_text(CLIENT.format(folder=ssh, port=1, user=USER))
    shell = Ssh("lab")
    assert shell.run(["true"], timeout_s=10).timed_out
    assert remote_files.look(shell, {"/etc/hostname": 0}) is None


def test_a_command_on_another_machine_is_a_recorded_run(ssh: Path, tmp_path: Path) -> None:
    """`watchkeeper exec -- ssh vm …` keeps what it printed there, its steps and its exit code."""
    far_away = "for step in 1 2; do echo step $step/2 loss 0.$step; done; exit 7"
    words = command("exec", "--folder", tmp_path / "run", "--", "ssh", "vm", far_away)
    done = subprocess.run(
        words, env=env(tmp_path / "state"), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 7, done.stderr
    assert (
        tmp_path / "run/logs/stdout.log"
    ).read_text() == "step 1/2 loss 0.1\nstep 2/2 loss 0.2\n"
    rows = b"".join(
        path.read_bytes() for path in (tmp_path / "run/.watchkeeper/metrics").glob("*.jsonl")
    )
    assert b'"step":2,"loss":0.2' in rows


def test_a_job_on_a_cluster_behind_ssh_is_watched_by_output_that_is_not_here(
    ssh: Path, slurm_lab: Lab
) -> None:
    """Commands go through ssh; of an output that only the other side sees the watch tells steps,
    losses and the cause.
    """
    root = slurm_lab.workspace()
    folder, out = write_experiment(root / "exp", tasks=()), root / "out"
    out.mkdir(mode=0o777)
    (folder / "one" / "finetune.slurm").write_text(TRAIN.format(out=out))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    settings = (
        f'[clusters.lab]\nkind = "slurm"\nssh = "lab"\nuser = "{USER}"\nvisibility_lag_s = 1\n'
    )
    write_settings(folder, f'cluster = "lab"\npoll_s = 5\nstagger_s = 0\nretries = 0\n{settings}')
    words = command("run", folder)
    hidden = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs tmpfs "$0" && exec "$@"',
        str(out),
        *words,
    ]
    watch = subprocess.Popen(
        hidden,
        env=env(root / "state"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
    )

    def assessed() -> list[Assessed]:
        written = journal.read(folder / ".watchkeeper/journal").events.values()
        return [
            event
            for events in written
            for event in events
            if isinstance(event, Assessed) and event.step is not None
        ]

    try:
        first = until(assessed, 90.0)[0]
        assert (first.health, first.step, first.total, first.loss) == ("advancing", 3, 100, 0.3)
        (folder / "one" / "go").touch()
        printed, _ = watch.communicate(timeout=300)
        assert watch.returncode == 1, printed
    finally:
        watch.kill()
        watch.wait()
    judged = state_of(folder).run("one").attempts[1].judged
    assert (judged.state, judged.cause) == ("FAILED", "memory gpu"), printed
    assert "CUDA out of memory" in judged.why
