"""The table that compares runs: the machine's cells and people's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.report.runlog.experiments_table import Entry, parse_experiments, with_rows

TABLE = """# Experiments

Words of a person.

| run | description | val_loss | status | notes |
|-----|-------------|----------|--------|-------|
| train_a_2026-03-11 | front cam | 0.028 | keep | baseline \\| first |
| [train_b_2026-03-12](arm/2026-03-12_train_b.md) | LR 5e-4 |  | running ||

More words.
"""


def entry(run, **cells):
    """What the machine knows of a run."""
    return Entry(run, f"arm/{run}.md", cells)


def test_a_table_is_begun_where_there_is_none():
    """The first run begins the page in the document's form."""
    text, made = with_rows(
        "", [entry("t_2026-03-11", description="d", val_loss="0.1", status="running")], {}
    )
    assert text == (
        "# Experiments\n\n| run | description | val_loss | status | notes |\n"
        "|-----|-------------|----------|--------|-------|\n"
        "| [t_2026-03-11](arm/t_2026-03-11.md) | d | 0.1 | running |  |\n"
    )
    assert made == {
        "t_2026-03-11": {
            "run": "t_2026-03-11",
            "description": "d",
            "val_loss": "0.1",
            "status": "running",
        }
    }


def test_a_persons_verdict_and_words_stay():
    """A cell that a person filled is never overwritten; an empty one, and one of the machine's, are
    brought up.
    """
    runs = [
        entry("train_a_2026-03-11", val_loss="0.5", status="completed"),
        entry("train_b_2026-03-12", val_loss="0.02", status="completed"),
    ]
    text, made = with_rows(
        TABLE, runs, {"train_b_2026-03-12": {"run": {"train_b_2026-03-12"}, "status": {"running"}}}
    )
    assert text == TABLE.replace("LR 5e-4 |  | running ||", "LR 5e-4 | 0.02 | completed ||")
    assert made["train_b_2026-03-12"] == {"val_loss": "0.02", "status": "completed"}


def test_a_new_run_comes_behind_the_last():
    """A row is added at the end of the table; what stands below the table stays there."""
    text, _ = with_rows(TABLE, [entry("new_2026-03-13", description="a|b")], {})
    assert text.endswith(
        "||\n| [new_2026-03-13](arm/new_2026-03-13.md) | a\\|b |  |  |  |\n\nMore words.\n"
    )
    assert [row.run for row in parse_experiments(text)][-1] == "new_2026-03-13"


def test_a_row_that_a_person_took_out_does_not_come_back():
    """A deleted row stays deleted."""
    text, made = with_rows(
        TABLE,
        [entry("gone_2026-03-01", val_loss="1")],
        {"gone_2026-03-01": {"run": {"gone_2026-03-01"}}},
    )
    assert text == TABLE and made == {}


def test_other_columns_and_orders_are_understood():
    """A person's own columns stay, and the machine's are found by their names."""
    own = "| Run | status | owner | val_loss |\r\n|---|---|---|---|\r\n| x_2026-03-11 | | me | - |"
    text, _ = with_rows(
        own,
        [
            entry("x_2026-03-11", val_loss="0.1", status="completed"),
            entry("y_2026-03-12", val_loss="0.2"),
        ],
        {},
    )
    assert text == (
        "| Run | status | owner | val_loss |\r\n|---|---|---|---|\r\n| x_2026-03-11 | completed | "
        "me | 0.1 |"
        "\r\n| [y_2026-03-12](arm/y_2026-03-12.md) |  |  | 0.2 |"
    )


@given(st.text(alphabet="| ab\\`-\n\r:[](", max_size=120), st.booleans())
def test_any_page_keeps_what_stands_in_it(text, headed):
    """Whatever the page holds, only open cells are filled, rows are only added, and a second look
    changes nothing.
    """
    text = ("| run | val_loss |\n|-|-|\n" if headed else "") + text
    runs = [entry("a", val_loss="0.5"), entry("zz", val_loss="7")]
    after, made = with_rows(text, runs, {})
    at = 0
    for line in text.splitlines():
        for part in line.split("|"):
            if part.strip().strip("-"):
                at = after.index(part.strip(), at)
    written = {
        run: {column: {value} for column, value in cells.items()} for run, cells in made.items()
    }
    assert with_rows(after, runs, written)[0] == after


LINK = "arm/2026-05-04_train.md"
HEADED = "| run | val_loss | status |\n|---|---|---|\n"
THEIRS = {
    "the file's own name": HEADED + "| 2026-05-04_train | | keep |\n",
    "a link": HEADED + "| [careful rate](arm/2026-05-04_train.md) | | keep |\n",
    "a link from the repository": HEADED + "| [a](run_logs/arm/2026-05-04_train.md) | | keep |\n",
    "a link in a column": (
        "| what | log | val_loss |\n|---|---|---|\n| x | [log](./arm/2026-05-04_train.md#top) | |\n"
    ),
    "bold": HEADED + "| **train_2026-05-04** | | keep |\n",
    (
        "struck out, with its ending"
    ): "| Run | Val loss |\n|---|---|\n| ~~`2026-05-04_train.md`~~ | |\n",
    "another order": (
        "| status | val_loss | experiment | owner |\n|---|---|---|---|\n| keep | | "
        "2026-05-04_train | me |\n"
    ),
    "a date of its own": "| date | run | val_loss |\n|---|---|---|\n| 2026-05-04 | train | |\n",
    "the second table": HEADED
    + (
        "| x_2026-01-01 | 1 | |\n\n# More\n\n| name | val_loss |\n|---|---|\n| "
        "2026-05-04_train | |\n"
    ),
    ("no head that names a run"): (
        "| change | val_loss |\n|---|---|\n| [careful](arm/2026-05-04_train.md) | |\n"
    ),
}


@pytest.mark.parametrize("spelled", THEIRS)
def test_a_persons_row_is_found_again(spelled):
    """However a person names the log, the row is the run's: its open cells are filled, and no
    second row is added.
    """
    before = THEIRS[spelled]
    run = Entry("train_2026-05-04", LINK, {"val_loss": "0.41"})
    after, made = with_rows(before, [run], {})
    assert after.count("\n") == before.count("\n") and "0.41" in after.splitlines()[-1]
    assert made["train_2026-05-04"] == {"run": "train_2026-05-04", "val_loss": "0.41"}
    assert (
        with_rows(
            after, [run], {"train_2026-05-04": {"run": {"train_2026-05-04"}, "val_loss": {"0.41"}}}
        )[0]
        == after
    )


@pytest.mark.parametrize(
    "row",
    [
        "| other_2026-05-05 | see 2026-05-04_train |",
        "| [train_2026-05-04](leg/2026-05-04_train.md) | |",
        "| train_2026-05-03 | |",
        "| 2026-05-04_train-2 | |",
    ],
)
def test_another_runs_row_is_not_taken_for_it(row):
    """A note on the log, the same name in another folder, another day or a longer name: the run
    gets a row of its own.
    """
    before = f"| run | notes |\n|---|---|\n{row}\n"
    after, _ = with_rows(before, [Entry("train_2026-05-04", LINK, {"val_loss": "0.41"})], {})
    assert after == before + f"| [train_2026-05-04]({LINK}) |  |\n"


def test_a_new_row_goes_into_the_table_of_runs():
    """Of several tables the one with the document's columns is continued, under its own head."""
    seeds = "| name | seeds |\n|---|---|\n| a | 3 |\n\n"
    before = (
        f"{seeds}| status | run | val_loss |\n|---|---|---|\n| keep | x_2026-01-01 | 1 |\n\nwords\n"
    )
    after, _ = with_rows(
        before, [Entry("train_2026-05-04", LINK, {"val_loss": "0.41", "status": "completed"})], {}
    )
    assert after == before.replace(
        "| 1 |\n", f"| 1 |\n| completed | [train_2026-05-04]({LINK}) | 0.41 |\n"
    )
