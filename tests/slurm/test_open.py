"""`run --open` on a real cluster: the page shows the job's steps while the job runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from tests.experiments import write_experiment
from tests.show.test_open import LOSSES, Session, servers_of
from tests.slurm.lab import USER, Lab, until, write_settings
from watchkeeper.schedulers.shell import as_user


@pytest.fixture
def session(slurm_lab: Lab) -> Iterator[Session]:
    """A person's session on a machine that submits to the cluster, in a folder that its nodes
    see.
    """
    slurm_lab.up()
    made = Session(slurm_lab.workspace())
    made.environment |= slurm_lab.environment | {"PATH": os.environ["PATH"]}
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()
    for pid in servers_of(made.folder):
        os.kill(pid, 9)
    slurm_lab.cancel_all()


def experiment_in(place: Path) -> Path:
    """An experiment of one training, which prints three losses and waits for the file `go`."""
    folder = write_experiment(place / "exp", tasks=(), body=LOSSES)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777)
    prefix = ", ".join(f'"{word}"' for word in as_user(USER))
    cluster = f'kind = "slurm"\nuser = "{USER}"\ncommand_prefix = [{prefix}]\n'
    write_settings(
        folder,
        f'cluster = "lab"\npoll_s = 5\nstagger_s = 0\n[clusters.lab]\n{cluster}'
        "visibility_lag_s = 1\n",
    )
    return folder


def test_the_page_shows_a_cluster_job_while_it_runs(session: Session) -> None:
    """The browser is given the page of the experiment; the job's step and loss are on it before
    the job has ended.
    """
    folder = experiment_in(session.folder)
    process = session.start("run", str(folder), "--open")
    address = urlsplit(session.opened(process))
    assert address.path == "/e/exp"
    browser = build_opener(HTTPCookieProcessor())
    browser.open(address.geturl(), timeout=300).read()
    page = f"http://{address.netloc}/api/1/experiment/exp"

    def progress() -> dict[str, float] | None:
        assert process.poll() is None
        rows = json.loads(browser.open(page, timeout=300).read())["data"]["running"]
        found: dict[str, float] = rows[0]["progress"] if rows else {}
        return found if found.get("step") == 3 else None

    seen = until(progress, 300)
    assert (seen["total"], seen["loss"]) == (9, 0.3)
    (folder / "one" / "go").touch()
    assert process.wait(300) == 0
