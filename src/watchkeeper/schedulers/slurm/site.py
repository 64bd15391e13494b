"""Asking a Slurm what it allows: its configuration, its partitions, and the user's associations."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from watchkeeper.schedulers.sbatch_head import time_limit_s
from watchkeeper.schedulers.shell import Done
from watchkeeper.schedulers.site import Partition, Site
from watchkeeper.schedulers.slurm.text import SEPARATOR, first_error

SINFO_FORMAT = SEPARATOR.join(("%P", "%a", "%l", "%L"))
_ASSOCIATION = ("Account", "Partition", "MaxSubmitJobs", "DefaultQOS", "QOS")
_QOS = ("Name", "MaxSubmitJobsPerUser")


def survey(
    run: Callable[[Sequence[str]], Done],
    user: str,
    *,
    cluster: str = "",
    options: Sequence[str] = (),
) -> Site:
    """Ask a Slurm what it allows this user, by `run`; what does not answer is named in `unasked`."""
    if cluster:
        which = [f"--clusters={cluster}"]
    else:
        which = []
    done = run(["scontrol", *which, "show", "config"])
    if done.code != 0:
        # The others would only wait for the same silent controller.
        return Site(options=tuple(options), unasked=(first_error(done, "scontrol"),))
    config, unasked = read_config(done.out), []
    done = run(["sinfo", *which, "--all", "--noheader", f"--format={SINFO_FORMAT}"])
    if done.code != 0:
        unasked.append(first_error(done, "sinfo"))
    if done.code == 0:
        partitions = read_partitions(done.out)
    else:
        partitions = ()
    accounting = config.get("AccountingStorageType", "").endswith("slurmdbd")
    associations: list[dict[str, str]] = []
    limits: list[str] = []
    default = ""
    if accounting:
        name = config.get("ClusterName", cluster)
        words = ["sacctmgr", "--noheader", "--parsable2", "show"]
        done = run(
            [
                *words,
                "associations",
                f"user={user}",
                f"cluster={name}",
                f"format={','.join(_ASSOCIATION)}",
            ]
        )
        if done.code == 0:
            associations = read_rows(done.out, _ASSOCIATION)
            limits = [one["MaxSubmitJobs"] for one in associations]
            done = run([*words, "user", user, "format=DefaultAccount"])
            if done.code == 0:
                default = done.out.strip()
            else:
                default = ""
            done = run([*words, "qos", f"format={','.join(_QOS)}"])
            used = {one["DefaultQOS"] or one["QOS"] for one in associations}
            limits += [one[_QOS[1]] for one in read_rows(done.out, _QOS) if one["Name"] in used]
        else:
            unasked.append(first_error(done, "sacctmgr"))
    age = config.get("MinJobAge", "").partition(" ")[0]
    array = config.get("MaxArraySize", "")
    return Site(
        version=config.get("SLURM_VERSION", ""),
        options=tuple(options),
        partitions=partitions,
        max_array=int(array) if array.isdigit() else None,
        max_submit=least(limits),
        accounts=tuple(dict.fromkeys(one["Account"] for one in associations)),
        default_account=default,
        accounting=accounting,
        checks_accounts="associations" in config.get("AccountingStorageEnforce", ""),
        forgets_s=int(age) if age.isdigit() else None,
        unasked=tuple(unasked),
    )


def read_partitions(text: str) -> tuple[Partition, ...]:
    """The lines of `sinfo --all --noheader --format=SINFO_FORMAT`; `*` marks the default. Others
    are left out.
    """
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(SEPARATOR)]
        if len(cells) != 4 or not cells[0]:
            continue
        name, up, most, default = cells
        partition = Partition(
            name=name.rstrip("*"),
            is_default=name.endswith("*"),
            up=up == "up",
            refuses=up.startswith(("drain", "inact")),
            max_time_s=_limit(most),
            default_time_s=_limit(default),
        )
        found.setdefault(partition.name, partition)
    return tuple(found.values())


def read_config(text: str) -> dict[str, str]:
    """`scontrol show config`: its `Key = value` lines."""
    pairs = (re.split(r"\s*=\s*", line, maxsplit=1) for line in text.splitlines())
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}


def read_rows(text: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of `sacctmgr --parsable2 --noheader show … format=COLUMNS`."""
    rows = (line.split("|") for line in text.splitlines())
    return [dict(zip(columns, row, strict=True)) for row in rows if len(row) == len(columns)]


def least(values: Sequence[str]) -> int | None:
    """The lowest of the limits that say a number; None if none does."""
    return min((int(value) for value in values if value.isdigit()), default=None)


def _limit(text: str) -> int | None:
    try:
        return time_limit_s(text)
    except ValueError:
        return None
