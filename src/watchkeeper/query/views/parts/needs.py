"""What needs a person in an experiment: each cause once, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from watchkeeper.core.errors import Problem
from watchkeeper.core.state import Attempt
from watchkeeper.launch.plan import HALTED
from watchkeeper.query.rows import Row
from watchkeeper.query.views.pages import RunningRow
from watchkeeper.query.views.parts.alike import alike, line_of
from watchkeeper.query.views.parts.outage import outage_of, silence_words
from watchkeeper.query.views.parts.site import Site, at_step, counted, ended_at
from watchkeeper.query.views.shared import Need, NeedKind, Progress, Watcher
from watchkeeper.watch.health.judge import ALARMS
from watchkeeper.watch.verdict.judge import cause_in

MOST_KEYS = 50
"""Of one need."""
_ORDER: tuple[NeedKind, ...] = (
    "failed",
    "invalid",
    "lost",
    "unhealthy",
    "unknown",
    "late",
    "unwatched",
    "damaged",
)
_VERBS: Mapping[NeedKind, str] = {"failed": "failed", "invalid": "invalid", "lost": "lost"}
_MOST_NAMED = 3


def worst_first(needs: Sequence[Need]) -> list[Need]:
    """The needs by their kind, and of one kind the newest first; one without a time comes last."""
    return sorted(needs, key=_gravity)


def _gravity(need: Need) -> tuple[int, float]:
    """What a need is sorted by: the place of its kind, then how long ago it was last seen."""
    age = 0.0
    if need.last is not None:
        age = -need.last.timestamp()
    return _ORDER.index(need.kind), age


def needs_of(site: Site, watcher: Watcher, running: Sequence[RunningRow]) -> list[Need]:
    """What needs a person in an experiment, the worst first; [] for nothing.

    `running` are the rows of what runs (`running_rows`), `watcher` is who watches
    (`watcher_of`). Nothing is read: all of it is in the look that `site` was made from.
    """
    needs = [
        *_failures(site),
        *_unhealthy(site, running),
        *_silent_scheduler(site, running),
        *_unknown(site),
        *_late(site, running),
        *_unwatched(site, watcher),
        *_damaged(site),
    ]
    return worst_first(needs)


def _need(site: Site, kind: NeedKind, rows: Sequence[Row], line: str) -> Need:
    """A need of these rows, with what every kind of need has. `line` is its heading."""
    keys = [row.key for row in rows[:MOST_KEYS]]
    return Need(
        kind=kind,
        count=len(rows),
        line=line,
        experiment=site.name,
        id=site.id,
        folder=site.folder,
        subject=_subject(rows),
        keys=keys,
        ids=_ids_of(site, keys),
    )


def _ids_of(site: Site, keys: Sequence[str]) -> list[str]:
    """The ids of the pages of these runs; [] outside a page."""
    if not site.id:
        return []
    return [site.id_of(key) for key in keys]


def _subject(rows: Sequence[Row]) -> str:
    """Whom a need is about: `r32`, `reversal of 3 runs`, `r4, r8 and 5 more`.

    Of evaluations the tasks are named, too; of a single piece of work it is the key.
    """
    if len(rows) == 1:
        return rows[0].key
    runs: dict[str, None] = {}
    tasks: dict[str, None] = {}
    for row in rows:
        runs[row.run] = None
        if row.task:
            tasks[row.task] = None
    if not tasks:
        return _listed(list(runs))
    whom = "".join(runs)
    if len(runs) > 1:
        whom = f"{len(runs):,} runs"
    return f"{_listed(list(tasks))} of {whom}"


def _listed(names: Sequence[str]) -> str:
    """Up to three names: `r4, r8, r16 and 5 more`."""
    if len(names) <= _MOST_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMED])} and {len(names) - _MOST_NAMED:,} more"


# ── what failed, and what that blocks


def _failures(site: Site) -> Iterator[Need]:
    """What failed, by phase and cause; and what is blocked by nothing that failed.

    What is blocked by something that failed is counted with it: one cause, one need.
    """
    blocked = _blocked_by(site)
    failed = [row for row in site.rows if row.standing == "failed"]
    groups: dict[NeedKind, list[Row]] = {}
    for row in failed:
        groups.setdefault(_kind_of(site, row), []).append(row)
    for kind, rows in groups.items():
        for group in alike(rows):
            yield _failure(site, kind, group, blocked)
    for group in alike(blocked.get("", [])):
        line = f"{counted(len(group), site.noun(group[0].key))} blocked"
        why = ": ".join(filter(None, [group[-1].state, group[-1].why]))
        yield msgspec.structs.replace(_need(site, "failed", group, line), why=why)


def _kind_of(site: Site, row: Row) -> NeedKind:
    """How a row failed: its job did, what it left is not valid, or nobody knows where it went.

    A row that failed without a verdict, as one whose submission was refused, just failed.
    """
    latest = site.latest(row.key)
    if latest is None or latest.judged is None:
        return "failed"
    if latest.judged.outcome == "invalid":
        return "invalid"
    if latest.judged.outcome == "lost":
        return "lost"
    return "failed"


def _failure(
    site: Site, kind: NeedKind, rows: Sequence[Row], blocked: Mapping[str, list[Row]]
) -> Need:
    """The need of rows that failed alike. Its cause is the line that the newest of them wrote;
    `blocked` are the rows that wait for each key.
    """
    ends = {row.key: ended_at(site.latest(row.key)) for row in rows}
    times = [end for end in ends.values() if end is not None]
    newest = max(rows, key=lambda row: (ends[row.key] is not None, ends[row.key] or site.now))
    need = _need(site, kind, rows, f"{counted(len(rows), site.noun(newest.key))} {_VERBS[kind]}")
    return msgspec.structs.replace(
        need,
        cause=line_of(newest),
        why=_why(site, newest),
        blocks=sum(len(blocked.get(row.key, ())) for row in rows),
        first=min(times, default=None),
        last=max(times, default=None),
        command=site.command("run", "--retry-failed"),
    )


def _why(site: Site, row: Row) -> str:
    """Why, beside the line that it wrote: the cause in words, how far it was, and what was decided
    on a retry.

    `out of GPU memory, at step 40 of 120; not retried: …`. The words of a row hold its line and the
    decision, too; here each is said once.
    """
    line = line_of(row)
    reasons = row.why
    advice = site.decisions[row.key].advice
    if advice:
        reasons = reasons.removesuffix(advice).removesuffix("; ")
    words = cause_in(reasons)
    if line:
        words = words.replace(line, "").replace(" ()", "").strip(" :")
    else:
        words = words or reasons
    where = _where(site.latest(row.key))
    what_and_where = ", ".join(filter(None, [words, where]))
    return "; ".join(filter(None, [what_and_where, advice]))


def _where(attempt: Attempt | None) -> str:
    """How far a job came: `at step 40 of 120`; "" where nobody says.

    What its verdict learned from its rows outweighs the watcher's last look.
    """
    if attempt is None:
        return ""
    if attempt.judged is not None and attempt.judged.learned is not None:
        learned = attempt.judged.learned
        if learned.final_step is not None:
            return at_step(learned.final_step, learned.total_steps)
    if attempt.assessed is None:
        return ""
    return at_step(attempt.assessed.step, attempt.assessed.total)


def _blocked_by(site: Site) -> dict[str, list[Row]]:
    """Key of what failed → the rows that are blocked for it; "" → those for nothing that failed.

    A row is counted once, under the nearest failure before it.
    """
    rows = {row.key: row for row in site.rows}
    blocked: dict[str, list[Row]] = {}
    for row in site.rows:
        if row.standing == "blocked":
            blocked.setdefault(_blocker_of(site, row, rows), []).append(row)
    return blocked


def _blocker_of(site: Site, row: Row, rows: Mapping[str, Row]) -> str:
    """The key of what failed and keeps a row from its job; "": nothing that failed does.

    Where its phase was halted, it is the first failure that halted it. Else it is what the row
    needs, or what that needs, and so on; the description of an experiment may go round in circles.
    """
    if row.state == HALTED:
        keys = site.looked.state.halted[row.phase].keys
        return next((key for key in keys if _is_failed(rows.get(key))), "")
    seen: set[str] = set()
    behind = [row.key]
    while behind:
        key = behind.pop()
        if key in seen:
            continue
        seen.add(key)
        if _is_failed(rows.get(key)):
            return key
        behind += _needed(site, key)
    return ""


def _is_failed(row: Row | None) -> bool:
    """Whether a row failed; one that is no longer planned (None) did not."""
    if row is None:
        return False
    return row.standing == "failed"


def _needed(site: Site, key: str) -> list[str]:
    """What a piece of work needs before it can start: an evaluation its training, a run the runs
    that it names. [] for one that is no longer planned.
    """
    item = site.items.get(key)
    if item is None:
        return []
    if item.phase == "evaluation":
        return [item.run]
    return list(item.needs)


# ── what runs, and is not well


def _unhealthy(site: Site, running: Sequence[RunningRow]) -> Iterator[Need]:
    """The jobs that stand still or fail while they run, by what is wrong.

    `first` and `last` say when such a job was last heard of: of the one that has been silent
    longest, and of the newest.
    """
    unwell = {row.key: row for row in running if row.health in ALARMS}
    for group in alike(_as_they_run(site, unwell)):
        newest = group[-1]
        times = [_heard_at(unwell[row.key]) for row in group]
        known = [time for time in times if time is not None]
        line = f"{counted(len(group), site.noun(newest.key))} {newest.health}"
        yield msgspec.structs.replace(
            _need(site, "unhealthy", group, line),
            why=newest.health_why,
            first=min(known, default=None),
            last=max(known, default=None),
            command=site.command("status"),
        )


def _as_they_run(site: Site, running: Mapping[str, RunningRow]) -> Iterator[Row]:
    """Their rows, with the health that they have now."""
    for row in site.rows:
        if row.key in running:
            now = running[row.key]
            yield msgspec.structs.replace(row, health=now.health, health_why=now.why)


def _heard_at(row: RunningRow) -> datetime | None:
    """When a job was last heard of; None where it never was."""
    if row.evidence is None:
        return None
    return row.evidence.at


def _silent_scheduler(site: Site, running: Sequence[RunningRow]) -> Iterator[Need]:
    """That the scheduler does not answer while jobs are under way, and what is known of them.

    Its jobs may run all the same: those that have logged since are counted.
    """
    outage = outage_of(site.read.events)
    keys = [attempt.key for attempt in site.looked.state.active]
    if outage is None or not keys:
        return
    heard = 0
    for row in running:
        at = _heard_at(row)
        if at is not None and at > outage.time:
            heard += 1
    yield Need(
        kind="unknown",
        count=len(keys),
        line="the scheduler does not answer",
        cause=" ".join(outage.error.split()),
        why=silence_words(len(keys), heard),
        experiment=site.name,
        id=site.id,
        folder=site.folder,
        keys=keys[:MOST_KEYS],
        ids=_ids_of(site, keys[:MOST_KEYS]),
        first=outage.time,
        last=outage.time,
        command=site.command("status"),
    )


def _unknown(site: Site) -> Iterator[Need]:
    """The jobs of which it could not be determined whether they ended, by the reason."""
    for group in alike(row for row in site.rows if row.standing == "unknown"):
        line = f"{counted(len(group), site.noun(group[-1].key))} unknown"
        yield msgspec.structs.replace(
            _need(site, "unknown", group, line),
            why=group[-1].why,
            command=site.command("run"),
        )


def _late(site: Site, running: Sequence[RunningRow]) -> Iterator[Need]:
    """The jobs whose last step will not come before their time limit, as one need.

    Its times are those of the limits: the first that comes, and the last.
    """
    late = {row.key: row.progress for row in running if row.progress.fits is False}
    if not late:
        return
    rows = [row for row in site.rows if row.key in late]
    ends = [_limit_of(site.latest(key)) for key in late]
    known = [end for end in ends if end is not None]
    last = rows[-1].key
    yield msgspec.structs.replace(
        _need(site, "late", rows, f"{counted(len(late), 'run')} will not end in time"),
        why=_lateness(late[last], site.latest(last)),
        first=min(known, default=None),
        last=max(known, default=None),
        command=site.command("status"),
    )


def _limit_of(attempt: Attempt | None) -> datetime | None:
    """When the time limit of a job is over, as its scheduler says; None where it has none, or
    nobody says.
    """
    if attempt is None or attempt.facts is None:
        return None
    return attempt.facts.ends_by


def _lateness(progress: Progress, attempt: Attempt | None) -> str:
    """`ends 6 h 14 min after its limit`; where the end is not known, what its watcher said.

    "" where nobody said anything.
    """
    if progress.eta_s is not None and progress.limit_s is not None:
        return f"ends {_span(progress.eta_s - progress.limit_s)} after its limit"
    if attempt is None or attempt.assessed is None:
        return ""
    return attempt.assessed.note or attempt.assessed.why


def _span(seconds: float) -> str:
    """`6 h 14 min`, `4 min`."""
    hours, minutes = divmod(max(1, round(seconds / 60)), 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min"


# ── what is around it


def _unwatched(site: Site, watcher: Watcher) -> Iterator[Need]:
    """That jobs are under way, and nobody watches them.

    Whether a watcher on another machine is alive cannot be seen from here; then nothing is said.
    """
    active = site.looked.state.active
    is_elsewhere = watcher.alive is None and watcher.process is not None
    if not active or watcher.alive or is_elsewhere:
        return
    waiting = [row for row in site.rows if row.standing == "to do"]
    why = f"{counted(len(active), 'job')} under way"
    if waiting:
        why += f"; {len(waiting):,} waiting will not be submitted"
    if watcher.process is not None:
        why += f"; last watched from {watcher.host}, process {watcher.process}"
    yield Need(
        kind="unwatched",
        count=len(active),
        line="nobody watches",
        why=why,
        experiment=site.name,
        id=site.id,
        folder=site.folder,
        first=watcher.since,
        last=watcher.since,
        command=site.command("run"),
    )


def _damaged(site: Site) -> Iterator[Need]:
    """That files of the experiment's journal cannot be read, with the command that looks closer."""
    if not site.read.problems:
        return
    yield msgspec.structs.replace(
        damage(site.read.problems),
        experiment=site.name,
        id=site.id,
        folder=site.folder,
        command=site.command("check"),
    )


def damage(problems: Sequence[Problem]) -> Need:
    """That files cannot be read: how many problems there are, and what the first one is.

    `problems` are one or more. The need belongs to no experiment yet.
    """
    first = problems[0]
    return Need(
        kind="damaged",
        count=len(problems),
        line=f"{counted(len(problems), 'problem')} in files",
        why=f"{first.where}: {first.message}",
        keys=[problem.where for problem in problems[:MOST_KEYS]],
    )
