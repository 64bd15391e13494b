"""What is a secret, and is left out of everything that is recorded: by its name, or by the form of
a known token.

Nothing is judged by how random it looks: commits, hashes and ids look random too. Numbers, true,
false and empty values are no secrets under a name such as `pad_token` or `max_tokens`. What was
left out stands there as `<redacted>`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

REDACTED = "<redacted>"
SHORTEST = 15  # letters of a token that is known by its form

# ── forms: how a token of a kind begins, and of the rest an extended regular expression, the same
# to Python and to bash ──
FORMS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("hf_",), r"[A-Za-z0-9]{16,}"),  # Hugging Face
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"[A-Za-z0-9]{16,}"),  # GitHub
    (("github_pat_",), r"[A-Za-z0-9_]{16,}"),
    (("glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "gloas-"), r"[A-Za-z0-9_.-]{16,}"),  # GitLab
    (
        ("sk-proj-", "sk-ant-", "sk-or-", "sk-svcacct-", "sk-admin-", "sk-lf-"),
        r"[A-Za-z0-9_-]{12,}",
    ),  # OpenAI, Anthropic …
    (("sk-",), r"[A-Za-z0-9]{20,}"),
    (
        ("xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"),
        r"[A-Za-z0-9-]{10,}",
    ),  # Slack
    (("AKIA", "ASIA"), r"[A-Z0-9]{12,}"),  # AWS
    (("AIza",), r"[A-Za-z0-9_-]{30,}"),  # Google
    (("ya29.",), r"[A-Za-z0-9_-]{20,}"),
    (("eyJ",), r"[A-Za-z0-9_-]{8,}[.][A-Za-z0-9_-]{8,}([.][A-Za-z0-9_-]*)?"),  # a JSON Web Token
    (("npm_",), r"[A-Za-z0-9]{20,}"),
    (("pypi-",), r"[A-Za-z0-9_-]{20,}"),
    (("wandb_v1_",), r"[A-Za-z0-9_]{16,}"),
    (("gsk_",), r"[A-Za-z0-9]{20,}"),  # Groq
    (("nvapi-",), r"[A-Za-z0-9_-]{20,}"),  # NVIDIA
    (("sk_live_", "sk_test_", "rk_live_", "rk_test_"), r"[A-Za-z0-9]{16,}"),  # Stripe
    (("SG.",), r"[A-Za-z0-9_-]{16,}[.][A-Za-z0-9_-]{16,}"),  # SendGrid
    (("dapi",), r"[0-9a-f]{32}"),  # Databricks
    (("hvs.", "hvb."), r"[A-Za-z0-9_-]{20,}"),  # Vault
    (("lsv2_pt_", "lsv2_sk_"), r"[A-Za-z0-9_]{20,}"),  # LangSmith
    (("https://hooks.slack.com/", "http://hooks.slack.com/"), r"[A-Za-z0-9/_-]+"),
    (
        ("https://discord.com/api/webhooks/", "https://discordapp.com/api/webhooks/"),
        r"[A-Za-z0-9/_-]+",
    ),
)


def _expression(beginnings: tuple[str, ...], rest: str) -> str:
    """The expression of one kind of token: `(hf_)[A-Za-z0-9]{16,}`. Its dots are plain."""
    return f"({'|'.join(beginnings)})".replace(".", "[.]") + rest


PRIVATE_KEY = r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY"
SIGNED = (  # parameters of an address
    r"sig|signature|Signature|X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|X-Goog-Signature|AWSAccessKeyId"
    r"|token|access_token|api_key|apikey|key|auth|password"
)

# For bash, which looks at a value as a whole.
VALUES = (
    rf"(^|[^A-Za-z0-9_])({'|'.join(_expression(*form) for form in FORMS)})"
    rf"|{PRIVATE_KEY}|[?&;]({SIGNED})=[^&]|(Bearer|Basic) +[A-Za-z0-9]{{8}}"
    r"|://[^/[:space:]]*@|://[^[:space:]]*:[^[:space:]]*@"
)

# ── names of variables of an environment, in capitals, for bash
# All that may hold one: a name that is taken for a secret's costs a variable in a copy of the
# environment.
VARIABLES = (
    r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|COOKIE|SESSION|BEARER|DSN|WEBHOOK|JWT"
    r"|_PWD$|(^|_)PAT(_|$)|CONNECTION_STRING"
)
NO_VARIABLES = r"^TOKENIZERS_PARALLELISM$"
"""Those of its names that hold none."""


# ── names of settings
def _words(text: str) -> frozenset[str]:
    """The words of a list that is written as one text."""
    return frozenset(text.split())


_WORDS = r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+"
# Anywhere in the name, its words written together.
_PASSWORD = ("passw", "passphrase", "passcode")
_ALWAYS = (
    *_PASSWORD, "secret", "credential", "apikey", "accesskey", "privatekey", "authkey", "authtoken",
    "accesstoken", "webhook", "connectionstring", "bearer",
)  # fmt: skip
# What every name of a secret has in it.
HINTS = (
    "key", "token", "pass", "secret", "auth", "credential", "webhook", "bearer", "cookie",
    "connection", "jwt", "dsn", "pat", "pwd",
)  # fmt: skip
# The name of one of these is no secret, whatever it is about: `token_file`, `api_key_env`.
_ABOUT = _words(
    "path paths file files filename dir folder env var variable name names type types kind length "
    "len size count"
    " counts num limit ttl expiry prefix suffix index field column col method mode version "
    "required enabled ids"
)
_KEY_OF = _words(
    "api access private secret auth account ssh encryption encrypt signing sign master license "
    "licence storage"
    " service deploy deployment admin client consumer app application subscription session shared "
    "wandb wb openai"
    " anthropic claude hf huggingface comet neptune mlflow clearml aws s3 azure gcp google cohere "
    "mistral groq"
    " together openrouter replicate gemini deepseek langsmith langchain langfuse pinecone sendgrid "
    "stripe twilio"
    " datadog dd kaggle github gitlab tavily serper serpapi swanlab"
)
_TOKENS_OF = _words(
    "api access auth refresh bearer bot hf huggingface wandb github gitlab slack secret"
)
_WORD_OF_A_MODEL = _words(
    "pad padding eos bos unk unknown sep separator cls mask image images video audio vision speech "
    "special stop"
    " start begin end next per last first prompt think thinking reasoning response decoder encoder "
    "new prefix suffix"
    " middle fim boi eoi patch placeholder blank continue extra additional added target source "
    "language lang class"
    " classifier query register latent assistant instruction turn newline chat im context pooling "
    "single each every"
    " visual text mem memory sink"
)
_PASS_OF = _words(
    "db database user smtp mail email login http ftp ssh admin root redis mongo mysql pg "
    "postgres proxy"
)
_PAT_OF = _words("gh github gitlab git azure ado devops hf databricks snowflake ci access my")
_LAST = _words("auth authorization cookie cookies jwt dsn")
# The last word of a name → the words before it with which it names a secret ("": none is before).
_ONLY_AFTER = {
    "tokens": _TOKENS_OF,
    "key": _KEY_OF,
    "keys": _KEY_OF,
    "pass": _PASS_OF | {""},
    "pat": _PAT_OF | {""},
}
# The last word of a name → the words before it with which it names none.
_NEVER_AFTER = {"token": _WORD_OF_A_MODEL, "pwd": frozenset({"", "old"})}
# Numbers, switches, a model's special tokens (`<|endoftext|>`, `[PAD]`), and what stands for a
# value to come.
_NO_SECRET_VALUE = r"(?is)[\d.e+-]*|true|false|none|null|yes|no|on|off|<.*>|\[.*\]|\*+|\{.*"

# ── within a text
_START = r"(?<![A-Za-z0-9_])"


@functools.cache
def _pattern(expression: str) -> re.Pattern[str]:
    """Compiled when it is first needed, which in most programs it never is."""
    return re.compile(expression)


_BEARER = rf"(?i){_START}((?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{{8,}}"
_PRIVATE_KEY = rf"(?s){PRIVATE_KEY}.*?(?:-----END [A-Z ]{{0,40}}-----|\Z)"
_SIGNED = rf"([?&;](?:{SIGNED})=)[^&#\s\"']+"
# A password may hold an at, or a slash: then a host and a slash follow. A port is no password.
_LOGIN = rf"(?<=://)(?!git@|{REDACTED})(?:[^\s:/?#@\"']*:(?!\d+/)[^\s\"']{{0,300}}@(?=[\w.:-]+/)|[^\s/?#\"']{{1,300}}@)"
_ASSIGNED = (
    r"(?<![\w.-])(?P<name>[A-Za-z_-][\w.-]{0,100})(?P<sign>[\"']?[ \t]{0,4}(?:=|:(?!//))[ "
    r"\t]{0,4}[\"']?)"
    r"(?P<value>[^\s\"'&;,|)}\]]+)"
)
_OPTION = (
    r"(?<!\S)(?P<name>--?[A-Za-z][\w.-]{1,100})(?P<sign>[ \t]+[\"']?)(?P<value>[^\s\"'-][^\s\"']*)"
)


def is_name(name: str) -> bool:
    """Whether a setting or a variable of this name holds a secret: `hf_token`, `wandbApiKey`,
    `PGPASSWORD`; neither `tokenizer`, `max_tokens` and `pad_token` nor `sort_key` and `token_file`.

    The last word decides, with the one before it: `api_key` is one, `primary_key` is none. A number
    at the end (`hf_token_2`) changes nothing, a word such as `file` or `length` says that the name
    is only about one. Only the last 200 letters are read.
    """
    hint = name.lower()
    if not any(part in hint for part in HINTS):
        return False
    words = [word.lower() for word in _pattern(_WORDS).findall(name[-200:])]
    while words and words[-1].isdigit():
        words.pop()
    if not words or words[-1] in _ABOUT:
        return False
    together = "".join(words)
    if any(part in together for part in _ALWAYS):
        return True
    return _is_last_word(*_last_two(words))


def _last_two(words: Sequence[str]) -> tuple[str, str]:
    """The last word of a name, and the one before it ("": there is none). `value` and `string`
    behind another word add nothing to it: `hf_token_value` ends with `token`, after `hf`.
    """
    if len(words) > 1 and words[-1] in {"value", "string", "str"}:
        words = words[:-1]
    if len(words) == 1:
        return words[0], ""
    return words[-1], words[-2]


def _is_last_word(last: str, before: str) -> bool:
    """Whether a name that ends with these two words holds a secret: `token` after `hf` does, after
    `pad` it does not; `key` does only after a word such as `api`.
    """
    if last in _ONLY_AFTER:
        return before in _ONLY_AFTER[last]
    if last in _NEVER_AFTER:
        return before not in _NEVER_AFTER[last]
    return last in _LAST


def is_secret(name: str, value: object) -> bool:
    """Whether this value under this name is a secret, by the name. A number is one only under a
    password's name; nothing, true, false, an empty text and a token of a model's (`<|end|>`) are
    none. A list or a mapping under a secret's name is one as a whole.

        hf_token  "hf_abc"       yes
        hf_token  "$HF_TOKEN"    no: it says only where the value is
        api_key   5              no
        password  5              yes
    """
    if not is_name(name) or value is None or isinstance(value, bool):
        return False
    is_password = any(part in name.lower() for part in _PASSWORD)
    if isinstance(value, int | float):
        return is_password
    if isinstance(value, bytes):
        return value != b""
    if not isinstance(value, str):
        return True
    # `$TOKEN` says only where the value is.
    if value in ("", REDACTED) or value.startswith("$"):
        return False
    return is_password or not _is_harmless(value)


def _is_harmless(value: str) -> bool:
    """Whether a text under a secret's name is no secret all the same: a number, `true`, a special
    token of a model, a placeholder such as `***` or `{token}`.
    """
    return len(value) < 40 and _pattern(_NO_SECRET_VALUE).fullmatch(value) is not None


class SecretPlace(NamedTuple):
    """Where a secret stands in a text, and by what it is known."""

    start: int
    end: int
    reason: str


def secrets_in(text: str) -> Iterator[SecretPlace]:
    """Where private keys, logins and signatures in addresses and tokens of known forms stand in a
    text. They may overlap; what is assigned to a secret's name is not among them.

    Of `https://me:pw@host/x?sig=abc` these are `me:pw` and `abc`: offsets in characters, the end
    not included.
    """
    if "-----BEGIN" in text:
        for match in _pattern(_PRIVATE_KEY).finditer(text):
            yield SecretPlace(*match.span(), "a private key")
    if "://" in text and "@" in text:
        for match in _pattern(_LOGIN).finditer(text):
            yield SecretPlace(match.start(), match.end() - 1, "a login in an address")
    if "=" in text and ("?" in text or "&" in text):
        for match in _pattern(_SIGNED).finditer(text):
            yield SecretPlace(match.end(1), match.end(), "a signature in an address")
    for beginnings, rest in FORMS:
        for beginning in beginnings:
            if beginning in text:
                for match in _pattern(_START + _expression((beginning,), rest)).finditer(text):
                    yield SecretPlace(*match.span(), "the form of a known token")


def redact(text: str) -> str:
    """The text without what is a secret in it: tokens of known forms, private keys, logins and
    signatures in addresses, and what is assigned to a secret's name (`TOKEN=…`, `--api-key …`,
    `password: …`).

    `curl -H "Authorization: Bearer abcdefgh" https://me:pw@host/` becomes
    `curl -H "Authorization: Bearer <redacted>" https://<redacted>@host/`. What was redacted before
    stays as it is: a second call changes nothing.
    """
    if len(text) < 4:
        return text
    text = _without_keys_and_logins(text)
    if len(text) >= SHORTEST:
        text = _without_forms(text)
    lower = text.lower()
    if "bearer " in lower or "basic " in lower:
        text = _pattern(_BEARER).sub(rf"\1{REDACTED}", text)
    if any(part in lower for part in HINTS):
        text = _without_assigned(text)
    return text


# Each pattern is tried only where a cheap look finds a sign of it: this reads every line of a job.


def _without_keys_and_logins(text: str) -> str:
    """The text without private keys, and without logins and signatures in addresses."""
    if "-----BEGIN" in text:
        text = _pattern(_PRIVATE_KEY).sub(REDACTED, text)
    if "://" in text and "@" in text:
        text = _pattern(_LOGIN).sub(f"{REDACTED}@", text)
    if "=" in text and ("?" in text or "&" in text):
        text = _pattern(_SIGNED).sub(rf"\1{REDACTED}", text)
    return text


def _without_assigned(text: str) -> str:
    """The text without what is assigned to a secret's name, as a setting (`TOKEN=…`,
    `password: …`) or as an option and its value (`--api-key …`).
    """
    if "=" in text or ":" in text:
        text = _pattern(_ASSIGNED).sub(_assigned, text)
    if "-" in text:
        text = _pattern(_OPTION).sub(_assigned, text)
    return text


def _without_forms(text: str) -> str:
    """The text without tokens of known forms, wherever they stand."""
    for beginnings, rest in FORMS:
        for beginning in beginnings:
            if beginning in text:
                text = _pattern(_START + _expression((beginning,), rest)).sub(REDACTED, text)
    return text


def _assigned(match: re.Match[str]) -> str:
    """An assignment without its value, where that is a secret; else as it was."""
    name, sign, value = match["name"], match["sign"], match["value"]
    kept = value.startswith(REDACTED) or not is_secret(name, value)
    if kept:
        return match[0]
    return f"{name}{sign}{REDACTED}"


def without_secret_words(words: list[Any]) -> list[Any]:
    """The words of a command without those that follow an option which is named like a secret:
    `--api-key …`. Whatever is no word is left as it is.

    `["curl", "--api-key", "abc", "url"]` becomes `["curl", "--api-key", "<redacted>", "url"]`.
    Behind `--verbose`, or behind `--api-key=abc`, which holds its value itself, nothing is hidden.
    """
    kept: list[Any] = []
    option = ""
    for word in words:
        is_word = isinstance(word, str)
        is_value = option and is_word and not word.startswith("--")
        if is_value and is_secret(option, word):
            kept.append(REDACTED)
        else:
            kept.append(word)
        if is_word and word.startswith("-") and "=" not in word:
            option = word
        else:
            option = ""
    return kept


def redact_words(words: Iterable[str]) -> list[str]:
    """The words of a command without the secrets in them: those behind a secret's option, and what
    `redact` finds within the others.
    """
    redacted: list[str] = []
    for word in without_secret_words(list(words)):
        if word == REDACTED:
            redacted.append(word)
        else:
            redacted.append(redact(word))
    return redacted
