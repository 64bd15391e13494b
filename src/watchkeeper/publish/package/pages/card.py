"""README.md: the card of a model, written for somebody who has never seen the run. Pure.

What it is given is public already. Text that people wrote is escaped: it is shown, and never
becomes markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from watchkeeper.core.text.figures import size
from watchkeeper.publish import names
from watchkeeper.publish.package import layout
from watchkeeper.publish.package.pages.hub import Model, figures
from watchkeeper.publish.package.story import Loss, Result, Story

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#])")
_MOST_SETTINGS = 80
NO_RESULTS = "No evaluation of this checkpoint was recorded."


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What a card says. `metadata` is the YAML at its beginning; `facts` are lines about the model,
    name → value; `files` and `size_bytes` are of the checkpoint, which lies in `folder`. `step` is
    "" where the training step is not known. `is_signed`: with a key. `links` are public addresses.
    """

    metadata: str
    story: Story
    model: Model
    facts: Mapping[str, str]
    folder: str
    adapter: str = ""
    files: int = 0
    size_bytes: int = 0
    step: str = ""
    is_signed: bool = False
    links: tuple[str, ...] = ()


def write_card(card: Card) -> str:
    """The card as Markdown."""
    sections = [
        _head(card),
        _use(card),
        _training(card),
        _evaluation(card.story.results),
        _verify(card),
    ]
    return f"---\n{card.metadata.strip()}\n---\n\n" + "\n\n".join(sections) + "\n"


def escape(text: str) -> str:
    """Text as Markdown that shows it, on one line."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Text as code in one line of Markdown, also in a table; "" stays empty."""
    plain = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`" if plain else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _head(card: Card) -> str:
    """The card's title, what the model is, and its facts as a list.

    # r8

    A checkpoint of a LlamaForCausalLM after 24,000 training steps: 5 files, 3.0 GB.
    """
    lines = [f"# {escape(card.model.name)}", ""]
    if card.story.description:
        lines += [escape(_sentence(card.story.description)), ""]
    kind = escape(card.model.class_name) or "model"
    after = f" after {int(card.step):,} training steps" if card.step else ""
    count = f"{card.files} files" if card.files != 1 else "1 file"
    lines += [f"A checkpoint of a {kind}{after}: {count}, {size(card.size_bytes)}.", ""]
    lines += [f"- {name}: {escape(value)}" for name, value in card.facts.items()]
    return "\n".join(lines).rstrip()


def _sentence(text: str) -> str:
    """The text with a period, unless it ends as a sentence does."""
    if text.rstrip().endswith((".", "!", "?", "…")):
        return text
    return f"{text.rstrip()}."


def _use(card: Card) -> str:
    """How to load the model, as Python that runs in the package's folder."""
    python = snippet(card.model, card.folder)
    lines = [
        "## Use",
        "",
        "In the folder that you downloaded:",
        "",
        f"```python\n{python}\n```",
        "",
        f"How the model is fed stands in [{names.PASSPORT}]({names.PASSPORT}), `input_contract`.",
    ]
    if card.adapter:
        lines += [
            "",
            f"`{card.adapter}` holds the adapter by itself. Its change is in the weights above "
            "already: do not apply it to them again.",
        ]
    return "\n".join(lines)


def snippet(model: Model, folder: str) -> str:
    """Python that loads the checkpoint."""
    place = f'folder = "{folder}"\n'
    if model.library == "transformers":
        kind = "AutoModelForCausalLM" if model.class_name.endswith("ForCausalLM") else "AutoModel"
        return (
            f"from transformers import {kind}, AutoTokenizer\n\n{place}"
            f"model = {kind}.from_pretrained(folder)\n"
            "tokenizer = AutoTokenizer.from_pretrained(folder)"
        )
    if model.library == "peft":
        return (
            f"from peft import AutoPeftModel\n\n{place}"
            "model = AutoPeftModel.from_pretrained(folder)"
        )
    if "safetensors" in model.tags:
        return (
            "from pathlib import Path\n\n"
            f"from safetensors.torch import load_file\n\n{place}"
            "state = {}\n"
            'for file in sorted(Path(folder).rglob("*.safetensors")):\n'
            "    state |= load_file(file)\n"
            "# model.load_state_dict(state): the model's own code is not part of this package"
        )
    return (
        "from pathlib import Path\n\n"
        f'print(sorted(Path("{folder}").rglob("*")))\n'
        "# load these weights with the library that the passport names"
    )


def _training(card: Card) -> str:
    """Settings, losses and where to read more. Of many settings the first are shown."""
    story = card.story
    parts = ["## Training"]
    if story.settings:
        shown = [(code(name), code(value)) for name, value in story.settings.items()]
        shown = shown[:_MOST_SETTINGS]
        parts.append(table(("setting", "value"), shown))
        if len(shown) < len(story.settings):
            parts.append(f"{len(story.settings) - len(shown)} more settings are in the file below.")
    if story.config:
        parts.append(f"The whole configuration: [{layout.CONFIG}]({layout.CONFIG}).")
    parts += _losses(story)
    parts.append(
        f"How the training went, step by step: [{names.TRAINING_LOG}]({names.TRAINING_LOG})."
    )
    parts += [f"Curves: <{link}>." for link in card.links]
    return "\n\n".join(parts)


def _losses(story: Story) -> Iterator[str]:
    """The losses as a picture and a table, and which was the best."""
    if not story.losses:
        yield "No loss was recorded."
        return
    if story.plot:
        yield f"![The loss over training steps]({layout.PLOT})"
    yield loss_table(story.losses)
    words = f"{story.rows:,} rows were recorded" if story.rows else ""
    yield ". ".join(filter(None, (escape(story.best), words))) + "."


def loss_table(losses: Sequence[Loss]) -> str:
    """The losses by step; a column that nothing was recorded for is left out."""
    has_val = any(loss.val is not None for loss in losses)
    head = ("step", "train loss", "val loss") if has_val else ("step", "train loss")
    rows = [(f"{loss.step:,}", _figure(loss.train), _figure(loss.val)) for loss in losses]
    return table(head, [row[: len(head)] for row in rows])


def _figure(value: float | None) -> str:
    """A figure with six digits; "" for None."""
    if value is None:
        return ""
    return f"{value:.6g}"


def _evaluation(results: Sequence[Result]) -> str:
    return f"## Evaluation\n\n{results_table(results)}"


def results_table(results: Sequence[Result]) -> str:
    """The evaluations' figures, or that there are none."""
    rows = [
        (escape(result.task), escape(metric), f"{value:.6g}", _samples(result), _day(result))
        for result in results
        for metric, value in figures(result)
    ]
    if not rows:
        return NO_RESULTS
    return table(("task", "metric", "value", "samples", "date"), rows)


def _samples(result: Result) -> str:
    """How many samples a result is of; "" where nobody says."""
    if not result.samples:
        return ""
    return f"{result.samples:,}"


def _day(result: Result) -> str:
    """The day of an evaluation; "" where nobody says."""
    if result.made is None:
        return ""
    return f"{result.made:%Y-%m-%d}"


def _verify(card: Card) -> str:
    """How whoever receives the package verifies it, and whose key they need for that."""
    signers = " --signers KEYS" if card.is_signed else ""
    lines = [
        "## Verify",
        "",
        "```sh",
        "pip install 'watchkeeper[trust]'",
        f"watchkeeper publish check .{signers}",
        "```",
        "",
        f"It compares every file with [{names.MANIFEST}]({names.MANIFEST}) and "
        f"[{names.SIGNOFF}]({names.SIGNOFF}), and the run's events in "
        f"[{layout.EVENTS}]({layout.EVENTS}) with the chain that the passport states.",
    ]
    if card.is_signed:
        lines += [
            "",
            "`KEYS` is a file with the publisher's public key below a line with their name. Get "
            "the key from them by another way than with this package.",
        ]
    return "\n".join(lines)
