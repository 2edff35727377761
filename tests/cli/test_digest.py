import json
import time

import pytest
import sqlalchemy as sa
import typer
from typer.testing import CliRunner

from overparam.cli.digest import _Display, send_digest
from overparam.errors import BadInput, Unavailable
from overparam.feed.mail import subscriptions, verp
from overparam.feed.mail.filters import Filter
from overparam.feed.secrets import sign
from overparam.ledger import Ledger
from overparam.ledger.schema import article, subscription

NOON, SEVEN = "2026-11-22T12:00:00.000000Z", "2026-11-23T07:05:00Z"


def digest(*words, stdin=None):
    app = typer.Typer()
    app.command()(send_digest)
    done = CliRunner().invoke(app, [*words, "--now", SEVEN], input=stdin, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(error, *words):
    app = typer.Typer()
    app.command()(send_digest)
    with pytest.raises(error) as caught:
        CliRunner().invoke(app, list(words), catch_exceptions=False)
    return str(caught.value)


@pytest.fixture
def reader(home, monkeypatch):
    monkeypatch.delenv("OVERPARAM_SMTP_URL", raising=False)
    monkeypatch.setenv("OVERPARAM_SITE_URL", "https://overparam.example")
    ledger = Ledger()
    subscriptions.subscribe(ledger, "you@example.org", Filter(), frequency="daily", network="n", now=NOON)
    with ledger.reading() as db:
        found = db.execute(sa.select(subscription.c.id)).scalar_one()
    subscriptions.confirm(ledger, sign([found, 1], "confirm"), now=NOON)
    row = {"key": "2611.1", "title": "A new paper", "title_key": "k", "abstract": "It says.", "authors_json": "[]"}
    row |= {"author_count": 1, "published_on": "2026-11-20", "listed_on": "2026-11-23", "updated_at": NOON}
    with ledger.writing() as db:
        db.execute(sa.insert(article).values(id="A", added_at="2026-11-23T05:00:00.000000Z", **row))
    yield found
    ledger.close()


def test_what_is_due_is_sent_and_counted(reader, home):
    assert digest("--dry-run") == "1 subscriber due, 0 mails left over from before\n"
    assert digest() == (
        f"1 subscriber due: 1 sent\nWritten to {home / 'outbox'}; set OVERPARAM_SMTP_URL to send them\n"
    )
    assert digest() == "0 subscribers due: 0 sent\n"
    assert len(list((home / "outbox").iterdir())) == 1


def test_json(reader):
    assert json.loads(digest("--dry-run", "--json")) == {"due": 1, "queued": 0}
    report = json.loads(digest("--json"))
    assert report == {"due": 1, "empty": 0, "sent": 1, "postponed": 0, "failed": 0, "unknown": 0}


def test_a_preview_is_a_page_and_sends_nothing(reader, home):
    path = home / "preview.html"
    assert digest("--preview", str(path)) == f"Preview {path}\n"
    assert "A new paper" in path.read_text(encoding="utf-8")
    assert digest("--dry-run").startswith("1 subscriber due")


def test_a_preview_without_news_says_so(home):
    assert digest("--preview", str(home / "preview.html")) == "There was no news in the last 7 days.\n"
    assert not (home / "preview.html").exists()


def test_a_mail_that_came_back_is_taken_from_file_or_stdin(reader, home):
    content = f"To: {verp.make(reader, 'unsubscribe')}\n\n"
    path = home / "returned.eml"
    path.write_text("To: overparam@overparam.example\n\n")
    assert digest("--bounce", str(path)) == "Taken for: ignored\n"
    assert json.loads(digest("--bounce", "-", "--json", stdin=content)) == {"taken": "unsubscribed"}
    assert digest("--dry-run").startswith("0 subscribers due")


def test_what_cannot_be_done_is_said_in_one_line(home):
    assert "exclude each other" in refused(BadInput, "--dry-run", "--bounce", "-")
    assert "write it like 2026" in refused(BadInput, "--now", "tomorrow")
    assert "No such file" in refused(Unavailable, "--bounce", str(home / "absent.eml"))


def test_progress_is_shown_after_two_seconds_only(monkeypatch, capsys):
    with _Display() as quick:
        quick.tell(1, 2)
    assert capsys.readouterr().err == ""
    started = time.monotonic()
    monkeypatch.setattr("overparam.cli.digest.time.monotonic", lambda: started + 60)
    with _Display() as slow:
        slow._started = started
        slow.tell(1, 2)
        slow.tell(2, 2)
    assert "Sending digests" in capsys.readouterr().err
