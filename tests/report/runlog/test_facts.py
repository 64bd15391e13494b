"""What a run log records, wherever it stands, and the code that it names."""

from __future__ import annotations

import pytest

from tests.report.compare.test_sides import log_of
from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.code_state import commit_of, names_code
from watchkeeper.report.runlog.document import parse
from watchkeeper.report.runlog.file import SECRET

TABLE = """## Job
- slurm:
  - job id: 7
| field | value |
|---|---|
| Node | `g01` |
| a \\| b | c |

| start | end |
|---|---|
| 1 | 2 |

### Notes
- **Queue**: long
"""


def test_a_section_records_nested_bullets_and_tables() -> None:
    """Fields below a bullet, rows of a table of two columns, one row below a head, and fields under
    a subheading.
    """
    document = parse(TABLE)
    found = {field.name: field.value for field in facts.facts(document, document.sections[0])}
    assert found == {
        "slurm": "",
        "job_id": "7",
        "node": "g01",
        "a_b": "c",
        "start": "1",
        "end": "2",
        "queue": "long",
    }
    for field in facts.facts(document, document.sections[0]):
        assert field.value in TABLE[field.raw_span.start : field.raw_span.end]


def test_a_table_without_a_rule_is_read_and_a_series_is_no_record() -> None:
    """Two columns need no head; several rows of several columns are a series."""
    bare = parse("## Job\n| id | 7 |\n| node | g |\n")
    assert [field.name for field in facts.facts(bare, bare.sections[0])] == ["id", "node"]
    series = parse("## Results\n| a | b | c |\n|--|--|--|\n| 1 | 2 | 3 |\n| 4 | 5 | 6 |\n")
    assert facts.facts(series, series.sections[0]) == []


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("Progress", "status"),
        ("Outcome", "results"),
        ("3. Setup", "config"),
        ("✅ Follow-up", "next"),
        ("Tracking (W&B)", "wandb"),
    ],
)
def test_a_section_has_other_names(heading: str, kind: str) -> None:
    """Another word for a section is read where none bears its own."""
    document = parse(f"# t\n## {heading}\n- a: b\n")
    assert len(facts.sections(document, kind)) == 1
    assert (
        facts.sections(
            parse(f"# t\n## {heading}\n## {kind.title()}\n"), "next" if kind != "next" else "mode"
        )
        == []
    )


def test_a_resubmission_is_a_job_where_it_has_an_id() -> None:
    """`## Resubmission` is a job block if it names a job, and a remark if it does not."""
    text = "# t\n## Job\n- job_id: 1\n## Resubmission\n- job_id: 2\n## Rerun\nwhen there is time\n"
    assert [one.heading.text for one in facts.sections(parse(text), "job")] == [
        "Job",
        "Resubmission",
    ]


@pytest.mark.parametrize(
    ("text", "commit", "named"),
    [
        ("## Config\n- commit: `9c41d7e`\n", "9c41d7e", True),
        ("## Config\n- key settings: lr 1, code at commit 9c41d7e\n", "9c41d7e", True),
        ("## Config\n- git:\n  - sha: 9c41d7e0\n", "9c41d7e0", True),
        ("**Git commit**: 9c41d7e\n\n## Config\n", "9c41d7e", True),
        ("## Config\n- repo: lab/x@9c41d7e\n", "9c41d7e", True),
        ("## Job\n- note: https://github.com/a/b/commit/9c41d7e\n", "", True),
        ("## Config\n- branch: exp/low\n", "", True),
        ("## Config\n- key settings: on branch `exp-low`\n", "", True),
        ("## Config\n- key settings: tag v0.3\n", "", True),
        ("## Config\n- code: n/a\n", "", False),
        ("## Config\n- dataset_commit: 9c41d7e\n- model_revision: main\n", "", False),
        ("## Next\n- commit the changes\n", "", False),
    ],
)
def test_code_is_named_wherever_it_makes_sense(text: str, commit: str, named: bool) -> None:
    """A commit, branch or tag counts in Config, in the words of the settings, in a job block and in
    the page's head.
    """
    log = log_of(f"# t\n{text}")
    assert (commit_of(log), names_code(log)) == (commit, named)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("hf_" + "a1B2" * 9, True),
        ("wandb token = 0123456789abcdef0123456789abcdef01234567", True),
        ("sk-proj-" + "a1B2" * 6, True),
        ("sk-learn-digits-classification-demo", False),
        ("token: stored-in-my-home-directory-as-ever", False),
        ("tokenizer: sentencepiece-32000-cased-v2", False),
    ],
)
def test_a_secret_has_the_form_of_one(text: str, secret: bool) -> None:
    """Known forms and long values with figures are secrets; words with hyphens are none."""
    assert (SECRET.search(text) is not None) is secret
