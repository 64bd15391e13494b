"""The run's log: each line knows its run and step, nothing is said twice, and everything is put
back.
"""

from __future__ import annotations

import logging
import logging.config
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import RunEnded

LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) \[training "
    r"(\d{8}-\d{6}-\w+) (\S+)\] (.*)"
)


def lines(folder, name="logs/run.log"):
    return (folder / name).read_text(encoding="utf-8").splitlines()


def parsed(folder):
    found = [LINE.fullmatch(line) for line in lines(folder)]
    assert all(found), lines(folder)
    return [(match[1], match[3], match[4]) for match in found]


@pytest.fixture
def root():
    """The root logger as pytest left it, checked to be the same after the test."""
    logger = logging.getLogger()
    before = (
        logger.level,
        list(logger.handlers),
        [list(handler.filters) for handler in logger.handlers],
    )
    yield logger
    assert before == (
        logger.level,
        list(logger.handlers),
        [list(handler.filters) for handler in logger.handlers],
    )


def test_every_line_is_in_the_documents_format(tmp_path, root):
    """Each line carries time, level, pipeline, run id and step, also of loggers that know nothing
    of runs.
    """
    with wk.start_run(
        tmp_path, pipeline="training", config={"seed": 7, "model": {"width": 3}}
    ) as run:
        logging.getLogger("somebody.else").info("before")
        with run.step("00_ingest"):
            logging.getLogger("somebody.else").warning("within %d", 1)
    told = parsed(run.folder)
    assert {run.run_id} == {LINE.fullmatch(line)[2] for line in lines(run.folder)}
    assert ("INFO", "-", "before") in told
    assert ("WARNING", "00_ingest", "within 1") in told
    assert told[0] == ("INFO", "-", f"Run started: {run.folder}")
    assert {"Config: seed=7", "Config: model.width=3", "Seed: 7"} <= {
        message for _, _, message in told
    }
    assert any(message.startswith("Git: ") for _, _, message in told)
    assert ("INFO", "00_ingest", "Starting step 00_ingest") in told
    assert any(
        step == "00_ingest" and message.startswith("Finished step 00_ingest")
        for _, step, message in told
    )
    assert [message.partition(":")[0] for _, _, message in told[-3:]] == [
        "Totals",
        "Runtime",
        "Run finished",
    ]


def test_a_hundred_runs_print_nothing_twice(tmp_path, capsys, root):
    """Handlers of earlier runs are gone: the hundredth run's line is in its file once, on stderr
    once, nowhere else.
    """
    for number in range(100):
        with wk.start_run(tmp_path, pipeline="training") as run:
            logging.getLogger("a").info("line %d", number)
    assert sum("line 99" in line for line in lines(run.folder)) == 1
    printed = capsys.readouterr().err
    assert [printed.count(f"line {number}\n") for number in range(100)] == [1] * 100
    assert sum("line 99" in line for folder in tmp_path.iterdir() for line in lines(folder)) == 1


def test_what_the_user_prints_himself_is_not_printed_again(tmp_path, capsys, root):
    """Beside a console handler of the user's, a line he prints is his, and one he filters out by
    level is ours.
    """
    own = logging.StreamHandler(sys.stderr)
    own.setFormatter(logging.Formatter("mine: %(message)s"))
    before = root.level
    root.addHandler(own)
    root.setLevel(logging.WARNING)
    try:
        with wk.start_run(tmp_path, pipeline="training"):
            logging.getLogger("a").warning("loud")
            logging.getLogger("a").info("quiet")
        assert (root.level, own.filters) == (logging.WARNING, [])
    finally:
        root.removeHandler(own)
        root.setLevel(before)
    printed = capsys.readouterr().err
    assert printed.count("loud") == 1 and "mine: loud" in printed
    assert printed.count("quiet") == 1 and "mine: quiet" not in printed


def test_a_scoped_logger_leaves_the_root_alone(tmp_path, capsys, root):
    """With `logger=` only that logger is captured, and its level and propagation are put back."""
    scoped = logging.getLogger("dfs_opt")
    before = (scoped.level, scoped.propagate)
    with wk.start_run(tmp_path, pipeline="training", logger="dfs_opt") as run:
        logging.getLogger("dfs_opt.io").info("ours")
        logging.getLogger("other").error("theirs")
    assert before == (scoped.level, scoped.propagate)
    assert scoped.handlers == []
    messages = [message for _, _, message in parsed(run.folder)]
    assert "ours" in messages and "theirs" not in messages
    assert messages[-1] == "Run finished"
    assert capsys.readouterr().err.count("ours") == 1


def test_a_benchmarks_log_has_its_own_name_and_format(tmp_path):
    """`log_file` and `log_format` give the benchmark's file, in its format, line for line, and a
    rerun goes on in it.
    """
    form = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
    for _ in range(2):
        with wk.start_run(
            folder=tmp_path,
            pipeline="benchmark",
            log_file="benchmark.log",
            log_format=form,
            logger="bench",
        ):
            logging.getLogger("bench").info("measured")
    pattern = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - bench - INFO - .+")
    assert all(pattern.fullmatch(line) for line in lines(tmp_path, "benchmark.log"))
    assert sum(line.endswith(" - measured") for line in lines(tmp_path, "benchmark.log")) == 2
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("flag", "variable", "config", "debug"),
    [
        (None, None, None, False),
        (None, None, "debug", True),
        (None, "DEBUG", "WARNING", True),
        (None, "INFO", "DEBUG", False),
        ("DEBUG", "INFO", "INFO", True),
        (logging.DEBUG, None, None, True),
    ],
)
def test_the_level_comes_from_flag_environment_config(
    tmp_path, monkeypatch, flag, variable, config, debug
):
    """The call wins over the environment, that over the configuration, and INFO is the default."""
    if variable:
        monkeypatch.setenv("WATCHKEEPER_LOG_LEVEL", variable)
    with wk.start_run(
        tmp_path, pipeline="training", config={"log_level": config}, log_level=flag
    ) as run:
        logging.getLogger("a").debug("fine print")
    assert debug == any("fine print" in line for line in lines(run.folder))


@pytest.mark.parametrize("word", ["WARN", "warn", "fatal", "notset", "TRACE", " Debug ", 15, "15"])
def test_a_level_that_others_know_is_one_here(tmp_path, caplog, word):
    """Python's other level names, loguru's and numbers are levels, and cause no warning."""
    with wk.start_run(tmp_path, pipeline="training", config={"log_level": word}):
        pass
    assert "which is no level here" not in caplog.text


@pytest.mark.parametrize("word", ["passive", [1], True, -1, 0.5, "LOUD", {"a": 1}, "²"])
@pytest.mark.parametrize("place", ["config", "argument", "variable"])
def test_a_level_that_is_none_stops_no_start(tmp_path, monkeypatch, place, word):
    """A word that is no level, wherever it comes from, is passed over for the next place's, with
    one line in the log.
    """
    config, options = {"log_level": "DEBUG"}, {}
    if place == "config":
        config = {"log_level": word}
    elif place == "argument":
        options = {"log_level": word}
    else:
        monkeypatch.setenv("WATCHKEEPER_LOG_LEVEL", str(word))
    with wk.start_run(tmp_path, pipeline="training", config=config, **options) as run:
        logging.getLogger("a").debug("fine print")
    text = "\n".join(lines(run.folder))
    assert text.count("which is no level here") == 1
    assert ("fine print" in text) == (place != "config")


@pytest.mark.parametrize(
    "options",
    [
        {"log_format": "%(nothing)s"},
        {"log_format": "plain"},
        {"config": {"persist_step_outputs": "maybe"}},
        {"reuse": "nowhere"},
    ],
)
def test_bad_options_are_named_at_the_start(tmp_path, options, root):
    """A format or switch that is none stops the start with a hint, and captures nothing."""
    with pytest.raises(UsageError) as raised:
        wk.start_run(tmp_path, pipeline="training", **options)
    assert raised.value.hint


def test_a_failure_is_logged_with_its_traceback(tmp_path, capsys):
    """An exception is in the file with its traceback and its step; stderr gets the line, and Python
    prints the rest.
    """
    with (
        pytest.raises(KeyError),
        wk.start_run(tmp_path, pipeline="training") as run,
        run.step("02_fit"),
    ):
        raise KeyError("gone")
    text = "\n".join(lines(run.folder))
    assert "Failed step 02_fit" in text
    assert "Run failed in step 02_fit: KeyError: 'gone'\nTraceback (most recent call last)" in text
    assert "Run finished" not in text
    printed = capsys.readouterr().err
    assert "Run failed in step 02_fit" in printed and "Traceback" not in printed


def test_long_values_are_bounded(tmp_path):
    """A dump of a megabyte costs the log a few thousand characters, and names what is left out."""
    with wk.start_run(tmp_path, pipeline="training", config={"text": "y" * 50_000}) as run:
        logging.getLogger("a").info("x" * 1_000_000)
    assert (run.folder / "logs/run.log").stat().st_size < 10_000
    assert any("[…996000 characters…]" in line for line in lines(run.folder))


def test_a_record_that_does_not_fit_its_arguments_is_kept(tmp_path, capsys):
    """A line with wrong arguments or a lone surrogate is logged as well as it can be, and raises
    nothing.
    """
    with wk.start_run(tmp_path, pipeline="training") as run:
        logging.getLogger("a").info("%d things", "many")
        logging.getLogger("a").info("lone \ud800")
    text = (run.folder / "logs/run.log").read_text()
    assert "'%d things' ('many',) (not formatted" in text
    assert "lone \\ud800" in text


def test_threads_and_runs_side_by_side_keep_to_their_own_logs(tmp_path):
    """A thread inside a run's step logs as that step; two runs in two threads do not see each
    other's lines.
    """
    barrier = threading.Barrier(2)

    def work(name):
        with wk.start_run(tmp_path / name, pipeline="training") as run, run.step(f"00_{name}"):
            barrier.wait(20)
            logging.getLogger("a").info("from %s", name)
            barrier.wait(20)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, other in (("one", "two"), ("two", "one")):
        (folder,) = (tmp_path / name).iterdir()
        told = parsed(folder)
        assert ("INFO", f"00_{name}", f"from {name}") in told
        assert not [message for _, _, message in told if message == f"from {other}"]

    with wk.start_run(tmp_path / "three", pipeline="training") as run, run.step("00_outer"):
        worker = threading.Thread(target=logging.getLogger("a").info, args=("from a worker",))
        worker.start()
        worker.join()
    assert ("INFO", "00_outer", "from a worker") in parsed(run.folder)


def test_a_forked_child_logs_into_a_file_of_its_own(tmp_path):
    """After a fork the child's lines are in `run.<writer>.log`, each line once, and the parent's
    file stays whole.
    """
    with wk.start_run(tmp_path, pipeline="training") as run:
        logging.getLogger("a").info("parent before")
        pid = os.fork()
        if pid == 0:
            logging.getLogger("a").info("child")
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        logging.getLogger("a").info("parent after")
    logs = sorted((run.folder / "logs").iterdir())
    assert len(logs) == 2 and (run.folder / "logs/run.log") in logs
    (child,) = [path for path in logs if path.name != "run.log"]
    assert [line.endswith("] child") for line in child.read_text().splitlines()] == [True]
    messages = [message for _, _, message in parsed(run.folder)]
    assert "child" not in messages
    assert {"parent before", "parent after", "Run finished"} <= set(messages)


def test_the_log_survives_a_dictconfig(tmp_path, root):
    """A logging configuration that throws our handlers out is mended at the next step, and the end
    is logged.
    """
    before = (root.level, list(root.handlers))
    try:
        with wk.start_run(tmp_path, pipeline="training", console=False) as run:
            logging.config.dictConfig({"version": 1, "root": {"level": "INFO", "handlers": []}})
            with run.step("00_ingest"):
                logging.getLogger("new").info("still here")
    finally:
        root.setLevel(before[0])
        for handler in before[1]:
            if handler not in root.handlers:
                root.addHandler(handler)
        logging.getLogger("watchkeeper").disabled = False
    messages = [message for _, _, message in parsed(run.folder)]
    assert "still here" in messages and messages[-1] == "Run finished"


def test_a_full_disk_costs_log_lines_and_not_the_run(tmp_path):
    """Where the log cannot be written the run goes on, says so once on stderr, and its end counts
    the lines.
    """
    code = f"""
import logging, resource, signal
import watchkeeper as wk
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with wk.start_run(folder={str(tmp_path)!r}, pipeline="training") as run:
    logging.getLogger("a").info("x" * 3000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
    for number in range(5):
        logging.getLogger("a").info("lost %d %s", number, "y" * 2000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    logging.getLogger("a").info("kept")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stderr.count("could not be written") == 1
    text = (tmp_path / "logs/run.log").read_text()
    assert "lost 0" not in text and text.splitlines()[-1].endswith("Run finished")
    assert any(line.endswith("] kept") for line in text.splitlines())
    from watchkeeper.core.journal import read

    (ended,) = [
        event
        for own in read(tmp_path / ".watchkeeper/journal").events.values()
        for event in own
        if isinstance(event, RunEnded)
    ]
    assert ended.lost_lines == 5


def test_a_torn_last_line_is_ended_before_the_next_run(tmp_path):
    """A rerun in the same folder begins on a line of its own after what a kill left."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/run.log").write_text("half a li")
    with wk.start_run(folder=tmp_path, pipeline="training"):
        pass
    assert lines(tmp_path)[0] == "half a li"
    assert all(LINE.fullmatch(line) for line in lines(tmp_path)[1:])


def test_two_runs_in_one_folder_at_once_do_not_share_a_file(tmp_path):
    """One writer, one file: a second run in a folder in use logs beside the first one's log."""
    with (
        wk.start_run(folder=tmp_path, pipeline="training"),
        wk.start_run(folder=tmp_path, pipeline="training") as inner,
    ):
        logging.getLogger("a").info("within both")
    assert lines(tmp_path)[-1].endswith("Run finished")
    (other,) = [path for path in (tmp_path / "logs").iterdir() if path.name != "run.log"]
    assert {inner.run_id} == {
        LINE.fullmatch(line)[2] for line in lines(tmp_path, f"logs/{other.name}")
    }


def test_another_living_processs_log_is_left_alone(tmp_path):
    """A process that still records into the folder keeps its log file to itself."""
    code = f"""
import sys
import watchkeeper as wk
with wk.start_run(folder={str(tmp_path)!r}, pipeline="training", console=False):
    print("up", flush=True)
    sys.stdin.readline()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None and other.stdout.readline() == "up\n"
        with wk.start_run(folder=tmp_path, pipeline="training") as mine:
            pass
    finally:
        other.communicate("go on\n", timeout=300)
    assert other.returncode == 0
    assert len(list((tmp_path / "logs").iterdir())) == 2
    assert mine.run_id not in Path(tmp_path / "logs/run.log").read_text()
    assert lines(tmp_path)[-1].endswith("Run finished")


def test_items_of_a_loop_are_bounded_at_info(tmp_path):
    """The first items of a message are at INFO, the rest at DEBUG, and the step's end says how
    many.
    """
    with (
        wk.start_run(tmp_path, pipeline="training", log_level="DEBUG") as run,
        run.step("01_parse", items_shown=2) as step,
    ):
        for number in range(5):
            step.item("contest %d", number)
        step.item("other")
    told = [(level, message) for level, _, message in parsed(run.folder)]
    assert [level for level, message in told if message.startswith("contest ")] == ["INFO"] * 2 + [
        "DEBUG"
    ] * 3
    assert ("INFO", "other") in told and ("INFO", "3 more at DEBUG: contest %d") in told
