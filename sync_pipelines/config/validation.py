"""From written documents to validated models, with every mistake told as file, line, field and fix."""

from collections.abc import Collection, Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sync_pipelines.config.document import Document, wrong_pairs
from sync_pipelines.config.environment import has_reference
from sync_pipelines.config.problems import Problem, did_you_mean, listed
from sync_pipelines.config.source import FieldPath, Source

Model = TypeVar("Model", bound=Document)

_WHAT_TO_DO = {
    "missing": "is missing: add it",
    "string_type": "must be text: write it in quotes",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "list_type": "must be a list: begin each item with `- `",
    "tuple_type": "must be a list: begin each item with `- `",
    "dict_type": "must be a mapping of `name: value`",
    "model_type": "must be a mapping of `name: value`",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}

_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def validated(
    source: Source, value: Any, model: type[Model], unfilled: Collection[FieldPath]
) -> tuple[Model | None, list[Problem]]:
    """The model of `value`, or None and what is wrong with it.

    `unfilled` are the fields whose environment reference could not be filled; that is told elsewhere, once.
    """
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    told = [(_place(source, detail), detail) for detail in details if detail["type"] != "refused" or detail["loc"]]
    problems = [
        source.problem(path, _message(source, detail, path, model))
        for path, detail in told
        if not any(_within(path, field) for field in unfilled)
        # A list of which no item is right counts as empty; its items have been told.
        and not (detail["type"] == "too_short" and any(_within(other, path) for other, _ in told if other != path))
    ]
    return None, problems + _of_the_whole(source, value, model, details)


def _of_the_whole(source: Source, value: Any, model: type[Document], details: list[ErrorDetails]) -> list[Problem]:
    """What is wrong with the document as a whole, which pydantic only looks at when every part is right."""
    given = {name: each for name, each in value.items() if each is not None}
    pairs = [source.problem((key,), message) for key, message in wrong_pairs(model, given)]
    whole = [str(detail["ctx"]["reason"]) for detail in details if detail["type"] == "refused" and not detail["loc"]]
    return pairs or [source.problem((), reason) for reason in whole]


def _within(path: FieldPath, outer: FieldPath) -> bool:
    return path[: len(outer)] == outer


def _place(source: Source, detail: ErrorDetails) -> FieldPath:
    """The document's path of an error: pydantic's own, without what stands only in our models."""
    location = tuple(detail["loc"])
    known = source.find(location)
    return location if detail["type"] == "missing" and len(location) == len(known) + 1 else known


def _message(source: Source, detail: ErrorDetails, path: FieldPath, model: type[BaseModel]) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == "extra_forbidden":
        known = _names_at(model, tuple(detail["loc"])[:-1])
        return f"is not known here.{did_you_mean(str(path[-1]), known)} Known: {listed(known)}"
    if detail["type"] == "choice":
        written = source.written(path)
        choices = context["choices"]
        return f"{shown(written)} is not known here.{guessed(written, choices)} Known: {listed(choices)}"
    if detail["type"] == "refused":
        return str(context["reason"])
    if detail["type"] in _BOUNDS:
        words, key = _BOUNDS[detail["type"]]
        return f"must be {words} {_number(context[key])}"
    return _WHAT_TO_DO.get(detail["type"], detail["msg"][:1].lower() + detail["msg"][1:])


def _number(bound: float) -> str:
    """As people write it: no exponent."""
    return str(int(bound)) if float(bound).is_integer() else f"{bound:g}"


def guessed(written: Any, known: Iterable[str]) -> str:
    """` Did you mean "x"?` for a text that was written out, else nothing."""
    return did_you_mean(written, known) if isinstance(written, str) and not has_reference(written) else ""


def shown(written: Any) -> str:
    """A written value for a message. What came from the environment is shown as its reference, never as its value."""
    if isinstance(written, str) and has_reference(written):
        return f"({written})"
    return f'"{written}"' if isinstance(written, str) else "this value"


def _names_at(model: type[BaseModel], location: FieldPath) -> list[str]:
    """The names that may be written in the mapping at `location` of a model."""
    current: Any = model
    for step in location:
        if isinstance(step, str) and _is_model(current):
            current = next((inner for names, inner in _fields(current) if step in names), None)
        current = _unwrapped(current)
    return [names[0] for names, _ in _fields(current)] if _is_model(current) else []


def _fields(model: type[BaseModel]) -> Iterator[tuple[list[str], Any]]:
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        choices = [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [alias or name]
        yield [str(choice) for choice in choices], field.annotation


def _unwrapped(annotation: Any) -> Any:
    """The model inside `Model | None`, `tuple[Model, ...]` and `Annotated[Model, ...]`."""
    if get_origin(annotation) is Annotated:
        return _unwrapped(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType, tuple, list):
        return next((_unwrapped(inner) for inner in get_args(annotation) if inner is not type(None)), None)
    return annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
