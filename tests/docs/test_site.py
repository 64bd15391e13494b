"""`make site`: the documentation as pages that load nothing from another host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]+)\"|<link\b[^>]*>")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make site` does; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_of_the_documentation_is_in_the_site(site):
    """Each page of docs/ and the README are pages, and the navigation leads to them."""
    index = (site / "index.html").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / f"{page.stem}.html").is_file()
        assert f'href="{page.stem}.html"' in index, f"mkdocs.yml's nav lacks {page.name}"
    assert "A run is its journal" in (site / "architecture.html").read_text()


def test_no_page_loads_anything_from_another_host(site):
    """Scripts, styles, pictures and fonts are the site's own; only links that a person follows lead
    elsewhere.
    """
    for page in site.rglob("*.html"):
        for match in LOADED.finditer(page.read_text()):
            address = match[1] or match[0]
            is_link_for_people = 'rel="canonical"' in address
            assert is_link_for_people or "//" not in address, f"{page.name}: {address}"


def test_a_link_out_of_the_documentation_leads_to_no_missing_page(site):
    """What a page says of a file in the repository is no dead link in the site."""
    pages = set(site.rglob("*.html")) - {site / "404.html"}  # it is shown at any address
    for page in pages:
        for target in re.findall(r'href="([^":#]+\.(?:html|md|py))(?:#[^"]*)?"', page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
