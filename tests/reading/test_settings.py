"""Configurations as settings."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.reading import settings
from watchkeeper.reading.settings import Reader, merged, plain_yaml, yaml_settings

TUNE = """# a torchtune configuration, cut short
model:
  _component_: torchtune.models.llama3_2.llama3_2_1b
  lora_attn_modules: [q_proj, v_proj]
checkpointer:
  files:
  - model-1.safetensors
  - model-2.safetensors
  resume: null
optimizer:
  lr: 3.0e-4  # after the sweep
  fused: True
seed: 5
note: "0.50"
"""
SAME = {
    "lr": "0.01",
    "model.depth": "4",
    "model.name": "tiny",
    "tags": "[a, b]",
    "fast": "true",
    "seed": "null",
}


def read(name: str, text: str | bytes) -> dict[str, str] | None:
    """The settings of a file of that name."""
    data = text if isinstance(text, bytes) else text.encode()
    return Reader().settings(name, hashlib.sha256(data).hexdigest(), data)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.yaml",
            "lr: 1.0e-2\nmodel:\n  depth: 4\n  name: tiny\ntags:\n- a\n- b\nfast: True\nseed: ~\n",
        ),
        ("a.yml", 'lr: 0.010\nmodel: {depth: 4, name: "tiny"}\ntags: [a, b]\nfast: true\nseed:\n'),
        (
            "a.json",
            (
                '{"lr": 1e-2, "model": {"depth": 4, "name": "tiny"}, "tags": ["a", "b"], '
                '"fast": true, "seed": null}'
            ),
        ),
    ],
)
def test_the_same_settings_read_the_same_in_every_format(name: str, text: str) -> None:
    """Formats, spellings of numbers and styles of YAML make no difference between two
    configurations.
    """
    assert read(name, text) == SAME


def test_toml_and_ini_are_read_too() -> None:
    """TOML's tables and INI's sections become dotted keys."""
    assert read("a.toml", 'lr = 0.01\n[model]\ndepth = 4\nname = "tiny"\n') == {
        "lr": "0.01",
        "model.depth": "4",
        "model.name": "tiny",
    }
    assert read("a.ini", "[train]\nlr = 0.01\nflag\n") == {"train.lr": "0.01", "train.flag": "null"}


def test_plain_yaml_is_read_line_by_line_to_the_same_settings() -> None:
    """What the fast reader makes of an ordinary configuration is what YAML says."""
    fast = plain_yaml(TUNE)
    assert fast is not None and fast == yaml_settings(TUNE)
    assert (
        fast["optimizer.lr"] == "0.0003"
        and fast["note"] == "0.50"
        and fast["checkpointer.resume"] == "null"
    )


LINES = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "  ", "    ", " ", "- ", "  - "]),
    st.sampled_from(
        ["a:", "b:", "a.b:", "c-d:", "'a':", "a", "1:", "no:", "? a", "- x", "&x a:", "-"]
    ),
    st.sampled_from(
        [
            "",
            " ",
            " 1",
            " 1.0e-2",
            " 'q'",
            ' "q#r"',
            " [1, b]",
            " [1, [2]]",
            " {a: 1}",
            " |",
            " >",
            " *x",
            " x: y",
        ]
    )
    | st.text(alphabet="ab1.-_ :#'\"[]{},&*!|>%@`~/é\\", max_size=8).map(lambda text: " " + text),
    st.sampled_from(["", " # note", "#no note", " "]),
)


@given(st.lists(LINES, max_size=7).map("\n".join))
def test_the_fast_reader_agrees_with_yaml_or_leaves_it(text: str) -> None:
    """Whatever the file, the fast reader either declines or finds exactly the settings that YAML
    does.
    """
    fast = plain_yaml(text)
    if fast is not None:
        assert fast == yaml_settings(text)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (
            "bomb.yaml",
            "a: &a [x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"b{n}: &b{n} [{', '.join(['*a' if not n else f'*b{n - 1}'] * 9)}]\n"
                for n in range(9)
            ),
        ),
        ("loop.yaml", "a: &a\n  b: *a\n"),
        ("deep.json", "[" * 100_000),
        ("deep.yaml", "{a: " * 3000),
        ("tab.yaml", "a:\n\t- b: ["),
        ("bytes.yaml", b"a: \xff\xfe"),
        ("zero.yaml", b"a: \0"),
        ("many.json", "{" + ", ".join(f'"k{n}": 1' for n in range(5000)) + "}"),
        ("large.yaml", "# " + "x" * settings.MOST_BYTES),
        ("tag.yaml", "a: !!python/object/apply:os.system [echo]\nb: ["),
        ("no.toml", "= 1"),
        ("no.ini", "no section"),
    ],
)
def test_what_is_no_configuration_is_compared_whole(name: str, data: str | bytes) -> None:
    """Bombs, loops, depths and damage cost a file its keys, and nothing else."""
    assert read(name, data) is None


def test_a_key_of_two_files_names_its_file() -> None:
    """Of two files with the same key neither hides the other's value."""
    assert merged([("train.yaml", {"lr": "1", "seed": "2"}), ("eval.yaml", {"seed": "3"})]) == {
        "lr": "1",
        "seed": "2",
        "eval.yaml:seed": "3",
    }


def test_the_slow_reader_has_a_limit_and_hashes_are_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of hundreds of unusual files only so much is read by YAML itself, and the same bytes are read
    once.
    """
    monkeypatch.setattr(settings, "MOST_SLOW_BYTES", 40)
    reader = Reader()
    text = b"a: {b: 1}\n# twenty bytes"
    for _ in range(3):
        assert reader.settings("a.yaml", "one", text) == {"a.b": "1"}
    assert reader.settings("a.yaml", "two", text + b" ") is None


def test_secrets_are_no_settings():
    """A token, a key and a login in a configuration are neither shown nor a difference; what is
    beside them is kept.
    """
    text = "lr: 0.1\nhub:\n  token: s3cret\ndb: postgres://me:s3cret@host/x\nmax_tokens: 5\n"
    found = read("a.yaml", text)
    assert found == {
        "lr": "0.1",
        "hub.token": "<redacted>",
        "db": "postgres://<redacted>@host/x",
        "max_tokens": "5",
    }
    assert read("a.yaml", text.replace("s3cret", "other")) == found
