"""`docs/files.md` says what is read, within which bounds: the code's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import ALL
from watchkeeper.core import journal, settings
from watchkeeper.core.code import code_files, named_files
from watchkeeper.core.disk import files, records, spill
from watchkeeper.publish import documents
from watchkeeper.publish.manifest import cache
from watchkeeper.publish.passport.tensors import gguf, pickles, tensor
from watchkeeper.publish.signing import keys, passphrases, signers
from watchkeeper.publish.wandb import frames
from watchkeeper.query import foreign_jobs
from watchkeeper.query.series import tracks
from watchkeeper.reading import configs, nodes
from watchkeeper.reading import settings as configurations
from watchkeeper.report.runlog import experiments_table
from watchkeeper.runfolder import metric_rows, printed_metrics
from watchkeeper.schedulers import arrays
from watchkeeper.show.report import output
from watchkeeper.tools import file_formats, inspect_ai, torchtune
from watchkeeper.watch.health import vitals
from watchkeeper.watch.logs import run_log_folder
from watchkeeper.watch.outcome import losses

PAGE = Path(__file__).parents[2] / "docs" / "files.md"
ROWS = [
    [cell.strip() for cell in line.strip("| \n").split(" | ")]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| what", "| ---"))
]


def mebibytes(size: int) -> str:
    """1048576 → `1 MiB`."""
    if size >= 2**20:
        return f"{size // 2**20} MiB"
    return f"{size // 2**10} KiB"


@pytest.mark.parametrize("name", [target.name for target in ALL])
def test_every_reader_that_is_fuzzed_stands_in_the_table(name: str) -> None:
    """Each target of `make fuzz` is named in the last column."""
    assert any(name in row[-1] for row in ROWS)


@pytest.mark.parametrize(
    ("begins", "bound"),
    [
        ("journals", mebibytes(journal.MOST_LINE_BYTES) + " a line"),
        ("journals", mebibytes(journal.MOST_OPENING_BYTES) + " the first"),
        ("claims", mebibytes(records.MOST_BYTES)),
        ("words and bytes", mebibytes(spill.ROOM_BYTES)),
        ("rows", mebibytes(files.MOST_LINE_BYTES) + " a line"),
        ("rows", mebibytes(metric_rows.MOST_BYTES) + ", the end"),
        ("`run-*.log` of other", mebibytes(foreign_jobs._MOST_BYTES)),
        ("`experiment_summary.yaml`", mebibytes(files.MOST_TEXT_BYTES)),
        ("`experiment_summary.yaml`", f"{nodes.MOST_LEVELS} levels"),
        ("`experiment_summary.md`", mebibytes(files.MOST_TEXT_BYTES)),
        ("batch scripts", mebibytes(files.MOST_TEXT_BYTES)),
        ("batch scripts", f"{arrays.MAX_TASKS:,} array tasks"),
        ("scripts and the files", mebibytes(named_files.SCRIPT_BYTES)),
        ("scripts and the files", f"{code_files.MOST_FILES} files"),
        ("scripts and the files", mebibytes(code_files.MOST_BYTES_IN_ALL) + " in all"),
        ("`watchkeeper.toml`", mebibytes(settings.MOST_BYTES)),
        ("configurations", mebibytes(configs.MOST_BYTES)),
        ("configurations", mebibytes(configurations.MOST_BYTES)),
        ("configurations", f"{configurations.MOST_DEPTH} levels"),
        ("configurations", f"{configurations.MOST_SETTINGS:,} settings"),
        ("the curves", mebibytes(tracks.MOST_BYTES)),
        ("a report", mebibytes(output._MOST_BYTES)),
        ("documents of a checkpoint", mebibytes(documents.MOST_DOCUMENT_BYTES)),
        ("signatures of a checkpoint", mebibytes(documents.MOST_DOCUMENT_BYTES)),
        ("keys: trusted", mebibytes(signers.MOST_SIGNERS_BYTES)),
        ("keys: trusted", mebibytes(keys.MOST_KEY_BYTES)),
        ("keys: trusted", mebibytes(passphrases.MOST_BYTES)),
        ("hashes of a checkpoint", mebibytes(cache.MOST_BYTES)),
        ("run logs", mebibytes(run_log_folder.MOST_BYTES)),
        ("`timeline.md`", mebibytes(run_log_folder.MOST_BYTES)),
        ("`timeline.md`", f"{experiments_table._MOST_LETTERS:,} characters"),
        ("output of jobs", mebibytes(vitals.OUTPUT_BYTES)),
        ("output of jobs", mebibytes(torchtune._TAIL_BYTES)),
        ("output of jobs", f"{printed_metrics.LINE_LIMIT:,} characters"),
        ("results, `.json`", mebibytes(file_formats.MOST_JSON_BYTES)),
        ("results, `.csv`", mebibytes(file_formats._MOST_LINE_CHARACTERS) + " a line"),
        ("results, `.csv`", f"{file_formats._MOST_CSV_LINES:,} lines"),
        ("`.safetensors`", f"{file_formats._MAX_SAFETENSORS_HEADER_BYTES // 10**6} MB"),
        ("`.gguf`", mebibytes(gguf._MOST_TEXT_BYTES) + " a text"),
        ("`.gguf`", f"{gguf._MOST_DIMENSIONS} dimensions, {tensor.MOST_TENSORS:,} tensors"),
        ("offline runs of W&B", mebibytes(frames.MOST_RECORD_BYTES) + " a record"),
        ("`.pt`", mebibytes(pickles.MOST_PICKLE_BYTES)),
        ("inspect-ai's", mebibytes(inspect_ai._MAX_HEADER_BYTES)),
        ("`trainer_state.json`", mebibytes(losses._MOST_STATE_BYTES)),
    ],
)
def test_each_bound_is_the_codes_own(begins: str, bound: str) -> None:
    """A figure in the table is the one that the reader keeps to."""
    row = next(row for row in ROWS if row[0].startswith(begins))
    assert bound in " ".join(row[2:4])


def test_the_architecture_names_the_page() -> None:
    """Who reads the architecture finds the table."""
    assert "(docs/files.md)" in (PAGE.parents[1] / "ARCHITECTURE.md").read_text()
