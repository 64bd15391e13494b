"""The sidecar's process, started by `starter`."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from pathlib import Path

import msgspec

from watchkeeper.core.disk import files
from watchkeeper.record.sidecar.observer import Lookout
from watchkeeper.record.sidecar.spec import Spec


def main() -> None:
    """Watch what the specification names until it has ended. A fault of its own is left in the
    run's folder.
    """
    with contextlib.suppress(OSError):
        os.nice(10)  # the work comes first
    spec = msgspec.json.decode(sys.argv[1], type=Spec)
    try:
        Lookout(spec, end=0).run()
    except Exception:
        with contextlib.suppress(Exception):
            place = Path(spec.folder, "logs", f"sidecar-fault-{os.getpid()}.txt")
            files.replace(place, traceback.format_exc().encode(), durable=False)
    os._exit(0)  # a look that waits for a filesystem keeps nobody here


if __name__ == "__main__":
    main()
