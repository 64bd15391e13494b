"""What a sync would send, decided before anything is sent. Pure, but for the sizes of files."""

from __future__ import annotations

import glob
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core.code.wandb_versions import loses_rows, spelled, version_of
from watchkeeper.publish.wandb.offline import Segment, overlap
from watchkeeper.publish.wandb.staging import Staging, staging_of

RUNNING_S = 600.0
"""A run without an end whose file changed less than this many seconds ago is still running."""

# Names that say nothing about what is in them: a slip, or a default, more often than a decision.
GENERIC_PROJECTS = frozenset(
    (
        "debug",
        "default",
        "demo",
        "example",
        "huggingface",
        "lightning_logs",
        "ml",
        "my-project",
        "project",
        "runs",
        "sandbox",
        "test",
        "tests",
        "tmp",
        "train",
        "training",
        "uncategorized",
        "wandb",
    )
)


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One run of W&B. `refusal` is why it is not sent, "" where it is. `own_target` is where it was
    begun for, which is not used. `is_marked`: W&B noted that it was synced before. `remark` is what
    is to be known of the version that logged it, "" for nothing.
    """

    run_id: str
    name: str
    folders: tuple[Path, ...]
    rows: int
    bytes: int
    own_target: str
    is_marked: bool
    refusal: str = ""
    staging: tuple[Staging, ...] = ()
    remark: str = ""


class SyncPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Each run, and where they go."""

    entity: str
    project: str
    runs: tuple[RunPlan, ...]

    @property
    def ready(self) -> list[RunPlan]:
        """The runs that are sent."""
        return [run for run in self.runs if not run.refusal]


def plan_sync(
    sources: Mapping[str, Sequence[Segment]],
    *,
    entity: str,
    project: str,
    again: bool = False,
    is_copy: bool = False,
    now_s: float | None = None,
) -> SyncPlan:
    """Decide for each run by its id. `again` sends also what W&B marked as synced. `is_copy`: a
    second copy elsewhere, of which W&B's mark says nothing. `now_s`: seconds since 1970; None: now.
    """
    now = time.time() if now_s is None else now_s
    runs = tuple(
        _run_plan(name, own, again, now, is_copy=is_copy) for name, own in sorted(sources.items())
    )
    return SyncPlan(entity=entity, project=project, runs=runs)


def _run_plan(
    run_id: str, segments: Sequence[Segment], again: bool, now_s: float, *, is_copy: bool
) -> RunPlan:
    begin = segments[-1].begin
    is_marked = not is_copy and all(marker_of(segment.path).exists() for segment in segments)
    folders = tuple(segment.path.parent for segment in segments)
    return RunPlan(
        run_id=run_id,
        name=begin.name,
        folders=folders,
        rows=sum(segment.rows for segment in segments),
        bytes=sum(segment.path.stat().st_size for segment in segments),
        own_target="/".join(part for part in (begin.entity, begin.project) if part),
        is_marked=is_marked,
        refusal=_refusal(segments, now_s, is_done=is_marked and not again),
        staging=tuple(_staging(folders)),
        remark=_remark(segments),
    )


def _remark(segments: Sequence[Segment]) -> str:
    for segment in segments:
        version = version_of(segment.version)
        if version is not None and loses_rows(segment.version):
            named = f"logged with wandb {spelled(version)}"
            return f"{named}, which may have lost rows: what is sent is what it kept"
    return ""


def marker_of(path: Path) -> Path:
    """The file in which W&B notes that a `.wandb` file was synced."""
    return path.with_name(f"{path.name}.synced")


def _staging(folders: Iterable[Path]) -> list[Staging]:
    places = {one.folder: one for folder in folders for one in staging_of(folder)}
    return list(places.values())


def _refusal(segments: Sequence[Segment], now_s: float, *, is_done: bool) -> str:
    """Why a run is not sent, "" if it is."""
    if overlap(segments):
        return "two runs have this id: their times overlap; give one of the folders alone"
    if not all(segment.begin.resumes for segment in segments[1:]):
        return (
            "it was begun anew under the same id, without `resume=`: W&B would put the later rows "
            "over the earlier ones; give one of the folders alone"
        )
    left_out = _left_out(segments)
    if left_out is not None:
        return f"it continues {left_out}, which was not given: W&B would lack those rows; give both"
    last = segments[-1]
    quiet_s = now_s - last.path.stat().st_mtime
    if last.end is None and quiet_s < RUNNING_S:
        return f"it is still running: its file changed {max(quiet_s, 0):.0f} s ago"
    if is_done:
        return "W&B marked it as synced before; --again sends it once more"
    return ""


def _left_out(segments: Sequence[Segment]) -> Path | None:
    """An earlier segment of a resumed run that lies beside it and was not given; None for none. The
    names of W&B's folders sort by time.
    """
    first = segments[0]
    folder = first.path.parent
    if not first.begin.resumes or not folder.name.endswith(f"-{first.begin.run_id}"):
        return None
    beside = folder.parent.glob(f"*run-*-{glob.escape(first.begin.run_id)}")
    earlier = [one for one in beside if one.name < folder.name and not one.is_symlink()]
    return min(earlier, default=None)
