"""What is installed where jobs are submitted from."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from watchkeeper.core.code.environment import of_submitter


def test_both_pythons_are_told_apart(tmp_path: Path) -> None:
    """The submitter's packages and those of the first python on the PATH are listed apart, without
    running it; of the variables only those that name an environment are kept.
    """
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "bin" / "python").chmod(0o755)
    site = tmp_path / "lib" / "python3.12" / "site-packages"
    (site / "My_Package-1.2.3.dist-info").mkdir(parents=True)
    (site / "not-a-package").mkdir()
    found = of_submitter(
        {"PATH": str(tmp_path / "bin"), "CONDA_PREFIX": "/opt/c", "TOKEN": "secret"}
    )
    assert (
        found.submitter.version == platform.python_version()
        and "msgspec" in found.submitter.packages
    )
    assert found.on_path is not None and found.on_path.version == "3.12"
    assert found.on_path.packages == {"my-package": "1.2.3"}
    assert found.variables == {"CONDA_PREFIX": "/opt/c"}
    assert of_submitter({"PATH": str(Path(sys.executable).parent)}).on_path is None
    assert of_submitter({}).on_path is None or of_submitter({}).variables == {}
