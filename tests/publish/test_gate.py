"""The gate: a checkpoint from elsewhere that nobody has signed is not evaluated."""

import json

import pytest
from click.testing import CliRunner

from tests.experiments import state_of, write_experiment
from tests.publish.vouched import LATER, at, change, checkpoint, safetensors, signed
from tests.watch.test_keeper import keeper, run_pending
from watchkeeper.core import journal
from watchkeeper.core.events import UnsignedAllowed
from watchkeeper.core.events.choose import of_kind
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.publish import gate
from watchkeeper.publish.gate import from_elsewhere, standing_of
from watchkeeper.query.status import look
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.show.cli import main


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
    """A hub name, a folder without weights, one inside the experiment, one that is unknown; and
    what else an evaluation of a run's own checkpoint names.
    """
    root = checkpoint(tmp_path / "ck")
    (tmp_path / "data").mkdir()
    own = checkpoint(tmp_path / "exp/base")
    lines = f"echo org/model {tmp_path}/data {own} $UNKNOWN/ck {root}* {tmp_path}/gone"
    experiment = write(tmp_path / "exp", lines)
    assert named(experiment) == []
    trained = tmp_path / "exp/one/eval/clean_epoch0.slurm"
    trained.write_text(trained.read_text() + f"echo {root}\n")
    assert named(experiment, "one/clean/epoch0") == []


def test_a_control_and_a_tree_are_gated_as_well(tmp_path):
    """A base model that lies outside the experiment is a checkpoint from elsewhere, and so is what
    an evaluation names where no summary says anything.
    """
    root = checkpoint(tmp_path / "ck")
    experiment = write(tmp_path / "exp", f"echo {root}", control=True)
    assert named(experiment) == [root]
    (tmp_path / "exp/experiment_summary.yaml").unlink()
    assert named(experiments.read(tmp_path / "exp")) == [root]


def test_a_training_that_continues_a_foreign_checkpoint_is_gated(tmp_path):
    """What it begins from as its base is not: the passport names that."""
    root = checkpoint(tmp_path / "ck")
    experiment = write(tmp_path / "exp", "")
    script = tmp_path / "exp/one/finetune.slurm"
    text = script.read_text()
    script.write_text(f"{text}echo --base {root}\n")
    assert named(experiment, "one") == []
    script.write_text(f"{text}echo --resume-from {root}\n")
    assert named(experiment, "one") == [root]


def test_a_link_does_not_bring_a_checkpoint_in(tmp_path):
    """A link inside the experiment that leads out is foreign; one to what a run is to leave, or has
    left, is not.
    """
    root = checkpoint(tmp_path / "ck")
    experiment = write(tmp_path / "exp", "echo ../../link ../../one/artifacts/epoch_0")
    (tmp_path / "exp/link").symlink_to(root)
    (tmp_path / "exp/one/artifacts").mkdir()
    (tmp_path / "exp/one/artifacts/epoch_0").symlink_to(root)
    assert named(experiment) == [tmp_path / "exp/link"]
    (item,) = [one for one in experiment.items if one.key == "untrained/clean/base"]
    assert from_elsewhere(experiment, item, {tmp_path / "exp/link"}) == []


def invoke(*words):
    """A command in this process: its exit code and its output."""
    done = CliRunner().invoke(main, [*map(str, words)])
    return done.exit_code, done.output


def test_plan_and_status_say_so_before_anything_runs(tmp_path):
    """Both end with 1 and name the command that would sign it; once it is signed, neither does."""
    root = checkpoint(tmp_path / "ck")
    folder = tmp_path / "exp"
    write(folder, f"echo {root}")
    for words in (["plan", folder], ["status", folder], ["run", folder, "--dry-run"]):
        code, output = invoke(*words)
        assert code == 1 and f"watchkeeper checkpoint sign {root}" in output
    code, output = invoke("plan", folder, "--json")
    problems = [one for one in json.loads(output)["problems"] if one["severity"] == "error"]
    named = [(one["where"], one["code"]) for one in problems]
    assert named == [("untrained/clean/base", "unsigned-checkpoint")]
    assert invoke("plan", folder, "--allow-unsigned")[0] == 0
    signed(root)
    assert invoke("plan", folder)[0] == 0


def test_a_script_is_refused_with_the_way_out(tmp_path, monkeypatch):
    """`submit eval.sh -- CHECKPOINT` shows it with --dry-run, and submits nothing; a training that
    begins from the same checkpoint is submitted.
    """
    root = checkpoint(tmp_path / "ck")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    (work / "eval.sh").write_text('#!/bin/bash\ncat "$@" >/dev/null\n')
    (work / "train.sh").write_text('#!/bin/bash\ncat "$@" >/dev/null\n')
    for words in (["--dry-run"], []):
        code, output = invoke("submit", "eval.sh", *words, "--", root)
        assert code == 1 and "is not signed" in output
    assert "1 refused" in invoke("submit", "eval.sh", "--dry-run", "--again", "--", root)[1]
    assert state_of(work).runs["eval_" + key_end(work)].latest.rejected is not None
    for words in (["train.sh"], ["eval.sh", "--again", "--allow-unsigned"]):
        code, output = invoke("submit", *words, "--dry-run", "--", root)
        assert (code, "1 to submit now" in output) == (0, True), output


def key_end(work):
    """What follows `eval_` in the name of the one run that was refused."""
    (key,) = state_of(work).runs
    return key.removeprefix("eval_")


def test_resume_is_refused_as_well(tmp_path):
    """A run whose script continues a foreign checkpoint is not handed on, and the code is 1."""
    root = checkpoint(tmp_path / "ck")
    folder = write_experiment(tmp_path / "exp", epochs=(0, 1))
    script = folder / "one/finetune.slurm"
    text = script.read_text()
    left = "mkdir -p artifacts/epoch_0; echo w > artifacts/epoch_0/model.bin; exit 3"
    script.write_text(f"#!/bin/bash\n{left}\n")
    fake = FakeScheduler()
    keeper(folder, fake, run_pending(fake)).keep()
    script.write_text(f"{text}echo WATCHKEEPER_RESUME_FROM --resume-from {root}\n")
    code, output = invoke("resume", folder, "one")
    assert code == 1 and "one is not resumed" in output and "is not signed" in output


def test_status_knows_what_its_watch_allows(tmp_path):
    """While a watch that allows unsigned checkpoints is under way, none is shown as refused."""
    root = checkpoint(tmp_path / "ck")
    folder = tmp_path / "exp"
    experiment = write(folder, f"echo {root}")
    fake = FakeScheduler()
    assert not keeper(folder, fake, leave, allows_unsigned=True).keep()
    assert invoke("status", folder)[0] == 3
    (row,) = [one for one in look(experiment, Selection()).rows if one.key.endswith("base")]
    assert row.standing == "to do"


def leave(one):
    """Ask a keeper to leave after its first turn."""
    one.ask_to_leave("the test is over")


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
    assert f"watchkeeper checkpoint sign {root}" in invoke("status", folder)[1]
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
