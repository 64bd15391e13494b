"""`publish stage`, `check` and `open` as a person and a program meet them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import watchkeeper as wk_api
from tests.publish.vouched import SIGNED, at, checkpoint
from watchkeeper.core import layout
from watchkeeper.core.events import Synced
from watchkeeper.core.journal import Writer
from watchkeeper.publish.signoff.sign import sign
from watchkeeper.show.cli import main


def wk(*words: str | Path) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, ["publish", *map(str, words)])


def data_of(result: Result) -> dict[str, Any]:
    """The envelope of an answer."""
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run of 100 steps with a signed checkpoint at its end."""
    folder = tmp_path_factory.mktemp("recorded") / "run"
    with wk_api.start_run(
        folder=folder, pipeline="training", config={"lr": 0.01, "note": "a|b"}
    ) as recorded:
        for step in range(1, 101):
            recorded.log(step, loss=10 / step, **({"val_loss": 1.5} if step == 50 else {}))
        root = checkpoint(folder / "step_100")
        recorded.checkpoint(root, training_step=100)
    sign(root, clock=at(SIGNED))
    return folder


def test_a_recorded_run_becomes_a_package(run: Path, tmp_path: Path) -> None:
    """Sizes come first; the card has the recorded rows, the best and the last among them."""
    package = tmp_path / "package"
    done = wk("stage", run, "-o", package)
    assert done.exit_code == 0, done.output
    first, *_, last = done.stdout.splitlines()
    assert first == f"{run}/step_100 → {package}/checkpoints/100: 1 file, 73 bytes"
    assert last == f"Read it first: less {package}/README.md"
    card = (package / "README.md").read_text()
    assert "| 1 | 10 |  |" in card and "| 50 | 0.2 | 1.5 |" in card and "| 100 | 0.1 |  |" in card
    assert "Least train loss 0.1 at step 100" in card and "| `lr` | `0.01` |" in card
    assert "No evaluation of this checkpoint was recorded." in card
    assert (package / "assets/loss.svg").read_text().startswith('<svg xmlns="http://www.w3.org/')
    checked = wk("check", package)
    assert checked.exit_code == 0 and "attribution, not proof" in checked.stdout


def test_the_public_copy_of_a_w_and_b_run_is_linked(run: Path, tmp_path: Path) -> None:
    """Card and training log link the copy that `wandb sync --public-project` made, and never the
    private page.
    """
    folder = shutil.copytree(run, tmp_path / "run")
    writer = Writer(folder / layout.JOURNAL, "wandb sync")
    for name, public in (("hidden", False), ("shown", True)):
        url = f"https://wandb.ai/ada/{name}/runs/seg1"
        kind = {"tool": "wandb", "id": "seg1", "folders": (), "rows": 100}
        writer.write(Synced, **kind, url=url, public=public)
    writer.close()
    package = tmp_path / "package"
    done = wk("stage", folder, "-o", package, "--public-link", "https://example.org/curves")
    assert done.exit_code == 0, done.output
    card = (package / "README.md").read_text()
    assert "Curves: <https://wandb.ai/ada/shown/runs/seg1>." in card
    assert "Curves: <https://example.org/curves>." in card
    assert not [path for path in package.rglob("*.md") if "ada/hidden" in path.read_text()]


def test_the_folder_of_the_checkpoint_leads_to_its_run(run: Path, tmp_path: Path) -> None:
    """A dry run says what would be staged, and writes nothing."""
    done = wk("stage", run / "step_100", "-o", tmp_path / "package", "--dry-run", "--json")
    told = data_of(done)
    assert (done.exit_code, told["counts"]) == (0, {"files": 1})
    assert told["data"]["step"] == "100" and told["data"]["size_bytes"] == 73
    assert told["data"]["record"] is None and list(tmp_path.iterdir()) == []


def test_quiet_prints_the_folder_alone(run: Path, tmp_path: Path) -> None:
    """A script needs nothing else."""
    done = wk("stage", run, "-o", tmp_path / "package", "-q")
    assert done.stdout == f"{tmp_path}/package\n"


def test_a_package_that_was_damaged_ends_with_1(run: Path, tmp_path: Path) -> None:
    """What failed is printed first, and the sign-off is not quoted as if it held."""
    package = tmp_path / "package"
    wk("stage", run, "-o", package, "-q")
    (package / "README.md").write_text("\n")
    checked = wk("check", package)
    assert checked.exit_code == 1 and checked.stdout.startswith("fail: ")
    assert "README.md: it is blank" in checked.stdout and "Signed" not in checked.stdout
    told = data_of(wk("check", package, "--json"))
    assert told["data"]["signoff"] is None and told["data"]["verdict"] == "fail"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "is no folder"),
        (["."], "no run above"),
        ([".", "--run", "."], "has no journal"),
    ],
)
def test_what_is_no_checkpoint_of_a_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    """The refusal says what is missing, and what to type."""
    monkeypatch.chdir(tmp_path)
    done = wk("stage", *words, "-o", "package")
    assert done.exit_code == 2 and message in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_of_several_checkpoints_none_is_chosen(tmp_path: Path) -> None:
    """All of them are named, with the command for one."""
    folder = tmp_path / "run"
    with wk_api.start_run(folder=folder, pipeline="training") as recorded:
        for step in (1, 2):
            recorded.checkpoint(checkpoint(folder / f"step_{step}"), training_step=step)
    done = wk("stage", folder, "-o", tmp_path / "package")
    assert done.exit_code == 2 and f"left 2 checkpoints: {folder}/step_1" in done.stderr
    assert f"watchkeeper publish stage {folder}/step_2 -o DIR" in done.stderr


def test_an_unsigned_checkpoint_ends_with_1(tmp_path: Path) -> None:
    """The command that signs it is printed; a program gets the same as a problem."""
    folder = tmp_path / "run"
    with wk_api.start_run(folder=folder, pipeline="training") as recorded:
        recorded.checkpoint(checkpoint(folder / "step_1"), training_step=1)
    words = ["stage", folder, "-o", tmp_path / "package"]
    done = wk(*words)
    assert done.exit_code == 1 and "watchkeeper checkpoint sign" in done.stderr
    told = data_of(wk(*words, "--json"))
    assert (told["exit_code"], told["problems"][0]["code"]) == (1, "not-staged")
    assert told["data"]["checkpoint"] is None
    assert wk(*words, "--allow-unsigned").exit_code == 0


@pytest.mark.parametrize("given", ["capitalization", "=a/b", "x="])
def test_a_benchmark_names_task_and_dataset(run: Path, tmp_path: Path, given: str) -> None:
    """Anything else is refused before the run is read."""
    done = wk("stage", run, "-o", tmp_path / "package", "--benchmark", given)
    assert done.exit_code == 2 and "TASK=OWNER/NAME" in done.stderr


@pytest.mark.parametrize(("data", "word"), [(b" \n", "blank"), (b"caf\xe9", "not UTF-8")])
def test_a_run_log_that_says_nothing_is_refused(
    run: Path, tmp_path: Path, data: bytes, word: str
) -> None:
    """A log that was named has to be one."""
    (tmp_path / "log.md").write_bytes(data)
    done = wk("stage", run, "-o", tmp_path / "package", "--run-log", tmp_path / "log.md")
    assert done.exit_code == 2 and word in done.stderr


def test_an_opened_field_is_checked_with_the_package(run: Path, tmp_path: Path) -> None:
    """The owner writes it, and whoever has the package compares it."""
    package, opened = tmp_path / "package", tmp_path / "opened.json"
    wk("stage", run, "-o", package, "-q")
    (journal, *_) = (run / ".watchkeeper/journal").glob("*.jsonl")
    done = wk("open", package, "--event", f"{journal.stem}:0", "--field", "user", "-o", opened)
    assert done.exit_code == 0 and opened.is_file()
    checked = wk("check", package, "--openings", opened)
    assert checked.exit_code == 0 and "it is what the hash stands for" in checked.stdout
