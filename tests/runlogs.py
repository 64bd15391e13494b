"""Run logs for tests: the corpus, and strategies that make odd ones."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from watchkeeper.report.runlog.file import File

CORPUS = Path(__file__).parent / "report" / "runlogs"

WORDS = st.text(alphabet="abc019 `*:|()#-—_/.~<>\t\r\ufeffé日", max_size=20)
KEYS = st.sampled_from(
    [
        "execution_id",
        "submitted/start",
        "start_human",
        "**Mode:**",
        "**Date**",
        "loss@5k",
        "key settings",
        "`end`",
        "x y",
    ]
)
DATES = st.builds(
    "{} {:04d}-{:02d}-{:02d}T{:02d}:{:02d}{}{}".format,
    st.sampled_from(["Monday, Feb 25th, 2026", "Wed, Feb 31rd", ""]),
    st.sampled_from([0, 1, 2026, 9999]),
    st.integers(0, 13),
    st.integers(0, 32),
    st.integers(0, 25),
    st.integers(0, 61),
    st.sampled_from(["", "Z", " CET", "+99:99", "+14:00", "-12:00"]),
    WORDS,
)
HEADINGS = [
    "## Mode",
    "## Config",
    "## Job",
    "## Job (resumed)",
    "## Status",
    "## Results",
    "## W&B ##",
    "## HuggingFace",
    "## Next",
]
LINES = st.one_of(
    WORDS,
    st.builds("- {}: {}".format, KEYS, st.one_of(WORDS, DATES)),
    st.builds("  - {}: `{}` (note)".format, KEYS, WORDS),
    st.builds("{} {}".format, KEYS, WORDS),
    st.builds(
        "- 2026-03-{:02d} 12:31{} {}".format,
        st.integers(1, 39),
        st.sampled_from([" -", " —", "-12:47 UTC —", ""]),
        WORDS,
    ),
    st.builds("{} {}".format, st.sampled_from(["#", "##", "###", "#######"]), WORDS),
    st.builds(
        "{}. `2026-02-{:02d}_train.md` — {}".format,
        st.integers(0, 9),
        st.integers(1, 31),
        st.one_of(WORDS, DATES),
    ),
    st.sampled_from(
        [*HEADINGS, "#", "- ", "```", "~~~~", "<!--", "-->", "| a | b |", "| run | x |"]
    ),
)
BREAKS = st.sampled_from(["\n", "\r\n", "\n\n", "\r"])
GENERATED = st.builds(
    lambda bom, rows, last: bom + "".join(a + b for a, b in rows) + last,
    st.sampled_from(["", "\ufeff"]),
    st.lists(st.tuples(LINES, BREAKS), max_size=30),
    LINES,
)


def tree(name: str) -> dict[str, str]:
    """The texts of one corpus, by their path below run_logs/."""
    root = CORPUS / name / "run_logs"
    return {
        p.relative_to(root).as_posix(): p.read_bytes().decode("utf-8", "surrogateescape")
        for p in sorted(root.rglob("*.md"))
    }


def files_of(texts: dict[str, str]) -> list[File]:
    """The same as files for the linter."""
    return [File(f"run_logs/{path}", tuple(path.split("/")), text) for path, text in texts.items()]
