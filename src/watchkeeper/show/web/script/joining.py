"""The modules of the pages as one script, made when it is asked for.

A page needs one request for all of them, and gzip finds what they share. The modules keep three
rules that make this a matter of lines: they import names of one another and nothing else; no two
define the same name at top level; no text goes over more than one line.
"""

from __future__ import annotations

import re
from pathlib import Path

from watchkeeper.core.text import lazy

ENTRY = "app.js"
"""The module that begins."""
_IMPORT = lazy.pattern(r"^import \{[^}]*\} from '\./(\w+\.js)';\n", re.MULTILINE)
_COMMENT = lazy.pattern(r"^ *(?:/\*(?:[^*]|\*(?!/))*\*/|//[^\n]*)\n", re.MULTILINE)
_EXPORT = lazy.pattern(r"^export ", re.MULTILINE)


def page_script(folder: Path) -> str:
    """The script made of `app.js` in `folder` and of all that it imports, which comes before it.

    Raises:
        OSError: a module cannot be read.
    """
    texts: dict[str, str] = {}
    _collect(folder, ENTRY, set(), texts)
    return "".join(texts.values())


def _collect(folder: Path, name: str, seen: set[str], texts: dict[str, str]) -> None:
    """Add a module to `texts`, after those that it imports; each comes once."""
    if name in seen:
        return
    seen.add(name)
    text = (folder / name).read_text()
    for imported in _IMPORT.findall(text):
        _collect(folder, imported, seen, texts)
    texts[name] = shortened(text)


def shortened(text: str) -> str:
    """The code of a module without its imports, `export`, whole-line comments and indentation."""
    code = _EXPORT.sub("", _COMMENT.sub("", _IMPORT.sub("", text)))
    lines = (line.strip() for line in code.splitlines())
    return "".join(f"{line}\n" for line in lines if line)
