"""Examples: the document's two blocks, and a file that keeps what they showed."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

import watchkeeper as wk
from watchkeeper.record.display.examples import block, example_of, gap_of, is_utf8, matches

NOW = datetime(2026, 3, 11, tzinfo=UTC)
FAST = """\
================================================================================
📊 MODEL OUTPUT - Step 2,710
================================================================================
📝 PROMPT:
What is the capital of France?

✅ GOLDEN (15 tokens):
The capital of France is Paris.

🤖 MODEL: [No output - fast log only]
📉 LOSS ON THIS EXAMPLE: 0.3245
================================================================================
"""
FULL = """\
================================================================================
🔍 FULL EVAL + VAL LOSS - Step 2,800
================================================================================
📝 PROMPT:
What is the capital of France?

✅ GOLDEN (15 tokens):
The capital of France is Paris.

🤖 MODEL (18 tokens):
The capital of France is Paris, which is also the largest city...

✅ MATCH
📉 LOSS ON THIS EXAMPLE: 0.2134
📊 Loss Comparison: Train=0.2134 | Val=0.2456 | Gap=+0.0322 ✅
================================================================================
"""
FRANCE = {
    "prompt": "What is the capital of France?",
    "golden": "The capital of France is Paris.",
    "golden_tokens": 15,
}
PARIS = "The capital of France is Paris, which is also the largest city..."


def made(
    step,
    *,
    prompt=None,
    golden=None,
    output=UNSET,
    loss=None,
    val_loss=None,
    golden_tokens=None,
    **more,
):
    """An example with what is not said left out."""
    return example_of(
        NOW,
        step,
        prompt=prompt,
        golden=golden,
        output=output,
        loss=loss,
        val_loss=val_loss,
        golden_tokens=golden_tokens,
        output_tokens=more.get("output_tokens"),
        match=more.get("match"),
    )


def test_the_blocks_are_the_documents_to_the_letter():
    """Both tiers' blocks have the document's lines, symbols, figures and blank lines."""
    assert block(made(2710, **FRANCE, loss=0.32449), symbols=True) == FAST
    full = made(2800, **FRANCE, output=PARIS, loss=0.2134, val_loss=0.2456, output_tokens=18)
    assert block(full, symbols=True) == FULL


def test_without_utf8_there_are_plain_labels():
    """Where the stream takes no symbols the block is ASCII, with the same words."""
    plain = block(made(2800, **FRANCE, output=PARIS, loss=0.2134, val_loss=0.2456), symbols=False)
    assert plain.isascii()
    assert "\nFULL EVAL + VAL LOSS - Step 2,800\n" in plain
    assert (
        "\nMATCH\nLOSS ON THIS EXAMPLE: 0.2134\nLoss Comparison: Train=0.2134 | Val=0.2456 "
        "| Gap=+0.0322\n"
    ) in plain
    assert [is_utf8(name) for name in ("UTF-8", "utf8", "ascii", "latin-1", None, "nonsense")] == [
        True,
        True,
    ] + [False] * 4


@pytest.mark.parametrize(
    ("golden", "output", "expected"),
    [
        ("The capital of France is Paris.", PARIS, True),
        ("PARIS", "paris", True),
        ("5", "It is 15.", False),
        ("5", "It is -5.", False),
        ("3.14", "about 3.14159", False),
        ("-5", "minus? -5!", True),
        ("cat", "concatenate", False),
        ("巴黎", "首都是巴黎。", True),
        ("ﬁne", "Fine", True),
        ("a  b", "x a\nb y", True),
        ("b a", "a b", False),
        ("+", "1 + 2", True),
        ("", "anything", None),
        (None, "anything", None),
        ("Paris", None, None),
        ("Paris", "", False),
    ],
)
def test_a_match_is_the_golden_text_word_by_word(golden, output, expected):
    """Case, punctuation and spacing do not count; words, signs and numbers do; nothing to compare
    is no verdict.
    """
    assert matches(golden, output) is expected


values = st.none() | st.text(max_size=30) | st.integers() | st.floats() | st.just("<think>")


@given(
    values,
    values,
    values,
    values | st.just(UNSET),
    values,
    values,
    values,
    st.none() | st.booleans(),
)
def test_anything_may_be_none_or_strange(
    step, prompt, golden, output, loss, val_loss, tokens, match
):
    """No combination of None, numbers and texts raises, and every block ends with its rule."""
    example = made(
        step,
        prompt=prompt,
        golden=golden,
        output=output,
        loss=loss,
        val_loss=val_loss,
        golden_tokens=tokens,
        output_tokens=tokens,
        match=match,
    )
    assert block(example, symbols=True).endswith("=" * 80 + "\n")
    assert (example.output is None) or not any(
        c in block(example, symbols=True) for c in "\x1b\x07\x00"
    )


def test_the_callers_verdict_counts_and_thinking_is_kept():
    """`match` overrides the comparison; what stands in `<think>` is kept and flagged."""
    said = "<think>maybe Lyon</think> Paris"
    example = made(1, golden="Paris", output=said, match=False)
    assert (example.match, example.output, example.thinking) == (False, said, True)
    assert "❌ NO MATCH" in block(example, symbols=True)


@pytest.mark.parametrize(
    ("loss", "val_loss", "gap"),
    [
        (0.2134, 0.2456, 0.2456 - 0.2134),
        (1e-5, 3e-5, 3e-5 - 1e-5),
        (0.5, 0.25, -0.25),
        (None, 1.0, None),
        (1.0, None, None),
        ("x", 1.0, None),
        (0, 0, 0.0),
    ],
)
def test_the_gap_is_signed_and_unrounded(loss, val_loss, gap):
    """Gap = validation loss less training loss, to the last digit."""
    assert gap_of(loss, val_loss) == gap


def test_a_wide_gap_is_marked():
    """A validation loss far above the training loss is marked; a gap that is no number is not
    judged.
    """
    assert "Gap=+1.0000 ⚠️" in block(made(1, output="x", loss=1.0, val_loss=2.0), symbols=True)
    assert "Gap=+nan\n" in block(made(1, output="x", loss=1.0, val_loss=float("nan")), symbols=True)


def test_a_small_figure_is_not_shown_as_none():
    """Losses and gaps below four decimals keep their digits."""
    shown = block(made(1, output="x", loss=0.00001, val_loss=0.00003), symbols=False)
    assert (
        "LOSS ON THIS EXAMPLE: 1e-05" in shown and "Train=1e-05 | Val=3e-05 | Gap=+2e-05" in shown
    )


def kept(folder):
    """The examples that the run's folder keeps."""
    (path,) = (folder / ".watchkeeper/examples").iterdir()
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_shows_both_tiers_and_the_full_one_waits_for_its_validation_loss(tmp_path, capsys):
    """As in the documented loop: the full block is whole although the validation loss is logged
    after the example.
    """
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        cadence = run.cadence(log_every=10, eval_every=200)
        for step in (2710, 2800):
            loss = 0.32449 if step == 2710 else 0.2134
            if cadence.log_due(step):
                run.log(step, loss=loss)
            if cadence.eval_due(step):
                run.example(step, **FRANCE, output=PARIS, output_tokens=18, loss=loss)
                run.log(step, val_loss=0.2456)
            elif cadence.log_due(step):
                run.example(step, **FRANCE, loss=loss)
    assert capsys.readouterr().out == FAST + FULL
    assert [
        (row["step"], row["tier"], row["val_loss"], row["match"]) for row in kept(tmp_path)
    ] == [
        (2710, "fast", None, None),
        (2800, "full", 0.2456, True),
    ]


def test_a_full_block_without_a_validation_loss_is_shown_all_the_same(tmp_path, capsys):
    """Another step's row, another example or the end lets it go; None as output is a full tier
    without one.
    """
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        run.example(10, output="a")
        run.log(11, loss=1.0)
        run.example(20, output=None)
        run.example(30, output="c")
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if "Step" in line] == [
        f"🔍 FULL EVAL + VAL LOSS - Step {step}" for step in (10, 20, 30)
    ]
    assert "🤖 MODEL: [No output]\n" in shown
    assert "Loss Comparison" not in shown
    assert [row["output"] for row in kept(tmp_path)] == ["a", None, "c"]


def test_a_stream_that_takes_no_symbols_or_no_text_harms_nobody(tmp_path, monkeypatch):
    """An ASCII stream gets plain labels, a closed one nothing; the example is kept either way."""
    ascii_out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        monkeypatch.setattr("sys.stdout", ascii_out)
        run.example(1, prompt="é", loss=1.0)
        ascii_out.seek(0)
        assert "MODEL OUTPUT - Step 1\n" in ascii_out.read()
        ascii_out.close()
        run.example(2)
        monkeypatch.undo()
    assert [row["step"] for row in kept(tmp_path)] == [1, 2]


def shown_gap(words):
    """The gap that the last block shows."""
    return float(words.rpartition("Gap=")[2].split()[0])


GAPS = {
    "a loss of the step, and another of the example": (
        lambda run: (
            run.log(1, loss=1.0),
            run.log(2, loss=0.5),
            run.example(2, output="g", loss=0.9),
            run.log(2, val_loss=0.6),
        ),
        (0.5, 0.6),
    ),
    "only the example's loss at this step": (
        lambda run: (
            run.log(1, loss=1.0),
            run.example(2, output="g", loss=0.9),
            run.log(2, val_loss=0.6),
        ),
        (0.9, 0.6),
    ),
    "no loss at this step": (
        lambda run: (run.log(1, loss=1.0), run.example(2, output="g"), run.log(2, val_loss=0.6)),
        (1.0, 0.6),
    ),
    "both losses in one row": (
        lambda run: (run.example(2, output="g", loss=0.9), run.log(2, loss=0.5, val_loss=0.6)),
        (0.5, 0.6),
    ),
    "the validation loss with the example": (
        lambda run: (run.log(2, loss=0.5), run.example(2, output="g", loss=0.9, val_loss=0.6)),
        (0.5, 0.6),
    ),
    "no step at all": (
        lambda run: run.example(None, output="g", loss=0.9, val_loss=0.6),
        (0.9, 0.6),
    ),
    "a later loss": (
        lambda run: (
            run.log(2, loss=0.5),
            run.example(2, output="g"),
            run.log(2, val_loss=0.6),
            run.log(3, loss=0.1),
        ),
        (0.5, 0.6),
    ),
    "small ones": (
        lambda run: (
            run.log(2, loss=0.00001),
            run.example(2, output="g"),
            run.log(2, val_loss=0.00003),
        ),
        (0.00001, 0.00003),
    ),
}


@pytest.mark.parametrize(("act", "losses"), GAPS.values(), ids=GAPS)
def test_block_status_and_file_have_one_gap(tmp_path, capsys, act, losses):
    """For one step the printed block, the status file and the kept example say the same gap, of the
    same training loss.
    """
    train, val = losses
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        run.cadence(log_every=1, eval_every=2)
        act(run)
    status = json.loads((tmp_path / "status/training_status.json").read_text())
    assert (status["gap"], status["gap_loss"], status["val_loss"]) == (val - train, train, val)
    assert [(row["train_loss"], row["gap"]) for row in kept(tmp_path)] == [(train, val - train)]
    assert shown_gap(capsys.readouterr().out) == pytest.approx(val - train, abs=5e-5, rel=1e-3)
