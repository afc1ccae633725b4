"""Reads a folder of providers/, destinations/ and syncs/ into one checked configuration."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from sync_pipelines.config.building import destination_from, provider_from, sync_from
from sync_pipelines.config.checks import (
    Content,
    DestinationDocument,
    Written,
    objects_possible,
    referred,
    schemas_sound,
    tables_shared,
    twins,
    vendors_known,
)
from sync_pipelines.config.configuration import Configuration, KeptDocument
from sync_pipelines.config.documents import (
    DESTINATION_DOCUMENTS,
    ProviderDocument,
    SyncDocument,
)
from sync_pipelines.config.environment import Allowed, expand
from sync_pipelines.config.masking import SECRET_KEYS
from sync_pipelines.config.problems import ConfigurationProblems, Problem, listed
from sync_pipelines.config.snapshot import without_secrets
from sync_pipelines.config.source import FieldPath, Source, Unreadable, read_sources
from sync_pipelines.config.validation import Model, guessed, shown, validated
from sync_pipelines.model.provider import Provider
from sync_pipelines.model.sync import MINIMUM_INTERVAL, Sync

FOLDERS = ("providers", "destinations", "syncs")
OWN_TRANSFORMS = "transforms"
"""Python files that are imported when a rule first names a transform which is not one of ours."""

SUFFIXES = (".yaml", ".yml", ".json")

_REFERENCES = {
    "providers": Allowed(literal=frozenset({"id", "name", "provider_name"})),
    "destinations": Allowed(
        literal=frozenset({"id", "name", "type"}),
        for_customers=frozenset(
            {("credentials", "database"), ("credentials", "schema"), ("credentials", "prefix"), ("folder",)}
        ),
    ),
    "syncs": Allowed(literal=frozenset({"id", "name", "objects", "metadata_prefix"})),
}
"""Where each kind of document may take values from the environment."""

_SENT = {kind: replace(allowed, environment=False, hidden=SECRET_KEYS) for kind, allowed in _REFERENCES.items()}
"""The same for documents that are in no file: whoever sent them must not read the server's environment."""


def load_configuration(
    folder: Path,
    environ: Mapping[str, str],
    *,
    providers: Mapping[str, Provider] | None = None,
    at_version: Callable[[str, str], Provider] | None = None,
) -> Configuration:
    """The configuration in `folder`, with references filled from `environ`.

    `providers` are the declared vendors by name; with them, vendors' names are checked and an object's other names
    (`contacts`, `0-1`) are known to be the same object; `at_version` makes one at another API version. Raises
    ConfigurationProblems, which lists all mistakes of all files as `file:line: field: what is wrong; what to do`.
    """
    loading = Loading(environ, providers or {}, at_version)
    loading.read(folder)
    configuration = loading.configuration()
    if loading.problems:
        raise ConfigurationProblems(loading.problems)
    return configuration


class Loading:
    """One pass over documents, collecting problems and warnings: `read` them, then ask for the `configuration` once."""

    def __init__(
        self,
        environ: Mapping[str, str],
        vendors: Mapping[str, Provider],
        at_version: Callable[[str, str], Provider] | None,
    ) -> None:
        self.environ = environ
        self.vendors = vendors
        self.at_version = at_version
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.providers: list[Written[ProviderDocument]] = []
        self.destinations: list[Written[DestinationDocument]] = []
        self.syncs: list[Written[SyncDocument]] = []
        self.incomplete: set[str] = set()
        self.folder = Path()
        self.sent: set[str] = set()
        """Places of documents that are in no file."""

    def copied(self) -> "Loading":
        """What was read so far, to go on from."""
        other = copy(self)
        for name in ("problems", "warnings", "providers", "destinations", "syncs", "incomplete", "sent"):
            setattr(other, name, copy(getattr(self, name)))
        return other

    def take(self, kind: str, source: Source) -> None:
        """A document that is in no file. It can take nothing from the environment."""
        self.sent.add(source.file)
        self._read_document(kind, source, _SENT[kind])

    def read(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            self.problems.append(
                Problem(folder.as_posix(), 0, "", "there is no such folder: set SYNC_PIPELINES_SYNCS_DIR to yours")
            )
            return
        self._warn_of_stray_files(folder)
        for kind in FOLDERS:
            for file in sorted((folder / kind).rglob("*")):
                if file.suffix in SUFFIXES and file.is_file():
                    self._read_file(kind, file)

    def _warn_of_stray_files(self, folder: Path) -> None:
        for entry in sorted(folder.iterdir()):
            known = entry.name in FOLDERS or entry.name == OWN_TRANSFORMS
            if (entry.is_file() and entry.suffix in SUFFIXES) or (entry.is_dir() and not known):
                self.warnings.append(f"{entry.as_posix()} is not read: move it into {', '.join(FOLDERS)}")

    def _read_file(self, kind: str, file: Path) -> None:
        try:
            sources = read_sources(file)
        except Unreadable as error:
            self.problems.append(error.problem)
            self.incomplete.add(kind)
            return
        for source in sources:
            found = len(self.problems)
            self._read_document(kind, source)
            if len(self.problems) > found:
                self.incomplete.add(kind)

    def _read_document(self, kind: str, source: Source, references: Allowed | None = None) -> None:
        if not isinstance(source.value, dict):
            self.problems.append(source.problem((), "must be a mapping of `name: value`"))
            return
        unfilled: set[FieldPath] = set()

        def refuse(path: FieldPath, message: str) -> None:
            unfilled.add(path)
            self.problems.append(source.problem(path, message))

        value = expand(source.value, self.environ, references or _REFERENCES[kind], refuse)
        if kind == "providers":
            self._keep(self.providers, source, value, ProviderDocument, unfilled)
        elif kind == "syncs":
            self._keep(self.syncs, source, value, SyncDocument, unfilled)
        elif model := self._destination_model(source, value, unfilled):
            self._keep(self.destinations, source, value, model, unfilled)

    def _destination_model(
        self, source: Source, value: dict[str, Any], unfilled: set[FieldPath]
    ) -> type[DestinationDocument] | None:
        kind = value.get("type")
        if isinstance(kind, str) and kind in DESTINATION_DOCUMENTS:
            return DESTINATION_DOCUMENTS[kind]
        if ("type",) not in unfilled:
            written = source.written(("type",))
            known = f"{guessed(written, DESTINATION_DOCUMENTS)} Known: {listed(DESTINATION_DOCUMENTS)}"
            message = f"{shown(written)} is not known here.{known}" if written else f"is missing: add it.{known}"
            self.problems.append(source.problem(("type",), message))
        return None

    def _keep(
        self,
        kept: list[Written[Any]],
        source: Source,
        value: Any,
        model: type[Model],
        unfilled: set[FieldPath],
    ) -> None:
        document, problems = validated(source, value, model, unfilled)
        self.problems.extend(problems)
        if document is not None:
            kept.append(Written(document, source, frozenset(unfilled)))

    def configuration(self) -> Configuration:
        self.problems.extend(twins(self.providers, "provider"))
        self.problems.extend(twins(self.destinations, "destination"))
        self.problems.extend(twins(self.syncs, "sync"))
        self.problems.extend(vendors_known(self.providers, self.vendors, self.at_version))
        complete = [whole for sync in self.syncs if (whole := self._with_both_sides(sync))]
        self.problems.extend(tables_shared(complete, self.vendors))
        syncs = [
            sync_from(sync.content, provider_from(provider.content), destination.name)
            for sync, provider, destination in complete
        ]
        for (written, _, _), sync in zip(complete, syncs, strict=True):
            self._warn_of_haste(written, sync)
        return Configuration(
            # Of twins the first one counts: files go first.
            providers={each.name: provider_from(each.content) for each in reversed(self.providers)},
            destinations={each.name: destination_from(each.content) for each in reversed(self.destinations)},
            syncs={sync.name: sync for sync in syncs},
            warnings=tuple(self.warnings),
            documents=tuple(self._kept_documents()),
        )

    def _kept_documents(self) -> Iterator[KeptDocument]:
        written: tuple[Sequence[Written[Any]], ...] = (self.providers, self.destinations, self.syncs)
        for kind, documents in zip(FOLDERS, written, strict=True):
            for each in documents:
                if each.source.file in self.sent:
                    continue
                yield KeptDocument(
                    kind=kind,
                    name=each.name,
                    file=Path(each.source.file).relative_to(self.folder).as_posix(),
                    value=without_secrets(each.content, each.source.value, each.name),
                )

    def _with_both_sides(
        self, sync: Written[SyncDocument]
    ) -> tuple[Written[SyncDocument], Written[ProviderDocument], Written[DestinationDocument]] | None:
        provider = self._side_of(sync, "provider", self.providers)
        destination = self._side_of(sync, "destination", self.destinations)
        for side, found in (("provider", provider), ("destination", destination)):
            # A document that could not be read may well be the one that is missing.
            told = f"{side}s" in self.incomplete or (side,) in sync.unfilled or (f"{side}_id",) in sync.unfilled
            if isinstance(found, Problem) and not told:
                self.problems.append(found)
        if isinstance(provider, Problem) or isinstance(destination, Problem):
            return None
        self._check_schemas(sync, provider)
        impossible = list(objects_possible(sync, self.vendors.get(provider.content.provider_name)))
        self.problems.extend(impossible)
        return None if impossible else (sync, provider, destination)

    def _side_of(
        self, sync: Written[SyncDocument], side: str, known: Sequence[Written[Content]]
    ) -> Written[Content] | Problem:
        """What the files declare never changes by what is made by API: they name each other alone."""
        in_files = [each for each in known if each.source.file not in self.sent]
        return referred(
            sync, side, known if sync.source.file in self.sent else in_files, in_files, self.warnings.append
        )

    def _check_schemas(self, sync: Written[SyncDocument], provider: Written[ProviderDocument]) -> None:
        configured = {name for each in self.providers for name in (each.name, each.content.provider_name)}
        known = frozenset(configured.union(self.vendors))
        self.problems.extend(schemas_sound(sync, provider.content.provider_name, provider.name, known))

    def _warn_of_haste(self, written: Written[SyncDocument], sync: Sync) -> None:
        every = sync.schedule.every
        if every is not None and every < MINIMUM_INTERVAL:
            path: FieldPath = ("schedule",) if written.content.schedule else ("config", "period_ms")
            self.warnings.append(
                f"{written.place(path)}: {sync.name} asks to run every {every.total_seconds():g} seconds; "
                f"it runs every {MINIMUM_INTERVAL.total_seconds():g} seconds, the shortest period"
            )


def configuration_files(folder: Path) -> Sequence[Path]:
    """The files that `load_configuration` reads, for whoever watches them."""
    return [
        file
        for kind in FOLDERS
        for file in sorted((folder / kind).rglob("*"))
        if file.suffix in SUFFIXES and file.is_file()
    ]
