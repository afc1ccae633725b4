"""What becomes of a customer's values on their way into a column: the transforms of a rule, by name."""

from sync_pipelines.engine.transforms import custom, dates, lists, numbers, personal, phone, template, texts
from sync_pipelines.engine.transforms.compiled import (
    Compiled,
    check_transforms,
    compile_transforms,
    effective,
    kind_named,
    marks_of,
)
from sync_pipelines.engine.transforms.registry import KINDS

__all__ = ["KINDS", "Compiled", "check_transforms", "compile_transforms", "effective", "kind_named", "marks_of"]

# Importing these modules registers their transforms.
_REGISTERED = (custom, dates, lists, numbers, personal, phone, template, texts)
