"""The shapes of a life: a filter and what becomes of leavers, a transform, a schema policy; and what they mean.

Drawn from a stream of their own, so that lives without shapes go on as they were. What a filter and a transform mean is
written by hand here, from docs/filters.md and docs/transforms.md, and shares no code with the engine.
"""

from dataclasses import dataclass, replace

from sync_pipelines.model.filter import DELETE, KEEP, MARK, AllOf, AnyOf, Condition
from sync_pipelines.model.schema_change import DISCARD_FIELD, DISCARD_RECORD, EVOLVE, FREEZE
from sync_pipelines_tests.simulation.records import FIELDS, TEXTS

POLICIES = (EVOLVE, EVOLVE, FREEZE, DISCARD_FIELD, DISCARD_RECORD)
SHAPED = "tier"
"""The column that gets transforms: a text of a field that holds texts."""
KINDS = {"is_set": 2, "is_not_set": 1, "equals": 1, "not_equals": 2, "in": 4, "not_in": 4, "contains": 4}
"""Those that choose some records and not others come more often."""
PARTS = ("a", "ö", "he", "0", "X")


def _text(value):
    return "" if value is None else str(value)


TRANSFORMS = {
    "default_value": ({"value": "none"}, lambda value: _text(value) or "none"),
    "value_mapping": (
        {"values": {"null": "nothing", "0": "zero", "é": "e"}, "otherwise": "keep"},
        lambda value: {"null": "nothing", "0": "zero", "é": "e"}.get(value, value),
    ),
    "concatenate": ({}, lambda value: _text(value) or None),
    "drop": ({}, lambda value: None),
    "custom": (
        {"expression": "'[' + value + ']' if value else null"},
        lambda value: f"[{value}]" if value else None,
    ),
}
"""By name: options, and what becomes of the vendor's text (None: nothing is there)."""
FILLS_GAPS = ("default_value",)
"""They give a value where the account has no such field any more; what is right then is not said anywhere."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """`conditions`: (field, operator, values); none: every record is wanted. `any_of`: one of them is enough."""

    conditions: tuple = ()
    any_of: bool = False
    leaving: str = MARK
    policy: str = EVOLVE

    def __str__(self):
        told = f"schema policy {self.policy}"
        if self.conditions:
            word = " or " if self.any_of else " and "
            written = word.join(" ".join((field, kind, *map(repr, values))) for field, kind, values in self.conditions)
            told += f", only records with {written}, leavers: {self.leaving}"
        return told

    @property
    def filter(self):
        parts = tuple(Condition(field, kind, values) for field, kind, values in self.conditions)
        if not parts:
            return None
        return AnyOf(parts) if self.any_of else AllOf(parts)

    def chooses(self, fields):
        """Whether a record with these fields is wanted."""
        found = [_meets(fields.get(field), kind, values) for field, kind, values in self.conditions]
        return (any if self.any_of else all)(found) if found else True


def _meets(value, kind, values):
    there = value not in (None, "")
    folded, wanted = _text(value).lower(), [each.lower() for each in values]
    return {
        "is_set": there,
        "is_not_set": not there,
        "equals": there and folded in wanted,
        "in": there and folded in wanted,
        "not_equals": not there or folded not in wanted,
        "not_in": not there or folded not in wanted,
        "contains": there and any(part in folded for part in wanted),
    }[kind]


def drawn_shape(rng, setup):
    return reshaped(replace(Shape(), policy=rng.choice(POLICIES)), rng, setup)


def reshaped(shape, rng, setup):
    """With another filter, or none, and another choice for leavers. The policy stays."""
    conditions = tuple(_condition(rng, setup) for _ in range(rng.choice((0, 1, 1, 1, 2))))
    return replace(
        shape, conditions=conditions, any_of=rng.random() < 0.5, leaving=rng.choice((MARK, MARK, DELETE, KEEP))
    )


def _condition(rng, setup):
    field = rng.choice(FIELDS[setup.vendor, setup.word])
    kind = rng.choices(list(KINDS), weights=list(KINDS.values()))[0]
    if kind in ("is_set", "is_not_set"):
        return field, kind, ()
    if kind == "contains":
        return field, kind, (rng.choice(PARTS),)
    return field, kind, tuple(rng.sample(TEXTS, 1 if kind.endswith("equals") else rng.randint(3, 6)))


def drawn_transform(rng):
    """A name of TRANSFORMS, or "" for none."""
    return rng.choice(("", *TRANSFORMS))


def rule(source, transform):
    """As a mapping writes it."""
    options, _ = TRANSFORMS[transform]
    return {"source": source, "transform": {"name": transform, **options}}
