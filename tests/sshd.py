"""A real sshd on 127.0.0.1 for the tests of what goes through ssh, and an `ssh` that knows it as
any destination.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.slurm.lab import until
from watchkeeper.schedulers.shell import as_user

_CONFIG = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
SetEnv {variables}
"""
CLIENT = """#!/bin/sh
exec /usr/bin/ssh -F none -oHostName=127.0.0.1 -p {port} -i {folder}/client -oIdentitiesOnly=yes \\
    -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -oLogLevel=ERROR -l {user} "$@"
"""


def cannot(why: str) -> None:
    """Skip, or fail where it must be possible."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)


def _sshd_in(folder: Path) -> Path:
    """An sshd: the machine's own, else Debian's package unpacked, not installed."""
    if found := shutil.which("sshd", path="/usr/sbin:/usr/local/sbin"):
        return Path(found)
    if shutil.which("apt-get") is None:
        cannot("there is no sshd here, and no apt-get to fetch one")
    for words in (["apt-get", "download", "openssh-server"], ["apt-get", "update", "-qq"]) * 2:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        if packages := list(folder.glob("openssh-server_*.deb")):
            subprocess.run(["dpkg", "-x", packages[0], folder / "package"], check=True)
            return folder / "package/usr/sbin/sshd"
    cannot(f"there is no sshd here: {done.stderr}")
    raise AssertionError


def _prepare_for_root() -> None:
    """What an sshd of root's wants, and Debian's package makes where it is installed: a folder, and
    a user for the part of it that talks to strangers.
    """
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    try:
        pwd.getpwnam("sshd")
    except KeyError:
        words = ["useradd", "--system", "--no-create-home", "--home-dir", "/run/sshd"]
        subprocess.run([*words, "--shell", "/usr/sbin/nologin", "sshd"], check=True)


@contextmanager
def sshd_of(user: str, folder: Path, variables: Mapping[str, str]) -> Iterator[Path]:
    """An sshd for this user, whose commands get these variables, with its keys in `folder`; the
    folder of a program `ssh` that reaches it. Only root can make one for another user.
    """
    if shutil.which("ssh-keygen") is None:
        cannot("there is no ssh here")
    sshd = _sshd_in(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("host", "client"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
        subprocess.run(words, check=True)
    set_there = " ".join(f'"{name}={value}"' for name, value in variables.items())
    config = folder / "sshd_config"
    config.write_text(_CONFIG.format(port=port, folder=folder, variables=set_there))
    programs = folder / "bin"
    programs.mkdir()
    client = programs / "ssh"
    client.write_text(CLIENT.format(folder=folder, port=port, user=user))
    client.chmod(0o755)
    prefix: tuple[str, ...] = ()
    if pwd.getpwnam(user).pw_uid != os.geteuid():
        subprocess.run(["chown", f"{user}:", folder / "host"], check=True)
        prefix = as_user(user)
    elif os.geteuid() == 0:
        _prepare_for_root()
    with (folder / "sshd.log").open("w") as log:
        words = [*prefix, sshd, "-D", "-e", "-f", config]
        server = subprocess.Popen(words, stderr=log)
    asked = [client, "lab", "true"]

    def answers() -> bool:
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    try:
        until(answers, 300.0)
        yield programs
    finally:
        server.terminate()
        server.wait()
