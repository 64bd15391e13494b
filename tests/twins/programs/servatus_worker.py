"""The worker of servatus's README (0.12): it works in a Workspace, and publishes the result.

Usage: worker.py DESTINATION WORK-SCRIPT
"""

import subprocess
import sys
from pathlib import Path

from servatus import Workspace
from servatus.errors import DestinationExists

destination, work = map(Path, sys.argv[1:])
try:
    with Workspace(destination, identity=b"piece") as workspace:
        subprocess.run(["/bin/bash", work, workspace.path / "model.bin"], check=True)
        workspace.publish(lambda draft: draft.link(workspace.path / "model.bin", "model.bin"))
except DestinationExists:
    pass  # an earlier run already published it
