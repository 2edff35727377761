import threading

import pytest
import sqlalchemy as sa

from overparam.errors import NotFound
from overparam.feed import trending
from overparam.feed.votes import check_counts, unvote, vote, voted
from overparam.ledger.schema import account, article, listing
from overparam.ledger.schema import vote as votes

AT = "2026-11-21T14:00:00.000000Z"


def add_article(ledger, name="a1", day="2026-11-20"):
    row = {"id": name, "key": name, "title": name, "title_key": name, "abstract": "", "authors_json": "[]",
           "author_count": 0, "published_on": day, "listed_on": day, "added_at": AT, "updated_at": AT}  # fmt: skip
    with ledger.writing() as db:
        db.execute(sa.insert(article).values(**row))
        db.execute(sa.insert(listing).values(source="huggingface", day=day, article_id=name, rank=1))
        trending.add(db, name, trending.WEIGHTS["listing"], day)


def add_accounts(ledger, *names):
    with ledger.writing() as db:
        db.execute(sa.insert(account), [{"id": n, "name": n, "role": "member", "created_at": AT} for n in names])


def read(ledger, name="a1"):
    with ledger.reading() as db:
        return db.execute(sa.select(article.c.votes, article.c.trend_key).where(article.c.id == name)).one()


@pytest.fixture
def shelf(ledger):
    add_article(ledger)
    add_accounts(ledger, "ada", "bob")
    return ledger


def test_a_vote_counts_once_and_is_taken_back_without_a_trace(shelf):
    before = read(shelf)
    assert [vote(shelf, "ada", "a1", now=AT) for _ in range(2)] == [1, 1]
    up = read(shelf)
    assert up.trend_key > before.trend_key
    assert vote(shelf, "bob", "a1", now=AT) == 2
    assert [unvote(shelf, "bob", "a1") for _ in range(2)] == [1, 1]
    assert read(shelf).trend_key == pytest.approx(up.trend_key, abs=1e-12)
    assert unvote(shelf, "ada", "a1") == 0
    assert read(shelf) == before


def test_voted_answers_for_the_papers_of_a_page(shelf):
    add_article(shelf, "a2")
    vote(shelf, "ada", "a1")
    assert voted(shelf, "ada", ["a1", "a2"]) == {"a1"}
    assert voted(shelf, "bob", ["a1", "a2"]) == voted(shelf, "ada", []) == set()


def test_an_unknown_paper_is_named(shelf):
    for act in (vote, unvote):
        with pytest.raises(NotFound, match="'zz'"):
            act(shelf, "ada", "zz")


def test_the_nightly_check_repairs_what_differs_and_says_how_many(shelf):
    add_article(shelf, "a2")
    vote(shelf, "ada", "a1", now=AT)
    right = read(shelf)
    assert check_counts(shelf) == 0
    with shelf.writing() as db:
        db.execute(sa.update(article).where(article.c.id == "a1").values(votes=9, trend_key=0.0))
    assert check_counts(shelf) == 1
    assert read(shelf) == pytest.approx(right)
    assert check_counts(shelf) == 0


def test_votes_at_the_same_time_are_all_counted(shelf):
    names = [f"p{i}" for i in range(8)]
    add_accounts(shelf, *names)
    threads = [threading.Thread(target=vote, args=(shelf, name, "a1"), kwargs={"now": AT}) for name in names]
    threads += [threading.Thread(target=vote, args=(shelf, "ada", "a1"), kwargs={"now": AT}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with shelf.writing() as db:
        incremental = db.execute(sa.select(article.c.votes, article.c.trend_key)).one()
        trending.recompute(db, "a1")
        again = db.execute(sa.select(article.c.trend_key)).scalar()
        assert db.execute(sa.select(sa.func.count()).select_from(votes)).scalar() == incremental.votes == 9
    assert incremental.trend_key == pytest.approx(again, abs=1e-9)
