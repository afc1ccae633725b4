"""Finds the route of a request among many without trying them one by one."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Generic, TypeVar

Target = TypeVar("Target")


class RoutingTable(Generic[Target]):
    """Routes by method, number of segments and first segment; `{name}` in a path takes one segment or a part of it.

    A slash at the end of a path makes no difference. Among routes that fit, the first one added wins.
    """

    def __init__(self, routes: Iterable[tuple[str, str, Target]]) -> None:
        self._routes: dict[tuple[str, int, str], list[tuple[re.Pattern[str], Target]]] = defaultdict(list)
        for method, path, target in routes:
            pattern = "".join(
                f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part)
                for part in re.split(r"(\{\w+\})", path)
            )
            self._routes[_place(method, path)].append((re.compile(pattern), target))

    def find(self, method: str, path: str) -> tuple[Target, dict[str, str]] | None:
        """The target and the parts of the path; None when nothing fits."""
        path = path.rstrip("/")
        for pattern, target in self._routes.get(_place(method, path), ()):
            found = pattern.fullmatch(path)
            if found is not None:
                return target, found.groupdict()
        return None


def _place(method: str, path: str) -> tuple[str, int, str]:
    return method, path.count("/"), path.split("/", 2)[1] if path else ""
