"""A second corpus, written when the rules stood, by another grammar than the first.

Its seed was not tried while the rules were written. When it
was first run, 230 of the 240 values did not survive. Missed were names of nodes with a name before
them (`x-gpu-184`), `file:///` addresses and names of fields in bold; they have rules since.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator

from tests.publish.sanitize.corpus import Planted
from watchkeeper.publish.sanitize.known import Known

SEED = 771_204_553
COUNT = 240
Chance = random.Random
_LETTERS = string.ascii_lowercase
_ALL = string.ascii_letters + string.digits


def _of(chance: Chance, letters: str, least: int, most: int) -> str:
    return "".join(chance.choice(letters) for _ in range(chance.randint(least, most)))


def _name(chance: Chance) -> str:
    return (
        _of(chance, "bcdfghjklmnpqrstvwz", 1, 2)
        + _of(chance, "aeiouy", 1, 1)
        + _of(chance, _LETTERS, 3, 6)
    )


def _folder(chance: Chance) -> str:
    top = chance.choice(
        ("/fsx", "/capstor/scratch", "/p/project", "/mnt/lustre", "/users", "/n/holylabs")
    )
    return f"{top}/{_name(chance)}/{_name(chance)}_v{chance.randrange(9)}"


def _paths(chance: Chance) -> tuple[str, str]:
    path = _folder(chance)
    places = (
        f"torchrun --nproc_per_node 4 train.py --output_dir={path} --lr 3e-4",
        f"checkpointer:\n  output_dir: {path}\n  model_type: LLAMA3\n",
        f'Traceback (most recent call last):\n  File "{path}/train.py", line 12, in <module>',
        f"export HF_HOME={path}/.cache:$HF_HOME",
        f"[INFO] Saving model checkpoint to {path}/checkpoint-500.",
        f"{json.dumps({'model': {'path': path}})}",
        f"[weights]({path}/model.safetensors)",
        f"df -h {path} # 97% full",
        f"rsync -av {path}/ backup/",
        f"file://{path}/index.html",
        f"<!-- {path} -->",
        f"путь: {path}, потеря 0.3",
        f"PYTHONPATH={path}:{path}/src python x.py",
        f"| resume | epoch |\n|:--|--:|\n|{path}|3|",
    )
    return chance.choice(places), path


def _hosts(chance: Chance) -> tuple[str, str]:
    forms = ("{n}-gpu-{d}", "nid{d:06d}", "x{d}c0s1b0n1", "{n}{d}.{n}.uni-{n}.de", "ip-10-3-{d}-7")
    host = chance.choice(forms).format(n=_name(chance), d=chance.randrange(101, 255))
    places = (
        f"srun: error: {host}: task 3: Out Of Memory",
        f"Host: {host}",
        f"hostname = {host}",
        f"NODELIST={host}",
        f"[rank0]: {host}:2211:2345 [0] NCCL INFO Bootstrap : Using eth0",
        f"started on node {host} at 12:00",
        f"ssh -p 2222 {host}",
        f"| node | it/s |\n|---|---|\n| {host} | 2.1 |",
        f"rdzv_endpoint={host}:29500",
        f"tensorboard --logdir x --host {host}",
        f"Batch job ran on host {host} for 3 h",
        f"scp -r {host}:/data/out .",
    )
    return chance.choice(places), host


def _jobs(chance: Chance) -> tuple[str, str]:
    job = str(chance.randrange(1_000_000, 9_999_999))
    places = (
        f"*** STEP {job}.0 ON nid001 CANCELLED AT 2026-03-11T12:00:00 ***",
        f"JobId={job} JobName=train",
        f"Job ID: {job}",
        f"requeued as {job} after preemption",
        f"job-{job}.log has the traceback",
        f"(job {job})",
        f"scontrol show job {job}",
        f"the array job {job}_[1-8] was slow",
        f"Job <{job}> is submitted to queue <gpu>",
        f"job#{job}",
        f"SLURM_ARRAY_JOB_ID: {job}",
        f"execution id {job}, 3 h",
        f"2026-03-12_train_job-{job}.md",
        f"sbatch --dependency=afterany:{job}:1 x.sh",
        f"seff {job}",
        f"{{'slurm_job_id': {job}}}",
        f"train.o{job}",
    )
    return chance.choice(places), job


def _people(chance: Chance) -> tuple[str, str]:
    user = f"{_name(chance)}{chance.randrange(10, 99)}"
    places = (
        f"{user}@{_name(chance)}.hpc.example.org wrote the script",
        f"rsync x {user}@login.{_name(chance)}.ac.uk:/y",
        f"UserId={user}(20031) GroupId=staff(50)",
        f"uid=1001({user}) gid=1001({user})",
        f"Owner: {user}",
        f"username={user}",
        f"slurm.conf: User={user}",
        f"~{user}/bin/run.sh",
        f"squeue -u {user} --start",
        f"squeue --user={user}",
        f"/home/{user}: disk quota exceeded",
        f"launched by {user}, 3 h ago",
        f"ls /Users/{user}/Desktop",
    )
    return chance.choice(places), user


def _accounts(chance: Chance) -> tuple[str, str]:
    account = f"{_name(chance)}_{_of(chance, string.digits, 3, 5)}"
    places = (
        f"#SBATCH --account {account}",
        f"#SBATCH -A{account}",
        f'sbatch_options = ["--account={account}"]',
        f"salloc -N1 -A {account} -t 1:00:00",
        f"SLURM_JOB_ACCOUNT={account}",
        f'account: "{account}"',
        f"- **Account:** `{account}`",
        f"#SBATCH --reservation={account}",
        f"#SBATCH --partition={account}",
        f"charged to account {account}",
    )
    return chance.choice(places), account


def _tokens(chance: Chance) -> tuple[str, str]:
    token = _of(chance, _ALL, 32, 64)
    places = (
        f"COMET_API_KEY={token} python x.py",
        f"wandb:\n  api_key: {token}\n",
        f"headers = {{'Authorization': 'Bearer {token}'}}",
        f"--hf_token={token}",
        f"hub_token => '{token}'",
        f'curl -H "X-Api-Key: {token}" https://huggingface.co',
        f"set -x OPENAI_API_KEY {token}",
        f"setenv NEPTUNE_API_TOKEN {token}",
        f"my_thing = {token}",
        f"[{token}]",
        f"https://huggingface.co/x?access_token={token}",
        f"https://user:{token}@github.com/o/r.git",
        f"login({json.dumps(token)})",
        f"echo {base64.b64encode(('hf' + '_' + token).encode()).decode()} | base64 -d",
        f"Cookie: session={token}",
        f"<apiKey>{token}</apiKey>",
        f"the API key was {token}",
        f'secrets.toml:\nclient_secret = "{token}"',
    )
    text = chance.choice(places)
    if "base64" in text:
        return text, text.split()[1]
    return text, token


def _passwords(chance: Chance) -> tuple[str, str]:
    word = _name(chance).title() + _of(chance, string.digits, 2, 4) + chance.choice("!#%_")
    places = (
        f"password={word}",
        f"PGPASSWORD={word} psql",
        f'"smtp_password": "{word}"',
        f"machine huggingface.co login me password {word}",
        f"redis://:{word}@cache.example:6379/0",
        f"sshpass -p {word} ssh node3",
        f"db:\n  pass: {word}\n",
        f"passphrase = '{word}'",
        f"mysql -u root -p{word}",
        f"wget --user=me --password={word} https://zenodo.org/x",
    )
    return chance.choice(places), word


def _numbers(chance: Chance) -> tuple[str, str]:
    number = f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
    mac = ":".join(f"{chance.randrange(256):02X}" for _ in range(6))
    six = f"2001:db8::{chance.randrange(16, 65535):x}"
    value = chance.choice((number, mac, six))
    places = (
        f"Connected to [{value}]",
        f"tcp://{number}:29500",
        f"addr {value} up",
        f"inet {value}/24 brd",
        f"master={value}",
        f"from {value}, port 22",
    )
    text = chance.choice(places)
    return text, number if "tcp:" in text else value


def _links(chance: Chance) -> tuple[str, str]:
    team, run = _name(chance), _of(chance, _LETTERS + string.digits, 8, 8)
    places = (
        (f"wandb: 🚀 View run at https://wandb.ai/{team}/p/runs/{run}", run),
        (f"wandb: Run data is saved locally in wandb/run-20260311_150000-{run}", run),
        (f"wandb sync wandb/offline-run-20260311_150000-{run}", run),
        (f"https://wandb.{team}.example/o/p/runs/{run}", run),
        (f"WANDB_RUN_ID={run}", run),
        (f"https://grafana.{team}.internal/d/abc", f"grafana.{team}"),
        (f"git clone git@gitlab.{team}.de:group/repo.git", f"gitlab.{team}"),
        (f"s3://{team}-private/run/1", f"{team}-private"),
        (f"see https://jira.{team}.com/browse/X-1", f"jira.{team}"),
    )
    return chance.choice(places)


Maker = Callable[[Chance], tuple[str, str]]
_MAKERS: tuple[tuple[str, Maker], ...] = (
    ("path", _paths),
    ("host", _hosts),
    ("job", _jobs),
    ("person", _people),
    ("account", _accounts),
    ("token", _tokens),
    ("password", _passwords),
    ("number", _numbers),
    ("link", _links),
)


def planted() -> Iterator[Planted]:
    """The corpus, each kind in turn. Nothing is known from a journal."""
    chance = random.Random(SEED)
    for number in range(COUNT):
        kind, maker = _MAKERS[number % len(_MAKERS)]
        text, value = maker(chance)
        yield Planted(f"blind {kind}", text, (value,), Known())
