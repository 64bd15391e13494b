"""The fault table as tests: whatever is harmed, a job runs once, its end is told truly, and nothing
waits for ever.
"""

import pytest

from tests.slurm import faults
from tests.slurm.trial import Figures, crowd, require


@pytest.fixture
def lab(slurm_lab):
    """The cluster with accounting, all of it up before and after each test, and without jobs after
    it.
    """
    slurm_lab.up()
    try:
        yield slurm_lab
    finally:
        slurm_lab.up()
        slurm_lab.cancel_all()


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, id=name.replace(" ", "-")) for name, fault in faults.FAULTS.items()],
)
def test_a_fault_neither_doubles_nor_loses_a_job(lab, fault):
    """Under this fault: one execution at a time, none after a finished one, true ends, nothing
    open, no endless wait.
    """
    figures = fault(lab)
    require(figures.good, str(figures))


def test_the_figures_see_what_they_are_for():
    """Executions that overlap, or that begin after one was done, are counted, and each bad figure
    makes a row short.
    """
    assert crowd([(0.0, 1.0, 1.0)]) == (1, 0)
    assert crowd([(0.0, 1.0, None), (2.0, 3.0, 3.0)]) == (1, 0)
    assert crowd([(0.0, 2.0, 2.0), (1.0, 3.0, 3.0)]) == (2, 0)
    assert crowd([(0.0, 1.0, 1.0), (2.0, 3.0, 3.0)]) == (1, 1)
    assert Figures(trials=1, at_once=1).good
    for short in (
        {"at_once": 2},
        {"after_done": 1},
        {"wrong": 1},
        {"unresolved": 1},
        {"endless": 1},
        {"trials": 0},
    ):
        assert not Figures(**({"trials": 1, "at_once": 1} | short)).good
