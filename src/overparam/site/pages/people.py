"""People: signing in and out, the account page, votes, the theme."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from overparam.errors import BadInput, Conflict, NotFound
from overparam.feed import listings, votes
from overparam.feed.mail.transport import post
from overparam.feed.secrets import decrypt, fingerprint
from overparam.settings import site_url
from overparam.site import accounts, problems, tokens
from overparam.site.security import local_path, network_of
from overparam.site.viewer import COOKIE, account_of, viewer_of
from overparam.site.views import page

Fields = dict[str, str]
THEMES = ("light", "dark", "system")
YEAR = 365 * 86_400
SCOPE_WORDS = {"read": "Read", "vote": "Read and vote", "run": "Read, vote and ask for runs", "admin": "Everything"}


def with_form(handler: Callable[[Request, Fields], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Read the form that was sent, then run a handler in a thread.

    Args:
        handler: Takes the request and the fields.

    Returns:
        A handler for a route.
    """

    @functools.wraps(handler)
    async def read_first(request: Request) -> Response:
        async with request.form(max_files=0, max_fields=50) as sent:
            fields = {name: value for name, value in sent.items() if isinstance(value, str)}
        return await run_in_threadpool(handler, request, fields)

    return read_first


def _go(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=303)


def _to_sign_in(next_path: str) -> Response:
    return _go(f"/sign-in?{urlencode({'next': next_path})}")


def _secure(request: Request) -> bool:
    return "https" in (request.url.scheme, urlsplit(site_url()).scheme)


def sign_in(request: Request) -> Response:
    """Ask for an address."""
    next_path = local_path(request.query_params.get("next"))
    return _go(next_path) if viewer_of(request).account_id else page(request, "sign_in.html.jinja", next=next_path)


@with_form
def ask_link(request: Request, sent: Fields) -> Response:
    """Mail a link; the answer is the same whoever asks."""
    email, next_path = sent.get("email", ""), local_path(sent.get("next"))
    try:
        mail = accounts.request_link(request.app.state.ledger, email, next_path=next_path)
    except BadInput as error:
        return page(request, "sign_in.html.jinja", 422, next=next_path, email=email, problem=str(error))
    answer = page(request, "sign_in_sent.html.jinja", 202)
    if mail is not None:
        answer.background = BackgroundTask(post, mail)  # after the answer, so that its time tells nothing
    return answer


def confirm_page(request: Request) -> Response:
    """Show the one button that signs in; looking changes nothing, since mail scanners look, too."""
    token = request.path_params["token"]
    good = accounts.link_is_good(request.app.state.ledger, token)
    next_path = local_path(request.query_params.get("next"))
    return page(request, "sign_in_confirm.html.jinja", 200 if good else 410, good=good, token=token, next=next_path)


@with_form
def confirm(request: Request, sent: Fields) -> Response:
    """Use up a link and begin a session."""
    ledger, token, next_path = request.app.state.ledger, request.path_params["token"], local_path(sent.get("next"))
    try:
        cookie = accounts.consume_link(ledger, token, network=network_of(request))
    except BadInput:
        return page(request, "sign_in_confirm.html.jinja", 410, good=False, token=token, next=next_path)
    if request.cookies.get(COOKIE):
        accounts.end_session(ledger, request.cookies[COOKIE])
    answer = _go(next_path)
    life = int(accounts.SESSION_LIFE.total_seconds())
    answer.set_cookie(COOKIE, cookie, max_age=life, secure=_secure(request), httponly=True, samesite="lax")
    return answer


def sign_out(request: Request) -> Response:
    """End the session."""
    if request.cookies.get(COOKIE):
        accounts.end_session(request.app.state.ledger, request.cookies[COOKIE])
    answer = _go("/")
    answer.delete_cookie(COOKIE, secure=_secure(request), httponly=True, samesite="lax")
    return answer


def account(request: Request) -> Response:
    """Show the account."""
    return _to_sign_in("/account") if viewer_of(request).account_id is None else _account(request)


def _account(request: Request, status: int = 200, **more: Any) -> Response:
    ledger, viewer = request.app.state.ledger, viewer_of(request)
    context: dict[str, Any] = {"problem": "", "token": "", **more}
    if viewer.account_id and not viewer.local:
        cookie = fingerprint(request.cookies.get(COOKIE, ""), "session")
        context |= {
            "tokens": tokens.of(ledger, viewer.account_id),
            "scopes": [(scope, SCOPE_WORDS[scope]) for scope in tokens.scopes_for(viewer)],
            "scope_words": SCOPE_WORDS,
            "sessions": [(row, row.token_hash == cookie) for row in accounts.sessions(ledger, viewer.account_id)],
            "people": [(row, decrypt(row.email_encrypted) if row.email_encrypted else "") for row in _people(request)],
            "roles": accounts.ROLES,
        }
    answer = page(request, "account.html.jinja", status, **context)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _people(request: Request) -> list[Any]:
    return accounts.everybody(request.app.state.ledger) if viewer_of(request).is_admin else []


def change(request: Request, sent: Fields) -> Response:
    """Change something about the account; only who signed in by a link may, not a token of smaller scope."""
    viewer, what = viewer_of(request), request.path_params["what"]
    if viewer.account_id is None:
        return _to_sign_in("/account")
    if viewer.local or viewer.scope != "admin" or (what == "role" and not viewer.is_admin):
        return problems.answer(request, 403)
    if what not in CHANGES:
        raise NotFound(f"an account has no {what[:40]!r}")
    try:
        return CHANGES[what](request, viewer.account_id, sent)
    except (BadInput, Conflict, NotFound) as error:
        return _account(request, 422, problem=str(error))


def _rename(request: Request, account_id: str, sent: Fields) -> Response:
    accounts.rename(request.app.state.ledger, account_id, sent.get("name", ""))
    return _go("/account")


def _make_token(request: Request, account_id: str, sent: Fields) -> Response:
    name, scope = sent.get("name", ""), sent.get("scope", "")
    made = tokens.create(request.app.state.ledger, viewer_of(request), name, scope, network=network_of(request))
    return _account(request, 201, token=made)  # shown this once, so not a redirect


def _revoke_token(request: Request, account_id: str, sent: Fields) -> Response:
    tokens.revoke(request.app.state.ledger, account_id, sent.get("token", ""), network=network_of(request))
    return _go("/account#tokens")


def _end_others(request: Request, account_id: str, sent: Fields) -> Response:
    accounts.end_others(request.app.state.ledger, account_id, request.cookies.get(COOKIE))
    return _go("/account#sessions")


def _set_role(request: Request, account_id: str, sent: Fields) -> Response:
    whose, role = sent.get("account", ""), sent.get("role", "")
    accounts.set_role(request.app.state.ledger, account_id, whose, role, network=network_of(request))
    return _go("/account#people")


def _delete(request: Request, account_id: str, sent: Fields) -> Response:
    if sent.get("sure") != "1":
        raise BadInput("Tick the box to delete the account.")
    accounts.delete_account(request.app.state.ledger, account_id)
    return sign_out(request)


CHANGES = {
    "name": _rename,
    "token": _make_token,
    "revoke": _revoke_token,
    "sessions": _end_others,
    "role": _set_role,
    "delete": _delete,
}


@with_form
def vote(request: Request, sent: Fields) -> Response:
    """Vote for a paper, or take the vote back."""
    ledger, viewer, key = request.app.state.ledger, viewer_of(request), request.path_params["key"]
    as_json = "application/json" in request.headers.get("accept", "")
    back = local_path(sent.get("next"), f"/papers/{key}")
    if not viewer.may_vote:
        if viewer.account_id is None and not as_json:
            return _to_sign_in(back)
        return problems.answer(request, 403 if viewer.account_id else 401)
    row = listings.by_key(ledger, key)
    if row is None:
        raise NotFound(f"no paper is called {key[:60]!r}")
    on = sent.get("on", "1") != "0"
    n = (votes.vote if on else votes.unvote)(ledger, account_of(ledger, viewer), row.id)
    if as_json:
        return JSONResponse({"votes": n, "voted": on, "total": n + row.votes_elsewhere})
    return _go(back if "#" in back else f"{back}#p-{row.id}")


@with_form
def theme(request: Request, sent: Fields) -> Response:
    """Remember light or dark, or leave it to the system."""
    chosen = sent.get("theme")
    if chosen not in THEMES:
        raise BadInput(f"theme={str(chosen)[:20]!r} is none of {', '.join(THEMES)}")
    answer = _go(local_path(sent.get("next")))
    if chosen == "system":
        answer.delete_cookie("theme", secure=_secure(request), httponly=True, samesite="lax")
    else:
        answer.set_cookie("theme", chosen, max_age=YEAR, secure=_secure(request), httponly=True, samesite="lax")
    return answer


routes = [
    Route("/sign-in", sign_in),
    Route("/sign-in", ask_link, methods=["POST"]),
    Route("/sign-in/{token}", confirm_page),
    Route("/sign-in/{token}", confirm, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
    Route("/account", account),
    Route("/account/{what}", with_form(change), methods=["POST"]),
    Route("/papers/{key:path}/vote", vote, methods=["POST"]),
    Route("/theme", theme, methods=["POST"]),
]
