"""What the next run of an object will find to do anew, told without asking its account.

The engine decides by marks that depend on how the account spells its fields, and on whether it has a field of the same
name as an unmapped one. Where the fields of the account are remembered, the answer is the engine's own. Where they are
not, accounts that would explain the stored marks are thought of: what none of them explains has changed.
"""

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from sync_pipelines.engine.backfill import Change, change_of, keeps_records
from sync_pipelines.engine.layout import Marks, marks_of, plan_fields, resolve_mapping
from sync_pipelines.engine.mapping import CustomColumn
from sync_pipelines.engine.selecting import mark_of
from sync_pipelines.model.checkpoint import Checkpoint
from sync_pipelines.model.destination import Table
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import Mapping
from sync_pipelines.model.provider import CrmObject, ObjectSchema, VendorField
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import SyncObject

_Guess: TypeAlias = tuple[Marks, tuple[CustomColumn, ...]]
"""By what rows would be made of one account, and of which of its fields."""


class Outlook:
    """An object of a sync as it is configured now, for any of its customers."""

    def __init__(
        self,
        declared: SyncObject,
        crm_object: CrmObject,
        table: Table,
        provider: str,
        hash_key: Secret | None = None,
    ) -> None:
        self._hash_key = hash_key
        self.declared = declared
        self.crm_object = crm_object
        self.table = table
        self.provider = provider
        self._keeps_records = keeps_records(table)
        self._guessed: dict[tuple[str, str, str], list[_Guess]] = {}

    def change(
        self,
        known: Checkpoint,
        mapping: Mapping | None,
        fields: Sequence[str] | None,
        remade: MappingOf[str, int] | None = None,
        chosen: SyncObject | None = None,
    ) -> Change:
        """What a run with this mapping does to rows that were stored by `known`. `fields`: of the account, if known.

        `remade`: of the landing. `chosen`: the object as it is for the customer, whose filter may be another one.
        ConfigurationError where the run would end with one. Without `fields` it may be less than what is told.
        """
        if fields is not None:
            guesses = [self._guess(fields, mapping, remade, _kept_away(known))]
        else:
            guesses = self._guesses(known, mapping, remade)
        selections = {mark_of(chosen or self.declared, custom, self._hash_key) for _, custom in guesses}
        if known.version > 0 and known.selection not in selections:
            return Change(full_read=True, rechosen=True)
        marks = [each for each, _ in guesses]
        if known.mapped is None:
            told = [change_of(known, each, keeps_records=self._keeps_records) for each in marks]
            return Change() if Change() in told else told[0]
        mapped = {
            column: next((each.mapped[column] for each in marks if each.mapped[column] == was), mark)
            for column, mark in marks[0].mapped.items()
            for was in (known.mapped.get(column),)
        }
        return change_of(known, replace(marks[0], mapped=mapped), keeps_records=self._keeps_records)

    def _guesses(self, known: Checkpoint, mapping: Mapping | None, remade: MappingOf[str, int] | None) -> list[_Guess]:
        missing = known.fingerprint.partition("|")[2]
        key = (repr(sorted(mapping.fields.items())) if mapping else "", missing, repr(remade))
        if key not in self._guessed:
            self._guessed[key] = self._all_guesses(known, mapping, remade)
        return self._guessed[key]

    def _all_guesses(
        self, known: Checkpoint, mapping: Mapping | None, remade: MappingOf[str, int] | None
    ) -> list[_Guess]:
        """The account has all that is mapped but for what was missing; of unmapped names it has none, or all."""
        rules, additional = resolve_mapping(self.declared, self.provider, mapping)
        named = [source for rule in (*rules.values(), *additional.values()) if rule for source in rule.sources]
        gone = {name.casefold() for name in known.fingerprint.partition("|")[2].split(",")}
        mapped = [name for name in dict.fromkeys(named) if name.casefold() not in gone]
        unmapped = [name for name, rule in rules.items() if rule is None and name.casefold() not in gone]
        found: list[_Guess] = []
        problem: ConfigurationError | None = None
        for fields in (mapped, [*mapped, *unmapped]):
            try:
                found.append(self._guess(fields, mapping, remade, _kept_away(known)))
            except ConfigurationError as refused:
                problem = refused
        if not found and problem is not None:
            raise problem
        return found

    def _guess(
        self,
        fields: Sequence[str],
        mapping: Mapping | None,
        remade: MappingOf[str, int] | None,
        kept_away: Sequence[str],
    ) -> _Guess:
        account = ObjectSchema(fields=tuple(VendorField(name=name) for name in fields))
        plan = plan_fields(self.declared, self.crm_object, account, self.provider, mapping)
        marks = marks_of(self.declared, self.table, plan, self._hash_key, remade=remade)
        digest, bar, missing = marks.fingerprint.partition("|")
        return replace(marks, fingerprint=digest + bar + ",".join(filter(None, (missing, *kept_away)))), plan.custom


def _kept_away(known: Checkpoint) -> list[str]:
    """Fields that the schema policy keeps away, as the fingerprint has them: that goes on as it is."""
    return [name for name in known.fingerprint.partition("|")[2].split(",") if name.startswith("#")]
