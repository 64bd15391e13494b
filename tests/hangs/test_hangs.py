"""The hang table as tests: whatever hangs is left, killed or found, with its stack, and the loop
goes on.
"""

import pytest

from tests.hangs import faults


@pytest.mark.parametrize(
    "name", [pytest.param(name, id=name.replace(" ", "-")) for name in faults.FAULTS]
)
def test_a_hang_is_caught_named_and_survived(tmp_path, name):
    """This hang ends in its bound, its stack or cause is in the run's folder, and the loop goes on
    or is ended as asked.
    """
    faults.holds(name, tmp_path)
