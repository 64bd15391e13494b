"""What several rooms of the tests share: real clusters, started once for all of them."""

import errno
import os

import pytest
from hypothesis import HealthCheck, settings

from tests.slurm.lab import CannotError, Lab

# A property holds or not: how busy the machine is says nothing about it.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fast", settings.get_profile("any machine"), max_examples=20)
settings.load_profile("any machine")
os.environ.setdefault(
    "WATCHKEEPER_SIDECAR", "0"
)  # hundreds of runs start here; who tests the sidecar asks for it


@pytest.fixture
def refused_files(monkeypatch):
    """A set of paths: whoever opens one of them meets an EIO, each time."""
    refused = set()
    opened = os.open

    def refuse(path, *how, **more):
        if path in refused:
            raise OSError(errno.EIO, os.strerror(errno.EIO), os.fspath(path))
        return opened(path, *how, **more)

    monkeypatch.setattr(os, "open", refuse)
    return refused


def _lab(*, light):
    """A cluster for the session. Where none can be started its tests are skipped, and fail in CI,
    where one must be.
    """
    lab = Lab(light=light)
    umask = os.umask(0)
    try:
        lab.up()
        yield lab
    except CannotError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
    finally:
        os.umask(umask)
        lab.down()


@pytest.fixture(scope="session")
def slurm_lab():
    """A real Slurm with accounting."""
    yield from _lab(light=False)


@pytest.fixture(scope="session")
def light_slurm_lab():
    """A real Slurm without accounting."""
    yield from _lab(light=True)
