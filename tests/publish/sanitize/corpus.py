"""Texts in which something private was planted, made by a grammar: kinds of values times places in
which people and programs write them.

The parts of a token are joined here, so that nothing that looks for secrets finds one in this file.
"""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import quote

from watchkeeper.publish.sanitize.known import Known

SEED = 20260311
COUNT = 520


class Planted(NamedTuple):
    """A text, and the parts of it of which none may survive. `known` is what a journal knew."""

    kind: str
    text: str
    private: tuple[str, ...]
    known: Known


Chance = random.Random
_ALNUM = string.ascii_letters + string.digits
_USERS = ("jdoe42", "kmüller", "ana_pereira", "wei.zhang", "b5ah-user", "o_brien")
_FIRST = ("isambard", "lumi", "bwuni", "raven", "snellius", "perlmutter")


def _chars(chance: Chance, letters: str, count: int) -> str:
    return "".join(chance.choice(letters) for _ in range(count))


# ── values: what is private, and the parts of it that may not survive
def _user(chance: Chance) -> str:
    return chance.choice(_USERS)


def _path(chance: Chance) -> str:
    roots = ("/home/{u}", "/scratch/{p}/{u}", "/lus/lfs1aip2/{p}", "/work/{p}/{p}/{u}", "/gpfs/{u}")
    tails = ("run7/ckpt", "exp_3/epoch_1", "模型/检查点", "données/modèle", "my-data/v2", "out.d/x")
    root = chance.choice(roots).format(u=_user(chance), p=f"proj{chance.randrange(100, 999)}")
    return f"{root}/{chance.choice(tails)}"


def _windows(chance: Chance) -> str:
    return f"C:\\Users\\{_user(chance)}\\{chance.choice(('models', 'Eigene Dateien'))}\\w.bin"


def _share(chance: Chance) -> str:
    return f"\\\\nas{chance.randrange(10, 99)}\\groups\\{_user(chance)}"


def _node(chance: Chance) -> str:
    forms = ("nid{:06d}", "node{:03d}", "gpu-{:02d}", "cn{:04d}", "login{:02d}", "dgx-{:02d}")
    return chance.choice(forms).format(chance.randrange(1, 99))


def _site(chance: Chance) -> str:
    ends = ("cluster.example", "hpc.uni-x.de", "cray.internal", "ai.lab.org", "local")
    return f"{_node(chance)}.{chance.choice(ends)}"


def _range(chance: Chance) -> str:
    return f"{chance.choice(('node', 'nid', 'gpu', 'cn'))}[{chance.randrange(10, 40):03d}-{41:03d}]"


def _job(chance: Chance) -> str:
    return str(chance.randrange(100_000, 99_999_999))


def _array(chance: Chance) -> str:
    return f"{_job(chance)}_{chance.randrange(1, 64)}"


def _account(chance: Chance) -> str:
    return f"{chance.choice(('proj', 'brics.', 'm', 'hpc-'))}{chance.randrange(1000, 9999)}_g"


def _mail(chance: Chance) -> str:
    return f"{chance.choice(('ana', 'wei.zhang', 'j+runs'))}@{chance.choice(_FIRST)}.ac.uk"


def _number(chance: Chance) -> str:
    forms = ("10.{}.{}.17", "192.168.{}.{}", "172.16.{}.{}", "131.{}.{}.9")
    return chance.choice(forms).format(chance.randrange(2, 250), chance.randrange(2, 250))


def _ipv6(chance: Chance) -> str:
    return f"fe80::{chance.randrange(16, 65535):x}:{chance.randrange(16, 65535):x}"


def _mac(chance: Chance) -> str:
    return ":".join(f"{chance.randrange(256):02x}" for _ in range(6))


def _wandb(chance: Chance) -> str:
    team = chance.choice(_FIRST)
    return f"https://wandb.ai/{team}/secret-project/runs/{_chars(chance, 'abcdef0123456789', 8)}"


def _token(chance: Chance) -> str:
    forms = (
        ("hf" + "_", _ALNUM, 34),
        ("ghp" + "_", _ALNUM, 36),
        ("sk" + "-proj-", _ALNUM, 40),
        ("AKI" + "A", string.ascii_uppercase + string.digits, 16),
        ("xox" + "b-", string.digits, 24),
        ("AIz" + "a", _ALNUM, 35),
        ("glp" + "at-", _ALNUM, 20),
        ("wandb" + "_v1_", _ALNUM, 77),
    )
    beginning, letters, count = chance.choice(forms)
    return beginning + _chars(chance, letters, count)


def _key(chance: Chance) -> str:
    return _chars(chance, _ALNUM, chance.randrange(24, 87))


def _hex40(chance: Chance) -> str:
    return _chars(chance, "0123456789abcdef", 40)


def _password(chance: Chance) -> str:
    return f"{chance.choice(('Tr0ub4', 'xK9!', 'p4ss'))}{_chars(chance, _ALNUM, 8)}"


# ── places
_ANYWHERE = (
    "we used {v} for this run",
    "- 2026-03-11 12:31 UTC — resumed from {v}, loss 0.21",
    "the weights ({v}) are kept",
    "| 3 | {v} | 0.021 |",
    "| run | note |\n|---|---|\n| r8 | see {v} |",
    "```\nls {v}\n```",
    "```python\nx = load('{v}')\n```",
    '{{"a": 1, "where": "{v}"}}',
    "see `{v}`.",
    "**{v}** was full",
    "- note: {v}",
    "训练在 {v} 上完成",
    "état : {v} ; perte 0,21",
    "x={v}",
    "<td>{v}</td>",
    "ended ({v}); 3 steps lost",
    "> {v}",
    "first {v}\nthen again {v}",
)
_OF_HOSTS = (
    *_ANYWHERE,
    "- node: {v}",
    "node={v} rank=0",
    "ssh {v} nvidia-smi",
    "slurmstepd: error: *** JOB CANCELLED ON {v} DUE TO TIME LIMIT ***",
    "http://{v}:8080/metrics?a=1",
    "scp {v}:out.txt .",
    "MASTER_ADDR={v}",
    "jdoe42@{v}:~$ ls",
)
_OF_JOBS = (
    "job_id: {v}",
    "JobID={v}",
    "- execution_id: `{v}`",
    "Submitted batch job {v}",
    "slurm-{v}.out",
    "logs/train-{v}.err",
    "scancel {v}",
    "squeue -j {v} --long",
    "sacct -j {v} --format=State",
    "--dependency=afterok:{v}",
    "Slurm job {v} failed",
    "resubmitted as {v}",
    "## Job {v}",
    "| job id | loss |\n|---|---|\n| {v} | 0.2 |",
    "SLURM_JOB_ID={v}",
    "salloc: Granted job allocation {v}",
    "JOBID PARTITION NAME USER ST TIME NODES NODELIST(REASON)\n{v} gpu x jdoe42 R 1:00 1 node3",
    "作业 job {v} 已完成",
    "jobs 123456, {v} and 123457",
    '{{"job_id": "{v}", "loss": 0.1}}',
)
_OF_ACCOUNTS = (
    "#SBATCH --account={v}",
    "#SBATCH -A {v}",
    "sbatch --account {v} train.sh",
    "- account: {v}",
    "srun -A {v} --partition=gpu x",
    "Account={v} QOS=normal",
    "| account | hours |\n|---|---|\n| {v} | 3 |",
    "export SBATCH_ACCOUNT={v}",
)
_OF_USERS = (
    "user: {v}",
    "USER={v}",
    "{v}@login01:~$ squeue",
    "ssh {v}@login01",
    "checkpoint in /home/{v}/ckpt, as {v} said",
    "cd ~{v}/runs",
    "cancelled by {v}",
    "| user | loss |\n|---|---|\n| {v} | 0.2 |",
    "-rw-r--r-- 1 {v} users 4096 Mar 11 12:00 model.pt",
    "logged in as {v}",
)
_OF_SECRETS = (
    *_ANYWHERE,
    "export HF_TOKEN={v}",
    "api_key: {v}",
    'client = Client(api_key="{v}")',
    "curl -H 'Authorization: Bearer {v}' https://api.example.org",
    "wandb login {v}",
    "train.py --api-key {v} --lr 1e-4",
    "[auth]\ntoken = {v}\n",
    "os.environ['WANDB_API_KEY'] = '{v}'",
    "https://huggingface.co/api?token={v}&x=1",
    "the token is {v}",
)
_OF_PASSWORDS = (
    "password: {v}",
    "DB_PASSWORD='{v}'",
    "machine api.wandb.ai\n  login user\n  password {v}\n",
    "machine api.wandb.ai login user password {v}",
    "postgres://me:{v}@db.example/x",
    "mysql --password={v}",
    "the password is {v}",
    '{{"password": "{v}"}}',
    "<password>{v}</password>",
    "curl -u me:{v} https://huggingface.co",
    "passphrase: >-\n  {v}\n",
    "| name | password |\n|---|---|\n| a | {v} |",
)
_OF_KEYS = tuple(place for place in _OF_SECRETS if "train.py" not in place)
_OF_HEX = ("wandb login {v}", "WANDB_API_KEY={v}", "| key | {v} |", "wandb: {v}", "{v}")
_OF_LINKS = _ANYWHERE

Value = Callable[[Chance], str]
_GRAMMAR: tuple[tuple[str, Value, tuple[str, ...]], ...] = (
    ("path", _path, _ANYWHERE),
    ("windows", _windows, ("saved to {v}", '"{v}"', "`{v}`", "- out: {v}", "| {v} | 1 |")),
    ("share", _share, ("saved to {v}", "`{v}`", "- out: {v}", "| {v} | 1 |")),
    ("host", _node, _OF_HOSTS),
    ("site", _site, _OF_HOSTS),
    ("range", _range, ("- nodes: {v}", "ran on {v}", "NodeList={v}", "| {v} | 1 |", "`{v}`")),
    ("job", _job, _OF_JOBS),
    ("array", _array, (*_OF_JOBS, *_ANYWHERE)),
    ("account", _account, _OF_ACCOUNTS),
    ("user", _user, _OF_USERS),
    ("mail", _mail, _ANYWHERE),
    ("number", _number, _ANYWHERE),
    ("ipv6", _ipv6, _ANYWHERE),
    ("mac", _mac, _ANYWHERE),
    ("wandb", _wandb, _OF_LINKS),
    ("token", _token, _OF_SECRETS),
    ("key", _key, _OF_KEYS),
    ("hex", _hex40, _OF_HEX),
    ("password", _password, _OF_PASSWORDS),
)


def planted() -> Iterator[Planted]:
    """The corpus: each kind of value in each of its places in turn, then of the known values."""
    chance = random.Random(SEED)
    for number in range(COUNT - 120):
        kind, value_of, places = _GRAMMAR[number % len(_GRAMMAR)]
        value = value_of(chance)
        place = places[(number // len(_GRAMMAR)) % len(places)]
        yield Planted(kind, place.format(v=value), _parts(kind, value), Known())
    for number in range(120):
        yield _known(chance, number)


def _parts(kind: str, value: str) -> tuple[str, ...]:
    """What may not survive: the value, and what alone tells as much."""
    further: dict[str, Callable[[str], list[str]]] = {
        "path": lambda path: path.split("/")[2:4],
        "site": lambda site: [site.partition(".")[0]],
        "array": lambda array: [array.partition("_")[0]],
        "mail": lambda mail: [mail.partition("@")[0] + "@"],
        "wandb": lambda link: [link.rpartition("/")[2], "secret-project"],
    }
    return (value, *further.get(kind, lambda _: [])(value))


# ── values of a journal, in forms that no pattern knows
_KNOWN: tuple[tuple[str, Callable[[Chance], str]], ...] = (
    ("users", lambda chance: chance.choice(("zebra7", "kmüller", "anap"))),
    (
        "hosts",
        lambda chance: f"{chance.choice(('saturn', 'tethys', 'ymir'))}{chance.randrange(99)}",
    ),
    ("accounts", lambda chance: f"ga{chance.randrange(1000, 9999)}"),
    ("job_ids", _job),
    ("paths", lambda chance: f"/data/My Own Files/{chance.choice(('αβγ', 'été', 'x y'))}/w"),
    ("secrets", lambda chance: _chars(chance, "0123456789abcdef", 64)),
)
_FORMS: tuple[Callable[[str], str], ...] = (
    str,
    lambda value: quote(value, safe=""),
    lambda value: f'"{value}"',
    lambda value: f"({value}),",
    lambda value: value.replace("/", "\\/"),
    lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
    lambda value: "".join(f"&#{ord(letter)};" for letter in value),
    lambda value: f"line one\\n{value}\\n",
    lambda value: "\u200b".join(value),
    lambda value: f"https://huggingface.co/x/{quote(value)}?y=1",
)


def _known(chance: Chance, number: int) -> Planted:
    field, value_of = _KNOWN[number % len(_KNOWN)]
    value = value_of(chance)
    form = _FORMS[(number // len(_KNOWN)) % len(_FORMS)]
    place = _ANYWHERE[number % len(_ANYWHERE)]
    shown = form(value.upper() if field == "hosts" and number % 2 else value)
    known = Known(**{field: [value]})
    return Planted(f"known {field}", place.format(v=shown), (value, shown), known)


def in_base64(text: str) -> str:
    """A text as Base64 has it."""
    return base64.b64encode(text.encode()).decode()
