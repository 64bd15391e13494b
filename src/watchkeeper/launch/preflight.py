"""Before anything is submitted: what the scripts ask of a site that it does not give, how they hide
their own failures, and what they would stumble over (`hazards`).

What no submission would take (Windows line ends, a missing `#!`) is an error. All else is a
warning: the scheduler has the last word on what it takes, and evidence on what a job has done.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core.code import environment, git
from watchkeeper.core.code.environment import Environment
from watchkeeper.core.code.git import DETACHED, Git
from watchkeeper.core.code.shell_text import commands
from watchkeeper.core.code.wandb_versions import loses_rows
from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.errors import Problem
from watchkeeper.core.text import lazy
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch import hazards
from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.schedulers.site import Site

_SHELLS = frozenset({"bash", "sh", "dash", "ksh", "zsh"})
_STOPS_AT_FAILURE = lazy.pattern(
    r"^\s*set\s+(?:-\w*e|.*\s-\w*e\b|.*-o\s+errexit)|\btrap\b.*\bERR\b"
)
_PIPEFAIL = lazy.pattern(r"\bpipefail\b")
_SAVES_CODE = lazy.pattern(r"(?:^|;)\s*(?:local\s+|export\s+)?(\w+)=\"?\$\?\"?\s*(?:$|;)")
_EXITS_BADLY = lazy.pattern(
    r"(?:^|[;&|{(\s])(?:exit|return)(?:\s+(?!0\b)\S+|\s*$)|(?:^|[;&|\s])false\b"
)
# As a last command these succeed whatever came before.
_ALWAYS_WELL = lazy.pattern(
    r"(?:echo|printf|date|true|:|exit\s+0|sync|sleep|touch|rm\s+-\w*f|wait$)(?:\s|$)"
)
_PREPARES = lazy.pattern(
    r"(?:\w+=\S*$|cd|module|source|\.|export|echo|printf|date|mkdir|set|ulimit|conda)(?:\s|$)"
)
# The name of a folder that holds one of these is not known before there is a job.
_NAMED_LATE = lazy.pattern(r"%\d*[jAaNJsnt]")
_TESTS = lazy.pattern(r"(?:\[\[?|test|\(\(|\(\s*exit|exec|exit)(?:\s|$|\()")


def checked(experiment: Experiment, site: Site, *, coming: bool = True) -> Experiment:
    """The experiment, with what was found added to its problems. What the disk refuses is one of
    them; any other script that cannot be read is reported when it is submitted. `coming`: whether
    anything is still to be submitted; where nothing is, no script is read.
    """
    if not coming:
        return experiment
    found: dict[Problem, list[str]] = {}
    for item in experiment.items:
        if item.control and item.phase == "preparation":
            continue
        script = experiment.folder / item.script
        try:
            source = read_whole(script)
        except OSError:
            continue  # `find_hazards` reports what the disk refused
        for problem in examine(source, item.script, site):
            found.setdefault(msgspec.structs.replace(problem, where=""), []).append(problem.where)
    warnings = [
        msgspec.structs.replace(problem, where=_together(where)) for problem, where in found.items()
    ]
    warnings += [
        Problem(where="the environment", message=remark, severity="warning", code="hazard")
        for remark in site.remarks
    ]
    warnings += package_notes(environment.of_submitter())
    return msgspec.structs.replace(
        experiment, problems=(*experiment.problems, *warnings, *hazards.find_hazards(experiment))
    )


def package_notes(installed: Environment) -> tuple[Problem, ...]:
    """What is known to be wrong with packages that the jobs would inherit from here."""
    python = installed.on_path or installed.submitter
    version = python.packages.get("wandb", "")
    if not loses_rows(version):
        return ()
    message = f"{python.executable} has wandb {version}, which may lose rows as it logs"
    return (
        Problem(
            where="the environment",
            message=message,
            hint="pip install 'wandb>=0.31'",
            severity="warning",
            code="hazard",
        ),
    )


def examine(source: bytes, where: str, site: Site) -> list[Problem]:
    """What one script asks in vain, and how it hides its failure."""
    head = read_head(source, name=Path(where).name, beside=site.options)
    problems = [msgspec.structs.replace(one, where=where) for one in head.problems]
    problems += site.problems(head, where)
    named_late = [
        pattern
        for pattern in (head.output, head.error)
        if _NAMED_LATE.search(pattern.rpartition("/")[0])
    ]
    if site.partitions and named_late:
        message = (
            f"the folder of its output {named_late[0]} is named by the job's id or node: Slurm "
            "makes none, and loses it"
        )
        hint = "put %j into the file's name: --output=logs/slurm-%j.out"
        problems.append(
            Problem(where=where, message=message, hint=hint, severity="warning", code="hazard")
        )
    if _is_lenient_shell(head.interpreter) and (hidden := hidden_failure(source)) is not None:
        hint = "write `set -e` above it, or end with the command's own code: `exit $code`"
        problems.append(
            Problem(where=where, message=hidden, hint=hint, severity="warning", code="hazard")
        )
    return problems


def code_notes(folder: Path, code: Git) -> tuple[Problem, ...]:
    """What keeps the code of an experiment in `folder` from being found again by its commit;
    nothing where it can be.
    """
    where = str(folder)
    if not code.sha:
        if why := git.refusal(folder):
            message = f"there is a repository, and its commit could not be read: {why}"
            return (Problem(where=where, message=message, severity="warning", code="hazard"),)
        message = (
            "there is no commit of it: with each run its script is kept, and the files that "
            "this names, no more"
        )
        return (
            Problem(
                where=where,
                message=message,
                hint="git init, git add and git commit",
                severity="note",
                code="not-committed",
            ),
        )
    found = []
    name = f"git switch -c NAME, or git tag NAME {code.sha[:12]}"
    if code.branch == DETACHED:
        named = git.is_named(folder, code.sha)
        message = f"HEAD is detached at {code.sha[:12]}"
        message += {
            True: "",
            False: ", which is on no branch or tag: git may remove it in time",
            None: "",
        }[named]
        found.append(
            Problem(
                where=where,
                message=message,
                hint=name,
                severity="warning" if named is False else "note",
                code="hazard",
            )
        )
    if code.dirty:
        message = (
            f"tracked files differ from commit {code.sha[:12]}: the difference is kept with "
            "each run"
        )
        hint = (
            "commit it on a branch of its own, and the code has a name: git switch -c NAME, "
            "git commit -a"
        )
        found.append(
            Problem(where=where, message=message, hint=hint, severity="note", code="hazard")
        )
    return tuple(found)


def _is_lenient_shell(interpreter: Iterable[str]) -> bool:
    """Whether it is a shell that continues after a failed command."""
    words = " ".join(interpreter).split()
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if word != "-S"]
    if not words or Path(words[0]).name not in _SHELLS:
        return False
    return not any(re.match(r"-\w*e", word) for word in words[1:])


def hidden_failure(source: bytes) -> str | None:
    """How a shell script ends with 0 whatever its commands did, in words; None: it does not, or it
    is not certain.

    Only what is certain is reported: the last line of the script itself, and a code that was saved
    and never used.
    """
    lines = list(commands(source.decode("utf-8", "replace")))
    if not lines or _matches_any(_STOPS_AT_FAILURE, lines):
        return None
    _, last = lines[-1]
    is_test = _TESTS.match(last) and not re.match(r"exit\s+0\b", last)
    if _EXITS_BADLY.search(last) or is_test:
        return None
    return _unused_code(lines) or _hiding_end(lines)


def _matches_any(pattern: re.Pattern[str], lines: Sequence[tuple[int, str]]) -> bool:
    return any(pattern.search(line) for _, line in lines)


def _unused_code(lines: Sequence[tuple[int, str]]) -> str | None:
    """How the script saves an exit code and never exits with it; None: it does not."""
    for index in reversed(range(len(lines))):
        number, line = lines[index]
        match = _SAVES_CODE.search(line)
        if match is None:
            continue
        if _matches_any(_EXITS_BADLY, _from_line(lines, number)):
            return None
        return (
            f"it keeps an exit code in ${match.group(1)} (line {number}) and never exits with it: "
            "a failure looks like COMPLETED"
        )
    return None


def _from_line(lines: Sequence[tuple[int, str]], first: int) -> list[tuple[int, str]]:
    return [(number, line) for number, line in lines if number >= first]


def _hiding_end(lines: Sequence[tuple[int, str]]) -> str | None:
    """How the last command hides a failure; None: it does not."""
    number, last = lines[-1]
    does_work = any(not _PREPARES.match(line) for _, line in lines[:-1])
    if _ALWAYS_WELL.match(last) and does_work and not _matches_any(_EXITS_BADLY, lines):
        return (
            f"its last command is `{_short(last)}` (line {number}): a failure before it looks "
            "like COMPLETED"
        )
    if re.search(r"\|\|\s*(?:true|:)\s*;?\s*$", last):
        return (
            f"its last command ends in `|| true` (line {number}): its failure looks like COMPLETED"
        )
    pipe = re.search(r"(?<!\|)\|\s*(tee|ts|cat|grep|tail|sed)\b[^|]*$", last)
    if pipe and not _matches_any(_PIPEFAIL, lines):
        return (
            f"its last command ends in `| {pipe.group(1)}` (line {number}), whose code hides "
            "that of the commands before it"
        )
    return None


def _short(text: str) -> str:
    if len(text) <= 40:
        return text
    return text[:39] + "…"


def _together(where: list[str]) -> str:
    return where[0] + (f" and {len(where) - 1} more" if len(where) > 1 else "")
