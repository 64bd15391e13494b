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
from watchkeeper.show.web.patches import cut_to_size, identity_of, patch_between

STATIC = Path(watchkeeper.show.web.__file__).parent / "static"
NODE = shutil.which("node")


def applied(data: dict[str, Any], patch: dict[str, Any] | None) -> dict[str, Any]:
    """What static/patch.js does, in Python."""
    if patch is None:
        return data
    after = {**data, **patch["fields"]}
    for name, fields in patch["by"].items():
        rows = {identity_of(row, fields): row for row in data[name]}
        for key in patch["drop"].get(name, []):
            del rows[key]
        for row in patch["set"].get(name, []):
            rows[identity_of(row, fields)] = row
        order = patch["order"].get(name, list(rows))
        after[name] = [rows[key] for key in order]
    return after


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
    assert len(msgspec.json.encode(cut)) <= 10_100
    assert cut["cut"] == {"metrics": 1500 - len(cut["set"]["metrics"])}
    assert cut["set"]["metrics"]


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
