"""What lies on disk, looked at when it can have changed, and remembered in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from watchkeeper.core import layout
from watchkeeper.core.collector import collector_paused
from watchkeeper.core.events import RunItem
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import RunState, State
from watchkeeper.core.text.odd_bytes import as_path
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch import retry_means
from watchkeeper.launch.plan import may_try
from watchkeeper.launch.retries import Means, Rules
from watchkeeper.tools.look import look
from watchkeeper.tools.look_memory import LEAST_PROMISES, LookMemory
from watchkeeper.tools.promise import Finding, Promise


class EvidenceBook:
    """Findings by subject: of every checkpoint and every result that the experiment promises."""

    def __init__(self, experiment: Experiment) -> None:
        self.looks = 0
        """How often it has looked at anything."""
        self._experiment = experiment
        self._findings: dict[str, Finding] = {}
        self._means: dict[tuple[str, int], Means] = {}
        self._may_be_tried: dict[str, tuple[RunState, bool]] = {}
        self._trainings = {
            promise.subject: run
            for run in _runs(experiment)
            for promise in experiment.checkpoints_of(run)
        }

    @property
    def findings(self) -> Mapping[str, Finding]:
        """What was found at the last look at each subject."""
        return self._findings

    def look_at_all(self, state: State, *, to_show: bool = False) -> None:
        """Look at everything. `state` knows where its jobs printed. `to_show`: nothing is done by
        what is seen, so that a file need not be read that an earlier look has read.
        """
        promises = self._all_promises()
        with collector_paused():
            if not to_show or len(promises) < LEAST_PROMISES:
                self._look(promises, state)
                return
            memory = LookMemory(self._experiment.folder)
            self._look(promises, state, memory)
        memory.save()

    def _all_promises(self) -> list[Promise]:
        """Everything that the experiment promises: checkpoints, results, and the outputs of
        scripts.
        """
        experiment = self._experiment
        promises = [*experiment.checkpoints.values(), *experiment.results.values()]
        for outputs in experiment.outputs.values():
            promises += outputs
        return promises

    def look_at(self, item: RunItem, state: State) -> list[Finding]:
        """Look again at what one piece of work promises, and return what was found."""
        promises = self.promises(item)
        self._look(promises, state)
        return [self._findings[promise.subject] for promise in promises]

    def promises(self, item: RunItem) -> list[Promise]:
        """What one piece of work promises; empty if nothing, as a script that names no output."""
        if item.phase == "preparation":
            return list(self._experiment.promises_of(item.run))
        result = self._experiment.results.get(item.key)
        if result:
            return [result]
        return []

    def checkpoint(self, item: RunItem) -> dict[str, str]:
        """The fingerprint of the checkpoint that an evaluation is given, by its subject; empty for
        none: it needs no checkpoint, or nobody has looked at it yet.
        """
        if item.phase != "evaluation":
            return {}
        needs = self._experiment.checkpoint_for(item)
        if needs and needs in self._findings:
            return {needs: self._findings[needs].fingerprint}
        return {}

    def passports(self, item: RunItem) -> dict[str, str]:
        """The SHA-256 of the passport of the checkpoint that an evaluation is given; empty where it
        has none. The passport is kept beside the journal.
        """
        from watchkeeper.publish.chain.naming import keep_passport  # where something is submitted

        folder = self._experiment.folder
        hashes = {}
        for subject in self.checkpoint(item):
            place = folder / as_path(self._findings[subject].path)
            sha256 = keep_passport(place, folder / layout.OBJECTS)
            if sha256:
                hashes[subject] = sha256
        return hashes

    def inputs(self, item: RunItem, *, made_later: bool = False) -> dict[str, str]:
        """What a submission should remember: the fingerprint of the checkpoint it is given (unless
        that is still to be made), and the time of a result that already lies where its own will be,
        so that an old file is not taken for a new one.

            {"r8/artifacts/epoch_0": "9e60ec7a…", "r8/clean/epoch0": "2026-03-11T15:00:00+00:00"}
        """
        inputs: dict[str, str] = {}
        if not made_later:
            inputs = self.checkpoint(item)
        if item.phase != "evaluation":
            return inputs
        for promise in self.promises(item):
            stamp = written(self._findings[promise.subject])
            if stamp:
                inputs[promise.subject] = stamp
        return inputs

    def complete(self, item: RunItem) -> dict[str, str]:
        """Subject → fingerprint of the complete checkpoints of a fine-tune that are there now;
        empty for an evaluation.
        """
        if item.phase == "evaluation":
            return {}
        fingerprints = {}
        for promise in self.promises(item):
            finding = self._findings.get(promise.subject)
            if finding is not None and finding.state == "good":
                fingerprints[finding.subject] = finding.fingerprint
        return fingerprints

    def means(self, state: State, rules: Rules) -> dict[str, Means]:
        """Key → what a job that ended badly allows, of all that may be tried again; looked at anew
        for each attempt, and again where the disk refused a file.
        """
        means: dict[str, Means] = {}
        for item in self._to_try(state, rules):
            name = (item.key, max(state.run(item.key).attempts))
            if name not in self._means or self._means[name].unreadable:
                self._means[name] = self._means_of(item, state, rules)
            means[item.key] = self._means[name]
        return means

    def _to_try(self, state: State, rules: Rules) -> Iterator[RunItem]:
        """As `plan.to_try`; a run is looked at again only where something was said of it."""
        for item in self._experiment.items:
            run = state.runs.get(item.key)
            if run is None:
                continue
            looked_at, may_be_tried = self._may_be_tried.get(item.key, (None, False))
            if looked_at is not run:
                may_be_tried = may_try(item, run, resumes=rules.resumes)
                self._may_be_tried[item.key] = run, may_be_tried
            if may_be_tried:
                yield item

    def _means_of(self, item: RunItem, state: State, rules: Rules) -> Means:
        """What the last attempt at a piece of work allows: all of its attempts are looked at, and
        what it promises, as far as that was found.
        """
        folder = self._experiment.folder
        attempts = [
            (attempt, attempt_folder(folder, item.key, number))
            for number, attempt in sorted(state.run(item.key).attempts.items())
        ]
        subjects = [promise.subject for promise in self.promises(item)]
        findings = [self._findings[name] for name in subjects if name in self._findings]
        return retry_means.means_of(folder, item, attempts, findings, rules)

    def _look(
        self, promises: Iterable[Promise], state: State, memory: LookMemory | None = None
    ) -> None:
        """Look at these promises, and remember what was found. `memory` is of earlier looks; None:
        each file is read.
        """
        folder = self._experiment.folder
        self.looks += 1
        for promise in promises:
            outputs = printed(state, self._trainings.get(promise.subject, ""))
            self._findings[promise.subject] = look(folder, promise, outputs, memory)


def _runs(experiment: Experiment) -> list[str]:
    """The runs that train, in the experiment's order."""
    return [item.run for item in experiment.items if item.phase == "preparation"]


def printed(state: State, key: str) -> list[Path]:
    """The files into which a run's jobs printed, as the scheduler named them: the newest attempt's
    first, each once. Empty: the run has no job, or it is not known where it printed.
    """
    run = state.runs.get(key)
    if run is None:
        return []
    names: dict[str, None] = {}
    for _, attempt in sorted(run.attempts.items(), reverse=True):
        if attempt.facts is not None:
            names |= dict.fromkeys((attempt.facts.error_output, attempt.facts.output))
    return [Path(as_path(name)) for name in names if name]


def written(finding: Finding) -> str:
    """When the newest of a finding's files was written, by the file server's clock, in ISO 8601; ""
    where there is none.
    """
    times = [evidence.modified for evidence in finding.evidence if evidence.modified is not None]
    if not times:
        return ""
    return max(times).isoformat()
