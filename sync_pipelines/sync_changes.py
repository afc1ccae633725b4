"""Syncs made, changed and deleted by API: checked as a file would be, and stored."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from sync_pipelines.config.by_api import INBOUND, OUTBOUND, ApiDocument, Documents, direction_of
from sync_pipelines.config.problems import ConfigurationProblems, Problem
from sync_pipelines.engine.transforms import check_transforms
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.naming import column_name
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import Sync
from sync_pipelines.project import Project
from sync_pipelines.store.api_syncs import ApiSync, Changing, SyncHeld, SyncMoved, SyncVersion
from sync_pipelines.together import documents_of, opened_sides


def make_sync(
    project: Project, document: Mapping[str, Any], *, actor: str, key: str | None = None
) -> tuple[ApiSync, bool]:
    """Store a new sync: (it, whether it is new). Its work is due at once, if it has a schedule.

    `key`: an idempotency key; what it made before is made no second time. ConfigurationProblems where the document is
    not as it should be, SyncHeld where something has the name already, KeyUsed for a key of another document.
    """
    written = document.get("name")
    name = written if isinstance(written, str) else ""
    direction = direction_of(document)
    mark = None if key is None else hashlib.sha256(msgspec.json.encode(document, order="sorted")).hexdigest()
    with project.store.api_syncs.changing() as changing:
        if key is not None and mark is not None and (known := changing.made_with(key, mark)):
            return known, False
        _refuse_taken(project, changing, name)
        sync = _checked(project, changing, ApiDocument(name=name, value=document), direction)
        made = changing.add(name, direction, document, actor=actor, key=key, mark=mark)
        if sync is not None:
            changing.plan(*sync)
    project.together.refresh()
    return made, True


def change_sync(
    project: Project, name: str, document: Mapping[str, Any], *, actor: str, expected: str | None = None
) -> ApiSync:
    """Store a sync's new document. What runs goes on with the old one; the next run takes the new one.

    `expected`: the tag of the sync that the caller has read; SyncMoved when it is another by now. ConfigurationError
    where there is no such sync, SyncHeld where a file declares it.
    """
    with project.store.api_syncs.changing() as changing:
        known = _known(project, changing, name, expected)
        saved = _change(project, changing, known, document, actor=actor)
    project.together.refresh()
    return saved


def roll_back_sync(
    project: Project, name: str, version: int, *, actor: str, expected: str | None = None, reason: str = ""
) -> ApiSync:
    """`change_sync` with the document of an older version. ConfigurationError where that one is not kept."""
    with project.store.api_syncs.changing() as changing:
        known = _known(project, changing, name, expected)
        older = changing.version(name, version)
        saved = _change(project, changing, known, older.document, actor=actor, restored=version, reason=reason)
    project.together.refresh()
    return saved


def sync_versions(project: Project, name: str, *, before: int | None, limit: int) -> Sequence[SyncVersion]:
    """Newest first, older than `before`. ConfigurationError where there is no such sync, SyncHeld where a file declares
    it: its versions are the file's."""
    if project.store.api_syncs.get(name) is None:
        raise _not_by_api(project, name)
    return project.store.api_syncs.versions(name, before=before, limit=limit)


def delete_sync(project: Project, name: str, *, actor: str, expected: str | None = None) -> ApiSync:
    """Forget a sync and what is due of it; its rows in the destination and the history of its runs stay.

    SyncHeld while a run is at work on it, or where a file declares it.
    """
    with project.store.api_syncs.changing() as changing:
        known = _known(project, changing, name, expected)
        # A file that took its name owns the work that is due under that name.
        if known.direction == INBOUND and _documents(project).file_of(name) is None:
            _refuse_at_work(project, name)
            changing.forget(name, silent_after=timedelta(seconds=2 * project.settings.silent_after_seconds))
        changing.remove(known, actor=actor)
    project.together.refresh()
    return known


def wrong_defaults(sync: Sync, hash_key: Secret | None) -> list[str]:
    """Rules of the developer's own in a sync's custom schemas whose transforms can never work."""
    problems: list[str] = []
    for item in sync.objects:
        for field in item.custom_schema.fields if item.custom_schema else ():
            rule = field.sources.get(sync.provider)
            try:
                if rule is not None and rule.plain is None:
                    check_transforms(rule.transforms, rule.sources, field.type, hash_key=hash_key)
            except ConfigurationError as problem:
                problems.append(f"{sync.name}, {item.object}, {field.name}: {problem}")
    return problems


def _checked(
    project: Project,
    changing: Changing,
    document: ApiDocument,
    direction: str,
    others: list[ApiSync] | None = None,
) -> tuple[Sync, str] | None:
    """The sync that an inbound document means, and its mark; None for an outbound one that is as it should be."""
    documents = _documents(project)
    if direction == OUTBOUND:
        documents.checked_outbound(document)
        return None
    beside = changing.existing if others is None else others
    # Whoever changes sides waits for this change: what the store has of them now is what counts.
    sides, _ = opened_sides(project.store, project.store.api_sides.list())
    syncs = documents_of([each for each in beside if each.direction == INBOUND])
    configuration = documents.checked(document, [*sides, *syncs])
    sync = configuration.syncs[document.name]
    if wrong := wrong_defaults(sync, project.settings.transform_key):
        raise ConfigurationProblems([Problem(document.place, 0, "objects", text) for text in wrong])
    return sync, project.mark_of(sync, configuration)


def _change(
    project: Project,
    changing: Changing,
    known: ApiSync,
    document: Mapping[str, Any],
    *,
    actor: str,
    restored: int | None = None,
    reason: str = "",
) -> ApiSync:
    """Checked beside the files and the other syncs as they are now, stored and planned."""
    name = known.name
    if document.get("name") != name:
        raise _wrong(name, "name", f'must stay "{name}": rows and positions go by it; make another sync instead')
    if direction_of(document) != known.direction:
        raise _wrong(name, "direction", f"must stay {known.direction}: make another sync instead")
    others = [each for each in changing.existing if each.name != name]
    sync = _checked(project, changing, ApiDocument(name=name, value=document), known.direction, others)
    saved = changing.replace(known, document, actor=actor, restored=restored, reason=reason)
    if sync is not None:
        changing.plan(*sync)
    return saved


def _refuse_taken(project: Project, changing: Changing, name: str) -> None:
    """Names that differ in case and marks only count as one, in files as here."""
    plain = column_name(name)
    for declared in project.in_files.syncs:
        if column_name(declared) == plain:
            file = _documents(project).file_of(declared)
            raise SyncHeld(f"The sync {declared} has this name already; it is declared in {file}: choose another name.")
    for each in changing.existing:
        if column_name(each.name) == plain:
            raise SyncHeld(
                f"The sync {each.name} has this name already; {each.actor} made or changed it by API: change it with "
                "PUT, or choose another name."
            )


def _known(project: Project, changing: Changing, name: str, expected: str | None) -> ApiSync:
    known = next((each for each in changing.existing if each.name == name), None)
    if known is None:
        raise _not_by_api(project, name)
    if expected is not None and expected != known.tag:
        raise SyncMoved(f"The sync {name} has moved on to version {known.version}: read it again, and decide anew.")
    return known


def _not_by_api(project: Project, name: str) -> ConfigurationError:
    if file := _documents(project).file_of(name):
        return SyncHeld(f"The sync {name} is declared in {file}: change it there.")
    return ConfigurationError(project.together.why_unknown(name))


def _refuse_at_work(project: Project, name: str) -> None:
    """Runs that nobody claimed, such as a person's in Dagster, show by their leases alone."""
    sync = project.configuration.syncs.get(name)
    if sync is None:
        return
    application = project.settings.application_id
    customers = [connection.customer_id for connection in project.connections(name)]
    leases = [(application, name, customer, each.object) for customer in customers for each in sync.objects]
    if project.store.leases.held(leases):
        raise SyncHeld(f"A run is at work on the sync {name}: delete it when that has ended.")


def _wrong(name: str, field: str, message: str) -> ConfigurationProblems:
    return ConfigurationProblems([Problem(ApiDocument(name=name, value={}).place, 0, field, message)])


def _documents(project: Project) -> Documents:
    documents = project.together.documents
    if documents is None:
        raise ConfigurationError("This project was opened without a folder of configuration: it takes no syncs by API.")
    return documents
