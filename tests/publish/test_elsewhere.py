"""Which checkpoints a job evaluates or continues, read from its script and arguments."""

import pytest

from tests.publish.vouched import checkpoint
from watchkeeper.publish.elsewhere import Call, checkpoints_of, says_evaluation


@pytest.fixture
def root(tmp_path):
    """A checkpoint."""
    return checkpoint(tmp_path / "ck")


def used(root, text, *args, name="job.sh", evaluates=False):
    """The checkpoints of a script with this text, which runs beside the checkpoint."""
    call = Call(
        name=name,
        text=text.format(root=root),
        args=tuple(one.format(root=root) for one in args),
        workdir=root.parent,
        evaluates=evaluates,
    )
    return checkpoints_of(call)


@pytest.mark.parametrize(
    "line",
    [
        "python evaluate.py --model {root}",
        "srun --ntasks=1 python -u tools/run_eval.py {root}/model.safetensors",
        "python -m lm_eval --model_args pretrained={root}",
        "inspect eval task.py -M model_path={root}",
        "tune run eleuther_eval checkpointer.checkpoint_dir={root}",
        "./eval.sh ./ck",
        "cd . && python eval.py ck/../ck",
        "M={root}\npython eval.py $M",
        'M="${{MODEL:-{root}}}"\npython eval.py ${{MODEL:-{root}}}',
    ],
)
def test_a_command_that_evaluates_names_its_checkpoint(root, line):
    """The name of the program says so, of a tool, of a file, of a module."""
    assert used(root, line) == [root]


@pytest.mark.parametrize(
    "line",
    [
        "python train.py --base {root}",
        "python train.py --split eval --base {root}",
        "python retrieval.py {root}",
        "python train.py --base {root} && python eval.py out/ck",
        'eval "$(conda shell.bash hook)" {root}',
        "python eval.py org/model {root}x /nowhere/ck",
        "python eval.py $UNKNOWN{root} {root}*",
        "M=$(pick {root})\npython eval.py $M",
    ],
)
def test_what_is_no_evaluation_names_none(root, line):
    """The base of a training, an option's value, a name that only looks like it, a hub's name."""
    assert used(root, line) == []


def test_a_variable_of_the_environment_counts_unless_the_script_sets_it(root, monkeypatch):
    """A job finds what was exported where it was submitted."""
    monkeypatch.setenv("MODEL", str(root))
    assert used(root, "python eval.py $MODEL") == [root]
    assert used(root, "MODEL=$(pick)\npython eval.py $MODEL") == []


@pytest.mark.parametrize(
    "text",
    [
        'python eval.py "$@"',
        "python eval.py $2",
        'python eval.py "${{2:-/nowhere}}"',
        "CKPT=$2\npython eval.py $CKPT",
    ],
)
def test_arguments_stand_where_the_script_puts_them(root, text):
    """`$@`, `$2`, and a variable that holds one."""
    assert used(root, text, "--model", "{root}") == [root]
    assert used(root, "python train.py $2", "--model", "{root}") == []


def test_a_script_whose_name_says_evaluation_uses_all_that_it_names(root):
    """Its arguments count even where only its program reads them."""
    assert used(root, "exec ./run --all", "{root}", name="eval.sh") == [root]
    assert used(root, "exec ./run --all", "{root}", evaluates=True) == [root]
    assert used(root, "exec ./run --all", "{root}") == []


@pytest.mark.parametrize("text", ["model: {root}\n", '{{"models": ["{root}"]}}', "- '{root}'"])
def test_a_configuration_that_an_evaluation_names_is_read(root, text):
    """Its paths count, in whatever format; of a training they do not."""
    (root.parent / "conf.yaml").write_text(text.format(root=root))
    assert used(root, "python eval.py --config=conf.yaml") == [root]
    assert used(root, "python train.py --config=conf.yaml") == []


def test_a_configuration_that_is_large_is_data(root):
    """What is no configuration by its size is not read."""
    (root.parent / "conf.yaml").write_text(f"model: {root}\n" + "x: y\n" * 250_000)
    assert used(root, "python eval.py conf.yaml") == []


@pytest.mark.parametrize(
    "line",
    [
        "python train.py --resume-from {root}",
        "python train.py --resume_from_checkpoint={root}",
        "export LOAD_CKPT_PATH={root}",
        "tune run lora checkpointer.adapter_checkpoint={root}/model.safetensors",
        "python train.py conf.yaml",
    ],
)
def test_a_training_that_continues_a_checkpoint_names_it(root, line):
    """By an option, a variable, an override, or a field of its configuration."""
    (root.parent / "conf.yaml").write_text(f"lr: 1e-3\nresume_from: '{root}'  # theirs\n")
    assert used(root, line) == [root]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("eval", True),
        ("Evaluate_Model", True),
        ("lm-eval", True),
        ("run_evals", True),
        ("retrieval", False),
        ("medieval", False),
        ("evaluative", False),
        ("train", False),
    ],
)
def test_a_name_says_evaluation_as_a_word(name, answer):
    """As a part of another word it says nothing."""
    assert says_evaluation(name) is answer


def test_a_checkpoint_in_parts_is_one(tmp_path):
    """Weights one folder below its papers belong to it, by either name."""
    root = checkpoint(tmp_path / "ck")
    (root / "params").mkdir()
    (root / "model.safetensors").rename(root / "params/model.safetensors")
    for place in (root, root / "params", root / "params/model.safetensors"):
        assert used(root, f"python eval.py {place}") == [root]
    (root / "MODEL_PASSPORT.json").unlink()
    assert used(root, "python eval.py {root}") == []


@pytest.mark.parametrize(
    "name", ["conf.yaml", "./conf.yaml", "$PWD/conf.yaml", "${{HERE:-.}}/conf.yaml"]
)
def test_a_configuration_counts_however_a_training_names_it(root, name, monkeypatch):
    """By its name, by a path, and by a path with a variable in it."""
    monkeypatch.setenv("PWD", str(root.parent))
    (root.parent / "conf.yaml").write_text(f"resume_from: {root}\n")
    assert used(root, "python train.py --config " + name) == [root]
