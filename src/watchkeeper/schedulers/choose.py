"""The scheduler that the settings name."""

from __future__ import annotations

import os

from watchkeeper.core.errors import UsageError
from watchkeeper.core.settings import Cluster, Settings
from watchkeeper.schedulers.base import SubmitHost


def profile_of(settings: Settings, cluster: str) -> Cluster:
    """The profile of this name.

    Raises:
        UsageError: there is none.
    """
    profile = settings.clusters.get(cluster)
    if profile is not None:
        return profile
    known = ", ".join(sorted(settings.clusters)) or "there is none yet"
    raise UsageError(
        f"no cluster is called {cluster!r}",
        hint=(
            f'write [clusters.{cluster}] with kind = "slurm" into watchkeeper.toml; known: {known}'
        ),
    )


def scheduler_of(settings: Settings) -> SubmitHost:
    """The cluster's scheduler where one is named, else this machine's.

    Raises:
        UsageError: no profile has that name, or there is no Slurm here.
    """
    if settings.cluster is None:
        from watchkeeper.schedulers.local.scheduler import LocalScheduler, default_spool
        from watchkeeper.schedulers.local.spool import gpu_names

        if settings.gpus is None:
            gpus = None
        else:
            gpus = gpu_names(settings.gpus)
        return LocalScheduler(default_spool(), settings.slots, gpus=gpus)
    profile = profile_of(settings, settings.cluster)
    from watchkeeper.schedulers.shell import Here, Ssh
    from watchkeeper.schedulers.slurm.scheduler import SlurmScheduler, cluster_of, options_of

    prefix = profile.command_prefix
    cluster, remarks = cluster_of(profile.slurm_cluster, profile.sbatch_options, os.environ)
    scheduler = SlurmScheduler(
        Ssh(profile.ssh, prefix=prefix) if profile.ssh else Here(prefix=prefix),
        user=profile.user or "",
        cluster=cluster,
        options=(*options_of(os.environ), *profile.sbatch_options),
        environment=os.environ,
        remarks=remarks,
        visibility_lag_s=profile.visibility_lag_s,
    )
    scheduler.require()
    return scheduler
