"""The comparison of runs in a browser: few as columns, many as rows, and what chooses them."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

import watchkeeper as wk
from tests.browser.harness import Look, serious_findings, serve, sideways_scroll

WAIT_MS = 120_000


def record(folder, number, **config):
    """A finished run whose losses depend on its number."""
    with wk.start_run(
        folder=folder, pipeline="t", config=config, console=False, sidecar=False
    ) as run:
        for step in range(1, 6):
            run.log(step, loss=number + 1 / step, val_loss=number + 2 / step)


HOSTILE = ["<b>0<b>", "<b>1<b>"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server over eight runs, and two with markup for names."""
    folder = tmp_path_factory.mktemp("compare")
    for number, name in enumerate([*(f"run{number}" for number in range(8)), *HOSTILE]):
        record(folder / "runs" / name, number, lr=0.1 * (number + 1), width=64, seed=1)
    server = serve(folder / "runs", cwd=folder)
    yield server
    server.end()


@pytest.fixture
def compare(server, open_page):
    """`compare(count)` → the page that compares so many runs; or those of these names."""

    def start(count, names=(), look=Look()):  # noqa: B008
        page = open_page(server.address, look)
        page.set_default_timeout(WAIT_MS)
        shown = names or [f"run{number}" for number in range(count)]
        query = "&".join(f"r=runs/{name}" for name in shown)
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


REDRAW = "dispatchEvent(new Event('resize'))"


def drag(page, places):
    """Press at the first place and move to the others; the page is drawn anew on the way."""
    (first, *others) = places
    page.mouse.move(*first)
    page.mouse.down()
    for place in others:
        page.mouse.move(*place)
        page.evaluate(REDRAW)
    page.mouse.up()


def test_a_range_on_an_axis_chooses_the_rows(compare):
    """More than six runs are rows; a drag on an axis leaves those within it, also when the page is
    loaded again, and a click all.
    """
    page = compare(8)
    assert page.locator("#figures tbody tr").count() == 8
    box = page.locator(".axis-target").last.bounding_box()
    across = box["x"] + box["width"] / 2
    top, middle = box["y"] + 4, box["y"] + box["height"] * 0.45
    drag(page, [(across, top), (across, (top + middle) / 2), (across, middle)])
    expect(page.locator("#figures tbody tr")).not_to_have_count(8, timeout=WAIT_MS)
    chosen = page.locator("#figures tbody tr").count()
    assert 1 <= chosen == 8 - page.locator(".sweep-line.left-out").count()
    page.reload()
    expect(page.locator("#figures tbody tr")).to_have_count(chosen, timeout=WAIT_MS)
    page.get_by_role("button", name="all", exact=True).click()
    expect(page.locator("#figures tbody tr")).to_have_count(8, timeout=WAIT_MS)


def test_drawing_the_page_anew_keeps_the_axes_that_are_there(compare):
    """A refresh leaves the elements of the chart in place, so that no press on them is lost."""
    page = compare(8)
    page.evaluate(MARK_ALL)
    page.evaluate(REDRAW)
    assert page.evaluate(ALL_KEPT) is True


MARK_ALL = "document.querySelectorAll('.parallel *').forEach((one) => { one.isTheSame = true; })"
ALL_KEPT = "[...document.querySelectorAll('.parallel *')].every((one) => one.isTheSame)"


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
    page = compare(2, HOSTILE)
    assert page.locator(".versus thead a").first.inner_text() == "<b>0<b>"


def curve_table(page):
    """The rows of the table in place of the curves, as lists of texts."""
    rows = page.locator("table[aria-label=Curves] tbody tr")
    return [row.split("\t") for row in rows.all_inner_texts()]


def test_the_curves_have_a_table_and_the_keys_of_a_chart(compare):
    """`t` shows the recorded figures in place of the curves; `y` and the zoom are in the address,
    and `0` shows the whole again.
    """
    page = compare(2)
    page.wait_for_selector(".chart canvas")
    page.keyboard.press("t")
    expect(page.locator("table[aria-label=Curves] tbody tr")).to_have_count(5, timeout=WAIT_MS)
    expect(page.locator("table[aria-label=Curves] tbody")).to_contain_text("1.4", timeout=WAIT_MS)
    assert curve_table(page)[-1] == ["5", "0.4", "1.4"]
    assert page.locator(".chart").is_hidden()
    assert serious_findings(page) == []
    page.keyboard.press("t")
    page.keyboard.press("y")
    assert "y=log" in page.url
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile(r"from=1\.25&to=3\.75"), timeout=WAIT_MS)
    page.keyboard.press("0")
    expect(page).not_to_have_url(re.compile("from="), timeout=WAIT_MS)


def test_of_many_runs_the_table_stands_for_the_view_of_curves(compare):
    """`t` does nothing to the axes, whose table is below them; from the curves it leads to their
    table and back.
    """
    page = compare(8)
    page.keyboard.press("t")
    assert "view=" not in page.url
    page.locator("#choice .tabs button", has_text="curves").click()
    page.keyboard.press("t")
    assert "view=table" in page.url
    expect(page.locator("table[aria-label=Curves] thead th")).to_have_count(9, timeout=WAIT_MS)
    page.keyboard.press("t")
    assert "view=curves" in page.url


def test_two_fingers_zoom(compare):
    """What lies between two fingers that move apart is shown larger."""
    page = compare(2, look=Look(size="phone"))
    page.wait_for_selector(".panel-main .u-over")
    page.locator(".panel-main .u-over").scroll_into_view_if_needed()
    box = page.locator(".panel-main .u-over").bounding_box()
    middle, height = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = page.context.new_cdp_session(page)

    def touch(kind, *distances):
        points = [{"x": middle + one, "y": height} for one in distances]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -20, 20)
    touch("touchMove", -80, 80)
    touch("touchEnd")
    expect(page).to_have_url(re.compile("from="), timeout=WAIT_MS)
    begin, end = (float(re.search(rf"\b{name}=([\d.]+)", page.url)[1]) for name in ("from", "to"))
    assert 0 < begin < 2.5 < end < 5
