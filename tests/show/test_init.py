"""`watchkeeper init`, as a person types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments import wk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one script."""
    (tmp_path / "train.sh").write_text("#!/bin/bash\n")
    return tmp_path


def test_a_summary_is_written_once_and_can_be_planned(folder):
    """A second time it is refused, with what to type, and the file stays."""
    state = folder / ".state"
    done = wk("init", folder, state=state)
    assert done.returncode == 0 and f"then: watchkeeper plan {folder}" in done.stdout
    text = (folder / "experiment_summary.yaml").read_text()
    assert wk("plan", folder, state=state).returncode == 0
    again = wk("init", folder, state=state)
    assert again.returncode == 2 and "is there already" in again.stderr
    assert (folder / "experiment_summary.yaml").read_text() == text


def test_nothing_is_written_where_one_file_is_in_the_way(folder):
    """A script of a person is never overwritten, and no half of a sweep is left."""
    (folder / "t.sh").write_text("#!/bin/bash\necho {lr}\n")
    (folder / "exp/lr2").mkdir(parents=True)
    (folder / "exp/lr2/finetune.slurm").write_text("mine")
    words = ("init", "sweep", folder / "exp", "--template", folder / "t.sh", "--set", "lr=1,2")
    refused = wk(*words, state=folder / ".state")
    assert refused.returncode == 2 and "lr2/finetune.slurm is there" in refused.stderr
    assert [path.name for path in (folder / "exp").rglob("*") if path.is_file()] == [
        "finetune.slurm"
    ]
    (folder / "exp/lr2/finetune.slurm").unlink()
    done = wk(*words, state=folder / ".state")
    assert done.returncode == 0, done.stderr
    script = folder / "exp/lr2/finetune.slurm"
    assert script.read_text() == "#!/bin/bash\necho 2\n" and script.stat().st_mode & 0o100


def test_options_of_a_sweep_belong_to_a_sweep(folder):
    """Without the word, without a template and with two folders the error shows the right form."""
    state = folder / ".state"
    for words in (
        (folder, "--set", "lr=1"),
        ("sweep", folder, "--set", "lr=1"),
        (folder, "other"),
    ):
        done = wk("init", *words, state=state)
        assert done.returncode == 2 and done.stderr
    assert not (folder / "experiment_summary.yaml").exists()
