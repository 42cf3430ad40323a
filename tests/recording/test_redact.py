"""Secrets are taken out by their shape; what is none stays."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.recording.redact import redact

A = "a1B2c3D4"
SECRETS = {
    "anthropic": f"sk-ant-api03-{A * 4}-{A}",
    "openai": f"sk-proj-{A * 4}_{A}",
    "openai old": f"sk-{A * 6}",
    "openrouter": f"sk-or-v1-{A * 6}",
    "github": f"ghp_{A * 5}",
    "github app": f"ghs_{A * 5}",
    "github fine": f"github_pat_{A * 3}_{A * 5}",
    "gitlab": f"glpat-{A * 3}",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "aws secret": "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "stripe": f"sk_live_{A * 3}",
    "stripe restricted": f"rk_test_{A * 3}",
    "stripe webhook": f"whsec_{A * 4}",
    "slack": f"xoxb-123456789012-123456789012-{A * 3}",
    "slack webhook": f"https://hooks.slack.com/services/T00000000/B00000000/{A * 3}",
    "discord webhook": f"https://discord.com/api/webhooks/123456789012345678/{A * 5}",
    "discord": f"M{A * 3}.{A[:6]}.{A * 4}",
    "google": f"AIzaSy{A * 4}x",
    "google secret": f"GOCSPX-{A * 3}",
    "google token": f"ya29.{A * 4}",
    "heroku": "HEROKU_API_KEY=12345678-1234-1234-1234-123456789abc",
    "twilio": "SK" + "0123456789abcdef" * 2,
    "sendgrid": f"SG.{A * 3}.{A * 5}",
    "mailgun": "key-" + A * 4,
    "npm": f"npm_{A * 5}",
    "pypi": f"pypi-AgEIcHlwaS5vcmc{A * 6}",
    "hugging face": f"hf_{A * 4}",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJ",
    "bearer": f"Authorization: Bearer {A * 3}",
    "url": f"postgres://admin:{A}@db.example.com/x",
    "assigned": f"API_KEY={A * 2}",
    "json": f'{{"password": "{A}"}}',
    "yaml": f"client_secret: {A}{A}",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpA\n-----END RSA PRIVATE KEY-----",
    "cut key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE",
    "escaped key": "-----BEGIN EC PRIVATE KEY-----\\nMHcCAQEE\\n-----END EC PRIVATE KEY-----\\n",
}
CORES = [A, "wJalr", "AKIAIO", "0123456789abcdef", "12345678-", "SflKx", "MIIE", "b3Bl", "MHcC"]


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_taken_out(secret: str) -> None:
    clean = redact(f"before {secret} after")
    assert "[redacted:" in clean
    assert clean.startswith("before ")
    assert [core for core in CORES if core in clean] == []


def test_the_kind_is_said() -> None:
    assert redact(f"it is {SECRETS['github']}, see?") == "it is [redacted:github], see?"
    assert redact(f"PASSWORD={A}") == "PASSWORD=[redacted:secret]"
    assert redact(SECRETS["url"]) == "postgres://[redacted:password]@db.example.com/x"


HARMLESS = [
    "This is a normal text without any secrets.",
    "max_tokens=4096, token count: 17",
    "the password is required; token: string",
    "commit 0123456789abcdef0123456789abcdef01234567",
    "sha256:" + "0123456789abcdef" * 4,
    "a task-oriented-approach-to-software-engineering",
    "https://example.com/a/b?c=d#e and user@example.com:22",
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----",
    "def secret(self) -> str:",
    "basic understanding of things",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@given(st.text())
def test_what_is_clean_stays_clean(text: str) -> None:
    assert redact(redact(text)) == redact(text)


HARD = [
    "eyJ",
    "M" * 30,
    "MaB",
    "sk-",
    "token=",
    "-----BEGIN ",
    "://a",
    "://:",
    "bearer a",
    "SG.",
    "a.",
]


@pytest.mark.parametrize("piece", HARD)
def test_no_text_takes_long(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    began = time.perf_counter()
    redact(text)
    assert time.perf_counter() - began < 5  # minutes, did it grow with the square
