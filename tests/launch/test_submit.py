"""Submitting an attempt: what is decided without a scheduler."""

from pathlib import Path

from watchkeeper.core.events import Decision
from watchkeeper.core.layout import attempt_folder
from watchkeeper.launch.submit import note_of


def test_an_attempts_folder_is_below_its_experiment() -> None:
    """Each part of a key is a folder, and an attempt's number never collides with a part."""
    folder = attempt_folder(Path("/exp"), "r8/7/epoch0", 2)
    assert folder == Path("/exp/.watchkeeper/runs/r8/%37/epoch0/2")


def test_the_note_names_every_change_and_the_resumption() -> None:
    """A further attempt's note names what differs from the script; a first attempt has none."""
    again = Decision(
        key="r8",
        phase="training",
        action="retry",
        reason="cuda_oom",
        change={"batch_size": "8"},
        resume_from="out/epoch_0",
    )
    assert note_of(None) == ""
    assert note_of(again) == "batch_size=8 WATCHKEEPER_RESUME_FROM=out/epoch_0"
