"""The page of a run in a browser: its curves, what is live in them, and what a run may hold."""

from __future__ import annotations

import math
import re

import pytest
from playwright.sync_api import expect

import watchkeeper as wk
from tests.browser.harness import faults_of, looks_of, serve

WAIT_MS = 120_000
"""Long enough for a machine that does much else: what is waited for is an event, not a time."""
HOSTILE = "<img src=x onerror=alert(1)>\u202e[a](javascript:alert(1))"


def begin(folder):
    """A run that is recorded from now on."""
    return wk.start_run(folder=folder, pipeline="t", console=False, sidecar=False)


def record(folder, steps=40, **more):
    """A finished run with a falling loss, a validation loss, and metrics of other names."""
    with begin(folder) as run:
        for step in range(1, steps + 1):
            loss = 2 * math.exp(-step / 10) + 0.2
            run.log(step, loss=loss, **more)
            if step % 10 == 0:
                run.log(step, val_loss=loss + 0.1)
                run.example(step, prompt=f"say {step}", golden="a", output="b", match=step == 20)


def record_hostile(folder):
    """A run whose names and texts hold markup and directions."""
    with begin(folder) as run:
        for step in range(1, 5):
            run.log(step, **{"loss": 1.0, HOSTILE: 2.0})
        run.example(4, prompt=HOSTILE, golden=HOSTILE, output=HOSTILE)


def record_failed(folder):
    """A run that an error ended."""
    with pytest.raises(ValueError, match="odd shard"), begin(folder) as run:
        run.log(1, loss=1.0)
        raise ValueError("odd shard 7")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server over runs that have ended: one, many, hostile, failed."""
    folder = tmp_path_factory.mktemp("run")
    record(folder / "runs" / "one")
    record(folder / "runs" / "many", 4, **{f"layer{n}/norm": float(n) for n in range(300)})
    record_hostile(folder / "runs" / "hostile")
    record_failed(folder / "runs" / "failed")
    server = serve(folder / "runs", cwd=folder)
    yield server
    server.end()


@pytest.fixture
def open_run(server, open_page):
    """`open_run(name)` → the page of a run, with its curves drawn."""

    def start(name="one", at=server):
        page = open_page(at.address)
        page.set_default_timeout(WAIT_MS)
        with page.expect_response(re.compile(r"/series\?")):
            page.goto(f"{at.origin}/r/runs/{name}")
        page.wait_for_selector(".chart canvas")
        return page

    return start


def test_the_run_page_shows_what_was_recorded(open_run):
    """In each theme and size the page has its heading, figures and curves, scrolls to no side, and
    axe finds nothing serious.
    """
    page = open_run()
    expect(page.locator("#crumbs a")).to_have_text(["Watchkeeper", "runs"])
    expect(page.locator(".readout")).to_contain_text("train", timeout=WAIT_MS)
    for look in looks_of(page):
        expect(page.locator("h1")).to_contain_text("one: finished", timeout=WAIT_MS)
        expect(page.locator(".chart")).to_have_attribute("role", "img")
        assert faults_of(page, look) == []


PIXELS = """([red, green, blue]) => {
  const canvas = document.querySelector('.panel-main canvas');
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4)
    count += data[at] === red && data[at + 1] === green && data[at + 2] === blue;
  return count;
}"""
BLUE = [0, 114, 178]
"""The first series in the light theme."""
GUTTER = """() => {
  const [panel, plot] = ['', ' .u-over'].map((one) => document.querySelector('.panel-main' + one));
  return panel.getBoundingClientRect().right - plot.getBoundingClientRect().right;
}"""


def test_a_chart_takes_the_colours_of_the_system_and_the_size_of_the_text(open_run):
    """Where colours are forced the canvas has none of ours; text of twice the size has twice the
    room.
    """
    page = open_run()
    expect(page.locator(".readout")).to_contain_text("smoothed", timeout=WAIT_MS)
    assert page.evaluate(PIXELS, BLUE) > 0
    page.emulate_media(forced_colors="active")
    page.wait_for_function(f"([color]) => ({PIXELS})(color) === 0", arg=[BLUE], timeout=WAIT_MS)
    page.emulate_media(forced_colors="none")
    before = page.evaluate(GUTTER)
    page.evaluate("document.documentElement.style.fontSize = '26px'")
    page.evaluate("dispatchEvent(new Event('resize'))")
    page.wait_for_function(f"(least) => ({GUTTER})() > least", arg=1.9 * before, timeout=WAIT_MS)


def test_a_drag_asks_the_server_for_the_range(open_run):
    """Who drags over the curves gets that range from the server, and its address; a double click
    shows the whole run again.
    """
    page = open_run()
    box = page.locator(".panel-main .u-over").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.25, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=4)
    with page.expect_response(re.compile(r"/series\?.*from=")) as asked:
        page.mouse.up()
    begin, end = (
        float(re.search(rf"\b{name}=([\d.]+)", asked.value.url)[1]) for name in ("from", "to")
    )
    assert 0 < begin < end < 40
    assert f"from={begin:g}" in page.url
    page.mouse.dblclick(box["x"] + 50, middle)
    expect(page).not_to_have_url(re.compile("from="), timeout=WAIT_MS)


def test_the_keys_of_the_chart_change_the_address_and_a_table_replaces_it(open_run):
    """`s`, `y` and `t` put their state into the address; the table has the recorded figures."""
    page = open_run()
    page.keyboard.press("y")
    expect(page).to_have_url(re.compile("y=log"), timeout=WAIT_MS)
    page.keyboard.press("t")
    row = page.locator("#curves tbody tr", has_text=re.compile("^40"))
    row.wait_for()
    assert "0.2366" in row.inner_text()
    assert page.locator(".chart").is_hidden()
    page.keyboard.press("s")
    expect(page).to_have_url(re.compile("x=time"), timeout=WAIT_MS)


def test_the_cursor_says_the_figures_of_a_recorded_row(open_run):
    """The readout under a cursor has the row's own step and value, and no value between rows."""
    page = open_run()
    expect(page.locator(".readout")).to_contain_text("smoothed", timeout=WAIT_MS)
    for _ in range(30):
        page.keyboard.press("Shift+ArrowLeft")
    said = page.locator(".readout").inner_text()
    step = int(re.search(r"step (\d+)", said)[1])
    loss = float(re.search(r"train ([\d.]+)", said)[1])
    assert step < 40
    assert loss == pytest.approx(2 * math.exp(-step / 10) + 0.2, abs=1e-3)


def test_new_rows_arrive_on_the_open_page(tmp_path, serve_folders, open_run):
    """Rows logged while the page is open appear in its heading and in its readout."""
    with begin(tmp_path / "runs" / "live") as run:
        for step in range(1, 20):
            run.log(step, loss=1 / step)
        page = open_run("live", serve_folders(tmp_path / "runs"))
        expect(page.locator("h1")).to_contain_text("step 19", timeout=WAIT_MS)
        run.log(777, loss=0.125)
        expect(page.locator("h1")).to_contain_text("step 777", timeout=WAIT_MS)
        expect(page.locator(".readout")).to_contain_text("0.125", timeout=WAIT_MS)


def test_rows_that_follow_are_appended(tmp_path, serve_folders, open_run):
    """Once a page follows a run, new rows come as columns: no history is asked for again."""
    with begin(tmp_path / "runs" / "live") as run:
        run.log(1, loss=1.0)
        page = open_run("live", serve_folders(tmp_path / "runs"))
        run.log(2, loss=0.5)
        expect(page.locator(".readout")).to_contain_text("smoothed 0.5", timeout=WAIT_MS)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        run.log(3, loss=0.25)
        expect(page.locator(".readout")).to_contain_text("smoothed 0.25", timeout=WAIT_MS)
    assert [address for address in asked if "/series" in address] == []


def test_names_and_texts_of_a_run_are_text(open_run):
    """Markup and directions in the names of metrics and in examples are shown, and nothing else."""
    page = open_run("hostile")
    page.keyboard.press("m")
    page.locator(".metric-list label", has_text="onerror").wait_for()
    page.locator("#examples button[aria-expanded]").first.click()
    page.locator(".whole dd").first.wait_for()
    assert page.locator("main img").count() == 0
    assert page.locator("main a[href^=javascript]").count() == 0
    assert "‹U+202E›" in page.locator(".whole dd").first.inner_text()


def test_of_many_metrics_few_charts_are_mounted(open_run):
    """A run with hundreds of metrics mounts at most six charts and the axis; the others are listed
    by prefix, and a filter finds them.
    """
    page = open_run("many")
    assert page.locator(".chart canvas").count() <= 7
    page.keyboard.press("m")
    page.locator("#metric-filter").fill("layer217/")
    expect(page.locator(".metric-list label")).to_have_count(1, timeout=WAIT_MS)
    page.locator(".metric-list input[type=checkbox]").check()
    page.locator(".panel", has_text="layer217/norm").wait_for()
    assert "layer217" in page.url


def test_examples_without_a_match_can_be_chosen(open_run):
    """The filter leaves the examples that do not match, and one opens in full."""
    page = open_run()
    page.locator("#examples tbody tr").first.wait_for()
    assert page.locator("#examples tbody tr").count() == 4
    page.locator("#examples .tabs button", has_text="no match").click()
    expect(page.locator("#examples tbody tr")).to_have_count(3, timeout=WAIT_MS)
    page.locator("#examples tbody button").first.click()
    assert "say 40" in page.locator(".whole").inner_text()


def test_a_failed_run_says_why_before_its_curves(open_run):
    """The page of a run that raised has the error's last line above the curves."""
    page = open_run("failed")
    failure = page.locator(".failure")
    assert "odd shard 7" in failure.inner_text()
    assert failure.bounding_box()["y"] < page.locator("#curves").bounding_box()["y"]
