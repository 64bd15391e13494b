"""Why nothing advances, or why the process is gone, as far as what was seen tells. Pure."""

from __future__ import annotations

import re

import msgspec

from watchkeeper.core.text.figures import gib
from watchkeeper.runfolder.telemetry import Sample

BUSY = 0.1  # CPUs; less than that is no work. The machine may be shared
SCARCE_BYTES = 200 * 2**20  # of host memory left, below which the kernel may have killed

# What the innermost frames of a thread that waits look like: words in `file:line function` → what
# it waits for.
_WAITS = (
    (
        (
            r"torch/utils/data/.* "
            r"(_try_get_data|_get_data|_next_data)|torch/utils/data/_utils/pin_memory"
        ),
        "data: its DataLoader's workers give none",
    ),
    (r"torch/distributed/|torch/_C/_distributed", "the other ranks, in a collective operation"),
    (
        (
            r"/subprocess\.py:\d+ "
            r"(_?wait|communicate|_try_wait|_communicate)|/multiprocessing/popen_fork\.py"
        ),
        "a child process",
    ),
    (
        r"/concurrent/futures/|/multiprocessing/(pool|process|managers)\.py",
        "other workers of its own",
    ),
    (
        r"/(multiprocessing|torch/multiprocessing)/(connection|queues)\.py",
        "another process, at a pipe or queue",
    ),
    (r"/(ssl|socket|http/client|urllib3|httpx|requests|aiohttp|botocore)[/.]", "the network"),
    (r"/threading\.py:\d+ (join|_wait_for_tstate_lock)", "a thread of its own"),
    (r"/threading\.py:\d+ (acquire|wait|__enter__)|/queue\.py:\d+ (get|put)", "a lock or a queue"),
)


# The same of the kernel's function that it waits in.
_KERNEL = (
    (r"futex", "a lock, which is held by another thread or process"),
    (r"nanosleep", "time to pass: it sleeps"),
    (r"do_wait|wait4", "a child process"),
    (r"pipe_", "another process, at a pipe"),
    (r"sk_wait|inet_|tcp_|skb_", "the network"),
    (r"poll|select|ep_", "something from another process or the network"),
)


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen at a stall. `fault`: why nothing can be written in the run's folder, "" where
    it can. `states`: the kernel's letters of the processes, the work's own first (proc(5)). `main`:
    the main thread's frames, innermost first, and `kernel`, the kernel's function that it waits in
    ("": it runs, or nobody may know). `cpus`: the processors that the work keeps busy, None where
    that could not be measured; `queued`: those that it waits for, ready to run.
    """

    answers: bool = True
    sample: Sample | None = None
    fault: str = ""
    states: tuple[str, ...] = ()
    cpus: float | None = None
    queued: float = 0.0
    main: tuple[str, ...] = ()
    kernel: str = ""


def of_stall(facts: Facts) -> str:
    """The likely cause, in words for a log."""
    where = _place(facts.main)
    if not facts.answers:
        return "the filesystem of the run's folder does not answer"
    if facts.states and facts.states[0] in "Tt":
        return "the process is stopped: by SIGSTOP, Ctrl-Z or a debugger (kill -CONT lets it go on)"
    if facts.states and facts.states[0] == "D":
        return f"blocked in the kernel, on a disk, a filesystem or a device{where}"
    if facts.sample is not None and facts.sample.is_full:
        return f"the disk is full ({gib(facts.sample.free_bytes or 0)} free){where}"
    if facts.fault:
        return f"nothing can be written in the run's folder: {facts.fault}{where}"
    waiting = _waiting(facts, where)
    if waiting:
        return waiting
    return _by_cpu(facts, where)


def _waiting(facts: Facts, where: str) -> str:
    """What the main thread waits for, by its stack, else by the kernel; "": neither says."""
    for pattern, what in _WAITS:
        if any(re.search(pattern, frame) for frame in facts.main[:8]):
            dead = ""
            if "Z" in facts.states[1:]:
                dead = " (a child process has ended, and was not waited for)"
            return f"waiting for {what}{where}{dead}"
    for pattern, what in _KERNEL:
        if re.search(pattern, facts.kernel):
            return f"waiting for {what}{where}"
    return ""


def _by_cpu(facts: Facts, where: str) -> str:
    """Whether it is busy or asleep: the last resort."""
    if facts.cpus is None:
        if where:
            return f"it does not advance{where}"
        return "not known: neither stacks nor CPU time could be had"
    if facts.cpus + facts.queued >= BUSY:
        return (
            f"busy, with {facts.cpus:.1f} CPUs{_missing(facts)}{where}: an endless loop, or one "
            "that takes far longer than before"
        )
    return f"asleep{where}: it waits for something that does not come, and uses no CPU"


def _missing(facts: Facts) -> str:
    """What the machine does not give to work that is ready to run."""
    if facts.queued < BUSY:
        return ""
    return f", and ready for {facts.queued:.1f} more that the machine has not"


def of_death(before: Sample | None, after: Sample | None, words: str = "") -> str:
    """Why the process is gone. `words`: what else is known."""
    if before is not None and after is not None and None not in (before.oom_kills, after.oom_kills):
        assert before.oom_kills is not None and after.oom_kills is not None
        if after.oom_kills > before.oom_kills:
            return (
                "killed by the kernel: its memory was used up (the control group counts an OOM "
                "kill)"
            )
    if (
        before is not None
        and before.host_available_bytes is not None
        and before.host_available_bytes < SCARCE_BYTES
    ):
        return (
            f"killed, probably by the kernel: the host had {gib(before.host_available_bytes)} "
            "of memory left"
        )
    return (
        words
        or "gone without a word: killed by a signal (kill -9, the scheduler), or left by os._exit"
    )


def _place(frames: tuple[str, ...]) -> str:
    """`, at train.py:42 step (in torch/autograd/graph.py:10 backward)`: the innermost frame of the
    user's own code, and the innermost of all.
    """
    if not frames:
        return ""
    own = next(
        (
            frame
            for frame in frames
            if not re.search(r"/lib/python3|/site-packages/|^<frozen", frame)
        ),
        frames[0],
    )
    words = f", at {_short(own)}"
    if own == frames[0]:
        return words
    return f"{words} (in {_short(frames[0])})"


def _short(frame: str) -> str:
    path, _, function = frame.rpartition(" ")
    path = re.sub(r"^.*/(?:site-packages|lib/python3\.\d+)/", "", path)
    return f"{'/'.join(path.rsplit('/', 2)[-2:])} {function}"
