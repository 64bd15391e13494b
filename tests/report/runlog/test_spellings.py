"""What lint says of one log in many spellings: silent where a log says it in its own words, and not
where it does not.
"""

from __future__ import annotations

import pytest

from tests.runlogs import files_of
from watchkeeper.report.lint.lint import lint

NAME = "2026-09-14_lift_low.md"
TIMELINE = "# Lift Timeline\n\n1. `2026-09-14_lift_low.md` — Monday, Sep 14th\n"
LOG = """# lift_low — wrist camera, smaller rate

## Mode
- run_type: replication
- objective: does a smaller rate keep the arm calm

## Config
- script: `slurm/lift.sh`
- config: `configs/lift_low.yaml`
- dataset: `drawer-v1`
- key settings: learning rate 5e-4, batch size 24

## Job
- execution_id: 8841
- submitted/start: `2026-09-14T09:12:00Z`
- start_human: Monday, Sep 14th, 2026
- end: `2026-09-14T15:42:00Z`
- end_human: Monday, Sep 14th, 2026
- runtime: `06:30:00`
- node: n12

## Status
- 2026-09-14 09:20 UTC — running, step 400, train_loss 0.95
- 2026-09-14 15:42 UTC — completed, exit code 0, step 12000, train_loss 0.21

## Results
- start_train_loss: 1.4
- end_train_loss: 0.21
- loss_one_liner: quick at the start, then level
- checkpoint: `/data/lift/ckpt/12000`
- config_snapshot: `/data/lift/ckpt/config.yaml`

## W&B
- local: n/a
- synced: n/a
- notes: n/a

## Next
- twice the steps
"""
END = "- 2026-09-14 15:42 UTC — completed, exit code 0, step 12000, train_loss 0.21"
ENDS = "- end: `2026-09-14T15:42:00Z`\n- end_human: Monday, Sep 14th, 2026\n- runtime: `06:30:00`\n"
WEIGHTS = "- checkpoint: `/data/lift/ckpt/12000`\n"
SENTENCE = "quick at the start, then level"
EXPERIMENT = [("run_type: replication", "run_type: experiment")]

Changes = list[tuple[str, str]]

SPELLINGS: dict[str, tuple[Changes, list[str]]] = {
    "abandoned before": (
        [(END, "- 2026-09-14 10:02 UTC — discarded, wrong camera"), (ENDS, ""), (WEIGHTS, "")],
        [],
    ),
    "superseded": (
        [(END, "- 2026-09-14 10:02 UTC — superseded by 2026-09-15_x.md"), (WEIGHTS, "")],
        [],
    ),
    "did not finish": (
        [(END, "- 2026-09-14 10:02 UTC — did not finish, disk full at step 900"), (WEIGHTS, "")],
        [],
    ),
    "cancelled in end": (
        [
            ("- end: `2026-09-14T15:42:00Z`", "- end: `2026-09-14T15:42:00Z` (cancelled)"),
            (END, "- 2026-09-14 10:02 UTC — loss too high at step 900"),
            (WEIGHTS, ""),
        ],
        [],
    ),
    "exit code 137 block": (
        [
            ("- node: n12", "- node: n12\n- exit_code: 137"),
            (END, "- 2026-09-14 10:02 UTC — last step 900"),
            (WEIGHTS, ""),
        ],
        [],
    ),
    "timeout needs ckpt": (
        [(END, "- 2026-09-14 10:02 UTC — TIMEOUT at step 900"), (WEIGHTS, "")],
        ["WK601"],
    ),
    "preempted w/o loss sentence": (
        [
            (END, "- 2026-09-14 10:02 UTC — preempted at step 900"),
            ("- loss_one_liner: quick at the start, then level\n", ""),
        ],
        [],
    ),
    "succeeded": ([(END, "- 2026-09-14 15:42 UTC — succeeded"), (WEIGHTS, "")], ["WK601"]),
    "not completed": (
        [
            (END, "- 2026-09-14 15:42 UTC — not completed: ran out of disk at step 900"),
            (WEIGHTS, ""),
        ],
        [],
    ),
    "completed 3 of 10": (
        [(END, "- 2026-09-14 15:42 UTC — completed 3 of 10 epochs"), (ENDS, ""), (WEIGHTS, "")],
        [],
    ),
    "checkpoint complete": (
        [
            (END, "- 2026-09-14 15:42 UTC — checkpoint complete, step 900"),
            (ENDS, ""),
            (WEIGHTS, ""),
        ],
        [],
    ),
    "commit header": ([*EXPERIMENT, ("# lift_low", "**Commit**: 9c41d7e\n\n# lift_low")], []),
    "branch in settings": ([*EXPERIMENT, ("batch size 24", "batch size 24, branch `exp/low`")], []),
    "tag": ([*EXPERIMENT, ("batch size 24", "batch size 24 (tag v0.3)")], []),
    "git url": (
        [*EXPERIMENT, ("batch size 24", "batch size 24, https://github.com/lab/x/commit/9c41d7e")],
        [],
    ),
    "git sha": ([*EXPERIMENT, ("batch size 24", "batch size 24; git sha 9c41d7e0")], []),
    "commit word only": (
        [*EXPERIMENT, ("batch size 24", "batch size 24, commit later")],
        ["WK208"],
    ),
    "dataset commit only": (
        [
            *EXPERIMENT,
            ("- dataset: `drawer-v1`", "- dataset: `drawer-v1`\n- dataset_commit: 9c41d7e"),
        ],
        ["WK208"],
    ),
    "uploaded in results bullet": (
        [("- config_snapshot", "- uploaded to the hub as lab/lift\n- config_snapshot")],
        ["WK801"],
    ),
    "pushed status": (
        [(END, END + "\n- 2026-09-15 10:00 UTC — pushed the weights to huggingface.co/lab/lift")],
        ["WK801"],
    ),
    "hf repo field": (
        [("- config_snapshot", "- hf: https://huggingface.co/lab/lift-low\n- config_snapshot")],
        ["WK801"],
    ),
    "base model in results": (
        [("- config_snapshot", "- base model: https://huggingface.co/lab/base\n- config_snapshot")],
        [],
    ),
    "dataset upload": (
        [
            (
                "- config_snapshot",
                "- dataset repo: https://huggingface.co/datasets/lab/base\n- config_snapshot",
            )
        ],
        [],
    ),
    "passport in status": (
        [
            ("- config_snapshot", "- hf: https://huggingface.co/lab/lift-low\n- config_snapshot"),
            (END, END + "\n- 2026-09-15 10:00 UTC — MODEL_PASSPORT.json and SIGNOFF.json written"),
        ],
        [],
    ),
    "passport todo": (
        [
            ("- config_snapshot", "- hf: https://huggingface.co/lab/lift-low\n- config_snapshot"),
            ("- twice the steps", "- write the passport and sign off"),
        ],
        ["WK801"],
    ),
    "next eval": ([("- twice the steps", "- Eval on the arm")], ["WK804"]),
    "next evaluate": ([("- twice the steps", "- evaluate this checkpoint on LIBERO")], ["WK804"]),
    "next upload": ([("- twice the steps", "- upload to HF")], ["WK804"]),
    "next passport then eval": ([("- twice the steps", "- passport + signoff, then eval")], []),
    "next eval freq": (
        [("- twice the steps", "- increase eval frequency; eval loss looks noisy")],
        [],
    ),
    "next evaluate whether": ([("- twice the steps", "- evaluate whether a lower rate helps")], []),
    "next no upload": ([("- twice the steps", "- do not upload this one")], []),
    "next release gpu": ([("- twice the steps", "- release the node")], []),
    "hand off": ([("- twice the steps", "- hand off to the robot team")], ["WK804"]),
    "slurm script": ([("- script:", "- sbatch script:"), ("- config:", "- yaml:")], []),
    "command with config": (
        [
            ("- script: `slurm/lift.sh`\n", "- cmd: `python train.py --config configs/a.yaml`\n"),
            ("- config: `configs/lift_low.yaml`\n", ""),
        ],
        [],
    ),
    "command code block": (
        [("- script: `slurm/lift.sh`\n", "- run:\n  ```\n  sbatch slurm/lift.sh\n  ```\n")],
        [],
    ),
    "sentence pct": ([(SENTENCE, "1.4 -> 0.21 (-86%)")], ["WK603"]),
    "sentence val": (
        [(SENTENCE, "train loss decreased from 1.4 to 0.21, val loss 1.4 to 0.35 at step 12000")],
        ["WK603"],
    ),
    "sentence no word": ([(SENTENCE, "1.4 → 0.21")], ["WK603"]),
    "sentence one word": ([(SENTENCE, "1.4 → 0.21, converged")], []),
    "sentence ok2": ([(SENTENCE, "converged smoothly to 0.19")], []),
    "sentence ok3": ([(SENTENCE, "no overfitting")], []),
    "table status": (
        [
            (
                "- 2026-09-14 09:20 UTC — running, step 400, train_loss 0.95\n" + END,
                (
                    "| when | what |\n|---|---|\n| 2026-09-14 09:20 | running, step 400 |\n| "
                    "2026-09-14 15:42 | completed |"
                ),
            )
        ],
        [],
    ),
    "undated status": (
        [
            (
                "- 2026-09-14 09:20 UTC — running, step 400, train_loss 0.95\n" + END,
                "- submitted\n- running, step 3\n- completed, exit 0",
            )
        ],
        ["WK501"],
    ),
    "bare running": ([(END, "- 2026-09-14 15:42 UTC — still running")], ["WK502"]),
    "running gpu": ([(END, "- 2026-09-14 15:42 UTC — running on n12, GPU util 93%")], ["WK502"]),
    "eta": ([(END, "- 2026-09-14 15:42 UTC — running, ETA 3 h")], []),
    "two subs": (
        [(END, "- 2026-09-14 10:00 UTC — OOM at step 55; resubmitted as job 70418\n" + END)],
        ["WK310"],
    ),
    "other job mention": (
        [(END, "- 2026-09-14 10:00 UTC — waiting behind job 70400, step 3\n" + END)],
        [],
    ),
    "eval job submitted": (
        [(END, END + "\n- 2026-09-15 10:00 UTC — submitted eval job 70999")],
        [],
    ),
    "resumed at step": ([(END, "- 2026-09-14 10:00 UTC — resumed at step 60000\n" + END)], []),
    "job array ids": (
        [
            ("- execution_id: 8841", "- execution_id: 8841, 70418"),
            (END, "- 2026-09-14 10:00 UTC — resubmitted as 70418\n" + END),
        ],
        [],
    ),
    "wb disabled": ([("- local: n/a\n- synced: n/a\n- notes: n/a", "- disabled")], []),
    "wb prose": ([("- local: n/a\n- synced: n/a\n- notes: n/a", "not used for this run")], []),
    "wb none": ([("## W&B\n- local: n/a\n- synced: n/a\n- notes: n/a\n\n", "")], ["WK202"]),
    "wb empty": ([("- local: n/a\n- synced: n/a\n- notes: n/a\n", "")], ["WK701"]),
    "dates other": ([("`2026-09-14T09:12:00Z`", "Sep 14, 2026 09:12")], []),
    "end clock": ([("`2026-09-14T15:42:00Z`", "15:42 UTC")], []),
    "runtime words": ([("`06:30:00`", "6h 30m")], []),
    "runtime too long": ([("`06:30:00`", "7h 30m")], ["WK306"]),
    "end date only": ([("`2026-09-14T15:42:00Z`", "2026-09-14")], []),
    "no sections prefix": (
        [("## Mode", "## 1) Mode"), ("## Job", "## 3. Job"), ("## Results", "## ✅ Results")],
        [],
    ),
    "title setext": (
        [("# lift_low — wrist camera, smaller rate\n", "lift_low\n===========\n")],
        [],
    ),
    "run_type bold": ([("- run_type: replication", "- **Run type**: `Replication`")], []),
    "mode line": ([("- run_type: replication\n", "- replication\n")], []),
    "ckpt dir": (
        [
            ("- checkpoint: `/data/lift/ckpt/12000`", "- checkpoints kept: 8000, 12000"),
            ("- key settings", "- output_dir: `/data/lift`\n- key settings"),
        ],
        [],
    ),
    "ckpt kept no dir": (
        [("- checkpoint: `/data/lift/ckpt/12000`", "- checkpoints kept: 8000, 12000")],
        ["WK601"],
    ),
    "ckpt in status": (
        [(WEIGHTS, ""), (END, END + "\n- 2026-09-14 16:00 UTC — checkpoint at /data/lift/12000")],
        [],
    ),
    "init ckpt only": (
        [(WEIGHTS, ""), ("- key settings", "- init checkpoint: `/data/base`\n- key settings")],
        ["WK601"],
    ),
}


def found_in(changes: Changes, timeline: str = TIMELINE, table: str | None = None) -> list[str]:
    """The codes that are open in the log with these changes, in order."""
    text = LOG
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    texts = {f"lift/{NAME}": text, "lift/timeline.md": timeline}
    if table is not None:
        texts["experiments.md"] = (
            f"| run | description | val_loss | status | notes |\n|---|---|---|---|---|\n{table}\n"
        )
    return sorted(one.code for one in lint("run_logs", files_of(texts)) if one.open)


def test_the_log_itself_is_in_order() -> None:
    """Nothing is open in the log that the spellings change."""
    assert found_in([]) == []


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_spelling_is_read_for_what_it_says(spelling: str) -> None:
    """What says the same in other words opens nothing; what lacks something, or says it wrongly,
    opens its code.
    """
    changes, codes = SPELLINGS[spelling]
    table = "| lift_low_2026-09-14 | | | | |" if changes[:1] == EXPERIMENT else None
    assert found_in(changes, table=table) == codes


EXPERIMENT_WITH_CODE = [*EXPERIMENT, ("batch size 24", "batch size 24, commit 9c41d7e")]


@pytest.mark.parametrize(
    ("rows", "codes"),
    [
        ("| lift, lower ([log](lift/2026-09-14_lift_low.md)) | x | n/a | keep | |", []),
        ("| lift_low_2026-09-14 | | | | |", []),
        ("| `2026-09-14_lift_low` | | | | |", []),
        ("| lift low 2026-09-14 | | | | |", []),
        ("| [x](2026-09-14_lift_low.md) | | | | |", []),
        ("| [x](lift/2026-09-01_gone.md) | | | | |", ["WK911", "WK912"]),
        ("| lower rate | | | | |", ["WK911"]),
        ("| lift_low_2026-09-14 | | | | |\n| gone_2026-01-01 | | | | |", ["WK912"]),
        (
            (
                "| lift_low_2026-09-14 | | | | |\n| next_idea | | | planned | |\n| the paper | "
                "| 0.1 | | |"
            ),
            [],
        ),
    ],
)
def test_a_row_is_known_however_it_names_its_log(rows: str, codes: list[str]) -> None:
    """By a link, or by the log's name in any order; a plan and a figure from a paper have no log,
    and need none.
    """
    assert found_in(EXPERIMENT_WITH_CODE, table=rows) == codes


@pytest.mark.parametrize(
    ("entries", "codes"),
    [
        ("| date | log |\n|---|---|\n| Monday, Sep 14th | `2026-09-14_lift_low.md` |", []),
        ("- 2026-09-14: lift_low (Monday, Sep 14th)", []),
        ("On Monday, Sep 14th: [low](./2026-09-14_lift_low.md)", []),
        ("* 2026-09-14_lift_low — Monday, Sep 14th", []),
        ("- [ ] `2026-09-14_lift_low.md` — Monday, Sep 14th", []),
        ("- `2026-09-14_lift_low.md`", ["WK401"]),
        ("- `2026-09-14_lift_low.md` — Tuesday, Sep 14th", ["WK402"]),
        ("- `2026-09-14_lift_lower.md` — Monday, Sep 14th", ["WK902", "WK903"]),
        (
            (
                "1. `2026-09-14_lift_low.md` — Monday, Sep 14th\n1. `2026-09-14_lift_low.md` — "
                "resumed Tuesday, Sep 15th"
            ),
            [],
        ),
    ],
)
def test_a_timeline_is_read_in_any_form(entries: str, codes: list[str]) -> None:
    """Lists, tables and sentences name logs; a log that is not named, and a name without a log, are
    findings.
    """
    assert found_in([], timeline=f"# Lift Timeline\n\n{entries}\n") == codes


JOB = LOG[LOG.index("## Job") : LOG.index("## Status")]
STATUS = LOG[LOG.index("## Status") : LOG.index("## Results")]
ROWS = (
    "| 8841 | 2026-09-14 09:12 (Monday, Sep 14th) | FAILED | 00:30:00 |\n"
    "| 8850 | 2026-09-14 12:12 (Monday, Sep 14th) | COMPLETED | 03:30:00 |\n"
)
ONE = "- submitted: 2026-09-14 09:12 UTC\n- start_human: Monday, Sep 14th, 2026\n"
TWO = "- submitted: 2026-09-14 12:12 UTC\n- resumed from: `/a/b`\n"


@pytest.mark.parametrize(
    ("old", "new", "codes"),
    [
        (JOB, f"## Jobs\n\n### Job 8841\n{ONE}\n### Job 8850 (resumed)\n{TWO}\n", []),
        (
            JOB,
            f"## Jobs\n\n| job id | submitted | state | runtime |\n|---|---|---|---|\n{ROWS}\n",
            [],
        ),
        (
            JOB,
            (
                "## Job\n- 8841: submitted 2026-09-14 09:12, OOM\n- 8850: submitted 2026-09-14 "
                "12:12, completed\n\n"
            ),
            [],
        ),
        (
            JOB,
            f"## Job (resumed)\n- execution_id: 8850\n{TWO}\n## Job\n- execution_id: 8841\n{ONE}\n",
            ["WK303"],
        ),
        (STATUS, "## Status: COMPLETED\n\n", []),
        (STATUS, "## Status\n**COMPLETED** (exit 0)\n\n", []),
        (
            STATUS,
            "## Status\n- 2026-09-14\n  - 09:20 running, step 400\n  - 15:42 completed\n\n",
            [],
        ),
        (STATUS, "## Status\n- [x] submitted\n- [x] running\n- [x] completed\n\n", ["WK501"]),
        ("- local: n/a\n- synced: n/a", "- local: `wandb/offline-run-1`\n- synced: no", ["WK701"]),
        ("- local: n/a\n- synced: n/a\n- notes: n/a", "- see https://wandb.ai/a/b/runs/1", []),
        ("## Next", "## HuggingFace\n- repo: pending\n- signoff verdict: pending\n\n## Next", []),
        ("## Next", "## HuggingFace\n- not uploaded yet\n\n## Next", []),
        ("- loss_one_liner: quick", "- notes: the loss was quick", []),
        ("- node: n12", "- node: n12\n- contact: <a@b.org>", []),
        ("- node: n12", "- node: <from squeue/logs>", ["WK207"]),
    ],
)
def test_blocks_and_pages_of_other_forms_are_read(old: str, new: str, codes: list[str]) -> None:
    """Several jobs in one section or table, blocks newest first, a state in a heading: each is read
    for what it says.
    """
    assert found_in([(old, new)]) == codes
