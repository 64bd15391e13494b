"""One small experiment on the real Slurm, and what its jobs themselves wrote down: the ground for
the fault table.
"""

import contextlib
import subprocess
from dataclasses import dataclass

from tests.experiments import claims, command, env, state_of, write_experiment
from tests.slurm.lab import USER, until, write_settings
from watchkeeper.core import journal
from watchkeeper.core.events import Polled
from watchkeeper.schedulers.base import TERMINAL, UNKNOWN
from watchkeeper.schedulers.shell import as_user

# A job says by itself when it began, that it is alive, and that its work is done: evidence that
# needs no Watchkeeper.
SCRIPT = """#!/bin/bash
#SBATCH --job-name=one
#SBATCH --output=/dev/null
#SBATCH --time=00:05:00
{head}
note() {{ echo "$1 $SLURM_JOB_ID.${{SLURM_RESTART_COUNT:-0}}.$$ $EPOCHREALTIME" >> executions; }}
note start
for ((i = 0; i < 5; i++)); do note alive; sleep 0.1; done
{work}
mkdir -p artifacts/epoch_0 && echo weights > artifacts/epoch_0/model.bin || exit 1
note done
"""
# Until a file says so; the job is alive meanwhile.
UNTIL_GO = "until [ -e go ]; do note alive; sleep 0.1; done"
# Every command for Slurm is written down, and run as the ordinary user. `harm` may follow it once.
PREFIX = """#!/bin/bash
echo "$*" >> {root}/commands
{user} "$@"
code=$?
[ -x {root}/harm ] && {root}/harm "$@" >&2
exit $code
"""
SETTINGS = """cluster = "lab"
poll_s = 5
stagger_s = 0
unknown_deadline_s = {deadline}
retries = 0
[clusters.lab]
kind = "slurm"
user = "{user}"
command_prefix = ["{prefix}"]
visibility_lag_s = {lag}
"""
LAG_S = 1.0
DEADLINE_S = 4.0
# Far beyond what any command needs here: one that lasts longer waits for ever.
ENDLESS_S = 240.0
DONE = ("COMPLETED", "done")


class ShortError(AssertionError):
    """A row falls short in a way that its figures do not tell."""


def require(condition: object, words: str) -> None:
    """Raise ShortError with these words unless the condition holds."""
    if not condition:
        raise ShortError(words)


@dataclass(kw_only=True)
class Figures:
    """What a fault did. `at_once`: the most executions of one job at one time; `after_done`: those
    that began after one had finished; `wrong`: terminal states told that were not so; `unresolved`:
    attempts open after recovery; `endless`: commands that did not end; `trials`: experiments that
    were harmed.
    """

    at_once: int = 0
    after_done: int = 0
    wrong: int = 0
    unresolved: int = 0
    endless: int = 0
    trials: int = 0

    @property
    def good(self) -> bool:
        """Whether every promise was kept, and something was tried."""
        others = self.after_done, self.wrong, self.unresolved, self.endless
        return self.trials > 0 and self.at_once == 1 and not any(others)

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            at_once=max(self.at_once, other.at_once),
            after_done=self.after_done + other.after_done,
            wrong=self.wrong + other.wrong,
            unresolved=self.unresolved + other.unresolved,
            endless=self.endless + other.endless,
            trials=self.trials + other.trials,
        )


def crowd(spans):
    """Of executions as (first sign of life, last, when done or None): the most at one time, and how
    many began after one was done.
    """
    at_once = max((sum(a <= first <= b for a, b, _ in spans) for first, _, _ in spans), default=0)
    return at_once, sum(
        any(done is not None and done < first for _, _, done in spans) for first, _, _ in spans
    )


class Trial:
    """An experiment of one fine-tune, `one`, in a folder of its own. Leaving it ends what it
    started.
    """

    def __init__(self, lab, *, head="", work="", deadline_s=600.0, folder=None, proved=True):
        self.lab = lab
        self.root = lab.workspace()
        self.folder = folder or self.root / "exp"
        self.endless = 0
        self.processes = []
        write_experiment(self.folder, tasks=())
        for path in [self.folder, *self.folder.rglob("*")]:
            path.chmod(0o777 if path.is_dir() else 0o666)
        self.script(head=head, work=work)
        prefix = self.root / "as-user"
        prefix.write_text(PREFIX.format(root=self.root, user=" ".join(as_user(USER))))
        prefix.chmod(0o755)
        settings = SETTINGS.format(deadline=deadline_s, user=USER, prefix=prefix, lag=LAG_S)
        write_settings(self.folder, settings)
        if proved:
            self.prove()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()

    # ── what a person does

    def script(self, *, head="", work=""):
        """Write the fine-tune's script."""
        (self.folder / "one" / "finetune.slurm").write_text(SCRIPT.format(head=head, work=work))

    @property
    def state(self):
        """The user's own state, one for the whole cluster: what `doctor` has proved there."""
        return self.lab.folder / "user-state"

    def prove(self):
        """Type `watchkeeper doctor`, once on a cluster: only then is a submission in doubt ever
        repeated.
        """
        if not (self.state / "proofs").exists():
            words = command("doctor", self.folder, "--wait", "60")
            more = {"SLURM_CONF": str(self.lab.conf)}
            done = subprocess.run(
                words, env=env(self.state, **more), capture_output=True, text=True, check=False
            )
            require((self.state / "proofs").exists(), done.stdout + done.stderr)

    def start(self, *arguments, **environment):
        """Type `watchkeeper run` in the background."""
        output = (self.root / f"output-{len(self.processes)}").open("w")
        more = {"SLURM_CONF": str(self.lab.conf)} | environment
        process = subprocess.Popen(
            command("run", self.folder, *arguments),
            env=env(self.state, **more),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        output.close()
        self.processes.append(process)
        return process

    def end(self, process, *codes):
        """Wait for its end, which must come with one of these codes (any, if none); what it
        printed.
        """
        try:
            code = process.wait(timeout=ENDLESS_S)
        except subprocess.TimeoutExpired:
            self.endless += 1
            process.kill()
            code = process.wait()
        printed = (self.root / f"output-{self.processes.index(process)}").read_text()
        require(
            not codes or code in codes or self.endless,
            f"watchkeeper run: exit code {code}, not {codes}: {printed}",
        )
        return printed

    def run(self, *arguments, codes=(0,), **environment):
        """Type `watchkeeper run`, and wait for its end; what it printed."""
        return self.end(self.start(*arguments, **environment), *codes)

    def end_by(self, process, number):
        """Send a signal to it, and wait for its end."""
        process.send_signal(number)
        process.wait(timeout=ENDLESS_S)

    def go(self):
        """Let the job finish its work."""
        (self.folder / "one" / "go").touch()

    # ── what is there

    @property
    def attempts(self):
        """Number → attempt, as the journal tells."""
        return state_of(self.folder).run("one").attempts

    @property
    def events(self):
        """All events, by nobody's order."""
        return [
            event
            for events in journal.read(self.folder / ".watchkeeper" / "journal").events.values()
            for event in events
        ]

    def told(self, kind):
        """Wait until an event of that kind is in the journal; the first of them."""
        return until(lambda: [event for event in self.events if isinstance(event, kind)], 90.0)[0]

    def seen(self, state):
        """Wait until a watcher says that the job is in this state; what it was told of the job."""
        return until(lambda: [c for c in self.changes if c.after == state], 120.0)[0]

    @property
    def changes(self):
        """Every change of state that was told."""
        return [
            change for event in self.events if isinstance(event, Polled) for change in event.changes
        ]

    def asked(self, program):
        """How often a program was run for it."""
        with contextlib.suppress(FileNotFoundError):
            return sum(
                line.startswith(program)
                for line in (self.root / "commands").read_text().splitlines()
            )
        return 0

    def harm(self, source):
        """A script to be run once after each command for Slurm, with the command's words; it
        removes itself when done.
        """
        temporary = self.root / ".harm"
        temporary.write_text("#!/bin/bash\n" + source)
        temporary.chmod(0o755)
        temporary.rename(self.root / "harm")

    @property
    def executions(self):
        """Execution → (its first sign of life, its last, when its work was done or None)."""
        found: dict[str, list[float | None]] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in (self.folder / "one" / "executions").read_text().splitlines():
                what, name, at = line.split()
                one = found.setdefault(name, [float(at), float(at), None])
                one[1] = float(at)
                if what == "done":
                    one[2] = float(at)
        return found

    def begun(self, number=1):
        """Wait until so many executions have begun."""
        until(lambda: len(self.executions) >= number, 120.0)

    def figures(self, *ends):
        """The figures, where the attempts should have ended so: (state, outcome) of the first, of
        the second.
        """
        spans = list(self.executions.values())
        at_once, after_done = crowd(spans)
        claimed = [claim for claim in claims(self.folder) if claim["job_id"]]
        require(
            len(claimed) == len(spans),
            f"{len(claimed)} claims and {len(spans)} executions: {claimed} {spans}",
        )
        attempts = self.attempts
        judged = {n: (a.judged.state, a.judged.outcome) for n, a in attempts.items() if a.judged}
        expected = dict(enumerate(ends, 1))
        wrong = sum(
            judged.get(number) != expected.get(number) for number in judged.keys() | expected.keys()
        )
        # One told on the way that was taken back later counts as well.
        wrong += sum(
            change.after in TERMINAL and change.after != expected.get(change.attempt, (UNKNOWN,))[0]
            for change in self.changes
        )
        unresolved = sum(not attempt.closed for attempt in attempts.values())
        found = Figures(
            at_once=at_once,
            after_done=after_done,
            wrong=wrong,
            unresolved=unresolved,
            endless=self.endless,
            trials=1,
        )
        if not found.good:
            print(
                (
                    f"{self.folder}: {found}\n  ends: {judged}, expected {expected}\n  "
                    f"executions: {spans}"
                ),
                flush=True,
            )
            print(
                "  told: "
                + ", ".join(
                    f"{c.attempt}: {c.before} → {c.after} ({c.facts.reason})" for c in self.changes
                )
            )
        return found
