"""The fake Hub and a package for it, as the tests of publish/hub have them."""

from tests.publish.hub.conftest import hub, impatient, package

__all__ = ["hub", "impatient", "package"]
