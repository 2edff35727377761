import email
import re
from email.policy import default

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.testclient import TestClient

from overparam.feed.secrets import fingerprint
from overparam.ledger.schema import account, api_token, article, session, vote
from overparam.site import accounts
from overparam.site.pages import people
from overparam.site.problems import handlers

AT, FUTURE = "2026-11-20T14:00:00.000000Z", "2999-01-01T00:00:00.000000Z"
JSON = {"accept": "application/json"}


@pytest.fixture
def browse(ledger):
    row = {"title": "t", "abstract": "", "authors_json": "[]", "author_count": 0, "published_on": "2026-11-20",
           "listed_on": "2026-11-20", "added_at": AT, "updated_at": AT, "votes_elsewhere": 86}  # fmt: skip
    with ledger.writing() as db:
        for key in ("toy", "quant-ph/0201082"):
            db.execute(sa.insert(article).values(id=f"id-{key[:3]}", key=key, title_key=key, **row))
        for name, role in (("ada", "member"), ("root", "admin")):
            db.execute(sa.insert(account).values(id=name, name=name.capitalize(), role=role, created_at=AT))
            db.execute(
                sa.insert(session).values(
                    token_hash=fingerprint(f"of {name}", "session"), account_id=name, created_at=AT, expires_at=FUTURE
                )
            )
        token = {"id": "t1", "account_id": "ada", "name": "laptop", "created_at": AT}
        db.execute(sa.insert(api_token).values(token_hash=fingerprint("op_read", "api token"), scope="read", **token))
    app = Starlette(routes=people.routes, exception_handlers=handlers)
    app.state.ledger, app.state.local = ledger, False

    def browser(who=None):
        return TestClient(app, follow_redirects=False, cookies={"session": f'"of {who}"'} if who else None)

    browser.app = app
    return browser


def mails(home):
    found = [email.message_from_bytes(p.read_bytes(), policy=default) for p in sorted((home / "outbox").glob("*.eml"))]
    return [m.get_body(("plain",)).get_content() for m in found]


def read(ledger, *columns):
    with ledger.reading() as db:
        return db.execute(sa.select(*columns)).all()


def test_from_address_to_session_and_out_again(browse, home, ledger):
    here = browse()
    asked = here.post("/sign-in", data={"email": "eve@example.org", "next": "/papers/toy?x=1"})
    assert asked.status_code == 202
    (text,) = mails(home)
    path = re.search(r"http://127\.0\.0\.1:8000(/sign-in/\S+)", text)[1]
    for _ in range(2):  # a scanner may look as often as it likes
        looked = here.get(path)
        assert looked.status_code == 200
        assert "set-cookie" not in looked.headers
    assert 'value="/papers/toy?x=1"' in looked.text
    pressed = here.post(path.split("?")[0], data={"next": "/papers/toy?x=1"})
    assert (pressed.status_code, pressed.headers["location"]) == (303, "/papers/toy?x=1")
    assert re.search(
        r"session=[\w-]{43}; HttpOnly; Max-Age=2592000; Path=/; SameSite=lax$", pressed.headers["set-cookie"]
    )
    assert "Member" in here.get("/account").text
    for again in (here.get(path), here.post(path.split("?")[0])):
        assert (again.status_code, "used or is too old" in again.text) == (410, True)
    old = here.cookies["session"]
    assert here.post("/sign-out").headers["location"] == "/"
    assert here.get("/account").headers["location"] == "/sign-in?next=%2Faccount"
    assert TestClient(browse.app, cookies={"session": old}, follow_redirects=False).get("/account").status_code == 303


def test_cookies_are_for_https_alone_where_the_site_is(browse, monkeypatch, ledger):
    monkeypatch.setenv("OVERPARAM_SITE_URL", "https://papers.example.org")
    link = accounts.admin_link(ledger) or ""
    assert link == ""  # there is an admin
    token = re.search(
        r"/sign-in/([\w-]+)", accounts.request_link(ledger, "a@example.org").message.get_body(("plain",)).get_content()
    )[1]
    assert "; Secure" in browse().post(f"/sign-in/{token}").headers["set-cookie"]


def test_the_answer_is_the_same_whoever_asks(browse, home, ledger):
    known, unknown, often = (
        browse().post("/sign-in", data={"email": e}) for e in ("a@example.org", "b@example.org", "a@example.org")
    )
    for _ in range(accounts.MAILS_A_DAY):
        often = browse().post("/sign-in", data={"email": "a@example.org"})
    assert known.text == unknown.text == often.text
    assert known.status_code == unknown.status_code == often.status_code == 202
    assert len(mails(home)) == 1 + accounts.MAILS_A_DAY


def test_a_wrong_address_is_explained_and_kept(browse, home):
    answer = browse().post("/sign-in", data={"email": '"><script>.example.org', "next": "//evil.org"})
    assert answer.status_code == 422
    assert "There is no @ in" in answer.text
    assert 'value="&#34;&gt;&lt;script&gt;.example.org"' in answer.text
    assert 'name="next" value="/"' in answer.text
    assert mails(home) == []


def test_pressing_a_new_link_ends_the_old_session(browse, ledger):
    here = browse("ada")
    mail = accounts.request_link(ledger, "new@example.org")
    token = re.search(r"/sign-in/([\w-]+)", mail.message.get_body(("plain",)).get_content())[1]
    here.post(f"/sign-in/{token}")
    assert fingerprint("of ada", "session") not in [h for (h,) in read(ledger, session.c.token_hash)]


def test_votes_by_form_and_by_script(browse, ledger):
    here = browse("ada")
    answer = here.post("/papers/toy/vote", data={"on": "1", "next": "/days/2026-11-20?order=newest"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/days/2026-11-20?order=newest#p-id-toy")
    again = here.post("/papers/toy/vote", data={"on": "1"}, headers=JSON)
    assert again.json() == {"votes": 1, "voted": True, "total": 87}
    assert read(ledger, vote.c.account_id) == [("ada",)]
    off = here.post("/papers/toy/vote", data={"on": "0"}, headers=JSON)
    assert off.json() == {"votes": 0, "voted": False, "total": 86}
    assert here.post("/papers/quant-ph/0201082/vote", headers=JSON).json()["votes"] == 1
    assert here.post("/papers/nothing/vote").status_code == 404


def test_who_may_not_vote_is_told_or_led_to_sign_in(browse, ledger):
    answer = browse().post("/papers/toy/vote", data={"next": "/trending"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Ftrending")
    assert browse().post("/papers/toy/vote", headers=JSON).status_code == 401
    assert browse().post("/papers/toy/vote", headers={"authorization": "Bearer op_read"}).status_code == 403
    assert read(ledger, vote) == []


def test_at_the_desk_votes_count_and_the_account_is_explained(browse, ledger):
    browse.app.state.local = True
    assert browse().post("/papers/toy/vote", headers=JSON).json()["votes"] == 1
    assert "at your own desk" in browse().get("/account").text
    assert browse().post("/account/token", data={"name": "x", "scope": "run"}).status_code == 403
    assert read(ledger, vote.c.account_id) == [("local",)]


@pytest.mark.parametrize(
    "evil",
    [
        "//evil.org",
        "https://evil.org",
        "/\\evil.org",
        "\\\\evil.org",
        "/a\r\nX: y",
        "javascript:x",
        "",
        "/\t/evil.org",
        "/ü",
        "/" + "a" * 3000,
    ],
)
def test_nothing_leads_away_from_the_site(browse, evil):
    assert browse().post("/theme", data={"theme": "dark", "next": evil}).headers["location"] == "/"
    assert browse("ada").post("/papers/toy/vote", data={"next": evil}).headers["location"] == "/papers/toy#p-id-toy"
    assert browse("ada").get("/sign-in", params={"next": evil}).headers["location"] == "/"


def test_the_theme_is_remembered_and_forgotten(browse):
    here = browse()
    answer = here.post("/theme", data={"theme": "dark", "next": "/sign-in?next=%2F"})
    assert answer.headers["location"] == "/sign-in?next=%2F"
    assert 'data-theme="dark"' in here.get("/sign-in").text
    here.post("/theme", data={"theme": "system"})
    assert "data-theme" not in here.get("/sign-in").text
    assert here.post("/theme", data={"theme": "pink"}).status_code == 422


def test_a_token_is_shown_once_and_revoked(browse, ledger):
    here = browse("ada")
    made = here.post("/account/token", data={"name": "note<b>book", "scope": "vote"})
    (token,) = set(re.findall(r"op_[\w-]{43}", made.text))
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    assert "note&lt;b&gt;book" in made.text
    page = here.get("/account").text
    assert token not in page
    bearer = {"authorization": f"Bearer {token}", **JSON}
    assert browse().post("/papers/toy/vote", headers=bearer).json()["votes"] == 1
    assert here.post("/account/token", data={"name": "x", "scope": "admin"}).status_code == 422
    (found,) = (i for i, name in read(ledger, api_token.c.id, api_token.c.name) if name == "note<b>book")
    assert here.post("/account/revoke", data={"token": found}).status_code == 303
    assert browse().post("/papers/toy/vote", headers=bearer).status_code == 401


def test_a_token_of_small_scope_makes_no_larger_one(browse, ledger):
    before = read(ledger, api_token.c.id)
    answer = browse().post(
        "/account/token", data={"name": "x", "scope": "run"}, headers={"authorization": "Bearer op_read"}
    )
    assert answer.status_code == 403
    assert read(ledger, api_token.c.id) == before


def test_rename_sessions_and_unknown_changes(browse, ledger):
    here = browse("ada")
    assert here.post("/account/name", data={"name": "Countess"}).status_code == 303
    assert "Countess" in here.get("/account").text
    assert here.post("/account/name", data={"name": ""}).status_code == 422
    accounts.consume_link(
        ledger,
        accounts
        .request_link(ledger, "x@example.org")
        .message.get_body(("plain",))
        .get_content()
        .split("/sign-in/")[1]
        .split()[0],
    )
    assert here.post("/account/sessions").status_code == 303
    assert len(read(ledger, session)) == 3  # those of others stay
    assert here.post("/account/nonsense").status_code == 404
    assert browse().post("/account/name", data={"name": "x"}).headers["location"] == "/sign-in?next=%2Faccount"


def test_admins_set_roles_and_members_do_not(browse, ledger):
    assert 'id="people"' in browse("root").get("/account").text
    assert 'id="people"' not in browse("ada").get("/account").text
    assert browse("ada").post("/account/role", data={"account": "ada", "role": "admin"}).status_code == 403
    assert browse("root").post("/account/role", data={"account": "ada", "role": "runner"}).status_code == 303
    assert browse("root").post("/account/role", data={"account": "root", "role": "member"}).status_code == 422
    assert dict(read(ledger, account.c.id, account.c.role)) == {"ada": "runner", "root": "admin"}


def test_deleting_needs_a_tick_and_takes_everything(browse, ledger):
    here = browse("ada")
    here.post("/papers/toy/vote")
    assert here.post("/account/delete").status_code == 422
    gone = here.post("/account/delete", data={"sure": "1"})
    assert (gone.status_code, gone.headers["location"]) == (303, "/")
    assert [i for (i,) in read(ledger, account.c.id)] == ["root"]
    assert read(ledger, article.c.votes).count((0,)) == 2
    assert browse("ada").get("/account").status_code == 303


def test_no_page_carries_inline_style_or_script(browse):
    pages = [
        browse().get("/sign-in"),
        browse("root").get("/account"),
        browse().post("/sign-in", data={"email": "q@example.org"}),
    ]
    for page in pages:
        assert not re.search(r"<style|<script(?! type=\"module\" src=)| style=| on\w+=", page.text)
        assert page.text.count("<h1") == 1
