"""When two attempts are of the same work: scripts and configurations are equal but for what may
differ between attempts; and which files of a run are others than when it was last submitted.

That is a resume path, and what is asked of the scheduler: time, memory, GPUs, partition, names of
outputs. What Watchkeeper itself changes for a further attempt stands in a copy of the script, and
is never looked at here.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from watchkeeper.core.code import code_files
from watchkeeper.core.disk import files
from watchkeeper.core.events import Intended, RunItem
from watchkeeper.core.text import lazy
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.reading import configs

# Options of sbatch that change what is run, and not where, when, or under which name.
_OF_THE_WORK = ("array", "a", "export", "export-file", "chdir", "D", "wrap")
_DIRECTIVE = lazy.pattern(rb"^[ \t]*#SBATCH[ \t]+--?([A-Za-z-]+).*$", re.MULTILINE)
_NAME = (
    rb"(?:resume(?:_from)?(?:_checkpoint|_path|_step)?|resume_from_checkpoint|ckpt_path"
    rb"|load_checkpoint)"
)
_OPTION = lazy.pattern(
    rb"[ \t]+(?:--)?"
    + _NAME.replace(b"_", b"[_-]")
    + rb"(?:[ \t]*[=:][ \t]*|[ \t]+)(?!-)[^\s;&|]+",
    re.IGNORECASE,
)
_FLAG = lazy.pattern(rb"[ \t]+--resume(?=[ \t\n;&|]|$)")
_LINE = lazy.pattern(
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


def fingerprint(script: bytes, config_texts: Mapping[str, bytes], args: Sequence[str] = ()) -> str:
    """One hash over the script and its configurations, by what `essence` leaves of them, and over
    the script's arguments.
    """
    whole = hashlib.sha256(essence(script))
    for name, data in sorted(config_texts.items()):
        whole.update(
            b"\0"
            + name.encode("utf-8", "surrogateescape")
            + b"\0"
            + hashlib.sha256(essence(data)).digest()
        )
    for word in args:
        whole.update(b"\0arg\0" + os.fsencode(word))
    return whole.hexdigest()


def changed_files(experiment: Experiment, item: RunItem, last: Intended) -> list[str]:
    """The files that changed since the attempt `last`, the script first. A file that was not
    recorded then is none of them; one that is gone now is.
    """
    script = experiment.folder / item.script
    workdir = experiment.workdir_of(item)
    current = _hashes(experiment, script, workdir)
    recorded = {item.script: last.source_sha256 or last.script_sha256}
    recorded |= last.configs
    recorded |= last.code
    return [name for name, sha256 in recorded.items() if current.get(name) != sha256]


def _hashes(experiment: Experiment, script: Path, workdir: Path) -> dict[str, str]:
    """Name → sha256 of the script and of each file that it names."""
    contents = dict(code_files.contents(script, workdir))
    for path in (script, *configs.files_of(script, workdir)):
        data = files.read_if_any(path)
        if data is not None:
            contents[path] = data
    return {
        configs.name_of(path, experiment.folder): hashlib.sha256(data).hexdigest()
        for path, data in contents.items()
    }
