"""The comparison of runs in a browser: few as columns, many as rows, and what chooses them."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

import watchkeeper as wk
from tests.browser.harness import serious_findings, sideways_scroll

WAIT_MS = 120_000


def record(folder, number, **config):
    """A finished run whose losses depend on its number."""
    with wk.start_run(
        folder=folder, pipeline="t", config=config, console=False, sidecar=False
    ) as run:
        for step in range(1, 6):
            run.log(step, loss=number + 1 / step, val_loss=number + 2 / step)


@pytest.fixture
def compare(tmp_path, serve_folders, open_page):
    """`compare(count)` → the page that compares `count` recorded runs."""

    def start(count, name="run{}"):
        names = [name.format(number) for number in range(count)]
        for number, one in enumerate(names):
            record(tmp_path / "runs" / one, number, lr=0.1 * (number + 1), width=64, seed=1)
        server = serve_folders(tmp_path / "runs")
        page = open_page(server.address)
        page.set_default_timeout(WAIT_MS)
        query = "&".join(f"r=runs/{one}" for one in names)
        page.goto(f"{server.origin}/c?{query}")
        page.wait_for_selector("#figures, #differs")
        return page

    return start


def test_few_runs_are_columns(compare):
    """Up to six runs stand beside each other: what differs, what is the same, the best in bold."""
    page = compare(3)
    assert page.locator("h1").inner_text().startswith("3 runs differ in")
    assert page.locator(".versus thead a").all_inner_texts() == ["run0", "run1", "run2"]
    lr = page.locator(".versus tbody tr", has_text=re.compile("^lr"))
    assert lr.locator("td").first.inner_text().strip() == "0.1"
    loss = page.locator(".versus tr", has_text=re.compile("^loss"))
    assert loss.locator("b").count() == 1
    page.get_by_role("button", name="Show").click()
    assert "width" in page.locator(".same").inner_text()
    assert serious_findings(page) == []
    assert sideways_scroll(page) == 0


def test_another_base_is_asked_for(compare):
    """The base is part of the address; differences are those from it."""
    page = compare(2)
    with page.expect_response(re.compile(r"/compare\?.*base=")):
        page.get_by_role("button", name="make it the base").click()
    expect(page).to_have_url(re.compile("base=runs"), timeout=WAIT_MS)
    page.locator(".versus .figure-head td", has_text=re.compile("^base$")).wait_for()


def test_a_range_on_an_axis_chooses_the_rows(compare):
    """More than six runs are rows; a drag on an axis leaves those within it, and a click all."""
    page = compare(8)
    assert page.locator("#figures tbody tr").count() == 8
    target = page.locator(".axis-target").last
    box = target.bounding_box()
    across = box["x"] + box["width"] / 2
    page.mouse.move(across, box["y"] + 4)
    page.mouse.down()
    page.mouse.move(across, box["y"] + box["height"] * 0.45, steps=4)
    page.mouse.up()
    expect(page.locator("#figures tbody tr")).not_to_have_count(8, timeout=WAIT_MS)
    assert page.locator("#figures tbody tr").count() >= 1
    assert page.locator(".sweep-line.left-out").count() >= 1
    page.get_by_role("button", name="all", exact=True).click()
    expect(page.locator("#figures tbody tr")).to_have_count(8, timeout=WAIT_MS)


def test_rows_sort_and_filter_and_have_no_finding(compare):
    """A heading sorts, words in the filter choose, and axe finds nothing serious in any view."""
    page = compare(8)
    page.locator("#figures thead button", has_text="Run").click()
    page.wait_for_selector("#figures th[aria-sort=ascending]:has-text('Run')")
    page.locator("#filter").fill("run3")
    expect(page.locator("#figures tbody tr")).to_have_count(1, timeout=WAIT_MS)
    page.locator("#filter").fill("")
    for view in ("scatter", "curves", "parallel"):
        page.locator("#choice .tabs button", has_text=view).click()
        page.wait_for_selector({"curves": ".chart canvas"}.get(view, f"svg.{view}"))
        assert serious_findings(page) == []


def test_names_of_compared_runs_are_text(compare):
    """Markup in the name of a run is shown as it is written."""
    page = compare(2, name="<b>{}<b>")
    assert page.locator(".versus thead a").first.inner_text() == "<b>0<b>"
