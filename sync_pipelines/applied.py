"""Whether a sync is configured as it was applied, and whether what it depends on is as it was."""

import hashlib
from collections.abc import Iterator

from sync_pipelines.config import Configuration
from sync_pipelines.config.snapshot import Parts
from sync_pipelines.model.sync import Sync
from sync_pipelines.store import AppliedVersion


def unapplied(in_effect: AppliedVersion | None, written: Parts, sync: str) -> str | None:
    """Why runs must not use what is written of a sync, with what to do; None where it is what was applied.

    Its own document counts, and those of its provider and its destination. Secrets do not: they are in no version.
    """
    if in_effect is None:
        return (
            f"The sync {sync} was never applied, and SYNC_PIPELINES_REQUIRE_APPLY is set: look at "
            "`sync-pipelines plan` and run `sync-pipelines apply`."
        )
    differing = [
        name for name, written_part, applied in _of_sync(in_effect.parts, written, sync) if written_part != applied
    ]
    if not differing:
        return None
    return (
        f"The sync {sync} is not configured as in version {in_effect.version}, which {in_effect.actor} applied at "
        f"{in_effect.applied_at:%Y-%m-%d %H:%M:%S %Z}: {', '.join(differing)} differ(s). If the files here are the "
        "newer ones, look at `sync-pipelines plan` and run `sync-pipelines apply`; if not, update them and "
        "load this process anew."
    )


def _of_sync(applied: Parts, written: Parts, sync: str) -> Iterator[tuple[str, object, object]]:
    own = written["syncs"][sync]
    for kind, name in (("syncs", sync), ("providers", own["provider"]), ("destinations", own["destination"])):
        yield f"{kind.removesuffix('s')} {name}", written[kind].get(name), applied.get(kind, {}).get(name)


def mark_of(configuration: Configuration, sync: Sync, key: bytes) -> str:
    """A text that changes with the provider and the destination of a sync, their secrets included, and tells nothing of
    them without the key."""
    provider, destination = configuration.providers[sync.provider], configuration.destinations[sync.destination]
    secrets = "\0".join(each.reveal() for each in (provider.client.client_secret, *destination.secrets))
    text = f"{provider!r}\0{destination!r}\0{secrets}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=key, digest_size=16).hexdigest()
