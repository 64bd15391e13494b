"""The rules of a run's outcome: its results and its W&B run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from watchkeeper.core.code.wandb_versions import loses_rows, may_hang
from watchkeeper.core.text import lazy
from watchkeeper.report.lint.rules import Finding, finding, quoted
from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.document import Bullet, Field, Item, Section
from watchkeeper.report.runlog.read import (
    LOCAL,
    SYNCED,
    Log,
    answers,
    filled,
    is_none,
    nested,
    place,
    says_none,
)
from watchkeeper.report.runlog.standing import Standing
from watchkeeper.report.runlog.states import ABANDONED, CANCELLED, CUT_SHORT

MOST_URLS = 100
"""How many URLs of one log are looked for in its job blocks."""

_URL = lazy.pattern(r"https?://[^\s`<>)\]|]+")
_WEIGHTS = lazy.pattern(
    r"(?:.*_)?(?:checkpoints?|ckpts?|weights|adapter|final_model|best_model|saved_model|model_path|model_dir|saved_to"
    r"|saved_at|output|artifacts?)"
    r"(?:_.*)?|model|saved"
)
_OUTPUT = lazy.pattern(
    r"(?:(?:checkpoint|ckpt|save|saving|output|out|run|exp|experiment|work|working|log|result|results|train)_(?:dir"
    r"|folder|path|root)s?"
    r"|output|outputs|output_path|workdir|checkpoints)"
)
_PATH = lazy.pattern(r"[/\\]|\.\w|:\S")
_SAVED = lazy.pattern(
    r"(?:checkpoint|ckpt|weights|adapter|model)s?\b[^\n]{0,60}?[\s`(](?:~?/|\w+://|\./|\.\./|[\w.-]+/)[\w./-]+"
    r"|saved (?:to|at|in|under) `?\S*/\S+",
    re.IGNORECASE,
)
_OF_WEIGHTS = lazy.pattern(r"(?:saved |final )?(?:checkpoint|weight|artifact)")
_SENTENCES = (
    "loss_one_liner",
    "one_liner",
    "loss_summary",
    "loss_curve",
    "loss_progression",
    "loss_note",
    "loss_notes",
    "curve",
    "takeaway",
    "summary",
    "observations",
    "observation",
    "qualitative",
    "interpretation",
    "conclusion",
    "assessment",
    "verdict",
    "comment",
    "analysis",
)
_SNAPSHOTS = (
    "config_snapshot",
    "config_snapshot_path",
    "resolved_config",
    "config_dump",
    "saved_config",
    "run_config",
    "config_used",
    "final_config",
    "hydra_config",
    "snapshot",
    "config_copy",
    "merged_config",
    "effective_config",
    "hparams",
    "args_file",
    "config_path",
)
_SNAPSHOT_FILE = lazy.pattern(
    r"(?:/|`)(?:\.hydra/|wandb/\S*/)?(?:resolved_|merged_|full_|train_|run_)?(?:config|args"
    r"|hparams|params)\S{0,20}\.(?:ya?ml|json|toml)"
)
_FIGURE = lazy.pattern(
    r"loss|reward|return|success|accuracy|acc|perplexity|ppl|bleu|score|f1|auc|error|mse|iou|wer|nll"
)
_FIGURES_ALONE = lazy.pattern(
    r"(?:train|training|val|valid|validation|eval|test|loss|losses|train_loss|val_loss|eval_loss|the|a|an|and|to|from"
    r"|at|in|on|of|by|for|with|over|after|step|steps|epoch|epochs|iteration|iterations|iter|final|first|last|start"
    r"|end|started|ended|begin|began|initial|best|lowest|min|minimum|is|was|were|it|its|are|as|then|while|both|went"
    r"|go|goes|fell|fall|falls|drop|drops|dropped|decrease|decreased|decreases|decreasing|reduce|reduced|decline"
    r"|declined|improve|improved|reached|reaches|got|gets|moved|moves|down|up|until|till|nats|bits|vs|run|total|value"
    r"|values|respectively|now|finished|hit|hits|about|around|approximately|approx|roughly)"
)
"""The vocabulary of a sentence that says no more than its figures do."""
_DYNAMICS = lazy.pattern(r"dynamics|curves?$|loss")
_NOTE = lazy.pattern(r"notes?|comments?|remarks?|quality|trend")
_KEY = lazy.pattern(r"[\w /@().-]{1,40}:(?:\s|$)")
_NUMBER = lazy.pattern(r"\d[\d.,]*(?:e[-+]?\d+)?[km]?\b")


def results(log: Log, stands: Standing) -> Iterator[Finding]:
    """Check Results, once the last job has ended well: WK601 to WK604.

    A training that was cut short, by a time limit for example, owes its checkpoint alone. While a
    job runs, and for an evaluation or a data job, there is nothing to check. Without a finding:

        ## Results
        - start_train_loss: 1.99871
        - end_train_loss: 0.360985
        - loss_one_liner: the training loss plateaued from about step 50 on
        - checkpoint: `h16_lr1e-1/artifacts/epoch_1`
        - config_snapshot: `h16_lr1e-1/artifacts/run_manifest.json`
    """
    if not log.trains:
        return
    was_cut_short = stands.state in CUT_SHORT
    if not stands.well and not was_cut_short:
        return
    section, fields = log.section("results"), log.fields_of("results")
    if not _names_checkpoint(log, fields):
        # `checkpoint: pending` is the line to fill in.
        paths = (field for field in fields if re.search(r"checkpoint|ckpt", field.name))
        line = place(section, next(paths, None))
        yield finding("WK601", log.file.path, line, "no checkpoint path in Results")
    if stands.well:
        yield from _losses(log, fields, section)
        yield from _snapshot(log, fields, section)


def _names_checkpoint(log: Log, fields: list[Field]) -> bool:
    """Whether the log says where the weights lie: in Results, in a line of Status, in a section on
    the weights, or as the folder of the run's output.

    `- checkpoint: /ckpt/60000`, `- 2026-03-12 — saved to out/final`, a path below `## Checkpoint`,
    or `- output_dir: /scratch/run7` in Config. `fields` are those of Results.
    """
    if any(map(_is_path_of_weights, fields)):
        return True
    if any(map(_SAVED.search, log.prose_of("results", "status"))):
        return True
    for section in _sections_on_weights(log):
        if "/" in facts.prose(log.document, section):
            return True
    settings = log.fields_of("config", "job")
    return any(map(_is_output_folder, settings))


def _is_path_of_weights(field: Field) -> bool:
    """Whether a field of Results says where the weights lie, or that there are none.

    - best_ckpt: out/best.pt        yes
    - adapter: n/a                  yes: there is none
    - checkpoints:                  yes, if bullets stand below it
    - checkpoint: pending           no
    - checkpoint: saved             no: a place has a slash, a suffix or a colon
    """
    if not _WEIGHTS.fullmatch(field.name):
        return False
    if not filled(field):
        return False
    if says_none(field) or nested(field):
        return True
    return _PATH.search(field.value) is not None


def _sections_on_weights(log: Log) -> Iterator[Section]:
    """Yield the sections under a heading such as `## Final checkpoint` or `## Artifacts`.

    Sections of a known kind, such as Results, are read by their fields instead.
    """
    for section in log.document.walk():
        if section.kind:
            continue
        head = facts.head_of(section)
        if _OF_WEIGHTS.match(head):
            yield section


def _is_output_folder(field: Field) -> bool:
    """Whether a field is the folder of the run's output: `save_dir: /scratch/run7`.

    The weights are taken to lie below it. A name without a slash is that of a run, not a folder.
    """
    if _OUTPUT.fullmatch(field.name) is None:
        return False
    return filled(field) and "/" in field.value


def _losses(log: Log, fields: list[Field], section: Section | None) -> Iterator[Finding]:
    """Check that Results say how the loss went: WK602 where they say nothing, WK603 where their
    sentence holds nothing but figures.

    `fields` are those of Results, and `section` is where a finding is placed (None: the page has no
    Results).
    """
    sentence = _loss_sentence(fields)
    if sentence is None:
        if not _describes_loss(log):
            yield finding("WK602", log.file.path, place(section), _missing_loss(log, fields))
        return
    is_answered = says_none(sentence) or nested(sentence)
    if is_answered:
        return
    if _is_figures(sentence.value):
        what = f"{sentence.key} has only numbers: {quoted(sentence.value)}"
        yield finding("WK603", log.file.path, sentence.span.line, what)


def _loss_sentence(fields: list[Field]) -> Field | None:
    """Find the field of Results that says how the loss went. None: there is none.

    The best place first:

        - takeaway: …                                a name for such a sentence, if it is filled
        - loss: fell fast, then stayed flat          the loss itself, if it is a sentence
        - notes: accuracy rose until the very end    a note that speaks of a figure

    Where a sentence under its own name is only figures, WK603 asks for more; the other two count
    only where they are sentences.
    """
    sentence = facts.first(filter(filled, fields), *_SENTENCES)
    if sentence is not None:
        return sentence
    for field in fields:
        if field.name in ("loss", "losses") and _says_more(field.value):
            return field
    for field in fields:
        if _NOTE.fullmatch(field.name) and _is_on_figures(field.value):
            return field
    return None


def _is_on_figures(note: str) -> bool:
    """Whether a note speaks of a figure in a sentence: `the loss was still falling at the end`.

    A note that only repeats figures (`val_loss 0.31 at step 400`) does not.
    """
    return _FIGURE.search(note) is not None and _says_more(note)


def _missing_loss(log: Log, fields: list[Field]) -> str:
    """Say what Results lack: a sentence on their figures, or the figures too.

        - end_train_loss: 0.36
        - loss_one_liner:              `no loss_one_liner in Results`
        - checkpoint: out/best.pt      `no loss in Results`, if that is all

    The figures may be of accuracies and rewards as well, or a table with a column of losses
    anywhere in the log.
    """
    has_figures = any(_FIGURE.search(field.name) and filled(field) for field in fields)
    if has_figures or _tabled(log):
        return "no loss_one_liner in Results"
    return "no loss in Results"


def _describes_loss(log: Log) -> bool:
    """Whether a line of Results, or of a section on the training's dynamics, says how the loss
    went: `- the validation loss rose from epoch 2 on`.

    Such a section is headed `## Training dynamics`, `## Curves` or `## Loss`.
    """
    sections = [*log.sections("results")]
    for section in log.document.walk():
        if _DYNAMICS.search(facts.head_of(section)):
            sections.append(section)
    for section in sections:
        lines = facts.prose(log.document, section).splitlines()
        if any(map(_is_sentence_on_loss, lines)):
            return True
    return False


def _is_sentence_on_loss(line: str) -> bool:
    """Whether a line is a sentence on a figure: `- the loss fell quickly, then stayed flat`.

    Rows of tables, headings and fields (`- end_train_loss: 0.36`) are no sentences.
    """
    bare = line.strip().lstrip("-*+ ")
    if bare.startswith(("|", "#")):
        return False
    if _KEY.match(bare):
        return False
    return _FIGURE.search(bare.casefold()) is not None and _says_more(bare)


def _tabled(log: Log) -> bool:
    """Whether a table of the log has a column or a row of losses.

    The name of a column counts:

        | epoch | train_loss |
        | ----- | ---------- |
        | 0     | 1.99       |
    """
    for section in log.document.walk():
        for table in facts.tables(log.document.text, section.nodes):
            if any("loss" in name for name in table.columns):
                return True
    return False


def _says_more(text: str) -> bool:
    """Whether a text has words enough to be a sentence, and not of figures alone: four words of two
    letters or more.
    """
    return len(re.findall(r"[a-z]{2,}", text.casefold())) > 3 and not _is_figures(text)


def _is_figures(text: str) -> bool:
    """Whether a sentence holds figures, and no word on what they mean.

    train loss fell from 2.0 to 0.36 at step 80    yes
    0.36 at the end, overfits after step 40        no: `overfits` says something
    n/a                                            no: without a figure
    """
    if not any(letter.isdigit() for letter in text):
        return False
    # 1e-4 and 12k hold letters, but no word.
    without_numbers = _NUMBER.sub("0", text.casefold())
    words = set(re.findall(r"[a-z_]{2,}", without_numbers))
    return all(map(_FIGURES_ALONE.fullmatch, words))


def _snapshot(log: Log, fields: list[Field], section: Section | None) -> Iterator[Finding]:
    """Check that the log names the run's own resolved configuration (WK604).

    A field in Results or Config does, or a file of that kind in the text of Results, Job or Status:

        - config_snapshot: out/config.json
        - resolved config in out/resolved_config.yaml

    The path of the repository's config, which may change later, does not. `section` is where a
    finding is placed; None: the page has no Results.
    """
    snapshot = _snapshot_field(log, fields)
    if snapshot is not None and filled(snapshot):
        config = log.config("config")
        is_same = config is not None and snapshot.value == config.value
        if is_same and not says_none(snapshot):
            what = "config_snapshot names the repository's config, not the run's resolved one"
            yield finding("WK604", log.file.path, snapshot.span.line, what)
        return
    texts = log.prose_of("results", "job", "status")
    if any(map(_SNAPSHOT_FILE.search, texts)):
        return
    line = place(section, snapshot)
    yield finding("WK604", log.file.path, line, "no config_snapshot in Results")


def _snapshot_field(log: Log, fields: list[Field]) -> Field | None:
    """Find the field of the resolved configuration: in Results, whose fields these are, else in
    Config. An empty one is returned where no other is filled. None: there is none.
    """
    snapshot = facts.first(fields, *_SNAPSHOTS)
    if filled(snapshot):
        return snapshot
    # The last name is config_path, which in Config is the path of the repository's config.
    elsewhere = facts.first(log.fields_of("config"), *_SNAPSHOTS[:-1])
    return elsewhere or snapshot


# ── W&B

_UNUSED = lazy.pattern(
    r"(?:w&b|wandb|weights (?:&|and) biases)[\s:=`'\"(*-]{0,6}(?:is |was |logging |mode )*[`'\"=: "
    r"]{0,4}(?:disabled|off"
    r"|not used|unused|none|n/?a|no)\b"
    r"|\b(?:no|without|not using) (?:w&b|wandb)\b|wandb[_. ]?mode[=: "
    r"]{1,3}`?disabled|\b(?:tensorboard|mlflow|csv logs?"
    r"|comet|aim)\b",
    re.IGNORECASE,
)
_NO = lazy.pattern(r"no\b|off\b")
_RUN_IN_URL = lazy.pattern(r"/runs/([^/?#\s]+)")
_VERSION = lazy.pattern(
    r"\bwandb(?:[ _-]version)?`?[ \t]{0,3}(?:==|[=:@])?[ \t]{0,3}[`'\"]?v?(\d+\.\d+\.\d+)",
    re.IGNORECASE,
)
_NAMES_VERSION = ("mode", "config", "job", "wandb")


def wandb(log: Log, stands: Standing) -> Iterator[Finding]:
    """Check the W&B section: WK701 for a run without a URL, WK702 for a URL that no job block has.

    Lint asks nothing of a log that names a W&B run anywhere, or says that it has none. A section
    that breaks WK701, as the run lies on the machine alone:

        ## W&B
        - local: wandb/offline-run-20260311_150000-def456
        - synced: no
    """
    sections, section = log.sections("wandb"), log.section("wandb")
    text = "".join(log.document.slice(part) for part in sections)
    urls = [url[0].rstrip(".,;") for url in _URL.finditer(text)]
    local, synced = log.fact(section, *LOCAL), log.fact(section, *SYNCED)
    is_answered = bool(urls) or _names_run(log) or _is_unused(log, local, synced)
    if not is_answered and _owes_url(log, stands, local):
        what = "the job has ended, but its W&B run has no URL"
        if local and filled(local):
            what += f": {quoted(local.value)}"
        yield finding("WK701", log.file.path, place(section, synced), what)
    if len(log.jobs) > 1:
        yield from _unplaced(log, sections, urls)
    yield from _versions(log, is_synced=is_answered)


def _versions(log: Log, *, is_synced: bool) -> Iterator[Finding]:
    """Find the versions of `wandb` that the log names, as packages or as what logged the run, and
    that lose rows (WK703) or may hang (WK704).

        - packages: torch 2.8.0, wandb 0.24.0
        - wandb version: 0.24.0

    One finding for each version and rule, on the first line that names it. `is_synced`: the run's
    page is known, and nothing is left that could hang.
    """
    named: dict[str, int] = {}  # version → its first line
    for kind in _NAMES_VERSION:
        for section in log.sections(kind):
            text = log.document.slice(section)
            for match in _VERSION.finditer(text):
                line = section.heading.span.line + text.count("\n", 0, match.start())
                named.setdefault(match[1], line)
    for version, line in named.items():
        if loses_rows(version):
            what = f"wandb {version} may have lost rows of this run"
            yield finding("WK703", log.file.path, line, what)
        if may_hang(version) and not is_synced:
            what = f"`wandb sync` of {version} may wait for ever"
            yield finding("WK704", log.file.path, line, what)


def _names_run(log: Log) -> bool:
    """Whether the log holds the address of a W&B run, anywhere:
    `https://wandb.ai/team/p/runs/def456`, or the same on a server of one's own.
    """
    return "/runs/" in log.document.text or "wandb.ai/" in log.document.text


def _owes_url(log: Log, stands: Standing, local: Field | None) -> bool:
    """Whether a log should name its W&B run: a training that ended well and used W&B, or any job
    that left a local run and was not given up.

        - local: wandb/offline-run-20260311_150000-def456

    is `local`, the field with the folder of an offline run; None: the section has no such field.
    """
    ended_well = stands.well and log.trains
    if ended_well and _speaks_of_wandb(log):
        return True
    if not stands.over or stands.state in (ABANDONED, CANCELLED):
        return False
    return filled(local)


def _speaks_of_wandb(log: Log) -> bool:
    """Whether the log mentions W&B at all, or has a section that stands for it, such as `Tracking`.

    A training that never mentions it need not have used it.
    """
    return "wandb" in log.document.text.casefold() or bool(log.sections("wandb"))


def _is_unused(log: Log, local: Field | None, synced: Field | None) -> bool:
    """Whether the log says that it has no W&B run.

        - synced: n/a                  in a field
        - none                         in a bullet of the section
        WANDB_MODE=disabled            in words of W&B, Config or Mode, as well as `W&B: off`,
        logged to TensorBoard          or the name of another tracker

    `local` and `synced` are the fields with the folder of an offline run and with its URL; None:
    there is no such field.
    """
    has_local_run = answers(local)
    if has_local_run and synced is not None and _NO.match(synced.value):
        return False  # there is a run, and its answer to `synced` is no
    if says_none(local) or says_none(synced):
        return True
    if _denies_run(log):
        return True
    return any(map(_UNUSED.search, log.prose_of("wandb", "config", "mode")))


def _denies_run(log: Log) -> bool:
    """Whether a bullet or a line of the W&B section is no more than `none`, `n/a` or `not used`.

        ## W&B
        Not used.

    A longer sentence is read for what it says: see `_UNUSED`.
    """
    for bullet in _bullets(log.sections("wandb")):
        if isinstance(bullet, Item) and is_none(bullet.text):
            return True
    for text in log.prose_of("wandb"):
        lines = filter(None, map(str.strip, text.splitlines()))
        if any(map(is_none, lines)):
            return True
    return False


def _unplaced(log: Log, sections: Sequence[Section], urls: list[str]) -> Iterator[Finding]:
    """Find URLs of runs that are in the W&B section alone, though there are several job blocks.

    With one block, the section and the job belong together anyway. Two URLs of one run, such as
    its overview and its logs, are one finding.
    """
    in_jobs = "".join(log.document.slice(job) for job in log.jobs)
    runs: dict[str, str] = {}  # URL → id of its run
    for url in urls:
        match = _RUN_IN_URL.search(url)
        if match:
            runs[url] = match[1]
    reported: set[str] = set()
    for url, run in list(runs.items())[:MOST_URLS]:
        if run in reported:
            continue
        if f"/runs/{run}" in in_jobs:
            continue
        reported.add(run)
        line = _line_of(log, sections, url)
        yield finding("WK702", log.file.path, line, f"{quoted(url)} is in no job block")


def _line_of(log: Log, sections: Sequence[Section], url: str) -> int:
    """Return the line of the bullet that holds a URL, else that of the first of the sections.

    The URL is one that was found in these sections, so it stands in a bullet, in a text or in a
    table. 1: there is no section.
    """
    for bullet in _bullets(sections):
        text = log.document.text[bullet.span.start : bullet.span.end]
        if url in text:
            return bullet.span.line
    if sections:
        return place(sections[0])
    return place(None)


def _bullets(sections: Sequence[Section]) -> Iterator[Bullet]:
    """Yield the bullets of some sections: fields, entries of Status and plain text alike, in the
    order of the sections.
    """
    for section in sections:
        yield from section.bullets()
