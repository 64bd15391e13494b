"""The signature of all files of a checkpoint, `model.sig`, which model_signing makes and verifies:
`model_signing verify key` accepts it. The files are hashed here, once and on all cores.
"""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchkeeper.core.disk import files
from watchkeeper.core.errors import UsageError
from watchkeeper.publish import names
from watchkeeper.publish.documents import DocumentError, parse_document, read_document
from watchkeeper.publish.manifest.files import LEFT_OUT, FileRecord, list_files
from watchkeeper.publish.manifest.hashing import hash_files
from watchkeeper.publish.signing.keys import Key, public_pem, refuse_inside
from watchkeeper.publish.signing.outcomes import Bad, Outcome, Unknown, Verified
from watchkeeper.publish.signing.signers import Signer, Signers
from watchkeeper.tools.file_formats import short

if TYPE_CHECKING:
    from model_signing.manifest import Manifest

# What model_signing leaves out of every model unless asked otherwise.
_GIT_PATHS = (".git", ".gitattributes", ".github", ".gitignore")
# What a signature cannot cover, or what lies beside the model on one machine alone.
_OWN_PATHS = (
    names.MODEL_SIGNATURE,
    names.SIGNOFF_SIGNATURE,
    names.SUMS,
    *LEFT_OUT,
)
_MISMATCH = "Signature mismatch"
"""How model_signing begins its error where a signature holds, and the files are others."""
_MOST_SHOWN = 5
IGNORED = frozenset({*_GIT_PATHS, *_OWN_PATHS})


def is_signed_over(path: str) -> bool:
    """Whether `model.sig` covers a file of this path: all but the signatures themselves, and what
    Git, the Hugging Face client and Watchkeeper keep for themselves.
    """
    return not any(path == ignored or path.startswith(f"{ignored}/") for ignored in IGNORED)


def sign_model(root: Path, key: Key, records: Sequence[FileRecord] | None = None) -> Path:
    """Sign the files of a checkpoint and write `model.sig` into its root. `records` are those of
    all its files; None: they are hashed here.

    Raises:
        KeyFileError: the key lies inside the checkpoint.
        ForeignSignatureError: there is a `model.sig` that this key did not make; it is kept.
        StorageError: it could not be written.
        OSError: a file cannot be read.
    """
    from model_signing import signing

    path = root / names.MODEL_SIGNATURE
    refuse_inside(key.path, root)
    refuse_foreign_signature(path, key)
    hashed: Any = _Hashed(root, records)
    password: Any = key.passphrase  # declared as text, and used as bytes
    config = _new(signing.Config).set_hashing_config(hashed)
    config.use_elliptic_key_signer(private_key=key.path, password=password)
    with tempfile.TemporaryDirectory(prefix="watchkeeper-") as folder:
        made = Path(folder, names.MODEL_SIGNATURE)
        config.sign(root.resolve(), made)
        data = files.read_whole(made)
    files.replace(path, data)
    return path


def _new(kind: Any) -> Any:
    """An instance of a class whose constructor has no types."""
    return kind()


class ForeignSignatureError(UsageError):
    """A signature of somebody else has the name of ours."""

    code = "exists"


def refuse_foreign_signature(path: Path, key: Key) -> None:
    """Refuse to take the place of a signature that another key made.

    Raises:
        ForeignSignatureError: one is there.
    """
    if not path.exists() and not path.is_symlink():
        return
    try:
        is_ours = not path.is_symlink() and _key_named_in(read_document(path)) == key.fingerprint
    except (DocumentError, OSError):
        is_ours = False
    if not is_ours:
        raise ForeignSignatureError(
            f"{path} was made with another key, and is kept",
            hint=(
                f"move it away, then type the same command again: mv {path.name} {path.name}.theirs"
            ),
        )


def verify_model(
    root: Path, signers: Signers, records: Sequence[FileRecord] | None = None
) -> Outcome:
    """Whether a trusted signer signed the files of a checkpoint. `records` are those of all its
    files, as they are now; None: they are hashed here. A file that the signature does not cover
    makes it bad.

    Raises:
        OSError: there is no `model.sig`, or a file cannot be read.
    """
    path = root / names.MODEL_SIGNATURE
    try:
        fingerprint = _key_named_in(read_document(path))
    except DocumentError as error:
        return Bad(message=str(error))
    for signer in signers:
        if signer.fingerprint == fingerprint:
            return _verify(root, path, records, signer)
    return Unknown(fingerprint=short(fingerprint))


def _key_named_in(bundle: dict[str, Any]) -> str:
    """The fingerprint that a bundle names, "" where it names none: it was signed in another way."""
    material = bundle.get("verificationMaterial")
    public = material.get("publicKey") if isinstance(material, dict) else None
    hint = public.get("hint") if isinstance(public, dict) else None
    if isinstance(hint, str) and hint:
        return f"SHA256:{hint}"
    return ""


def _verify(
    root: Path, path: Path, records: Sequence[FileRecord] | None, signer: Signer
) -> Outcome:
    from model_signing import verifying

    hashed = _Hashed(root, records)
    with tempfile.TemporaryDirectory(prefix="watchkeeper-") as folder:
        public = Path(folder, "key.pub")
        public.write_bytes(public_pem(signer.public))
        config = _new(verifying.Config).use_elliptic_key_verifier(public_key=public)
        config.set_hashing_config(hashed)
        try:
            with redirect_stdout(io.StringIO()):  # it prints warnings there
                config.verify(root.resolve(), path)
        except Exception as error:  # whatever a damaged signature makes the library raise
            return Bad(message=_reason(path, hashed, signer, error))
    return Verified(name=signer.name, fingerprint=signer.fingerprint, statement={})


def _reason(path: Path, hashed: _Hashed, signer: Signer, error: Exception) -> str:
    if str(error).startswith(_MISMATCH):
        differences = _differences(_signed_digests(path), hashed.digests)
        return f"the signature of {signer.name} does not fit the files: {differences}"
    text = short(" ".join(str(error).split()))
    if text:
        return f"the signature of {signer.name} does not hold: {text}"
    return f"the signature of {signer.name} does not hold: it was changed"


def _signed_digests(path: Path) -> dict[str, str]:
    """The files in a signature that holds: each path → its SHA-256."""
    payload = base64.b64decode(read_document(path)["dsseEnvelope"]["payload"])
    resources = parse_document(payload, str(path))["predicate"]["resources"]
    return {resource["name"]: resource["digest"] for resource in resources}


def _differences(signed: Mapping[str, str], present: Mapping[str, str]) -> str:
    """How the files differ from those that were signed, in words."""
    changed = [name for name in signed.keys() & present.keys() if signed[name] != present[name]]
    kinds = {
        "changed": changed,
        "missing": signed.keys() - present.keys(),
        "not signed": present.keys() - signed.keys(),
    }
    return "; ".join(f"{kind}: {_some(paths)}" for kind, paths in kinds.items() if paths)


def _some(paths: Collection[str]) -> str:
    shown = ", ".join(short(path) for path in sorted(paths)[:_MOST_SHOWN])
    if len(paths) > _MOST_SHOWN:
        return f"{shown}, and {len(paths) - _MOST_SHOWN:,} more"
    return shown


class UncoveredPathError(Exception):
    """A signature leaves out files that a model can be loaded from."""


class _Hashed:
    """Hashes that are known, in the place of a hashing configuration of model_signing."""

    def __init__(self, root: Path, records: Sequence[FileRecord] | None) -> None:
        """The files in `root` that a signature covers. `records` are their hashes; None: the files
        are hashed now. A link among them is noted: model_signing refuses one.
        """
        self._name = root.resolve().name
        listed, _ = list_files(root)
        if records is None:
            records = hash_files(root, filter(is_signed_over, listed.files))
        self._records = [record for record in records if is_signed_over(record.path)]
        is_link = any((root / record.path).is_symlink() for record in self._records)
        self._has_links = is_link or bool(listed.links)

    @property
    def digests(self) -> dict[str, str]:
        """The files that a signature has to cover: each path → its SHA-256."""
        return {record.path: record.sha256 for record in self._records}

    def add_ignored_paths(self, *, model_path: Path, paths: Iterable[str]) -> None:
        """Take note of what a signature leaves out by its own word.

        Raises:
            UncoveredPathError: it is more than we leave out.
        """
        del model_path
        more = sorted(set(paths) - IGNORED)
        if more:
            raise UncoveredPathError(f"it leaves out {short(more[0])}, which may hold anything")

    def hash(self, model_path: Path, *, files_to_hash: object = None) -> Manifest:
        """The manifest of the known hashes."""
        from model_signing._hashing.hashing import Digest
        from model_signing.manifest import Manifest, SerializationType

        del model_path, files_to_hash
        serialization = SerializationType.from_args(
            {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": self._has_links,
                "ignore_paths": sorted(IGNORED),
            }
        )
        items = [
            serialization.new_item(record.path, Digest("sha256", bytes.fromhex(record.sha256)))
            for record in self._records
        ]
        return Manifest(self._name, items, serialization)
