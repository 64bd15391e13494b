"""What is asked of a scheduler beyond its four methods."""

from watchkeeper.schedulers.base import poll_groups, proves_claim, remote_shell
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.schedulers.local.scheduler import LocalScheduler
from watchkeeper.schedulers.shell import Ssh


def test_this_machine_proves_each_claim_and_needs_no_shell(tmp_path):
    """Without other nodes, a claim has one holder, and all files are read here."""
    local = LocalScheduler(tmp_path / "spool", 1)
    assert proves_claim(local, tmp_path)
    assert remote_shell(local) is None


def test_a_scheduler_with_other_nodes_answers_for_itself(tmp_path):
    """With other nodes, the scheduler says whether a claim is proved and where files are read."""
    fake = FakeScheduler()
    fake.claim_proved = False
    fake.far = Ssh("login")
    assert not proves_claim(fake, tmp_path)
    assert remote_shell(fake) is fake.far


def test_groups_of_jobs_are_looked_at_where_a_look_costs_no_command():
    """A scheduler without shared looks says of each group what it says of it alone."""
    fake = FakeScheduler()
    groups = [["1"], [], ["2", "3"]]
    assert poll_groups(fake, groups) == [fake.poll(job_ids) for job_ids in groups]
