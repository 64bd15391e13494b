"""The version: written once, and read at no cost."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import watchkeeper
from watchkeeper.core import version

ROOT = Path(__file__).parents[2]


def loaded_by(code: str) -> set[str]:
    """The modules that a bare Python has loaded after this code, beyond those it had before."""
    script = f"import sys; before = set(sys.modules); {code}; print(*(sys.modules.keys() - before))"
    command = [sys.executable, "-S", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT / "src")
    return set(done.stdout.split())


def test_the_package_is_built_with_the_version_that_the_code_states():
    """pyproject.toml holds no version of its own: the build reads the one in the code."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in settings["project"] and "version" in settings["project"]["dynamic"]
    assert ROOT / settings["tool"]["hatch"]["version"]["path"] == Path(version.__file__)
    assert watchkeeper.__version__ == version.__version__


def test_the_package_folder_is_the_one_that_was_imported():
    """PACKAGE is the folder that holds the package's own files."""
    assert Path(version.PACKAGE) == Path(watchkeeper.__file__).parent


def test_importing_the_package_loads_nothing_else():
    """`import watchkeeper` loads no other module, and asking for the version loads only the file
    that states it.
    """
    assert loaded_by("import watchkeeper") == {"watchkeeper"}
    asked = loaded_by("import watchkeeper; watchkeeper.__version__")
    assert {name for name in asked if name.startswith("watchkeeper")} == {
        "watchkeeper",
        "watchkeeper.core",
        "watchkeeper.core.version",
    }
    assert not asked & {"pathlib", "msgspec"}
