"""The page of one run log, from the journal of its work. Pure.

History + About  →  compose(history, about, …)  →  Page (report/compose/page.py)
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from watchkeeper.core.events import Intended, Learned, Published, Vouched
from watchkeeper.core.text.zones import zone_of
from watchkeeper.report.compare.prior import fingerprint
from watchkeeper.report.compose.history import WELL, About, History, LogFile, LogView, shorten
from watchkeeper.report.compose.inert import make_inert
from watchkeeper.report.compose.job_blocks import compose_commit, compose_jobs
from watchkeeper.report.compose.page import NONE, PENDING, Page, Value
from watchkeeper.report.compose.results import Evaluation, compose_results
from watchkeeper.report.compose.status_lines import compose_status


def compose(
    history: History,
    about: About,
    zone: str,
    *,
    file: LogFile | None = None,
    evaluations: Sequence[Evaluation] = (),
) -> Page:
    """Compose the page of one run log.

    `file` None: the only run log of this work, or one that is to be made.
    """
    view = LogView(history, about, zone_of(zone), file)
    sections = {
        "mode": compose_mode(about),
        "config": compose_config(view),
        "results": compose_results(view, evaluations),
        "wandb": compose_wandb(view),
        "next": compose_next(view),
    }
    uploads = compose_hub(view)
    if uploads:
        sections["huggingface"] = uploads
    title = about.task
    if about.description:
        title = f"{about.task} — {about.description}"
    jobs = compose_jobs(view)
    status = compose_status(view)
    return make_inert(Page(title, sections, jobs, status, adopted=view.continued))


def compose_mode(about: About) -> list[Value]:
    """Say what kind of run it is, and what it is for; `pending` for what nobody has said."""
    return [
        Value("run_type", about.run_type or PENDING),
        Value("objective", about.objective or PENDING),
    ]


def compose_config(view: LogView) -> list[Value]:
    """Say what was run: script, configuration, dataset, settings and code."""
    about = view.about
    intended = view.first_intended
    values = []
    # The paths in a log that someone else began are relative to a folder of theirs.
    if about.root and not view.continued:
        values.append(_root_of(about))
    values.append(Value("script", about.script or NONE, quoted=True))
    values.append(_configs_of(view, intended))
    values.append(_dataset_of(about))
    values.append(Value("key settings", about.settings or NONE))
    if about.controls:
        values.append(Value("controls", about.controls))
    if intended is not None:
        values += _code_of(intended)
    return values


def _root_of(about: About) -> Value:
    """State the folder to which the paths in this log are relative, and on which machine it
    lies.
    """
    note = ""
    if about.host:
        note = f"on {about.host}; the paths in this log are from here"
    return Value("root", about.root, quoted=True, note=note)


def _configs_of(view: LogView, intended: Intended | None) -> Value:
    """State the configurations of the first attempt: `lr.yaml, data.yaml`, relative to the log's
    root, or `n/a` where it had none.
    """
    if intended is None or not intended.configs:
        return Value("config", NONE)
    names = ", ".join(map(view.path, intended.configs))
    return Value("config", names, quoted=True)


def _dataset_of(about: About) -> Value:
    """State the dataset, with its size, splits and address behind it; `pending` if nobody named
    it.
    """
    if not about.dataset:
        return Value("dataset", PENDING)
    return Value("dataset", about.dataset, quoted=True, note=about.dataset_facts)


def _code_of(intended: Intended) -> list[Value]:
    """State the commit and the branch that ran, and the fingerprint of script and configuration."""
    values = []
    if intended.git_sha:
        values.append(compose_commit(intended))
        if intended.git_branch and intended.git_branch != "(detached)":
            values.append(Value("branch", intended.git_branch, quoted=True))
    else:
        values.append(Value("commit", NONE, note=shorten(intended.git_fault)))
    purpose = fingerprint(intended.script_sha256, intended.configs.values(), intended.args)
    values.append(Value("fingerprint", purpose, quoted=True))
    return values


def compose_wandb(view: LogView) -> list[Value]:
    """Say where the W&B run lies, and its page or how to sync it. Empty: the work has not ended.

    - local: `r8/wandb/offline-run-20260311_150000-def456`
    - synced: pending — run watchkeeper wandb sync --entity ENTITY --project PROJECT r8/wandb/…
    - notes: pending
    """
    if view.last_judged is None:
        return []
    judged = view.last_with_wandb or view.last_judged
    learned = judged.learned or Learned()
    if learned.wandb:
        return _run_of_wandb(view, judged.attempt, learned)
    among = view.path(learned.wandb_among)
    if among:
        unsure = f"pending — {among} contains several runs; which one is this run's is not recorded"
        return [Value("local", unsure), Value("synced", PENDING), Value("notes", PENDING)]
    return [Value("local", NONE), Value("synced", NONE), Value("notes", NONE)]


def _run_of_wandb(view: LogView, attempt: int, learned: Learned) -> list[Value]:
    """State the folder and the pages of an attempt's W&B run."""
    local = view.path(learned.wandb)
    note = "" if attempt == view.attempts[-1] else f"of attempt {attempt}"
    values = [Value("local", local, quoted=True, note=note)]
    url = view.history.page_of(attempt)
    if url:
        values.append(Value("synced", url, quoted=True))
    else:
        folders = shlex.join(map(view.path, _segments(view, attempt, learned)))
        command = f"watchkeeper wandb sync --entity ENTITY --project PROJECT {folders}"
        values.append(Value("synced", f"pending — run {command}"))
    public = view.history.page_of(attempt, public=True)
    if public:
        values.append(Value("public", public, quoted=True))
    if learned.wandb_version:
        values.append(Value("wandb version", learned.wandb_version))
    return [*values, Value("notes", PENDING)]


def compose_hub(view: LogView) -> list[Value]:
    """Say what of this work was published, and where: the newest upload in full, of the others the
    repositories. Empty: nothing was.

        - repo: https://huggingface.co/demo/front-cam
        - uploaded checkpoints: 2000, 4000, params only
        - includes: MODEL_PASSPORT.json, SIGNOFF.json
        - signoff verdict: `pass`
    """
    uploads = [upload for upload in view.history.published if upload.attempt in view.attempts]
    if not uploads:
        return []
    uploads.sort(key=lambda upload: (upload.time, upload.repo))
    newest = uploads[-1]
    values = [
        Value("repo", newest.url, note=_proposal_of(newest)),
        Value("uploaded checkpoints", _checkpoints_of(newest), note=_attempt_of(view, newest)),
        Value("includes", ", ".join(newest.includes) or NONE),
        Value("signoff verdict", newest.verdict or NONE, quoted=True, note=newest.why),
    ]
    others = dict.fromkeys(upload.url for upload in uploads if upload.url != newest.url)
    if others:
        values.append(Value("uploaded before to", ", ".join(others)))
    return values


def _proposal_of(upload: Published) -> str:
    """Name the pull request of an upload that awaits its repository's owner. "": it has none."""
    if not upload.pull_request:
        return ""
    return f"proposed: {upload.pull_request}"


def _checkpoints_of(upload: Published) -> str:
    """Write which steps were published, and whether with what a trainer keeps beside the weights:
    `2000, 4000, params only`, `final, full`.
    """
    what = "full" if upload.is_full else "params only"
    return ", ".join([*upload.checkpoints, what])


def _attempt_of(view: LogView, upload: Published) -> str:
    """Name the attempt whose checkpoints were uploaded. "": the newest, of which the page is."""
    if upload.attempt == view.attempts[-1]:
        return ""
    return f"of attempt {upload.attempt}"


def _segments(view: LogView, attempt: int, learned: Learned) -> list[str]:
    """The folders of a W&B run, with those that earlier attempts left of the same run, the oldest
    first.

    An attempt that resumes a run offline leaves a further folder with the same id; all of them
    together are the run that is synced.
    """
    folders: dict[str, None] = {}
    for number in view.attempts:
        judged = view.history.judged.get(number)
        if judged is None or judged.learned is None or number >= attempt:
            continue
        before = judged.learned
        if _id_of(before.wandb) == _id_of(learned.wandb):
            folders |= dict.fromkeys((*before.wandb_earlier, before.wandb))
    return list(folders | dict.fromkeys((*learned.wandb_earlier, learned.wandb)))


def _id_of(folder: str) -> str:
    """W&B's id of a run, from the name of its folder: `offline-run-<date>_<time>-<id>`."""
    return folder.rpartition("run-")[2].partition("-")[2]


def compose_next(view: LogView) -> list[Value]:
    """Say how to continue a training that has ended. Empty: it has not, or it is an evaluation."""
    judged = view.last_judged
    if judged is None or view.is_evaluation:
        return []
    checkpoint = ""
    if judged.learned is not None:
        checkpoint = view.path(judged.learned.checkpoint)
    command = view.about.command
    if judged.outcome in WELL:
        key, text = "for more steps", f"raise the epochs in the configuration, then run {command}"
    else:
        key = "resume"
        again = view.about.again or f"{command} --retry-failed"
        text = f"fix the cause ({judged.state}), then run {again}"
        if checkpoint:
            text += f"; the newest complete checkpoint is {checkpoint}"
    values = [Value(key, text)]
    if judged.learned is not None and checkpoint:
        vouched = view.history.vouched.get(judged.learned.checkpoint)
        if vouched is not None and vouched.attempt != judged.attempt:
            vouched = None
        values.append(Value("before it is shared", _papers_of(checkpoint, vouched)))
    return values


def _papers_of(checkpoint: str, vouched: Vouched | None) -> str:
    """Say what a checkpoint needs before anybody else uses it, or has. `checkpoint` is its path as
    the log shows it; None: nobody has looked.
    """
    sign = f"watchkeeper checkpoint sign {shlex.quote(checkpoint)}"
    if vouched is None:
        passport = f"watchkeeper checkpoint passport {shlex.quote(checkpoint)}"
        return (
            f"MODEL_PASSPORT.json + SIGNOFF.json for {checkpoint} come before any evaluation "
            f"elsewhere, upload or hand-off of it: {passport}, then {sign}"
        )
    if vouched.signed:
        check = f"watchkeeper checkpoint validate {shlex.quote(checkpoint)} --require-signoff"
        reason = f": {shorten(vouched.why)}" if vouched.why else ""
        return (
            f"{checkpoint} has a SIGNOFF.json ({vouched.verdict}{reason}) by {vouched.by}; check "
            f"it with {check}"
        )
    if vouched.verdict == "soft_signal":
        sign += " --reason TEXT"
    return (
        f"{checkpoint} is not signed ({vouched.verdict}: {shorten(vouched.why)}), which comes "
        f"before any evaluation elsewhere, upload or hand-off of it: {sign}"
    )
