"""The wrapper: a batch script around the user's, which runs an attempt at most once (law 5) and
says how it ended.

It is the user's head, so that every directive means what it meant, and then bash and coreutils
only: a compute node needs no Python for it. It claims the attempt by a hard link of a complete
file, judged by reading it back; runs the frozen copy of the script as a child; hands on signals;
writes the exit record; and ends with the child's code.

What the claim is depends on: hard links within one folder that are atomic and seen alike by every
node. Where that cannot be told, the wrapper runs nothing and ends with CANNOT_TELL.
"""

from __future__ import annotations

import math
import os
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from watchkeeper.core import processes
from watchkeeper.core.disk import files
from watchkeeper.core.disk.records import UnreadableRecordError, read_record
from watchkeeper.core.errors import Problem, StorageError
from watchkeeper.core.events import BootId, ExitRecord, Host, JobId
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.core.text import redaction
from watchkeeper.schedulers.sbatch_head import Head, read_head

# How a wrapper ends that ran nothing. A script may use the same codes: what was run has an exit
# record.
TWIN = 211  # another job, or this one before, has the attempt
FINISHED = 212  # the attempt has ended
CANNOT_TELL = 213  # the claim could be neither made nor judged
NOT_READY = 214  # what it was queued behind has not ended well; its attempt is closed

# As many jobs as are queued at most by default, at the gap that clusters have by default.
LONGEST_GAPS_S = 120
# What a further attempt's script finds in its environment: a batch to use, and a checkpoint to go
# on from.
BATCH_VARIABLE, ACCUMULATION_VARIABLE = (
    "WATCHKEEPER_BATCH_SIZE",
    "WATCHKEEPER_GRADIENT_ACCUMULATION_STEPS",
)
RESUME_VARIABLE = "WATCHKEEPER_RESUME_FROM"

# Heartbeats are at most two a minute.
_LONGEST_BEAT_S = 30
_PREFIX = "wk-"
_SUFFIX = ".sh"
_MAX_RECORDS = 10_000
_Record = TypeVar("_Record")


_NO_VARIABLES: Mapping[str, str] = {}


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs, or ran, an attempt. `job_id` is "" where a submitter closed it (`void_claim`);
    `pid` is the wrapper's.
    """

    scheduler: str
    job_id: JobId
    nonce: str
    cluster: str = ""
    restart: int = 0
    host: Host = ""
    boot_id: BootId = ""
    pid: int = 0
    time: datetime | None = None


def wrapper_name(token: str) -> str:
    """The wrapper's file name, by which its job is found again."""
    return f"{_PREFIX}{token}{_SUFFIX}"


def name_beside(token: str) -> str:
    """The name of a link to the wrapper in the script's own folder: where a script looks that asks
    Slurm for its `Command=` to find what lies beside it.
    """
    return f".{wrapper_name(token)}"


def token_of(path: Path | str) -> str | None:
    """The token that a wrapper's path carries; None if it is no wrapper."""
    found = re.fullmatch(rf"\.?{_PREFIX}([A-Za-z0-9_-]+){re.escape(_SUFFIX)}", Path(path).name)
    if found:
        return found.group(1)
    return None


def render(
    head: Head | bytes,
    *,
    attempt_folder: Path,
    script: Path,
    token: str,
    scheduler: str,
    needs: Sequence[Path] = (),
    promises: Sequence[Sequence[str]] = (),
    lag_s: float = 0.0,
    starts: Path | None = None,
    gap_s: float = 0.0,
    variables: Mapping[str, str] = _NO_VARIABLES,
) -> bytes:
    """The wrapper's text for an attempt: `script` is the frozen copy, `head` what precedes the
    user's first command. Unless the attempts in `needs` (their folders) have ended with code 0 by
    then, it closes its own and ends.

    `promises` are what the script must leave, each as the absolute patterns at one of which it may
    lie (`tools.base`): a job that its scheduler starts again after an end with code 0 runs only
    where they are not kept yet. A script that promises nothing runs again only where its scheduler
    had asked for that before it ended.

    `lag_s`: how long a file written on a node may stay invisible on another, in seconds. With more
    than 0 (jobs may be started again elsewhere) it leaves a heartbeat, and waits until that of an
    execution before it is stale. `variables` are set for the script.

    `gap_s`: jobs that share the folder `starts` (None: nobody does) begin so many seconds apart,
    however many the scheduler starts together, so that they do not race to build one cache. A job
    waits `LONGEST_GAPS_S` at most, and only for time to pass, never for another job's end. 0: none
    waits.

    A head without an interpreter is run by /bin/sh, as a shell does.
    """
    if isinstance(head, bytes):
        head = read_head(head)
    run = [*(head.interpreter or ("/bin/sh",)), str(script)]
    values = {
        "TOKEN": token,
        "ATTEMPT": shlex.quote(str(attempt_folder)),
        "SCRIPT": shlex.quote(str(script)),
        "SCHEDULER": shlex.quote(scheduler),
        "RUN": shlex.join(run),
        "BEAT": str(_beat_s(lag_s)),
        "STALE": str(stale_s(lag_s)),
        "STARTS": shlex.quote(str(starts or "")),
        "GAP_MS": str(round(gap_s * 1000) if starts is not None else 0),
        "LOOK": f"{min(1.0, max(0.1, gap_s / 4)):.2f}",
        "LONGEST": str(LONGEST_GAPS_S),
        "UNSET": " ".join((BATCH_VARIABLE, ACCUMULATION_VARIABLE, RESUME_VARIABLE)),
        "EXPORT": " ".join(
            ["export", *(f"{name}={shlex.quote(value)}" for name, value in variables.items())]
        )
        if variables
        else ":",
        "NEEDS": shlex.join(map(str, needs)),
        "SECRET_NAMES": shlex.quote(redaction.VARIABLES),
        "SECRET_VALUES": shlex.quote(redaction.VALUES),
        "NO_SECRETS": shlex.quote(redaction.NO_VARIABLES),
        "PROMISES": shlex.join("\n".join(map(_shell_pattern, patterns)) for patterns in promises),
        "TWIN": str(TWIN),
        "FINISHED": str(FINISHED),
        "CANNOT_TELL": str(CANNOT_TELL),
        "NOT_READY": str(NOT_READY),
    }
    body = re.sub(r"@([A-Z_]+)@", lambda found: values[found.group(1)], _BODY)
    return b"#!/bin/bash -p\n" + _inert(head.data) + os.fsencode(body)


def _shell_pattern(pattern: str) -> str:
    """A pattern as bash's `compgen -G` reads it, where a backslash is a sign of its own."""
    return pattern.replace("\\", "\\\\")


def _beat_s(lag_s: float) -> int:
    return max(1, min(_LONGEST_BEAT_S, int(lag_s / 4)))


def stale_s(lag_s: float) -> int:
    """How old a heartbeat is, in seconds, when its execution counts as gone; 0 where there are
    none.
    """
    if lag_s:
        return 2 * _beat_s(lag_s) + math.ceil(lag_s)
    return 0


def silent_s(attempt_folder: Path) -> float:
    """How long ago, in seconds by the file server's clock, an attempt's last execution gave a sign
    of life.

    Raises:
        StorageError, OSError: it cannot be told.
    """
    number = len(executions(attempt_folder))
    signs = [attempt_folder / f"{name}.{number}" for name in ("heartbeat", "claim")]
    last = max(sign.stat().st_mtime for sign in signs if sign.exists())
    now = attempt_folder / f".tmp-now-{secrets.token_hex(8)}"
    files.replace(now, b"")
    try:
        return now.stat().st_mtime - last
    finally:
        files.remove(now)


def is_alive(attempt_folder: Path, lag_s: float) -> bool:
    """Whether an execution of an attempt, or of a task of its array, has not ended by any record
    and gave a sign of life a moment ago. False where there are no heartbeats, or it cannot be told.
    """
    if not lag_s:
        return False
    for folder in (attempt_folder, *attempt_folder.glob("task-*")):
        if not executions(folder) or last_end(folder) is not None:
            continue
        try:
            if silent_s(folder) <= stale_s(lag_s):
                return True
        except (OSError, StorageError):
            continue
    return False


def _inert(data: bytes) -> bytes:
    """The head without its `#!` line. Lines that are blank or a comment to sbatch but not to bash
    (they begin with a form feed or the like) can hold no directive, and become comments.
    """
    first, *lines = data.split(b"\n") if data else [b""]
    if first.startswith(b"#!"):
        kept = lines
    else:
        kept = [first, *lines]
    inert = [line if re.match(rb"[ \t]*(#|$)", line) else b"#" for line in kept]
    text = b"\n".join(inert)
    if not text or text.endswith(b"\n"):
        return text
    return text + b"\n"


def read_claims(attempt_folder: Path, problems: list[Problem] | None = None) -> list[Claim]:
    """The claims of an attempt, first to last; what cannot be read is left out, and added to
    `problems`.
    """
    return _records(attempt_folder, "claim", Claim, problems)


def executions(attempt_folder: Path) -> list[Claim]:
    """The claims of an attempt that a job made: one for each execution, without that of whoever
    closed it.
    """
    return [claim for claim in read_claims(attempt_folder) if claim.job_id]


def last_end(attempt_folder: Path) -> ExitRecord | None:
    """How the last execution of an attempt ended; None while nobody wrote that down. What an
    earlier one left says nothing of a job that was started again.
    """
    records = read_exit_records(attempt_folder)
    if records and records[-1].execution == len(executions(attempt_folder)):
        return records[-1]
    return None


def read_exit_records(
    attempt_folder: Path, problems: list[Problem] | None = None
) -> list[ExitRecord]:
    """The exit records of an attempt, first to last; what cannot be read is left out, and added to
    `problems`.
    """
    return _records(attempt_folder, "exit", ExitRecord, problems)


def read_task_ends(attempt_folder: Path) -> dict[int, ExitRecord | None]:
    """The tasks of an array that were claimed: task → how its last execution ended, None if that
    has not ended; empty for what is no array.
    """
    ends: dict[int, ExitRecord | None] = {}
    for folder in attempt_folder.glob("task-*"):
        number = folder.name.removeprefix("task-")
        if number.isdigit() and executions(folder):
            ends[int(number)] = last_end(folder)
    return ends


def void_claim(attempt_folder: Path, *, scheduler: str = "", clock: Clock = utc_now) -> bool:
    """Take the attempt's first claim, so that no job of it can ever run.

    Returns True if no job ever can (also when it was closed so before), False if one has claimed
    it.

    Raises:
        StorageError: neither could be established.
    """
    if files.create(attempt_folder / "claim.1", _own_claim(scheduler, clock)):
        return True
    return is_closed(attempt_folder)


def _own_claim(scheduler: str, clock: Clock) -> bytes:
    me = processes.this_process()
    claim = Claim(
        scheduler=scheduler,
        job_id="",
        nonce=secrets.token_hex(16),
        host=me.host,
        boot_id=me.boot_id,
        pid=me.pid,
        time=clock(),
    )
    return msgspec.json.encode(claim) + b"\n"


def close(attempt_folder: Path, *, scheduler: str = "", clock: Clock = utc_now) -> bool:
    """Take an attempt's next claim, so that no further execution of it can begin, and one that is
    alive after all ends its script. Returns False if another execution began meanwhile.

    Raises:
        StorageError: neither could be established.
    """
    claims = read_claims(attempt_folder)
    if claims and not claims[-1].job_id:
        return True
    number = len(claims) + 1
    if files.create(attempt_folder / f"claim.{number}", _own_claim(scheduler, clock)):
        return True
    claims = read_claims(attempt_folder)
    return len(claims) == number and not claims[-1].job_id


def is_closed(attempt_folder: Path) -> bool:
    """Whether no job of the attempt can ever run: a submitter, or its own job, took the first
    claim.
    """
    claims = read_claims(attempt_folder)
    return bool(claims) and claims[0].job_id == ""


def _records(
    folder: Path, name: str, kind: type[_Record], problems: list[Problem] | None
) -> list[_Record]:
    found: list[_Record] = []
    for number in range(1, _MAX_RECORDS):
        path = folder / f"{name}.{number}"
        try:
            found.append(read_record(path, kind))
        except FileNotFoundError:
            # An execution may have claimed and not ended, and the next one have ended.
            if name == "claim" or not (folder / f"claim.{number}").exists():
                break
        except (OSError, UnreadableRecordError) as error:
            if problems is not None:
                message = f"it is no {name} record: {error}"
                problems.append(
                    Problem(
                        where=str(path),
                        message=message,
                        hint="look at it; nothing is concluded from it",
                    )
                )
    return found


# Everything is in functions with local variables: the script's environment gets WATCHKEEPER_ATTEMPT
# and WATCHKEEPER_JOB_ID, nothing else. Messages of bash itself ("Terminated") go nowhere, ours to
# the real standard error.
_BODY = r"""
# Watchkeeper's wrapper of attempt @TOKEN@: runs it at most once, and records its end.

wk_refuse() { # code, why
    wk_twice rm -f "$wk_temporary"
    printf 'watchkeeper: not run: %s\n' "$2" >&"$wk_err"
    exit "$1"
}

wk_plain() { # value: what may stand in JSON as it is
    printf '%s' "${1//[^A-Za-z0-9._:+-]/_}"
}

wk_now() {
    TZ=UTC0 printf '%(%Y-%m-%dT%H:%M:%SZ)T' -1
}

# Do something that may be done twice, and do it again where the disk refused it: a file server may fail over just now.
wk_twice() { # command, arguments
    local why=
    why=$("$@" 2>&1 >/dev/null) && return
    "$@" || return
    printf 'watchkeeper: at the first try: %s; the second try worked: check that disk\n' "$why" >&"$wk_err"
}

# The first line of a file, into wk_line; "" where it cannot be read at a second try either.
wk_read() { # file
    wk_line=
    IFS= read -r wk_line <"$1" && return
    [[ -s $1 ]] && IFS= read -r wk_line <"$1" || return
    printf 'watchkeeper: could not read %s at the first try; the second try worked: check that disk\n' "$1" >&"$wk_err"
}

wk_put() { # line
    printf '%s\n' "$1" >"$wk_temporary" && sync "$wk_temporary"
}

# Make the file hold the line, whole or not at all. The exit status of ln can lie both ways over NFS: only reading the
# file back tells. Writing first also makes this node look at the folder afresh.
wk_prepare() { # line
    wk_twice wk_put "$1"
    wk_read "$wk_temporary" && [[ $wk_line == "$1" ]]
}

wk_publish() { # name, line
    wk_twice ln "$wk_temporary" "$wk_attempt/$1"
    wk_twice sync "$wk_attempt"
    wk_read "$wk_attempt/$1" && [[ $wk_line == "$2" ]]
}

# Whether an execution was the last one that is needed. To another job, and to the same one not started again, any end is
# one. A job that its scheduler starts again (requeue, RequeueExit, preemption, a lost node) has finished where its script
# ended with 0, and what it promised is there; where it promised nothing, unless the restart was asked for before that end.
wk_finished() { # execution
    local record=
    [[ -e $wk_attempt/exit.$1 ]] || return 1
    wk_read "$wk_attempt/exit.$1"
    record=$wk_line
    ((wk_restart > 0)) && [[ $record == *"\"job_id\":\"$wk_job\""* ]] || return 0
    [[ $record == *'"exit_code":0,'* ]] || return 1
    if wk_promises; then
        wk_keeps_promises
        case $? in
            0) return 0 ;;
            1) return 1 ;;
        esac
    fi
    [[ $record != *'"interrupted":true'* ]]
}

# The tasks of an array promise together, and none of them anything alone.
wk_promises() {
    local promises=(@PROMISES@)
    [[ ! ${SLURM_ARRAY_TASK_ID-} ]] && ((${#promises[@]}))
}

# Succeeds where each thing promised is there and not empty; 1: something is missing; 2: none of it is newer than the claim.
wk_keeps_promises() {
    local promises=(@PROMISES@) patterns pattern place kept fresh=
    for patterns in "${promises[@]}"; do
        kept=
        while IFS= read -r pattern; do
            while IFS= read -r place; do
                wk_holds "$place" && kept=1
            done < <(compgen -G "$pattern")
        done <<<"$patterns"
        [[ $kept ]] || return 1
    done
    [[ $fresh ]] || return 2
}

wk_holds() { # path: a file that is not empty, or a folder with one in it; sets `fresh` where that is new
    local file holds=1
    while IFS= read -r file; do
        [[ -f $file && -s $file ]] || continue
        holds=0
        [[ $file -ot $wk_attempt/claim.1 ]] || fresh=1
    done < <(shopt -s globstar nullglob && printf '%s\n' "$1" "$1"/**)
    return "$holds"
}

# The scheduler may have been asked to start this job again by the script itself, and its TERM come only after the end. If
# it does so because it has lost this node, the job is not COMPLETING, and an end with 0 is one.
wk_was_requeued() {
    local told=
    [[ $wk_scheduler == slurm* && $wk_code == 0 && $wk_interrupted == false ]] || return
    wk_promises && return
    told=$(env -u SLURM_CLUSTERS timeout 10 scontrol --oneliner show job "$wk_own_id" </dev/null)
    [[ $told == *' JobState=COMPLETING '* && $told =~ \ Restarts=([0-9]+) ]] || return
    ((BASH_REMATCH[1] > wk_restart)) && wk_interrupted=true
}

# Slurm may start a job again while its last execution lives on, on a node that the controller lost. Wait for the end of
# that one, or until its heartbeat is stale by the file server's clock. Succeeds when there is something new to look at.
wk_await() { # execution, its claim
    local beat="$wk_attempt/heartbeat.$1" sign="$wk_attempt/claim.$1" own="$wk_temporary-now" now= last= said= stale=
    ((@STALE@ == 0)) && return 1
    [[ -e $wk_attempt/exit.$1 ]] && return 1 # it was preempted or requeued, and has been looked at
    exec {wk_never}<> <(:)
    while [[ ! -e $wk_attempt/exit.$1 ]]; do
        [[ -e $beat ]] && sign=$beat
        # Opening a file makes NFS look at it afresh.
        IFS= read -r _ <"$sign"
        wk_twice wk_touch "$own"
        now=$(stat -c %Y "$own") && last=$(stat -c %Y "$sign") && rm -f "$own" || wk_refuse @CANNOT_TELL@ "cannot see $sign"
        ((now - last > @STALE@)) && stale=1 && break
        [[ $said ]] || printf 'watchkeeper: waiting: execution %s may still be alive: %s\n' "$1" "$2" >&"$wk_err"
        said=1
        read -rt 1 -u "$wk_never"
    done
    exec {wk_never}>&-
    [[ ! $stale ]]
}

# A process's start time, which with its number names it; nothing for one that has ended.
wk_start_of() { # process
    local stat=
    wk_start=
    IFS= read -r stat <"/proc/$1/stat" || return
    read -ra stat <<<"${stat##*) }"
    [[ ${stat[0]} == [ZX] ]] || wk_start=${stat[19]}
}

# As long as the script lives, even without the wrapper: beat, and give way when a later execution has been let in after
# all. Then wake the wrapper. It has no traps: after one, `read -t` forgets its time.
wk_watch() { # the script's process, its start time
    local next=0 wk_start=
    trap '' $wk_signals
    exec {wk_never}<> <(:)
    while wk_start_of "$1" && [[ $wk_start == "$2" ]]; do
        if ((@STALE@ && SECONDS >= next)); then
            # Standard error is closed here: what fails twice is written again at the next beat.
            wk_touch "$wk_attempt/heartbeat.$wk_execution" || wk_touch "$wk_attempt/heartbeat.$wk_execution"
            [[ -e $wk_attempt/claim.$((wk_execution + 1)) ]] && kill -s TERM "$1"
            next=$((SECONDS + @BEAT@))
        fi
        read -rt 0.2 -u "$wk_never"
    done
    echo >&"$wk_heard"
}

wk_claim() {
    local mine last owner i wk_again='; to run it again, submit the script itself'
    wk_promises && wk_again='; to run it again, move away what it left and type the same watchkeeper run'
    mine="{\"scheduler\":\"$(wk_plain "$wk_scheduler")\",\"cluster\":\"$(wk_plain "${SLURM_CLUSTER_NAME-}")\""
    mine+=",\"job_id\":\"$wk_job\""
    owner="$mine,"
    mine+=",\"restart\":$wk_restart,\"host\":\"$(wk_plain "$wk_host")\",\"boot_id\":\"$(wk_plain "$wk_boot")\""
    mine+=",\"nonce\":\"$wk_nonce\",\"pid\":$$,\"time\":\"$(wk_now)\"}"
    wk_prepare "$mine" || wk_refuse @CANNOT_TELL@ "cannot write in $wk_attempt"
    while :; do
        wk_execution=1
        while [[ -e $wk_attempt/claim.$wk_execution ]]; do ((wk_execution++)); done
        for ((i = 1; i < wk_execution; i++)); do
            wk_finished "$i" && wk_refuse @FINISHED@ "this attempt has ended; job $wk_job is not needed$wk_again"
        done
        if ((wk_execution > 1)); then
            wk_read "$wk_attempt/claim.$((wk_execution - 1))"
            last=$wk_line
            if [[ $last == "$mine" ]]; then ((wk_execution--)) && break; fi
            [[ $last =~ \"job_id\":\"([^\"]*)\".*\"restart\":([0-9]+) ]] ||
                wk_refuse @CANNOT_TELL@ "claim.$((wk_execution - 1)) is unreadable in $wk_attempt"
            [[ ${BASH_REMATCH[1]} ]] || wk_refuse @TWIN@ "this attempt was closed by its submitter"
            [[ $last == "$owner"* ]] || wk_refuse @TWIN@ "another job has this attempt; job $wk_job is its twin"
            ((wk_restart > BASH_REMATCH[2])) || wk_refuse @TWIN@ "job $wk_job has this attempt already"
            # What it left may have come while we waited.
            wk_await $((wk_execution - 1)) "$last" && continue
        fi
        wk_publish "claim.$wk_execution" "$mine" && break
        [[ -e $wk_attempt/claim.$wk_execution ]] || wk_refuse @CANNOT_TELL@ "cannot make a hard link in $wk_attempt"
    done
    for ((i = 1; i < wk_execution; i++)); do
        wk_finished "$i" && wk_refuse @FINISHED@ "this attempt ended just now; job $wk_job is not needed$wk_again"
    done
    wk_twice rm -f "$wk_temporary"
}

# The tasks of an array have one attempt together, which the array claims by whichever task comes first, and a folder each.
wk_claim_array() { # the array's id
    local mine owner last=
    mine="{\"scheduler\":\"$(wk_plain "$wk_scheduler")\",\"cluster\":\"$(wk_plain "${SLURM_CLUSTER_NAME-}")\""
    mine+=",\"job_id\":\"$1\""
    owner="$mine,"
    mine+=",\"restart\":0,\"host\":\"$(wk_plain "$wk_host")\",\"boot_id\":\"$(wk_plain "$wk_boot")\""
    mine+=",\"nonce\":\"$wk_nonce\",\"pid\":$$,\"time\":\"$(wk_now)\"}"
    wk_prepare "$mine" || wk_refuse @CANNOT_TELL@ "cannot write in $wk_attempt"
    [[ -e $wk_attempt/claim.1 ]] || wk_publish claim.1 "$mine"
    wk_read "$wk_attempt/claim.1" || wk_refuse @CANNOT_TELL@ "claim.1 is unreadable in $wk_attempt"
    last=$wk_line
    [[ $last == *'"job_id":"",'* ]] && wk_refuse @TWIN@ "this attempt was closed by its submitter"
    [[ $last == "$owner"* ]] || wk_refuse @TWIN@ "another job has this attempt; job $1 is its twin"
    wk_twice rm -f "$wk_temporary"
}

# Whether a variable holds a secret, by its name or its value's form.
wk_is_secret() { # name, value
    local LC_ALL=C wk_names=@SECRET_NAMES@ wk_values=@SECRET_VALUES@ wk_none=@NO_SECRETS@
    [[ $2 =~ $wk_values ]] && return
    [[ ${1^^} =~ $wk_names && ! ${1^^} =~ $wk_none ]] || return
    [[ ${1^^} == *PASS* || ! $2 =~ ^([0-9]{0,9}|true|false)$ ]]
}

# What the script finds in its environment, for whoever must make it again; nothing that looks like a secret.
wk_keep_environment() {
    local wk_name
    while IFS= read -r wk_name; do
        if wk_is_secret "$wk_name" "${!wk_name}"; then
            printf '%s=<redacted>\n' "$wk_name" || return
        else
            printf '%s=%q\n' "$wk_name" "${!wk_name}" || return
        fi
    done < <(compgen -e)
}

wk_save_environment() (
    umask 077
    wk_keep_environment >"$wk_attempt/environment.$wk_execution"
)

# What this job was queued behind may have failed: then nobody is to run this attempt.
wk_check_needs() {
    local need record=
    for need in @NEEDS@; do
        local last=1
        while [[ -e $need/claim.$((last + 1)) ]]; do ((last++)); done
        record=
        [[ -e $need/exit.$last ]] && wk_read "$need/exit.$last" && record=$wk_line
        [[ $record == *'"exit_code":0,'* ]] && continue
        [[ -e $wk_attempt/claim.1 ]] && return
        record="{\"scheduler\":\"$(wk_plain "$wk_scheduler")\",\"job_id\":\"\",\"nonce\":\"$wk_nonce\""
        record+=",\"pid\":$$,\"time\":\"$(wk_now)\"}"
        wk_prepare "$record" && wk_publish claim.1 "$record" &&
            wk_refuse @NOT_READY@ "what it was queued behind has not ended well: $need"
        return
    done
}

wk_touch() { # file
    printf . >"$1"
}

wk_modified_ms() { # file: when it was written, by the file server's clock
    local at=
    at=$(stat -c %.3Y "$1") && [[ $at =~ ^[0-9]+[.,][0-9]{3}$ ]] && wk_ms=${at/[.,]/}
}

# Jobs of one experiment begin a little apart: whoever makes the next start.N, as a claim is made, begins; and nobody makes
# it before start.N-1 is old enough. A courtesy: whatever is amiss with it, the job begins. Nothing is claimed meanwhile.
wk_await_gap() {
    local folder=@STARTS@ own="$wk_temporary-now" began=$SECONDS slot last now wk_ms= said=
    ((@GAP_MS@ == 0)) && return
    wk_twice mkdir -p "$folder" || return
    exec {wk_never}<> <(:)
    while ((SECONDS - began < @LONGEST@)); do
        last=0
        for slot in "$folder"/start.*; do
            slot=${slot##*.}
            [[ $slot =~ ^[1-9][0-9]{0,9}$ ]] && ((slot > last)) && last=$slot
        done
        while [[ -e $folder/start.$((last + 1)) ]]; do ((last++)); done
        wk_twice wk_touch "$own" && wk_modified_ms "$own" && now=$wk_ms || break
        # A time that lies further ahead than one gap is no time.
        if ((last == 0)) || ! wk_modified_ms "$folder/start.$last" ||
            ((now - wk_ms >= @GAP_MS@ || wk_ms - now > @GAP_MS@)); then
            wk_prepare "$wk_nonce" || break
            wk_twice ln "$wk_temporary" "$folder/start.$((last + 1))"
            wk_read "$folder/start.$((last + 1))" || break
            wk_twice rm -f "$wk_temporary"
            if [[ $wk_line == "$wk_nonce" ]]; then
                wk_twice rm -f "$folder/start.$((last - 8))"
                break
            fi
        fi
        [[ $said ]] || printf 'watchkeeper: waiting: jobs of this experiment begin @GAP_MS@ ms apart
' >&"$wk_err"
        said=1
        read -rt @LOOK@ -u "$wk_never"
    done
    wk_twice rm -f "$own" "$wk_temporary"
    exec {wk_never}>&-
}

# A trap only notes the signal, and wakes wk_run: while a shell is in `wait`, bash loses one of two that come together.
wk_note() { # signal
    wk_caught=1
    [[ $1 == TERM ]] && wk_interrupted=true
    wk_queue+=("$1")
    echo >&"$wk_heard"
}

# Slurm signals this shell alone (scancel --batch, --signal=B:), or everything in the job: then the script has it already,
# and must not get it twice. A bystander tells: what was for everything has ended it. CONT ends nothing, and does no harm.
wk_pass_on() {
    local signals=() signal all=
    sleep 0.3
    signals=("${wk_queue[@]}")
    wk_queue=("${wk_queue[@]:${#signals[@]}}")
    if ((@STALE@)) && ! kill -s 0 "$wk_bystander"; then
        all=1
        wk_place_bystander
    fi
    for signal in "${signals[@]}"; do
        [[ $all && $signal != CONT ]] || kill -s "$signal" "$wk_child"
    done
}

# A recorder whose filesystem hung may have died while its last bytes waited on this node (core/disk/spill.py).
wk_bring_over() {
    local place word kept line form= target= base= attempt= owner= there wk_start=
    for place in "${TMPDIR:-/tmp}" /tmp /dev/shm; do
        for word in "$place/watchkeeper-spill-$UID"/*.word; do
            kept=${word%.word}.bytes
            [[ -O $word && -O $kept ]] || continue
            for line in form target base attempt owner; do IFS= read -r "$line"; done <"$word"
            [[ $form == 'watchkeeper spill 1' && $attempt == "$wk_attempt" && -f $target ]] || continue
            [[ $base =~ ^[0-9]+$ && $owner =~ \"pid\":([0-9]+),\"start_ticks\":([0-9]+) ]] || continue
            wk_start_of "${BASH_REMATCH[1]}"
            [[ $wk_start == "${BASH_REMATCH[2]}" ]] && continue
            # Whoever has gone on with the file is let be; the next recorded run on this node keeps the bytes beside it.
            there=$(($(stat -c %s "$target") - base))
            ((there <= 0)) || cmp -s -i "$base" -n "$there" "$target" "$kept" || continue
            (
                set -o pipefail
                tail -c +$((base + 1)) "$kept" | tr -d '\0' |
                    dd of="$target" oflag=seek_bytes seek="$base" conv=notrunc,fsync
            ) && rm -f "$word" "$kept"
        done
    done
}

wk_place_bystander() {
    (trap - INT QUIT && exec sleep infinity) </dev/null >/dev/null {wk_err}>&- {wk_heard}>&- &
    wk_bystander=$!
}

wk_run() { # arguments of the script
    local wk_child= wk_bystander= wk_watcher= wk_caught= wk_queue=() wk_start= born signal option options=()
    local wk_signals='TERM INT QUIT HUP USR1 USR2 ALRM XCPU CONT' wk_heard=
    exec {wk_heard}<> <(:)
    for signal in $wk_signals; do
        trap "wk_note $signal" "$signal"
    done
    # A background child would ignore INT and QUIT, be one shell deeper, and see this shell's options: a bare one does not.
    while IFS= read -r -d '' option; do
        [[ $option == @(SHELLOPTS|BASHOPTS|POSIXLY_CORRECT)=* ]] && options+=("$option")
    done </proc/$$/environ
    ((@STALE@)) && wk_place_bystander
    (
        trap - INT QUIT
        ((SHLVL--))
        exec ${options[0]+env "${options[@]}"} @RUN@ "$@" 2>&"$wk_err" {wk_err}>&- {wk_heard}>&-
    ) <&0 &
    wk_child=$!
    wk_start_of "$wk_child"
    born=$wk_start
    wk_watch "$wk_child" "$born" </dev/null >/dev/null {wk_err}>&- &
    wk_watcher=$!
    while [[ $born ]] && wk_start_of "$wk_child" && [[ $wk_start == "$born" ]]; do
        ((${#wk_queue[@]})) && wk_pass_on && continue
        read -r -u "$wk_heard" _
    done
    # A signal ends `wait` early, or the next `wait`, with a code that is not the child's. The code of an ended child is
    # remembered: it is the one that two waits in a row give with no signal since before the first.
    while :; do
        wk_caught=
        wait "$wk_child"
        wk_code=$?
        wait "$wk_child"
        [[ $? == "$wk_code" && ! $wk_caught ]] && break
    done
    for signal in $wk_watcher $wk_bystander; do kill -s KILL "$signal" && wait "$signal"; done
}

wk_main() {
    local wk_attempt=@ATTEMPT@ wk_scheduler=@SCHEDULER@ wk_job= wk_restart=${SLURM_RESTART_COUNT:-0}
    local wk_own_id= wk_never= wk_line=
    local wk_host= wk_boot= wk_nonce= wk_temporary= wk_execution=0 wk_code=0 wk_err record wk_interrupted=false
    exec {wk_err}>&2 2>/dev/null
    set +o posix
    wk_job=$(wk_plain "${SLURM_JOB_ID:-${WATCHKEEPER_JOB_ID-}}")
    [[ $wk_job ]] || wk_refuse @CANNOT_TELL@ "no job id: start it through a scheduler"
    [[ $wk_restart =~ ^[0-9]+$ ]] || wk_refuse @CANNOT_TELL@ "SLURM_RESTART_COUNT is no number"
    wk_restart=$((10#$wk_restart))
    IFS= read -r wk_nonce </proc/sys/kernel/random/uuid || wk_nonce=$(od -An -N16 -tx8 /dev/urandom)
    wk_nonce=${wk_nonce//[^0-9a-f]/}
    ((${#wk_nonce} >= 32)) || wk_refuse @CANNOT_TELL@ "no random numbers here"
    IFS= read -r wk_host </proc/sys/kernel/hostname || wk_host=$(uname -n)
    IFS= read -r wk_boot </proc/sys/kernel/random/boot_id
    [[ -d $wk_attempt ]] || wk_refuse @CANNOT_TELL@ "$wk_attempt is not on this node"
    [[ -r @SCRIPT@ ]] || wk_refuse @CANNOT_TELL@ "the script's copy cannot be read in $wk_attempt"
    wk_temporary=$wk_attempt/.tmp-wrapper-$wk_nonce
    wk_check_needs
    wk_await_gap
    wk_own_id=$wk_job
    if [[ ${SLURM_ARRAY_JOB_ID-} && ${SLURM_ARRAY_TASK_ID-} ]]; then
        wk_job=$(wk_plain "$SLURM_ARRAY_JOB_ID")
        wk_claim_array "$wk_job"
        wk_job+=_$(wk_plain "$SLURM_ARRAY_TASK_ID")
        wk_attempt+=/task-$(wk_plain "$SLURM_ARRAY_TASK_ID")
        wk_twice mkdir -p "$wk_attempt" || wk_refuse @CANNOT_TELL@ "cannot make $wk_attempt"
        wk_temporary=$wk_attempt/.tmp-wrapper-$wk_nonce
    fi
    wk_claim

    unset @UNSET@
    @EXPORT@
    wk_twice wk_save_environment
    export WATCHKEEPER_ATTEMPT=$wk_attempt WATCHKEEPER_JOB_ID=$wk_own_id
    wk_run "$@"
    wk_was_requeued
    wk_bring_over

    record="{\"job_id\":\"$wk_job\",\"exit_code\":$wk_code,\"execution\":$wk_execution"
    record+=",\"ended\":\"$(wk_now)\",\"nonce\":\"$wk_nonce\",\"interrupted\":$wk_interrupted}"
    wk_prepare "$record" && wk_publish "exit.$wk_execution" "$record" ||
        printf 'watchkeeper: the exit record (code %s) cannot be written in %s\n' "$wk_code" "$wk_attempt" >&"$wk_err"
    wk_twice rm -f "$wk_temporary"
    exit "$wk_code"
}

wk_main "$@"
"""
