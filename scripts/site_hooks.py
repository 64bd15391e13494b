"""What `make site` does to the pages of docs/: the README and its neighbours become pages, and
links that lead out of docs/ lead there, or nowhere.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
NEIGHBOURS = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Pages beside docs/, and their names in the site."""
_LINK = re.compile(r"(!?\[(?P<words>[^\]]*)\])\((?P<path>[^)\s:#]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie beside docs/."""
    for name, page in NEIGHBOURS.items():
        text = (ROOT / name).read_text()
        files.append(File.generated(config, page, content=_linked(text, folder="")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page of docs/."""
    if page.file.src_uri in NEIGHBOURS.values():
        return markdown
    return _linked(markdown, folder="docs")


def _linked(text: str, *, folder: str) -> str:
    """The text of a page that lies in `folder`, its links as the site has them."""

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match["path"]))
        anchor = match["anchor"] or ""
        if target in NEIGHBOURS:
            return f"{match[1]}({NEIGHBOURS[target]}{anchor})"
        if target.startswith("docs/"):
            return f"{match[1]}({target.removeprefix('docs/')}{anchor})"
        return match["words"]

    return _LINK.sub(link, text)
