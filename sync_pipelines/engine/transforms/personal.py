"""Personal values made unreadable before they are loaded."""

import hashlib
import hmac
from typing import Any, Final

from pydantic import Field, model_validator

from sync_pipelines.engine.casting import to_text
from sync_pipelines.engine.transforms.registry import (
    TEXTS,
    Example,
    Function,
    Given,
    Kind,
    Options,
    Step,
    add,
    named,
    step_of_one,
)
from sync_pipelines.model.secret import Secret

EXAMPLE_KEY: Final = "the key of the examples"
_HASHED: Final = "936c30fc49831147d56fdc155dded1841b6faf3063821b532359a100d36bb017"


class _Hash(Options):
    trim: bool = Field(True, description="take blanks off both ends first")
    lowercase: bool = Field(False, description="make small letters of it first, as e-mail addresses want")


def _hash(options: _Hash, given: Given) -> Step:
    if given.hash_key is None or not given.hash_key.reveal():
        raise ValueError("needs a key: set SYNC_PIPELINES_HASH_KEY to a long random text, and keep it")
    keyed = hmac.new(given.hash_key.reveal().encode(), digestmod=hashlib.sha256)

    def make(value: Any) -> str:
        text = to_text(value)
        text = text.strip() if options.trim else text
        digest = keyed.copy()
        digest.update((text.lower() if options.lowercase else text).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    return step_of_one(make)


def _digest_of(text: str, hash_key: Secret) -> str:
    return hmac.new(hash_key.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()


add(
    Kind(
        name="hash",
        options=_Hash,
        make=_hash,
        told="HMAC-SHA256 with the key in SYNC_PIPELINES_HASH_KEY, as 64 hexadecimal digits. Equal values stay equal.",
        examples=(Example((" Ada@acme.example",), _HASHED, {"lowercase": True}),),
        many=False,
        gives=TEXTS,
        personal=True,
        mark=lambda hash_key: _digest_of("mark", hash_key)[:16] if hash_key else "",
    )
)


class _Mask(Options):
    first: int = Field(0, ge=0, le=100, description="characters at the beginning that stay")
    last: int = Field(0, ge=0, le=100, description="characters at the end that stay")
    sign: str = Field("*", min_length=1, max_length=1, description="what stands for each hidden character")
    length: int | None = Field(None, ge=1, le=100, description="always so many signs, so that the length is hidden too")

    @model_validator(mode="after")
    def _hides_something(self) -> "_Mask":
        if self.first + self.last > 100:
            raise ValueError("first and last together show more than 100 characters: mask shows the ends only")
        return self


@named(
    "mask",
    _Mask,
    Example(("4111111111111111",), "************1111", {"last": 4}),
    Example(("Ada Lovelace",), "A***", {"first": 1, "length": 3}),
    Example(("abc",), "***", {"last": 4}),
    gives=TEXTS,
    personal=True,
)
def mask(options: _Mask) -> Function:
    """Signs instead of characters, but for some at the ends. A text too short for that is hidden whole."""
    first, last = options.first, options.last

    def make(value: Any) -> str:
        text = to_text(value)
        hidden = len(text) - first - last
        shown = hidden > 0
        signs = options.sign * (options.length or (hidden if shown else len(text)))
        return text[:first] + signs + text[len(text) - last :] if shown else signs

    return make


class _Drop(Options):
    pass


@named("drop", _Drop, Example(("secret",), None), nulls=True, personal=True)
def drop(options: _Drop) -> Function:
    """Nothing: the column stays null, as long as this stands in the mapping."""
    return lambda value: None
