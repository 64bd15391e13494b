"""A table's process dies at each of its file operations: what was acknowledged is there, and the
next one goes on.
"""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

import watchkeeper as wk

OPERATIONS = ("open", "pwrite", "link", "replace", "fsync", "unlink", "ftruncate")


def measure(folder, form, acknowledge):
    """Measure what is not there yet: six configurations, a new column at the fourth."""
    with (
        wk.start_run(folder=folder, pipeline="crash", console=False) as run,
        run.table("t", key="n", format=form) as table,
    ):
        for n in range(6):
            if n not in table and table.append(
                {"n": n, "text": "two\nlines", **({"late": True} if n > 2 else {})}
            ):
                acknowledge(n)


def in_a_child_that_dies_at(number, folder, form):
    """Measure in a fork that kills itself before its operation of this number; which rows it had
    acknowledged, and whether it died.
    """
    heard, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        left = number

        def deadly(real):
            def operation(*args, **kw):
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kw)

            return operation

        try:
            for name in OPERATIONS:
                setattr(os, name, deadly(getattr(os, name)))
            measure(folder, form, lambda n: os.write(said, b"%d\n" % n))
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.close(said)
    deadline = time.monotonic() + 30
    ended = status = 0
    try:
        while not ended and time.monotonic() < deadline:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                threading.Event().wait(0.002)
    finally:
        if not ended:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    with os.fdopen(heard, "rb") as file:
        acknowledged = [int(line) for line in file.read().split()]
    code = os.waitstatus_to_exitcode(status)
    assert ended and code in (0, -signal.SIGKILL)
    return acknowledged, code != 0


def rows_in(folder, form):
    """The rows of the partial table, else of the final one."""
    for name in (f"t_partial.{form}", f"t.{form}"):
        if (folder / name).exists():
            rows, problems = wk.read_table(folder / name)
            assert problems == []
            return [row["n"] for row in rows]
    return []


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_death_at_any_operation_loses_no_acknowledged_row(tmp_path, form):
    """Killed before each of its operations in turn, twice over: every acknowledged row stays, and a
    rerun completes.
    """
    number, died = 1, True
    while died:
        folder = tmp_path / str(number)
        acknowledged, died = in_a_child_that_dies_at(number, folder, form)
        assert set(acknowledged) <= set(rows_in(folder, form))
        if number % 3 == 0:  # the one that takes over dies as well
            more, _ = in_a_child_that_dies_at(number // 2, folder, form)
            acknowledged += more
            assert set(acknowledged) <= set(rows_in(folder, form))
        measure(folder, form, lambda n: None)
        assert sorted(rows_in(folder, form)) == list(range(6))
        assert not (folder / f"t_partial.{form}").exists()
        number += 1
    assert number > 30
