"""Providers and destinations made, changed and deleted by API: checked as a file would be, and stored."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from sync_pipelines.config import Configuration
from sync_pipelines.config.by_api import INBOUND, ApiDocument, Documents
from sync_pipelines.config.masking import Secrets, left_out, masks_of, secrets_of, with_secrets
from sync_pipelines.config.problems import ConfigurationProblems, Problem
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.naming import column_name
from sync_pipelines.notify.addresses import Terms
from sync_pipelines.places_by_api import refused_places
from sync_pipelines.project import Project
from sync_pipelines.store import ApiSide
from sync_pipelines.store.api_sides import ChangingSides, SideHeld, SideMoved
from sync_pipelines.together import documents_of, opened_sides

_PLACES: Final = (
    ("provider_name",),
    ("login_url",),
    ("api_url",),
    ("type",),
    ("credentials", "host"),
    ("credentials", "port"),
    ("credentials", "endpoint_url"),
    *(("connection_parameters", name) for name in ("sslmode", "sslrootcert", "channel_binding")),
)
"""Where a secret is sent to, and how that place shows that it is the one. What somebody else stored is not sent
elsewhere by who does not know it."""


def make_side(
    project: Project, kind: str, document: Mapping[str, Any], *, actor: str, key: str | None = None
) -> tuple[ApiSide, bool]:
    """Store a new provider or destination (`kind`: providers or destinations): (it, whether it is new).

    `key`: an idempotency key; what it made before is made no second time. ConfigurationProblems where the document is
    not as it should be, SideHeld where something has the name already, KeyUsed for a key of another document.
    """
    name = _name_of(kind, document)
    made = ApiDocument(kind=kind, name=name, value=document)
    mark = None if key is None else _mark(project, kind, document)
    _refuse_names_of_files(project, kind, name)
    _refuse_places(project, made)
    with project.store.api_sides.changing() as changing:
        if key is not None and mark is not None and (known := changing.made_with(key, mark)):
            return known, False
        _refuse_taken(changing, kind, name)
        _laid_beside(project, changing, [*_others(project, changing.existing), made], made)
        added = changing.add(kind, name, document, secrets_of(document), actor=actor, key=key, mark=mark)
    project.together.refresh()
    return added, True


def change_side(
    project: Project, kind: str, name: str, document: Mapping[str, Any], *, actor: str, expected: str | None = None
) -> ApiSide:
    """Store another document under the same name. A secret that it leaves out, or has a mask for, stays.

    What runs goes on with the old one; work that failed for the old one is due. `expected`: the tag that the caller has
    read; SideMoved when it is another by now. SideHeld where a file declares it, or syncs could not be with it.
    """
    if _name_of(kind, document) != name:
        raise _wrong(
            kind, name, {"name": f'must stay "{name}": syncs and connections go by it; make another one instead'}
        )
    if seen := project.store.api_sides.get(kind, name):
        stand_ins = dict.fromkeys(_kept(seen, document), "as it is stored")
        _refuse_places(project, ApiDocument(kind=kind, name=name, value=with_secrets(document, stand_ins)))
    with project.store.api_sides.changing() as changing:
        known = _known(project, changing, kind, name, expected)
        secrets = _secrets_after(project, known, document)
        whole = ApiDocument(kind=kind, name=name, value=with_secrets(document, secrets))
        _refuse_masks(whole)
        # In its own place in the line: which of two is the older one stays as it is.
        sides = [
            whole if (each.kind, each.name) == (kind, name) else each for each in _others(project, changing.existing)
        ]
        _laid_beside(project, changing, sides if whole in sides else [*sides, whole], whole)
        saved = changing.replace(known, document, secrets, actor=actor)
    project.together.refresh()
    return saved


def delete_side(project: Project, kind: str, name: str, *, actor: str, expected: str | None = None) -> ApiSide:
    """Forget one that no sync uses. SideHeld where one does, or where a file declares it."""
    with project.store.api_sides.changing() as changing:
        known = _known(project, changing, kind, name, expected)
        others = _others(project, [each for each in changing.existing if each.id != known.id])
        _laid_beside(project, changing, others)
        changing.remove(known, actor=actor)
    project.together.refresh()
    return known


def _laid_beside(
    project: Project, changing: ChangingSides, sides: Sequence[ApiDocument], made: ApiDocument | None = None
) -> None:
    """Check what was `made` beside the files and these sides, and the syncs with them; plan those that see a change.

    ConfigurationProblems of what was made; SideHeld for syncs that run now and would not, or would mean another side.
    """
    documents = _documents(project)
    if made is not None:
        documents.checked(made, [each for each in sides if each is not made])
    syncs = documents_of([each for each in changing.syncs if each.direction == INBOUND])
    before = documents.laid_over([*_others(project, changing.existing), *syncs])
    after = documents.laid_over([*sides, *syncs])
    if harmed := sorted(name for name in before.by_api if _sides(after, name) != _sides(before, name)):
        raise SideHeld(_why_needed(after, harmed, deleted=made is None))
    for name in sorted(after.by_api):
        mark = project.mark_of(after.syncs[name], after)
        if name not in before.by_api or mark != project.mark_of(before.syncs[name], before):
            changing.plan(after.syncs[name], mark)


def _why_needed(after: Configuration, harmed: Sequence[str], *, deleted: bool) -> str:
    if deleted:
        return f"It is used by the syncs {', '.join(harmed)}: delete them, or let them name another one first."
    reason = after.set_aside.get(harmed[0], f"the sync {harmed[0]} would mean another one than now")
    return f"The syncs {', '.join(harmed)} could not be with it as they are: {reason}"


def _sides(configuration: Configuration, name: str) -> tuple[str, str] | None:
    sync = configuration.syncs.get(name)
    return None if sync is None else (sync.provider, sync.destination)


def _others(project: Project, sides: Sequence[ApiSide]) -> list[ApiDocument]:
    return opened_sides(project.store, sides)[0]


def _secrets_after(project: Project, known: ApiSide, document: Mapping[str, Any]) -> Secrets:
    """The secrets of a new document: those that it brings, and those of the known one that it leaves as they are."""
    kept = _kept(known, document)
    if kept and any(_at(document, place) != _at(known.document, place) for place in _PLACES):
        message = "must be sent again: what is stored was for another place, and is sent nowhere else"
        raise _wrong(known.kind, known.name, dict.fromkeys(kept, message))
    stored = project.store.api_sides.secrets(known) if kept else {}
    return {**{path: stored[path] for path in kept}, **secrets_of(document)}


def _kept(known: ApiSide, document: Mapping[str, Any]) -> list[str]:
    """Where a document leaves a secret of the known one as it is: its masks say where those are."""
    return list(left_out(document, masks_of(known.document)))


def _at(document: Mapping[str, Any], place: Sequence[str]) -> Any:
    found: Any = document
    for step in place:
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _refuse_places(project: Project, made: ApiDocument) -> None:
    """By itself first: looking names up takes its time, and nobody else should wait for it."""
    _refuse_masks(made)
    meant = getattr(_documents(project).checked(made, ()), made.kind)[made.name]
    if wrong := dict(refused_places(meant, Terms.of(project.settings))):
        raise _wrong(made.kind, made.name, wrong)


def _refuse_masks(made: ApiDocument) -> None:
    if masks := masks_of(made.value):
        raise _wrong(
            made.kind, made.name, dict.fromkeys(masks, "is a mask, and none is stored: send the secret itself")
        )


def _refuse_names_of_files(project: Project, kind: str, name: str) -> None:
    """Names that differ in case and marks only count as one, in files as here."""
    plain, noun = column_name(name), kind.removesuffix("s")
    for declared in getattr(project.in_files, kind):
        if column_name(declared) == plain:
            file = _documents(project).file_of(declared, kind)
            raise SideHeld(
                f"The {noun} {declared} has this name already; it is declared in {file}: choose another name."
            )


def _refuse_taken(changing: ChangingSides, kind: str, name: str) -> None:
    plain, noun = column_name(name), kind.removesuffix("s")
    for each in changing.existing:
        if each.kind == kind and column_name(each.name) == plain:
            raise SideHeld(
                f"The {noun} {each.name} has this name already; {each.actor} made or changed it by API: change it with "
                "PUT, or choose another name."
            )


def _known(project: Project, changing: ChangingSides, kind: str, name: str, expected: str | None) -> ApiSide:
    noun = kind.removesuffix("s")
    known = next((each for each in changing.existing if (each.kind, each.name) == (kind, name)), None)
    if known is None:
        if file := _documents(project).file_of(name, kind):
            raise SideHeld(f"The {noun} {name} is declared in {file}: change it there.")
        raise ConfigurationError(f"There is no {noun} named {name}.")
    if expected is not None and expected != known.tag:
        raise SideMoved(f"The {noun} {name} has moved on to version {known.version}: read it again, and decide anew.")
    return known


def _name_of(kind: str, document: Mapping[str, Any]) -> str:
    written = document.get("name")
    if kind == "providers" and written is None:
        written = document.get("provider_name")
    return written if isinstance(written, str) else ""


def _mark(project: Project, kind: str, document: Mapping[str, Any]) -> str:
    """Of what was sent with an idempotency key. It tells nothing of secrets to who has the store alone."""
    text = kind.encode() + msgspec.json.encode(document, order="sorted")
    key = project.settings.key_ring[0].reveal().encode()[:64]
    return hashlib.blake2b(text, key=key, digest_size=16).hexdigest()


def _wrong(kind: str, name: str, messages: Mapping[str, str]) -> ConfigurationProblems:
    place = ApiDocument(kind=kind, name=name, value={}).place
    return ConfigurationProblems([Problem(place, 0, field, message) for field, message in messages.items()])


def _documents(project: Project) -> Documents:
    documents = project.together.documents
    if documents is None:
        raise ConfigurationError("This project was opened without a folder of configuration: it takes nothing by API.")
    return documents
