"""What the addresses answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import jsonschema
import pytest
from starlette.testclient import TestClient

import watchkeeper as wk
from tests.experiments import write_experiment
from watchkeeper.core import journal, layout
from watchkeeper.core.events import Intended
from watchkeeper.query.views import overview as overviews
from watchkeeper.query.views.overview import OnPart
from watchkeeper.query.views.pages import Overview
from watchkeeper.show.web import app, schema
from watchkeeper.show.web.app import STATIC
from watchkeeper.show.web.builders import Builders

HOSTILE = [
    "..",
    "%2e%2e",
    "%2e%2e%2fsecret",
    "night%2f..%2f..%2fetc%2fpasswd",
    "night/%00",
    "night/one%00.txt",
    "/etc/passwd",
    "//etc/passwd",
    "night/link",
    "night/link/inner",
    "night/one/../../secret/inner",
    "night/%c0%ae%c0%ae",
    "night\\..",
    "x" * 2500,
]


@pytest.fixture
def night(tmp_path: Path, log: Callable[..., wk.Run]) -> Path:
    """A recorded run, an experiment, and a link to a run outside of them."""
    folder = tmp_path / "night"
    log(folder / "one")
    write_experiment(folder / "exp", runs=("r8",))
    log(tmp_path / "secret" / "inner")
    (folder / "link").symlink_to(tmp_path / "secret")
    return folder


@pytest.fixture
def client(night: Path, client_of: Callable[..., TestClient]) -> TestClient:
    return client_of(night)


@pytest.mark.parametrize("path", ["/", "/e/night/exp", "/r/night/exp/r8", "/c?r=a&r=b", "/r/x"])
def test_all_pages_are_one(client: TestClient, path: str) -> None:
    """Each page's address gives the same file, which says what to type without JavaScript."""
    answer = client.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.content == (STATIC / "index.html").read_bytes()
    assert "<noscript>" in answer.text and "wk ls" in answer.text


def test_static_files_come_from_the_package_alone(client: TestClient) -> None:
    """A script is served with its type; nothing outside of the folder is, however it is spelled."""
    assert client.get("/static/app.js").headers["content-type"].startswith("text/javascript")
    for name in ("../app.py", "%2e%2e/app.py", "..%2fapp.py", "/etc/passwd", "", ".", "x.js"):
        assert client.get(f"/static/{name}").status_code == 404


def test_an_answer_is_the_commands_envelope_with_its_rev(client: TestClient) -> None:
    """The overview is an envelope; its `rev` is the ETag, and 304 while nothing has changed."""
    answer = client.get("/api/1/overview")
    document = answer.json()
    assert document["schema"] == 1 and document["command"] == "serve"
    assert document["exit_code"] == 0 and document["more"] == {}
    assert [place["id"] for place in document["data"]["places"]]
    assert answer.headers["etag"] == f'"{document["rev"]}"'
    again = client.get("/api/1/overview", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304 and again.content == b""


def test_every_id_of_the_overview_has_a_page(client: TestClient) -> None:
    """What the overview links to answers."""
    data = client.get("/api/1/overview").json()["data"]
    for place in data["places"]:
        page = {"experiment": "experiment", "run": "run"}.get(place["kind"])
        if page is not None:
            assert client.get(f"/api/1/{page}/{place['id']}").status_code == 200, place
    for row in data["running"]:
        assert client.get(f"/api/1/run/{row['id']}").status_code == 200, row


@pytest.mark.parametrize("id", HOSTILE)
def test_hostile_ids_are_not_found(client: TestClient, id: str) -> None:
    """No spelling reaches a file outside of what is served, and the answer is still an envelope."""
    for page in (f"run/{id}", f"experiment/{id}", f"run/{id}/series", f"text/{id}/run.log"):
        answer = client.get(f"/api/1/{page}")
        assert answer.status_code in (400, 404), page
        document = answer.json()
        assert document["data"] is None and document["exit_code"] == 2
        assert document["problems"][0]["message"]


@pytest.mark.parametrize("key", ["nothing", "../../secret/inner", "r8/../r8", "r8/clean/epoch9"])
def test_a_key_that_the_experiment_has_not_is_not_found(client: TestClient, key: str) -> None:
    """Behind an experiment's id only its own keys have pages."""
    id = f"night/exp/{key}".replace("..", "%2e%2e")
    assert client.get(f"/api/1/run/{id}").status_code == 404


def test_a_text_that_leads_elsewhere_is_not_served(
    night: Path, tmp_path: Path, client: TestClient
) -> None:
    """A run's log that is a link out of the run is none of its texts."""
    (tmp_path / "passwords").write_text("secret\n")
    log = night / "one" / "logs" / "run.log"
    assert client.get("/api/1/text/night/one/run.log").status_code == 200
    log.unlink()
    log.symlink_to(tmp_path / "passwords")
    answer = client.get("/api/1/text/night/one/run.log?tail=5")
    assert answer.status_code == 404 and "secret" not in answer.text


def test_a_file_that_is_evidence_opens_as_text(night: Path, client: TestClient) -> None:
    """A log of an experiment is sent as plain text, whatever is in it; a file that the page does
    not name, and a page that there is not, are not found.
    """
    (night / "exp" / "run-experiment.log").write_text("<script>1</script>\n")
    address = "/api/1/file/experiment/night/exp"
    answer = client.get(address, params={"source": "run-experiment.log"})
    assert answer.text == "<script>1</script>\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    for source in ("experiment_summary.yaml", "../one/logs/run.log", ""):
        assert client.get(address, params={"source": source}).status_code == 404
    for page in ("run/night/one", "experiment/night/none", "overview/night"):
        answer = client.get(f"/api/1/file/{page}", params={"source": "run-experiment.log"})
        assert answer.status_code == 404, page


def test_what_a_job_recorded_elsewhere_is_not_served(
    night: Path, tmp_path: Path, client: TestClient
) -> None:
    """A recorder's folder outside of the roots is named, and neither its rows nor its texts are
    read.
    """
    attempt = layout.attempt_folder(night / "exp", "r8", 1)
    attempt.mkdir(parents=True)
    link = {"folder": str(tmp_path / "secret" / "inner")}
    (attempt / "recorder.json").write_text(json.dumps(link))
    writer = journal.Writer(night / "exp" / layout.JOURNAL, "run")
    given = {"token": "t", "script": "r8/finetune.slurm", "script_sha256": "s"}
    writer.write(Intended, key="r8", phase="preparation", attempt=1, **given)
    writer.close()
    data = client.get("/api/1/run/night/exp/r8").json()["data"]
    assert data["rows"] == 0 and data["texts"] == []
    assert "outside" in [problem["code"] for problem in data["problems"]]
    assert client.get("/api/1/text/night/exp/r8/run.log").status_code == 404


def test_bad_parameters_are_named(client: TestClient) -> None:
    """What is out of bounds is refused with its name, also in the address of the events."""
    answer = client.get("/api/1/run/night/one/series?width=0")
    assert answer.status_code == 400 and "width" in answer.json()["problems"][0]["message"]
    for query in ("", "?scope=x", "?scope=overview&y=1", "?scope=run/a%3Fwidth%3D0", "?scope=.."):
        assert client.get(f"/api/1/events{query}").status_code == 400, query


def test_an_unknown_address_is_an_envelope_too(client: TestClient) -> None:
    """A program that mistypes reads JSON, not a page of HTML."""
    answer = client.get("/api/1/nothing")
    assert answer.status_code == 404 and answer.json()["data"] is None


def test_answers_are_as_their_schema_says(client: TestClient) -> None:
    """/api/1/schema.json describes each answer, and the answers keep to it."""
    described = client.get("/api/1/schema.json").json()
    assert described.keys() == schema.PAGES.keys()
    for page, path in (
        ("overview", "overview"),
        ("experiment", "experiment/night/exp"),
        ("run", "run/night/one"),
        ("series", "run/night/one/series?m=loss"),
        ("telemetry", "run/night/one/telemetry"),
        ("examples", "run/night/one/examples"),
        ("text", "text/night/one/run.log?tail=10"),
        ("compare", "compare?r=night/one&r=night/exp/r8"),
    ):
        answer = client.get(f"/api/1/{path}")
        assert answer.status_code == 200, answer.text
        jsonschema.validate(answer.json(), described[page])


def test_nothing_recorded_is_an_empty_page(
    tmp_path: Path, client_of: Callable[..., TestClient]
) -> None:
    """A folder without anything is no error: it may have something soon."""
    data = client_of(tmp_path).get("/api/1/overview").json()["data"]
    assert data["places"] == [] and data["needs"] == []


def test_a_long_reading_is_shown(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """While many journals are read for the first time, the overview has what was read so far."""
    go_on = threading.Event()
    real = overviews.overview

    def read_slowly(paths: Sequence[Path], on_part: OnPart) -> Overview:
        def note(part: Overview) -> None:
            on_part(part)
            go_on.wait(60)

        return real(paths, note, pause_s=0)

    monkeypatch.setattr(overviews, "overview", read_slowly)
    monkeypatch.setattr(app, "_SOON_S", 0.05)
    with client:
        while (data := client.get("/api/1/overview").json()["data"])["reading"]["done"] < 1:
            pass
        assert data["reading"]["total"] > 1 and len(data["places"]) == 1
        go_on.set()
        while (whole := client.get("/api/1/overview").json()["data"])["reading"]["done"] == 1:
            pass
        assert whole["reading"]["done"] == whole["reading"]["total"]
        assert len(whole["places"]) > 1


def test_equal_questions_are_answered_by_one_build(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the files are the same, an answer is made once, whoever asks."""
    calls = []
    real = Builders.build
    monkeypatch.setattr(Builders, "build", lambda *given: calls.append(given) or real(*given))
    for _ in range(5):
        assert client.get("/api/1/run/night/exp/r8").status_code == 200
    assert len(calls) == 1


def test_what_is_large_is_compressed(client: TestClient) -> None:
    """The pages are read through a tunnel too: data and scripts are sent compressed."""
    for path in ("/static/pages.js", "/api/1/overview"):
        answer = client.get(path, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert answer.headers["content-encoding"] == "gzip"
    plain = client.get("/static/pages.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
