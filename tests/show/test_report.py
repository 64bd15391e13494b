"""`watchkeeper report`: one file that says what the pages say, and nothing private."""

from __future__ import annotations

import getpass
import json
import re
import socket
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

import watchkeeper as wk
from tests.experiments import wk as type_command
from tests.experiments import write_experiment
from watchkeeper.core import layout
from watchkeeper.core.errors import EXIT_OK, EXIT_USAGE
from watchkeeper.show.cli import main
from watchkeeper.show.report.document import MOST_BYTES
from watchkeeper.show.report.output import is_ours

NASTY = "</script><img src=x onerror=alert(1)>\x1b[31m\u202e"


def report(*arguments):
    """The command's result."""
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def record(folder, *, rows=3, **config):
    """A recorded run with a few rows and settings, which are in its text log too."""
    config = {"data": "/scratch/secret/corpus.bin", **config}
    options = {"pipeline": "training", "console": False, "sidecar": False, "config": config}
    with wk.start_run(folder=folder, **options) as run:
        for step in range(1, rows + 1):
            run.log(step, loss=1 / step, val_loss=1.1 / step)
    return folder


class Page(HTMLParser):
    """The elements of a page, its text, and its data."""

    def __init__(self, path):
        super().__init__()
        self.names, self.attributes, self.words = [], [], []
        self.handle_data = self.words.append
        text = path.read_text()
        self.feed(text)
        data = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
        self.data = json.loads(data[1])
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):  # noqa: D102
        self.names.append(tag)
        self.attributes += [(tag, *one) for one in attrs]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """A finished experiment: two runs, a control, one task."""
    top = tmp_path_factory.mktemp("report")
    folder = write_experiment(top / "exp", runs=("one", "two"), control=True)
    done = type_command("run", folder, state=top / "state", timeout_s=300)
    assert done.returncode == EXIT_OK, done.stderr
    return folder


def test_an_experiment_is_one_file_that_loads_and_runs_nothing(experiment, tmp_path):
    """The file has the counts, the figures, the jobs and the journal's seal; no element of it loads
    or runs anything, and its policy forbids both.
    """
    result = report(experiment, "-o", tmp_path / "r.html")
    assert result.exit_code == EXIT_OK, result.output
    page = Page(tmp_path / "r.html")
    assert "5 done, none failed." in page.text and "does it run?" in page.text
    assert "Accuracy" in page.text and "0.5" in page.text and "sealed" in page.text
    assert page.names.count("svg") == 1  # the jobs; these runs logged no loss
    assert not {"img", "iframe", "object", "link", "form", "a"} & set(page.names)
    scripts = [one for one in page.attributes if one[0] == "script" and one[1] == "type"]
    assert scripts == [("script", "type", "application/json")]
    policy = next(one[2] for one in page.attributes if "default-src" in str(one[2]))
    assert "default-src 'none'" in policy and "connect-src 'none'" in policy
    assert "script-src" not in policy and "unsafe" not in policy
    assert page.data["kind"] == "experiment" and page.data["page"]["counts"]["done"] == 5


def test_private_fields_are_left_out_unless_they_are_wanted(experiment, tmp_path):
    """Neither the page nor its data hold an absolute path, the user, the host or a job id; with
    --private the path is there, and the command says which it was.
    """
    result = report(experiment, "-o", tmp_path / "r.html")
    assert "left out" in result.stdout
    text = (tmp_path / "r.html").read_text()
    assert str(experiment) not in text and str(experiment.parent) not in text
    rows = Page(tmp_path / "r.html").data["page"]["rows"]
    assert {row["job_id"] for row in rows} == {""}
    for name in {socket.gethostname(), getpass.getuser()} - {"root", "localhost"}:
        assert not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text), name
    result = report(experiment, "-o", tmp_path / "p.html", "--private")
    assert "left out" not in result.stdout
    assert str(experiment) in (tmp_path / "p.html").read_text()


def test_a_recorded_run_has_its_curves_figures_and_log(tmp_path):
    """Losses are drawn as SVG with a sentence, and the run's log stands below, its paths cut."""
    record(tmp_path / "r8", lr=0.1)
    assert report(tmp_path / "r8", "-o", tmp_path / "r.html").exit_code == EXIT_OK
    page = Page(tmp_path / "r.html")
    drawn = [one[2] for one in page.attributes if one[:2] == ("svg", "aria-label")]
    losses, gap = drawn
    assert "loss" in losses and gap == "gap: 0.0333 to 0.1, last 0.0333"
    assert "train 0.3333" in page.text and "val 0.3667" in page.text
    assert "Config: data=corpus.bin" in page.text and "/scratch" not in page.text
    assert page.data["series"]["r8"]["lines"][0]["x"] == [1, 2, 3]


def test_a_folder_of_runs_is_a_table_with_the_settings_that_differ(tmp_path):
    """Each run is a row with its settings and last figures, and the losses are one chart."""
    record(tmp_path / "runs" / "a", lr=0.1, seed=1)
    record(tmp_path / "runs" / "b", lr=0.2, seed=1, rows=4)
    assert report(tmp_path / "runs", "-o", tmp_path / "r.html").exit_code == EXIT_OK
    page = Page(tmp_path / "r.html")
    assert "2 finished, none failed." in page.text
    assert "a finished 0.1" in page.text and "b finished 0.2" in page.text
    assert page.names.count("svg") == 1
    compared = page.data["compare"]
    assert [one["key"] for one in compared["differs"] if one["kind"] == "setting"] == ["lr"]


def test_text_of_a_run_is_never_markup(tmp_path):
    """A setting, a metric and a line that look like markup are words, and are data in the JSON."""
    with wk.start_run(
        folder=tmp_path / "r", pipeline="training", console=False, sidecar=False,
        config={"note": NASTY},
    ) as run:  # fmt: skip
        run.log(1, **{NASTY[:30]: 1.0})
        run.log(2, **{NASTY[:30]: 2.0})
    assert report(tmp_path / "r", "-o", tmp_path / "r.html").exit_code == EXIT_OK
    page = Page(tmp_path / "r.html")
    assert "img" not in page.names and "</script><img src=x onerror=alert(1)>" in page.text
    assert "\x1b" not in page.text and "\u202e" not in page.text
    assert page.data["page"]["settings"]["note"].startswith("</script>")


def test_a_report_stays_below_its_size_however_many_rows_there_are(tmp_path):
    """100,000 values of twenty metrics are drawn in columns."""
    names = [f"metric_{number}" for number in range(20)]
    with wk.start_run(
        folder=tmp_path / "r", pipeline="training", console=False, sidecar=False
    ) as run:
        for step in range(5_000):
            run.log(step, **{name: step * 0.123456789 + len(name) for name in names})
    assert report(tmp_path / "r", "-o", tmp_path / "r.html").exit_code == EXIT_OK
    assert (tmp_path / "r.html").stat().st_size <= MOST_BYTES


def test_in_place_it_travels_with_the_folder(experiment):
    """`--in-place` writes below .watchkeeper, twice in a row too, and the experiment stays whole
    for `check`.
    """
    for _ in range(2):
        assert report(experiment, "--in-place").exit_code == EXIT_OK
    path = experiment / layout.VIEW / "index.html"
    assert is_ours(path.read_bytes())
    assert CliRunner().invoke(main, ["check", str(experiment)]).exit_code == EXIT_OK


def test_the_tables_are_there_as_markdown(experiment, tmp_path):
    """`--md` writes the same tables; a bar in a cell does not end it."""
    record(tmp_path / "r", note="a|b*c")
    assert report(tmp_path / "r", "--md", "-o", tmp_path / "r.md").exit_code == EXIT_OK
    text = (tmp_path / "r.md").read_text()
    assert text.startswith("# r\n\n**Finished, step 3.**") and "| note | a\\|b\\*c |" in text
    assert report(experiment, "--md", "-o", tmp_path / "e.md").exit_code == EXIT_OK
    text = (tmp_path / "e.md").read_text()
    assert "| run | train\\_loss | clean 0 |\n| --- | ---: | ---: |\n| one |  | 0.5 |" in text
    assert "| untrained | control | 0.5 |" in text


def test_a_file_that_is_no_report_of_ours_is_kept(tmp_path):
    """The refusal names the file and says what to do; an own report is replaced."""
    record(tmp_path / "r")
    mine = tmp_path / "mine.html"
    mine.write_text("my notes")
    result = report(tmp_path / "r", "-o", mine)
    assert result.exit_code == EXIT_USAGE and "mine.html" in result.stderr
    assert "name another file" in result.stderr and mine.read_text() == "my notes"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "-o r.html, or --in-place"),
        (["--md"], "-o r.md"),
        (["--in-place", "-o", "x.html"], "leave out one"),
        (["--in-place", "--md"], "--md -o r.md"),
        (["-o", "x.md"], "add --md"),
    ],
)
def test_options_that_do_not_go_together_say_what_to_type(tmp_path, options, words):
    """Each refusal has the words that help."""
    record(tmp_path / "r")
    result = report(tmp_path / "r", *options)
    assert result.exit_code == EXIT_USAGE and words in result.stderr


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_anything_is_an_error_with_what_to_name(tmp_path, name):
    """Nothing is written where nothing was recorded."""
    (tmp_path / "empty").mkdir()
    result = report(tmp_path / name, "-o", tmp_path / "r.html")
    assert result.exit_code == EXIT_USAGE and str(tmp_path / name) in result.stderr
    assert "Traceback" not in result.output and not (tmp_path / "r.html").exists()


def test_a_folder_of_runs_has_no_place_of_its_own(tmp_path):
    """`--in-place` needs a run or an experiment, and makes no folder elsewhere."""
    record(tmp_path / "runs" / "a")
    record(tmp_path / "runs" / "b")
    result = report(tmp_path / "runs", "--in-place")
    assert result.exit_code == EXIT_USAGE and "-o runs.html" in result.stderr
    assert not (tmp_path / "runs" / layout.OURS).exists()


def test_json_says_what_was_written(tmp_path):
    """The answer has the file, its size, what it is about, and whether it is private."""
    record(tmp_path / "r")
    result = report(tmp_path / "r", "-o", tmp_path / "r.html", "--json")
    data = json.loads(result.stdout)["data"]
    size = (tmp_path / "r.html").stat().st_size
    assert data == {
        "file": str(tmp_path / "r.html"), "kind": "run", "bytes": size, "is_private": False,
    }  # fmt: skip
