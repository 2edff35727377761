import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overparam.feed.mail import verp
from overparam.feed.mail.bounces import take
from overparam.feed.mail.edition import message_id
from overparam.ledger.clock import shift
from overparam.ledger.schema import subscription, suppression

NOW = "2026-11-24T09:00:00.000000Z"


def report(to, action="failed", status="5.1.1", returned=""):
    return f"""\
From: MAILER-DAEMON@mx.example.net
To: <{to}>
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

I am sorry.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; you@example.org
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b
Content-Type: text/rfc822-headers

Subject: 3 verdicts
{returned}

--b--
""".replace("\n", "\r\n").encode()


def complaint(to="abuse@overparam.example", kind="abuse", returned=""):
    return f"""\
From: feedback@provider.example
To: {to}
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

A reader marked this as spam.

--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1

--b
Content-Type: message/rfc822

From: overparam@overparam.example
{returned}
Subject: 3 verdicts

Words.

--b--
""".encode()


def state(ledger, found):
    with ledger.reading() as db:
        row = db.execute(sa.select(subscription.c.state).where(subscription.c.id == found.id)).one()
        reasons = [r.reason for r in db.execute(sa.select(suppression))]
    return row.state, reasons


def test_one_refusal_for_good_is_enough(ledger, active):
    found, other = active(), active("me@example.org")
    content = report(verp.make(found.id, "bounce"))
    assert [take(ledger, content, now=NOW) for _ in range(2)] == ["bounced", "bounced"]
    assert state(ledger, found) == ("bounced", ["bounced"])
    assert state(ledger, other)[0] == "active"


def test_refusals_for_now_count_over_five_days(ledger, active):
    from datetime import timedelta

    found = active()
    content = report(verp.make(found.id, "bounce"), action="delayed", status="4.2.2")
    at = lambda days: shift(NOW, timedelta(days=days))  # noqa: E731
    for day in (0, 1, 4, 4.9):
        assert take(ledger, content, now=at(day)) == "delayed"
        assert state(ledger, found) == ("active", [])
    assert take(ledger, content, now=at(20)) == "delayed"  # the mailbox was well for two weeks: a new count
    assert state(ledger, found) == ("active", [])
    take(ledger, content, now=at(26))
    assert state(ledger, found) == ("bounced", ["bounced"])


def test_failed_with_a_4xx_status_is_not_for_good(ledger, active):
    found = active()
    assert take(ledger, report(verp.make(found.id, "bounce"), status="4.4.7"), now=NOW) == "delayed"
    assert state(ledger, found)[0] == "active"


def test_a_success_report_and_an_answer_by_hand_are_ignored(ledger, active):
    found = active()
    to = verp.make(found.id, "bounce")
    assert take(ledger, report(to, action="delivered", status="2.0.0"), now=NOW) == "ignored"
    assert take(ledger, f"To: {to}\nSubject: Out of office\n\nBack on Monday.".encode(), now=NOW) == "ignored"
    assert state(ledger, found) == ("active", [])


def test_a_complaint_counts_at_once_by_the_message_that_it_returns(ledger, active):
    found = active()
    ours = f"Message-ID: {message_id(found.id, '2026-11-23')}"
    assert take(ledger, complaint(kind="not-spam", returned=ours), now=NOW) == "ignored"
    assert take(ledger, complaint(returned=ours), now=NOW) == "complained"
    assert state(ledger, found) == ("complained", ["complained"])


def test_a_report_may_be_known_by_the_returned_headers_alone(ledger, active):
    found = active()
    ours = f"Message-ID: {message_id(found.id, '2026-11-23')}"
    assert take(ledger, report("postmaster@overparam.example", returned=ours), now=NOW) == "bounced"
    assert state(ledger, found)[0] == "bounced"


def test_nobody_gets_somebody_else_taken_off(ledger, active):
    found = active()
    true = verp.make(found.id, "bounce")
    forged = true.replace(true[-30:-20], "0000000000") if true[-30:-20] != "0000000000" else true
    for content in (
        report("overparam@overparam.example"),
        report(forged),
        report(true.replace("+b-", "+u-")),
        complaint(returned=f"Message-ID: <{found.id}.2026-11-23.000000000000@overparam.example>"),
        complaint(returned="To: you@example.org"),
    ):
        assert take(ledger, content, now=NOW) == "ignored"
    assert state(ledger, found) == ("active", [])


def test_a_mail_to_the_address_in_list_unsubscribe_stops(ledger, active):
    found = active()
    to = verp.make(found.id, "unsubscribe")
    content = f"From: you@example.org\nTo: {to}\nSubject: unsubscribe\n\n".encode()
    assert [take(ledger, content, now=NOW) for _ in range(2)] == ["unsubscribed", "unsubscribed"]
    assert state(ledger, found) == ("unsubscribed", [])


def test_what_is_deleted_stays_deleted(ledger, active):
    from overparam.feed.mail import subscriptions

    found = active()
    subscriptions.delete(ledger, found.manage_token)
    for content in (
        report(verp.make(found.id, "bounce")),
        report(verp.make(found.id, "bounce"), status="4.2.2"),
        f"To: {verp.make(found.id, 'unsubscribe')}\n\n".encode(),
    ):
        assert take(ledger, content, now=NOW) in ("bounced", "delayed", "unsubscribed")
    with ledger.reading() as db:
        assert not db.execute(sa.select(subscription)).all()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=400), st.integers(0, 800), st.binary(max_size=20))
def test_any_bytes_are_taken_for_something(ledger, noise, at, splice):
    base = report("overparam+b-x@overparam.example")
    assert take(ledger, noise, now=NOW) == "ignored"
    assert take(ledger, base[:at] + splice + base[at:], now=NOW) == "ignored"


def test_addresses_of_ours_survive_a_change_of_case():
    made = verp.make("01KASJ3V5M3W0000000000000Z", "bounce")
    assert verp.read(made.upper()) == verp.read(f'"x" <{made}>, b@c.d') == ("bounce", "01KASJ3V5M3W0000000000000Z")
    assert len(made.partition("@")[0]) <= 64
