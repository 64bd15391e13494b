"""Asking a Slurm what it allows: its configuration, its partitions, and the user's associations."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

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
    """Ask a Slurm what it allows this user, by `run`; `unasked` names what does not answer."""
    where = [f"--clusters={cluster}"] if cluster else []
    done = run(["scontrol", *where, "show", "config"])
    if done.code != 0:
        # The others would only wait for the same silent controller.
        return Site(options=tuple(options), unasked=(first_error(done, "scontrol"),))
    config, unasked = read_config(done.out), []
    done = run(["sinfo", *where, "--all", "--noheader", f"--format={SINFO_FORMAT}"])
    partitions: tuple[Partition, ...] = ()
    if done.code == 0:
        partitions = read_partitions(done.out)
    else:
        unasked.append(first_error(done, "sinfo"))
    accounting = config.get("AccountingStorageType", "").endswith("slurmdbd")
    rights = _Rights()
    if accounting:
        rights = _ask_rights(run, user, config.get("ClusterName", cluster))
    if rights.fault:
        unasked.append(rights.fault)
    return Site(
        version=config.get("SLURM_VERSION", ""),
        options=tuple(options),
        partitions=partitions,
        max_array=_number(config.get("MaxArraySize", "")),
        max_submit=least(rights.limits),
        accounts=rights.accounts,
        default_account=rights.default_account,
        accounting=accounting,
        checks_accounts="associations" in config.get("AccountingStorageEnforce", ""),
        forgets_s=_number(config.get("MinJobAge", "").partition(" ")[0]),
        unasked=tuple(unasked),
    )


class _Rights(msgspec.Struct, frozen=True, kw_only=True):
    """What accounting grants a user. `limits`: every limit on submitted jobs, as it is written;
    `fault`: why accounting did not answer, "" if it did.
    """

    accounts: tuple[str, ...] = ()
    default_account: str = ""
    limits: tuple[str, ...] = ()
    fault: str = ""


def _ask_rights(run: Callable[[Sequence[str]], Done], user: str, cluster: str) -> _Rights:
    show = ["sacctmgr", "--noheader", "--parsable2", "show"]
    where = [f"user={user}", f"cluster={cluster}"]
    done = run([*show, "associations", *where, f"format={','.join(_ASSOCIATION)}"])
    if done.code != 0:
        return _Rights(fault=first_error(done, "sacctmgr"))
    associations = read_rows(done.out, _ASSOCIATION)
    done = run([*show, "user", user, "format=DefaultAccount"])
    default_account = done.out.strip() if done.code == 0 else ""
    done = run([*show, "qos", f"format={','.join(_QOS)}"])
    used = {row["DefaultQOS"] or row["QOS"] for row in associations}
    limits = [row["MaxSubmitJobs"] for row in associations]
    limits += [row[_QOS[1]] for row in read_rows(done.out, _QOS) if row["Name"] in used]
    return _Rights(
        accounts=tuple(dict.fromkeys(row["Account"] for row in associations)),
        default_account=default_account,
        limits=tuple(limits),
    )


def read_partitions(text: str) -> tuple[Partition, ...]:
    """The lines of `sinfo --all --noheader --format=SINFO_FORMAT`; `*` marks the default. Others
    are left out.
    """
    partitions: dict[str, Partition] = {}
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
        partitions.setdefault(partition.name, partition)
    return tuple(partitions.values())


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


def _number(text: str) -> int | None:
    if text.isdigit():
        return int(text)
    return None


def _limit(text: str) -> int | None:
    try:
        return time_limit_s(text)
    except ValueError:
        return None
