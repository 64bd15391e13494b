"""Fine-tune a tiny language model, and evaluate it in two tiers: a fast one every `log_steps`
training steps, and a full one every `eval_steps`.

    python train.py              # run it again to resume from the last complete checkpoint
    python train.py --compare    # training steps per second, without and with the recorder

All files are written below the current folder: checkpoints/, status/training_status.json,
training_output.log (everything printed) and artifacts/training/<run_id>/ (what the recorder keeps).
On Ctrl-C or SIGTERM the training finishes its step, saves a checkpoint and exits.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import fcntl
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import torch
from inputs import Config, InputError, Row, last_checkpoint, read_config, read_rows, step_of
from model import answer, batch_of, make_model, make_tokenizer, question
from task import Ahead, made
from transformers import (
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainerCallback,
)
from transformers import TrainingArguments as Arguments
from transformers.utils.logging import disable_progress_bar

import watchkeeper as wk
from watchkeeper.integrations.transformers import WatchkeeperCallback

OUTPUT = Path("training_output.log")
STATUS = Path("status/training_status.json")
CHECKPOINTS = Path("checkpoints")
KEPT_CHECKPOINTS = 3
ENDLESS_EVERY = 3  # of the full evaluations, that take a pathological prompt where there is one


class Looking(TrainerCallback):
    """Evaluates the model in two tiers. Without a run it computes the same, and records nothing."""

    def __init__(
        self,
        ahead: Ahead,
        tokenizer: PreTrainedTokenizerFast,
        config: Config,
        run: wk.Run | None,
        status: Path | None,
    ) -> None:
        self.ahead, self.tokenizer, self.config, self.run = ahead, tokenizer, config, run
        if run is not None:
            self.cadence = run.cadence(
                log_every=config.log_steps,
                eval_every=config.eval_steps,
                total=ahead.until,
                validation=[(row.prompt, row.golden) for row in ahead.validation],
                status=status,
            )
            self.limit = run.limit(config.generation_timeout_s, name="Model generation")

    def on_step_end(self, args, state, control, model, **kwargs):
        """Called by the Trainer after each completed training step."""
        tier = self.due(state.global_step)
        if tier is not None:
            model.eval()
            with torch.no_grad():
                self.look(tier, state.global_step, model)
            model.train()

    def due(self, step: int) -> str | None:
        """The tier that is due: `full`, `fast` or None. A full one replaces a fast one."""
        if self.run is not None:
            return self.cadence.due(step)
        return (
            "full"
            if step % self.config.eval_steps == 0
            else "fast"
            if step % self.config.log_steps == 0
            else None
        )

    def look(self, tier: str, step: int, model: LlamaForCausalLM) -> None:
        """Run one tier. The fast one is a forward pass; the full one generates within a time limit
        and computes the validation loss.
        """
        row = self.ahead.shown(
            step, endless=tier == "full" and step // self.config.eval_steps % ENDLESS_EVERY == 0
        )
        shown = {"prompt": row.prompt, "golden": row.golden, "loss": self.loss(model, [row])}
        shown["golden_tokens"] = len(answer(self.tokenizer, row))
        if tier == "full":
            # None: it did not finish in time.
            tokens = (
                self.generate(model, row)
                if self.run is None
                else self.limit.call(self.generate, model, row)
            )
            shown["output"] = (
                None if tokens is None else self.tokenizer.decode(tokens, skip_special_tokens=True)
            )
            shown["output_tokens"] = None if tokens is None else len(tokens)
            val_loss = self.loss(model, self.ahead.validation)
        if self.run is not None:
            self.run.example(step, **shown)
            if tier == "full":
                self.run.log(step, val_loss=val_loss)

    def loss(self, model: LlamaForCausalLM, rows: list[Row]) -> float:
        """The mean loss over the answers' tokens."""
        return model(**batch_of(self.tokenizer, rows)).loss.item()

    def generate(self, model: LlamaForCausalLM, row: Row) -> list[int]:
        """Generate greedily. For an endless row the generation never ends, like those that hung
        real trainings for hours: the end token is suppressed, and the length is not limited.
        """
        asked = torch.tensor([question(self.tokenizer, row)])
        if row.endless:
            ending = {
                "suppress_tokens": [self.tokenizer.eos_token_id],
                "max_new_tokens": sys.maxsize // 2,
            }
        else:
            ending = {"max_new_tokens": self.config.max_new_tokens}
        found = model.generate(
            asked, attention_mask=torch.ones_like(asked), do_sample=False, **ending
        )
        return found[0, asked.shape[1] :].tolist()


class Clock(TrainerCallback):
    """Measures the time of a training step in ms: wall time, and CPU time, which other processes
    disturb less.
    """

    def on_train_begin(self, args, state, control, **kwargs):
        """Called before the first step."""
        self.began = time.perf_counter(), time.process_time()

    def on_train_end(self, args, state, control, **kwargs):
        """Called after the last step."""
        ended = time.perf_counter(), time.process_time()
        self.wall_ms, self.cpu_ms = (
            1000 * (b - a) / state.global_step for a, b in zip(self.began, ended, strict=True)
        )


def make_trainer(
    ahead: Ahead,
    config: Config,
    run: wk.Run | None,
    *,
    folder: Path = CHECKPOINTS,
    saves: bool = True,
) -> Trainer:
    """Create the Trainer and the callback that evaluates its model."""
    tokenizer = make_tokenizer()
    looking = Looking(ahead, tokenizer, config, run, STATUS if saves else None)
    trainer = Trainer(
        make_model(config, tokenizer),
        Arguments(
            output_dir=str(folder),
            max_steps=ahead.until,
            per_device_train_batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=config.log_steps,
            logging_steps=config.log_steps,
            save_strategy="steps" if saves else "no",
            save_steps=config.save_steps,
            save_total_limit=KEPT_CHECKPOINTS,
            train_sampling_strategy="sequential",  # `ahead` has only the remaining rows, in order
            ignore_data_skip=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            seed=config.seed,
        ),
        data_collator=lambda rows: batch_of(tokenizer, rows),
        train_dataset=ahead.rows,
        processing_class=tokenizer,
        callbacks=[*([WatchkeeperCallback()] if run is not None else []), looking],
    )
    trainer.remove_callback(PrinterCallback)
    disable_progress_bar()  # for loading weights
    return trainer


def train(config: Config, dataset: Path | None, begun: int, *, stops_with_stdin: bool) -> None:
    """Train on one dataset, starting from the last complete checkpoint.

    Raises:
        Interrupted: it was asked to stop; a checkpoint is saved.
        InputError: the dataset is invalid, its first checkpoint is missing, or another training is
            running.
    """
    rows = read_rows(dataset) if dataset else made("capitals")
    with only_one(waits=stops_with_stdin):
        checkpoint = last_checkpoint(CHECKPOINTS)
        step = step_of(checkpoint)
        if step < begun:
            raise InputError(
                f"no complete checkpoint in {CHECKPOINTS} is of step {begun} or later. "
                f"The last: --begun {step}"
            )
        if step >= begun + config.steps:
            print(f"Nothing to do: {checkpoint} has all {begun + config.steps:,} steps.")
            print(f"On from there: --begun {step}. From the start: remove {CHECKPOINTS}/")
            return
        settings = {**msgspec.to_builtins(config), "dataset": str(dataset or "capitals")}
        with wk.start_run("artifacts/training", pipeline="training", config=settings) as run:
            if stops_with_stdin:
                threading.Thread(target=stop_with_stdin, args=[run], daemon=True).start()
            print(
                f"Resuming from {checkpoint.name}"
                if checkpoint
                else "Starting from random weights",
                flush=True,
            )
            trainer = make_trainer(Ahead(rows, config, begun, step), config, run)
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def stop_with_stdin(run: wk.Run) -> None:
    """Stop when stdin is closed: by the daemon, or by the kernel if the daemon is killed."""
    os.read(0, 1)  # not sys.stdin: its lock would still be held at exit
    run.request_stop("the daemon, which stops or is gone")


@contextlib.contextmanager
def only_one(*, waits: bool) -> Iterator[None]:
    """Allow one training at a time in these checkpoints: the kernel keeps the lock for as long as
    this process lives. `waits`: wait for the training of a killed daemon to save its checkpoint.

    Raises:
        InputError: another training uses these checkpoints.
    """
    CHECKPOINTS.mkdir(exist_ok=True)
    with (CHECKPOINTS / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waits:
                raise InputError(
                    f"another training goes on in {CHECKPOINTS.absolute()}: let it end, or stop it"
                ) from None
            print("Waiting for the training that still goes on here", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def keep_output() -> None:
    """Copy what this process prints to training_output.log; the daemon sends it there anyway."""
    sys.stdout.reconfigure(line_buffering=True)
    if OUTPUT.exists() and os.path.samestat(os.fstat(1), OUTPUT.stat()):
        return
    tee = subprocess.Popen(["tee", "-ai", OUTPUT], stdin=subprocess.PIPE)
    before = os.dup(1), os.dup(2)
    for number in (1, 2):
        os.dup2(tee.stdin.fileno(), number)

    @atexit.register
    def last_words() -> None:
        sys.stdout.flush()
        for number, stream in enumerate(before, 1):
            os.dup2(stream, number)
        tee.stdin.close()
        tee.wait()


def compare(config: Config) -> None:
    """Print the training speed without and with the recorder. Bursts of `eval_steps` alternate in
    one process, with the same weights, rows and evaluations, and their blocks written to a file.
    The endless row is left out, since it would never finish without a time limit.
    """
    rows = [row for row in made("capitals") if not row.endless]
    burst = msgspec.structs.replace(config, steps=config.eval_steps)
    clocks: dict[bool, list[Clock]] = {False: [], True: []}
    recorder_s = recorded_s = 0.0
    with (
        tempfile.TemporaryDirectory() as folder,
        open(f"{folder}/blocks", "w", encoding="utf-8") as blocks,
    ):
        warm = msgspec.structs.replace(burst, steps=burst.log_steps)
        make_trainer(Ahead(rows, warm, 0, 0), warm, None, folder=Path(folder), saves=False).train()
        for pair in range(config.compare_pairs):
            for records in (False, True) if pair % 2 == 0 else (True, False):
                with contextlib.redirect_stdout(blocks), contextlib.ExitStack() as stack:
                    run = None
                    if records:
                        run = stack.enter_context(
                            wk.start_run(folder, pipeline="compare", console=False)
                        )
                    trainer = make_trainer(
                        Ahead(rows, burst, 0, 0), burst, run, folder=Path(folder), saves=False
                    )
                    clock = Clock()
                    trainer.callback_handler.callbacks.insert(0, clock)
                    trainer.train()
                    clocks[records].append(clock)
                if run is not None:
                    manifest = json.loads((run.folder / "run_manifest.json").read_bytes())
                    recorder_s, recorded_s = (
                        recorder_s + manifest["recorder_s"],
                        recorded_s + manifest["duration_s"],
                    )
    pairs = list(zip(clocks[False], clocks[True], strict=True))
    wall = [without.wall_ms / recorded.wall_ms for without, recorded in pairs]
    cpu = [recorded.cpu_ms / without.cpu_ms for without, recorded in pairs]
    middle = statistics.median
    print(
        f"\n{f'{config.compare_pairs} × {burst.steps} training steps':<26}"
        f"{'steps/s   ratio   CPU ms/step   ratio':>40}"
    )
    for what, own, ratios in (
        ("without", clocks[False], (1, 1)),
        ("with", clocks[True], (middle(wall), middle(cpu))),
    ):
        speed, cost = (
            middle(1000 / clock.wall_ms for clock in own),
            middle(clock.cpu_ms for clock in own),
        )
        print(
            f"{what + ' the recorder':<26}{speed:>10.1f}{ratios[0]:>8.3f}"
            f"{cost:>14.2f}{ratios[1]:>8.3f}"
        )
    spread = f"steps/s {min(wall):.3f} to {max(wall):.3f}, CPU {min(cpu):.3f} to {max(cpu):.3f}"
    print(f"Ratios are the medians of the pairs; of single pairs: {spread}.")
    print(f"The recorder's own share, its start and end included: {recorder_s / recorded_s:.2%}")


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.json"))
    parser.add_argument(
        "--dataset",
        type=Path,
        help="JSON lines with prompt and golden; by default made on the spot",
    )
    parser.add_argument(
        "--begun", type=int, default=0, help="the training step after which the dataset was begun"
    )
    parser.add_argument(
        "--stops-with-stdin",
        action="store_true",
        help="finish the step, save and end when stdin ends",
    )
    parser.add_argument(
        "--compare", action="store_true", help="the speed without the recorder and with it"
    )
    arguments = parser.parse_args()
    try:
        config = read_config(arguments.config)
        torch.set_num_threads(config.threads)
        if arguments.compare:
            compare(config)
        else:
            keep_output()
            train(
                config,
                arguments.dataset,
                arguments.begun,
                stops_with_stdin=arguments.stops_with_stdin,
            )
    except InputError as error:
        print(f"train.py: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
