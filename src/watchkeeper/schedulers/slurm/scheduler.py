"""Slurm (20.11 and later), by its own commands: sbatch, one squeue and at most one sacct a poll,
scancel.

Silence proves nothing here: a daemon that is down makes a look fail (UnavailableError) or a job
unknown, never ended. A job is recognised by the token in its wrapper's path, since Slurm gives ids
again when a controller loses its state. Nobody's answer is taken for the end of a job before
accounting has the whole of it: what squeue shows as ended is COMPLETING until then, for at most
`settle_s`. Without accounting squeue's word stands: it knows the exit code too, while the
controller remembers the job (MinJobAge, 300 s by default); after that, only the wrapper's exit
record does.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path

import msgspec

from watchkeeper.core.disk import files
from watchkeeper.core.errors import RefusedError, StorageError, UnavailableError, UsageError
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.core.text import lazy
from watchkeeper.core.text.odd_bytes import as_text
from watchkeeper.schedulers import arrays
from watchkeeper.schedulers.base import (
    COMPLETING,
    TERMINAL,
    UNKNOWN,
    Job,
    Receipt,
    Snapshot,
    number_of,
)
from watchkeeper.schedulers.sbatch_head import Head, expand, read_head
from watchkeeper.schedulers.shell import NOT_THERE, Done, Shell, Ssh
from watchkeeper.schedulers.site import Site
from watchkeeper.schedulers.slurm import site as slurm_site
from watchkeeper.schedulers.slurm import text
from watchkeeper.schedulers.slurm.text import Row
from watchkeeper.schedulers.wrapper import proof
from watchkeeper.schedulers.wrapper.names import name_beside

# Times in seconds since 1970, whatever the cluster's zone; and arrays' pending tasks in full.
_ENV = {"SLURM_TIME_FORMAT": "%s", "SLURM_BITSTR_LEN": "0"}
# sbatch itself tries for up to 1 + 2 + … + 15 s when the controller is busy, and a minute when it
# finds no configuration.
_SUBMIT_TIMEOUT_S = 240.0
_QUERY_TIMEOUT_S = 90.0
_MOST_SHOWN = 10  # ids in a query as people see it
_NEVER_RETURNS = lazy.pattern(
    rb"^#SBATCH(?:[^#\n]*\s)?(--wait|-W|--test-only)(?=\s|$)", re.MULTILINE
)
_NOT_LIVE = lazy.pattern(r"Invalid job id|already completing or completed|Job/step already")
# What a person says in the environment of how to submit; as options they mean the same, and are
# seen.
_AS_OPTIONS = {
    "SBATCH_ACCOUNT": "--account",
    "SBATCH_PARTITION": "--partition",
    "SBATCH_QOS": "--qos",
    "SBATCH_RESERVATION": "--reservation",
    "SBATCH_TIMELIMIT": "--time",
    "SBATCH_CONSTRAINT": "--constraint",
    "SBATCH_JOB_NAME": "--job-name",
    "SBATCH_OUTPUT": "--output",
    "SBATCH_ERROR": "--error",
    "SBATCH_OPEN_MODE": "--open-mode",
    "SBATCH_EXPORT": "--export",
}
# The first outweighs the second, as for sbatch.
_CLUSTER_VARIABLES = ("SBATCH_CLUSTERS", "SLURM_CLUSTERS")
_NO_VARIABLES: Mapping[str, str] = {}


def options_of(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The sbatch options that a person's SBATCH_ACCOUNT and the like stand for; both outweigh the
    script's lines.
    """
    return tuple(
        f"{option}={environment[name]}"
        for name, option in _AS_OPTIONS.items()
        if environment.get(name)
    )


def cluster_of(
    profile: str, options: Sequence[str], environment: Mapping[str, str]
) -> tuple[str, tuple[str, ...]]:
    """The cluster that jobs go to, "" for the commands' default, and what a person should know of
    that choice: the `profile`'s, one that `options` for sbatch name, or one that was chosen in the
    environment, in this order.

    Raises:
        UsageError: several are named; a job is followed at one.
    """
    sources = {
        "slurm_cluster": profile,
        "sbatch_options": read_head(b"", beside=options).clusters,
        **{name: environment.get(name, "") for name in _CLUSTER_VARIABLES},
    }
    choices = [(choice, source) for source, choice in sources.items() if choice]
    if not choices:
        return "", ()
    cluster, source = choices[0]
    if "," in cluster or cluster == "all":
        hint = "name one of them: slurm_cluster in its profile, or SLURM_CLUSTERS"
        raise UsageError(
            f"{source} names several clusters ({cluster}), and a job is followed at one", hint=hint
        )
    remarks = []
    if source in _CLUSTER_VARIABLES:
        remarks.append(f"{source}={cluster}: jobs go to cluster {cluster}")
    remarks += [
        f"{name}={other} does not count here: {source} says {cluster}"
        for other, name in choices[1:]
        if other != cluster
    ]
    return cluster, tuple(remarks)


class _DeafError(Exception):
    """Accounting did not answer; the message says why, in one line."""


class _Look(msgspec.Struct):
    """What one poll has gathered: job id → facts, job id → token (None: no source names it), and
    why accounting did not answer ("": it did, or was not asked).
    """

    facts: dict[str, SchedulerFacts] = {}
    tokens: dict[str, str | None] = {}
    deaf: str = ""

    def add(self, job_id: str, facts: SchedulerFacts, token: str | None) -> None:
        """Note what is known of a job."""
        self.facts[job_id] = facts
        self.tokens[job_id] = token

    def snapshot(self, query: str, job_ids: Sequence[str]) -> Snapshot:
        """The answer about these jobs, in their order."""
        return Snapshot(
            query=query,
            facts={job_id: self.facts[job_id] for job_id in job_ids if job_id in self.facts},
            tokens={job_id: token for job_id, token in self.tokens.items() if token is not None},
            silent=f"accounting: {self.deaf}" if self.deaf else "",
        )


class _Books(msgspec.Struct, frozen=True):
    """What accounting has: job id → its row. `deaf`: why it did not answer ("": it did, or was not
    asked).
    """

    rows: Mapping[str, Row] = {}
    deaf: str = ""
    is_asked: bool = True


class SlurmScheduler:
    """Submits to and asks one Slurm cluster as `user` ("": who the commands in `shell` run as).

    `cluster` picks one of several that the commands know, "" for their default. `options` go before
    every script; `environment` is the submitter's, of which sbatch reads its own variables;
    `remarks` are what a person should know. `visibility_lag_s`: how long a job or a file may stay
    invisible. `window_days`: how far back accounting is asked; it shrinks where a site forbids that
    much. `settle_s`: how long to wait for accounting after a job's end.
    """

    def __init__(
        self,
        shell: Shell,
        *,
        user: str = "",
        cluster: str = "",
        options: Sequence[str] = (),
        environment: Mapping[str, str] = _NO_VARIABLES,
        remarks: Sequence[str] = (),
        visibility_lag_s: float = 120.0,
        window_days: int = 60,
        settle_s: float = 30.0,
        submit_timeout_s: float = _SUBMIT_TIMEOUT_S,
        query_timeout_s: float = _QUERY_TIMEOUT_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"slurm@{cluster}" if cluster else "slurm"
        # Never 0: a cluster starts jobs again, and the wrapper's heartbeat, which that needs, is
        # only there with a lag.
        self.visibility_lag_s = max(visibility_lag_s, 1.0)
        self._shell = shell
        self.far = shell if isinstance(shell, Ssh) else None
        self._known_user = user
        self._cluster = cluster
        self._default_cluster: str | None = None
        self._elsewhere: set[str] = set()  # clusters at which sbatch said that it has put a job
        self._remarks = tuple(remarks)
        self._variables = {
            name: value for name, value in environment.items() if name.startswith("SBATCH_")
        }
        self._options = list(options)
        self._window_days = window_days
        self._settle_s = settle_s
        self._submit_timeout_s = submit_timeout_s
        self._query_timeout_s = query_timeout_s
        self._monotonic = monotonic
        self._fields: tuple[str, ...] | None = None
        self._light = False
        self._ended: dict[str, tuple[SchedulerFacts, str | None]] = {}
        self._ended_since: dict[str, float] = {}
        self._outputs: dict[tuple[str, str], tuple[str, str]] = {}

    @property
    def _user(self) -> str:
        """Whose jobs they are: by the user id of the commands, whatever USER and LOGNAME say."""
        if not self._known_user:
            for words in (["id", "-un"], ["id", "-u"]):
                done = self._run(words)
                if done.code == 0 and done.out.strip():
                    self._known_user = done.out.strip()
                    break
            else:
                raise UnavailableError(
                    f"whose jobs are they? {text.first_error(done, 'id')}", hint="set `user`"
                )
        return self._known_user

    @property
    def options(self) -> Sequence[str]:
        """The profile's `sbatch_options`."""
        return self._options

    def submit_words(self, script: str) -> str:
        """`sbatch finetune.slurm`."""
        return f"sbatch {shlex.quote(script)}"

    def require(self) -> str:
        """Slurm's version, as `sbatch --version` says it.

        Raises:
            UsageError: there is no Slurm here.
        """
        done = self._shell.run(["sbatch", "--version"], timeout_s=self._query_timeout_s)
        if done.code == NOT_THERE:
            raise UsageError("there is no Slurm here: no sbatch on PATH", hint=text.NO_LOCAL)
        return done.out.strip()

    def proves_claim(self, folder: Path) -> bool:
        """Whether `watchkeeper doctor` has proved it on this filesystem, with a compute node of
        this cluster.
        """
        return proof.find(self.name, folder) is not None

    def site(self) -> Site:
        """What this Slurm takes from the user, by five commands."""
        site = slurm_site.survey(
            self._run, self._user, cluster=self._cluster, options=self._options
        )
        waits = (
            ("SBATCH_WAIT is not handed on: the waiting is done here",)
            if "SBATCH_WAIT" in self._variables
            else ()
        )
        return msgspec.structs.replace(site, remarks=(*self._remarks, *waits))

    # ── submit

    def submit(self, job: Job) -> Receipt:
        """Hand the job to sbatch, from the script's own folder; folders of its output are made
        first, else Slurm loses it. Raises as the protocol says.
        """
        head = self._examine(job)
        beside = job.folder / name_beside(job.token)
        argv = self._argv(
            job, head, beside if job.token and files.point_to(beside, job.wrapper) else job.wrapper
        )
        variables = {
            name: value for name, value in self._variables.items() if name != "SBATCH_WAIT"
        }
        done = self._shell.run(
            argv, timeout_s=self._submit_timeout_s, folder=str(job.folder), env=variables
        )
        if (no := text.no_of(done)) is not None:
            raise no
        number, cluster = text.job_of(done.out) or ("", "")
        return Receipt(job_id=self._id_at(number, cluster), exact=as_text(shlex.join(argv)))

    def _id_at(self, number: str, cluster: str) -> str:
        """A job's id as it is asked for later: `17`, or `17;two` at another cluster than this
        scheduler's own.
        """
        if not cluster or cluster == self._cluster:
            return number
        if not self._cluster:
            if self._default_cluster is None:
                config = slurm_site.read_config(self._run(["scontrol", "show", "config"]).out)
                self._default_cluster = config.get("ClusterName", "")
            if cluster == self._default_cluster:
                return number
        self._elsewhere.add(cluster)
        return f"{number};{cluster}"

    def exact_words(self, job: Job, head: Head) -> str:
        """The sbatch command that `submit` would run in the job's folder. Raises as the protocol
        says.
        """
        return as_text(shlex.join(self._argv(job, head, job.folder / name_beside(job.token))))

    def _argv(self, job: Job, head: Head, script: Path) -> list[str]:
        if match := _NEVER_RETURNS.search(head.data):
            option = match.group(1).decode()
            hint = f"take {option} out of its #SBATCH lines"
            raise RefusedError(f"with {option}, sbatch does not submit and return", hint=hint)
        self._refuse_elsewhere(head)
        argv = [
            "sbatch",
            "--parsable",
            *_named(self._cluster),
            *self._options,
            f"--job-name={head.name}",
        ]
        if job.after:
            # A script's own dependency holds as well; the option alone would replace it.
            if "?" in head.dependency:
                hint = "run without --queue-ahead, or take the script's own --dependency out"
                raise RefusedError("a --dependency with ? cannot be joined with another", hint=hint)
            if head.dependency:
                own = f",{head.dependency}"
            else:
                own = ""
            argv.append(f"--dependency=afterany:{':'.join(job.after)}{own}")
        if job.array:
            argv.append(f"--array={job.array}")
        if not head.open_mode and not any(
            option.startswith("--open-mode") for option in self._options
        ):
            # When Slurm starts it again, what its first execution said must stay.
            argv.append("--open-mode=append")
        return [*argv, str(script)]

    def _refuse_elsewhere(self, head: Head) -> None:
        """A job is followed where this scheduler asks, and as the script describes it."""
        if head.clusters and head.clusters != self._cluster:
            if self._cluster:
                where = f"cluster {self._cluster}"
            else:
                where = "the default cluster"
            hint = (
                f'write slurm_cluster = "{head.clusters}" into its profile, or set '
                f"SLURM_CLUSTERS={head.clusters}"
            )
            raise RefusedError(
                f"its --clusters={head.clusters} is not {where}, which is asked for jobs", hint=hint
            )
        if self._variables.get("SBATCH_ARRAY_INX"):
            hint = "unset it, and write --array into the scripts that are arrays"
            raise RefusedError("SBATCH_ARRAY_INX would make an array of every script", hint=hint)

    def _examine(self, job: Job) -> Head:
        try:
            head = read_head(files.read_whole(job.wrapper), name=job.name, beside=self._options)
        except OSError as error:
            raise RefusedError(
                f"cannot read the batch script {job.wrapper}: {error.strerror}"
            ) from error
        if not job.folder.is_dir():
            raise RefusedError(f"there is no folder {job.folder} to run {job.wrapper} in")
        for pattern in filter(None, (head.output, head.error)):
            parent = Path(
                expand(pattern, job_id="%j", name=head.name, user=self._user, node="%N")
            ).parent
            # A folder named after the job's id or node cannot be made before there is one.
            if "%" in str(parent):
                continue
            try:
                files.make_folder(job.folder / head.folder / parent)
            except StorageError as error:
                raise RefusedError(
                    f"Slurm would lose the job's output: {error}", hint=error.hint
                ) from error
        return head

    # ── look

    def find(self, token: str) -> Sequence[str]:
        """The ids of all jobs with the token, oldest first, from squeue and accounting.

        Raises:
            UnavailableError: squeue does not answer; or it knows none, and accounting does not
                answer.
        """
        newest: dict[str, Row] = {}
        for cluster in (self._cluster, *sorted(self._elsewhere)):
            rows = [row for row in self._squeue(cluster) if row.token == token]
            try:
                which = [f"--user={self._user}", "--allocations"]
                rows += [row for row in self._sacct(which, cluster) if row.token == token]
            except _DeafError as error:
                if not rows:
                    raise UnavailableError(
                        f"squeue shows no such job, and accounting does not answer: {error}"
                    ) from error
            for row in rows:
                newest.setdefault(self._id_at(text.base_of(row.job_id), cluster), row)

        def age(job_id: str) -> tuple[bool, datetime | None, int]:
            return (
                newest[job_id].submitted is None,
                newest[job_id].submitted,
                int(number_of(job_id)),
            )

        return sorted(newest, key=age)

    def poll(self, job_ids: Sequence[str]) -> Snapshot:
        """Look at these jobs: one squeue, and one sacct if some have ended.

        A job that squeue does not show and accounting has no whole end of is UNKNOWN, with the
        reason; where neither has a row of it, it is absent.

        Raises:
            UnavailableError: squeue does not answer.
        """
        (snapshot,) = self.poll_groups([job_ids])
        return snapshot

    def poll_groups(self, groups: Sequence[Sequence[str]]) -> list[Snapshot]:
        """Look at several groups of jobs as `poll` does, all of them by the commands of one look.

        Raises:
            UnavailableError: squeue does not answer.
        """
        query = shlex.join(["squeue", *_named(self._cluster), "-u", self._user, "--states=all"])
        live = self._live(dict.fromkeys(chain.from_iterable(groups)))
        looks = [_Look() for _ in groups]
        ended = [
            self._look_at_live(job_ids, live, look)
            for job_ids, look in zip(groups, looks, strict=True)
        ]
        books = self._ask_accounting(dict.fromkeys(chain.from_iterable(ended)))
        snapshots: list[Snapshot] = []
        for job_ids, over, look in zip(groups, ended, looks, strict=True):
            words = self._look_at_ended(over, live, books, look)
            comment = _comment(job_ids) if job_ids else ""
            snapshots.append(look.snapshot(query + words + comment, job_ids))
        return snapshots

    def _look_at_live(
        self, job_ids: Sequence[str], live: Mapping[str, Row], look: _Look
    ) -> list[str]:
        """Add to `look` the jobs that squeue shows as live, and those whose end is known. Returns
        the others.
        """
        ended: list[str] = []
        for job_id in job_ids:
            row = live.get(job_id)
            if row is not None and row.state not in TERMINAL:
                look.add(job_id, self._facts(row), row.token)
                self._ended.pop(job_id, None)
                self._ended_since.pop(job_id, None)
            elif self._is_remembered(job_id, row):
                look.add(job_id, *self._ended[job_id])
            else:
                ended.append(job_id)
        return ended

    def _is_remembered(self, job_id: str, shown: Row | None) -> bool:
        """Whether the end of this job is known already; squeue may show another job of that id."""
        if job_id not in self._ended:
            return False
        _, token = self._ended[job_id]
        return shown is None or shown.token == token

    def cancel(self, job_id: str) -> None:
        """Cancel the job after another look: one that has ended, or is not ours, is ignored.

        Raises:
            UnavailableError: Slurm does not answer.
        """
        row = self._live([job_id]).get(job_id)
        if row is None or row.state in TERMINAL or not row.token:
            return
        done = self._run(["scancel", *_named(self._cluster_of(job_id)), number_of(job_id)])
        if done.code != 0 and not _NOT_LIVE.search(done.err):
            raise UnavailableError(text.first_error(done, "scancel"))

    # ── what has ended

    def _ask_accounting(self, job_ids: Collection[str]) -> _Books:
        """What accounting has of these jobs. It is not asked of none, nor where there is none."""
        if not job_ids or self._light:
            return _Books(is_asked=False)
        try:
            return _Books(rows=self._booked(job_ids))
        except _DeafError as error:
            return _Books(deaf=str(error))

    def _look_at_ended(
        self, job_ids: Sequence[str], live: Mapping[str, Row], books: _Books, look: _Look
    ) -> str:
        """Add to `look` the jobs that squeue shows as ended or not at all. Returns what accounting
        answered to, in words, as it follows squeue's command.
        """
        if not job_ids:
            return ""
        look.deaf = books.deaf
        for job_id in job_ids:
            self._judge(job_id, live.get(job_id), books.rows.get(job_id), look)
        if not books.is_asked or books.deaf:
            return ""
        return f"; sacct -j {','.join(job_ids[:_MOST_SHOWN])}"

    def _judge(self, job_id: str, shown: Row | None, booked: Row | None, look: _Look) -> None:
        """Add a job to `look` that is live no more, by what squeue has `shown` and accounting has
        `booked` of it.
        """
        has_waited = self._waited(job_id) >= self._settle_s
        if booked is not None and _is_another_job(booked, shown):
            booked = None
        best = booked or shown
        if best is not None:
            is_final = bool(self._light or look.deaf or has_waited)
            facts = self._settle(job_id, shown, booked, has_waited=has_waited, is_final=is_final)
            if facts is None:
                is_over = shown is not None or best.state in TERMINAL
                facts = self._unsettled(best, is_over=is_over)
            look.add(job_id, facts, _token_of(best, shown))
        elif look.deaf:
            reason = f"squeue shows it no more, and accounting does not answer: {look.deaf}"
            look.facts[job_id] = SchedulerFacts(state=UNKNOWN, reason=reason)

    def _settle(
        self,
        job_id: str,
        shown: Row | None,
        booked: Row | None,
        *,
        has_waited: bool,
        is_final: bool,
    ) -> SchedulerFacts | None:
        """The facts of a job that has ended; None: its end is not known yet. `is_final`: nothing
        better than what squeue has shown will come.
        """
        if booked is not None and _lacks_tasks(booked, shown):
            booked = None
        if booked is not None and _is_end(booked, has_waited=has_waited):
            return self._end(job_id, booked, shown)
        if shown is not None and is_final:
            return self._end(job_id, shown, None)
        return None

    def _unsettled(self, row: Row, *, is_over: bool) -> SchedulerFacts:
        """The facts of a job whose end accounting does not have yet; `is_over`: it has ended."""
        facts = self._facts(row)
        if is_over:
            reason = "it has ended; accounting does not have the whole of it yet"
            return msgspec.structs.replace(facts, state=COMPLETING, reason=reason, ended=None)
        reason = f"squeue shows it no more, and accounting says {row.raw_state}"
        return msgspec.structs.replace(facts, state=UNKNOWN, reason=reason)

    def _end(self, job_id: str, row: Row, shown: Row | None) -> SchedulerFacts:
        """The facts of a job whose end is known, which stay as they are. squeue's reason and exit
        code say more than accounting's.
        """
        if shown is not None:
            exit_code = row.exit_code
            if shown.exit_code is not None:
                exit_code = shown.exit_code
            row = msgspec.structs.replace(
                row,
                reason=shown.reason or row.reason,
                exit_code=exit_code,
                token=shown.token,
                name=shown.name,
                folder=shown.folder,
            )
        facts = self._facts(row, command=shown.command if shown else "")
        self._ended[job_id] = (facts, row.token)
        self._ended_since.pop(job_id, None)
        return facts

    def _waited(self, job_id: str) -> float:
        """Seconds since this job was first seen to be live no more."""
        now = self._monotonic()
        return now - self._ended_since.setdefault(job_id, now)

    # ── the commands

    def _run(self, argv: Sequence[str]) -> Done:
        return self._shell.run(argv, timeout_s=self._query_timeout_s, env=_ENV)

    def _cluster_of(self, job_id: str) -> str:
        return job_id.partition(";")[2] or self._cluster

    def _by_cluster(self, job_ids: Iterable[str]) -> dict[str, list[str]]:
        """Cluster → the jobs that are there."""
        there: dict[str, list[str]] = {}
        for job_id in job_ids:
            there.setdefault(self._cluster_of(job_id), []).append(job_id)
        return there

    def _live(self, job_ids: Iterable[str]) -> dict[str, Row]:
        """Job → squeue's row of it, by one squeue for each cluster that has one of these jobs."""
        live: dict[str, Row] = {}
        for cluster, ids in self._by_cluster(job_ids).items():
            rows = text.by_id(self._squeue(cluster))
            live |= {job_id: rows[number_of(job_id)] for job_id in ids if number_of(job_id) in rows}
        return live

    def _squeue(self, cluster: str) -> list[Row]:
        # Jobs in hidden partitions too.
        argv = [
            "squeue",
            *_named(cluster),
            "--all",
            "--noheader",
            f"--user={self._user}",
            "--states=all",
        ]
        done = self._run([*argv, f"--Format={text.SQUEUE_FORMAT}"])
        if done.code == NOT_THERE:
            raise UnavailableError("there is no squeue here", hint=text.NO_LOCAL)
        if done.code != 0:
            raise UnavailableError(text.first_error(done, "squeue"))
        return text.read_squeue(done.out)

    def _booked(self, job_ids: Iterable[str]) -> dict[str, Row]:
        booked: dict[str, Row] = {}
        for cluster, ids in self._by_cluster(job_ids).items():
            rows: list[Row] = []
            for batch in text.batches(map(number_of, ids)):
                rows += self._sacct([f"--jobs={batch}"], cluster)
            last = text.by_id(rows)
            booked |= {
                job_id: last[number_of(job_id)] for job_id in ids if number_of(job_id) in last
            }
        return booked

    def _sacct(self, which: Sequence[str], cluster: str) -> list[Row]:
        """Accounting's rows; none at a site without accounting, which is found out once. Raises
        _DeafError.
        """
        # The fields that this Slurm offers are asked once: an unknown one would fail every command.
        if self._fields is None and (done := self._ask_sacct("--helpformat")) is not None:
            offered = set(done.out.split())
            self._fields = tuple(field for field in text.SACCT_FIELDS if field in offered)
        while not self._light and self._fields is not None:
            start = f"--starttime=now-{self._window_days}days"
            layout = [
                "--parsable2",
                "--duplicates",
                f"--delimiter={text.SEPARATOR}",
                f"--format={','.join(self._fields)}",
            ]
            done = self._ask_sacct(*_named(cluster), *layout, start, *which)
            if done is not None and done.code == 0:
                return text.read_sacct(done.out)
        return []

    def _ask_sacct(self, *options: str) -> Done | None:
        """One sacct; None at a site without accounting. One that asked for too long a time, and has
        a code other than 0, can be asked again: the window is shorter now.
        """
        if self._light:
            return None
        done = self._run(["sacct", *options])
        if done.code == NOT_THERE or "accounting storage is disabled" in done.err:
            self._light = True
            return None
        if "Too wide of a date range" in done.err and self._window_days > 1:
            self._window_days //= 2
        elif done.code != 0:
            raise _DeafError(text.first_error(done, "sacct"))
        return done

    # ── where its output is

    def _facts(self, row: Row, command: str = "") -> SchedulerFacts:
        output, error = self._output(row, command or row.command)
        return msgspec.structs.replace(row.facts(), output=output, error_output=error)

    def _output(self, row: Row, command: str) -> tuple[str, str]:
        """Where standard output and error of a job of ours go; "" where that is not known yet.
        The wrapper carries the user's own head.
        """
        execution = (row.job_id, row.token or "")
        if execution in self._outputs:
            return self._outputs[execution]
        if not row.token or not row.folder:
            return "", ""
        try:
            head = read_head(
                files.read_whole(_wrapper_in(command)), name=row.name, beside=self._options
            )
        except OSError:
            return "", ""

        output = self._place(head.output, row, head)
        error = self._place(head.error or head.output, row, head)
        # Before it has a node, %N has no value; only what is certain is remembered.
        if row.node or "%N" not in head.output + head.error:
            self._outputs[execution] = (output, error)
        return output, error

    def _place(self, pattern: str, row: Row, head: Head) -> str:
        """The path that this pattern of a script's head means for a job."""
        array_id, _, number = row.job_id.partition("_")
        name = expand(
            pattern,
            job_id=row.raw_id,
            name=row.name or head.name,
            user=self._user,
            node=row.node or "%N",
            task=(array_id, number) if number else ("", ""),
        )
        return str(Path(row.folder) / name)


def _is_another_job(booked: Row, shown: Row | None) -> bool:
    """Whether accounting still has the job that had this id before."""
    if shown is None or booked.token is None:
        return False
    return booked.token != shown.token


def _token_of(best: Row, shown: Row | None) -> str | None:
    """The job's token; None: neither source names the command."""
    if best.token is None and shown is not None:
        return shown.token
    return best.token


def _lacks_tasks(booked: Row, shown: Row | None) -> bool:
    """Whether accounting lacks tasks of an array that squeue shows: its first row of an array names
    none.
    """
    if shown is None:
        return False
    return not set(arrays.by_task(shown.tasks)) <= set(arrays.by_task(booked.tasks))


def _is_end(booked: Row, *, has_waited: bool) -> bool:
    """Whether accounting's row is the end of a job: a whole one, or any after the wait for it."""
    return text.is_settled(booked) or (has_waited and booked.state in TERMINAL)


def _named(cluster: str) -> list[str]:
    if cluster:
        return [f"--clusters={cluster}"]
    return []


def _wrapper_in(command: str) -> Path:
    """The wrapper's path: the whole command, or the end of the line that was typed to submit it."""
    for at in (slash.start() + 1 for slash in re.finditer(r" /", command)):
        if (path := Path(command[at:])).is_file():
            return path
    return Path(command)


def _comment(job_ids: Sequence[str]) -> str:
    """Which jobs were looked for, as a shell's comment: what precedes it can be typed again."""
    more = len(job_ids) - _MOST_SHOWN
    return f"  # jobs {','.join(job_ids[:_MOST_SHOWN])}" + (f" and {more} more" if more > 0 else "")
