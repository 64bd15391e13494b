"""Evidence: what `look` finds where a job was to leave something."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import socket
import zipfile
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watchkeeper.publish import names
from watchkeeper.tools import file_formats, script
from watchkeeper.tools.look import look
from watchkeeper.tools.promise import Expected, Finding, Promise
from watchkeeper.tools.script import fingerprint


def safetensors(*, tensors: int = 1, data: bytes = b"12345678", name: str = "t") -> bytes:
    """A whole safetensors file of float32 pairs."""
    header = {
        f"{name}{i}": {"dtype": "F32", "shape": [2], "data_offsets": [8 * i, 8 * i + 8]}
        for i in range(tensors)
    }
    encoded = json.dumps({"__metadata__": {"format": "pt"}} | header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + data * tensors


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return buffer.getvalue()


def eval_log(status: str = "success", **more: object) -> bytes:
    return zipped(header__json=json.dumps({"status": status, **more}).encode())


INDEX = json.dumps(
    {"weight_map": {"a0": "model-1.safetensors", "b0": "model-2.safetensors"}}
).encode()
SHARDS = {
    "model-1.safetensors": safetensors(name="a"),
    "model-2.safetensors": safetensors(name="b"),
}

PICKLE = b"\x80\x02."
GOOD_CHECKPOINTS = [
    {"model.safetensors": safetensors()},
    {"model.safetensors": safetensors(), "config.json": b"{}", "empty.txt": b""},
    {"adapter_model.safetensors": safetensors(), "adapter_config.json": b"{}"},
    {"model.pt": zipped(data__pkl=b"weights")},
    {"pytorch_model.bin": b"\x80\x02an older format"},
    {"weights.npz": zipped(w__npy=b"array")},
    {"model.pkl": pickle.dumps([1, 2])},
    {"model.gguf": b"GGUF\x03\0\0\0"},
    {"nested/model.ckpt": b"\x80\x02."},
    {"protocol0.pkl": pickle.dumps({"w": [1.5, 2]}, protocol=0)},
    {"compressed.joblib": zlib.compress(b"weights")},
    {"table.ckpt": b"\0\x01a binary format that is not known here"},
    {"model.h5": b"\x89HDF\r\n\x1a\n\0"},
    {"model.h5": b"a block of its user's".ljust(1024) + b"\x89HDF\r\n\x1a\n\0"},
    {"model.bin": b"weights\n"},
    SHARDS | {"model.safetensors.index.json": INDEX},
    {"model.safetensors": safetensors(), ".tmp-model.safetensors-1": b"", ".hidden.pt": b""},
]

BAD_CHECKPOINTS = [
    ({}, "empty", "holds no file"),
    ({"config.json": b"{}"}, "empty", "holds no weights: config.json"),
    (
        {"a.json": b"{}", "b.json": b"{}", "c.json": b"{}", "d.json": b"{}", "e.json": b"{}"},
        "empty",
        "holds no weights: a.json, b.json, c.json and 2 more",
    ),
    ({"model.pt": b"weights\n"}, "damaged", "model.pt holds text, not a PyTorch file"),
    ({"model.pth": b"weights\n"}, "damaged", "model.pth holds text, not a PyTorch file"),
    ({"model.ckpt": "é".encode() * 4000}, "damaged", "holds text, not a checkpoint file"),
    ({"model.pkl": b"weights."}, "damaged", "model.pkl holds text, not a pickle"),
    ({"model.joblib": b"weights\n"}, "damaged", "model.joblib holds text, not a joblib file"),
    ({"model.npz": b"weights\n"}, "damaged", "model.npz holds text, not a NumPy archive"),
    ({"model.gguf": b"weights\n"}, "damaged", "model.gguf holds text, not a GGUF file"),
    ({"model.h5": b"weights\n"}, "damaged", "model.h5 holds text, not an HDF5 file"),
    ({"model.h5": b"\0\x01\x02"}, "damaged", "model.h5 is no HDF5 file"),
    ({"model.safetensors": b"weights\n"}, "damaged", "holds text, not a safetensors file"),
    ({"m.distcp": b"<html>gone</html>"}, "damaged", "holds text, not a PyTorch file"),
    (
        {"model.pt": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"},
        "damaged",
        "is a Git LFS pointer, not a PyTorch file: type git lfs pull",
    ),
    (
        {"optimizer.pt": zipped(a=b"1"), "training_args.bin": b"1"},
        "empty",
        "holds no weights: optimizer.pt, training_args.bin",
    ),
    ({"model.pt": b""}, "empty", "model.pt holds 0 bytes"),
    (
        {"a.safetensors": b"", "b.safetensors": b""},
        "empty",
        "a.safetensors holds 0 bytes (and 1 more)",
    ),
    ({"model.safetensors": safetensors(tensors=0)}, "empty", "holds no tensors"),
    ({".tmp-model.safetensors-1": safetensors()}, "empty", "holds no file"),
    (
        {"a.safetensors": safetensors(), "b.safetensors": b""},
        "damaged",
        "b.safetensors holds 0 bytes",
    ),
    ({"model.safetensors": safetensors()[:-1]}, "damaged", "is torn: its tensors need"),
    ({"model.safetensors": safetensors()[:20]}, "damaged", "is torn: its header"),
    ({"model.safetensors": b"123\0"}, "damaged", "is torn"),
    ({"model.safetensors": safetensors() + b"1"}, "damaged", "holds more than its tensors"),
    (
        {"model.safetensors": safetensors().replace(b"[2]", b"[3]")},
        "damaged",
        "offsets and shapes disagree: 't0'",
    ),
    (
        {"model.safetensors": safetensors().replace(b"[0, 8]", b"[4, 8]")},
        "damaged",
        "offsets and shapes disagree: 't0'",
    ),
    (
        SHARDS | {"model-2.safetensors": safetensors(name="c"), "m.safetensors.index.json": INDEX},
        "damaged",
        "names 'b0' in model-2.safetensors, which does not hold it",
    ),
    ({"model.safetensors": b"\x02" + b"\0" * 7 + b"[]"}, "damaged", "no safetensors header"),
    ({"model.safetensors": b"\x08" + b"\0" * 7 + b'{"a":[]}'}, "damaged", "without offsets"),
    ({"model.safetensors": b"\x03" + b"\0" * 7 + b"{a}"}, "damaged", "is not JSON"),
    ({"model.pt": zipped(data__pkl=b"weights" * 99)[:-30]}, "damaged", "model.pt is torn"),
    ({"model.npz": b"\0no zip"}, "damaged", "model.npz is torn"),
    ({"model.joblib": pickle.dumps([1, 2])[:-1]}, "damaged", "does not end with its STOP mark"),
    ({"model.gguf": b"GG\0"}, "damaged", "is no GGUF file"),
    (
        {"model.safetensors": safetensors(), "optimizer.pt": zipped(a=b"1")[:-9]},
        "damaged",
        "optimizer.pt is torn",
    ),
    (
        {"model-1.safetensors": safetensors(), "m.safetensors.index.json": INDEX},
        "damaged",
        "model-2.safetensors is missing",
    ),
    ({"m.safetensors.index.json": INDEX}, "damaged", "model-1.safetensors and 1 more is missing"),
    ({"model.pt": PICKLE, "m.bin.index.json": b"{}"}, "damaged", "has no weight_map"),
    (
        {"model.pt": PICKLE, "m.safetensors.index.json": b'{"weight_map": {"a": "../../secret"}}'},
        "damaged",
        "outside its folder",
    ),
]

GOOD_RESULTS = [
    (
        "r.json",
        b'{"accuracy": 0.5, "n": 450, "task": "clean", "ok": true}',
        {"accuracy": 0.5, "n": 450},
    ),
    (
        "r.json",
        b'{"a": NaN, "b": Infinity, "c": -1e999}',
        {"a": "NaN", "b": "Infinity", "c": "-Infinity"},
    ),
    ("r.json", b'{"loss": "NaN", "state": "nan"}', {"loss": "NaN"}),
    ("r.json", b'{"words": "none of these is a number"}', {}),
    ("r.json", b'{"big": 18446744073709551616}', {"big": 2.0**64}),
    ("r.csv", b"\xef\xbb\xbfepoch,loss\n\n1,0.5\n", {}),
    ("r.txt", b"x", {}),
    ("r.eval", eval_log(), {}),
    (
        "r.eval",
        eval_log(
            results={
                "scores": [
                    {
                        "name": "match",
                        "metrics": {"accuracy": {"value": 0.9}, "std": {"value": 0.1}},
                    }
                ]
            }
        ),
        {"accuracy": 0.9, "std": 0.1},
    ),
    (
        "r.eval",
        eval_log(
            results={
                "scores": [
                    {"name": s, "metrics": {"accuracy": {"value": v}}}
                    for s, v in (("a", 1), ("b", 2))
                ]
            }
        ),
        {"a/accuracy": 1, "b/accuracy": 2},
    ),
]

BAD_RESULTS = [
    ("r.json", b"", "empty", "r.json holds 0 bytes"),
    ("r.json", b"{}", "empty", "without a single value"),
    ("r.json", b'{"accuracy": 0.', "damaged", "r.json is not JSON"),
    ("r.json", b"[" * 100_000, "damaged", "r.json is not JSON"),
    ("r.json", b"1" * 10_000, "damaged", "r.json is not JSON"),
    ("r.json", b"[1]", "damaged", "a JSON list, not an object"),
    ("r.json", b"\xff\xfe{}", "damaged", "r.json is not JSON"),
    ("r.csv", b"\n\n", "empty", "has no header"),
    ("r.csv", b"epoch,loss\n", "empty", "has a header and no row"),
    ("r.eval", eval_log("error"), "damaged", 'says status "error"'),
    ("r.eval", eval_log("started"), "damaged", 'says status "started"'),
    ("r.eval", zipped(samples=b"{}"), "damaged", "no header.json"),
    ("r.eval", eval_log()[:-10], "damaged", "cannot be read as an inspect-ai log"),
    ("r.eval", zipped(header__json=b"[]"), "damaged", "says status null"),
]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def checkpoint(*patterns: str) -> Promise:
    return Promise(subject="run/epoch_0", kind="checkpoint", patterns=patterns or ("run/epoch_0",))


def result(*patterns: str) -> Promise:
    return Promise(subject="run/task/epoch0", kind="result", patterns=patterns)


@pytest.mark.parametrize("files", GOOD_CHECKPOINTS, ids=lambda files: next(iter(files)))
def test_whole_weights_are_good(tmp_path: Path, files: dict[str, bytes]) -> None:
    """A folder of whole weights keeps the promise, with a fingerprint and evidence that names each
    weights file.
    """
    write(tmp_path / "run/epoch_0", files)
    finding = look(tmp_path, checkpoint())
    assert (finding.state, finding.path) == ("good", "run/epoch_0"), finding.why
    assert len(finding.fingerprint) == 64
    named = {one.source for one in finding.evidence}
    assert named == {
        f"run/epoch_0/{name}"
        for name in files
        if not name.startswith(".") and (file_formats.is_weights(name) or "index" in name)
    }
    assert all(one.size_bytes and one.modified and one.modified.tzinfo for one in finding.evidence)


def test_what_is_evaluated_is_told_before_the_adapter_it_was_made_with(tmp_path: Path) -> None:
    """Of merged weights with their adapter beside them, the evidence names the merged weights
    first: a skip tells one.
    """
    files = {
        "adapter_model.pt": b"weights",
        "adapter_model.safetensors": safetensors(),
        "model.safetensors": safetensors(),
    }
    write(tmp_path / "run/epoch_0", files)
    finding = look(tmp_path, checkpoint())
    assert [one.source.rpartition("/")[2] for one in finding.evidence] == [
        "model.safetensors",
        *sorted(files)[:2],
    ]


@pytest.mark.parametrize(("files", "state", "why"), BAD_CHECKPOINTS)
def test_weights_that_are_not_whole_are_told_apart(
    tmp_path: Path, files: dict[str, bytes], state: str, why: str
) -> None:
    """Nothing there, something empty and something torn are different findings, and each says which
    file and why.
    """
    write(tmp_path / "run/epoch_0", files)
    finding = look(tmp_path, checkpoint())
    assert finding.state == state
    assert why in finding.why
    assert finding.fingerprint == ""


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    """A look at pickled weights runs nothing in them."""
    target = tmp_path / "harm"
    bomb = b"\x80\x04cos\nmkdir\n(V" + os.fsencode(target) + b"\ntR."
    pickle.loads(bomb)
    target.rmdir()  # the bomb works; from here on it must not go off
    write(
        tmp_path / "run/epoch_0",
        {"m.pkl": bomb, "m.pt": bomb, "m.joblib": bomb, "n.pt": zipped(data__pkl=bomb)},
    )
    assert look(tmp_path, checkpoint()).state == "good"
    assert not target.exists()


@pytest.mark.parametrize(("name", "data", "metrics"), GOOD_RESULTS)
def test_a_result_gives_its_figures(
    tmp_path: Path, name: str, data: bytes, metrics: dict[str, object]
) -> None:
    """A good result's numeric values become metrics, non-finite ones by name; booleans and words do
    not.
    """
    write(tmp_path / "run", {name: data})
    finding = look(tmp_path, result(f"run/{name}"))
    assert (finding.state, finding.metrics) == ("good", metrics), finding.why
    assert finding.evidence[0].source == f"run/{name}"
    assert finding.evidence[0].size_bytes == len(data)


@pytest.mark.parametrize(("name", "data", "state", "why"), BAD_RESULTS)
def test_a_result_that_holds_nothing_or_says_it_failed(
    tmp_path: Path, name: str, data: bytes, state: str, why: str
) -> None:
    """An empty, torn or failed result is no result, and the finding says why."""
    write(tmp_path / "run", {name: data})
    finding = look(tmp_path, result(f"run/{name}"))
    assert finding.state == state
    assert why in finding.why
    assert not finding.metrics


ASKED = Expected(
    tasks=("clean",),
    files=("t.py",),
    others=frozenset({"clean", "noisy"}),
    model="hf/x",
    epoch=1,
    own=frozenset({"r8"}),
    runs=frozenset({"r8", "r16"}),
)


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ({}, ""),
        (
            {
                "task": "pkg/clean",
                "model": "hf/x",
                "model_args": {"model_path": "../r8/artifacts/epoch_1/"},
            },
            "",
        ),
        ({"task": "clean", "model_args": {"model_path": "/elsewhere/copy"}}, ""),
        ({"task": "r16", "task_file": "a/t.py"}, ""),
        ({"task": "A title", "task_registry_name": "pkg/clean", "task_file": "a/u.py"}, ""),
        ({"task": "noisy", "task_file": "a/t.py"}, "is of the task 'noisy', not 'clean'"),
        ({"task": "other", "task_file": "a/u.py"}, "is of the task 'other', not 'clean'"),
        ({"model": "hf/y"}, "is of the model 'hf/y', not 'hf/x'"),
        ({"model_args": {"model_path": "/a/r8/epoch_0"}}, "is of epoch 0, not 1"),
        (
            {"model_args": {"model_path": "/a/r16/epoch_1"}},
            "is of another run's model, /a/r16/epoch_1",
        ),
        ({"model_args": {"model_path": "/a/r16/r8/epoch_1"}}, ""),
        ({"model_args": 1, "model": 2, "task": None}, ""),
    ],
)
@pytest.mark.parametrize("status", ["success", "started"])
def test_a_log_is_of_what_was_asked_for(
    tmp_path: Path, told: dict[str, object], fault: str, status: str
) -> None:
    """A log that says another task, model, run or epoch is not the promised one; what it does not
    say is not held against it, and one without an end is known by its beginning.
    """
    data = (
        eval_log(eval=told)
        if status == "success"
        else zipped(**{"_journal/start__json": json.dumps({"eval": told}).encode()})
    )
    write(tmp_path, {"r.eval": data})
    finding = look(tmp_path, msgspec.structs.replace(result("r.eval"), expected=ASKED))
    assert finding.state == ("good" if status == "success" and not fault else "damaged"), (
        finding.why
    )
    assert (fault or ("bytes" if status == "success" else "it was killed")) in finding.why


@pytest.mark.parametrize(
    ("results", "state", "words"),
    [
        ({"total_samples": 3, "completed_samples": 3}, "damaged", "holds 2 of its 3 samples"),
        ({"total_samples": 3, "completed_samples": 2}, "good", "2 of 3 samples"),
        ({"total_samples": 2, "completed_samples": 0}, "empty", "no sample of 2"),
        ({"total_samples": None}, "good", "bytes"),
    ],
)
def test_samples_are_counted(
    tmp_path: Path, results: dict[str, object], state: str, words: str
) -> None:
    """Nothing evaluated is empty, samples that the log lacks are damage, samples that failed by
    leave are told.
    """
    header = json.dumps({"status": "success", "results": results}).encode()
    data = zipped(**{"samples/1__json": b"1", "samples/2__json": b"2", "header__json": header})
    write(tmp_path, {"r.eval": data})
    finding = look(tmp_path, result("r.eval"))
    assert finding.state == state and words in finding.why
    assert bool(finding.caution) == ("2 of 3" in words)


def test_a_result_folder_holds_a_full_file(tmp_path: Path) -> None:
    """A promised folder is good when one of its files holds something, and empty otherwise."""
    assert look(tmp_path, result("run/out")).state == "missing"
    write(tmp_path / "run/out", {"a.txt": b""})
    assert look(tmp_path, result("run/out")).state == "empty"
    write(tmp_path / "run/out", {"deep/b.txt": b"x"})
    assert look(tmp_path, result("run/out")).state == "good"


def test_the_first_good_place_counts(tmp_path: Path) -> None:
    """Places are tried in order; one that holds something bad does not hide a good one after it."""
    write(tmp_path / "run/epoch_0", {"m.pt": b""})
    assert look(tmp_path, checkpoint("run/artifacts/epoch_0", "run/epoch_0")).path == "run/epoch_0"
    write(tmp_path / "run/scratch/epoch_0", {"m.safetensors": safetensors()})
    finding = look(tmp_path, checkpoint("run/epoch_0", "run/scratch/epoch_0"))
    assert (finding.state, finding.path) == ("good", "run/scratch/epoch_0")


def test_missing_names_every_place(tmp_path: Path) -> None:
    """A missing promise says all the places that were looked at, as a person would write them."""
    finding = look(tmp_path, checkpoint("run[[]1]/a/epoch_0", "run[[]1]/epoch_0"))
    assert finding.state == "missing"
    assert finding.why == "nothing at run[1]/a/epoch_0 or run[1]/epoch_0"
    assert finding.path == "run[1]/a/epoch_0"


def test_the_last_good_log_counts(tmp_path: Path) -> None:
    """Of several logs the last good one is the evidence, whether or not a later try failed."""
    logs = {
        "2026-01-01_t.eval": eval_log(),
        "2026-01-02_t.eval": eval_log(),
        "2026-01-03_t.eval": eval_log("error"),
    }
    write(tmp_path / "run/logs", logs)
    finding = look(tmp_path, result("run/logs/*.eval"))
    assert (finding.state, finding.path) == ("good", "run/logs/2026-01-02_t.eval")


def test_a_checkpoint_outside_the_experiment(tmp_path: Path) -> None:
    """An absolute pattern is looked at where it points, and shown whole."""
    scratch = write(tmp_path / "scratch/epoch_0", {"m.pt": PICKLE})
    (tmp_path / "exp").mkdir()
    finding = look(tmp_path / "exp", checkpoint(str(scratch)))
    assert (finding.state, finding.path) == ("good", scratch.as_posix())


def test_symlinks_are_followed_and_cycles_end(tmp_path: Path) -> None:
    """A checkpoint behind a link is one, a link to a parent folder is walked once, and a dangling
    link is no file.
    """
    real = write(tmp_path / "store", {"m.pt": PICKLE})
    (real / "up").symlink_to(tmp_path)
    (real / "gone.pt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/epoch_0").symlink_to(real)
    assert look(tmp_path, checkpoint()).state == "good"


def test_what_cannot_be_read_is_damaged_and_never_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a loop of links, nor a refused folder, nor a failing disk is an exception, or a
    missing file.
    """
    (tmp_path / "loop").symlink_to("loop")
    for pattern in ("loop", "loop/*.json", "loop/x"):
        finding = look(tmp_path, result(pattern))
        assert (finding.state, "cannot be read" in finding.why) == ("damaged", True)
    write(tmp_path / "run/epoch_0", {"m.pt": PICKLE})

    def refuse(path: object, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    for name in ("scandir", "listdir"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, refuse)
            finding = look(
                tmp_path, checkpoint("run/epoch_0" if name == "scandir" else "run/epoch_*")
            )
        assert finding.state == "damaged"
        assert "cannot be read: Permission denied" in finding.why
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert "run/epoch_0/m.pt cannot be read" in look(tmp_path, checkpoint()).why


def test_a_socket_or_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """What is neither file nor folder is never opened."""
    os.mkfifo(tmp_path / "pipe.json")
    assert look(tmp_path, result("pipe.json")).why == "pipe.json is no file"
    here = Path.cwd()
    os.chdir(tmp_path)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("s.json")
            assert look(tmp_path, result("s.json")).state == "damaged"
    finally:
        os.chdir(here)


def test_a_fingerprint_is_of_content_not_of_time(tmp_path: Path) -> None:
    """It stays when files are touched or moved together; a byte, a name or a size changes it."""
    files = {"m.safetensors": safetensors(), "config.json": b"{}"}
    write(tmp_path / "a", files)
    write(tmp_path / "b", files)
    os.utime(tmp_path / "b/config.json", (1, 1))
    first, second = (look(tmp_path, checkpoint(name)).fingerprint for name in "ab")
    assert first == second
    seen = {first}
    for change in ({"config.json": b"[]"}, {"config.json": b"{ }"}, {"extra.txt": b""}):
        write(tmp_path / "b", change)
        seen.add(look(tmp_path, checkpoint("b")).fingerprint)
    assert len(seen) == 4


def test_a_checkpoint_is_the_same_with_its_documents(tmp_path: Path) -> None:
    """A passport, a sign-off and signatures change no fingerprint: nothing is evaluated again."""
    assert script.PAPERS == names.ABOUT_THE_MANIFEST
    folder = tmp_path / "run/epoch_0"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(safetensors())
    before = look(tmp_path, checkpoint()).fingerprint
    for name in script.PAPERS:
        (folder / name).write_text("{}")
    assert look(tmp_path, checkpoint()).fingerprint == before
    (folder / "sub").mkdir()
    (folder / "sub/SIGNOFF.json").write_text("{}")
    assert look(tmp_path, checkpoint()).fingerprint != before


def test_a_fingerprint_of_a_large_file_samples_both_ends(tmp_path: Path) -> None:
    """Of a file over 4 MiB the first and last MiB and the size count: that is what it promises, and
    no more.
    """
    size = 5 * 2**20
    path = tmp_path / "m.pt"
    prints = {}
    for name, offset in (
        ("none", None),
        ("first", 2**20 - 1),
        ("last", size - 2**20),
        ("middle", size // 2),
    ):
        data = bytearray(size)
        if offset is not None:
            data[offset] = 1
        path.write_bytes(data)
        prints[name] = fingerprint([("m.pt", path)])
    assert prints["middle"] == prints["none"]
    assert len(set(prints.values())) == 3


@given(data=st.binary(max_size=200), suffix=st.sampled_from([".json", ".csv", ".eval", ".txt"]))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
def test_any_bytes_get_a_finding_that_a_journal_can_hold(
    tmp_path: Path, data: bytes, suffix: str
) -> None:
    """Whatever a job left, a look returns a finding, and that finding survives a journal's line."""
    for promise in (result(f"r{suffix}"), checkpoint("c")):
        write(
            tmp_path,
            {
                f"r{suffix}": data,
                "c/m.safetensors": data,
                "c/m.npz": data,
                "c/x.safetensors.index.json": data,
            },
        )
        finding = look(tmp_path, promise)
        assert msgspec.json.decode(msgspec.json.encode(finding), type=Finding) == finding


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=3
    )
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
def test_any_json_value_is_a_metric_or_none(tmp_path: Path, value: object) -> None:
    """Any JSON value of a result is taken for a metric or left, and what is taken survives a
    journal's line.
    """
    write(tmp_path, {"r.json": json.dumps({"\ud800": value, "k": value}).encode()})
    finding = look(tmp_path, result("r.json"))
    assert finding.state == "good"
    again = msgspec.json.decode(msgspec.json.encode(finding), type=Finding)
    assert again.metrics == finding.metrics
    assert ("k" in finding.metrics) == (
        (isinstance(value, int | float) and not isinstance(value, bool))
        or value in ("NaN", "Infinity", "-Infinity")
    )


@given(flip=st.integers(min_value=0, max_value=400), byte=st.integers(min_value=0, max_value=255))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None
)
def test_a_log_with_a_wrong_byte_is_a_finding(tmp_path: Path, flip: int, byte: int) -> None:
    """No single wrong byte in an archive makes a look raise."""
    data = bytearray(eval_log(results={"scores": []}))
    data[flip % len(data)] = byte
    write(tmp_path, {"r.eval": bytes(data), "c/m.npz": bytes(data)})
    assert look(tmp_path, result("r.eval")).state in ("good", "damaged", "empty")
    assert look(tmp_path, checkpoint("c")).state in ("good", "damaged", "empty")


def test_a_name_that_is_not_utf8_can_be_written_down(tmp_path: Path) -> None:
    """A file's name of any bytes appears in the evidence in a form that a journal can hold."""
    write(tmp_path / "run/epoch_0", {os.fsdecode(b"m\xff.pt"): PICKLE})
    finding = look(tmp_path, checkpoint())
    assert finding.state == "good"
    assert b"udcff.pt" in msgspec.json.encode(finding)


def test_missing_weights_say_which_suffixes_count(tmp_path: Path) -> None:
    """A folder without weights says which suffixes count as weights, and which key adds another."""
    write(tmp_path / "run/epoch_0", {"model.ubj": b"{L"})
    finding = look(tmp_path, checkpoint())
    assert finding.state == "empty"
    assert finding.why.endswith("epoch_0 holds no weights: model.ubj")
    assert all(suffix in finding.advice for suffix in file_formats.WEIGHTS)
    assert "output.checkpoint_formats" in finding.advice


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({"model.ubj": b"{L"}, "good"),
        ({"model.ubj": b""}, "empty"),
        ({"model.onnx": b"x"}, "empty"),
        ({"optimizer.ubj": b"{L"}, "empty"),
        ({"model.safetensors": safetensors(), "more.ubj": b""}, "damaged"),
    ],
)
def test_an_added_format_counts_as_weights(
    tmp_path: Path, files: dict[str, bytes], state: str
) -> None:
    """A suffix that the experiment adds counts like a usual one, beside the usual ones, and an
    empty file of it does not.
    """
    write(tmp_path / "run/epoch_0", files)
    promise = Promise(
        subject="run/epoch_0", kind="checkpoint", patterns=("run/epoch_0",), formats=(".ubj",)
    )
    assert look(tmp_path, promise).state == state


def test_an_index_stays_an_index_where_json_counts(tmp_path: Path) -> None:
    """Where `.json` counts as weights, an index of shards is still checked as an index."""
    write(tmp_path / "run/epoch_0", SHARDS | {"model.safetensors.index.json": INDEX})
    promise = Promise(
        subject="run/epoch_0", kind="checkpoint", patterns=("run/epoch_0",), formats=(".json",)
    )
    finding = look(tmp_path, promise)
    assert finding.state == "good"
    assert f"{len(SHARDS)} weights file" in finding.why


def _output(pattern: str) -> Promise:
    return Promise(subject="data: out", kind="output", patterns=(pattern,))


def test_an_output_is_good_where_every_match_holds_something(tmp_path):
    """One empty match makes it empty, none at all makes it missing; each says where."""
    (tmp_path / "a.csv").write_text("1")
    (tmp_path / "b.csv").write_text("22")
    good = look(tmp_path, _output("*.csv"))
    assert (good.state, good.why) == ("good", "2 at *.csv, 3 bytes")
    alone = look(tmp_path, _output("a.csv"))
    assert alone.state == "good" and alone.fingerprint != good.fingerprint
    (tmp_path / "b.csv").write_text("33")
    assert look(tmp_path, _output("*.csv")).fingerprint != good.fingerprint
    (tmp_path / "b.csv").write_text("")
    assert (look(tmp_path, _output("*.csv")).state, look(tmp_path, _output("a.csv")).state) == (
        "empty",
        "good",
    )
    assert look(tmp_path, _output("*.csv")).why == "b.csv is empty"
    missing = look(tmp_path, _output("c.csv"))
    assert (missing.state, missing.why) == ("missing", "nothing at c.csv")


def test_a_folder_is_an_output_where_a_file_in_it_holds_something(tmp_path):
    """An empty folder, and one of empty files, are empty."""
    (tmp_path / "out").mkdir()
    assert look(tmp_path, _output("out")).why == "out holds no file"
    (tmp_path / "out/a").write_text("")
    assert look(tmp_path, _output("out")).state == "empty"
    (tmp_path / "out/b").write_text("1")
    assert look(tmp_path, _output("out")).state == "good"


def test_an_output_that_cannot_be_read_is_damaged(tmp_path, refused_files):
    """What the disk refuses is neither there nor missing."""
    path = tmp_path / "a.csv"
    path.write_text("1")
    refused_files.add(path)
    finding = look(tmp_path, _output("a.csv"))
    assert finding.state == "damaged" and "cannot be read" in finding.why
