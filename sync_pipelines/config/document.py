"""What every model of written configuration shares: unknown keys are refused, and no value enters an error message."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Document(BaseModel):
    """A part of what people write, as YAML or JSON here and as JSON to an API."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
    )

    EXACTLY_ONE: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of keys of which one must be written, and not both."""
    UNLESS: ClassVar[tuple[str, tuple[str, ...]] | None] = None
    """A key, and words there with which neither of them is needed."""

    @model_validator(mode="after")
    def _has_exactly_one(self) -> Self:
        given = {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
        for _, message in wrong_pairs(type(self), given):
            raise refusing(message)
        return self


def or_text(schema: dict[str, Any]) -> None:
    """For `json_schema_extra` of a document that has a short form: an editor is to take a bare text too."""
    whole = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string"}, whole]


def wrong_pairs(model: type[Document], given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) for each pair of `EXACTLY_ONE` of which the `given` keys have both or none."""
    if model.UNLESS is not None and str(given.get(model.UNLESS[0])).casefold() in model.UNLESS[1]:
        return
    for usual, other in model.EXACTLY_ONE:
        if usual in given and other in given:
            yield other, f"says the same as `{usual}`: keep one of them"
        elif usual not in given and other not in given:
            yield usual, f"is missing: add it (or `{other}`)"


def refusing(reason: str) -> PydanticCustomError:
    """An error whose text is `reason`, as it stands."""
    return PydanticCustomError("refused", "{reason}", {"reason": reason})


@dataclass(frozen=True, eq=False)
class Choice:
    """Annotates a text that must be one of the keys, compared without case; the value becomes its meaning.

    `later` holds words that are known and refused for now, with the reason.
    """

    meanings: Mapping[str, str]
    later: Mapping[str, str] = field(default_factory=dict)

    def choose(self, written: Any) -> str:
        word = " ".join(written.split()).casefold() if isinstance(written, str) else ""
        if word in self.later:
            raise refusing(self.later[word])
        if word not in self.meanings:
            raise PydanticCustomError("choice", "is not one of the words known here", {"choices": list(self.meanings)})
        return self.meanings[word]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.choose)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.meanings)}


def _as_text(written: Any) -> Any:
    return str(written) if isinstance(written, int) and not isinstance(written, bool) else written


Identifier = Annotated[
    str, BeforeValidator(_as_text), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})
]
"""An id as the printed documents have them: a number or a text."""
