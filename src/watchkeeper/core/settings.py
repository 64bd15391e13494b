"""Settings, from four places in rising precedence: `watchkeeper.toml` (the nearest at or above the
experiment), `~/.config/watchkeeper/config.toml`, `WATCHKEEPER_*` variables, and the command's
flags.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import msgspec

from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.disk.ownership import distrust
from watchkeeper.core.errors import Problem, UsageError

FILE_NAME = "watchkeeper.toml"
PREFIX = "WATCHKEEPER_"
ENVIRONMENT, COMMAND_LINE = "the environment", "the command line"
MOST_BYTES = 2**20
"""Of a file of settings."""


class Cluster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[clusters.NAME]`: how a Slurm cluster is reached. It holds no secrets.

    `user`: whose jobs they are (None: who types the command). `command_prefix` goes before every
    command, such as `["runuser", "-u", "me", "--"]`; `sbatch_options` before every script, such as
    `["--account=abc"]`. `slurm_cluster` picks one of several that the commands know. `ssh`:
    commands run on this machine, as `ssh NAME` reaches it, which sees the experiment under the same
    path ("": they run here). `visibility_lag_s`: how long a job or a file may stay invisible.
    `resume_variable`: the variable from which its scripts read the checkpoint to continue from,
    beside WATCHKEEPER_RESUME_FROM ("": none).
    """

    kind: Literal["slurm"]
    user: str | None = None
    command_prefix: tuple[str, ...] = ()
    sbatch_options: tuple[str, ...] = ()
    slurm_cluster: str = ""
    ssh: str = ""
    visibility_lag_s: float = 120.0
    resume_variable: str = ""

    def __post_init__(self) -> None:
        """Refuse a `resume_variable` that no shell takes as a variable."""
        if self.resume_variable and not re.fullmatch(
            r"[A-Za-z_][A-Za-z0-9_]*", self.resume_variable
        ):
            raise ValueError(
                f"resume_variable is {self.resume_variable!r}, and no name of a variable"
            )


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person may set. None means: the scheduler's own default.

    `poll_s`: seconds between two looks (local 1, clusters 60, never under 5 there). `stagger_s`:
    seconds between two submissions (local 0, clusters 5). `cap`: the most jobs queued or running at
    a time (local none, clusters 25; 0: none). `gate`: evaluations wait for `all` fine-tunes or for
    `each` its own checkpoint; with `queue_ahead` they wait in the scheduler's queue.
    `unknown_deadline_s`: how long a job may stay UNKNOWN while the scheduler answers. `slots`:
    local jobs at a time (None: one for each usable CPU). `gpus`: the devices that local jobs may
    ask for, as CUDA names them, with commas between (None: those that can be used; "": none).
    `run_logs`: the folder of the Markdown run logs, from the top of the Git repository (None:
    `run_logs`; `off`: none are kept). `retries`: how often in a row a run is tried again by itself
    (0: never). `cluster`: the name of one of `clusters` (None: this machine). `silent_s`: a job
    that has run so long, and printed and recorded nothing, is silent. `stall_s`: a pause between
    two advances that is a stall (None: from the job's own history). `notify`: a command, as a shell
    would part it or in words, run at alarms and ends; `notify_urls`: apprise's URLs, with spaces
    between, or a list. Both can be secret. `trusted_folders`: folders whose `watchkeeper.toml` is
    obeyed whoever owns it, a list or with colons between; it counts in the user's own file and in
    the environment only. `metrics`: which figures of a metric are the better ones, by a pattern for
    its name: `max` or `min`. The user's own rules come before those of the repository.
    """

    poll_s: float | None = None
    stagger_s: float | None = None
    cap: int | None = None
    gate: Literal["all", "each"] = "all"
    queue_ahead: bool = False
    unknown_deadline_s: float = 600.0
    slots: int | None = None
    gpus: str | None = None
    run_logs: str | None = None
    retries: int = 2
    cluster: str | None = None
    silent_s: float = 600.0
    stall_s: float | None = None
    notify: str | tuple[str, ...] = ()
    notify_urls: str | tuple[str, ...] = ()
    trusted_folders: str | tuple[str, ...] = ()
    clusters: dict[str, Cluster] = {}
    metrics: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Refuse numbers that no setting can have: negative ones, and no slots at all."""
        for name in (
            "poll_s",
            "stagger_s",
            "cap",
            "unknown_deadline_s",
            "silent_s",
            "stall_s",
            "retries",
        ):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} is {value}, and cannot be negative")
        if self.slots is not None and self.slots < 1:
            raise ValueError(f"slots is {self.slots}, and must be at least 1")


TABLES = frozenset({"clusters", "metrics"})
"""The settings that are tables, and have no variable."""

# Variable → the setting that it stands for.
VARIABLES = {
    f"{PREFIX}{name.upper()}": name for name in Settings.__struct_fields__ if name not in TABLES
}

BETTER_ENDS = ("max", "min")


def _check_rules(where: str, rules: Any) -> None:
    """Refuse rules for metrics that are none. `where` names their source in the message.

    Raises:
        UsageError: they are no table, or one of them says neither `max` nor `min`.
    """
    hint = 'as in accuracy = "max" and my_distance = "min", below [metrics]'
    if not isinstance(rules, dict):
        raise UsageError(f"{where}: metrics is no table", hint=hint, code="bad-setting")
    for name, end in rules.items():
        if end not in BETTER_ENDS:
            message = f"{where}: metrics.{name} = {end!r}: it must be 'max' or 'min'"
            raise UsageError(message, hint=hint, code="bad-setting")


def _with_rules(rules: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """The rules, and behind them those of `before` that they do not replace. Of several patterns
    that fit a metric's name the first counts, so the rules of the later source stand first.
    """
    return dict(rules) | {name: end for name, end in before.items() if name not in rules}


def _known(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The settings of one source, all of them known.

    Raises:
        UsageError: one is unknown; the hint names the nearest one that there is.
    """
    for name in values:
        if name not in Settings.__struct_fields__:
            import difflib  # only where a name is wrong

            near = difflib.get_close_matches(name, Settings.__struct_fields__, n=1)
            if near:
                hint = f"did you mean {near[0]!r}?"
            else:
                hint = f"known: {', '.join(Settings.__struct_fields__)}"
            raise UsageError(f"{where}: unknown setting {name!r}", hint=hint, code="bad-setting")
    return dict(values)


def _from_file(path: Path) -> dict[str, Any]:
    """The settings in a file, not checked for their types; {} where there is no file.

    Raises:
        UsageError: it cannot be read, is not TOML, or holds an unknown setting.
    """
    try:
        text = read_whole(path, MOST_BYTES).decode()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    import tomllib  # only where there is such a file

    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # A number of 5,000 digits is a plain ValueError, which Python raises itself.
        raise UsageError(f"{path} is not TOML: {error}") from error
    return _known(values, str(path))


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings that variables give, as text: `WATCHKEEPER_POLL_S=5` is `poll_s`. A variable
    that is empty is not set.
    """
    return {
        name: environment[variable]
        for variable, name in VARIABLES.items()
        if environment.get(variable)
    }


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where this user's own state lies: `$WATCHKEEPER_STATE_DIR`, else
    `$XDG_STATE_HOME/watchkeeper`, else `~/.local/state/watchkeeper`.
    """
    if state := environment.get(f"{PREFIX}STATE_DIR"):
        return Path(state).absolute()
    home = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return (Path(home) / "watchkeeper").absolute()


def _repository_file(start: Path) -> Path | None:
    """The nearest `watchkeeper.toml` at or above the folder; None if there is none."""
    folder = start.resolve()
    for place in (folder, *folder.parents):
        path = place / FILE_NAME
        if path.is_file():
            return path
    return None


def _user_file(environment: Mapping[str, str]) -> Path:
    """Where the user's own settings lie, whether or not there are any:
    `$XDG_CONFIG_HOME/watchkeeper/config.toml`, else below `~/.config`.
    """
    config_home = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(config_home) / "watchkeeper" / "config.toml"


def _is_trusted(path: Path, folders: Any) -> bool:
    """Whether a file lies in one of the `trusted_folders`: a list, or text with colons between;
    None: there are none. What is no text in the list is passed over: the check of the types refuses
    it later.
    """
    names = folders or ()
    if isinstance(folders, str):
        names = folders.split(os.pathsep)
    places: list[Path] = []
    for name in names:
        if isinstance(name, str) and name:
            places.append(Path(name).expanduser().resolve())
    return any(path.is_relative_to(place) for place in places)


def distrusted(start: Path, environment: Mapping[str, str] = os.environ) -> Problem | None:
    """What keeps the settings file of an experiment in `start` from being read; None if it is read,
    or there is none.

    Raises:
        UsageError: the user's own settings do not parse, or are not the user's own.
    """
    path = _repository_file(start)
    if path is None:
        return None
    own = _from_user_file(_user_file(environment), environment) | _from_environment(environment)
    if _is_trusted(path, own.get("trusted_folders")):
        return None
    return _distrust(path, environment)


def _distrust(path: Path, environment: Mapping[str, str]) -> Problem | None:
    """Why a file's settings are not obeyed, as a problem; None: they are.

    Raises:
        UsageError: its owner and mode cannot be looked up.
    """
    try:
        why = distrust(path, environment)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    if not why:
        return None
    hint = (
        "settings can run commands as you; if you trust it, write "
        f'trusted_folders = ["{path.parent}"] into {_user_file(environment)}'
    )
    return Problem(
        where=str(path),
        message=f"the file {why}, and is not read",
        hint=hint,
        severity="warning",
        code="settings-not-read",
    )


def _from_user_file(path: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings in the user's own file; {} where there is none.

    Raises:
        UsageError: the file is another user's, or others may write to it; or as in `_from_file`.
    """
    if path.exists():
        problem = _distrust(path, environment)
    else:
        problem = None
    if problem is not None:
        raise UsageError(
            f"{path}: {problem.message}", hint="take it over with chown, and chmod go-w"
        )
    return _from_file(path)


def _mistake(where: str, values: Mapping[str, Any], words: str) -> str:
    """What is wrong with a setting, named as it was written where the mistake is.

    `words` are those of the check, which names the setting: "Expected `int`, got `str` - at
    `$.cap`" becomes `WATCHKEEPER_CAP=many: it must be a whole number`. Where the setting is not in
    `values`, those of the source `where`, the words stay as they are.
    """
    at = re.search(r" - at `\$\.(\w+)|^(\w+) is ", words)
    name = ""
    if at is not None:
        name = at[1] or at[2]
    if name not in values:
        return f"{where}: {words}"
    written = _as_written(where, name, values[name])
    kind = _KINDS.get(words.partition("`")[2].partition("`")[0].removesuffix(" | null"))
    if kind is None and words.startswith("Invalid enum value"):
        kind = " or ".join(repr(choice) for choice in get_args(_type_of(name)))
    if kind is None:
        return f"{written}: {words}"
    return f"{written}: it must be {kind}"


_KINDS = {"float": "a number", "int": "a whole number", "bool": "true or false", "str": "text"}


def _type_of(name: str) -> Any:
    """The type of a setting: `Literal["all", "each"]` for `gate`."""
    return get_type_hints(Settings)[name]


def _as_written(where: str, name: str, value: Any) -> str:
    """`WATCHKEEPER_POLL_S=abc`, `--poll -1`, `PATH: poll_s = 'abc'`; without the value where it may
    be secret.
    """
    if name.startswith("notify"):
        value = "…"
    if where == ENVIRONMENT:
        return f"{PREFIX}{name.upper()}={value}"
    if where == COMMAND_LINE:
        shown = value
        if isinstance(value, float):
            shown = f"{value:g}"
        return f"--{name.removesuffix('_s').replace('_', '-')} {shown}"
    return f"{where}: {name} = {value!r}"


def load(
    start: Path, environment: Mapping[str, str] = os.environ, *, acts: bool = True, **flags: Any
) -> Settings:
    """The settings for an experiment in `start`. A flag that is None was not given.

    A `watchkeeper.toml` of somebody else's is not read: where the command `acts` on its settings
    that is an error, and a command that only looks leaves it out (`distrusted` says so).

    Raises:
        UsageError: a file does not parse, or a setting is unknown or of the wrong type; it says
            which and where.
    """
    user = _user_file(environment)
    repository = _repository_file(start)
    problem = distrusted(start, environment)
    if problem is not None and acts:
        raise UsageError(f"{problem.where}: {problem.message}", hint=problem.hint)
    if repository is not None and problem is None:
        shared = _from_file(repository)
    else:
        shared = {}
    if "trusted_folders" in shared:
        raise UsageError(
            f"{repository}: trusted_folders is for your own settings only",
            hint=f"write it into {user}",
        )
    sources: list[tuple[str, dict[str, Any]]] = [
        (str(repository), shared),
        (str(user), _from_user_file(user, environment)),
        (ENVIRONMENT, _from_environment(environment)),
        (COMMAND_LINE, {name: value for name, value in flags.items() if value is not None}),
    ]
    merged: dict[str, Any] = {}
    for where, values in sources:
        rules = values.get("metrics", {})
        _check_rules(where, rules)
        merged |= values | {"metrics": _with_rules(rules, merged.get("metrics", {}))}
        try:
            settings = msgspec.convert(merged, Settings, strict=False)
        except (msgspec.ValidationError, ValueError) as error:
            raise UsageError(_mistake(where, values, str(error)), code="bad-setting") from error
    return settings
