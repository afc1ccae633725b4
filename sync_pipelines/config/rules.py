"""The written form of a rule: the same in a schema's defaults, in the store, on the command line and in an API."""

import math
import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, ValidationError, model_validator

from sync_pipelines.config.document import Document, or_text, refusing
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import FieldRule, Transform

LONGEST_SOURCE = 5_000
MOST_TRANSFORMS = 20
MOST_SOURCES = 100


def _as_json(value: Any) -> Any:
    """What YAML makes of keys and dates, as JSON has them."""
    if isinstance(value, Mapping):
        return {_key(key): _as_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(part) for part in value]
    return value.isoformat() if isinstance(value, date) else value


def _key(key: Any) -> Any:
    if isinstance(key, bool) or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    return str(key) if isinstance(key, int | float) else key


def _storable(value: Any) -> bool:
    """Whether a JSON value can be kept and comes back as it was."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(_storable(part) for pair in value.items() for part in pair)
    return not isinstance(value, list | tuple) or all(map(_storable, value))


def _or_one(schema: dict[str, Any]) -> None:
    """An editor is to take one step without a list too."""
    several = {key: schema.pop(key) for key in ("type", "items", "maxItems") if key in schema}
    schema["anyOf"] = [several, several["items"]]


def _clean(written: str) -> str:
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in written):
        raise refusing("must not hold control characters")
    return written


SourceName = Annotated[str, Field(min_length=1, max_length=LONGEST_SOURCE), AfterValidator(_clean)]


class TransformDocument(Document):
    """One named step. A bare name stands for the step without options; its options stand beside `name`."""

    model_config = ConfigDict(extra="allow", json_schema_extra=or_text)
    __pydantic_extra__: dict[str, JsonValue]

    name: str = Field(min_length=1, max_length=100)

    @model_validator(mode="before")
    @classmethod
    def _a_bare_name(cls, written: Any) -> Any:
        return {"name": written} if isinstance(written, str) else _as_json(written)

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if not _storable(self.options):
            raise refusing("has an option that is no JSON value: a NUL, half a character or an endless number")
        return self

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})


class RuleDocument(Document):
    """How one column is made. A bare text stands for that field of the vendor, taken as it is."""

    model_config = ConfigDict(json_schema_extra=or_text)

    source: SourceName | None = Field(None, description="The vendor's field")
    sources: tuple[SourceName, ...] | None = Field(
        None, min_length=1, max_length=MOST_SOURCES, description="Several of them, for a transform that takes several"
    )
    transform: tuple[TransformDocument, ...] = Field(
        (),
        max_length=MOST_TRANSFORMS,
        description="Steps, one after the other; one needs no list",
        json_schema_extra=_or_one,
    )

    EXACTLY_ONE = (("source", "sources"),)

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, written: Any) -> Any:
        if isinstance(written, str):
            return {"source": written}
        if isinstance(written, Mapping) and isinstance(written.get("transform"), str | Mapping):
            return {**written, "transform": [written["transform"]]}
        return written

    @model_validator(mode="after")
    def _several_need_a_transform(self) -> Self:
        if len(self.sources or ()) > 1 and not self.transform:
            raise refusing("has several sources: add a `transform` that makes one value of them, such as concatenate")
        return self

    def rule(self) -> FieldRule:
        return FieldRule(
            sources=self.sources or (self.source or "",),
            transforms=tuple(Transform(name=each.name, options=each.options) for each in self.transform),
        )


def rule_from(written: Any) -> FieldRule:
    """The rule that a written one (a text, or a document as JSON) means. ConfigurationError with what to do."""
    if isinstance(written, FieldRule):
        return written
    try:
        return RuleDocument.model_validate(written).rule()
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
    at = ".".join(str(step) for step in problem["loc"])
    reason = str(problem["ctx"]["reason"]) if problem["type"] == "refused" else problem["msg"]
    raise ConfigurationError(
        f"This is not a rule ({at + ': ' if at else ''}{reason}). Write the vendor's field, or a document such as "
        '{"source": "Tier__c", "transform": {"name": "value_mapping", "values": {"A": "gold"}}}.'
    )


def rules_from(written: Mapping[str, Any]) -> dict[str, FieldRule]:
    """Rules by the schema's field. ConfigurationError names the field whose rule is none."""
    found: dict[str, FieldRule] = {}
    for name, rule in written.items():
        if not name or len(name) > LONGEST_SOURCE or any(unicodedata.category(each) in ("Cc", "Cs") for each in name):
            raise ConfigurationError("A mapping's field names must be texts without control characters.")
        try:
            found[name] = rule_from(rule)
        except ConfigurationError as problem:
            raise ConfigurationError(f"{name}: {problem}") from problem
    return found


def written_rule(rule: FieldRule) -> Any:
    """The shortest form of a rule, as JSON values; `rule_from` reads it back."""
    if rule.plain is not None:
        return rule.plain
    steps = [{"name": each.name, **each.options} if each.options else each.name for each in rule.transforms]
    form: dict[str, Any] = {"source": rule.sources[0]} if len(rule.sources) == 1 else {"sources": list(rule.sources)}
    if steps:
        form["transform"] = steps if len(steps) > 1 else steps[0]
    return form


def written_rules(rules: Mapping[str, FieldRule]) -> dict[str, Any]:
    return {name: written_rule(rule) for name, rule in rules.items()}
