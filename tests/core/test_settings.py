"""Settings: four places in rising precedence, and a clear word for each mistake."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from watchkeeper.core.disk.ownership import distrust
from watchkeeper.core.errors import UsageError
from watchkeeper.core.settings import distrusted, load

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="giving a file to another user takes root"
)


def test_each_place_beats_the_one_before_it(tmp_path: Path) -> None:
    """Repository file, user file, environment, flag: the later says what holds."""
    user = tmp_path / "config" / "watchkeeper"
    user.mkdir(parents=True)
    experiment = tmp_path / "repository" / "deep" / "experiment"
    experiment.mkdir(parents=True)
    (tmp_path / "repository" / "watchkeeper.toml").write_text(
        "slots = 1\ncap = 1\npoll_s = 1\ngate = 'each'\n"
    )
    (user / "config.toml").write_text("slots = 2\ncap = 2\npoll_s = 2\n")
    environment = {
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "WATCHKEEPER_SLOTS": "3",
        "WATCHKEEPER_CAP": "3",
    }
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
        ("metrics = 1", "metrics is no table"),
        ("[metrics]\nf = 'up'", "metrics.f = 'up': it must be 'max' or 'min'"),
        ("poll_s = " + "9" * 5000, "is not TOML"),
        ("slots = " + "[" * 5000, "is not TOML"),
    ],
)
def test_a_mistake_names_its_file_and_what_is_wrong(
    tmp_path: Path, text: str, message: str
) -> None:
    """What does not parse, is unknown or has a wrong value is refused with the file's path."""
    (tmp_path / "watchkeeper.toml").write_text(text)
    with pytest.raises(UsageError, match=r"watchkeeper\.toml") as caught:
        load(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("POLL_S", "abc", "WATCHKEEPER_POLL_S=abc: it must be a number"),
        ("CAP", "1.5", "WATCHKEEPER_CAP=1.5: it must be a whole number"),
        ("CAP", "-1", "WATCHKEEPER_CAP=-1: cap is -1, and cannot be negative"),
        ("GATE", "both", "WATCHKEEPER_GATE=both: it must be 'all' or 'each'"),
        ("QUEUE_AHEAD", "maybe", "WATCHKEEPER_QUEUE_AHEAD=maybe: it must be true or false"),
    ],
)
def test_a_mistake_in_a_variable_names_it_as_it_was_typed(
    tmp_path: Path, variable: str, value: str, words: str
) -> None:
    """The message has the variable and its value, and what it must be instead."""
    environment = {"XDG_CONFIG_HOME": str(tmp_path), f"WATCHKEEPER_{variable}": value}
    with pytest.raises(UsageError) as caught:
        load(tmp_path, environment)
    assert str(caught.value) == words


def test_a_mistake_in_a_flag_names_it_as_it_was_typed(tmp_path: Path) -> None:
    """The message has the flag, and not the setting's name alone."""
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    with pytest.raises(UsageError, match=r"^--poll -1: poll_s is -1\.0, and cannot"):
        load(tmp_path, environment, poll_s=-1.0)
    with pytest.raises(UsageError, match=r"^--cap -2: "):
        load(tmp_path, environment, cap=-2)


def settings_of(owner: int, mode: int, folder: Path) -> Path:
    """A settings file of this owner in the folder."""
    path = folder / "watchkeeper.toml"
    path.write_text("notify = 'touch mark'\n")
    os.chown(path, owner, 0)
    path.chmod(mode)
    return path


@needs_root
def test_a_settings_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """What another user wrote above an experiment is never obeyed, and the message says how to
    allow it.
    """
    path = settings_of(12345, 0o644, tmp_path)
    with pytest.raises(UsageError, match="belongs to the user with the id 12345") as caught:
        load(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path / "config")})
    assert str(path) in str(caught.value)
    assert "trusted_folders" in caught.value.hint


@needs_root
def test_a_command_that_only_looks_leaves_such_a_file_out(tmp_path: Path) -> None:
    """A look at a colleague's experiment works, without the colleague's settings, and says so."""
    settings_of(12345, 0o644, tmp_path)
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert load(tmp_path, environment, acts=False).notify == ()
    problem = distrusted(tmp_path, environment)
    assert problem is not None
    assert problem.severity == "warning"


@needs_root
@pytest.mark.parametrize("given", ["file", "environment"])
def test_a_folder_can_be_trusted(tmp_path: Path, given: str) -> None:
    """A folder that the user names in a file of their own, or in the environment, is trusted
    whoever owns it.
    """
    (tmp_path / "lab" / "exp").mkdir(parents=True)
    settings_of(12345, 0o644, tmp_path / "lab")
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    if given == "file":
        (tmp_path / "watchkeeper").mkdir()
        (tmp_path / "watchkeeper" / "config.toml").write_text(
            f"trusted_folders = ['{tmp_path / 'lab'}']\n"
        )
    else:
        environment["WATCHKEEPER_TRUSTED_FOLDERS"] = f"/nowhere:{tmp_path / 'lab'}"
    assert load(tmp_path / "lab" / "exp", environment).notify == "touch mark"
    assert distrusted(tmp_path / "lab" / "exp", environment) is None


def test_a_shared_file_cannot_trust_itself(tmp_path: Path) -> None:
    """`trusted_folders` in the file beside the experiment is an error: it is for the user's own
    settings.
    """
    (tmp_path / "watchkeeper.toml").write_text("trusted_folders = ['/']\n")
    with pytest.raises(UsageError, match="your own settings"):
        load(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path / "config")})


@needs_root
def test_a_user_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """The user's settings must belong to the user, even under sudo with another user's HOME."""
    (tmp_path / "watchkeeper").mkdir()
    path = settings_of(12345, 0o644, tmp_path / "watchkeeper")
    path.rename(path.with_name("config.toml"))
    with pytest.raises(UsageError, match="belongs to the user with the id 12345"):
        load(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)})


@needs_root
@pytest.mark.parametrize(
    ("owner", "mode", "environment", "why"),
    [
        (0, 0o644, {}, ""),
        (0, 0o664, {}, ""),  # root's group is root's own
        (0, 0o646, {}, "can be written by everybody"),
        (12345, 0o644, {"SUDO_UID": "12345"}, ""),
        (12345, 0o644, {"SUDO_UID": "12346"}, "belongs to the user with the id 12345"),
        (12345, 0o644, {"SUDO_UID": "nobody"}, "belongs to the user with the id 12345"),
    ],
)
def test_who_is_trusted(
    tmp_path: Path, owner: int, mode: int, environment: dict[str, str], why: str
) -> None:
    """This user, root, and the one who typed sudo are trusted, as long as nobody else can write the
    file.
    """
    assert distrust(settings_of(owner, mode, tmp_path), environment) == why


@needs_root
def test_a_group_of_several_users_is_not_private(tmp_path: Path) -> None:
    """A file that a group can write is trusted only if the group is the owner's own."""
    path = settings_of(0, 0o664, tmp_path)
    os.chown(path, 0, 54321)
    assert distrust(path, {}) == "can be written by the group with the id 54321"


@needs_root
def test_a_link_is_judged_as_well_as_its_file(tmp_path: Path) -> None:
    """A link of another user's to a file of mine is another user's choice of what I obey."""
    path = settings_of(0, 0o644, tmp_path)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    os.chown(link, 12345, 0, follow_symlinks=False)
    assert distrust(link, {}) == "belongs to the user with the id 12345"


def test_a_number_of_any_length_is_a_message(tmp_path: Path) -> None:
    """A number of more digits than Python reads is told with its file, and is no traceback."""
    (tmp_path / "watchkeeper.toml").write_text(f"poll_s = {'9' * 5000}\n")
    with pytest.raises(UsageError, match=r"watchkeeper\.toml"):
        load(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path / "config")})
