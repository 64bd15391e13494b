"""Which Python is started beside the program: never the program itself, and none that its folder
can bend.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from watchkeeper.record.stopping import interpreter, isolation

RUN = """
import time
import watchkeeper as wk
with wk.start_run(folder="run", pipeline="t", console=False) as run:
    deadline = time.monotonic() + 60
    samples = ".watchkeeper/telemetry/*.jsonl"
    while time.monotonic() < deadline and not list(run.folder.glob(samples)):
        time.sleep(0.05)
    run.totals(watched=len(list(run.folder.glob(samples))))
"""


def link(folder, target):
    """A link that stands for the kernel's own to the file that runs."""
    place = folder / "exe"
    place.symlink_to(target)
    return place


def test_a_plain_python_is_found():
    """In an ordinary process it is the interpreter that runs."""
    path, why = interpreter.find()
    assert (os.path.realpath(path), why) == (os.path.realpath("/proc/self/exe"), "")


@pytest.mark.parametrize("name", ["frozen", "_MEIPASS", "oxidized"])
def test_a_frozen_application_has_none(monkeypatch, name):
    """PyInstaller, cx_Freeze and PyOxidizer mark sys: there is no Python to start, and the reason
    is named.
    """
    monkeypatch.setattr(sys, name, "macosx_app", raising=False)
    path, why = interpreter.find()
    assert path == "" and f"sys.{name}" in why


def test_a_compiled_program_has_none(monkeypatch):
    """Nuitka marks each module that it compiled."""
    monkeypatch.setattr(sys.modules["__main__"], "__compiled__", object(), raising=False)
    assert interpreter.find()[0] == ""


@pytest.mark.parametrize("executable", [None, "", "/bin/false", "app.sh"])
def test_what_sys_executable_says_is_no_matter(monkeypatch, executable):
    """Whoever replaced or emptied `sys.executable` changes nothing."""
    monkeypatch.setattr(sys, "executable", executable)
    assert os.path.realpath(interpreter.find()[0]) == os.path.realpath("/proc/self/exe")


@pytest.mark.parametrize(
    "runs", ["/usr/sbin/uwsgi", "/opt/app/trainer", "/opt/pythonapp", "/opt/python3-wrapper"]
)
def test_a_program_that_embeds_python_is_not_started(monkeypatch, tmp_path, runs):
    """Python within another program: the installed one beside it is taken, and where there is none,
    none.
    """
    monkeypatch.setattr(interpreter, "_RUNS", link(tmp_path, runs))
    monkeypatch.setattr(sys, "base_exec_prefix", str(tmp_path))
    path, why = interpreter.find()
    assert path == "" and runs in why
    python = tmp_path / "bin" / f"python{sysconfig.get_python_version()}"
    python.parent.mkdir()
    python.symlink_to("/proc/self/exe")
    assert interpreter.find() == (str(python), "")


@pytest.mark.parametrize(
    "name", ["python", "python3", "python3.11", "python3.13t", "python3-dbg", "pypy3.10"]
)
def test_the_names_of_interpreters(monkeypatch, tmp_path, name):
    """An interpreter is known by its name, whichever of its names it is."""
    (tmp_path / name).touch()
    monkeypatch.setattr(interpreter, "_RUNS", link(tmp_path, tmp_path / name))
    assert interpreter.find() == (str(tmp_path / name), "")


def run_beside(folder: Path, **environ: str) -> subprocess.CompletedProcess:
    (folder / "train.py").write_text(RUN)
    settings = {"WATCHKEEPER_SIDECAR": "1", "WATCHKEEPER_SIDECAR_DELAY_S": "0.1", **environ}
    return subprocess.run(
        [sys.executable, "train.py"],
        cwd=folder,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("module", ["json", "types", "select", "queue"])
def test_a_shadowing_module_does_not_reach_the_sidecar(tmp_path, module):
    """Modules named like Python's own, in PYTHONPATH, are never run by the sidecar; it watches all
    the same.
    """
    shadows = tmp_path / "shadows"
    shadows.mkdir()
    seen = str(tmp_path / "seen")
    (shadows / f"{module}.py").write_text(
        f"import os, sys\nif 'record.sidecar' in ' '.join(sys.orig_argv): open({seen!r}, 'a')\n"
        f"sys.path.remove({str(shadows)!r})\ndel sys.modules[{module!r}]\nimport {module}\n"
    )
    done = run_beside(tmp_path, PYTHONPATH=str(shadows))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "seen").exists()
    assert list((tmp_path / "run/.watchkeeper/telemetry").glob("*.jsonl"))


def test_sitecustomize_and_startup_files_do_not_reach_the_sidecar(tmp_path):
    """What a user's sitecustomize, usercustomize or PYTHONSTARTUP does is done once, by the program
    alone.
    """
    for name in ("sitecustomize", "usercustomize", "startup"):
        (tmp_path / f"{name}.py").write_text(
            f"open({str(tmp_path / 'starts')!r}, 'a').write('{name}\\n')\n"
        )
    done = run_beside(
        tmp_path,
        PYTHONPATH=str(tmp_path),
        PYTHONSTARTUP=str(tmp_path / "startup.py"),
        PYTHONINSPECT="",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "starts").read_text().count("sitecustomize") == 1
    assert list((tmp_path / "run/.watchkeeper/telemetry").glob("*.jsonl"))


APPLICATION = """
import os, sys, time
sys.executable, sys.frozen = os.path.abspath("app.sh"), True
with open("starts", "a") as starts:
    starts.write("start\\n")
if len(open("starts").readlines()) > 3:
    sys.exit(9)
import watchkeeper as wk
if __name__ == "__main__":
    folder = f"run{len(open('starts').readlines())}"
    with wk.start_run(folder=folder, pipeline="t", console=False) as run:
        time.sleep(1)
        run.limit(60, isolate=True).call(os.getpid)
"""


def test_a_frozen_application_is_started_once(tmp_path):
    """Neither the sidecar nor an isolated call starts the application again, and one line of the
    log says why for each.
    """
    (tmp_path / "app.py").write_text(APPLICATION)
    (tmp_path / "app.sh").write_text(f'#!/bin/sh\nexec {sys.executable} app.py "$@"\n')
    (tmp_path / "app.sh").chmod(0o755)
    environ = os.environ | {"WATCHKEEPER_SIDECAR": "1", "WATCHKEEPER_SIDECAR_DELAY_S": "0.1"}
    done = subprocess.run(
        ["./app.sh"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "starts").read_text() == "start\n"
    log = (tmp_path / "run1/logs/run.log").read_text()
    assert log.count("no sidecar watches this run: this is a frozen application (sys.frozen)") == 1
    assert log.count("is not isolated: this is a frozen application (sys.frozen)") == 1


@pytest.mark.parametrize(
    ("source", "guarded"),
    [
        ("def f(): ...\nif __name__ == '__main__':\n    f()\n", True),
        ('if "__main__" == __name__: f()', True),
        ("def f():\n    if __name__ == '__main__': ...\nf()\n", False),
        ("print('__main__')\n", False),
        ("not python at all", False),
        ("\0", False),
    ],
)
def test_a_script_says_whether_it_may_be_imported(source, guarded):
    """Only a guard at the script's own level keeps it from running when it is imported."""
    assert isolation.is_guarded(source.encode()) is guarded


def test_a_run_at_a_scripts_top_is_not_started_again(tmp_path):
    """A script whose guard does not cover `start_run` gets no second run from an isolated call."""
    (tmp_path / "train.py").write_text(
        "import watchkeeper as wk\n"
        "def f():\n    return 7\n"
        "run = wk.start_run('runs', pipeline='t')\n"
        "if __name__ == '__main__':\n    print(run.limit(60, isolate=True).call(f))\n    "
        "run.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert "behind `if __name__" in done.stderr or "start the program's run again" in done.stderr
