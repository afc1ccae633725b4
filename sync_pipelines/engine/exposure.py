"""Values that a rule hides (hash, mask, drop) and that are loaded all the same, beside the column of the rule."""

from collections.abc import Mapping

from sync_pipelines.engine.layout import is_common, root_of
from sync_pipelines.engine.rules import rule_fields
from sync_pipelines.engine.transforms import KINDS
from sync_pipelines.model.mapping import FieldRule
from sync_pipelines.model.provider import CrmObject
from sync_pipelines.model.sync import SyncObject


def exposed(declared: SyncObject, crm_object: CrmObject, rules: Mapping[str, FieldRule | None]) -> list[str]:
    """Where hidden values still stand, in one sentence with the way out; none where they are hidden indeed."""
    hiding = {
        name: rule for name, rule in rules.items() if rule and any(_is_personal(step.name) for step in rule.transforms)
    }
    if not hiding:
        return []
    hidden = {root_of(source).casefold() for rule in hiding.values() for source in rule.sources}
    places, ways = [], []
    if declared.raw_fields:
        places.append("raw_data")
        ways.append("`raw_fields: false`")
    if is_common(crm_object, declared):
        columns = [
            column
            for column, taken in crm_object.common.items()
            if hidden.intersection(root_of(field).casefold() for field in rule_fields(taken))
        ]
        if columns:
            places.append(", ".join(sorted(columns)))
            ways.append("`common_schema: false`")
    if not places:
        return []
    fields = ", ".join(dict.fromkeys(source for rule in hiding.values() for source in rule.sources))
    return [
        f"{', '.join(hiding)}: the rule hides {fields}, but the same values are loaded into {' and '.join(places)} as "
        f"they are. Set {' and '.join(ways)} for {declared.object} where they must not be."
    ]


def _is_personal(name: str) -> bool:
    return name in KINDS and KINDS[name].personal
