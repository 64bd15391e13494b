"""The losses of a run over all its attempts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import watchkeeper as wk
from tests.publish.wandb.files import begin, end, row, write_run
from tests.report.compose.events import judged, page, shown, submitted
from tests.watch.logs.test_run_logs import keep, log, told, value
from watchkeeper.core.events import Judged, Learned
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.query.status import look
from watchkeeper.report.compose import repeated
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.watch.outcome.learned import of as learned_of
from watchkeeper.watch.outcome.losses import Tried, read


def printed(path: Path, losses: dict[int, float]) -> Path:
    """An output with a line for each step."""
    path.write_text("".join(f"step {step}/10 loss: {loss}\n" for step, loss in losses.items()))
    return path


def test_prints_of_all_attempts_make_one_curve(tmp_path):
    """The first loss is that of the first attempt, the last that of the second; what was done again
    counts once.
    """
    first = printed(tmp_path / "1.out", {1: 4.0, 2: 2.0, 3: 1.5, 4: 1.2})
    second = printed(tmp_path / "2.out", {4: 1.2, 5: 1.0})
    learned = learned_of(tmp_path, [Tried(outputs=(first,)), Tried(outputs=(second,))], [])
    assert (
        learned.first_step,
        learned.first_train_loss,
        learned.last_train_loss,
        learned.final_step,
    ) == (1, 4.0, 1.0, 5)
    assert repeated.describe(learned) == (
        "step 4 was repeated; the largest difference of train_loss is 0 at step 4 (1.2, then 1.2)"
    )


def test_an_attempt_that_begins_again_stands_alone(tmp_path):
    """Nothing of an earlier attempt counts where the later one started from the first step; that is
    no finding.
    """
    first = printed(tmp_path / "1.out", {1: 4.0, 2: 2.0, 9: 0.1})
    second = printed(tmp_path / "2.out", {1: 5.0, 2: 3.0})
    learned = learned_of(tmp_path, [Tried(outputs=(first,)), Tried(outputs=(second,))], [])
    assert (learned.first_train_loss, learned.last_train_loss, learned.final_step) == (5.0, 3.0, 2)
    assert (
        "from the beginning" in repeated.describe(learned)
        and repeated.describe_unfaithful(learned) == ""
    )


def test_an_output_that_was_overwritten_is_remembered(tmp_path):
    """Where both attempts print into one file the first one's ends are those that were learned when
    it had ended.
    """
    path = printed(tmp_path / "job.out", {5: 1.0, 6: 0.5})
    before = Learned(first_step=1, first_train_loss=4.0, final_step=5, last_train_loss=1.5)
    losses = read([Tried(outputs=(path,), learned=before), Tried(outputs=(path,))], [])
    assert losses.train == [(1, 4.0), (5, 1.0), (6, 0.5)]
    assert [one.is_faithful for one in losses.repeats] == [False]


def test_logs_of_torchtune_are_executions(tmp_path):
    """Each start of a recipe writes a log of its own; those of before this work are not counted."""
    place = tmp_path / "out/epoch_0"
    place.mkdir(parents=True)
    (tmp_path / "out/logs").mkdir()
    for number, text in (
        (1, "Step 1 | loss:9.0"),
        (2, "Step 1 | loss:4.0\nStep 2 | loss:3.0"),
        (3, "Step 2 | loss:2.0"),
    ):
        path = tmp_path / f"out/logs/log_{number}.txt"
        path.write_text(text + "\n")
        os.utime(path, (1000 * number, 1000 * number))
    assert read([Tried(began=1500.0)], [place]).train == [(1, 4.0), (2, 2.0)]


def test_the_newest_state_of_the_trainer_counts(tmp_path):
    """A checkpoint that an earlier attempt left further on does not say where the training is: the
    newest state does.
    """
    for step, written in ((1000, 1), (500, 2)):
        place = tmp_path / f"checkpoint-{step}"
        place.mkdir()
        history = [{"step": at, "loss": 1.0 / written} for at in range(100, step + 1, 100)] + [
            {"epoch": 1.0}
        ]
        (place / "trainer_state.json").write_text(json.dumps({"log_history": history}))
        os.utime(place / "trainer_state.json", (written, written))
    losses = read([Tried()], [tmp_path / "checkpoint-500", tmp_path / "checkpoint-1000"])
    assert losses.final_step == 500 and losses.train[-1] == (500, 0.5)


@pytest.mark.parametrize("same", [True, False])
def test_a_resumed_run_tells_its_own_first_loss_and_what_it_did_again(tmp_path, same):
    """The log of a run that went on in a second attempt has the first attempt's first loss, and
    says which steps were done again and how much their losses differ; a script that was changed
    meanwhile begins a log with figures of its own.
    """
    run = tmp_path / "exp/r1"
    run.mkdir(parents=True)
    script = run / "finetune.slurm"
    script.write_text(
        "#!/bin/bash\nif [ ! -e again ]; then touch again\n"
        "printf 'step 1/9 loss: 4.0\\nstep 4/9 loss: 2.0\\n'; exit 1; fi\n"
        "printf 'step 4/9 loss: 1.0\\nstep 9/9 loss: 0.5\\n'\nmkdir -p artifacts/epoch_0\n"
        "echo w >artifacts/epoch_0/model.bin\n"
    )
    fake = FakeScheduler()
    keep(tmp_path / "exp", fake)
    if not same:
        script.write_text(script.read_text() + "true\n")
    assert keep(tmp_path / "exp", fake, retry_failed=True)
    document = log(tmp_path / "exp", "r1.md" if same else "r1-2.md")
    assert float(value(document, "results", "start_train_loss")) == (4.0 if same else 1.0)
    words = value(document, "results", "repeated_steps")
    assert (
        ("step 4 was repeated" in words and "not faithful" in words) if same else words == "(none)"
    )
    learned = max(
        told(tmp_path / "exp", Judged), key=lambda event: event.time
    ).learned  # writers of one second have no order
    assert learned is not None and bool(learned.repeated) is same
    notes = look(experiments.read(tmp_path / "exp"), Selection()).notes
    assert any("a resume that is not faithful" in note.message for note in notes) is same


def test_the_newest_state_of_the_trainer_has_the_history(tmp_path):
    """Of several checkpoints the `trainer_state.json` written last counts, whatever their names;
    one that cannot be read is passed over.
    """
    places = []
    for at, (name, loss) in enumerate((("checkpoint-20", 0.5), ("checkpoint-100", 2.0))):
        place = tmp_path / name
        place.mkdir()
        history = [{"step": 1, "loss": 4.0}, {"step": 10, "loss": loss}]
        path = place / "trainer_state.json"
        path.write_text(json.dumps({"log_history": history}))
        os.utime(path, (1000.0 - at, 1000.0 - at))
        places.append(place)
    for order in (places, places[::-1]):
        assert read([], order).train[-1][1] == 0.5
    (places[0] / "trainer_state.json").write_text("{torn")
    assert read([], places).train[-1][1] == 2.0


def test_a_mean_of_the_whole_run_is_not_its_last_loss(tmp_path):
    """The Trainer's last row has `train_loss`, a mean: the last `loss` of a step stays the last."""
    with wk.start_run(folder=tmp_path, pipeline="train", console=False, sidecar=False) as run:
        run.log(1, loss=3.0)
        run.log(2, loss=0.5)
        run.log(2, train_loss=1.75)
    assert learned_of(tmp_path, [Tried(recorder=tmp_path)], []).last_train_loss == 0.5


def kept_by_wandb(folder: Path, name: str, first: int, *values: float) -> Path:
    """A folder of W&B with a segment of these training losses, from step `first`."""
    rows = [
        row(9 + n, {"train/loss": value, "train/global_step": first + n}, 1_770_000_000 + first + n)
        for n, value in enumerate(values)
    ]
    start = begin(started_s=1_770_000_000 + first)
    return write_run(folder, start, *rows, row(99, {"eval/loss": 0.5}), end(), name=name).parent


def test_losses_that_only_wandb_kept_are_those_of_the_run_and_say_so(tmp_path):
    """The curve of both attempts is read from W&B's files, by the steps that the library logged;
    a later attempt supersedes what it did again.
    """
    first = kept_by_wandb(tmp_path, "1", 1, 4.0, 3.0, 9.0)
    second = kept_by_wandb(tmp_path, "2", 3, 2.0, 1.0)
    attempts = [Tried(wandb=(first,)), Tried(wandb=(second,))]
    losses = read(attempts, [])
    assert losses.train == [(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)]
    assert losses.source == "W&B" and losses.val[-1][1] == 0.5
    (first / "run-abc.wandb").write_text("no run")
    assert read(attempts[:1], []).train == []


def test_our_own_rows_come_before_those_of_wandb(tmp_path):
    """W&B fills what is missing, and replaces nothing; prints come behind it."""
    folder = kept_by_wandb(tmp_path, "1", 1, 4.0, 3.0)
    run = wk.start_run(tmp_path / "artifacts", pipeline="training")
    run.log(1, loss=8.0)
    run.close()
    losses = read([Tried(recorder=run.folder, wandb=(folder,))], [])
    assert (losses.train, losses.source) == ([(1, 8.0)], "")
    output = printed(tmp_path / "out", {1: 7.0})
    losses = read([Tried(outputs=(output,), wandb=(folder,))], [])
    assert (losses.train[0], losses.source) == ((1, 4.0), "W&B")


def test_steps_that_lightning_counted_from_0_are_completed_ones(tmp_path):
    """As our own logger for it counts them."""
    record = row(0, {"train_loss": 4.0, "trainer/global_step": 0}, 1_770_000_000)
    folder = write_run(tmp_path, begin(), record).parent
    assert read([Tried(wandb=(folder,))], []).train == [(1, 4.0)]


def test_the_run_log_says_that_losses_are_from_wandb():
    """A figure says where it comes from, also once a later attempt has rows of ours."""
    learned = Learned(first_train_loss=4.0, last_train_loss=1.0, losses_from="W&B")
    results = shown(page(submitted(), judged(learned=learned)).sections["results"])
    assert (results["start_train_loss"], results["losses from"]) == ("4", "W&B")
    own = judged(2, learned=Learned(first_train_loss=4.0))
    later = page(submitted(), submitted(2), judged(learned=learned), own)
    assert shown(later.sections["results"])["losses from"] == "our own rows"
    assert "losses from" not in shown(page(submitted(2), own).sections["results"])
