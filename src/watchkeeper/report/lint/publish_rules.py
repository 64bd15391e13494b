"""The rules of publication: an upload has passport and sign-off, and no next step skips them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from watchkeeper.core.text import lazy
from watchkeeper.report.lint.rules import Finding, finding, quoted
from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.document import Document, Field, Section
from watchkeeper.report.runlog.read import Log, answers, filled, is_none, nested, place
from watchkeeper.report.runlog.standing import Standing
from watchkeeper.report.runlog.states import ABANDONED

_PASSPORT = lazy.pattern(r"passport", re.IGNORECASE)
_SIGNOFF = lazy.pattern(r"sign-?_?off(?![ _]verdict)|signed", re.IGNORECASE)
_DENIED = lazy.pattern(
    r"\b(?:no|without|missing|not yet|todo|pending|needs?|still to|to be)\b", re.IGNORECASE
)
_REPOSITORY = lazy.pattern(r"https?://\S+|(?<![\w./-])[\w.-]+/[\w.-]+(?![\w/])")
_HUB = lazy.pattern(
    r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<data>datasets/)?(?!spaces/|papers/|blog/"
    r"|docs/)[\w.-]+/[\w.-]+"
)
_UPLOADED_AS = lazy.pattern(
    r"(?:.*_)?(?:hub|hf|hugging_?face|upload\w*|publish\w*|pushed|release[d]?)(?:_.*)?|repo|model_card|model_repo|model_url"
)
_TAKEN = lazy.pattern(
    r"(?:.*_)?(?:base|pretrained|init|teacher|tokenizer|dataset|data|source|parent|backbone|from"
    r"|download\w*|reference)(?:_.*)?"
)
_UPLOADED = lazy.pattern(
    r"\b(?:uploaded|published|pushed|released)\b[^\n]{0,60}\b(?:hub|hf|hugging ?face"
    r"|huggingface\.co)",
    re.IGNORECASE,
)
_PLANNED = lazy.pattern(
    r"\b(?:not (?:yet )?(?:uploaded|published|pushed)|to be (?:uploaded|published)"
    r"|upload (?:is )?(?:pending|planned|later))",
    re.IGNORECASE,
)
_SHARES = lazy.pattern(
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
_NOT_OF_WEIGHTS = lazy.pattern(
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
_DENIES = lazy.pattern(
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
_WITHOUT_PAPERS = lazy.pattern(
    r"\b(?:no|without)\b[^.;]{0,30}(?:passport|sign-?off)", re.IGNORECASE
)
_SIGNOFF_WORD = lazy.pattern(r"sign-?off", re.IGNORECASE)
_CHECKSUMS = lazy.pattern(r"sha-?256|checksum", re.IGNORECASE)
_OF_REPOSITORY = lazy.pattern(r"repo|hub|^(?:uploaded|published)_to$")
_ON_PAPERS = lazy.pattern(r"passport|sign-?off")
_TICKED_OFF = lazy.pattern(r"\s*[-*+] \[[xX]\]")
_BULLET = lazy.pattern(r"^\s*(?:[-*+]|\d{1,3}[.)])?\s*(?:\[ \])?\s*")
_DATA = lazy.pattern(r"[\s]*(?:\w+ ){0,2}(?:dataset|data|logs?|curves?|wandb|w&b)\b")


def published(log: Log, stands: Standing) -> Iterator[Finding]:
    """Check an upload, or the plan of one: WK801 to WK806.

    Without a finding:

        ## HuggingFace
        - repo: https://huggingface.co/demo/front-cam
        - passport: `MODEL_PASSPORT.json`
        - signoff: `SIGNOFF.json`
        - signoff verdict: pass
    """
    uploads = [section for section in log.sections("huggingface") if _is_upload(log, section)]
    for section in uploads:
        yield from _upload(log, section)
    if uploads:
        return
    line = _uploaded_elsewhere(log)
    if line:
        missing = _missing(log)
        if missing:
            yield finding("WK801", log.file.path, line, f"the upload lacks {missing}")
        return
    if log.trains and stands.state != ABANDONED:
        yield from _next(log)


def _knows(document: Document, papers: re.Pattern[str]) -> bool:
    """Whether the log mentions a passport or a sign-off that exists or is about to be made.

    `papers` is the pattern of one of the two. `- uploaded without a passport` mentions none: who
    writes so knows that it is missing.
    """
    for line in document.text.splitlines():
        if papers.search(line) and not _WITHOUT_PAPERS.search(line):
            return True
    return False


def _missing(log: Log) -> str:
    """Say which of the two an upload lacks: `MODEL_PASSPORT.json and SIGNOFF.json`. "": none."""
    names = []
    if not _there(log.document, _PASSPORT):
        names.append("MODEL_PASSPORT.json")
    if not _there(log.document, _SIGNOFF):
        names.append("SIGNOFF.json")
    return " and ".join(names)


def _there(document: Document, papers: re.Pattern[str]) -> bool:
    """Whether a line outside of Next says that the passport, or the sign-off, exists.

        - signoff: SIGNOFF.json              yes
        ## Sign-off                          no: a heading alone
        - sign-off still to be made          no: it says that there is none yet
        - passport, then upload              no, below `## Next`: it is only planned

    `papers` is the pattern of one of the two.
    """
    planned: set[str] = set()
    for section in document.of("next"):
        planned.update(facts.prose(document, section).splitlines())
    for line in document.text.splitlines():
        if line in planned or line.lstrip().startswith("#"):
            continue
        if papers.search(line) and not _DENIED.search(line):
            return True
    return False


def _is_upload(log: Log, section: Section) -> bool:
    """Whether a section on the hub records an upload of weights.

    `- repo: demo/front-cam` does; `- repo: n/a`, `not yet uploaded`, and an upload of nothing but a
    dataset do not. An evaluation or a data job that names a dataset of the hub took it from there,
    or put it there: neither is of weights.
    """
    text = facts.prose(log.document, section)
    if _PLANNED.search(text):
        return False
    if not log.trains and "/datasets/" in text:
        return False
    if _has_answer(section.fields()):
        return "checkpoint" in text or not _only_data(text)
    if _HUB.search(text):
        return True
    return _has_answer(log.facts(section))


def _has_answer(fields: Iterable[Field]) -> bool:
    """Whether one of the fields says something else than `n/a`."""
    return any(map(answers, fields))


def _only_data(text: str) -> bool:
    """Whether a text holds addresses of the hub, and each is of a dataset:
    `https://huggingface.co/datasets/demo/lift`.
    """
    hubs = list(_HUB.finditer(text))
    if not hubs:
        return False
    return all(match["data"] for match in hubs)


def _uploaded_elsewhere(log: Log) -> int:
    """Return the line of an upload that is recorded outside of a section on the hub. 0: none.

        ## Results
        - hub: https://huggingface.co/demo/front-cam
        ## Status
        - 2026-03-13 — uploaded to the hub

    Fields of Results come first.
    """
    upload = next(filter(_holds_upload, log.fields_of("results")), None)
    if upload is not None:
        return upload.span.line
    for kind in ("results", "status"):
        for section in log.sections(kind):
            for node in section.bullets():
                if _reports_upload(log.document.text[node.span.start : node.span.end]):
                    return node.span.line
    return 0


def _holds_upload(field: Field) -> bool:
    """Whether a field holds the hub's address of weights that this run uploaded.

    `hub: https://huggingface.co/demo/front-cam` does; `base_model: https://huggingface.co/…` is
    what the run took from there.
    """
    match = _HUB.search(field.value)
    if match is None or match["data"]:
        return False
    if _TAKEN.fullmatch(field.name):
        return False
    return _UPLOADED_AS.fullmatch(field.name) is not None


def _reports_upload(text: str) -> bool:
    """Whether a line says that weights were uploaded: `pushed the final weights to the hub`.

    A dataset that was uploaded needs neither passport nor sign-off.
    """
    if not _UPLOADED.search(text):
        return False
    if _PLANNED.search(text):
        return False
    return "dataset" not in text


def _upload(log: Log, section: Section) -> Iterator[Finding]:
    """Check one upload: its papers (WK801, WK806), its repository (WK805) and its verdict.

        ## HuggingFace
        - repo: pending                   WK805
        - sha256: 9e60ec7a…               WK806, as there is no sign-off
                                          WK801: it lacks MODEL_PASSPORT.json and SIGNOFF.json

    `section` is one on the hub that records an upload.
    """
    path, text = log.file.path, log.document.slice(section)
    missing = _missing(log)
    is_signed = "SIGNOFF" not in missing
    if missing:
        yield finding("WK801", path, place(section), f"the upload lacks {missing}")
    if not is_signed and _CHECKSUMS.search(text):
        what = "it has hand-made checksums but no sign-off"
        yield finding("WK806", path, place(section), what)
    named = section.field("repo", "repository", "url", "link", "hub", "model")
    has_repository = filled(named) or _HUB.search(text) or _names_repository(section)
    if not has_repository:
        line = place(section, section.field("repo"))
        yield finding("WK805", path, line, "the repository is not recorded")
    yield from _verdict(log, section, signed=is_signed)


def _names_repository(section: Section) -> bool:
    """Whether a field of the section names a repository in another way: `uploaded to:
    demo/front-cam`, `model repo: …`.

    The value must have the form of a repository's name, or be an address.
    """
    for field in section.fields():
        if _OF_REPOSITORY.search(field.name) and _REPOSITORY.search(field.value):
            return True
    return False


def _verdict(log: Log, section: Section, *, signed: bool) -> Iterator[Finding]:
    """Check the verdict of an upload's sign-off (WK802), and its reason (WK803).

        - signoff verdict: pass           good
        - signoff verdict: soft_signal    WK803, if no reason stands anywhere
        - signoff verdict: fine           WK802: unknown
        - signoff verdict:                WK802

    `signed` says whether the log has a sign-off at all: without one, WK801 is the finding.
    """
    path = log.file.path
    verdict = _find_verdict(log, section)
    if verdict is None:
        if signed:
            yield finding("WK802", path, place(section), "no sign-off verdict")
        return
    word = _word(verdict)
    if word == "pass":
        return
    if word == "soft_signal":
        if not _has_reason(log, verdict):
            yield finding("WK803", path, verdict.span.line, "soft_signal without a reason")
        return
    what = "no sign-off verdict"
    if filled(verdict):
        what = f"unknown verdict {quoted(verdict.value)}"
    yield finding("WK802", path, place(section, verdict), what)


def _find_verdict(log: Log, section: Section) -> Field | None:
    """Find the field with the verdict: the first of its names that has an answer, else one in the
    section without an answer. None: there is none.

        - signoff verdict: pass      before
        - verdict: pass              before
        - signoff: pass

    A `signoff` that holds a path is no verdict.
    """
    fields = _verdicts(log, section)
    for name in _VERDICTS:
        for field in fields:
            if field.name == name and _word(field):
                return field
    return section.field("signoff_verdict", "sign_off_verdict", "verdict")


def _verdicts(log: Log, section: Section) -> list[Field]:
    """List the fields that may hold the verdict: of the section itself, then of any section on
    passport and sign-off, such as `## Sign-off`.
    """
    fields = list(log.facts(section))
    for other in log.document.walk():
        if _ON_PAPERS.search(facts.head_of(other)):
            fields += log.facts(other)
    return fields


def _word(verdict: Field) -> str:
    """`pass`, `soft_signal`, or the first word of whatever else it says.

    `**PASS** (all checks)` gives `pass`, `soft signal: one check is off` gives `soft_signal`,
    `failed twice` gives `failed`. "": the field is empty, or a `signoff` that holds a path.
    """
    text = verdict.value.strip("`* ").casefold()
    if re.match(r"pass(?:ed)?\b", text):
        return "pass"
    if re.match(r"soft[ _-]signal", text):
        return "soft_signal"
    if verdict.name not in ("signoff", "sign_off"):
        return re.split(r"[\s`(,;:—–-]+", text, maxsplit=1)[0]
    return ""


def _has_reason(log: Log, verdict: Field) -> bool:
    """Whether a `soft_signal` has a reason: behind it, below it, or in a field anywhere.

    - signoff verdict: soft_signal — val_loss above baseline
    - signoff verdict: soft_signal
      - one check is off
    - verdict_reason: one check is off
    """
    raw = log.document.text[verdict.raw_span.start : verdict.raw_span.end]
    behind = re.split(r"soft[ _-]signal", raw, maxsplit=1, flags=re.IGNORECASE)[-1]
    if behind.strip("` ()—–-:|*"):
        return True
    if nested(verdict):
        return True
    fields = facts.every_field(log.document)
    return any(filled(field) and field.name.endswith("reason") for field in fields)


def _next(log: Log) -> Iterator[Finding]:
    """Find the first next step that shares or evaluates a checkpoint without a passport (WK804).

        ## Next
        - [x] tune the rate                                    done: passed over
        - run the evaluation on real scenes, then upload       the finding

    A log that mentions a passport or a sign-off anywhere has one planned. One finding is enough, as
    one passport is.
    """
    if _knows(log.document, _PASSPORT) or _knows(log.document, _SIGNOFF_WORD):
        return
    for section in log.sections("next"):
        for line, number in _lines(log.document, section):
            if is_none(line) or not _shares(line):
                continue
            what = f"no passport is planned before {quoted(line)}"
            yield finding("WK804", log.file.path, number, what)
            return


def _lines(document: Document, section: Section) -> Iterator[tuple[str, int]]:
    """Yield a section's lines without bullets and boxes, with their numbers in the file. A line
    that is ticked off is done.

    `- [ ] upload` gives `upload`, `2. evaluate` gives `evaluate`, and `- [x] upload` nothing.
    """
    for part in facts.parts(section):
        for node in part.nodes:
            text = document.text[node.span.start : node.span.end]
            if _TICKED_OFF.match(text):
                continue
            bare = _BULLET.sub("", text).strip()
            if bare:
                yield bare, node.span.line


def _shares(line: str) -> bool:
    """Whether a line plans to share or evaluate a checkpoint.

    `evaluate on all scenes` and `hand over to the robot team` do. `evaluate whether the loss
    falls`, `do not upload`, and `upload the logs` do not.
    """
    bare = line.replace("*", "").replace("`", "")
    for match in _SHARES.finditer(bare):
        if _DENIES.search(bare[: match.start()]):
            continue
        rest = match["rest"]
        # `evaluate loss curves` and `upload the dataset` are not of weights.
        not_of_weights = _NOT_OF_WEIGHTS if match["eval"] else _DATA
        if not not_of_weights.match(rest):
            return True
    return False
