"""When two attempts are of the same work: scripts and configurations are equal but for what may
differ between attempts.

That is a resume path, and what is asked of the scheduler: time, memory, GPUs, partition, names of
outputs. What Watchkeeper itself changes for a further attempt stands in a copy of the script, and
is never looked at here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

# Options of sbatch that change what is run, and not where, when, or under which name.
_OF_THE_WORK = ("array", "a", "export", "export-file", "chdir", "D", "wrap")
_DIRECTIVE = re.compile(rb"^[ \t]*#SBATCH[ \t]+--?([A-Za-z-]+).*$", re.MULTILINE)
_NAME = rb"(?:resume(?:_from)?(?:_checkpoint|_path|_step)?|resume_from_checkpoint|ckpt_path|load_checkpoint)"
_OPTION = re.compile(
    rb"[ \t]+(?:--)?"
    + _NAME.replace(b"_", b"[_-]")
    + rb"(?:[ \t]*[=:][ \t]*|[ \t]+)(?!-)[^\s;&|]+",
    re.IGNORECASE,
)
_FLAG = re.compile(rb"[ \t]+--resume(?=[ \t\n;&|]|$)")
_LINE = re.compile(
    rb"^[ \t]*(?:export[ \t]+)?['\"]?" + _NAME + rb"['\"]?[ \t]*[=:].*$",
    re.MULTILINE | re.IGNORECASE,
)


def essence(data: bytes) -> bytes:
    """A script's or a configuration's text without what may differ between attempts at the same
    work.
    """
    text = data.replace(b"\r\n", b"\n")
    text = _DIRECTIVE.sub(
        lambda found: found[0] if found[1].decode() in _OF_THE_WORK else b"", text
    )
    text = _LINE.sub(b"", text)
    text = _FLAG.sub(b"", _OPTION.sub(b"", text))
    return b"\n".join(line.rstrip() for line in text.split(b"\n") if line.strip())


def fingerprint(script: bytes, configs: Mapping[str, bytes]) -> str:
    """One hash over the script and its configurations, by what `essence` leaves of them."""
    whole = hashlib.sha256(essence(script))
    for name, data in sorted(configs.items()):
        whole.update(
            b"\0"
            + name.encode("utf-8", "surrogateescape")
            + b"\0"
            + hashlib.sha256(essence(data)).digest()
        )
    return whole.hexdigest()
