"""The fine-tuning example: document 003's blocks, files and daemon, on real trainings. Needs `pip
install '.[ml]'`.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.core.events import CadenceSet, Checkpoint, RunEnded, TimedOut
from watchkeeper.core.journal import read

if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers", "accelerate")):
    if os.environ.get("CI") == "true":
        pytest.fail("torch, transformers or accelerate are missing: make test installs them")
    pytest.skip(
        "torch, transformers or accelerate are not installed: make test installs them",
        allow_module_level=True,
    )

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/finetune"
SMALL = {
    "log_steps": 2,
    "eval_steps": 10,
    "save_steps": 5,
    "steps": 34,
    "generation_timeout_s": 2,
    "max_new_tokens": 8,
    "batch_size": 4,
    "hidden_size": 16,
    "layers": 1,
    "compare_pairs": 2,
}
LONG = 100_000  # steps: a training that is stopped by somebody
RULE = "=" * 80
WAIT_S = 90.0


class Place:
    """A folder in which trainings and daemons are started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen] = []
        self.configure()

    def configure(self, **changes):
        """The small configuration, with comments and these changes."""
        text = json.dumps({**SMALL, **changes}, indent=1).replace("\n", "  // said\n", 2)
        (self.folder / "config.json").write_text(text)

    def start(self, script, *arguments):
        """In a session of its own, so that all of it can be killed."""
        environ = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "PYTHONUTF8": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")])
        )
        process = subprocess.Popen(
            [sys.executable, EXAMPLE / script, "--config", self.folder / "config.json", *arguments],
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, script, *arguments):
        """Its exit code, and what it printed."""
        process = self.start(script, *arguments)
        output, _ = process.communicate(timeout=WAIT_S)
        return process.returncode, output

    def put(self, name, text):
        """A dataset in the queue, complete when it is seen, and older than what comes next."""
        (self.folder / "queue").mkdir(exist_ok=True)
        (self.folder / f".{name}").write_text(text)
        arrived = (self.folder / f".{name}").rename(self.folder / "queue" / name)
        probe = self.folder / ".probe"
        probe.touch()
        while (
            probe.stat().st_ctime_ns <= arrived.stat().st_ctime_ns
        ):  # the filesystem's clock is coarse
            probe.touch()

    def until(self, what, process=None):
        """Wait for it, while the process goes on."""
        deadline = time.monotonic() + WAIT_S
        while not (found := what()):
            assert time.monotonic() < deadline and (process is None or process.poll() is None), (
                self.log
            )
            time.sleep(0.02)
        return found

    def kill(self):
        """All that is left of what was started."""
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()

    @property
    def log(self):
        """What training_output.log holds."""
        path = self.folder / "training_output.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @property
    def status(self):
        """What the status file says."""
        return json.loads((self.folder / "status/training_status.json").read_text())

    @property
    def runs(self):
        """The trainings' run folders, in their order."""
        return sorted((self.folder / "artifacts/training").iterdir())

    @property
    def steps(self):
        """The complete checkpoints' steps."""
        return sorted(
            map(
                inputs.step_of,
                filter(inputs.is_complete, (self.folder / "checkpoints").glob("checkpoint-*")),
            )
        )


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.kill()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training from its begin to its end: what it printed, and what it left."""
    place = Place(tmp_path_factory.mktemp("trained"))
    try:
        place.code, place.printed = place.run("train.py")
    finally:
        place.kill()
    assert place.code == 0, place.printed
    return place


def load(*names):
    """Modules of the example, of which no other test gets hold by their names."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in names:
            sys.modules.pop(name, None)


inputs, task, training_daemon = load("inputs", "task", "training_daemon")


def told(run, kind):
    journal = read(run / ".watchkeeper/journal")
    return [event for own in journal.events.values() for event in own if isinstance(event, kind)]


def blocks(text):
    """The blocks in a log, each with its rules: list of lines."""
    found, lines = [], text.splitlines()
    while RULE in lines:
        begin = lines.index(RULE)
        ends = [at for at in range(begin + 1, len(lines)) if lines[at] == RULE][1]
        found.append(lines[begin : ends + 1])
        lines = lines[ends + 1 :]
    return found


def dataset(what="currencies"):
    return "".join(
        json.dumps({"prompt": row.prompt, "golden": row.golden}) + "\n" for row in task.made(what)
    )


# ── train.py


def test_the_two_tiers_come_exactly_at_their_steps(trained):
    """A block at each multiple of log_steps, a full one at each of eval_steps, and the cadence is
    written down.
    """
    titles = [block[1] for block in blocks(trained.log)]
    assert titles == [
        f"🔍 FULL EVAL + VAL LOSS - Step {step}"
        if step % 10 == 0
        else f"📊 MODEL OUTPUT - Step {step}"
        for step in range(2, 35, 2)
    ]
    (cadence,) = told(trained.runs[0], CadenceSet)
    assert (cadence.log_every, cadence.eval_every, cadence.total) == (2, 10, 34)
    assert (cadence.validation_items, len(cadence.validation_sha256)) == (20, 64)
    rows = wk.read_rows(trained.runs[0])[0]
    assert [row.step for row in rows if "val_loss" in row.metrics] == [10, 20, 30]
    assert [row.step for row in rows if "loss" in row.metrics] == list(range(2, 35, 2))


def test_the_blocks_are_the_documents_line_for_line(trained):
    """The fast block, the full one and the one after a timeout have the document's lines and
    nothing else.
    """
    asked, loss = task.made("capitals"), r"📉 LOSS ON THIS EXAMPLE: \d+\.\d{4}"
    compared = (
        r"📊 Loss Comparison: Train=\d+\.\d{4} \| Val=\d+\.\d{4} \| Gap=[+-]\d+\.\d{4} (✅|⚠️)"
    )
    for block in blocks(trained.log):
        assert (
            block[2:4] == [RULE, "📝 PROMPT:"]
            and block[5] == ""
            and block[8] == ""
            and block[-1] == RULE
        )
        (row,) = [row for row in asked if row.prompt == block[4]]
        assert block[6:8] == [
            f"✅ GOLDEN ({len(row.golden) + (not row.endless)} tokens):",
            row.golden,
        ]
        rest = block[9:-1]
        if block[1].startswith("📊"):
            assert (
                rest[0] == "🤖 MODEL: [No output - fast log only]"
                and re.fullmatch(loss, rest[1])
                and len(rest) == 2
            )
        elif row.endless:
            assert rest[0] == "🤖 MODEL: [No output]"
            assert (
                re.fullmatch(loss, rest[1]) and re.fullmatch(compared, rest[2]) and len(rest) == 3
            )
        else:
            assert re.fullmatch(r"🤖 MODEL \(\d tokens\):", rest[0])
            assert rest[-4:-2] in (["", "✅ MATCH"], ["", "❌ NO MATCH"])
            assert re.fullmatch(loss, rest[-2]) and re.fullmatch(compared, rest[-1])


def test_a_generation_that_never_ends_is_survived_and_found_by_grep(trained):
    """The timeout is real, told with its step, counted, and the training goes on to its end without
    that output.
    """
    found = subprocess.run(
        ["grep", "-i", "timeout:", "training_output.log"], cwd=trained.folder, stdout=-1, check=True
    )
    (line,) = found.stdout.decode().splitlines()
    assert "TIMEOUT: Model generation exceeded 2s at step 30" in line
    (event,) = told(trained.runs[0], TimedOut)
    assert (event.how, event.training_step) == ("interrupted", 30) and "in generate" in event.stack
    (end,) = told(trained.runs[0], RunEnded)
    assert (end.status, end.timeouts, end.limited_calls) == ("finished", 1, 3)
    status = trained.status
    assert (status["state"], status["step"], status["total"], status["timeouts"]) == (
        "finished",
        34,
        34,
        1,
    )
    assert status["model_output"] is None and status["validation_set"]["items"] == 20
    assert status["gap"] == pytest.approx(
        float(re.findall(r"Gap=(\S+)", trained.log)[-1]), abs=1e-4
    )
    assert all(isinstance(status[name], float) for name in ("loss", "val_loss", "gap"))


def test_what_is_printed_is_logged_once(trained):
    """training_output.log holds what the terminal got, and no line of it twice."""
    assert trained.printed == trained.log
    assert trained.log.count("Run started") == trained.log.count("Run finished") == 1
    assert trained.log.count("Starting from random weights") == 1 and "Traceback" not in trained.log


def test_it_goes_on_from_the_last_checkpoint_and_stops_with_one(trained, place):
    """Steps go on after the checkpoint's; a second training is refused; SIGTERM finishes the step,
    saves, ends with 143.
    """
    shutil.copytree(trained.folder, place.folder, dirs_exist_ok=True)
    place.configure(steps=LONG)
    process = place.start("train.py")
    place.until(lambda: max(place.steps) > 40, process)
    code, output = place.run("train.py")
    assert code == 2 and output.endswith("let it end, or stop it\n")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 143, output
    assert "Resuming from checkpoint-34" in output
    run = place.runs[1]
    assert [row.step for row in wk.read_rows(run)[0] if "loss" in row.metrics][:3] == [36, 38, 40]
    assert told(run, RunEnded)[0].status == place.status["state"] == "interrupted"
    assert told(run, Checkpoint)[-1].training_step == max(place.steps) > 40
    assert place.log.startswith(trained.log)


def test_order_and_rows_do_not_depend_on_interruptions():
    """A training that goes on sees just the rows that it had not seen, in the same order."""
    config = inputs.Config(log_steps=2, eval_steps=10, steps=20, batch_size=4)
    whole, rest = (task.Ahead(task.made("capitals"), config, 100, step) for step in (100, 107))
    assert len(whole.rows) == 80 and whole.rows[7 * 4 :] == rest.rows
    assert whole.until == rest.until == 120
    assert not set(whole.validation) & set(whole.rows)
    assert [whole.shown(step, endless=False) for step in range(108, 121)] == [
        rest.shown(step, endless=False) for step in range(108, 121)
    ]


def test_the_speed_is_compared_without_and_with_the_recorder(place):
    """`--compare` prints both speeds, their ratio and the recorder's share, and leaves nothing."""
    code, output = place.run("train.py", "--compare")
    assert code == 0, output
    assert re.search(
        r"^2 × 10 training steps +steps/s   ratio   CPU ms/step   ratio$", output, re.MULTILINE
    )
    assert re.search(
        r"^without the recorder +[\d.]+ +1\.000 +[\d.]+ +1\.000$", output, re.MULTILINE
    )
    assert re.search(r"^with the recorder +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$", output, re.MULTILINE)
    assert (
        re.search(r"its start and end included: [\d.]+%$", output, re.MULTILINE)
        and RULE not in output
    )
    assert [path.name for path in place.folder.iterdir()] == ["config.json"]


# ── what is read


def test_the_documents_configuration_is_read_with_its_comments(tmp_path):
    """`// …` is no part of the configuration, but is one of a string; the example's own has the
    document's cadence.
    """
    assert (
        inputs.without_comments('{"a": "x // \\" // y", // z\n"b": 1}')
        == '{"a": "x // \\" // y",     \n"b": 1}'
    )
    config = inputs.read_config(EXAMPLE / "config.json")
    assert (config.log_steps, config.eval_steps) == (10, 200)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"log_steps": 10, // fast\n "eval_steps": 200,\n}', "line 3, column 1"),
        ('{"log_steps": 10\n "eval_steps": 200}', "line 2, column 2: Expecting ',' delimiter"),
        ('{"log_steps": "10", "eval_steps": 200}', "Expected `int`, got `str` - at `$.log_steps`"),
        (
            '{"log_steps": 10, "eval_step": 200}',
            "unknown field `eval_step`. The settings are log_steps, eval_steps",
        ),
        ('{"log_steps": 10}', "missing required field `eval_steps`"),
        ('{"log_steps": 0, "eval_steps": 200}', "`int` >= 1 - at `$.log_steps`"),
        ("[]", "Expected `object`, got `array`"),
        (None, "Name another one: --config FILE"),
    ],
)
def test_a_broken_configuration_is_said_with_its_place(tmp_path, text, words):
    """What is wrong, where, and what to type; never a traceback."""
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(inputs.InputError) as caught:
        inputs.read_config(path)
    assert str(path) in str(caught.value) and words in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['{"prompt": "a", "golden": "b"}', "{"], "x.jsonl, line 2: "),
        (['{"prompt": "a"}'], "x.jsonl, line 1: Object missing required field `golden`"),
        (['{"prompt": 1, "golden": "b"}'], "Expected `str`, got `int` - at `$.prompt`"),
        (['{"prompt": "a", "golden": ""}'], "line 1: the golden answer is empty"),
        (['{"prompt": "%s", "golden": "b"}' % ("a" * 500)], "501 bytes, and at most 500 fit"),
        ([], "x.jsonl: 0 rows"),
    ],
)
def test_a_broken_dataset_is_said_with_its_line(tmp_path, lines, words):
    """Which line, and what is wrong with it."""
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(inputs.InputError, match=re.escape(words)):
        inputs.read_rows(path)


@pytest.mark.parametrize("name", ["trainer_state.json", "model.safetensors", *inputs.PARTS])
@pytest.mark.parametrize("harm", ["missing", "torn"])
def test_a_half_written_checkpoint_is_not_chosen(trained, tmp_path, name, harm):
    """A checkpoint with a missing or truncated file is passed over for the one before it."""
    shutil.copytree(trained.folder / "checkpoints", tmp_path, dirs_exist_ok=True)
    assert inputs.last_checkpoint(tmp_path).name == "checkpoint-34"
    path = tmp_path / "checkpoint-34" / name
    if harm == "torn":
        os.truncate(path, path.stat().st_size - 9)
    else:
        path.unlink()
    assert inputs.last_checkpoint(tmp_path).name == "checkpoint-30"


# ── the daemon


def test_datasets_are_trained_on_in_the_order_of_their_arrival(place):
    """Two datasets, one after the other, with steps that go on; a broken one between them is put
    aside with the reason. A pid left by a killed daemon stops nobody, though another process has it
    by now.
    """
    (place.folder / ".daemon.pid").write_text(f"{os.getpid()}\n")
    place.configure(steps=6)
    place.put("second_by_name.jsonl", dataset())
    place.put("broken.jsonl", dataset() + '{"prompt": "no answer"}\n')
    place.put("first_by_name.jsonl", dataset("capitals"))
    code, output = place.run("training_daemon.py", "--once")
    assert code == 0, output
    assert f"Daemon {os.getpid()} was killed; taking over" in output
    done, failed = (
        sorted(path.name for path in (place.folder / "queue" / name).iterdir())
        for name in ("done", "failed")
    )
    assert done == ["first_by_name.jsonl", "second_by_name.jsonl"] and failed == [
        "broken.jsonl",
        "broken.txt",
    ]
    assert (
        "broken.jsonl, line 101: Object missing"
        in (place.folder / "queue/failed/broken.txt").read_text()
    )
    assert [told(run, Checkpoint)[-1].training_step for run in place.runs] == [6, 12]
    assert re.findall(r"Done, now queue/done/(.+)", output) == [
        "second_by_name.jsonl: steps 1 to 6",
        "first_by_name.jsonl: steps 7 to 12",
    ]
    assert [int(block[1].split()[-1]) for block in blocks(place.log)] == [2, 4, 6, 8, 10, 12]
    assert not (place.folder / ".daemon.pid").exists() and not list(
        (place.folder / "queue/processing").iterdir()
    )


@pytest.mark.parametrize(("begun", "now"), [(34, 34), (30, 30), (0, 0), (35, 34), (800, 34)])
def test_a_dataset_whose_checkpoints_are_gone_is_begun_again(
    trained, tmp_path, monkeypatch, begun, now
):
    """What was begun after a step that no complete checkpoint reaches any more begins after the
    last one that is left.
    """
    shutil.copytree(trained.folder / "checkpoints", tmp_path / "checkpoints")
    monkeypatch.chdir(tmp_path)
    training_daemon.PROCESSING.mkdir(parents=True)
    (training_daemon.PROCESSING / f"{begun}+a+b.jsonl").touch()
    assert training_daemon.unfinished() == training_daemon.PROCESSING / f"{now}+a+b.jsonl"
    assert training_daemon.unfinished().exists()


def test_asked_to_stop_the_daemon_saves_and_leaves_the_dataset_for_the_next_one(place):
    """SIGTERM ends it with 0, after the step and with a checkpoint; the dataset stays in work."""
    place.configure(steps=LONG)
    daemon = place.start("training_daemon.py")
    place.put("capitals.jsonl", dataset("capitals"))
    place.until(lambda: place.steps, daemon)
    assert (place.folder / ".daemon.pid").read_text() == f"{daemon.pid}\n"
    daemon.send_signal(signal.SIGTERM)
    output, _ = daemon.communicate(timeout=WAIT_S)
    assert daemon.returncode == 0, output
    assert (
        f"Stopped at step {max(place.steps)}; the next daemon goes on with "
        "queue/processing/0+capitals.jsonl"
    ) in output
    assert told(place.runs[0], RunEnded)[0].status == "interrupted"
    assert told(place.runs[0], Checkpoint)[-1].training_step == max(place.steps)
    assert not (place.folder / ".daemon.pid").exists()


def test_killed_the_next_daemon_goes_on_from_the_last_complete_checkpoint(place):
    """A daemon that lives refuses a second one. Killed alone, its training saves; killed with its
    training, the next one loses no step before the last complete checkpoint, and a half-written one
    is not used.
    """
    place.configure(steps=LONG)
    place.put("capitals.jsonl", dataset("capitals"))
    first = place.start("training_daemon.py")
    place.until(lambda: place.steps, first)
    code, output = place.run("training_daemon.py", "--once")
    assert (code, output.count("\n")) == (
        2,
        1,
    ) and f"pid {first.pid}. To stop it: kill {first.pid}" in output

    first.kill()
    second = place.start("training_daemon.py")
    place.until(lambda: len(place.runs) == 2 and told(place.runs[1], Checkpoint), second)
    (left,) = told(place.runs[0], RunEnded)
    saved = told(place.runs[0], Checkpoint)[-1].training_step
    assert left.status == "interrupted" and f"Resuming from checkpoint-{saved}\n" in place.log

    os.killpg(second.pid, signal.SIGKILL)
    second.wait()
    last = max(place.steps)
    half = place.folder / f"checkpoints/checkpoint-{last + 1}"
    shutil.copytree(place.folder / f"checkpoints/checkpoint-{last}", half, dirs_exist_ok=True)
    os.truncate(half / "optimizer.pt", 1000)
    place.configure(steps=last + 4)
    code, output = place.run("training_daemon.py", "--once")
    assert code == 0, output
    assert f"Daemon {second.pid} was killed; taking over" in output
    assert f"Resuming from checkpoint-{last}\n" in place.log
    assert told(place.runs[2], Checkpoint)[-1].training_step == last + 4
    steps = [row.step for row in wk.read_rows(place.runs[2])[0] if "loss" in row.metrics]
    assert steps == [step for step in range(last + 1, last + 5) if step % 2 == 0]
    assert [path.name for path in (place.folder / "queue/done").iterdir()] == ["capitals.jsonl"]
