"""The fence, and the names of losses."""

from __future__ import annotations

import pickle

import pytest

import watchkeeper as wk
from watchkeeper.integrations.fence import fenced
from watchkeeper.integrations.recording import Recording
from watchkeeper.runfolder.losses import rename_losses


@fenced
def raises(error):
    raise error


def test_an_exception_is_held_back_and_a_stop_passes(tmp_path):
    """The fence holds every Exception, says it once, and lets `Interrupted` and KeyboardInterrupt
    through.
    """
    with wk.start_run(folder=tmp_path, pipeline="t", console=False):
        assert raises(ValueError("planted")) is None and raises(OSError("again")) is None
        for stop in (wk.Interrupted(143), KeyboardInterrupt()):
            with pytest.raises(type(stop)):
                raises(stop)
    log = (tmp_path / "logs/run.log").read_text()
    assert log.count("raises failed, and goes unrecorded") == 1


@pytest.mark.filterwarnings("error")
def test_the_fence_holds_where_warnings_are_errors():
    """With `python -W error` and no run, an error of ours still ends nothing."""
    assert raises(ValueError("planted")) is None


def test_losses_get_their_common_names():
    """The first usual name is renamed; a metric that has the common name already stays as it is."""
    assert rename_losses({"train_loss": 1, "eval_loss": 2, "lr": 3}) == {
        "loss": 1,
        "val_loss": 2,
        "lr": 3,
    }
    assert rename_losses({"train_loss": 1, "loss": 2}) == {"train_loss": 1, "loss": 2}


def test_a_recording_in_another_process_has_not_begun(tmp_path):
    """Copied or sent, it takes no run with it: a launcher that pickles a trainer is not stopped by
    us.
    """
    recording = Recording("test")
    recording.begin(tmp_path)
    copy = pickle.loads(pickle.dumps(recording))
    assert copy.run is None and recording.run is not None
    recording.end()
