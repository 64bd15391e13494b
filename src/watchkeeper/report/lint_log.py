"""The rules that one run log can break by itself."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import date

import msgspec

from watchkeeper.report.dates import Stamp, human, human_date, ordinal, runtime, stamp, weekday_like
from watchkeeper.report.lint import SECRET, File, Finding, finding, quoted
from watchkeeper.report.runlog import (
    Bullet,
    Document,
    Edit,
    Field,
    Item,
    Section,
    Span,
    StatusLine,
    Verbatim,
    parse,
    value_edit,
)

ID = ("execution_id", "job_id", "slurm_job_id", "job_ids", "id", "job", "instance")
START = ("submitted_start", "start", "started", "submitted", "submitted_at", "start_time")
END = ("end", "ended", "finished", "completed", "end_time")
LOCAL = ("local", "local_dir", "offline")
SYNCED = ("synced", "url", "run", "link")
RUNTIME = ("runtime", "elapsed", "duration")
SECTIONS = {
    "mode": "Mode",
    "config": "Config",
    "job": "Job",
    "status": "Status",
    "results": "Results",
    "wandb": "W&B",
    "next": "Next",
}
MOST_URLS = 100
"""So many URLs of one log are looked for in its job blocks."""
CONFIG = {
    "script": ("script", "command", "submit_command", "launch", "launcher", "sbatch"),
    "config": ("config", "configs", "config_file", "config_name", "config_path", "recipe"),
    "dataset": ("dataset", "datasets", "data", "dataset_path", "data_path", "input", "inputs"),
}

_DATED = re.compile(r"(\d{4}-\d{2}-\d{2})_(.+)\.md", re.DOTALL)
_REVERSED = re.compile(r"(.+)_(\d{4}-\d{2}-\d{2})\.md", re.DOTALL)
_JOB_ID = re.compile(r"[_-]job[_-]?\d+(?=\.md$|_)")
_NOT_TRAINING = re.compile(
    r"(?:.*_)?(?:eval|evals|evaluation|bench|benchmark|inference|infer|test|smoke|data)(?:_.*)?", re.DOTALL
)
_PLACEHOLDER = re.compile(r"<(?!https?://)[^<>]{1,300}>")
_OPEN = re.compile(r"(?:(?:pending|tbd|todo|unknown|not yet)(?:\W.*)?|\?+|-+|—|\.\.\.|…)?", re.DOTALL | re.IGNORECASE)
_NONE = re.compile(r"(?:n/?a|none|not applicable|no|disabled|not used|off)(?:\W.*)?", re.DOTALL | re.IGNORECASE)
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
_URL = re.compile(r"https?://[^\s`<>)\]|]+")
_SHARES = re.compile(
    r"\b(?:eval\w*|upload\w*|publish\w*|hand(?:ing)?[ -]?(?:off|over)|push (?:\w+ )?to|release)\b", re.IGNORECASE
)
_CODE = re.compile(r"(?:^|_)(?:commit|branch|tag|git|revision|sha|worktree|code|code_state)(?:_|$)")


class Log(msgspec.Struct, frozen=True):
    """A run log with what the rules ask of it."""

    file: File
    document: Document
    day: str
    task: str
    run_type: Field | None

    @property
    def kind(self) -> str:
        """`replication`, `experiment`, `pipeline`, or ""."""
        match = re.match(r"replication|experiment|pipeline", self.run_type.value.casefold()) if self.run_type else None
        return match[0] if match else ""

    @property
    def trains(self) -> bool:
        """Whether the run makes a checkpoint, as far as its type and task say."""
        return self.kind != "pipeline" and not _NOT_TRAINING.fullmatch(self.task.casefold())


def read(file: File) -> Log | None:
    """The file as a run log; None if it neither has the name of one nor any of its telling sections."""
    if file.name.casefold() in ("timeline.md", "experiments.md", "readme.md") or file.text is None:
        return None
    document = parse(file.text)
    name = _DATED.fullmatch(file.name)
    reverse = None if name else _REVERSED.fullmatch(file.name)
    if not name and not reverse and not (document.of("job") or (document.of("config") and document.of("status"))):
        return None
    day, task = (name[1], name[2]) if name else (reverse[2], reverse[1]) if reverse else ("", file.name[:-3])
    return Log(file, document, day, _JOB_ID.sub("", task + ".md")[:-3], _run_type(document))


def _run_type(document: Document) -> Field | None:
    fields = [node for node in document.all_nodes() if isinstance(node, Field)]
    mode = [field for section in document.of("mode") for field in section.fields()]
    for field in (*mode, *fields):
        if field.name in ("run_type", "mode", "type") and (field.name == "run_type" or field.span.line < 40):
            return field
    return None


def check(log: Log) -> Iterator[Finding]:
    """What is wrong with one log."""
    yield from _name(log)
    if not any(section.kind for section in log.document.walk()):
        yield finding("WK107", log.file.path, 1, "it has no section of a run log")
        return
    found = [*_whole(log), *_mode_and_config(log), *_jobs(log), *_dates(log), *_status(log), *_results(log), *_wandb(log)]
    found += _published(log)
    yield from found
    told = {one.line for one in found}
    for node in log.document.all_nodes():
        if isinstance(node, Field) and _PLACEHOLDER.fullmatch(node.value) and node.span.line not in told:
            yield finding(
                "WK207", log.file.path, node.span.line, f"{node.key} still holds the template's {quoted(node.value)}"
            )


def filled(field: Field | None) -> bool:
    """Whether a field says something: `n/a` does, `pending`, nothing and the template's text do not."""
    if field is None:
        return False
    if _nested(field):
        return True
    return not _OPEN.fullmatch(field.value) and not _PLACEHOLDER.fullmatch(field.value)


def _nested(field: Field) -> bool:
    return any(not isinstance(child, Verbatim) or child.kind not in ("blank", "comment") for child in field.children)


def _none(field: Field | None) -> bool:
    return field is not None and _NONE.fullmatch(field.value) is not None


def _place(section: Section | None, field: Field | None = None) -> int:
    return field.span.line if field else section.heading.span.line if section else 1


def _name(log: Log) -> Iterator[Finding]:
    path, name = log.file.path, log.file.name
    if not _DATED.fullmatch(name):
        better = f"{log.day}_{log.task}.md" if log.day else "<date>_" + name
        yield finding("WK111", path, 1, f"the name is not <date>_<task>.md, e.g. {better}")
    if job := _JOB_ID.search(name):
        yield finding("WK112", path, 1, f"the name holds a job id, {quoted(job[0].strip('_-'))}")
    if log.day:
        day = _day(log)
        if day is None:
            yield finding("WK113", path, 1, f"there is no day {log.day}")
        jobs = log.document.of("job")
        first = stamp(field.value) if jobs and (field := jobs[0].field(*START)) else None
        if day and first and first.day and abs((first.day - day).days) > 1:
            yield finding("WK406", path, 1, f"the name says {log.day}, the first job {first.day}")


def _day(log: Log) -> date | None:
    found = stamp(log.day)
    return found.day if found else None


def _whole(log: Log) -> Iterator[Finding]:
    document, path = log.document, log.file.path
    for node in document.all_nodes():
        if isinstance(node, Verbatim) and not node.closed:
            yield finding(
                "WK106",
                path,
                node.span.line,
                f"a {'code block' if node.kind == 'code' else node.kind} begins here and never ends",
            )
    if document.title is None or not document.title.text or _PLACEHOLDER.search(document.title.text):
        yield finding("WK201", path, 1 if document.title is None else document.title.span.line, "there is no title")
    missing = [name for kind, name in SECTIONS.items() if not document.of(kind) and not (kind == "mode" and log.run_type)]
    if missing:
        line = document.title.span.line if document.title else 1
        yield finding("WK202", path, line, f"no section {', '.join(missing)}")
    starts: list[int] = []
    for secret in SECRET.finditer(document.text):
        starts = starts or [0, *(match.end() for match in re.finditer("\n", document.text))]
        line = bisect_right(starts, secret.start())
        yield finding("WK209", path, line, "this looks like a secret (not shown)")


def _mode_and_config(log: Log) -> Iterator[Finding]:
    document, path = log.document, log.file.path
    mode = next(iter(document.of("mode")), None)
    if not filled(log.run_type):
        yield finding("WK203", path, _place(mode, log.run_type), "run_type is not recorded")
    elif not log.kind and log.run_type:
        yield finding("WK204", path, log.run_type.span.line, f"run_type is {quoted(log.run_type.value)}")
    if mode:
        objective = mode.field("objective", "goal", "purpose")
        if not filled(objective):
            yield finding("WK205", path, _place(mode, objective), "the objective is not recorded")
    config = next(iter(document.of("config")), None)
    if config:
        found = {name: config.field(*names) for name, names in CONFIG.items()}
        for name, field in found.items():
            if not filled(field):
                yield finding("WK206", path, _place(config, field), f"no {name} in Config")
    if log.kind == "experiment":
        fields = (node for node in document.all_nodes() if isinstance(node, Field))
        if not any(_CODE.search(field.name) and filled(field) and not _none(field) for field in fields):
            yield finding("WK208", path, _place(config), "no commit, branch or tag of the experiment's code")


def _jobs(log: Log) -> Iterator[Finding]:
    path, jobs = log.file.path, log.document.of("job")
    ids: dict[str, int] = {}
    before: tuple[Stamp, int] | None = None
    if jobs and "resum" in jobs[0].qualifier.casefold():
        yield finding("WK115", path, _place(jobs[0]), "the first job block is a resumption")
    for index, job in enumerate(jobs):
        id_, start, end = job.field(*ID), job.field(*START), job.field(*END)
        if not filled(id_):
            yield finding("WK301", path, _place(job, id_), "no execution_id in this job block")
        elif id_ and (word := (id_.value.split() or [""])[0].strip("`,;")):
            if word in ids and not _none(id_):
                yield finding("WK302", path, id_.span.line, f"job {quoted(word)} has a block in line {ids[word]} already")
            ids.setdefault(word, id_.span.line)
        if index and job.heading.text.casefold() == "job":
            yield finding("WK309", path, _place(job), f"job block {index + 1} does not say what it is")
        if "resum" in job.qualifier.casefold():
            source = next(
                (f for f in job.fields() if f.name.startswith(("resume", "load_ckpt", "checkpoint")) and filled(f)), None
            )
            if source is None:
                yield finding("WK305", path, _place(job), "it does not say which checkpoint it resumed from")
        at = stamp(start.value) if start else None
        if not filled(start):
            yield finding("WK304", path, _place(job, start), "it is not recorded when the job was submitted")
        if start and at and at.day:
            if before and (gap := before[0].seconds_until(at)) is not None and gap < 0:
                yield finding("WK303", path, _place(job), f"this job was submitted before the one in line {before[1]}")
            before = (at, _place(job))
        yield from _job_times(log, job, start, end, first=index == 0)


def _job_times(log: Log, job: Section, start: Field | None, end: Field | None, *, first: bool) -> Iterator[Finding]:
    path = log.file.path
    for field in (start, end):
        if (
            field
            and filled(field)
            and not _none(field)
            and field.value
            and not stamp(field.value)
            and not human_date(field.value)
        ):
            yield finding("WK407", path, field.span.line, f"{field.key} is {quoted(field.value)}")
    begun, last = (stamp(field.value) if field else None for field in (start, end))
    length = job.field(*RUNTIME)
    span = begun.seconds_until(last) if begun and last else None
    if end and span is not None and span < 0:
        yield finding("WK307", path, end.span.line, "it ends before it starts")
    elif length and span is not None and (seconds := runtime(length.value)) is not None and seconds > span + 60:
        yield finding(
            "WK306", path, length.span.line, f"the runtime {quoted(length.value)} is longer than from start to end"
        )
    if end and last and last.day and not filled(length):
        yield finding("WK308", path, _place(job, length), "the job has ended, and there is no runtime")
    for field, at, name in ((start, begun, "start_human"), (end, last, "end_human")):
        asked = first or (
            field and field.name not in ("submitted", "submitted_at")
        )  # a resumption's template has no date for people
        if asked and field and at and at.day and not human_date(field.value):
            beside = job.field(name)
            if not filled(beside):
                edits = _human_edit(log.document.text, field, beside, name, at.day)
                yield finding("WK401", path, _place(job, beside or field), f"{field.key} has no {name} beside it", edits)


def _human_edit(text: str, field: Field, beside: Field | None, name: str, day: date) -> list[Edit]:
    if beside:
        return [value_edit(text, beside, human(day))]
    line = text[field.span.start : field.span.end]
    bullet = re.match(r"[ \t]*[-*+][ \t]+", line)
    if not bullet or any(not isinstance(child, Verbatim) or child.kind != "blank" for child in field.children):
        return []
    new = f"{bullet[0]}{name}: {human(day)}"
    ending = re.search(r"\r?\n$", line)
    if ending:
        return [Edit(field.span.end, field.span.end, new + ending[0])]
    return [Edit(field.span.end, field.span.end, ("\r\n" if "\r\n" in text else "\n") + new)]


def _dates(log: Log) -> Iterator[Finding]:
    path, day = log.file.path, _day(log)
    partners: dict[int, Stamp] = {}
    for job in log.document.of("job"):
        for names, name in ((START, "start_human"), (END, "end_human")):
            field, beside = job.field(*names), job.field(name)
            if field and beside and (at := stamp(field.value)):
                partners[beside.span.start] = at
    for node in log.document.all_nodes():
        if isinstance(node, Verbatim):
            continue
        text, span = (node.value, node.value_span) if isinstance(node, Field) else (node.text, node.text_span)
        time = node.time if isinstance(node, StatusLine) else text
        if (found := stamp(time)) and found.day is None:
            yield finding("WK403", path, node.span.line, f"there is no such time: {quoted(time)}")
        if isinstance(node, Field):
            begins = log.document.text.find(text, span.start) if text else span.start
            partner = partners.get(node.span.start)
            year = partner.day.year if partner and partner.day else day.year if day else None
            known = {partner.day if partner else None, day}
            yield from human_findings(path, node.span, text, begins, year=year, known=known, partner=partner)


def human_findings(
    path: str, span: Span, text: str, at: int, *, year: int | None, known: set[date | None], partner: Stamp | None = None
) -> Iterator[Finding]:
    """What is wrong with a date for people in `text`, which begins at the offset `at`.

    `year` is its year where it names none. A wrong weekday is fixed only where the day is one of `known`; `partner` is
    the timestamp that means the same time.
    """
    found = human_date(text)
    if not found:
        return
    day = found.on(year)
    if day is None:
        yield finding("WK403", path, span.line, f"there is no such day: {quoted(text)}")
        return
    if partner and partner.day and abs((day - partner.day).days) > (1 if partner.zone else 0):
        yield finding("WK404", path, span.line, f"the date for people is {day}, the timestamp {partner.day}")
    if found.suffix and found.suffix != ordinal(day.day):
        edit = Edit(at + found.suffix_at[0], at + found.suffix_at[1], ordinal(day.day))
        yield finding("WK405", path, span.line, f"it is {day.day}{edit.text}, not {day.day}{found.suffix}", [edit])
    if (found.year or year) and found.weekday != day.weekday():
        first, last = found.weekday_at
        name = weekday_like(day, text[first:last])
        edits = [Edit(at + first, at + last, name)] if day in known else []
        yield finding("WK402", path, span.line, f"{day} is a {weekday_like(day, '')}, not a {text[first:last]}", edits)


def _entries(log: Log) -> list[StatusLine]:
    return [line for section in log.document.of("status") for line in section.bullets() if isinstance(line, StatusLine)]


def _ended(log: Log) -> str:
    """`good` or `bad` if the log says that its last job has ended; "" if not."""
    jobs, entries = log.document.of("job"), _entries(log)
    end = jobs[-1].field(*END) if jobs else None
    over = end is not None and filled(end) and not _none(end)
    if entries:
        good, bad = _GOOD.search(entries[-1].text), _BAD.search(entries[-1].text)
        if bad and not (good and good.start() < bad.start()):
            return "bad"
        if good:
            return "good"
    return "good" if over else ""


def _status(log: Log) -> Iterator[Finding]:
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
                and not _EVIDENCE.search(words)
            ):
                yield finding("WK502", path, bullet.span.line, f"neither step nor loss: {quoted(bullet.text)}")
            at = stamp(bullet.time)
            if at and before and (gap := before.seconds_until(at)) is not None and gap < 0:
                yield finding("WK503", path, bullet.span.line, "this entry is older than the one above")
            before = at if at and at.day else before
    sections = log.document.of("status")
    if sections and _ended(log) and not any(True for section in sections for _ in section.bullets()):
        yield finding("WK504", path, _place(sections[0]), "the job has ended, and Status is empty")


def _results(log: Log) -> Iterator[Finding]:
    if not log.trains or _ended(log) != "good":
        return
    path, sections = log.file.path, log.document.of("results")
    fields = [field for section in sections for field in section.fields()]
    place = sections[0] if sections else None
    paths = [f for f in fields if re.search(r"checkpoint|ckpt", f.name)]
    if not any(filled(f) and (_none(f) or _nested(f) or re.search(r"[/\\.]", f.value)) for f in paths):
        yield finding("WK601", path, _place(place, paths[0] if paths else None), "no path of a checkpoint in Results")
    losses = [f for f in fields if "loss" in f.name and filled(f)]
    sentence = next((f for f in losses if f.name == "loss_one_liner"), None)
    if sentence is None:
        what = "no loss_one_liner" if losses else "no loss"
        yield finding("WK602", path, _place(place), f"{what} in Results")
    elif not _none(sentence):
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
        yield finding("WK604", path, _place(place, snapshot), "no config_snapshot in Results")
    elif snapshot and config and snapshot.value == config.value and not _none(snapshot):
        yield finding("WK604", path, snapshot.span.line, "config_snapshot is the repository's config, not the run's")


def _wandb(log: Log) -> Iterator[Finding]:
    path, sections, jobs = log.file.path, log.document.of("wandb"), log.document.of("job")
    document, ended = log.document, _ended(log)
    section = sections[0] if sections else None
    text = "".join(document.slice(part) for part in sections)
    in_jobs = "".join(document.slice(job) for job in jobs)
    urls = [url[0].rstrip(".,;") for url in _URL.finditer(text)]
    local, synced = (section.field(*names) if section else None for names in (LOCAL, SYNCED))
    unused = (
        _none(local) or _none(synced) or any(isinstance(b, Item) and _NONE.fullmatch(b.text) for b in _bullets(sections))
    )
    known = bool(urls) or "/runs/" in document.text or unused
    if not known and ((ended == "good" and log.trains) or (ended and filled(local))):
        run = f": {quoted(local.value)}" if local and filled(local) else ""
        yield finding("WK701", path, _place(section, synced), f"the job has ended, and its W&B run has no URL{run}")
    if len(jobs) > 1:
        for url in list(dict.fromkeys(url for url in urls if "/runs/" in url))[:MOST_URLS]:
            if url not in in_jobs:
                bullets = (
                    b for part in sections for b in part.bullets() if url in document.text[b.span.start : b.span.end]
                )
                line = next((b.span.line for b in bullets), _place(section))
                yield finding("WK702", path, line, f"no job block has {quoted(url)}")


def _bullets(sections: list[Section]) -> Iterator[Bullet]:
    return (bullet for section in sections for bullet in section.bullets())


def _published(log: Log) -> Iterator[Finding]:
    path, document = log.file.path, log.document
    sections = document.of("huggingface")
    signed = False
    for section in sections:
        if not any(filled(f) and not _none(f) for f in section.fields()):
            continue
        text = document.slice(section)
        missing = [name for name in ("MODEL_PASSPORT", "SIGNOFF") if name not in text]
        signed = signed or not missing
        if missing:
            yield finding(
                "WK801", path, _place(section), f"the upload does not hold {' or '.join(m + '.json' for m in missing)}"
            )
            if re.search(r"sha-?256|checksum", text, re.IGNORECASE) and "SIGNOFF" in missing:
                yield finding("WK806", path, _place(section), "it has checksums of its own, and no sign-off")
        if not filled(section.field("repo", "repository", "url", "link")):
            yield finding("WK805", path, _place(section, section.field("repo")), "it does not say which repository")
        verdict = section.field("signoff_verdict", "sign_off_verdict", "verdict")
        words = re.split(r"[\s`(,;:—–-]+", verdict.value.strip("` ").casefold(), maxsplit=1) if verdict else [""]
        if words[0] not in ("pass", "soft_signal"):
            told = f"the verdict is {quoted(verdict.value)}" if verdict and filled(verdict) else "no verdict of a sign-off"
            yield finding("WK802", path, _place(section, verdict), told)
        elif words[0] == "soft_signal" and verdict:
            inside = (
                document.text[verdict.raw_span.start : verdict.raw_span.end].partition("soft_signal")[2].strip("` ()—–-:|")
            )
            if (
                not inside
                and not _nested(verdict)
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
            if _SHARES.search(line) and not _NONE.fullmatch(line.strip("-* \r\n")):
                yield finding("WK804", path, bullet.span.line, f"no passport before {quoted(line.strip(' -*'))}")
