"""What attempts took, against what was expected."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.experiments import state_of, wk, write_experiment
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.draft import estimate_s
from watchkeeper.runfolder.telemetry import Gpu, Sample
from watchkeeper.watch.outcome.compute import Used, of_gpu_metrics, of_telemetry, rows

SMI = """timestamp, index, utilization.gpu [%], utilization.memory [%], \
memory.used [MiB], memory.total [MiB]
2026/03/11 15:00:00.000, 0, 80 %, 10 %, 7024 MiB, 40960 MiB
2026/03/11 15:00:05.000, 0, 40 %, 10 %, 9000 MiB, 40960 MiB
2026/03/11 15:00:10.000, 0, [N/A], 10 %, [N/A], 40960 MiB
2026/03/11 15:00:15.0"""


def test_the_tables_of_nvidia_smi_are_read_with_and_without_units() -> None:
    """Mean utilisation from 0 to 1, peak memory in bytes; what is not available, or torn, is left
    out.
    """
    assert of_gpu_metrics(SMI) == Used(gpu_busy=pytest.approx(0.6), gpu_peak_bytes=9000 * 2**20)
    plain = "utilization.gpu [%], memory.used [MiB]\n50, 100\n"
    assert of_gpu_metrics(plain) == Used(gpu_busy=0.5, gpu_peak_bytes=100 * 2**20)
    assert of_gpu_metrics("") == of_gpu_metrics("loss, step\n1, 2\n") == Used()


def gpu(busy: float, used_bytes: int) -> Gpu:
    """One device's figures."""
    return Gpu(index=0, name="H100", busy=busy, used_bytes=used_bytes, total_bytes=80, ours_bytes=0)


def test_telemetry_gives_peaks_and_means() -> None:
    """Over all samples and devices; samples without GPUs or memory say nothing of them."""
    now = datetime(2026, 3, 11, 15, 1, tzinfo=UTC)
    samples = [
        Sample(time=now, rss_bytes=10, gpus=(gpu(0.5, 7), gpu(1.0, 3))),
        Sample(time=now, rss_bytes=30, gpus=(gpu(0.0, 9),)),
        Sample(time=now),
    ]
    assert of_telemetry(samples) == Used(
        rss_peak_bytes=30, gpu_busy=0.5, gpu_peak_bytes=9, gpu_source="telemetry"
    )
    assert of_telemetry([]) == Used()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0:15:00", 900),
        ("00:30", 1800),
        ("1-00:00:00", 86400),
        ("2h", 7200),
        ("1 h 30 min", 5400),
        ("~45 minutes", 2700),
        ("90s", 90),
        ("-", None),
        ("", None),
        ("soon", None),
        ("0:00:00", None),
        ("2 hectares of hay", None),
        ("9" * 5000 + ":00", None),
        ("9" * 5000 + "-00:00:00", None),
        ("9" * 5000 + "h", None),
    ],
)
def test_estimates_are_read_as_people_write_them(text: str, seconds: float | None) -> None:
    """Clocks and words with units; anything else is no estimate, numbers of thousands of digits
    included.
    """
    assert estimate_s(text) == seconds


def test_a_run_ends_with_what_it_took_and_status_has_it_for_programs(tmp_path: Path) -> None:
    """Elapsed against the summary's estimate, node, and the GPU figures that lie beside the job."""
    body = "mkdir -p artifacts; cat > artifacts/gpu_metrics.csv <<'END'\n" + SMI + "\nEND"
    folder = write_experiment(tmp_path / "exp", body=body)
    path = folder / "experiment_summary.yaml"
    summary = json.loads(path.read_text())
    summary["runs"][0]["compute"] = {"time": "0:10:00", "gpus": 1, "mem": "8G"}
    path.write_text(json.dumps(summary))
    done = wk("run", folder, state=tmp_path / "state", WATCHKEEPER_POLL_S="0.1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10:00" in done.stdout and "60%" in done.stdout and "8.79 GiB" in done.stdout
    told = json.loads(wk("status", folder, "--json", state=tmp_path / "state").stdout)["data"][
        "compute"
    ]
    row = told[0]
    assert (row["key"], row["attempt"], row["estimate_s"], row["gpu_peak_bytes"]) == (
        "one",
        1,
        600,
        9000 * 2**20,
    )
    assert row["of_estimate"] == pytest.approx(row["elapsed_s"] / 600)


def test_every_attempt_that_had_a_job_has_a_row(tmp_path: Path) -> None:
    """A failed attempt's time was spent too; what has not ended, or never ran, has no row."""
    batch = "${WATCHKEEPER_BATCH_SIZE:-2} ${WATCHKEEPER_GRADIENT_ACCUMULATION_STEPS:-1}"
    body = f'[ "{batch}" = "1 2" ] || {{ echo CUDA out of memory >&2; exit 1; }}'
    folder = write_experiment(tmp_path / "exp", body=body)
    wk("run", folder, state=tmp_path / "state", WATCHKEEPER_POLL_S="0.1")
    found = rows(
        experiments.read(folder), state_of(folder), {("one", 1): Used(rate_per_s=2.0, unit="step")}
    )
    assert [(row.attempt, row.state) for row in found if row.key == "one"] == [
        (1, "FAILED"),
        (2, "COMPLETED"),
    ]
    assert found[0].rate_per_s == 2.0 and found[1].rate_per_s is None and found[0].node
