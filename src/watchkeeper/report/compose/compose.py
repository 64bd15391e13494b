"""What the journal tells of one piece of work, as the page of its run log. Pure.

    events of one key  →  Told  →  page(told, about, …)  →  Page (report/compose/page.py)

Format source: the run-log document. A job block is an execution: a resubmission, a resumption or a
requeue adds one.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from watchkeeper.core.events import (
    AnyEvent,
    Artifact,
    Assessed,
    Change,
    Documented,
    Intended,
    Judged,
    Learned,
    Number,
    Phase,
    Polled,
    Rejected,
    Submitted,
    Unknown,
)
from watchkeeper.core.text.figures import clock, runtime, size
from watchkeeper.core.text.zones import zone_of
from watchkeeper.report.compare.prior import fingerprint
from watchkeeper.report.compose import repeated
from watchkeeper.report.compose.inert import inert_page
from watchkeeper.report.compose.page import PENDING, JobBlock, Page, Value, Written
from watchkeeper.report.runlog.dates import human

NONE = "n/a"
WELL = ("done", "failed but good")
MOST_NAMES = 5  # of files that no commit holds, in a note
MOST_KEPT = 10  # checkpoints in one line


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of a piece of work. Paths are as the log shows them; `command` continues it.
    "": nobody said. `dataset_facts` is what else is known of the dataset, `settings` what varies,
    `controls` what is the same in all runs. `root` is the folder from which the log's paths are,
    `host` the machine where that lies, and `below` the experiment's own folder, from there.
    """

    task: str
    description: str = ""
    run_type: str = ""
    objective: str = ""
    dataset: str = ""
    dataset_facts: str = ""
    settings: str = ""
    controls: str = ""
    root: str = ""
    host: str = ""
    below: str = ""
    script: str = ""
    command: str = ""


class Sight(msgspec.Struct, frozen=True):
    """A change that a poll found, and when."""

    time: datetime
    change: Change


class LogFile(msgspec.Struct, frozen=True):
    """A run log of this work: its path, the first attempt that it holds, and whether somebody else
    had begun it.
    """

    path: str
    first: int
    continued: bool = False


class Told(msgspec.Struct):
    """The events of one key. Feed it each of them once; whose they are does not matter."""

    phase: Phase = "preparation"
    intended: dict[int, Intended] = {}
    submitted: dict[tuple[int, str], Submitted] = {}
    rejected: list[Rejected] = []
    sights: list[Sight] = []
    assessed: list[Assessed] = []
    judged: dict[int, Judged] = {}
    documented: list[Documented] = []

    def feed(self, event: AnyEvent | Unknown | Sight) -> None:
        """Take one event, or one change of a poll."""
        if isinstance(event, Sight):
            self.sights.append(event)
        elif isinstance(event, Intended):
            self.phase = event.phase
            self.intended.setdefault(event.attempt, event)
        elif isinstance(event, Submitted):
            self.phase = event.phase
            self.submitted.setdefault((event.attempt, event.job_id), event)
        elif isinstance(event, Rejected):
            self.rejected.append(event)
        elif isinstance(event, Assessed):
            self.assessed.append(event)
        elif isinstance(event, Judged):
            self.judged[event.attempt] = event
        elif isinstance(event, Documented):
            self.documented.append(event)

    def files(self) -> list[LogFile]:
        """Its run logs, the oldest first: a new one was begun where the purpose changed."""
        found: dict[str, LogFile] = {}
        for event in self.documented:
            before = found.get(event.path) or LogFile(
                event.path, event.attempt, continued=not event.fields
            )
            found[event.path] = msgspec.structs.replace(
                before, first=min(before.first, event.attempt)
            )
        return sorted(found.values(), key=lambda one: (one.first, one.path))

    def attempts_of(self, file: LogFile) -> range:
        """The attempts that one of its run logs holds."""
        later = [one.first for one in self.files() if one.first > file.first]
        return range(file.first, min(later, default=2**31))

    def written(self, path: str) -> Written:
        """What the machine has written into one of them."""
        found = Written({}, set(), {})
        for event in self.documented:
            if event.path == path:
                for field, value in event.fields.items():
                    found.fields.setdefault(field, set()).add(value)
                found.lines.update(event.lines)
                found.kept.update(event.kept)
        return found


def keyed(event: AnyEvent | Unknown) -> Iterator[tuple[str, AnyEvent | Unknown | Sight]]:
    """The keys that an event tells of, each with what is to be fed to its `Told`."""
    if isinstance(event, Polled):
        yield from ((change.key, Sight(event.time, change)) for change in event.changes)
    elif isinstance(event, (Intended, Submitted, Rejected, Assessed, Judged, Documented)):
        yield event.key, event


class Evaluation(msgspec.Struct, frozen=True):
    """An evaluation of a training, as a line of its Results."""

    name: str
    judged: Judged
    task: str = ""
    epoch: int | None = None


def page(
    told: Told,
    about: About,
    zone: str,
    *,
    file: LogFile | None = None,
    evaluations: Sequence[Evaluation] = (),
) -> Page:
    """The page of one of its run logs (None: the only one, or one that is to be made)."""
    teller = _Teller(told, about, zone_of(zone), file)
    sections: dict[str, list[Value]] = {
        "mode": [
            Value("run_type", about.run_type or PENDING),
            Value("objective", about.objective or PENDING),
        ],
        "config": teller.config(),
        "results": [*teller.results(), *map(_evaluation_line, evaluations)],
        "wandb": teller.wandb(),
        "next": teller.next(),
    }
    title = about.task + (f" — {about.description}" if about.description else "")
    return inert_page(
        Page(title, sections, teller.jobs(), teller.status(), adopted=teller.continued)
    )


class _Teller:
    def __init__(self, told: Told, about: About, zone: ZoneInfo, file: LogFile | None) -> None:
        self.told = told
        self.about = about
        self.zone = zone
        files = told.files()
        later = [one.first for one in files if file is not None and one.first > file.first]
        self.successor = next((one for one in files if later and one.first == min(later)), None)
        begin, end = (file.first if file else 1), min(later, default=2**31)
        numbers = {*told.intended, *(number for number, _ in told.submitted), *told.judged}
        self.attempts = sorted(number for number in numbers if begin <= number < end)
        self.evaluates = told.phase == "evaluation"
        self.continued = file is not None and file.continued

    @property
    def last(self) -> Judged | None:
        """The verdict on the newest attempt; None while it has none."""
        if self.attempts:
            return self.told.judged.get(self.attempts[-1])
        return None

    # ── config
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def config(self) -> list[Value]:
        if self.attempts:
            first = self.told.intended.get(self.attempts[0])
        else:
            first = None
        if first:
            configs = [self.path(name) for name in first.configs]
        else:
            configs = []
        # In a log that somebody else began, paths are theirs.
        rooted = bool(self.about.root) and not self.continued
        if rooted:
            values = [Value("root", self.about.root, quoted=True, note=self.root_note())]
        else:
            values = []
        values += [
            Value("script", self.about.script or NONE, quoted=True),
            Value("config", ", ".join(configs) or NONE, quoted=bool(configs)),
            Value(
                "dataset",
                self.about.dataset or PENDING,
                quoted=bool(self.about.dataset),
                note=self.about.dataset_facts if self.about.dataset else "",
            ),
            Value("key settings", self.about.settings or NONE),
        ]
        values += [Value("controls", self.about.controls)] if self.about.controls else []
        if first is not None and first.git_sha:
            values.append(Value("commit", first.git_sha, quoted=True, note=code_note(first)))
            if first.git_branch and first.git_branch != "(detached)":
                values.append(Value("branch", first.git_branch, quoted=True))
        elif first is not None:
            values.append(Value("commit", NONE, note=_one_line(first.git_fault)))
        if first is not None:
            values.append(
                Value(
                    "fingerprint",
                    fingerprint(first.script_sha256, first.configs.values()),
                    quoted=True,
                )
            )
        return values

    def root_note(self) -> str:
        if self.about.host:
            return f"on {self.about.host}; the paths in this log are from here"
        return ""

    def path(self, path: str) -> str:
        """A path of the journal's, which is from the experiment's folder, as the log shows it: from
        its root.
        """
        if not path or not self.about.below or path.startswith("/"):
            return path
        return posixpath.normpath(posixpath.join(self.about.below, path))

    # ── jobs
    # ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def jobs(self) -> list[JobBlock]:
        found: list[JobBlock] = []
        for number in self.attempts:
            runs = self.executions(number)
            for index, sights in enumerate(runs):
                last = index == len(runs) - 1
                found.append(
                    self.block(
                        number,
                        index,
                        sights,
                        self.told.judged.get(number) if last else None,
                        first=not found and not self.continued,
                    )
                )
        return found

    def executions(self, number: int) -> list[list[Sight]]:
        """An attempt's changes, execution by execution: a job that waits again after it ran is
        started anew.
        """
        runs: list[list[Sight]] = [[]]
        for sight in self.told.sights:
            if sight.change.attempt != number:
                continue
            if sight.change.after == "PENDING" and any(
                one.change.facts.started for one in runs[-1]
            ):
                runs.append([])
            runs[-1].append(sight)
        return runs

    def block(
        self, number: int, index: int, sights: list[Sight], judged: Judged | None, *, first: bool
    ) -> JobBlock:
        job_id = next((sight.change.job_id for sight in reversed(sights)), "")
        job_id = job_id or next(
            (id_ for attempt, id_ in self.told.submitted if attempt == number), ""
        )
        job_id += f" (restart {index})" if job_id and index else ""
        facts = [sight.change.facts for sight in sights]
        started = next((one.started for one in reversed(facts) if one.started), None)
        ended = next((one.ended for one in reversed(facts) if one.ended), None)
        node = next((one.node for one in reversed(facts) if one.node), "")
        intended, submission = self.told.intended.get(number), self._submitted(number)
        begun = started or (
            sights[0].time if index and sights else submission.time if submission else None
        )
        begun = begun or (intended.time if intended else None)
        values = [Value("execution_id", job_id or PENDING)]
        if begun is not None:
            values.append(Value("submitted/start", self.iso(begun), quoted=True))
            values.append(Value("start_human", self.human(begun), quoted=True))
        if not first:
            values += self.resumption(number, index)
        if (
            self.continued
            and number == self.attempts[0]
            and not index
            and intended is not None
            and intended.git_sha
        ):
            values.append(Value("commit", intended.git_sha, quoted=True, note=code_note(intended)))
        if ended is None and judged is not None and started is not None:
            ended = judged.time
        if ended is not None and (judged is not None or index):
            values.append(Value("end", self.iso(ended), quoted=True))
            values.append(Value("end_human", self.human(ended), quoted=True))
            if started is not None and ended >= started:
                values.append(
                    Value("runtime", runtime((ended - started).total_seconds()), quoted=True)
                )
        if node:
            values.append(Value("node", node))
        if submission is not None and submission.cluster:
            values.append(Value("cluster", submission.cluster))
            values += [Value("submitted from", submission.host)] if submission.host else []
        if not index:
            name = str(number)
        else:
            name = f"{number}.{index + 1}"
        return JobBlock(name, values, "" if first else "resumed")

    def _submitted(self, number: int) -> Submitted | None:
        return next(
            (one for (attempt, _), one in self.told.submitted.items() if attempt == number), None
        )

    def resumption(self, number: int, index: int) -> list[Value]:
        """From where and why a later block's execution began."""
        if index:
            return [
                Value("resumed from", "n/a: the scheduler started the script again"),
                Value("reason", "requeued by the scheduler"),
            ]
        intended, before = self.told.intended.get(number), self.told.judged.get(number - 1)
        if intended is not None:
            checkpoint = intended.resume_from
        else:
            checkpoint = ""
        reason = "submitted again"
        if before is not None:
            reason = f"attempt {number - 1} {before.state}" + (
                f": {before.why}" if before.why else ""
            )
        if intended is not None and intended.automatic:
            reason = intended.reason
        values = [
            Value(
                "resumed from",
                self.path(checkpoint) or "n/a: it began anew",
                quoted=bool(checkpoint),
            )
        ]
        values.append(Value("reason", _one_line(reason)))
        if intended is not None and intended.change:
            values.append(
                Value(
                    "changed",
                    ", ".join(f"{name} {value}" for name, value in intended.change.items()),
                )
            )
        if intended is not None:
            values += self.code_since(intended)
        return values

    def code_since(self, intended: Intended) -> list[Value]:
        """The code of a later attempt, as far as it is not that of the attempt before."""
        before = self.told.intended.get(intended.attempt - 1)
        if before is None:
            return []
        values = []
        if intended.git_sha and (intended.git_sha, code_note(intended)) != (
            before.git_sha,
            code_note(before),
        ):
            values.append(Value("commit", intended.git_sha, quoted=True, note=code_note(intended)))
        names = sorted(before.code.keys() | intended.code.keys())
        changed = [name for name in names if before.code.get(name) != intended.code.get(name)]
        if changed and before.code:
            if len(changed) > MOST_NAMES:
                more = f" and {len(changed) - MOST_NAMES} more"
            else:
                more = ""
            values.append(Value("code changed since", ", ".join(changed[:MOST_NAMES]) + more))
        return values

    # ── status
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def status(self) -> list[str]:
        lines: list[tuple[datetime, str]] = []
        for (number, job_id), submitted in self.told.submitted.items():
            if number in self.attempts:
                if number > 1:
                    again = f", attempt {number}"
                else:
                    again = ""
                lines.append((submitted.time, f"submitted as job {job_id}{again}"))
        for rejected in self.told.rejected:
            if rejected.attempt in self.attempts:
                lines.append((rejected.time, f"submission refused: {rejected.message}"))
        for sight in self.told.sights:
            if sight.change.attempt in self.attempts and (words := _sight_words(sight.change)):
                lines.append(
                    (
                        sight.change.facts.started or sight.time
                        if words.startswith("started")
                        else sight.time,
                        words,
                    )
                )
        lines += [(one.time, _health_words(one)) for one in self.told.assessed if self.is_news(one)]
        lines += [
            (one.time, self.end_words(one))
            for number, one in self.told.judged.items()
            if number in self.attempts
        ]
        if self.successor is not None and self.told.intended.get(self.successor.first):
            begun = self.told.intended[self.successor.first]
            lines.append(
                (
                    begun.time,
                    (
                        f"continued in {self.successor.path.rpartition('/')[2]}: "
                        f"{self.difference(begun)}"
                    ),
                )
            )
        return [
            f"{self.stamp(time)} — {_one_line(words)}"
            for time, words in sorted(lines, key=lambda one: one[0])
        ]

    def is_news(self, assessed: Assessed) -> bool:
        """Whether a look is worth a line: that it runs is none, without a step or a loss."""
        if assessed.attempt not in self.attempts:
            return False
        told = (assessed.step, assessed.loss) != (None, None)
        return told or assessed.health != "advancing" or bool(assessed.errors or assessed.note)

    def difference(self, begun: Intended) -> str:
        """In what an attempt differs from the one before it, in words."""
        before = self.told.intended.get(begun.attempt - 1)
        if before:
            return f"{', '.join(differs(before, begun)) or 'its purpose'} differs"
        return "a new run"

    def end_words(self, judged: Judged) -> str:
        code = None
        for sight in self.told.sights:
            if sight.change.attempt == judged.attempt:
                record, facts = sight.change.exit_record, sight.change.facts
                if record is not None:
                    code = record.exit_code
                elif facts.exit_code is not None:
                    code = facts.exit_code
        words = {
            "done": "completed",
            "invalid": "completed, but invalid",
            "failed but good": "failed, but good",
        }
        parts = [words.get(judged.outcome, judged.outcome)]
        if judged.outcome not in ("done", "invalid") and judged.state not in ("FAILED", "NOT_RUN"):
            parts.append(judged.state)
        if code is not None and f"exit code {code}" not in judged.why:
            parts.append(f"exit code {code}")
        learned = judged.learned
        if learned is not None and learned.final_step is not None:
            parts.append(f"step {learned.final_step}")
        if learned is not None and learned.last_train_loss is not None:
            parts.append(f"train_loss {number_words(learned.last_train_loss)}")
        parts += (
            [f"{name} {number_words(value)}" for name, value in list(judged.metrics.items())[:4]]
            if self.evaluates
            else []
        )
        return ", ".join(parts) + "".join(
            f"; {more}" for more in (judged.why, repeated.words(learned)) if more
        )

    # ── results
    # ────────────────────────────────────────────────────────────────────────────────────────────────────

    def results(self) -> list[Value]:
        judged = self.last
        if judged is None or judged.outcome == "not run":
            return []
        blocks = [{value.name: value.value for value in job.fields} for job in self.jobs()]
        if blocks:
            block = blocks[-1]
        else:
            block = {}
        values = []
        if "runtime" in block:
            note = f"start `{block['submitted_start']}`, end `{block['end']}`"
            values.append(Value("runtime", block["runtime"], quoted=True, note=note))
        if self.evaluates:
            values += [Value(name, number_words(value)) for name, value in judged.metrics.items()]
            values += [
                Value("result", self.path(evidence.source), quoted=True)
                for evidence in judged.evidence[:1]
                if judged.outcome in WELL
            ]
            used = [
                *(
                    self.told.intended[self.attempts[-1]].inputs
                    if self.attempts[-1] in self.told.intended
                    else {}
                )
            ]
            used = [one for one in used if "/epoch_" in one]
            values.append(Value("checkpoint", used[0] if used else "n/a: untrained"))
            values.append(Value("loss_one_liner", "n/a: an evaluation"))
            values.append(Value("config_snapshot", NONE))
            return values
        return (
            values
            + (self.of_training(judged.learned) if judged.learned is not None else [])
            + self.used(judged)
        )

    def of_training(self, learned: Learned) -> list[Value]:
        """What a training left: its steps, losses, checkpoints, configuration and, of a pipeline,
        what it made.
        """
        values = [
            Value("final step", str(learned.final_step) if learned.final_step is not None else NONE)
        ]
        values += (
            [Value("total steps", str(learned.total_steps))]
            if learned.total_steps is not None
            else []
        )
        for name in ("train", "val"):
            for key, which in (("start", "first"), ("end", "last")):
                loss: Number | None = getattr(learned, f"{which}_{name}_loss")
                values.append(
                    Value(f"{key}_{name}_loss", number_words(loss) if loss is not None else NONE)
                )
        values += [
            Value(f"loss@{_step(one.step)}", number_words(one.loss)) for one in learned.milestones
        ]
        values.append(Value("loss_one_liner", learned.reading or NONE))
        if learned.repeated:
            values.append(Value("repeated steps", repeated.words(learned)))
        newest = self.path(learned.checkpoint)
        values.append(
            Value("checkpoint", newest or "n/a: no whole one is known", quoted=bool(newest))
        )
        if learned.best:
            values.append(
                Value(
                    "best checkpoint", self.path(learned.best), quoted=True, note=learned.best_why
                )
            )
        if len(learned.kept) > 1:
            values.append(Value("checkpoints kept", self.kept_words(learned.kept)))
        values.append(
            Value("config_snapshot", self.path(learned.config) or NONE, quoted=bool(learned.config))
        )
        if self.about.run_type.startswith("pipeline"):
            values += self.artifacts(learned.artifacts)
        return values

    def kept_words(self, paths: Sequence[str]) -> str:
        """`4: r8/artifacts/epoch_0, …`, the newest of many."""
        shown = [self.path(path) for path in paths[-MOST_KEPT:]]
        more = len(paths) - len(shown)
        return f"{len(paths)}: " + (f"{more} older, " if more else "") + ", ".join(shown)

    def artifacts(self, artifacts: Sequence[Artifact]) -> list[Value]:
        """What a pipeline made, a line each."""
        values = []
        for number, one in enumerate(artifacts, 1):
            if one.sha256:
                hashed = f"sha256 {one.sha256}"
            else:
                hashed = "too large to be hashed here"
            if number == 1:
                key = "artifact"
            else:
                key = f"artifact {number}"
            values.append(
                Value(
                    key, self.path(one.path), quoted=True, note=f"{size(one.size_bytes)}, {hashed}"
                )
            )
        return values

    def used(self, judged: Judged) -> list[Value]:
        if judged.used:
            return [Value("compute", "; ".join(judged.used))]
        return []

    def wandb(self) -> list[Value]:
        judged = self.last
        if judged is None:
            return []
        if judged.learned:
            local = self.path(judged.learned.wandb)
        else:
            local = ""
        if judged.learned:
            among = self.path(judged.learned.wandb_among)
        else:
            among = ""
        if among and not local:
            unsure = f"pending — {among} holds several runs, and nothing says which is this one's"
            return [Value("local", unsure), Value("synced", PENDING), Value("notes", PENDING)]
        if not local:
            return [Value("local", NONE), Value("synced", NONE), Value("notes", NONE)]
        command = f"wandb sync --entity ENTITY --project PROJECT {local}"
        pending = f"pending — run {command}"
        return [
            Value("local", local, quoted=True),
            Value("synced", pending),
            Value("notes", PENDING),
        ]

    def next(self) -> list[Value]:
        judged = self.last
        if judged is None or self.evaluates:
            return []
        again = self.about.command
        if judged.learned:
            checkpoint = self.path(judged.learned.checkpoint)
        else:
            checkpoint = ""
        if judged.outcome in WELL:
            values = [
                Value("for more steps", f"raise the epochs in the configuration, then {again}")
            ]
        else:
            first = f"put right what ended it ({judged.state}), then {again} --retry-failed"
            values = [
                Value(
                    "resume",
                    first
                    + (f"; the newest whole checkpoint is {checkpoint}" if checkpoint else ""),
                )
            ]
        if checkpoint:
            what = (
                f"MODEL_PASSPORT.json + SIGNOFF.json for {checkpoint} come before any "
                "evaluation, upload or hand-off of it"
            )
            values.append(Value("before it is shared", what))
        return values

    # ── times
    # ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def iso(self, time: datetime) -> str:
        return time.astimezone(self.zone).replace(microsecond=0).isoformat().replace("+00:00", "Z")

    def human(self, time: datetime) -> str:
        return human(time.astimezone(self.zone).date())

    def stamp(self, time: datetime) -> str:
        """`2026-03-11 15:00 UTC`, or with the offset where the zone has no letters."""
        local = time.astimezone(self.zone)
        name = local.strftime("%Z")
        return local.strftime("%Y-%m-%d %H:%M ") + (
            name if name.isalpha() and name.isupper() else local.isoformat()[-6:]
        )


def code_note(intended: Intended) -> str:
    """What ran that the commit does not hold, in words; "" where it holds all of it."""
    if intended.git_dirty:
        notes = ["with changes that are not committed"]
    else:
        notes = []
    if intended.uncommitted:
        names = [*intended.uncommitted[:MOST_NAMES]]
        more = len(intended.uncommitted) - len(names)
        notes.append(
            f"not in the commit: {', '.join(names)}" + (f" and {more} more" if more else "")
        )
    if notes:
        return "; ".join([*notes, "kept with the attempt"])
    return ""


def differs(before: Intended, after: Intended) -> list[str]:
    """What of an attempt's purpose is not as it was: its script, a configuration. Empty: it goes on
    with the same work.
    """
    if before.work_sha256 and before.work_sha256 == after.work_sha256:
        return []
    scripts = [one.source_sha256 or one.script_sha256 for one in (before, after)]
    if scripts[0] == scripts[1]:
        found = []
    else:
        found = [after.script]
    names = sorted(before.configs.keys() | after.configs.keys())
    return found + [name for name in names if before.configs.get(name) != after.configs.get(name)]


def number_words(value: Number) -> str:
    """`0.0285`, `12`, `NaN`."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _evaluation_line(evaluation: Evaluation) -> Value:
    judged = evaluation.judged
    if judged.outcome in WELL:
        figures = ", ".join(
            f"{name} {number_words(value)}" for name, value in judged.metrics.items()
        )
        return Value(evaluation.name, figures or "done")
    return Value(evaluation.name, _one_line(f"{judged.outcome}: {judged.why or judged.state}"))


def _sight_words(change: Change) -> str:
    if change.after == "RUNNING" and change.before != "RUNNING":
        return "started" + (f" on {change.facts.node}" if change.facts.node else "")
    if change.after == "PENDING" and change.before not in ("", "PENDING"):
        return "queued again" + (f": {change.facts.reason}" if change.facts.reason else "")
    if change.after == "UNKNOWN":
        return f"unknown: {change.facts.reason}"
    return ""


def _health_words(assessed: Assessed) -> str:
    """`running, step 2400/100000, train_loss 0.085, 3.2 it/s, 2:10:00 left`; anything but advancing
    says so first.
    """
    parts = ["running" if assessed.health == "advancing" else f"running, {assessed.health}"]
    if assessed.step is not None:
        parts.append(
            f"step {assessed.step}" + (f"/{assessed.total}" if assessed.total is not None else "")
        )
    if assessed.loss is not None:
        parts.append(f"train_loss {number_words(assessed.loss)}")
    if assessed.rate_per_s is not None:
        parts.append(f"{assessed.rate_per_s:.3g} it/s")
    if assessed.eta_s is not None:
        parts.append(f"{clock(assessed.eta_s)} left")
    words = ", ".join(parts)
    words += f": {assessed.why}" if assessed.why and assessed.health != "advancing" else ""
    words += f"; see {assessed.report}" if assessed.report else ""
    words += f"; {', '.join(assessed.used)}" if assessed.used else ""
    return words + "".join(
        f"; {more}" for more in (*filter(None, [assessed.note]), *assessed.errors)
    )


def _step(step: int) -> str:
    """`2500`, `5k`."""
    if step and not step % 1000:
        return f"{step // 1000}k"
    return str(step)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:600]
