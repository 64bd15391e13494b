"""A package has its name only when it is whole; what is refused is refused before anything is
written.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.publish.package.packages import STORY, make_package, make_source, plan_of
from tests.publish.vouched import fails
from watchkeeper.core import journal
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import UnsignedAllowed
from watchkeeper.core.events.choose import of_kind
from watchkeeper.publish.package.check import check_package
from watchkeeper.publish.package.contents import BadCheckpointError
from watchkeeper.publish.package.pages import card, hub
from watchkeeper.publish.package.record import path_of
from watchkeeper.publish.package.staging import (
    NotStagedError,
    Request,
    half_of,
    make_plan,
    stage,
)
from watchkeeper.publish.package.story import Source
from watchkeeper.publish.package.transfer import NoRoomError
from watchkeeper.publish.signing import keys
from watchkeeper.publish.signing.signers import signer_of

GIB = 2**30


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A signed checkpoint of a run."""
    return make_source(tmp_path / "run")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where a package goes."""
    return tmp_path / "package"


def test_the_state_of_the_trainer_goes_in_where_it_is_asked_for(
    source: Source, target: Path
) -> None:
    """It lies in a folder of its own, and the package still holds."""
    make_package(source, target, request=Request(with_optimizer=True))
    assert (target / "checkpoints/200/optimizer/optimizer.pt").read_bytes() == b"state"
    assert fails(check_package(target)) == set()


def test_the_passport_of_the_package_leads_back(source: Source, target: Path) -> None:
    """It names the paths of the package, the passport that it was made from, and the journal."""
    make_package(source, target)
    passport = json.loads((target / "MODEL_PASSPORT.json").read_text())
    (weights,) = passport["weight_integrity"]["weight_files"]
    assert weights["path"] == "checkpoints/200/params/model.safetensors"
    origin = passport["provenance"]
    assert origin["run_log_path"] == "TRAINING_LOG.md"
    assert len(origin["source_passport_sha256"]) == 64 and origin["journal_chain"]["writers"]


def test_a_package_that_a_key_signed_is_proved_by_the_key(
    source: Source, target: Path, tmp_path: Path
) -> None:
    """With the public key the signatures hold; with another key they do not."""
    key = keys.generate(tmp_path / "key.pem", None)
    other = keys.generate(tmp_path / "other.pem", None)
    make_package(source, target, key=key)
    checks = check_package(target, signers=(signer_of("Ada", key.public),))
    assert fails(checks) == set()
    assert any("all files signed by Ada" in check.message for check in checks)
    assert "signature" in fails(check_package(target, signers=(signer_of("Eve", other.public),)))


def test_a_package_without_a_key_is_not_proved(
    source: Source, target: Path, tmp_path: Path
) -> None:
    """Where a signer is asked for, attribution is not enough."""
    key = keys.generate(tmp_path / "key.pem", None)
    make_package(source, target)
    assert "signature" in fails(check_package(target, signers=(signer_of("Ada", key.public),)))


def test_a_soft_signal_keeps_the_reason_of_the_checkpoint(tmp_path: Path, target: Path) -> None:
    """What the person said of the checkpoint stands in the package too, unless it says more."""
    source = make_source(tmp_path / "soft", soft=True)
    staged = make_package(source, target)
    assert staged.signoff.verdict in ("pass", "soft_signal")
    assert staged.signoff.verdict_reason == "the log is short"
    other = make_package(source, tmp_path / "other", request=Request(reason="it is a test"))
    assert other.signoff.verdict_reason == "it is a test"


# ── what is refused


def test_a_checkpoint_that_nobody_signed_is_refused(tmp_path: Path, target: Path) -> None:
    """The refusal names the command that signs it, and nothing is written."""
    source = make_source(tmp_path / "run", is_signed=False)
    with pytest.raises(NotStagedError) as refusal:
        plan_of(source, target)
    assert f"watchkeeper checkpoint sign {source.root}" in str(refusal.value)
    assert "--allow-unsigned" in str(refusal.value) and "elsewhere" not in str(refusal.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_an_unsigned_checkpoint_that_was_allowed_is_an_event(tmp_path: Path, target: Path) -> None:
    """The run's journal keeps that it was staged all the same, and why it was not signed."""
    source = make_source(tmp_path / "run", is_signed=False)
    make_package(source, target, request=Request(allow_unsigned=True))
    events = journal.read(source.folder / ".watchkeeper/journal").events
    (event,) = of_kind(events, UnsignedAllowed)
    assert (event.key, event.path) == ("r8", "step_200") and "SIGNOFF.json" in event.why


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_target_that_is_there_is_kept(source: Source, target: Path, kind: str) -> None:
    """A file, a folder with other files and a link are refused and stay as they are."""
    if kind == "file":
        target.write_text("mine")
    elif kind == "folder":
        target.mkdir()
        (target / "mine").touch()
    else:
        target.symlink_to(source.root)
    with pytest.raises(UsageError, match="is there already"):
        plan_of(source, target)


def test_an_empty_folder_is_taken(source: Source, target: Path) -> None:
    """A folder that was made for the package is no reason to refuse."""
    target.mkdir()
    make_package(source, target)
    assert (target / "README.md").is_file()


@pytest.mark.parametrize("place", ["package", "no/folder"])
def test_a_target_where_no_package_can_be_is_refused(source: Source, place: str) -> None:
    """Inside the checkpoint, and in a folder that is not there."""
    with pytest.raises(UsageError):
        plan_of(source, source.root / place)


def test_a_full_filesystem_is_refused_first(
    source: Source, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room is looked at before anything is written, and the refusal says how much is needed."""
    with pytest.raises(NoRoomError, match=r"has 1\.0 KiB of room"):
        make_plan(source, target, Request(), room=lambda folder: 1024)
    assert not half_of(target).exists()


def test_a_checkpoint_of_30_gib_is_planned_without_reading_it(source: Source, target: Path) -> None:
    """Its size and the time that hashing takes are known first; the file has no bytes at all."""
    with (source.root / "model-2.safetensors").open("wb") as file:
        file.truncate(30 * GIB)
    plan = plan_of(source, target, Request(allow_unsigned=True))
    assert plan.contents.size_bytes > 30 * GIB and plan.hashing_s > 1
    assert plan.copy_bytes == 0


def test_a_checkpoint_of_a_trainer_alone_is_refused(source: Source, target: Path) -> None:
    """Where no weights of a model are, the refusal says what is there."""
    (source.root / "model.safetensors").unlink()
    with pytest.raises(BadCheckpointError) as refusal:
        plan_of(source, target, Request(allow_unsigned=True))
    assert "export the weights" in refusal.value.hint


def test_a_secret_among_the_files_stops_the_package(source: Source, target: Path) -> None:
    """A file that cannot be searched is refused; the package has no name, and can be made later."""
    (source.root / "notes.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(NotStagedError) as refusal:
        make_package(source, target)
    assert [one.where for one in refusal.value.checks] == ["checkpoints/200/params/notes.txt"]
    assert not target.exists() and not path_of(target).exists()
    (source.root / "notes.txt").unlink()
    make_package(source, target)
    assert fails(check_package(target)) == set() and not list(target.rglob("notes.txt"))


def test_a_name_that_the_hub_cannot_have_is_refused(source: Source, target: Path) -> None:
    """What is declared has the form that the Hub asks for."""
    for declared in (hub.Declared(base_model="llama"), hub.Declared(datasets=("a/b/c",))):
        with pytest.raises(UsageError, match="no name on the Hub"):
            plan_of(source, target, Request(declared=declared))


# ── runs of every kind


def test_a_run_without_evaluations_says_so(source: Source, target: Path) -> None:
    """The card and the log say that there are none, and there are no files of results."""
    make_package(source, target, story=msgspec.structs.replace(STORY, results=()))
    for name in ("README.md", "TRAINING_LOG.md"):
        assert card.NO_RESULTS in (target / name).read_text()
    assert not (target / ".eval_results").exists()


def test_a_run_without_a_log_gets_one_of_what_was_recorded(source: Source, target: Path) -> None:
    """Its settings, its losses and its evaluations make up the training log."""
    make_package(source, target, story=msgspec.structs.replace(STORY, run_log=""))
    log = (target / "TRAINING_LOG.md").read_text()
    assert "lr: `0.01`" in log and "| 200 | 0.12 | 0.3 |" in log


# ── interruptions


@pytest.mark.parametrize("moment", range(0, 16, 3))
def test_a_death_leaves_a_whole_package_or_none(source: Source, target: Path, moment: int) -> None:
    """Killed at any write, the command leaves nothing under the package's name, or all of it; typed
    again, it goes on and ends with the same files.
    """
    plan = plan_of(source, target)
    status = _killed_at(moment, lambda: stage(plan, STORY, Request()))
    if target.exists():
        assert fails(check_package(target)) == set()
        return
    assert status == signal.SIGKILL
    half = half_of(target)
    assert not half.exists() or fails(check_package(half))
    make_package(source, target)
    assert fails(check_package(target)) == set() and not half.exists()


def _killed_at(moment: int, work: Callable[[], object]) -> int:
    """Run in a child that is killed before its write number `moment`; the signal, 0 for none."""
    child = os.fork()
    if child == 0:
        count = 0

        def kill_there(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            if event not in ("os.rename", "os.link", "os.truncate"):
                return
            if count == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

        import sys

        sys.addaudithook(kill_there)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def test_what_an_earlier_call_of_other_weights_left_is_not_used(
    tmp_path: Path, source: Source, target: Path
) -> None:
    """A half-made package of another checkpoint is made anew."""
    other = make_source(tmp_path / "other-run")
    (other.root / "notes.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(NotStagedError):
        make_package(other, target)
    make_package(source, target)
    assert fails(check_package(target)) == set()


def test_two_commands_do_not_make_one_package(source: Source, target: Path) -> None:
    """The second is refused while the first is at work."""
    import fcntl

    half = half_of(target)
    with half.with_name(f"{half.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another command"):
            make_package(source, target)
