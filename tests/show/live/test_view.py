"""What the keys of `top` do."""

from __future__ import annotations

import msgspec

from tests.show.screens.lines import live, plain
from tests.show.screens.night import NOW, happened, losses, opened_run, overview
from watchkeeper.show.live.view import Seen, View


def view() -> View:
    """A screen that has seen the night."""
    return View(seen=Seen(overview=overview(), happened=happened()))


def press(screen: View, *keys: str) -> str:
    """Press keys; what the last one wishes."""
    wish = ""
    for key in keys:
        wish = screen.press(key)
    return wish


def text(screen: View, columns: int = 80, height: int = 24) -> str:
    """What is shown, without colours."""
    return "\n".join(plain(screen.lines(live(columns), height, NOW)))


def test_arrows_choose_a_run_and_stop_at_the_ends():
    """A run stays chosen by its id, wherever it stands after the next look."""
    screen = view()
    press(screen, "up", "down", "down", "down")
    assert screen.row.key == "r64_lr2e-4"
    press(screen, "up")
    whole = screen.seen.overview
    fewer = msgspec.structs.replace(whole, running=whole.running[1:])
    screen.seen = Seen(overview=fewer)
    assert screen.row.key == "r16_lr1e-3" and screen.number == 0


def test_enter_opens_a_run_and_escape_comes_back():
    """The run is looked at at once; the list is there again after it."""
    screen = view()
    assert press(screen, "enter") == "look"
    assert text(screen).startswith("reading ...")
    seen = {"place": screen.place, "run": opened_run(), "series": losses()}
    screen.seen = msgspec.structs.replace(screen.seen, **seen)
    assert "attempt 2 of 2" in text(screen) and "Esc back" in text(screen)
    press(screen, "escape")
    assert "cap_rank is watched by nobody" in text(screen)


def test_a_filter_leaves_the_runs_that_have_its_words():
    """It is applied while it is typed; Esc takes it away."""
    screen = view()
    press(screen, "/", "c", "a", "p")
    assert [row.key for row in screen.rows] == ["r16_lr1e-3", "r64_lr2e-4"]
    press(screen, "enter", "/", "z", "z", "enter")
    assert screen.rows == [] and "nothing that runs matches 'zz'" in text(screen)
    press(screen, "/", "escape")
    assert len(screen.rows) == 3


def test_a_job_is_canceled_only_after_its_command_was_shown():
    """Any key but `y` leaves it alone."""
    screen = view()
    press(screen, "down", "c")
    assert "wk cancel night/cap_rank --jobs r16_lr1e-3   run it? y/n" in text(screen)
    assert press(screen, "enter") == "" and "not done" in text(screen)
    assert press(screen, "c", "y") == "act"
    assert screen.command == ["cancel", "night/cap_rank", "--jobs", "r16_lr1e-3"]


def test_a_key_with_a_bracket_cancels_only_its_own_job():
    """The key is matched as it is, not as a pattern."""
    screen = view()
    whole = screen.seen.overview
    row = msgspec.structs.replace(whole.running[1], key="r[1]*")
    screen.seen = Seen(overview=msgspec.structs.replace(whole, running=[row]))
    press(screen, "c")
    assert screen.command[-1] == "r[[]1][*]"


def test_a_run_that_was_not_submitted_is_not_canceled():
    """There is no job to ask a scheduler about."""
    screen = view()
    assert press(screen, "c") == ""
    assert "sft_r16 was not submitted" in text(screen)


def test_what_failed_is_retried_by_the_command_of_its_need():
    """The command is that which `status` shows."""
    screen = view()
    press(screen, "down", "r")
    assert screen.command == ["run", "cap_rank", "--retry-failed"]
    assert press(screen, "n") == ""


def test_a_note_is_typed_and_its_command_shown():
    """Of a job the command names the experiment and the key, of a recorded run its folder."""
    screen = view()
    press(screen, "n", *"it's ok", "enter")
    assert screen.command == ["note", "night/sft_r16", "--", "it's ok"]
    press(screen, "escape", "down", "n", "x", "backspace", "y", "enter")
    assert screen.command == ["note", "night/cap_rank", "r16_lr1e-3", "--", "y"]
    press(screen, "n")
    assert press(screen, "n", "escape", "enter") == "look"


def test_keys_before_the_first_look_do_no_harm():
    """Nothing is there to be chosen, opened, canceled or retried."""
    screen = View()
    for key in ("up", "down", "enter", "l", "n", "c", "r", "?", "?", "escape", "backspace", "x"):
        assert press(screen, key) == ""
    assert text(screen) == "reading ..."
    assert press(screen, "q") == "quit"


def test_the_log_of_a_run_is_harmless():
    """Its end is shown, and orders to the terminal as escapes."""
    screen = view()
    lines = [f"line {number}" for number in range(100)] + ["\x1b[2Jboom"]
    assert press(screen, "l") == "look"
    screen.seen = msgspec.structs.replace(screen.seen, place=screen.place, log=lines)
    shown = text(screen, 40, 10)
    assert "\\x1b[2Jboom" in shown and "line 99" in shown and "line 90" not in shown
    assert len(shown.splitlines()) <= 10


def test_a_look_that_failed_says_so_beside_what_was_seen():
    """What was seen last stays, with a word that it is old."""
    screen = view()
    screen.seen = msgspec.structs.replace(screen.seen, fault="not renewed: night is gone")
    assert "not renewed: night is gone" in text(screen) and "sft_r16" in text(screen)
