import asyncio
import collections
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
import sqlalchemy as sa
from ulid import ULID

from overparam.errors import Unavailable
from overparam.feed.mail import subscriptions
from overparam.feed.mail.address import key
from overparam.feed.mail.digest import CONNECTIONS, RETRIES, Report, send_due, waiting
from overparam.feed.mail.filters import Filter
from overparam.feed.mail.transport import transport
from overparam.feed.secrets import _lines, encrypt
from overparam.ledger import Ledger
from overparam.ledger.clock import shift
from overparam.ledger.schema import article, delivery, subscription, suppression

SIX, SEVEN, NEXT = "2026-11-23T06:00:00.000000Z", "2026-11-23T07:05:00.000000Z", "2026-11-24T07:05:00.000000Z"


def minutes(n, after=SEVEN):
    from datetime import timedelta

    return shift(after, timedelta(minutes=n))


def deliveries(ledger):
    with ledger.reading() as db:
        return db.execute(sa.select(delivery).order_by(delivery.c.digest_key)).all()


@pytest.fixture
def news(journal):
    journal.verdict("toy", "T1", "reproduced")
    journal.article("2611.1", title="A new paper", topics=["cs.LG"])
    return journal


def test_a_digest_goes_out_once_at_its_hour(ledger, post, active, news):
    active()
    assert send_due(ledger, now=SIX) == Report()
    assert send_due(ledger, now=SEVEN) == Report(due=1, sent=1)
    assert send_due(ledger, now=SEVEN) == send_due(ledger, now=minutes(300)) == Report()
    (kept,) = post.received
    assert kept.mail["Subject"] == "1 verdict, 1 paper: Monday 23 November"
    (row,) = deliveries(ledger)
    assert (row.state, row.smtp_code, row.body_json, row.attempts) == ("sent", 250, "{}", 1)
    assert row.message_id == kept.mail["Message-ID"]


def test_without_news_there_is_no_mail_and_the_next_day_comes(ledger, post, active, news):
    active()
    send_due(ledger, now=SEVEN)
    assert send_due(ledger, now=NEXT) == Report(due=1, empty=1)
    assert len(post.received) == len(deliveries(ledger)) == 1
    with ledger.reading() as db:
        row = db.execute(sa.select(subscription)).one()
    assert row.next_due == "2026-11-25T07:00:00.000000Z"
    assert "2026-11-24T07:04" in row.covered_until


def test_what_happens_between_digests_is_told_in_the_next(ledger, post, active, journal):
    active()
    journal.article("2611.1", title="First", at=SIX)
    send_due(ledger, now=SEVEN)
    journal.article("2611.2", title="Second", at=minutes(-0.2))  # committed late: after the round had looked
    journal.article("2611.3", title="Third", at=minutes(60))
    send_due(ledger, now=NEXT)
    first, second = (kept.mail.get_body(("plain",)).get_content() for kept in post.received)
    assert ("First" in first, "Second" in first) == (True, False)
    assert ("First" in second, "Second" in second, "Third" in second) == (False, True, True)


def test_weekly_comes_on_monday_with_the_week(ledger, post, active, journal):
    active(frequency="weekly", at="2026-11-18T12:00:00.000000Z")
    for day in (19, 20, 21, 22, 23):
        journal.article(f"2611.{day}", at=f"2026-11-{day}T05:00:00.000000Z")
        send_due(ledger, now=f"2026-11-{day}T23:00:00.000000Z" if day < 23 else SEVEN)
    (kept,) = post.received
    assert kept.mail["Subject"] == "5 papers: Monday 23 November"


def test_each_reader_gets_their_own_news_and_links(ledger, post, active, news):
    active("all@example.org")
    active("topic@example.org", Filter.parse({"topics": ["cs.LG"]}))
    active("none@example.org", Filter.parse({"topics": ["nothing"]}))
    active("late@example.org", hour=8)
    assert send_due(ledger, now=SEVEN) == Report(due=3, empty=1, sent=2)
    assert {k.recipient: k.mail["Subject"] for k in post.received} == {
        "all@example.org": "1 verdict, 1 paper: Monday 23 November",
        "topic@example.org": "1 paper: Monday 23 November",
    }
    links = {kept.mail["List-Unsubscribe"] for kept in post.received}
    assert len(links) == 2
    assert {kept.sender for kept in post.received}.isdisjoint({"overparam@overparam.example"})


def test_only_active_readers_get_mail(ledger, post, active, news):
    subscriptions.pause(ledger, active("paused@example.org").manage_token)
    subscriptions.unsubscribe(ledger, active("gone@example.org").manage_token)
    subscriptions.suppress(ledger, active("bounced@example.org").id, "bounced")
    subscriptions.subscribe(ledger, "new@example.org", Filter(), frequency="daily", network="n")
    active("you@example.org")
    assert send_due(ledger, now=SEVEN) == Report(due=1, sent=1)
    assert post.recipients == ["you@example.org"]


def test_who_stops_while_the_mail_is_under_way_does_not_get_it(ledger, post, active, news):
    found = active()
    post.on_rcpt = lambda *_: subscriptions.unsubscribe(ledger, found.manage_token) and None
    assert send_due(ledger, now=SEVEN) == Report(due=1)
    assert post.received == []


def test_a_refusal_for_now_is_tried_again_with_the_same_list(ledger, post, active, journal):
    journal.article("2611.1", title="As it was")
    active()
    post.on_rcpt = lambda *_: "450 busy"
    assert send_due(ledger, now=SEVEN) == Report(due=1, postponed=1)
    post.on_rcpt = lambda *_: None
    with ledger.writing() as db:
        db.execute(sa.update(article).values(title="Changed since"))
    assert send_due(ledger, now=minutes(10)) == Report()
    assert send_due(ledger, now=minutes(16)) == Report(sent=1)
    assert "As it was" in post.received[0].mail.get_body(("plain",)).get_content()
    assert (deliveries(ledger)[0].attempts, deliveries(ledger)[0].state) == (2, "sent")


def test_refused_for_now_too_often_is_given_up(ledger, post, active, news):
    active()
    post.on_rcpt = lambda *_: "450 busy"
    reports = [send_due(ledger, now=minutes(n)) for n in (0, 16, 48, 110, 232, 474, 956, 5000)]
    assert sum(r.postponed for r in reports) == RETRIES
    assert sum(r.failed for r in reports) == 1
    assert deliveries(ledger)[0].state == "failed"
    with ledger.reading() as db:
        row = db.execute(sa.select(subscription)).one()
    assert (row.state, row.soft_bounces) == ("active", RETRIES + 1)


def test_a_mailbox_that_is_gone_gets_nothing_more(ledger, post, active, news):
    active("gone@example.org")
    active("you@example.org")
    post.on_rcpt = lambda _, address: "550 5.1.1 no such user" if "gone" in address else None
    assert send_due(ledger, now=SEVEN) == Report(due=2, sent=1, failed=1)
    with ledger.reading() as db:
        assert [r.reason for r in db.execute(sa.select(suppression))] == ["bounced"]
        states = dict(db.execute(sa.select(subscription.c.state, sa.func.count()).group_by("state")).all())
    assert states == {"bounced": 1, "active": 1}


def test_a_mail_refused_for_its_words_does_not_cost_the_reader_the_subscription(ledger, post, active, news):
    active()
    post.on_data = lambda *_: "554 5.7.1 spam"
    assert send_due(ledger, now=SEVEN) == Report(due=1, failed=1)
    with ledger.reading() as db:
        assert db.execute(sa.select(subscription.c.state)).scalar() == "active"


def test_what_may_have_been_accepted_is_never_sent_again(ledger, post, active, news):
    active()

    def drop(server, kept):
        server.transport.abort()
        return "250 OK"

    post.on_data = drop
    assert send_due(ledger, now=SEVEN) == Report(due=1, unknown=1)
    assert send_due(ledger, now=minutes(60)) == Report()
    assert (len(post.received), deliveries(ledger)[0].state) == (1, "unknown")


def test_a_relay_that_is_away_loses_nothing(ledger, post, active, news, unused_port, monkeypatch):
    for i in range(3):
        active(f"you{i}@example.org")
    there = os.environ["OVERPARAM_SMTP_URL"]
    monkeypatch.setenv("OVERPARAM_SMTP_URL", "smtp://127.0.0.1:9")
    with pytest.raises(Unavailable, match="nothing is lost"):
        send_due(ledger, now=SEVEN)
    assert waiting(ledger, now=SEVEN) == {"due": 0, "queued": 3}
    monkeypatch.setenv("OVERPARAM_SMTP_URL", there)
    assert send_due(ledger, now=SEVEN) == Report(sent=3)
    assert len(set(post.recipients)) == 3


def test_a_relay_that_goes_away_on_the_way_loses_nothing(ledger, post, active, news):
    for i in range(12):
        active(f"you{i}@example.org")
    post.on_mail = lambda *_: "530 go away" if len(post.received) >= 5 else None
    with pytest.raises(Unavailable, match="refuses the sender"):
        send_due(ledger, now=SEVEN)
    kept = len(post.received)
    assert 5 <= kept < 12
    assert {row.state for row in deliveries(ledger)} == {"sent", "queued"}
    post.on_mail = lambda *_: None
    assert send_due(ledger, now=SEVEN) == Report(sent=12 - kept)
    assert len(set(post.recipients)) == len(post.received) == 12


def test_one_address_that_cannot_be_read_does_not_hold_up_the_others(ledger, post, active, news):
    active("you0@example.org")
    with ledger.writing() as db:
        db.execute(sa.update(subscription).values(email_encrypted="gAAAAA"))
    active("you1@example.org")
    with pytest.raises(Unavailable, match="cannot be decrypted"):
        send_due(ledger, now=SEVEN)
    assert post.recipients == ["you1@example.org"]
    assert waiting(ledger, now=SEVEN)["queued"] == 1


def test_two_rounds_at_once_send_each_mail_once(url, ledger, post, active, news):
    for i in range(12):
        active(f"you{i}@example.org")
    barrier, reports = threading.Barrier(2), []

    def work():
        own = Ledger(url)
        barrier.wait()
        reports.append(send_due(own, now=SEVEN))
        own.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(r.sent for r in reports) == len(post.received) == len(set(post.recipients)) == 12
    assert sum(r.due for r in reports) == 12


def test_progress_counts_up_to_the_end(ledger, post, active, news):
    for i in range(5):
        active(f"you{i}@example.org")
    told = []
    send_due(ledger, now=SEVEN, progress=lambda done, total: told.append((done, total)))
    assert told == [(i, 5) for i in range(6)]


def test_without_a_relay_digests_are_written_to_the_outbox(ledger, active, news, home):
    active()
    assert send_due(ledger, now=SEVEN) == Report(due=1, sent=1)
    (path,) = (home / "outbox").iterdir()
    assert b"1 verdict, 1 paper" in path.read_bytes()


def test_a_slow_relay_is_not_waited_for_for_ever(ledger, post, active, news):
    active("you0@example.org")
    active("you1@example.org")

    async def never():
        await asyncio.sleep(1)

    post.on_data = lambda _, kept: never() if "you0" in kept.recipient else None
    report = send_due(ledger, now=SEVEN, way=lambda: transport(timeout=0.3))
    assert report == Report(due=2, sent=1, unknown=1)


SCRIPT = """
from overparam.feed.mail.digest import send_due
from overparam.ledger import Ledger
send_due(Ledger(), now=%r)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_kill_9_sends_nothing_twice_and_loses_only_what_was_in_flight(url, ledger, post, active, news, seed):
    draw, readers, kills = random.Random(seed), 60, 3
    for i in range(readers):
        active(f"you{i:02d}@example.org")

    async def slow():
        await asyncio.sleep(0.01)

    post.on_data = lambda *_: slow()
    start = lambda: subprocess.Popen(  # noqa: E731
        [sys.executable, "-c", SCRIPT % SEVEN], env={**os.environ, "OVERPARAM_DATABASE_URL": url}
    )
    for _ in range(kills):
        goal = len(post.received) + draw.randrange(12)
        process = start()
        while len(post.received) < goal and process.poll() is None:
            time.sleep(0.001)
        time.sleep(draw.random() * 0.02)
        process.kill()
        process.wait()
    in_flight = {row.subscription_id for row in deliveries(ledger) if row.state == "sending"}
    assert len(in_flight) <= kills * CONNECTIONS
    assert start().wait(60) == 0
    assert send_due(ledger, now=minutes(20)) == Report(unknown=len(in_flight))
    states = collections.Counter(row.state for row in deliveries(ledger))
    assert states == collections.Counter(sent=readers - len(in_flight), unknown=len(in_flight))
    assert max(collections.Counter(post.recipients).values()) == 1  # nothing twice
    got = {row.subscription_id for row in deliveries(ledger) if row.state == "sent"}
    kept = {kept.mail["Message-ID"][1:27] for kept in post.received}
    assert got <= kept <= got | in_flight


@pytest.mark.slow
def test_ctrl_c_brings_the_mails_at_hand_to_their_end(url, ledger, post, active, news):
    for i in range(40):
        active(f"you{i}@example.org")

    async def slow():
        await asyncio.sleep(0.05)

    post.on_data = lambda *_: slow()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT % SEVEN],
        env={**os.environ, "OVERPARAM_DATABASE_URL": url},
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell has it ignored
    )
    while len(post.received) < 5:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) != 0
    states = collections.Counter(row.state for row in deliveries(ledger))
    assert set(states) == {"sent", "queued"}
    assert states["sent"] == len(post.received)
    post.on_data = lambda *_: None
    assert send_due(ledger, now=SEVEN) == Report(sent=states["queued"])
    assert len(set(post.recipients)) == len(post.received) == 40


@pytest.mark.slow
def test_a_thousand_readers_get_one_mail_each_over_a_few_connections(ledger, post, active, news):
    active("you0@example.org")
    with ledger.writing() as db:  # the front door would take longer than the digests
        row = dict(db.execute(sa.select(subscription)).one()._mapping)
        more = [
            {**row, "id": str(ULID()), "email_encrypted": encrypt(to), "email_hash": key(to)}
            for to in (f"you{i}@example.org" for i in range(1, 1_000))
        ]
        db.execute(sa.insert(subscription), more)
    assert send_due(ledger, now=SEVEN) == Report(due=1_000, sent=1_000)
    assert len(post.recipients) == len(set(post.recipients)) == 1_000
    assert post.connections == CONNECTIONS


def test_the_secret_may_rotate_between_freezing_and_sending(ledger, post, active, news, home):
    active()
    post.on_mail = lambda *_: "451 later"
    send_due(ledger, now=SEVEN)
    path = home / "secret"
    path.write_text("n" * 40 + "\n" + path.read_text())
    _lines.cache_clear()
    post.on_mail = lambda *_: None
    assert send_due(ledger, now=minutes(20)) == Report(sent=1)
