"""What the Hub reads of a package: the card's metadata and the files of evaluation results, both
made and validated by huggingface_hub.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.publish.package.layout import EVAL_RESULTS
from watchkeeper.publish.package.story import Result

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)
_DEVIATION = ("stderr", "std", "var")
_CAUSAL = "ForCausalLM"
_FRONT_MATTER = re.compile(r"---\n.*?\n---\n", re.DOTALL)


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What the publisher vouches for in the card; "" and empty: nothing. `benchmarks` maps a task
    to the dataset on the Hub that it measures.
    """

    license: str = ""
    base_model: str = ""
    datasets: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    benchmarks: Mapping[str, str] = {}
    public_links: tuple[str, ...] = ()


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What the files say of the model: the library that loads them, its class, its base, its data;
    "" and empty: not known.
    """

    name: str
    library: str = ""
    class_name: str = ""
    base_model: str = ""
    datasets: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def is_repo(name: str) -> bool:
    """Whether a name has the form of a repository on the Hub, `owner/name`."""
    return _REPO.fullmatch(name) is not None


def refuse_names(declared: Declared) -> None:
    """See that what is declared can be a name on the Hub.

    Raises:
        UsageError: it cannot.
    """
    named = {"--base-model": (declared.base_model,), "--dataset": declared.datasets}
    named["--benchmark"] = tuple(declared.benchmarks.values())
    for option, repos in named.items():
        for repo in repos:
            if repo and not is_repo(repo):
                raise UsageError(
                    f"{option} {repo!r} is no name on the Hub", hint="give it as OWNER/NAME"
                )


def require_hub() -> None:
    """See that huggingface_hub is there.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import huggingface_hub  # noqa: F401 - asked for, and not used here
    except ImportError as error:
        raise UsageError(
            "a package needs huggingface_hub, which is not installed",
            hint="type: pip install 'watchkeeper[hub]'",
            code="not-installed",
        ) from error


def metadata(model: Model, declared: Declared, results: Sequence[Result]) -> str:
    """The metadata of the card, in YAML: what is known or declared, and nothing else.

    `results` are its evaluations. The Hub takes them only of a known kind of model, which here is
    one of language; they stand under the model's name. Source: the Hub's "Model Cards" page.
    """
    from huggingface_hub import ModelCardData

    pipeline = None
    entries: list[Any] = []
    if model.class_name.endswith(_CAUSAL):
        pipeline = "text-generation"
        entries = [*_entries(results, declared, pipeline)]
    data = ModelCardData(
        base_model=declared.base_model or model.base_model or None,
        datasets=list(dict.fromkeys((*declared.datasets, *model.datasets))) or None,
        eval_results=entries or None,
        library_name=model.library or None,
        license=declared.license or None,
        model_name=model.name if entries else None,
        pipeline_tag=pipeline,
        tags=list(dict.fromkeys((*model.tags, *declared.tags))) or None,
    )
    return data.to_yaml()


def _entries(results: Sequence[Result], declared: Declared, pipeline: str | None) -> Iterator[Any]:
    """An entry of the card's index for each figure."""
    from huggingface_hub import EvalResult

    for result in results:
        dataset = dataset_of(result, declared) or _UNSAFE.sub("-", result.task)
        for metric, value in figures(result):
            yield EvalResult(
                task_type=pipeline or "",
                dataset_type=dataset,
                dataset_name=result.task,
                metric_type=metric,
                metric_value=value,
            )


def figures(result: Result) -> Iterator[tuple[str, float]]:
    """The finite figures of an evaluation."""
    for metric, value in result.metrics.items():
        if isinstance(value, int | float) and math.isfinite(value):
            yield metric, value


def dataset_of(result: Result, declared: Declared) -> str:
    """The dataset on the Hub that an evaluation measures: as declared, or as its log names it; "":
    nothing says.
    """
    return declared.benchmarks.get(result.task, result.dataset if is_repo(result.dataset) else "")


def eval_files(results: Sequence[Result], declared: Declared) -> dict[str, str]:
    """The files of evaluation results: path in the package → YAML. An evaluation whose dataset is
    not on the Hub has none, since the Hub could not place it.
    """
    from huggingface_hub import eval_result_entries_to_yaml

    files: dict[str, str] = {}
    for result in results:
        entry = _hub_entry(result, declared)
        if entry is not None:
            path = f"{EVAL_RESULTS}/{_UNSAFE.sub('-', result.task)}.yaml"
            files[path] = _yaml(eval_result_entries_to_yaml([entry]))
    return files


def _hub_entry(result: Result, declared: Declared) -> Any:
    """The evaluation as the Hub takes it; None: it measures no dataset there, or has no figure."""
    from huggingface_hub import EvalResultEntry

    dataset = dataset_of(result, declared)
    headline = next((one for one in figures(result) if not one[0].startswith(_DEVIATION)), None)
    if not dataset or headline is None:
        return None
    metric, value = headline
    samples = f", {result.samples:,} samples" if result.samples else ""
    return EvalResultEntry(
        dataset_id=dataset,
        task_id=result.task,
        value=value,
        date=result.made.isoformat() if result.made is not None else None,
        notes=f"{metric}{samples}",
    )


def _yaml(value: object) -> str:
    """A value in YAML as the Hub's own library writes it, in the order in which it stands."""
    from huggingface_hub import utils

    text: str = utils.yaml_dump(value, sort_keys=False)  # type: ignore[attr-defined]
    return text


def fault_of_metadata(card: str) -> str:
    """What huggingface_hub refuses in a card's metadata; "": nothing."""
    from huggingface_hub import ModelCard

    if _FRONT_MATTER.match(card) is None:
        return "it has no metadata between two lines of ---"
    try:
        ModelCard(card)
    except Exception as error:  # its readers of YAML and of metadata raise what they like
        return f"its metadata is refused: {str(error).splitlines()[0]}"
    return ""
