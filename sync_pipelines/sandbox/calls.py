"""The log of what clients asked: who, what, how it ended. Never a token."""

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 50_000
_SECRET = frozenset(("access_token", "refresh_token", "client_secret", "token", "code", "id_token_hint"))


@dataclass(frozen=True, slots=True)
class LoggedCall:
    number: int
    account: str | None
    method: str
    path: str
    params: list[tuple[str, str]]
    status: int
    at: int


class CallLog:
    def __init__(self) -> None:
        self._calls: deque[LoggedCall] = deque(maxlen=KEPT)
        self._count = 0

    def clear(self) -> None:
        self._calls.clear()
        self._count = 0

    def add(
        self, account: str | None, method: str, path: str, params: list[tuple[str, str]], status: int, at: int
    ) -> None:
        self._count += 1
        clean = [(name, "***" if name in _SECRET else value) for name, value in params]
        if "/access-tokens/" in path or "/refresh-tokens/" in path:
            path = path.rsplit("/", 1)[0] + "/***"
        self._calls.append(LoggedCall(self._count, account, method, path, clean, status, at))

    def since(self, number: int = 0, account: str | None = None) -> list[dict[str, Any]]:
        return [
            asdict(call)
            for call in self._calls
            if call.number > number and (account is None or call.account == account)
        ]
