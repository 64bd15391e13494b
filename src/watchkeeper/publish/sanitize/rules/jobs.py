"""Job ids, accounts, partitions and users in free text, in the words of schedulers and people."""

from __future__ import annotations

import re
from collections.abc import Iterator

from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.rules import near
from watchkeeper.publish.sanitize.rules.words import words
from watchkeeper.publish.sanitize.spans import Kind, Span

_TASKS = r"(?:_(?:\d{1,9}|\[[\d,%:-]{1,100}\]))?"
_NUMBER = rf"\d{{1,20}}{_TASKS}(?:[.+](?:\d{{1,6}}|batch|extern|interactive))?(?![\d:])"
_AND = r"(?:[ \t]{0,3}(?:,|;|/|\+|&|and|or|und|to|then|->|→|–|-)[ \t]{0,3}(?:and[ \t])?[`#]?)"
_MARKS = r"[\"'`*\])]{0,4}"
_OPEN = r"[\"'`*(<\[#]{0,4}"
_CALLED = re.compile(
    r"(?<![A-Za-z])(?P<word>(?:slurm|pbs|lsf|sge|array|batch|hpc|parent|SLURM_(?:ARRAY_)?"
    r"|PBS_)?[ _-]?jobs?(?P<id>[ _-]?(?:ids?|numbers?|no\.?|nr\.?|#))?)"
    rf"{_MARKS}[ \t]{{0,4}}(?P<sign>[:=#]|->|allocation|-|_|is"
    rf"|was)?[ \t]{{0,4}}{_OPEN}(?P<numbers>{_NUMBER}(?:`?{_AND}{_NUMBER}){{0,60}})",
    re.IGNORECASE,
)
_EXECUTION = re.compile(
    rf"(?i:\bexecution[ _-]?ids?){_MARKS}[ \t]{{0,4}}[:=]?[*]{{0,2}}[ \t]{{0,4}}{_OPEN}"
    r"(?P<value>[A-Za-z0-9][\w./:-]{0,200}(?:_\[[\d,%-]{1,80}\])?)"
)
_WORDED = re.compile(
    r"(?:\bslurm[ _-]?(?:id|nr|no)?|\b(?:re)?(?:submitted|queued|submission)(?: it"
    r"| again)?(?: as| under| with id)?|\brequeued as|\ballocation"
    r"|\bas id|\(id|\bqueue id|\bStepId|\bstepid|\*\*\* (?:STEP|JOB))"
    rf"{_MARKS}[ \t]{{0,3}}[:=]?[*]{{0,2}}[ \t]{{0,3}}{_OPEN}"
    r"(?P<number>\d{4,20}(?:_\d{1,9})?(?:\.(?:\d{1,6}|batch|extern))?)(?![\d:/-])",
    re.IGNORECASE,
)
_FILE = re.compile(
    r"(?:slurm[-_]|(?<![A-Za-z])job[-_]?(?:id)?[-_]?)(?P<of_slurm>\d{1,20}(?:_\d{1,9})?)(?!\d)"
    r"|(?<=[A-Za-z0-9][-_.])(?P<output>\d{4,20}(?:_\d{1,9})?)(?=\.(?:out|err|log|o|e)\b)"
    r"|(?<=[A-Za-z0-9]\.[oe])(?P<pbs>\d{4,20})\b"
)
_ARRAY = re.compile(
    r"(?<![\w.-])\d{5,20}_(?:\d{1,6}|\[[\d,%:-]{1,100}\])(?:\.(?:batch|extern"
    r"|\d{1,4}))?(?![\w])"
    r"|(?<![\w.])\d{4,20}\.(?:batch|extern|pbs|sge|lsf|server|sched|head|master)[\w.-]{0,60}"
)
_AFTER = re.compile(
    r"(?:after(?:ok|any|notok|corr|burstbuffer)?)(?::\d{1,20}(?:_\d{1,9})?(?:\+\d{1,9})?){1,60}"
)
_COMMAND = re.compile(
    r"(?<![\w/.-])(?:scancel|squeue|sacct|sstat|seff|reportseff|jobstats|sattach|sbcast|qdel"
    r"|qstat|qhold|bkill|bjobs|bpeek|scontrol|sprio)"
    r"(?P<words>[ \t][^\n;|&`]{1,300})"
)
_OF_COMMAND = re.compile(
    r"(?<![\w.=:-])\d{3,20}(?:_(?:\d{1,9}|\[[\d,%:-]{1,100}\]))?(?:\.(?:\d{1,6}|batch"
    r"|extern))?(?![\w:-])|(?<=-j)\d{1,20}|(?<=-j )\d{1,20}"
)
# ── accounts and the like
_VALUE = r"(?P<value>[A-Za-z0-9][\w.@+-]{0,100}(?:,[A-Za-z0-9][\w.@+-]{0,100}){0,20})(?![(\w])"
_OPTION = re.compile(
    r"(?<![\w-])--(?P<name>account|partition|qos|reservation|wckey|cluster|clusters|nodelist"
    r"|exclude|uid|user|users|bank|project[-_]?account|queue)"
    rf"(?:=|[ \t]+)[\"']?{_VALUE}"
)
_OF_SLURM = re.compile(
    r"(?:#[ \t]?SBATCH|\b(?:sbatch|srun|salloc|sacct|squeue|sinfo|sacctmgr|sprio|sshare"
    r"|scancel)\b)[^\n]{0,1000}|#(?:PBS|BSUB|COBALT|FLUX)[^\n]{0,300}"
)
_SHORT_OPTION = re.compile(
    rf"(?<=[ \t])-(?P<name>[ApqwxMuPW])[ \t]{{0,4}}[\"']?(?:group_list=)?{_VALUE}(?![\w/])"
)
_FIELD = re.compile(
    r"(?<![A-Za-z0-9])(?P<name>(?:slurm|project|cluster|billing|hpc|budget"
    r"|job)?[ _-]?(?:account|partition|qos|reservation|allocation|queue)s?"
    r"|SLURM_JOB_(?:ACCOUNT|PARTITION|QOS)|S(?:BATCH|ALLOC)_(?:ACCOUNT|PARTITION|QOS)|wckey)"
    rf"{_MARKS}[ \t]{{0,4}}(?P<sign>[:=])[*]{{0,2}}[ \t]{{0,4}}{_OPEN}{_VALUE}",
    re.IGNORECASE,
)
_PROSE = re.compile(
    rf"\b(?P<name>account|partition|qos"
    rf"|reservation)[ \t]{{1,3}}(?P<quote>[`\"'])?{_VALUE}(?(quote)(?P=quote)|(?![\w]))"
    rf"|(?P<quote2>[`\"'])(?P<value2>[A-Za-z0-9][\w.-]{{1,60}})(?P=quote2)[ \t]"
    r"(?P<name2>account|partition|qos|reservation)\b",
    re.IGNORECASE,
)
# ── users
_USER_FIELD = re.compile(
    r"(?<![A-Za-z0-9])(?:SLURM_JOB_USER|user[ _-]?(?:name|id)?|owner|logname|login|submitter"
    r"|operator|author|SUDO_USER|requested by|contact|run by|launched by)"
    rf"{_MARKS}[ \t]{{0,4}}[:=][*]{{0,2}}[ \t]{{0,4}}{_OPEN}"
    r"(?P<name>[^\W\d][\w.-]{1,63})(?=\(\d+\)"
    r"|[\"'`*)\]]{0,3}[ \t]{0,3}(?:[,;|)}\n]|$)| [A-Z][A-Za-z]+=)",
    re.IGNORECASE | re.MULTILINE,
)
_LISTED = r"(?:^|\n)[dlcbsp-](?:[r-][w-][xsStT-]){3}[.+@]?[ \t]+\d{1,9}[ \t]+"
_USER_OF = re.compile(
    r"(?<![A-Za-z0-9])(?:\b[ug]id=\d{1,9}\(|groups=\d{1,9}\()(?P<id>[\w.-]{1,63})\)"
    r"|\b(?:as user|logged in as|cancell?ed by|submitted by|started by|launched by"
    r"|requeued by|killed by|owned by|resubmitted by|restarted by"
    r"|stopped by)[ \t]{1,3}[`*@]{0,3}(?P<by>[a-z_][\w.-]{1,63}|\d{3,9})(?![\w/])"
    r"|(?<![\w~/.])~(?P<tilde>[a-z_][a-z0-9_-]{1,31})(?![\w.~-])"
    rf"|{_LISTED}(?P<ls>[^\W\d][\w.-]{{1,63}})[ \t]"
)
_GROUP_OF = re.compile(rf"{_LISTED}[\w.-]{{1,63}}[ \t]+(?P<group>[^\W\d][\w.-]{{1,63}})[ \t]")
_NO_VALUES = words(
    """
    n/a na none null nil true false pending unknown default is was were are and or of the a an
    to in for from with by on at not per you your has time limit limits size wait name names
    int str string bool float self length depth empty full
    """
)
_NOBODY = words(
    """
    the a an me us you him her it them hand accident mistake request user users admin admins
    root system scheduler slurm watchkeeper wk watcher keeper cron timer time timeout walltime
    preemption maintenance oom signal script default design launcher trainer preempt default
    kernel cluster job jobs hook wrapper torchrun accelerate ci bot assistant none null n/a
    pending unknown true false str string int python policy limit limits quota half about
    approx
    """
)
_OF_HOSTS = frozenset({"nodelist", "exclude", "w", "x"})
_OF_USERS = frozenset({"u", "user", "users", "uid"})
_ID_WORDS = ("slurm", "submi", "queue", "alloc", "id", "***")
_FILE_WORDS = ("slurm-", "slurm_", "job", ".out", ".err", ".log", ".o", ".e")
_ARRAY_WORDS = (
    *(f"{digit}_" for digit in range(10)),
    *(".batch", ".extern", ".pbs", ".s", ".lsf", ".head", ".master"),
)
_COMMANDS = (
    *("scancel", "squeue", "sacct", "sstat", "seff", "jobstats", "sattach", "sbcast", "qdel"),
    *("qstat", "qhold", "bkill", "bjobs", "bpeek", "scontrol", "sprio"),
)
_SLURM_WORDS = (
    *("sbatch", "srun", "salloc", "sacct", "squeue", "sinfo", "sprio", "sshare", "scancel"),
    *("#pbs", "#bsub", "#cobalt", "#flux"),
)
_USER_FIELD_WORDS = (
    *("user", "owner", "logname", "login", "submitter", "operator", "author", "contact"),
    *("requested by", "run by", "launched by"),
)
_USER_WORDS = ("id=", "groups=", " by ", "as user", "logged in", "~", "rw")
_ACCOUNT_WORDS = ("account", "partition", "qos", "reservation", "allocation", "queue", "wckey")
_ABOUT_JOBS = "the id of a job"


def find(text: str, known: Known) -> Iterator[Span]:
    """Where job ids, accounts and users stand in a text. `known` is not read.

    The spans are of kind "job", "account" (partitions and qualities of service too), "user", and
    "host" for what an option such as `--nodelist` names. They may overlap.
    """
    small = near.lower(text)
    yield from _jobs(text, small)
    yield from _accounts(text, small)
    yield from _users(text, small)


def _jobs(text: str, small: str) -> Iterator[Span]:
    """Ids of jobs, by what calls them so.

    The word `job` (`Slurm jobs 123456, 123457`), `execution_id: …`, words about submission
    (`resubmitted as 123456`), the name of an output file (`slurm-123456.out`, `r8.o123456`), their
    form (`123456_7`, `123456.batch`), a dependency (`afterok:123456`), or a command that takes
    them (`scancel 123456`).
    """
    for match in near.matches(_CALLED, text, small, ("job",)):
        if not _is_count(match):
            yield from _job(match, "numbers")
    for match in near.matches(_EXECUTION, text, small, ("execution",)):
        if match["value"].lower() not in _NO_VALUES:
            yield from _job(match, "value")
    for match in near.matches(_WORDED, text, small, _ID_WORDS):
        yield from _job(match, "number")
    for match in near.matches(_FILE, text, small, _FILE_WORDS):
        yield from _job(match, match.lastgroup or "pbs")
    for match in near.matches(_ARRAY, text, small, _ARRAY_WORDS):
        yield from _job(match, 0)
    for match in near.matches(_AFTER, text, small, ("after",)):
        yield from _job(match, 0)
    for command in near.matches(_COMMAND, text, small, _COMMANDS):
        for match in _OF_COMMAND.finditer(text, *command.span("words")):
            yield from _job(match, 0)


def _is_count(match: re.Match[str]) -> bool:
    """Whether the number behind `jobs` only says how many there are: `jobs: 12`, `all jobs (300)`.

    Ids of clusters in use have more than three digits. Where the text says `job ids`, it is one.
    """
    if match["id"] or not match["word"].lower().endswith("s"):
        return False
    return re.fullmatch(r"\d{1,3}", match["numbers"]) is not None


def _job(match: re.Match[str], group: str | int) -> Iterator[Span]:
    """The span of one or several job ids, and a span for each of them.

    Of `123456_7, 123458` the numbers 123456 and 123458 are hidden elsewhere, too; the 7 is a task
    of the array, and any number elsewhere.
    """
    start, end = match.span(group)
    whole = match[group]
    last = whole
    for number in re.finditer(r"\d{1,20}", whole):
        is_part = number.start() > 0 and whole[number.start() - 1] in "_[.%+"
        if is_part:
            continue
        at = start + number.start()
        last = number[0]
        yield Span(at, at + len(last), "job", last, _ABOUT_JOBS, last)
    is_one_number = last.isdigit() and len(whole) == len(last)
    if not is_one_number:
        yield Span(start, end, "job", _spelled(whole), _ABOUT_JOBS)


def _spelled(ids: str) -> str:
    """What the span of several ids, or of an id with more to it, gets its pseudonym by: the first
    number where it begins with one, so that `123456_7` and `123456` have the same.
    """
    first = re.search(r"\d{1,20}", ids)
    if first is None or not ids[0].isdigit():
        return ids
    return first[0]


def _accounts(text: str, small: str) -> Iterator[Span]:
    """Accounts, partitions and the like, by the option or the word that names them.

    `--partition=gpu_long`, `#SBATCH -A proj1234`, `SLURM_JOB_QOS: high7`, `account proj1234`, and
    the word `gpu_long` in quotes before `partition`.
    """
    for match in near.matches(_OPTION, text, small, ("--",)):
        yield from _account(match, match["name"].lower())
    # A short option is one of Slurm's only on a line of Slurm's: `-p` means other things elsewhere.
    for line in near.matches(_OF_SLURM, text, small, _SLURM_WORDS):
        for match in _SHORT_OPTION.finditer(text, *line.span()):
            yield from _account(match, match["name"])
    for match in near.matches(_FIELD, text, small, _ACCOUNT_WORDS):
        yield from _account(match, match["name"].lower())
    for match in near.matches(_PROSE, text, small, _ACCOUNT_WORDS):
        yield from _account_in_prose(match)


def _account_in_prose(match: re.Match[str]) -> Iterator[Span]:
    """What a sentence calls an account: in quotes any word, without them one that has a digit or a
    hyphen (`partition gpu-long`), as `the partition was full` names none.
    """
    is_quoted = match["quote"] or match["quote2"]
    value = match["value"] or ""
    has_form = re.search(r"[A-Za-z].*[\d_-]|\d.*[A-Za-z]", value)
    if not is_quoted and not has_form:
        return
    name = (match["name"] or match["name2"]).lower()
    group = "value" if match["value"] else "value2"
    yield from _account(match, name, group)


def _account(match: re.Match[str], name: str, group: str = "value") -> Iterator[Span]:
    """The value of an option or a field of this name; nothing for a word or number that names no
    account (`--account=default`, `queue: 12k`). Options can name hosts and users, too.
    """
    value = match[group].rstrip(".,-")
    if value.lower() in _NO_VALUES or re.fullmatch(r"[\d.]+[kKmM]?", value):
        return
    start = match.start(group)
    kind: Kind = "account"
    reason = "an account, a partition or the like"
    if name in _OF_HOSTS:
        kind, reason = "host", "a host in an option"
    elif name in _OF_USERS:
        kind, reason = "user", "a user in an option"
    word = ""
    if _is_own_name(value, name):
        word = value
    yield Span(start, start + len(value), kind, value.lower(), reason, word)


def _is_own_name(value: str, name: str) -> bool:
    """Whether the value is so much of a name that it is to be hidden elsewhere, too.

    Accounts and users are, with a digit or hyphen in them (`proj1234`); a partition called `gpu`
    or `long_7` is an ordinary word in most logs. `name` is that of the option or field.
    """
    if "account" not in name and name not in ("A", "u", "user"):
        return False
    return len(value) > 3 and re.search(r"[\d_-]", value) is not None


def _users(text: str, small: str) -> Iterator[Span]:
    """Users, by the field or the words that name them, and the groups of their files.

    `owner: ann`, `uid=1004(ann)`, `cancelled by ann`, `~ann/run7`, and the user and the group in
    the lines of `ls -l`.
    """
    for match in near.matches(_USER_FIELD, text, small, _USER_FIELD_WORDS):
        yield from _user(match, "name", "a user by the name of the field")
    for match in near.matches(_USER_OF, text, small, _USER_WORDS):
        yield from _user(match, match.lastgroup or "id", "a user by the words around it")
    for match in near.matches(_GROUP_OF, text, small, ("rw",)):
        start, end = match.span("group")
        yield Span(start, end, "account", match["group"].lower(), "the group of a file")


def _user(match: re.Match[str], group: str, reason: str) -> Iterator[Span]:
    """The user in a group of a match; nothing where the word is no person (`cancelled by slurm`).

    It is hidden elsewhere, too, but for a number (a uid) and a name of two letters.
    """
    name = match[group].rstrip(".,-")
    if name.lower() in _NOBODY or len(name) < 2:
        return
    start = match.start(group)
    word = ""
    if len(name) > 2 and not name.isdigit():
        word = name
    yield Span(start, start + len(name), "user", name.lower(), reason, word)
