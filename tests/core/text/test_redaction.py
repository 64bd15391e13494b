"""What counts as a secret: by name, by form, in texts and in commands; and what does not."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watchkeeper.core.text import redaction
from watchkeeper.core.text.redaction import REDACTED, is_name, is_secret, redact, redact_words

NAMES = """
token hf_token hfToken HF_TOKEN GH_PAT SLACK_WEBHOOK wandb_api_key apiKey APIKey PGPASSWORD password
passwd db_pass secret client_secret aws_secret_access_key AWS_ACCESS_KEY_ID ssh_key private_key
openai_key credentials DSN sentry_dsn x-api-key hub_token webhook_url user.password authorization
cookie db_pwd token2 api_keys slack_bot_token token_value
"""
OTHERS = """
tokenizer max_tokens num_tokens sort_key token_type_ids pad_token eos_token key keys keyframes
primary_key text_key num_key_value_heads tokenizer_name token_file api_key_env public_key
image_token author path forward_pass num_passes compass bypass file_pat PWD
additional_special_tokens tokens_per_second seed session monkey stop_tokens pattern
"""

# In pieces, so that nothing that looks for secrets finds one here.
TOKENS = {
    "Hugging Face": "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
    "GitHub": "ghp_" + "Zq3xR7vT1mK9" * 3,
    "GitHub, fine-grained": "github_pat_" + "11AAAA_bbbb" * 4,
    "GitLab": "glpat-" + "aB3dE5fG7hI9jK1lM3nO",
    "OpenAI": "sk-" + "proj-aB3dE5fG7hI9jK1lM3nO",
    "Anthropic": "sk-" + "ant-api03-aB3dE5fG7hI9jK1lM3nO",
    "Slack": "xoxb-" + "123456789012-abcdefghij",
    "AWS": "AKIA" + "Z7Q3X5R7V1TM9K2J",
    "Google": "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4eXoxMjM0NSJ9." + "Qw3rT5yU7iO9" * 3,
    "npm": "npm_" + "aB3dE5fG7hI9jK1lM3nOpQ5rS7tU9vW1xY3z",
    "PyPI": "pypi-" + "AgEIcHlwaS5vcmcCJGQwMGQw",
    "webhook": "https://hooks.slack.com/services/" + "T0ZZ/B0ZZ/xK3vQ9mT7r",
}
HARMLESS = (
    "commit 1234567890abcdef1234567890abcdef12345678",
    "sha256:" + "0123456789abcdef" * 4,
    "run_20260102T030405Z_a1b2c3d4",
    "meta-llama/Llama-3.1-8B-Instruct",
    "/data/hf_home/datasets--x/snapshots/abc",
    "http://localhost:8000/a@b",
    "ssh://git@github.com/me/repo.git",
    "https://host:443/x?y=1&page=2",
    "sk-learn-pipeline-with-a-long-name",
    "--max_tokens 512 --pad_token <pad> --sort_key=loss --token-file a.txt",
    "token=$HF_TOKEN",
    "s3://bucket/key/prefix",
    "the mask token is [MASK]: fine",
)


@pytest.mark.parametrize("name", NAMES.split())
def test_names_of_secrets_are_known(name):
    """Whatever is written under such a name is no one else's business."""
    assert is_name(name) and is_secret(name, "x")


@pytest.mark.parametrize("name", OTHERS.split())
def test_names_that_only_look_like_secrets_are_not(name):
    """A tokenizer is no token, and the key to sort by opens nothing."""
    assert not is_name(name)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("token", None, False),
        ("token", False, False),
        ("token", "", False),
        ("bot_token", 17, False),
        ("bot_token", "<|bot|>", False),
        ("sep_token", "[SEP]", False),
        ("hf_token", "$HF_TOKEN", False),
        ("password", 1234, True),
        ("password", "1234", True),
        ("api_keys", ["a"], True),
        ("lr", "x", False),
    ],
)
def test_a_value_can_show_that_it_is_no_secret(name, value, expected):
    """Nothing, true, false, numbers and a model's special tokens are none; a password may be a
    number.
    """
    assert is_secret(name, value) is expected


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_tokens_are_known_by_their_form(token):
    """A token of a known form is left out, wherever in a text it stands, and the text around it is
    not.
    """
    assert redact(f"--arg {token}, then") == f"--arg {REDACTED}, then"
    assert redact(f"x={token}") == f"x={REDACTED}"


@pytest.mark.parametrize("text", HARMLESS)
def test_commits_ids_and_addresses_are_kept(text):
    """What only looks random, or only stands near such a word, is kept."""
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://me:s3@h/db", f"postgres://{REDACTED}@h/db"),
        ("postgres://me:s@3/x@h/db", f"postgres://{REDACTED}@h/db"),
        ("redis://:s3@h:6379/0", f"redis://{REDACTED}@h:6379/0"),
        ("https://s3@github.com/a/b", f"https://{REDACTED}@github.com/a/b"),
        (
            "git+https://oauth2:s3@gitlab.com/x.git@v1",
            f"git+https://{REDACTED}@gitlab.com/x.git@v1",
        ),
        ("https://h/d?sv=1&sig=s3%3D&x=2", f"https://h/d?sv=1&sig={REDACTED}&x=2"),
        ("export WANDB_API_KEY=s3 && go", f"export WANDB_API_KEY={REDACTED} && go"),
        ('{"password": "s3", "lr": 1}', f'{{"password": "{REDACTED}", "lr": 1}}'),
        ("run --hf_token s3 --lr 1", f"run --hf_token {REDACTED} --lr 1"),
        (
            "a\n-----BEGIN RSA PRIVATE KE" + "Y-----\ns3\n-----END RSA PRIVATE KEY-----\nb",
            f"a\n{REDACTED}\nb",
        ),
    ],
)
def test_secrets_within_a_text_are_left_out(text, expected):
    """Logins, signatures, assignments, options and private keys are cut out; the rest of the text
    stays.
    """
    assert redact(text) == expected
    assert redact(expected) == expected


def test_words_of_a_command_lose_their_secrets():
    """The word after an option that is named like a secret is left out, and so is a value in the
    same word.
    """
    words = [
        "a.py",
        "--hf-token",
        "s3",
        "--lr",
        "1",
        "-e",
        "TOKEN=s3",
        "model.api_key=s3",
        "--pad_token",
        "<pad>",
    ]
    kept = [
        "a.py",
        "--hf-token",
        REDACTED,
        "--lr",
        "1",
        "-e",
        f"TOKEN={REDACTED}",
        f"model.api_key={REDACTED}",
    ]
    assert redact_words(words) == [*kept, "--pad_token", "<pad>"]


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_bash_knows_the_same_forms(token):
    """The expressions that the wrapper uses mean to bash what they mean here."""
    test = ["bash", "-c", "[[ $1 =~ $2 ]]", "bash"]
    assert subprocess.run([*test, f"--arg {token}", redaction.VALUES]).returncode == 0
    for text in HARMLESS[:5]:
        assert subprocess.run([*test, text, redaction.VALUES]).returncode == 1


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet=st.sampled_from("ab:/@=-?&'\" \n{}<>.TOKENtoken"), max_size=200))
def test_any_text_can_be_looked_at(text):
    """No text raises, and looking twice changes nothing more than looking once."""
    once = redact(text)
    assert redact(once) == once
