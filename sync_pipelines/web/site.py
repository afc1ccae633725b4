"""Where the pages are for the outside world, and what every answer of theirs carries."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sync_pipelines.model.errors import SetupError
from sync_pipelines.settings import Settings

PATH: Final = "/connect"
SESSION, ATTEMPT = "sp_connect", "sp_connecting"
"""Cookies: of the browser that opened a link, and of the window in which somebody logs in at the vendor."""


@dataclass(frozen=True)
class Site:
    """`root`: scheme, host and path before ours. `embed`: origins that may show the pages in a frame."""

    root: str
    embed: tuple[str, ...] = ()
    product: str = ""

    @classmethod
    def of(cls, settings: Settings, reached_at: str = "") -> "Site":
        """As the settings say; in development where nothing is set, as the caller reached us.

        SetupError where nothing is set: a Host header that anybody can send must not decide where browsers go.
        """
        if not settings.public_url and (settings.environment != "development" or not reached_at):
            raise SetupError(
                "It is not set where browsers reach the connect page: set SYNC_PIPELINES_PUBLIC_URL "
                "(https://sync.example)."
            )
        root = settings.public_url or reached_at.rstrip("/")
        return cls(root, settings.may_embed, settings.product_name)

    @property
    def secure(self) -> bool:
        return self.root.startswith("https://")

    def url(self, path: str = "") -> str:
        return f"{self.root}{PATH}/{path}"

    @property
    def callback(self) -> str:
        """The redirect URL that is registered with the vendor."""
        return self.url("callback")

    def named(self, cookie: str) -> str:
        """With TLS no other host of the domain can set it."""
        return f"__Host-{cookie}" if self.secure else cookie

    def cookie(self, name: str, value: str, seconds: int) -> str:
        """A Set-Cookie header. The session's is sent inside of a frame too, where embedding is allowed."""
        parts = [f"{self.named(name)}={value}", "Path=/", f"Max-Age={seconds}", "HttpOnly"]
        in_frames = name == SESSION and self.secure and bool(self.embed)
        parts.append("SameSite=None" if in_frames else "SameSite=Lax")
        parts += ["Secure"] if self.secure else []
        parts += ["Partitioned"] if in_frames else []
        return "; ".join(parts)

    def headers(self) -> Mapping[str, str]:
        """Nothing from elsewhere, no script of a page's own, frames only where they are allowed."""
        ancestors = " ".join(self.embed) or "'none'"
        policy = (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
            f"base-uri 'none'; frame-ancestors {ancestors}"
        )
        found = {
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
            "Cache-Control": "no-store",
        }
        if not self.embed:
            found["X-Frame-Options"] = "DENY"
        if self.secure:
            found["Strict-Transport-Security"] = "max-age=31536000"
        return found


def is_return_url(url: str, *, development: bool) -> bool:
    """Whether a page may link there: https, and http where somebody develops."""
    return (
        re.fullmatch(rf"http{'s?' if development else 's'}://[^\s/?#@\"'<>\\]+([/?#][^\s\"'<>\\]*)?", url) is not None
    )
