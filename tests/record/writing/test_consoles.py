"""A line is on the console once, whoever else prints it, and in the file whatever is done to
logging meanwhile.
"""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
import queue
import subprocess
import sys

import pytest

from watchkeeper.record.writing.consoles import is_console, prints


class Front:
    """A stream that stands in front of another one, as colorama's and tqdm's do."""

    def __init__(self, wrapped):
        self.wrapped = wrapped


class Unknown(logging.Handler):
    """A handler that nobody knows."""


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (lambda path: logging.StreamHandler(), True),
        (lambda path: logging.StreamHandler(sys.stdout), True),
        (lambda path: logging.StreamHandler(sys.__stderr__), True),
        (lambda path: logging.StreamHandler(Front(Front(sys.stderr))), True),
        (lambda path: logging.StreamHandler(io.StringIO()), False),
        (
            lambda path: logging.StreamHandler(
                None if sys.stderr is None else os.fdopen(os.dup(2), "w")
            ),
            True,
        ),
        (lambda path: logging.FileHandler(path / "a.log"), False),
        (lambda path: logging.FileHandler(os.devnull), False),
        (lambda path: logging.handlers.RotatingFileHandler(path / "b.log"), False),
        (lambda path: logging.NullHandler(), False),
        (lambda path: logging.handlers.SocketHandler("localhost", 9), False),
        (lambda path: logging.handlers.MemoryHandler(9), False),
        (lambda path: logging.handlers.MemoryHandler(9, target=logging.StreamHandler()), True),
        (lambda path: logging.handlers.QueueHandler(queue.Queue()), True),
        (lambda path: Unknown(), True),
    ],
)
def test_which_handlers_print(tmp_path, capfd, handler, expected):
    """What is known to go elsewhere is silent; what nobody can see through is taken to print."""
    found = handler(tmp_path)
    try:
        assert prints(found) is expected
    finally:
        found.close()


def test_a_stream_that_leads_to_itself_is_none():
    """A stream that names itself as the one within it ends nowhere."""
    loop = Front(None)
    loop.wrapped = loop
    assert is_console(loop) is False


RUN = """
import logging, logging.config, logging.handlers, queue, sys
import watchkeeper as wk
log = logging.getLogger("lib")
{before}
with wk.start_run(folder="run", pipeline="t") as run:
    log.info("LINE")
{end}
"""

LOGURU = """
from loguru import logger
class ToLoguru(logging.Handler):
    def emit(self, record):
        logger.opt(depth=6).log(record.levelname, record.getMessage())
"""
OWN = {
    "none": ("", ""),
    "loguru": (
        LOGURU + "logging.basicConfig(handlers=[ToLoguru()], level=logging.DEBUG, force=True)",
        "",
    ),
    "loguru on one logger": (LOGURU + "log.addHandler(ToLoguru())\nlog.setLevel(10)", ""),
    "absl": (
        "from absl import logging as absl\nabsl.use_absl_handler()\nabsl.set_verbosity(absl.INFO)\n"
        "absl.set_stderrthreshold('info')",
        "",
    ),
    "rich": (
        "from rich.logging import RichHandler\n"
        "from rich.console import Console\n"
        "logging.basicConfig(handlers=[RichHandler(console=Console(stderr=True))], level=10)",
        "",
    ),
    "stdout": ("logging.basicConfig(stream=sys.stdout, level=logging.INFO)", ""),
    "a library's own": ("log.addHandler(logging.StreamHandler())\nlog.setLevel(20)", ""),
    "a copy of stderr": ("logging.basicConfig(stream=open('/dev/stderr', 'w'), level=20)", ""),
    "a listener": (
        "q = queue.Queue()\nlogging.basicConfig(handlers=[logging.handlers.QueueHandler(q)], "
        "level=20)\n"
        "listener = logging.handlers.QueueListener(q, logging.StreamHandler())\nlistener.start()",
        "listener.stop()",
    ),
}


@pytest.mark.parametrize(("before", "end"), OWN.values(), ids=OWN.keys())
def test_a_line_is_on_the_console_once(tmp_path, before, end):
    """Whatever prints the program's lines, each is on stdout and stderr together once, and once in
    the file.
    """
    command = [sys.executable, "-c", RUN.format(before=before, end=end)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("LINE") == 1, done.stdout + done.stderr
    assert (tmp_path / "run/logs/run.log").read_text().count("LINE") == 1


LOOP = """
import logging, logging.config, sys
import watchkeeper as wk
log = logging.getLogger("train")
with wk.start_run(folder="run", pipeline="t") as run:
    log.warning("before")
    for n in range(1, 4):
        {change}
        log.warning("LINE-%d", n)
    raise ValueError("no data")
"""
CHANGES = {
    "basicConfig": "logging.basicConfig(level=logging.WARNING, force=True)",
    "dictConfig": (
        "logging.config.dictConfig("
        "{'version': 1, 'disable_existing_loggers': False, 'root': {'level': 'ERROR'}})"
        "; log.setLevel(10)"
    ),
    (
        "dictConfig that disables"
    ): "logging.config.dictConfig({'version': 1, 'root': {'level': 'INFO'}}); log.disabled = False",
    "fileConfig": "logging.config.fileConfig('logging.ini', disable_existing_loggers=False)",
    "handlers cleared": "logging.root.handlers.clear()",
    "handlers replaced": "logging.root.handlers = [logging.NullHandler()]",
    "shutdown": "logging.shutdown()",
    "another factory": "logging.setLogRecordFactory(logging.LogRecord)",
}
INI = """
[loggers]
keys=root
[handlers]
keys=out
[formatters]
keys=
[logger_root]
level=WARNING
handlers=out
[handler_out]
class=StreamHandler
args=(sys.stdout,)
"""


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_the_log_survives_each_configuration(tmp_path, change):
    """Whatever the program does to logging in its loop, each later line, the traceback and the end
    are in the file.
    """
    (tmp_path / "logging.ini").write_text(INI)
    command = [sys.executable, "-c", LOOP.format(change=change)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 1, done.stderr
    log = (tmp_path / "run/logs/run.log").read_text()
    assert [
        log.count(line) for line in ("before", "LINE-1", "LINE-2", "LINE-3", "Traceback (most")
    ] == [1] * 5, log
    assert log.rstrip().endswith("Run ended: failed")


def test_a_level_that_is_raised_with_the_handlers_thrown_out_is_the_consoles(tmp_path):
    """A configuration for warnings is obeyed on the console; the file keeps what it kept, from the
    next line on.
    """
    code = """
import logging
import watchkeeper as wk
log = logging.getLogger("train")
with wk.start_run(folder="run", pipeline="t") as run:
    logging.basicConfig(level=logging.WARNING, force=True, format="mine: %(message)s")
    log.warning("loud")
    log.info("quiet")
assert (logging.root.level, len(logging.root.handlers)) == (logging.WARNING, 1)
log.info("later")
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "run/logs/run.log").read_text()
    assert (log.count("loud"), log.count("quiet"), log.count("later")) == (1, 1, 0)
    assert done.stderr.count("loud") == 1 and "mine: quiet" not in done.stderr


def test_logging_that_is_disabled_keeps_our_own_lines(tmp_path):
    """`logging.disable` is for the program's lines: the run's end is in the file, and the console
    stays quiet.
    """
    code = """
import logging
import watchkeeper as wk
with wk.start_run(folder="run", pipeline="t") as run:
    logging.disable(logging.CRITICAL)
    logging.getLogger("x").error("not said")
    with run.step("a"):
        pass
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    log = (tmp_path / "run/logs/run.log").read_text()
    assert done.returncode == 0 and "not said" not in log
    assert "Starting step 00_a" in log and log.rstrip().endswith("Run finished")
    assert "Starting step" not in done.stderr


def test_the_record_factory_is_put_back(tmp_path):
    """After the last run the program's own factory makes the records."""
    import watchkeeper as wk

    before = logging.getLogRecordFactory()
    with (
        wk.start_run(tmp_path, pipeline="t", console=False),
        wk.start_run(tmp_path, pipeline="u", console=False),
    ):
        assert logging.getLogRecordFactory() is not before
    assert logging.getLogRecordFactory() is before
