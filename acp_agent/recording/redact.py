"""Takes secrets out of text that people will read or pass on: `[redacted:kind]` stands there.

By their shape only. What has no shape, such as a password in prose, is not found; a word may be
taken for a secret that is none. Text must come whole: half a secret may look like nothing.
"""

from __future__ import annotations

import re

# Every pattern takes time that grows with the text and no faster: none looks far ahead in vain.
_VALUE = r"""["']?\s{0,3}[:=]\s{0,3}["']?"""
_PATTERNS: tuple[tuple[str, str], ...] = (
    # A key that was cut off is one up to the end of the text.
    (
        "private_key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    ),
    ("private_key", r"AGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    ("anthropic", r"sk-ant-[\w-]{10,}"),
    ("openai", r"sk-(?:proj|svcacct|admin|or|None)-[\w-]{16,}"),
    ("openai", r"sk-[A-Za-z0-9]{20,}"),
    ("github", r"gh[pousr]_[A-Za-z0-9]{20,}"),
    ("github", r"github_pat_\w{20,}"),
    ("gitlab", r"gl(?:pat|ptt|dt|rt|cbt)-[\w-]{16,}"),
    ("aws", r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16,}"),
    ("aws", rf"(?i:aws_?secret_?(?:access_?)?key{_VALUE})[A-Za-z0-9/+=]{{16,}}"),
    ("stripe", r"[srp]k_(?:live|test)_[A-Za-z0-9]{10,}"),
    ("stripe", r"whsec_[A-Za-z0-9+/=]{16,}"),
    ("slack", r"xox[abeoprs]-[\w-]{10,}"),
    ("slack", r"xapp-[\w-]{10,}"),
    ("slack", r"hooks\.slack\.com/(?:services|workflows)/[\w/-]{8,}"),
    ("discord", r"discord(?:app)?\.com/api/webhooks/\d{6,}/[\w-]{10,}"),
    ("discord", r"[MNO][A-Za-z\d_-]{22,30}\.[\w-]{6}\.[\w-]{27,}"),
    ("google", r"AIza[\w-]{30,}"),
    ("google", r"GOCSPX-[\w-]{16,}"),
    ("google", r"ya29\.[\w-]{16,}"),
    ("heroku", r"HRKU-[\w-]{16,}"),
    ("heroku", rf"(?i:heroku_?(?:api_?)?(?:key|token){_VALUE})[0-9a-fA-F-]{{36}}"),
    ("twilio", r"(?:SK|AC)[0-9a-f]{32}"),
    ("sendgrid", r"SG\.[\w-]{16,}\.[\w-]{16,}"),
    ("mailgun", r"key-[0-9a-zA-Z]{32}"),
    ("npm", r"npm_[A-Za-z0-9]{30,}"),
    ("pypi", r"pypi-[\w-]{32,}"),
    ("huggingface", r"hf_[A-Za-z0-9]{20,}"),
    ("jwt", r"eyJ[\w-]{10,}(?:\.[\w-]+){0,4}"),
    ("bearer", r"(?i:bearer|basic)\s{1,3}(?=[\w.~+/-]*\d)[\w.~+/-]{12,}=*"),
    ("password", r"(?<=://)[^\s/:@\"'<>]{0,256}:[^\s/@\"'<>]{1,256}(?=@)"),
)
# The name stays: it says what was there. A value without a digit, if it is short, is a word.
_ASSIGNED = re.compile(
    r"((?i:api_?-?key|secret(?:_?-?key)?|access_?-?key|private_?-?key|token|passw(?:or)?d|pwd)"
    rf"{_VALUE})"
    r"(?!\[redacted:)((?=[^\s\"',;&]*\d)[^\s\"',;&]{8,}|[^\s\"',;&]{24,})"
)
_COMPILED = tuple((f"[redacted:{kind}]", re.compile(pattern)) for kind, pattern in _PATTERNS)


def redact(text: str) -> str:
    """Return the text without what looks like a secret."""
    for instead, pattern in _COMPILED:
        text = pattern.sub(instead, text)
    return _ASSIGNED.sub(r"\1[redacted:secret]", text)
