"""What can only be seen when the documents are laid side by side: references, twins, and who writes which rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sync_pipelines.config.documents import (
    AssociationsDocument,
    CustomSchemaDocument,
    ObjectDocument,
    PostgresDestinationDocument,
    ProviderDocument,
    SyncDocument,
)
from sync_pipelines.config.problems import Problem, did_you_mean, listed
from sync_pipelines.config.s3_document import S3DestinationDocument
from sync_pipelines.config.source import FieldPath, Source
from sync_pipelines.config.validation import guessed, shown
from sync_pipelines.model.association import associations_name
from sync_pipelines.model.common_model import COMMON_COLUMNS
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import CustomSchema, SchemaField
from sync_pipelines.model.naming import (
    RESERVED_PREFIXES,
    column_name,
    custom_columns,
    same_names,
    table_name,
    table_of_object,
)
from sync_pipelines.model.provider import Provider

Content = TypeVar(
    "Content", bound=ProviderDocument | PostgresDestinationDocument | S3DestinationDocument | SyncDocument
)
DestinationDocument = PostgresDestinationDocument | S3DestinationDocument


@dataclass(frozen=True)
class Written(Generic[Content]):
    """A valid document and where it was written."""

    content: Content
    source: Source
    unfilled: frozenset[FieldPath] = frozenset()
    """Fields whose environment reference could not be filled: what they hold is not checked further."""

    @property
    def name(self) -> str:
        if isinstance(self.content, ProviderDocument):
            return self.content.name or self.content.provider_name
        return self.content.name

    def problem(self, path: FieldPath, message: str) -> Problem:
        return self.source.problem(path, message)

    def place(self, path: FieldPath = ()) -> str:
        line, _ = self.source.marks.get(self.source.find(path), (0, 0))
        return f"{self.source.file}:{line}" if line else self.source.file


def twins(documents: Sequence[Written[Content]], kind: str) -> Iterator[Problem]:
    """Names and ids that two documents of one kind share. Names that differ in case and marks only count as one."""
    for key, value_of in (("name", lambda each: column_name(each.name)), ("id", lambda each: each.content.id)):
        first: dict[str, Written[Content]] = {}
        for document in documents:
            value = value_of(document)
            if value is None or (key,) in document.unfilled:
                continue
            if value in first:
                yield document.problem(
                    (key,), f"another {kind} has this {key} already ({first[value].place((key,))}): choose another one"
                )
            first.setdefault(value, document)


def vendors_known(
    documents: Sequence[Written[ProviderDocument]],
    vendors: Mapping[str, Provider],
    at_version: Callable[[str, str], Provider] | None,
) -> Iterator[Problem]:
    for document in documents:
        name, version = document.content.provider_name, document.content.api_version
        if name in vendors and version and at_version and ("api_version",) not in document.unfilled:
            try:
                at_version(name, version)
            except ConfigurationError as problem:
                yield document.problem(("api_version",), str(problem))
        auth_type = document.content.auth_type
        if name in vendors and auth_type != "oauth2" and vendors[name].form(auth_type) is None:
            what = "key to type" if auth_type == "api_key" else "apps of customers"
            yield document.problem(("auth_type",), f"{vendors[name].title} has no {what}: leave it out, give `oauth`")
        if vendors and name not in vendors and ("provider_name",) not in document.unfilled:
            written = document.source.written(("provider_name",))
            message = f"there is no provider {shown(written)}.{guessed(written, vendors)} Known: {listed(vendors)}"
            yield document.problem(("provider_name",), message)


def objects_possible(sync: Written[SyncDocument], vendor: Provider | None) -> Iterator[Problem]:
    """Names that no object of the vendor can have; whether an account has the object, only the account can tell."""
    for place, each in enumerate(sync.content.objects):
        try:
            if vendor is not None:
                vendor.find_object(each.object)
        except ConfigurationError as problem:
            yield sync.problem(("objects", place, "object"), str(problem))
            continue
        if vendor is not None and each.associations is not None:
            yield from _associations_possible(sync, place, each.associations, vendor)


def _associations_possible(
    sync: Written[SyncDocument], place: int, links: AssociationsDocument, vendor: Provider
) -> Iterator[Problem]:
    for name in (associations_name(sync.content.objects[place].object), *links.to):
        try:
            vendor.find_object(name)
        except ConfigurationError as problem:
            yield sync.problem(("objects", place, "associations"), str(problem))


def referred(
    sync: Written[SyncDocument],
    side: str,
    candidates: Sequence[Written[Content]],
    usual: Sequence[Written[Content]],
    warn: Callable[[str], None],
) -> Written[Content] | Problem:
    """The provider or destination (`side`) that a sync names, or refers to by its id.

    The printed documents refer to ids that no document carries; where there is only one `usual` candidate, it is meant.
    """
    name, number = getattr(sync.content, side), getattr(sync.content, f"{side}_id")
    for candidate in candidates:
        if candidate.name == name or (number is not None and candidate.content.id == number):
            return candidate
    names = [candidate.name for candidate in candidates]
    number_written = shown(str(sync.source.written((f"{side}_id",))))
    if name is None and len(usual) == 1:
        warn(
            f"{sync.place((f'{side}_id',))}: no {side} has the id {number_written}; the only one, "
            f'"{usual[0].name}", is used. Write `{side}: {usual[0].name}` to be sure.'
        )
        return usual[0]
    key = side if name is not None else f"{side}_id"
    written = sync.source.written((key,))
    guess = guessed(written, names)
    what = "the id" if name is None else "the name"
    return sync.problem((key,), f"no {side} has {what} {shown(str(written))}.{guess} Known: {listed(names)}")


def schemas_sound(
    sync: Written[SyncDocument], vendor: str, provider: str, known_vendors: frozenset[str]
) -> Iterator[Problem]:
    """Custom schemas of a sync: reserved and colliding names, sources of unknown providers, locks without a source."""
    for place, each in enumerate(sync.content.objects):
        if each.custom_schema is None:
            continue
        path: FieldPath = ("objects", place, "custom_schema", "fields")
        yield from _colliding(sync, each.custom_schema, path)
        for index, field in enumerate(each.custom_schema.fields_):
            at = (*path, index)
            reserved = next((prefix for prefix in RESERVED_PREFIXES if field.name.casefold().startswith(prefix)), None)
            if reserved:
                yield sync.problem((*at, "name"), f"names that begin with {reserved} are reserved: choose another name")
            for source in field.sources:
                if source not in known_vendors:
                    yield sync.problem(
                        (*at, "sources", source),
                        f"is not a provider.{did_you_mean(source, known_vendors)} Known: {listed(known_vendors)}",
                    )
            if field.locked and not {vendor, provider} & field.sources.keys():
                yield sync.problem(
                    (*at, "locked"), f"a locked field needs its source: add `sources: {{{provider}: <field>}}`"
                )


def _colliding(sync: Written[SyncDocument], schema: CustomSchemaDocument, path: FieldPath) -> Iterator[Problem]:
    names = [field.name for field in schema.fields_]
    for column, rivals in same_names(names).items():
        index = len(names) - 1 - names[::-1].index(rivals[-1])
        others = " and ".join(f'"{name}"' for name in dict.fromkeys(rivals[:-1]))
        yield sync.problem(
            (*path, index, "name"), f'becomes the column "{column}", as {others} does: give it another name'
        )


@dataclass(frozen=True)
class _Writer:
    """One object of one sync, as the writer of a table."""

    sync: Written[SyncDocument]
    place: int
    object: str
    provider: str
    columns: Mapping[str, str]

    @property
    def path(self) -> FieldPath:
        return ("objects", self.place)

    def describe(self) -> str:
        return f"{self.sync.name}, {self.object} ({self.sync.place(self.path)})"


def tables_shared(
    syncs: Sequence[tuple[Written[SyncDocument], Written[ProviderDocument], Written[DestinationDocument]]],
    vendors: Mapping[str, Provider],
) -> Iterator[Problem]:
    """Two writers of the same rows, and writers of one table that would not agree on its columns."""
    writers: dict[tuple[str, str], list[_Writer]] = {}
    for sync, provider, destination in syncs:
        written = enumerate(sync.content.objects)
        for place, each in ((place, each) for place, item in written for each in _with_associations(item)):
            table, common = _table_of(each, provider, vendors)
            writer = _Writer(sync, place, each.object, provider.name, _columns_of(each, common))
            for other in writers.setdefault((destination.name, table), []):
                yield from _disagreements(other, writer, table)
            writers[destination.name, table].append(writer)


def _with_associations(each: ObjectDocument) -> Iterator[ObjectDocument]:
    yield each
    if each.associations is not None:
        yield ObjectDocument(object=associations_name(each.object), table=each.associations.table)


def _table_of(
    each: ObjectDocument, provider: Written[ProviderDocument], vendors: Mapping[str, Provider]
) -> tuple[str, str | None]:
    """An object's table and its place in the common model."""
    common = each.object.casefold() if each.object.casefold() in COMMON_COLUMNS else None
    table = table_name(provider.name, each.object, common, each.common_schema)
    if vendor := vendors.get(provider.content.provider_name):
        declared = vendor.find_object(each.object)
        common = declared.common_name
        table = table_of_object(provider.name, declared, common_schema=each.common_schema)
    return each.table or table, common if each.common_schema else None


def _columns_of(each: ObjectDocument, common: str | None) -> dict[str, str]:
    """Types by column of an object's custom schema."""
    if each.custom_schema is None:
        return {}
    schema = CustomSchema(version=1, fields=tuple(SchemaField(name=field.name) for field in each.custom_schema.fields_))
    columns = custom_columns(schema, [column.name for column in COMMON_COLUMNS[common]] if common else ())
    return {columns[field.name]: field.type for field in each.custom_schema.fields_}


def _disagreements(other: _Writer, writer: _Writer, table: str) -> Iterator[Problem]:
    mine, theirs = writer.sync.content, other.sync.content
    overlap = not mine.customers or not theirs.customers or set(mine.customers) & set(theirs.customers)
    if writer.provider == other.provider and (overlap or mine is theirs):
        yield writer.sync.problem(
            writer.path,
            f'writes the same rows of table "{table}" as {other.describe()}: remove one, or give one its own `table`',
        )
        return
    if mine.metadata_prefix != theirs.metadata_prefix:
        yield writer.sync.problem(
            ("metadata_prefix",),
            f'table "{table}" has the prefix "{theirs.metadata_prefix}" from {other.describe()}: use the same, '
            "or give one its own `table`",
        )
    for column, type_ in writer.columns.items():
        if other.columns.get(column, type_) != type_:
            yield writer.sync.problem(
                (*writer.path, "custom_schema"),
                f'column "{column}" of table "{table}" is {type_} here and {other.columns[column]} in '
                f"{other.describe()}: use one type",
            )
