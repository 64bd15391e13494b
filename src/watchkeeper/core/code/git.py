"""What git knows of the code in a folder. Nothing is written, and no lock of the repository is
taken.

The repository is the one that the folder lies in. A hook, `git rebase --exec` or a shell may have
set GIT_DIR and the like: they name another repository, and count for none of this.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from watchkeeper.core.text import lazy

LIMIT_S = 2.0
DIFF_LIMIT_S = 20.0
BETWEEN_LIMIT_S = 5.0
DIFF_LIMIT_BYTES = 20_000_000
DETACHED = "(detached)"
"""What stands for the branch where HEAD is on none."""

# Source: `git rev-parse --local-env-vars`, without GIT_CONFIG_*: a container says there which
# folders are safe.
OF_ANOTHER_REPOSITORY = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_CEILING_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
_SHA = lazy.pattern(r"[0-9a-fA-F]{7,64}")
# `https://user:token@host/path`, and scp's form, `git@host:path`.
_URL = lazy.pattern(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^/]*@)?(?P<place>[^/@]+/.+)")
_SCP = lazy.pattern(r"(?P<scheme>)(?P<user>[^/@:]+@)?(?P<place>[^/@:]{2,}:(?!/)[^@]+)")
_NOT_SAFE = b"dubious ownership"
STATUS = (
    "status",
    "--porcelain=v2",
    "--branch",
    "--untracked-files=no",
    "--ignore-submodules=untracked",
)
# Whatever the user's own configuration says of diffs: `git apply` takes this form, from the top of
# the tree.
_FORM = (
    *(
        "--binary",
        "--no-ext-diff",
        "--no-textconv",
        "--no-color",
        "--no-relative",
        "--unified=3",
        "--submodule=short",
    ),
    *("--src-prefix=a/", "--dst-prefix=b/"),
)


class Git(NamedTuple):
    """A repository's state; `sha` is "" where there is none, `dirty` is None where it could not be
    told.
    """

    sha: str = ""
    branch: str = ""
    dirty: bool | None = None


def state(folder: Path) -> Git:
    """The commit of the folder's repository, and whether tracked files differ from it. An empty
    Git: there is no repository, or git gave no answer in LIMIT_S.
    """
    output = _ask(folder, *STATUS, limit_s=LIMIT_S)
    if output is None:
        return Git()
    return state_in(output)


def state_in(output: bytes) -> Git:
    """What STATUS has answered. Source of the format: git-status(1), porcelain 2.

    # branch.oid 4abfa93…       the commit; `(initial)` before the first one
    # branch.head main          the branch; `(detached)` for none
    1 .M N... 100644 …          one line for each file that differs
    """
    head: dict[str, str] = {}
    is_dirty = False
    for line in output.decode("utf-8", "replace").splitlines():
        if not line.startswith("#"):
            is_dirty = True
        elif line.startswith("# ") and " " in line[2:]:
            name, value = line[2:].split(" ", 1)
            head[name] = value
    sha = head.get("branch.oid", "")
    if sha == "(initial)":
        sha = ""
    return Git(sha, head.get("branch.head", ""), is_dirty)


def origin(folder: Path) -> str:
    """The address of the repository's remote `origin`, as `public_address` gives it; "": there is
    none that others can use.
    """
    output = _ask(folder, "config", "--get", "remote.origin.url", limit_s=LIMIT_S)
    return public_address((output or b"").decode("utf-8", "replace").strip())


def public_address(url: str) -> str:
    """The address of a remote without names, passwords and tokens; the user `git` stays, whom all
    share. "": it is a path on this machine.

    `https://me:pw@host/a.git?x` is `https://host/a.git`, and `git@host:a.git` stays as it is.
    """
    remote = _URL.fullmatch(url) or _SCP.fullmatch(url)
    if remote is None or remote["scheme"] == "file://":
        return ""
    user = ""
    if remote["user"] == "git@":
        user = "git@"
    place = re.split(r"[?#]", remote["place"])[0]
    return f"{remote['scheme']}{user}{place}"


def refusal(folder: Path) -> str:
    """Why git tells nothing of the repository that a folder lies in; "" where it does, or there is
    none.
    """
    holder = holder_of(folder)
    if holder is None:
        return ""
    done = _run(folder, "rev-parse", "--git-dir", limit_s=LIMIT_S)
    if done is None:
        return f"git is not installed, or gave no answer within {LIMIT_S:.0f} s"
    if not done.returncode:
        return ""
    if _NOT_SAFE in done.stderr:
        return (
            "the repository belongs to another user: git config --global --add safe.directory "
            f"{holder}"
        )
    words = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if not words:
        return f"git failed: exit code {done.returncode}"
    return f"git failed: {words[-1]}"


def holder_of(path: Path) -> Path | None:
    """The nearest folder at or above `path` that has a `.git`: the top of its repository, as far as
    that can be told without asking git.
    """
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links stay: git looks from where the path leads
    for folder in (whole, *whole.parents):
        # In a submodule and in a further working tree, `.git` is a file.
        if os.path.lexists(folder / ".git"):
            return folder
    return None


def tracked(folder: Path, files: Sequence[Path]) -> frozenset[Path] | None:
    """Those of the files that the index of the folder's repository holds; None where git does not
    answer. All of them must lie in that repository, and in none of its submodules.
    """
    output = _ask(folder, *which_tracked(folder, files), limit_s=LIMIT_S)
    if output is None:
        return None
    return tracked_in(output, folder, files)


def which_tracked(folder: Path, files: Iterable[Path]) -> list[str]:
    """The words that ask git in that folder which of the files its index holds."""
    names = (f":(literal){os.path.relpath(file, folder)}" for file in files)
    return ["ls-files", "-z", "--", *names]


def tracked_in(output: bytes, folder: Path, files: Iterable[Path]) -> frozenset[Path]:
    """Those of the files that the answer to `which_tracked` names."""
    held = set(output.decode("utf-8", "surrogateescape").split("\0"))
    return frozenset(file for file in files if os.path.relpath(file, folder) in held)


def show(folder: Path, sha: str, path: Path) -> bytes | None:
    """A file as a commit has it; None where the commit has none, or git does not say."""
    name = os.path.relpath(path, folder)
    if is_sha(sha):
        return _ask(folder, "cat-file", "blob", f"{sha}:./{name}", limit_s=LIMIT_S)
    return None


def top(folder: Path) -> Path | None:
    """The top of the working tree that the folder lies in, a submodule's own included; None where
    there is none.
    """
    output = _ask(folder, "rev-parse", "--show-toplevel", limit_s=LIMIT_S)
    if output and output.strip():
        return Path(output.decode("utf-8", "surrogateescape").rstrip("\n"))
    return None


def diff(folder: Path) -> bytes | None:
    """How the whole repository's tracked files differ from its commit, as `git apply` takes it;
    None where git does not say in time, or is larger than DIFF_LIMIT_BYTES.
    """
    output = _ask(folder, "diff", "HEAD", *_FORM, limit_s=DIFF_LIMIT_S)
    if output is not None and len(output) <= DIFF_LIMIT_BYTES:
        return output
    return None


def diff_between(folder: Path, old: str, new: str, names: Sequence[str] = ()) -> bytes | None:
    """How commit `new` differs from `old` in files of these names, wherever they lie; in all where
    none is named. None where the repository has not both, or git gives no answer in time. b"": they
    do not differ there.
    """
    if not (is_sha(old) and is_sha(new)):
        return None
    paths = [f":(top,glob)**/{_literal(name)}" for name in names]
    output = _ask(folder, "diff", old, new, *_FORM, "--", *paths, limit_s=BETWEEN_LIMIT_S)
    if output is not None and len(output) <= DIFF_LIMIT_BYTES:
        return output
    return None


def _literal(name: str) -> str:
    r"""A file's name as a glob that matches nothing else; without the `..` before it. `../a[1].py`
    is `a\[1\].py`.
    """
    plain = re.sub(r"^(?:\.{0,2}/)+", "", name)
    return re.sub(r"([*?\[\]\\])", r"\\\1", plain)


def is_sha(text: str) -> bool:
    """Whether the text can be a commit's hash, whole or short: nothing else is handed to git as
    one.
    """
    return _SHA.fullmatch(text) is not None


def has_commit(folder: Path, sha: str) -> bool | None:
    """Whether the folder's repository holds the commit; None where there is no repository, or git
    does not answer.
    """
    if _ask(folder, "rev-parse", "--git-dir", limit_s=LIMIT_S) is None:
        return None
    if not is_sha(sha):
        return False
    return _ask(folder, "cat-file", "-e", f"{sha}^{{commit}}", limit_s=LIMIT_S) is not None


def commits_between(folder: Path, old: str, new: str) -> int | None:
    """How many commits `new` has that `old` has not; None where git does not say."""
    if not (is_sha(old) and is_sha(new)):
        return None
    output = _ask(folder, "rev-list", "--count", f"{old}..{new}", "--", limit_s=LIMIT_S)
    if output and output.strip().isdigit():
        return int(output)
    return None


def is_named(folder: Path, sha: str) -> bool | None:
    """Whether a branch (of a remote too) or a tag holds the commit; None where that is unknown."""
    places = ("refs/heads", "refs/tags", "refs/remotes")
    words = ("for-each-ref", "--count=1", "--format=%(refname)", f"--contains={sha}", *places)
    if is_sha(sha):
        output = _ask(folder, *words, limit_s=LIMIT_S)
    else:
        output = None
    if output is None:
        return None
    return bool(output.strip())


def submodules(folder: Path, sha: str) -> dict[str, str] | None:
    """The submodules of a commit: path from its top → the commit recorded of it; None where it
    cannot be told.
    """
    if is_sha(sha):
        output = _ask(folder, "ls-tree", "-r", "-z", "--full-tree", sha, limit_s=DIFF_LIMIT_S)
    else:
        output = None
    if output is None:
        return None
    # Source of the format: git-ls-tree(1). A submodule has the mode 160000.
    commits: dict[str, str] = {}
    for entry in output.split(b"\0"):
        if entry.startswith(b"160000 "):
            head, _, path = entry.partition(b"\t")
            commits[path.decode("utf-8", "surrogateescape")] = head.split()[2].decode()
    return commits


def environment() -> dict[str, str]:
    """This process's environment without what names another repository."""
    kept = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER_REPOSITORY}
    return kept | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def _ask(folder: Path, *words: str, limit_s: float) -> bytes | None:
    """What git prints for these words in a folder; None where it fails, is not installed, or takes
    longer than `limit_s`.
    """
    done = _run(folder, *words, limit_s=limit_s)
    if done is None or done.returncode:
        return None
    return done.stdout


def _run(folder: Path, *words: str, limit_s: float) -> subprocess.CompletedProcess[bytes] | None:
    """Run git in a folder, with nothing on its standard input; None where it could not be started,
    or took longer than `limit_s`. Its exit code may be any.
    """
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            timeout=limit_s,
            check=False,
            stdin=subprocess.DEVNULL,
            env=environment(),
        )
    except (OSError, subprocess.SubprocessError):
        return None
