"""Evidence on what torchtune and inspect-ai really leave: one experiment is run with both, and
copies of it are damaged.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from tests.experiments import blocks_of, state_of, wk
from tests.integrations.conftest import OFFLINE
from watchkeeper.experiment import experiment as experiments
from watchkeeper.tools.look import look
from watchkeeper.tools.promise import Finding

MISSING = [
    name
    for name in ("torch", "torchtune", "torchao", "inspect_ai", "transformers")
    if not importlib.util.find_spec(name)
]
if MISSING and os.environ.get("CI") == "true":
    pytest.fail(f"the real tools are not there: {', '.join(MISSING)}", pytrace=False)
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"the real tools are not there: {', '.join(MISSING)}"
)

FINETUNE = """#!/bin/bash
#SBATCH --output=slurm-%j.out
tune() {{ {python} -m torchtune._cli.tune "$@"; }}
tune run lora_finetune_single_device --config finetune.yaml {more}
"""
EVALUATE = """#!/bin/bash
#SBATCH --output=slurm-%j.out
inspect() {{ {python} -m inspect_ai "$@"; }}
export PYTHONPATH={path}
inspect eval ../../../tasks.py@{task} --model made/model \\
    -M model_path=../../artifacts/epoch_{epoch} --display none --log-dir logs
"""
LOGGER = (
    "{_component_: torchtune.training.metric_logging.DiskLogger, log_dir: '${output_dir}/logs'}"
)
SUMMARY = {
    "experiment": {"name": "real"},
    "tools": {"preparation": "torchtune", "evaluation": "inspect-ai"},
    "runs": [{"name": "good", "type": "fine-tuned"}, {"name": "burst", "type": "fine-tuned"}],
    "evaluation": {
        "tasks": [
            {"name": name, "script": "tasks.py"} for name in ("sums", "partly", "broken", "killed")
        ],
        "matrix": [
            {"run": "good", "tasks": ["sums"], "epochs": [0, 1, 2]},
            {"run": "good", "tasks": ["partly", "broken", "killed"], "epochs": [1]},
            {"run": "burst", "tasks": ["sums"], "epochs": [0]},
        ],
    },
}


@pytest.fixture(scope="session")
def ran(tmp_path_factory):
    """The experiment after `watchkeeper run`, and what that said: nothing in it may be changed."""
    from tests.integrations import evals, tune

    root = tmp_path_factory.mktemp("real")
    model = root / "model"
    model.mkdir()
    tune.make_model(model)
    folder = root / "exp"
    folder.mkdir()
    path = evals.write(folder)
    (folder / "experiment_summary.yaml").write_text(json.dumps(SUMMARY))
    for run, more in (("good", ""), ("burst", "epochs=1 optimizer.lr=1e30")):
        (folder / run).mkdir()
        config = tune.configuration(folder / run / "artifacts", model).replace(
            "metric_logger: null", f"metric_logger: {LOGGER}"
        )
        (folder / run / "finetune.yaml").write_text(config)
        (folder / run / "finetune.slurm").write_text(
            FINETUNE.format(python=sys.executable, more=more)
        )
    for row in SUMMARY["evaluation"]["matrix"]:
        for task in row["tasks"]:
            for epoch in row["epochs"]:
                cell = folder / row["run"] / "eval" / f"{task}_epoch{epoch}"
                cell.mkdir(parents=True)
                script = EVALUATE.format(python=sys.executable, path=path, task=task, epoch=epoch)
                (cell / "cell.slurm").write_text(script)
    done = wk(
        "run",
        folder,
        state=root / "state",
        timeout_s=300,
        HF_DATASETS_CACHE=str(root / "cache"),
        **OFFLINE,
    )
    return folder, done


@pytest.fixture
def copy(ran, tmp_path):
    """A copy of what was left, to be damaged."""
    return Path(shutil.copytree(ran[0], tmp_path / "exp"))


def found(folder: Path, subject: str, *, outputs: bool = True) -> Finding:
    """What a look at this promise of the experiment finds."""
    experiment = experiments.read(folder)
    promise = (experiment.checkpoints | experiment.results)[subject]
    run = subject.partition("/")[0]
    return look(folder, promise, sorted((folder / run).glob("slurm-*.out")) if outputs else ())


def said(folder: Path, log: str, action: str) -> str:
    return "\n".join(
        f"{block.details} {block.result}"
        for block in blocks_of(folder, log)
        if block.action == action
    )


EPOCH = "good/artifacts/epoch_1"
SHARD = f"{EPOCH}/model-00001-of-00001.safetensors"
INDEX = f"{EPOCH}/model.safetensors.index.json"


def test_a_run_of_both_tools_is_judged_by_what_they_left(ran):
    """`run` ends with 1 and says of each job how it ended: exit codes of 0 hide neither nan nor a
    task that raised.
    """
    folder, done = ran
    assert done.returncode == 1, done.stderr
    ends = {key: run.latest.judged for key, run in state_of(folder).runs.items() if run.latest}
    assert {key: (end.state, end.outcome) for key, end in ends.items()} == {
        "good": ("COMPLETED", "done"),
        "burst": ("COMPLETED", "invalid"),
        "good/sums/epoch0": ("COMPLETED", "done"),
        "good/sums/epoch1": ("COMPLETED", "done"),
        "good/partly/epoch1": ("COMPLETED", "done"),
        "good/broken/epoch1": ("COMPLETED", "invalid"),
        "good/killed/epoch1": ("FAILED", "failed"),
    }
    assert (
        "burst/artifacts/epoch_0 comes of a training whose loss is nan at step 3"
        in ends["burst"].why
    )
    assert (
        'says status "error", not "success": ValueError(\'planted\')'
        in ends["good/broken/epoch1"].why
    )
    assert (
        'status "started" and has no end: where its job has ended, it was killed'
        in ends["good/killed/epoch1"].why
    )
    assert ends["good/sums/epoch0"].metrics["accuracy"] == 0.5


def test_the_logs_say_what_was_looked_at(ran):
    """VERIFY_CHECKPOINTS says what was looked at, what is missing, and the double LoRA; an epoch
    out of reach is told.
    """
    folder, _ = ran
    verified = said(folder, "run-inspect.log", "VERIFY_CHECKPOINTS")
    assert "shards, headers and sizes; last loss and step, and Checkpoint saved" in verified
    assert "2 of 3 checkpoints exist; missing: burst/epoch_0 (" in verified
    assert "good/artifacts/epoch_0 holds merged weights and adapter_config.json" in verified
    assert "good/sums/epoch2 can never run" in said(
        folder, "run-experiment.log", "DISCOVER_EXPERIMENT"
    )
    assert "status, task, model, epoch and samples" in said(
        folder, "run-experiment.log", "VALIDATE"
    )
    assert "burst/epoch_0" in said(folder, "run-inspect.log", "SKIP")


def test_an_epoch_is_good_with_all_that_torchtune_says(ran):
    """Whole files, the last loss of the epoch and `Checkpoint saved` are evidence, each with its
    source.
    """
    for epoch, step in ((0, 3), (1, 6)):
        finding = found(ran[0], f"good/epoch_{epoch}")
        assert finding.state == "good" and f"at step {step}" in finding.why
        told = {evidence.what.partition(" ")[0]: evidence.source for evidence in finding.evidence}
        assert told["Checkpoint"].startswith("good/slurm-") and told["loss"].startswith("good/")
        (loss,) = [
            one
            for one in found(ran[0], f"good/epoch_{epoch}", outputs=False).evidence
            if "loss" in one.what
        ]
        assert loss.source.startswith("good/artifacts/logs/log_")


FLAT = """#!/bin/bash
MODEL=../artifacts/epoch_{epoch}
inspect eval ../../tasks.py@sums --model made/model -M model_path="$MODEL" --log-dir logs
"""


def test_logs_of_two_epochs_in_one_folder_are_told_apart(ran, tmp_path):
    """In the document's flat layout, where all logs of a run share eval/logs/, each counts for the
    epoch that it names.
    """
    folder = tmp_path / "exp"
    logs = folder / "good" / "eval" / "logs"
    logs.mkdir(parents=True)
    summary = {key: value for key, value in SUMMARY.items() if key != "runs"}
    summary["runs"] = [{"name": "good", "type": "fine-tuned"}]
    matrix = [{"run": "good", "tasks": ["sums"], "epochs": [0, 1]}]
    summary["evaluation"] = {"tasks": [{"name": "sums", "script": "tasks.py"}], "matrix": matrix}
    (folder / "experiment_summary.yaml").write_text(json.dumps(summary))
    shutil.copy(ran[0] / "good" / "finetune.slurm", folder / "good")
    shutil.copy(ran[0] / "good" / "finetune.yaml", folder / "good")
    for epoch in (0, 1):
        (folder / "good" / "eval" / f"sums_epoch{epoch}.slurm").write_text(FLAT.format(epoch=epoch))
    for epoch in (0, 1):
        (log,) = (ran[0] / "good" / "eval" / f"sums_epoch{epoch}" / "logs").glob("*.eval")
        shutil.copy(log, logs / f"2026-03-11T15-00-0{epoch}+00-00_sums_{epoch}.eval")
    assert not [
        problem for problem in experiments.read(folder).problems if "share" in problem.message
    ]
    first, second = (found(folder, f"good/sums/epoch{epoch}") for epoch in (0, 1))
    assert (first.state, second.state) == ("good", "good")
    assert first.path.endswith("_sums_0.eval") and second.path.endswith("_sums_1.eval")
    next(logs.glob("*_sums_1.eval")).unlink()
    again = found(folder, "good/sums/epoch1")
    assert again.state == "damaged" and "is of epoch 0, not 1" in again.why


def test_with_peft_such_a_checkpoint_gives_other_answers(copy, monkeypatch):
    """The caution is about a real fault: with peft there, transformers applies an adapter that the
    weights hold already.
    """
    import torch
    from transformers import AutoModelForCausalLM

    # peft refuses the torchao that torchtune 0.6.1 needs; an environment that is for evaluations
    # alone has none.
    monkeypatch.setattr("peft.tuners.lora.torchao.is_torchao_available", lambda: False)

    def logits() -> torch.Tensor:
        with torch.no_grad():
            return AutoModelForCausalLM.from_pretrained(copy / EPOCH)(torch.arange(8)[None]).logits

    twice = logits()
    (copy / EPOCH / "adapter_config.json").rename(copy / EPOCH / "merged_adapter_config.json")
    assert (twice - logits()).abs().max() > 1e-3


def test_both_adapter_and_merged_weights_are_a_caution_with_the_way_out(copy):
    """The folder is named, and what it advises ends it: without adapter_config.json nothing is
    said.
    """
    caution = found(copy, "good/epoch_1").caution
    assert (
        f"{EPOCH} holds merged weights and adapter_config.json" in caution
        and "rename adapter_config.json" in caution
    )
    (copy / EPOCH / "adapter_config.json").rename(copy / EPOCH / "merged_adapter_config.json")
    assert found(copy, "good/epoch_1").caution == ""


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (
            lambda folder: os.truncate(folder / SHARD, (folder / SHARD).stat().st_size - 1),
            "is torn: its tensors need",
        ),
        (lambda folder: os.truncate(folder / SHARD, 100), "is torn: its header"),
        (lambda folder: (folder / SHARD).unlink(), "model-00001-of-00001.safetensors is missing"),
        (lambda folder: (folder / INDEX).unlink(), "holds shards and no index"),
        (lambda folder: rename_tensor(folder / INDEX), "which does not hold it"),
        (lambda folder: shutil.rmtree(folder / EPOCH), "nothing at good/artifacts/epoch_1"),
    ],
    ids=[
        "a byte short",
        "cut in its header",
        "no shard",
        "no index",
        "another tensor",
        "no folder",
    ],
)
def test_a_checkpoint_that_is_not_complete_is_none(copy, damage, why):
    """Torn, missing and disagreeing files of a real checkpoint are found, and nothing of the other
    epoch is blamed.
    """
    damage(copy)
    finding = found(copy, "good/epoch_1")
    assert finding.state in ("damaged", "missing") and why in finding.why
    assert found(copy, "good/epoch_0").state == "good"


def rename_tensor(index: Path) -> None:
    index.write_text(index.read_text().replace("model.norm.weight", "model.norm.other"))


def test_nan_is_told_by_the_tools_log_or_by_what_the_job_printed(copy):
    """Either is enough; where neither is there, nobody says so, and whole files are good."""
    assert "loss is nan" in found(copy, "burst/epoch_0", outputs=False).why
    shutil.rmtree(copy / "burst/artifacts/logs")
    finding = found(copy, "burst/epoch_0")
    assert finding.state == "damaged" and "loss is nan" in finding.why and "slurm-" in finding.why
    assert finding.evidence[-1].what.startswith("loss nan at step")
    assert found(copy, "burst/epoch_0", outputs=False).state == "good"


def test_what_was_not_said_is_a_caution_where_the_files_are_whole(copy):
    """Without `Checkpoint saved`, or with logs that end before the epoch's last step, whole files
    are good and odd.
    """
    (output,) = (copy / "good").glob("slurm-*.out")
    text = output.read_text()
    output.write_text(text[: text.rindex("Checkpoint saved")])
    finding = found(copy, "good/epoch_1")
    assert finding.state == "good" and "never says 'Checkpoint saved' of it" in finding.caution
    output.write_text(text[: text.index("2|5|Loss")])
    (log,) = (copy / "good/artifacts/logs").iterdir()
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:4]))
    finding = found(copy, "good/epoch_1")
    assert finding.state == "good" and "no log shows its end, step 6" in finding.caution
    assert "ends at step 4" in finding.caution
    assert "no log tells" not in found(copy, "good/epoch_0").caution


def log_of(folder: Path, cell: str) -> Path:
    (log,) = (folder / "good/eval" / cell / "logs").glob("*.eval")
    return log


def test_a_log_is_good_with_its_figures_and_counts(ran):
    """A real log, compressed as today's inspect-ai does it, is read without inspect-ai."""
    with zipfile.ZipFile(log_of(ran[0], "sums_epoch0")) as archive:
        assert {member.compress_type for member in archive.infolist()} == {93}
    finding = found(ran[0], "good/sums/epoch0")
    assert (finding.state, finding.metrics["accuracy"]) == ("good", 0.5)
    assert "2 samples, sums, made/model" in finding.why
    assert (
        found(ran[0], "good/partly/epoch1").caution
        == "1 of 2 samples failed, which its task tolerates"
    )


def test_a_log_of_something_else_is_no_result(copy):
    """A log of another task, model or epoch than was promised is damaged, and says which."""
    shutil.copy(log_of(copy, "sums_epoch0"), log_of(copy, "partly_epoch1"))
    assert "is of the task 'sums', not 'partly'" in found(copy, "good/partly/epoch1").why
    script = copy / "good/eval/sums_epoch0/cell.slurm"
    script.write_text(script.read_text().replace("made/model", "made/other"))
    assert "is of the model 'made/model', not 'made/other'" in found(copy, "good/sums/epoch0").why
    script.write_text(script.read_text().replace("made/other", "made/model"))
    shutil.rmtree(copy / "good/eval/sums_epoch1")
    script.parent.rename(copy / "good/eval/sums_epoch1")
    summary = copy / "experiment_summary.yaml"
    summary.write_text(summary.read_text().replace('"epochs": [0, 2]', '"epochs": [1]'))
    finding = found(copy, "good/sums/epoch1")
    assert (
        finding.state == "damaged"
        and "is of epoch 0, not 1: its model is ../../artifacts/epoch_0" in finding.why
    )


def test_a_log_that_is_torn_is_no_result(copy):
    """No zip, half a zip and a zip with one wrong byte in its header are damaged."""
    log = log_of(copy, "sums_epoch0")
    data = log.read_bytes()
    with zipfile.ZipFile(log) as archive:
        header = archive.getinfo("header.json")
    wrong = bytearray(data)
    wrong[header.header_offset + 30 + len("header.json") + header.compress_size // 2] ^= 0x10
    for bad in (b"no zip", data[: len(data) // 2], bytes(wrong)):
        log.write_bytes(bad)
        finding = found(copy, "good/sums/epoch0")
        assert finding.state == "damaged" and "cannot be read as an inspect-ai log" in finding.why
