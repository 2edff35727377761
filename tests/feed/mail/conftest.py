"""Fixtures of mail: settings of their own, a real SMTP server whose answers a test may choose, and news."""

import asyncio
import email
import email.policy
import json
import socket
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller

from overparam.lab.planner import REGULAR
from overparam.ledger.schema import article, article_topic, claim, paper, run, trial, verdict

CONFIRMED = "2026-11-22T12:00:00.000000Z"
HAPPENED = "2026-11-23T05:00:00.000000Z"
SEVEN = "2026-11-23T07:05:00.000000Z"  # a Monday


@pytest.fixture(autouse=True)
def mail_settings(home, monkeypatch):
    monkeypatch.setenv("OVERPARAM_SITE_URL", "https://overparam.example")
    monkeypatch.delenv("OVERPARAM_SMTP_URL", raising=False)
    monkeypatch.delenv("OVERPARAM_MAIL_FROM", raising=False)


class Post:
    """What the server keeps and answers. A hook returns an answer, or None for the usual one."""

    def __init__(self):
        self.received, self.connections = [], 0
        self.on_mail = self.on_rcpt = self.on_data = lambda *_: None

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        answer = self.on_mail(server, address)
        if answer is None:
            envelope.mail_from = address
        return answer or "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = self.on_rcpt(server, address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_DATA(self, server, session, envelope):
        kept = SimpleNamespace(
            sender=envelope.mail_from,
            recipient=envelope.rcpt_tos[0],
            content=envelope.content,
            mail=email.message_from_bytes(envelope.content, policy=email.policy.default),
        )
        answer = self.on_data(server, kept)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if not answer or answer.startswith("250"):
            self.received.append(kept)
        return answer or "250 OK"

    @property
    def recipients(self):
        return sorted(kept.recipient for kept in self.received)


@pytest.fixture
def unused_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def post(monkeypatch, unused_port):
    handler = Post()
    controller = Controller(handler, hostname="127.0.0.1", port=unused_port, server_hostname="localhost")
    controller.start()
    try:
        monkeypatch.setenv("OVERPARAM_SMTP_URL", f"smtp://127.0.0.1:{unused_port}")
        yield handler
    finally:
        controller.stop()


def part(**changes):
    base = {
        "name": "half kept − random",
        "unit": "points",
        "estimate": 2.04,
        "low": 1.71,
        "high": 2.37,
        "n": 5,
        "level": 0.95,
        "across": "seed",
        "difference": True,
        "state": "holds",
        "region": {"low": 0.0, "high": None, "closed": False},
    }
    return {**base, **changes}


class Journal:
    """Writes papers and verdicts as the lab and the sources do."""

    def __init__(self, ledger):
        self.ledger, self._n = ledger, 0

    def article(
        self,
        key,
        *,
        title="A new paper",
        abstract="It says something. And more.",
        slug=None,
        at=HAPPENED,
        listed_on=None,
        topics=(),
        withdrawn=False,
    ):
        self._n += 1
        row = {
            "id": f"{self._n:026d}", "key": key, "slug": slug, "arxiv": None if slug else key, "title": title,
            "title_key": key, "abstract": abstract, "authors_json": "[]", "author_count": 4,
            "published_on": "2026-11-20", "listed_on": listed_on or at[:10], "withdrawn": withdrawn,
            "trend_key": float(self._n), "added_at": at, "updated_at": at,
        }  # fmt: skip
        with self.ledger.writing() as db:
            db.execute(sa.insert(article).values(**row))
            for topic in topics:
                db.execute(sa.insert(article_topic).values(article_id=row["id"], topic=topic))
        return row["id"]

    def verdict(
        self,
        slug,
        claim_id,
        status,
        *,
        at=HAPPENED,
        scale="laptop",
        rule="r1",
        options=REGULAR,
        proxy=True,
        statement="Keep the half with the highest scores.",
        title="A Toy",
        parts=None,
        supersedes=None,
    ):
        self._n += 1
        run_id = f"R{self._n:025d}"
        facts = {"slug": slug, "arxiv": "0000.00001", "title": title, "published_on": "2020-01-01"}
        head = {"paper": slug, "claim": claim_id, "rule_hash": rule}
        body = {"status": status, "proxy": proxy, "parts": [part()] if parts is None else list(parts)}
        with self.ledger.writing() as db:
            db.execute(self.ledger.insert(paper).values(**facts).on_conflict_do_nothing())
            row = self.ledger.insert(claim).values(
                **head, statement=statement, source="s", rule_json="{}", first_seen_at=at
            )
            db.execute(row.on_conflict_do_nothing())
            db.execute(sa.insert(run).values(
                id=run_id, paper=slug, scale=scale, spec_hash=run_id, options_json=options, state="succeeded",
                engine="inline", workers=1, attempt=1, created_at=at, wall_seconds=1.0, provenance_json="{}",
            ))  # fmt: skip
            db.execute(sa.insert(trial).values(
                run_id=run_id, trial_key="k", position=0, task=0, experiment="e", params_json="{}", seed=0,
                state="done", cached=False, attempt=1, cpu_seconds=252.0,
            ))  # fmt: skip
            db.execute(sa.insert(verdict).values(
                **head, run_id=run_id, status=status, n=5, body_json=json.dumps(body), supersedes=supersedes, at=at
            ))  # fmt: skip
        return run_id


@pytest.fixture(name="part")
def part_fixture():
    return part


@pytest.fixture
def journal(ledger):
    return Journal(ledger)


@pytest.fixture
def active(ledger):
    """Make confirmed subscriptions, due at SEVEN, without the limits of the front door."""
    from overparam.feed.mail import subscriptions
    from overparam.feed.mail.address import key
    from overparam.feed.mail.filters import Filter
    from overparam.feed.secrets import sign
    from overparam.ledger.schema import subscription

    def make(email="you@example.org", wanted=None, frequency="daily", hour=7, at=CONFIRMED, network="test"):
        subscriptions.subscribe(
            ledger, email, wanted or Filter(), frequency=frequency, hour=hour, network=f"{network} {email}", now=at
        )
        mine = (subscription.c.email_hash == key(email), subscription.c.filter_key == (wanted or Filter()).key)
        with ledger.reading() as db:
            row = db.execute(sa.select(subscription).where(*mine)).one()
        return subscriptions.confirm(ledger, sign([row.id, row.token_version], "confirm"), now=at)

    return make
