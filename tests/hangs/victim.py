"""A training that hangs in a way of one's choice: python -m tests.hangs.victim WAY RUN_FOLDER
[GUARD].

It logs ten steps, does what hangs under the guard (`limit`, `isolate`, or `none`), logs ten steps
more, and says how long the middle took.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import watchkeeper as wk

LIMIT_S = 1.0
STUBBORN = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
)


def busy(seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass


def endless_loop():
    while True:
        pass


def sleeping():
    time.sleep(600)


def catastrophic_regex():
    re.match(r"(a+)+$", "a" * 50 + "b")


def locked():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def hanging_thread():
    thread = threading.Thread(target=endless_loop)
    thread.start()
    thread.join()


def holding_the_interpreter():
    """C code that never lets another thread run."""
    sum(range(10**13))


def stubborn_child():
    """A child that ignores SIGTERM."""
    child = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    child.stdout.readline()
    note(child.pid)
    child.wait()


def stubborn_grandchild():
    """A shell whose child ignores SIGTERM, in a session of its own."""
    child = subprocess.Popen(
        ["sh", "-c", f"setsid {sys.executable} -c '{STUBBORN}' & echo $!; wait"],
        stdout=subprocess.PIPE,
    )
    note(int(child.stdout.readline()))
    child.stdout.readline()
    child.wait()


def swallowing():
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0.001)


class Clingy:
    def __del__(self):
        busy(LIMIT_S)


def within_del():
    busy(LIMIT_S / 2)
    while True:
        Clingy()
        busy(LIMIT_S / 2)


def forking():
    """A fork inside the limit: the child ends by itself, the parent does not."""
    if os.fork() == 0:
        time.sleep(2 * LIMIT_S)
        os._exit(0)
    endless_loop()


def model():
    """A tiny language model; its libraries are imported here, which takes its time on a busy
    machine.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=1 << 20,
    )
    return LlamaForCausalLM(config), torch.tensor([[1]])


def generating(model, start):
    """A real `generate` whose model never emits the end token."""
    model.generate(
        start, max_new_tokens=1 << 19, eos_token_id=None, pad_token_id=0, do_sample=False
    )


def decomposition(matrix):
    """One long call of C code."""
    import numpy

    numpy.linalg.svd(matrix)


def matrix():
    """One of which LAPACK's decomposition takes about half a minute here."""
    import numpy

    return (numpy.random.default_rng(0).random((3600, 3600)),)


PREPARED = {
    "generating": model,
    "decomposition": matrix,
}  # what the work is given, made before its time begins


def note(pid):
    """Leave the pid of a child for whoever looks on."""
    Path(os.environ["NOTES"]).write_text(str(pid))


def main():
    """Train, hang, train."""
    way, folder, guard = sys.argv[1], sys.argv[2], sys.argv[3]
    work = globals()[way]
    given = PREPARED[way]() if way in PREPARED else ()
    with wk.start_run(folder=folder, pipeline="hangs", console=False) as run:
        for step in range(1, 11):
            run.log(step, loss=1 / step)
        if guard == "isolate":
            # The process is there, with all that it imports, before the time is taken.
            run.limit(600, isolate=True).call(len, given)
        began = time.monotonic()
        if guard == "none":
            work(*given)
        else:
            run.limit(LIMIT_S, isolate=guard == "isolate").call(work, *given)
        print(f"{time.monotonic() - began:.3f}", flush=True)
        for step in range(11, 21):
            run.log(step, loss=1 / step)
    signal.alarm(0)


if __name__ == "__main__":
    main()
