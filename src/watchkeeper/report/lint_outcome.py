"""The rules of what came of a run: status, results, W&B, publication, next steps."""

from __future__ import annotations

import re
from collections.abc import Iterator

from watchkeeper.report.dates import Stamp, stamp
from watchkeeper.report.lint import Finding, finding, quoted
from watchkeeper.report.lint_read import CONFIG, END, LOCAL, SYNCED, Log, filled, is_none, nested, place, says_none
from watchkeeper.report.runlog import Bullet, Field, Item, Section, StatusLine

MOST_URLS = 100
"""So many URLs of one log are looked for in its job blocks."""

_GOOD = re.compile(
    r"\b(?:completed?|finished|done|exit(?:ed)? (?:code|status) 0|timed? ?out|walltime|succe\w+)\b", re.IGNORECASE
)
_BAD = re.compile(
    r"\b(?:fail\w*|cancel\w*|oom|out of memory|crash\w*|killed|aborted|exit (?:code|status) [1-9]\d*)\b", re.IGNORECASE
)
_RUNNING = re.compile(
    r"\b(?:running|in progress|progressing|healthy|training|advancing|still|ongoing|going)\b", re.IGNORECASE
)
_WAITING = re.compile(
    r"\b(?:submitted|resubmitted|queued|pending|waiting|started|resumed|completed|finished)\b", re.IGNORECASE
)
_EVIDENCE = re.compile(
    r"\b(?:steps?|loss|epochs?|iter\w{0,9}|samples?|episodes?|batch(?:es)?|acc\w{0,9}|it/s)\b[^\n]{0,20}?\d"
    r"|\d[.,]?[km]? {0,3}(?:/ {0,3}\d|%|it/s|steps?\b|epochs?\b|samples?\b|episodes?\b)|loss\S{0,9}? {0,3}[=:]? {0,3}\d",
    re.IGNORECASE,
)
_MACHINE = re.compile(r"\b(?:gpu|cpu|vram|memory|mem|utili[sz]ation|util|disk)\b[^,;\n]{0,40}", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s`<>)\]|]+")
_SHARES = re.compile(
    r"\b(?:eval\w*|upload\w*|publish\w*|hand(?:ing)?[ -]?(?:off|over)|push (?:\w+ )?to|release)\b", re.IGNORECASE
)


def _entries(log: Log) -> list[StatusLine]:
    return [line for section in log.document.of("status") for line in section.bullets() if isinstance(line, StatusLine)]


def _ended(log: Log) -> str:
    """`good` or `bad` if the log says that its last job has ended; "" if not."""
    jobs, entries = log.document.of("job"), _entries(log)
    end = jobs[-1].field(*END) if jobs else None
    over = end is not None and filled(end) and not says_none(end)
    if entries:
        good, bad = _GOOD.search(entries[-1].text), _BAD.search(entries[-1].text)
        if bad and not (good and good.start() < bad.start()):
            return "bad"
        if good:
            return "good"
    return "good" if over else ""


def status(log: Log) -> Iterator[Finding]:
    """What is wrong with the entries of Status."""
    path = log.file.path
    before: Stamp | None = None
    for section in log.document.of("status"):
        for bullet in section.bullets():
            if not isinstance(bullet, StatusLine):
                if isinstance(bullet, Item) or filled(bullet):
                    yield finding("WK501", path, bullet.span.line, "this entry has no time")
                continue
            words = " ".join(
                [
                    bullet.text,
                    *(
                        c.text if isinstance(c, Item) else c.key + ": " + c.value
                        for c in bullet.children
                        if isinstance(c, Item | Field)
                    ),
                ]
            )
            if (
                _RUNNING.search(words)
                and not _BAD.search(words)
                and not _WAITING.search(words)
                and not _EVIDENCE.search(_MACHINE.sub("", words))
            ):
                yield finding("WK502", path, bullet.span.line, f"neither step nor loss: {quoted(bullet.text)}")
            at = stamp(bullet.time)
            if at and before and (gap := before.seconds_until(at)) is not None and gap < 0:
                yield finding("WK503", path, bullet.span.line, "this entry is older than the one above")
            before = at if at and at.day else before
    sections = log.document.of("status")
    if sections and _ended(log) and not any(True for section in sections for _ in section.bullets()):
        yield finding("WK504", path, place(sections[0]), "the job has ended, and Status is empty")


def results(log: Log) -> Iterator[Finding]:
    """What is wrong with Results, once the last job has ended well."""
    if not log.trains or _ended(log) != "good":
        return
    path, sections = log.file.path, log.document.of("results")
    fields = [field for section in sections for field in section.fields()]
    section = sections[0] if sections else None
    paths = [f for f in fields if re.search(r"checkpoint|ckpt", f.name)]
    if not any(filled(f) and (says_none(f) or nested(f) or re.search(r"[/\\.]", f.value)) for f in paths):
        yield finding("WK601", path, place(section, paths[0] if paths else None), "no path of a checkpoint in Results")
    losses = [f for f in fields if "loss" in f.name and filled(f)]
    sentence = next((f for f in losses if f.name == "loss_one_liner"), None)
    if sentence is None:
        what = "no loss_one_liner" if losses else "no loss"
        yield finding("WK602", path, place(section), f"{what} in Results")
    elif not says_none(sentence):
        words = set(re.findall(r"[a-z]{2,}", sentence.value.casefold())) - {
            "train",
            "val",
            "loss",
            "train_loss",
            "val_loss",
            "from",
            "to",
            "at",
            "step",
        }
        if len(words) < 2:
            yield finding("WK603", path, sentence.span.line, f"loss_one_liner is figures alone: {quoted(sentence.value)}")
    snapshot = next((f for f in fields if f.name in ("config_snapshot", "config_snapshot_path", "resolved_config")), None)
    config = next((f for section in log.document.of("config") if (f := section.field(*CONFIG["config"]))), None)
    if not filled(snapshot):
        yield finding("WK604", path, place(section, snapshot), "no config_snapshot in Results")
    elif snapshot and config and snapshot.value == config.value and not says_none(snapshot):
        yield finding("WK604", path, snapshot.span.line, "config_snapshot is the repository's config, not the run's")


def wandb(log: Log) -> Iterator[Finding]:
    """What is wrong with the W&B section."""
    path, sections, jobs = log.file.path, log.document.of("wandb"), log.document.of("job")
    document, ended = log.document, _ended(log)
    section = sections[0] if sections else None
    text = "".join(document.slice(part) for part in sections)
    in_jobs = "".join(document.slice(job) for job in jobs)
    urls = [url[0].rstrip(".,;") for url in _URL.finditer(text)]
    local, synced = (section.field(*names) if section else None for names in (LOCAL, SYNCED))
    unused = (
        says_none(local) or says_none(synced) or any(isinstance(b, Item) and is_none(b.text) for b in _bullets(sections))
    )
    known = bool(urls) or "/runs/" in document.text or unused
    if not known and ((ended == "good" and log.trains) or (ended and filled(local))):
        run = f": {quoted(local.value)}" if local and filled(local) else ""
        yield finding("WK701", path, place(section, synced), f"the job has ended, and its W&B run has no URL{run}")
    if len(jobs) > 1:
        for url in list(dict.fromkeys(url for url in urls if "/runs/" in url))[:MOST_URLS]:
            if url not in in_jobs:
                bullets = (
                    b for part in sections for b in part.bullets() if url in document.text[b.span.start : b.span.end]
                )
                line = next((b.span.line for b in bullets), place(section))
                yield finding("WK702", path, line, f"no job block has {quoted(url)}")


def _bullets(sections: list[Section]) -> Iterator[Bullet]:
    return (bullet for section in sections for bullet in section.bullets())


def published(log: Log) -> Iterator[Finding]:
    """What is wrong with an upload, or with the plan of one."""
    path, document = log.file.path, log.document
    sections = document.of("huggingface")
    signed = False
    for section in sections:
        if not any(filled(f) and not says_none(f) for f in section.fields()):
            continue
        text = document.slice(section)
        missing = [name for name in ("MODEL_PASSPORT", "SIGNOFF") if name not in text]
        signed = signed or not missing
        if missing:
            yield finding(
                "WK801", path, place(section), f"the upload does not hold {' or '.join(m + '.json' for m in missing)}"
            )
            if re.search(r"sha-?256|checksum", text, re.IGNORECASE) and "SIGNOFF" in missing:
                yield finding("WK806", path, place(section), "it has checksums of its own, and no sign-off")
        if not filled(section.field("repo", "repository", "url", "link")):
            yield finding("WK805", path, place(section, section.field("repo")), "it does not say which repository")
        verdict = section.field("signoff_verdict", "sign_off_verdict", "verdict")
        words = re.split(r"[\s`(,;:—–-]+", verdict.value.strip("` ").casefold(), maxsplit=1) if verdict else [""]
        if words[0] not in ("pass", "soft_signal"):
            told = f"the verdict is {quoted(verdict.value)}" if verdict and filled(verdict) else "no verdict of a sign-off"
            yield finding("WK802", path, place(section, verdict), told)
        elif words[0] == "soft_signal" and verdict:
            inside = (
                document.text[verdict.raw_span.start : verdict.raw_span.end].partition("soft_signal")[2].strip("` ()—–-:|")
            )
            if (
                not inside
                and not nested(verdict)
                and not filled(section.field("verdict_reason", "signoff_reason", "reason"))
            ):
                yield finding("WK803", path, verdict.span.line, "soft_signal, and no reason")
    if signed or not log.trains:
        return
    known = "".join(document.slice(s) for kind in ("next", "results") for s in document.of(kind)).casefold()
    if "passport" in known or "sign-off" in known or "signoff" in known:
        return
    for section in document.of("next"):
        for bullet in section.bullets():
            line = document.text[bullet.span.start : bullet.span.end]
            if _SHARES.search(line) and not is_none(line.strip("-* \r\n")):
                yield finding("WK804", path, bullet.span.line, f"no passport before {quoted(line.strip(' -*'))}")
