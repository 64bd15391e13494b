"""What a command imports before it has anything to do: the time until a person sees something."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"msgspec", "yaml", "ruamel", "asyncio", "ssl", "http", "tomllib", "hashlib", "subprocess"}


def modules_after(code: str) -> set[str]:
    """What a fresh interpreter has imported once the code has run."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_options_alone():
    """`--help` of what people type all day needs click and the options: no event, no file format,
    and nothing of the rooms below.
    """
    imported = modules_after(
        "import sys\n"
        "from watchkeeper.show.cli import _WITH_BODIES, main\n"
        "for name in _WITH_BODIES:\n"
        "    main([name, '--help'], standalone_mode=False)\n"
    )
    ours = {name for name in imported if name.startswith("watchkeeper.")}
    rooms = {name.split(".")[1] for name in ours}
    assert "watchkeeper.show.cli.look.status" in ours
    assert rooms == {"core", "show"}
    assert not any(".bodies" in name for name in ours)
    assert not HEAVY & imported
