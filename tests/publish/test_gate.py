"""The gate: a checkpoint from elsewhere that nobody has signed is not evaluated."""

import pytest

from tests.experiments import state_of, write_experiment
from tests.publish.vouched import LATER, at, change, checkpoint, safetensors, signed
from tests.watch.test_keeper import keeper, run_pending
from watchkeeper.core import journal
from watchkeeper.core.events import UnsignedAllowed
from watchkeeper.core.events.choose import of_kind
from watchkeeper.experiment import experiment as experiments
from watchkeeper.publish import gate
from watchkeeper.publish.gate import from_elsewhere, standing_of
from watchkeeper.schedulers.fake.scheduler import FakeScheduler


def test_a_signed_checkpoint_stands(tmp_path):
    """What was signed and not touched may be used; no weights are read for that."""
    root = signed(tmp_path / "ck")
    (root / "model.safetensors").chmod(0o600)
    assert standing_of(root, clock=at(LATER)).is_signed


def test_an_unsigned_checkpoint_is_refused_with_the_way_out(tmp_path):
    """The refusal says what is missing, and the command that would sign it."""
    standing = standing_of(checkpoint(tmp_path / "ck"), clock=at(LATER))
    assert not standing.is_signed and "nobody has vouched" in standing.why
    assert f"watchkeeper checkpoint sign {tmp_path}/ck" in standing.refusal
    assert "--allow-unsigned" in standing.refusal


@pytest.mark.parametrize("what", ["verdict", "passport", "size", "weight", "folder"])
def test_a_sign_off_that_does_not_fit_counts_for_nothing(tmp_path, what):
    """An edited verdict, a newer passport, a weight of another size or more of them: not signed."""
    root = signed(tmp_path / "ck")
    if what == "verdict":
        change(root / "SIGNOFF.json", verdict="fail")
    elif what == "passport":
        change(root / "MODEL_PASSPORT.json", stack="another")
    elif what == "size":
        (root / "model.safetensors").write_bytes(safetensors() + b"\0")
    elif what == "weight":
        (root / "late.bin").write_bytes(b"late")
    else:
        root = tmp_path / "none"
    assert not standing_of(root, clock=at(LATER)).is_signed


def write(folder, text, control=False):
    """An experiment of one fine-tune, and of one run that is only evaluated, whose script has this
    line.
    """
    write_experiment(folder, control=True)
    summary = (folder / "experiment_summary.yaml").read_text()
    if not control:
        summary = summary.replace('"control"', '"eval-only"')
    (folder / "experiment_summary.yaml").write_text(summary)
    script = folder / "untrained/eval/clean_base.slurm"
    script.write_text(script.read_text().replace("mkdir -p", f"{text}\nmkdir -p", 1))
    return experiments.read(folder)


def named(experiment, key="untrained/clean/base"):
    """The checkpoints from elsewhere that an evaluation names."""
    (item,) = [one for one in experiment.items if one.key == key]
    return from_elsewhere(experiment, item)


@pytest.mark.parametrize(
    "line",
    [
        "echo {root}",
        "echo --model_path={root}/",
        "M={root}\necho $M",
        "echo 'model: ' \"{root}/model.safetensors\"",
        "echo ../../../ck",
    ],
)
def test_a_checkpoint_is_found_in_the_words_of_a_script(tmp_path, line):
    """As a word, behind `=`, in a plain variable, by its file, and by a relative path."""
    root = checkpoint(tmp_path / "ck")
    assert named(write(tmp_path / "exp", line.format(root=root))) == [root]


def test_what_is_no_checkpoint_from_elsewhere_is_not_gated(tmp_path):
    """A hub name, a folder without weights, one inside the experiment, one that is unknown; the
    base model of a control, and what an evaluation of a run's own checkpoint names.
    """
    root = checkpoint(tmp_path / "ck")
    (tmp_path / "data").mkdir()
    own = checkpoint(tmp_path / "exp/base")
    lines = f"echo org/model {tmp_path}/data {own} $UNKNOWN/ck {root}* {tmp_path}/gone"
    assert named(write(tmp_path / "exp", lines)) == []
    experiment = write(tmp_path / "other", f"echo {root}", control=True)
    assert named(experiment) == []
    trained = tmp_path / "other/one/eval/clean_epoch0.slurm"
    trained.write_text(trained.read_text() + f"echo {root}\n")
    assert named(experiment, "one/clean/epoch0") == []


def test_an_unsigned_checkpoint_is_not_evaluated(tmp_path):
    """The evaluation is refused, its own runs go their way, and a signature lets it through."""
    root = checkpoint(tmp_path / "ck")
    folder = tmp_path / "exp"
    write(folder, f"echo {root}")
    fake = FakeScheduler()
    assert keeper(folder, fake, run_pending(fake)).keep()
    refused = state_of(folder).run("untrained/clean/base").latest
    assert refused.rejected is not None and "is not signed" in refused.rejected.message
    assert state_of(folder).run("one/clean/epoch0").latest.judged.outcome == "done"
    gate_is_open = signed(root)
    assert keeper(folder, fake, run_pending(fake)).keep() and gate_is_open == root
    assert state_of(folder).run("untrained/clean/base").latest.judged.outcome == "done"


def test_what_is_allowed_is_in_the_journal(tmp_path):
    """`--allow-unsigned` lets it through, and the journal says once which it was, and why."""
    root = checkpoint(tmp_path / "ck")
    folder = tmp_path / "exp"
    write(folder, f"echo {root}")
    fake = FakeScheduler()
    assert keeper(folder, fake, run_pending(fake), allows_unsigned=True).keep()
    assert state_of(folder).run("untrained/clean/base").latest.judged.outcome == "done"
    (allowed,) = of_kind(journal.read(folder / ".watchkeeper/journal").events, UnsignedAllowed)
    assert (allowed.key, allowed.path) == ("untrained/clean/base", str(root))
    assert "nobody has vouched" in allowed.why
    assert gate.standing_of(root).why == allowed.why
