"""The Slurm adapter on commands that lag, lie and fail, as a real cluster's rarely do."""

import os
from pathlib import Path

import pytest

from watchkeeper.core.errors import DoubtError, RefusedError, UnavailableError, UsageError
from watchkeeper.schedulers.base import TERMINAL, UNKNOWN, Job
from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.schedulers.shell import NOT_THERE, Done
from watchkeeper.schedulers.slurm import text
from watchkeeper.schedulers.slurm.scheduler import SlurmScheduler, cluster_of, options_of

CONTACT = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"
REFUSED = (
    "sacct: error: Sending PersistInit msg: Connection refused\nsacct: error: Problem talking "
    "to the database\n"
)
LIGHT = Done(code=1, err="Slurm accounting storage is disabled\n")


def shown(job_id, state, *, token="tok", status="0", node="n1", end="1795392200"):
    """A line of squeue."""
    wrapper = f"/exp/wk-{token}.sh" if token else "(null)"
    cells = [
        job_id,
        job_id.partition("_")[0],
        state,
        "None",
        "1795392100",
        "1795392150",
        end,
        node,
        status,
        "n",
        "/exp",
        wrapper,
    ]
    return "".join(cell + text.SEPARATOR for cell in cells) + "\n"


def booked(job_id, state, *, token="tok", code="0:0", end="1795392200", fields=text.SACCT_FIELDS):
    """A line of sacct."""
    cells = {
        "JobID": job_id,
        "JobIDRaw": job_id,
        "State": state,
        "ExitCode": code,
        "Submit": "1795392100",
        "Start": "1795392150",
        "End": end,
        "NodeList": "n1",
        "WorkDir": "/exp",
        "SubmitLine": f"sbatch /exp/wk-{token}.sh" if token else "",
    }
    return text.SEPARATOR.join(cells.get(field, "") for field in fields) + "\n"


class Cluster:
    """A shell whose commands say what a test wants, and a clock that it moves. `asked` is every
    command run.
    """

    def __init__(self):
        self.asked = []
        self.squeue = ""
        self.sacct = ""
        self.fields = text.SACCT_FIELDS
        self.answers = {}
        self.now_s = 0.0

    def run(self, argv, *, timeout_s, folder="", env=None, input=""):
        """One command."""
        self.asked.append(list(argv))
        command = argv[0]
        answer = self.answers.get(command)
        if callable(answer):
            answer = answer(argv)
        if answer:
            return answer
        if "--helpformat" in argv:
            return Done(code=0, out=" ".join(self.fields))
        header = text.SEPARATOR.join(self.fields) + "\n"
        return Done(
            code=0, out={"squeue": self.squeue, "sacct": header + self.sacct}.get(command, "")
        )

    def count(self, command):
        """How often a command was run, help left out."""
        return sum(argv[0] == command and "--helpformat" not in argv for argv in self.asked)


@pytest.fixture
def cluster():
    """A cluster that answers, and knows no jobs."""
    return Cluster()


@pytest.fixture
def slurm(cluster):
    """The adapter on it."""
    return SlurmScheduler(cluster, user="me", monotonic=lambda: cluster.now_s)


def look(slurm, job_id="17"):
    """The facts of one job; None if there are none."""
    return slurm.poll([job_id]).facts.get(job_id)


# ── never finished by silence


@pytest.mark.parametrize(
    "state", ["PENDING", "RUNNING", "COMPLETING", "SOMETHING_NEW", "REVOKED", "REQUEUED"]
)
def test_accounting_alone_ends_nothing_unless_it_says_so(cluster, slurm, state):
    """A job that squeue does not show, and accounting has no end of, is UNKNOWN with the reason,
    however long it takes.
    """
    cluster.sacct = booked("17", state, end="Unknown")
    for cluster.now_s in (0, 1e6):
        facts = look(slurm)
        assert facts.state == UNKNOWN
        assert state in facts.reason


@pytest.mark.parametrize("state", ["SOMETHING_NEW", "REVOKED", ""])
def test_a_strange_state_is_unknown(cluster, slurm, state):
    """A live state that nobody knows is UNKNOWN, and told."""
    cluster.squeue = shown("17", state)
    assert (look(slurm).state, look(slurm).reason) == (UNKNOWN, state)


def test_accounting_that_lags(cluster, slurm):
    """A job that squeue shows as ended is COMPLETING until accounting has its end, then has
    accounting's facts.
    """
    cluster.squeue = shown("17", "FAILED", status="768")
    cluster.sacct = booked("17", "PENDING", token="", end="Unknown")
    assert look(slurm).state == "COMPLETING"
    cluster.sacct = booked("17", "FAILED", code="0:0")
    assert look(slurm).state == "COMPLETING"
    cluster.sacct = booked("17", "FAILED", code="3:0")
    facts = look(slurm)
    assert (facts.state, facts.exit_code) == ("FAILED", 3)


@pytest.mark.parametrize("rows", ["", booked("17", "PENDING", token="", end="Unknown")])
def test_accounting_that_never_comes(cluster, slurm, rows):
    """Where accounting does not have a job's end after a while, squeue's own word stands: no wait
    is endless.
    """
    cluster.squeue = shown("17", "FAILED", status="768")
    cluster.sacct = rows
    assert look(slurm).state == "COMPLETING"
    cluster.now_s = 31
    facts = look(slurm)
    assert (facts.state, facts.exit_code) == ("FAILED", 3)


def test_a_failure_that_stays_0_0(cluster, slurm):
    """A failure that accounting shows as 0:0, as for code 128, is believed after a while."""
    cluster.sacct = booked("17", "FAILED")
    assert look(slurm).state == "COMPLETING"
    cluster.now_s = 31
    assert look(slurm).state == "FAILED"


def test_the_better_source(cluster, slurm, tmp_path):
    """Of an ended job squeue knows reason, code and folder better than accounting, which takes 128
    off a code; accounting knows the peak memory.
    """
    job = make_job(tmp_path)
    cluster.squeue = shown("17", "FAILED", status=str(211 << 8)).replace(
        "/exp/wk-tok.sh", str(job.wrapper)
    )
    cluster.squeue = cluster.squeue.replace("None", "NonZeroExitCode").replace(
        "/exp", str(tmp_path)
    )
    row = booked("17", "FAILED", code="83:0", token="").replace("/exp", "")
    step = booked("17.batch", "FAILED", token="").split(text.SEPARATOR)
    step[cluster.fields.index("MaxRSS")] = "2M"
    cluster.sacct = row + text.SEPARATOR.join(step)
    facts = look(slurm)
    assert (facts.reason, facts.exit_code, facts.max_rss_bytes) == (
        "NonZeroExitCode",
        211,
        2 * 1024**2,
    )
    assert facts.output == str(tmp_path / "slurm-17.out")


def test_an_outage_of_accounting(cluster, slurm):
    """Without accounting's answer, what squeue shows is told at once, and the rest is UNKNOWN with
    the reason.
    """
    cluster.squeue = shown("17", "FAILED", status="768") + shown("18", "RUNNING")
    cluster.answers["sacct"] = Done(code=1, err=REFUSED)
    facts = slurm.poll(["17", "18", "19"]).facts
    assert {job_id: fact.state for job_id, fact in facts.items()} == {
        "17": "FAILED",
        "18": "RUNNING",
        "19": UNKNOWN,
    }
    assert "Problem talking to the database" in facts["19"].reason


@pytest.mark.parametrize(
    "answer",
    [
        Done(code=1, err=CONTACT),
        Done(code=1, err="slurm_load_jobs error: Socket timed out on send/recv operation\n"),
        Done(code=-9, timed_out=True),
        Done(code=NOT_THERE, err="squeue: not found"),
        Done(code=2),
    ],
)
def test_an_outage_of_the_controller(cluster, slurm, answer):
    """squeue without an answer is UnavailableError in one line, whatever accounting would say."""
    cluster.answers["squeue"] = answer
    cluster.sacct = booked("17", "COMPLETED")
    for ask in (lambda: slurm.poll(["17"]), lambda: slurm.find("tok"), lambda: slurm.cancel("17")):
        with pytest.raises(UnavailableError) as caught:
            ask()
        assert str(caught.value)
        assert "\n" not in str(caught.value)
    assert cluster.count("scancel") == 0


# ── which job an id is


@pytest.mark.parametrize("seen_live", [True, False])
def test_an_id_given_again(cluster, slurm, seen_live):
    """Where accounting still has the job that had the id before, its end is not the new one's."""
    cluster.sacct = booked("17", "COMPLETED", token="old")
    snapshot = slurm.poll(["17"])
    assert (snapshot.facts["17"].state, snapshot.tokens) == ("COMPLETED", {"17": "old"})
    if seen_live:
        cluster.squeue = shown("17", "RUNNING", token="new")
        snapshot = slurm.poll(["17"])
        assert (snapshot.facts["17"].state, snapshot.tokens) == ("RUNNING", {"17": "new"})
    cluster.squeue = shown("17", "FAILED", token="new", status="768")
    snapshot = slurm.poll(["17"])
    assert (snapshot.facts["17"].state, snapshot.tokens) == ("COMPLETING", {"17": "new"})
    cluster.sacct += booked("17", "FAILED", token="new", code="3:0")
    snapshot = slurm.poll(["17"])
    assert (snapshot.facts["17"].exit_code, snapshot.tokens) == (3, {"17": "new"})


def test_a_requeue_after_the_end(cluster, slurm):
    """An ended job that an administrator requeues lives again; its old end is forgotten."""
    cluster.squeue = shown("17", "COMPLETED")
    cluster.sacct = booked("17", "COMPLETED")
    assert look(slurm).state == "COMPLETED"
    cluster.squeue = shown("17", "PENDING", node="")
    assert look(slurm).state == "PENDING"
    cluster.squeue = ""
    cluster.sacct += booked("17", "FAILED", code="3:0")
    assert (look(slurm).state, look(slurm).exit_code) == ("FAILED", 3)


def test_preempted_and_requeued_is_no_end(cluster, slurm):
    """A preempted execution of a job that waits again is not its end."""
    cluster.squeue = shown("17", "PENDING", node="")
    cluster.sacct = booked("17", "PREEMPTED")
    assert look(slurm).state == "PENDING"
    cluster.squeue = ""
    cluster.sacct += booked("17", "REQUEUED", end="Unknown")
    assert look(slurm).state == UNKNOWN


def test_find_asks_both(cluster, slurm):
    """Jobs are found by their token in squeue and accounting, each once, oldest first."""
    cluster.squeue = shown("20", "RUNNING") + shown("21", "RUNNING", token="other")
    cluster.sacct = (
        booked("9", "COMPLETED")
        + booked("9", "COMPLETED")
        + booked("20", "RUNNING")
        + booked("8", "FAILED", token="")
    )
    assert list(slurm.find("tok")) == ["9", "20"]
    cluster.answers["sacct"] = Done(code=1, err=REFUSED)
    assert list(slurm.find("tok")) == ["20"]
    with pytest.raises(UnavailableError):
        slurm.find("nobody")


def test_cancel_looks_again(cluster, slurm):
    """Only our live job is cancelled; one that ends meanwhile is left; an outage is reported."""
    cluster.squeue = (
        shown("17", "RUNNING") + shown("18", "RUNNING", token="") + shown("19", "COMPLETED")
    )
    for job_id in ("17", "18", "19", "20"):
        slurm.cancel(job_id)
    assert [argv for argv in cluster.asked if argv[0] == "scancel"] == [["scancel", "17"]]
    cluster.answers["scancel"] = Done(
        code=1, err="scancel: error: Kill job error on job id 17: Invalid job id specified"
    )
    slurm.cancel("17")
    cluster.answers["scancel"] = Done(code=8, err=f"scancel: error: {CONTACT}")
    with pytest.raises(UnavailableError):
        slurm.cancel("17")


# ── what a site offers, and what it costs


@pytest.mark.parametrize("answer", [LIGHT, Done(code=NOT_THERE, err="sacct: not found")])
def test_a_site_without_accounting(cluster, slurm, answer):
    """It is found out once; squeue's word stands, code and all, and what it forgot is absent, not
    ended.
    """
    cluster.answers["sacct"] = answer
    cluster.squeue = shown("17", "FAILED", status=str(211 << 8))
    facts = slurm.poll(["17", "18"]).facts
    assert set(facts) == {"17"}
    assert (facts["17"].state, facts["17"].exit_code) == ("FAILED", 211)
    asked = len([argv for argv in cluster.asked if argv[0] == "sacct"])
    cluster.squeue = ""
    assert look(slurm, "17").exit_code == 211
    assert look(slurm, "18") is None
    assert list(slurm.find("tok")) == []
    assert len([argv for argv in cluster.asked if argv[0] == "sacct"]) == asked == 1


def test_fields_that_are_not_offered(cluster, slurm):
    """Only fields that this Slurm offers are asked for; without SubmitLine no token is claimed."""
    cluster.fields = tuple(field for field in text.SACCT_FIELDS if field != "SubmitLine")
    cluster.sacct = booked("17", "COMPLETED", fields=cluster.fields)
    snapshot = slurm.poll(["17"])
    assert (snapshot.facts["17"].state, snapshot.tokens) == ("COMPLETED", {})
    (format_,) = (
        word
        for argv in cluster.asked
        for word in argv
        if argv[0] == "sacct" and word.startswith("--format=")
    )
    assert "SubmitLine" not in format_


def test_a_window_that_is_too_wide(cluster, slurm):
    """Where a site forbids so long a query window, a shorter one is used and remembered."""

    def answer(argv):
        days = [
            int(word.removeprefix("--starttime=now-").removesuffix("days"))
            for word in argv
            if "starttime" in word
        ]
        assert all(1 <= day < 10**4 for day in days)
        return (
            Done(code=1, err="sacct: error: Too wide of a date range in query\n")
            if days and days[0] > 7
            else None
        )

    cluster.answers["sacct"] = answer
    cluster.sacct = booked("17", "COMPLETED")
    assert look(slurm).state == "COMPLETED"
    before = cluster.count("sacct")
    look(slurm, "18")
    assert cluster.count("sacct") == before + 1


def test_a_shared_look_says_to_each_what_it_would_be_told_alone(cluster):
    """One look at several groups of jobs costs the commands of one, and says of each group what a
    look at it alone says, in the same words: accounting's silence only where a job has ended.
    """
    cluster.squeue = shown("17", "RUNNING") + shown("18", "FAILED", status="768")
    cluster.sacct = booked("18", "FAILED", code="3:0") + booked("19", "COMPLETED")
    groups = [["17"], ["18", "17"], [], ["19", "20"]]
    for answer in (None, Done(code=1, err=REFUSED)):
        cluster.answers["sacct"] = lambda argv, said=answer: "--helpformat" not in argv and said
        alone = [SlurmScheduler(cluster, user="me").poll(job_ids) for job_ids in groups]
        cluster.asked.clear()
        slurm = SlurmScheduler(cluster, user="me")
        assert slurm.poll_groups(groups) == alone
        assert (cluster.count("squeue"), cluster.count("sacct")) == (1, 1)
        assert [bool(one.silent) for one in alone] == [False, bool(answer), False, bool(answer)]
    cluster.asked.clear()
    assert [one.facts for one in slurm.poll_groups([[], []])] == [{}, {}]
    assert cluster.asked == []


def test_commands_per_poll(cluster, slurm):
    """A look at thousands of jobs is one squeue and one sacct; ended jobs are not queried again."""
    job_ids = [str(number) for number in range(1000, 6000)]
    cluster.squeue = "".join(shown(job_id, "RUNNING") for job_id in job_ids[:2500])
    cluster.sacct = "".join(booked(job_id, "COMPLETED") for job_id in job_ids[2500:])
    slurm.poll([])
    assert cluster.asked == []
    snapshot = slurm.poll(job_ids)
    assert len(snapshot.facts) == 5000
    assert len(snapshot.query) < 400
    assert (cluster.count("squeue"), cluster.count("sacct")) == (1, 1)
    slurm.poll(job_ids)
    assert (cluster.count("squeue"), cluster.count("sacct")) == (2, 1)


# ── submit


def make_job(tmp_path, head=""):
    """A job whose wrapper has this head."""
    wrapper = tmp_path / "wk-tok.sh"
    wrapper.write_text(f"#!/bin/bash\n{head}\ntrue\n")
    return Job(wrapper=wrapper, folder=tmp_path, name="train.slurm", token="tok")


def test_the_exact_command(cluster, tmp_path):
    """The script's own name is the job's unless it gives one; options and cluster go before it."""
    slurm = SlurmScheduler(cluster, user="me", cluster="big", options=["--account=x"])
    cluster.answers["sbatch"] = Done(code=0, out="17;big\n")
    receipt = slurm.submit(make_job(tmp_path, "#SBATCH --output=a/b/%x.txt"))
    assert slurm.name == "slurm@big"
    assert receipt.job_id == "17"
    assert receipt.exact == (
        "sbatch --parsable --clusters=big --account=x --job-name=train.slurm "
        f"--open-mode=append {tmp_path / '.wk-tok.sh'}"
    )
    assert (tmp_path / "a" / "b").is_dir()
    assert (
        "--open-mode" not in slurm.submit(make_job(tmp_path, "#SBATCH --open-mode=truncate")).exact
    )
    assert "--job-name=mine" in slurm.submit(make_job(tmp_path, "#SBATCH -J mine")).exact


@pytest.mark.parametrize("line", ["--wait", "-W", "-p debug --wait", "--test-only"])
def test_what_does_not_return(cluster, slurm, tmp_path, line):
    """A script that makes sbatch wait, or not submit, is refused before sbatch is run; a mention in
    a comment is not.
    """
    with pytest.raises(RefusedError, match="sbatch does not submit and return"):
        slurm.submit(make_job(tmp_path, f"#SBATCH {line}"))
    assert cluster.asked == []
    cluster.answers["sbatch"] = Done(code=0, out="17\n")
    assert (
        slurm.submit(make_job(tmp_path, f"##SBATCH {line}\n#SBATCH --comment=x # {line}")).job_id
        == "17"
    )


def test_output_that_would_be_lost(cluster, slurm, tmp_path):
    """If the output's folder cannot be created the job is refused: Slurm would lose its output."""
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(RefusedError, match="lose the job's output"):
        slurm.submit(make_job(tmp_path, "#SBATCH -o logs/x.txt"))
    assert cluster.asked == []


def test_a_submission_without_an_answer(cluster, slurm, tmp_path):
    """sbatch that is cut off leaves doubt."""
    cluster.answers["sbatch"] = Done(code=-9, timed_out=True)
    with pytest.raises(DoubtError):
        slurm.submit(make_job(tmp_path))


def test_no_slurm(cluster, slurm, tmp_path):
    """Without sbatch it says so at once, and offers this machine."""
    cluster.answers["sbatch"] = Done(code=NOT_THERE, err="sbatch: not found")
    with pytest.raises(UsageError) as caught:
        slurm.require()
    assert "this machine" in caught.value.hint
    with pytest.raises(UnavailableError):
        slurm.submit(make_job(tmp_path))


def test_the_environments_options():
    """SBATCH_ACCOUNT and the like are options; what would change how sbatch answers is not."""
    environment = {"SBATCH_ACCOUNT": "a b", "SBATCH_WAIT": "1", "SBATCH_PARTITION": "", "HOME": "/"}
    assert options_of(environment) == ("--account=a b",)


def test_output_places(cluster, slurm, tmp_path):
    """Where a job's output goes is read from its wrapper's own head, from squeue's path and from
    accounting's line.
    """
    job = make_job(tmp_path, "#SBATCH -o out-%j.txt -e err-%x.txt")
    wrapper = str(job.wrapper)
    cluster.squeue = (
        shown("17", "RUNNING").replace("/exp/wk-tok.sh", wrapper).replace("/exp", str(tmp_path))
    )
    facts = look(slurm)
    assert (Path(facts.output).name, Path(facts.error_output).name) == ("out-17.txt", "err-n.txt")
    fresh = SlurmScheduler(cluster, user="me")
    cluster.squeue = ""
    cluster.sacct = booked("17", "COMPLETED").replace(
        "sbatch /exp/wk-tok.sh", f"sbatch --x /y {wrapper}"
    )
    cluster.sacct = cluster.sacct.replace("/exp", str(tmp_path))
    facts = look(fresh)
    assert facts.state in TERMINAL
    assert facts.output == str(tmp_path / "out-17.txt")


# ── the user's environment


def job_of(tmp_path, source="#!/bin/bash\n"):
    """A wrapped job whose script has these lines."""
    script = tmp_path / "wk-tok.sh"
    script.write_text(source)
    return Job(wrapper=script, folder=tmp_path, name="n", token="tok")


def test_whose_jobs_they_are_is_asked_by_the_commands_own_user(cluster):
    """LOGNAME and USER decide nothing: the user is who the commands run as, by name or, without
    one, by number.
    """
    slurm = SlurmScheduler(cluster)
    cluster.answers["id"] = lambda argv: Done(code=0, out="me\n") if argv == ["id", "-un"] else None
    slurm.poll(["17"])
    (asked,) = [argv for argv in cluster.asked if argv[0] == "squeue"]
    assert {"--user=me", "--all"} <= set(asked)
    slurm = SlurmScheduler(cluster)
    cluster.answers["id"] = lambda argv: (
        Done(code=1, err="id: no name\n") if argv == ["id", "-un"] else Done(code=0, out="7\n")
    )
    assert "squeue -u 7" in slurm.poll(["17"]).query
    cluster.answers["id"] = Done(code=1, err="no\n")
    with pytest.raises(UnavailableError, match="whose jobs"):
        SlurmScheduler(cluster).poll(["17"])


@pytest.mark.parametrize(
    ("profile", "options", "environment", "cluster", "remarks"),
    [
        ("", (), {}, "", 0),
        ("", (), {"SLURM_CLUSTERS": "two"}, "two", 1),
        ("", (), {"SLURM_CLUSTERS": "two", "SBATCH_CLUSTERS": "three"}, "three", 2),
        ("one", (), {"SLURM_CLUSTERS": "one"}, "one", 0),
        ("one", (), {"SLURM_CLUSTERS": "two"}, "one", 1),
        ("", ("--clusters=three",), {"SLURM_CLUSTERS": "two"}, "three", 1),
        ("", ("-Mthree",), {}, "three", 0),
    ],
)
def test_the_cluster_that_a_person_chose_is_taken_and_spoken_of(
    profile, options, environment, cluster, remarks
):
    """The profile outweighs the environment, and whatever does not count is named: nothing is
    dropped in silence.
    """
    chosen, told = cluster_of(profile, options, environment)
    assert (chosen, len(told)) == (cluster, remarks)


@pytest.mark.parametrize("several", ["one,two", "all"])
def test_several_clusters_are_refused(several):
    """A job is followed at one cluster: where several are named, somebody must choose."""
    with pytest.raises(UsageError, match=f"several clusters .{several}"):
        cluster_of("", (), {"SLURM_CLUSTERS": several})


def test_a_scripts_own_cluster_is_the_one_asked_or_refused(cluster, tmp_path):
    """A script's --clusters is never overruled in silence: another cluster than the one asked is
    refused by name.
    """
    cluster.answers["sbatch"] = Done(code=0, out="17;two\n")
    job = job_of(tmp_path, "#!/bin/bash\n#SBATCH -M two\n")
    with pytest.raises(RefusedError, match="--clusters=two is not the default cluster"):
        SlurmScheduler(cluster, user="me").submit(job)
    with pytest.raises(RefusedError, match="not cluster one"):
        SlurmScheduler(cluster, user="me", cluster="one").submit(job)
    assert SlurmScheduler(cluster, user="me", cluster="two").submit(job).job_id == "17"


def test_an_answer_with_a_cluster_is_asked_for_there(cluster, tmp_path):
    """`17;two` is a job at the cluster `two`: looked for, followed and cancelled there, and known
    by its own number.
    """
    cluster.answers["sbatch"] = Done(code=0, out="Hello\n17;two\n")
    cluster.answers["scontrol"] = Done(code=0, out="ClusterName             = one\n")
    slurm = SlurmScheduler(cluster, user="me")
    assert slurm.submit(job_of(tmp_path)).job_id == "17;two"
    cluster.squeue = shown("17", "RUNNING")
    looked = slurm.poll(["17;two", "5"])
    assert (
        looked.facts["17;two"].state == "RUNNING"
        and looked.tokens["17;two"] == "tok"
        and "5" not in looked.facts
    )
    squeues = [argv for argv in cluster.asked if argv[0] == "squeue"]
    assert ["--clusters=two" in argv for argv in squeues] == [True, False]
    cluster.squeue = ""
    cluster.sacct = booked("17", "COMPLETED")
    assert look(slurm, "17;two").state == "COMPLETED"
    assert {"--clusters=two", "--jobs=17"} <= set(cluster.asked[-1])
    cluster.squeue = shown("17", "RUNNING")
    slurm.cancel("17;two")
    assert cluster.asked[-1] == ["scancel", "--clusters=two", "17"]
    assert slurm.find("tok") == ["17", "17;two"]


def test_the_name_of_the_default_cluster_says_nothing_new(cluster, tmp_path):
    """A federation's sbatch always names the cluster: its own is no other one."""
    cluster.answers["sbatch"] = Done(code=0, out="17;one\n")
    cluster.answers["scontrol"] = Done(code=0, out="ClusterName             = one\n")
    assert SlurmScheduler(cluster, user="me").submit(job_of(tmp_path)).job_id == "17"
    assert SlurmScheduler(cluster, user="me", cluster="one").submit(job_of(tmp_path)).job_id == "17"


def test_what_is_set_for_sbatch_counts_or_is_refused(cluster, tmp_path):
    """SBATCH_JOB_NAME and the like outweigh the script's lines, as for sbatch; what a watch cannot
    follow is refused.
    """
    environment = {
        "SBATCH_JOB_NAME": "mine",
        "SBATCH_OUTPUT": "logs/x.out",
        "SBATCH_MEM_PER_CPU": "7",
        "SBATCH_WAIT": "1",
    }
    given = []
    cluster.answers["sbatch"] = Done(code=0, out="17\n")
    run = cluster.run
    cluster.run = lambda argv, **options: given.append(options.get("env")) or run(argv, **options)
    slurm = SlurmScheduler(
        cluster, user="me", options=options_of(environment), environment=environment
    )
    slurm.submit(job_of(tmp_path, "#!/bin/bash\n#SBATCH -J other -o y.out\n"))
    assert {"--job-name=mine", "--output=logs/x.out"} <= set(
        cluster.asked[-1]
    ) and "--job-name=other" not in cluster.asked[-1]
    assert (tmp_path / "logs").is_dir()
    assert given[-1] == {
        name: value for name, value in environment.items() if name != "SBATCH_WAIT"
    }
    assert any("SBATCH_WAIT" in remark for remark in slurm.site().remarks)
    arrays = SlurmScheduler(cluster, user="me", environment={"SBATCH_ARRAY_INX": "1-3"})
    with pytest.raises(RefusedError, match="SBATCH_ARRAY_INX"):
        arrays.submit(job_of(tmp_path))


def test_a_name_of_other_bytes_is_handed_on_as_it_is(cluster, tmp_path):
    """sbatch gets the very bytes of a job's name, and what is written down of that is text."""
    cluster.answers["sbatch"] = Done(code=0, out="17\n")
    job = job_of(tmp_path)
    job.wrapper.write_bytes(b"#!/bin/bash\n#SBATCH -J mod\xe8le\n")
    slurm = SlurmScheduler(cluster, user="me")
    receipt = slurm.submit(job)
    assert (
        os.fsencode(next(word for word in cluster.asked[-1] if "job-name" in word))
        == b"--job-name=mod\xe8le"
    )
    assert receipt.exact.encode()
    assert slurm.exact_words(job, read_head(job.wrapper)).encode()
    cluster.answers["sbatch"] = Done(code=1, err="sbatch: error: no mod\udce8le\n")
    with pytest.raises(RefusedError) as caught:
        slurm.submit(job)
    assert str(caught.value).encode()
