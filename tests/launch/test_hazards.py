"""What would cost a night is told before anything is submitted, with its line and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.code.shell_text import variables
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch import hazards
from watchkeeper.launch.hazards import calls_of
from watchkeeper.schedulers.sbatch_head import read_head

ROOT = Path(__file__).parents[2]


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(
            text if name.endswith((".yaml", ".json")) else f"#!/bin/bash\n{text}\n"
        )
    return folder


def told(folder: Path) -> list[tuple[str, str]]:
    """(where, message) of each finding, places relative to the experiment."""
    found = hazards.find_hazards(experiments.read(folder))
    assert all(problem.severity == "warning" and problem.hint for problem in found)
    return [(problem.where.removeprefix(f"{folder}/"), problem.message) for problem in found]


TRAIN = "tune run lora --config finetune.yaml"
EVAL = "inspect eval t.py@caps --model hf/x -M model_path={path} --log-dir logs"


def test_a_model_of_another_run_or_epoch_is_told(tmp_path: Path) -> None:
    """A model path is compared with where the experiment's trainings leave checkpoints: the right
    one draws nothing.
    """
    write(
        tmp_path,
        {
            "r8/finetune.slurm": "tune run lora",
            "r16/finetune.slurm": "tune run lora",
            "r8/eval/caps_epoch0/cell.slurm": EVAL.format(path="../../artifacts/epoch_0"),
            "r8/eval/caps_epoch1/cell.slurm": EVAL.format(path="../../artifacts/epoch_0"),
            "r16/eval/caps_epoch0/cell.slurm": f"MODEL={tmp_path}/r8/artifacts/epoch_0\n"
            + EVAL.format(path='"$MODEL"'),
            "r16/eval/caps_epoch1/cell.slurm": EVAL.format(path="$CKPT/epoch_1"),
        },
    )
    assert told(tmp_path) == [
        (
            "r8/eval/caps_epoch1/cell.slurm:2",
            "r8/caps/epoch1 evaluates the checkpoint of r8, epoch 0: ../../artifacts/epoch_0",
        ),
        (
            "r16/eval/caps_epoch0/cell.slurm:3",
            (
                "r16/caps/epoch0 evaluates the checkpoint of r8, epoch 0: "
                f"{tmp_path}/r8/artifacts/epoch_0"
            ),
        ),
    ]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            "inspect eval t.py --model hf/x -M model_path=/no/such/model",
            "the model /no/such/model is not there",
        ),
        ("srun inspect eval t.py --model hf//no/such", "the model /no/such is not there"),
        ("cd ..\ninspect eval t.py --model=hf/./model", "the model base/model is not there"),
        ("inspect eval t.py --model hf/org/name", ""),
        (
            "inspect eval t.py --model hf/x -M model_path=org/name -M device=cpu",
            "the model base/eval/org/name is not there",
        ),
        ("cd $WORK\ninspect eval t.py --model hf/./model", ""),
        ("inspect eval t.py --model hf/x -M model_path=$MODEL", ""),
        ("inspect eval t.py --model hf/x -M model_path=../..", ""),
        ("# inspect eval t.py --model hf//no/such\ninspect eval t.py", ""),
        ("for M in /a /b; do inspect eval t.py --model hf/x -M model_path=$M; done", ""),
    ],
)
def test_a_models_path_that_is_not_there_is_told(tmp_path: Path, call: str, words: str) -> None:
    """A local path that names no folder is told with its line; names of the hub and variables are
    let be.
    """
    write(tmp_path, {"base/eval/caps_base.slurm": call})
    found = told(tmp_path)
    assert len(found) == bool(words)
    assert not words or (
        words in found[0][1] and found[0][0].startswith("base/eval/caps_base.slurm:")
    )


CONFIG = """\
model_dir: {model}
checkpointer:
  checkpoint_dir: ${{model_dir}}
  checkpoint_files:
    - model.safetensors
tokenizer:
  path: {model}/original/tokenizer.model
"""


def test_what_a_torchtune_configuration_names_must_be_there(tmp_path: Path) -> None:
    """Missing base model, checkpoint file, tokenizer and configuration are told with the line of
    the configuration.
    """
    model = tmp_path / "model"
    folder = write(tmp_path / "exp", {"r8/finetune.slurm": TRAIN})
    assert told(folder) == [
        ("r8/finetune.slurm:2", "the configuration r8/finetune.yaml is not there")
    ]
    write(folder, {"r8/finetune.yaml": CONFIG.format(model=model)})
    assert told(folder) == [
        (
            "r8/finetune.yaml:3",
            f"the model's folder {model} is not there (checkpointer.checkpoint_dir)",
        ),
        (
            "r8/finetune.yaml:7",
            f"the tokenizer {model}/original/tokenizer.model is not there (tokenizer.path)",
        ),
    ]
    (model / "original").mkdir(parents=True)
    (model / "original" / "tokenizer.model").touch()
    assert told(folder) == [
        (
            "r8/finetune.yaml:5",
            (
                f"the checkpoint's file model.safetensors is not in {model} "
                "(checkpointer.checkpoint_files)"
            ),
        )
    ]
    (model / "model.safetensors").touch()
    assert told(folder) == []
    write(
        folder,
        {"r8/finetune.slurm": f"{TRAIN} checkpointer.checkpoint_dir=/no/such tokenizer.path=$TOK"},
    )
    assert told(folder) == [
        (
            "r8/finetune.slurm:2",
            "the model's folder /no/such is not there (checkpointer.checkpoint_dir)",
        )
    ]
    write(folder, {"r8/finetune.slurm": "tune run lora --config llama3_2/1B_lora_single_device"})
    assert told(folder) == []


def test_two_jobs_that_would_write_one_table_are_told(tmp_path: Path) -> None:
    """The same `gpu_metrics.csv` from two scripts is told once, with both; each in its own folder
    draws nothing.
    """
    log = (
        "nvidia-smi --query-gpu=power.draw --format=csv -l 10 > gpu_metrics.csv &\ninspect "
        "eval t.py"
    )
    write(
        tmp_path,
        {
            "b/eval/caps_base.slurm": log,
            "b/eval/sums_base.slurm": log,
            "c/eval/caps/cell.slurm": log,
        },
    )
    assert told(tmp_path) == [
        (
            "b/eval/sums_base.slurm:2",
            "2 jobs would write the same b/eval/gpu_metrics.csv: b/caps/base, b/sums/base",
        )
    ]


def test_logs_of_one_task_in_one_folder_are_told(tmp_path: Path) -> None:
    """Two evaluations of a task that share a folder of logs are told; of two tasks, or a folder
    each, are not.
    """
    one, own = "inspect eval t.py --log-dir ../logs", "inspect eval t.py --log-dir logs"
    write(
        tmp_path,
        {"r8/finetune.slurm": "tune run x"}
        | {f"r8/eval/caps_epoch{n}/cell.slurm": one for n in (0, 1)},
    )
    write(
        tmp_path,
        {"r8/eval/sums_epoch0/cell.slurm": one}
        | {f"r8/eval/mix_epoch{n}/cell.slurm": own for n in (0, 1)},
    )
    ((where, message),) = told(tmp_path)
    assert where == "r8/eval/caps_epoch1/cell.slurm:2"
    assert message.startswith(
        "2 evaluations leave their logs in one folder, r8/eval/logs/: r8/caps/epoch0, "
        "r8/caps/epoch1"
    )


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("python x.py > out/log.txt 2>&1", "it writes into b/eval/out/, which is not there"),
        ("python x.py 2> out/err.txt | tee -a all/log.txt", "b/eval/out/"),
        ("mkdir -p out\npython x.py > out/log.txt", ""),
        ("mkdir -p out/deeper\npython x.py > out/log.txt", ""),
        ('mkdir -p "$OUT"\npython x.py > out/log.txt', ""),
        ("D=out\npython x.py > $D/log.txt", "b/eval/out/"),
        ("python x.py > log.txt 2> /dev/null", ""),
        ("cd $X && python x.py > out/log.txt", ""),
        ("if true; then\ncd y\nfi\npython x.py > out/log.txt", ""),
        ("(cd y; ls)\npython x.py > out/log.txt", ""),
        ("cat > x <<EOF\na > out/b\nEOF\n", ""),
        ('cd "$SLURM_SUBMIT_DIR"\npython x.py > out/log.txt', "b/eval/out/"),
    ],
)
def test_output_into_a_folder_that_is_not_there_is_told(
    tmp_path: Path, script: str, words: str
) -> None:
    """A redirection whose folder neither is there nor is made before is told; a guess about where
    it leads is not made.
    """
    write(tmp_path, {"b/eval/caps_base.slurm": script})
    found = told(tmp_path)
    assert bool(found) == bool(words) and all(words in found[0][1] for _ in found[:1])


def test_the_schedulers_output_folder_is_no_hazard(tmp_path: Path) -> None:
    """`#SBATCH --output=` into a folder that is not there draws nothing: it is made at the
    submission.
    """
    write(
        tmp_path, {"b/eval/caps_base.slurm": "#SBATCH --output=nowhere/slurm-%j.out\npython x.py"}
    )
    assert told(tmp_path) == []


def test_a_stale_adapter_is_told(tmp_path: Path) -> None:
    """A checkpoint's adapter whose base model was a folder that has gone is told; a name of the hub
    is not.
    """
    write(tmp_path, {"r8/finetune.slurm": "tune run x", "r8/eval/caps_epoch0.slurm": "python e.py"})
    for base, count in (("/no/such/base", 1), ("org/base", 0), (str(tmp_path), 0), (None, 0)):
        write(
            tmp_path,
            {"r8/epoch_0/adapter_config.json": json.dumps({"base_model_name_or_path": base})},
        )
        found = told(tmp_path)
        assert len(found) == count
    write(
        tmp_path, {"r8/epoch_0/adapter_config.json": '{"base_model_name_or_path": "/no/such/base"}'}
    )
    ((where, message),) = told(tmp_path)
    assert (
        where == "r8/epoch_0/adapter_config.json"
        and "the adapter's base model /no/such/base is not there" in message
    )


def test_an_eval_yaml_is_read_for_its_model(tmp_path: Path) -> None:
    """`eval.yaml` beside a script names a model that must exist, and the task whose log counts."""
    cell = "b/eval/caps_base"
    yaml = (
        "task_script: /tasks/t.py\ntask_name: capital\nmodel_path: /no/such\nmodel_hf_name: "
        "hf/x\noutput_dir: logs\n"
    )
    write(
        tmp_path,
        {f"{cell}/cell.slurm": "inspect eval $TASK --model hf/x", f"{cell}/eval.yaml": yaml},
    )
    ((where, message),) = told(tmp_path)
    assert (where, message[:30]) == (f"{cell}/eval.yaml:3", "the model /no/such is not ther")
    asked = experiments.read(tmp_path).results["b/caps/base"].expected
    assert asked is not None and asked.tasks == ("caps", "capital")


def test_the_same_script_name_is_not_needed_in_a_cells_folder(tmp_path: Path) -> None:
    """In an evaluation's own folder the only script is its script, whatever its name; of two,
    neither is taken.
    """
    write(
        tmp_path,
        {
            "b/eval/caps_base/run.slurm": "true",
            "b/eval/sums_base/a.slurm": "true",
            "b/eval/sums_base/b.slurm": "true",
        },
    )
    assert [item.script for item in experiments.read(tmp_path).items] == [
        "",
        "b/eval/caps_base/run.slurm",
    ]


def test_our_own_examples_draw_nothing() -> None:
    """The example's scripts have none of these hazards."""
    assert hazards.find_hazards(experiments.read(ROOT / "examples" / "digits")) == []


def test_only_what_is_set_once_and_plainly_is_known() -> None:
    """A variable counts where one plain value is all that it ever gets."""
    text = (
        "A=1\nexport B='x y'\nC=$A\nD=1\nD=2\nE=1 python x\nfor F in 1; do :; done\nF=1\nread "
        "G\nG=2\nH=1; I=2\nJ+=x\n"
    )
    assert variables(text) == {"A": "1", "B": "x y"}


@given(
    st.text(max_size=200)
    | st.lists(
        st.sampled_from(
            ["cd ", "x", "\n", "'", '"', "$A", "A=1", ">", "(", ")", ";", "\\", "if", "{"]
        )
    ).map("".join)
)
def test_any_script_is_read(text: str) -> None:
    """No script makes the reading fail."""
    source = text.encode("utf-8", "surrogatepass")
    for call in calls_of(source, Path("/exp/r8"), read_head(source)):
        assert call.words and all(
            call.place(word) is None or call.place(word).is_absolute() for word in call.words
        )


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("r8/finetune.slurm", "r8/finetune.slurm"),
        ("r8/finetune.yaml", "r8/finetune.slurm:2"),
        ("r8/eval/caps_epoch0/cell.slurm", "r8/eval/caps_epoch0/cell.slurm"),
        ("r8/eval/caps_epoch0/eval.yaml", "r8/eval/caps_epoch0/eval.yaml"),
        ("r8/artifacts/epoch_0/adapter_config.json", "r8/artifacts/epoch_0/adapter_config.json"),
    ],
)
def test_a_file_that_the_disk_refuses_is_said_to_be_unchecked(
    tmp_path: Path, refused_files: set[Path], name: str, where: str
) -> None:
    """A file that cannot be read twice is named with what to do; that it holds nothing is not
    assumed.
    """
    write(
        tmp_path,
        {
            "r8/finetune.slurm": TRAIN,
            "r8/finetune.yaml": "epochs: 1\n",
            "r8/eval/caps_epoch0/cell.slurm": "inspect eval t.py@caps",
            "r8/eval/caps_epoch0/eval.yaml": "task_name: caps\n",
            "r8/artifacts/epoch_0/adapter_config.json": "{}",
        },
    )
    experiment = experiments.read(tmp_path)
    assert hazards.find_hazards(experiment) == []
    refused_files.add(tmp_path / name)
    (problem,) = hazards.find_hazards(experiment)
    assert problem.where == where and "check the disk" in problem.hint
    assert problem.message == (
        f"could not read {tmp_path / name}: Input/output error: what it names was not checked"
    )
