from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from starlette.datastructures import State
from starlette.requests import Request

from overparam.feed.secrets import fingerprint
from overparam.ledger.clock import now
from overparam.ledger.schema import account, api_token, session
from overparam.site.viewer import ANONYMOUS, AT_THE_DESK, Viewer, account_of, viewer_of

PAST, FUTURE = "2020-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"


def ask(ledger, cookie=None, token=None, local=False):
    headers = [(b"cookie", f"session={cookie}".encode())] if cookie else []
    headers += [(b"authorization", f"Bearer {token}".encode())] if token else []
    app = SimpleNamespace(state=State({"ledger": ledger, "local": local}))
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers, "app": app})


@pytest.fixture
def ada(ledger):
    with ledger.writing() as db:
        db.execute(sa.insert(account).values(id="ada", name="Ada", role="runner", created_at=PAST))
        for cookie, expires in (("good", FUTURE), ("old", PAST)):
            hashed = fingerprint(cookie, "session")
            db.execute(
                sa.insert(session).values(token_hash=hashed, account_id="ada", created_at=PAST, expires_at=expires)
            )
        for i, scope in enumerate(("read", "vote", "run", "admin")):
            hashed = fingerprint(f"op_{scope}", "api token")
            db.execute(
                sa.insert(api_token).values(
                    id=str(i), token_hash=hashed, account_id="ada", name=scope, scope=scope, created_at=PAST
                )
            )
        hashed = fingerprint("op_revoked", "api token")
        db.execute(
            sa.insert(api_token).values(
                id="r", token_hash=hashed, account_id="ada", name="r", scope="vote", created_at=PAST, revoked_at=PAST
            )
        )
    return ledger


@pytest.fixture
def statements(ledger):
    """All statements sent to the store."""
    seen = []
    sa.event.listen(ledger.engine, "before_cursor_execute", lambda _c, _u, text, *_: seen.append(text))
    return seen


def test_anonymous_and_local_requests_ask_nothing_of_the_ledger(ledger, statements):
    assert viewer_of(ask(ledger)) == ANONYMOUS
    assert viewer_of(ask(ledger, local=True)) == AT_THE_DESK
    assert statements == []


def test_a_session_is_looked_up_once_a_request(ada, statements):
    request = ask(ada, cookie="good")
    assert viewer_of(request) == viewer_of(Request(request.scope)) == Viewer("ada", "Ada", "runner")
    assert len(statements) == 1


@pytest.mark.parametrize("cookie", ["old", "nobody", "", "good "])
def test_other_cookies_are_worth_nothing(ada, cookie):
    assert viewer_of(ask(ada, cookie=cookie + "x" if cookie == "good " else cookie)) == ANONYMOUS


def test_tokens_allow_what_their_scope_says_and_no_more_than_the_role(ada):
    found = [viewer_of(ask(ada, token=f"op_{scope}")) for scope in ("read", "vote", "run", "admin")]
    assert [v.may_vote for v in found] == [False, True, True, True]
    assert [v.may_run for v in found] == [False, False, True, True]
    assert [v.starts_at_once for v in found] == [False, False, True, True]
    assert not any(v.is_admin for v in found)


@pytest.mark.parametrize("token", ["op_revoked", "op_unknown", "vote", "op_"])
def test_other_tokens_are_worth_nothing_even_with_a_cookie_or_at_the_desk(ada, token):
    assert viewer_of(ask(ada, token=token, cookie="good", local=True)) == ANONYMOUS


def test_use_of_a_token_is_noted_at_most_once_an_hour(ada, statements):
    viewer_of(ask(ada, token="op_vote"))
    with ada.reading() as db:
        used = db.execute(sa.select(api_token.c.used_at).where(api_token.c.name == "vote")).scalar()
    assert PAST < used <= now()
    before = len(statements)
    viewer_of(ask(ada, token="op_vote"))
    assert not any("UPDATE" in text for text in statements[before:])


def test_roles():
    assert not (ANONYMOUS.may_vote)
    assert not (ANONYMOUS.may_run)
    assert not (ANONYMOUS.is_admin)
    member, admin = Viewer("m", "M", "member"), Viewer("a", "A", "admin")
    assert member.may_vote
    assert member.may_run
    assert not member.starts_at_once
    assert admin.is_admin
    assert AT_THE_DESK.starts_at_once
    assert not AT_THE_DESK.is_admin


def test_the_account_of_the_desk_is_made_when_it_is_needed(ledger):
    assert [account_of(ledger, AT_THE_DESK) for _ in range(2)] == ["local", "local"]
    with ledger.reading() as db:
        assert db.execute(sa.select(account.c.id, account.c.role)).all() == [("local", "runner")]
    with pytest.raises(ValueError, match="anonymous"):
        account_of(ledger, ANONYMOUS)
