"""What was made by API, laid beside what the files declare: the same documents, the same checks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from sync_pipelines.config.configuration import Configuration
from sync_pipelines.config.environment import Allowed, expand
from sync_pipelines.config.loading import FOLDERS, Loading
from sync_pipelines.config.outbound import OutboundSyncDocument
from sync_pipelines.config.problems import ConfigurationProblems, Problem
from sync_pipelines.config.source import FieldPath, Unreadable, source_of
from sync_pipelines.config.validation import validated
from sync_pipelines.model.asset_names import ambiguous_names
from sync_pipelines.model.provider import Provider

INBOUND: Final = "inbound"
OUTBOUND: Final = "outbound"

_OUTBOUND_KEYS: Final = frozenset({"model_id", "field_mappings"})


@dataclass(frozen=True, kw_only=True)
class ApiDocument:
    """A document, as it was sent. `kind`: providers, destinations or syncs, as the folders of the files."""

    name: str
    value: Mapping[str, Any] = field(repr=False)
    kind: str = "syncs"

    @property
    def place(self) -> str:
        """Where its problems are."""
        return f"{self.kind.removesuffix('s')} {self.name} (made by API)"


def direction_of(value: Mapping[str, Any]) -> str:
    """Which way a document that was sent is meant: by what it says, or by the keys that it has."""
    written = value.get("direction")
    if isinstance(written, str) and written.strip().casefold() == OUTBOUND:
        return OUTBOUND
    return OUTBOUND if written is None and _OUTBOUND_KEYS & value.keys() else INBOUND


class Documents:
    """What the files declare. Made by `load_documents`."""

    def __init__(self, loading: Loading, configuration: Configuration) -> None:
        self._loading = loading
        self.configuration = configuration
        """Of the files alone."""

    def laid_over(self, given: Sequence[ApiDocument]) -> Configuration:
        """Together with these, of each kind the older ones first. What is wrong with one of them sets it aside, and
        what needs it: the files go first, then the older."""
        # A sync may be wrong because its provider is.
        accepted, aside = sorted(given, key=lambda each: FOLDERS.index(each.kind)), dict[tuple[str, str], str]()
        while True:
            configuration, problems = self._together(accepted)
            by_place: dict[str, list[Problem]] = {}
            for problem in problems:
                by_place.setdefault(problem.file, []).append(problem)
            wrong = next((each for each in accepted if each.place in by_place), None)
            if wrong is None:
                return _told(configuration, accepted, aside)
            aside[wrong.kind, wrong.name] = "; ".join(dict.fromkeys(map(str, by_place[wrong.place])))
            accepted.remove(wrong)

    def checked(self, document: ApiDocument, others: Sequence[ApiDocument]) -> Configuration:
        """What a document means beside the files and these others. ConfigurationProblems of this one."""
        configuration, problems = self._together([*others, document])
        if own := [problem for problem in problems if problem.file == document.place]:
            raise ConfigurationProblems(own)
        return configuration

    def checked_outbound(self, document: ApiDocument) -> OutboundSyncDocument:
        """ConfigurationProblems where it is not as it should be."""
        problems: list[Problem] = []
        unfilled: set[FieldPath] = set()
        try:
            source = source_of(document.value, document.place)
        except Unreadable as error:
            raise ConfigurationProblems([error.problem]) from error

        def refuse(path: FieldPath, message: str) -> None:
            unfilled.add(path)
            problems.append(source.problem(path, message))

        value = expand(source.value, {}, Allowed(environment=False), refuse)
        outbound, wrong = validated(source, value, OutboundSyncDocument, unfilled)
        if outbound is None or problems:
            raise ConfigurationProblems([*problems, *wrong])
        return outbound

    def knows(self, reference: str) -> bool:
        """Whether a provider or a destination of a file has this name or id."""
        known = {name for each in self._loading.providers for name in (each.name, each.content.id)}
        known |= {name for each in self._loading.destinations for name in (each.name, each.content.id)}
        return reference in known

    def file_of(self, name: str, kind: str = "syncs") -> str | None:
        """The file that declares something, below the configuration's folder; None where no file does."""
        found = (each.file for each in self.configuration.documents if (each.kind, each.name) == (kind, name))
        return next(found, None)

    def _together(self, given: Sequence[ApiDocument]) -> tuple[Configuration, list[Problem]]:
        loading = self._loading.copied()
        for each in given:
            try:
                loading.take(each.kind, source_of(each.value, each.place))
            except Unreadable as error:
                loading.problems.append(error.problem)
        configuration = loading.configuration()
        places = {each.name: each.place for each in given if each.kind == "syncs"}
        for name, message in ambiguous_names(configuration.syncs.values()):
            if name in places:
                loading.problems.append(Problem(places[name], 0, "name", message))
        return configuration, loading.problems


def _told(
    configuration: Configuration, accepted: Sequence[ApiDocument], aside: Mapping[tuple[str, str], str]
) -> Configuration:
    return replace(
        configuration,
        by_api=frozenset(each.name for each in accepted if each.kind == "syncs"),
        sides_by_api=frozenset((each.kind, each.name) for each in accepted if each.kind != "syncs"),
        set_aside={name: reason for (kind, name), reason in aside.items() if kind == "syncs"},
        sides_aside={key: reason for key, reason in aside.items() if key[0] != "syncs"},
    )


def load_documents(
    folder: Path,
    environ: Mapping[str, str],
    *,
    providers: Mapping[str, Provider] | None = None,
    at_version: Callable[[str, str], Provider] | None = None,
) -> Documents:
    """As `load_configuration`, open for what is made by API. ConfigurationProblems with all mistakes of all files."""
    loading = Loading(environ, providers or {}, at_version)
    loading.read(folder)
    whole = loading.copied()
    configuration = whole.configuration()
    if whole.problems:
        raise ConfigurationProblems(whole.problems)
    return Documents(loading, configuration)
