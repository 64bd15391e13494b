"""The head of a batch script is read as sbatch reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.schedulers.sbatch_head import expand, read_head, time_limit_s

NAMES = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f\x85\xa0"),
    min_size=1,
)


def head(*lines, end="\necho hi\n"):
    """The head of a script with these lines in it."""
    return read_head("\n".join(("#!/bin/bash", *lines)).encode() + end.encode())


def test_defaults():
    """A script without directives has Slurm's defaults: its own name is left to the caller, output
    slurm-%j.out.
    """
    found = head()
    assert (found.name, found.output, found.error, found.time_limit_s) == (
        "",
        "slurm-%j.out",
        "",
        None,
    )
    assert found.problems == ()


def test_a_file_lends_its_name(tmp_path):
    """The name of a job without --job-name is its script's file name."""
    script = tmp_path / "finetune.slurm"
    script.write_text("#!/bin/bash\necho\n")
    assert read_head(script).name == "finetune.slurm"


@pytest.mark.parametrize(
    "line",
    [
        "--job-name=x",
        "--job-name x",
        "-J x",
        "-Jx",
        "-HJx",
        "-J 'x'",
        '--job-name="x"',
        "-J x # why",
        "-J x#why",
        "-J \\x",
    ],
)
def test_every_way_to_write_an_option(line):
    """Long and short options, quoted values and trailing comments mean what they mean to sbatch."""
    assert head(f"#SBATCH {line}").name == "x"


def test_the_head_ends_at_the_first_command():
    """A directive after the first command is dead, one after blank lines and comments is not."""
    found = head("", "  # a comment", "#SBATCH -J live", "export A=1", "#SBATCH -J dead")
    assert found.name == "live"
    assert found.data == b"#!/bin/bash\n\n  # a comment\n#SBATCH -J live\n"


@pytest.mark.parametrize(
    "line", [" #SBATCH -J x", "# SBATCH -J x", "##SBATCH -J x", "#sbatch -J x"]
)
def test_what_is_no_directive(line):
    """Only a line that starts with #SBATCH is a directive."""
    assert head(line).name == ""


def test_unknown_directives_are_read_past():
    """Directives without a meaning on one machine, known or not, do not hide the others."""
    lines = [
        "--mem=4G",
        "-p gpu",
        "--gres gpu:1",
        "--exclusive",
        "--new-flag --nodes=1",
        "-c 4",
        "-o %x.log",
    ]
    found = head(*(f"#SBATCH {line}" for line in lines))
    assert found.output == "%x.log"
    assert found.problems == ()


def test_nothing_is_read_after_a_word_that_is_no_option():
    """sbatch stops at a stray word; so do we, and say it."""
    found = head("#SBATCH -J first really", "#SBATCH -J second")
    assert found.name == "first"
    assert [problem.severity for problem in found.problems] == ["warning"]
    assert "'really'" in found.problems[0].message


def test_the_last_directive_wins():
    """A repeated option has its last value."""
    assert head("#SBATCH -J a", "#SBATCH --job-name=b").name == "b"


@given(NAMES)
def test_quoted_values_come_back_whole(name):
    """Whatever is quoted for sbatch is read back as it was."""
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert head(f"#SBATCH --job-name={quoted} # end").name == name


@given(st.binary(max_size=400))
def test_any_bytes_have_a_head(source):
    """No script makes the reader fail, and its head is a prefix of it, byte for byte."""
    assert source.startswith(read_head(source).data)


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_time_limits(days, hours, minutes, seconds):
    """Each form of a time limit means its seconds; 0 means none."""

    def expect(text, d=0, h=0, m=0, s=0):
        assert time_limit_s(text) == (((d * 24 + h) * 60 + m) * 60 + s or None)

    expect(f"{minutes}", m=minutes)
    expect(f"{minutes}:{seconds}", m=minutes, s=seconds)
    expect(f"{hours}:{minutes:02}:{seconds:02}", h=hours, m=minutes, s=seconds)
    expect(f"{days}-{hours}", d=days, h=hours)
    expect(f"{days}-{hours}:{minutes}", d=days, h=hours, m=minutes)
    expect(f"{days}-{hours}:{minutes}:{seconds}", d=days, h=hours, m=minutes, s=seconds)


@pytest.mark.parametrize(
    "text", ["", "soon", "1h", "1:2:3:4", "1-", "-5", "1.5", "1-2-3", " 5", "1:", "٣"]
)
def test_bad_time_limits(text):
    """What is no time limit is refused, with the line's fix, and loses nothing else."""
    with pytest.raises(ValueError, match="is no time limit"):
        time_limit_s(text)
    found = head(f"#SBATCH '--time={text}'", "#SBATCH -J x")
    assert found.name == "x"
    assert any(
        "no time limit" in problem.message and "--time=" in problem.hint
        for problem in found.problems
    )


@pytest.mark.parametrize("text", ["0", "UNLIMITED", "infinite", "-1", "0:00"])
def test_no_time_limit(text):
    """0, UNLIMITED and INFINITE are no limit."""
    assert time_limit_s(text) is None


@pytest.mark.parametrize(
    ("source", "word"),
    [
        (b"#!/bin/bash\r\n#SBATCH -J x\r\necho\r\n", "Windows line ends"),
        (b"echo hi\n", "#! line"),
        (b"", "empty"),
        (b" \n\t\n", "empty"),
        (b"#!/bin/bash\nA=\0\n", "NUL"),
        (b'#!/bin/bash\n#SBATCH -J "x\n', "unmatched"),
        (b"#!/bin/bash\n#SBATCH -J\n", "needs a value"),
        (b"#!/bin/bash\n#SBATCH : -n 1\n", "unexpected ':'"),
    ],
)
def test_what_sbatch_refuses_is_a_problem(source, word):
    """What sbatch would refuse is an error of the script, returned and not raised."""
    problems = read_head(source).problems
    assert any(word in problem.message and problem.severity == "error" for problem in problems)


def test_output_none_is_dev_null():
    """`--output=none` is /dev/null, and an error file of one's own is kept apart."""
    found = head(
        "#SBATCH -o NONE", "#SBATCH -e err.%j", "#SBATCH --open-mode=append", "#SBATCH -D sub"
    )
    assert (found.output, found.error, found.append, found.folder) == (
        "/dev/null",
        "err.%j",
        True,
        "sub",
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("#!/bin/bash", ("/bin/bash",)),
        ("#! /usr/bin/env  python3", ("/usr/bin/env", "python3")),
        ("#!/usr/bin/env -S python3 -u ", ("/usr/bin/env", "-S python3 -u")),
        ("#!/bin/sh\t-e", ("/bin/sh", "-e")),
        ("#!", ()),
    ],
)
def test_the_interpreter_is_the_kernels(line, expected):
    """The #! line is a path and at most one argument, as execve(2) reads it."""
    assert read_head(line.encode() + b"\n").interpreter == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("slurm-%j.out", "slurm-7.out"),
        ("%A_%x.%u@%N", "7_my job.ann@n1"),
        ("%5j|%05j|%%j|100%", "00007|00007|%j|100%"),
        ("%a %q", "%a %q"),
        ("\\%j", "%j"),
    ],
)
def test_patterns(pattern, expected):
    """Output patterns expand as in sbatch(1); the node is its short name."""
    assert expand(pattern, job_id="7", name="my job", user="ann", node="n1.example.org") == expected


@given(NAMES)
def test_values_are_not_expanded_again(name):
    """A job's name that looks like a pattern stays what it is."""
    assert expand("%x", job_id="7", name=name, user="u", node="n") == name


@pytest.mark.parametrize(
    ("option", "sign", "severity"),
    [
        ("--output=~/logs/%x-%j.out", "~", "error"),
        ("-o ~me/x.out", "~", "error"),
        ("--output=~/x.out", "~", "error"),
        ("-e $SCRATCH/err.txt", "$SCRATCH", "error"),
        ("--error=logs/${USER}/err.txt", "${USER}", "error"),
        ("--chdir=$HOME/work", "$HOME", "error"),
        ("-D ~/work", "~", "error"),
        ("--output=$NAME.out", "$NAME", "warning"),
        ("--output=logs/~x-%u.out", "", ""),
        ("--output=/scratch/%u/5$.out", "", ""),
    ],
)
def test_what_a_shell_would_expand_in_a_path(option, sign, severity):
    """sbatch takes ~ and $VAR as they are: a folder of that name is refused before any is made, a
    file's name is told.
    """
    found = read_head(f"#!/bin/bash\n#SBATCH {option}\n".encode(), name="s").problems
    assert [problem.severity for problem in found] == ([severity] if severity else [])
    assert all(
        f"expands no {sign}," in problem.message and "%u" in problem.hint for problem in found
    )


def test_a_name_of_other_bytes_is_told(tmp_path):
    """What is wrong with a line of another encoding is said in text that any file can hold."""
    (problem,) = read_head(b"#!/bin/bash\n#SBATCH --output=~/mod\xe8le/x\n", name="s").problems
    assert problem.message.encode() and problem.severity == "error"
    (problem,) = read_head(b"#!/bin/bash\n#SBATCH mod\xe8le --time=1\n", name="s").problems
    assert problem.message.encode() and problem.severity == "warning"


def test_a_heterogeneous_job_is_read_to_its_second_component():
    """`hetjob` begins another component, and is no option: what stands above it is the job's own,
    and nothing is wrong.
    """
    for word in ("hetjob", "packjob"):
        head = read_head(
            f"#!/bin/bash\n#SBATCH -J a -n 1\n#SBATCH {word}\n#SBATCH -n 2 --time=7\n".encode(),
            name="s",
        )
        assert (head.name, head.time_limit_s, head.problems) == ("a", None, ())
