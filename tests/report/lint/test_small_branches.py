"""Small branches of the rules, each by a log that differs in one thing."""

from __future__ import annotations

import pytest

from watchkeeper.report.lint.lint import lint
from watchkeeper.report.lint.rules import Finding, finding, quoted
from watchkeeper.report.runlog.file import File

HEAD = "# train — x\n\n## Mode\n- run_type: replication\n- objective: reproduce it\n\n"


def found(code: str, texts: dict[str, str]) -> list[Finding]:
    """The findings of one rule in these files."""
    files = [File(f"run_logs/{path}", tuple(path.split("/")), text) for path, text in texts.items()]
    return [each for each in lint("run_logs", files) if each.code == code]


def lines_of(code: str, body: str, name: str = "2026-03-11_train.md") -> list[int]:
    """The lines of one rule's findings in one log."""
    return [each.line for each in found(code, {name: HEAD + body})]


def line(text: str, body: str) -> int:
    """Where a text stands in a log with this body."""
    whole = HEAD + body
    return whole[: whole.index(text)].count("\n") + 1


def test_a_quotation_is_at_most_sixty_letters_and_shows_no_secret() -> None:
    """Sixty letters are shown whole, of more the first 57; a secret is hidden before it is cut."""
    assert quoted("x" * 60) == f"'{'x' * 60}'"
    assert quoted("x" * 61) == f"'{'x' * 57}…'"
    assert quoted(" hf_" + "a1B2" * 9) == "'(hidden)'"


def test_a_finding_is_open_unless_it_is_a_note_and_shows_its_hint() -> None:
    """A note is information; place, code, message and hint are one line, odd bytes included."""
    note, error = finding("WK112", "a.md", 3, "m"), finding("WK201", "a.md", 3, "\udcff")
    assert (note.open, error.open) == (False, True)
    assert str(note).startswith("a.md:3: WK112 m (the id changes")
    assert error.message == "\\udcff" and error.where == "a.md:3"


def test_a_folder_without_a_timeline_is_named_in_its_first_line() -> None:
    """The finding is of the folder and counts its logs; logs in no folder need no timeline."""
    texts = {"arm/2026-03-11_a.md": HEAD, "arm/2026-03-12_b.md": HEAD}
    (missing,) = found("WK901", texts)
    assert (missing.path, missing.line) == ("run_logs/arm", 1)
    assert missing.message == "no timeline.md for 2 logs"
    assert found("WK901", {"2026-03-11_a.md": HEAD}) == []


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (1, "no experiments.md lists this run"),
        (2, "no experiments.md lists this run (nor 1 other experiment)"),
        (3, "no experiments.md lists this run (nor 2 other experiments)"),
    ],
)
def test_experiments_without_a_table_are_one_finding(count: int, says: str) -> None:
    """The first experiment stands for all of them, and the others are counted."""
    text = HEAD.replace("replication", "experiment")
    texts = {f"2026-03-1{number}_a.md": text for number in range(count)}
    assert [each.message for each in found("WK911", texts)] == [says]


def test_the_first_block_is_the_oldest_where_a_further_one_stands_on_top() -> None:
    """A page with the newest block on top has its plain block below: that one needs no label, and
    its date for people is missing.
    """
    body = (
        "## Job (resumed)\n- execution_id: 2\n- submitted: 2026-03-12 15:00 UTC\n"
        "- resumed from: /a/b\n\n"
        "## Job\n- execution_id: 1\n- submitted: 2026-03-11 15:00 UTC\n"
    )
    assert lines_of("WK309", body) == []
    assert lines_of("WK401", body) == [line("- submitted: 2026-03-11", body)]


def test_two_blocks_of_one_time_are_in_order() -> None:
    """Only a block that was submitted before the one above it is out of order."""
    body = (
        "## Job\n- execution_id: 1\n- submitted: 2026-03-11 15:00 UTC\n\n"
        "## Job (resumed)\n- execution_id: 2\n- submitted: 2026-03-11 15:00 UTC\n"
    )
    assert lines_of("WK303", body) == []
    assert lines_of("WK303", body.replace("15:00 UTC\n\n", "15:01 UTC\n\n")) == [
        line("## Job (resumed)", body)
    ]


def test_blocks_newest_first_are_one_finding() -> None:
    """Where every block is older than the one above it, the order of the page is meant, and said
    once.
    """
    blocks = [
        f"## Job\n- execution_id: {number}\n- submitted: 2026-03-{20 - number} 15:00 UTC\n"
        for number in range(3)
    ]
    (finding_,) = found("WK303", {"2026-03-11_train.md": HEAD + "\n".join(blocks)})
    assert finding_.message == "the job blocks are in reverse order, newest first"


@pytest.mark.parametrize(
    ("entry", "is_missing"),
    [
        ("submitted job 12345", False),
        ("submitted", True),
        ("running, step 3 of job 12345", True),
    ],
)
def test_one_of_several_jobs_is_dated_by_the_entry_that_names_it(
    entry: str, is_missing: bool
) -> None:
    """With several blocks an entry of Status dates the submission only of the job that it names."""
    body = (
        "## Job\n- execution_id: 12340\n- submitted: 2026-03-11 15:00 UTC\n\n"
        "## Job (resumed)\n- execution_id: 12345\n- resumed from: /a/b\n\n"
        f"## Status\n- 2026-03-11 16:00 — {entry}\n"
    )
    assert bool(lines_of("WK304", body)) is is_missing


def test_the_only_job_is_dated_by_any_entry_of_a_submission() -> None:
    """A log with one job needs no id in the entry that says when it was submitted."""
    body = "## Job\n- execution_id: 12345\n\n## Status\n- 2026-03-11 16:00 — submitted\n"
    assert lines_of("WK304", body) == []
    assert lines_of("WK304", body.replace("submitted", "step 3")) != []


def test_a_time_of_day_is_read_on_the_day_of_its_own_job() -> None:
    """An end without a date is one where the block dates its job, even if the file's name has no
    date: its runtime is missing.
    """
    body = "## Job\n- execution_id: 1\n- submitted: 2026-03-11 15:00 UTC\n- end: 16:00\n"
    assert lines_of("WK308", body, name="train.md") == [line("## Job", body)]
    without = body.replace("- submitted: 2026-03-11 15:00 UTC\n", "")
    assert lines_of("WK308", without, name="train.md") == []


@pytest.mark.parametrize(
    ("wandb", "says"),
    [
        (
            "- local: wandb/offline-1\n",
            ["the job has ended, but its W&B run has no URL: 'wandb/offline-1'"],
        ),
        ("- local: pending\n", ["the job has ended, but its W&B run has no URL"]),
        ("", ["the job has ended, but its W&B run has no URL"]),
        ("- local: n/a\n", []),
        ("- synced: no\n- local: wandb/offline-1\n",
         ["the job has ended, but its W&B run has no URL: 'wandb/offline-1'"]),
        ("- synced: https://wandb.ai/a/b/runs/c\n", []),
    ],
)  # fmt: skip
def test_a_run_without_a_url_is_named_with_its_folder(wandb: str, says: list[str]) -> None:
    """The folder is quoted where the log names it; a run that was synced or never was is no
    finding.
    """
    body = (
        "## Job\n- execution_id: 1\n- state: COMPLETED\n\n"
        f"## Status\n- 2026-03-12 14:30 — completed, step 3\n\n## W&B\n{wandb}"
    )
    found_ = found("WK701", {"2026-03-11_train.md": HEAD + body})
    assert [each.message for each in found_] == says


def test_a_training_that_never_speaks_of_wandb_owes_no_url() -> None:
    """Without a W&B section, or a word of it, there may have been no W&B run."""
    body = "## Job\n- execution_id: 1\n- state: COMPLETED\n\n## Status\n- 2026-03-12 14:30 — done\n"
    assert lines_of("WK701", body) == []
    assert lines_of("WK701", body + "- logged to wandb\n") != []


@pytest.mark.parametrize(
    ("wandb", "loses", "hangs"),
    [
        ("- wandb version: 0.24.0\n", True, True),
        ("- logged by wandb 0.27.0+abc\n", False, True),
        ("- wandb==0.31.0\n", False, False),
        ("- wandb version: 0.24.0\n- synced: https://wandb.ai/a/b/runs/c\n", True, False),
        ("- notes: torch 0.24.0\n", False, False),
    ],
)
def test_a_wandb_version_that_fails_is_named_where_it_stands(
    wandb: str, loses: bool, hangs: bool
) -> None:
    """What lost rows is named also after the sync; what may hang only while a sync is to come."""
    body = f"## Job\n- execution_id: 1\n\n## W&B\n- local: wandb/offline-1\n{wandb}"
    at = line(wandb, body)
    assert lines_of("WK703", body) == [at] * loses
    assert lines_of("WK704", body) == [at] * hangs


def test_more_urls_than_a_hundred_are_not_looked_for() -> None:
    """The work on one log is bounded: its hundred first runs are looked for in the blocks."""
    urls = "".join(f"- https://wandb.ai/a/b/runs/r{number}\n" for number in range(120))
    body = f"## Job\n- execution_id: 1\n\n## Job (resumed)\n- execution_id: 2\n\n## W&B\n{urls}"
    assert len(lines_of("WK702", body)) == 100


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_a_url_is_named_once_at_its_own_line(order: tuple[str, str]) -> None:
    """The same run under two addresses is one finding, and one that a block has is none."""
    bullets = "".join(f"- https://wandb.ai/x/y/runs/{run}?v={n}\n" for run in order for n in (1, 2))
    body = (
        "## Job\n- execution_id: 1\n- see: https://wandb.ai/x/y/runs/a\n\n"
        f"## Job (resumed)\n- execution_id: 2\n\n## W&B\n{bullets}"
    )
    assert lines_of("WK702", body) == [line("- https://wandb.ai/x/y/runs/b?v=1", body)]


@pytest.mark.parametrize(
    ("sentence", "is_figures"),
    [
        ("train loss dropped from 1.31 to 0.19", True),
        ("train loss dropped from 1.31 to 0.19 and overfits", False),
        ("loss 0.5", True),
        ("it looks fine", False),
    ],
)
def test_a_sentence_needs_a_word_beside_its_figures(sentence: str, is_figures: bool) -> None:
    """Figures and the words that introduce them say no more than the fields do."""
    body = (
        "## Job\n- execution_id: 1\n- state: COMPLETED\n\n"
        f"## Status\n- 2026-03-12 14:30 — done\n\n## Results\n- loss_one_liner: {sentence}\n"
    )
    assert bool(lines_of("WK603", body)) is is_figures
    assert lines_of("WK602", body) == []


def test_entries_of_a_timeline_that_repeat_or_are_gone_are_named() -> None:
    """A name twice in one list, and one that is no file; another list may name it again."""
    timeline = (
        "# Arm Timeline\n1. `2026-03-11_a.md` — Wednesday, Mar 11th\n"
        "2. `2026-03-11_a.md` — Wednesday, Mar 11th\n"
        "3. `2026-03-12_b.md` — Thursday, Mar 12th\n"
        "## Again\n1. `2026-03-11_a.md` — Wednesday, Mar 11th\n"
        "2. `../other/2026-03-13_c.md` — Friday, Mar 13th\n"
    )
    texts = {"arm/timeline.md": timeline, "arm/2026-03-11_a.md": HEAD}
    assert [each.line for each in found("WK906", texts)] == [3]
    (gone,) = found("WK903", texts)
    assert (gone.line, gone.message) == (4, "'2026-03-12_b.md' does not exist")


@pytest.mark.parametrize(
    ("numbers", "wrong"),
    [
        ("123", []),
        ("111", []),
        ("321", []),
        ("1", []),
        ("2", ["entry 1 is numbered 2"]),
        ("134", ["entry 2 is numbered 3; 1 more below it are also wrong"]),
        ("124", ["entry 3 is numbered 4"]),
    ],
)
def test_a_list_counts_up_down_or_with_ones(numbers: str, wrong: list[str]) -> None:
    """Any other numbering is one finding for the list."""
    entries = "".join(f"{number}. `2026-03-1{at}_a.md`\n" for at, number in enumerate(numbers, 1))
    texts = {"arm/timeline.md": f"# Arm\n{entries}"}
    assert [each.message for each in found("WK905", texts)] == wrong


@pytest.mark.parametrize(
    ("days", "says"),
    [
        ("123", []),
        ("11", []),
        ("21", ["'2026-03-11_a.md' is older than the entry above"]),
        ("321", ["the entries are in reverse order, newest first"]),
        ("3213", ["'2026-03-12_a.md' is older than the entry above",
                  "'2026-03-11_a.md' is older than the entry above"]),
    ],
)  # fmt: skip
def test_entries_are_in_the_order_of_their_days(days: str, says: list[str]) -> None:
    """Each entry that is older than the one above is named, and a list the other way round once."""
    entries = "".join(f"- `2026-03-1{day}_a.md`\n" for day in days)
    texts = {"arm/timeline.md": f"# Arm\n{entries}"}
    assert [each.message for each in found("WK904", texts)] == says
