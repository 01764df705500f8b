"""Secrets in training texts: keys, private keys, e-mail addresses. A model repeats what it was trained on, so they are named before.

The patterns are the published forms of the keys; what only looks random is not reported. Knows texts alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_KEYS: tuple[tuple[str, str], ...] = (
    ("a private key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    ("an AWS access key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("an Anthropic key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    ("an OpenAI key", r"\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{20,}"),
    ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})"),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}\b"),
    ("a Google key", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("a Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("a Stripe key", r"\b[rs]k_live_[A-Za-z0-9]{16,}"),
    ("a JSON web token", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    (
        "a password or key",
        r"(?i:\b(?:api[_-]?key|secret[_-]?key|access[_-]?token|auth[_-]?token|passwd|password)\b[\"']?\s*[:=]\s*[\"'][^\"'\s]{8,}[\"'])",
    ),
)  # fmt: skip
_KEY = re.compile("|".join(f"(?P<k{place}>{pattern})" for place, (_, pattern) in enumerate(_KEYS)))
_HINTS = (
    "-----begin", "akia", "asia", "sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat", "glpat", "hf_", "aiza", "xox", "k_live", "eyj",
    "key", "token", "passw",
)  # fmt: skip
"""one of these, in small letters, is in every key: most texts are passed over by this alone, which is many times faster"""
_MAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b")
_NOBODY = re.compile(r"@(?:[\w-]+\.)*(?:example\.(?:com|org|net)|example|test|invalid|localhost)$", re.IGNORECASE)
"""addresses that are reserved for examples (RFC 2606)"""


def find(text: str) -> Iterator[tuple[str, str]]:
    """(problem's kind, sentence) of each sort of secret in a text, each sort once; the secret itself is not repeated whole."""
    small = text.lower()
    if any(hint in small for hint in _HINTS):
        told = set()
        for found in _KEY.finditer(text):
            what = _KEYS[int(str(found.lastgroup)[1:])][0]
            if what not in told:
                told.add(what)
                yield "secret", f"it holds what looks like {what} ({_hidden(found[0])})."
    if "@" in text:
        addresses = [each[0] for each in _MAIL.finditer(text) if not _NOBODY.search(each[0])]
        if addresses:
            more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
            yield "e-mail address", f"it holds the e-mail address {addresses[0][:60]}{more}."


def _hidden(secret: str) -> str:
    return f"{secret[:6]}..." if "PRIVATE KEY" not in secret else "PRIVATE KEY"
