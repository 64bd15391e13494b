"""`watchkeeper rm`."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from click.testing import CliRunner

import watchkeeper as wk
from tests.experiments import write_experiment
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core import layout
from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.show.cli import main

TRASH = ".watchkeeper-trash"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def call(*words):
    """The command's result."""
    return CliRunner().invoke(main, [str(word) for word in words])


def record(folder):
    """A recorded run with one row."""
    with wk.start_run(folder=folder, pipeline="training", console=False, sidecar=False) as run:
        run.log(1, loss=0.5)
    return folder


def files_of(folder):
    """Every file below a folder with its bytes."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_run_goes_into_the_trash_beside_it_and_comes_back(tmp_path):
    """Every byte is there, `ls` does not list it, and what is said brings it back."""
    run, other = record(tmp_path / "runs" / "a b"), record(tmp_path / "runs" / "c")
    before = files_of(run)
    result = call("rm", run)
    assert result.exit_code == EXIT_OK and not run.exists()
    assert str(run) not in call("ls", "-q", tmp_path / "runs").stdout
    (moved,) = (tmp_path / "runs" / TRASH).glob("*/a b")
    assert files_of(moved) == before
    (_, back) = result.stdout.splitlines()
    subprocess.run(["sh", "-c", back.partition(": ")[2]], check=True)
    assert files_of(run) == before and other.is_dir()


def test_a_second_run_of_the_same_name_does_not_replace_the_first(tmp_path):
    """Each gets a folder of its own in the trash."""
    for _ in range(2):
        record(tmp_path / "a")
        assert call("rm", tmp_path / "a").exit_code == EXIT_OK
    assert len(list((tmp_path / TRASH).glob("*/a"))) == 2
    told = json.loads(call("rm", record(tmp_path / "b"), "--json").stdout)
    (moved,) = told["data"]["moved"]
    assert moved["back"] == ["mv", moved["trash"], str(tmp_path / "b")]


def refused(code, said, *words):
    """Whether the command refuses, says why, and leaves every folder."""
    result = call("rm", *words)
    return result.exit_code == code and said in result.stderr


def test_what_is_under_way_is_refused(tmp_path):
    """A process that records keeps its folder, whatever is said."""
    folder = tmp_path / "a"
    with wk.start_run(folder=folder, pipeline="training", console=False, sidecar=False) as run:
        run.log(1, loss=0.5)
        assert refused(EXIT_FAILED, "under way", folder, "--force")
    assert folder.is_dir() and not (tmp_path / TRASH).exists()
    assert call("rm", folder).exit_code == EXIT_OK


def test_a_run_that_may_be_under_way_elsewhere_wants_force(tmp_path):
    """Nobody here can tell whether the process of another machine lives."""
    run = record(tmp_path / "a")
    for path in (run / layout.JOURNAL).iterdir():
        lines = path.read_bytes().splitlines(True)[:2]
        opened = json.loads(lines[0]) | {"host": "elsewhere", "boot_id": "another"}
        path.write_bytes(json.dumps(opened).encode() + b"\n" + lines[1])
    assert refused(EXIT_FAILED, "--force", run)
    assert call("rm", run, "--force").exit_code == EXIT_OK


def test_an_experiment_and_what_is_no_run_are_refused(tmp_path):
    """Jobs and results stay; a folder without a journal, and a link, are no runs."""
    folder = write_experiment(tmp_path / "exp")
    assert keep(folder, FakeScheduler(), setting="none")
    assert refused(EXIT_FAILED, "experiment", folder)
    assert refused(EXIT_USAGE, "no recorded run", folder / "one" / "artifacts")
    assert refused(EXIT_USAGE, "no recorded run", tmp_path / "none")
    run = record(tmp_path / "a")
    (tmp_path / "link").symlink_to(run)
    assert refused(EXIT_USAGE, "a link", tmp_path / "link")
    assert run.is_dir() and folder.is_dir()


def test_of_several_all_are_moved_or_none(tmp_path):
    """One that is refused keeps the others where they are."""
    run = record(tmp_path / "a")
    assert refused(EXIT_USAGE, "no recorded run", run, tmp_path / "none")
    assert run.is_dir()
    other = record(tmp_path / "other" / "b")
    (tmp_path / "other" / TRASH).write_text("no folder")
    assert refused(EXIT_FAILED, "not a folder of yours", run, other)
    assert run.is_dir() and other.is_dir()
    record(run / "inner")
    assert refused(EXIT_FAILED, "holds other runs", run)
    assert call("rm", run / "inner").exit_code == EXIT_OK
    assert call("rm", run).exit_code == EXIT_OK


def test_what_a_job_of_an_experiment_recorded_is_refused(tmp_path):
    """Its verdict rests on it."""
    run = record(tmp_path / "a")
    attempt = tmp_path / "exp" / layout.RUNS / "one" / "1"
    attempt.mkdir(parents=True)
    for path in (run / layout.JOURNAL).iterdir():
        text = path.read_text().replace('"pipeline":', f'"attempt":"{attempt}","pipeline":', 1)
        path.write_text(text)
    assert refused(EXIT_FAILED, f"job of {tmp_path}/exp", run)
    assert run.is_dir()


def test_a_trash_that_leads_elsewhere_is_not_used(tmp_path):
    """A link in its place would take the run where its maker chose."""
    run = record(tmp_path / "runs" / "a")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs" / TRASH).symlink_to(tmp_path / "elsewhere")
    assert refused(EXIT_FAILED, "not a folder of yours", run)
    assert run.is_dir() and not os.listdir(tmp_path / "elsewhere")
