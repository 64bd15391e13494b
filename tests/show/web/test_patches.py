"""A page that applies the patches has what the server has."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import watchkeeper.show.web
from watchkeeper.show.web.patches import apply_patch, cut_to_size, last_sent, patch_between

STATIC = Path(watchkeeper.show.web.__file__).parent / "static"
NODE = shutil.which("node")


def applied(data: dict[str, Any], patch: dict[str, Any] | None) -> dict[str, Any]:
    """The data after a patch, None for no change."""
    return data if patch is None else apply_patch(data, patch)


def lists_of_rows() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows with an identity, in any order."""
    row = st.fixed_dictionaries({"id": st.sampled_from("abcdef"), "step": st.integers(0, 3)})
    return st.lists(row, unique_by=lambda one: one["id"])


DATA = st.fixed_dictionaries(
    {
        "counts": st.dictionaries(st.sampled_from(["done", "failed"]), st.integers(0, 2)),
        "running": lists_of_rows(),
        "log": st.lists(st.integers(0, 2)),
    }
)


@given(DATA, DATA)
def test_a_patch_leads_from_one_state_to_the_next(before: dict, after: dict) -> None:
    """Applied to what was, it gives what is, in the same order; equal states need none."""
    patch = patch_between(before, after)
    assert applied(before, patch) == after
    assert (patch is None) == (before == after)


def test_only_what_changed_is_sent() -> None:
    """One row of a thousand that changed is one row of the patch."""
    before = {"rows": [{"key": str(n), "state": "waiting"} for n in range(1000)]}
    after = {"rows": [*before["rows"][:500], {"key": "500", "state": "x"}, *before["rows"][501:]]}
    patch = patch_between(before, after)
    assert patch is not None
    assert patch["set"] == {"rows": [{"key": "500", "state": "x"}]}
    assert patch["order"] == {} and patch["drop"] == {}


def test_rows_that_share_a_name_replace_the_list() -> None:
    """Where an identity names two rows the whole list is sent, and none of them is lost."""
    before: dict[str, Any] = {"rows": [{"key": "a"}]}
    after = {"rows": [{"key": "a", "n": 1}, {"key": "a", "n": 2}]}
    patch = patch_between(before, after)
    assert applied(before, patch) == after


def test_a_batch_is_cut_to_its_size_and_says_so() -> None:
    """What does not fit is counted, and what is sent stays within the bound."""
    rows = [{"name": f"metric_{n}", "last": 0.5} for n in range(1500)]
    after = {"metrics": [{**row, "last": 0.25} for row in rows]}
    patch = patch_between({"metrics": rows}, after)
    assert patch is not None
    cut = cut_to_size(patch, 10_000)
    assert cut is not None and len(msgspec.json.encode(cut)) <= 10_000
    assert cut["cut"] == {"metrics": 1500 - len(cut["set"]["metrics"])}
    assert cut["set"]["metrics"]


def test_every_row_has_its_turn_where_all_change_all_the_time() -> None:
    """However few rows fit into a batch, none is left behind for ever."""
    shown: dict[str, Any] = {"metrics": [{"name": f"m{n}", "last": 0} for n in range(100)]}
    sent: dict[str, str] = {}
    for turn in range(1, 16):
        now = {"metrics": [{"name": f"m{n}", "last": turn} for n in range(100)]}
        patch = cut_to_size(patch_between(shown, now) or {}, 900, sent)
        assert patch is not None
        sent = last_sent(patch)
        shown = apply_patch(shown, patch)
    assert [row["name"] for row in shown["metrics"]] == [f"m{n}" for n in range(100)]
    assert min(row["last"] for row in shown["metrics"]) > 0


@given(DATA, DATA, st.integers(100, 600))
def test_what_is_cut_follows(before: dict, after: dict, most: int) -> None:
    """A page that takes the cut batches has everything in the end, in the right order; where not
    one row has room, it asks for the whole.
    """
    shown, sent = before, {}
    for _ in range(8):
        patch = patch_between(shown, after)
        cut = patch and cut_to_size(patch, most, sent)
        if patch and cut is None:
            return
        if cut:
            sent = last_sent(cut)
            shown = apply_patch(shown, cut)
    assert shown == after


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_pages_own_code_applies_a_patch_alike() -> None:
    """static/patch.js leads to the same data as the patch was made from."""
    before = {"n": 1, "running": [{"id": "a", "s": 1}, {"id": "b", "s": 1}, {"id": "c", "s": 1}]}
    after = {"n": 2, "running": [{"id": "d", "s": 1}, {"id": "c", "s": 1}, {"id": "a", "s": 2}]}
    code = (
        f"import {{ applyPatch }} from {json.dumps((STATIC / 'patch.js').as_uri())};"
        f"const data = {json.dumps(before)};"
        f"const patch = {json.dumps(patch_between(before, after))};"
        "console.log(JSON.stringify(applyPatch(data, patch)));"
    )
    done = subprocess.run(
        [str(NODE), "--input-type=module", "-e", code], capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout) == after, done.stderr
