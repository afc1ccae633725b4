"""Two configurations compared, document by document and setting by setting."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sync_pipelines.config.snapshot import KINDS, Parts
from sync_pipelines.plans.plan import CHANGED, CREATED, REMOVED, RENAMED, DocumentChange, FieldDifference

_SAME_SYNC: Final = ("provider", "destination")


def differences(old: Any, new: Any, path: str = "") -> Iterator[FieldDifference]:
    """Where two JSON values differ, as deep as both are objects."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in [*old, *(name for name in new if name not in old)]:
            inner = f"{path}.{name}" if path else name
            if name not in old or name not in new:
                yield FieldDifference(path=inner, old=old.get(name), new=new.get(name))
            else:
                yield from differences(old[name], new[name], inner)
    elif old != new:
        yield FieldDifference(path=path, old=old, new=new)


def document_changes(old: Parts, new: Parts) -> list[DocumentChange]:
    """Providers, then destinations, then syncs, by name."""
    return [change for kind in KINDS for change in _of_kind(kind, old.get(kind, {}), new.get(kind, {}))]


def _of_kind(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[DocumentChange]:
    one = kind.removesuffix("s")
    gone, come = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    renamed = _renamed({name: old[name] for name in gone}, {name: new[name] for name in come}) if one == "sync" else {}
    for name in sorted(old.keys() | new.keys()):
        if name in renamed.values():
            continue
        if name in renamed:
            was = renamed[name]
            fields = tuple(each for each in differences(old[was], new[name]) if each.path != "name")
            yield DocumentChange(kind=one, name=name, action=RENAMED, was=was, fields=fields)
        elif name not in old:
            yield DocumentChange(kind=one, name=name, action=CREATED)
        elif name not in new:
            yield DocumentChange(kind=one, name=name, action=REMOVED)
        elif fields := tuple(differences(old[name], new[name])):
            yield DocumentChange(kind=one, name=name, action=CHANGED, fields=fields)


def _renamed(gone: Mapping[str, Any], come: Mapping[str, Any]) -> dict[str, str]:
    """{new name: old name} of syncs that read the same objects of one provider into one destination."""
    found: dict[str, str] = {}
    for name, part in come.items():
        alike = [
            was for was, before in gone.items() if was not in found.values() and _identity(before) == _identity(part)
        ]
        if len(alike) == 1:
            found[name] = alike[0]
    return found


def _identity(part: Mapping[str, Any]) -> Any:
    return [part.get(key) for key in _SAME_SYNC], sorted(part.get("objects", {}))
