"""Which files are the code of a run, and which of them no commit holds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.code.test_git import committed
from watchkeeper.core.code import code_files, git
from watchkeeper.core.code.git_index import Index
from watchkeeper.core.code.named_files import files_of


def write(folder: Path, **files: str) -> Path:
    """These files in the folder; `__` in a name stands for `/`, and `_sh` at its end for `.sh`."""
    for name, text in files.items():
        path = folder / (
            name.replace("__", "/").removesuffix("_sh") + (".sh" if name.endswith("_sh") else ".py")
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def names(entry: Path, folder: Path) -> list[str]:
    """The code that begins with this script, by names from the folder."""
    return [str(path.relative_to(folder)) for path in code_files.hashes(entry)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("python3 train.py --lr 1", ["train.py"]),
        ("cd sub && python inner.py; bash do.sh", ["sub/inner.py", "sub/do.sh"]),
        ("cd sub\ncd ..\npython3 train.py", ["train.py"]),
        ('cd "$SLURM_SUBMIT_DIR/sub"\nsource ./do.sh', ["sub/do.sh"]),
        ('cd "$(dirname "$0")"\npython3 train.py', ["train.py"]),
        ("MAIN=sub/inner.py\npython3 $MAIN", ["sub/inner.py"]),
        ("python3 ${MAIN} $1 *.py", []),
        ("python -m sub.inner", ["sub/inner.py"]),
        ("(cd sub; python inner.py)", ["sub/inner.py"]),
        ("accelerate launch --config=x.yaml train.py", ["train.py"]),
        ("# python3 train.py\necho gone.py", []),
        ("cat <<EOF\npython3 train.py\nEOF", []),
    ],
)
def test_a_shell_script_names_files_by_its_words(tmp_path, script, expected):
    """Words that name a file count where the script stands at that line; what the shell would
    expand does not.
    """
    folder = write(tmp_path, train="", sub__inner="", sub__do_sh="", run_sh=script)
    assert names(folder / "run.sh", folder) == ["run.sh", *expected]


def test_after_a_cd_that_cannot_be_followed_the_top_of_the_repository_counts(tmp_path):
    """A name that fits the top of the repository is found there once the script went to an unknown
    folder.
    """
    folder = write(
        tmp_path, train="", a__run_sh='cd "$REPO"\npython3 train.py', a__other_sh="python3 train.py"
    )
    subprocess.run(["git", "-C", str(folder), "init", "-q"], check=True)
    assert names(folder / "a/run.sh", folder) == ["a/run.sh", "train.py"]
    assert names(folder / "a/other.sh", folder) == ["a/other.sh"]


def test_a_python_file_names_its_imports_and_plain_strings(tmp_path):
    """Imports beside the file, beside the script and at the top of the package count; the library's
    own do not.
    """
    folder = write(
        tmp_path,
        train=(
            "import json, model\nfrom parts import (\n    data,\n    loss as "
            "l,\n)\nrun('bash', 'prepare.sh')\n"
        ),
        model="import parts.deep",
        parts__data="from . import shared\nfrom .deep import x\n",
        parts__loss="from parts.shared import y",
        parts__deep="import train",
        parts__shared="",
        prepare_sh="",
        unused="",
    )
    (folder / "parts/__init__.py").touch()
    found = names(folder / "train.py", folder)
    assert found[0] == "train.py"
    expected = {
        "model.py",
        "parts/__init__.py",
        "parts/data.py",
        "parts/loss.py",
        "parts/deep.py",
        "parts/shared.py",
    }
    assert set(found[1:]) == expected | {"prepare.sh"}


def test_there_are_limits_to_it(tmp_path, monkeypatch):
    """Large files, more files than the limit, links that lead nowhere and installed packages are
    left out; cycles end.
    """
    folder = write(
        tmp_path, a="import b, huge, gone", b="import a", huge="#" * (code_files.MOST_BYTES + 1)
    )
    (folder / "gone.py").symlink_to(folder / "nowhere.py")
    assert names(folder / "a.py", folder) == ["a.py", "b.py"]
    write(
        folder,
        **{"site-packages__tool": "", "many": "import " + ", ".join(f"m{n}" for n in range(100))},
    )
    write(folder, **{f"m{number}": "" for number in range(100)})
    assert len(names(folder / "many.py", folder)) == code_files.MOST_FILES
    write(folder, start="x('site-packages/tool.py')")
    assert names(folder / "start.py", folder) == ["start.py"]
    assert code_files.hashes(folder / "none.py") == {}


def test_binary_files_name_nothing(tmp_path):
    """An executable that is handed over as a script is hashed, and not searched for words."""
    (tmp_path / "train.py").write_text("")
    (tmp_path / "tool").write_bytes(b"\x7fELF\0 train.py \n")
    assert list(code_files.hashes(tmp_path / "tool")) == [tmp_path / "tool"]


def test_what_no_commit_holds_is_told(tmp_path):
    """New and ignored files, files outside the repository, and a link that leads out of it are in
    no commit; a tracked file, one of a submodule and a link to a tracked file are.
    """
    inner = write(committed(tmp_path / "inner"), part="")
    committed(inner)
    repo = write(committed(tmp_path / "repo"), tracked="", ignored="", new="")
    (repo / ".gitignore").write_text("ignored.py\nnew.py\nlink.py\nout.py\n")
    subprocess.run(
        [
            "git",
            "-C",
            str(repo),
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "--quiet",
            "add",
            str(inner),
            "sub",
        ],
        check=True,
    )
    committed(repo)
    outside = write(tmp_path / "elsewhere", tool="")
    (repo / "link.py").symlink_to("tracked.py")
    (repo / "out.py").symlink_to(outside / "tool.py")
    inside = [repo / name for name in ("tracked.py", "sub/part.py", "link.py")]
    others = [repo / "ignored.py", repo / "new.py", repo / "out.py", outside / "tool.py"]
    assert code_files.uncommitted(repo, [*inside, *others]) == tuple(others)
    assert code_files.uncommitted(outside, [outside / "tool.py"]) == ()


def test_the_state_of_a_run_covers_what_ran(tmp_path):
    """A script that was never added makes the commit incomplete, though git says clean."""
    repo = write(committed(tmp_path / "repo", helper="x = 1"), train="import helper")
    found = code_files.of(repo / "train.py")
    assert found.git.dirty is False and found.git.sha
    assert list(found.named()) == ["train.py", "helper.py"]
    assert found.uncommitted_names() == ("train.py",)
    assert code_files.of(repo).files == {}


@given(
    tracked=st.sets(
        st.text("ab/-p", min_size=1, max_size=90).map(lambda name: name.strip("/")).filter(bool),
        max_size=8,
    ),
    asked=st.text("ab/-p", min_size=1, max_size=90),
)
@settings(max_examples=15, deadline=None)
def test_the_index_never_says_yes_wrongly(tmp_path_factory, tracked, asked):
    """Whatever names an index holds, a file that is reported as named by it is one of them, and
    each of them is found.
    """
    top = tmp_path_factory.mktemp("index")
    subprocess.run(["git", "-C", str(top), "init", "-q"], check=True)
    blob = subprocess.run(
        ["git", "-C", str(top), "hash-object", "-w", "--stdin"],
        input=b"",
        check=True,
        capture_output=True,
    ).stdout.decode()
    lines = "".join(f"100644 {blob.strip()}\t{name}\n" for name in sorted(tracked))
    subprocess.run(
        ["git", "-C", str(top), "update-index", "--add", "--index-info"],
        input=lines.encode(),
        check=False,
        capture_output=True,
    )
    held = subprocess.run(
        ["git", "-C", str(top), "ls-files", "-z"], check=True, capture_output=True
    ).stdout.decode()
    names = set(held.split("\0")) - {""}
    index = Index(top)
    assert all(index.names(top / name) for name in names)
    assert not index.names(top / asked.strip("/")) or str(Path(asked.strip("/"))) in names


def test_an_index_of_another_version_is_left_to_git(tmp_path):
    """With compressed names nothing is found in the index itself, and git is asked."""
    repo = committed(tmp_path / "repo", a="1")
    subprocess.run(["git", "-C", str(repo), "update-index", "--index-version", "4"], check=True)
    assert not Index(repo).names(repo / "a.py")
    assert git.tracked(repo, [repo / "a.py"]) == {repo / "a.py"}
    assert code_files.uncommitted(repo, [repo / "a.py"]) == ()


def test_configurations_are_found_where_the_script_stands(tmp_path):
    """A configuration named from the repository's root is found after the script went there."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/low.yaml").write_text("lr: 1\n")
    write(tmp_path, arm__train__run_sh="cd ../..\n: --config configs/low.yaml\n")
    assert files_of(tmp_path / "arm/train/run.sh", (".yaml",)) == [tmp_path / "configs/low.yaml"]
