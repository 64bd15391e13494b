"""Train on each dataset that is put into queue/, one at a time, each from the last checkpoint.

    python training_daemon.py &          # until SIGTERM: `kill $(cat .daemon.pid)`
    python training_daemon.py --once     # until the queue is empty

A dataset is a `*.jsonl` file in queue/; datasets are taken in order of arrival. Move a complete
file into the queue with `mv`. During training it is in queue/processing/, afterwards in
queue/done/, or in queue/failed/ with a file that gives the reason. Each dataset is trained on by a
new process, with the code and config.json of that moment; its output goes to training_output.log.

On SIGTERM or Ctrl-C the training finishes its step and saves a checkpoint, and the daemon exits
with 0; a second one kills the training. However the daemon ended, even by SIGKILL, the next one
resumes the same dataset from the last complete checkpoint.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from inputs import InputError, last_checkpoint, read_config, read_rows, step_of

PID_FILE = Path(".daemon.pid")
QUEUE = Path("queue")
PROCESSING, DONE, FAILED = QUEUE / "processing", QUEUE / "done", QUEUE / "failed"
CHECKPOINTS = Path("checkpoints")
OUTPUT = Path("training_output.log")
LOOK_S = 1.0  # between two checks of an empty queue
TRAIN = Path(__file__).with_name("train.py")


class Stop:
    """Whether the daemon was asked to stop. It stops its training by closing its stdin, which also
    happens if the daemon dies.
    """

    def __init__(self) -> None:
        self.asked = False
        self.training: subprocess.Popen | None = None

    def __call__(self, number: int, frame: object) -> None:
        """Handle SIGTERM and SIGINT."""
        if self.asked and self.training is not None:
            self.training.kill()
        self.asked = True
        self.tell()

    def tell(self) -> None:
        """Stop the training, if one is running, after its current step."""
        if self.training is not None:
            self.training.stdin.close()


def say(words: str) -> None:
    """Print a line of the daemon, with the time."""
    print(time.strftime("%Y-%m-%d %H:%M:%S"), words, flush=True)


@contextlib.contextmanager
def only_daemon() -> Iterator[None]:
    """Hold .daemon.pid while this daemon runs. The file is locked, and the kernel releases the lock
    however the daemon ends, so a stale pid in it does no harm.

    Raises:
        InputError: another daemon is running.
    """
    there = False
    while True:
        with PID_FILE.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                pid = file.read().strip()
                raise InputError(
                    f"a daemon works here already, pid {pid}. To stop it: kill {pid}"
                ) from None
            with contextlib.suppress(FileNotFoundError):
                there = os.path.samestat(os.fstat(file.fileno()), PID_FILE.stat())
            if not there:
                continue  # another daemon ended meanwhile and removed the opened file
            file.seek(0)
            if left := file.read().strip():
                say(f"Daemon {left} was killed; taking over")
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            try:
                yield
            finally:
                PID_FILE.unlink(missing_ok=True)
            return


def unfinished() -> Path | None:
    """The dataset that an earlier daemon did not finish; None if there is none. If the checkpoint
    it was started from is gone, it starts again from the remaining ones.
    """
    found = [path for path in PROCESSING.glob("*+*.jsonl") if path.name.partition("+")[0].isdigit()]
    if not found:
        return None
    begun, name = origin(min(found))
    step = step_of(last_checkpoint(CHECKPOINTS))
    return min(found) if begun <= step else min(found).rename(PROCESSING / f"{step}+{name}")


def taken() -> Path | None:
    """Move the dataset that arrived first to queue/processing/, where its name starts with the
    training step after which it was started.
    """
    found = [
        path for path in QUEUE.glob("*.jsonl") if not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        return None
    first = min(found, key=lambda path: (path.stat().st_ctime_ns, path.name))  # a rename sets ctime
    step = step_of(last_checkpoint(CHECKPOINTS))
    return first.rename(PROCESSING / f"{step}+{first.name}")


def origin(dataset: Path) -> tuple[int, str]:
    """The training step after which the dataset was started, and its original name."""
    step, _, name = dataset.name.partition("+")
    return int(step), name


def put_away(dataset: Path, folder: Path, name: str) -> Path:
    """Move the file there without overwriting another one."""
    place, number = folder / name, 1
    while place.exists():
        number += 1
        place = folder / f"{Path(name).stem}.{number}.jsonl"
    return dataset.rename(place)


def train(dataset: Path, config: Path, stop: Stop) -> str:
    """Train on the dataset in a separate process. Returns why it failed; "" if it did not, or was
    asked to stop.

    Raises:
        InputError: the dataset is invalid.
    """
    read_rows(dataset, called=origin(dataset)[1])
    command = [
        sys.executable,
        TRAIN,
        "--config",
        config,
        "--dataset",
        dataset,
        "--begun",
        str(origin(dataset)[0]),
    ]
    with OUTPUT.open("ab") as output:
        stop.training = subprocess.Popen(
            [*command, "--stops-with-stdin"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        say(f"Training on {dataset}, process {stop.training.pid}, output in {OUTPUT}")
        if stop.asked:
            stop.tell()
        code = stop.training.wait()
    finally:
        stop.training = None
    if code == 0 or stop.asked:
        return ""
    ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    return (
        f"train.py {ended}; see the end of {OUTPUT}. To go on: move the dataset back into {QUEUE}"
    )


def work(config: Path, stop: Stop, *, once: bool) -> None:
    """Train on one dataset after another, until asked to stop or, with `--once`, until the queue is
    empty. While the configuration is invalid, it waits.

    Raises:
        InputError: the configuration is invalid, and `--once` does not wait.
    """
    said = ""
    while not stop.asked:
        try:
            read_config(config)
            dataset = unfinished() or taken()
        except InputError as error:
            if once:
                raise
            if str(error) != said:
                said = str(error)
                say(said)
            dataset = None
        if dataset is None:
            if once:
                return
            time.sleep(LOOK_S)
            continue
        begun, name = origin(dataset)
        try:
            why = train(dataset, config, stop)
        except InputError as error:
            why = str(error)
        step = step_of(last_checkpoint(CHECKPOINTS))
        if why:
            place = put_away(dataset, FAILED, name)
            place.with_suffix(".txt").write_text(why + "\n")
            say(f"Failed, now {place}: {why}")
        elif stop.asked:
            say(f"Stopped at step {step}; the next daemon goes on with {dataset}")
        else:
            say(f"Done, now {put_away(dataset, DONE, name)}: steps {begun + 1} to {step}")


def main() -> None:
    """Run the daemon of the current folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.json"))
    parser.add_argument("--once", action="store_true", help="end when the queue is empty")
    arguments = parser.parse_args()
    stop = Stop()
    try:
        with only_daemon():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, stop)
            for folder in (PROCESSING, DONE, FAILED):
                folder.mkdir(parents=True, exist_ok=True)
            say(f"Daemon {os.getpid()} waits for *.jsonl in {QUEUE}")
            work(arguments.config, stop, once=arguments.once)
    except InputError as error:
        print(f"training_daemon.py: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
