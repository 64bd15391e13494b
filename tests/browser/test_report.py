"""A report in a browser: quiet, readable with scripts off, accessible, and whole on paper."""

from __future__ import annotations

import math

import pytest
from click.testing import CliRunner

import watchkeeper as wk
from tests.browser.harness import Look, faults_of, looks_of
from watchkeeper.core.errors import EXIT_OK
from watchkeeper.show.cli import main


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The report of a recorded run with a long name, curves, examples and a hostile setting."""
    top = tmp_path_factory.mktemp("report")
    folder = top / "a_run_with_quite_a_long_name_for_a_narrow_screen"
    config = {"lr": 0.1, "note": "<script>document.title = 'ran'</script>"}
    with wk.start_run(
        folder=folder, pipeline="training", config=config, console=False, sidecar=False
    ) as run:
        for step in range(1, 900):
            run.log(step, loss=3 * math.exp(-step / 200), val_loss=3.1 * math.exp(-step / 200))
    result = CliRunner().invoke(main, ["report", str(folder), "-o", str(top / "r.html")])
    assert result.exit_code == EXIT_OK, result.output
    return (top / "r.html").as_uri()


def test_it_is_quiet_and_accessible_in_each_theme_and_size(address, open_page):
    """No request, no message, no serious finding, and no sideways scrolling of the page."""
    page = open_page(address)
    assert page.title() == "a_run_with_quite_a_long_name_for_a_narrow_screen"
    for look in looks_of(page):
        assert faults_of(page, look) == []


def test_its_style_applies_under_its_own_policy(address, open_page):
    """The policy lets the one style through: figures are flush right, curves have their colour."""
    page = open_page(address)
    line = page.locator("path.line.s1").first
    assert line.evaluate("e => getComputedStyle(e).stroke") == "rgb(0, 114, 178)"
    cell = page.locator("td.right").first
    assert cell.evaluate("e => getComputedStyle(e).textAlign") == "right"


def test_it_can_be_read_with_scripts_off(address, open_page):
    """What it says needs no script."""
    page = open_page(address, java_script_enabled=False)
    assert page.locator("h1").text_content() == "a_run_with_quite_a_long_name_for_a_narrow_screen"
    assert page.locator("svg.chart").count() >= 1


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_on_paper_it_is_black_on_white_and_has_pages(address, open_page, paper):
    """In the dark theme too it prints on white; the paper has more than no page."""
    page = open_page(address, Look(theme="dark"))
    data = page.pdf(format=paper)
    assert data.startswith(b"%PDF") and b"/Type /Page" in data
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(23, 25, 28)"
    assert not page.locator("footer").is_visible()
