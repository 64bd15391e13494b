"""What comes of a run's page on a W&B server: it stands with the attempt that left the run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.experiments import write_experiment
from tests.publish.wandb.files import begin, end, row, write_run
from tests.watch.logs.test_run_logs import keep, log, value
from watchkeeper.core import journal
from watchkeeper.core.events import Synced
from watchkeeper.core.events.choose import of_kind
from watchkeeper.publish.wandb.offline import grouped
from watchkeeper.publish.wandb.plan import SyncPlan, plan_sync
from watchkeeper.publish.wandb.sync import Sent
from watchkeeper.query.compare import compared
from watchkeeper.query.wandb.owners import files_of
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.show.cli import main, write_down
from watchkeeper.show.cli.exchange import sync as command
from watchkeeper.show.cli.exchange.pages import Kept, keep_pages

STARTED = 1_773_241_200
URL = "https://lab.example/ent/proj/runs/{}"
# The first attempt leaves the run `aaa` and fails, the second leaves `bbb`.
LEAVE = """
number=$([ -e tried ] && echo 2 || echo 1); touch tried
mkdir -p wandb && cp -r {made}/$number/wandb/. wandb/
[ $number = 2 ] || exit 1
"""


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment whose one training was tried twice, and left a run of W&B each time."""
    place = tmp_path_factory.mktemp("pages")
    for number, name in enumerate(("aaa", "bbb"), 1):
        records = (begin(name, STARTED + number), row(0, {"loss": number}), end(2 - number))
        folder = f"20260311_15000{number}-{name}"
        write_run(place / "made" / str(number), *records, run_id=name, name=folder)
    folder = write_experiment(
        place / "exp", runs=("r1",), tasks=(), body=LEAVE.format(made=place / "made")
    )
    keep(folder, FakeScheduler())
    assert keep(folder, FakeScheduler(), retry_failed=True)
    return folder


@pytest.fixture
def folder(tried: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The experiment, as its watch left it: in its own place, since a copy is refused. The process
    that watched it was this one, and watches no more.
    """
    monkeypatch.setattr(write_down, "watched_by", lambda _: None)
    kept = tmp_path / "kept"
    shutil.copytree(tried, kept, symlinks=True)
    yield tried
    shutil.rmtree(tried)
    shutil.copytree(kept, tried, symlinks=True)


def sent(*names: str, outcome: str = "synced") -> list[Sent]:
    """What came of runs that were sent."""
    return [
        Sent(run_id=name, outcome=outcome, rows=1, url=URL.format(name))  # type: ignore[arg-type]
        for name in names
    ]


def planned(path: Path) -> SyncPlan:
    """The plan for what a path means."""
    runs, _ = grouped(files_of(path))
    return plan_sync(runs, entity="ent", project="proj")


def keep_of(folder: Path, *names: str, public: bool = False) -> Kept:
    """Write down the pages of these runs of the experiment."""
    return keep_pages(planned(folder), sent(*names), [folder], public=public)


def test_before_a_sync_the_log_names_the_run_and_how_to_sync_it(folder):
    """The newest attempt's run is local, and the command that sends it is typed as it stands."""
    page = log(folder, "r1.md")
    local = value(page, "wandb", "local")
    assert local.endswith("wandb/offline-run-20260311_150002-bbb")
    expected = f"watchkeeper wandb sync --entity ENTITY --project PROJECT {local}"
    assert value(page, "wandb", "synced") == f"pending — run {expected}"


def test_each_attempt_gets_its_own_page(folder):
    """The page of a run stands in the block of the attempt that left it, in no other, and the
    newest also under W&B; a person's notes stay.
    """
    path = next((folder / "run_logs").glob("*_r1.md"))
    path.write_text(path.read_text().replace("- notes: pending", "- notes: flat after 400"))
    kept = keep_of(folder, "aaa", "bbb")
    assert [(one.key, one.attempt) for one in kept.owners] == [("r1", 1), ("r1", 2)]
    assert kept.shown == (folder,) and kept.problems == ()
    page = log(folder, "r1.md")
    assert [value(page, "job", "wandb", at) for at in (0, 1)] == [
        URL.format("aaa"),
        URL.format("bbb"),
    ]
    assert value(page, "wandb", "synced") == URL.format("bbb")
    assert value(page, "wandb", "notes") == "flat after 400"
    result = CliRunner().invoke(main, ["check", str(folder)])
    assert result.exit_code == 0, result.output
    linted = CliRunner().invoke(main, ["lint", str(folder)]).output
    assert "WK701" not in linted and "WK702" not in linted


def test_a_run_that_did_not_arrive_leaves_no_page(folder):
    """Only evidence of the server is written down."""
    kept = keep_pages(planned(folder), sent("bbb", outcome="unknown"), [folder])
    assert kept == Kept()
    assert value(log(folder, "r1.md"), "wandb", "synced").startswith("pending")


def test_a_public_copy_stands_beside_the_first(folder):
    """Both pages are in the attempt's block and under W&B, each by its own name."""
    keep_of(folder, "bbb")
    keep_pages(planned(folder), sent("bbb"), [folder], public=True)
    page = log(folder, "r1.md")
    assert value(page, "job", "wandb_public", 1) == URL.format("bbb")
    assert value(page, "wandb", "public") == value(page, "wandb", "synced") == URL.format("bbb")
    assert value(page, "job", "wandb_public", 0) == "(none)"


def test_while_a_watcher_keeps_the_logs_the_page_is_journalled(folder, monkeypatch):
    """The watcher writes the log; the page is in the journal for it."""
    monkeypatch.setattr(write_down, "watched_by", lambda _: object())
    kept = keep_of(folder, "bbb")
    assert kept.shown == () and len(kept.owners) == 1
    assert value(log(folder, "r1.md"), "wandb", "synced").startswith("pending")


def test_a_page_that_cannot_be_written_down_is_said(folder, monkeypatch):
    """The sync stands, and the address is named with what to do."""
    monkeypatch.setattr(write_down, "other_owner", lambda _: "anna")
    (problem,) = keep_of(folder, "bbb").problems
    assert "belongs to anna" in problem.message and URL.format("bbb") in problem.hint


def test_a_run_that_lies_elsewhere_is_brought_to_its_experiment(folder, tmp_path):
    """An offline run of nobody's is passed over; nothing is written anywhere."""
    write_run(tmp_path / "other", begin("zzz"), row(0, {"a": 1}), end(), run_id="zzz")
    other = tmp_path / "other" / "wandb"
    assert keep_pages(planned(other), sent("zzz"), [other]) == Kept()
    assert keep_pages(planned(other), sent("zzz"), [folder]) == Kept()


def test_compare_takes_the_figures_of_the_last_attempt_alone(folder):
    """What W&B kept of an earlier attempt is not shown as the later one's, and its name says where
    it is from.
    """
    (side,) = compared([folder]).runs
    assert side.metrics == {"W&B train_loss": 2}


@pytest.fixture
def arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run that is sent arrives; those of the project `lost` do not."""

    class Arrives:
        """A syncer without a server."""

        server_version = "0.76.1"
        wandb_version = "0.31.0"

        def __init__(self, *_: object, **__: object) -> None: ...

        def sync(self, plan: SyncPlan) -> list[Sent]:
            outcome = "failed" if plan.project == "lost" else "synced"
            return sent(*(run.run_id for run in plan.ready), outcome=outcome)

    monkeypatch.setattr(command, "Syncer", Arrives)
    monkeypatch.setattr(command, "find_token", lambda _: None)
    monkeypatch.setattr(command, "local_wandb", list)


def synced_of(folder: Path) -> list[tuple[str, int, bool]]:
    """The pages in the journal: id, attempt, whether it is public."""
    events = of_kind(journal.read(folder / ".watchkeeper/journal").events, Synced)
    return sorted((one.id, one.attempt, one.public) for one in events)


def test_the_command_says_where_the_page_stands(folder, arrives):
    """A sync of a job's own run names the attempt, and the log it is in."""
    local = value(log(folder, "r1.md"), "wandb", "local")
    words = ["wandb", "sync", "--entity", "ent", "--project", "proj", str(folder / local), "--yes"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "the page is in its run log: exp r1 attempt 2" in result.output
    assert synced_of(folder) == [("bbb", 2, False)]


@pytest.mark.parametrize(
    ("project", "code", "pages_kept"),
    [("shown", 0, [("bbb", 2, False), ("bbb", 2, True)]), ("lost", 1, [("bbb", 2, False)])],
)
def test_a_public_copy_stands_on_its_own_evidence(folder, arrives, project, code, pages_kept):
    """The second copy is planned, sent and judged by itself: where it fails, the first stays
    synced, the command fails, and no public page is written down.
    """
    local = folder / value(log(folder, "r1.md"), "wandb", "local")
    (local / "run-bbb.wandb.synced").touch()
    words = ["wandb", "sync", str(local), "-e", "ent", "-p", "proj", "--again", "--yes", "--json"]
    result = CliRunner().invoke(main, [*words, "--public-project", project])
    answer = json.loads(result.stdout)
    assert result.exit_code == code and synced_of(folder) == pages_kept
    (run,) = answer["data"]["public_runs"]
    assert run["outcome"] == ("synced" if code == 0 else "failed")
    assert (answer["data"]["public_project"], answer["counts"]["not sent"]) == (project, 0)


def test_a_public_copy_is_announced_with_what_it_holds(folder):
    """The plan names both targets, and says of the second what becomes public."""
    local = folder / value(log(folder, "r1.md"), "wandb", "local")
    words = ["wandb", "sync", str(local), "-e", "ent", "-p", "proj", "--dry-run"]
    result = CliRunner().invoke(main, [*words, "--public-project", "shown"])
    assert "To ent/proj at" in result.output and "To ent/shown at" in result.output
    assert "host, paths, command line and output are in it" in result.output
    refused = CliRunner().invoke(main, [*words[:-1], "--yes", "--public-project", "test"])
    assert refused.exit_code == 2 and "'test' is generic" in refused.output


def test_an_unknown_cluster_is_refused_before_anything_is_sent(folder, monkeypatch):
    """The error names it and how to write it down."""
    monkeypatch.setattr(command, "find_token", lambda _: None)
    local = folder / value(log(folder, "r1.md"), "wandb", "local")
    words = ["wandb", "sync", str(local), "-e", "ent", "-p", "proj", "--yes", "--cluster", "lab"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and "no cluster is called 'lab'" in result.output
