"""Addresses that anybody may see: the sites of models, data, code and papers."""

from __future__ import annotations

from watchkeeper.publish.sanitize.rules.words import words

PUBLIC = words(
    """
    huggingface.co hf.co github.com githubusercontent.com github.io gitlab.com bitbucket.org
    codeberg.org arxiv.org doi.org openreview.net aclanthology.org paperswithcode.com
    semanticscholar.org neurips.cc mlr.press nature.com acm.org ieee.org springer.com
    pytorch.org tensorflow.org python.org pypi.org readthedocs.io readthedocs.org anaconda.org
    conda-forge.org docker.com docker.io quay.io ghcr.io nvcr.io nvidia.com openai.com
    anthropic.com google.com googleapis.com kaggle.com zenodo.org figshare.com wikipedia.org
    wikimedia.org w3.org schema.org json-schema.org jsonschema.net apache.org gnu.org
    opensource.org creativecommons.org spdx.org schedmd.com in-toto.io slsa.dev sigstore.dev
    mozilla.org ietf.org iana.org rfc-editor.org unicode.org stackoverflow.com medium.com
    wandb.ai wandb.com tensorboard.dev mlflow.org ray.io lightning.ai meta.com llama.com
    mistral.ai cohere.com eleuther.ai stanford.edu laion.ai commoncrawl.org inspect.ai
    aisi.org.uk npmjs.com crates.io rust-lang.org docs.rs kernel.org debian.org ubuntu.com
    microsoft.com amazon.com youtube.com w3id.org purl.org researchobject.org mkdocs.org
    shields.io img.shields.io colab.research.google.com
    """
)
_OWN = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "[::1]", "::1", ""})


def host_of(site: str) -> str:
    """The host in the part of an address between `//` and the first slash.

    `ann@Node7.uni-x.de:8888` → `node7.uni-x.de`, `[fe80::1]:80` → `[fe80::1]`; "" for a site that
    is only a port.
    """
    host = site.rpartition("@")[2].lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].rstrip(".")


def is_public(site: str) -> bool:
    """Whether this is a site for everybody, one below it, or the reader's own machine.

    `huggingface.co`, `cdn.huggingface.co:443` and `localhost:8888` are; a site that is not on the
    list is not, whoever runs it.
    """
    host = host_of(site)
    if host in _OWN:
        return True
    labels = host.split(".")
    # `a.b.co` is looked up as itself and as `b.co`; the last label alone is no site.
    sites = (".".join(labels[at:]) for at in range(len(labels) - 1))
    return any(name in PUBLIC for name in sites)
