"""SIGNOFF.json, read and written.

It names a passport and the files beside it by their hashes, and says with which verdict somebody
vouched for them. Without a signature beside it, it is attribution: whoever can write the folder can
write it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from watchkeeper.core.criteria import Standing
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Number
from watchkeeper.core.version import __version__
from watchkeeper.publish import names
from watchkeeper.publish.documents import read_document

SCHEMA_VERSION = "0.2"
SUPPORTED = ("0.2",)
TOOL = "watchkeeper checkpoint sign"
"""The tool of a sign-off that a person asked for."""
AUTOMATIC = "watchkeeper run (attribution by the tool, no person looked)"
"""The tool of a sign-off that the main job made by itself."""
OUR_TOOLS = (TOOL, AUTOMATIC)


class SignedFile(msgspec.Struct, frozen=True):
    """A file below the checkpoint's folder, and the sha256 of its bytes, in hex."""

    path: str
    sha256: str


class Signer(msgspec.Struct, frozen=True):
    """The program that wrote the sign-off, and its version; "": not stated."""

    tool: str
    version: str = ""


class StatedCriterion(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody expected of the evaluations of this checkpoint, and what came of it when the
    sign-off was written. `verdict` is `met`, `missed`, `open` where no evaluation had reported the
    metric, or `does not count` where the criterion was not `stated_before_first_evaluation`. `met`
    and `missed` map evaluations to their value.
    """

    criterion: str
    stated_before_first_evaluation: bool
    verdict: str
    met: dict[str, Number] = {}
    missed: dict[str, Number] = {}

    @classmethod
    def of(cls, standing: Standing) -> StatedCriterion:
        """A criterion as the journal knows it."""
        return cls(
            criterion=standing.criterion,
            stated_before_first_evaluation=standing.before,
            verdict=standing.verdict,
            met=standing.met,
            missed=standing.missed,
        )

    @property
    def words(self) -> str:
        """In one line."""
        when = "after an evaluation was submitted"
        if self.stated_before_first_evaluation:
            when = "before the first evaluation"
        return f"{self.criterion}: {self.verdict}; stated {when}"


class OwnFields(msgspec.Struct, frozen=True, kw_only=True):
    """What Watchkeeper says beyond the document's own fields."""

    criteria: tuple[StatedCriterion, ...] = ()


class Signoff(msgspec.Struct, frozen=True, kw_only=True):
    """What a sign-off says. `verdict` is `pass` or `soft_signal` where it is honest; whatever else
    was written there is kept as it is. `verdict_reason` is None where none was given. `watchkeeper`
    is None where nothing is said beyond the document's own fields.
    """

    schema_version: str
    signed_at: Annotated[datetime, Meta(tz=True)]
    signed_by: Signer
    artifacts: tuple[SignedFile, ...]
    verdict: str
    verdict_reason: str | None = None
    watchkeeper: OwnFields | None = None

    @property
    def is_automatic(self) -> bool:
        """Whether the main job made it by itself."""
        return self.signed_by.tool == AUTOMATIC

    @property
    def is_ours(self) -> bool:
        """Whether this program wrote it, and may write it again."""
        return self.signed_by.tool in OUR_TOOLS


def read_signoff(root: Path) -> Signoff | None:
    """The sign-off of the checkpoint in `root`; None: it has none.

    Raises:
        UsageError: the document is there and is no sign-off.
    """
    path = root / names.SIGNOFF
    if not path.exists() and not path.is_symlink():
        return None
    return signoff_of(read_document(path))


def signoff_of(document: Mapping[str, Any]) -> Signoff:
    """What a document says.

    Raises:
        UsageError: a field is missing or has another type.
    """
    try:
        return msgspec.convert(document, Signoff)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{names.SIGNOFF} is no sign-off: {error}",
            hint="sign the checkpoint again: watchkeeper checkpoint sign",
            code="bad-signoff",
        ) from error


def write_out(signoff: Signoff) -> dict[str, Any]:
    """The document, in the order in which it is written."""
    fields = {
        "schema_version": signoff.schema_version,
        "signed_at": signoff.signed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "signed_by": {"tool": signoff.signed_by.tool, "version": signoff.signed_by.version},
        "artifacts": [{"path": file.path, "sha256": file.sha256} for file in signoff.artifacts],
        "verdict": signoff.verdict,
        "verdict_reason": signoff.verdict_reason,
    }
    if signoff.watchkeeper is not None:
        fields["watchkeeper"] = msgspec.to_builtins(signoff.watchkeeper)
    return fields


def signer(tool: str) -> Signer:
    """This version of Watchkeeper as the signer."""
    return Signer(tool=tool, version=__version__)
