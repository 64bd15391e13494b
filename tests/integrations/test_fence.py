"""The fence, what of a configuration is kept, and the names of losses."""

from __future__ import annotations

import pickle
from argparse import Namespace

import pytest

import watchkeeper as wk
from watchkeeper.integrations.fence import fenced
from watchkeeper.integrations.plain import ITEMS, named, settings
from watchkeeper.integrations.recording import Recording


@fenced
def raises(error):
    raise error


def test_an_exception_is_held_back_and_a_stop_passes(tmp_path):
    """The fence holds every Exception, says it once, and lets `Interrupted` and KeyboardInterrupt through."""
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


@pytest.mark.parametrize(
    "name",
    ["hub_token", "token", "api_key", "apiKey", "HF_TOKEN", "aws_secret_access_key", "password", "hfToken", "ssh-key"],
)
def test_what_is_named_like_a_secret_is_left_out(name):
    """Such a field is left out at any depth, whatever its text."""
    assert settings({name: "s3cret", "a": {"b": [{name: "s3cret", "kept": 1}]}}) == {"a": {"b": [{"kept": 1}]}}


@pytest.mark.parametrize("name", ["tokenizer", "keyframes", "monkey", "turkey_legs", "tokenization", "author"])
def test_names_that_only_look_like_secrets_are_kept(name):
    """A tokenizer is no token."""
    assert settings({name: "x"}) == {name: "x"}


def test_settings_are_bounded_and_have_no_logins():
    """Numbers are kept under any name, long values are cut, logins leave addresses, odd objects become text."""

    class Odd:
        def __str__(self):
            raise RuntimeError("no words")

    looped: dict = {}
    looped["self"] = looped
    kept = settings(
        Namespace(
            pad_token_id=3, url="https://me:pw@host/x", list=list(range(10_000)), text="x" * 10_000, odd=Odd(), loop=looped
        )
    )
    assert kept["pad_token_id"] == 3 and kept["url"] == "https://host/x"
    assert len(kept["list"]) == ITEMS + 1 and len(kept["text"]) == 2_000
    assert "Odd" in kept["odd"]
    assert settings(None) == settings("text") == settings([1]) == {}


def test_losses_get_their_common_names():
    """The first usual name is renamed; a metric that has the common name already stays as it is."""
    assert named({"train_loss": 1, "eval_loss": 2, "lr": 3}) == {"loss": 1, "val_loss": 2, "lr": 3}
    assert named({"train_loss": 1, "loss": 2}) == {"train_loss": 1, "loss": 2}


def test_a_recording_in_another_process_has_not_begun(tmp_path):
    """Copied or sent, it takes no run with it: a launcher that pickles a trainer is not stopped by us."""
    recording = Recording("test")
    recording.begin(tmp_path)
    copy = pickle.loads(pickle.dumps(recording))
    assert copy.run is None and recording.run is not None
    recording.end()
