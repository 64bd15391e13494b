"""What words say of a job's state: `training complete, exit 0`, `did not finish`, `TIMEOUT at step
900`. Pure.

A line is read clause by clause. A word counts only where it speaks of the job: `checkpoint
complete`, `eval failed`, `completed 3 of 10 epochs`, `will be cancelled` and `no OOM` do not say
how the job stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from watchkeeper.core.text import lazy

COMPLETED = "completed"
FAILED = "failed"
CANCELLED = "cancelled"
ABANDONED = "abandoned"
TIMED_OUT = "timed out"
PREEMPTED = "preempted"
STOPPED = "stopped"
UNFINISHED = "not finished"
ENDED = "ended"
RUNNING = "running"
WAITING = "waiting"

ENDS = frozenset(
    {COMPLETED, FAILED, CANCELLED, ABANDONED, TIMED_OUT, PREEMPTED, STOPPED, UNFINISHED, ENDED}
)
"""The states of a job that works no more. `ended`: it is known that it did, not how."""
CUT_SHORT = frozenset({TIMED_OUT, PREEMPTED})
"""Ended by the cluster: such a run is meant to continue from its checkpoint."""


MOST_LETTERS = 2000
"""Of one line that are read for what they say: nobody writes more, and output that was pasted says
nothing.
"""


class Claim(msgspec.Struct, frozen=True):
    """What a text says of the job. `again`: it was started anew, whatever it was before."""

    state: str
    again: bool = False

    @property
    def end(self) -> bool:
        """Whether the job works no more, by this claim."""
        return self.state in ENDS


_CLAUSES = lazy.pattern(
    r"[;,](?=\s|$)|\.(?=\s|$)|\s[-–—|]+\s|[—–|()]|:(?=\s|$)|->|→|\b(?:but|then|and)\b"
)
_OTHERS = (
    r"sync\w*|upload\w*|download\w*|checkpoint\w*|ckpts?|sav(?:e|ed|es|ing)|validat\w*|warm-?up"
    r"|compil\w*|load\w*|transfer\w*|cop(?:y|ied|ying)|back-?ups?|install\w*|build\w*|archiv\w*"
    r"|rsync\w*|push\w*|publish\w*|sanity|profil\w*|stages?|phases?|shards?|files?|mov(?:e|ed|ing)"
    r"|clean-?up|analysis|plot\w*|passport|sign-?off|review\w*|setup|weights|wandb|w&b|moved"
    r"|tokeniz\w*|unit tests?|health check|note\w*|report\w*|paper|readme|hub"
)
_PARTS = r"|epochs?|steps?|iterations?"
_OTHER_JOBS = (
    r"|eval\w*|tests?|bench\w*|inference|rollouts?|convert\w*|conversion|export\w*|preprocess\w*"
    r"|smoke"
)
_HYPOTHETICAL = lazy.pattern(
    r"\b(?:will|would|should|could|can|may|might|must|to|be|if|once|when|until|till|before|unless"
    r"|after|needs?|wait(?:ing)? for|expect\w*|hop(?:e|ing)|plan\w*|risk(?: of)?|avoid\w*"
    r"|prevent\w*|against|fix(?:e[ds]|ing)?|debug\w*|in case(?: of)?|without|no|zero|0|since"
    r"|despite|likely|unlikely)(?:\s+(?:it|the|a|an|is|was|has|be|been|job|run|training|more|any"
    r"|get|it's|last|first|earlier|previous|further)){0,3}\s*$"
)
_NOT = lazy.pattern(
    r"\b(?:not|never|n't|didn't|don't|isn't|hasn't|wasn't"
    r"|cannot)\b(?:\s+(?:been|be|fully|really|yet|quite|even))*\s*$"
)
_PARTLY = lazy.pattern(
    r"(?:\b(?:half|halfway|partly|partially|mostly|nearly|almost|roughly|about)\b"
    r"|(?<!\d)(?!100(?:\.0+)? ?%)\d+(?:\.\d+)? ?%)(?:\s+(?:is|are|of \S+))*\s*$"
)
_SOME_OF = lazy.pattern(
    r"\s*(?:epochs?|steps?|iterations?|shards?|tasks?|files?)?\s*~?(\d[\d,.]*[km]?)\s*(?:/|of"
    r"|out of)\s*~?(\d[\d,.]*[km]?)\b"
)
_COUNTED = lazy.pattern(
    r"(?<![\d.])~?(\d[\d,.]*[km]?)\s*(?:/|of|out of)\s*~?(\d[\d,.]*[km]?)\s*(?:\w+\s*){0,2}$"
)
_EXIT = lazy.pattern(
    r"\b(?:exit(?:ed|s)?(?:[ _-]?(?:code|status))?|exit_code|rc|return(?:ed)?[ _-]?code"
    r"|returncode)\b(?:\s+with)?(?:\s+(?:code"
    r"|status))?\s*[:=]?\s*`?(-?\d{1,3})(?::(\d{1,3}))?(?![\d.])"
)
_PART_OF_JOB = lazy.pattern(
    r"\b(?:one|a|another|single|some|few)\b(?:\s+[\w-]+){1,3}\s*$|\bdata ?loader\b[^,;]*$"
)
_ADVERBS = r"(?:\s+(?:successfully|cleanly|normally|fine|early|again|now|ok))*"
_WORK = lazy.pattern(
    r"\s+(?:train\w*|fine-?tun\w*|pre-?train\w*|running|the (?:run|job|training)|all\b|in\b|at\b"
    r"|after\b|on\b)"
)

_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (state, lazy.pattern(pattern))
    for state, pattern in (
        (UNFINISHED, r"\b(?:incomplete|unfinished|did(?: not|n't) (?:finish|complete|succeed)"
         r"|never (?:finished|completed))\b"),
        (TIMED_OUT, r"\btimed[ -]?out\b|\btime-?out\b(?!\s*(?:=|\d|rais|set|increas|error))"
         r"|\b(?:out of time|due to time limit)\b"
         r"|\bkilled (?:at|by|on)(?: the)? (?:\S+ )?(?:wall-?time|time ?limit)"
         r"|\btime ?limit (?:was )?(?:reached|hit|exceeded)"
         r"|\b(?:hit|reached|exceeded|ran into)(?: the)? (?:\S+ )?(?:wall-?time|time ?limit)"
         r"|\bwall-?time\b(?! ?(?:[:=]|\d|of\b|is\b|left|remain|request"
         r"|limit (?:is|of|was set|\d)|raised|set))"),
        (PREEMPTED, r"\bpre-?empt(?:ed|ion)\b|\binterrupted\b"),
        (ABANDONED, r"\babandon(?:ed)?\b|\bgiven up\b|\bgave up\b|\bsuperseded\b|\bscrapped\b"
         r"|^\s*discard(?:ed)?\b(?!\s+(?:the |first )?\d)"
         r"|\b(?:run|job|attempt|experiment) (?:was )?discarded\b|\bobsolete\b"),
        (CANCELLED, r"\b(?:s?cancell?(?:ed|'ed)|scancel(?:'?l?ed)?)\b(?!\s+(?:the |an? )?(?:old"
         r"|other|previous|earlier|first|duplicate|queued|second))"
         r"|\bstopped (?:it )?(?:by hand|manually|by me|by us|by the user|on purpose)"
         r"|\b(?:manually|deliberately) (?:stopped|killed)"
         r"|\bkilled (?:it )?(?:by hand|manually|by me|on purpose)|\bterminated by (?:the )?user"),
        (FAILED, r"\bfail(?:ed|s|ure)?\b(?! (?:checks?|tests?|assertions?|shards?|files?|tasks?)\b)"
         r"|\bcrash(?:ed|es)?\b|\bdied\b|\boom(?:ed|-?killed)?\b|\b(?:ran )?out[ _]of[ _]memory\b"
         r"|\bkilled\b|\babort(?:ed)?\b|\berrored\b|\bnode[ _]?fail\w*|\bnode (?:was )?lost\b"
         r"|\blost (?:the )?node\b|\bsegfault\w*|\b(?:with|ended in|by) an? error\b"
         r"|^\s*errors?(?=\s*(?:$|[:,]|at\b|in\b|code))|\bnccl (?:time-?out|hang)\b"
         r"|\bdiverged\b(?=\s*$)|\btraceback\b"),
        (COMPLETED, r"\b(?:completed?|finished|done|succeeded|success)\b" + _ADVERBS
         + r"|\bearly[ -]stopp(?:ed|ing)\b|^\s*ok(?:ay)?\s*$"),
        (STOPPED, r"\bstopped\b|\bterminated\b"),
    )
)  # fmt: skip
_AGAIN = lazy.pattern(
    r"\b(?:re-?submitted|re-?started|re-?launched|re-?queued|resumed|re-?running|re-?ran"
    r"|running again|started again|submitted again|continued from|continues from|picked up again)\b"
)
_SUBMITTED = lazy.pattern(r"\b(?:submitted|queued|launched|pending|in queue|waiting|scheduled)\b")
_RUNNING = lazy.pattern(
    r"\b(?:running|in progress|progressing|healthy|advancing|ongoing|still (?:going|training|at it)"
    r"|going (?:well|fine|on|strong))\b|^\s*(?:still )?training\b(?=\s*$"
    r"|\s+(?:at|well|fine|normally|on|step|epoch|ok|steadily|smoothly))|\bstarted\b"
)
_SLURM = {
    "cd": COMPLETED, "f": FAILED, "ca": CANCELLED, "to": TIMED_OUT, "oom": FAILED,
    "out_of_memory": FAILED, "nf": FAILED, "node_fail": FAILED, "boot_fail": FAILED, "bf": FAILED,
    "deadline": TIMED_OUT, "dl": TIMED_OUT, "pr": PREEMPTED, "r": RUNNING, "cg": RUNNING,
    "completing": RUNNING, "pd": WAITING, "requeued": WAITING, "rq": WAITING, "suspended": WAITING,
    "ok": COMPLETED, "okay": COMPLETED, "success": COMPLETED, "successful": COMPLETED,
    "succeeded": COMPLETED, "passed": COMPLETED, "good": COMPLETED, "complete": COMPLETED,
    "✅": COMPLETED, "error": FAILED, "dead": FAILED, "❌": FAILED,
}  # fmt: skip
_STATE_NAMES = lazy.pattern(
    r"(?:(?:job|slurm|run|final|end|last|current)_)*(?:state|status|outcome)|sacct(?:_state)?"
    r"|ended_as|end_state|how_it_ended|verdict_of_run"
)
_EXIT_NAMES = lazy.pattern(
    r"(?:slurm_|job_|final_)*(?:exit(?:_code|_status)?|rc|return_?code|exitcode)"
)

_PLACE_OF_END = lazy.pattern(r"\b(?:at|after|on|in|by|near|around)\b")
_OF_OTHERS = lazy.pattern(rf"\b(?:{_OTHERS}{_OTHER_JOBS})\b")
_OF_PARTS = lazy.pattern(rf"\b(?:{_OTHERS}{_OTHER_JOBS}{_PARTS})\b")
_OF_OTHER_WORK = lazy.pattern(rf"\b(?:{_OTHERS})\b")
_OF_ITS_PARTS = lazy.pattern(rf"\b(?:{_OTHERS}{_PARTS})\b")


def is_note(text: str) -> bool:
    """Whether a line of Status is a person's remark, which is not about the job's state: `note: …`.

    `watchkeeper note` writes such lines.
    """
    return text.lstrip().casefold().startswith("note:")


def state_of(text: str, *, trains: bool = True) -> Claim | None:
    """What a line says of the job's state; None where it does not speak of it.

        running, step 2400             running
        training complete, exit 0      completed
        completed, exit code 1         failed
        TIMEOUT at step 900            timed out
        did not finish                 not finished
        resubmitted as 70455           waiting, again
        checkpoint complete            None: that is of the checkpoint
        completed 3 of 10 epochs       None
        will be cancelled, no OOM      None: neither has happened

    `trains` False: evaluations and conversions are the job itself, so that `eval failed` says
    `failed`. Of a long text only the first `MOST_LETTERS` characters are read.
    """
    text = text[:MOST_LETTERS].casefold().replace("’", "'")
    text = re.sub(r"[`*]", "", text).replace("~~", "")
    text = re.sub(r"\beta\b[^,;]*", "", text)  # what is expected has not happened
    if trains:
        of_others, of_parts = _OF_OTHERS, _OF_PARTS
    else:
        of_others, of_parts = _OF_OTHER_WORK, _OF_ITS_PARTS
    claim: Claim | None = None
    first_is_other = False
    for number, clause in enumerate(_clauses(text)):
        new = _of_clause(clause, of_others, of_parts)
        if new is None:
            if number == 0:
                first_is_other = of_others.search(clause) is not None
            continue
        is_bare_end = clause.strip() in ("done", "complete", "ok")
        if first_is_other and claim is None and is_bare_end:
            continue  # `weights moved, done` speaks of the weights
        claim = _later(claim, new)
    return _by_exit_code(text, claim)


def state_of_field(name: str, value: str) -> Claim | None:
    """What a field says of the job's state; None for any other field.

    `state: FAILED`, `exit_code: 0:9` and `outcome: completed, exit code 2` say `failed`. The words
    and abbreviations of Slurm's states count here, `CD` and `NODE_FAIL`; in free text they are too
    short to mean anything. `name` is in the form of `document.name_of`.
    """
    value = value.strip().strip("`*_ ")
    if _EXIT_NAMES.fullmatch(name):
        code = re.match(r"(-?\d{1,3})(?::(\d{1,3}))?(?!\d)", value)
        if code:
            return _by_code(code)
        return state_of(value)
    if not _STATE_NAMES.fullmatch(name):
        return None
    word = re.split(r"[\s,;:.(+—–]", value.casefold(), maxsplit=1)[0]
    if word in _SLURM:
        return _by_exit_code(value.casefold(), Claim(_SLURM[word]))
    return state_of(value)


def _by_code(code: re.Match[str]) -> Claim:
    """The end that an exit code and the signal behind it mean, as `sacct` prints them: `0:0` is
    completed; `1:0`, and `0:9`, which a signal ended, are failed.
    """
    exit_code, signal = code[1], code[2] or "0"
    if exit_code == "0" and signal == "0":
        return Claim(COMPLETED)
    return Claim(FAILED)


def _clauses(text: str) -> Iterator[str]:
    """The clauses of a line, with the space around them. Of `training: done, exit 0 (node lost)`:
    `training`, `done`, `exit 0`, `node lost`, and an empty one.
    """
    at = 0
    for mark in _CLAUSES.finditer(text):
        yield text[at : mark.start()]
        at = mark.end()
    yield text[at:]


def _later(before: Claim | None, new: Claim) -> Claim:
    """Of two claims of one line: the first end counts, unless the job was restarted after it.

    `completed, then failed` is completed: the rest of a line is often on what came after the job.
    `running, completed` is completed, and `failed, resubmitted` is waiting again.
    """
    if before is None or new.again:
        return new
    if before.end or not new.end:
        return before
    return Claim(new.state)


def _by_exit_code(text: str, claim: Claim | None) -> Claim | None:
    """An exit code decides where words do not: it makes a completed job a failed one, and never the
    other way round.

    `claim` is what the words say (None: nothing), and it is returned where the text names no code,
    or one that is only feared: `if it exits with 1`.
    """
    code = _EXIT.search(text)
    if code is None:
        return claim
    if _HYPOTHETICAL.search(text[: code.start()]):
        return claim
    by_code = _by_code(code)
    if claim is None:
        return by_code
    if claim.state in (RUNNING, WAITING):
        # `exit 1, resubmitted`: the code is of the execution before
        return claim if claim.again else by_code
    if claim.state == COMPLETED and by_code.state == FAILED:
        return by_code
    return claim


def _of_clause(clause: str, others: re.Pattern[str], parts: re.Pattern[str]) -> Claim | None:
    """What one clause says of the job: that it was restarted, else its end, else that it works.

    `others` are the words for other work than the job's (`upload`), `parts` those and the words for
    a part of it (`epoch`). None: it says none of this.
    """
    again = _AGAIN.search(clause)
    if again is not None and _is_of_job(clause, again.start(), others):
        waits = "submit" in again[0] or "queue" in again[0]
        return Claim(WAITING if waits else RUNNING, again=True)
    for state, match in _end_words(clause):
        end = _end(clause, state, match, parts)
        if end is not None:
            return end
    return _working(clause, others)


def _is_of_job(clause: str, at: int, others: re.Pattern[str]) -> bool:
    """Whether what stands at the offset `at` happened, and to the job itself: in `sync resubmitted`
    it is the sync that was.
    """
    if not _is_said(clause, at):
        return False
    return others.search(clause[:at]) is None


def _end_words(clause: str) -> list[tuple[str, re.Match[str]]]:
    """The words for an end in a clause, as they come; of two at one place the graver, which stands
    first in `_WORDS`: `killed by hand` is cancelled before it is failed.
    """
    words = []
    for state, pattern in _WORDS:
        words += [(state, match) for match in pattern.finditer(clause)]
    words.sort(key=lambda word: word[1].start())
    return words


def _end(clause: str, state: str, match: re.Match[str], others: re.Pattern[str]) -> Claim | None:
    """The end that a word in a clause means; None: it speaks of something else, or of no end.

    `crashed at checkpoint 4` is of the job, as the checkpoint is only the place; `checkpoint upload
    crashed` and `one data loader crashed` are not.
    """
    before, after = clause[: match.start()], clause[match.end() :]
    if _PART_OF_JOB.search(before):
        return None
    if _NOT.search(before):
        return _denied_end(state, before, after)
    if not _is_said(clause, match.start()):
        return None
    if state == COMPLETED:
        speaks_of_job = _is_whole(before, after, others)
    elif others.search(before):
        speaks_of_job = _PLACE_OF_END.search(before) is not None
    else:
        speaks_of_job = True
    if not speaks_of_job:
        return None
    return Claim(state)


def _denied_end(state: str, before: str, after: str) -> Claim | None:
    """What `not completed` means: that it never will be, unless it is not yet.

    `not failed` does not say how it ended, nor does `not done syncing`, which is of something else.
    """
    if state != COMPLETED:
        return None
    if re.match(r"\s+\w+ing\b", after):
        return None
    if "yet" in before or after.strip().startswith("yet"):
        return None
    return Claim(UNFINISHED)


def _is_whole(before: str, after: str, others: re.Pattern[str]) -> bool:
    """Whether `completed` speaks of all of the job, by the words around it.

    completed 10/10 epochs, completed 100 %, completed training     yes
    completed 3 of 10 epochs, 40 % complete, half completed         no: a part
    checkpoint complete, completed the checkpoint, done syncing     no: of something else
    """
    if _PARTLY.search(before):
        return False
    if re.match(r"\s*~?\d+(?:\.\d+)? ?%", after):
        return re.match(r"\s*100(?:\.0+)? ?%", after) is not None
    counted = _COUNTED.search(before) or _SOME_OF.match(after)
    if counted is not None:
        done, planned = counted[1].rstrip(".,"), counted[2].rstrip(".,")
        return done == planned
    names_job = re.search(r"\b(?:at|after|in|all|training|run|job)\b", before) is not None
    if not names_job and others.search(before):
        return False
    # `completed training`, `completed in 3 h`, `completed 12000 steps`
    if _WORK.match(after) or re.match(r"\s*~?\d", after):
        return True
    if re.match(r"\s+(?:with )?\w+ing\b", after):
        return False
    article = re.match(r"\s+(?:with )?(?:the |its |first |initial |last |an? )*", after)
    if article is None:
        return True
    return others.match(after, article.end()) is None


def _is_said(clause: str, at: int) -> bool:
    """Whether what stands at the offset `at` is said to have happened: not denied (`never
    crashed`), feared (`may crash`), hoped for (`should finish`) or waited for (`until it is done`).
    """
    before = clause[:at]
    if _HYPOTHETICAL.search(before):
        return False
    return _NOT.search(before) is None


def _working(clause: str, others: re.Pattern[str]) -> Claim | None:
    """Whether a clause says that the job waits (`queued`) or runs (`started on gpu-07`).

    None: it says neither, or only of other work: `sync started`, `running eval`.
    """
    for state, words in ((WAITING, _SUBMITTED), (RUNNING, _RUNNING)):
        match = words.search(clause)
        if match is None or not _is_said(clause, match.start()):
            continue
        before, after = clause[: match.start()], clause[match.end() :].lstrip()
        is_of_other_work = others.search(before) or others.match(after)
        if not is_of_other_work:
            return Claim(state)
    return None
