"""The fake Hub as a program, for the demo: `python -m tests.publish.hub.serve FOLDER` serves until
it is ended. FOLDER/url holds its address, FOLDER/token the token of its one user.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.publish.hub.server import TOKEN, FakeHub


def main(folder: Path) -> None:
    """Serve until somebody ends the process."""
    folder.mkdir(parents=True)
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    hub = FakeHub()
    with hub.serving():
        ready = folder / "url.part"
        ready.write_text(hub.url)
        ready.rename(folder / "url")
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(Path(sys.argv[1]))
