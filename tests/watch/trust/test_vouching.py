"""The main job writes passport and sign-off for its own checkpoints, from the hashes that the job
left, and says what it did.
"""

import json
import os
import subprocess

import pytest
from msgspec.structs import asdict

from tests.experiments import state_of, write_experiment
from tests.publish.vouched import CONTRACT, change, safetensors
from tests.watch.test_keeper import keeper, run_pending
from watchkeeper.publish.checks import verdict
from watchkeeper.publish.manifest.hashing import hash_files
from watchkeeper.publish.signoff import document
from watchkeeper.publish.signoff.document import read_signoff
from watchkeeper.publish.signoff.sign import sign
from watchkeeper.publish.signoff.validate import validate
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.schedulers.wrapper.hashes import HashedFile
from watchkeeper.watch.trust.hashed import known_records

DECLARED = {
    "schema_version": "0.2",
    "generated_by": "watchkeeper 0",
    "generated_at": "2026-03-11T15:00:00Z",
    "input_contract": CONTRACT,
    "provenance": {"run_log_path": "run_logs/x.md", "merged_config_sha256": "cd" * 32},
    "field_sources": {
        "provenance.run_log_path": "declared",
        "provenance.merged_config_sha256": "declared",
    },
}


def write(folder, *, is_said):
    """An experiment, committed, whose one run leaves a small model; `is_said`: what no journal
    knows of it is declared beside it.
    """
    leave = "mkdir -p artifacts/epoch_0 && cp -r ../made/. artifacts/epoch_0 && exit 0"
    write_experiment(folder, body=f"case $PWD in */eval) ;; *) {leave} ;; esac")
    made = folder / "made"
    made.mkdir()
    (made / "model.safetensors").write_bytes(safetensors())
    if is_said:
        (made / "MODEL_PASSPORT.json").write_text(json.dumps(DECLARED))
    git = ["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    return folder


def run(folder):
    """Run the experiment to its end, and return what was said of its checkpoint."""
    fake = FakeScheduler()
    assert keeper(folder, fake, run_pending(fake)).keep()
    return state_of(folder).runs["one"].latest.vouched["one/artifacts/epoch_0"]


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """An experiment whose checkpoint passes every check, after its run, and the word on it."""
    folder = write(tmp_path_factory.mktemp("said") / "exp", is_said=True)
    return folder, run(folder)


def test_a_checkpoint_that_passes_is_signed_as_attribution(said):
    """The sign-off says that the tool made it, holds, and is in the journal with its hash."""
    folder, word = said
    root = folder / "one/artifacts/epoch_0"
    assert (word.verdict, word.signed, word.by) == ("pass", True, document.AUTOMATIC)
    assert "attribution" in word.by and len(word.signoff_sha256) == 64
    assert verdict(validate(root, require_signoff=True)) == "pass"
    passport = json.loads((root / "MODEL_PASSPORT.json").read_text())
    assert passport["provenance"]["run_key"] == "one"


def test_a_run_log_names_the_sign_off(said):
    """The log does not ask for what is there."""
    folder, _ = said
    (log,) = (folder / "run_logs").glob("*_one.md")
    assert "one/artifacts/epoch_0 has a SIGNOFF.json (pass) by watchkeeper run" in log.read_text()


def test_the_next_watch_leaves_it(said):
    """What was said of a checkpoint is said once, and nothing is written again."""
    folder, word = said
    path = folder / "one/artifacts/epoch_0/SIGNOFF.json"
    before = path.stat().st_mtime_ns
    assert run(folder).seq == word.seq
    assert path.stat().st_mtime_ns == before


def test_a_soft_signal_is_left_to_a_person(tmp_path):
    """A passport is written, no sign-off, and the journal and the log say why."""
    folder = write(tmp_path / "exp", is_said=False)
    word = run(folder)
    root = folder / "one/artifacts/epoch_0"
    assert (word.verdict, word.signed, word.signoff_sha256) == ("soft_signal", False, "")
    assert "nothing says how the model is fed" in word.why and len(word.passport_sha256) == 64
    assert (root / "MODEL_PASSPORT.json").exists() and not (root / "SIGNOFF.json").exists()
    (log,) = (folder / "run_logs").glob("*_one.md")
    assert "watchkeeper checkpoint sign one/artifacts/epoch_0 --reason TEXT" in log.read_text()


def test_a_persons_sign_off_is_never_replaced(tmp_path):
    """What a person signed stays as it is, and is what the journal remembers."""
    folder = write(tmp_path / "exp", is_said=True)
    made = folder / "made"
    (record,) = hash_files(made, ["model.safetensors"])
    provenance = DECLARED["provenance"] | {"training_repo_commit": "ab" * 20}
    change(
        made / "MODEL_PASSPORT.json",
        provenance=provenance,
        weight_integrity={"weight_files": [asdict(record)]},
    )
    signed = sign(made, reason="looked at by hand")
    word = run(folder)
    root = folder / "one/artifacts/epoch_0"
    assert read_signoff(root) == signed and not signed.is_automatic
    assert (word.signed, word.by, word.why) == (True, document.TOOL, "looked at by hand")


def test_a_file_that_was_changed_since_has_no_record(tmp_path):
    """A hash counts for the size and the time with which it was made."""
    path = tmp_path / "w.bin"
    path.write_bytes(b"w")
    status = path.stat()
    hashed = {path: HashedFile(status.st_size, status.st_mtime_ns, "ab" * 32)}
    assert list(known_records(tmp_path, ["w.bin", "other"], hashed)) == ["w.bin"]
    os.utime(path, ns=(1, 1))
    assert known_records(tmp_path, ["w.bin"], hashed) == {}


def test_the_tasks_of_an_array_hash_what_they_promise_together(tmp_path):
    """None of them promises anything alone, and each knows where the checkpoints lie."""
    folder = write_experiment(tmp_path / "exp")
    script = folder / "one/finetune.slurm"
    script.write_text(script.read_text().replace("#SBATCH", "#SBATCH --array=0-1\n#SBATCH", 1))
    keeper(folder, FakeScheduler(), lambda one: one.ask_to_leave("seen")).keep()
    (wrapper,) = (folder / ".watchkeeper/runs/one/1").glob("wk-*.sh")
    text = wrapper.read_text()
    assert "local promises=()" in text
    assert f"{folder}/one/artifacts/epoch_0" in text.partition("local checkpoints=(")[2]


def declare(folder, text):
    """Let an experiment declare this of its checkpoints, in a file beside its summary."""
    summary = folder / "experiment_summary.yaml"
    plan = json.loads(summary.read_text())
    plan["output"]["contract"] = "contract.toml"
    summary.write_text(json.dumps(plan))
    (folder / "contract.toml").write_text(text)


def test_what_an_experiment_declares_stands_in_each_passport(tmp_path):
    """How a model is fed is declared once, marked as declared, and no soft signal any more."""
    folder = write(tmp_path / "exp", is_said=False)
    declare(folder, "[input_contract.language]\nmax_sequence_length = 7\n")
    word = run(folder)
    passport = json.loads((folder / "one/artifacts/epoch_0/MODEL_PASSPORT.json").read_text())
    assert passport["input_contract"]["language"]["max_sequence_length"] == 7
    assert "declared" in passport["field_sources"].values()
    assert "how the model is fed" not in word.why


def test_a_contract_that_cannot_be_read_is_said_and_signs_nothing(tmp_path):
    """The checkpoint is not checked, and the journal names the file."""
    folder = write(tmp_path / "exp", is_said=True)
    declare(folder, "input_contract =")
    word = run(folder)
    assert (word.verdict, word.signed) == ("not_checked", False)
    assert "contract.toml is not TOML" in word.why
