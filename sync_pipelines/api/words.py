"""Texts that callers send, as narrow as they may be."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, StringConstraints


def _storable(text: str) -> str:
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("must not hold NUL characters or half surrogate pairs")
    return text


def _sendable(token: SecretStr) -> SecretStr:
    text = token.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must hold printable ASCII characters alone, and no spaces")
    return token


Text = Annotated[str, StringConstraints(max_length=1_000), AfterValidator(_storable)]
CustomerId = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_storable)]
ObjectName = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_storable)]
Title = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_storable)
]
Address = Annotated[str, StringConstraints(max_length=1_000, pattern=r"^https?://[\x21-\x7e]+$")]
Token = Annotated[SecretStr, Field(min_length=1, max_length=10_000), AfterValidator(_sendable)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
SyncName = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_storable)]
