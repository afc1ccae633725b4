"""Syncs that were made by API, laid beside those that the files declare: the same documents, the same checks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sync_pipelines.config.configuration import Configuration
from sync_pipelines.config.environment import Allowed, expand
from sync_pipelines.config.loading import Loading
from sync_pipelines.config.outbound import OutboundSyncDocument
from sync_pipelines.config.problems import ConfigurationProblems, Problem
from sync_pipelines.config.source import FieldPath, Unreadable, source_of
from sync_pipelines.config.validation import validated
from sync_pipelines.model.asset_names import ambiguous_names
from sync_pipelines.model.provider import Provider
from sync_pipelines.model.sync import Sync

INBOUND: Final = "inbound"
OUTBOUND: Final = "outbound"

_OUTBOUND_KEYS: Final = frozenset({"model_id", "field_mappings"})


@dataclass(frozen=True, kw_only=True)
class ApiDocument:
    """A sync's document, as it was sent."""

    name: str
    value: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Where its problems are."""
        return f"sync {self.name} (made by API)"


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

    def with_syncs(self, given: Sequence[ApiDocument]) -> Configuration:
        """Together with these syncs, older ones first. What is wrong with one of them sets it aside, and nothing else:
        the files go first, then the older."""
        accepted, aside = list(given), dict[str, str]()
        while True:
            configuration, problems = self._together(accepted)
            by_place: dict[str, list[Problem]] = {}
            for problem in problems:
                by_place.setdefault(problem.file, []).append(problem)
            wrong = next((each for each in accepted if each.place in by_place), None)
            if wrong is None:
                by_api = frozenset(each.name for each in accepted)
                return replace(configuration, by_api=by_api, set_aside=aside)
            aside[wrong.name] = "; ".join(dict.fromkeys(map(str, by_place[wrong.place])))
            accepted.remove(wrong)

    def checked(self, document: ApiDocument, others: Sequence[ApiDocument]) -> Sync:
        """The sync that a document means, beside the files and these others. ConfigurationProblems of this one."""
        configuration, problems = self._together([*others, document])
        if own := [problem for problem in problems if problem.file == document.place]:
            raise ConfigurationProblems(own)
        return configuration.syncs[document.name]

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
        """Whether a provider or a destination has this name or id."""
        known = {name for each in self._loading.providers for name in (each.name, each.content.id)}
        known |= {name for each in self._loading.destinations for name in (each.name, each.content.id)}
        return reference in known

    def file_of(self, sync: str) -> str | None:
        """The file that declares a sync, below the configuration's folder; None where no file does."""
        found = (each.file for each in self.configuration.documents if (each.kind, each.name) == ("syncs", sync))
        return next(found, None)

    def _together(self, given: Sequence[ApiDocument]) -> tuple[Configuration, list[Problem]]:
        loading = self._loading.copied()
        for each in given:
            try:
                loading.take(each.name, source_of(each.value, each.place))
            except Unreadable as error:
                loading.problems.append(error.problem)
        configuration = loading.configuration()
        places = {each.name: each.place for each in given}
        for name, message in ambiguous_names(configuration.syncs.values()):
            if name in places:
                loading.problems.append(Problem(places[name], 0, "name", message))
        return configuration, loading.problems


def load_documents(
    folder: Path,
    environ: Mapping[str, str],
    *,
    providers: Mapping[str, Provider] | None = None,
    at_version: Callable[[str, str], Provider] | None = None,
) -> Documents:
    """As `load_configuration`, open for syncs made by API. ConfigurationProblems with all mistakes of all files."""
    loading = Loading(environ, providers or {}, at_version)
    loading.read(folder)
    whole = loading.copied()
    configuration = whole.configuration()
    if whole.problems:
        raise ConfigurationProblems(whole.problems)
    return Documents(loading, configuration)
