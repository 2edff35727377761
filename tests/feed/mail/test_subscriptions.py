import random
import re

import itsdangerous
import pytest
import sqlalchemy as sa

from overparam.errors import BadInput, Conflict, NotFound
from overparam.feed.mail import subscriptions
from overparam.feed.mail.filters import Filter
from overparam.feed.mail.schedule import next_due
from overparam.feed.secrets import decrypt, sign
from overparam.ledger.schema import delivery, rate, subscription, suppression

NOON, LATER = "2026-11-22T12:00:00.000000Z", "2026-11-22T12:30:00.000000Z"
THEORY = Filter.parse({"topics": ["theory"]})


def ask(ledger, email="you@example.org", wanted=None, network="192.0.2.1", now=NOON, **given):
    given = {"frequency": "daily", **given}
    return subscriptions.subscribe(ledger, email, wanted or Filter(), network=network, now=now, **given)


def rows(ledger, table=subscription):
    with ledger.reading() as db:
        return db.execute(sa.select(table)).all()


def token_in(mail, place="confirm"):
    return re.search(rf"https://overparam\.example/{place}/(\S+)", mail.message.get_body(("plain",)).get_content())[1]


def test_asking_makes_a_pending_row_and_a_mail_to_confirm(ledger):
    mail = ask(ledger, wanted=THEORY, frequency="weekly", hour=18)
    (row,) = rows(ledger)
    assert (row.state, row.frequency, row.hour, row.next_due) == ("pending", "weekly", 18, None)
    assert "you@" not in row.email_encrypted
    assert decrypt(row.email_encrypted) == "you@example.org"
    assert (mail.recipient, mail.message["Subject"]) == ("you@example.org", "Confirm your subscription")
    assert "new papers and verdicts on theory, weekly" in mail.message.get_body(("plain",)).get_content()
    assert row.id.lower() in mail.sender


def test_looking_changes_nothing_and_confirming_twice_is_once(ledger):
    token = token_in(ask(ledger))
    before = rows(ledger)
    found = subscriptions.look_up(ledger, token, purpose="confirm")
    assert (found.email, found.state, rows(ledger)) == ("you@example.org", "pending", before)
    with pytest.raises(BadInput, match="not valid"):
        subscriptions.look_up(ledger, token)  # a token of one purpose opens nothing else
    first = subscriptions.confirm(ledger, token, now=NOON)
    assert (first.state, first.next_due) == ("active", "2026-11-23T07:00:00.000000Z")
    assert subscriptions.confirm(ledger, token, now=LATER) == first
    assert rows(ledger)[0].covered_until == NOON


def test_a_link_to_confirm_is_good_for_two_days(ledger, monkeypatch):
    token = token_in(ask(ledger))
    made = itsdangerous.TimestampSigner("k").get_timestamp()
    monkeypatch.setattr(itsdangerous.TimestampSigner, "get_timestamp", lambda self: made + 48 * 3600 + 5)
    with pytest.raises(BadInput, match="expired"):
        subscriptions.confirm(ledger, token)


def test_an_active_address_is_told_so_and_nothing_changes(ledger):
    subscriptions.confirm(ledger, token_in(ask(ledger)), now=NOON)
    before = rows(ledger)
    mail = ask(ledger, "You@Example.org", frequency="weekly", now=LATER)
    assert mail.message["Subject"] == "You are subscribed already"
    assert subscriptions.look_up(ledger, token_in(mail, "u")).state == "active"
    assert rows(ledger) == before


def test_asking_again_before_confirming_refreshes_the_row(ledger):
    first = token_in(ask(ledger))
    second = token_in(ask(ledger, frequency="weekly", now=LATER))
    (row,) = rows(ledger)
    assert (row.frequency, row.changed_at) == ("weekly", LATER)
    assert subscriptions.confirm(ledger, first).id == subscriptions.confirm(ledger, second).id


def test_three_mails_a_day_to_an_address_whatever_the_filter(ledger):
    filters = [Filter.parse({"words": f"w{i}"}) for i in range(5)]
    sent = [ask(ledger, wanted=f, network=f"n{i}") is not None for i, f in enumerate(filters)]
    assert sent == [True, True, True, False, False]
    assert ask(ledger, network="n9", now="2026-11-23T12:00:00.000000Z") is not None


def test_ten_mails_an_hour_for_a_network(ledger):
    sent = [ask(ledger, f"you{i}@example.org") is not None for i in range(12)]
    assert sent == [True] * 10 + [False] * 2
    assert ask(ledger, "other@example.org", network="192.0.2.2") is not None
    assert ask(ledger, "you11@example.org", now="2026-11-22T13:00:00.000000Z") is not None
    assert not [row for row in rows(ledger, rate) if "192.0.2" in row.bucket or "@" in row.bucket]


def test_bad_input_is_refused_before_anything_is_written(ledger):
    for given in ({"email": "you.example.org"}, {"frequency": "hourly"}, {"hour": 24}):
        with pytest.raises(BadInput):
            ask(ledger, **given)
    assert rows(ledger) == []
    assert rows(ledger, rate) == []


def test_unsubscribing_works_again_and_again_and_with_old_links(ledger, active):
    old = active().manage_token
    for _ in range(2):
        assert subscriptions.unsubscribe(ledger, old, now=LATER).state == "unsubscribed"
    new = subscriptions.confirm(ledger, token_in(ask(ledger, now=LATER)), now=LATER)
    assert (new.state, new.token_version) == ("active", 2)
    for action in (subscriptions.pause, subscriptions.resume, subscriptions.undo, subscriptions.look_up):
        with pytest.raises(BadInput, match="out of date"):
            action(ledger, old)
    stopped = subscriptions.unsubscribe(ledger, old)
    assert (stopped.state, stopped.manage_token.partition(".")[0]) == ("unsubscribed", old.partition(".")[0])
    subscriptions.delete(ledger, old)
    assert subscriptions.unsubscribe(ledger, old) is None
    with pytest.raises(BadInput, match="not valid"):
        subscriptions.unsubscribe(ledger, old[:-1])


def test_a_link_to_confirm_does_not_restart_what_was_stopped(ledger):
    token = token_in(ask(ledger))
    found = subscriptions.confirm(ledger, token)
    subscriptions.unsubscribe(ledger, found.manage_token)
    with pytest.raises(Conflict, match="subscribe again"):
        subscriptions.confirm(ledger, token)


def test_what_was_never_confirmed_cannot_be_undone_into_life(ledger):
    ask(ledger)
    (row,) = rows(ledger)
    token = sign([row.id, 1], "manage")
    assert subscriptions.unsubscribe(ledger, token).state == "unsubscribed"
    with pytest.raises(Conflict, match="never confirmed"):
        subscriptions.undo(ledger, token)


def test_a_pause_keeps_at_most_a_week_of_news(ledger, active):
    token = active().manage_token
    subscriptions.pause(ledger, token, now=NOON)
    assert rows(ledger)[0].next_due is None
    subscriptions.resume(ledger, token, now="2026-11-24T06:00:00.000000Z")
    assert (rows(ledger)[0].covered_until, rows(ledger)[0].next_due) == (NOON, "2026-11-24T07:00:00.000000Z")
    subscriptions.pause(ledger, token)
    subscriptions.resume(ledger, token, now="2027-01-10T06:00:00.000000Z")
    assert rows(ledger)[0].covered_until == "2027-01-03T06:00:00.000000Z"


def test_changing_moves_the_next_digest_and_clashes_with_a_twin(ledger, active):
    one, two = active(), active(wanted=THEORY)
    with pytest.raises(Conflict, match="another subscription"):
        subscriptions.change(ledger, one.manage_token, THEORY, "daily", 7)
    new = Filter.parse({"kinds": ["changes"]})
    changed = subscriptions.change(ledger, two.manage_token, new, "weekly", 20, now=LATER)
    assert (changed.filter, changed.next_due) == (new, "2026-11-23T20:00:00.000000Z")
    assert changed.words_for_people == "verdicts that changed, weekly"
    subscriptions.unsubscribe(ledger, one.manage_token)
    assert subscriptions.change(ledger, one.manage_token, Filter(), "weekly", 3).next_due is None


def waiting(ledger, found):
    row = {"digest_key": "2026-11-23", "state": "queued", "body_json": "{}", "message_id": "m", "attempts": 0}
    with ledger.writing() as db:
        db.execute(sa.insert(delivery).values(subscription_id=found.id, at=NOON, **row))


def test_stopping_takes_back_mails_that_wait(ledger, active):
    one, two = active(), active("me@example.org")
    waiting(ledger, one), waiting(ledger, two)
    subscriptions.unsubscribe(ledger, one.manage_token)
    assert [row.subscription_id for row in rows(ledger, delivery)] == [two.id]


def test_deleting_erases_address_and_deliveries_at_once(ledger, active):
    found = active()
    waiting(ledger, found)
    subscriptions.delete(ledger, found.manage_token)
    subscriptions.delete(ledger, found.manage_token)
    assert rows(ledger) == rows(ledger, delivery) == []
    with pytest.raises(NotFound, match="deleted"):
        subscriptions.look_up(ledger, found.manage_token)


def test_a_suppressed_address_gets_nothing_whoever_asks(ledger, active):
    one, two, other = active(), active(wanted=THEORY), active("me@example.org")
    subscriptions.suppress(ledger, one.id, "complained", now=LATER)
    states = {row.id: row.state for row in rows(ledger)}
    assert states == {one.id: "complained", two.id: "complained", other.id: "active"}
    subscriptions.suppress(ledger, one.id, "bounced", now=LATER)
    assert {row.reason for row in rows(ledger, suppression)} == {"complained"}
    assert ask(ledger, now="2026-12-01T12:00:00.000000Z") is None
    assert {row.state for row in rows(ledger) if row.id != other.id} == {"complained"}
    assert subscriptions.unsubscribe(ledger, one.manage_token).state == "complained"
    subscriptions.delete(ledger, one.manage_token)
    assert ask(ledger, now="2026-12-02T12:00:00.000000Z") is None


def test_who_is_no_longer_suppressed_may_begin_anew(ledger, active):
    found = active()
    subscriptions.suppress(ledger, found.id, "complained", now=LATER)
    with ledger.writing() as db:
        db.execute(sa.delete(suppression))
    again = subscriptions.confirm(ledger, token_in(ask(ledger, now="2026-12-01T12:00:00.000000Z")))
    assert (again.id, again.state, again.token_version) == (found.id, "active", 2)


MOVES = {
    "confirm": {"pending": "active"},
    "pause": {"active": "paused"},
    "resume": {"paused": "active"},
    "unsubscribe": {"pending": "unsubscribed", "active": "unsubscribed", "paused": "unsubscribed"},
    "undo": {"unsubscribed": "active"},
    "ask": {"unsubscribed": "pending"},
}
REFUSED = {("confirm", "unsubscribed")}


@pytest.mark.parametrize("seed", range(3))
def test_random_walks_agree_with_the_table_of_moves(ledger, seed):
    draw = random.Random(seed)
    ask(ledger)
    (row,) = rows(ledger)
    state, version, confirmed = "pending", 1, False
    for day in range(1, 61):
        move = draw.choice(list(MOVES))
        at = f"2027-{day // 28 + 1:02d}-{day % 28 + 1:02d}T12:00:00.000000Z"
        refused = (move, state) in REFUSED or (move == "undo" and state == "unsubscribed" and not confirmed)
        try:
            if move == "ask":
                ask(ledger, now=at)
            else:
                token = sign([row.id, version], "confirm" if move == "confirm" else "manage")
                getattr(subscriptions, move)(ledger, token, now=at)
            assert not refused
        except Conflict:
            assert refused
        version += (move, state) == ("ask", "unsubscribed")
        state = state if refused else MOVES[move].get(state, state)
        confirmed = confirmed or state == "active"
        found = rows(ledger)[0]
        assert (found.state, found.token_version) == (state, version)
        assert (found.next_due is not None) == (state == "active")
        if (move, state) == ("resume", "active") and found.changed_at == at:
            assert found.next_due == next_due("daily", 7, at)
