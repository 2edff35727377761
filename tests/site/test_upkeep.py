import logging
import threading

import sqlalchemy as sa

from overparam.feed.search import search
from overparam.ledger.schema import article, embedding, sign_in
from overparam.site.upkeep import keep_up


def once(ledger):
    stop = threading.Event()
    stop.set()  # one round
    keep_up(ledger, stop)


def test_a_round_embeds_mends_counts_and_clears_what_has_ended(seeded, caplog):
    with seeded.writing() as db:
        db.execute(sa.update(article).values(votes=7))
        db.execute(sa.insert(sign_in).values(token_hash="x", role="member", expires_at="2020-01-01T00:00:00.000000Z"))
    assert "words alone" in search(seeded, "generalisation").degraded
    with caplog.at_level(logging.WARNING):
        once(seeded)
    assert search(seeded, "generalisation").degraded == ""
    with seeded.reading() as db:
        assert set(db.execute(sa.select(article.c.votes)).scalars()) == {0}
        assert db.execute(sa.select(sa.func.count()).select_from(embedding)).scalar() > 0
        assert db.execute(sa.select(sign_in)).first() is None
    assert "counts of votes differed" in caplog.text


def test_a_database_that_is_away_does_not_end_it(home, caplog):
    from overparam.ledger import Ledger

    ledger = Ledger()
    ledger.close()
    (home / "ledger.sqlite3").write_bytes(b"damaged" * 1000)
    once(ledger)
    assert "upkeep:" in caplog.text
