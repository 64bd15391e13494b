"""`watchkeeper serve`: the views in a browser."""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
from pathlib import Path

import click
import msgspec

from watchkeeper.core import processes
from watchkeeper.core.errors import EXIT_OK, UsageError
from watchkeeper.core.processes import ProcessName
from watchkeeper.show.cli.answering import answer, is_quiet
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.keeping.opening import check_extra
from watchkeeper.show.cli.options import stream_options

_NICE = 10


class ServeData(msgspec.Struct, frozen=True, kw_only=True):
    """The first address, with its token; where the server listens; the folders that it shows; and
    its process. `tunnel` is what to type on one's own machine where this one is reached by ssh, ""
    where it is not.
    """

    address: str
    host: str
    port: int
    folders: list[str]
    process: int
    tunnel: str = ""


ANSWERS = (ServeData,)


@click.command("serve")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option("--open", "opens", is_flag=True, help="Open the address in a browser.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    help="Listen on this port. Default: the first free one from 8321 on.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="Listen on this address of the machine; any but its own loopback needs --i-know.",
)
@click.option(
    "--i-know",
    "knows",
    is_flag=True,
    help="Others who reach the address and learn its token can read everything that is shown.",
)
@click.option(
    "--until",
    type=click.IntRange(min=1),
    metavar="PID",
    help="End a minute after this process has ended, once no page is open.",
)
@stream_options
@command_errors
def command(
    *,
    paths: tuple[Path, ...],
    opens: bool,
    port: int | None,
    host: str,
    knows: bool,
    until: int | None,
    as_json: bool,
) -> int:
    """Show what is below folders (default: here) in a browser, live, until Ctrl-C.

    The pages only read. Only this machine reaches them, and only with the address that is printed:
    it carries a token. From elsewhere, tunnel the port through ssh.

    Example: watchkeeper serve artifacts --open
    """
    check_extra()
    from watchkeeper.show.web.serving import Site, is_loopback, listen, open_browser, tunnel_command

    if not is_loopback(host) and not knows:
        raise UsageError(
            f"--host {host} lets other machines in",
            hint="leave it out and tunnel the port through ssh, or add --i-know",
        )
    process = _process(until)
    folders = paths or (Path(),)
    site = Site(folders, listen(host, port))
    address = site.address
    tunnel = ""
    if is_loopback(host):
        connection = os.environ.get("SSH_CONNECTION", "")
        tunnel = tunnel_command(site.listening.port, connection, getpass.getuser())
    if as_json:
        data = ServeData(
            address=address,
            host=host,
            port=site.listening.port,
            folders=[str(folder) for folder in folders],
            process=os.getpid(),
            tunnel=tunnel,
        )
        answer(EXIT_OK, summary=f"The views are at {address}", data=data)
    else:
        _show(address, tunnel)
    sys.stdout.flush()
    if opens and not open_browser(site.address_for_once) and not as_json:
        click.echo("No browser could be opened here: open the address yourself.", err=True)
    if process is not None:
        _step_back()
    site.run(process)
    return EXIT_OK


def _step_back() -> None:
    """Take less of the machine than what is served, which runs on it."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)


def _show(address: str, tunnel: str) -> None:
    """Say where the pages are. `tunnel`: what to type on one's own machine first, "" where nothing
    is.
    """
    if is_quiet():
        click.echo(address)
        return
    click.echo(f"The views are at {address}")
    if tunnel:
        click.echo("You came by ssh. On your own machine, type this, then open the address there:")
        click.echo(f"  {tunnel}")
    click.echo("Ctrl-C ends.")


def _process(pid: int | None) -> ProcessName | None:
    """The process that has this pid; None for None.

    Raises:
        UsageError: there is none.
    """
    if pid is None:
        return None
    process = processes.name_of(pid)
    if process is None:
        raise UsageError(f"--until {pid}: there is no such process", hint="leave it out")
    return process
