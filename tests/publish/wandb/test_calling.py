"""`wandb` as a program, here and on a cluster."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from watchkeeper.core.errors import UsageError
from watchkeeper.publish.wandb import calling
from watchkeeper.publish.wandb.calling import LocalWandb, RemoteWandb, local_wandb, remote_wandb
from watchkeeper.schedulers.shell import Here, Ssh

KEY = "k" * 40
SAYS = """#!/bin/sh
[ "$1" = --version ] && { echo "wandb, version ${VERSION:-0.31.0}"; exit; }
echo "called $* at $WANDB_BASE_URL in $PWD key $WANDB_API_KEY"
[ "$1" = hang ] && sleep 600
echo late >&2
"""
SSH = """#!/bin/sh
echo "$@" >> {log}
for line; do :; done
exec sh -c "$line"
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the PATH with a `wandb`, and an `ssh` that runs the line here and notes it."""
    for name, text in (("wandb", SAYS), ("ssh", SSH.format(log=tmp_path / "typed"))):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize("where", ["here", "there"])
def test_the_key_is_known_to_wandb_and_shown_nowhere(programs, where):
    """It reaches the program, stands on no command line, and is struck out of what was printed;
    the program works in a folder that is gone afterwards.
    """
    wandb = LocalWandb(["wandb"], "0.31.0") if where == "here" else remote_wandb(Ssh("lab"), "lab")
    ended, output = wandb.run(["sync", "a b"], url="http://x", key=KEY, timeout_s=600)
    assert ended and "called sync a b at http://x" in output and "late" in output
    assert KEY not in output and "key <redacted>" in output
    place = output.partition(" in ")[2].partition(" key")[0]
    assert place != str(Path.cwd()) and not Path(place).exists()
    typed = programs / "typed"
    assert not typed.exists() or KEY not in typed.read_text()
    assert typed.exists() == (where == "there")


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_wandb_that_hangs_is_ended(programs, where):
    """After its time it is over, and what it had printed is kept."""
    here, there = LocalWandb(["wandb"], "0.31.0"), RemoteWandb(Ssh("lab"), "0.31.0")
    wandb = here if where == "here" else there
    ended, output = wandb.run(["hang"], url="http://x", key=KEY, timeout_s=1)
    assert not ended and "called hang" in output


def test_a_cluster_that_is_not_reached_or_lacks_wandb_is_said(programs, monkeypatch):
    """Each with the cluster's name, and what to do."""
    (programs / "wandb").unlink()
    with pytest.raises(UsageError, match="not installed on lab"):
        remote_wandb(Here(environment={"PATH": str(programs)}), "lab")
    (programs / "ssh").write_text(
        "#!/bin/sh\necho 'Permission denied (publickey).' >&2; exit 255\n"
    )
    with pytest.raises(UsageError, match=r"lab is not reached: Permission denied") as error:
        remote_wandb(Ssh("lab"), "lab")
    assert "clusters.lab" in error.value.hint


@pytest.mark.parametrize(
    ("version", "message"), [("0.29.1", "wandb 0.29.1 is installed"), ("none", "gives no version")]
)
def test_a_wandb_that_is_too_old_is_refused(programs, monkeypatch, version, message):
    """Here and there, before anything is sent."""
    monkeypatch.setenv("VERSION", version)
    monkeypatch.setattr(calling.importlib.util, "find_spec", lambda _: None)
    for find in (local_wandb, lambda: remote_wandb(Ssh("lab"), "lab")):
        with pytest.raises(UsageError, match=message):
            find()


def test_wandb_of_this_python_comes_before_one_on_the_path(programs):
    """Both are called the same way; without either it is said how to get it."""
    assert local_wandb()._command == [sys.executable, "-m", "wandb"]


def test_without_wandb_it_is_said_how_to_get_it(programs, monkeypatch):
    """No package and no program."""
    monkeypatch.setattr(calling.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="not installed here"):
        local_wandb()
