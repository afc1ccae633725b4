"""Secrets taken out of texts: those that this process knows, and whatever looks like one by the company it keeps."""

import re
from typing import Final
from urllib.parse import quote

from sync_pipelines.model.secret import MASK, known_texts

SHORTEST: Final = 8
"""Characters. A shorter secret is found in words that are none."""

_NAMES: Final = (
    "access_token|refresh_token|id_token|client_secret|code_verifier|private_key|api_key|apikey|hapikey|passwd|password"
    "|pwd|secret|assertion|signature|encryption_keys?|token|code|sid|session_id"
)
_VALUE: Final = r"""(?:"[^"]*"|'[^']*'|[^\s"'&,;)}\]]+)"""
_PATTERNS: Final = (
    # Authorization: Bearer abc, in headers as they are sent and as Python or JSON shows them
    (re.compile(r"""(?i)(authorization["']?\s*[:=]\s*["']?)(?:\w+\s+)?[^\s"',}]+"""), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(bearer)(\s+)[A-Za-z0-9._~+/=!:-]{6,}"), rf"\1\2{MASK}"),
    # X-Api-Key: abc and the like, whoever's
    (
        re.compile(r"""(?i)\b(x-[\w-]{0,40}(?:key|token|secret|signature)(?:-v\d)?["']?\s*[:=]\s*["']?)[^\s"',}]+"""),
        rf"\1{MASK}",
    ),
    # scheme://user:password@host
    (re.compile(r"(://[^\s/:@?#]*:)[^\s/]+(?=@)"), rf"\1{MASK}"),
    # ?access_token=abc, password='a b' of a DSN, a form
    (re.compile(rf"(?i)(?<![\w])((?:{_NAMES})=){_VALUE}"), rf"\1{MASK}"),
    # "access_token": "abc" in JSON and in Python's own form
    (re.compile(rf"""(?i)(["'](?:{_NAMES})["']\s*:\s*){_VALUE}"""), rf'\1"{MASK}"'),
    # Tokens of our own API
    (re.compile(r"\bsp_[A-Za-z0-9_-]{43}"), f"sp_{MASK}"),
    # Secrets of endpoints, and HubSpot's tokens of private apps
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]{16,}"), f"whsec_{MASK}"),
    (re.compile(r"\bpat-[a-z]{2,3}\d-[0-9A-Za-z-]{8,}"), f"pat-{MASK}"),
    # Who knows such an address may write to the channel or start the Zap
    (re.compile(r"""(?i)(https?://hooks\.(?:slack|slack-gov|zapier)\.com/)[^\s"'<>]+"""), rf"\1{MASK}"),
)


def without_known(text: str) -> str:
    """The text without the secrets that this process holds at the moment."""
    for secret in _known():
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def masked(text: str) -> str:
    """As `without_known`, and without what looks like a secret: bearer tokens, passwords in URLs, values of names such
    as client_secret."""
    text = without_known(text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _known() -> list[str]:
    """Longest first: one may hold another."""
    found = {text for text in known_texts() if len(text) >= SHORTEST}
    found |= {quoted for text in found if (quoted := quote(text, safe="")) != text}
    return sorted(found, key=len, reverse=True)
