"""What is recorded of a configuration: values as what they are, bounded, without secrets, and no
error of anybody's.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import enum
import functools
import json
import re
import time
import types
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import attrs
import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from omegaconf import MISSING, OmegaConf

import watchkeeper as wk
from watchkeeper.core.events import RunEnded, RunStarted
from watchkeeper.core.journal import read
from watchkeeper.record.configuration import config as rule
from watchkeeper.record.configuration.config import config_fields, plain, settings


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = 2


class Flags(enum.Flag):
    A = 1
    B = 2


@dataclass
class Optimizer:
    kind: Mode = Mode.FAST
    betas: tuple[float, float] = (0.9, 0.99)
    shared: ClassVar[int] = 1


@dataclass(slots=True)
class Slotted:
    optimizer: Optimizer = field(default_factory=Optimizer)


@attrs.define
class Attrs:
    lr: float = 0.1


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    lr: float = 0.1
    key: pydantic.SecretStr = pydantic.SecretStr("s3cret")


class Struct(msgspec.Struct):
    lr: float = 0.1


class Point(NamedTuple):
    x: int
    y: int


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


class Worded:
    def __init__(self, held: object = None) -> None:
        self.held = held

    def __repr__(self) -> str:
        return "Worded()"


class Bare:
    pass


class Closed:
    @property
    def __dict__(self):
        raise RuntimeError("not to be looked into")


def function() -> None: ...


def of(value: object) -> Any:
    return config_fields({"v": value})["v"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Mode.FAST, "fast"),
        (Mode.SLOW, "SLOW"),
        (Flags.A | Flags.B, "A|B"),
        (Optimizer(), {"kind": "fast", "betas": [0.9, 0.99]}),
        (Slotted(), {"optimizer": {"kind": "fast", "betas": [0.9, 0.99]}}),
        (Attrs(), {"lr": 0.1}),
        (Model(more=[1]), {"lr": 0.1, "key": "<redacted>", "more": [1]}),
        (Struct(), {"lr": 0.1}),
        (Point(1, 2), {"x": 1, "y": 2}),
        (argparse.Namespace(a=1), {"a": 1}),
        (types.SimpleNamespace(a=1), {"a": 1}),
        (Path("/data"), "/data"),
        ({"b", "a", "c"}, ["a", "b", "c"]),
        (frozenset({3, "a", None}), [None, 3, "a"]),
        (collections.deque([1, 2]), [1, 2]),
        (range(10**12), "range(0, 1000000000000)"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC), "2026-01-02T03:00:00+00:00"),
        (datetime.timedelta(days=1), "1 day, 0:00:00"),
        (decimal.Decimal("0.5"), 0.5),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (1 + 2j, "(1+2j)"),
        (np.float32(0.5), 0.5),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(3), 3),
        (np.zeros((1000, 1000), "float32"), "<numpy.ndarray float32 (1000, 1000)>"),
        (np.dtype("int8"), "int8"),
        (np.datetime64("2026-01-02"), "2026-01-02"),
        (b"abc", "b'abc'"),
        (re.compile("a+"), "a+"),
        (len, "len"),
        (Mode, f"{__name__}.Mode"),
        (function, f"{__name__}.function"),
        (json, "json"),
        (list[int], "list[int]"),
        (
            functools.partial(function, 1, lr=0.1),
            {"function": f"{__name__}.function", "args": [1], "keywords": {"lr": 0.1}},
        ),
        (float("nan"), "NaN"),
        (10**30, str(10**30)),
        ([10**6000], ["<int of 19932 bits>"]),
        ("\ud800", "?"),
        (
            {1: "a", "1": "b", None: 0, (1, 2): 0, Mode.FAST: 0},
            {"1": "a", "1 (str)": "b", "None": 0, "(1, 2)": 0, "fast": 0},
        ),
        (Bare(), f"<{__name__}.Bare>"),
        (Worded(), "Worded()"),
        (Odd(), f"<{__name__}.Odd, not readable: RuntimeError>"),
    ],
)
def test_values_are_recorded_as_what_they_are(value, expected):
    """Each kind has one form, which does not depend on where it lies or which process wrote it."""
    assert of(value) == expected
    assert of([value]) == [expected]


def test_omegaconf_is_resolved_where_it_can_be(monkeypatch):
    """Lists are lists, interpolations are resolved, and what is missing or fails stands as it was
    written; a variable of the environment that is named like a secret is not looked up.
    """
    monkeypatch.setenv("HF_TOKEN", "s3cret")
    monkeypatch.setenv("PLACE", "here")
    made = OmegaConf.create(
        {
            "lr": 0.1,
            "betas": [0.9, "${lr}", "${nowhere}", MISSING],
            "twice": "${lr}",
            "todo": MISSING,
            "gone": "${nowhere.at.all}",
            "hub": {"value": "${oc.env:HF_TOKEN}"},
            "place": "${oc.env:PLACE}",
            "none": None,
            "whole": "${betas}",
        }
    )
    betas = [0.9, 0.1, "${nowhere}", "???"]
    assert config_fields(made) == {
        "lr": 0.1,
        "betas": betas,
        "twice": 0.1,
        "todo": "???",
        "gone": "${nowhere.at.all}",
        "hub": {"value": "<redacted>"},
        "place": "here",
        "none": None,
        "whole": betas,
    }
    assert "s3cret" not in str(config_fields(OmegaConf.create({"a": ["${oc.env:HF_TOKEN}"]})))


def test_torch_values_fetch_nothing():
    """A small tensor is its numbers, any other its type and shape; dtypes and devices are their
    names; a model its type.
    """
    torch = pytest.importorskip("torch")
    assert of(torch.tensor([1.0, 2.0], requires_grad=True)) == [1.0, 2.0]
    assert of(torch.zeros(100, 100)) == "<torch.Tensor torch.float32 (100, 100)>"
    assert of(torch.zeros(3, device="meta")) == "<torch.Tensor torch.float32 (3,)>"
    assert (of(torch.bfloat16), of(torch.device("cpu"))) == ("torch.bfloat16", "cpu")
    model = torch.nn.Sequential(*[torch.nn.Linear(2, 2) for _ in range(200)])
    assert of(model) == "<torch.nn.modules.container.Sequential>"


def test_an_object_of_any_class_may_be_the_configuration_itself():
    """The settings that an object or a plain class holds as attributes are its fields, its methods
    are not.
    """

    class Settings:
        lr = 0.1
        api_key = "s3cret"

        def method(self) -> None: ...

        @property
        def computed(self) -> int:
            raise RuntimeError("not to be asked")

    given = Settings()
    given.seed = 3
    assert config_fields(Settings) == {"lr": 0.1, "api_key": "<redacted>"}
    assert config_fields(given) == {"lr": 0.1, "api_key": "<redacted>", "seed": 3}
    assert settings(None) == settings("text") == settings([1]) == settings(3) == {}
    assert config_fields(Closed()) == {"config": f"<{__name__}.Closed>"}


# ── what is too much


class Endless(Mapping):
    """A mapping whose values are made when they are asked for, each slowly, or not at all."""

    def __init__(self, error: Exception | None = None, seconds: float = 0.0) -> None:
        self.error, self.seconds, self.asked = error, seconds, 0

    def __iter__(self):
        return iter(range(10**9))

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, key):
        self.asked += 1
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return Endless(self.error, self.seconds)


class Falling(Sequence):
    """A sequence that fails in the middle."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index):
        if index > 2:
            raise OSError("gone")
        return index


def test_large_values_are_cut_where_they_stand():
    """What was cut says so in its place, with how much of it where that is known."""
    assert of(list(range(1_000_000)))[-2:] == [rule.ITEMS - 1, f"… {1_000_000 - rule.ITEMS} more"]
    assert of({str(n): n for n in range(5_000)})["…"] == f"{5_000 - rule.ITEMS} more"
    assert of("x" * 10**7) == "x" * rule.TEXT + "…"
    assert of(set(range(1_000_000)))[-1].endswith("more")
    assert of(Falling()) == [0, 1, 2, "… <not readable: OSError>"]


def test_cycles_and_shared_parts_end():
    """What contains itself says so, and what is reached in a million ways is recorded a bounded
    number of times.
    """
    looped: dict[str, Any] = {"lr": 0.1}
    looped["self"] = looped
    assert config_fields(looped) == {"lr": 0.1, "self": "<dict, which contains itself>"}
    shared: Any = [1]
    for _ in range(60):
        shared = [shared, shared]
    recorded = config_fields({"deep": shared, "lr": 0.1})
    assert recorded["lr"] == 0.1 and len(json.dumps(recorded)) < 2_000_000
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    assert "cut" in json.dumps(of(deep))
    while isinstance(deep, list):  # freed by its own destructor it would need a deep stack
        deep = deep[0]


def test_a_field_that_is_too_large_leaves_its_neighbours_whole():
    """The walk goes level by level: the settings beside a data set are recorded."""
    data = {str(n): {str(m): [m] * 10 for m in range(200)} for n in range(200)}
    recorded = config_fields({"data": data, "lr": 0.1, "inner": {"seed": 3}})
    assert (recorded["lr"], recorded["inner"]) == (0.1, {"seed": 3})


def test_lazy_values_are_asked_a_bounded_number_of_times():
    """A mapping that reads a disk for each value is asked for a while, not for each of a billion;
    errors stay in place.
    """
    failing = Endless(KeyError("x"))
    assert of(failing)["0"] == "<not readable: KeyError>" and failing.asked <= rule.ITEMS + 1
    slow = Endless(seconds=0.05)
    assert "more" in of(slow)["…"] and slow.asked < 100


def test_the_text_of_an_object_is_asked_only_where_it_is_small():
    """An object that holds much is its type: its own text could take minutes and gigabytes."""

    class Heavy(Worded):
        def __repr__(self) -> str:
            raise AssertionError("asked")

    for held in ([object() for _ in range(1_000)], "x" * 10**6, {n: str(n) for n in range(1_000)}):
        assert of(Heavy(held)).endswith("Heavy>")


def test_after_a_slow_value_no_other_is_asked(monkeypatch):
    """Time is bounded too: an object whose text takes long is the last one that is asked for it.
    What lies at hand is recorded however slow the machine is.
    """
    monkeypatch.setattr(rule, "SECONDS", 0.0)
    assert config_fields({"a": 1, "b": {"c": [2]}}) == {"a": 1, "b": {"c": [2]}}
    monkeypatch.setattr(rule, "SECONDS", 0.05)

    class Slow(Worded):
        asked = 0

        def __repr__(self) -> str:
            Slow.asked += 1
            time.sleep(0.1)
            return "Slow()"

    config_fields({str(n): Slow() for n in range(20)})
    assert Slow.asked <= 1


def test_secrets_are_left_out_at_any_depth():
    """By name, by form, in lists of a command's words, and by type."""
    recorded = config_fields(
        {
            "hf_token": "s3cret",
            "a": {"b": [{"password": "s3cret", "kept": 1}]},
            "secrets": {"x": "s3cret"},
            "api_keys": ["s3cret"],
            "argv": ["train.py", "--api-key", "s3cret", "--lr", "1"],
            "url": "postgres://me:s3cret@h/db",
            "text": "export WANDB_API_KEY=s3cret",
            "typed": pydantic.SecretStr("s3cret"),
            "id": "gh" + "p_s3cret" + "aB1" * 12,
            "object": Model(lr=1),
            "pad_token": "<pad>",
            "max_tokens": 5,
        }
    )
    assert "s3cret" not in json.dumps(recorded)
    assert recorded["a"] == {"b": [{"password": "<redacted>", "kept": 1}]}
    assert recorded["argv"] == ["train.py", "--api-key", "<redacted>", "--lr", "1"]
    assert (recorded["url"], recorded["pad_token"], recorded["max_tokens"]) == (
        "postgres://<redacted>@h/db",
        "<pad>",
        5,
    )


def test_the_error_that_ends_a_run_is_recorded_without_secrets(tmp_path):
    """Libraries put the address that they could not reach into their errors, with its login."""
    with (
        pytest.raises(ValueError, match="s3cret"),
        wk.start_run(folder=tmp_path, pipeline="t", console=False),
    ):
        raise ValueError("cannot reach postgres://me:s3cret@host/db")
    events = [
        event for own in read(tmp_path / ".watchkeeper/journal").events.values() for event in own
    ]
    (ended,) = [event for event in events if isinstance(event, RunEnded)]
    assert ended.error == "ValueError: cannot reach postgres://<redacted>@host/db"


class Proxy:
    """What looks like anything, and fails."""

    @property
    def __class__(self):
        raise RuntimeError("unbound")


@pytest.mark.parametrize("number", range(6))
def test_no_strange_value_stops_a_start(tmp_path, number):
    """The run starts, its other settings are recorded, and what cannot be read says so."""
    value = [Proxy(), Odd(), Endless(RuntimeError()), Falling(), {Odd(): 1}, {"a": Proxy}][number]
    with wk.start_run(tmp_path, pipeline="t", config={"lr": 0.1, "v": value}, console=False) as run:
        pass
    events = [
        event for own in read(run.folder / ".watchkeeper/journal").events.values() for event in own
    ]
    (started,) = [event for event in events if isinstance(event, RunStarted)]
    assert started.config["lr"] == 0.1 and "v" in started.config


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.complex_numbers()
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner)
        | st.tuples(inner)
        | st.sets(leaves)
    ),
)


@examples(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees)
def test_whatever_is_recorded_is_json(value):
    """Any configuration is written and read as it was recorded, and the same twice."""
    recorded = plain(value)
    assert msgspec.json.decode(msgspec.json.encode(recorded)) == recorded
    assert plain(value) == recorded
