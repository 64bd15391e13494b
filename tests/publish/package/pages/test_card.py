"""A model card says what is known, shows text as text, and invents nothing."""

from __future__ import annotations

import msgspec
import pytest
from huggingface_hub import ModelCard, parse_eval_result_entries

from tests.publish.package.packages import STORY
from watchkeeper.publish.package.pages import hub
from watchkeeper.publish.package.pages.card import Card, code, escape, snippet, table, write_card
from watchkeeper.publish.package.pages.hub import Declared, Model
from watchkeeper.publish.package.story import Result
from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.text import find_private

MODEL = Model(name="r8", library="transformers", class_name="LlamaForCausalLM", tags=("lora",))
NASTY = "<script>alert(1)</script> | `x` \n# head [a](javascript:b) \x1b[31m"


def card(**fields: object) -> str:
    """A card, with other fields than the usual."""
    usual = Card(
        metadata=hub.metadata(MODEL, Declared(), STORY.results),
        story=STORY,
        model=MODEL,
        facts={"parameters": "139,584"},
        folder="checkpoints/200/params",
        files=3,
        size_bytes=2048,
        step="200",
    )
    return write_card(msgspec.structs.replace(usual, **fields))


def test_a_card_has_what_a_stranger_needs() -> None:
    """What it is, how it is loaded, settings, losses, evaluations, and how it is verified."""
    text = card()
    for part in (
        "# r8\n\nDoes rank matter?\n",
        "LlamaForCausalLM after 200 training steps: 3 files, 2.0 KiB.",
        "- parameters: 139,584",
        'folder = "checkpoints/200/params"',
        "| `lr` | `0.01` |",
        "| 200 | 0.12 | 0.3 |",
        "![The loss over training steps](assets/loss.svg)",
        "| capitalization | accuracy | 0.92 | 9 |  |",
        "watchkeeper publish check .\n",
        "(TRAINING_LOG.md)",
    ):
        assert part in text, part


def test_a_card_of_a_signed_package_asks_for_the_key() -> None:
    """Who verifies it needs the public key, from elsewhere."""
    assert "watchkeeper publish check . --signers KEYS" in card(is_signed=True)


def test_text_of_the_run_never_becomes_markup() -> None:
    """Tags, links, tables and headings in a name or a setting are shown."""
    story = msgspec.structs.replace(STORY, description=NASTY, settings={"a": NASTY})
    text = card(story=story, model=msgspec.structs.replace(MODEL, name=NASTY))
    assert "<script>" not in text.replace("`<script>", "") and "\\<script\\>" in text
    assert "\n# head" not in text and "[a](" not in text.replace("`", "").split("## Training")[0]
    (row,) = [line for line in text.splitlines() if line.startswith("| `a`")]
    assert row.replace("\\|", "").count("|") == 3


def test_escaped_text_stays_on_one_line() -> None:
    """Line ends become spaces, and signs of Markdown lose their meaning."""
    assert escape("a\n b_c|d") == "a b\\_c\\|d"
    assert code("a|`b`\n") == "`a\\|'b'`" and code("") == ""
    assert table(("x",), [["1"]]) == "| x |\n| --- |\n| 1 |"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (MODEL, "AutoModelForCausalLM.from_pretrained(folder)"),
        (Model(name="x", library="transformers", class_name="BertModel"), "AutoModel.from_"),
        (Model(name="x", library="peft"), "AutoPeftModel"),
        (Model(name="x", library="torchtune", tags=("safetensors",)), "load_file(file)"),
        (Model(name="x"), "the library that the passport names"),
    ],
)
def test_every_snippet_is_python(model: Model, words: str) -> None:
    """The snippet is of the library that loads the files, can be parsed, and hides nothing."""
    text = snippet(model, "checkpoints/1/params")
    assert find_private(text, Known()) == []
    assert words in text
    compile(text, "snippet", "exec")


# ── what the Hub reads


def test_the_metadata_holds_what_is_known_and_no_more() -> None:
    """No license, base model or dataset is named that nobody declared or pinned."""
    data = ModelCard(card()).data
    assert data.library_name == "transformers" and data.pipeline_tag == "text-generation"
    assert (data.license, data.base_model, data.datasets) == (None, None, None)
    assert [(one.metric_type, one.metric_value) for one in data.eval_results] == [
        ("accuracy", 0.92), ("stderr", 0.03),
    ]  # fmt: skip


def test_what_is_declared_stands_in_the_metadata() -> None:
    """It comes before what the passport pins, each name once."""
    declared = Declared(
        license="mit", base_model="ada/base", datasets=("ada/texts",), tags=("lora", "test")
    )
    model = msgspec.structs.replace(MODEL, base_model="eve/other", datasets=("ada/texts", "b/c"))
    data = ModelCard(card(metadata=hub.metadata(model, declared, ()))).data
    assert (data.license, data.base_model) == ("mit", "ada/base")
    assert data.datasets == ["ada/texts", "b/c"] and data.tags == ["lora", "test"]


def test_results_have_a_file_where_their_dataset_is_on_the_hub() -> None:
    """The log's dataset or the declared one; without either there is no file."""
    local = Result(task="copying", metrics={"accuracy": 0.5}, dataset="copying")
    logged = Result(task="mmlu", metrics={"stderr": 0.1, "accuracy": 0.7}, dataset="cais/mmlu")
    broken = Result(task="x", metrics={"accuracy": "NaN"}, dataset="a/b")
    declared = Declared(benchmarks={"capitalization": "ada/caps"})
    files = hub.eval_files([*STORY.results, local, logged, broken], declared)
    assert sorted(files) == [".eval_results/capitalization.yaml", ".eval_results/mmlu.yaml"]
    import yaml

    (entry,) = parse_eval_result_entries(yaml.safe_load(files[".eval_results/mmlu.yaml"]))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("cais/mmlu", "mmlu", 0.7)
    assert entry.notes == "accuracy"


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("ada/base", True),
        ("base", False),
        ("../work/model", False),
        ("a/b/c", False),
        ("a/б", False),
    ],
)
def test_only_owner_and_name_are_a_repository(name: str, is_one: bool) -> None:
    """A folder's path is no name on the Hub."""
    assert hub.is_repo(name) is is_one


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (card(), ""),
        ("# r8\n", "it has no metadata between two lines of ---"),
        ("---\nmodel-index: 1\n---\nx\n", "its metadata is refused"),
    ],
)
def test_the_fault_of_metadata_is_named(text: str, fault: str) -> None:
    """What the Hub's own client refuses is refused here."""
    assert hub.fault_of_metadata(text).startswith(fault) and bool(fault) == bool(
        hub.fault_of_metadata(text)
    )
