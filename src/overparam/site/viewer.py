"""Who looks at a page: from the session cookie, from an API token, or because the site runs at one's own desk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import sqlalchemy as sa
from starlette.requests import Request

from overparam.feed.secrets import fingerprint
from overparam.ledger import Ledger
from overparam.ledger.clock import now
from overparam.ledger.schema import account, api_token, session

Role = Literal["anonymous", "member", "runner", "admin"]
Scope = Literal["read", "vote", "run", "admin"]

COOKIE = "session"
TOKEN = "op_"  # how API tokens begin, so that a leaked one is recognised
LOCAL = "local"
SCOPES: tuple[Scope, ...] = ("read", "vote", "run", "admin")  # each includes those before it
USE_NOTED_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class Viewer:
    """Who sent a request.

    Attributes:
        account_id: The account; None for anonymous.
        name: As shown.
        role: What the account may do.
        local: Whether it is the person at whose desk the site runs.
        scope: What the way of signing in allows; only API tokens narrow it.
    """

    account_id: str | None = None
    name: str = ""
    role: Role = "anonymous"
    local: bool = False
    scope: Scope = "admin"

    @property
    def may_vote(self) -> bool:
        """Whether votes count."""
        return self._allows("vote")

    @property
    def may_run(self) -> bool:
        """Whether runs may be asked for; those of members wait in the queue and cost quota."""
        return self._allows("run")

    @property
    def starts_at_once(self) -> bool:
        """Whether runs start without quota."""
        return self.may_run and self.role in ("runner", "admin")

    @property
    def is_admin(self) -> bool:
        """Whether everything is allowed."""
        return self.role == "admin" and self._allows("admin")

    def _allows(self, scope: Scope) -> bool:
        return self.account_id is not None and SCOPES.index(scope) <= SCOPES.index(self.scope)


ANONYMOUS = Viewer()
AT_THE_DESK = Viewer(LOCAL, "You", "runner", local=True)


def viewer_of(request: Request) -> Viewer:
    """Find out who sent a request; asks the ledger once a request, and only if there is a cookie or a token.

    Args:
        request: What was asked.

    Returns:
        The viewer; anonymous if the cookie or the token is not valid.
    """
    known: Viewer | None = getattr(request.state, "viewer", None)
    if known is None:
        known = request.state.viewer = _find(request)
    return known


def bearer_of(request: Request) -> str | None:
    """Return the token of an `Authorization: Bearer` header, or None."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _find(request: Request) -> Viewer:
    ledger: Ledger = request.app.state.ledger
    token = bearer_of(request)
    if token is not None:
        return _by_token(ledger, token)
    cookie = request.cookies.get(COOKIE)
    found = _by_session(ledger, cookie) if cookie else None
    if found is None:
        found = AT_THE_DESK if request.app.state.local else ANONYMOUS
    return found


def _by_session(ledger: Ledger, cookie: str) -> Viewer | None:
    with ledger.reading() as db:
        row = db.execute(
            sa
            .select(account.c.id, account.c.name, account.c.role)
            .join(session, session.c.account_id == account.c.id)
            .where(session.c.token_hash == fingerprint(cookie, "session"), session.c.expires_at > now())
        ).first()
    return None if row is None else Viewer(row.id, row.name, row.role)


def _by_token(ledger: Ledger, token: str) -> Viewer:
    if not token.startswith(TOKEN):
        return ANONYMOUS
    with ledger.reading() as db:
        row = db.execute(
            sa
            .select(account.c.id, account.c.name, account.c.role, api_token.c.scope, api_token.c.used_at)
            .join(api_token, api_token.c.account_id == account.c.id)
            .where(api_token.c.token_hash == fingerprint(token, "api token"), api_token.c.revoked_at.is_(None))
        ).first()
    if row is None:
        return ANONYMOUS
    if row.used_at is None or row.used_at < now(-USE_NOTED_EVERY):
        with ledger.writing() as db:
            mine = api_token.c.token_hash == fingerprint(token, "api token")
            db.execute(sa.update(api_token).where(mine).values(used_at=now()))
    return Viewer(row.id, row.name, row.role, scope=row.scope)


def account_of(ledger: Ledger, viewer: Viewer) -> str:
    """Return the account to write under, and make that of the desk when it is first needed.

    Args:
        ledger: The ledger.
        viewer: Somebody with an account.

    Returns:
        Its id.

    Raises:
        ValueError: The viewer is anonymous.
    """
    if viewer.account_id is None:
        raise ValueError("an anonymous viewer has no account; ask viewer.may_vote or viewer.may_run first")
    if viewer.account_id == LOCAL:
        with ledger.writing() as db:
            row = {"id": LOCAL, "name": AT_THE_DESK.name, "role": AT_THE_DESK.role, "created_at": now()}
            db.execute(ledger.insert(account).values(**row).on_conflict_do_nothing())
    return viewer.account_id
