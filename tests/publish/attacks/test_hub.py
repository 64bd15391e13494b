"""A Hub that lies: what a stranger with a package's name and a public key is protected from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.publish.hub.conftest import hub, impatient
from tests.publish.hub.packages import REPO, asker, contents, place_at, upload
from tests.publish.hub.server import FakeHub
from tests.publish.package.packages import make_package, make_source
from tests.publish.signing.keyring import make_key, signer
from watchkeeper.publish.hub.download import UnverifiedError, fetch, list_package
from watchkeeper.publish.package.check import check_package
from watchkeeper.publish.signing.keys import Key

__all__ = ["hub", "impatient"]


WEIGHTS = "checkpoints/200/params/model.safetensors"


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Key:
    """The key that the stranger trusts."""
    return make_key(tmp_path_factory.mktemp("keys"), "ada")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, ada: Key) -> Path:
    """A package that Ada signed."""
    folder = tmp_path_factory.mktemp("hub")
    make_package(make_source(folder / "run"), folder / "package", key=ada)
    return folder / "package"


@pytest.fixture
def download(hub: FakeHub, ada: Key) -> Callable[[Path], object]:
    """Fetches the package as somebody who trusts Ada alone."""
    ask = asker(hub, "")
    trusted = (signer(ada),)

    def fetch_into(target: Path) -> object:
        listed = list_package(ask, place_at(hub), "main")
        return fetch(ask, listed, target, lambda part: check_package(part, signers=trusted))

    return fetch_into


def test_a_package_that_the_trusted_key_signed_comes_back(hub, package, download, tmp_path):
    """The way without an attack: it is verified, and as it was."""
    upload(hub, package)
    download(tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(package)


@pytest.mark.parametrize("name", [WEIGHTS, "README.md", "SIGNOFF.json", "TRAINING_LOG.md"])
def test_a_file_swapped_together_with_its_hash_is_refused(hub, package, download, tmp_path, name):
    """The Hub's list agrees with the other file; the signature does not."""
    upload(hub, package)
    repo = hub.repos[REPO]
    other = repo.files[name].data.replace(b"0", b"1", 1) + b" "
    repo.commit({**repo.files, name: hub.blob_of(other)})
    with pytest.raises(UnverifiedError):
        download(tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []


def test_a_package_signed_by_somebody_else_is_refused(hub, download, tmp_path):
    """Eve's whole and well signed package is not Ada's."""
    make_package(make_source(tmp_path / "run"), tmp_path / "eve", key=make_key(tmp_path, "eve"))
    upload(hub, tmp_path / "eve")
    with pytest.raises(UnverifiedError, match="not what was signed"):
        download(tmp_path / "copy")


@pytest.mark.parametrize(
    "name", ["model.zip", "checkpoints/200/params/pytorch_model.bin", "run.sh", "assets/x.html"]
)
def test_a_file_that_was_added_is_refused(hub, package, download, tmp_path, name):
    """A bomb, a pickle, a script and a page that nobody signed: none is opened or kept."""
    upload(hub, package)
    repo = hub.repos[REPO]
    repo.commit({**repo.files, name: hub.blob_of(b"PK\x03\x04" + bytes(5000))})
    with pytest.raises(UnverifiedError):
        download(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_file_that_was_taken_away_is_noticed(hub, package, download, tmp_path):
    """What is signed must be there."""
    upload(hub, package)
    repo = hub.repos[REPO]
    repo.commit({name: blob for name, blob in repo.files.items() if name != "SIGNOFF.json"})
    with pytest.raises(UnverifiedError):
        download(tmp_path / "copy")


def test_a_sign_off_that_says_what_it_likes_is_not_believed(hub, package, download, tmp_path):
    """A verdict that was edited breaks the signature."""
    upload(hub, package)
    repo = hub.repos[REPO]
    signoff = json.loads(repo.files["SIGNOFF.json"].data)
    signoff["verdict_reason"] = "trust me"
    data = json.dumps(signoff).encode()
    repo.commit({**repo.files, "SIGNOFF.json": hub.blob_of(data)})
    with pytest.raises(UnverifiedError):
        download(tmp_path / "copy")
