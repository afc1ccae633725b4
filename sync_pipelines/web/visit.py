"""One request of a browser: who it is, what it sends, and what it may be answered with."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sync_pipelines.model.provider import Provider
from sync_pipelines.project import Project
from sync_pipelines.store.connect_sessions import ConnectSession, NoSession
from sync_pipelines.web.site import ATTEMPT, SESSION, Site


class Problem(Exception):
    """Ends a visit with a page that says what is wrong and what to do.

    `again`: a link back to the first page. `stranger`: what the browser brought opens nothing; who tries that too often
    has to wait.
    """

    def __init__(self, status: int, title: str, text: str, *, again: bool = True, stranger: bool = False) -> None:
        super().__init__(title)
        self.status, self.title, self.text, self.again, self.stranger = status, title, text, again, stranger


@dataclass(frozen=True, kw_only=True)
class Page:
    """A template and what it shows. `cookies`: Set-Cookie headers. `wait`: seconds until it may be asked for again."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    cookies: Sequence[str] = ()
    wait: int = 0


@dataclass(frozen=True, kw_only=True)
class Go:
    """Send the browser elsewhere, with GET."""

    url: str
    cookies: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Visit:
    """`parts`: of the path. `form`: what was sent in the body. `from_elsewhere`: by another site's page, or by none, as
    far as the browser tells."""

    project: Project
    site: Site
    parts: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    cookies: Mapping[str, str]
    embedded: bool = False
    from_elsewhere: bool = False

    def cookie(self, name: str) -> str | None:
        return self.cookies.get(self.site.named(name)) or None

    @cached_property
    def session(self) -> ConnectSession:
        """The session that this browser has opened. Problem where it has none any more."""
        cookie = self.cookie(SESSION)
        try:
            if cookie is None:
                raise NoSession("none")
            found = self.project.store.connect_sessions.of_browser(cookie)
            self.project.together.refresh()
        except NoSession:
            raise _ended(self.site) from None
        if found.provider not in self.project.providers:
            raise Problem(404, "This link leads nowhere any more", f"Ask {said(self.site)} for a new one.", again=False)
        return found

    @property
    def has_session(self) -> bool:
        try:
            return self.session is not None
        except Problem:
            return False

    @property
    def provider(self) -> Provider:
        return self.project.providers[self.session.provider]

    def guard(self, *, of_attempt: bool = False) -> None:
        """Refuse a form that was not sent by one of our pages to this very browser."""
        if not of_attempt:
            _ = self.session
        sent, own = self.form.get("guard", ""), self.guard_text(of_attempt=of_attempt)
        if not own or not hmac.compare_digest(sent.encode(), own.encode()):
            raise Problem(403, "This page is out of date", "Open it again and repeat what you did.")

    def guard_text(self, *, of_attempt: bool = False) -> str:
        """What our pages put into their forms: follows from the browser's cookie, which no other site can read."""
        cookie = self.cookie(ATTEMPT if of_attempt else SESSION)
        return guard_of(cookie) if cookie else ""


def guard_of(cookie: str) -> str:
    """What a form carries of the browser that has this cookie."""
    return hmac.new(cookie.encode(), b"form", hashlib.sha256).hexdigest()


def said(site: Site) -> str:
    """How a page calls the product."""
    return site.product or "the product you came from"


def _ended(site: Site) -> Problem:
    return Problem(
        401,
        "This page has ended",
        f"For your safety it works for a limited time, in the browser that opened it. Go back to {said(site)} and open "
        "it from there again.",
        again=False,
        stranger=True,
    )
