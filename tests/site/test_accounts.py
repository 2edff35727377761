import re
import threading

import pytest
import sqlalchemy as sa

from overparam.errors import BadInput, Conflict, NotFound
from overparam.feed import votes
from overparam.feed.mail import address
from overparam.ledger.schema import account, api_token, article, audit, session, sign_in, suppression
from overparam.site import accounts, tokens
from overparam.site.viewer import Viewer

AT = "2026-11-21T14:00:00.000000Z"
LATER = "2026-11-21T14:14:59.000000Z"
TOO_LATE = "2026-11-21T14:15:00.000000Z"


def token_in(mail):
    return re.search(r"/sign-in/([\w-]+)", mail.message.get_body(("plain",)).get_content())[1]


def let_in(ledger, email="ada@example.org", now=AT):
    return accounts.consume_link(ledger, token_in(accounts.request_link(ledger, email, now=now)), now=now)


def read(ledger, *columns):
    with ledger.reading() as db:
        return db.execute(sa.select(*columns)).all()


def the_account(ledger):
    ((found,),) = read(ledger, account.c.id)
    return found


def test_a_link_makes_a_member_once_and_for_fifteen_minutes(ledger):
    mail = accounts.request_link(ledger, " ada@Example.org ", now=AT)
    assert (mail.recipient, mail.message["Auto-Submitted"]) == ("ada@example.org", "auto-generated")
    token = token_in(mail)
    assert accounts.link_is_good(ledger, token, now=LATER)
    assert not accounts.link_is_good(ledger, token, now=TOO_LATE)
    with pytest.raises(BadInput):
        accounts.consume_link(ledger, token, now=TOO_LATE)
    assert read(ledger, account) == []
    accounts.consume_link(ledger, token, now=LATER)
    assert not accounts.link_is_good(ledger, token, now=LATER)
    with pytest.raises(BadInput):
        accounts.consume_link(ledger, token, now=LATER)
    assert read(ledger, account.c.role, account.c.name) == [("member", "Member")]
    assert read(ledger, audit.c.what) == [("signed in",)]


def test_the_same_address_in_any_case_is_the_same_account(ledger):
    cookies = {let_in(ledger, email) for email in ("ada@example.org", "ADA@EXAMPLE.ORG")}
    assert len(cookies) == 2
    assert len(accounts.sessions(ledger, the_account(ledger), now=AT)) == 2


def test_a_link_pressed_twice_at_once_lets_one_in(ledger):
    token = token_in(accounts.request_link(ledger, "ada@example.org", now=AT))
    outcomes = []

    def press():
        try:
            outcomes.append(accounts.consume_link(ledger, token, now=AT))
        except BadInput:
            outcomes.append(None)

    threads = [threading.Thread(target=press) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 6
    assert sum(o is not None for o in outcomes) == len(read(ledger, session)) == 1


def test_an_address_gets_few_mails_a_day_and_none_if_suppressed(ledger):
    sent = [accounts.request_link(ledger, "ada@example.org", now=AT) for _ in range(accounts.MAILS_A_DAY + 1)]
    assert [mail is not None for mail in sent] == [True] * accounts.MAILS_A_DAY + [False]
    assert accounts.request_link(ledger, "ada@example.org", now="2026-11-22T00:00:00.000000Z") is not None
    assert accounts.request_link(ledger, "bob@example.org", now=AT) is not None
    with ledger.writing() as db:
        db.execute(sa.insert(suppression).values(email_hash=address.key("eve@example.org"), reason="complained", at=AT))
    assert accounts.request_link(ledger, "eve@example.org", now=AT) is None
    with pytest.raises(BadInput, match="no @"):
        accounts.request_link(ledger, "nobody", now=AT)


def test_the_first_start_makes_one_admin_link(ledger):
    link = accounts.admin_link(ledger, now=AT)
    assert accounts.admin_link(ledger, now=AT) is None  # one is waiting
    again = accounts.admin_link(ledger, now="2026-11-22T14:00:00.000000Z")  # it ran out after a day
    assert again != link
    token = again.rsplit("/", 1)[1]
    accounts.consume_link(ledger, token, now="2026-11-22T15:00:00.000000Z")
    assert read(ledger, account.c.role) == [("admin",)]
    assert accounts.admin_link(ledger, now="2027-11-22T15:00:00.000000Z") is None
    with pytest.raises(BadInput):
        accounts.consume_link(ledger, link.rsplit("/", 1)[1], now="2026-11-22T15:00:00.000000Z")


def test_only_hashes_of_links_sessions_and_tokens_are_kept(ledger):
    mail = accounts.request_link(ledger, "ada@example.org", now=AT)
    cookie = accounts.consume_link(ledger, token_in(mail), now=AT)
    made = tokens.create(ledger, Viewer(the_account(ledger), "Ada", "member"), "laptop", "vote")
    kept = repr([read(ledger, table) for table in (sign_in, session, api_token, account, audit)])
    for secret in (token_in(mail), cookie, made, "ada@example.org"):
        assert secret not in kept


def test_sessions_end_one_by_one_all_others_or_with_time(ledger):
    here, there = let_in(ledger), let_in(ledger)
    let_in(ledger)
    mine = the_account(ledger)
    accounts.end_session(ledger, there)
    assert len(accounts.sessions(ledger, mine, now=AT)) == 2
    assert accounts.end_others(ledger, mine, here) == 1
    assert len(accounts.sessions(ledger, mine, now=AT)) == 1
    assert accounts.sessions(ledger, mine, now="2026-12-21T14:00:00.000000Z") == []
    assert accounts.tidy(ledger, now="2026-12-21T14:00:00.000000Z") == 4  # three links, one session
    assert accounts.tidy(ledger, now="2026-12-21T14:00:00.000000Z") == 0


def test_roles_change_but_an_admin_stays(ledger):
    let_in(ledger)
    member = the_account(ledger)
    accounts.consume_link(ledger, accounts.admin_link(ledger, now=AT).rsplit("/", 1)[1], now=AT)
    (admin,) = (row.id for row in accounts.everybody(ledger) if row.role == "admin")
    with pytest.raises(Conflict, match="only admin"):
        accounts.set_role(ledger, admin, admin, "member")
    with pytest.raises(BadInput, match="'king'"):
        accounts.set_role(ledger, admin, member, "king")
    with pytest.raises(NotFound):
        accounts.set_role(ledger, admin, "nobody", "member")
    accounts.set_role(ledger, admin, member, "admin")
    accounts.set_role(ledger, member, admin, "runner")
    assert {row.id: row.role for row in accounts.everybody(ledger)} == {admin: "runner", member: "admin"}
    assert ("changed a role to runner", admin) in read(ledger, audit.c.what, audit.c.target)


def test_names_are_short_and_plain(ledger):
    let_in(ledger)
    accounts.rename(ledger, the_account(ledger), "  Ada\u202e \n Lovelace\x00 ")
    assert read(ledger, account.c.name) == [("Ada Lovelace",)]
    for name in ("", " \u202e ", "a" * 41):
        with pytest.raises(BadInput):
            accounts.rename(ledger, the_account(ledger), name)


def test_deleting_takes_everything_and_leaves_the_counts_right(ledger):
    row = {"id": "a1", "key": "a1", "title": "t", "title_key": "t", "abstract": "", "authors_json": "[]",
           "author_count": 0, "published_on": "2026-11-20", "listed_on": "2026-11-20", "added_at": AT, "updated_at": AT}  # fmt: skip
    with ledger.writing() as db:
        db.execute(sa.insert(article).values(**row))
    let_in(ledger)
    mine = the_account(ledger)
    tokens.create(ledger, Viewer(mine, "Ada", "member"), "laptop", "vote")
    votes.vote(ledger, mine, "a1", now=AT)
    accounts.delete_account(ledger, mine)
    for table in (account, session, sign_in, api_token):
        assert read(ledger, table) == []
    assert read(ledger, article.c.votes, article.c.trend_key) == [(0, None)]
    assert votes.check_counts(ledger) == 0


def test_tokens_are_named_limited_and_revoked(ledger):
    let_in(ledger)
    viewer = Viewer(the_account(ledger), "Ada", "member")
    for name, scope in (("", "vote"), ("x", "admin"), ("x", "everything"), ("a" * 61, "read")):
        with pytest.raises(BadInput):
            tokens.create(ledger, viewer, name, scope)
    made = {tokens.create(ledger, viewer, f"t{i}", "read") for i in range(tokens.MOST)}
    assert len(made) == tokens.MOST
    assert all(re.fullmatch(r"op_[\w-]{43}", token) for token in made)
    with pytest.raises(Conflict):
        tokens.create(ledger, viewer, "one more", "read")
    first = tokens.of(ledger, viewer.account_id)[-1]
    with pytest.raises(NotFound):
        tokens.revoke(ledger, "somebody else", first.id)
    tokens.revoke(ledger, viewer.account_id, first.id)
    with pytest.raises(NotFound):
        tokens.revoke(ledger, viewer.account_id, first.id)
    tokens.create(ledger, viewer, "one more", "read")
    assert tokens.scopes_for(Viewer("a", "A", "admin")) == ("read", "vote", "run", "admin")
