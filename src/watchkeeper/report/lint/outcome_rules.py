"""The rules of what came of a run: its results and its W&B run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from watchkeeper.report.lint.rules import Finding, finding, quoted
from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.document import Bullet, Field, Item, Section
from watchkeeper.report.runlog.read import (
    LOCAL,
    SYNCED,
    Log,
    filled,
    is_none,
    nested,
    place,
    says_none,
)
from watchkeeper.report.runlog.standing import Standing
from watchkeeper.report.runlog.states import ABANDONED, CANCELLED, CUT_SHORT

MOST_URLS = 100
"""So many URLs of one log are looked for in its job blocks."""

_URL = re.compile(r"https?://[^\s`<>)\]|]+")
_WEIGHTS = re.compile(
    r"(?:.*_)?(?:checkpoints?|ckpts?|weights|adapter|final_model|best_model|saved_model|model_path|model_dir|saved_to"
    r"|saved_at|output|artifacts?)"
    r"(?:_.*)?|model|saved"
)
_OUTPUT = re.compile(
    r"(?:(?:checkpoint|ckpt|save|saving|output|out|run|exp|experiment|work|working|log|result|results|train)_(?:dir"
    r"|folder|path|root)s?"
    r"|output|outputs|output_path|workdir|checkpoints)"
)
_PATH = re.compile(r"[/\\]|\.\w|:\S")
_SAVED = re.compile(
    r"(?:checkpoint|ckpt|weights|adapter|model)s?\b[^\n]{0,60}?[\s`(](?:~?/|\w+://|\./|\.\./|[\w.-]+/)[\w./-]+"
    r"|saved (?:to|at|in|under) `?\S*/\S+",
    re.IGNORECASE,
)
_OF_WEIGHTS = re.compile(r"(?:saved |final )?(?:checkpoint|weight|artifact)")
_SENTENCES = (
    "loss_one_liner", "one_liner", "loss_summary", "loss_curve", "loss_progression", "loss_note", "loss_notes",
    "curve", "takeaway",
    "summary", "observations", "observation", "qualitative", "interpretation", "conclusion", "assessment", "verdict",
    "comment", "analysis",
)  # fmt: skip
_SNAPSHOTS = (
    "config_snapshot", "config_snapshot_path", "resolved_config", "config_dump", "saved_config", "run_config",
    "config_used", "final_config",
    "hydra_config", "snapshot", "config_copy", "merged_config", "effective_config", "hparams", "args_file", "config_path",
)  # fmt: skip
_SNAPSHOT_FILE = re.compile(
    r"(?:/|`)(?:\.hydra/|wandb/\S*/)?(?:resolved_|merged_|full_|train_|run_)?(?:config|args"
    r"|hparams|params)\S{0,20}\.(?:ya?ml|json|toml)"
)
_FIGURE = re.compile(
    r"loss|reward|return|success|accuracy|acc|perplexity|ppl|bleu|score|f1|auc|error|mse|iou|wer|nll"
)
_FIGURES_ALONE = re.compile(
    r"(?:train|training|val|valid|validation|eval|test|loss|losses|train_loss|val_loss|eval_loss|the|a|an|and|to|from"
    r"|at|in|on|of|by|for|with|over|after|step|steps|epoch|epochs|iteration|iterations|iter|final|first|last|start"
    r"|end|started|ended|begin|began|initial|best|lowest|min|minimum|is|was|were|it|its|are|as|then|while|both|went"
    r"|go|goes|fell|fall|falls|drop|drops|dropped|decrease|decreased|decreases|decreasing|reduce|reduced|decline"
    r"|declined|improve|improved|reached|reaches|got|gets|moved|moves|down|up|until|till|nats|bits|vs|run|total|value"
    r"|values|respectively|now|finished|hit|hits|about|around|approximately|approx|roughly)"
)
"""The words of a sentence that says no more than its figures do."""


def results(log: Log, stands: Standing) -> Iterator[Finding]:
    """What is wrong with Results, once the last job has ended well. One that was cut short owes its
    checkpoint alone.
    """
    if not log.trains or not (stands.well or stands.state in CUT_SHORT):
        return
    path, sections = log.file.path, log.sections("results")
    fields = [field for section in sections for field in log.facts(section)]
    if sections:
        section = sections[0]
    else:
        section = None
    if not _names_checkpoint(log, fields):
        paths = [field for field in fields if re.search(r"checkpoint|ckpt", field.name)]
        yield finding(
            "WK601",
            path,
            place(section, paths[0] if paths else None),
            "no path of a checkpoint in Results",
        )
    if stands.well:
        yield from _losses(log, fields, section)
        yield from _snapshot(log, fields, section)


def _names_checkpoint(log: Log, fields: list[Field]) -> bool:
    """Whether the log says where the weights lie: in Results, in a line of Status, or as the folder
    of the run's output.
    """
    weights = (field for field in fields if _WEIGHTS.fullmatch(field.name) and filled(field))
    if any(says_none(field) or nested(field) or _PATH.search(field.value) for field in weights):
        return True
    document = log.document
    for kind in ("results", "status"):
        if any(_SAVED.search(facts.prose(document, section)) for section in log.sections(kind)):
            return True
    own = [
        one
        for one in document.walk()
        if not one.kind
        and re.match(
            r"(?:saved |final )?(?:checkpoint|weight"
            r"|artifact)",
            facts.head_of(one),
        )
    ]
    if any("/" in facts.prose(document, one) for one in own):
        return True
    outer = [
        field
        for kind in ("config", "job")
        for one in log.sections(kind)
        for field in log.facts(one)
    ]
    return any(
        _OUTPUT.fullmatch(field.name) and filled(field) and "/" in field.value for field in outer
    )


def _losses(log: Log, fields: list[Field], section: Section | None) -> Iterator[Finding]:
    sentence = facts.first((field for field in fields if filled(field)), *_SENTENCES)
    if sentence is None:
        sentence = next(
            (
                field
                for field in fields
                if field.name in ("loss", "losses") and _says_more(field.value)
            ),
            None,
        )
    if sentence is None:
        noted = (
            field
            for field in fields
            if re.fullmatch(r"notes?|comments?|remarks?|quality|trend", field.name)
        )
        sentence = next(
            (field for field in noted if _FIGURE.search(field.value) and _says_more(field.value)),
            None,
        )
    if sentence is None and not _told_in_words(log):
        figures = any(_FIGURE.search(field.name) and filled(field) for field in fields) or _tabled(
            log
        )
        if figures:
            what = "no loss_one_liner"
        else:
            what = "no loss"
        yield finding("WK602", log.file.path, place(section), f"{what} in Results")
    elif (
        sentence is not None
        and not says_none(sentence)
        and not nested(sentence)
        and _is_figures(sentence.value)
    ):
        yield finding(
            "WK603",
            log.file.path,
            sentence.span.line,
            f"{sentence.key} is figures alone: {quoted(sentence.value)}",
        )


def _told_in_words(log: Log) -> bool:
    """Whether a line of Results, or of a section on the training's dynamics, says how the loss
    went.
    """
    dynamics = [
        one
        for one in log.document.walk()
        if re.search(r"dynamics|curves?$|loss", facts.head_of(one))
    ]
    for section in (*log.sections("results"), *dynamics):
        for line in facts.prose(log.document, section).splitlines():
            bare = line.strip().lstrip("-*+ ")
            if bare.startswith(("|", "#")) or re.match(r"[\w /@().-]{1,40}:(?:\s|$)", bare):
                continue
            if _FIGURE.search(bare.casefold()) and _says_more(bare):
                return True
    return False


def _tabled(log: Log) -> bool:
    """Whether a table of the log has a column or a row of losses."""
    tables = (
        table for one in log.document.walk() for table in facts.tables(log.document.text, one.nodes)
    )
    return any("loss" in name for table in tables for name in table.columns)


def _says_more(text: str) -> bool:
    return len(re.findall(r"[a-z]{2,}", text.casefold())) > 3 and not _is_figures(text)


def _is_figures(text: str) -> bool:
    """Whether a sentence holds figures, and no word on what they mean."""
    words = set(
        re.findall(r"[a-z_]{2,}", re.sub(r"\d[\d.,]*(?:e[-+]?\d+)?[km]?\b", "0", text.casefold()))
    )
    return any(letter.isdigit() for letter in text) and all(
        _FIGURES_ALONE.fullmatch(word) for word in words
    )


def _snapshot(log: Log, fields: list[Field], section: Section | None) -> Iterator[Finding]:
    inside = [field for one in log.sections("config") for field in log.facts(one)]
    snapshot = facts.first(fields, *_SNAPSHOTS)
    if not filled(snapshot):
        snapshot = facts.first(inside, *_SNAPSHOTS[:-1]) or snapshot
    config = log.config("config")
    if filled(snapshot) and snapshot is not None:
        if config and snapshot.value == config.value and not says_none(snapshot):
            what = "config_snapshot is the repository's config, not the run's"
            yield finding("WK604", log.file.path, snapshot.span.line, what)
        return
    texts = [
        facts.prose(log.document, one)
        for kind in ("results", "job", "status")
        for one in log.sections(kind)
    ]
    if not any(_SNAPSHOT_FILE.search(text) for text in texts):
        yield finding(
            "WK604", log.file.path, place(section, snapshot), "no config_snapshot in Results"
        )


# ── W&B
# ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_UNUSED = re.compile(
    r"(?:w&b|wandb|weights (?:&|and) biases)[\s:=`'\"(*-]{0,6}(?:is |was |logging |mode )*[`'\"=: "
    r"]{0,4}(?:disabled|off"
    r"|not used|unused|none|n/?a|no)\b"
    r"|\b(?:no|without|not using) (?:w&b|wandb)\b|wandb[_. ]?mode[=: "
    r"]{1,3}`?disabled|\b(?:tensorboard|mlflow|csv logs?"
    r"|comet|aim)\b",
    re.IGNORECASE,
)


def wandb(log: Log, stands: Standing) -> Iterator[Finding]:
    """What is wrong with the W&B section."""
    document, sections, jobs = log.document, log.sections("wandb"), log.jobs
    if sections:
        section = sections[0]
    else:
        section = None
    text = "".join(document.slice(part) for part in sections)
    urls = [url[0].rstrip(".,;") for url in _URL.finditer(text)]
    local, synced = (log.fact(section, *names) for names in (LOCAL, SYNCED))
    known = (
        bool(urls)
        or "/runs/" in document.text
        or "wandb.ai/" in document.text
        or _is_unused(log, local, synced)
    )
    asked = stands.well and log.trains and (sections or "wandb" in document.text.casefold())
    given_up = stands.state in (ABANDONED, CANCELLED)
    if not known and (asked or (stands.over and not given_up and filled(local))):
        if local and filled(local):
            run = f": {quoted(local.value)}"
        else:
            run = ""
        yield finding(
            "WK701",
            log.file.path,
            place(section, synced),
            f"the job has ended, and its W&B run has no URL{run}",
        )
    if len(jobs) > 1:
        yield from _unplaced(log, sections, urls)


def _is_unused(log: Log, local: Field | None, synced: Field | None) -> bool:
    sections = log.sections("wandb")
    waits = (
        filled(local)
        and not says_none(local)
        and synced is not None
        and re.match(r"no\b|off\b", synced.value)
    )
    if waits:
        return False  # there is a run, and its answer to `synced` is no
    if (
        says_none(local)
        or says_none(synced)
        or any(isinstance(b, Item) and is_none(b.text) for b in _bullets(sections))
    ):
        return True
    texts = [
        facts.prose(log.document, section)
        for kind in ("wandb", "config", "mode")
        for section in log.sections(kind)
    ]
    lines = (
        line.strip()
        for section in sections
        for line in facts.prose(log.document, section).splitlines()
    )
    return any(_UNUSED.search(text) for text in texts) or any(
        line and is_none(line) for line in lines
    )


def _unplaced(log: Log, sections: list[Section], urls: list[str]) -> Iterator[Finding]:
    """The URLs of runs that stand in the W&B section alone, though there are several job blocks."""
    document = log.document
    in_jobs = "".join(document.slice(job) for job in log.jobs)
    runs = {url: match[1] for url in urls if (match := re.search(r"/runs/([^/?#\s]+)", url))}
    told: set[str] = set()
    for url, run in list(runs.items())[:MOST_URLS]:
        if run in told or f"/runs/{run}" in in_jobs:
            continue
        told.add(run)
        bullets = (b for b in _bullets(sections) if url in document.text[b.span.start : b.span.end])
        line = next((b.span.line for b in bullets), place(sections[0] if sections else None))
        yield finding("WK702", log.file.path, line, f"no job block has {quoted(url)}")


def _bullets(sections: list[Section]) -> Iterator[Bullet]:
    return (bullet for section in sections for bullet in section.bullets())
