"""Slurm (20.11 and later), by its own commands: sbatch, one squeue and at most one sacct a poll, scancel.

Silence proves nothing here: a daemon that is down makes a look fail (UnavailableError) or a job unknown, never ended. A
job is recognised by the token in its wrapper's path, since Slurm gives ids again when a controller loses its state.
Nobody's answer is taken for the end of a job before accounting has the whole of it: what squeue shows as ended is
COMPLETING until then, for at most `settle_s`. Without accounting squeue's word stands: it knows the exit code too, while
the controller remembers the job (MinJobAge, 300 s by default); after that, only the wrapper's exit record does.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core import files
from watchkeeper.core.errors import RefusedError, StorageError, UnavailableError, UsageError
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.schedulers import arrays, proof, slurm_site
from watchkeeper.schedulers import slurm_text as text
from watchkeeper.schedulers.base import TERMINAL, UNKNOWN, Job, Receipt, Snapshot
from watchkeeper.schedulers.batch import Head, expand, read_head
from watchkeeper.schedulers.shell import NOT_THERE, Done, Shell, Ssh
from watchkeeper.schedulers.site import Site
from watchkeeper.schedulers.slurm_text import Row
from watchkeeper.schedulers.wrapper import name_beside

# Times in seconds since 1970, whatever the cluster's zone; and arrays' pending tasks in full.
_ENV = {"SLURM_TIME_FORMAT": "%s", "SLURM_BITSTR_LEN": "0"}
# sbatch itself tries for up to 1 + 2 + … + 15 s when the controller is busy, and a minute when it finds no configuration.
_SUBMIT_TIMEOUT_S = 240.0
_QUERY_TIMEOUT_S = 90.0
_MOST_SHOWN = 10  # ids in a query as people see it
_NEVER_RETURNS = re.compile(rb"^#SBATCH(?:[^#\n]*\s)?(--wait|-W|--test-only)(?=\s|$)", re.MULTILINE)
_NOT_LIVE = re.compile(r"Invalid job id|already completing or completed|Job/step already")
# What a person says in the environment of where to submit; as options they mean the same, and do not reach the job.
_AS_OPTIONS = {
    "SBATCH_ACCOUNT": "--account",
    "SBATCH_PARTITION": "--partition",
    "SBATCH_QOS": "--qos",
    "SBATCH_RESERVATION": "--reservation",
    "SBATCH_TIMELIMIT": "--time",
    "SBATCH_CONSTRAINT": "--constraint",
}


def options_of(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The sbatch options that a person's SBATCH_ACCOUNT and the like stand for; both outweigh the script's lines."""
    return tuple(f"{option}={environment[name]}" for name, option in _AS_OPTIONS.items() if environment.get(name))


class _DeafError(Exception):
    """Accounting did not answer; the message says why, in one line."""


class SlurmScheduler:
    """Submits to and asks one Slurm cluster as `user`, by commands run in `shell`.

    `cluster` picks one of several that the commands know, "" for their default. `options` go before every script.
    `visibility_lag_s`: how long a job or a file may stay invisible. `window_days`: how far back accounting is asked; it
    shrinks where a site forbids that much. `settle_s`: how long to wait for accounting after a job's end.
    """

    def __init__(
        self,
        shell: Shell,
        *,
        user: str,
        cluster: str = "",
        options: Sequence[str] = (),
        visibility_lag_s: float = 120.0,
        window_days: int = 60,
        settle_s: float = 30.0,
        submit_timeout_s: float = _SUBMIT_TIMEOUT_S,
        query_timeout_s: float = _QUERY_TIMEOUT_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"slurm@{cluster}" if cluster else "slurm"
        # Never 0: a cluster starts jobs again, and the wrapper's heartbeat, which that needs, is only there with a lag.
        self.visibility_lag_s = max(visibility_lag_s, 1.0)
        self._shell = shell
        self.far = shell if isinstance(shell, Ssh) else None
        self._user = user
        self._cluster = cluster
        self._clusters = [f"--clusters={cluster}"] if cluster else []
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
        """Whether `watchkeeper doctor` has proved it on this filesystem, with a compute node of this cluster."""
        return proof.find(self.name, folder) is not None

    def site(self) -> Site:
        """What this Slurm takes from the user, by five commands."""
        return slurm_site.survey(self._run, self._user, cluster=self._cluster, options=self._options)

    # ── submit ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def submit(self, job: Job) -> Receipt:
        """Hand the job to sbatch, from the script's own folder; folders of its output are made first, else Slurm loses
        it. Raises as the protocol says.
        """
        head = self._examine(job)
        beside = job.folder / name_beside(job.token)
        argv = self._argv(job, head, beside if job.token and files.point_to(beside, job.wrapper) else job.wrapper)
        done = self._shell.run(argv, timeout_s=self._submit_timeout_s, folder=str(job.folder))
        if (no := text.no_of(done)) is not None:
            raise no
        return Receipt(job_id=text.job_id_of(done.out) or "", exact=shlex.join(argv))

    def exact_words(self, job: Job, head: Head) -> str:
        """The sbatch command that `submit` would run in the job's folder. Raises as the protocol says."""
        return shlex.join(self._argv(job, head, job.folder / name_beside(job.token)))

    def _argv(self, job: Job, head: Head, script: Path) -> list[str]:
        if found := _NEVER_RETURNS.search(head.data):
            option = found.group(1).decode()
            hint = f"take {option} out of its #SBATCH lines"
            raise RefusedError(f"with {option}, sbatch does not submit and return", hint=hint)
        argv = ["sbatch", "--parsable", *self._clusters, *self._options, f"--job-name={head.name}"]
        if job.after:
            # A script's own dependency holds as well; the option alone would replace it.
            if "?" in head.dependency:
                hint = "run without --queue-ahead, or take the script's own --dependency out"
                raise RefusedError("a --dependency with ? cannot be joined with another", hint=hint)
            own = f",{head.dependency}" if head.dependency else ""
            argv.append(f"--dependency=afterany:{':'.join(job.after)}{own}")
        if job.array:
            argv.append(f"--array={job.array}")
        if not head.open_mode and not any(option.startswith("--open-mode") for option in self._options):
            # When Slurm starts it again, what its first execution said must stay.
            argv.append("--open-mode=append")
        return [*argv, str(script)]

    def _examine(self, job: Job) -> Head:
        try:
            head = read_head(job.wrapper.read_bytes(), name=job.name)
        except OSError as error:
            raise RefusedError(f"cannot read the batch script {job.wrapper}: {error.strerror}") from error
        if not job.folder.is_dir():
            raise RefusedError(f"there is no folder {job.folder} to run {job.wrapper} in")
        for pattern in filter(None, (head.output, head.error)):
            parent = Path(expand(pattern, job_id="%j", name=head.name, user=self._user, node="%N")).parent
            # A folder named after the job's id or node cannot be made before there is one.
            if "%" in str(parent):
                continue
            try:
                files.make_folder(job.folder / head.folder / parent)
            except StorageError as error:
                raise RefusedError(f"Slurm would lose the job's output: {error}", hint=error.hint) from error
        return head

    # ── look ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, token: str) -> Sequence[str]:
        """The ids of all jobs with the token, oldest first, from squeue and accounting.

        Raises:
            UnavailableError: squeue does not answer; or it knows none, and accounting does not answer.
        """
        rows = [row for row in self._squeue() if row.token == token]
        try:
            rows += [row for row in self._sacct([f"--user={self._user}", "--allocations"]) if row.token == token]
        except _DeafError as error:
            if not rows:
                raise UnavailableError(f"squeue shows no such job, and accounting does not answer: {error}") from error
        found: dict[str, Row] = {}
        for row in rows:
            found.setdefault(text.base_of(row.job_id), row)
        return sorted(found, key=lambda job_id: (found[job_id].submitted is None, found[job_id].submitted, int(job_id)))

    def poll(self, job_ids: Sequence[str]) -> Snapshot:
        """Look at these jobs: one squeue, and one sacct if some have ended.

        A job that squeue does not show and accounting has no whole end of is UNKNOWN, with the reason; where neither has
        a row of it, it is absent.

        Raises:
            UnavailableError: squeue does not answer.
        """
        query = shlex.join(["squeue", *self._clusters, "-u", self._user, "--states=all"])
        if not job_ids:
            return Snapshot(query=query, facts={})
        live = text.by_id(self._squeue())
        known: dict[str, SchedulerFacts] = {}
        tokens: dict[str, str | None] = {}
        ended: list[str] = []
        for job_id in job_ids:
            row = live.get(job_id)
            if row is not None and row.state not in TERMINAL:
                known[job_id], tokens[job_id] = self._facts(row), row.token
                self._ended.pop(job_id, None)
                self._ended_since.pop(job_id, None)
            elif (seen := self._ended.get(job_id)) is not None and (row is None or row.token == seen[1]):
                known[job_id], tokens[job_id] = seen
            else:
                ended.append(job_id)
        deaf = ""
        if ended:
            words, deaf = self._look_at_ended(ended, live, known, tokens)
            query += words
        return Snapshot(
            query=query + _comment(job_ids),
            facts={job_id: known[job_id] for job_id in job_ids if job_id in known},
            tokens={job_id: token for job_id, token in tokens.items() if token is not None},
            silent=f"accounting: {deaf}" if deaf else "",
        )

    def cancel(self, job_id: str) -> None:
        """scancel, after another look: a job that has ended, or is none of ours, is let be.

        Raises:
            UnavailableError: Slurm does not answer.
        """
        row = text.by_id(self._squeue()).get(job_id)
        if row is None or row.state in TERMINAL or not row.token:
            return
        done = self._run(["scancel", *self._clusters, job_id])
        if done.code != 0 and not _NOT_LIVE.search(done.err):
            raise UnavailableError(text.first_error(done, "scancel"))

    # ── what has ended ─────────────────────────────────────────────────────────────────────────────────────────────

    def _look_at_ended(
        self,
        job_ids: Sequence[str],
        live: Mapping[str, Row],
        known: dict[str, SchedulerFacts],
        tokens: dict[str, str | None],
    ) -> tuple[str, str]:
        """Fill in what squeue shows as ended or not at all. Returns what was asked, in words, and why accounting did not
        answer.
        """
        booked: dict[str, Row] = {}
        deaf, words = "", ""
        if not self._light:
            try:
                booked = text.by_id(self._booked(job_ids))
                words = f"; sacct -j {','.join(job_ids[:_MOST_SHOWN])}"
            except _DeafError as error:
                deaf = str(error)
        for job_id in job_ids:
            shown, row = live.get(job_id), booked.get(job_id)
            waited = self._waited(job_id) >= self._settle_s
            if shown is not None and row is not None and row.token is not None and row.token != shown.token:
                row = None  # accounting still has the job that had this id before
            best = row or shown
            if best is None:
                if deaf:
                    reason = f"squeue shows it no more, and accounting does not answer: {deaf}"
                    known[job_id] = SchedulerFacts(state=UNKNOWN, reason=reason)
                continue
            tokens[job_id] = best.token if best.token is not None else shown.token if shown else None
            if (
                row is not None
                and shown is not None
                and not set(arrays.by_task(shown.tasks)) <= set(arrays.by_task(row.tasks))
            ):
                row = None  # of an array, accounting first has one row that says nothing of tasks
            if row is not None and (text.is_settled(row) or (waited and row.state in TERMINAL)):
                known[job_id] = self._end(job_id, row, shown)
            elif shown is not None and (self._light or deaf or waited):
                known[job_id] = self._end(job_id, shown, None)
            elif shown is not None or best.state in TERMINAL:
                reason = "it has ended; accounting does not have the whole of it yet"
                known[job_id] = msgspec.structs.replace(self._facts(best), state="COMPLETING", reason=reason, ended=None)
            else:
                reason = f"squeue shows it no more, and accounting says {best.told}"
                known[job_id] = msgspec.structs.replace(self._facts(best), state=UNKNOWN, reason=reason)
        return words, deaf

    def _end(self, job_id: str, row: Row, shown: Row | None) -> SchedulerFacts:
        """The facts of a job whose end is known, which stay as they are. squeue's reason and exit code say more than
        accounting's.
        """
        if shown is not None:
            reason, code = shown.reason or row.reason, shown.exit_code if shown.exit_code is not None else row.exit_code
            row = msgspec.structs.replace(
                row, reason=reason, exit_code=code, token=shown.token, name=shown.name, folder=shown.folder
            )
        facts = self._facts(row, command=shown.command if shown else "")
        self._ended[job_id] = (facts, row.token)
        self._ended_since.pop(job_id, None)
        return facts

    def _waited(self, job_id: str) -> float:
        """Seconds since this job was first seen to be live no more."""
        now = self._monotonic()
        return now - self._ended_since.setdefault(job_id, now)

    # ── the commands ───────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self, argv: Sequence[str]) -> Done:
        return self._shell.run(argv, timeout_s=self._query_timeout_s, env=_ENV)

    def _squeue(self) -> list[Row]:
        argv = ["squeue", *self._clusters, "--noheader", f"--user={self._user}", "--states=all"]
        done = self._run([*argv, f"--Format={text.SQUEUE_FORMAT}"])
        if done.code == NOT_THERE:
            raise UnavailableError("there is no squeue here", hint=text.NO_LOCAL)
        if done.code != 0:
            raise UnavailableError(text.first_error(done, "squeue"))
        return text.read_squeue(done.out)

    def _booked(self, job_ids: Iterable[str]) -> list[Row]:
        rows: list[Row] = []
        for batch in text.batches(job_ids):
            rows += self._sacct([f"--jobs={batch}"])
        return rows

    def _sacct(self, which: Sequence[str]) -> list[Row]:
        """Accounting's rows; none at a site without accounting, which is found out once. Raises _DeafError."""
        # The fields that this Slurm offers are asked once: an unknown one would fail every command.
        if self._fields is None and (done := self._ask_sacct("--helpformat")) is not None:
            offered = set(done.out.split())
            self._fields = tuple(field for field in text.SACCT_FIELDS if field in offered)
        while not self._light and self._fields is not None:
            start = f"--starttime=now-{self._window_days}days"
            layout = ["--parsable2", "--duplicates", f"--delimiter={text.SEPARATOR}", f"--format={','.join(self._fields)}"]
            done = self._ask_sacct(*self._clusters, *layout, start, *which)
            if done is not None and done.code == 0:
                return text.read_sacct(done.out)
        return []

    def _ask_sacct(self, *options: str) -> Done | None:
        """One sacct; None at a site without accounting. One that asked for too long a time, and has a code other than 0,
        can be asked again: the window is shorter now.
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

    # ── where its output is ────────────────────────────────────────────────────────────────────────────────────────

    def _facts(self, row: Row, command: str = "") -> SchedulerFacts:
        output, error = self._output(row, command or row.command)
        return msgspec.structs.replace(row.facts(), output=output, error_output=error)

    def _output(self, row: Row, command: str) -> tuple[str, str]:
        """Where standard output and error of a job of ours go; "" where that cannot be told yet. The wrapper carries the
        user's own head.
        """
        name = (row.job_id, row.token or "")
        if name in self._outputs or not row.token or not row.folder:
            return self._outputs.get(name, ("", ""))
        try:
            head = read_head(_wrapper_in(command).read_bytes(), name=row.name)
        except OSError:
            return "", ""

        def place(pattern: str) -> str:
            job_name = row.name or head.name
            array_id, _, number = row.job_id.partition("_")
            task = (array_id, number) if number else ("", "")
            expanded = expand(pattern, job_id=row.raw_id, name=job_name, user=self._user, node=row.node or "%N", task=task)
            return str(Path(row.folder) / expanded)

        found = place(head.output), place(head.error or head.output)
        # Before it has a node, %N has no value; what is certain is remembered.
        if row.node or "%N" not in head.output + head.error:
            self._outputs[name] = found
        return found


def _wrapper_in(command: str) -> Path:
    """The wrapper's path: the whole command, or the end of the line that was typed to submit it."""
    for at in (found.start() + 1 for found in re.finditer(r" /", command)):
        if (path := Path(command[at:])).is_file():
            return path
    return Path(command)


def _comment(job_ids: Sequence[str]) -> str:
    """Which jobs were looked for, as a shell's comment: what stands before it can be typed again."""
    more = len(job_ids) - _MOST_SHOWN
    return f"  # jobs {','.join(job_ids[:_MOST_SHOWN])}" + (f" and {more} more" if more > 0 else "")
