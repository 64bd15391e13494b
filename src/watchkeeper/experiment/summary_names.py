"""The names of the files that describe an experiment."""

from __future__ import annotations

SUMMARY_YAML = "experiment_summary.yaml"
SUMMARY_YML = "experiment_summary.yml"
"""The other suffix of YAML: read where there is no `SUMMARY_YAML`."""
SUMMARY_MD = "experiment_summary.md"
