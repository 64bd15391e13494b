"""What else a page says of an experiment: which files are valid, which code and data it used, what
the plan decided and whether the scheduler answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import takewhile

from watchkeeper.core.events import Decision, Intended, Polled
from watchkeeper.core.events.choose import of_kind
from watchkeeper.launch.plan import FOUND
from watchkeeper.query.views.opening import with_files
from watchkeeper.query.views.pages import DecisionRow, Valid
from watchkeeper.query.views.parts.needs import MOST_KEYS
from watchkeeper.query.views.parts.site import Site, counted, ended_at
from watchkeeper.query.views.shared import Evidence
from watchkeeper.report.actionlog.render import EXPERIMENT_LOG, log_names

_MOST_COMMITS = 3
_SHA_DIGITS = 8


def valid_files(site: Site) -> Valid | None:
    """How many of the promised files are good; None where none is promised.

    Its words say of which kinds they are: `8 checkpoints, 22 results`.
    """
    experiment, findings = site.looked.experiment, site.looked.findings
    if not findings:
        return None
    good = sum(finding.state == "good" for finding in findings.values())
    # What is neither is an output that other work promises.
    checkpoints = len(findings.keys() & experiment.checkpoints.keys())
    results = len(findings.keys() & experiment.results.keys())
    kinds = {
        "checkpoint": checkpoints,
        "result": results,
        "output": len(findings) - checkpoints - results,
    }
    words = ", ".join(counted(count, kind) for kind, count in kinds.items() if count)
    return Valid(good=good, total=len(findings), words=words)


def began_and_ended(site: Site) -> tuple[datetime | None, datetime | None]:
    """When the first job was submitted, and when the last ended.

    Both None where nothing was submitted; the end is None while a job is under way. An attempt
    without a verdict that is not under way, as one that was refused, has no end.
    """
    begins: list[datetime] = []
    ends: list[datetime | None] = []
    for attempt in site.looked.state.attempts():
        begins += [one.time for one in attempt.submissions.values()]
        ends.append(ended_at(attempt))
    began = min(begins, default=None)
    if site.looked.state.active:
        return began, None
    return began, max(filter(None, ends), default=None)


def decision_rows(site: Site) -> list[DecisionRow]:
    """What the plan decided on all work that is not there already, by action and reason, in the
    order in which the plan met them.
    """
    groups: dict[tuple[str, str], list[Decision]] = {}
    for decision in site.looked.plan.decisions:
        if decision.reason not in FOUND:
            groups.setdefault((decision.action, decision.reason), []).append(decision)
    return [_decision_row(group) for group in groups.values()]


def _decision_row(group: list[Decision]) -> DecisionRow:
    """Decisions of one action and reason as one row, with the detail if it is the same in all."""
    first = group[0]
    details = {decision.detail for decision in group}
    reason = first.reason
    if len(details) == 1 and first.detail:
        reason = f"{reason}: {first.detail}"
    keys = [decision.key for decision in group[:MOST_KEYS]]
    return DecisionRow(count=len(group), action=first.action, reason=reason, keys=keys)


def evidence_of(site: Site) -> list[Evidence]:
    """Which code and data it used, whether the scheduler answers, and its logs.

    Sources that are files of the experiment can be opened from the page.
    """
    evidence = [*_code(site), *_data(site), *_scheduler(site), *_logs(site)]
    return with_files(evidence, [site.looked.experiment.folder])


def _code(site: Site) -> Iterator[Evidence]:
    """The commits that its jobs were submitted from, and whether something was uncommitted.

    `3f2a91c0, 77d0e1b2, with uncommitted changes`. Where it is not known of one of the jobs, and
    none is known to have had changes, neither is said.
    """
    commits: dict[str, None] = {}
    has_changes = False
    all_clean = True
    for intended in of_kind(site.read.events, Intended):
        if intended.git_sha:
            commits[intended.git_sha[:_SHA_DIGITS]] = None
        if intended.git_dirty or intended.uncommitted:
            has_changes = True
        if intended.git_dirty is not False:
            all_clean = False
    if not commits:
        return
    text = ", ".join(list(commits)[:_MOST_COMMITS])
    if len(commits) > _MOST_COMMITS:
        text += f" and {len(commits) - _MOST_COMMITS} more"
    if has_changes:
        text += ", with uncommitted changes"
    elif all_clean:
        text += ", no uncommitted changes"
    yield Evidence(what="code", text=text, source="git")


def _data(site: Site) -> Iterator[Evidence]:
    """The data that the experiment's summary names; nothing where it names none."""
    experiment = site.looked.experiment
    words = ", ".join(filter(None, [experiment.dataset, experiment.dataset_facts]))
    if words:
        yield Evidence(what="data", text=words, source=experiment.summary)


def _logs(site: Site) -> Iterator[Evidence]:
    """The action logs that are there, each as a file that can be opened: `run-experiment.log`, and
    those of the phases under the names that the journal gives them.
    """
    for name in dict.fromkeys((EXPERIMENT_LOG, *log_names(site.read.events).values())):
        if (site.looked.experiment.folder / name).is_file():
            yield Evidence(what="log", text=name, source=name)


def _scheduler(site: Site) -> Iterator[Evidence]:
    """That the scheduler has not answered since its last good answer: with the words of the newest
    failure, and the time of the first. Nothing while no job is under way, as nobody waits for an
    answer then.
    """
    polls = sorted(of_kind(site.read.events, Polled), key=lambda poll: poll.time, reverse=True)
    silent = list(takewhile(lambda poll: poll.error, polls))
    if silent and site.looked.state.active:
        last, first = silent[0], silent[-1]
        yield Evidence(what="scheduler", text=last.error, at=first.time, source=last.query)
