"""The health table: five jobs that are not well, on a real Slurm, and what was said of them. `make
health` prints it.

One watch, one experiment, five jobs at once. Of each it tells what it should be called, what it was
called, and how often the watch had asked the scheduler between the moment at which that could be
known and the moment at which it was said.
"""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.experiments import command, env, write_experiment
from tests.slurm.lab import USER, CannotError, Lab, write_settings
from watchkeeper.core import journal
from watchkeeper.core.events import Assessed, Judged, Polled
from watchkeeper.schedulers.shell import as_user

SILENT_S = 20
STALL_S = 20
POLLS = 2
DEADLINE_S = 240.0
HEAD = """#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --output=slurm-%j.out
#SBATCH --error=slurm-%j.err
#SBATCH --mem=100
#SBATCH --time={minutes}
note() {{ echo "$1 $EPOCHREALTIME" >> notes; }}
note begins
"""
# As tqdm draws it: on standard error, with carriage returns, and a warning in between.
BAR = """for ((i = 1; i <= {last}; i++)); do
    printf '\\rtrain: %d%%|#| %d/{total} [00:10<00:10,  2.0it/s, loss=%d.5]' \\
        $((100 * i / {total})) $i $((9 - i / 20)) >&2
    ((i % 7)) || printf '\\nUserWarning: this is deprecated\\n' >&2
    sleep 0.5
done
"""
MEMORY = """ulimit -v 400000
/usr/bin/python3 -c '
held = []
for step in range(1, 1000):
    print(f"step {step}/1000 loss 2.5", flush=True)
    held.append(bytearray(10_000_000))
'
code=$?
note ill
exit $code
"""
FILL = """for ((step = 1; step <= 100; step++)); do
    echo "step $step/100 loss 2.5"
    head -c 200000 /dev/zero >> DISK/weights || break
    sleep 0.5
done
note ill
exec sleep 600
"""
# Name → its limit in minutes, and what it does.
JOBS = {
    "silent": (5, "exec sleep 600\n"),
    "stalls": (5, BAR.format(last=40, total=1000) + "note ill\nexec sleep 600\n"),
    "memory": (5, MEMORY),
    "disk": (5, FILL),
    "walltime": (1, BAR.format(last=5000, total=5000)),
}


class Row(NamedTuple):
    """What a job should be called, what the reason must hold, and from when on that is known: so
    many seconds after this note of the job's own ("": from when the scheduler says that it ended).
    """

    word: str
    why: str
    note: str = ""
    after_s: float = 0.0


EXPECTED = {
    "silent": Row("silent", "printed and recorded nothing", "begins", SILENT_S),
    "stalls": Row("stalled", "no step since step 40/1,000", "ill", STALL_S),
    "memory": Row("failed", "out of memory on the host (MemoryError"),
    "disk": Row("failing", "disk full: ", "ill"),
    "walltime": Row("failed", "the time limit was over"),
}
MISFIT = Row("advancing", "it will not fit")
PREFIX = """#!/bin/bash
[[ $1 == squeue ]] && echo $EPOCHREALTIME >> {root}/looks
exec {user} "$@"
"""
SETTINGS = """cluster = "lab"
poll_s = 5
stagger_s = 0
silent_s = {silent}
stall_s = {stall}
notify = ["{root}/notify"]
[clusters.lab]
kind = "slurm"
user = "{user}"
command_prefix = ["{root}/as-user"]
visibility_lag_s = 1
"""


class Said(NamedTuple):
    """What was said of a job: when (seconds since 1970), the word, why, and on what evidence."""

    at: float
    word: str
    why: str
    evidence: str


class Ward:
    """The experiment of these jobs and its watch. `disk` is a small one, for one job to fill."""

    def __init__(self, lab, disk, names=tuple(JOBS)):
        self.lab = lab
        self.names = names
        self.root = lab.workspace()
        self.folder = self.root / "exp"
        write_experiment(self.folder, runs=names, tasks=())
        for name, (minutes, body) in ((name, JOBS[name]) for name in names):
            script = HEAD.format(name=name, minutes=minutes) + body.replace("DISK", str(disk))
            (self.folder / name / "finetune.slurm").write_text(script)
        for path in [self.folder, *self.folder.rglob("*")]:
            path.chmod(0o777 if path.is_dir() else 0o666)
        self._executable("as-user", PREFIX.format(root=self.root, user=" ".join(as_user(USER))))
        self._executable("notify", f'#!/bin/bash\necho "$1" >> {self.root}/notified\n')
        settings = SETTINGS.format(silent=SILENT_S, stall=STALL_S, user=USER, root=self.root)
        write_settings(self.folder, settings)

    def _executable(self, name, source):
        (self.root / name).write_text(source)
        (self.root / name).chmod(0o755)

    @contextlib.contextmanager
    def watched(self):
        """`watchkeeper run`, as a person types it; it is detached at the end."""
        with (self.root / "printed").open("w") as output:
            process = subprocess.Popen(
                command("run", self.folder),
                env=env(self.root / "state", SLURM_CONF=str(self.lab.conf)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()

    @property
    def printed(self):
        """What the watch printed."""
        return (self.root / "printed").read_text()

    @property
    def notified(self):
        """The notifications that arrived, a line each."""
        path = self.root / "notified"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def events(self):
        """All that the watch wrote, in its order."""
        found = journal.read(self.folder / ".watchkeeper" / "journal").events.values()
        return [event for events in found for event in events]

    def said(self, name, row):
        """When the job was first called what it should be called; None while it was not."""
        for event in self.events:
            if isinstance(event, Assessed) and event.key == name:
                word, why = event.health, "; ".join(filter(None, [event.why, event.note]))
                evidence = "; ".join(
                    f"{Path(one.source).name}: {one.what}" for one in event.evidence
                )
            elif isinstance(event, Judged) and event.key == name:
                word, why, evidence = event.outcome, event.why, f"Slurm says {event.state}"
            else:
                continue
            if word == row.word and row.why in why:
                return Said(event.time.timestamp(), word, why, evidence)
        return None

    def known_at(self, name, row):
        """When it could be known, in seconds since 1970."""
        if row.note:
            lines = (self.folder / name / "notes").read_text().splitlines()
            return (
                next(float(line.split()[1]) for line in lines if line.startswith(row.note))
                + row.after_s
            )
        changes = [
            change for event in self.events if isinstance(event, Polled) for change in event.changes
        ]
        return next(
            one.facts.ended for one in reversed(changes) if one.key == name and one.facts.ended
        ).timestamp()

    def looks(self, begin, end):
        """How often the scheduler was asked in between."""
        return sum(
            begin < float(line) <= end for line in (self.root / "looks").read_text().splitlines()
        )

    def alarms(self, name):
        """How often an alarm was raised for the job."""
        return sum(
            isinstance(event, Assessed) and event.key == name and event.alarm == "raised"
            for event in self.events
        )


def table(ward):
    """Watch the jobs, and print the table; what falls short, in words."""
    expected = {name: EXPECTED[name] for name in ward.names}
    wanted = [*expected.items(), *([("walltime", MISFIT)] if "walltime" in ward.names else [])]
    with ward.watched() as process:
        deadline = time.monotonic() + DEADLINE_S
        while (
            any(ward.said(name, row) is None for name, row in wanted)
            and time.monotonic() < deadline
        ):
            if process.poll() is not None:
                break
            time.sleep(0.5)
    short = []
    print(f"{'job':10}  {'expected':10}  {'said':10}  polls", flush=True)
    for name, row in expected.items():
        said = ward.said(name, row)
        polls = ward.looks(ward.known_at(name, row), said.at) if said else None
        good = polls is not None and polls <= POLLS
        short += [] if good else [name]
        cells = (
            f"{name:10}  {row.word:10}  {said.word if said else '–':10}  "
            f"{'–' if polls is None else polls:>5}"
        )
        print(f"{cells}  {'holds' if good else 'SHORT'}")
        if said:
            print(f"    why:      {said.why}\n    evidence: {said.evidence}", flush=True)
    if "walltime" in ward.names:
        misfit = ward.said("walltime", MISFIT)
        print(f"walltime, while it ran:\n    {misfit.why if misfit else '–'}")
        short += [] if misfit else ["walltime, while it ran"]
    print(f"alarms and ends, as notified ({len(ward.notified)}):", *ward.notified, sep="\n    ")
    for name in {"silent", "stalls", "disk"} & expected.keys():
        sent = sum(f": {name}: {EXPECTED[name].word.upper()}" in line for line in ward.notified)
        if (ward.alarms(name), sent) != (1, 1):
            short.append(f"{name}: {ward.alarms(name)} alarms, {sent} sent")
    if short:
        print(f"what the watch printed:\n{ward.printed}")
    return short


@contextlib.contextmanager
def small_disk(lab):
    """A filesystem of 4 MB that the user may write to."""
    folder = lab.workspace()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0777", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def main():
    """Print the table. Exit code 1 when a row falls short, 77 where no Slurm can be started."""
    os.umask(0)
    lab = Lab()
    try:
        lab.up()
        with small_disk(lab) as disk:
            try:
                short = table(Ward(lab, disk))
            finally:
                lab.cancel_all()
    except CannotError as error:
        print(error, file=sys.stderr)
        return 77
    finally:
        lab.down()
    rows = len(EXPECTED)
    print(
        f"{rows - len([name for name in EXPECTED if name in short])} of {rows} hold"
        + "".join(f"; short: {one}" for one in short)
    )
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
