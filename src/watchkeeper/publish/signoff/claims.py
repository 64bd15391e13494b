"""What a sign-off claims, held against the passport and the clock; no file is hashed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from watchkeeper.publish import names
from watchkeeper.publish.checks import Check, Status
from watchkeeper.publish.signoff.document import SUPPORTED, Signoff

CLOCKS_DIFFER = timedelta(minutes=5)
"""How far the clocks of two machines may lie apart."""
SIGN = "watchkeeper checkpoint sign"
VERDICTS = ("pass", "soft_signal")
"""What a sign-off may say: a checkpoint that fails is never signed."""


def check(name: str, status: Status, message: str, where: str = "", hint: str = "") -> Check:
    """A check in the category of sign-offs."""
    return Check(
        category="signoff", name=name, status=status, message=message, where=where, hint=hint
    )


def missing(*, required: bool) -> Check:
    """The check of a checkpoint that nobody signed."""
    return check(
        "signoff-present",
        "fail" if required else "soft_signal",
        f"there is no {names.SIGNOFF}: nobody has vouched for this checkpoint",
        names.SIGNOFF,
        SIGN,
    )


def check_claims(
    signoff: Signoff, *, vouched: Status, generated: datetime | None, now: datetime
) -> Iterator[Check]:
    """Hold a sign-off's claims against what is known without its files. `vouched` is the verdict
    that the passport's own checks have now, `generated` when the passport says it was generated
    (None: it does not say).
    """
    yield _check_version(signoff)
    yield _check_verdict(signoff, vouched)
    yield _check_time(signoff, generated, now)
    yield from _check_list(signoff)
    if signoff.watchkeeper is not None:
        for one in signoff.watchkeeper.criteria:
            yield check("signoff-criterion", "pass", one.words, names.SIGNOFF)


def _check_version(signoff: Signoff) -> Check:
    version = signoff.schema_version
    if version in SUPPORTED:
        return check("signoff-version", "pass", f"schema version {version}", names.SIGNOFF)
    known = ", ".join(SUPPORTED)
    return check(
        "signoff-version",
        "fail",
        f"its schema version {version!r} is not supported (supported: {known})",
        names.SIGNOFF,
        "validate it with the version of the tool that wrote it, or sign the checkpoint again",
    )


def _check_verdict(signoff: Signoff, vouched: Status) -> Check:
    verdict, where = signoff.verdict, f"{names.SIGNOFF}: verdict"
    if verdict not in VERDICTS:
        message = f"the verdict is {verdict!r}: only {' or '.join(VERDICTS)} can be signed"
        return check("signoff-verdict", "fail", message, where, SIGN)
    if verdict != vouched:
        message = f"the verdict is {verdict}, and the checks of the passport now say {vouched}"
        hint = "look at what they found, then sign again"
        return check("signoff-verdict", "fail", message, where, hint)
    reason = (signoff.verdict_reason or "").strip()
    if verdict == "soft_signal" and not reason:
        message = "the verdict is soft_signal, and no reason is given"
        return check("signoff-verdict", "fail", message, where, f"{SIGN} --reason TEXT")
    words = f"{verdict}: {reason}" if reason else verdict
    return check("signoff-verdict", "pass", words, where)


def check_clock(signed: datetime, generated: datetime | None) -> Check | None:
    """The check that fails where a sign-off is older than the passport that it names; None: it is
    not. The clocks of two machines may lie `CLOCKS_DIFFER` apart.
    """
    if generated is None or signed >= generated - CLOCKS_DIFFER:
        return None
    return check(
        "signoff-time",
        "fail",
        f"signed at {signed.isoformat()}, before the passport was generated "
        f"({generated.isoformat()}): a clock was set back, or the sign-off is another's",
        f"{names.SIGNOFF}: signed_at",
        "set the clock right, then sign again",
    )


def _check_time(signoff: Signoff, generated: datetime | None, now: datetime) -> Check:
    signed, where = signoff.signed_at, f"{names.SIGNOFF}: signed_at"
    fault = check_clock(signed, generated)
    if fault is not None:
        return fault
    if signed > now + CLOCKS_DIFFER:
        message = f"signed at {signed.isoformat()}, ahead of this machine's {now.isoformat()}"
        hint = "compare the clocks of the two machines"
        return check("signoff-time", "soft_signal", message, where, hint)
    return check("signoff-time", "pass", f"signed at {signed.isoformat()}", where)


def _check_list(signoff: Signoff) -> Iterator[Check]:
    """Whether the passport is listed first, and no path twice."""
    paths = [file.path for file in signoff.artifacts]
    where = f"{names.SIGNOFF}: artifacts"
    if paths[:1] != [names.PASSPORT]:
        message = f"the first file is not {names.PASSPORT}: the sign-off vouches for no passport"
        yield check("signoff-list", "fail", message, where, SIGN)
    for path, count in Counter(paths).items():
        if count > 1:
            yield check("signoff-list", "fail", f"{path!r} is listed {count} times", where, SIGN)
