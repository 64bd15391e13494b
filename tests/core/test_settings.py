"""Settings: four places in rising precedence, and a clear word for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.core.errors import UsageError
from watchkeeper.core.settings import load


def test_each_place_beats_the_one_before_it(tmp_path: Path) -> None:
    """Repository file, user file, environment, flag: the later says what holds."""
    user = tmp_path / "config" / "watchkeeper"
    user.mkdir(parents=True)
    experiment = tmp_path / "repository" / "deep" / "experiment"
    experiment.mkdir(parents=True)
    (tmp_path / "repository" / "watchkeeper.toml").write_text("slots = 1\ncap = 1\npoll_s = 1\ngate = 'each'\n")
    (user / "config.toml").write_text("slots = 2\ncap = 2\npoll_s = 2\n")
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "WATCHKEEPER_SLOTS": "3", "WATCHKEEPER_CAP": "3"}
    settings = load(experiment, environment, slots=4, cap=None)
    assert (settings.gate, settings.poll_s, settings.cap, settings.slots) == ("each", 2.0, 3, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slots = [", "is not TOML"),
        ("slots = 'many'", "slots"),
        ("slots = 0", "slots is 0"),
        ("poll_s = -1", "poll_s is -1"),
        ("gate = 'both'", "gate"),
        ("slot = 1", "unknown setting 'slot'"),
    ],
)
def test_a_mistake_names_its_file_and_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    """What does not parse, is unknown or has a wrong value is refused with the file's path."""
    (tmp_path / "watchkeeper.toml").write_text(text)
    with pytest.raises(UsageError, match=r"watchkeeper\.toml") as caught:
        load(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert message in str(caught.value)
