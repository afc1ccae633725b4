"""Expressions and templates that mean harm. Run as a program, it tries each and prints what became of it as JSON lines.

`benchmarks/hostile.py` measures how long each takes; the test beside this file looks at what becomes of them.
"""

import json
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from sync_pipelines.config.rules import rule_from
from sync_pipelines.engine.casting import LARGEST_EXPONENT, Misfit, to_text
from sync_pipelines.engine.mapping import ADDITIONAL, Mapped, RecordMapper
from sync_pipelines.engine.transforms import compile_transforms
from sync_pipelines.engine.transforms.bounds import FREE_WORK, MOST_WORK_OF_RECORD, WORK_OF_MADE
from sync_pipelines.engine.transforms.functions import LONGEST_TEXT
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import ROW_HEAD
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import Transform
from sync_pipelines.model.provider import CrmObject, ObjectSchema, RecordShape, VendorField
from sync_pipelines_tests.engine.transforms.hostile_chains import MAPPINGS
from sync_pipelines_tests.engine.transforms.hostile_sources import (
    BOUNDED_EXPRESSIONS,
    BOUNDED_TEMPLATES,
    BUILTINS,
    DUNDERS,
    METHODS,
    REFUSED_EXPRESSIONS,
    REFUSED_TEMPLATES,
)

REFUSED, BOUNDED = "refused", "bounded"
MEMORY = 300 * 1024 * 1024
"""Bytes that all of them together may take beyond what the program takes before."""
RECORDS = 3
CPU_SECONDS = 120
"""Ends the program where one of them would go on forever."""

VALUES = {
    "a": "x" * 50_000,
    "b": 10**999,
    "c": [f"item {number}" for number in range(9_000)],
    "d": {"k": {"k": {"k": "deep"}}, "__class__": "a plain value"},
    "n": Decimal("9e999"),
    "s": "a,b" * 100,
    "z": "\u0390\ufb03\u00df" * 10_000,
    "nothing": None,
}


@dataclass(frozen=True)
class Case:
    kind: str
    source: str
    expected: str


def cases() -> list[Case]:
    """All of them, each once."""
    forms = ("a.{0}", "''.{0}()", "c.{0}.__class__.{0}", "{0}", "upper({0})")
    dunders = [form.format(name) for name in DUNDERS for form in forms]
    calls = [f"{name}(a)" for name in BUILTINS] + [f"a.{name}(b)" for name in METHODS]
    groups = (
        ("custom", (*REFUSED_EXPRESSIONS, *dunders, *calls), REFUSED),
        ("custom", BOUNDED_EXPRESSIONS, BOUNDED),
        ("template", REFUSED_TEMPLATES, REFUSED),
        ("template", BOUNDED_TEMPLATES, BOUNDED),
    )
    found = [Case(kind, source, expected) for kind, sources, expected in groups for source in sources]
    found += [Case("mapping", json.dumps(mapping), BOUNDED) for mapping in MAPPINGS]
    return list({(case.kind, case.source): case for case in found}.values())


def outcome(case: Case) -> str:
    """refused when it is saved; bounded when its result is small or a Misfit; else what it was."""
    if case.kind == "mapping":
        return _outcome_of_mapping(case)
    option = "expression" if case.kind == "custom" else case.kind
    try:
        compiled = compile_transforms([Transform(name=case.kind, options={option: case.source})], tuple(VALUES))
    except ConfigurationError:
        return REFUSED
    try:
        result = compiled.value(*VALUES.values())
    except Misfit:
        return BOUNDED
    return BOUNDED if _is_small(result) else f"a result that is too large: {str(result)[:50]}"


def mapper_of(rules: Mapping[str, object]) -> RecordMapper:
    """Of additional fields with these rules, and of records whose fields are VALUES."""
    schema = ObjectSchema(fields=tuple(VendorField(name=name) for name in VALUES))
    crm_object = CrmObject(name="Contact", shape=RecordShape(id=("id",)))
    additional = {name: rule_from(rule) for name, rule in rules.items()}
    columns = (Column("id", "text"), Column(ADDITIONAL, "jsonb"))
    return RecordMapper(crm_object, schema, columns, common=False, additional=additional)


def mapping_of(case: Case) -> tuple[Callable[[], Mapped], int]:
    """A function that maps so many records by a mapping, which is compiled before."""
    transform, sources, fields = json.loads(case.source)
    mapper = mapper_of({f"f{number}": {"sources": sources.split(), "transform": transform} for number in range(fields)})
    texts = [to_text({"id": str(number), **VALUES}).encode() for number in range(RECORDS)]
    return lambda: mapper(texts, [0] * len(texts)), len(texts)


def _outcome_of_mapping(case: Case) -> str:
    mapped, _ = mapping_of(case)
    ids, rows = mapped().columns[ROW_HEAD:]
    if list(ids) != [str(number) for number in range(RECORDS)]:
        return "another column changed"
    fields = json.loads(case.source)[-1]
    most = (MOST_WORK_OF_RECORD + fields * FREE_WORK) // WORK_OF_MADE
    return BOUNDED if all(len(text) <= most for text in rows) else "a row that is too large"


def _is_small(result: object) -> bool:
    if isinstance(result, list | dict):
        # Given as they are: VALUES has them.
        return any(result is value for value in VALUES.values()) or len(to_text(result)) <= LONGEST_TEXT
    return len(to_text(result)) <= (LONGEST_TEXT if isinstance(result, str) else 2 * LARGEST_EXPONENT)


def main() -> None:
    outcome(Case("template", "{{ a }}", BOUNDED))  # so that what is imported later does not count
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    for case in cases():
        print(json.dumps({"kind": case.kind, "source": case.source, "outcome": outcome(case)}), flush=True)
    sys.stdout.write(json.dumps({"alive": outcome(Case("custom", "1 + 1", BOUNDED))}) + "\n")


if __name__ == "__main__":
    main()
