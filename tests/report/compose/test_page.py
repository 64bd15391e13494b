"""The machine's fields in a run log that a person owns too."""

import re
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.report.compose.page import JobBlock, Page, Value, Written, print_page
from watchkeeper.report.compose.splice import splice
from watchkeeper.report.runlog.document import decode, parse

DIALECTS = sorted((Path(__file__).parents[1] / "runlogs").rglob("*.md"))


def page(**changes):
    """A page of a run with one job, which has ended."""
    sections = {
        "mode": [Value("run_type", "experiment"), Value("objective", "pending")],
        "config": [Value("script", "slurm/train.sh", quoted=True), Value("dataset", "digits")],
        "results": [Value("runtime", "01:00:00", quoted=True), Value("final step", "100")],
        "wandb": [Value("local", "n/a")],
        "next": [Value("resume for more steps", "watchkeeper run .", quoted=True)],
    }
    first = [
        Value("execution_id", "12345"),
        Value("submitted/start", "2026-03-11T15:00:00Z", quoted=True),
    ]
    values = {"title": "train — x", "sections": sections, "jobs": [JobBlock("1", first)]}
    return Page(**(values | {"status": ["2026-03-11 15:00 UTC — submitted"]} | changes))


def written(*changes, before=None):
    """What the machine has written, by its changes."""
    found = before or Written({}, set(), {})
    for change in changes:
        for field, value in change.fields.items():
            found.fields.setdefault(field, set()).add(value)
        found.lines |= set(change.lines)
        found.kept |= change.kept
    return found


def test_a_new_page_reads_back():
    """What is printed for a new file is found again by the parser, field by field, and needs no
    change.
    """
    made = print_page(page())
    document = parse(made.text)
    assert document.of("mode")[0].field("run_type").value == "experiment"
    assert document.of("job")[0].field("execution_id").value == "12345"
    assert document.of("status")[0].nodes[0].text == "submitted"
    assert splice(made.text, page(), written(made)).text is made.text


def test_a_field_is_given_its_new_value_and_nothing_else_changes():
    """An update touches the bytes of the field that it owns alone."""
    made = print_page(page(sections={"results": [Value("runtime", "pending")]}))
    text = made.text.replace("## Status", "A person's words.\n\n## Status").replace("\n", "\r\n")
    later = page(sections={"results": [Value("runtime", "02:00:00", quoted=True)]})
    change = splice(text, later, written(made))
    assert change.text == text.replace("runtime: pending", "runtime: `02:00:00`")
    assert change.fields == {"results.runtime": "02:00:00"}


def test_a_field_that_a_person_changed_is_kept_and_told_once():
    """What a person wrote into the machine's field stays, and the difference is reported, but not
    again and again.
    """
    made = print_page(page())
    text = made.text.replace("experiment", "replication")
    later = page(sections={"mode": [Value("run_type", "pipeline"), Value("objective", "pending")]})
    change = splice(text, later, written(made))
    assert change.text is text and change.kept == {"mode.run_type": "replication"}
    assert splice(text, later, written(made, change)).kept == {}


def test_a_field_that_a_person_took_out_does_not_come_back():
    """A deleted field, line, block or section stays deleted."""
    made = print_page(page())
    for gone in (
        "- objective: pending\n",
        "- 2026-03-11 15:00 UTC — submitted\n",
        "## W&B\n- local: n/a\n\n",
    ):
        text = made.text.replace(gone, "")
        assert text != made.text
        assert splice(text, page(), written(made)).text is text
    without = made.text[: made.text.index("## Job")] + made.text[made.text.index("## Status") :]
    assert splice(without, page(), written(made)).text is without


def test_an_open_answer_is_filled_in_and_a_given_one_is_kept():
    """`pending`, nothing and the template's words are answered by the machine; a person's answer is
    not.
    """
    for word in ("pending", "", "<HH:MM:SS>", "TBD"):
        text = f"# t\n\n## Results\n- runtime: {word}\n"
        assert "- runtime: `01:00:00`\n" in splice(text, page(), Written({}, set(), {})).text
    text = "# t\n\n## Results\n- runtime: about an hour\n"
    assert "about an hour" in splice(text, page(), Written({}, set(), {})).text


def test_a_note_behind_a_value_stays():
    """A person's note in parentheses survives the value before it."""
    made = print_page(page(sections={"results": [Value("runtime", "01:00:00", quoted=True)]}))
    text = made.text.replace("`01:00:00`", "`01:00:00` (slow node)")
    later = page(sections={"results": [Value("runtime", "02:00:00", quoted=True)]})
    assert "- runtime: `02:00:00` (slow node)\n" in splice(text, later, written(made)).text


def test_a_resumption_is_a_block_of_its_own_behind_the_last():
    """The next job block comes after the blocks that are there, before Status."""
    made = print_page(page())
    first, second = page().jobs[0], JobBlock("2", [Value("execution_id", "12346")], "resumed")
    change = splice(made.text, page(jobs=[first, second]), written(made))
    headings = [section.heading.text for section in parse(change.text).walk()]
    assert headings == [
        "Mode",
        "Config",
        "Job",
        "Job (resumed)",
        "Status",
        "Results",
        "W&B",
        "Next",
    ]
    assert change.fields == {"job.2.execution_id": "12346"}


def test_a_job_gets_its_id_in_the_block_that_waits_for_it():
    """A block made at submission, without an id, is the one that the id goes into."""
    made = print_page(page(jobs=[JobBlock("1", [Value("execution_id", "pending")])]))
    change = splice(made.text, page(), written(made))
    assert [job.field("execution_id").value for job in parse(change.text).of("job")] == ["12345"]


def test_status_lines_are_added_behind_what_belongs_to_the_last():
    """A person's indented words below a status line stay with it."""
    made = print_page(page())
    text = made.text.replace("submitted\n", "submitted\n  - failure reason: none yet\n")
    change = splice(
        text, page(status=[*page().status, "2026-03-11 16:00 UTC — running, step 3"]), written(made)
    )
    assert (
        "submitted\n  - failure reason: none yet\n- 2026-03-11 16:00 UTC — running, step 3\n"
        in change.text
    )


def test_a_line_that_is_there_already_is_not_added_again():
    """A crash between the file and the journal costs no line twice."""
    made = print_page(page())
    change = splice(made.text, page(), Written({}, set(), {}))
    assert change.text is made.text and change.lines == page().status


OPEN = re.compile(r"(- [^:]+:|\*\*[^:]+:) ?`?(?:pending|tbd|<[^>]+>)?`?", re.IGNORECASE)


def assert_kept(before, after):
    """Every line of the text before stands in the text after, in its order; of one that waits for
    an answer, its key.
    """
    at = 0
    for line in before.splitlines():
        waits = OPEN.fullmatch(line.strip())
        part = waits[1] if waits else line
        at = after.find(part, at)
        assert at >= 0, (line, after)
        at += len(part)


def test_dialects_are_continued_without_a_byte_lost():
    """In every dialect of hand-written logs the machine adds what is missing, and takes nothing
    away.
    """
    assert len(DIALECTS) >= 10
    for path in DIALECTS:
        text = decode(path.read_bytes())
        change = splice(text, page(), Written({}, set(), {}))
        assert_kept(text, change.text)
        again = splice(change.text, page(), written(change))
        assert again.text is change.text, path.name


LINES = st.sampled_from(
    [
        "# train — x",
        "## Mode",
        "- run_type: experiment",
        "- run_type: <experiment>",
        "**Objective**: pending",
        "## Job",
        "## Job (resumed)",
        "- job_id: `12345` (first)",
        "- execution_id: pending",
        "- execution_id: 12345",
        "## Status",
        "- 2026-03-11 15:00 UTC — submitted",
        "  - a note",
        "- 2026-03-12 — text",
        "## Results",
        "- runtime:",
        "- runtime: pending",
        "- runtime: `00:10:00`",
        "```",
        "<!-- a",
        "-->",
        "| a | b |",
        "",
        "\t- tab: x",
        "words",
        "# Results",
        "## Debug commands used",
        "### Next",
    ]
)


@given(st.lists(LINES, max_size=25), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_text_keeps_what_is_not_the_machines(found, newline, ends):
    """Whatever stands in a file, no byte outside the machine's own fields changes, and a second
    look changes nothing.
    """
    text = newline.join(found) + (newline if ends else "")
    change = splice(text, page(), Written({}, set(), {}))
    assert_kept(text, change.text)
    again = splice(change.text, page(), written(change))
    assert again.text is change.text


def test_an_empty_field_that_ends_the_file_gets_its_value():
    """The value of a field goes behind its key, also where the file ends there and sections are
    added below.
    """
    text = "## Results\n- runtime:"
    change = splice(text, page(), Written({}, set(), {}))
    assert "\n- runtime: `01:00:00`\n" in change.text
    assert change.text.endswith("- resume for more steps: `watchkeeper run .`")
    again = splice(change.text, page(), written(change))
    assert again.text is change.text


def test_a_note_of_the_machines_is_brought_up_with_its_value():
    """The times behind a runtime are those of the attempt that it is of, also where the runtime
    itself is the same.
    """

    def results(start, runtime="00:00:02"):
        return page(
            sections={
                "results": [
                    Value("runtime", runtime, quoted=True, note=f"start `{start}`, end `{start}`")
                ]
            }
        )

    made = print_page(results("10:00"))
    again = splice(made.text, results("11:30"), written(made))
    assert again.text == made.text.replace("10:00", "11:30") and again.fields == {}
    other = splice(made.text, results("11:30", "00:00:05"), written(made))
    assert "- runtime: `00:00:05` (start `11:30`, end `11:30`)\n" in other.text


def test_a_persons_note_behind_a_value_stays():
    """A note in other words than the machine's is a person's."""
    made = print_page(
        page(sections={"results": [Value("runtime", "1", quoted=True, note="start `10:00`")]})
    )
    text = made.text.replace("(start `10:00`)", "(start `10:00`, I think)")
    later = page(sections={"results": [Value("runtime", "2", quoted=True, note="start `11:00`")]})
    assert "- runtime: `2` (start `10:00`, I think)\n" in splice(text, later, written(made)).text


def test_a_pending_of_the_machines_never_takes_the_place_of_an_answer():
    """A field that was answered, by the machine or a person, stays when the machine knows nothing
    of it any more.
    """
    answered = page(sections={"results": [Value("runtime", "01:00:00", quoted=True)]})
    made = print_page(answered)
    unknown = page(sections={"results": [Value("runtime", "pending")]})
    change = splice(made.text, unknown, written(made))
    assert change.text == made.text
    assert not change.fields and not change.kept


EMPTY = Written({}, set(), {})


def spliced(text, **changes):
    """The text with a page of these parts and nothing else."""
    parts = {"sections": {}, "jobs": [], "status": []}
    return splice(text, page(**(parts | changes)), Written({}, set(), {})).text


def test_a_new_field_follows_the_machines_last_before_it():
    """A field that is not there yet comes after the one that it follows on the page, and at the end
    of the fields where none of them is there.
    """
    values = [Value("runtime", "1"), Value("final step", "2")]
    text = "## Results\n- runtime: 1\n- mine: x\n\nwords\n"
    assert spliced(text, sections={"results": values}) == (
        "## Results\n- runtime: 1\n- final step: 2\n- mine: x\n\nwords\n"
    )
    text = "## Results\n- mine: x\n  - below it\n\nwords\n"
    assert spliced(text, sections={"results": values}) == (
        "## Results\n- mine: x\n  - below it\n- runtime: 1\n- final step: 2\n\nwords\n"
    )
    assert spliced("## Results\nwords\n", sections={"results": values}) == (
        "## Results\n- runtime: 1\n- final step: 2\nwords\n"
    )


def test_a_section_has_its_place_among_the_others():
    """It comes after those before it, else before those after it, else at the end; blank lines stay
    behind it.
    """
    wandb = {"wandb": [Value("local", "n/a")]}
    assert spliced("# t\n\n## Mode\n\n\n## Next\n", sections=wandb) == (
        "# t\n\n## Mode\n\n## W&B\n- local: n/a\n\n\n## Next\n"
    )
    assert spliced("# t\n\n## Next\n- x\n", sections=wandb) == (
        "# t\n\n## W&B\n- local: n/a\n\n## Next\n- x\n"
    )
    assert spliced("words\n", sections=wandb) == "words\n\n## W&B\n- local: n/a\n"
    assert spliced("words", sections=wandb) == "words\n\n## W&B\n- local: n/a"
    assert spliced("", sections=wandb) == "## W&B\n- local: n/a\n"


def test_a_section_below_one_heading_of_all_has_its_place_there():
    """Where the page's sections stand one level lower, the new one stands among them."""
    text = "# t\n\n# Log\n\n## Mode\n- x\n\n## Next\n"
    assert spliced(text, sections={"wandb": [Value("local", "n/a")]}) == (
        "# t\n\n# Log\n\n## Mode\n- x\n\n## W&B\n- local: n/a\n\n## Next\n"
    )


def test_a_block_is_found_by_an_id_that_it_has_or_had():
    """An execution's block keeps its place when the job gets another id; a field that is no id
    counts for nothing.
    """
    job = JobBlock("1", [Value("execution_id", "9"), Value("node", "5")])
    text = "## Job\n- execution_id: 5\n\n## Job (resumed)\n- execution_id: 9\n"
    change = splice(text, page(sections={}, jobs=[job], status=[]), EMPTY)
    assert change.text == text + "- node: 5\n"
    had = Written({"job.1.execution_id": {"5", "pending"}}, set(), {})
    change = splice(text.replace("9", "8"), page(sections={}, jobs=[job], status=[]), had)
    assert change.text == (
        "## Job\n- execution_id: 9\n- node: 5\n\n## Job (resumed)\n- execution_id: 8\n"
    )


def test_the_first_block_without_an_id_is_taken():
    """An open id is filled in, in the first such block; one that a person answered is not taken."""
    job = JobBlock("1", [Value("execution_id", "9")])
    text = "## Job\n- execution_id: 5\n\n## Job\n- execution_id: pending\n\n## Job\n- id:\n"
    assert spliced(text, jobs=[job]) == text.replace("pending", "9")
    text = "## Job\n- node: n1\n"
    assert spliced(text, jobs=[job]) == text + "\n## Job\n- execution_id: 9\n"


def test_a_status_line_that_is_there_is_not_written_again():
    """The same line by hand counts, whatever its bullet; new ones come after the last entry."""
    status = ["2026-03-11 15:00 UTC — submitted", "2026-03-11 15:05 UTC — started"]
    text = "## Status\n* 2026-03-11 15:00 UTC — submitted\n  - a note\n\nwords\n\n## Next\n"
    assert spliced(text, status=status) == text.replace(
        "words\n", "words\n- 2026-03-11 15:05 UTC — started\n"
    )
    assert spliced("## Status\n", status=status[:1]) == "## Status\n- " + status[0] + "\n"


def test_a_removed_status_is_kept_away_and_noted():
    """A person who removed the section wants none; the machine notes it and writes no line."""
    before = Written({}, {"2026-03-11 14:00 UTC — older"}, {})
    change = splice("## Next\n", page(sections={}, jobs=[]), before)
    assert (change.text, change.lines, change.kept) == ("## Next\n", [], {"status": ""})


def test_a_pending_value_never_replaces_an_answer():
    """An answer stays while the machine knows none, and its difference is no news."""
    text = "## Results\n- runtime: 1 h\n"
    change = splice(
        text, page(sections={"results": [Value("runtime", "pending")]}, jobs=[], status=[]), EMPTY
    )
    assert change.text is text and change.kept == {} and change.fields == {}


def test_a_field_with_something_below_it_is_a_persons():
    """Even an open field that someone wrote below is left as it is; a comment below is nothing."""
    values = {"results": [Value("runtime", "1")]}
    text = "## Results\n- runtime: pending\n  - but see below\n"
    change = splice(text, page(sections=values, jobs=[], status=[]), EMPTY)
    assert change.text is text and change.kept == {"results.runtime": "pending"}
    text = "## Results\n- runtime: pending\n  <!-- later -->\n"
    assert spliced(text, sections=values) == text.replace("pending", "1")


def test_a_note_is_updated_where_only_its_figures_changed():
    """A note of ours whose digits changed is renewed; a person's words are not; an equal value that
    someone else wrote into a log of theirs stays theirs.
    """
    value = Value("runtime", "1", note="start 15:05")
    ours = Written({"results.runtime": {"1"}}, set(), {})
    wanted = page(sections={"results": [value]}, jobs=[], status=[])
    text = "## Results\n- runtime: `1` (start 14:00)\n"
    assert splice(text, wanted, ours).text == text.replace("14:00", "15:05")
    text = "## Results\n- runtime: `1` (slow node)\n"
    assert splice(text, wanted, ours).text is text
    theirs = "## Results\n- runtime: `1` (start 14:00)\n"
    assert splice(theirs, wanted, EMPTY).text is theirs
    assert splice(theirs, wanted, EMPTY).fields == {"results.runtime": "1"}
    adopted = page(sections={"results": [value]}, jobs=[], status=[], adopted=True)
    assert splice(theirs, adopted, EMPTY).fields == {}


def test_a_note_behind_a_plain_value_is_no_part_of_it():
    """A value without backticks reads with its note: it is the same value all the same."""
    value = Value("dataset", "d", note="3 files")
    wanted = page(sections={"config": [value]}, jobs=[], status=[])
    text = "## Config\n- dataset: d (3 files)\n"
    change = splice(text, wanted, Written({"config.dataset": {"d"}}, set(), {}))
    assert change.text is text and change.kept == {}


def test_a_value_is_printed_in_backticks_where_it_should():
    """Neither an empty nor a pending value is quoted, nor one that holds a backtick."""
    assert Value("a", "b", quoted=True).line() == "- a: `b`"
    assert Value("a", "b").line() == "- a: b"
    assert Value("a", "", quoted=True).line() == "- a:"
    assert Value("a", "pending", quoted=True).line() == "- a: pending"
    assert Value("a", "x`y", quoted=True).line() == "- a: x`y"
    assert Value("a", "b", note="c").line() == "- a: b (c)"
    assert JobBlock("1", []).heading == "Job" and JobBlock("2", [], "x").heading == "Job (x)"


def operations(work):
    """How many operations of Python's a call takes: the same on every machine."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def costs_of_long_logs():
    """How many operations it takes to bring up a log of 60 executions, and one of 120."""
    costs = []
    for length in (60, 120):
        ids = range(1, length + 1)
        jobs = [JobBlock(str(n), [Value("execution_id", f"1{n:04}")]) for n in ids]
        made = print_page(page(jobs=jobs))
        jobs = [*jobs, JobBlock(str(length + 1), [Value("execution_id", "20000")])]
        own = written(made)
        costs.append(
            operations(
                lambda made=made, own=own, jobs=jobs: splice(made.text, page(jobs=jobs), own)
            )
        )
    return costs


def test_the_work_on_a_long_log_grows_with_its_length():
    """A log of twice as many executions takes about twice the work to bring up, not four times.
    What is counted is every operation of the interpreter, so it is one that runs nothing else.
    """
    code = "from tests.report.compose.test_page import costs_of_long_logs as c; print(*c())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    short, long = map(int, done.stdout.split())
    assert long < 2.6 * short, (short, long)
