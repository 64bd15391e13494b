"""The script of the pages: small, whole, and the same code as its modules."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from watchkeeper.show.web.app import STATIC
from watchkeeper.show.web.script.joining import page_script, shortened

MOST_BYTES = 60_000
MODULES = sorted(STATIC.glob("*.js"))
TOP_LEVEL = re.compile(
    r"^(?:export )?(?:async )?(?:function\*?|const|let|class) (\w+|\[[^\]]*\])", re.MULTILINE
)


def test_a_browser_receives_at_most_60_kb_of_our_script() -> None:
    """What is sent for all pages together, as a browser takes it: compressed."""
    assert len(gzip.compress(page_script(STATIC).encode(), 6)) <= MOST_BYTES


def test_it_holds_each_module_once_and_the_entry_last(tmp_path: Path) -> None:
    """What is imported comes before what imports it, also where two modules import each other."""
    (tmp_path / "app.js").write_text(
        "import { a } from './a.js';\nimport {\n  b,\n  c,\n} from './b.js';\n\na(b, c);\n"
    )
    (tmp_path / "a.js").write_text("import { b } from './b.js';\n\nexport function a() {}\n")
    (tmp_path / "b.js").write_text("import { a } from './a.js';\nexport const b = 1;\n")
    assert page_script(tmp_path) == "const b = 1;\nfunction a() {}\na(b, c);\n"


def test_a_module_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """No script is sent without a part of it."""
    (tmp_path / "app.js").write_text("import { a } from './a.js';\n")
    with pytest.raises(FileNotFoundError, match=r"a\.js"):
        page_script(tmp_path)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "/** What\n * it is. */\nexport async function f() {\n  g();\n}\n",
            "async function f() {\ng();\n}\n",
        ),
        ("  // why\n  f();\n\n", "f();\n"),
        ("f(); // kept\n", "f(); // kept\n"),
        ("const url = 'http://x'; /* kept */\n", "const url = 'http://x'; /* kept */\n"),
        ("/* a */\nf();\n/* b */\n", "f();\n"),
        ("/* a */ f();\ng(); /* b */\n", "/* a */ f();\ng(); /* b */\n"),
        ("/*** a **/\n * 2;\n", "* 2;\n"),
    ],
)
def test_only_whole_lines_of_comment_and_indentation_are_left_out(text: str, code: str) -> None:
    """Code keeps its lines; what stands behind code on a line stays."""
    assert shortened(text) == code


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_keeps_the_rules_of_joining(path: Path) -> None:
    """It imports names of modules beside it and nothing else, exports where it defines, and has no
    text over several lines, whose indentation would be lost.
    """
    text = path.read_text()
    code = shortened(text)
    assert not re.search(r"^import\b|\bimport\(|^export\b", code, re.MULTILINE)
    odd = [line for line in code.splitlines() if line.count("`") % 2 and "/" not in line]
    assert odd == []


def test_no_two_modules_define_the_same_name() -> None:
    """In one script each name at top level is one thing; every module is part of it."""
    script = page_script(STATIC)
    names = Counter(name for path in MODULES for name in TOP_LEVEL.findall(path.read_text()))
    assert [name for name, count in names.items() if count > 1] == []
    assert all(shortened(path.read_text()) in script for path in MODULES)


def test_the_pages_load_it(client_of, tmp_path: Path) -> None:
    """The page names it, and the server sends it with the type of a script."""
    client: TestClient = client_of(tmp_path)
    assert '<script type="module" src="/static/pages.js">' in client.get("/").text
    answer = client.get("/static/pages.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.text == page_script(STATIC)
