"""Who may import what from outside: a compute node needs core and record, and those need msgspec
only.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import watchkeeper

ALLOWED = {
    "show": {"msgspec", "click"},
    "reading": {"msgspec", "ruamel", "yaml", "markdown_it"},
    "tools": {"msgspec", "zstandard"},
}
FRAMES = {"pandas", "polars"}
WEB = {"starlette", "uvicorn"}
MODULES = {
    "publish/hub/worker.py": {"huggingface_hub", "httpx2"},
    "publish/passport/health/numbers.py": {"numpy"},
    "publish/passport/reference/programs/causal_lm.py": {"torch", "transformers"},
    "query/frames.py": FRAMES,
    "query/recording.py": FRAMES,
    "publish/package/pages/hub.py": {"huggingface_hub"},
    "publish/signing/dsse.py": {"cryptography"},
    "publish/signing/keys.py": {"cryptography"},
    "publish/signing/model.py": {"model_signing"},
    "publish/sanitize/other_scanner.py": {"detect_secrets"},
    "publish/signing/signers.py": {"cryptography"},
    "show/web/app.py": WEB,
    "show/web/security.py": WEB,
    "show/web/serving.py": WEB,
}
"""Modules that name a library which a user brings, or an extra."""
BESIDES = {
    "torchtune": {"omegaconf"},
    "transformers": {"torch"},
}  # what a library's integration needs with it
SOURCE = Path(watchkeeper.__file__).parent


def third_parties(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"watchkeeper"}


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE))
)
def test_third_parties_are_imported_where_they_may_be(path):
    """Only `show` knows click, only its web Starlette, only `reading` YAML and Markdown, only
    `tools` Zstandard, only frames pandas and polars, an integration its library.
    """
    package = path.relative_to(SOURCE).parts[0]
    allowed = ALLOWED.get(package, {"msgspec"})
    allowed = allowed | MODULES.get(str(path.relative_to(SOURCE)), set())
    if package == "integrations":
        allowed = allowed | {path.stem} | BESIDES.get(path.stem, set())
    assert third_parties(path) <= allowed


def test_the_integrations_import_no_library_before_it_is_used():
    """Importing the package of integrations, the fence and what they share loads none of the
    libraries.
    """
    names = [
        path.stem
        for path in (SOURCE / "integrations").glob("*.py")
        if third_parties(path) - {"msgspec"}
    ]
    assert len(names) == 6
    code = (
        "import sys, watchkeeper.integrations, watchkeeper.integrations.fence, "
        "watchkeeper.integrations.recording\n"
        f"sys.exit(' '.join(sys.modules.keys() & {set(names)}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_loading_runs_imports_no_library_of_frames(tmp_path):
    """`wk.load` works where neither pandas nor polars is installed, and imports neither."""
    code = (
        "import sys, watchkeeper as wk\n"
        "with wk.start_run(folder='a', pipeline='p', console=False, sidecar=False) as run:\n"
        "    run.log(1, loss=0.5)\n"
        "assert wk.load('a').rows[0].metrics == {'loss': 0.5}\n"
        "sys.exit(' '.join(sys.modules.keys() & {'pandas', 'polars', 'numpy'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""


def test_a_look_at_an_experiment_imports_nothing_that_reads_run_logs():
    """`status` and `top` begin without the rules and the words of run logs: their patterns alone
    took a third of the start.
    """
    code = (
        "import sys\n"
        "from watchkeeper.show.cli.look.bodies import status, top\n"
        "heavy = {'watchkeeper.report.lint', 'watchkeeper.report.runlog.figures'}\n"
        "sys.exit(' '.join(sys.modules.keys() & heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
