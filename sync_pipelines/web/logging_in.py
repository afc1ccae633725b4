"""From the product's link to a connected account: open the link, log in at the vendor, come back."""

import logging
from datetime import timedelta
from typing import Final

from sync_pipelines.connecting import (
    account_replaced,
    authorize_url,
    connect_by_code,
    connect_by_key,
    form_of,
    own_login,
    store_connection,
)
from sync_pipelines.model.errors import ConfigurationError, Reauthorize, Retry, SyncError, Wait
from sync_pipelines.model.provider import Account, Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.store.connect_sessions import ATTEMPT_LIVES, ConnectSession, NoSession
from sync_pipelines.store.connections import AnotherAccount
from sync_pipelines.web.site import ATTEMPT, SESSION
from sync_pipelines.web.visit import Go, Page, Problem, Visit, guard_of, said

log = logging.getLogger(__name__)

OWN: Final = "own"
"""What a form says of an organisation with a login page of its own, in the place of an environment."""
_REFUSED_APP: Final = (
    *("invalid_scope", "invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_client"),
    *("redirect_uri_mismatch", "invalid_client_id", "OAUTH_APP_BLOCKED", "OAUTH_APPROVAL_ERROR_GENERIC"),
)


def show_link(visit: Visit) -> Page | Go:
    """The link that the product made, and whom it is for. Looking changes nothing: programs look at links too."""
    token = visit.parts["token"]
    try:
        session, opened = visit.project.store.connect_sessions.look(token, visit.cookie(SESSION))
    except NoSession as refusal:
        raise _no_link(visit, refusal) from None
    if opened:
        return Go(url=visit.site.url())
    provider = visit.project.providers.get(session.provider)
    if provider is None:
        raise Problem(404, "This link leads nowhere any more", f"Ask {said(visit.site)} for a new one.", again=False)
    return Page(template="open.html", values={"vendor": provider.title, "session": session, "token": token})


def open_link(visit: Visit) -> Page | Go:
    """Its button was pressed: this browser gets the session, and no other one."""
    if visit.from_elsewhere:
        # Whoever sends somebody here must not press the button for him.
        return show_link(visit)
    lives = timedelta(minutes=visit.project.settings.connect_session_minutes)
    try:
        _, cookie = visit.project.store.connect_sessions.open(visit.parts["token"], visit.cookie(SESSION), lives=lives)
    except NoSession as refusal:
        raise _no_link(visit, refusal) from None
    given = [] if cookie is None else [visit.site.cookie(SESSION, cookie.reveal(), int(lives.total_seconds()))]
    return Go(url=visit.site.url(), cookies=given)


def _no_link(visit: Visit, refusal: NoSession) -> Problem:
    text = {
        "used": "It was opened before, perhaps in another browser.",
        "ended": "It was made too long ago.",
    }.get(refusal.reason, "It may have been cut off on its way.")
    return Problem(
        410 if refusal.reason in ("used", "ended") else 404,
        "This link does not work any more",
        f"{text} Go back to {said(visit.site)} and open it from there again.",
        again=False,
        stranger=True,
    )


def authorize(visit: Visit) -> Page:
    """Off to the vendor. A page between, not a redirect: what a form leads to is bound to our own origin."""
    session = _placed(visit, _who_begins(visit))
    provider = visit.project.providers.get(session.provider)
    if provider is None or provider.exchange is None:
        raise Problem(404, "There is no login page", "Go back and connect with a key.")
    state, cookie = visit.project.store.connect_sessions.begin(session)
    url = authorize_url(visit.project, session, redirect_uri=visit.site.callback, state=state, verifier=cookie)
    seconds = int(ATTEMPT_LIVES.total_seconds())
    given = [visit.site.cookie(ATTEMPT, cookie.reveal(), seconds)]
    return Page(
        template="leaving.html", values={"vendor": provider.title, "url": url, "session": session}, cookies=given
    )


def _who_begins(visit: Visit) -> ConnectSession:
    """The session of this browser, or the one whose embedded page opened this window."""
    token = visit.form.get("handover")
    if not token:
        session = visit.session
        visit.guard()
        return session
    try:
        return visit.project.store.connect_sessions.take_over(token)
    except NoSession:
        text = "Close this window, load the page again and repeat it."
        raise Problem(401, "This page has ended", text, again=False, stranger=True) from None


def _placed(visit: Visit, session: ConnectSession) -> ConnectSession:
    """The session at the kind of organisation that was chosen; as the link says where nothing was."""
    chosen = visit.form.get("organisation")
    provider = visit.project.providers.get(session.provider)
    if chosen is None or provider is None:
        return session
    if chosen == OWN:
        return _at_own_login(visit, session, visit.form.get("login_url", ""))
    if chosen not in provider.environments:
        raise Problem(400, "This page is out of date", "Open it again and repeat what you did.")
    return visit.project.store.connect_sessions.place(session, chosen, None)


def _at_own_login(visit: Visit, session: ConnectSession, typed: str) -> ConnectSession:
    """The session at the organisation's own login page. Problem where that is none of the vendor's."""
    try:
        login_url, environment = own_login(visit.project, session.provider, typed.strip())
    except ConfigurationError:
        own = visit.project.providers[session.provider].auth.own_login
        title, example, hint = (own.title, own.example, own.hint) if own else ("address", "", "")
        text = f"The {title} is an address such as {example}. {hint}"
        raise Problem(422, f"This is not your {title}", text, again=visit.has_session) from None
    return visit.project.store.connect_sessions.place(session, environment, login_url)


def callback(visit: Visit) -> Page | Go:
    """Back from the vendor."""
    session = _who_comes_back(visit)
    vendor = visit.project.providers[session.provider].title
    if error := visit.query.get("error"):
        raise _refused(visit, vendor, error)
    code = visit.query.get("code")
    if not code:
        raise Problem(400, "Nothing was connected", f"{vendor} sent you back without an answer. Try it once more.")
    try:
        tokens, account = connect_by_code(
            visit.project,
            session,
            code=Secret(code),
            redirect_uri=visit.site.callback,
            verifier=Secret(visit.cookie(ATTEMPT) or ""),
        )
    except SyncError as problem:
        raise _failed(visit, vendor, problem) from problem
    return _connected(visit, session, tokens, account)


def _who_comes_back(visit: Visit) -> ConnectSession:
    state = visit.query.get("state", "")
    try:
        session = visit.project.store.connect_sessions.come_back(state, visit.cookie(ATTEMPT))
    except NoSession as refusal:
        texts = {
            "other browser": "You logged in with another browser than the one in which you began. Begin here again.",
            "ended": "It took too long. Begin again.",
        }
        text = texts.get(refusal.reason, "This answer was used before, or was never asked for. Begin again.")
        raise Problem(400, "Nothing was connected", text, again=visit.has_session, stranger=True) from None
    if session.provider not in visit.project.providers:
        raise Problem(404, "Nothing was connected", "What you wanted to connect is not there any more.", again=False)
    if visit.has_session and visit.session.customer_id != session.customer_id:
        raise Problem(
            409,
            "Nothing was connected",
            "You have opened a page for somebody else meanwhile. Close it, and begin again where you want to connect.",
        )
    return session


def _connected(
    visit: Visit, session: ConnectSession, tokens: Tokens, account: Account, cookie: str | None = None
) -> Page | Go:
    """`cookie`: of the attempt, where this browser is only about to get it."""
    try:
        store_connection(visit.project, session, tokens, account)
    except AnotherAccount as refusal:
        visit.project.store.connect_sessions.keep_pending(session, tokens, account)
        given = [] if cookie is None else [visit.site.cookie(ATTEMPT, cookie, int(ATTEMPT_LIVES.total_seconds()))]
        return Page(
            template="another.html",
            status=409,
            values={
                "vendor": visit.project.providers[session.provider].title,
                "session": session,
                "account": account,
                "former": refusal.former,
                "guard": guard_of(cookie) if cookie else visit.guard_text(of_attempt=True),
            },
            cookies=given,
        )
    return _done(visit, session)


def _done(visit: Visit, session: ConnectSession) -> Page | Go:
    """Back to the page; a window beside an embedded page has no session of its own and says that it is done."""
    if visit.has_session:
        return Go(url=visit.site.url() + "?done=connected")
    vendor = visit.project.providers[session.provider].title
    return Page(template="done.html", values={"vendor": vendor, "session": session})


def confirm(visit: Visit) -> Page | Go:
    """Somebody has said whether the other account is meant."""
    cookie = visit.cookie(ATTEMPT)
    try:
        session = visit.project.store.connect_sessions.of_attempt(cookie or "")
    except NoSession:
        raise Problem(401, "Nothing was changed", "It took too long. Begin again.", stranger=True) from None
    visit.guard(of_attempt=True)
    pending = visit.project.store.connect_sessions.take_pending(session)
    if pending is None:
        raise Problem(409, "Nothing was changed", "It was decided already.")
    if visit.form.get("decision") != "replace":
        raise Problem(200, "Nothing was changed", "Log in with the account that you used before.")
    tokens, account = pending
    account_replaced(visit.project, session, tokens, account)
    return _done(visit, session)


def key(visit: Visit) -> Page | Go:
    """A typed key, tried out before it is kept."""
    session = visit.session
    visit.guard()
    vendor = visit.provider.title
    form = form_of(visit.project, session.provider)
    if form is None:
        raise Problem(404, "There is no form", f"{vendor} is connected by its login page.")
    if form.login_url is not None:
        session = _at_own_login(visit, session, visit.form.get(form.login_url, ""))
    try:
        tokens, account = connect_by_key(visit.project, session, visit.form)
    except SyncError as problem:
        text = f"{vendor} does not accept what you typed. Copy it once more, whole, and try again."
        if isinstance(problem, Retry | Wait):
            check = "check the address, or " if form.login_url else ""
            text = f"{vendor} cannot be reached at the moment. Nothing was stored; {check}try again in a few minutes."
        log.info("a typed key of %s was not accepted: %s", session.provider, problem)
        raise Problem(422, "Nothing was connected", text) from problem
    _, cookie = visit.project.store.connect_sessions.begin(session)
    return _connected(visit, session, tokens, account, cookie.reveal())


def _refused(visit: Visit, vendor: str, error: str) -> Problem:
    """The vendor's word for no, in ours. What it says besides may come from anybody, and is not shown."""
    title = "Nothing was connected"
    log.info("%s sent a customer back with %.100r", vendor, error)
    if error == "access_denied":
        text = (
            f"Access was not allowed in {vendor}. If you may not allow it yourself, ask an administrator of your "
            f"{vendor} account to do it with you."
        )
        return Problem(403, title, text, again=visit.has_session)
    if error in _REFUSED_APP:
        return _app_refused(visit, vendor)
    text = f"{vendor} has a problem at the moment. Try again in a few minutes."
    return Problem(502, title, text, again=visit.has_session)


def _failed(visit: Visit, vendor: str, problem: SyncError) -> Problem:
    title = "Nothing was connected"
    if isinstance(problem, ConfigurationError):
        log.error("nobody can connect to %s: %s %s", vendor, problem, problem.detail)
        return _app_refused(visit, vendor)
    log.info("a login at %s came to nothing: %s", vendor, problem)
    if isinstance(problem, Reauthorize):
        text = f"{vendor} no longer takes its own answer, which works for a few minutes and once. Begin again."
        return Problem(400, title, text, again=visit.has_session)
    if isinstance(problem, Retry | Wait):
        text = f"{vendor} cannot be reached at the moment. Try again in a few minutes."
        return Problem(502, title, text, again=visit.has_session)
    text = (
        f"{vendor} let you in, but not {said(visit.site)}. The user needs the right to use the API: ask an "
        "administrator."
    )
    return Problem(403, title, text, again=visit.has_session)


def _app_refused(visit: Visit, vendor: str) -> Problem:
    text = f"{vendor} does not accept how {said(visit.site)} asks. You cannot change that: please tell them."
    return Problem(502, "Nothing was connected", text, again=False)
