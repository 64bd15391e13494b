"""What a run log says of an upload."""

from __future__ import annotations

from tests.report.compose.events import judged, page, published, shown, submitted
from watchkeeper.report.compose.page import print_page

URL = "https://huggingface.co/ada/m"
PROPOSAL = f"{URL}/discussions/1"


def section(*events):
    """The fields under HuggingFace, with their notes."""
    return page(submitted(), judged(), *events).sections.get("huggingface", [])


def printed(*events):
    """The same as they stand in the file."""
    return [value.line() for value in section(*events)]


def test_work_that_was_not_published_has_no_section():
    """Nothing is said of the Hub before an upload."""
    assert section() == []
    text = print_page(page(submitted(), judged())).text
    assert "HuggingFace" not in text


def test_an_upload_has_four_fields():
    """Where, which checkpoints and how much of them, what lies beside them, and the verdict."""
    assert printed(published()) == [
        f"- repo: {URL}",
        "- uploaded checkpoints: 2000, 4000, params only",
        "- includes: README, TRAINING_LOG, MODEL_PASSPORT.json, SIGNOFF.json, assets",
        "- signoff verdict: `pass`",
    ]
    text = print_page(page(submitted(), judged(), published())).text
    assert text.index("## Results") < text.index("## HuggingFace") < text.index("## Next")


def test_the_reason_of_a_soft_signal_stands_there_word_for_word():
    """However long it is."""
    why = "the tokenizer's commit is not pinned: it was trained before the Hub had one, " * 4
    (*_, verdict) = printed(published(verdict="soft_signal", why=why.strip()))
    assert verdict == f"- signoff verdict: `soft_signal` ({why.strip()})"


def test_a_package_with_the_trainers_state_is_full():
    """The word of the documents for it."""
    assert shown(section(published(is_full=True)))["uploaded checkpoints"] == "2000, 4000, full"


def test_a_proposal_is_no_upload_to_the_branch():
    """Its address stands beside the repository."""
    assert printed(published(pull_request=PROPOSAL))[0] == f"- repo: {URL} (proposed: {PROPOSAL})"


def test_the_newest_upload_counts_and_other_repositories_are_named():
    """By their time, in whatever order they are read."""
    other = f"{URL}-old"
    first = published(at=55, url=other, repo="ada/m-old")
    again = published(at=56, verdict="soft_signal", why="x")
    newest = published(at=57, checkpoints=("9",))
    for events in ((first, again, newest), (newest, again, first)):
        fields = shown(section(*events))
        assert fields["repo"] == URL and fields["uploaded checkpoints"] == "9, params only"
        assert fields["uploaded before to"] == other
        assert fields["signoff verdict"] == "pass"


def test_an_upload_of_an_earlier_attempt_says_so():
    """Its checkpoint is not that of the results above it."""
    events = (submitted(), judged(), submitted(2, 52), judged(2, 54), published(1))
    values = page(*events).sections["huggingface"]
    assert values[1].line() == "- uploaded checkpoints: 2000, 4000, params only (of attempt 1)"
    events = (*events[:-1], published(2))
    assert not page(*events).sections["huggingface"][1].note


def test_text_from_elsewhere_adds_no_line():
    """A name with a line end in it stays one field."""
    evil = published(checkpoints=("1\n## Status\n- done",), why="a\n- repo: evil")
    text = print_page(page(submitted(), judged(), evil)).text
    assert "\n## Status\n- done" not in text and "\n- repo: evil" not in text
