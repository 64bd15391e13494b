"""An experiment in a browser: its matrix, its jobs over time, and its log."""

from __future__ import annotations

import pytest

from tests.browser import answers
from tests.browser.harness import DRAWN, THEMES, Look, faults_of, looks_of


@pytest.fixture
def show(open_still):
    """`show(look, query, **fields)` → the page of cap_rank, with some fields anew."""

    def open_experiment(look=Look(), query="", **fields):  # noqa: B008
        replies = {f"experiment/{answers.EXPERIMENT}": answers.experiment(**fields)}
        return open_still(f"/e/{answers.EXPERIMENT}{query}", replies, look)

    return open_experiment


def cells(page, row: str) -> list[str]:
    """The texts of a row of the matrix."""
    selector = f"table.matrix tr[data-key={row}] > *"
    return [text.strip() for text in page.locator(selector).all_inner_texts()]


def test_the_experiment_is_sound_in_each_theme_and_size(show):
    """axe finds nothing serious, and nothing is wider than the window."""
    page = show()
    for look in looks_of(page):
        assert page.locator("h1").inner_text().startswith("cap_rank: 5 failed")
        assert faults_of(page, look) == []


def test_the_heading_has_the_best_figure_the_files_and_the_time(show):
    """Of an experiment that has ended, one line says what it brought."""
    lead = show().locator(".lead").inner_text()
    assert "Best clean 0.9533 (r16, epoch 1); 12 of 12 files valid; 40 min, ended 08:22." in lead
    assert "What does the rank buy?" in lead


def test_the_matrix_has_settings_training_and_figures_of_one_metric(show):
    """Runs by task and epoch; what has no figure has a word; a control's result spans epochs."""
    page = show()
    settings, training = ["r8", "8", "0.1"], ["done", "0.36", "84 s"]
    assert cells(page, "r8") == [*settings, *training, "0.3956", "0.6844", "0.3267", "0.5533"]
    assert cells(page, "r32")[3] == "failed, out of memory"
    assert cells(page, "r32")[6:] == ["failed"] * 4
    assert cells(page, "base")[-2:] == ["0.1200", "0.1200"]
    assert page.locator("tr[data-key=base] td[colspan='2']").count() == 2


def test_the_strong_end_of_the_ramp_is_the_better_one(show):
    """Of a metric that is better when it is less, the least has the full colour."""
    page = show(query="?m=loss")
    strong = page.locator("tr[data-key=r16] .heat .strong").evaluate_all(
        "all => all.map(one => Number(one.getAttribute('fill-opacity')))"
    )
    assert max(strong) == strong[1] == 1
    assert page.locator(".legend").inner_text().split() == ["0.8800", "0.0467"]


def test_figures_can_be_read_on_every_part_of_the_ramp(show):
    """The ink of a cell has a contrast of 4.5 with its colour, in either theme."""
    page = show()
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        contrasts = page.locator("td.cell:has(.heat)").evaluate_all(CONTRASTS)
        assert len(contrasts) > 8 and min(contrasts) >= 4.5


CONTRASTS = """cells => {
  const parse = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const parts = [0.2126, 0.7152, 0.0722];
  const light = (rgb) => rgb.map(linear).reduce((s, v, i) => s + v * parts[i], 0);
  return cells.map((cell) => {
    const [weak, strong] = [...cell.querySelectorAll('rect')];
    const part = Number(strong.getAttribute('fill-opacity'));
    const [from, to] = [weak, strong].map((one) => parse(getComputedStyle(one).fill));
    const back = light(from.map((v, i) => v + part * (to[i] - v)));
    const ink = light(parse(getComputedStyle(cell).color));
    return (Math.max(back, ink) + 0.05) / (Math.min(back, ink) + 0.05);
  });
}"""


def test_a_tab_chooses_the_metric_and_the_address_keeps_it(show):
    """The tab changes the figures, not the page, and `aria-pressed` says which one holds."""
    page = show()
    page.get_by_role("button", name="loss").click()
    assert page.url.endswith("?m=loss")
    assert cells(page, "r16")[6] == "0.2000"
    assert page.get_by_role("button", name="loss").get_attribute("aria-pressed") == "true"


def test_a_filter_chooses_runs_by_setting_and_state(show):
    """`rank=16` and a state are words of a run."""
    page = show(query="?q=rank%3D16")
    assert page.locator("table.matrix tbody tr").count() == 1
    page.fill("#filter", "lr=0.1 failed")
    assert page.locator("table.matrix tbody tr").all_inner_texts()[0].startswith("r32")


def test_jobs_are_bands_with_lanes_queues_attempts_and_crosses(show):
    """A thin line while queued, a bar while running, a number for a second attempt, and a cross
    where it failed.
    """
    page = show()
    timeline = page.locator("svg.timeline")
    assert timeline.get_attribute("aria-label") == "4 jobs of 3 runs over time, 2 failed"
    assert timeline.locator(".body").count() == 4
    assert timeline.locator(".cross").count() == 2
    assert timeline.locator(".queued").count() > 0
    band = timeline.locator("g[data-key=r32]")
    assert band.locator(".body").first.get_attribute("y") == band.locator(
        ".body"
    ).last.get_attribute("y")
    assert "2" in band.locator("text").all_text_contents()[-1]
    assert timeline.locator(".now").count() == 0


def test_dragging_over_the_jobs_zooms_and_a_double_click_shows_all(show):
    """The part that is shown is in the address; a refresh on the way does not end the drag."""
    page = show()
    box = page.locator("svg.timeline").bounding_box()
    page.mouse.move(box["x"] + 400, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 700, box["y"] + 30)
    page.evaluate("dispatchEvent(new Event('resize'))")
    assert page.locator("svg.timeline .brush").count() == 1
    page.mouse.up()
    assert "from=" in page.url and "to=" in page.url
    page.locator("svg.timeline").dblclick()
    assert "from=" not in page.url
    page.keyboard.press("+")
    assert "from=" in page.url
    page.keyboard.press("-")
    assert "from=" not in page.url


def test_of_many_runs_the_first_200_are_rows(show):
    """A matrix stays a page: what is left out is counted, and the filter chooses it."""
    runs = [
        {"name": f"run{n}", "id": f"night/cap_rank/run{n}", "settings": {}, "control": False}
        for n in range(230)
    ]
    page = show(runs=runs, rows=[], jobs=[])
    assert page.locator("table.matrix tbody tr").count() == 200
    assert "30 more runs" in page.locator("#evaluations .more").inner_text()
    page.fill("#filter", "run229")
    assert page.locator("table.matrix tbody tr").count() == 1


def test_the_log_shows_its_end_and_stays_where_its_reader_is(show):
    """New lines scroll the log to its end, unless its reader has gone up in it."""
    line = {"at": "2026-11-28T07:00:00Z", "action": "NOTE", "subject": "", "text": "line"}
    page = show(log=[line] * 100)
    log = page.locator(".log")
    rest = "one => one.scrollHeight - one.scrollTop - one.clientHeight"
    assert log.evaluate(rest) < 2
    log.evaluate("one => { one.scrollTop = 10; one.onscroll(); }")
    page.set_viewport_size({"width": 1300, "height": 800})
    page.locator("svg.timeline[width='1204']").wait_for()
    assert log.evaluate("one => one.scrollTop") == 10


def test_evidence_and_log_lead_to_what_they_are_about(show):
    """A source that can be opened is a link to the file, and the log's subject one to its page."""
    log = {"what": "log", "text": "run-experiment.log", "at": None, "source": "run-experiment.log"}
    page = show(evidence=[{**log, "is_file": True}, {**log, "is_file": False}])
    (file,) = page.locator("#evidence a").all()
    assert file.get_attribute("href") == (
        "/api/1/file/experiment/night/cap_rank?source=run-experiment.log"
    )
    assert page.locator("#log a").get_attribute("href") == "/r/night/cap_rank/r8"


def test_problems_in_files_are_named_with_their_file(show):
    """A damaged file is in the heading and has a line of its own."""
    problem = {"severity": "error", "where": "journal/a.jsonl:204", "message": "cannot be read"}
    page = show(problems=[{**problem, "hint": "the other 170 events are shown"}])
    assert "1 problem in its files" in page.locator("h1").inner_text()
    assert "journal/a.jsonl:204 cannot be read" in page.locator("#problems").inner_text()


def test_a_phone_shows_one_epoch_of_the_matrix(show):
    """A column per task, the epoch by a switch, and glyphs that say their word."""
    page = show(Look(size="phone"))
    assert cells(page, "r8") == ["r8", "0.6844", "0.5533"]
    page.get_by_role("button", name="epoch 0").click()
    assert cells(page, "r8") == ["r8", "0.3956", "0.3267"]
    page.get_by_role("button", name="best").click()
    assert cells(page, "r16") == ["r16", "0.9533", "0.8156"]
    assert page.locator("tr[data-key=r32] [aria-label=failed]").count() == 2


def test_a_folder_that_is_gone_leaves_the_last_that_was_read(open_still):
    """What was known stays on the page, with since when its folder is gone."""
    gone = '{"message": "no folder cap_rank", "at": "2026-11-28T07:05:00Z"}'
    replies = {
        f"experiment/{answers.EXPERIMENT}": answers.experiment(),
        "events": f"event: gone\ndata: {gone}\n\n",
    }
    page = open_still(f"/e/{answers.EXPERIMENT}", replies)
    page.locator("#banner", has_text="Gone since 08:05.").wait_for()
    assert "no folder cap_rank" in page.locator("#banner").inner_text()
    assert "cap_rank: 5 failed" in page.locator("h1").inner_text()


def test_backspace_goes_up_to_the_overview(show):
    """Up from an experiment is the overview."""
    page = show()
    page.route("**/api/1/overview", lambda route: route.fulfill(json=answers.overview()))
    page.keyboard.press("Backspace")
    page.wait_for_selector("#needs")
    assert page.url.endswith("/")


def test_on_paper_it_is_the_wide_page(show):
    """Paper is narrower than a phone's limit, but nothing on it is behind a row that opens."""
    page = show()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.set_viewport_size({"width": 700, "height": 900})
    page.evaluate(DRAWN)
    assert page.locator(".matrix.phone").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".matrix.phone").count() == 1
