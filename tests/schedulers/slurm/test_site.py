"""What a Slurm says of itself, read from what a real 22.05 printed, and from one that says less."""

import pytest

from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.schedulers.shell import Done
from watchkeeper.schedulers.site import Partition, Site
from watchkeeper.schedulers.slurm.site import survey
from watchkeeper.schedulers.slurm.text import SEPARATOR

CONFIG = """Configuration data as of 2026-11-25T07:36:02
AccountingStorageEnforce = associations,limits,qos
AccountingStorageType   = accounting_storage/slurmdbd
ClusterName             = lab
MaxArraySize            = 1001
MinJobAge               = 300 sec
SLURM_VERSION           = 22.05.8

Slurmctld(primary) at node is UP
"""
PARTITIONS = "debug*|up|1-00:00:00|1:00:00\nshort|up|10:00|n/a\nhigh|down|infinite|n/a\n".replace(
    "|", SEPARATOR
)
SILENT = Done(
    code=1, err="slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)\n"
)


class Commands:
    """A shell that answers by the words a command contains; `asked` is every command run."""

    def __init__(self, **answers):
        self.asked = []
        self.answers = {
            "config": CONFIG,
            "sinfo": PARTITIONS,
            "associations": "lab||30||normal\nother||||\n",
            "user": "lab\n",
            "qos": "normal|20\nlong|3\n",
        } | answers

    def __call__(self, argv):
        """One command."""
        self.asked.append(argv)
        word = next(word for word in self.answers if word in argv)
        answer = self.answers[word]
        return answer if isinstance(answer, Done) else Done(code=0, out=answer)


def test_a_whole_answer():
    """Partitions with their limits, the size of arrays, accounts, and the lowest limit on the
    number of jobs.
    """
    assert survey(Commands(), "me", options=["--qos=x"]) == Site(
        version="22.05.8",
        options=("--qos=x",),
        partitions=(
            Partition(
                name="debug", is_default=True, up=True, max_time_s=86_400, default_time_s=3_600
            ),
            Partition(name="short", is_default=False, up=True, max_time_s=600, default_time_s=None),
            Partition(
                name="high", is_default=False, up=False, max_time_s=None, default_time_s=None
            ),
        ),
        max_array=1001,
        max_submit=20,
        accounts=("lab", "other"),
        default_account="lab",
        accounting=True,
        checks_accounts=True,
        forgets_s=300,
    )


def test_a_silent_controller_is_asked_once():
    """Where the controller does not answer, nothing is known, the reason is told, and nobody waits
    for it again.
    """
    commands = Commands(config=SILENT)
    assert survey(commands, "me") == Site(unasked=(SILENT.err.strip(),))
    assert len(commands.asked) == 1


@pytest.mark.parametrize("word", ["sinfo", "associations", "user", "qos"])
def test_a_part_that_is_silent_costs_that_part(word):
    """What one command does not tell is unknown; the others' answers stand."""
    site = survey(Commands(**{word: Done(code=1, err=f"error: no {word}\n")}), "me")
    assert site.version == "22.05.8"
    assert bool(site.partitions) == (word != "sinfo")
    assert bool(site.accounts) == (word != "associations")
    assert site.max_submit == {"associations": None, "qos": 30}.get(word, 20)
    assert site.unasked == ((f"error: no {word}",) if word in ("sinfo", "associations") else ())


def test_a_site_without_accounting():
    """Without accounting there are no accounts or account limits, and sacctmgr is not called."""
    commands = Commands(
        config=CONFIG.replace("slurmdbd", "none").replace("associations,limits,qos", "none")
    )
    site = survey(commands, "me", cluster="big")
    assert (site.accounting, site.accounts, site.max_submit, site.checks_accounts) == (
        False,
        (),
        None,
        False,
    )
    assert commands.asked[0] == ["scontrol", "--clusters=big", "show", "config"]
    assert not any("sacctmgr" in argv for argv in commands.asked)


@pytest.mark.parametrize("text", ["", "\n\n", "garbage", "a\x1fb", "Ω = \n= 3\n"])
def test_what_is_no_answer_is_nothing(text):
    """Text that no Slurm prints is read as nothing known, never as an error."""
    assert not survey(Commands(config=text, sinfo=text), "me").partitions


@pytest.mark.parametrize("state", ["drain", "inact"])
def test_a_partition_that_refuses_is_no_queue(state):
    """A job for a drained partition is refused, one for a partition that is down waits: each is
    said as it will be.
    """
    found = survey(Commands(sinfo=PARTITIONS.replace("down", state)), "me")
    (problem,) = [
        one for one in found.problems(read_head(b"#!/bin/bash\n#SBATCH -p high -t 1 -A lab\n"), "s")
    ]
    assert "refused until it is up again" in problem.message and "will wait" not in problem.message
    (problem,) = survey(Commands(), "me").problems(
        read_head(b"#!/bin/bash\n#SBATCH -p high -t 1 -A lab\n"), "s"
    )
    assert "will wait" in problem.message


def test_an_array_counts_with_each_task():
    """An array of more tasks than a person may have jobs is never taken: it is told before it waits
    for ever.
    """
    site = survey(Commands(), "me")
    for spec, words in (("0-19", []), ("0-20%2", ["--array has 21 tasks"])):
        head = read_head(f"#!/bin/bash\n#SBATCH -p debug -t 1 -A lab --array={spec}\n".encode())
        assert [problem.message[:20] for problem in site.problems(head, "s")] == words


@pytest.mark.parametrize(
    ("max_time_s", "limit_s", "is_allowed"),
    [
        (None, None, True),
        (None, 10**9, True),
        (60, 59, True),
        (60, 60, True),
        (60, 61, False),
        (60, None, False),
    ],
)
def test_a_partition_allows_limits_up_to_its_own(max_time_s, limit_s, is_allowed):
    """A time limit is allowed up to the partition's, and no limit only where it has none."""
    partition = Partition(
        name="gpu", is_default=True, up=True, max_time_s=max_time_s, default_time_s=None
    )
    assert partition.allows(limit_s) is is_allowed
