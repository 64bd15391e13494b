"""What the pages take from elsewhere is what was published, with its licence."""

from __future__ import annotations

import hashlib
from importlib.resources import files

VENDORED = files("watchkeeper.show.web") / "static" / "vendor" / "uplot"


def listed() -> dict[str, str]:
    """The name of each vendored file, and the hash that its list gives."""
    lines = (VENDORED / "SHA256").read_text().splitlines()
    return {name: digest for digest, name in map(str.split, lines)}


def test_vendored_files_are_those_that_were_published():
    """uPlot's files have the hashes that are written down beside them, and none lies unlisted."""
    for name, digest in listed().items():
        assert hashlib.sha256((VENDORED / name).read_bytes()).hexdigest() == digest, name
    assert {file.name for file in VENDORED.iterdir()} == {*listed(), "SHA256"}


def test_vendored_files_carry_their_licence_and_version():
    """Who looks at the script learns its version, and the licence lies beside it."""
    assert "The MIT License" in (VENDORED / "LICENSE").read_text()
    assert "(v1.6.32)" in (VENDORED / "uPlot.iife.min.js").read_text()[:200]
