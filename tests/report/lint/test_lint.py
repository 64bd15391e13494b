"""The rules of run logs: each is triggered by one change to a clean tree; what is fixed stays
fixed.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runlogs import CORPUS, GENERATED, files_of, tree
from watchkeeper.report.lint.lint import lint
from watchkeeper.report.lint.rules import FIXABLE, RULES, Finding
from watchkeeper.report.runlog.document import apply
from watchkeeper.watch.logs import run_log_folder

CLEAN = tree("clean")
TRAIN, EVAL, EMBED = (
    f"demo_arm/{name}.md"
    for name in ("2026-03-11_train_front_cam", "2026-03-15_eval", "2026-03-10_embed")
)
TIMELINE, SUMMARY = "demo_arm/timeline.md", "experiments.md"
SECRET = "hf_" + "a1B2" * 9
OLD = (
    CLEAN[EMBED]
    .replace("node007", "node008")
    .replace("2026-03-10", "2026-03-01")
    .replace("Tuesday, Mar 10th", "Sunday, Mar 1st")
)
PUBLISHED = CLEAN[TRAIN][CLEAN[TRAIN].index("## HuggingFace") : CLEAN[TRAIN].index("## Next")]
RESUMED = CLEAN[TRAIN][CLEAN[TRAIN].index("## Job (resumed)") : CLEAN[TRAIN].index("## Status")]
STATUS = CLEAN[TRAIN][CLEAN[TRAIN].index("- 2026-03-11 15:20") : CLEAN[TRAIN].index("\n## Results")]
ONE_LINER = "falls fast until 20k, then slowly; validation follows, no sign of overfitting"

Change = tuple[str, str, str]
"""A file, a text in it, and what takes its place; "" and a text: the whole file; "" and "": no such
file.
"""

TRIGGERS: dict[str, list[Change]] = {
    "WK106": [(EVAL, "## Next", "## Next\n```\nsqueue")],
    "WK107": [("2026-01-01_notes.md", "", "# notes\n\nprose\n")],
    "WK111": [
        (
            "train_2026-01-01.md",
            "",
            OLD.replace("2026-03-01", "2026-01-01").replace("Sunday, Mar 1st", "Thursday, Jan 1st"),
        )
    ],
    "WK112": [("2026-03-01_embed_job-77.md", "", OLD)],
    "WK113": [("2026-02-31_embed.md", "", OLD)],
    "WK114": [(f"2026-03-01_embed_{n}.md", "", OLD) for n in range(11)],
    "WK115": [(EVAL, "## Job\n", "## Job (resumed)\n- resumed from: /a/b\n")],
    "WK116": [
        (
            "2026-03-02_train.md",
            "",
            CLEAN[EVAL]
            .replace("2026-03-15", "2026-03-02")
            .replace("Sunday, Mar 15th", "Monday, Mar 2nd"),
        ),
        (
            "2026-03-03_train.md",
            "",
            CLEAN[EVAL]
            .replace("2026-03-15", "2026-03-03")
            .replace("Sunday, Mar 15th", "Tuesday, Mar 3rd"),
        ),
    ],
    "WK201": [(EVAL, "# eval — front camera on the held-out scenes\n", "")],
    "WK202": [(EVAL, "\n## Next\n", "")],
    "WK203": [
        (
            EVAL,
            "run_type: replication",
            "run_type: <replication, experiment, or pipeline (subtype)>",
        )
    ],
    "WK204": [(EVAL, "run_type: replication", "run_type: debugging")],
    "WK205": [(EVAL, "success rate on 50 scenes", "")],
    "WK206": [(EVAL, "- dataset: `heldout.hdf5` at `/data/demo`\n", "")],
    "WK207": [(EVAL, "50 scenes, 3 seeds", "<whatever matters for this run>")],
    "WK208": [(TRAIN, "- commit: `4f2c1aa`\n", "")],
    "WK209": [(EVAL, "3 seeds", SECRET)],
    "WK301": [(EVAL, "demo-vm/zone-b", "")],
    "WK302": [(TRAIN, "12346", "`12345` (again)")],
    "WK303": [(TRAIN, "2026-03-12 15:00 UTC", "2026-03-11 14:00 UTC")],
    "WK304": [(EVAL, "`2026-03-15T08:00:00+01:00`", "")],
    "WK305": [(TRAIN, "`/scratch/demo/checkpoints/60000`", "pending")],
    "WK306": [(TRAIN, "- runtime: `12:00:00`", "- runtime: `1-12:00:00`")],
    "WK307": [
        (TRAIN, "`2026-03-12T03:00:10Z`", "`2026-03-11T03:00:10Z`"),
        (TRAIN, "Thursday, Mar 12th", "Wednesday, Mar 11th"),
    ],
    "WK308": [(TRAIN, "- runtime: `12:00:00`\n", "")],
    "WK309": [(TRAIN, "## Job (resumed)", "## Job")],
    "WK310": [(TRAIN, "— timed out at", "— resubmitted as 12399 after it timed out at")],
    "WK401": [(TRAIN, "- end_human: Thursday, Mar 12th, 2026\n", "")],
    "WK402": [(TIMELINE, "Wednesday", "Monday")],
    "WK403": [(TRAIN, "2026-03-12 23:31", "2026-03-12 24:31")],
    "WK404": [(TIMELINE, "Sunday, Mar 15th", "Monday, Mar 16th")],
    "WK405": [(TIMELINE, "11th", "11st")],
    "WK406": [
        (EVAL, "2026-03-15T08", "2026-03-18T08"),
        (EVAL, "Sunday, Mar 15th", "Wednesday, Mar 18th"),
    ],
    "WK407": [(EVAL, "`2026-03-15T08:00:00+01:00`", "in the morning")],
    "WK501": [(EVAL, "## Status\n", "## Status\n- it runs\n")],
    "WK502": [(TRAIN, "running, step 2400, train_loss 0.085", "running, GPU busy")],
    "WK503": [(TRAIN, "2026-03-11 15:20", "2026-03-12 15:20")],
    "WK504": [
        (TRAIN, STATUS, ""),
        (
            TRAIN,
            "- runtime: `08:30:00`",
            (
                "- end: 2026-03-12 23:30 UTC\n- end_human: Thursday, Mar 12th, 2026\n- "
                "runtime: 08:30:00"
            ),
        ),
    ],
    "WK601": [(TRAIN, "`/scratch/demo/checkpoints/100000`", "")],
    "WK602": [(TRAIN, f"- loss_one_liner: {ONE_LINER}\n", "")],
    "WK603": [(TRAIN, ONE_LINER, "train_loss 0.412 -> 0.021")],
    "WK604": [(TRAIN, "/scratch/demo/resolved_config.yaml", "configurations/front_cam.yaml")],
    "WK701": [
        (TRAIN, f"https://wandb.ai/team/project/runs/{run}", "pending")
        for run in ("abc123", "abc123", "def456", "def456")
    ],
    "WK702": [(TRAIN, "- synced: https://wandb.ai/team/project/runs/def456\n", "")],
    "WK703": [(TRAIN, "## Job\n", "## Job\n- packages: torch==2.13.0, wandb==0.24.0\n")],
    "WK704": [
        (TRAIN, "## Job\n", "## Job\n- wandb version: `0.27.1`\n"),
        *(
            (TRAIN, f"https://wandb.ai/team/project/runs/{run}", "pending")
            for run in ("abc123", "abc123", "def456", "def456")
        ),
    ],
    "WK801": [(TRAIN, "SIGNOFF.json, ", "")],
    "WK802": [(TRAIN, "`pass`", "fail")],
    "WK803": [(TRAIN, "`pass`", "`soft_signal`")],
    "WK804": [
        (TRAIN, PUBLISHED, ""),
        (TRAIN, "held-out scenes", "held-out scenes, then upload it"),
    ],
    "WK805": [(TRAIN, "https://huggingface.co/team/front-cam", "")],
    "WK806": [(TRAIN, "SIGNOFF.json, assets", "sha256 of each file")],
    "WK901": [(TIMELINE, "", "")],
    "WK902": [(TIMELINE, "3. `2026-03-15_eval.md` — Sunday, Mar 15th\n", "")],
    "WK903": [(TIMELINE, "Mar 15th\n", "Mar 15th\n4. `2026-03-16_gone.md` — Monday, Mar 16th\n")],
    "WK904": [
        (TIMELINE, "1. `2026-03-10_embed.md` — Tuesday, Mar 10th\n2.", "1."),
        (
            TIMELINE,
            "3. `2026-03-15_eval.md` — Sunday, Mar 15th\n",
            (
                "2. `2026-03-15_eval.md` — Sunday, Mar 15th\n3. `2026-03-10_embed.md` — "
                "Tuesday, Mar 10th\n"
            ),
        ),
    ],
    "WK905": [(TIMELINE, "3. ", "4. ")],
    "WK906": [(TIMELINE, "Mar 15th\n", "Mar 15th\n4. `2026-03-15_eval.md` — Sunday, Mar 15th\n")],
    "WK907": [(TIMELINE, "Mar 15th\n", "Mar 15th\n- 2026-03-15_eval.md too\n")],
    "WK908": [(TIMELINE, "# Demo Arm Timeline", "# Left Arm Timeline")],
    "WK911": [(SUMMARY, "train_front_cam_2026-03-11", "2026-03-15_eval")],
    "WK912": [(SUMMARY, "| baseline |\n", "| baseline |\n| gone_2026-01-01 | | | | |\n")],
}
ALSO = {"WK806": {"WK801"}, "WK704": {"WK701"}}
"""What a change cannot but break as well."""


def found_in(texts: dict[str, str]) -> list[Finding]:
    """The findings of a tree of texts."""
    return lint("run_logs", files_of(texts))


def changed(changes: list[Change]) -> dict[str, str]:
    """The clean tree with some changes."""
    texts = dict(CLEAN)
    for path, old, new in changes:
        if old:
            assert old in texts[path], (path, old)
            texts[path] = texts[path].replace(old, new, 1)
        elif new:
            texts[path] = new
        else:
            del texts[path]
    return texts


def fixed(texts: dict[str, str]) -> dict[str, str]:
    """The tree with everything fixed that is safe."""
    found = found_in(texts)
    return {
        path: apply(
            text, (edit for one in found if one.path == f"run_logs/{path}" for edit in one.edits)
        )
        for path, text in texts.items()
    }


def test_a_log_as_the_document_wants_it_has_no_finding() -> None:
    """The clean tree, which fills in the document's template, has no finding, not even a note."""
    assert found_in(CLEAN) == []


@pytest.mark.parametrize("code", TRIGGERS)
def test_each_rule_is_triggered_by_its_mistake_alone(code: str) -> None:
    """One mistake gives one code, in the file it was made in (or its folder), and nothing else."""
    found = found_in(changed(TRIGGERS[code]))
    assert {one.code for one in found} == {code} | ALSO.get(code, set()), [
        str(one) for one in found
    ]


def test_many_logs_side_by_side_are_told_the_groups_that_their_names_propose() -> None:
    """More than ten logs in one folder come with the groups of their tasks' first words, where
    those part them.
    """
    names = [
        *(f"2026-03-01_train_{n}.md" for n in range(8)),
        *(f"2026-03-01_eval-{n}.md" for n in range(4)),
    ]
    (told,) = [
        one.message
        for one in found_in(dict.fromkeys([*names, "2026-03-01_data.md"], OLD))
        if one.code == "WK114"
    ]
    assert (
        told
        == "13 logs are not grouped in folders; possible groups by name: train_*: 8, eval_*: 4,"
        " 1 of other names"
    )
    (told,) = [
        one.message
        for one in found_in({f"2026-03-01_train_{n}.md": OLD for n in range(11)})
        if one.code == "WK114"
    ]
    assert told == "11 logs are not grouped in folders"


def _disk(folder: Path, code: str) -> None:
    log = folder / "2026-01-01_x.md"
    if code == "WK101":
        log.write_text("x")
        log.chmod(0)
    elif code == "WK102":
        log.write_bytes(b"\x7fELF\0\0")
    elif code == "WK103":
        with log.open("wb") as file:
            file.truncate(50 * 1024 * 1024)
    elif code == "WK104":
        log.mkdir()
    else:
        log.symlink_to(log.name)


@pytest.mark.parametrize("code", ["WK101", "WK102", "WK103", "WK104", "WK105"])
def test_what_cannot_be_read_is_a_finding(tmp_path: Path, code: str) -> None:
    """A log that is unreadable, binary, 50 MB, a folder or a link to itself is named, and nothing
    raises.
    """
    if code == "WK101" and os.geteuid() == 0:
        pytest.skip("root can read everything")
    _disk(tmp_path, code)
    found = lint("run_logs", run_log_folder.load(tmp_path).files)
    assert [one.code for one in found] == [code]


def test_an_unreadable_file_is_a_finding_for_root_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WK101 names the reason that the system gives."""
    (tmp_path / "2026-01-01_x.md").write_text("x")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run_log_folder.os, "open", refuse)
    (one,) = lint("run_logs", run_log_folder.load(tmp_path).files)
    assert one.code == "WK101" and "Permission denied" in one.message


def test_every_code_has_a_trigger_and_a_row_in_the_docs() -> None:
    """No rule without a test that triggers it, none without its row in docs/run-records.md, and no
    row without a rule.
    """
    assert set(TRIGGERS) | {"WK101", "WK102", "WK103", "WK104", "WK105"} == set(RULES)
    page = (Path(__file__).parents[3] / "docs" / "run-records.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| WK")]
    assert rows == sorted(RULES)
    for code, rule in RULES.items():
        assert (
            f"| {code} | {rule.severity} | {rule.about} | {rule.hint.replace('|', chr(92) + '|')} |"
            in page.splitlines()
        ), code


@pytest.mark.parametrize(
    ("corpus", "record"), [("dialects", "findings.txt"), ("people", "people.txt")]
)
def test_the_dialects_have_the_findings_that_are_on_record(corpus: str, record: str) -> None:
    """The findings in a corpus of odd and older logs match the golden file word for word."""
    found = "".join(f"{one}\n" for one in found_in(tree(corpus)))
    golden = CORPUS / record
    if os.environ.get("GOLDEN"):
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "texts",
    [tree("dialects"), *(changed(TRIGGERS[code]) for code in FIXABLE)],
    ids=["dialects", *FIXABLE],
)
def test_a_fix_removes_just_what_it_can_fix(texts: dict[str, str]) -> None:
    """After a fix nothing fixable is left, all else is found as before, and fixing again changes
    nothing.
    """
    before, after = found_in(texts), found_in(fixed(texts))
    assert any(one.edits for one in before) and not any(one.edits for one in after)
    rest = Counter((one.code, one.path, one.message) for one in before if not one.edits)
    there = Counter((one.code, one.path, one.message) for one in after)
    assert {k: n for k, n in there.items() if "on line" not in k[2]} == {
        k: n for k, n in rest.items() if "on line" not in k[2]
    }
    assert fixed(fixed(texts)) == fixed(texts)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("running, GPU 97%", "WK502"),
        ("healthy, GPU memory 40/80 GB", "WK502"),
        ("still running", "WK502"),
        ("running, no errors", "WK502"),
        (
            (
                "running; disk 77.20 GiB free of 251.97 GiB; import: ModuleNotFoundError: No "
                "module named 'x'"
            ),
            None,
        ),
        ("running, 2400/50000, GPU 97%", None),
        ("running, train_loss 0.085", None),
        ("running at 3.1 it/s", None),
        ("still pending", None),
        ("submitted the training job", None),
        ("failed while running: out of memory", None),
    ],
)
def test_a_busy_gpu_is_no_evidence(words: str, code: str | None) -> None:
    """Step or loss is evidence of progress; GPU, memory and disk are not; what does not claim
    progress needs none.
    """
    found = found_in(changed([(TRAIN, "running, step 2400, train_loss 0.085", words)]))
    assert {one.code for one in found} == ({code} if code else set())


@pytest.mark.parametrize(
    ("task", "trains"),
    [
        ("train", True),
        ("train_data_aug", True),
        ("eval", False),
        ("eval_pretrained", False),
        ("data_prep", False),
        ("sweep", True),
    ],
)
def test_only_a_training_owes_a_checkpoint(task: str, trains: bool) -> None:
    """A job named evaluation, benchmark or data has no checkpoint to record; a training has."""
    texts = changed(TRIGGERS["WK601"])
    text = texts.pop(TRAIN)
    path = f"demo_arm/2026-03-11_{task}.md"
    found = found_in(texts | {path: text})
    assert ("WK601" in {one.code for one in found}) == trains


def test_logs_as_people_write_them_are_in_order() -> None:
    """Twenty logs in as many dialects have nothing open: no finding where a log says what is asked
    in its own words.
    """
    texts = {path: text for path, text in tree("people").items() if not path.startswith("faults/")}
    assert sum(path[:3] in ("arm", "lan") and "timeline" not in path for path in texts) >= 20
    opened = [str(one) for one in found_in(texts) if one.open and "old_thing" not in one.message]
    assert opened == []


def test_the_faults_of_people_are_found_once_each() -> None:
    """Of the logs with mistakes each line has one finding of a kind, and none is told under two
    codes.
    """
    found = [one for one in found_in(tree("people")) if "/faults/" in one.path]
    assert len({(one.path, one.line, one.code, one.message) for one in found}) == len(found)
    assert len({one.code for one in found}) > 40


def test_a_fix_writes_what_the_document_would() -> None:
    """Weekdays, ordinals and numbers are spliced in place; a date for people is added below its
    timestamp.
    """
    texts = changed(TRIGGERS["WK401"] + TRIGGERS["WK402"] + TRIGGERS["WK405"] + TRIGGERS["WK905"])
    assert fixed(texts) == CLEAN
    crlf = {path: text.replace("\n", "\r\n") for path, text in texts.items()}
    assert fixed(crlf) == {path: text.replace("\n", "\r\n") for path, text in CLEAN.items()}


def test_a_weekday_is_not_fixed_where_the_day_may_be_wrong() -> None:
    """`Monday, Apr 14` beside a timestamp of the 13th: either may be wrong, so both are left to a
    person.
    """
    texts = changed([(TRAIN, "Thursday, Mar 12th, 2026", "Thursday, Mar 20th, 2026")])
    found = [one for one in found_in(texts) if one.code == "WK402"]
    assert found and not found[0].edits


@pytest.mark.parametrize(
    "value",
    [
        "",
        "pending",
        "running",
        "still running",
        "n/a",
        "<ISO timestamp>",
        "—",
        "pending — see below",
    ],
)
def test_an_end_that_is_still_open_is_no_mistake(value: str) -> None:
    """A running job may leave its end open; only a template's leftover text is a finding."""
    found = found_in(changed([(EVAL, "- end:\n", f"- end: {value}\n")]))
    assert {one.code for one in found} == ({"WK207"} if value.startswith("<") else set())


def test_no_message_shows_a_secret() -> None:
    """A line that is quoted for another reason does not carry a secret along."""
    texts = changed([(EVAL, "`2026-03-15T08:00:00+01:00`", f"soon {SECRET}")])
    found = found_in(texts)
    assert {one.code for one in found} == {"WK209", "WK407"} and not any(
        SECRET[:12] in str(one) for one in found
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from([TRAIN, EVAL, TIMELINE, SUMMARY, "2026-02-30_x.md"]), GENERATED),
        max_size=3,
    )
)
def test_any_text_can_be_linted_and_fixed(changes: list[tuple[str, str]]) -> None:
    """No text raises; each finding has a line of its file; a fix is final, and changes no line it
    does not name.
    """
    texts = CLEAN | dict(changes)
    for one in found_in(texts):
        text = texts.get(one.path.removeprefix("run_logs/"), "")
        assert 1 <= one.line <= text.count("\n") + 1
        assert one.message.encode()
        for edit in one.edits:  # a timeline's numbers and dates are one finding for the list
            assert abs(text.count("\n", 0, edit.start) + 1 - one.line) <= (
                1 if one.path[-11:] != "timeline.md" else len(text)
            )
    again = fixed(texts)
    assert fixed(again) == again
