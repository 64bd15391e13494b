"""The rules of publication: an upload has its passport and sign-off, and no next step skips them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from watchkeeper.report.lint.rules import Finding, finding, quoted
from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.document import Document, Field, Section
from watchkeeper.report.runlog.read import Log, filled, is_none, nested, place, says_none
from watchkeeper.report.runlog.standing import Standing
from watchkeeper.report.runlog.states import ABANDONED

_PASSPORT = re.compile(r"passport", re.IGNORECASE)
_SIGNOFF = re.compile(r"sign-?_?off(?![ _]verdict)|signed", re.IGNORECASE)
_DENIED = re.compile(
    r"\b(?:no|without|missing|not yet|todo|pending|needs?|still to|to be)\b", re.IGNORECASE
)
_REPOSITORY = re.compile(r"https?://\S+|(?<![\w./-])[\w.-]+/[\w.-]+(?![\w/])")
_HUB = re.compile(
    r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<data>datasets/)?(?!spaces/|papers/|blog/"
    r"|docs/)[\w.-]+/[\w.-]+"
)
_UPLOADED_AS = re.compile(
    r"(?:.*_)?(?:hub|hf|hugging_?face|upload\w*|publish\w*|pushed|release[d]?)(?:_.*)?|repo|model_card|model_repo|model_url"
)
_TAKEN = re.compile(
    r"(?:.*_)?(?:base|pretrained|init|teacher|tokenizer|dataset|data|source|parent|backbone|from"
    r"|download\w*|reference)(?:_.*)?"
)
_UPLOADED = re.compile(
    r"\b(?:uploaded|published|pushed|released)\b[^\n]{0,60}\b(?:hub|hf|hugging ?face"
    r"|huggingface\.co)",
    re.IGNORECASE,
)
_PLANNED = re.compile(
    r"\b(?:not (?:yet )?(?:uploaded|published|pushed)|to be (?:uploaded|published)"
    r"|upload (?:is )?(?:pending|planned|later))",
    re.IGNORECASE,
)
_SHARES = re.compile(
    r"(?:^|[,;:→—–(&/]|\b(?:then|and|or|to|next|now|also|please|should|will|can|finally|before|afterwards|directly|quick"
    r"|full|run|do|start|launch)\b)"
    r"\s*(?:run |do |start |submit |launch |schedule )?(?:an? |the |another |full |quick |final "
    r"|closed-loop |offline )*"
    r"(?:(?P<eval>re-?eval\w*|eval\w*)|upload\w*|publish\w*|hand(?:ing)?[ -]?(?:off|over|it "
    r"(?:off|over))"
    r"|push (?:\w+ ){0,3}to"
    r"|release (?:\w+ ){0,2}(?:weights|checkpoint|model)|share (?:\w+ ){0,2}(?:weights|checkpoint"
    r"|model))\b(?P<rest>[^\n]*)",
    re.IGNORECASE,
)
_NOT_OF_WEIGHTS = re.compile(
    r"[\s-]*(?:whether|if|how|why|what|which|loss|losses|frequency|interval|every|steps?|set|split|metrics?|results?"
    r"|scripts?|code|harness"
    r"|config\w*|batch|data\w*|options?|ideas?|alternatives?|baselines?|a "
    r"(?:lower|higher|larger|smaller|different)"
    r"|lower|higher|the (?:effect|impact|cost)"
    r"|on the train|logs?|curves?|cost|is "
    r"(?:done|finished)|was|were|has|done|finished|complete|side|logic|pipeline"
    r"|sampler|speed)\b",
    re.IGNORECASE,
)
_DENIES = re.compile(
    r"\b(?:do not|don't|never|no|not|without|skip|instead of|hold off|wait with)\b", re.IGNORECASE
)
_VERDICTS = (
    "signoff_verdict",
    "sign_off_verdict",
    "verdict",
    "signoff",
    "sign_off",
    "signoff_status",
)


def published(log: Log, stands: Standing) -> Iterator[Finding]:
    """What is wrong with an upload, or with the plan of one."""
    shared = False
    for section in log.sections("huggingface"):
        if _is_upload(log, section):
            shared = True
            yield from _upload(log, section)
    if not shared and (where := _uploaded_elsewhere(log)):
        shared = True
        if missing := _missing(log):
            yield finding("WK801", log.file.path, where, f"the upload does not hold {missing}")
    if not shared and log.trains and stands.state != ABANDONED:
        yield from _next(log)


def _knows(document: Document, words: re.Pattern[str]) -> bool:
    """Whether the log speaks of a passport or a sign-off as of something that is there or is about
    to be made.
    """
    for line in document.text.splitlines():
        if words.search(line) and not re.search(
            r"\b(?:no|without)\b[^.;]{0,30}(?:passport|sign-?off)", line, re.IGNORECASE
        ):
            return True
    return False


def _missing(log: Log) -> str:
    """Which of the two an upload lacks, in words."""
    names = [
        name
        for name, words in (("MODEL_PASSPORT", _PASSPORT), ("SIGNOFF", _SIGNOFF))
        if not _there(log.document, words)
    ]
    return " or ".join(f"{name}.json" for name in names)


def _there(document: Document, words: re.Pattern[str]) -> bool:
    """Whether a line outside of Next says that the passport, or the sign-off, exists."""
    ahead = {
        line
        for section in document.of("next")
        for line in facts.prose(document, section).splitlines()
    }
    lines = (
        line
        for line in document.text.splitlines()
        if line not in ahead and not line.lstrip().startswith("#")
    )
    return any(words.search(line) and not _DENIED.search(line) for line in lines)


def _is_upload(log: Log, section: Section) -> bool:
    text = facts.prose(log.document, section)
    if _PLANNED.search(text) or (not log.trains and "/datasets/" in text):
        return False
    if any(filled(field) and not says_none(field) for field in section.fields()):
        return not (_only_data(text) and "checkpoint" not in text)
    return _HUB.search(text) is not None or any(
        filled(field) and not says_none(field) for field in log.facts(section)
    )


def _only_data(text: str) -> bool:
    hubs = list(_HUB.finditer(text))
    return bool(hubs) and all(match["data"] for match in hubs)


def _uploaded_elsewhere(log: Log) -> int:
    """The line outside of a section on the hub that tells of an upload; 0 for none."""
    for section in log.sections("results"):
        for field in log.facts(section):
            match = _HUB.search(field.value)
            if (
                match
                and not match["data"]
                and _UPLOADED_AS.fullmatch(field.name)
                and not _TAKEN.fullmatch(field.name)
            ):
                return field.span.line
    for kind in ("results", "status"):
        for section in log.sections(kind):
            for node in section.bullets():
                text = log.document.text[node.span.start : node.span.end]
                if (
                    _UPLOADED.search(text)
                    and not _PLANNED.search(text)
                    and "/datasets/" not in text
                    and "dataset" not in text
                ):
                    return node.span.line
    return 0


def _upload(log: Log, section: Section) -> Iterator[Finding]:
    path, text = log.file.path, log.document.slice(section)
    missing = _missing(log)
    if missing:
        yield finding("WK801", path, place(section), f"the upload does not hold {missing}")
        if re.search(r"sha-?256|checksum", text, re.IGNORECASE) and "SIGNOFF" in missing:
            yield finding(
                "WK806", path, place(section), "it has checksums of its own, and no sign-off"
            )
    named = section.field("repo", "repository", "url", "link", "hub", "model")
    if not filled(named) and not _HUB.search(text) and not _names_repository(section):
        yield finding(
            "WK805", path, place(section, section.field("repo")), "it does not say which repository"
        )
    yield from _verdict(log, section, signed="SIGNOFF" not in missing)


def _names_repository(section: Section) -> bool:
    fields = (
        field
        for field in section.fields()
        if "repo" in field.name
        or "hub" in field.name
        or field.name in ("uploaded_to", "published_to")
    )
    return any(_REPOSITORY.search(field.value) for field in fields)


def _verdict(log: Log, section: Section, *, signed: bool) -> Iterator[Finding]:
    path = log.file.path
    verdict = next(
        (
            field
            for name in _VERDICTS
            for field in _verdicts(log, section)
            if field.name == name and _word(field)
        ),
        None,
    )
    verdict = verdict or section.field("signoff_verdict", "sign_off_verdict", "verdict")
    if verdict:
        word = _word(verdict)
    else:
        word = ""
    if word not in ("pass", "soft_signal"):
        if verdict is None and not signed:
            return  # there is no sign-off whose verdict could be told
        if verdict and filled(verdict):
            told = f"the verdict is {quoted(verdict.value)}"
        else:
            told = "no verdict of a sign-off"
        yield finding("WK802", path, place(section, verdict), told)
    elif word == "soft_signal" and verdict and not _has_reason(log, verdict):
        yield finding("WK803", path, verdict.span.line, "soft_signal, and no reason")


def _verdicts(log: Log, section: Section) -> list[Field]:
    """The fields that may hold the verdict: of the section itself, then of any section on passport
    and sign-off.
    """
    others = [
        one for one in log.document.walk() if re.search(r"passport|sign-?off", facts.head_of(one))
    ]
    return [field for one in (section, *others) for field in log.facts(one)]


def _word(verdict: Field) -> str:
    """`pass`, `soft_signal`, or the first word of whatever else it says."""
    text = verdict.value.strip("`* ").casefold()
    if re.match(r"pass(?:ed)?\b", text):
        return "pass"
    if re.match(r"soft[ _-]signal", text):
        return "soft_signal"
    if verdict.name not in ("signoff", "sign_off"):
        return re.split(r"[\s`(,;:—–-]+", text, maxsplit=1)[0]
    return ""


def _has_reason(log: Log, verdict: Field) -> bool:
    raw = log.document.text[verdict.raw_span.start : verdict.raw_span.end]
    inside = re.split(r"soft[ _-]signal", raw, maxsplit=1, flags=re.IGNORECASE)[-1].strip(
        "` ()—–-:|*"
    )
    if inside or nested(verdict):
        return True
    return any(
        filled(field) and field.name.endswith("reason") for field in facts.every_field(log.document)
    )


def _next(log: Log) -> Iterator[Finding]:
    """The next steps that share a checkpoint, or evaluate it, before it has a passport."""
    if _knows(log.document, _PASSPORT) or _knows(
        log.document, re.compile(r"sign-?off", re.IGNORECASE)
    ):
        return
    for section in log.sections("next"):
        for line, number in _lines(log.document, section):
            if not is_none(line) and _shares(line):
                yield finding("WK804", log.file.path, number, f"no passport before {quoted(line)}")
                return


def _lines(document: Document, section: Section) -> Iterator[tuple[str, int]]:
    """The lines of a section as they stand, without bullets and boxes; what is ticked off is done."""
    for part in facts.parts(section):
        for node in part.nodes:
            text = document.text[node.span.start : node.span.end]
            if re.match(r"\s*[-*+] \[[xX]\]", text):
                continue
            bare = re.sub(r"^\s*(?:[-*+]|\d{1,3}[.)])?\s*(?:\[ \])?\s*", "", text).strip()
            if bare:
                yield bare, node.span.line


def _shares(line: str) -> bool:
    bare = line.replace("*", "").replace("`", "")
    for match in _SHARES.finditer(bare):
        rest = match["rest"]
        if _DENIES.search(bare[: match.start()]) or (match["eval"] and _NOT_OF_WEIGHTS.match(rest)):
            continue
        if (
            re.match(r"[\s]*(?:\w+ ){0,2}(?:dataset|data|logs?|curves?|wandb|w&b)\b", rest)
            and not match["eval"]
        ):
            continue
        return True
    return False
