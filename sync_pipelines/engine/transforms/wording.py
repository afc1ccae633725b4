"""Mistakes in a transform's options, in words that say what to do."""

from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sync_pipelines.config.problems import did_you_mean, listed
from sync_pipelines.engine.transforms.registry import Options

_WORDS: Final = {
    "string_type": "must be a text: write it in quotes",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "dict_type": "must be a mapping of `value: text`",
}


def told_mistakes(mistakes: ValidationError, options: type[Options]) -> str:
    return "; ".join(_told(each, options) for each in mistakes.errors(include_url=False, include_input=False))


def _told(mistake: ErrorDetails, options: type[Options]) -> str:
    place = ".".join(map(str, mistake["loc"]))
    known = [field.alias or name for name, field in options.model_fields.items()]
    if mistake["type"] == "extra_forbidden":
        takes = f"it takes {listed(known)}" if known else "it takes no options"
        return f"does not know the option {place}.{did_you_mean(place, known)} Take it out; {takes}"
    if mistake["type"] == "missing":
        return f"needs the option {place}: {_described(options, str(mistake['loc'][0]))}"
    if mistake["type"] == "literal_error":
        return f"{place} must be {mistake['ctx']['expected']}"
    if mistake["type"] in ("value_error", "refused"):
        reason = mistake.get("ctx", {}).get("error") or mistake["ctx"]["reason"]
        return f"{place} {reason}" if place else str(reason)
    return f"{place} {_WORDS.get(mistake['type'], mistake['msg'][:1].lower() + mistake['msg'][1:])}"


def _described(options: type[Options], written: str) -> str:
    for name, field in options.model_fields.items():
        if written in (name, field.alias):
            return field.description or "add it"
    return "add it"
