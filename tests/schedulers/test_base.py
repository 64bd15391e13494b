"""What is asked of a scheduler beyond its four methods."""

from watchkeeper.schedulers.base import proves_claim, remote_shell
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
