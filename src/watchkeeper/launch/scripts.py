"""Reading a shell script without running it."""

from __future__ import annotations

import re
from collections.abc import Iterator

_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")


def commands(text: str) -> Iterator[tuple[int, str]]:
    """(line number, command) of a script: without comments, blank lines and here-documents, continuations joined."""
    rest = enumerate(text.splitlines(), 1)
    for number, line in rest:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        while text.endswith("\\"):
            text = text[:-1] + next(rest, (0, ""))[1].strip()
        ends = [found.group(2) for found in _HEREDOC.finditer(text)]
        for end in ends:
            while (inside := next(rest, None)) is not None and inside[1].strip() != end:
                pass
        yield number, re.sub(r"\s#.*$", "", text) if "'" not in text and '"' not in text else text
