"""The rules for metrics that hold in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.query.ranking import Ranking, Rankings, joined


@pytest.fixture(autouse=True)
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own settings, of which there are none yet."""
    home = tmp_path / "config" / "watchkeeper"
    home.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.parent))
    return home


def test_the_nearest_file_rules_and_the_users_own_rules_come_first(
    tmp_path: Path, config_home: Path
) -> None:
    """Both files count together; where both name a metric the user's own says what holds."""
    deep = tmp_path / "lab" / "runs" / "a"
    deep.mkdir(parents=True)
    (tmp_path / "lab" / "watchkeeper.toml").write_text(
        "[metrics]\nagreement = 'max'\ndepth = 'max'\n"
    )
    (config_home / "config.toml").write_text("[metrics]\ndepth = 'min'\n")
    rankings = Rankings()
    inside, outside = rankings.of(deep), rankings.of(tmp_path)
    assert (inside.better("agreement"), inside.better("depth")) == ("more", "less")
    assert (outside.better("agreement"), outside.better("depth")) == ("", "less")
    assert not rankings.problems


def test_a_file_that_cannot_be_read_rules_nothing_and_is_a_problem(tmp_path: Path) -> None:
    """Listing goes by the names, and the mistake is named with its file, once."""
    (tmp_path / "watchkeeper.toml").write_text("[metrics]\nagreement = 'largest'\n")
    rankings = Rankings()
    assert rankings.of(tmp_path / "a").better("agreement") == ""
    assert rankings.of(tmp_path / "b").better("val_loss") == "less"
    (problem,) = rankings.problems
    assert "metrics.agreement = 'largest': it must be 'max' or 'min'" in problem.message


def test_runs_under_rules_that_contradict_have_no_better_end() -> None:
    """No run leads where one folder says more and another says less."""
    both = joined([Ranking({"depth": "max"}), Ranking({"depth": "min"})])
    assert both.better("depth") == "" and both.better("val_loss") == "less"
