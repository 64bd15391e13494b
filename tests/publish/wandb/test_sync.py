"""What a sync would send, whom it asks, and what counts as arrived."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.publish.wandb.files import begin, end, framed, header, row, write_run
from tests.publish.wandb.server import FakeServer
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.tokens import Token
from watchkeeper.publish.wandb import staging
from watchkeeper.publish.wandb.calling import LocalWandb
from watchkeeper.publish.wandb.offline import grouped, wandb_files
from watchkeeper.publish.wandb.plan import RUNNING_S, RunPlan, SyncPlan, marker_of, plan_sync
from watchkeeper.publish.wandb.server import (
    DEFAULT_URL,
    Held,
    Server,
    ask,
    server_from,
    version_of_server,
)
from watchkeeper.publish.wandb.sync import Syncer, judge
from watchkeeper.publish.wandb.token import find_token
from watchkeeper.show.cli import main

KEY = "k" * 40
STARTED = 1_770_000_000
RUN = ("ent", "proj", "abc")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that takes everything."""
    with FakeServer().serving() as fake:
        yield fake


@pytest.fixture
def token(tmp_path: Path) -> Token:
    """A key in a file that only its owner reads."""
    path = tmp_path / "token"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    return Token(path, KEY)


def planned(folder: Path, **settings: object) -> SyncPlan:
    """The plan for all runs in a folder."""
    runs, _ = grouped(wandb_files(folder))
    return plan_sync(runs, entity="ent", project="proj", **settings)


def only(plan: SyncPlan) -> RunPlan:
    """The one run of a plan."""
    (run,) = plan.runs
    return run


def test_a_plan_says_what_is_sent_and_ignores_the_runs_own_target(tmp_path):
    """Rows, bytes and segments are counted; the project the run was begun for is only shown."""
    first = write_run(tmp_path, begin(project="old", entity="e"), row(0, {"a": 1}), end())
    again = begin(started_s=STARTED + 9, resume=True)
    second = write_run(tmp_path, again, row(1, {"a": 2}), end(), name="2")
    plan = planned(tmp_path)
    run = only(plan)
    assert (plan.entity, plan.project, run.rows, run.refusal) == ("ent", "proj", 2, "")
    assert run.folders == (first.parent, second.parent)
    assert run.bytes == first.stat().st_size + second.stat().st_size


@pytest.mark.parametrize(("version", "is_named"), [("0.24.0+abc", True), ("0.24.1", False)])
def test_a_version_that_loses_rows_is_named_in_the_plan(tmp_path, version, is_named):
    """What such a version logged may be incomplete before anything is sent."""
    path = write_run(tmp_path, begin(), row(0, {"a": 1}), end())
    path.write_bytes(framed([header(version), begin(), row(0, {"a": 1}), end()]))
    run = only(planned(tmp_path))
    assert ("wandb 0.24.0, which may have lost rows" in run.remark) == is_named
    words = ("-e", "ent", "-p", "proj", "--dry-run")
    result = CliRunner().invoke(main, ["wandb", "sync", str(tmp_path), *words])
    assert ("may have lost rows" in result.output) == is_named and run.refusal == ""


@pytest.mark.parametrize(("age_s", "is_sent"), [(RUNNING_S - 1, False), (RUNNING_S, True)])
def test_a_run_that_is_still_written_is_not_sent(tmp_path, age_s, is_sent):
    """Without an end, a file that changed lately belongs to a run under way."""
    path = write_run(tmp_path, begin(), row(0, {"a": 1}))
    run = only(planned(tmp_path, now_s=path.stat().st_mtime + age_s))
    assert (run.refusal == "") == is_sent
    assert is_sent or "still running" in run.refusal


def test_two_runs_with_one_id_are_not_sent_as_one(tmp_path):
    """Segments whose times overlap are two runs: sending them would mix their rows."""
    write_run(tmp_path, begin(), row(0, {"a": 1}, STARTED + 100), end(), name="1")
    write_run(tmp_path, begin(started_s=STARTED + 50), row(0, {"a": 2}), end(), name="2")
    assert "two runs have this id" in only(planned(tmp_path)).refusal


def test_a_run_begun_anew_under_its_id_is_not_sent(tmp_path):
    """Without `resume` W&B puts the later segment's rows over those of the first: both are kept."""
    write_run(tmp_path, begin(), row(0, {"a": 1}), end(), name="1")
    write_run(tmp_path, begin(started_s=STARTED + 9), row(0, {"a": 2}), end(), name="2")
    assert "begun anew" in only(planned(tmp_path)).refusal
    assert only(planned(tmp_path / "wandb" / "offline-run-2")).refusal == ""


def test_a_later_segment_alone_is_not_sent(tmp_path):
    """The server would call a run whole that lacks the rows of the segment before it."""
    first, later = "20260311_150100-abc", "20260311_150200-abc"
    one = write_run(tmp_path, begin(resume=True), row(0, {"a": 1}), end(), name=first)
    again = begin(started_s=STARTED + 9, resume=True)
    two = write_run(tmp_path, again, row(1, {"a": 2}), end(), name=later)
    assert f"it continues {one.parent}" in only(planned(two.parent)).refusal
    assert only(planned(one.parent)).refusal == only(planned(tmp_path)).refusal == ""


def test_what_was_synced_before_is_sent_only_when_asked_for(tmp_path):
    """W&B's marker keeps a run from being sent twice; `again` sends it."""
    path = write_run(tmp_path, begin(), row(0, {"a": 1}), end())
    marker_of(path).touch()
    assert "synced before" in only(planned(tmp_path)).refusal
    assert only(planned(tmp_path, again=True)).refusal == ""
    copy = only(planned(tmp_path, is_copy=True))
    assert (copy.refusal, copy.is_marked) == ("", False)


@pytest.mark.parametrize(
    ("held", "marked", "ended", "outcome", "why"),
    [
        (Held(exists=True, rows=2), True, True, "synced", ""),
        (Held(exists=True, rows=2), False, True, "unknown", "has not marked"),
        (Held(exists=True, rows=1), True, True, "failed", "holds 1 of 2 rows"),
        (Held(exists=True, rows=3), True, True, "failed", "holds 3 rows, and the run has 2"),
        (Held(exists=True, rows=None), True, True, "unknown", "does not say how many"),
        (Held(), True, True, "failed", "no such run"),
        (Held(fault="it answered 500"), True, True, "unknown", "it answered 500"),
        (Held(exists=True, rows=0), False, False, "failed", "did not end in time"),
    ],
)
def test_only_the_marker_and_the_servers_rows_together_are_synced(
    tmp_path, held, marked, ended, outcome, why
):
    """Every other evidence is a failure or unknown, with its reason."""
    path = write_run(tmp_path, begin(), row(0, {"a": 1}), row(1, {"a": 2}), end())
    if marked:
        marker_of(path).touch()
    plan = planned(tmp_path, again=True)
    output = "wandb: Syncing\nwandb: ERROR it broke, key sk-12345678901234567890\nwandb: done"
    sent = judge(only(plan), plan, Server("http://h"), held, ended=ended, output=output)
    assert sent.outcome == outcome and why in sent.why
    assert "sk-1" not in sent.why and (sent.url != "") == held.exists
    assert (sent.why == "") == (outcome == "synced")


def test_a_server_says_what_it_holds(server, token):
    """No such run, a run with its rows, and one whose rows it does not count."""
    place = Server(server.url)
    assert ask(place, token, *RUN, timeout_s=5) == Held()
    server.begin(*RUN)
    server.take_rows(RUN, 0, ["{}", "{}"])
    assert ask(place, token, *RUN, timeout_s=5) == Held(exists=True, rows=2, state="running")
    server.fault = "no-count"
    assert ask(place, token, *RUN, timeout_s=5).rows is None


def test_a_server_says_its_version(server, token):
    """A server of one's own says it; W&B's own, an old one and one that fails do not."""
    place = Server(server.url)
    assert version_of_server(place, token, timeout_s=5) == "0.76.1"
    server.version = ""
    assert version_of_server(place, token, timeout_s=5) == ""
    for fault in ("old", "500", "close"):
        server.fault = fault
        assert version_of_server(place, token, timeout_s=5) == ""


def test_a_server_without_the_fields_is_called_old(server, token):
    """A field that it does not know is no riddle of codes: what to do is said."""
    server.fault = "old"
    assert "too old" in ask(Server(server.url), token, *RUN, timeout_s=5).fault


def test_nothing_is_sent_to_a_server_that_is_too_old(server, token, tmp_path):
    """Its version and the one that is needed are said before anything is sent."""
    server.version = "0.69.2"
    write_run(tmp_path, begin(), row(0, {"a": 1}), end())
    wandb = LocalWandb(["false"], "0.31.0")
    syncer = Syncer(Server(server.url), token, wandb, timeout_s=5, settle_s=0, ask_s=5)
    (sent,) = syncer.sync(planned(tmp_path))
    assert sent.outcome == "failed" and server.requests == 1
    assert "the server is W&B 0.69.2, and wandb 0.31.0 needs 0.70.0 or later" in sent.why


@pytest.mark.parametrize("fault", ["401", "403", "404", "500", "hang", "close"])
def test_a_server_that_fails_is_no_evidence(server, token, fault):
    """Every failure is an answer with its reason, within its time, and never an exception."""
    server.fault = fault
    held = ask(Server(server.url), token, *RUN, timeout_s=0.3)
    assert held.fault and not held.exists
    assert held.is_refused == (fault in ("401", "403"))
    assert KEY not in held.fault


def test_a_server_that_is_not_there_or_speaks_otherwise_is_no_evidence(server, token, monkeypatch):
    """A closed port, and an answer of another form, say nothing about a run."""
    assert "no answer" in ask(Server("http://127.0.0.1:9"), token, *RUN, timeout_s=5).fault
    monkeypatch.setattr(server, "answer", lambda *_: {"project": [1]})
    assert "form" in ask(Server(server.url), token, *RUN, timeout_s=5).fault


def test_the_address_of_a_server(monkeypatch):
    """A flag comes before the variable, and that before W&B's own; pages of W&B lie elsewhere."""
    monkeypatch.setenv("WANDB_BASE_URL", "https://lab.example/")
    assert server_from(None).url == "https://lab.example"
    assert server_from("http://x").page_of("e", "p", "r") == "http://x/e/p/runs/r"
    monkeypatch.delenv("WANDB_BASE_URL")
    assert server_from(None).page_of("e", "p", "r") == "https://wandb.ai/e/p/runs/r"
    assert server_from(None).url == DEFAULT_URL
    with pytest.raises(UsageError, match="no address"):
        server_from("lab.example")


def test_a_key_is_found_and_never_shown(tmp_path, monkeypatch, token):
    """The given file, else ~/.wandb_token, else ~/.wandb_key; a newline is no part of it."""
    assert find_token(token.path).key == KEY
    assert KEY not in repr(token) and KEY not in f"{token}"
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError, match="no W&B key"):
        find_token(None)
    os.link(token.path, tmp_path / ".wandb_key")
    assert find_token(None).path == tmp_path / ".wandb_key"
    other = tmp_path / ".wandb_token"
    other.write_text("o" * 40)
    other.chmod(0o600)
    assert find_token(None).key == "o" * 40


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        (KEY, 0o644, "others can read"),
        (KEY, 0o620, "others can read"),
        ("", 0o600, "holds no W&B key"),
        ("two words", 0o600, "holds no W&B key"),
        ("ключ", 0o600, "holds no W&B key"),
    ],
)
def test_a_key_that_cannot_be_trusted_is_refused(tmp_path, text, mode, message):
    """A file that others read, or that holds no key, is named, and its content is not."""
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(UsageError, match=message) as error:
        find_token(path)
    assert not text or text not in str(error.value)


def test_a_key_that_is_no_file_is_refused(tmp_path):
    """A folder, and nothing at all."""
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="W&B key"):
            find_token(path)


def test_only_staged_copies_are_listed_and_removed(tmp_path):
    """History, media, a folder of the user's with a like name and what a link leads to stay."""
    path = write_run(tmp_path, begin(), end())
    kept = [path, tmp_path / "artifacts" / "staging" / "mine", path.parent / "files" / "media"]
    for one in kept[1:]:
        one.parent.mkdir(parents=True)
        one.write_text("x")
    place = path.parent / "wandb_data" / "artifacts" / "staging"
    place.mkdir(parents=True)
    (place / "copy").write_text("12345")
    (place / "link").symlink_to(kept[1])
    (listed,) = staging.staging_of(path.parent)
    assert (listed.files, listed.bytes) == ((place / "copy",), 5)
    (place / "copy").unlink()
    (place / "copy").symlink_to(kept[1])
    assert staging.remove(listed) == 0
    (place / "copy").unlink()
    (place / "copy").write_text("123")
    assert staging.remove(listed) == 3 and not (place / "copy").exists()
    assert all(one.exists() for one in kept)


def call(*words: object) -> tuple[int, dict[str, object]]:
    """The exit code and the answer of `wandb sync`."""
    result = CliRunner().invoke(main, ["wandb", "sync", *map(str, words), "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_nothing_is_sent_without_a_target_or_a_yes(tmp_path, server):
    """Entity and project must be named, a generic project is refused, and no answer is no."""
    write_run(tmp_path, begin(project="old", entity="e"), row(0, {"a": 1}), end())
    target = ("-e", "ent", "--server", server.url)
    for words, message in (
        (("-p", "proj"), "--entity"),
        (("-e", "ent"), "--project"),
        ((*target, "-p", "test", "--yes"), "is generic"),
        ((*target, "-p", "proj"), "nothing was sent"),
    ):
        code, answer = call(tmp_path, *words)
        assert code == 2 and message in answer["summary"]
    assert server.requests == 0


def test_a_dry_run_shows_the_plan_and_asks_nobody(tmp_path, server):
    """It needs no key, and ends with 0."""
    write_run(tmp_path, begin(), row(0, {"a": 1}), end())
    words = ("-e", "ent", "-p", "proj", "--server", server.url, "--dry-run")
    code, answer = call(tmp_path, *words)
    assert code == 0 and "1 run would be sent" in answer["summary"] and server.requests == 0
    result = CliRunner().invoke(main, ["wandb", "sync", str(tmp_path), *words])
    assert f"To ent/proj at {server.url}" in result.output and "abc: 1 row," in result.output


def test_rows_that_the_server_has_are_not_sent_again(tmp_path, server, token):
    """A run of this id that the server holds already, and W&B has not marked, is left alone."""
    write_run(tmp_path, begin(), row(0, {"a": 1}), end())
    server.take_rows(RUN, 0, ["{}"])
    words = ("-e", "ent", "-p", "proj", "--server", server.url, "--yes")
    code, answer = call(tmp_path / "wandb", *words, "--wandb-token-file", token.path)
    (run,) = answer["data"]["runs"]
    assert code == 1 and run["outcome"] == "failed" and "already" in run["why"]
    assert server.requests == 2  # its version, and what it holds
    assert answer["data"]["server_version"] == "0.76.1"
