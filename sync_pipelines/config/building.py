"""From validated documents to the values that the rest works with."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from pydantic import SecretStr

from sync_pipelines.config.configuration import (
    AnyDestinationConfig,
    DestinationConfig,
    ProviderConfig,
    RowLevelSecurity,
    S3DestinationConfig,
)
from sync_pipelines.config.documents import (
    CustomSchemaDocument,
    OAuthDocument,
    ObjectDocument,
    OverrideDocument,
    PostgresDestinationDocument,
    PrintedSyncDocument,
    ProviderDocument,
    SyncDocument,
)
from sync_pipelines.config.rules import RuleDocument
from sync_pipelines.config.s3_document import S3DestinationDocument
from sync_pipelines.model.association import associations_name
from sync_pipelines.model.connection import OAuthClient
from sync_pipelines.model.filter import MARK
from sync_pipelines.model.mapping import CustomSchema, FieldRule, SchemaField
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import INCREMENTAL, Override, Schedule, Sync, SyncObject


def provider_from(document: ProviderDocument) -> ProviderConfig:
    oauth = document.oauth
    if oauth is None and document.config is not None:
        printed = document.config.oauth
        oauth = OAuthDocument(
            client_id=printed.credentials.client_id,
            client_secret=printed.credentials.client_secret,
            scopes=printed.oauth_scopes,
        )
    return ProviderConfig(
        name=document.name or document.provider_name,
        provider_name=document.provider_name,
        client=_app(oauth),
        api_version=document.api_version or None,
        auth_type=document.auth_type,
        category=document.category,
        scopes=oauth.scopes if oauth else (),
        login_url=document.login_url,
        api_url=document.api_url,
        reserve=document.reserve,
    )


def _app(oauth: OAuthDocument | None) -> OAuthClient:
    if oauth is None:
        return OAuthClient()
    return OAuthClient(client_id=oauth.client_id, client_secret=Secret(oauth.client_secret.get_secret_value()))


def destination_from(document: PostgresDestinationDocument | S3DestinationDocument) -> AnyDestinationConfig:
    return _bucket_from(document) if isinstance(document, S3DestinationDocument) else _database_from(document)


def _bucket_from(document: S3DestinationDocument) -> S3DestinationConfig:
    place = document.credentials
    return S3DestinationConfig(
        name=document.name,
        folder=document.folder or "",
        bucket=place.bucket if place else "",
        region=place.region if place else None,
        prefix=place.prefix if place else "",
        endpoint_url=place.endpoint_url if place else None,
        access_key_id=place.access_key_id if place else None,
        secret_access_key=_secret(place.secret_access_key if place else None),
        session_token=_secret(place.session_token if place else None),
        format=document.format,
        compression=document.compression,
        grace=document.keep_replaced,
    )


def _secret(written: SecretStr | None) -> Secret:
    return Secret(written.get_secret_value() if written else "")


def _database_from(document: PostgresDestinationDocument) -> DestinationConfig:
    credentials, security = document.credentials, document.row_level_security
    return DestinationConfig(
        name=document.name,
        host=credentials.host,
        port=credentials.port,
        database=credentials.database,
        schema_name=credentials.schema_name,
        user=credentials.user,
        password=Secret(credentials.password.get_secret_value()),
        connection_parameters={name: str(value) for name, value in document.connection_parameters.items()},
        row_level_security=RowLevelSecurity(role=security.role, setting=security.setting) if security else None,
    )


def sync_from(document: SyncDocument, provider: ProviderConfig, destination: str) -> Sync:
    """The sync that a document means, with the provider and the destination's name that it refers to."""
    config = document.config or PrintedSyncDocument()
    return Sync(
        name=document.name,
        provider=provider.name,
        destination=destination,
        objects=tuple(one for each in document.objects for one in _objects_from(each, document, provider)),
        schedule=_schedule_from(document),
        strategy=document.strategy or config.strategy or INCREMENTAL,
        direction=document.direction,
        mode=document.mode,
        full_refresh_every=document.full_refresh_every,
        delete_brake=document.delete_brake,
        record_log=document.record_log,
        log_values=document.log_values,
        overlap=document.overlap,
        metadata_prefix=document.metadata_prefix,
        bulk_above=document.bulk_above,
        customers=document.customers,
        overrides={customer: _override_from(each) for customer, each in document.overrides.items()},
        freshness=document.freshness,
    )


def _override_from(document: OverrideDocument) -> Override:
    return Override(
        schedule=document.schedule.schedule() if document.schedule is not None else None,
        objects=document.objects,
        schema=document.schema_name,
        filters={name: None if each is None else each.filter() for name, each in document.filters.items()},
        freshness=document.freshness,
    )


def _schedule_from(document: SyncDocument) -> Schedule:
    if document.schedule is not None:
        return document.schedule.schedule()
    if document.config is not None and document.config.period_ms is not None:
        return Schedule(every=timedelta(milliseconds=document.config.period_ms))
    return Schedule()


def _objects_from(document: ObjectDocument, sync: SyncDocument, provider: ProviderConfig) -> Iterator[SyncObject]:
    """The object, and the object of its associations where they are wanted."""
    history = document.history or sync.history
    yield SyncObject(
        object=document.object,
        common_schema=document.common_schema,
        raw_fields=document.raw_fields,
        custom_schema=_schema_from(document.custom_schema, provider) if document.custom_schema else None,
        strategy=document.strategy,
        table=document.table,
        schema_policy=document.schema_policy or sync.schema_policy,
        formula_refresh=document.formula_refresh.schedule() if document.formula_refresh is not None else None,
        filter=document.filter.filter() if document.filter is not None else None,
        leaving=document.leaving or MARK,
        history=history.history() if history is not None else None,
        freshness=document.freshness,
    )
    links = document.associations
    if links is not None:
        yield SyncObject(
            object=associations_name(document.object),
            raw_fields=False,
            strategy=links.strategy or document.strategy,
            table=links.table,
            associated=links.to,
            freshness=document.freshness,
        )


def _schema_from(document: CustomSchemaDocument, provider: ProviderConfig) -> CustomSchema:
    return CustomSchema(
        version=document.version,
        allow_additional_fields=document.allow_additional_fields,
        fields=tuple(
            SchemaField(
                name=each.name,
                type=each.type,
                required=each.required,
                description=each.description,
                sources=_sources(each.sources, provider),
                locked=each.locked,
            )
            for each in document.fields_
        ),
    )


def _sources(written: Mapping[str, RuleDocument], provider: ProviderConfig) -> dict[str, FieldRule]:
    """Sources by provider name; what is written for the vendor counts for a provider of another name too."""
    sources = {name: each.rule() for name, each in written.items()}
    if provider.provider_name in sources:
        sources.setdefault(provider.name, sources[provider.provider_name])
    return sources
