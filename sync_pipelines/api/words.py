"""Texts that callers send, as narrow as they may be."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints


def _storable(text: str) -> str:
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("must not hold NUL characters or half surrogate pairs")
    return text


Text = Annotated[str, StringConstraints(max_length=1_000), AfterValidator(_storable)]
CustomerId = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_storable)]
ObjectName = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_storable)]
Title = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_storable)
]
Key = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
SyncName = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_storable)]
