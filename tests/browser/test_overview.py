"""The overview in a browser: what it says, what the keyboard does, and what it lets nobody do."""

from __future__ import annotations

import json
import re

import pytest

import watchkeeper as wk
from tests.browser import answers
from tests.browser.harness import Look, faults_of, looks_of, serious_findings

PHONE = Look(size="phone")
HOSTILE = "<img src=x onerror=alert(1)>\u202eevil\x1b[31m\x07"


@pytest.fixture
def show(open_still):
    """`show(look, **fields)` → the overview, with some fields of its object anew."""

    def open_overview(look=Look(), query="", **fields):  # noqa: B008
        return open_still("/" + query, {"overview": answers.overview(**fields)}, look)

    return open_overview


def section(page, name: str) -> str:
    """What a section says, its white space made even."""
    return " ".join(page.locator(f"#{name}").inner_text().split())


def test_the_overview_is_sound_in_each_theme_and_size(show):
    """axe finds nothing serious, nothing is wider than the window, a sentence is the heading."""
    page = show()
    for look in looks_of(page):
        expected = "7 failed, 2 blocked, 2 running, 12 waiting, 19 done"
        if look.size == "phone":
            expected = "7 failed, 2 running"
        assert page.locator("h1").inner_text() == expected
        assert faults_of(page, look) == []


def test_what_needs_a_person_comes_first_with_cause_place_and_time(show):
    """Each cause is one line: what, the error as the job wrote it, whom, and when."""
    page = show()
    assert page.locator("main section").first.get_attribute("id") == "needs"
    first = page.locator("#needs tbody tr").first.inner_text()
    assert "6 evaluations failed" in first
    assert "ModuleNotFoundError: No module named 'safetensors'" in first
    assert "cap_rank: reversal of 3 runs" in first
    assert "06:42 to 07:05" in first
    assert "and blocks 2 jobs" in section(page, "needs")
    assert "Nobody watches cap_rank" in section(page, "needs")


def test_figures_that_are_not_known_are_not_shown_as_nought(show):
    """A run without total has neither bar nor end, and one without limit none."""
    row = answers.running_row("r1", total=None, eta_s=None, loss=None, rate_per_s=None)
    page = show(running=[row])
    text = section(page, "running")
    assert "1,072" in text and "/" not in text and " 0 " not in text
    assert page.locator("#running svg.bar").count() == 0


def test_a_filter_keeps_the_rows_with_all_its_words(show):
    """`/` goes to the filter, its words stay in the address, and nothing left is said so."""
    page = show()
    page.keyboard.press("/")
    page.keyboard.type("r128 running")
    assert page.locator("#running tbody tr").count() == 1
    assert page.locator("#needs").count() == 0
    assert page.url.endswith("?q=r128+running")
    page.keyboard.type(" no-such-word")
    assert "Nothing here has the words" in page.locator("main").inner_text()


def test_rows_are_walked_marked_and_compared_by_keys(show):
    """`j` and `k` move, `x` marks a run, `c` compares what is marked, in the order of marking."""
    page = show()
    for key in "jjjjjkxjx":
        page.keyboard.press(key)
    assert page.locator("#marks").inner_text().startswith("2 marked")
    marked = page.evaluate("JSON.parse(sessionStorage.getItem('wk-marks'))")
    assert marked == ["night/cap_rank/r64", "night/cap_rank/r128"]
    href = page.locator("#marks a").get_attribute("href")
    assert href == "/c?r=night%2Fcap_rank%2Fr64&r=night%2Fcap_rank%2Fr128"


def test_help_lists_the_keys_and_gives_the_focus_back(show):
    """`?` opens a dialog, in which keys do nothing to the page behind it; Escape closes it."""
    page = show()
    page.keyboard.press("?")
    assert "compare what is marked" in page.locator("dialog").inner_text()
    assert serious_findings(page) == []
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_a_command_is_copied_by_a_click(show):
    """A click selects the whole command, so that it can be copied without any permission."""
    page = show()
    page.locator("#needs .command").first.click()
    assert page.evaluate("getSelection().toString()") == "wk run cap_rank"


def test_recorded_text_stays_text(show):
    """A hostile name runs nothing, adds no element, and its control characters are signs."""
    row = answers.running_row(HOSTILE)
    page = show(running=[row], name=HOSTILE)
    assert page.locator("main img").count() == 0
    name = page.locator("#running tbody th a").inner_text()
    assert name == "<img src=x onerror=alert(1)>‹U+202E›evil␇"
    assert page.locator("#running tbody th bdi").count() > 0


def test_what_is_new_since_the_last_look_is_counted(show):
    """The look before this one is compared with now; a reload at once is the same look."""
    page = show()
    look = {"at": 1, "counts": {"failed": 3, "done": 18, "finished": 1}, "before": None}
    text = json.dumps(look)
    page.add_init_script(f"localStorage.setItem('wk-looked:night', {json.dumps(text)})")
    page.reload()
    said = page.locator(".lead p").inner_text()
    assert re.search(r"Since you last looked, at .*: 4 failed\.", said)


def test_an_empty_folder_says_how_to_begin(show):
    """Nothing recorded: what was looked for, and two ways to begin."""
    nothing = {"counts": {}, "needs": [], "running": [], "waiting": [], "places": []}
    page = show(**nothing)
    assert page.locator("h1").inner_text() == "Nothing recorded here yet"
    assert "wk exec -- python train.py" in page.locator("main").inner_text()
    assert serious_findings(page) == []


def test_while_journals_are_read_counts_are_a_least(show):
    """What has been read is shown, as "at least", with how many journals have been."""
    page = show(reading={"done": 3120, "total": 5000})
    assert page.locator("h1").inner_text() == "3,120 of 5,000 journals read"
    assert "at least 3" in section(page, "needs")
    assert page.locator("#link").inner_text() == "reading"


def test_a_phone_has_one_column_and_lists_behind_rows(show):
    """What is secondary is a row that opens; each target is 44 pixels high."""
    page = show(PHONE)
    assert page.locator("h1").inner_text() == "7 failed, 2 running"
    page.locator("a.opener").first.click()
    assert "wait for the checkpoints of r64" in page.locator("main").inner_text()
    page.locator("#pages a", has_text="Runs").click()
    assert page.locator("h1").inner_text() == "Runs"
    heights = page.locator("a.opener, #pages a").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().height)"
    )
    assert min(heights) >= 44


def test_what_changes_is_drawn_into_the_page_that_is_there(show):
    """A patch changes a figure, and the element in focus stays the same one."""
    page = show()
    page.keyboard.press("j")
    page.evaluate("document.activeElement.isTheSame = true")
    answer = answers.overview(counts={"failed": 8}) | {"rev": "2"}
    page.route("**/api/1/overview", lambda route: route.fulfill(json=answer))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.locator("h1", has_text=re.compile("^8 failed$")).wait_for()
    assert page.evaluate("document.activeElement.isTheSame")


def test_a_page_that_hears_nothing_says_so_and_stops_its_clocks(show, open_page):
    """After 30 s without a word the page is "not live", ages stand still, and it tries again."""
    open_page.watched.allowed = ["net::ERR_FAILED"]
    page = show()
    page.unroute("**/api/1/**")
    page.route("**/api/1/**", lambda route: route.abort())
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.clock.run_for(20_000)
    page.clock.run_for(20_000)
    page.locator("#link", has_text="not live").wait_for()
    banner = page.locator("#banner").inner_text()
    assert banner.startswith("No news for ") and "trying again in " in banner
    ages = page.locator("main time").all_inner_texts()
    page.clock.run_for(120_000)
    assert page.locator("main time").all_inner_texts() == ages


def test_a_run_that_is_recorded_now_appears_by_itself(serve_folders, open_page, tmp_path):
    """The page of an empty folder shows a run as soon as it is recorded there."""
    night = tmp_path / "night"
    night.mkdir()
    page = open_page(serve_folders(night).address)
    page.locator("h1", has_text="Nothing recorded here yet").wait_for()
    with wk.start_run(night / "new", pipeline="sft") as run:
        run.log(1, loss=0.5)
    page.locator("#places a", has_text="new").wait_for(timeout=120_000)
    assert "1 finished" in page.locator("h1").inner_text()
