"""Each evaluation that ended well is followed back, and what cannot be is counted."""

from __future__ import annotations

import json
from pathlib import Path

from watchkeeper.core import journal
from watchkeeper.core.events import Intended, Judged, Observed
from watchkeeper.core.journal import Writer
from watchkeeper.core.layout import JOURNAL, attempt_folder
from watchkeeper.core.state import fold
from watchkeeper.publish.chain.heads import heads_of, to_document
from watchkeeper.publish.chain.lineage import Lineage, evaluations
from watchkeeper.publish.chain.naming import passport_sha256
from watchkeeper.tools.promise import Finding

KEY, SUBJECT = "r8/clean/epoch0", "r8/epoch_0"


def follow(root: Path) -> Lineage:
    """What is seen of the evaluations in a folder."""
    finding = Finding(subject=SUBJECT, state="good", path="r8/epoch_0", why="")
    state = fold(journal.read(root / JOURNAL).events)
    return evaluations(root, state, {SUBJECT: finding})


def evaluate(root: Path, *, outcome: str = "done", **named: dict[str, str]) -> Writer:
    """An evaluation of the checkpoint, which names these passports when submitted and judged."""
    writer = Writer(root / JOURNAL, "run", zone="UTC")
    common = {"key": KEY, "phase": "evaluation", "attempt": 1}
    of_intended = {"passports": named.get("submitted", {}), "inputs": {SUBJECT: "f"}}
    writer.write(Intended, **common, token="t", script="s", script_sha256="0", **of_intended)
    passports = named.get("judged", {})
    writer.write(Judged, **common, outcome=outcome, state="COMPLETED", passports=passports)
    return writer


def write_passport(root: Path, journal_folder: Path) -> str:
    """A passport of the checkpoint that names this journal; returns its hash."""
    place = root / "r8/epoch_0"
    place.mkdir(parents=True, exist_ok=True)
    chain = to_document(heads_of(journal_folder))
    (place / "MODEL_PASSPORT.json").write_text(json.dumps({"provenance": {"journal_chain": chain}}))
    return passport_sha256(place)


def train(folder: Path) -> None:
    """A journal of an earlier process."""
    writer = Writer(folder, "train", zone="UTC")
    writer.write(Observed, what="scheduler busy")
    writer.close()


def test_an_evaluation_leads_back_through_the_experiments_journal(tmp_path: Path) -> None:
    """Submitted or judged with the passport's hash, it leads to the first event."""
    for name, when in (("a", "submitted"), ("b", "judged")):
        root = tmp_path / name
        train(root / JOURNAL)
        sha256 = write_passport(root, root / JOURNAL)
        evaluate(root, **{when: {SUBJECT: sha256}}).close()
        assert follow(root) == Lineage(whole=1)


def test_an_evaluation_leads_back_through_the_runs_own_journal(tmp_path: Path) -> None:
    """The journal of the recorded run that made the checkpoint is found by its attempt."""
    run = tmp_path / "recorded"
    train(run / JOURNAL)
    sha256 = write_passport(tmp_path, run / JOURNAL)
    writer = evaluate(tmp_path, submitted={SUBJECT: sha256})
    fields = {"phase": "preparation", "attempt": 1, "token": "t", "script_sha256": "0"}
    writer.write(Intended, key="r8", script="s", **fields)
    writer.close()
    (problem,) = follow(tmp_path).problems
    assert problem.where == KEY and problem.severity == "error"
    assert "its journal is not here" in problem.message
    link = attempt_folder(tmp_path, "r8", 1) / "recorder.json"
    link.parent.mkdir(parents=True)
    link.write_text(json.dumps({"folder": str(run)}))
    assert follow(tmp_path) == Lineage(whole=1)


def test_an_evaluation_without_a_passport_is_counted(tmp_path: Path) -> None:
    """Nothing leads back from it, and nothing is wrong with it; one that failed does not count."""
    evaluate(tmp_path / "a").close()
    assert follow(tmp_path / "a") == Lineage(nameless=1)
    evaluate(tmp_path / "b", outcome="failed").close()
    assert follow(tmp_path / "b") == Lineage()


def test_a_passport_that_is_gone_is_a_finding(tmp_path: Path) -> None:
    """The hash that was named stands for bytes that are no longer there."""
    evaluate(tmp_path, submitted={SUBJECT: "0" * 64}).close()
    (problem,) = follow(tmp_path).problems
    assert problem.severity == "error" and "is gone" in problem.message
